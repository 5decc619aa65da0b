"""Which models serve is one reference, exchanged at the moment the stamp says so."""

from pathlib import Path
from typing import Any, cast

import pytest

from predictor.errors import NotReady
from predictor.inference.active_models import ActiveModels
from predictor.store.stamp import Stamp

OLD, NEW = cast("Any", "the old model"), cast("Any", "the new model")


@pytest.fixture
def stamp(tmp_path: Path) -> Stamp:
    """The stamp of a store that had one change."""
    made = Stamp(tmp_path / "stamp")
    made.commit(1)
    return made


@pytest.fixture
def live(stamp: Stamp) -> ActiveModels:
    """A worker that serves the old model."""
    made = ActiveModels(stamp)
    made.activate(1, {"default": OLD})
    return made


def test_nothing_loaded(stamp: Stamp) -> None:
    """Before anything is loaded nothing serves."""
    with pytest.raises(NotReady, match="No model"):
        ActiveModels(stamp).models()


def test_announced(live: ActiveModels, stamp: Stamp) -> None:
    """What is announced and prepared does not serve yet."""
    stamp.prepare(2)
    live.prepare(2, {"default": NEW})

    assert live.models() == {"default": OLD}


def test_switch(live: ActiveModels, stamp: Stamp) -> None:
    """From the moment the stamp says so the prepared models serve, with no further call."""
    live.prepare(2, {"default": NEW})
    stamp.commit(2)

    assert live.models() == {"default": NEW}
    assert not live.outdated
    assert not live.forget()


def test_not_taken_back(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for a change that has just taken effect is not dropped, whoever asks for it first."""
    live.prepare(2, {"default": NEW})
    stamp.commit(2)

    assert not live.forget()
    assert live.models() == {"default": NEW}


def test_taken_back(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for a change that was taken back is dropped, and never serves."""
    live.prepare(2, {"default": NEW})
    assert live.forget()
    stamp.commit(3)

    with pytest.raises(NotReady, match="is loading"):
        live.models()
    assert live.outdated


def test_other_number(live: ActiveModels, stamp: Stamp) -> None:
    """What was prepared for one change does not serve for another, nor does the old model."""
    live.prepare(2, {"default": NEW})
    stamp.commit(3)

    with pytest.raises(NotReady):
        live.models()

    live.activate(3, {"default": NEW})
    assert live.models() == {"default": NEW}


def test_problem(live: ActiveModels) -> None:
    """A worker that cannot serve says why."""
    live.problem = NotReady("The device is gone.")

    with pytest.raises(NotReady, match="gone"):
        live.models()
