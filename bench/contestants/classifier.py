"""The model as one would write it oneself, for the contestants that are no service of ours: twenty lines.

The images are prepared as the model's training did it: shorter side to 224 / 0.875, the centre of that.
"""

import io
import json
import os
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

_MODEL = os.environ["BENCH_MODEL"]


class Classifier:
    """A loaded model."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # There is a process for each core. Left alone, each of them would start a thread for every core, and
        # they would be in each other's way.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(_MODEL, options)
        self.input = self.session.get_inputs()[0].name
        self.labels = json.loads(self.session.get_modelmeta().custom_metadata_map["predictor.labels"])

    def __call__(self, data: bytes) -> dict[str, Any]:
        """The five best classes of an image."""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
        )
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        scores = self.session.run(None, {self.input: np.asarray(image)[None]})[0][0]
        best = [
            {"label": self.labels[index]["name"], "index": int(index), "confidence": float(scores[index])}
            for index in scores.argsort()[::-1][:5]
        ]
        return {"predicted_label": best[0]["label"], "confidence": best[0]["confidence"], "predictions": best}
