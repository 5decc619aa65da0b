"""Networks of transformers as folders in the form of optimum: JSON files and `model.onnx`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import CLASSES, Array, Case, Maker, labels, opened, run, sigmoid, softmax

_TRANSFORMER = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
_STAGES = {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1]}
_SWIN = {"image_size": 64, "patch_size": 4, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4]}
_EFFICIENTNET = {"image_size": 96, "width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}
_EFFICIENTNET |= {"initializer_range": 0.2}  # with the default, nothing of an image is left at the end
_CROP = {"size": {"shortest_edge": 112}, "crop_size": {"height": 96, "width": 96}}


def _square(side: int) -> dict[str, Any]:
    return {"size": {"height": side, "width": side}}


@dataclass(frozen=True)
class Kind:
    """An architecture.

    Attributes:
        config: how it is made small.
        processor: the name of its processor without its ending.
        images: how the processor is made for small images.
        side: height and width of the input.
    """

    config: dict[str, Any]
    processor: str
    images: dict[str, Any] = field(default_factory=dict)
    side: int = 96


KINDS = {
    "ViT": Kind({**_TRANSFORMER, "image_size": 96}, "ViT", _square(96)),
    "DeiT": Kind({**_TRANSFORMER, "image_size": 96}, "DeiT", _CROP | {"size": {"height": 112, "width": 112}}),
    "Beit": Kind(
        {**_TRANSFORMER, "image_size": 96}, "Beit", {**_square(112), "crop_size": _square(96)["size"]}
    ),
    "ViTMSN": Kind({**_TRANSFORMER, "image_size": 96}, "ViT", _square(96)),
    "Data2VecVision": Kind(
        {**_TRANSFORMER, "image_size": 96}, "Beit", {**_square(96), "do_center_crop": False}
    ),
    "Dinov2": Kind({**_TRANSFORMER, "image_size": 96, "patch_size": 16}, "Bit", _CROP),
    "Siglip": Kind({"vision_config": {**_TRANSFORMER, "image_size": 96}}, "Siglip", _square(96)),
    "CLIP": Kind({"vision_config": {**_TRANSFORMER, "image_size": 96}}, "CLIP", _CROP),
    "ConvNext": Kind(_STAGES, "ConvNext", {"size": {"shortest_edge": 96}}),
    "ConvNextV2": Kind(_STAGES, "ConvNext", {"size": {"shortest_edge": 384}}, 384),
    "ResNet": Kind({**_STAGES, "embedding_size": 16}, "ConvNext", {"size": {"shortest_edge": 96}}),
    "RegNet": Kind(
        {**_STAGES, "embedding_size": 16, "groups_width": 8}, "ConvNext", {"size": {"shortest_edge": 96}}
    ),
    "Swin": Kind({**_SWIN, "window_size": 4}, "ViT", _square(64), 64),
    "Swinv2": Kind({**_SWIN, "window_size": 4}, "ViT", _square(64), 64),
    "FocalNet": Kind(
        {
            "image_size": 64,
            "embed_dim": 16,
            "hidden_sizes": [16, 32],
            "depths": [1, 1],
            "focal_levels": [2, 2],
            "focal_windows": [3, 3],
        },
        "Bit",
        {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}},
        64,
    ),
    "MobileNetV1": Kind({"depth_multiplier": 0.25, "image_size": 96, "min_depth": 8}, "MobileNetV1", _CROP),
    "MobileNetV2": Kind({"depth_multiplier": 0.35, "image_size": 96}, "MobileNetV2", _CROP),
    "MobileViT": Kind(
        {"image_size": 96, "hidden_sizes": [32, 48, 64], "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]},
        "MobileViT",
        _CROP,
    ),
    "PoolFormer": Kind(
        _STAGES, "PoolFormer", {"size": {"shortest_edge": 96}, "crop_size": _square(96)["size"]}
    ),
    "PvtV2": Kind(
        {
            "image_size": 96,
            "hidden_sizes": [16, 24, 32, 48],
            "depths": [1] * 4,
            "num_attention_heads": [1, 1, 2, 2],
        },
        "ConvNext",
        {"size": {"shortest_edge": 96}},
    ),
    "Segformer": Kind(
        {"hidden_sizes": [16, 24, 32, 48], "depths": [1] * 4, "num_attention_heads": [1, 1, 2, 2]},
        "Segformer",
        _square(96),
    ),
    "EfficientNet": Kind(_EFFICIENTNET, "EfficientNet", _square(96)),
}


class Folder:
    """A network and its processor, which write what optimum writes into a case's folder."""

    def __init__(self, case: Case, name: str, **extra: Any) -> None:
        torch.manual_seed(3)
        kind = KINDS[name]
        names = dict(enumerate(labels()))
        settings = {"num_labels": CLASSES, "id2label": names, "label2id": {v: k for k, v in names.items()}}
        config = getattr(transformers, f"{name}Config")(**kind.config, **settings, **extra)
        self.network = getattr(transformers, f"{name}ForImageClassification")(config).eval()
        self.processor = getattr(transformers, f"{kind.processor}ImageProcessor")(**kind.images)
        self.case, self._side = case, kind.side
        last = [one for one in self.network.modules() if getattr(one, "out_features", 0) == CLASSES][-1]
        nets.fit(nets.calm(self.network), last, nets.batch(case.photographs, self._prepare))

    def write(self, model: str = "model.onnx", **options: Any) -> Path:
        """Write the folder; the path of the ONNX file is given back."""
        self.network.config.save_pretrained(self.case.files)
        self.processor.save_pretrained(self.case.files)
        path = self.case.path(model)
        whole = nets.Through(self.network, end=lambda answer: answer.logits).eval()
        free = {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}
        forms = {"input_names": ["pixel_values"], "output_names": ["logits"], "opset_version": 18}
        axes = {"pixel_values": free, "logits": {0: "batch_size"}}
        example = torch.zeros(2, 3, self._side, self._side)
        nets.legacy(whole, example, path, **{**forms, "dynamic_axes": axes, **options})
        return path

    def _prepare(self, image: Any) -> Any:
        return self.processor(image, return_tensors="pt")["pixel_values"][0]

    def scores(self, photograph: Path) -> Array:
        """Logits, shape [classes]."""
        whole = nets.Through(self.network, end=lambda answer: answer.logits)
        return nets.scores(whole, self._prepare(opened(photograph)))

    def confidences(self, photograph: Path) -> Array:
        """What the pipeline of transformers answers, in the order of the classes."""
        return softmax(self.scores(photograph))


