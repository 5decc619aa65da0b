"""Models on disk: names, versions, and which one is live.

The bundled model is version 1 of `default`, so that a fresh service can predict.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from predictor.errors import ModelNotFound, NotReady

DEFAULT = "default"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a named model.

    Attributes:
        name: the model's name, as in `model=` of a request.
        version: grows by one with each upload.
        path: the ONNX file.
        digest: `sha256:` and the hexadecimal digest of the file.
    """

    name: str
    version: int
    path: Path
    digest: str


class Registry:
    """The models of a store.

    Args:
        bundled: the ONNX file that ships with the service.
    """

    def __init__(self, bundled: Path) -> None:
        self._bundled = bundled

    def live(self, name: str = DEFAULT) -> ModelVersion:
        """The version of a model that serves.

        Raises:
            ModelNotFound: no model has that name.
            NotReady: its file cannot be read.
        """
        if name != DEFAULT:
            raise ModelNotFound("No model has that name.")
        return ModelVersion(DEFAULT, 1, self._bundled, digest(self._bundled))


def digest(path: Path) -> str:
    """`sha256:` and the hexadecimal digest of a file's bytes.

    Raises:
        NotReady: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise NotReady("The model's file cannot be read.") from error
