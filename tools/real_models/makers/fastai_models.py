"""Learners of fastai, exported by torch as their users do it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision import all as fastai
from torch import nn

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import CLASSES, Answer, Case, Maker, labels, run, samples, softmax


def _learner(case: Case, network: Callable[..., Any], method: str) -> Any:
    """A learner whose network and statistics are set by parts of the photographs."""
    torch.manual_seed(3)
    folder = case.folder / "images"
    parts = samples(case.photographs)
    for index, part in enumerate(parts):
        (folder / labels()[index % CLASSES]).mkdir(parents=True, exist_ok=True)
        part.save(folder / labels()[index % CLASSES] / f"{index}.png")
    loaders = fastai.ImageDataLoaders.from_folder(
        folder, valid_pct=0.3, seed=1, item_tfms=fastai.Resize(224, method=method), bs=4, num_workers=0
    )
    loaders.add_tfms([fastai.Normalize.from_stats(*fastai.imagenet_stats)], "after_batch")
    learner = fastai.vision_learner(loaders, network, normalize=False, pretrained=False, n_out=CLASSES)
    files = sorted(folder.rglob("*.png"))
    images = torch.cat([_prepared(learner, file) for file in files])
    last = [one for one in learner.model.modules() if isinstance(one, nn.Linear)][-1]
    nets.fit(nets.calm(learner.model), last, images)
    return learner


def _prepared(learner: Any, path: Path) -> Any:
    """An image as the learner's own test set has it, [1, 3, 224, 224]."""
    (values,) = learner.dls.test_dl([path], num_workers=0).one_batch()[:1]
    return torch.Tensor(values).as_subclass(torch.Tensor)


def _answer(learner: Any) -> Answer:
    def answer(photograph: Path) -> Any:
        with torch.no_grad():
            return softmax(np.asarray(learner.model.eval()(_prepared(learner, photograph))[0].double()))

    return answer


def _exported(what: str, network: Callable[..., Any], method: str, said: str | None = None) -> Maker:
    """An export by tracing; fastai writes nothing about images, so that `said` has to."""

    def make(case: Case) -> None:
        learner = _learner(case, network, method)
        nets.legacy(learner.model.eval(), torch.zeros(1, 3, 224, 224), case.path("model.onnx"))
        case.path("labels.txt").write_text("\n".join(learner.dls.vocab) + "\n")
        if said:
            case.path("preprocessing.json").write_text(said)
        case.save(
            what,
            _answer(learner),
            labels="labels.txt",
            preprocessing="preprocessing.json" if said else None,
            names=list(learner.dls.vocab),
        )

    return make


_BILINEAR = '"interpolation": "bilinear"'
_NUMBERS = '"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "scale": 0.00392156862745098'
CASES: dict[str, Maker] = {
    "resnet18_squish": _exported(
        "resnet18, Resize(224, squish), own JSON",
        fastai.resnet18,
        "squish",
        f'{{"resize": "stretch", "interpolation": "bilinear", {_NUMBERS}}}',
    ),
    "resnet18_crop": _exported(
        "resnet18, Resize(224), own JSON",
        fastai.resnet18,
        "crop",
        f'{{"resize": "crop", "resize_to": 224, "rounding": "first", {_BILINEAR}, {_NUMBERS}}}',
    ),
    "squeezenet": _exported(
        "squeezenet1_1, Resize(224, squish), own JSON",
        fastai.squeezenet1_1,
        "squish",
        f'{{"resize": "stretch", "interpolation": "bilinear", {_NUMBERS}}}',
    ),
}

if __name__ == "__main__":
    run("fastai", ("fastai", "torch", "torchvision"), CASES)
