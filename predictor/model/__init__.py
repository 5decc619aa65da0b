"""One model: what it is and how it runs."""
