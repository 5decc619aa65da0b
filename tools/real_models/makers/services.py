"""Exports of closed services, made by hand in the form in which the services write them."""

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper
from PIL import Image, ImageOps

from tools.real_models.makers import ort_networks as ort
from tools.real_models.makers.case import CLASSES, Answer, Array, Case, Maker, labels, run

_CUBIC = Image.Resampling.BICUBIC
_IMAGE = {"Image.ColorSpaceGamma": "SRGB"}


def _answer(network: ModelProto, case: Case, prepare: ort.Prepare) -> Answer:
    """The confidences of the network without what the service's export adds to it."""
    path = case.folder / "network.onnx"
    onnx.save(network, path)
    return ort.runtime_answer(path, prepare)


def _text(case: Case, name: str, content: str | object) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=2)
    case.path(name).write_text(text)


def _custom_vision_input(image: Image.Image, *, blue_first: bool, full: bool) -> Array:
    """What the sample script of the export does: stretched, and in the order and range of the metadata."""
    pixels = np.asarray(image.resize((224, 224), _CUBIC), np.float32)
    pixels = pixels[..., ::-1] if blue_first else pixels
    values: Array = (pixels if full else pixels / np.float32(255)).transpose(2, 0, 1)[None]
    return values


def _scaled(network: ModelProto, factor: float, image: str) -> ModelProto:
    """The network for pixels from 0 to 255, whose range is small enough for it after `factor`."""
    node = helper.make_node("Mul", [image, "range"], ["pixels"])
    constants = {"range": np.array(factor, np.float32)}
    return ort.behind(network, [node], ort.tensor(image, ["batch", 3, 224, 224]), constants)


def _properties(*, blue_first: bool, full: bool) -> dict[str, str]:
    return {
        **_IMAGE,
        "CustomVision.Metadata.Version": "1.2",
        "CustomVision.Postprocess.Method": "ClassificationMultiClass",
        "CustomVision.Preprocess.CropHeight": "0",
        "CustomVision.Preprocess.CropMethod": "FullImageShorterSide",
        "CustomVision.Preprocess.CropWidth": "0",
        "CustomVision.Preprocess.NormalizeMean": "[0.0, 0.0, 0.0]",
        "CustomVision.Preprocess.NormalizeStd": "[1.0, 1.0, 1.0]",
        "CustomVision.Preprocess.ResizeMethod": "Stretch",
        "CustomVision.Preprocess.TargetHeight": "224",
        "CustomVision.Preprocess.TargetWidth": "224",
        "Image.BitmapPixelFormat": "Bgr8" if blue_first else "Rgb8",
        "Image.NominalPixelRange": "NominalRange_0_255" if full else "Normalized_0_1",
    }


def _manifest() -> dict[str, str]:
    return {
        "DomainType": "Classification",
        "Platform": "ONNX",
        "Flavor": "Onnx12",
        "ExporterVersion": "2.1",
        "ExportedDate": "2025-03-14T09:26:53.5Z",
        "IterationId": "00000000-0000-0000-0000-000000000000",
        "ModelFileName": "model.onnx",
        "LabelFileName": "labels.txt",
        "MetadataPropsFileName": "metadata_properties.json",
        "SchemaVersion": "1.0",
    }


def _zip_map(network: ModelProto) -> ModelProto:
    """The label as text and a map of the confidences, as converters of classical tools end a model."""
    nodes = [
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["picked"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["picked", "column"], ["classLabel"]),
        helper.make_node(
            "ZipMap", ["probabilities"], ["loss"], domain="ai.onnx.ml", classlabels_strings=labels()
        ),
    ]
    maps = helper.make_map_type_proto(
        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )
    outputs = [
        ort.tensor("classLabel", ["batch", 1], TensorProto.STRING),
        helper.make_value_info("loss", helper.make_sequence_type_proto(maps)),
    ]
    constants = {"names": np.array(labels(), object)[None], "column": np.array([-1, 1])}
    model = ort.extended(network, nodes, outputs, constants)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    return model


