"""`make soak`: the service under a mixed load for long, with deaths, switches and bad models."""
