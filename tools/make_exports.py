"""Small classifiers as other tools export them, with what those tools say of some images.

Run by hand, in environments of their own, and commit what they write:

    python -m tools.make_exports torch --image tests/data/cat.jpg --out tests/data/exports
    python -m tools.make_exports pair --image tests/data/cat.jpg --out tests/data/exports
    python -m tools.make_exports keras --image tests/data/cat.jpg --out tests/data/exports

The first needs torch, torchvision, timm, transformers and onnxscript, the second the newest torch with
torchvision and onnxscript, the third tensorflow-cpu and tf2onnx.
The networks are those tools' own with random weights; only the last layer is set here, so that the scores of
different images, and of an image prepared in different ways, differ. The confidences are those of each
tool's own processor and network, in float32, without ONNX.
"""

import argparse
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

CLASSES = 12
_SPREAD = 1.8
_VIEWS = 24
_DECIMALS = 7

Array = npt.NDArray[Any]
Confidences = Callable[[Image.Image], Array]


@dataclass(frozen=True)
class Exported:
    """A model as a tool exports it.

    Attributes:
        form: what is special about it, for the table in docs/models.md.
        reference: what prepares the images and runs the network, for the same table.
        confidences: the tool's own answer for an image, shape [classes].
        companions: the files that the tool writes beside it, by `labels` or `preprocessing`.
    """

    form: str
    reference: str
    confidences: Confidences
    companions: Mapping[str, str] = field(default_factory=dict)


