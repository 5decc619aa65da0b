"""Many machines on one bucket: they share models and change together. The only user of obstore."""
