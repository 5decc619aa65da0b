"""What other tools write about how a model wants its images, read into this service's own terms."""
