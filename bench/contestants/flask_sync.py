# /// script
# dependencies = ["flask", "gunicorn", "numpy", "onnxruntime", "pillow"]
# [tool.bench]
# name = "Flask, gunicorn sync"
# command = ["-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "bench.contestants.flask_sync:app"]
# ///
"""Flask as its tutorial shows it, behind gunicorn's synchronous workers."""

from typing import Any

from flask import Flask, jsonify, request

from bench.contestants.classifier import Classifier

app = Flask(__name__)
classify = Classifier()


@app.post("/predict")
def predict() -> Any:
    """Say what is on an image."""
    return jsonify(classify(request.get_data()))
