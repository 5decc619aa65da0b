"""A store with workers that do what they are told."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import PredictorError
from predictor.model_files import MODEL
from predictor.store.commit import ModelTransactions
from predictor.store.golden import GoldenImage, GoldenSet, digest, write_set
from predictor.store.manifest import described
from predictor.store.members import WorkerRegistry
from predictor.store.names import GoldenSets
from predictor.store.publish import Published, Publisher
from predictor.store.registry import ModelVersion, Registry
from predictor.store.stamp import Stamp
from tests.patience import PATIENCE


class Store:
    """All parts of a store, as one worker has them."""

    def __init__(self, data: Path, ready_seconds: float = PATIENCE) -> None:
        for name in ("models", "workers"):
            (data / name).mkdir(parents=True, exist_ok=True)
        self.data = data
        self.registry = Registry(data, BUNDLED_MODEL)
        self.stamp = Stamp(data / "stamp")
        self.workers = WorkerRegistry(data / "workers")
        self.steps: list[str] = []
        self.transactions = ModelTransactions(
            self.registry,
            self.stamp,
            self.workers,
            observe=lambda step, _: self.steps.append(step),
            ready_seconds=ready_seconds,
        )
        self.publisher = Publisher(self.registry, self.transactions)
        self.golden = GoldenSets(self.registry, self.transactions)

    def upload(self, content: bytes | None = None, name: str = "default") -> ModelVersion:
        """Publish a file as a model, by default one that equals no other."""
        return self.publish(secrets.token_bytes(8) if content is None else content, name).version

    def publish(self, content: bytes, name: str = "default") -> Published:
        """Publish a file as a model, and say what came of it."""
        with self.transactions.staging.new_folder() as folder:
            (folder / MODEL).write_bytes(content)
            manifest = described(
                folder, {MODEL: "my.onnx"}, by="127.0.0.1", created="2026-01-01T00:00:00+00:00"
            )
            return self.publisher.upload(name, folder, manifest)

    def set_golden(self, *contents: bytes, name: str = "default") -> None:
        """Keep golden images with these bytes."""
        self.golden.write(name, golden_set(*contents), contents)

    def found_golden(self, name: str = "default") -> list[bytes]:
        """The bytes of the golden images that count."""
        found = self.golden.find(name)
        return [self.golden.data_of(name, image) for image in found.images] if found else []

    def folders(self, name: str = "default") -> list[int]:
        """The versions that lie on the disk."""
        return sorted(int(path.name) for path in (self.data / "models" / name).glob("*"))


def golden_set(*contents: bytes) -> GoldenSet:
    """A set of images with these bytes."""
    images = [
        GoldenImage(f"cat/{n}.png", digest(data), (("cat",), ("a", "b")), "cat")
        for n, data in enumerate(contents)
    ]
    return GoldenSet(tuple(images), len(contents), "2026-01-01T00:00:00+00:00", None)


def keep_as_before(data: Path, *contents: bytes, name: str = "default") -> None:
    """Keep golden images as a former release did, which the state says nothing of."""
    folder = data / "golden" / name
    folder.mkdir(parents=True)
    write_set(folder, golden_set(*contents), contents)


class Follower(threading.Thread):
    """A worker that prepares whatever is announced, or refuses it, or does nothing at all.

    Attributes:
        seen: the live number at each look.
    """

    def __init__(self, store: Store, refusal: PredictorError | None = None, *, stuck: bool = False) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._refusal = refusal
        self._stuck = stuck
        self.record = store.workers.register()
        self.seen: list[int] = []
        self.ended = threading.Event()
        with store.transactions.commit_lock():
            self.record.serve(store.stamp.live)

    def run(self) -> None:
        """Follow until told to end."""
        stamp = self._store.stamp
        while not self.ended.wait(0.002):
            self.seen.append(stamp.live)
            if self._stuck or stamp.preparing == stamp.live:
                continue
            if self._refusal is None:
                self.record.ready(stamp.preparing)
            else:
                self.record.refuse(stamp.preparing, self._refusal)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A fresh store without workers."""
    return Store(tmp_path / "data")


@pytest.fixture
def follow(store: Store) -> Iterator[Callable[..., Follower]]:
    """Start workers of the store."""
    with ExitStack() as started:

        def start(refusal: PredictorError | None = None, *, stuck: bool = False) -> Follower:
            follower = Follower(store, refusal, stuck=stuck)
            follower.start()
            started.callback(follower.ended.set)
            return follower

        yield start
