"""An upload is received, checked and published, and leaves nothing behind if it is not."""

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from predictor.checking.report import SERVED, Best, OnGpu, Refused, Report, Request
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import (
    InvalidRequest,
    ModelConflict,
    ModelNotFound,
    NotReady,
    PredictorError,
    StorageFull,
)
from predictor.metrics import Metrics
from predictor.model_files import LABELS, MODEL, ORIGINAL
from predictor.runtime import uploads as module
from predictor.runtime.received import Received
from predictor.runtime.uploads import Uploads, report_json
from predictor.store.commit import ModelTransactions
from predictor.store.members import WorkerRegistry
from predictor.store.publish import Publisher
from predictor.store.registry import ModelVersion, Registry
from predictor.store.stamp import Stamp
from tests.patience import PATIENCE

REPORT = Report(
    spec={"classes": 3, "warnings": ["The labels are missing."]},
    nodes=7,
    load_seconds=0.1,
    run_seconds=0.2,
    batch=4,
    batch_seconds=0.3,
    memory_bytes=100,
    warnings=("The scores never change.",),
)


class Trials:
    """Stands for the child process: gives what it was told to give, and remembers what it saw."""

    def __init__(self) -> None:
        self.result: Report | Exception = REPORT
        self.seen: list[tuple[Request, set[str]]] = []
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        self.served: bytes | None = None

    def __call__(self, folder: Path, request: Request) -> Report:
        """Try a model."""
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.seen.append((request, {path.name for path in folder.iterdir()}))
        if self.served is not None:
            (folder / SERVED).write_bytes(self.served)
        assert self.gate.wait(PATIENCE)
        with self._lock:
            self.at_once -= 1
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def trials() -> Trials:
    """The trials of a test."""
    return Trials()


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A version as it was before it was published, and the files that lay beside it."""

    version: ModelVersion
    files: set[str]


@pytest.fixture
def prepared() -> list[Prepared]:
    """The versions that were to be prepared."""
    return []


@pytest.fixture
def counted() -> prometheus_client.CollectorRegistry:
    """What the service counts."""
    return prometheus_client.CollectorRegistry()


@pytest.fixture
def metrics(counted: prometheus_client.CollectorRegistry) -> Metrics:
    """The metrics of the service."""
    return Metrics(counted)


@pytest.fixture
def transactions(tmp_path: Path, metrics: Metrics) -> ModelTransactions:
    """The transactions of a fresh store without workers."""
    for name in ("models", "workers"):
        (tmp_path / name).mkdir()
    return ModelTransactions(
        Registry(tmp_path, BUNDLED_MODEL),
        Stamp(tmp_path / "stamp"),
        WorkerRegistry(tmp_path / "workers"),
        observe=metrics.observe_step,
    )


@pytest.fixture
def publisher(transactions: ModelTransactions) -> Publisher:
    """What changes the models of the store."""
    return Publisher(transactions.registry, transactions)


@pytest.fixture
def uploads(
    tmp_path: Path,
    transactions: ModelTransactions,
    publisher: Publisher,
    metrics: Metrics,
    trials: Trials,
    prepared: list[Prepared],
) -> Uploads:
    """Uploads to the store."""

    def prepare(version: ModelVersion) -> None:
        prepared.append(Prepared(version, {path.name for path in version.path.parent.iterdir()}))
        (version.path.parent / "prepared").write_text("more")

    return Uploads(Settings(data=tmp_path), transactions, publisher, metrics, trials, prepare)


def receiver(
    content: bytes = b"model", *, labels: bytes | None = None, weights: bytes | None = None
) -> Callable[[Path], Received]:
    """Write what a request would hold."""

    def receive(folder: Path) -> Received:
        (folder / MODEL).write_bytes(content)
        files = {MODEL: "my.onnx"}
        if labels is not None:
            (folder / LABELS).write_bytes(labels)
            files[LABELS] = "my.json"
        if weights is None:
            return Received("default", files, "127.0.0.1")
        (folder / "data-0").write_bytes(weights)
        return Received("default", files, "127.0.0.1", {"my.bin": "data-0"})

    return receive


def test_prepared(uploads: Uploads, prepared: list[Prepared]) -> None:
    """What is prepared beside a version before it is published moves with it."""
    version = uploads.take(receiver(labels=b"[]")).version

    (before,) = prepared
    assert before.files == {MODEL, LABELS}
    assert before.version.digest == version.digest
    assert before.version.manifest == version.manifest
    assert (version.path.parent / "prepared").read_text() == "more"


def files_of(version: ModelVersion) -> dict[str, bytes]:
    """The files of a version, but for what is known of it."""
    assert version.manifest is not None
    paths = [version.path.with_name(name) for name in version.manifest.files]
    version.verify()
    return {path.name: path.read_bytes() for path in paths}


def test_joined(uploads: Uploads, trials: Trials) -> None:
    """A model that was joined with its weights takes the place of both."""
    trials.served, trials.result = b"both", dataclasses.replace(REPORT, weights=("my.bin",))

    version = uploads.take(receiver(weights=b"weights")).version

    assert trials.seen[0][0].data == {"my.bin": "data-0"}
    assert files_of(version) == {MODEL: b"both"}
    assert not version.path.with_name("data-0").exists()
    assert not version.path.with_name(ORIGINAL).exists()


def test_adapted(uploads: Uploads, trials: Trials) -> None:
    """Where the graph was adapted, the original stays beside, and another preprocessing begins with it."""
    trials.served = b"adapted"
    trials.result = dataclasses.replace(REPORT, weights=("my.bin",), adapted=("Cut.",))

    version = uploads.take(receiver(weights=b"weights")).version

    assert files_of(version) == {MODEL: b"adapted", ORIGINAL: b"model", "data-0": b"weights"}
    assert version.manifest is not None
    assert version.manifest.report["adapted"] == ["Cut."]

    again = uploads.revise("default", None, "{}", None).version

    request, _ = trials.seen[1]
    assert request.data == {"my.bin": "data-0"}
    assert files_of(again).items() >= {MODEL: b"adapted", ORIGINAL: b"model", "data-0": b"weights"}.items()


def test_too_large_to_join(uploads: Uploads, trials: Trials) -> None:
    """Weights that stay in a file of their own lie beside the model, also with another preprocessing."""
    trials.served = b"graph"
    trials.result = dataclasses.replace(REPORT, weights=("my.bin",), beside=("data-0",))

    version = uploads.take(receiver(weights=b"weights")).version

    assert files_of(version) == {MODEL: b"graph", "data-0": b"weights"}
    assert version.bytes == len(b"graph" + b"weights")

    trials.result = dataclasses.replace(REPORT, weights=("data-0",), beside=("data-0",))
    again = uploads.revise("default", None, "{}", None).version

    assert trials.seen[1][0].data == {"data-0": "data-0"}
    assert files_of(again).items() >= {MODEL: b"graph", "data-0": b"weights"}.items()


def test_data_that_is_not_used(uploads: Uploads) -> None:
    """A file in which no weights lie goes."""
    version = uploads.take(receiver(weights=b"read me")).version

    assert files_of(version) == {MODEL: b"model"}
    assert not version.path.with_name("data-0").exists()


def test_published(uploads: Uploads, trials: Trials) -> None:
    """What passed its check is published with its report and its names."""
    version = uploads.take(receiver(labels=b"[]")).version

    assert version.version == 2
    assert version.manifest is not None
    assert (version.manifest.model, version.manifest.labels) == ("my.onnx", "my.json")
    assert version.manifest.by == "127.0.0.1"
    assert version.manifest.report["classes"] == 3
    ((request, files),) = trials.seen
    assert (request.model, request.labels, request.preprocessing) == (MODEL, LABELS, None)
    assert files == {MODEL, LABELS}


def test_live_already(uploads: Uploads, trials: Trials, tmp_path: Path) -> None:
    """The files of the live version are not checked again, and make no version."""
    first = uploads.take(receiver(labels=b"[]"))

    again = uploads.take(receiver(labels=b"[]"))

    assert (again.version, first.unchanged, again.unchanged) == (first.version, False, True)
    assert len(trials.seen) == 1
    assert list((tmp_path / "incoming").iterdir()) == []


@pytest.mark.parametrize("labels", [None, b"[1]"])
def test_other_labels(uploads: Uploads, labels: bytes | None) -> None:
    """The same model with other labels, or without, is another version."""
    uploads.take(receiver(labels=b"[]"))

    assert uploads.take(receiver(labels=labels)).version.version == 3


def test_live_already_and_damaged(uploads: Uploads, trials: Trials) -> None:
    """Where the live version's files are damaged, an upload of them is checked and takes its place."""
    uploads.take(receiver()).version.path.write_bytes(b"rotten")

    again = uploads.take(receiver())

    assert (again.version.version, again.unchanged) == (3, False)
    assert len(trials.seen) == 2


