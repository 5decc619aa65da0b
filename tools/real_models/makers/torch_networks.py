"""Networks of PyTorch with random weights whose answers differ between images, and ways to export them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision import transforms

from tools.real_models.makers import case

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SEED = 3
_CROP = 0.875
_NOISE, _SMALL = 0.2, 5

Prepare = Callable[[Any], Any]


class Through(nn.Module):
    """A network with something before it and something behind it."""

    def __init__(self, network: Any, *, first: Any = None, end: Any = None) -> None:
        super().__init__()
        self.network, self._first, self._end = network, first, end

    def forward(self, x: Any) -> Any:
        """What the whole answers to a batch."""
        values = self.network(self._first(x) if self._first else x)
        return self._end(values) if self._end else values


def preset(side: int = 224) -> Prepare:
    """The preprocessing of torchvision's classifiers: from an image to a tensor [3, side, side]."""
    steps = [transforms.Resize(int(side / _CROP)), transforms.CenterCrop(side), transforms.ToTensor()]
    whole: Prepare = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    return whole


def stretched(side: int) -> Prepare:
    """That of networks for small images, of which nothing is cut off."""
    steps = [transforms.Resize((side, side)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    whole: Prepare = transforms.Compose(steps)
    return whole


def calm(network: Any) -> Any:
    """Let each small convolution pass its input on, and add a little of everything else.

    Deep networks of random weights answer otherwise if a pixel differs by one level; trained ones do not.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and _passes(layer):
                noise = torch.randn_like(layer.weight) * (_NOISE / layer.weight[0].numel() ** 0.5)
                nn.init.dirac_(layer.weight, layer.groups).add_(noise)
    return network


def _passes(layer: Any) -> bool:
    """Whether a convolution is small, and does not cut its input into patches."""
    side: int = layer.kernel_size[0]
    return side == 1 or layer.stride[0] < side <= _SMALL


def small(photographs: Sequence[Path], prepare: Prepare, *, channels: int = 3, classes: int = 12) -> Any:
    """A network of two convolutions, fit for the photographs as they are prepared."""
    torch.manual_seed(_SEED)
    last = nn.Linear(48, classes)
    layers = [nn.Conv2d(channels, 24, 7, 3), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 48, 3, 2)]
    network = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), last)
    return fit(network, last, batch(photographs, prepare))


def batch(photographs: Sequence[Path], prepare: Prepare) -> Any:
    """Parts of the photographs as a batch."""
    return torch.stack([prepare(part) for part in case.samples(photographs)])


def fit(network: Any, last: Any, images: Any) -> Any:
    """Set the statistics and the last layer by a batch, so that answers differ; the network is given back."""
    seen: list[Any] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        network.train()
        network(images)
        hook = last.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
        network.eval()(images)
        hook.remove()
        features = seen[0].mean((2, 3)) if seen[0].dim() == 4 else seen[0].flatten(1)
        weight, bias = case.last_layer(features.double().numpy(), last.weight.shape[0])
        last.weight.copy_(torch.from_numpy(weight.T).reshape(last.weight.shape))
        if last.bias is not None:
            last.bias.copy_(torch.from_numpy(bias))
    return network.requires_grad_(False)


def scores(network: Any, values: Any) -> case.Array:
    """What a network answers to one prepared image, shape [classes]."""
    with torch.no_grad():
        return np.asarray(network(values[None]).flatten().double().numpy())


def answer(
    network: Any, prepare: Prepare, confidences: Callable[[case.Array], case.Array] = case.softmax
) -> case.Answer:
    """The network's own confidences for a photograph."""
    return lambda photograph: confidences(scores(network, prepare(case.opened(photograph))))


def legacy(network: Any, example: Any, path: Path, **options: Any) -> None:
    """Export by tracing."""
    examples = example if isinstance(example, tuple) else (example,)
    torch.onnx.export(network, examples, str(path), dynamo=False, **{"opset_version": 17, **options})


def dynamo(network: Any, example: Any, path: Path, **options: Any) -> None:
    """Export as torch does by default, in one file unless it is said otherwise."""
    examples = example if isinstance(example, tuple) else (example,)
    torch.onnx.export(network, examples, str(path), **{"external_data": False, **options})
