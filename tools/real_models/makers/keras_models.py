"""Networks of Keras: `model.export(format="onnx")`, and tf2onnx from a SavedModel, a function and TFLite."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf2onnx

from tools.real_models.makers import case as cases
from tools.real_models.makers.case import CLASSES, Array, Case, Maker, labels, last_layer, run

SIDE = 96
layers = keras.layers
Take = Callable[[Array], Array]


def pixels(photograph: Path, *, grey: bool = False, side: int = SIDE) -> Array:
    """A photograph as Keras loads it, [side, side, channels], 0 to 255."""
    mode = "grayscale" if grey else "rgb"
    image = keras.utils.load_img(
        photograph, color_mode=mode, target_size=(side, side), interpolation="bilinear"
    )
    return np.asarray(keras.utils.img_to_array(image))


def _parts(case: Case, *, grey: bool, side: int) -> Array:
    """Parts of the photographs as pixels."""
    parts = [part.convert("L" if grey else "RGB") for part in cases.samples(case.photographs)]
    small = [np.asarray(part.resize((side, side), 2), np.float32) for part in parts]
    return np.stack([one[..., None] if grey else one for one in small])


class Network:
    """A network of three convolutions, or of what is given, fit for the photographs.

    Args:
        case: where it is written to.
        first: the layers before it.
        take: what makes its input of pixels from 0 to 255.
        end: the activation at its end.
        classes: how many it has.
        grey: whether its images are grey.
        body: makes features of the result of `first`; convolutions by default.
        shape: of its input without the batch.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, made by name
        self,
        case: Case,
        *,
        first: Sequence[Any] = (),
        take: Take = lambda values: values,
        end: str = "softmax",
        classes: int = CLASSES,
        grey: bool = False,
        body: Callable[[Any], Any] | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: str = "float32",
    ) -> None:
        keras.utils.set_random_seed(3)
        self.shape = shape or (SIDE, SIDE, 1 if grey else 3)
        self._grey, self._take, self.case = grey, take, case
        image = values = layers.Input(self.shape, dtype=dtype, name="image")
        for layer in first:
            values = layer(values)
        features = keras.Model(image, (body or _convolutions)(values))
        last = layers.Dense(classes, activation=end)
        self.model = keras.Model(image, last(features.output))
        side = self.shape[0]
        seen = features.predict(take(_parts(case, grey=grey, side=side)), verbose=0)
        last.set_weights(last_layer(seen.reshape(len(seen), -1).astype(np.float64), classes))
        self.model(np.zeros((1, *self.shape), dtype))  # only what was called once can be exported

    def answer(self, photograph: Path) -> Array:
        """What the network itself says, [classes]; two classes of one score."""
        values = self._take(pixels(photograph, grey=self._grey, side=self.shape[0]))
        scores: Array = self.model.predict(values[None], verbose=0)[0].astype(np.float64)
        return np.array([1 - scores[0], scores[0]]) if len(scores) == 1 else scores

    def signature(self, dtype: str = "float32") -> list[Any]:
        """The description of its input for TensorFlow."""
        return [tf.TensorSpec((None, *self.shape), dtype, name="image")]


def _convolutions(values: Any) -> Any:
    for filters in (16, 24, 32):
        values = layers.Conv2D(filters, 3, 2, padding="same", activation="relu")(values)
    return layers.GlobalAveragePooling2D()(values)


def _rescaling() -> Any:
    return layers.Rescaling(1 / 127.5, offset=-1)


def _exported(what: str, *, given: str | None = None, expected: bool = True, **options: Any) -> Maker:
    """`model.export(format="onnx")`; `given` is the mode of Keras that is sent as the preprocessing."""

    def make(case: Case) -> None:
        first = [one() for one in options.get("layers", ())]
        rest = {name: value for name, value in options.items() if name != "layers"}
        network = Network(case, first=first, **rest)
        network.model.export(str(case.path("model.onnx")), format="onnx", verbose=False)
        if given:
            case.path("preprocessing.txt").write_text(given)
        sent = "preprocessing.txt" if given else None
        case.save(what, network.answer, preprocessing=sent, expected=expected)

    return make


def _application(name: str, mode: str | None, **options: Any) -> Maker:
    """A network of keras.applications, whose mode of preprocessing is sent if it has one."""

    def take(values: Array) -> Array:
        change = keras.applications.imagenet_utils.preprocess_input
        return np.asarray(change(values.copy(), mode=mode)) if mode else values

    def body(values: Any) -> Any:
        network = getattr(keras.applications, name)(
            weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), pooling="avg", **options
        )
        return network(values)

    return _exported(f"applications.{name}, mode {mode}", given=mode, body=body, take=take)


def _command(case: Case, *arguments: str) -> None:
    """The command line of tf2onnx."""
    output = ("--output", str(case.path("model.onnx")))
    subprocess.run([sys.executable, "-m", "tf2onnx.convert", *arguments, *output], check=True)  # noqa: S603 - our own files