def views(picture: Path) -> dict[str, Image.Image]:
    """A photograph in three forms: whole, a wide part and a tall part, turned over."""
    whole = Image.open(picture).convert("RGB")
    width, height = whole.size
    wide = whole.crop((40, 60, width - 30, 240))
    tall = whole.crop((150, 10, 330, height - 5)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return {"whole": whole, "wide": wide, "tall": tall}


def labels() -> list[str]:
    """Names of the classes."""
    return [f"thing {index}" for index in range(CLASSES)]


def samples(picture: Path) -> list[Image.Image]:
    """Parts of a photograph, by which the last layer is set."""
    whole, chance = Image.open(picture).convert("RGB"), np.random.default_rng(5)
    corners = [(int(x), int(y)) for x, y in chance.integers(0, (250, 120), (_VIEWS, 2))]
    sides = [int(side) for side in chance.integers(90, 180, _VIEWS)]
    return [whole.crop((x, y, x + side, y + side)) for (x, y), side in zip(corners, sides, strict=True)]


def last_layer(features: Array) -> tuple[Array, Array]:
    """Weight [features, classes] and bias of a last layer whose scores differ from image to image."""
    weight = np.random.default_rng(11).normal(size=(features.shape[1], CLASSES))
    scores = features @ weight
    weight *= _SPREAD / scores.std(axis=0)
    return weight.astype(np.float32), -(features @ weight).mean(axis=0).astype(np.float32)


def without_traces(path: Path) -> None:
    """Take out of a file where in the exporter's code each of its parts came from."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output, graph):
        del part.metadata_props[:]
    onnx.save(model, path)


def softmax(scores: Array) -> Array:
    """Confidences of one image."""
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


class _Torch:
    """What the exports of PyTorch share."""

    def __init__(self, picture: Path, out: Path) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._samples, self._out = samples(picture), out

    def _set_last(self, network: Any, layer: Any, prepare: Any) -> None:
        """Set a network's last layer by what comes to it for the sample images."""
        seen: list[Any] = []
        hook = layer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        with self._torch.no_grad():
            network(self._torch.stack([prepare(image) for image in self._samples]))
            hook.remove()
            weight, bias = last_layer(seen[0].flatten(1).double().numpy())
            layer.weight.copy_(self._torch.from_numpy(weight.T))
            layer.bias.copy_(self._torch.from_numpy(bias))

    def _scores(self, network: Any, prepare: Any, image: Image.Image) -> Array:
        with self._torch.no_grad():
            return np.asarray(network(prepare(image)[None])[0].double().numpy())

    def _softmax(self, network: Any, prepare: Any) -> Confidences:
        return lambda image: softmax(self._scores(network, prepare, image))


class PairExports(_Torch):
    """What `torch.onnx.export` writes by default: a model, and a file of its weights.

    Args:
        picture: a photograph.
        out: where the ONNX file and its data go.
    """

    def every(self) -> dict[str, Exported]:
        """Export a network as somebody writes it by hand, and its transforms as tutorials give them."""
        network, last = self._network()
        steps: Any = importlib.import_module("torchvision.transforms")
        prepare = steps.Compose(
            [
                steps.Resize(256),
                steps.CenterCrop(224),
                steps.ToTensor(),
                steps.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )
        self._set_last(network, last, prepare)
        path = self._out / "torch_pair.onnx"
        self._torch.onnx.export(network, (self._torch.zeros(1, 3, 224, 224),), str(path))
        without_traces(path)
        return {
            "torch_pair": Exported(
                "NCHW, logits, two files, `torch.onnx.export` without options",
                f"torch {version('torch')}: torchvision's transforms, a network of our own in torch",
                self._softmax(network, prepare),
                {"labels": "\n".join(labels()) + "\n"},
            )
        }

    def _network(self) -> tuple[Any, Any]:
        self._torch.manual_seed(3)
        layers = self._torch.nn
        parts, width = [], 3
        for filters in (16, 24, 32):
            parts += [layers.Conv2d(width, filters, 3, 2, 1), layers.BatchNorm2d(filters), layers.ReLU()]
            width = filters
        last = layers.Linear(width, CLASSES)
        return layers.Sequential(*parts, layers.AdaptiveAvgPool2d(1), layers.Flatten(), last).eval(), last


class TorchExports(_Torch):
    """Models of PyTorch's libraries.

    Args:
        picture: a photograph.
        out: where the ONNX files go.
    """

    def __init__(self, picture: Path, out: Path) -> None:
        super().__init__(picture, out)
        self._timm: Any = importlib.import_module("timm")
        self._transformers: Any = importlib.import_module("transformers")

    def every(self) -> dict[str, Exported]:
        """Export all of them."""
        return {
            "timm_vit": self._of_timm("test_vit", "logits, free batch", dynamo=True),
            "timm_free_size": self._of_timm("test_resnet", "free height and width", free=True),
            "timm_softmax": self._of_timm("test_efficientnet", "softmax inside, fixed batch", inside=True),
            "hf_vit": self._of_transformers("ViT", "logits, labels in config.json"),
            "hf_multi_label": self._of_transformers("ConvNext", "multi-label", multi=True),
            "torchvision_preset": self._of_torchvision(),
        }

    def _of_timm(
        self, name: str, form: str, *, dynamo: bool = False, free: bool = False, inside: bool = False
    ) -> Exported:
        self._torch.manual_seed(3)
        network = self._timm.create_model(name, num_classes=CLASSES).eval()
        config = self._timm.data.resolve_model_data_config(network)
        prepare = self._timm.data.create_transform(**config, is_training=False)
        self._set_last(network, network.get_classifier(), prepare)
        whole = self._torch.nn.Sequential(network, self._torch.nn.Softmax(1)) if inside else network
        shape = (1, *config["input_size"])
        file = {"vit": "timm_vit", "resnet": "timm_free_size", "efficientnet": "timm_softmax"}[name[5:]]
        self._export(whole, shape, file, free_size=free, free_batch=not inside, dynamo=dynamo)
        saved = self._out / "saved"
        self._timm.models.save_for_hf(network, str(saved))
        text = (saved / "config.json").read_text()
        companions = {"preprocessing": text, "labels": "\n".join(labels()) + "\n"}
        reference = f"timm {version('timm')}: create_transform, {name} in torch"
        return Exported(
            f"NCHW, {form}, timm config.json", reference, self._softmax(network, prepare), companions
        )

    def _of_transformers(self, kind: str, form: str, *, multi: bool = False) -> Exported:
        self._torch.manual_seed(3)
        hub = self._transformers
        names = dict(enumerate(labels()))
        extra: dict[str, Any] = {"problem_type": "multi_label_classification"} if multi else {}
        if kind == "ViT":
            extra |= {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
            extra |= {"intermediate_size": 128, "image_size": 96}
            size: dict[str, Any] = {"size": {"height": 96, "width": 96}}
        else:
            extra |= {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1]}
            size = {"size": {"shortest_edge": 96}, "crop_pct": 0.875}
        # The file is what the default processor writes; the reference resizes with Pillow, as timm does, and
        # not with the default's own arithmetic on tensors, whose pixels differ by a level here and there.
        text = getattr(hub, f"{kind}ImageProcessor")(**size).to_json_string()
        processor = getattr(hub, f"{kind}ImageProcessorPil")(**size)
        config = getattr(hub, f"{kind}Config")(id2label=names, **extra)
        network = getattr(hub, f"{kind}ForImageClassification")(config).eval()

        def prepare(image: Image.Image) -> Any:
            return processor(image, return_tensors="pt")["pixel_values"][0]

        self._set_last(network, network.classifier, prepare)
        self._export(
            _only_logits(self._torch, network), (1, 3, 96, 96), "hf_multi_label" if multi else "hf_vit"
        )
        companions = {"preprocessing": text, "labels": config.to_json_string(use_diff=False)}
        finish = self._sigmoid if multi else self._softmax
        confidences = finish(_only_logits(self._torch, network), prepare)
        reference = f"transformers {version('transformers')}: {type(processor).__name__}, {kind} in torch"
        return Exported(f"NCHW, {form}, preprocessor_config.json", reference, confidences, companions)

    def _of_torchvision(self) -> Exported:
        self._torch.manual_seed(3)
        vision: Any = importlib.import_module("torchvision")
        network = vision.models.shufflenet_v2_x0_5(num_classes=CLASSES).eval()
        prepare = vision.models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.transforms()
        self._set_last(network, network.fc, prepare)
        self._export(network, (1, 3, 224, 224), "torchvision_preset", dynamo=True)
        reference = f"torchvision {version('torchvision')}: the preset's transforms, ShuffleNet in torch"
        companions = {"preprocessing": repr(prepare), "labels": json.dumps(labels())}
        return Exported(
            "NCHW, logits, torchvision's printed preset",
            reference,
            self._softmax(network, prepare),
            companions,
        )

    def _export(
        self,
        network: Any,
        shape: Sequence[int],
        name: str,
        *,
        free_size: bool = False,
        free_batch: bool = True,
        dynamo: bool = False,
    ) -> None:
        free = ({0: "batch"} if free_batch else {}) | ({2: "height", 3: "width"} if free_size else {})
        if dynamo:
            batch = self._torch.export.Dim("batch")
            axes: dict[str, Any] = {"dynamic_shapes": ({0: batch},)}
            shape = (2, *shape[1:])
        else:
            axes = {"dynamic_axes": {"input": free, "logits": {0: "batch"} if free_batch else {}}}
        example = (self._torch.zeros(*shape),)
        names = {"input_names": ["input"], "output_names": ["logits"]}
        path = self._out / f"{name}.onnx"
        self._torch.onnx.export(
            network.eval(), example, str(path), dynamo=dynamo, external_data=False, **names, **axes
        )
        without_traces(path)

    def _sigmoid(self, network: Any, prepare: Any) -> Confidences:
        return lambda image: np.asarray(1 / (1 + np.exp(-self._scores(network, prepare, image))))


def _only_logits(torch: Any, network: Any) -> Any:
    """A network of transformers as one from a tensor to a tensor."""

    class Logits(torch.nn.Module):
        """Gives the logits alone."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> Any:
            """Logits of images."""
            return self.network(pixels).logits

    return Logits().eval()


class KerasExports:
    """Models of Keras, converted by tf2onnx.

    Args:
        picture: a photograph.
        out: where the ONNX files go.
    """

    def __init__(self, picture: Path, out: Path) -> None:
        self._tf: Any = importlib.import_module("tensorflow")
        self._tf2onnx: Any = importlib.import_module("tf2onnx")
        self._samples, self._out = samples(picture), out

    def every(self) -> dict[str, Exported]:
        """Export all of them."""
        keras_labels = json.dumps({str(n): [f"n{n:08}", name] for n, name in enumerate(labels())})
        mode = self._tf.keras.applications.imagenet_utils.preprocess_input
        first = self._tf.keras.layers.Rescaling(1 / 127.5, offset=-1)
        grey = self._tf.keras.layers.Rescaling(1 / 255)
        return {
            "keras_caffe": self._made(
                "keras_caffe",
                "NHWC, softmax inside, Keras's mode caffe",
                [],
                {"preprocessing": "caffe", "labels": keras_labels},
                prepare=lambda pixels: mode(pixels, mode="caffe"),
            ),
            "keras_rescaling": self._made(
                "keras_rescaling", "NHWC, normalisation in the graph", [first], {"labels": keras_labels}
            ),
            "keras_uint8": self._made(
                "keras_uint8",
                "NHWC, uint8, normalisation in the graph",
                [first],
                {"labels": keras_labels},
                dtype="uint8",
            ),
            "keras_grey": self._made(
                "keras_grey",
                "NHWC, grey, normalisation in the graph",
                [grey],
                {"labels": "\n".join(labels())},
                depth=1,
            ),
            "keras_sigmoid": self._made(
                "keras_sigmoid",
                "NHWC, sigmoid inside",
                [first],
                {"labels": keras_labels},
                activation="sigmoid",
            ),
        }

    def _made(  # noqa: PLR0913 - each is a choice of its own, made by name
        self,
        name: str,
        form: str,
        first: list[Any],
        companions: dict[str, str],
        *,
        prepare: Callable[[Array], Array] = lambda pixels: pixels,
        dtype: str = "float32",
        depth: int = 3,
        activation: str = "softmax",
    ) -> Exported:
        self._tf.keras.utils.set_random_seed(3)
        layers = self._tf.keras.layers
        image = layers.Input((96, 96, depth), dtype=dtype)
        values = layers.Lambda(lambda x: self._tf.cast(x, "float32"))(image) if dtype == "uint8" else image
        for layer in first:
            values = layer(values)
        for filters in (16, 24, 32):
            values = layers.Conv2D(filters, 3, 2, padding="same", activation="relu")(values)
        features = self._tf.keras.Model(image, layers.GlobalAveragePooling2D()(values))
        last = layers.Dense(CLASSES, activation=activation)
        network = self._tf.keras.Model(image, last(features.output))

        def pixels(picture: Image.Image) -> Array:
            return self._pixels(picture, prepare, dtype, depth)

        seen = features.predict(np.stack([pixels(one) for one in self._samples]), verbose=0)
        last.set_weights(last_layer(seen.astype(np.float64)))
        signature = [self._tf.TensorSpec((None, 96, 96, depth), dtype, name="image")]
        self._tf2onnx.convert.from_function(
            self._tf.function(network.call, input_signature=signature),
            input_signature=signature,
            opset=17,
            output_path=str(self._out / f"{name}.onnx"),
        )
        reference = f"keras {version('keras')}: load_img (bilinear), the network in tensorflow"
        return Exported(
            f"{form}, tf2onnx",
            reference,
            lambda one: network.predict(pixels(one)[None], verbose=0)[0],
            companions,
        )

    def _pixels(
        self, picture: Image.Image, prepare: Callable[[Array], Array], dtype: str, depth: int
    ) -> Array:
        """An image as Keras loads it from a file."""
        path = self._out / "view.png"
        picture.save(path)
        mode = "grayscale" if depth == 1 else "rgb"
        keras = self._tf.keras.utils
        loaded = keras.load_img(path, color_mode=mode, target_size=(96, 96), interpolation="bilinear")
        path.unlink()
        return prepare(keras.img_to_array(loaded)).astype(dtype)


_KINDS: Mapping[str, Any] = {"torch": TorchExports, "pair": PairExports, "keras": KerasExports}


def main() -> None:
    """Export the models of one environment, and write their reference beside them."""
    parser = argparse.ArgumentParser(description="Classifiers as other tools export them.")
    parser.add_argument("which", choices=list(_KINDS))
    for name in ("--image", "--out"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    shown = views(given.image)
    reference = {
        name: {
            "form": one.form,
            "reference": one.reference,
            "companions": one.companions,
            "confidences": {
                view: np.round(one.confidences(image).astype(float), _DECIMALS).tolist()
                for view, image in shown.items()
            },
        }
        for name, one in _KINDS[given.which](given.image, given.out).every().items()
    }
    path = given.out / f"{given.which}.json"
    path.write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
