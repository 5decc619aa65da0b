# /// script
# [tool.bench]
# name = "hello world, same server"
# command = ["-m", "gunicorn", "bench.contestants.hello:app"]
# computes = false
# [tool.bench.environment]
# PREDICTOR_BIND = "127.0.0.1:{port}"
# PREDICTOR_DATA = "{folder}"
# PREDICTOR_DEVICE = "cpu"
# ///
"""The limit for answers from the cache: Flask under this service's own server settings, with a fixed answer.

It reads the image and answers with as much JSON as a prediction is.
"""

from types import SimpleNamespace
from typing import Any

from flask import Flask, jsonify, request

_ANSWER: dict[str, Any] = {
    "predicted_label": "tiger cat",
    "confidence": 0.3723762631416321,
    "predictions": [
        {"label": "tiger cat", "index": 282, "confidence": 0.3723762631416321, "id": "n02123159"},
        {"label": "Egyptian cat", "index": 285, "confidence": 0.3690005838871002, "id": "n02124075"},
        {
            "label": "tabby",
            "index": 281,
            "confidence": 0.18045534193515778,
            "id": "n02123045",
            "synonyms": ["tabby cat"],
        },
        {
            "label": "lynx",
            "index": 287,
            "confidence": 0.016932101920247078,
            "id": "n02127052",
            "synonyms": ["catamount"],
        },
        {"label": "window screen", "index": 904, "confidence": 0.001180479652248323, "id": "n04589890"},
    ],
    "model": {"name": "default", "version": 1, "digest": f"sha256:{64 * '0'}"},
    "cached": True,
}


class _Stand:
    """Stands for the worker's objects."""

    live = SimpleNamespace(problem=None)

    def close(self) -> None:
        """There is nothing to close."""


app = Flask("hello")
# The hooks of gunicorn ask what stands here whether it is ready, and close it.
app.extensions["predictor"] = _Stand()


@app.post("/predict")
def predict() -> Any:
    """The same answer to everybody."""
    request.get_data()
    return jsonify(_ANSWER)
