"""Images in, ranked classes out: engine, batches, cache, loaded models."""
