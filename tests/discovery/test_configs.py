"""Configurations as other tools write them give the tensors that those tools give."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.discovery.configs.declared import EMPTY
from predictor.discovery.configs.read import from_metadata, from_text
from predictor.discovery.discover import discover
from predictor.discovery.resolve import resolve
from predictor.discovery.signature import input_layout
from predictor.errors import InvalidModel
from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.model.spec import NOTHING_SEEN, Graph, Structure, Tensor

DATA = Path(__file__).parents[1] / "data"
CONFIGS = DATA / "configs"
REFERENCE = json.loads((CONFIGS / "reference.json").read_text())["values"]
Pixels = npt.NDArray[np.float64]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HF: dict[str, Any] = json.loads((CONFIGS / "hf_vit.json").read_text())
TIMM: dict[str, Any] = json.loads((CONFIGS / "timm_resnet18.json").read_text())["pretrained_cfg"]


def synthetic(width: int, height: int) -> Image.Image:
    """Waves, a ramp and a chequered pattern: the image of which the reference has values."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 100 * np.sin(x / 9) * np.cos(y / 13),
        255 * x / width,
        255 * ((x // 16 + y // 16) % 2) * 0.5 + 60 * y / height,
    ]
    return Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def pictures() -> dict[str, Image.Image]:
    """The images of the reference."""
    cat = Image.open(DATA / "cat.jpg").convert("RGB")
    return {"cat": cat, "synthetic": synthetic(333, 500), "small": synthetic(150, 117)}


def text_of(name: str) -> str:
    """A configuration as its tool wrote it."""
    path = next(CONFIGS.glob(f"{name.removesuffix('_test')}.*"))
    return path.read_text()


def preprocessing(text: str, *shape: int | None, dtype: str = "float32") -> Preprocessing:
    """What a configuration means for an input of a shape."""
    form = input_layout(Tensor("x", dtype, shape), NOTHING_SEEN)
    return resolve(from_text(text, (form.height, form.width)), form, NOTHING_SEEN).preprocessing


def refused(text: str, *shape: int | None, dtype: str = "float32") -> str:
    """The sentence with which a configuration is refused."""
    tensor = Tensor("x", dtype, shape or (None, 3, 224, 224))
    graph = Graph((tensor,), (Tensor("y", "float32", (None, 2)),))
    with pytest.raises(InvalidModel) as error:
        discover(graph, preprocessing_text=text)
    return error.value.detail


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_reference(name: str, pictures: dict[str, Image.Image]) -> None:
    """The tensor is that of transformers, timm or torchvision itself, within one level of a pixel."""
    shape = REFERENCE[name]["cat"]["shape"]
    found = preprocessing(text_of(name), None, *shape)
    level = found.scale / min(found.std)

    for picture, expected in REFERENCE[name].items():
        tensor = to_tensor(pictures[picture], found).astype(np.float64)
        places = np.random.default_rng(7).integers(0, tensor.size, 60)
        apart = np.abs(tensor.reshape(-1)[places] - expected["values"]) / level

        assert list(tensor.shape) == expected["shape"]
        assert apart.max() <= 1.05
        assert abs(tensor.mean() - expected["mean"]) / level < 0.1


def test_reference_sensitivity(pictures: dict[str, Image.Image]) -> None:
    """One pixel's difference in the cut is seen, so the comparison can fail."""
    text = text_of("hf_bit_odd").replace("257", "256")
    tensor = to_tensor(pictures["cat"], preprocessing(text, None, 3, 224, 224)).astype(np.float64)
    places = np.random.default_rng(7).integers(0, tensor.size, 60)

    apart = np.abs(tensor.reshape(-1)[places] - REFERENCE["hf_bit_odd"]["cat"]["values"])

    assert apart.max() > 5 / 255 / 0.229


def test_test_size() -> None:
    """Of timm's two sizes the one counts with which the model was exported."""
    assert preprocessing(text_of("timm_resnet18"), None, 3, 288, 288).resize_to == 288
    assert preprocessing(text_of("timm_resnet18"), None, 3, 224, 224).resize_to == 235
    assert preprocessing(text_of("timm_resnet18"), None, 3, None, None).height == 224


def test_printed() -> None:
    """A dict that Python prints is read as its JSON: timm's configuration has tuples."""
    printed = {**TIMM, "input_size": (3, 224, 224), "mean": MEAN, "std": STD, "label_names": None}

    assert preprocessing(str(printed), None, 3, 224, 224) == preprocessing(
        json.dumps(printed), None, 3, 224, 224
    )


def test_processor_config() -> None:
    """The image processor inside a processor_config.json is found."""
    nested = json.dumps({"image_processor": HF, "processor_class": "CLIPProcessor"})

    assert preprocessing(nested, None, 3, 224, 224) == preprocessing(json.dumps(HF), None, 3, 224, 224)


def test_nothing_in_unknown_fields() -> None:
    """A field that is null says nothing, whatever its name."""
    with_null = json.dumps({**HF, "antialias": None, "of a later version": None})

    assert preprocessing(with_null, None, 3, 224, 224) == preprocessing(json.dumps(HF), None, 3, 224, 224)


def test_generic_processor() -> None:
    """Without a type, a configuration must say what matters, and is read as most processors read it."""
    value = {name: HF[name] for name in ("do_resize", "size", "image_mean", "image_std", "resample")}

    assert preprocessing(json.dumps(value), None, 3, 224, 224) == preprocessing(
        json.dumps(HF), None, 3, 224, 224
    )
    assert "image_mean is missing" in refused(json.dumps({"do_resize": True, "size": 224}))


@pytest.mark.parametrize(
    ("mode", "values", "channels"),
    [
        # keras.applications.imagenet_utils: tf gives -1 to 1, caffe BGR minus the mean, torch ImageNet's.
        ("tf", lambda p: p / 127.5 - 1, "RGB"),
        ("caffe", lambda p: p[..., ::-1] - np.array([103.939, 116.779, 123.68]), "BGR"),
        ("torch", lambda p: (p / 255 - np.array(MEAN)) / np.array(STD), "RGB"),
    ],
)
@pytest.mark.parametrize("form", ["{}", '"{}"', '{{"mode": "{}"}}'])
def test_keras(mode: str, values: Any, channels: str, form: str, pictures: dict[str, Image.Image]) -> None:
    """The three modes of Keras give what its preprocess_input computes, on a stretched image."""
    found = preprocessing(form.format(mode), None, 64, 48, 3)
    pixels = np.asarray(pictures["cat"].resize((48, 64), Image.Resampling.BILINEAR)).astype(np.float64)

    assert found.channels == channels
    assert np.allclose(to_tensor(pictures["cat"], found), values(pixels), atol=1e-4)


def test_keras_arguments(pictures: dict[str, Image.Image]) -> None:
    """With a size, images are loaded as load_img does it: by the nearest pixel if no filter is named."""
    value = {"mode": "tf", "target_size": [64, 48], "data_format": "channels_last"}
    found = preprocessing(json.dumps(value), None, None, None, 3)
    pixels = np.asarray(pictures["cat"].resize((48, 64), Image.Resampling.NEAREST)).astype(np.float64)

    assert np.allclose(to_tensor(pictures["cat"], found), pixels / 127.5 - 1, atol=1e-4)
    named = preprocessing(json.dumps({**value, "interpolation": "lanczos"}), None, 64, 48, 3)
    assert named.interpolation == "lanczos"


@pytest.mark.parametrize(
    ("name", "resize_to"), [("IMAGENET1K_V1", 256), ("ResNet50_Weights.IMAGENET1K_V2", 232)]
)
def test_torchvision_names(name: str, resize_to: int) -> None:
    """The names of torchvision's weights stand for the preset of ResNet."""
    expected = Preprocessing(
        resize_to=resize_to,
        interpolation="bilinear",
        layout="NCHW",
        dtype="float32",
        scale=1 / 255,
        mean=MEAN,
        std=STD,
    )

    assert preprocessing(name, None, 3, 224, 224) == expected


def test_own_form() -> None:
    """Our own JSON may leave out what the graph says, and says the rest as it is."""
    value = {
        "size": 192,
        "crop_pct": 0.75,
        "interpolation": "lanczos",
        "scale": 0.5,
        "mean": 1,
        "std": [2, 4, 8],
    }

    assert preprocessing(json.dumps(value), None, None, None, 3, dtype="float16") == Preprocessing(
        height=192,
        width=192,
        resize_to=256,
        interpolation="lanczos",
        dtype="float16",
        scale=0.5,
        mean=(1, 1, 1),
        std=(2, 4, 8),
    )


def test_own_form_complete() -> None:
    """The complete form is taken as it stands."""
    value = Preprocessing(
        layout="NCHW", channels="BGR", rounding="down", fill=(1, 2, 3), resize_to=(240, 250)
    )

    assert preprocessing(json.dumps(value.to_json()), None, 3, 224, 224, dtype="uint8") == value


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image_processor_type": "PerceiverImageProcessor"}, "image_processor_type PerceiverImageProcessor"),
        ({"colour": 1}, "colour is unknown"),
        ({"do_resize": False}, "do_resize"),
        ({"do_resize": "yes"}, "do_resize must be true or false"),
        ({"do_pad": True}, "do_pad"),
        ({"size": {"longest_edge": 224}}, r"size\.longest_edge is unknown"),
        ({"size": {"height": 224}}, r"size\.width is missing"),
        ({"size": {"shortest_edge": 224}}, "do_center_crop"),
        ({"size": {"shortest_edge": 224, "height": 3}}, r"size\.shortest_edge contradicts"),
        ({"size": {"height": 240, "width": 240}}, "size asks for 240 x 240"),
        ({"size": "224"}, "size must be"),
        ({"size": 10**9}, "size must be"),
        ({"resample": 6}, "resample"),
        ({"resample": 2.0}, "resample"),
        ({"image_mean": [0.5, 0.5]}, "image_mean must have 3"),
        ({"image_mean": "half"}, "image_mean must be"),
        ({"image_mean": [0.5, 0.5, True]}, "image_mean must be"),
        ({"image_std": [0.5, 0, 0.5]}, "std must be above 0"),
        ({"rescale_factor": [1]}, "rescale_factor must be"),
        ({"rescale_factor": 1e300}, "rescale_factor must be"),
        ({"do_center_crop": True, "crop_size": {"height": 9, "width": 9}}, "crop_size asks for 9 x 9"),
        ({"crop_pct": 0}, "crop_pct"),
    ],
)
def test_huggingface_refused(change: dict[str, Any], named: str) -> None:
    """A field of a preprocessor_config.json that is unknown, wrong or contradicts the graph is named."""
    assert re.search(named, refused(json.dumps({**HF, **change})))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"input_size": [3, 192, 192], "test_input_size": None}, "input_size asks for 192 x 192"),
        ({"input_size": [224, 224]}, "input_size must be"),
        ({"input_size": [4, 224, 224]}, "input_size must be"),
        ({"input_size": [1, 224, 224]}, "input_size is L"),
        ({"interpolation": "random"}, "interpolation must be"),
        ({"crop_pct": 1.5}, "crop_pct must be"),
        ({"crop_mode": "corner"}, "crop_mode must be"),
        ({"mean": [0.5, 0.5]}, "mean must have 3"),
        ({"std": [0, 0, 0]}, "std must be above 0"),
        ({"colour": 1}, "colour is unknown"),
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_timm_refused(change: dict[str, Any], named: str, nested: bool) -> None:
    """A field of timm's configuration that is unknown, wrong or contradicts the graph is named."""
    value = {**TIMM, **change}

    assert named in refused(
        json.dumps({"architecture": "resnet18", "pretrained_cfg": value} if nested else value)
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", 'such as {"size": 224'),
        ("{", "JSON is invalid at line 1"),
        ("tff", "tff is neither JSON nor YAML"),
        ("IMAGENET1K_SWAG_E2E_V1", "IMAGENET1K_SWAG_E2E_V1 is neither JSON nor YAML"),
        ("Resize(size=256)", "torchvision's transforms as they are printed"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "JSON object is expected"),
        ('"vgg"', "vgg is not supported"),
        ('{"scale": NaN}', "NaN"),
        ("{'scale': 1" + "0" * 400 + "}", "JSON is invalid at line 1"),
        ("{'scale': 1e999}", "JSON is invalid at line 1"),
        ("{'scale': " + "-" * 5_000 + "1}", "JSON is invalid at line 1"),
        ("{'scale': " + "(" * 5_000 + "}", "JSON is invalid at line 1"),
        ('{"scale": 1e999}', "too large"),
        (f'{{"mean": [{10**400}]}}', "digits"),
        ('{"size": 1' + "0" * 5_000 + "}", "digits"),
        ('{"crop_pct": 1e-320}', "crop_pct must be"),
        (json.dumps({**HF, "crop_pct": 1e-320}), "crop_pct must be"),
        (json.dumps({**TIMM, "crop_pct": 1e-320}), "crop_pct must be"),
        (json.dumps({**TIMM, "crop_mode": "border", "crop_pct": 1, "mean": [1e308] * 3}), "finite"),
        ("ImageClassification(mean=[1" + "0" * 900 + "])", "mean must be"),
        ('{"scale": 1, "scale": 2}', "scale is defined twice"),
        ('{"<b>": 1}', "one whose name cannot be shown is unknown"),
        ('{"colour": "RGB"}', "colour is unknown"),
        ('{"means": [0, 0, 0]}', "means is unknown; did you mean mean?"),
        ('{"Resize-To": 256}', "Resize-To is unknown; did you mean resize_to?"),
        ('{"scale": "1"}', "scale must be"),
        ('{"layout": "NHWC"}', "layout is NHWC, but the model's input is NCHW"),
        ('{"dtype": "uint8"}', "dtype is uint8"),
        ('{"layout": "\\u202enot\\u0000shown"}', "layout is one whose name cannot be shown"),
        ('{"channels": "L"}', "channels is L"),
        ('{"channels": "CMYK"}', "channels must be one of"),
        ('{"size": [224, 224, 3]}', "size must be"),
        ('{"size": [224, 225]}', "size asks for 224 x 225"),
        ('{"size": "big"}', "size"),
        ('{"resize": "squash"}', "resize must be one of"),
        ('{"resize_to": 0}', "resize_to must be"),
        ('{"resize_to": [1]}', "resize_to must be"),
        ('{"crop_pct": 0.9, "resize_to": 256}', "crop_pct contradicts resize_to"),
        ('{"interpolation": "area"}', "interpolation must be one of"),
        ('{"interpolation": ["bilinear"]}', "interpolation must be one of"),
        ('{"mean": [1, 2]}', "mean must have 3"),
        ('{"std": 0}', "std must be above 0"),
        ('{"scale": 0}', "scale must not be 0"),
        ('{"fill": [0, 0, 256]}', "fill must be"),
        ('{"rounding": "up"}', "rounding must be one of"),
        ('{"activation": "relu"}', "activation must be one of"),
        ('{"output": "logits"}', "output must name one"),
        ('{"mode": "vgg"}', "mode must be one of"),
        ('{"mode": "tf", "target_size": [10, 10]}', "target_size asks for 10 x 10"),
        ('{"mode": "tf", "data_format": "channels_last"}', "data_format is NHWC"),
        ('{"resize_size": [256], "crop_size": [225]}', "crop_size asks for 225 x 225"),
        ('{"resize_size": [256], "crop_size": [224], "antialias": false}', "antialias must be"),
        ("ImageClassification(\n    crop_size=[224]\n    resize_size=many\n)", "resize_size must be"),
        ("ImageClassification(\n    crop_size=[224]\n    colour=1\n)", "colour is unknown"),
        ('{"id2label": {"0": "cat"}, "model_type": "vit"}', "preprocessor_config.json"),
        (
            '{"module": "keras_hub", "class_name": "P", "config": {"image_size": [64, 64]}}',
            "preprocessor.json of KerasHub, is not supported. Give our own JSON",
        ),
        ('{"pretrained_cfg": 5}', "pretrained_cfg must be an object"),
    ],
)
def test_refused(text: str, named: str) -> None:
    """What cannot be used is refused in a sentence that names the field."""
    assert named in refused(text)


