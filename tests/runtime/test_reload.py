"""Each worker follows the store: all of them serve a change at once, and nobody is left without a model."""

import errno
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidModel, NotReady, PredictorError
from predictor.inference.active_models import ActiveModels
from predictor.inference.loader import LoadedModel
from predictor.model_files import MODEL
from predictor.runtime.reload import Follower
from predictor.store.commit import ModelTransactions
from predictor.store.manifest import described
from predictor.store.members import WorkerRegistry
from predictor.store.publish import Publisher
from predictor.store.registry import DEFAULT, ModelVersion, Registry
from predictor.store.stamp import Stamp
from tests.patience import PATIENCE


class FakeWorker:
    """Follows a store like a real worker, with models that need no loading.

    Attributes:
        broken: what cannot be loaded, as `name/version`, with the error.
        loaded: what was loaded, in order.
    """

    def __init__(self, data: Path) -> None:
        self.registry = Registry(data, BUNDLED_MODEL)
        self.transactions = ModelTransactions(
            self.registry,
            Stamp(data / "stamp"),
            WorkerRegistry(data / "workers"),
            observe=lambda *_: None,
            ready_seconds=PATIENCE,
        )
        self.publisher = Publisher(self.registry, self.transactions)
        self.live = ActiveModels(self.transactions.stamp)
        self.broken: dict[str, Exception] = {}
        self.loaded: list[str] = []
        self.in_turn: list[str] = []
        with self.transactions.commit_lock():
            self.record = self.transactions.workers.register()
        self.follower = Follower(
            self.transactions, self.publisher, self.record, self.live, self.load, self.turn
        )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Note what is loaded in a turn."""
        before = len(self.loaded)
        yield
        self.in_turn += self.loaded[before:]

    def serving(self, name: str = DEFAULT) -> int:
        """The version that a request would get."""
        return self.live.models()[name].version.version

    def upload(self, name: str = DEFAULT) -> int:
        """Publish a file as a model, one that equals no other."""
        with self.transactions.staging.new_folder() as folder:
            (folder / MODEL).write_bytes(secrets.token_bytes(8))
            manifest = described(folder, {MODEL: "my.onnx"}, by=None, created="")
            return self.publisher.upload(name, folder, manifest).version.version

    def load(self, version: ModelVersion) -> LoadedModel:
        """Load nothing, or fail."""
        self.loaded.append(version.key)
        if error := self.broken.get(version.key):
            raise error
        nothing = cast("Any", None)
        return LoadedModel(version, nothing, "CPUExecutionProvider", 10, nothing, nothing)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], FakeWorker]]:
    """Start workers of one store."""
    for name in ("models", "workers"):
        (tmp_path / name).mkdir()
    with ExitStack() as started:

        def begin() -> FakeWorker:
            worker = FakeWorker(tmp_path)
            started.callback(worker.follower.stop)
            worker.follower.start()
            return worker

        yield begin


def test_starts_with_what_is_live(start: Callable[[], FakeWorker]) -> None:
    """A worker that starts serves what is live, and loads nothing else."""
    first = start()
    first.upload()

    second = start()

    assert (first.serving(), second.serving()) == (2, 2)
    assert second.loaded == ["default/2"]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what the worker's threads do by themselves, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_all_at_once(start: Callable[[], FakeWorker]) -> None:
    """When an upload returns, every worker gives the new model to its next request."""
    workers = [start() for _ in range(3)]

    for expected in (2, 3, 4):
        assert workers[0].upload() == expected
        assert [worker.serving() for worker in workers] == [expected] * 3


def test_changes_that_follow_closely(start: Callable[[], FakeWorker]) -> None:
    """However closely changes follow each other, no request is left without a model or with an old one."""
    workers = [start() for _ in range(2)]
    workers[0].upload()
    troubles, ended = list[PredictorError](), threading.Event()

    def ask(worker: FakeWorker) -> None:
        while not ended.wait(0.0002):
            try:
                worker.serving()
            except PredictorError as error:
                troubles.append(error)

    askers = [threading.Thread(target=ask, args=(worker,)) for worker in workers]
    for asker in askers:
        asker.start()
    for number in range(40):
        version = workers[number % 2].publisher.activate(DEFAULT, 1 + number % 2).version
        assert [worker.serving() for worker in workers] == [version] * 2
    ended.set()
    for asker in askers:
        asker.join()

    assert troubles == []


def test_other_names_stay(start: Callable[[], FakeWorker]) -> None:
    """A change of one name leaves the models of the others as they are, loaded once."""
    worker = start()
    worker.upload("dogs")
    worker.upload("cats")
    worker.upload("dogs")

    assert {name: model.version.version for name, model in worker.live.models().items()} == {
        DEFAULT: 1, "dogs": 2, "cats": 1,
    }  # fmt: skip
    assert worker.loaded == ["default/1", "dogs/1", "cats/1", "dogs/2"]


def test_name_is_deleted(start: Callable[[], FakeWorker]) -> None:
    """When a name's deletion returns, no worker gives its model to a request; the other names stay loaded."""
    workers = [start() for _ in range(3)]
    workers[0].upload("dogs")

    workers[1].publisher.delete_name("dogs")

    assert [set(worker.live.models()) for worker in workers] == [{DEFAULT}] * 3
    assert [worker.loaded for worker in workers] == [["default/1", "dogs/1"]] * 3
    workers[2].upload("dogs")
    assert [worker.serving("dogs") for worker in workers] == [1] * 3
    assert [worker.loaded[2:] for worker in workers] == [["dogs/1"]] * 3


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidModel("It has no legs."), InvalidModel),
        (NotReady("The device is full."), NotReady),
        (RuntimeError("a bug"), NotReady),
    ],
)
def test_one_cannot_load(
    start: Callable[[], FakeWorker], error: Exception, told: type[PredictorError]
) -> None:
    """If one worker cannot load a version, nobody serves it, and the next change is as good as any."""
    workers = [start() for _ in range(2)]
    workers[1].broken["default/2"] = error

    with pytest.raises(told):
        workers[0].upload()

    assert [worker.serving() for worker in workers] == [1, 1]
    workers[1].broken.clear()
    workers[0].upload()
    assert [worker.serving() for worker in workers] == [2, 2]


