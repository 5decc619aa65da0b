"""Evaluations of the models that this worker serves, one at a time on a machine."""

import time
from collections.abc import Generator, Sequence
from typing import Any

from predictor.config import Settings
from predictor.errors import Overloaded, PredictorError
from predictor.evaluation.classes import Classes
from predictor.evaluation.comparer import Comparer, Side
from predictor.evaluation.evaluator import Evaluator
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import Answer
from predictor.evaluation.runner import Classify, Notice, Progress
from predictor.evaluation.tune import Tuner
from predictor.image.decode import Limits
from predictor.inference.engine import Engine
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage, Options, Outcome
from predictor.store.files import alone, storage_errors

LOCK = "evaluation.lock"
"""The file in the data folder that is locked while an evaluation or an optimisation is under way."""
BUSY = "Another optimisation or evaluation is running; try again when it has ended."
_TRIES = 100
_PAUSE_SECONDS = 0.2

Step = Notice | Progress | dict[str, Any]
"""What is noticed at the beginning, how far it is, or at last the report as JSON."""


class Evaluations:
    """Says how well a model does on labelled images, and which preprocessing it does best with.

    Images go the same way as those of requests, except that large JPEGs are always decoded whole.

    Args:
        settings: limits.
        engine: predicts.

    Attributes:
        threads: images that are worked on at a time.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._lock = settings.data / LOCK
        # One more than can be computed at a time, so that the next image is read and decoded meanwhile.
        self.threads = settings.concurrency + 1
        self._limits = Limits.of(settings)

    def evaluate(
        self,
        model: LoadedModel,
        images: Sequence[LabelledImage],
        *,
        thumbnails: bool = False,
        precision: float | None = None,
    ) -> Generator[Step, None, None]:
        """Classify labelled images with a model, which need not be live any more by the end.

        Args:
            model: what classifies.
            images: the images.
            thumbnails: whether the report is to have small copies of images that are wrong or unsure.
            precision: the wished one, if thresholds are to be suggested.

        Raises:
            ModelConflict: another evaluation or optimisation is under way.
            InvalidRequest: no image has both a known class and an answer.
        """
        with storage_errors(), alone(self._lock, BUSY):
            yield from Evaluator(
                Classes(model.spec.labels, independent=model.spec.independent),
                self.classify(model),
                self.threads,
                model.spec,
                limits=self._limits if thumbnails else None,
                precision=precision,
            ).evaluate(images)

    def compare(
        self,
        first: LoadedModel,
        second: LoadedModel,
        images: Sequence[LabelledImage],
        *,
        names: tuple[str, str],
        thumbnails: bool = False,
    ) -> Generator[Step, None, None]:
        """Classify labelled images with two models, of which the second need not be published.

        Args:
            first: the one that is there.
            second: the one that may take its place.
            images: the images.
            names: what sentences call the two.
            thumbnails: whether the report is to have small copies of images on which they differ.

        Raises:
            ModelConflict: another evaluation or optimisation is under way.
            InvalidRequest: no image has a class that both know, and two answers.
        """
        with storage_errors(), alone(self._lock, BUSY):
            one, other = (
                Side(
                    Classes(model.spec.labels, name, independent=model.spec.independent),
                    self.classify(model),
                )
                for model, name in zip((first, second), names, strict=True)
            )
            limits = self._limits if thumbnails else None
            yield from Comparer(one, other, self.threads, limits).compare(images)

    def tune(self, model: LoadedModel, images: Sequence[LabelledImage]) -> Generator[Step, None, None]:
        """Try plausible preprocessings of a model on images.

        Raises:
            ModelConflict: another evaluation or optimisation is under way.
            InvalidRequest: no image can be used.
        """
        with storage_errors(), alone(self._lock, BUSY):
            tuner = Tuner(model.spec, model.scores, self._limits, self.threads)
            yield from tuner.tune(images)

    def classify(self, model: LoadedModel) -> Classify:
        """What classifies an image with a model, which need not be live, or even published."""
        options = Options(fresh=True, exact=True, scores=True)

        def classify(data: bytes) -> Answer:
            outcome = self._patiently(data, options, model)
            result = outcome.results[0]
            if isinstance(result, PredictorError):
                raise result
            phases = outcome.phases.seconds
            work = sum(seconds for phase, seconds in phases.items() if phase != "queue")
            assert result.scores is not None  # noqa: S101 - they were asked for
            return Answer.of(result.scores, model.spec, work)

        return classify

    def _patiently(self, data: bytes, options: Options, model: LoadedModel) -> Outcome:
        """Let the requests of others go first where too many are waiting."""
        for _ in range(_TRIES):
            try:
                return self._engine.predict([EncodedImage(data)], options, model=model)
            except Overloaded:
                time.sleep(_PAUSE_SECONDS)
        return self._engine.predict([EncodedImage(data)], options, model=model)
