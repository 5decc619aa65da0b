# /// script
# dependencies = ["mosec", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "Mosec"
# command = ["-m", "bench.contestants.mosec_workers", "--address", "127.0.0.1", "--port", "{port}"]
# path = "/inference"
# ///
"""Mosec, whose server is written in Rust, with two processes that run the model."""

from typing import Any

from mosec import Server, Worker

from bench.contestants.classifier import Classifier


class Images(Worker):
    """What Mosec asks of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.classify = Classifier()

    def deserialize(self, data: bytes) -> bytes:
        """The image, as it came."""
        return data

    def forward(self, data: bytes) -> dict[str, Any]:
        """Say what is on an image."""
        return self.classify(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Images, num=2)
    server.run()
