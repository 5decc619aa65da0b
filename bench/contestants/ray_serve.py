# /// script
# dependencies = ["ray[serve]", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "Ray Serve"
# command = ["-m", "bench.contestants.ray_serve", "{port}"]
# [tool.bench.environment]
# RAY_USAGE_STATS_ENABLED = "0"
# RAY_DISABLE_IMPORT_WARNING = "1"
# ///
"""Ray Serve with two replicas of the model."""

import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from bench.contestants.classifier import Classifier


@serve.deployment(num_replicas=2, max_ongoing_requests=8, ray_actor_options={"num_cpus": 0.5})
class Images:
    """What Ray Serve asks of a model."""

    def __init__(self) -> None:
        self.classify = Classifier()

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Say what is on an image."""
        return self.classify(await request.body())


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Images.bind(), route_prefix="/predict")  # type: ignore[attr-defined]
    while True:
        time.sleep(60)
