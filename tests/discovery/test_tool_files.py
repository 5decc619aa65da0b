"""Files that training tools write beside a model: what each is for, and what its steps do to an image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from predictor.discovery.configs.roles import said
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.image.preprocess import to_tensor
from predictor.model.spec import Graph, ModelSpec, Tensor

DATA = Path(__file__).parents[1] / "data"
CONFIGS = DATA / "configs"
MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
NCHW: tuple[int | None, ...] = (None, 3, 224, 224)
Pixels = npt.NDArray[Any]


def read(name: str) -> Any:
    """An object as a tool writes it."""
    return json.loads((CONFIGS / name).read_text())


PADDLE = (CONFIGS / "paddle_inference.yml").read_text()
PIPELINE = read("mmdeploy_pipeline.json")
LOBE, TEACHABLE, CUSTOM_VISION = map(
    read, ("lobe_signature.json", "teachable_metadata.json", "customvision_properties.json")
)
STEPS: list[dict[str, Any]] = PIPELINE["pipeline"]["tasks"][0]["transforms"]
NORMALIZE = STEPS[3]
MANIFEST = {"DomainType": "Classification", "Platform": "ONNX", "ModelFileName": "model.onnx"}
DEPLOY = {"version": "1.3.1", "task": "Classifier", "models": [{"name": "a", "net": "end2end.onnx"}]}
MLMODEL = "artifact_path: model\nflavors:\n  onnx:\n    data: model.onnx\nmlflow_version: 3.1.0\n"
DATA_YAML = "# Pets\npath: ../pets\ntrain: train\nnc: 2\nnames:\n  0: cat\n  1: dog\n"


def mmdeploy(*steps: dict[str, Any]) -> str:
    """MMDeploy's `pipeline.json` with these transforms."""
    preprocess, *others = PIPELINE["pipeline"]["tasks"]
    return json.dumps({"pipeline": {"tasks": [{**preprocess, "transforms": steps}, *others]}})


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    """A photograph."""
    return Image.open(DATA / "cat.jpg").convert("RGB")


def role(name: str, text: str) -> str | None:
    """What a file is for, in a word."""
    found = [*said(name, text)]
    return "both" if len(found) > 1 else found[0] if found else None


def discovered(preprocessing: str, *shape: int | None, labels: str | None = None) -> ModelSpec:
    """What a file means for a classifier of two classes, whose input has a shape."""
    graph = Graph((Tensor("x", "float32", shape or NCHW),), (Tensor("y", "float32", (None, 2)),))
    return discover(graph, labels, preprocessing)


def refused(preprocessing: str) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(InvalidModel) as error:
        discovered(preprocessing)
    return error.value.detail


def apart(image: Image.Image, spec: ModelSpec, expected: Pixels) -> float:
    """The largest difference of a tensor from the expected one, in levels of a pixel."""
    used = spec.preprocessing
    tensor = to_tensor(image, used).astype(np.float64)
    return float(np.abs(tensor - expected).max() * min(used.std) / used.scale)


def centre(pixels: Pixels, left: float, top: float, side: int = 224) -> Pixels:
    """The square of an image that begins there."""
    return pixels[int(top) : int(top) + side, int(left) : int(left) + side]