@pytest.mark.parametrize("size", [{}, "big", 1.5, True, ["a", "b"], [32, {}], [1.5, 2]])
def test_size_of_a_free_input(size: Any) -> None:
    """A size that is none is named, also where the input would take any."""
    assert "size must be" in refused(json.dumps({"size": size}), None, 3, None, None)


def test_blanks_in_a_printed_preset() -> None:
    """A printed preset with hundreds of blanks is read as quickly as any other."""
    start = time.process_time()

    assert "a must be a number" in refused("ImageClassification(a=x" + " " * 970 + "y)")

    assert time.process_time() - start < 0.2


def test_opacity() -> None:
    """An input of four channels takes colours and opacity, if the preprocessing says so."""
    said = json.dumps({"channels": "RGBA", "mean": [0.5, 0.5, 0.5, 0], "std": [0.5, 0.5, 0.5, 1]})

    form = preprocessing(said, 1, 4, 224, 224)

    assert (form.channels, form.depth, form.mean) == ("RGBA", 4, (0.5, 0.5, 0.5, 0.0))
    assert preprocessing('{"channels": "RGBA"}', 1, 224, 224, 4).std == (1.0,) * 4
    assert "channels must be RGBA" in refused("{}", 1, 4, 224, 224)
    assert "channels is RGBA, but the model's input has 3 channels" in refused(said, 1, 3, 224, 224)
    assert "mean must have 4 numbers" in refused('{"channels": "RGBA", "mean": [0, 0, 0]}', 1, 4, 224, 224)


