# /// script
# dependencies = ["kserve", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "KServe"
# command = [
#     "-m", "bench.contestants.kserve_v2", "--http_port", "{port}",
#     "--enable_grpc", "false", "--workers", "2",
# ]
# path = "/v2/models/default/infer"
# form = "v2-json"
# ///
"""KServe's own model server with two processes; it gets JSON."""

import base64
from functools import cached_property
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from bench.contestants.classifier import Classifier


class Images(Model):
    """What KServe asks of a model."""

    def __init__(self) -> None:
        super().__init__("default")
        self.ready = True

    @cached_property
    def classify(self) -> Classifier:
        """The model, which each process loads for itself: KServe pickles this object for them."""
        return Classifier()

    def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Say what is on an image."""
        best = self.classify(base64.b64decode(payload.inputs[0].data[0]))["predictions"]
        return InferResponse(
            "",
            "default",
            [_output("index", "INT64", np.int64, best), _output("confidence", "FP32", np.float32, best)],
        )


def _output(name: str, datatype: str, dtype: type[np.generic], best: list[dict[str, Any]]) -> InferOutput:
    output = InferOutput(name, [len(best)], datatype)
    output.set_data_from_numpy(np.array([each[name] for each in best], dtype), binary_data=False)
    return output


if __name__ == "__main__":
    ModelServer().start([Images()])
