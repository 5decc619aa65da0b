"""A classifier that tells red, green and blue images apart, and images for it."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import parser
from PIL import Image

from tools.sample_models import IR_VERSION, OPSET, describe, preprocessing

LABELS = ("red", "green", "blue")


def colours(factor: float = 8.0, order: tuple[int, int, int] = (0, 1, 2), *, sigmoid: bool = False) -> bytes:
    """A classifier whose logits are the mean of each channel above a half, times a factor.

    Args:
        factor: the larger, the more confident it is.
        order: the channel that each class looks at.
        sigmoid: whether classes are independent.
    """
    columns = [[1.0 if channel == wanted else 0.0 for wanted in order] for channel in range(3)]
    mixed = ", ".join(str(number) for row in columns for number in row)
    end = "scores = Identity(logits)" if sigmoid else "scores = Softmax<axis = 1>(logits)"
    model = parser.parse_model(
        f"""<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
        g (float[N,3,32,32] image) => (float[N,3] scores) {{
            half = Constant<value = float {{0.5}}>()
            factor = Constant<value = float {{{factor}}}>()
            columns = Constant<value = float[3,3] {{{mixed}}}>()
            pooled = GlobalAveragePool(image)
            flat = Flatten(pooled)
            centred = Sub(flat, half)
            chosen = MatMul(centred, columns)
            logits = Mul(chosen, factor)
            {end}
        }}"""
    )
    describe(model, LABELS, preprocessing())
    if sigmoid:
        (said,) = [one for one in model.metadata_props if one.key == "predictor.activation"]
        said.value = "sigmoid"
    return bytes(model.SerializeToString(deterministic=True))


def picture(colour: tuple[int, int, int]) -> bytes:
    """A small image of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(out, "PNG")
    return out.getvalue()


def noisy(count: int, seed: int = 0) -> dict[str, bytes]:
    """Images of each class, of which those that are not pure enough look like another class."""
    generator, found = np.random.default_rng(seed), dict[str, bytes]()
    for index, label in enumerate(LABELS):
        for number in range(count):
            levels = generator.integers(90, 170, 3)
            levels[index] += 30
            found[f"{label}/{number}.png"] = picture((int(levels[0]), int(levels[1]), int(levels[2])))
    return found


def archive(files: Mapping[str, bytes]) -> tuple[io.BytesIO, str]:
    """Files as a ZIP file for a form."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    out.seek(0)
    return out, "set.zip"


def upload(client: Any, model: bytes, name: str = "colours", **fields: str) -> Any:
    """Send a model."""
    return client.post("/upload", data={"model": (io.BytesIO(model), "m.onnx"), "name": name, **fields})