def _kind(name: str) -> Maker:
    def make(case: Case) -> None:
        folder = Folder(case, name)
        folder.write()
        case.save(f"{name}, folder of optimum", folder.confidences, names=labels())

    return make


def nested(case: Case) -> None:
    """The form of the hub: `onnx/model.onnx`, and files that nothing here needs."""
    folder = Folder(case, "ViT")
    folder.network.save_pretrained(case.files)
    case.path("README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    folder.write("onnx/model.onnx")
    case.save("ViT, hub's folder with onnx/model.onnx and weights", folder.confidences, names=labels())


def several(case: Case) -> None:
    """Two ONNX files in the folder; the field `file` says which."""
    folder = Folder(case, "ViT")
    path = folder.write("onnx/model.onnx")
    case.path("onnx/model_copy.onnx").write_bytes(path.read_bytes())
    case.save(
        "ViT, onnx/model.onnx and another, `file` chooses",
        folder.confidences,
        names=labels(),
        choose="onnx/model.onnx",
    )


def multi(case: Case) -> None:
    """Classes that do not exclude each other."""
    folder = Folder(case, "ConvNext", problem_type="multi_label_classification")
    folder.write()
    case.save(
        "ConvNext, multi_label_classification", lambda path: sigmoid(folder.scores(path)), names=labels()
    )


def dynamo(case: Case) -> None:
    """The folder with the two files of torch's default exporter."""
    folder = Folder(case, "ViT")
    folder.write()
    whole = nets.Through(folder.network, end=lambda answer: answer.logits).eval()
    torch.onnx.export(whole, (torch.zeros(1, 3, 96, 96),), str(case.path("model.onnx")))
    case.save("ViT, default exporter, two files", folder.confidences, names=labels())


CASES: dict[str, Maker] = {
    **{name.lower(): _kind(name) for name in KINDS},
    "vit_nested": nested,
    "vit_several": several,
    "vit_dynamo": dynamo,
    "convnext_multi": multi,
}

if __name__ == "__main__":
    run("transformers", ("transformers", "torch", "onnx"), CASES)
