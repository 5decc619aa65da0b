"""Evaluations of the models that this worker serves, one at a time on a machine."""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from predictor.config import Settings
from predictor.errors import ModelConflict, Overloaded, PredictorError
from predictor.evaluation.images import Picture
from predictor.evaluation.report import evaluate
from predictor.evaluation.runner import TOP, Answer, Classify, Progress
from predictor.evaluation.tables import Classes
from predictor.evaluation.tune import Tuner
from predictor.image.decode import Limits
from predictor.inference.engine import Engine
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage, Options, Outcome
from predictor.store.files import locked, storage_errors

_TRIES = 100
_PAUSE_SECONDS = 0.2

Step = Progress | dict[str, Any]
"""How far it is, or at last the report as JSON."""


class Evaluations:
    """Says how well a model does on labelled images, and which preprocessing it does best with.

    Images go the same way as those of requests, except that large JPEGs are always decoded whole.

    Args:
        settings: limits.
        engine: predicts.
        lock: the file that is locked while one is under way.
    """

    def __init__(self, settings: Settings, engine: Engine, lock: Path) -> None:
        self._engine = engine
        self._lock = lock
        # One more than can be computed at a time, so that the next image is read and decoded meanwhile.
        self._threads = settings.concurrency + 1
        self._limits = Limits.of(settings)

    def evaluate(self, model: LoadedModel, pictures: Sequence[Picture]) -> Generator[Step, None, None]:
        """Classify labelled images with a model, which need not be live any more by the end.

        Raises:
            ModelConflict: another evaluation is under way.
            InvalidRequest: no image has both a known class and an answer.
        """
        with self._alone():
            classes = Classes(model.spec.labels)
            yield from evaluate(pictures, classes, self._classify(model), self._threads)

    def tune(self, model: LoadedModel, pictures: Sequence[Picture]) -> Generator[Step, None, None]:
        """Try plausible preprocessings of a model on images.

        Raises:
            ModelConflict: another evaluation is under way.
            InvalidRequest: no image can be used.
        """
        with self._alone():
            tuner = Tuner(model.spec, model.scores, self._limits, self._threads)
            yield from tuner.tune(pictures)

    def _classify(self, model: LoadedModel) -> Classify:
        version = model.version
        options = Options(top_k=TOP, model=version.name, version=version.version, fresh=True, exact=True)

        def classify(data: bytes) -> Answer:
            outcome = self._patiently(data, options)
            result = outcome.results[0]
            if isinstance(result, PredictorError):
                raise result
            phases = outcome.phases.seconds
            work = sum(seconds for phase, seconds in phases.items() if phase != "queue")
            return Answer(result.ranked, work)

        return classify

    def _patiently(self, data: bytes, options: Options) -> Outcome:
        """Let the requests of others go first where too many are waiting."""
        for _ in range(_TRIES):
            try:
                return self._engine.predict([EncodedImage(data)], options)
            except Overloaded:
                time.sleep(_PAUSE_SECONDS)
        return self._engine.predict([EncodedImage(data)], options)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with storage_errors(), locked(self._lock, 0):
                yield
        except TimeoutError as error:
            raise ModelConflict("Another evaluation is running; try again when it has ended.") from error