def test_paddle(cat: Image.Image) -> None:
    """PaddleClas rounds the long side and the margin down, and normalises pixels of 0 to 1."""
    factor = 256 / min(cat.size)
    size = round(cat.width * factor), round(cat.height * factor)
    pixels = np.asarray(cat.resize(size, Image.Resampling.BILINEAR))
    cropped = centre(pixels, (size[0] - 224) // 2, (size[1] - 224) // 2)

    spec = discovered(PADDLE)

    assert apart(cat, spec, ((cropped / 255 - MEAN) / STD).transpose(2, 0, 1)) <= 1.05
    assert "PaddleClas' inference.yml" in spec.reasons["preprocessing"]


def test_paddle_anchors() -> None:
    """PaddleX writes the shapes for its inference engine once and names them again."""
    shapes = "&id001\n        x: [[1, 3, 224, 224], [8, 3, 224, 224]]"
    engine = f"Hpi:\n  backend_configs:\n    paddle_infer:\n      trt_dynamic_shapes: {shapes}\n"
    engine += "    tensorrt:\n      dynamic_shapes: *id001\n"

    assert role("inference.yml", engine + PADDLE) == "preprocessing"
    assert discovered(engine + PADDLE).preprocessing == discovered(PADDLE).preprocessing


def test_paddle_defaults() -> None:
    """Without a word about it, OpenCV's filter, ImageNet's normalisation, and red first."""
    text = "PreProcess:\n  transform_ops:\n  - ResizeImage: {size: [300, 200]}\n  - NormalizeImage:\n"

    used = discovered(text, None, 3, 200, 300).preprocessing

    assert (used.interpolation, used.resize, used.height, used.width) == ("linear", "stretch", 200, 300)
    assert (used.channels, used.scale, used.mean, used.std) == ("RGB", 1 / 255, tuple(MEAN), tuple(STD))


def test_mmdeploy(cat: Image.Image) -> None:
    """MMPretrain rounds the long side down and the margin to even, and normalises pixels of 0 to 255."""
    short = min(cat.size)
    size = 256 * cat.width // short, 256 * cat.height // short
    pixels = np.asarray(cat.resize(size, Image.Resampling.BILINEAR)).astype(np.float64)
    cropped = centre(pixels, round((size[0] - 224) / 2), round((size[1] - 224) / 2))

    spec = discovered(mmdeploy(*STEPS))

    expected = (cropped - np.array(NORMALIZE["mean"])) / np.array(NORMALIZE["std"])
    assert apart(cat, spec, expected.transpose(2, 0, 1)) <= 1.05
    assert "MMDeploy's pipeline.json" in spec.reasons["preprocessing"]


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ({"type": "Resize", "size": [256, -1]}, ("crop", 256, "linear")),
        ({"type": "ResizeEdge", "scale": 256, "edge": "short"}, ("crop", 256, "linear")),
        ({"type": "Resize", "scale": [300, 240]}, ("stretch", (240, 300), "linear")),
        ({"type": "Resize", "size": 240, "interpolation": "bicubic"}, ("stretch", (240, 240), "bicubic")),
        (
            {"type": "Resize", "size": 240, "interpolation": "lanczos", "backend": "pillow"},
            ("stretch", (240, 240), "lanczos"),
        ),
    ],
)
def test_mmdeploy_resizes(step: dict[str, Any], wanted: tuple[object, ...]) -> None:
    """Each way to write the size means what MMPretrain and MMDeploy mean by it."""
    spec = discovered(
        mmdeploy(step, {"type": "CenterCrop", "crop_size": 224}, {**NORMALIZE, "to_rgb": False})
    )

    used = spec.preprocessing
    assert (used.resize, used.resize_to, used.interpolation) == wanted
    assert used.channels == "BGR"
    replaced = used.interpolation == "bicubic"
    assert any("OpenCV's bicubic filter" in warning for warning in spec.warnings) == replaced


def test_lobe(cat: Image.Image) -> None:
    """Lobe: the image covers the input, an odd margin is rounded down, and pixels are from 0 to 1."""
    factor = 224 / min(cat.size)
    size = round(cat.width * factor), round(cat.height * factor)
    cropped = centre(np.asarray(cat.resize(size)), (size[0] - 224) // 2, (size[1] - 224) // 2)
    text = json.dumps(LOBE)

    spec = discovered(text, None, 224, 224, 3, labels=text)

    assert apart(cat, spec, cropped / 255) <= 1.05
    assert [label.name for label in spec.labels] == ["cat", "dog"]


def test_teachable_machine(cat: Image.Image) -> None:
    """Teachable Machine: fitted with the Lanczos filter, from -1 to 1, with the labels of the same file."""
    fitted = np.asarray(ImageOps.fit(cat, (224, 224), Image.Resampling.LANCZOS)).astype(np.float64)
    text = json.dumps(TEACHABLE)

    spec = discovered(text, None, 224, 224, 3, labels=text)

    assert apart(cat, spec, fitted / 127.5 - 1) < 0.01
    assert [label.name for label in spec.labels] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("input_name", "labels_text", "fits"),
    [
        ("sequential_1_input", "0 cat\n1 dog\n", True),
        ("sequential_4_input:0", "0 Black cat\n1 White dog", True),
        ("sequential_1_input", "cat\ndog\n", False),
        ("sequential_1_input", None, False),
        ("x", "0 cat\n1 dog\n", False),
    ],
)
def test_teachable_machine_without_metadata(input_name: str, labels_text: str | None, fits: bool) -> None:
    """The Keras export of Teachable Machine is known by its numbered labels and its networks' names."""
    images = Tensor(input_name, "float32", (None, 224, 224, 3))
    spec = discover(Graph((images,), (Tensor("y", "float32", (None, 2)),)), labels_text)

    used = spec.preprocessing
    expected = ("crop", "lanczos", 1 / 127.5, (1.0,) * 3)
    assert ((used.resize, used.interpolation, used.scale, used.mean) == expected) is fits
    assert ("Teachable Machine" in spec.reasons["preprocessing"]) is fits


def test_custom_vision(cat: Image.Image) -> None:
    """Custom Vision: the properties are those of the ONNX file; the size counts where the graph has none."""
    pixels = np.asarray(cat.resize((300, 200))).astype(np.float64)

    spec = discovered(json.dumps(CUSTOM_VISION), None, 3, None, None)

    assert apart(cat, spec, pixels.transpose(2, 0, 1)[::-1]) <= 1.05
    assert discovered(json.dumps(CUSTOM_VISION), None, 3, 64, 64).preprocessing.height == 64


