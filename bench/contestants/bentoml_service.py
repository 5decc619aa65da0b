# /// script
# dependencies = ["bentoml", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "BentoML"
# command = [
#     "-m", "bentoml", "serve", "bench.contestants.bentoml_service:Images",
#     "--host", "127.0.0.1", "--port", "{port}",
# ]
# [tool.bench.environment]
# BENTOML_DO_NOT_TRACK = "1"
# BENTOML_HOME = "{folder}"
# ///
"""BentoML with two workers; the image is the body, which its type for files takes."""

from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from bench.contestants.classifier import Classifier


@bentoml.service(workers=2, traffic={"timeout": 60})
class Images:
    """What BentoML asks of a service."""

    def __init__(self) -> None:
        self.classify = Classifier()

    @bentoml.api(route="/predict")  # type: ignore[untyped-decorator]
    def predict(self, image: Annotated[Path, ContentType("image/jpeg")], /) -> dict[str, Any]:
        """Say what is on an image."""
        return self.classify(image.read_bytes())
