"""From an address to the bytes of an image, safely. The only user of requests."""