def _custom_vision(what: str, *, classic: bool, files: Sequence[str] = (), metadata: bool = True) -> Maker:
    def make(case: Case) -> None:
        def prepare(image: Image.Image) -> Array:
            return _custom_vision_input(image, blue_first=classic, full=classic)

        def small(image: Image.Image) -> Array:
            return prepare(image) / np.float32(255) if classic else prepare(image)

        network = ort.network(case.photographs, small)
        answer = _answer(network, case, small)
        if classic:
            model = _zip_map(_scaled(network, 1 / 255, "data"))
        else:
            node = helper.make_node("Softmax", ["logits"], ["model_output"], axis=1)
            model = ort.extended(network, [node], [ort.tensor("model_output", ["batch", CLASSES])])
        properties = _properties(blue_first=classic, full=classic)
        if metadata:
            helper.set_model_props(model, {key: text for key, text in properties.items() if "Image" in key})
        onnx.save(model, case.path("model.onnx"))
        _text(case, "labels.txt", "\r\n".join(labels()))
        _text(case, "metadata_properties.json", properties)
        _text(case, "cvexport.manifest", _manifest())
        _text(case, "LICENSE", "MIT License\n")
        _text(case, "python/predict.py", "print('see the documents')\n")
        case.save(what, answer, send=files, names=labels())

    return make


def _teachable(what: str, extra: dict[str, object]) -> Maker:
    """Covered square by Lanczos, pixels from -1 to 1, channels last, labels with their numbers."""

    def make(case: Case) -> None:
        def prepare(image: Image.Image) -> Array:
            fitted = ImageOps.fit(image, (224, 224), Image.Resampling.LANCZOS)
            return (np.asarray(fitted).astype(np.float32) / 127.5 - 1)[None]

        network = ort.network(case.photographs, lambda image: prepare(image).transpose(0, 3, 1, 2))
        answer = _answer(network, case, lambda image: prepare(image).transpose(0, 3, 1, 2))
        node = helper.make_node("Transpose", ["sequential_1_input"], ["pixels"], perm=[0, 3, 1, 2])
        model = ort.behind(network, [node], ort.tensor("sequential_1_input", ["unk", 224, 224, 3]))
        end = helper.make_node("Softmax", ["logits"], ["sequential_3"], axis=1)
        outputs = [ort.tensor("sequential_3", ["unk", CLASSES])]
        onnx.save(ort.extended(model, [end], outputs), case.path("keras_model.onnx"))
        _text(case, "labels.txt", "".join(f"{n} {name}\n" for n, name in enumerate(labels())))
        for name, content in extra.items():
            _text(case, name, content)
        case.save(what, answer, names=labels())

    return make


CASES: dict[str, Maker] = {
    "custom_vision": _custom_vision(
        "Custom Vision, classLabel and loss (ZipMap), whole export", classic=True
    ),
    "custom_vision_bare": _custom_vision(
        "Custom Vision, classLabel and loss, model.onnx alone", classic=True, files=["model.onnx"]
    ),
    "custom_vision_labels": _custom_vision(
        "Custom Vision, classLabel and loss, labels.txt beside",
        classic=True,
        files=["model.onnx", "labels.txt"],
    ),
    "custom_vision_sidecar": _custom_vision(
        "Custom Vision, classLabel and loss, nothing in the graph's metadata", classic=True, metadata=False
    ),
    "custom_vision_new": _custom_vision("Custom Vision, one output, whole export", classic=False),
    "custom_vision_new_sidecar": _custom_vision(
        "Custom Vision, one output, nothing in the graph's metadata", classic=False, metadata=False
    ),
    "teachable": _teachable("Teachable Machine, keras_model.onnx and labels.txt", {}),
    "teachable_metadata": _teachable(
        "Teachable Machine, with metadata.json",
        {
            "metadata.json": {
                "tfjsVersion": "1.7.4",
                "tmVersion": "2.4.10",
                "packageVersion": "0.8.4",
                "packageName": "@teachablemachine/image",
                "userMetadata": {},
                "modelName": "tm-my-image-model",
                "labels": labels(),
                "imageSize": 224,
            }
        },
    ),
}

if __name__ == "__main__":
    run("forms of services", ("onnx", "onnxruntime", "pillow"), CASES)
