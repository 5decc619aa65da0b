"""Try plausible preprocessings of a model on images, and rank them."""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.archives import shown
from predictor.errors import InvalidRequest, PredictorError
from predictor.evaluation.candidates import Candidate, geometries, values
from predictor.evaluation.classes import Classes
from predictor.evaluation.comparison import Pairs
from predictor.evaluation.evaluator import noticed
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.measures import Share
from predictor.evaluation.results import TOP
from predictor.evaluation.runner import Notice, Progress, no_class, parallel_map
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import Preprocessing, to_tensor
from predictor.model.scores import rank
from predictor.model.spec import ModelSpec

Run = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
"""The tensor of one image, without a batch axis -> its scores, shape [classes]."""

DISTINCT = 0.05
"""Candidates whose difference from the best is more likely chance than this cannot be told apart from it."""

# What a confidence of 0 counts as, so that one image cannot cost an infinity.
_LEAST = 1e-7
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Score:
    """One image with one candidate.

    Attributes:
        place: the place of the right class among all, from 0, or of the most confident of several right ones;
            None if none is known.
        truth: its confidence; None if none is known.
        top: the confidence of the most confident class.
    """

    place: int | None
    truth: float | None
    top: float


@dataclass
class _Tried:
    """A candidate and its scores, image by image."""

    candidate: Candidate
    scores: list[Score] = field(default_factory=list)

    @property
    def hits(self) -> list[bool]:
        return [score.place == 0 for score in self.scores]

    @property
    def loss(self) -> float:
        """The mean logarithmic loss of the right classes."""
        losses = [-math.log(max(score.truth, _LEAST)) for score in self.scores if score.truth is not None]
        return sum(losses) / len(losses)

    @property
    def confidence(self) -> float:
        """The mean confidence of the most confident class."""
        return sum(score.top for score in self.scores) / len(self.scores)


@dataclass(frozen=True)
class Tuner:
    """Tries preprocessings.

    Attributes:
        spec: the model as it is now.
        run: runs it.
        limits: of images.
        threads: images that are worked on at a time.
    """

    spec: ModelSpec
    run: Run
    limits: Limits
    threads: int

    def tune(self, images: Sequence[LabelledImage]) -> Iterator[Notice | Progress | dict[str, Any]]:
        """Try what the values of the tensor may be, then with the best of these how an image gets its size.

        Yields:
            What is noticed of the labels before anything runs, the progress, and at last the ranking as JSON.

        Raises:
            InvalidRequest: none of the images can be used, or there are labels and none is a class.
        """
        classes = Classes(self.spec.labels, independent=self.spec.independent)
        if notice := noticed(images, classes, strict=True):
            yield Notice(notice)
        truths = [classes.all_of(image.said) for image in images]
        labelled = any(truths)
        chosen, problems = [], dict[str, str]()
        for image, truth in zip(images, truths, strict=True):
            if image.left_out or (labelled and not truth):
                problems[image.name] = image.left_out or _not_ranked(image, classes)
            else:
                chosen.append((image, truth))
        first = values(self.spec.preprocessing)
        later = len(geometries(first[0]))
        total = len(chosen) * (len(first) + later)
        tried = yield from self._try(first, chosen, problems, Progress(0, total))
        best = _ranked(tried, labelled=labelled)[0].candidate
        second = geometries(best)
        done = Progress(len(chosen) * len(first), total)
        tried += yield from self._try(second, chosen, problems, done)
        report = _ranking(_ranked(tried, labelled=labelled), labelled=labelled, problems=problems)
        yield report | ({"notice": notice} if notice else {})

    def _try(
        self,
        candidates: list[Candidate],
        images: list[tuple[LabelledImage, tuple[int, ...]]],
        problems: dict[str, str],
        progress: Progress,
    ) -> Generator[Progress, None, list[_Tried]]:
        tried = [_Tried(candidate) for candidate in candidates]
        forms = [candidate.preprocessing for candidate in candidates]
        results = parallel_map(lambda one: self._scores(*one, forms), images, self.threads)
        for (image, _), result in zip(images, results, strict=True):
            progress = replace(progress, done=progress.done + len(candidates))
            if isinstance(result, PredictorError):
                problems[image.name] = result.detail
            else:
                for one, score in zip(tried, result, strict=True):
                    one.scores.append(score)
            yield progress
        if not tried[0].scores:
            name, problem = next(iter(problems.items()))
            raise InvalidRequest(
                f"None of the {len(images)} images could be used. The first is {shown(name)}: {problem}"
            )
        return tried

    def _scores(
        self, labelled: LabelledImage, truths: tuple[int, ...], forms: list[Preprocessing]
    ) -> list[Score] | PredictorError:
        """One image with each candidate; it is decoded once."""
        try:
            image = decode_scaled(labelled.read(), self.limits, mode=forms[0].mode)
            return [self._score(self.run(to_tensor(image, form, exact=True)), truths) for form in forms]
        except PredictorError as error:
            return error

    def _score(self, scores: npt.NDArray[Any], truths: tuple[int, ...]) -> Score:
        ranked = rank(scores, self.spec.activation, len(self.spec.labels))
        if not truths:
            return Score(None, None, ranked[0][1])
        place = next(place for place, (index, _) in enumerate(ranked) if index in truths)
        return Score(place, ranked[place][1], ranked[0][1])