def test_output_beside_a_tool() -> None:
    """The output that holds the class scores may be named in the configuration of any tool."""
    text = json.dumps({"image_processor_type": "ViTImageProcessor", "size": 32, "output": "b"})

    declared = from_text(text, (None, None))

    assert declared.output == "b"
    assert dict(declared.values) == dict(from_text(text.replace(', "output": "b"', ""), (None, None)).values)


def test_converted_from_tensorflow() -> None:
    """Where nothing is said, images are prepared as Keras does it if its converter wrote the file."""
    form = input_layout(Tensor("x", "float32", (1, 3, 160, 160)), NOTHING_SEEN)

    made = resolve(EMPTY, form, Structure(tensorflow=True)).preprocessing
    other = resolve(EMPTY, form, NOTHING_SEEN).preprocessing

    assert (made.resize, made.mean) == ("stretch", (0.5,) * 3)
    assert (other.resize, other.mean) == ("crop", (0.485, 0.456, 0.406))


def metadata(name: str) -> dict[str, str]:
    """A model's metadata as a tool writes them."""
    return dict(json.loads((CONFIGS / f"metadata_{name}.json").read_text()))


def by_metadata(value: dict[str, str], *shape: int | None) -> Preprocessing:
    """What metadata mean for an input of a shape."""
    form = input_layout(Tensor("x", "float32", shape), NOTHING_SEEN)
    given = from_metadata(value, (form.height, form.width))
    return resolve(given, form, NOTHING_SEEN).preprocessing


