"""Preprocessings are ranked by what a model gets right; a model that is made for one finds it."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage, labelled
from predictor.evaluation.runner import Progress
from predictor.evaluation.tune import Tuner, sample
from predictor.image.decode import Limits
from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.model.labels import Label
from predictor.model.spec import ModelSpec, Tensor

COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 200, 40),
    "blue": (40, 40, 200),
    "grey": (120, 120, 120),
    "white": (230, 230, 230),
}
SPEC = ModelSpec(
    image=Tensor("image", "float32", (None, 3, 8, 8)),
    scores=Tensor("scores", "float32", (None, len(COLOURS))),
    preprocessing=Preprocessing(8, 8, resize_to=9, layout="NCHW", dtype="float32", scale=1 / 255),
    activation="softmax",
    labels=tuple(map(Label, COLOURS)),
)

CLASSES = Classes(SPEC.labels)


def nearest(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Scores each colour by how near the mean of a tensor from -1 to 1, blue first, is to it."""
    seen = tensor.mean(axis=(1, 2))
    wanted = np.array(list(COLOURS.values()))[:, ::-1] / 127.5 - 1
    return np.asarray(-10 * np.square(wanted - seen).sum(axis=1))


def picture(label: str, *, truth: bool = True, seed: int = 0) -> LabelledImage:
    """An image of a colour."""
    noise = np.random.default_rng(seed).normal(0, 15, (12, 12, 3))
    pixels = (np.array(COLOURS[label]) + noise).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return LabelledImage(f"{label}/{seed}.png", (label,) if truth else (), out.getvalue)


def ranking(
    pictures: Sequence[LabelledImage], spec: ModelSpec = SPEC
) -> tuple[list[Progress], dict[str, Any]]:
    """The progress and the ranking."""
    *steps, report = Tuner(spec, nearest, Limits(), threads=2).tune(pictures)
    assert isinstance(report, dict)
    return [step for step in steps if isinstance(step, Progress)], report


def test_finds_it() -> None:
    """The range and order of channels that the model was made for come out on top."""
    progress, report = ranking([picture(label, seed=seed) for label in COLOURS for seed in range(10)])

    best = report["candidates"][0]
    now = next(one for one in report["candidates"] if one["current"])
    assert best["values"] == "-1 to 1, BGR"
    assert (best["top1"]["hits"], best["tied"], report["labelled"]) == (50, False, True)
    assert Preprocessing.from_json(best["preprocessing"]).channels == "BGR"
    # Red and blue are taken for each other.
    assert (now["values"], now["tied"]) == ("0 to 1, RGB", False)
    assert now["top1"]["hits"] <= 30
    assert now["chance"] < 0.001
    assert len(report["candidates"]) >= 12
    runs = 50 * len(report["candidates"])
    assert (progress[-1].done, progress[-1].of) == (runs, runs)


def test_bad_pictures() -> None:
    """An image that cannot be opened is left out with its reason."""
    bad = LabelledImage("red/bad.png", ("red",), lambda: b"\x89PNG\r\n\x1a\n")

    _, report = ranking([picture("red"), bad, picture("blue")])

    assert (report["pictures"], report["left_out"]) == (2, 1)
    assert report["problems"] == [{"file": "red/bad.png", "problem": "The image is damaged or incomplete."}]


def test_unlabelled_among_labelled() -> None:
    """Where some images have labels, those without are left out with the reason."""
    film = LabelledImage("film.mp4", (), bytes, "Not an image.")
    _, report = ranking([picture("red"), picture("blue", truth=False), film])

    assert (report["pictures"], report["labelled"], report["left_out"]) == (1, True, 2)
    assert [one["problem"] for one in report["problems"]] == ["Nothing says its class.", "Not an image."]


def test_several_labels() -> None:
    """An image with several labels is right if the most confident class is any of them."""
    both = replace(picture("red"), name="both.png", truth=("grey",), also=(("red",),))
    joined = replace(picture("blue"), name="joined.png", truth=("white | blue",))

    _, report = ranking([both, joined])

    best = report["candidates"][0]
    assert (best["top1"]["hits"], best["top1"]["of"]) == (2, 2)
    assert (best["top5"]["hits"], report["left_out"]) == (2, 0)


def test_no_class_applies() -> None:
    """An image to which none of the independent classes applies is left out with that reason."""
    bare = LabelledImage("bare.png", (), picture("grey").read, classless=True)

    _, report = ranking([picture("red"), bare], replace(SPEC, activation="sigmoid"))

    assert report["problems"] == [{"file": "bare.png", "problem": "No class applies to it."}]


def test_sample_keeps_what_is_left_out() -> None:
    """Files that are left out take no image's place, and are still counted."""
    others = [LabelledImage(f"{n}.mp4", (), bytes, "Not an image.") for n in range(5)]

    chosen = sample([picture("red"), *others, picture("blue"), picture("red")], 2, CLASSES)

    assert [one.left_out is None for one in chosen] == [True] * 2 + [False] * 5


def test_no_labels() -> None:
    """Without labels the mean confidence decides, and the report says that this is weaker."""
    _, report = ranking([picture(label, truth=False) for label in COLOURS])

    sure = [one["confidence"] for one in report["candidates"]]
    assert report["labelled"] is False
    assert "weaker" in report["basis"]
    assert sure == sorted(sure, reverse=True)
    assert "top1" not in report["candidates"][0]


def test_no_pictures() -> None:
    """If none can be opened, the first one's reason is given."""
    with pytest.raises(InvalidRequest, match="The image is empty"):
        ranking([LabelledImage("a.png", ("red",), bytes)])


def test_sample() -> None:
    """A sample has as many of each class as can be, and is always the same."""
    pictures = [picture("red", seed=n) for n in range(50)] + [picture("blue", seed=n) for n in range(3)]

    chosen = sample(pictures, 10, CLASSES)

    assert [one.truth for one in chosen].count(("blue",)) == 3
    assert [one.name for one in chosen] == [one.name for one in sample(pictures, 10, CLASSES)]
    assert len(chosen) == 10
    assert sample(pictures, 100, CLASSES) == pictures


def test_sample_by_names_of_files() -> None:
    """What counts is the class that a label means, whatever else the name of a file says."""
    names = [f"red_{number}.png" for number in range(95)] + [f"Blue-{number}.png" for number in range(5)]

    chosen = sample(labelled([(name, bytes) for name in names]), 10, CLASSES)

    assert sum(one.name.startswith("Blue") for one in chosen) == 5


def test_large_jpeg(photograph: bytes) -> None:
    """Every candidate sees the pixels of the whole decoding, however large a JPEG is."""
    seen = list[npt.NDArray[Any]]()

    def run(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        seen.append(tensor)
        return nearest(tensor)

    list(
        Tuner(SPEC, run, Limits(), threads=1).tune([LabelledImage("red/1.jpg", ("red",), lambda: photograph)])
    )

    whole = to_tensor(Image.open(io.BytesIO(photograph)), SPEC.preprocessing)
    assert any(np.array_equal(tensor, whole) for tensor in seen)
