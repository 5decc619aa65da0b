"""The names of torchvision's weights stand for what torchvision itself says of them."""

import json

import pytest

from predictor.discovery.configs.declared import HALF, IMAGENET
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel
from predictor.image.preprocess import Preprocessing
from predictor.model.spec import Graph, Tensor


def preprocessing(text: str, side: int | None) -> Preprocessing:
    """What a text means for a classifier of images of so many rows and columns."""
    image = Tensor("x", "float32", (None, 3, side, side))
    graph = Graph((image,), (Tensor("y", "float32", (None, 2)),))
    return discover(graph, preprocessing_text=text).preprocessing


def refused(text: str, side: int | None) -> str:
    """The sentence with which a text is refused."""
    with pytest.raises(InvalidModel) as error:
        preprocessing(text, side)
    return error.value.detail


# What `weights.transforms()` of torchvision 0.28.0 has as crop_size, resize_size and interpolation.
@pytest.mark.parametrize(
    ("name", "side", "short", "interpolation"),
    [
        ("ResNet50_Weights.IMAGENET1K_V1", 224, 256, "bilinear"),
        ("ResNet50_Weights.IMAGENET1K_V2", 224, 232, "bilinear"),
        ("ViT_B_16_Weights.IMAGENET1K_V1", 224, 256, "bilinear"),
        ("ConvNeXt_Tiny_Weights.IMAGENET1K_V1", 224, 236, "bilinear"),
        ("EfficientNet_B0_Weights.IMAGENET1K_V1", 224, 256, "bicubic"),
        ("EfficientNet_B1_Weights.IMAGENET1K_V1", 240, 256, "bicubic"),
        ("EfficientNet_B1_Weights.IMAGENET1K_V2", 240, 255, "bilinear"),
        ("EfficientNet_B3_Weights.IMAGENET1K_V1", 300, 320, "bicubic"),
        ("EfficientNet_B7_Weights.IMAGENET1K_V1", 600, 600, "bicubic"),
        ("EfficientNet_V2_M_Weights.IMAGENET1K_V1", 480, 480, "bilinear"),
        ("Inception_V3_Weights.IMAGENET1K_V1", 299, 342, "bilinear"),
        ("MaxVit_T_Weights.IMAGENET1K_V1", 224, 224, "bicubic"),
        ("RegNet_Y_16GF_Weights.IMAGENET1K_V2", 224, 232, "bilinear"),
        ("RegNet_Y_16GF_Weights.IMAGENET1K_SWAG_LINEAR_V1", 224, 224, "bicubic"),
        ("ResNeXt101_64X4D_Weights.IMAGENET1K_V1", 224, 232, "bilinear"),
        ("Swin_V2_T_Weights.IMAGENET1K_V1", 256, 260, "bicubic"),
        ("ViT_L_16_Weights.IMAGENET1K_V1", 224, 242, "bilinear"),
        ("ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1", 518, 518, "bicubic"),
    ],
)
@pytest.mark.parametrize("form", ["{}", '"{}"', "torchvision.models.{}"])
def test_weights(form: str, name: str, side: int, short: int, interpolation: str) -> None:
    """The name of the weights of each architecture stands for their own preset."""
    used = preprocessing(form.format(name), side)

    assert (used.width, used.resize, used.resize_to, used.interpolation) == (
        side,
        "crop",
        short,
        interpolation,
    )
    assert (used.channels, used.mean, used.std) == ("RGB", *IMAGENET)


def test_size_of_weights() -> None:
    """The name says the size where the graph takes any, and is refused for another one."""
    name = "EfficientNet_V2_L_Weights.IMAGENET1K_V1"

    assert preprocessing(name, None).height == 480
    assert (preprocessing(name, None).mean, preprocessing(name, None).std) == HALF
    assert "crop_size asks for 480 x 480" in refused(name, 224)


def test_name_alone() -> None:
    """Without the architecture the name is that of the weights of ResNet, whatever the size of the input."""
    assert preprocessing("IMAGENET1K_V1", 300).resize_to == 256


@pytest.mark.parametrize(
    ("name", "side", "named"),
    [
        ("ResNet50_Weights.IMAGENET1K_V1", 320, "a short side of 256 pixels, which is below"),
        ("NewNet_Weights.IMAGENET1K_V2", 256, "a short side of 232 pixels, which is below"),
        ("ResNet50_Weights.DEFAULT", 224, "ResNet50_Weights.DEFAULT is not among the names"),
        ("VGG16_Weights.IMAGENET1K_FEATURES", 224, "is not among the names"),
        ("models.quantization.ResNet18_QuantizedWeights.IMAGENET1K_FBGEMM_V1", 224, "is not among the names"),
    ],
)
def test_refused(name: str, side: int, named: str) -> None:
    """A name whose preset is not known, or does not fill the input, is refused with what to send instead."""
    for text in (name, json.dumps(name)):
        assert named in refused(text, side)
        assert "Send str(Weights.transforms()) in place of the name." in refused(text, side)
