# /// script
# dependencies = ["mlserver", "uvloop<0.22", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "MLServer"
# command = ["-m", "bench.contestants.mlserver_v2", "{port}"]
# path = "/v2/models/default/infer"
# form = "v2-json"
# ///
"""MLServer with a model of one's own and two processes that run it; it takes JSON only."""

import asyncio
import sys
from typing import Any

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from bench.contestants.classifier import Classifier


class Images(MLModel):
    """What MLServer asks of a model."""

    async def load(self) -> bool:
        """Load the model."""
        self.classify = Classifier()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Say what is on an image."""
        (image,) = Base64Codec.decode_input(payload.inputs[0])
        best = self.classify(image)["predictions"]
        return InferenceResponse(
            model_name=self.name,
            outputs=[_output("index", best), _output("confidence", best)],
        )


def _output(name: str, best: list[dict[str, Any]]) -> Any:
    import numpy as np

    return NumpyCodec.encode_output(name, np.array([each[name] for each in best]))


async def _serve(port: int) -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 10000 if port < 50000 else port - 10000,
        metrics_port=port + 5000 if port < 50000 else port - 5000,
        parallel_workers=2,
        debug=False,
    )
    server = MLServer(settings)
    await server.start([ModelSettings(name="default", implementation=Images)])


if __name__ == "__main__":
    from bench.contestants import mlserver_v2

    asyncio.run(mlserver_v2._serve(int(sys.argv[1])))  # noqa: SLF001 - as a module, so that its processes find it
