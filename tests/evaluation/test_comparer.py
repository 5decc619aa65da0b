"""Two models are compared image by image, by what their classes are called."""

from typing import Any

import pytest

from predictor.errors import InvalidImage, InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.comparer import Comparer, Side
from predictor.evaluation.comparison import mcnemar
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import Answer
from predictor.evaluation.runner import Notice, Progress
from predictor.model.labels import Label


def side(*names: str, answers: str) -> Side:
    """A model with these classes, and the number of the class that it gives each image, or x."""

    def classify(data: bytes) -> Answer:
        given = answers[data[0]]
        if given == "x":
            raise InvalidImage("The image is damaged.")
        return Answer([(int(given), 0.9), (1 - int(given), 0.1)], 0.01)

    return Side(Classes([Label(name) for name in names]), classify)


def naming(*answers: set[int]) -> Side:
    """A model of the independent classes cat, dog and fox, and the classes that it names of each image."""

    def classify(data: bytes) -> Answer:
        return Answer([(0, 0.9), (1, 0.1)], 0.01, named=frozenset(answers[data[0]]))

    return Side(Classes([Label(name) for name in ("cat", "dog", "fox")], independent=True), classify)


def pictures(*names: str) -> list[LabelledImage]:
    """Images with these labels."""
    return [
        LabelledImage(f"{n}.png", (name,), lambda n=n: bytes([n]))  # type: ignore[misc]
        for n, name in enumerate(names)
    ]


def compared(first: Side, second: Side, *names: str) -> list[Any]:
    """The steps of a comparison."""
    return list(Comparer(first, second, threads=2).compare(pictures(*names)))


def test_counts() -> None:
    """Images are counted by who is right, and those with different answers are named."""
    *progress, report = compared(
        side("cat", "dog", answers="0011"), side("cat", "dog", answers="0101"), "cat", "cat", "cat", "dog"
    )

    counts = ("both_right", "only_first_right", "only_second_right", "both_wrong")
    assert [report[name] for name in counts] == [2, 1, 1, 0]
    assert progress[-1] == Progress(4, 4)
    assert [one["file"] for one in report["images"]] == ["1.png", "2.png"]
    assert [answer["right"] for answer in report["images"][0]["answers"]] == [True, False]
    assert report["agreement"]["hits"] == 2
    assert [one["hits"] for one in report["top1"]] == [3, 3]
    assert report["accuracy"] == report["top1"]


def test_other_order_of_classes() -> None:
    """An index means what its own model says."""
    *_, report = compared(side("cat", "dog", answers="01"), side("Dog", "CAT", answers="10"), "cat", "dog")

    assert (report["both_right"], report["images"]) == (2, [])


def test_index_as_label() -> None:
    """An index that is given as a label means the class that has it in the first model, in both."""
    first, second = side("cat", "dog", answers="0100"), side("dog", "cat", answers="1011")

    *notices, report = compared(first, second, "0", "1", "0", "1")

    assert [one["hits"] for one in report["top1"]] == [3, 3]
    assert (report["agreement"]["hits"], report["lacking"]) == (4, None)
    assert not any(isinstance(one, Notice) for one in notices)


def test_index_of_a_class_that_one_lacks() -> None:
    """Where the second model has no such class, that is said by the name, and the index means none there."""
    first, second = side("cat", "dog", answers="01"), side("cat", "fox", answers="01")

    *steps, report = compared(first, second, "0", "1")

    assert [one.sentence for one in steps if isinstance(one, Notice)] == [
        "The label of 1 image is not a class of the model: dog (1). The classes of the model: cat and fox."
    ]
    assert (report["pictures"], report["lacking"]["pictures"]) == (1, [0, 1])
    assert report["problems"] == [{"file": "1.png", "problem": "dog is not a class of the model."}]