def test_ultralytics() -> None:
    """The `metadata.yaml` of Ultralytics says the same as the metadata in its ONNX files."""
    text = "task: classify\nimgsz:\n- 224\n- 224\nnames:\n  0: cat\n  1: dog\n"

    spec = discovered(text, labels=text)

    used = spec.preprocessing
    assert (used.resize, used.resize_to, used.scale, used.mean) == ("crop", 224, 1 / 255, (0.0,) * 3)
    assert [label.name for label in spec.labels] == ["cat", "dog"]


@pytest.mark.parametrize("text", [json.dumps(MANIFEST), json.dumps(DEPLOY), MLMODEL, DATA_YAML])
def test_silent_files(text: str) -> None:
    """A file that says nothing about images is not refused: a warning says so, and the metadata count."""
    metadata = {"task": "classify", "imgsz": "[192, 192]"}
    graph = Graph((Tensor("x", "float32", (1, 3, 192, 192)),), (Tensor("y", "float32", (1, 2)),), metadata)

    spec = discover(graph, preprocessing_text=text)

    assert [warning for warning in spec.warnings if "does not say how images are prepared" in warning]
    assert spec.preprocessing.resize_to == 192


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("ToCHWImage", "RandFlipImage", "step 4, RandFlipImage, is not supported"),
        ("resize_short: 256", "resize_short: 0", "ResizeImage.resize_short must be"),
        ("resize_short: 256", "resize_long: 256", "ResizeImage.resize_long is unknown"),
        ("backend: pil", "backend: gpu", "ResizeImage.backend must be one of"),
        ("        size: 224", "        size: 225", "asks for 225 x 225"),
        ("scale: 1.0/255.0", "scale: exit()", "NormalizeImage.scale must be a number"),
        ("scale: 1.0/255.0", "scale: 1/0.0", "NormalizeImage.scale must be a number"),
        ("channel_num: 3", "channel_num: 4", "channel_num must be 3"),
        ("mean: [0.485,", "mean: !a [0.485,", "has a tag"),
        ("    - ResizeImage", "    - CropImage: {size: 9}\n    - ResizeImage", "before they are resized"),
        ("    - CropImage", "    - ResizeImage: {size: 9}\n    - CropImage", "resized twice"),
        ("PreProcess:", "PreProcess: [", "YAML is invalid"),
    ],
)
def test_paddle_refused(old: str, new: str, named: str) -> None:
    """A step or field of an inference.yml that is unknown or wrong is named."""
    assert old in PADDLE
    assert named in refused(PADDLE.replace(old, new))


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (STEPS[:1], "No step resizes"),
        (STEPS[:2], "No step crops"),
        ([{"type": "Resize", "size": [256, 200], "keep_ratio": True}, *STEPS[2:]], "keep_ratio must not"),
        ([{"type": "Resize"}, *STEPS[2:]], "Resize.scale is missing"),
        ([{"type": "ResizeEdge", "scale": 256, "edge": "long"}, *STEPS[2:]], "edge must be one of"),
        ([*STEPS[:2], {"type": "CenterCrop"}], "CenterCrop.crop_size is missing"),
        ([*STEPS[:2], {"type": "TenCrop", "crop_size": 224}], "step 2, TenCrop, is not supported"),
        ([*STEPS[:2], {"type": "CenterCrop", "crop_size": 9, "efficientnet_style": True}], "efficientnet"),
        ([*STEPS[:3], {"type": "Normalize", "mean": "many"}], "Normalize.mean must be"),
        ([*STEPS[:3], 5], "step 3, None, is not supported"),
    ],
)
def test_mmdeploy_refused(steps: list[Any], named: str) -> None:
    """A transform or field of a pipeline.json that is unknown or wrong is named."""
    assert named in refused(mmdeploy(*steps))


