"""Among the files that come with a model, those are found that tell its labels and its preprocessing."""

import json
from pathlib import Path

import pytest

from predictor.importing.bundle import Bundle, recognise

NAMES = "cat\ndog\nbird\n"
CONFIG = json.dumps({"model_type": "vit", "id2label": {"0": "cat", "1": "dog", "2": "bird"}})
PROCESSOR = json.dumps({"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}})
ULTRALYTICS = "task: classify\nmode: train\nmodel: yolo11n-cls.pt\nimgsz: 32\nclasses: null\n"
TIMM_TRAINING = "aa: rand-m9\nmodel: resnet18\ninput_size: null\nmean: null\ncrop_pct: null\n"
LIGHTNING = "backbone: resnet18\ncrop_size: 32\nlr: 0.001\nclasses: 3\n"
WANDB = "_wandb:\n  value: {}\ncrop_size:\n  desc: null\n  value: 32\nlabels:\n  value: three\n"
MLFLOW = "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\nmlflow_version: 3.1.0\n"
REPORT = "              precision    recall\n\n         cat       0.98      0.97\n"
TOKENIZER = json.dumps({"added_tokens": [], "model": {"type": "BPE", "vocab": {"cat": 0}, "merges": []}})
SIDE_FILES = {
    "args.yaml": ULTRALYTICS,
    "run/args.yaml": TIMM_TRAINING,
    "train_config.json": json.dumps({"mode": "train", "epochs": 10}),
    "class_weights.json": json.dumps({"0": 1.0, "1": 2.5, "2": 1.2}),
    "class_counts.json": json.dumps([120, 80, 7]),
    "metrics.json": json.dumps({"accuracy": 0.9}),
    "classification_report.txt": REPORT,
    "train_labels.csv": "file,label\na.jpg,cat\nb.jpg,dog\n",
    "x.json": json.dumps({"size": 1200}),
    "stats.json": json.dumps({"mean": 0.93, "std": 0.01}),
    "hparams.yaml": LIGHTNING,
    "config.yaml": WANDB,
    "MLmodel": MLFLOW,
    "conda.yaml": "channels:\n- conda-forge\nname: classes\n",
    "README.roboflow.txt": "Classes: 3\nlabels\n",
    "README.md": "labels: [a, b]",
    "LICENSE.txt": "one\ntwo\nthree\n",
    "requirements.txt": "onnx\ntorch\nnumpy\n",
    "events.out.tfevents.1700000000.host.1.0": "brain.Event:2",
    "tokenizer.json": TOKENIZER,
    "tokenizer_config.json": json.dumps({"model_max_length": 77}),
    "results.csv": "epoch,loss\n1,0.2\n",
    ".hydra/config.yaml": "mode: train\n",
}
"""What tools write beside a model that names no class and says nothing about its images."""


def recognised(path: Path, files: dict[str, str]) -> Bundle:
    """What these files are for, beside a model."""
    places = {"m.onnx": path / "m"}
    (path / "m").write_bytes(b"something")
    for number, (name, text) in enumerate(files.items()):
        places[name] = path / f"part-{number}"
        places[name].write_text(text)
    return recognise(places)


def of(found: Bundle) -> tuple[str | None, str | None]:
    """The files with the labels and with the preprocessing."""
    return found.labels, found.preprocessing


@pytest.mark.parametrize("name", SIDE_FILES)
def test_side_file(tmp_path: Path, name: str) -> None:
    """A file that a tool writes for itself takes nobody's place."""
    good = {"labels.txt": NAMES, "preprocessor_config.json": PROCESSOR}

    found = recognised(tmp_path, {name: SIDE_FILES[name], **good})

    assert of(found) == (*good,)
    assert found.unsure == {}


@pytest.mark.parametrize("name", SIDE_FILES)
def test_side_file_alone(tmp_path: Path, name: str) -> None:
    """Alone it is not relied upon."""
    found = recognised(tmp_path, {name: SIDE_FILES[name]})

    assert found.unsure.items() >= {(what, one) for what, one in zip(USES, of(found), strict=True) if one}


USES = ("labels", "preprocessing")


def test_all_side_files(tmp_path: Path) -> None:
    """Nor do all of them together hide what a tool's own file says."""
    found = recognised(tmp_path, {**SIDE_FILES, "config.json": CONFIG, "z_preprocessing.json": PROCESSOR})

    assert of(found) == ("config.json", "z_preprocessing.json")


@pytest.mark.parametrize(
    ("files", "wanted", "warning"),
    [
        (
            {"class_names.json": "", "classes.txt": NAMES},
            ("classes.txt", None),
            "class_names.json is passed over. The labels cannot be used: The list of labels is empty.",
        ),
        (
            {"metrics.json": json.dumps({"classes": {"cat": {"f1": 1.0}}})},
            (None, None),
            "metrics.json is passed over. The labels cannot be used: The file has no list of class names",
        ),
        (
            {"config.yaml": "crop_size: 32\nlr: 0.1\n"},
            (None, None),
            "config.yaml is passed over. It cannot be used: lr is unknown.",
        ),
        (
            {"config.json": json.dumps({"classes": {"cat": {"f1": 1.0}}})},
            (None, None),
            "config.json is passed over. The labels cannot be used: The file has no list of class names",
        ),
        (
            {"aug.json": json.dumps({"crop_size": 32, "lr": 1}), "norm.json": '{"crop_size": 32}'},
            (None, "norm.json"),
            "aug.json is passed over. It cannot be used: lr is unknown.",
        ),
        (
            {"inference.yml": "PreProcess: !!python/none\n"},
            (None, None),
            "inference.yml is passed over, because it cannot be read: The YAML has a tag",
        ),
        (
            {"stats.json": json.dumps({"mean": [123.7, 116.3, 103.5], "std": [58, 57, 57]})},
            (None, None),
            "stats.json is passed over. It has mean and std, but no scale",
        ),
    ],
)
def test_passed_over(
    tmp_path: Path, files: dict[str, str], wanted: tuple[str | None, str | None], warning: str
) -> None:
    """The first file that can be read is taken; a warning says why those before it are not."""
    found = recognised(tmp_path, files)

    assert of(found) == wanted
    assert [one[: len(warning)] for one in found.warnings] == [warning]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", ""),
        ("class_indices.json", '{"cat": 0, "dog": 2}'),
        ("imagenet_classes.txt", "cat\n\ndog\n"),
        ("preprocessor_config.json", '{"image_processor_type": "Unheard"}'),
        ("preprocessing.json", "{"),
        ("config.json", '{"id2label": {"0": "cat", "2": "dog"}}'),
    ],
)
def test_unmistakable(tmp_path: Path, name: str, text: str) -> None:
    """A file whose name leaves no doubt is taken even if it cannot be read, so that the check says why."""
    found = recognised(tmp_path, {name: text})

    assert name in of(found)
    assert found.unsure == {}


