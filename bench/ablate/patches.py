"""How each mechanism is switched off in the process that has it, before the application is loaded.

What a patch takes away must be there: a name that is gone, or has become another one, is a `LookupError`.
Patches import what they change only when they are applied, because gunicorn's master loads none of it.
"""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

Patch = Callable[[], None]


def replace(owner: ModuleType | type, name: str, new: object) -> None:
    """Put something else in the place of a module's or a class's own attribute.

    Raises:
        LookupError: there is no such attribute.
    """
    if name not in vars(owner):
        raise LookupError(f"{owner.__name__} has no {name}: change or remove the patch in bench/ablate")
    setattr(owner, name, new)


def inherit(owner: type, name: str) -> None:
    """Remove a class's own method, so that the inherited one is used.

    Raises:
        LookupError: there is no such method.
    """
    if name not in vars(owner):
        raise LookupError(f"{owner.__name__} has no {name}: change or remove the patch in bench/ablate")
    delattr(owner, name)


def nothing(*_: object) -> None:
    """Do nothing, whatever is given."""


def refusals() -> None:
    """Gunicorn answers what is not HTTP, and looks for the rest of a body, in its own way."""
    from predictor.server.worker import BalancedThreadWorker

    inherit(BalancedThreadWorker, "handle_error")
    inherit(BalancedThreadWorker, "_keepalive_after")


def let_go() -> None:
    """A worker with more connections than its share keeps them."""
    from predictor.server.worker import BalancedThreadWorker

    def never(_worker: object) -> bool:
        return False

    replace(BalancedThreadWorker, "lets_go", never)


def linger() -> None:
    """A thread gives its connection back after each request."""
    from predictor.server.worker import BalancedThreadWorker

    def never(_worker: object, _connection: object) -> bool:
        return False

    replace(BalancedThreadWorker, "_follows", never)


def pauses() -> None:
    """A worker that replaces a dead one is started at once, however many have died. For gunicorn's master."""
    from predictor.server import lifetime

    replace(lifetime, "_DEATHS", 1 << 30)


def emptying() -> None:
    """A worker that stops leaves the connections that wait in the kernel's queue."""
    from predictor.server.lifetime import DrainingWorker

    inherit(DrainingWorker, "set_accept_enabled")


def lending() -> None:
    """A worker never computes on the cores of others."""
    from predictor.inference import loader
    from predictor.inference.slots import ComputeSlots

    def share(share: int, _total: int, workers: int, **options: Any) -> ComputeSlots:
        return ComputeSlots(share, 0, workers, **options)

    replace(loader, "ComputeSlots", share)


def pairs() -> None:
    """Each run of the model has one image."""
    from predictor.inference.loader import Loader
    from predictor.runtime import worker

    class Single(Loader):
        def __init__(self, device: Any, settings: Any, **options: Any) -> None:
            super().__init__(device, dataclasses.replace(settings, max_batch=1), **options)

    replace(worker, "Loader", Single)


def weights() -> None:
    """Each worker loads the model's weights for itself."""
    from predictor.inference.shared_weights import SharedWeights
    from predictor.model.device import Device
    from predictor.model.session import load

    def own(_weights: object, version: Any) -> Any:
        return load(version.path, Device("cpu"))

    replace(SharedWeights, "session", own)
