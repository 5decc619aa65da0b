"""Images are classified a few at a time, in order, and no failure ends the rest."""

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from predictor.config import Settings
from predictor.errors import InvalidImage
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import Answer
from predictor.evaluation.runner import classify_all, parallel_map
from predictor.image.decode import Limits
from predictor.model.labels import Label
from tests.patience import PATIENCE

CLASSES = Classes((Label("cat"), Label("dog")))


def classify(data: bytes) -> Answer:
    """Takes the first byte for the answer."""
    if not data:
        raise InvalidImage("The image is empty.")
    return Answer([(data[0], 0.9), (1 - data[0], 0.1)], 0.01)


def test_judged() -> None:
    """Each image has its truth and its answer, or the reason why it has none."""
    pictures = [
        LabelledImage("a", ("cat",), lambda: b"\0"),
        LabelledImage("b", ("lion",), lambda: b"\1"),
        LabelledImage("c", ("dog",), lambda: b""),
        LabelledImage("d", (), lambda: b"\1"),
        LabelledImage("e", ("cat",), lambda: b"\0", "No image."),
    ]

    found = list(classify_all(pictures, CLASSES, classify, threads=3))

    assert [(one.name, one.truth, one.problem) for one in found] == [
        ("a", 0, None),
        ("b", None, "lion is not a class of the model."),
        ("c", 1, "The image is empty."),
        ("d", None, "Nothing says its class."),
        ("e", None, "No image."),
    ]
    # What has no class is not even run.
    assert [one.answer.ranked[0][0] if one.answer else None for one in found] == [0, None, None, None, None]


def test_several_classes() -> None:
    """An image to which several classes apply is right with each of them, and unknown if one is unknown."""
    pictures = [
        LabelledImage("a", ("cat",), lambda: b"\1", also=(("dog",),)),
        LabelledImage("b", ("cat|dog",), lambda: b"\1"),
        LabelledImage("c", ("cat; lion",), lambda: b"\1"),
        LabelledImage("d", ("cat",), lambda: b"\1", also=(("lion",),)),
        LabelledImage("e", ("cat",), lambda: b"\1"),
    ]

    found = list(classify_all(pictures, CLASSES, classify, threads=3))

    assert [one.truths for one in found] == [(0, 1), (0, 1), (), (), (0,)]
    assert [one.right for one in found] == [True, True, False, False, False]


def test_independent_classes() -> None:
    """Of independent classes just those must be named that apply; an empty label says that none does."""
    classes = Classes(CLASSES.labels, independent=True)
    pictures = [
        LabelledImage("a", ("cat",), lambda: b"\0"),
        LabelledImage("b", ("cat",), lambda: b"\0\1"),
        LabelledImage("c", ("cat",), lambda: b"", also=(("dog",),)),
        LabelledImage("d", (), lambda: b"", classless=True),
        LabelledImage("e", (), lambda: b"\1", classless=True),
        LabelledImage("f", (), lambda: b""),
    ]

    def answer(data: bytes) -> Answer:
        return Answer([(0, 0.4), (1, 0.3)], 0.01, named=frozenset(data))

    found = list(classify_all(pictures, classes, answer, threads=3))
    other = list(classify_all(pictures[3:4], CLASSES, classify, threads=1))

    assert [(one.right, one.missed, one.extra, one.unsure) for one in found] == [
        (True, (), (), False),
        (False, (), (1,), False),
        (False, (0, 1), (), False),
        (True, (), (), False),
        (False, (), (1,), False),
        (False, (), (), False),
    ]
    assert [one.judged for one in found] == [True, True, True, True, True, False]
    assert [found[5].problem, other[0].problem] == ["Nothing says its class."] * 2


def test_thumbnails(cat: Path) -> None:
    """Wrong and unsure images have a small copy if copies are wanted."""
    data = cat.read_bytes()
    pictures = [
        LabelledImage("right", ("cat",), lambda: data),
        LabelledImage("wrong", ("dog",), lambda: data),
    ]

    def answer(_: bytes) -> Answer:
        return Answer([(0, 0.9), (1, 0.1)], 0.01)

    limits = Limits.of(Settings())
    found = list(classify_all(pictures, CLASSES, answer, 1, limits))
    plain = list(classify_all(pictures, CLASSES, answer, 1))
    unsure = list(classify_all(pictures[:1], CLASSES, lambda _: Answer([(0, 0.4)], 0.01), 1, limits))

    assert [one.thumbnail is not None for one in (*found, *plain, *unsure)] == [
        False,
        True,
        False,
        False,
        True,
    ]
    assert str(found[1].thumbnail).startswith("data:image/jpeg;base64,")


def test_order_and_width() -> None:
    """Results come in order although work overlaps, and never more than the threads work at a time."""
    working, most, lock = 0, 0, threading.Lock()
    meeting = threading.Barrier(3)

    def work(number: int) -> int:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        meeting.wait(PATIENCE)
        with lock:
            working -= 1
        return number

    assert list(parallel_map(work, range(30), 3)) == list(range(30))
    assert most == 3


def test_stops_with_its_reader() -> None:
    """What nobody waits for any more is not begun."""
    begun: list[int] = []

    def numbers() -> Iterator[int]:
        yield from range(1000)

    results = parallel_map(begun.append, numbers(), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]

    assert len(begun) < 10


@dataclass(eq=False)
class Thing:
    """What is worked on."""

    number: int


def test_nothing_is_left_to_do() -> None:
    """What waits for a thread when the reader stops is given up; what is at work comes to its end."""
    begun, done = list[int](), list[int]()
    at_work, given_up, go_on = threading.Event(), threading.Event(), threading.Event()

    def watched(thing: Thing) -> Thing:
        weakref.finalize(thing, given_up.set)
        return thing

    def things() -> Iterator[Thing]:
        yield Thing(0)
        yield Thing(1)
        yield watched(Thing(2))

    def work(thing: Thing) -> None:
        begun.append(thing.number)
        if thing.number == 1:
            at_work.set()
            assert go_on.wait(PATIENCE)
        done.append(thing.number)

    results = parallel_map(work, things(), 1)
    next(results)
    assert at_work.wait(PATIENCE)
    closing = threading.Thread(target=results.close)  # type: ignore[attr-defined]
    closing.start()
    dropped = given_up.wait(PATIENCE)
    go_on.set()
    closing.join(PATIENCE)

    assert dropped
    assert begun == done == [0, 1]
