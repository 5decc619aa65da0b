"""From an address to the bytes of a picture, safely. The only user of requests."""
