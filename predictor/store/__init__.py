"""Models on disk, shared by all workers of a machine."""
