"""Two models on the same labelled images, step by step, from the labels to the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from predictor.archives import shown
from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.comparison import Pairs, expected_calibration_error
from predictor.evaluation.evaluator import unknown_labels
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.measures import Share, milliseconds
from predictor.evaluation.results import Answer, ImageResult
from predictor.evaluation.runner import Classify, Notice, Progress, Thumbnails, classified, parallel_map
from predictor.image.decode import Limits
from predictor.model.label import Label, plain

_MAX_PROBLEMS = 100


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        classes: its classes.
        classify: classifies an image; called from several threads.
    """

    classes: Classes
    classify: Classify

    def named(self, answer: Answer) -> list[Label]:
        """The predicted classes: the most confident one, or the independent ones above their threshold."""
        indices = [answer.ranked[0][0]] if answer.named is None else sorted(answer.named)
        return [self.classes.labels[index] for index in indices]


@dataclass(frozen=True)
class _Both:
    """What came of an image with both models."""

    first: ImageResult
    second: ImageResult
    thumbnail: str | None = None

    @property
    def problem(self) -> str | None:
        return self.first.problem or self.second.problem

    @property
    def lacking(self) -> bool:
        """Whether one model has an answer, and the other lacks the image's class."""
        first, second = self.first, self.second
        return (first.unknown and second.answer is not None) or (second.unknown and first.answer is not None)


@dataclass(frozen=True)
class Comparer:
    """Compares two models.

    Attributes:
        first: the one that is there.
        second: the one that may take its place.
        threads: images that are worked on at a time.
        limits: of images, if small copies of those on which the models differ are wanted.
    """

    first: Side
    second: Side
    threads: int
    limits: Limits | None = None

    def compare(self, images: Sequence[LabelledImage]) -> Iterator[Notice | Progress | dict[str, Any]]:
        """Classify labelled images with both, each image with one after the other.

        Args:
            images: at least one.

        Yields:
            What is noticed before anything runs, the progress, and at last the report as JSON.

        Raises:
            InvalidRequest: no image has a class that both know, and two answers.
        """
        named = [self._by_name(image) for image in images]
        for sent, classes in ((images, self.first.classes), (named, self._second_classes)):
            if notice := unknown_labels(sent, classes):
                yield Notice(notice)
        thumbnails, found = Thumbnails(self.limits), list[_Both]()
        for one in parallel_map(lambda image: self._both(image, thumbnails), images, self.threads):
            found.append(one)
            yield Progress(len(found), len(images))
        yield self._report(found)

    @cached_property
    def _second_classes(self) -> Classes:
        """The second model's classes; an index in a label is the first model's."""
        own = self.second.classes
        return Classes(own.labels, own.model, independent=own.independent, indices=False)

    def _by_name(self, image: LabelledImage) -> LabelledImage:
        """An image as the second model reads its label."""
        classes = self.first.classes
        said = classes.by_name(image.said)
        label = ", ".join(classes.labels[index].name for index in classes.all_of(image.said))
        return replace(image, truth=said[0] if said else (), also=said[1:], label=label or image.called)

    def _both(self, image: LabelledImage, thumbnails: Thumbnails) -> _Both:
        first, data = classified(image, self.first.classes, self.first.classify)
        if first.answer is None and not first.unknown:
            return _Both(first, first)
        again = self._by_name(image)
        again = again if first.unknown else replace(again, read=lambda: data)
        second, _ = classified(again, self._second_classes, self.second.classify)
        # Of many images they would take more memory than all else.
        both = _Both(first.without_logits(), second.without_logits())
        return replace(both, thumbnail=thumbnails.of(data)) if self._differ(both) else both

    def _differ(self, both: _Both) -> bool:
        """Whether the models predict different classes; by name, for an index means what its model says."""
        first, second = both.first.answer, both.second.answer
        if first is None or second is None:
            return False
        ones, others = self.first.named(first), self.second.named(second)
        return len(ones) != len(others) or not all(any(_same(one, other) for other in others) for one in ones)

    def _report(self, found: Sequence[_Both]) -> dict[str, Any]:
        judged = [one for one in found if one.first.answer is not None and one.second.answer is not None]
        if not any(one.first.truths for one in judged):
            problem = next((one for one in found if one.problem), None)
            why = "" if problem is None else f" The first is {shown(problem.first.name)}: {problem.problem}"
            raise InvalidRequest(f"None of the {len(found)} files could be compared.{why}")
        sides = _sides(judged)
        right = [[one.right for one in results] for results in sides]
        differing = [one for one in judged if self._differ(one)]
        problems = [{"file": one.first.name, "problem": one.problem} for one in found if one.problem]
        return {
            "pictures": len(judged),
            "accuracy": [Share(sum(hits), len(judged)).to_json() for hits in right],
            "top1": [_top1(results).to_json() for results in sides],
            **Pairs.of(*right).to_json(),
            "lacking": _with_lacking(judged, [one for one in found if one.lacking]),
            "agreement": Share(len(judged) - len(differing), len(judged)).to_json(),
            "calibration_error": [
                expected_calibration_error(_confidences(results), [one.best_applies for one in results])
                for results in sides
            ],
            "latency": [milliseconds(_seconds(results)) for results in sides],
            "images": [self._image(one) for one in sorted(differing, key=_place)],
            "left_out": len(found) - len(judged),
            "problems": problems[:_MAX_PROBLEMS],
        }

    def _image(self, both: _Both) -> dict[str, Any]:
        """An image on which the models differ, as JSON."""
        sides = zip((self.first, self.second), (both.first, both.second), strict=True)
        answers = [
            _answer(side, result, result.answer) for side, result in sides if result.answer is not None
        ]
        truths = [self.first.classes.labels[index].name for index in both.first.truths]
        several = {} if len(truths) == 1 else {"truths": truths}
        small = {} if both.thumbnail is None else {"thumbnail": both.thumbnail}
        truth = truths[0] if truths else None
        return {"file": both.first.name, "truth": truth, **several, "answers": answers, **small}


