"""One worker's life: the loaded models, the cache, the metrics."""
