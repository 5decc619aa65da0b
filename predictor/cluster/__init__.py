"""Many machines and their buckets. The only user of obstore."""
