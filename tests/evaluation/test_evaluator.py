"""An evaluation notices wrong labels first, and fits a calibration on the images that it has run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from predictor.errors import InvalidRequest
from predictor.evaluation import evaluator as module
from predictor.evaluation.classes import Classes
from predictor.evaluation.evaluator import Evaluator, noticed, unknown_labels
from predictor.evaluation.images import FILES, FOLDERS, LabelledImage, labelled
from predictor.evaluation.results import Answer
from predictor.evaluation.runner import Notice, Progress
from predictor.model.calibration import Calibration
from predictor.model.label import Label, meant
from tests.model.test_calibration import spec_of, with_calibration
from tools.make_statistics import network

LABELS = tuple(map(Label, ("cat", "dog", "fox")))
CLASSES = Classes(LABELS)


def pictures(*names: str) -> list[LabelledImage]:
    """Images with these labels; without one for an empty text."""
    return [LabelledImage(f"{n}.png", (name,) if name else (), lambda: b"") for n, name in enumerate(names)]


def never(_: bytes) -> Answer:
    """Nothing is to be classified."""
    raise AssertionError


def test_no_known_label() -> None:
    """If no label is a class, nothing runs, and the sentence has the labels and the classes."""
    steps = Evaluator(CLASSES, never, 1).evaluate(pictures("lion", "lion", "bear"))

    with pytest.raises(InvalidRequest) as caught:
        next(steps)

    assert caught.value.detail == (
        "lion is not a class of the model. The labels of the images: lion (2) and bear (1). "
        "The classes of the model: cat, dog and fox."
    )


def test_named_model() -> None:
    """The sentences name the model that does not know a label, where there is more than one."""
    classes = Classes([Label("cat"), Label("dog")], "the candidate")

    with pytest.raises(InvalidRequest, match=r"^lion is not a class of the candidate\. The classes of the c"):
        unknown_labels(pictures("lion"), classes)
    assert unknown_labels(pictures("cat", "lion"), classes) == (
        "The label of 1 image is not a class of the candidate: lion (1). "
        "The classes of the candidate: cat and dog."
    )


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (["cat"] * 3, None),
        ([""] * 3, None),
        (["cat", "lion", "lion"], "The labels of 2 images are not classes of the model: lion (2)."),
        (
            ["lion"] * 3,
            "The images are used without classes: labels are optional. lion is not a class of the model.",
        ),
    ],
)
def test_optional_labels(labels: list[str], sentence: str | None) -> None:
    """Where labels are optional, those that are no classes are said before any work, and forbid nothing."""
    sent = [replace(one, named_by=FOLDERS) for one in pictures(*labels)]

    found = noticed(sent, CLASSES, strict=False)

    assert found is None if sentence is None else str(found).startswith(sentence)


def test_optional_labels_that_are_given() -> None:
    """Where given labels must be classes, names of files forbid nothing, for they may say something else."""
    [photo] = pictures("IMG")

    with pytest.raises(InvalidRequest, match="IMG is not a class"):
        noticed([replace(photo, named_by="the table labels.csv")], CLASSES, strict=True)
    with pytest.raises(InvalidRequest, match="IMG is not a class"):
        noticed([replace(photo, named_by=FOLDERS)], CLASSES, strict=True)
    assert "used without classes" in str(noticed([replace(photo, named_by=FILES)], CLASSES, strict=True))


def test_misspelt_label() -> None:
    """If none of the labels is a class, the sentence has the class that the most frequent one may mean."""
    with pytest.raises(
        InvalidRequest, match=r"^caat is not a class of the model; did you mean cat\? The labels"
    ):
        unknown_labels(pictures("caat", "caat", "bear"), CLASSES)


@pytest.mark.parametrize(
    ("given", "label"),
    [("cat", "tiger cat"), ("Car", "sports car"), ("crat", "crate"), ("17", None)],
)
def test_meant(given: str, label: str | None) -> None:
    """A class whose label has the word is meant before one that only looks like it."""
    labels = [
        Label(one) for one in ("crate", "cairn", "Persian tabby cat", "tiger cat", "sports car", "catamaran")
    ]

    found = meant(given, labels)

    assert (None if found is None else labels[found].name) == label


def test_misspelt_label_among_others() -> None:
    """If some labels are classes, the notice has the class that the most frequent other one may mean."""
    sentence = unknown_labels(pictures("dog", "caat", "caat", "lion"), CLASSES)

    assert sentence is not None
    assert "caat (2) and lion (1). For caat, did you mean cat? The classes" in sentence


def test_numbered_files_of_a_misspelt_folder() -> None:
    """The number of a file is no class in place of a folder whose name is none."""
    with pytest.raises(InvalidRequest, match=r"^caat is not a class of the model; did you mean cat\?"):
        unknown_labels(labelled([("caat/1.jpg", bytes), ("caat/2.jpg", bytes)]), CLASSES)


@pytest.mark.parametrize(
    ("names", "whence"),
    [
        (["lion_a.jpg", "bear_b.jpg"], "the names of the files and their folder"),
        (["lion/1.jpg", "bear/1.jpg"], "the names of the folders"),
    ],
)
def test_labels_of_names(names: list[str], whence: str) -> None:
    """Where no label is a class, the sentence says that they are names of files or folders."""
    sent = labelled([(name, bytes) for name in names])

    with pytest.raises(InvalidRequest, match=f"No table says the labels: they were taken from {whence}"):
        unknown_labels(sent, CLASSES)


def test_no_label() -> None:
    """If no image has a label, the sentence says how to give one."""
    with pytest.raises(InvalidRequest, match="The images have no labels"):
        unknown_labels(pictures("", ""), CLASSES)


def test_many_classes() -> None:
    """Of many classes and labels, some are named."""
    classes = Classes([Label(f"class {number}") for number in range(100)])
    names = [f"lion {number}" for number in range(30)]

    sentence = unknown_labels(pictures("class 1", *names), classes)

    assert "lion 9 (1) and 20 more. The classes of the model: class 0" in str(sentence)
    assert str(sentence).endswith("class 19 and 80 more.")


def test_known_labels() -> None:
    """Where all labels are classes, nothing is noticed; files that are left out do not count."""
    film = LabelledImage("film.mp4", (), lambda: b"", "No image.")

    assert unknown_labels([*pictures("cat", "dog"), film], CLASSES) is None


def evaluate(images: int, calibration: Calibration | None = None) -> list[Any]:
    """The steps of the evaluation of a network that is too sure."""
    scores, truth = network(2.5, 0, images, 3)
    spec = spec_of("softmax")
    spec = spec if calibration is None else replace(spec, calibration=calibration)
    found = [
        LabelledImage(f"{n}.png", (LABELS[one].name,), lambda n=n: n.to_bytes(4))  # type: ignore[misc]
        for n, one in enumerate(truth)
    ]

    def classify(data: bytes) -> Answer:
        return Answer.of(scores[int.from_bytes(data)], spec, 0.01)

    return list(Evaluator(CLASSES, classify, 2, spec, precision=0.9).evaluate(found))


def test_fit() -> None:
    """The report says what a temperature would change on the other half, and suggests a threshold."""
    *progress, report = evaluate(400)

    fit = report["calibration"]["fit"]
    assert progress[-1] == Progress(400, 400)
    assert (fit["fitted_on"], fit["tested_on"]) == (200, 200)
    assert fit["calibration"]["temperature"] == pytest.approx(2.5, rel=0.3)
    assert fit["after"]["error"] < fit["before"]["error"]
    assert fit["precision"]["reached"] > 0.8


def test_fit_of_a_calibrated_version() -> None:
    """A calibrated version answers with its confidences, and is fitted as it would be without them."""
    *_, plain = evaluate(400)
    *_, again = evaluate(400, Calibration((2.5,)))

    assert again["calibration"]["error"] < plain["calibration"]["error"]
    assert again["calibration"]["fit"]["calibration"] == plain["calibration"]["fit"]["calibration"]


def test_repeated_images() -> None:
    """Equal images count once in the fit, so that none is fitted in one half and judged in the other."""
    scores, truth = network(2.5, 0, 100, 3)
    spec = spec_of("softmax")
    found = [
        LabelledImage(f"{n}.png", (LABELS[truth[n % 100]].name,), lambda n=n: (n % 100).to_bytes(4))  # type: ignore[misc]
        for n in range(400)
    ]

    def evaluated(images: list[LabelledImage]) -> Any:
        def classify(data: bytes) -> Answer:
            return Answer.of(scores[int.from_bytes(data)], spec, 0.01)

        *_, report = Evaluator(CLASSES, classify, 2, spec, precision=0.9).evaluate(images)
        assert isinstance(report, dict)
        return report

    report, once = evaluated(found), evaluated(found[:100])

    fit = report["calibration"]["fit"]
    assert (fit["fitted_on"], fit["tested_on"], fit["repeated"]) == (50, 50, 300)
    assert fit == once["calibration"]["fit"] | {"repeated": 300}
    assert report["pictures"] == 400


def test_few_images_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many images there are, a bounded number of logits is kept."""
    monkeypatch.setattr(module, "_MAX_LOGITS", 300)

    *_, report = evaluate(400)

    assert report["calibration"]["fit"]["fitted_on"] + report["calibration"]["fit"]["tested_on"] == 100
    assert report["pictures"] == 400


