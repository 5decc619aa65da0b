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

It reads the picture and answers with as much JSON as a prediction is.
"""

import contextlib
from typing import Any

from flask import Flask, jsonify, request

_LABELS = ("tiger cat", "Egyptian cat", "tabby", "lynx", "Persian cat")
_ANSWER: dict[str, Any] = {
    "predicted_label": _LABELS[0],
    "confidence": 0.37205082178115845,
    "predictions": [
        {"label": label, "index": 282 + place, "confidence": 0.37205082178115845, "id": "n02123159"}
        for place, label in enumerate(_LABELS)
    ],
    "model": {"name": "default", "version": 1, "digest": f"sha256:{64 * '0'}"},
    "cached": True,
}

app = Flask("hello")
# gunicorn.conf.py closes what stands here when a worker ends.
app.extensions["predictor"] = contextlib.ExitStack()


@app.post("/predict")
def predict() -> Any:
    """The same answer to everybody."""
    request.get_data()
    return jsonify(_ANSWER)