def test_quarantined(uploads: Uploads, publisher: Publisher, trials: Trials) -> None:
    """A quarantined model is refused before it is tried again."""
    uploads.take(receiver())
    publisher.quarantine("default", 2, "It is bad.")

    with pytest.raises(ModelConflict, match="version 2, which is quarantined"):
        uploads.take(receiver())

    assert len(trials.seen) == 1


def test_equal_at_once(uploads: Uploads, trials: Trials) -> None:
    """Of equal uploads that are checked at the same time one is published, and each is told its number."""
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: uploads.take(receiver()), range(4)))

    assert {published.version.version for published in taken} == {2}
    assert [published.unchanged for published in taken].count(False) == 1


def test_weights(uploads: Uploads, trials: Trials) -> None:
    """Of the files that may hold weights those that the check names are kept and have a digest."""

    def receive(folder: Path) -> Received:
        files = {MODEL: "a/m.onnx", "data-0": "a/m.onnx.data", "data-1": "a/other.bin"}
        for name in files:
            (folder / name).write_bytes(name.encode())
        data = {"m.onnx.data": "data-0", "other.bin": "data-1"}
        return Received("default", files, None, data, unused=["README.md", "bad\x00name"])

    trials.result = dataclasses.replace(REPORT, weights=("m.onnx.data",), beside=("data-0",))

    version = uploads.take(receive).version

    ((request, files),) = trials.seen
    assert request.data == {"m.onnx.data": "data-0", "other.bin": "data-1"}
    assert files == {MODEL, "data-0", "data-1"}
    assert version.manifest is not None
    assert (version.manifest.model, set(version.manifest.files)) == ("m.onnx", {MODEL, "data-0"})
    assert version.manifest.report["files"] == [
        {"name": "a/m.onnx", "use": "model"},
        {"name": "a/m.onnx.data", "use": "weights"},
        {"name": "a/other.bin", "use": "not used"},
        {"name": "README.md", "use": "not used"},
        {"name": "bad?name", "use": "not used"},
    ]
    assert not (version.path.parent / "data-1").exists()


