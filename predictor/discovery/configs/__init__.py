"""What other tools write about how a model wants its pictures, read into this service's own terms."""
