"""The evaluation of a model on labelled images, step by step, from their labels to the report."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from predictor.archives import shown
from predictor.errors import InvalidRequest
from predictor.evaluation import calibration as fitting
from predictor.evaluation import tables
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import FILES, FOLDERS, LabelledImage
from predictor.evaluation.report import evaluation
from predictor.evaluation.results import ImageResult
from predictor.evaluation.runner import Classify, Notice, Progress, classify_all
from predictor.image.decode import Limits
from predictor.model.calibration import Calibration
from predictor.model.label import meant
from predictor.model.spec import ModelSpec
from predictor.model.strict_text import some

_SHOWN_CLASSES = 20
_SHOWN_LABELS = 10
# Numbers of logits that are kept for the fit of a calibration, 32 MB.
_MAX_LOGITS = 4_000_000
# By how much the sum of a softmax in half precision may differ from 1.
_SHARES = 0.02


@dataclass(frozen=True)
class Evaluator:
    """Says how well a model does on labelled images.

    Attributes:
        classes: the model's classes.
        classify: classifies an image; called from several threads.
        threads: images that are worked on at a time.
        spec: how the model is understood; None where its logits are not known, so that nothing can be fitted.
        limits: of images, if small copies of those that are wrong or unsure are wanted.
        precision: the wished one, if thresholds are to be suggested.
    """

    classes: Classes
    classify: Classify
    threads: int
    spec: ModelSpec | None = None
    limits: Limits | None = None
    precision: float | None = None

    def evaluate(self, images: Sequence[LabelledImage]) -> Iterator[Notice | Progress | dict[str, Any]]:
        """Classify labelled images.

        Args:
            images: at least one.

        Yields:
            What is noticed before anything runs, the progress, and at last the report as JSON.

        Raises:
            InvalidRequest: no image has both a known class and an answer.
        """
        if notice := unknown_labels(images, self.classes):
            yield Notice(notice)
        start, found = time.perf_counter(), list[ImageResult]()
        fitted = self._fitted(len(images))
        for one in classify_all(images, self.classes, self.classify, self.threads, self.limits):
            found.append(one if len(found) in fitted else one.without_logits())
            yield Progress(len(found), len(images))
        report = evaluation(found, self.classes, time.perf_counter() - start)
        if self.spec is not None:
            report["calibration"]["fit"] = self._fit(found, self.spec)
        report["labels_from"] = labels_from(images) or None
        yield report | ({"notice": notice} if notice else {})

    def _fit(self, found: Sequence[ImageResult], spec: ModelSpec) -> dict[str, Any]:
        """What a calibration would change; scores of no known kind have no logits."""
        known = [one for one in found if one.answer is not None and one.answer.logits is not None]
        once = _once(known)
        labelled = _labelled(once, spec)
        shares = np.exp(labelled.logits).sum(axis=1)
        excluding = spec.activation == "none" and not spec.independent and not spec.binary
        if excluding and not np.allclose(shares, 1, atol=_SHARES):
            return {"problem": "The scores of the model are no probabilities: they have no temperature."}
        report = fitting.report(labelled, spec.calibration or Calibration(), self.precision)
        return report | {"repeated": len(known) - len(once)}

    def _fitted(self, count: int) -> set[int]:
        """Which of so many images a calibration is fitted and tested on: all, as far as there is room."""
        most = _MAX_LOGITS // max(1, len(self.classes.labels))
        return set(np.random.default_rng(0).permutation(count)[:most].tolist())


def unknown_labels(sent: Sequence[LabelledImage], classes: Classes) -> str | None:
    """A sentence about labels that are no classes of the model, which it names; None if there are none.

    Raises:
        InvalidRequest: no image has a label that is a class.
    """
    images = [image for image in sent if not image.left_out]
    unlabelled = sum(not image.said for image in images)
    if unlabelled == len(images):
        raise InvalidRequest(_NO_LABELS)
    strange = Counter(one.called for one in images if one.said and not classes.all_of(one.said))
    if not strange:
        return None
    listed = some([f"{shown(name)} ({count})" for name, count in strange.most_common()], _SHOWN_LABELS)
    name, _ = strange.most_common(1)[0]
    near = meant(name, classes.labels)
    if unlabelled + strange.total() == len(images):
        others = "" if len(strange) == 1 else f" The labels of the images: {listed}."
        whence = _whence(sent)
        hint = "" if near is None else f"; did you mean {shown(classes.labels[near].name)}?"
        raise InvalidRequest(
            f"{shown(name)} is not a class of {classes.model}{hint or '.'}{others}{whence} {_known(classes)}"
        )
    one = strange.total() == 1
    which = (
        "The label of 1 image is not a class"
        if one
        else f"The labels of {strange.total()} images are not classes"
    )
    hint = "" if near is None else f" For {shown(name)}, did you mean {shown(classes.labels[near].name)}?"
    return f"{which} of {classes.model}: {listed}.{hint} {_known(classes)}"


def noticed(images: Sequence[LabelledImage], classes: Classes, *, strict: bool) -> str | None:
    """Say which labels do not name a class, where labels are optional. Returns None if all name one.

    Names of files may only look like labels, so that images of which none is a class are used without.

    Args:
        images: all of them.
        classes: those of the model.
        strict: whether one of the labels that tables or names of folders say must be a class.

    Raises:
        InvalidRequest: none of these is.
    """
    if not any(one.said for one in images if not one.left_out):
        return None
    try:
        return unknown_labels(images, classes)
    except InvalidRequest as error:
        if strict and labels_from(images) != FILES:
            raise
        return f"The images are used without classes: labels are optional. {error.detail}"


def _whence(sent: Sequence[LabelledImage]) -> str:
    """A sentence that says where the labels came from, and what to do if that was not meant."""
    whence = labels_from(sent)
    if not whence:
        return ""
    useless = [
        f" {shown(one.name)} is not used: {(one.left_out or '')[:1].lower()}{(one.left_out or '')[1:]}"
        for one in sent
        if one.left_out and one.name.lower().endswith(tables.SUFFIXES)
    ]
    said = "No table says the labels: they" if whence in (FOLDERS, FILES) else "The labels"
    advice = f" {_ADVICE}" if whence == FILES else ""
    return f" {said} were taken from {whence}.{''.join(useless[:1])}{advice}"


def labels_from(sent: Sequence[LabelledImage]) -> str:
    """What the labels of images were taken from, such as "the names of the folders"; empty if not known."""
    return next((one.named_by for one in sent if not one.left_out), "")


_ADVICE = (
    "Put the images into a folder for each class, add a CSV file with the columns file and label, or begin "
    "each file name with the class."
)
_NO_LABELS = (
    f"The images have no labels. {_ADVICE} A number alone, as in 1.jpg, does not say a class, and labels "
    "beside the columns rank and confidence are predictions."
)


def _known(classes: Classes) -> str:
    names = some([shown(label.name) for label in classes.labels], _SHOWN_CLASSES)
    return f"The classes of {classes.model}: {names}."


def _once(found: Sequence[ImageResult]) -> list[ImageResult]:
    """The images without repeats: one that lay in both halves would be judged by itself."""
    return list({one.digest: one for one in reversed(found)}.values())[::-1]


def _labelled(found: Sequence[ImageResult], spec: ModelSpec) -> fitting.Labelled:
    """The logits and classes of images that have both."""
    rows = [one.answer.logits for one in found if one.answer is not None]
    applies = [np.isin(np.arange(len(spec.labels)), one.truths) for one in found]
    shape = (len(found), len(spec.labels))
    return fitting.Labelled(
        np.array(rows, np.float64).reshape(shape), np.array(applies, bool).reshape(shape), spec.independent
    )