def _saved_model(what: str, *arguments: str) -> Maker:
    def make(case: Case) -> None:
        network = Network(case, first=[_rescaling()])
        folder = case.folder / "saved"
        network.model.export(str(folder), verbose=False)
        _command(case, "--saved-model", str(folder), *arguments)
        shutil.rmtree(folder)
        case.save(what, network.answer)

    return make


def _lite(what: str, *, quantised: bool = False) -> Maker:
    def make(case: Case) -> None:
        network = Network(case, first=[_rescaling()])
        converter = tf.lite.TFLiteConverter.from_keras_model(network.model)
        if quantised:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        path = case.folder / "model.tflite"
        path.write_bytes(converter.convert())
        _command(case, "--tflite", str(path), "--opset", "17")
        interpreter = tf.lite.Interpreter(str(path))
        interpreter.allocate_tensors()

        def answer(photograph: Path) -> Array:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels(photograph)[None])
            interpreter.invoke()
            return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])

        case.save(what, answer)

    return make


def _function(what: str, dtype: str, opset: int = 17) -> Maker:
    """A function of TensorFlow whose input are whole numbers."""

    def make(case: Case) -> None:
        network = Network(case, first=[_rescaling()])
        signature = network.signature(dtype)
        function = tf.function(
            lambda image: network.model(tf.cast(image, tf.float32)), input_signature=signature
        )
        tf2onnx.convert.from_function(
            function, input_signature=signature, opset=opset, output_path=str(case.path("model.onnx"))
        )
        case.save(what, network.answer)

    return make


def class_indices(case: Case) -> None:
    """The file of classes that the tutorials write."""
    network = Network(case, first=[_rescaling()])
    network.model.export(str(case.path("model.onnx")), format="onnx", verbose=False)
    indices = {name: index for index, name in enumerate(labels())}
    case.path("class_indices.json").write_text(json.dumps(indices))
    case.save("export, class_indices.json beside", network.answer, names=labels())


def _augmentation() -> list[Callable[[], Any]]:
    return [lambda: layers.RandomFlip("horizontal"), lambda: layers.RandomRotation(0.1), _rescaling]


CASES: dict[str, Maker] = {
    "export": _exported("export, Rescaling inside", layers=[_rescaling]),
    "export_sigmoid": _exported("export, Dense(1, sigmoid)", layers=[_rescaling], end="sigmoid", classes=1),
    "export_sigmoids": _exported("export, 12 sigmoids", layers=[_rescaling], end="sigmoid"),
    "export_logits": _exported("export, two classes, softmax", layers=[_rescaling], classes=2),
    "export_grey": _exported("export, grey 96 x 96", layers=[lambda: layers.Rescaling(1 / 255)], grey=True),
    "export_digits": _exported(
        "export, Flatten and Dense on [28, 28, 1]",
        layers=[lambda: layers.Rescaling(1 / 255)],
        grey=True,
        shape=(28, 28, 1),
        body=lambda values: layers.Dense(32, "relu")(layers.Flatten()(values)),
    ),
    "export_augmented": _exported(
        "export, RandomFlip and RandomRotation inside", layers=_augmentation(), expected=False
    ),
    "export_dropout": _exported(
        "export, Dropout and BatchNormalization",
        layers=[_rescaling, layers.BatchNormalization, lambda: layers.Dropout(0.3)],
    ),
    "export_uint8": _exported("export, input uint8", layers=[_rescaling], dtype="uint8"),
    "class_indices": class_indices,
    "mobilenet_v2": _application("MobileNetV2", "tf", alpha=0.35),
    "mobilenet_v3": _application("MobileNetV3Small", None, alpha=0.75),
    "densenet": _application("DenseNet121", "torch"),
    "resnet": _application("ResNet50", "caffe"),
    "efficientnet": _application("EfficientNetB0", None),
    "saved_model": _saved_model("tf2onnx --saved-model", "--opset", "17"),
    "saved_model_default": _saved_model("tf2onnx --saved-model, default opset"),
    "saved_model_first": _saved_model("tf2onnx --inputs-as-nchw image", "--inputs-as-nchw", "image"),
    "lite": _lite("tf2onnx --tflite"),
    "lite_quantised": _lite("tf2onnx --tflite, weights quantised", quantised=True),
    "function_uint8": _function("tf2onnx, input uint8", "uint8"),
    "function_int32": _function("tf2onnx, input int32", "int32"),
    "function_opset_9": _function("tf2onnx, opset 9", "float32", 9),
    "function_opset_13": _function("tf2onnx, opset 13", "float32", 13),
}

if __name__ == "__main__":
    run("keras", ("keras", "tensorflow-cpu", "tf2onnx", "onnx"), CASES)
