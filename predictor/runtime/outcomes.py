"""How a change of models, or the check of a model, ends: counted once, whatever it was that ended it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from predictor.checking.report import Refused
from predictor.errors import Internal, NotReady, PredictorError, StorageFull

_FAULTS = {error.code for error in (Internal, NotReady, StorageFull)}


@contextmanager
def counting(counter: Counter) -> Iterator[None]:
    """Count how a block ends: ok, why a model was refused, or the code of the error."""
    with attempt(counter) as begin:
        begin()
        yield


@contextmanager
def attempt(counter: Counter) -> Iterator[Callable[[], None]]:
    """Count how a change ends that may not come about.

    Yields:
        What says that it has begun. Before that only a fault of the service is counted: that a model is
        refused, or is the one that serves already, is no change.
    """
    begun, outcome = list[bool](), Internal.code
    try:
        yield lambda: begun.append(True)
        outcome = "ok"
    except PredictorError as error:
        outcome = error.reason if isinstance(error, Refused) else error.code
        raise
    finally:
        if begun or outcome in _FAULTS:
            counter.labels(outcome).inc()
