"""The gate of golden images: no version serves that gets fewer of them right than it must, unless forced."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from predictor.archives import shown
from predictor.config import MEGA
from predictor.errors import InvalidRequest, PredictorError
from predictor.evaluation.classes import Classes
from predictor.evaluation.evaluator import unknown_labels
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.runner import classify_all
from predictor.inference.loader import LoadedModel
from predictor.runtime.evaluations import Evaluations
from predictor.runtime.golden_verdict import GoldenRefused, Verdict, class_names
from predictor.store.golden import GoldenImage, GoldenSet, digest
from predictor.store.names import GoldenSets
from predictor.store.publish import now
from predictor.store.registry import ModelVersion

MAX_IMAGES = 200
"""Golden images of a name: each upload runs all of them."""
MAX_BYTES = 50_000_000
"""Bytes of them together."""

log = logging.getLogger(__name__)


class Gate:
    """Judges versions by the golden images of their name.

    Args:
        sets: the golden images.
        evaluations: classify them.
        load: loads a version.
    """

    def __init__(
        self, sets: GoldenSets, evaluations: Evaluations, load: Callable[[ModelVersion], LoadedModel]
    ) -> None:
        self._sets = sets
        self._evaluations = evaluations
        self._load = load

    def judge(self, version: ModelVersion, force: bool) -> dict[str, Any] | None:
        """Judge a version before it serves; it is loaded only if its name has golden images.

        Args:
            version: a new one, or one that served before.
            force: whether it may serve whatever comes of it.

        Returns:
            The verdict as JSON; where `force` replaces one, the reason as JSON; None without golden images.

        Raises:
            GoldenRefused: it gets too few right.
            ModelConflict: the golden images are damaged.
        """
        try:
            if (golden := self._sets.find(version.name)) is None:
                return None
            verdict = self._judged(version.name, golden, self._load(version))
        except PredictorError as error:
            if not force:
                raise
            log.warning("A version of %s is forced without a verdict: %s", version.name, error.detail)
            return {"forced": True, "problem": error.detail}
        if not verdict.passed and not force:
            raise GoldenRefused(verdict)
        return verdict.to_json(forced=not verdict.passed)

    def keep(
        self, model: LoadedModel, sent: Sequence[LabelledImage], least: int | None, by: str | None
    ) -> dict[str, Any]:
        """Keep images as the golden ones of a model's name, in place of those that it has.

        Args:
            model: the live version.
            sent: the images.
            least: how many a version must get right; None for as many as the live version does.
            by: the address that they came from.

        Raises:
            InvalidRequest: they are too many, or one has no label that is a class, or cannot be opened.
            ModelNotFound, ModelConflict, NotReady, StorageFull: they cannot be kept now.
        """
        name, classes = model.version.name, _classes(model)
        contents = _contents(sent, classes)
        images = tuple(
            GoldenImage(
                one.name,
                digest(data),
                classes.by_name(one.said),
                class_names(classes.all_of(one.said), classes),
            )
            for one, data in zip(sent, contents, strict=True)
        )
        read = zip(sent, contents, strict=True)
        images_read = [replace(one, read=partial(bytes, data)) for one, data in read]
        verdict = self._verdict(images_read, model, classes, 0)
        if broken := next((one for one in verdict.wrong if "predicted" not in one), None):
            raise InvalidRequest(f"{broken['file']}: {broken['problem']}")
        wanted = verdict.right if least is None else least
        if not 0 <= wanted <= len(images):
            raise InvalidRequest(f"least: must be at most {len(images)}, the number of images.")
        self._sets.write(name, GoldenSet(images, wanted, now(), by, by_name=True), contents)
        live = {"version": model.version.version, "right": verdict.right, "wrong": verdict.wrong}
        return self.show(name) | {"live": live}

    def show(self, name: str) -> dict[str, Any]:
        """The golden images of a name as JSON, without their bytes; `images` is empty if there are none."""
        golden = self._sets.find(name)
        if golden is None:
            return {"name": name, "images": [], "least": 0, "created": None}
        images = [{"file": shown(one.name), "label": one.label} for one in golden.images]
        return {"name": name, "images": images, "least": golden.least, "created": golden.created}

    def remove(self, name: str) -> None:
        """Forget the golden images of a name, if it has any.

        Raises:
            ModelNotFound, ModelConflict, NotReady, StorageFull: they cannot be forgotten now.
        """
        self._sets.remove(name)

    def _judged(self, name: str, golden: GoldenSet, model: LoadedModel) -> Verdict:
        images = [
            LabelledImage(
                one.name,
                one.said[0] if one.said else (),
                partial(self._sets.data_of, name, one),
                also=one.said[1:],
                classless=not one.said,
                label=one.label,
            )
            for one in golden.images
        ]
        return self._verdict(images, model, _classes(model, indices=not golden.by_name), golden.least)

    def _verdict(
        self, images: Sequence[LabelledImage], model: LoadedModel, classes: Classes, least: int
    ) -> Verdict:
        classify, threads = self._evaluations.classify(model), self._evaluations.threads
        found = list(classify_all(images, classes, classify, threads))
        return Verdict.of_results(found, images, model.spec, least)


def _classes(model: LoadedModel, *, indices: bool = True) -> Classes:
    return Classes(model.spec.labels, independent=model.spec.independent, indices=indices)


def _contents(images: Sequence[LabelledImage], classes: Classes) -> list[bytes]:
    """The bytes of images that are fit to be golden."""
    if len(images) > MAX_IMAGES:
        raise InvalidRequest(f"At most {MAX_IMAGES} images may be golden.")
    for one in images:
        if one.left_out:
            raise InvalidRequest(f"{shown(one.name)}: {one.left_out}")
    if strange := unknown_labels(images, classes):
        raise InvalidRequest(strange)
    classless = classes.independent
    if bare := next((one for one in images if not one.said and not (classless and one.classless)), None):
        raise InvalidRequest(f"{shown(bare.name)}: Nothing says its class.")
    contents = list[bytes]()
    for one in images:
        contents.append(_content(one))
        if sum(map(len, contents)) > MAX_BYTES:
            raise InvalidRequest(f"Golden images may have at most {MAX_BYTES / MEGA:g} MB together.")
    return contents


def _content(image: LabelledImage) -> bytes:
    try:
        return image.read()
    except PredictorError as error:
        raise InvalidRequest(f"{shown(image.name)}: {error.detail}") from error