def test_classes_called_by_numbers() -> None:
    """A number is the name of its class, and no class's place among others."""
    *_, report = compared(side("1", "0", answers="001"), side("1", "0", answers="101"), "1", "1", "0")

    assert (report["agreement"]["hits"], report["agreement"]["of"]) == (2, 3)
    assert [one["file"] for one in report["images"]] == ["0.png"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Label("tabby cat", synonyms=("tabby",)), Label("Tabby"), True),
        (Label("tabby"), Label("tabby_cat", synonyms=("tabby",)), True),
        (Label("tabby", "n01"), Label("N01"), True),
        (Label("crane", "n01"), Label("crane", "n02"), False),
        (Label("crane", synonyms=("bird",)), Label("heron", synonyms=("bird",)), False),
        (Label("7"), Label("0"), False),
    ],
)
def test_names(one: Label, other: Label, *, same: bool) -> None:
    """Classes are the same by their identifiers, or if one's name is a name or synonym of the other."""

    def answer(_: bytes) -> Answer:
        return Answer([(0, 0.9)], 0.01)

    first, second = (Side(Classes([label, Label("any image")]), answer) for label in (one, other))

    *_, report = compared(first, second, "any image")

    assert report["agreement"]["hits"] == same


def test_independent_classes() -> None:
    """Of independent classes all that are named are compared, and just those that apply are right."""
    classless = LabelledImage("3.png", (), lambda: bytes([3]), classless=True)
    images = [*pictures("cat|dog", "cat|dog", "cat"), classless]
    first, second = naming({0, 1}, {0, 1}, {0}, set()), naming({1, 0}, {0, 2}, {0}, {2})

    *_, report = Comparer(first, second, threads=2).compare(images)

    assert isinstance(report, dict)
    assert (report["both_right"], report["only_first_right"], report["both_wrong"]) == (2, 2, 0)
    assert [(one["hits"], one["of"]) for one in report["accuracy"]] == [(4, 4), (2, 4)]
    assert [(one["hits"], one["of"]) for one in report["top1"]] == [(3, 3), (3, 3)]
    assert [(one["file"], one["truth"], one["truths"]) for one in report["images"]] == [
        ("1.png", "cat", ["cat", "dog"]),
        ("3.png", None, []),
    ]
    assert [answer["named"] for answer in report["images"][0]["answers"]] == [["cat", "dog"], ["cat", "fox"]]


def test_labels_that_one_does_not_know() -> None:
    """A label that one model does not have is noticed before anything runs."""
    first, *_, report = compared(
        side("cat", "dog", answers="000"), side("cat", "fox", answers="000"), "cat", "cat", "dog"
    )

    assert isinstance(first, Notice)
    assert "dog (1)" in first.sentence
    assert (report["pictures"], report["left_out"], report["problems"][0]["file"]) == (2, 1, "2.png")


@pytest.mark.parametrize("turned", [False, True])
def test_lacking(*, turned: bool) -> None:
    """Images whose class one model lacks are counted, with the difference if they are wrong for it."""
    sides = [side("cat", "dog", answers="00111"), side("cat", "fox", answers="00000")]
    labels = ("cat", "cat", "dog", "dog", "cat")
    first, second = reversed(sides) if turned else sides

    *_, report = compared(first, second, *labels)

    sign = 1 if turned else -1
    assert report["difference"]["value"] == pytest.approx(-sign / 3)
    assert report["lacking"]["pictures"] == ([2, 0] if turned else [0, 2])
    assert report["lacking"]["difference"]["value"] == pytest.approx(sign / 5)
    assert report["lacking"]["p_value"] == mcnemar(2, 1)
    assert report["pictures"] == 3


def test_nothing_lacking() -> None:
    """Where both know all classes, or neither knows one, nothing is lacking."""
    model = side("cat", "dog", answers="00")

    *_, report = compared(model, model, "cat", "fox")

    assert (report["lacking"], report["left_out"]) == (None, 1)


def test_nothing_to_compare() -> None:
    """Without an image that both can judge there is no report."""
    with pytest.raises(InvalidRequest, match="The image is damaged"):
        compared(side("cat", "dog", answers="x"), side("cat", "dog", answers="0"), "cat")
    with pytest.raises(InvalidRequest, match="cat is not a class"):
        compared(side("cat", "dog", answers="0"), side("lion", "bear", answers="0"), "cat")