def test_unsure(tmp_path: Path) -> None:
    """What another name or its form alone suggests counts only if it fits the model."""
    found = recognised(
        tmp_path, {"old_labels_1.txt": NAMES, "norm.json": '{"resize_size": 40, "crop_size": 32}'}
    )

    assert found.unsure == {"labels": "old_labels_1.txt", "preprocessing": "norm.json"}
    assert not found.guessed


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"vocab.json": '["a", "b", "c"]'}, "vocab.json"),
        ({"mapping.json": '{"0": "a", "1": "b", "2": "c"}', "some.txt": NAMES}, "mapping.json"),
        ({"mapping.json": '{"a": 0, "b": 1}'}, "mapping.json"),
        ({"species.txt": NAMES}, "species.txt"),
        ({"species.txt": NAMES, "m.txt": NAMES, "a.json": '["a", "b"]'}, "m.txt"),
        ({"species.txt": NAMES, "targets.txt": NAMES}, None),
        ({"a.json": '["a", "b"]', "b.json": '["a", "b"]', "c.txt": NAMES}, None),
        ({"mean.json": "[0.485, 0.456, 0.406]"}, None),
        ({"best.json": '{"epoch": 3, "step": 10}'}, None),
        ({"version.txt": "1.0.3\n"}, None),
        ({"some.txt": "a\n\nb\n"}, None),
        ({"some.txt": "a\na\nb\n"}, None),
        ({"images.txt": "a.jpg\nb.png\n"}, None),
        ({"notes.txt": NAMES, "about me.txt": NAMES}, None),
        ({"other/species.txt": NAMES}, None),
        ({"LICENSE.txt": NAMES, "requirements.txt": NAMES, "metrics.txt": NAMES}, None),
    ],
)
def test_guess(tmp_path: Path, files: dict[str, str], wanted: str | None) -> None:
    """Where no name says labels, the only file is tried that is nothing but a list of names."""
    found = recognised(tmp_path, files)

    assert (found.labels, found.guessed) == (wanted, wanted is not None)
    assert found.unsure == ({"labels": wanted} if wanted else {})


def test_scale(tmp_path: Path) -> None:
    """Numbers of pixels from 0 to 1 get their scale, except in a file that is called as our own."""
    text = json.dumps({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})

    stats = recognised(tmp_path, {"stats.json": text})
    own = recognised(tmp_path, {"preprocessing.json": text})

    assert json.loads(stats.written or "") == {**json.loads(text), "scale": 1 / 255}
    assert stats.warnings == (
        "stats.json has mean and std of pixels from 0 to 1, but no scale: 1/255 is used.",
    )
    assert (own.preprocessing, own.written) == ("preprocessing.json", None)
