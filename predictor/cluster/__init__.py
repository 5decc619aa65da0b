"""What many machines share: an object store."""