def test_notice() -> None:
    """Some unknown labels are noticed, and the other images are evaluated."""

    def classify(_: bytes) -> Answer:
        return Answer.of(np.array([3.0, 1.0, 0.0]), spec_of("softmax"), 0.01)

    first, *_, report = Evaluator(CLASSES, classify, 1).evaluate(pictures("cat", "lion", "dog"))

    assert isinstance(first, Notice)
    assert isinstance(report, dict)
    assert report["notice"] == first.sentence
    assert (report["pictures"], report["left_out"], "fit" in report["calibration"]) == (2, 1, False)


@pytest.mark.parametrize("middle", [1.9, 2.0, 2.1, 2.2])
def test_threshold_keeps_its_images(middle: float) -> None:
    """The images that a threshold was computed from reach it once the version has it."""
    generator, spec = np.random.default_rng(5), spec_of("none")
    levels = generator.choice([1.0, middle, 4.0], 200)
    logits = np.eye(3)[generator.integers(3, size=200)] * levels[:, np.newaxis]
    scores = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    right = generator.random(200) < np.select([levels == 1, levels == middle], [0.6, 0.85], 0.97)
    truths = np.where(right, scores.argmax(axis=1), scores.argmin(axis=1))
    images = [
        LabelledImage(f"{row}.png", (LABELS[truth].name,), lambda row=row: bytes([row]))  # type: ignore[misc]
        for row, truth in enumerate(truths)
    ]

    def classify(data: bytes) -> Answer:
        return Answer.of(scores[data[0]], spec, 0.01)

    *_, report = Evaluator(CLASSES, classify, 1, spec, precision=0.8).evaluate(images)

    assert isinstance(report, dict)
    suggested = with_calibration(spec, **report["calibration"]["fit"]["calibration"])
    answers = [Answer.of(one, suggested, 0.01) for one in scores]
    reached = [one.ranked[0][1] >= one.threshold for one in answers]
    assert reached == (levels >= middle).tolist()