def test_lobe_refused() -> None:
    """A signature whose input has no image's shape is refused."""
    inputs = {"Image": {"shape": [None, 224]}}

    assert "inputs.Image.shape must be" in refused(json.dumps({**LOBE, "inputs": inputs}))


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("config.json", (CONFIGS / "hf_model_config.json").read_text(), "labels"),
        ("onnx/config.json", '{"model_type": "vit"}', None),
        ("config.json", (CONFIGS / "timm_labelled.json").read_text(), "both"),
        ("config.json", (CONFIGS / "timm_resnet18.json").read_text(), "preprocessing"),
        ("preprocessor_config.json", (CONFIGS / "hf_vit.json").read_text(), "preprocessing"),
        ("preset.txt", (CONFIGS / "torchvision_v1.txt").read_text(), "preprocessing"),
        ("preprocessing.json", '{"size": 224, "resize": "crop"}', "preprocessing"),
        ("preprocessing.json", "{", "preprocessing"),
        ("x.json", '{"size": 1200}', None),
        ("stats.json", '{"mean": 0.93, "std": 0.01}', None),
        ("stats.json", '{"mean": [0.93], "std": [0.01]}', "preprocessing"),
        ("train_config.json", '{"mode": "train", "epochs": 10}', None),
        ("args.yaml", "task: classify\nmode: train\nimgsz: 32\nclasses:\n", None),
        ("args.yaml", "aa: rand\ninput_size:\nmean:\n", None),
        ("hparams.yaml", "input_size: [3, 32, 32]\n", None),
        ("config.yaml", "_wandb:\n  value: {}\ninput_size:\n  desc:\n  value: 32\n", None),
        ("class_weights.json", '{"0": 1.0, "1": 2.5}', None),
        ("class_counts.json", '{"cat": 120, "dog": 80}', None),
        ("classification_report.txt", "precision recall\n", None),
        ("weight_classes.txt", "light\nheavy\n", "labels"),
        ("signature.json", json.dumps(LOBE), "both"),
        ("metadata.json", json.dumps(TEACHABLE), "both"),
        ("model/inference.yml", PADDLE, "preprocessing"),
        ("inference.yml", PADDLE.replace("class_id_map_file: ../labels.txt", "label_list: [a, b]"), "both"),
        ("pipeline.json", mmdeploy(*STEPS), "preprocessing"),
        ("metadata_properties.json", json.dumps(CUSTOM_VISION), "preprocessing"),
        ("metadata.yaml", "task: classify\nimgsz: [8, 8]\nnames: {0: a}\n", "both"),
        ("cvexport.manifest", json.dumps(MANIFEST), None),
        ("cvexport.manifest", json.dumps({**MANIFEST, **CUSTOM_VISION}), "preprocessing"),
        ("deploy.json", json.dumps(DEPLOY), None),
        ("MLmodel", MLMODEL, None),
        ("data.yaml", DATA_YAML, "labels"),
        ("labels.txt", "cat\ndog\n", "labels"),
        ("C:\\models\\Labels.TXT", "cat\ndog\n", "labels"),
        ("classes.txt", "cat\n", "labels"),
        ("class_names.txt", "cat\n", "labels"),
        ("coco.names", "cat\n", "labels"),
        ("synset.txt", "n01440764 tench\n", "labels"),
        ("synset_words.txt", "n01440764 tench\n", "labels"),
        ("imagenet_classes.txt", "tench\n", "labels"),
        ("labels.json", '["cat"]', "labels"),
        ("labels.json", "[", "labels"),
        ("class_indices.json", '{"cat": 0}', "labels"),
        ("imagenet_class_index.json", '{"0": ["n01440764", "tench"]}', "labels"),
        ("index_to_name.json", '{"0": "cat"}', "labels"),
        ("label_map.pbtxt", "item { id: 1 name: 'cat' }", "labels"),
        ("classes.csv", "0,cat\n", "labels"),
        ("README.md", "names: [a]", None),
        ("labels_README.md", "x", None),
        ("LICENSE", "x", None),
        ("requirements.txt", "onnx", None),
        (".gitattributes", "labels", None),
        ("vocab.json", '{"cat": 0}', None),
        ("tokenizer.json", '{"model": {}}', None),
        ("generation_config.json", '{"max_length": 20}', None),
        ("notes.txt", "labels", None),
        ("model.onnx.data", "", None),
        ("conda.yaml", "channels:\n- conda-forge\n", None),
        ("", "", None),
    ],
)
def test_role(name: str, text: str, wanted: str | None) -> None:
    """What a file of a bundle is for follows from its name and from what stands in it."""
    assert role(name, text) == wanted


def test_repeated_labels() -> None:
    """Who uploads labels of which two classes have the same one gets a warning that names them."""
    preprocessing = '{"size": [224, 224]}'

    spec = discovered(preprocessing, labels="cat\ncat\n")

    assert [one for one in spec.warnings if "given to several classes: cat (classes 0 and 1)" in one]
    assert not [one for one in discovered(preprocessing, labels="cat\ndog\n").warnings if "several" in one]


def test_cut_labels() -> None:
    """Who uploads labels that are too long to be kept whole gets a warning that names their classes."""
    preprocessing = '{"size": [224, 224]}'

    spec = discovered(preprocessing, labels=f"cat\n{'long ' * 60}\n")

    assert [
        one for one in spec.warnings if "more than 200 characters are cut to that length: classes 1." in one
    ]
    whole = discovered(preprocessing, labels=f"cat\n{'x' * 200}\n")
    assert not [one for one in whole.warnings if "cut" in one]
