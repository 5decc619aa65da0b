"""The folder that Lobe exports, made by hand, as the program is closed; the answers are of Lobe's library."""

import json
from pathlib import Path

import numpy as np
import onnx
from lobe import ImageModel
from onnx import TensorProto, helper
from PIL import Image

from tools.real_models.makers import ort_networks as ort
from tools.real_models.makers.case import CLASSES, Array, Case, Maker, labels, opened, run


def _square(image: Image.Image) -> Array:
    """Nearly what the library prepares, channels first: what the network's last layer is set by."""
    pixels = ort.cropped(image).astype(np.float32)
    return (pixels / np.float32(255)).transpose(2, 0, 1)[None]


def folder(case: Case) -> None:
    """Pixels from 0 to 1, channels last; the library resizes and cuts the middle out."""
    network = ort.network(case.photographs, _square)
    node = helper.make_node("Transpose", ["Image:0"], ["pixels"], perm=[0, 3, 1, 2])
    first = ort.behind(network, [node], ort.tensor("Image:0", ["unk", 224, 224, 3]))
    nodes = [
        helper.make_node("Softmax", ["logits"], ["Confidences:0"], axis=1),
        helper.make_node("ArgMax", ["Confidences:0"], ["best"], axis=1, keepdims=0),
        helper.make_node("Gather", ["names", "best"], ["Prediction:0"]),
    ]
    outputs = [
        ort.tensor("Confidences:0", ["unk", CLASSES]),
        ort.tensor("Prediction:0", ["unk"], TensorProto.STRING),
    ]
    model = ort.extended(first, nodes, outputs, {"names": np.array(labels(), object)})
    onnx.save(model, case.path("model.onnx"))
    case.path("signature.json").write_text(json.dumps(_SIGNATURE, indent=2))
    case.path("labels.txt").write_text("\n".join(labels()))
    case.path("example/onnx_example.py").write_text("print('see the documents')\n")
    library = ImageModel.load(str(case.files))

    def answer(photograph: Path) -> Array:
        confidences = dict(library.predict(opened(photograph)).labels)
        return np.array([confidences[name] for name in labels()])

    case.save("exported folder: signature.json, labels.txt, example", answer, names=labels())


_SIGNATURE = {
    "doc_id": "0",
    "doc_name": "Things",
    "doc_version": "1",
    "format": "onnx",
    "version": 30,
    "inputs": {"Image": {"dtype": "float32", "shape": [None, 224, 224, 3], "name": "Image:0"}},
    "outputs": {
        "Confidences": {"dtype": "float32", "shape": [None, CLASSES], "name": "Confidences:0"},
        "Prediction": {"dtype": "string", "shape": [None], "name": "Prediction:0"},
    },
    "tags": None,
    "classes": {"Label": labels()},
    "filename": "model.onnx",
    "export_model_version": 1,
}

CASES: dict[str, Maker] = {"lobe": folder}

if __name__ == "__main__":
    run("Lobe", ("lobe", "onnx", "onnxruntime"), CASES)