def test_ultralytics() -> None:
    """Ultralytics: the short side becomes the size, the middle is cut out, pixels are 0 to 1."""
    assert by_metadata(metadata("ultralytics"), 1, 3, 224, 224) == Preprocessing(
        resize_to=224, interpolation="bilinear", layout="NCHW", dtype="float32", scale=1 / 255
    )


def test_openvino() -> None:
    """Model API: stretched, pixels of 0 to 255, means and scales as they stand."""
    assert by_metadata(metadata("openvino"), 1, 3, 224, 224) == Preprocessing(
        resize="stretch",
        interpolation="bilinear",
        layout="NCHW",
        dtype="float32",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
    )


def test_openvino_variants() -> None:
    """Caffe's means without reversal say blue first; a letterbox is filled with its pad value."""
    value = metadata("openvino") | {
        "model_info mean_values": "103.939 116.779 123.68",
        "model_info scale_values": "1",
        "model_info resize_type": "fit_to_window_letterbox",
        "model_info pad_value": "114",
    }

    found = by_metadata(value, 1, 3, 200, 300)

    assert (found.channels, found.resize, found.resize_to, found.fill) == (
        "BGR",
        "fit",
        (200, 300),
        (114,) * 3,
    )
    assert (
        by_metadata({**value, "model_info reverse_input_channels": "YES"}, 1, 3, 200, 300).channels == "RGB"
    )