def test_live_version_is_damaged(start: Callable[[], FakeWorker], tmp_path: Path) -> None:
    """A worker that starts with a damaged live version has the one before it served, by all."""
    first = start()
    first.upload()
    first.upload()
    (tmp_path / "models" / DEFAULT / "3" / MODEL).write_bytes(b"rotten")

    second = start()

    assert (first.serving(), second.serving()) == (2, 2)
    assert "damaged" in first.registry.name(DEFAULT).quarantined[3]


def test_nothing_can_be_served(tmp_path: Path) -> None:
    """A worker whose device is full says so, and serves when a later change can be loaded."""
    for name in ("models", "workers"):
        (tmp_path / name).mkdir()
    worker = FakeWorker(tmp_path)
    worker.broken["default/1"] = NotReady("The device is full.")

    with pytest.raises(NotReady, match="full"):
        worker.follower.start()
    with pytest.raises(NotReady):
        worker.live.models()

    worker.upload()
    wait_until(lambda: not worker.live.outdated)
    assert worker.serving() == 2
    worker.follower.stop()


def test_dead_author(start: Callable[[], FakeWorker]) -> None:
    """A change whose author died is taken back by those who live."""
    worker = start()
    state = worker.registry.read().with_pending(DEFAULT, 1)
    worker.registry.write(state)
    worker.transactions.stamp.prepare(state.issued)

    wait_until(lambda: not worker.transactions.in_progress)

    assert not worker.transactions.in_progress
    assert worker.registry.read().pending is None
    assert worker.serving() == 1


def test_changes_are_loaded_in_turns(start: Callable[[], FakeWorker]) -> None:
    """A change is loaded in this worker's turn; what serves at the start needs none."""
    worker = start()
    version = worker.upload()
    wait_until(lambda: worker.serving() == version)

    assert worker.in_turn == [f"{DEFAULT}/{version}"]


def test_what_cannot_be_loaded_is_told_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A live version that cannot be loaded is not logged as a store that cannot be read."""
    worker = FakeWorker(tmp_path)
    worker.broken[f"{DEFAULT}/1"] = NotReady("The CUDA libraries could not be loaded.")
    with pytest.raises(NotReady):
        worker.follower.start()

    sentence = "The models cannot be kept up to date: The CUDA libraries could not be loaded."
    wait_until(lambda: sentence in caplog.messages)
    worker.follower.stop()

    assert sentence in caplog.messages


class ClosedStore(Publisher):
    """A store that cannot be used as long as there is a fault.

    Attributes:
        calls: how often it was tried to be used.
    """

    fault: Exception | None = None
    calls = 0

    def handle_crashes(self, seconds: float = 0) -> None:  # noqa: ARG002 (the base class's signature)
        """Fail."""
        self.calls += 1
        if self.fault:
            raise self.fault


def test_what_goes_on_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A store that cannot be used is logged once, without a stack, and once when it can be used again."""
    for name in ("models", "workers"):
        (tmp_path / name).mkdir()
    worker = FakeWorker(tmp_path)
    store = ClosedStore(worker.registry, worker.transactions)
    follower = Follower(worker.transactions, store, worker.record, worker.live, worker.load)
    follower.start()
    caplog.set_level("INFO", "predictor.runtime.reload")

    store.fault, store.calls = PermissionError(errno.EACCES, "Permission denied"), 0
    wait_until(lambda: store.calls > 2)
    told = [(record.getMessage(), record.exc_info) for record in caplog.records]
    store.fault = None
    wait_until(lambda: "again" in caplog.text)
    follower.stop()

    assert told == [("The models cannot be kept up to date: Permission denied", None)]
    assert caplog.messages[1:] == ["The models are kept up to date again"]