def test_report_has_all_warnings() -> None:
    """Warnings of the spec and of the trial stand in one list."""
    shown = report_json(REPORT)

    assert shown["warnings"] == ["The labels are missing.", "The scores never change."]
    assert (shown["classes"], shown["run_seconds"]) == (3, 0.2)
    assert "cuda" not in shown


def test_report_of_a_gpu() -> None:
    """The figures of a GPU stand in a place of their own, and what only served to compare is left out."""
    figures = OnGpu("Fake GPU", 1.0, 0.01, 4, 0.02, None)
    report = dataclasses.replace(REPORT, cuda=figures, best=(Best((0,), (1.0,), 1.0),))

    shown = report_json(report)

    assert shown["cuda"] == dataclasses.asdict(figures)
    assert "best" not in shown


@pytest.mark.parametrize(
    "error", [Refused("not_onnx", "No."), ModelConflict("No."), StorageFull("No."), RuntimeError("bug")]
)
def test_refused(uploads: Uploads, trials: Trials, tmp_path: Path, error: Exception) -> None:
    """What did not pass is gone."""
    trials.result = error

    with pytest.raises(type(error)):
        uploads.take(receiver())

    assert list((tmp_path / "incoming").iterdir()) == []
    assert list((tmp_path / "models").iterdir()) == []


def test_refusal_in_the_log(uploads: Uploads, trials: Trials, caplog: pytest.LogCaptureFixture) -> None:
    """The log says which name a refused model was sent for, and the sentence that its sender got."""
    trials.result = Refused("unclear", "The scores are not clear.")

    with pytest.raises(Refused):
        uploads.take(receiver())

    assert "A model for default was refused (unclear): The scores are not clear." in caplog.messages


