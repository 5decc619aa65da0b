# /// script
# dependencies = ["litserve", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "LitServe"
# command = ["-m", "bench.contestants.litserve_workers", "{port}"]
# ///
"""LitServe: two processes that run the model, and as many for HTTP, which is its default."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body

from bench.contestants.classifier import Classifier


class API(litserve.LitAPI):
    """What LitServe asks of a model."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (the base class's signature)
        """Load the model in a process that runs it."""
        self.classify = Classifier()

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> bytes:
        """The image."""
        return request

    def predict(self, x: bytes) -> dict[str, Any]:
        """Say what is on an image."""
        return self.classify(x)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The answer."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(API(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
