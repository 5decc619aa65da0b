"""What can be switched off, and in which scenarios that is measured."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from gunicorn.config import Config

from bench.ablate import patches
from bench.ablate.patches import Patch

VARIABLE = "BENCH_ABLATE"
"""The environment variable that names the row to gunicorn's master and its workers."""
WHOLE = "whole"
"""The key of the row to which all others are compared."""


@dataclass(frozen=True)
class Row:
    """The service without some of its mechanisms.

    Attributes:
        key: names it on the command line.
        name: what is off, for people.
        scenarios: where it is measured, separated by spaces.
        worker: what is done in each worker.
        master: what is done in gunicorn's master, at each reload again.
        settings: gunicorn's settings in place of those of `gunicorn.conf.py`.
    """

    key: str
    name: str
    scenarios: str
    worker: tuple[Patch, ...] = ()
    master: tuple[Patch, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


_STOCK = {"worker_class": "gthread"}
_OWN_WORKER = (
    patches.refusals, patches.linger, patches.emptying,
)  # fmt: skip
_REQUEST = (
    patches.lending, patches.pairs, patches.weights,
)  # fmt: skip

ROWS = (
    Row(WHOLE, "as it is", "rate cached form photograph replaced reconnect uploads"),
    Row("again", "as it is, once more (the noise)", "rate cached form photograph replaced uploads"),
    Row(
        "stock", "gunicorn's own gthread worker", "rate cached photograph replaced reconnect", settings=_STOCK
    ),
    Row(
        "reuse_port",
        "gunicorn's own gthread worker, with `reuse_port`",
        "rate replaced reconnect",
        settings={**_STOCK, "reuse_port": True},
    ),
    Row(
        "only_let_go",
        "of the own worker only the letting go of connections",
        "rate cached replaced reconnect",
        _OWN_WORKER,
        (patches.pauses,),
    ),
    Row("let_go", "no letting go of connections", "replaced", (patches.let_go,)),
    Row("linger", "no thread stays with its connection", "cached replaced", (patches.linger,)),
    Row("pauses", "no pauses between starts", "reconnect", master=(patches.pauses,)),
    Row("emptying", "no emptying of the queue at a stop", "replaced reconnect", (patches.emptying,)),
    Row("refusals", "no own refusals", "rate cached", (patches.refusals,)),
    Row("lending", "no lending of cores", "rate", (patches.lending,)),
    Row("pairs", "never two images in one run", "rate form", (patches.pairs,)),
    Row("weights", "weights not shared", "rate", (patches.weights,)),
    Row(
        "everything",
        "everything on the path of a request off",
        "rate cached form",
        _REQUEST,
        settings=_STOCK,
    ),
)


def chosen() -> Row:
    """The row that this process is started for.

    Raises:
        LookupError: none is named, or there is no such row.
    """
    key = os.environ[VARIABLE]
    for row in ROWS:
        if row.key == key:
            return row
    raise LookupError(f"{VARIABLE}={key} names no row of bench/ablate/rows.py")


def of_scenario(scenario: str, keys: list[str] | None = None) -> list[Row]:
    """The rows of a scenario, the whole first; with keys only those, but always the whole."""
    wanted = {row.key for row in ROWS} if keys is None else {WHOLE, *keys}
    return [row for row in ROWS if row.key in wanted and scenario in row.scenarios.split()]


def try_patches(keys: list[str]) -> None:
    """Apply all patches of some rows to this process, to see that they find what they change.

    Raises:
        LookupError: one does not, or a setting is unknown to gunicorn, which would ignore it.
    """
    rows = [row for row in ROWS if row.key in keys]
    for name in {name for row in rows for name in row.settings} - Config().settings.keys():
        raise LookupError(f"gunicorn has no setting {name}: change or remove the row in bench/ablate")
    for patch in dict.fromkeys(patch for row in rows for patch in (*row.master, *row.worker)):
        patch()