def test_broken_off(uploads: Uploads, trials: Trials, tmp_path: Path) -> None:
    """What never came whole is neither checked nor kept."""

    def receive(folder: Path) -> Received:
        (folder / "part-0").write_bytes(b"half")
        raise InvalidRequest("The upload is incomplete.")

    with pytest.raises(InvalidRequest):
        uploads.take(receive)

    assert trials.seen == []
    assert list((tmp_path / "incoming").iterdir()) == []


def test_full_disk(uploads: Uploads, tmp_path: Path) -> None:
    """A disk that takes no more is told as such."""

    def receive(folder: Path) -> Received:
        raise OSError(28, "No space left on device", str(folder))

    with pytest.raises(StorageFull) as caught:
        uploads.take(receive)

    assert str(tmp_path) not in caught.value.detail


def test_one_check_at_a_time(uploads: Uploads, trials: Trials) -> None:
    """Uploads that come together are checked one after the other, and each gets a version of its own."""
    with ThreadPoolExecutor(4) as pool:
        taken = pool.map(lambda number: uploads.take(receiver(b"%d" % number)), range(4))
        versions = [published.version.version for published in taken]

    assert sorted(versions) == [2, 3, 4, 5]
    assert trials.most == 1


def test_too_many_at_once(uploads: Uploads, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits too long for his check is told to try again."""
    monkeypatch.setattr(module, "_CHECK_LOCK_SECONDS", 0.05)
    trials.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(uploads.take, receiver())
        while not trials.seen:
            threading.Event().wait(0.01)
        with pytest.raises(ModelConflict):
            uploads.take(receiver())
        trials.gate.set()

        assert first.result(PATIENCE).version.version == 2


def test_counted(
    uploads: Uploads, publisher: Publisher, trials: Trials, counted: prometheus_client.CollectorRegistry
) -> None:
    """Checks and changes are counted by what came of them."""
    uploads.take(receiver())
    uploads.take(receiver())
    trials.result = Refused("not_finite", "No.")
    with pytest.raises(PredictorError):
        uploads.take(receiver(b"other"))
    with pytest.raises(ModelNotFound):
        uploads.change(lambda: publisher.rollback("cats"))

    def count(what: str, outcome: str) -> float | None:
        return counted.get_sample_value(f"predictor_model_{what}_total", {"outcome": outcome})

    assert [count("checks", outcome) for outcome in ("ok", "not_finite")] == [1, 1]
    assert [count("swaps", outcome) for outcome in ("ok", "model_not_found")] == [1, 1]


def fails(error: Exception) -> Callable[..., Any]:
    """Something that raises, whatever it is called with."""

    def fail(*_: object) -> Any:
        raise error

    return fail


FAULTS = pytest.mark.parametrize(
    ("error", "counts"),
    [
        (StorageFull("The disk is full."), {"storage_full": 1}),
        (NotReady("Busy."), {"not_ready": 1}),
        (RuntimeError("bug"), {"internal": 1}),
        (InvalidRequest("Cut."), {}),
    ],
)


@FAULTS
@pytest.mark.parametrize("step", ["receive", "check", "prepare"])
def test_faults_before_a_change(
    transactions: ModelTransactions, publisher: Publisher, step: str, error: Exception, counts: dict[str, int]
) -> None:
    """A fault of the service that ends an upload is counted once, at any step; a refusal is no change."""
    registry, fail = prometheus_client.CollectorRegistry(), fails(error)
    settings = Settings(data=transactions.registry.data)
    tries = fail if step == "check" else Trials()
    prepare = fail if step == "prepare" else lambda _: None
    uploads = Uploads(settings, transactions, publisher, Metrics(registry), tries, prepare)

    with pytest.raises(type(error)):
        uploads.take(fail if step == "receive" else receiver())

    assert swaps(registry) == counts


@FAULTS
def test_faults_of_a_judgement(
    uploads: Uploads, counted: prometheus_client.CollectorRegistry, error: Exception, counts: dict[str, int]
) -> None:
    """So is one that keeps a version from being judged before its activation."""
    uploads.take(receiver())
    uploads.judge = fails(error)

    with pytest.raises(type(error)):
        uploads.activate("default", 1)

    assert swaps(counted) == counts | {"ok": 1}


def swaps(registry: prometheus_client.CollectorRegistry) -> dict[str, float]:
    """How many changes ended with each outcome."""
    samples = [one for metric in registry.collect() for one in metric.samples if one.value]
    return {one.labels["outcome"]: one.value for one in samples if one.name == "predictor_model_swaps_total"}