def test_image_properties(pictures: dict[str, Image.Image]) -> None:
    """Custom Vision: as in the sample that it gives with a model, stretched, blue first, 0 to 255."""
    found = by_metadata(metadata("custom_vision"), None, 3, 60, 50)
    pixels = np.asarray(pictures["cat"].resize((50, 60)), np.float32)

    assert np.array_equal(to_tensor(pictures["cat"], found), pixels.transpose(2, 0, 1)[::-1])


@pytest.mark.parametrize(
    ("range_", "black", "white"),
    [
        ("Normalized_0_1", 0, 1),
        ("Normalized_1_1", -1, 1),
        ("NominalRange_0_255", 0, 255),
        ("NominalRange_16_235", 16, 235),
    ],
)
def test_image_ranges(range_: str, black: float, white: float) -> None:
    """Each nominal range has black and white where its name says, for grey images too."""
    value = {"image.bitmappixelformat": "Gray8", "Image.NominalPixelRange": range_}
    found = by_metadata(value, None, 1, 8, 8)

    ends = [to_tensor(Image.new("RGB", (9, 9), (level,) * 3), found).ravel()[0] for level in (0, 255)]

    assert np.allclose(ends, [black, white], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("ultralytics", {"task": "detect"}, "task must be classify, but is detect"),
        ("ultralytics", {"imgsz": "[640, 640]"}, "imgsz asks for 640 x 640"),
        ("ultralytics", {"imgsz": "[0, 4]"}, "imgsz must be"),
        ("ultralytics", {"imgsz": "many"}, "imgsz must be"),
        ("openvino", {"model_info resize_type": "fit_to_window"}, "resize_type must be one of"),
        ("openvino", {"model_info mean_values": "1 2"}, "mean_values must have 3"),
        ("openvino", {"model_info mean_values": "a b c"}, "mean_values must be"),
        ("openvino", {"model_info scale_values": "0 0 0"}, "scale_values must be above 0"),
        (
            "openvino",
            {"model_info pad_value": "300", "model_info resize_type": "fit_to_window_letterbox"},
            "pad",
        ),
        ("openvino", {"model_info reverse_input_channels": "maybe"}, "reverse_input_channels must be"),
        ("openvino", {"model_info model_type": "SSD"}, "model_type must be"),
        ("openvino", {"model_info hierarchical": "True"}, "hierarchical must not"),
        ("openvino", {"model_info colour": "1"}, r"model_info.colour is unknown"),
        ("custom_vision", {"Image.BitmapPixelFormat": "Bgra9"}, "Image.BitmapPixelFormat bgra9"),
        ("custom_vision", {"Image.NominalPixelRange": "odd"}, "Image.NominalPixelRange odd"),
        ("custom_vision", {"Image.ColorSpaceGamma": "Linear"}, "Image.ColorSpaceGamma must be"),
        ("custom_vision", {"preprocessor_config.json": '{"do_resize": 5}'}, "do_resize must be"),
    ],
)
def test_metadata_passed_over(name: str, change: dict[str, str], named: str) -> None:
    """A value of another tool in the metadata that is wrong or does not fit is named in a warning."""
    spec = discover(with_metadata({**metadata(name), **change}))

    assert [warning for warning in spec.warnings if named in warning and "passed over" in warning]