def _not_ranked(image: LabelledImage, classes: Classes) -> str:
    """Why an image that can be opened says nothing about the ranking."""
    return "No class applies to it." if image.classless and classes.independent else no_class(image)


def sample(sent: Sequence[LabelledImage], most: int | None, classes: Classes) -> list[LabelledImage]:
    """At most so many of the images, as many of each class as can be, always the same; and the left out.

    Args:
        sent: all of them.
        most: how many; None for all.
        classes: those of the model, whatever labels call them.
    """
    images = [image for image in sent if not image.left_out]
    others = [image for image in sent if image.left_out]
    if most is None or len(images) <= most:
        return [*images, *others]
    groups: dict[tuple[int, ...], list[int]] = {}
    for place in np.random.default_rng(0).permutation(len(images)).tolist():
        groups.setdefault(classes.all_of(images[place].said)[:1], []).append(place)
    turns = sorted((turn, place) for group in groups.values() for turn, place in enumerate(group))
    return [*(images[place] for place in sorted(place for _, place in turns[:most])), *others]


def _ranked(tried: Sequence[_Tried], *, labelled: bool) -> list[_Tried]:
    """The best first: by the images it gets right, and of equals by the confidence in the right class."""
    if labelled:
        return sorted(tried, key=lambda one: (-sum(one.hits), one.loss))
    return sorted(tried, key=lambda one: -one.confidence)


def _ranking(ranked: Sequence[_Tried], *, labelled: bool, problems: dict[str, str]) -> dict[str, Any]:
    listed = [{"file": name, "problem": text} for name, text in problems.items()]
    return {
        "pictures": len(ranked[0].scores),
        "labelled": labelled,
        "basis": _BASIS[labelled],
        "candidates": [_candidate(one, ranked[0], labelled=labelled) for one in ranked],
        "left_out": len(problems),
        "problems": listed[:_MAX_PROBLEMS],
    }


_BASIS = {
    True: "Ranked by the share of images that the model predicts correctly.",
    False: (
        "The images have no labels: ranked by the model's mean confidence, which is weaker evidence, "
        "because a model can be confident and wrong."
    ),
}


def _candidate(one: _Tried, best: _Tried, *, labelled: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "values": one.candidate.values,
        "geometry": one.candidate.geometry,
        "preprocessing": one.candidate.preprocessing.to_json(),
        "current": one.candidate.current,
        "confidence": one.confidence,
    }
    if not labelled:
        return described
    chance = Pairs.of(best.hits, one.hits).p_value
    places = [score.place for score in one.scores]
    return described | {
        "top1": Share(sum(one.hits), len(one.hits)).to_json(),
        "top5": Share(sum(place is not None and place < TOP for place in places), len(places)).to_json(),
        "loss": one.loss,
        "chance": chance,
        "tied": one is not best and chance > DISTINCT,
    }