def _answer(side: Side, result: ImageResult, answer: Answer) -> dict[str, Any]:
    """What one of the models says, as JSON."""
    index, confidence = answer.ranked[0]
    named = {} if answer.named is None else {"named": [label.name for label in side.named(answer)]}
    label = side.classes.labels[index].name
    return {"label": label, "confidence": confidence, **named, "right": result.right}


def _same(one: Label, other: Label) -> bool:
    """Whether two models mean the same class: by its identifier if both have one, else by its names."""
    if one.id is not None and other.id is not None:
        return one.id == other.id
    return plain(one.name) in _names(other) or plain(other.name) in _names(one)


def _names(label: Label) -> set[str]:
    return {plain(name) for name in (label.name, label.id, *label.synonyms) if name is not None}


def _with_lacking(judged: Sequence[_Both], lacking: Sequence[_Both]) -> dict[str, Any] | None:
    """What the difference is with images that are wrong for the model that lacks their class."""
    if not lacking:
        return None
    together = [*judged, *lacking]
    found = Pairs.of([one.first.right for one in together], [one.second.right for one in together]).to_json()
    unknown = [sum(one.first.unknown for one in lacking), sum(one.second.unknown for one in lacking)]
    return {"pictures": unknown, "difference": found["difference"], "p_value": found["p_value"]}


def _top1(results: Sequence[ImageResult]) -> Share:
    """The share of the images with a class of which the most confident class applies."""
    return Share(sum(one.best_applies for one in results), sum(bool(one.truths) for one in results))


def _sides(judged: Sequence[_Both]) -> tuple[list[ImageResult], list[ImageResult]]:
    return [one.first for one in judged], [one.second for one in judged]


def _confidences(results: Sequence[ImageResult]) -> list[float]:
    return [one.answer.ranked[0][1] for one in results if one.answer is not None]


def _seconds(results: Sequence[ImageResult]) -> list[float]:
    return [one.answer.seconds for one in results if one.answer is not None]


def _place(one: _Both) -> int:
    """First those that only the first gets right, then those that only the second does, then the others."""
    return {(True, False): 0, (False, True): 1}.get((one.first.right, one.second.right), 2)