def test_metadata_of_another_tool() -> None:
    """What can be read of the next tool is used, where the metadata of the first cannot be."""
    spec = discover(with_metadata({**metadata("ultralytics"), "preprocessor_config.json": "{"}))

    assert spec.preprocessing == by_metadata(metadata("ultralytics"), 1, 3, 224, 224)
    assert [warning for warning in spec.warnings if "preprocessor_config.json is passed over" in warning]


def test_own_metadata_refused() -> None:
    """This service's own JSON in the metadata is used or refused."""
    with pytest.raises(InvalidModel, match=r"predictor\.preprocessing cannot be used"):
        discover(with_metadata({**metadata("custom_vision"), "predictor.preprocessing": "{"}))


def with_metadata(value: dict[str, str]) -> Graph:
    """A classifier of three classes with metadata."""
    return Graph((Tensor("x", "float32", (1, 3, 224, 224)),), (Tensor("y", "float32", (1, 3)),), value)


@pytest.mark.parametrize("side", [28, 32, 64, 96])
def test_small_by_default(side: int, pictures: dict[str, Image.Image]) -> None:
    """Of an image that has the size of a small input, as those of CIFAR have, nothing is cut off."""
    form = input_layout(Tensor("x", "float32", (None, 3, side, side)), NOTHING_SEEN)
    found = resolve(EMPTY, form, NOTHING_SEEN)
    image = pictures["cat"].resize((side, side))

    pixels = np.asarray(image).transpose(2, 0, 1) / 255
    expected = (pixels - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert np.allclose(to_tensor(image, found.preprocessing), expected, atol=1e-5)
    assert any(f"images are stretched to {side} x {side}" in one for one in found.warnings)


def test_large_by_default() -> None:
    """The middle is cut out for larger inputs, as torchvision's presets do."""
    form = input_layout(Tensor("x", "float32", (None, 3, 224, 224)), NOTHING_SEEN)
    used = resolve(EMPTY, form, NOTHING_SEEN).preprocessing

    assert (used.resize, used.resize_to) == ("crop", 256)
