"""A prediction goes from an image or an address to ranked classes, and each thing is done once."""

import hashlib
import io
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import prometheus_client
import pytest
from flask import Flask
from PIL import Image

from predictor.config import BUNDLED_MODEL, Settings
from predictor.cores import cores
from predictor.errors import (
    FetchFailed,
    InvalidImage,
    ModelNotFound,
    NotReady,
    Overloaded,
    PredictorError,
)
from predictor.fetch.client import Download, Fetcher
from predictor.inference.active_models import ActiveModels
from predictor.inference.admission import Deadline
from predictor.inference.cache import ANSWER_SECONDS, Cache, cache_folder
from predictor.inference.engine import Engine
from predictor.inference.job import Runner
from predictor.inference.loader import LoadedModel, Loader
from predictor.inference.prediction import (
    EncodedImage,
    ImageSource,
    ImageUrl,
    Options,
    Prediction,
    PreparedImage,
)
from predictor.inference.watchdog import Watchdog
from predictor.metrics import Metrics
from predictor.model.device import Device
from predictor.store.members import WorkerRecord
from predictor.store.registry import Registry
from predictor.store.stamp import Stamp
from tests.patience import PATIENCE

URL = "https://pictures.example/cat.jpg"


class Pictures(Fetcher):
    """A fetcher that gives what it was told to give, counts, and can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, bytes | Exception] = {}
        self.calls = 0
        self.reusable: int | None = None
        self.gate = threading.Event()
        self.gate.set()

    def download(self, url: str) -> Download:
        """Give the answer of an address."""
        self.calls += 1
        assert self.gate.wait(PATIENCE)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        return Download(answer, self.reusable)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The bundled model, loaded on the CPU."""
    watchdog, folder = Watchdog(WorkerRecord(None), seconds=30), tmp_path_factory.mktemp("version")
    loader = Loader(
        Device("cpu"),
        Settings(workers=cores()),
        folder=lambda _: folder,
        observe=lambda _: None,
        watchdog=watchdog,
    )
    return loader.load(Registry(Path("nowhere"), BUNDLED_MODEL).bundled)


@pytest.fixture
def pictures(cat: Path) -> Pictures:
    """A fetcher that knows the cat."""
    fetcher = Pictures()
    fetcher.answers[URL] = cat.read_bytes()
    return fetcher


@pytest.fixture
def make_engine(tmp_path: Path, pictures: Pictures, model: LoadedModel) -> Callable[..., Engine]:
    """Build an engine that serves the bundled model."""

    def make(model: LoadedModel = model, cache_class: type[Cache] = Cache, **settings: object) -> Engine:
        chosen = Settings(**{"data": tmp_path, "threads": 4, **settings})  # type: ignore[arg-type]
        cache_folder(chosen).mkdir(exist_ok=True)
        metrics = Metrics(prometheus_client.CollectorRegistry())
        cache = cache_class(chosen, metrics.count_cache)
        cache.init_app(Flask("test"))
        live = ActiveModels(Stamp(tmp_path / "stamp"))
        live.activate(0, {"default": model})
        return Engine(chosen, cache, metrics, pictures, live=live, other=no_other)

    return make


def no_other(name: str, version: int | None) -> LoadedModel:
    """Stands for a store that has live versions only."""
    raise ModelNotFound(f"{name} has no version {version}.")


def first(engine: Engine, picture: ImageSource, **options: object) -> Prediction:
    """The answer for one image, or its error."""
    result = engine.predict([picture], Options(**options)).results[0]  # type: ignore[arg-type]
    if isinstance(result, PredictorError):
        raise result
    return result


def names(results: Sequence[Prediction | PredictorError]) -> list[str]:
    """The best label of each answer, or the code of its error."""
    return [
        result.code if isinstance(result, PredictorError) else result.labels[result.ranked[0][0]].name
        for result in results
    ]


def test_address_and_bytes_agree(make_engine: Callable[..., Engine], cat: Path) -> None:
    """An image from an address is answered like its bytes, and is known when its bytes come again."""
    engine = make_engine()

    fetched, sent = first(engine, ImageUrl(URL)), first(engine, EncodedImage(cat.read_bytes()))

    assert fetched.ranked == sent.ranked
    assert (fetched.cached, sent.cached) == (False, True)


@pytest.mark.parametrize(("top_k", "cached"), [(1000, True), (1001, False)])
def test_long_answers(
    make_engine: Callable[..., Engine], model: LoadedModel, cat: Path, top_k: int, cached: bool
) -> None:
    """An answer of more than a thousand classes is not kept: thousands of them would fill memory and disk."""
    engine = make_engine(replace(model, spec=replace(model.spec, labels=2 * model.spec.labels)))

    first(engine, EncodedImage(cat.read_bytes()), top_k=top_k)

    assert first(engine, EncodedImage(cat.read_bytes()), top_k=top_k).cached == cached


def test_no_thread_for_a_download(
    make_engine: Callable[..., Engine], cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that no thread can download for is refused, and nobody waits for its other images."""
    engine, start = make_engine(), threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name.startswith("download"):
            raise RuntimeError
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(Overloaded):
        engine.predict([EncodedImage(cat.read_bytes()), ImageUrl(URL)], Options())

    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(first, engine, EncodedImage(cat.read_bytes()))
        assert later.result(PATIENCE).ranked


def test_address_is_asked_once(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """Within its time an address is not fetched again; with other options its image is."""
    engine = make_engine()

    first(engine, ImageUrl(URL))
    assert first(engine, ImageUrl(URL)).cached
    assert pictures.calls == 1
    assert len(first(engine, ImageUrl(URL), top_k=2).ranked) == 2
    assert pictures.calls == 2


def test_address_time_is_over(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """With no time to reuse an address it is fetched each time, but the model does not run again."""
    engine = make_engine(cache_seconds=0)

    first(engine, ImageUrl(URL))
    again = first(engine, ImageUrl(URL))

    assert again.cached
    assert pictures.calls == 2


@pytest.mark.parametrize(
    ("reusable", "cache_seconds", "calls"),
    [(0, 300, 2), (600, 300, 1), (60, 300, 1), (600, 0, 2), (None, 300, 1)],
)
def test_server_shortens_the_time(
    make_engine: Callable[..., Engine],
    pictures: Pictures,
    reusable: int | None,
    cache_seconds: int,
    calls: int,
) -> None:
    """The image's server may shorten the time for which its URL is not fetched again, never lengthen it."""
    engine = make_engine(cache_seconds=cache_seconds)
    pictures.reusable = reusable

    first(engine, ImageUrl(URL))
    first(engine, ImageUrl(URL))

    assert pictures.calls == calls


def test_time_is_the_shorter_one(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """A URL is kept for as long as its server allows, at most for the time that is set."""
    kept: list[int] = []

    class Noted(Cache):
        def keep(self, key: str, value: Any, seconds: int = ANSWER_SECONDS) -> None:
            super().keep(key, value, seconds)
            if key.startswith("url:"):
                kept.append(seconds)

    for pictures.reusable in (20, 600, None):
        first(make_engine(cache_class=Noted, cache_seconds=300), ImageUrl(URL), top_k=len(kept) + 1)

    assert kept == [20, 300, 300]


def test_changed_mind(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """What was kept for a URL is dropped when its server then forbids it."""
    engine = make_engine()
    first(engine, ImageUrl(URL))
    pictures.reusable = 0
    first(engine, ImageUrl(URL), top_k=2)

    first(engine, ImageUrl(URL))

    assert pictures.calls == 3


def test_fresh(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """A request for a fresh answer fetches its URL, and leaves what is kept as it is."""
    engine = make_engine()
    before = first(engine, ImageUrl(URL))
    grey = io.BytesIO()
    Image.new("L", (64, 64), 128).save(grey, "PNG")
    pictures.answers[URL] = grey.getvalue()

    assert first(engine, ImageUrl(URL), fresh=True).ranked != before.ranked
    assert first(engine, ImageUrl(URL)).ranked == before.ranked
    assert pictures.calls == 2


def test_equal_requests_at_once(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """Equal requests at the same time fetch once."""
    engine = make_engine()
    pictures.gate.clear()

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(first, engine, ImageUrl(URL)) for _ in range(6)]
        while pictures.calls == 0:
            threading.Event().wait(0.001)
        pictures.gate.set()
        answers = [future.result(PATIENCE) for future in futures]

    assert pictures.calls == 1
    assert len({tuple(answer.ranked) for answer in answers}) == 1


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("picture", ["bytes", "address"])
@pytest.mark.parametrize(
    "kept",
    [
        "[[99999,0.5]]", '{"a":1}', '"abc"', "5", "[]", "true", '[[1,"x"]]', "[[-5,0.1]]", "[[1,NaN]]",
        "[[1,0.5],[2,0.25]]", f'"{"f" * 64}"',
    ],
)  # fmt: skip
@pytest.mark.promise("O4")
def test_kept_otherwise(
    tmp_path: Path, make_engine: Callable[..., Engine], cat: Path, kept: str, picture: str, many: bool
) -> None:
    """A value of another form in the cache is neither served nor an error: the answer takes its place."""
    asked: list[ImageSource] = [EncodedImage(cat.read_bytes()) if picture == "bytes" else ImageUrl(URL)]
    asked += [EncodedImage(cat.read_bytes() + b"more")] * many
    options = Options(top_k=1)
    # Two threads that make the store at the same moment stand in each other's way.
    first(make_engine(), EncodedImage(png(1)))
    answers = make_engine().predict(asked, options).results
    with sqlite3.connect(cache_folder(Settings(data=tmp_path)) / "answers.sqlite3") as connection:
        changed = connection.execute("UPDATE answers SET value = ?", (kept,)).rowcount

    # Other workers, which have nothing at hand.
    again, later = (make_engine().predict(asked, options).results for _ in range(2))

    assert changed >= len(asked)
    for results, cached in ((again, False), (later, True)):
        assert results == tuple(replace(one, cached=cached) for one in answers)  # type: ignore[type-var]


@pytest.mark.parametrize("source", ["bytes", "URL"])
def test_exact(
    make_engine: Callable[..., Engine], pictures: Pictures, photograph: bytes, source: str
) -> None:
    """The answer for a large JPEG that is decoded whole and the other one never take each other's place."""
    engine, always = make_engine(), make_engine(jpeg="exact")
    pictures.answers[URL] = photograph
    image: ImageSource = EncodedImage(photograph) if source == "bytes" else ImageUrl(URL)

    answers = [first(engine, image, exact=exact) for exact in (False, True, False, True)]

    assert [one.cached for one in answers] == [False, False, True, True]
    assert answers[0].ranked == answers[2].ranked != answers[1].ranked == answers[3].ranked
    assert first(always, image).ranked == answers[1].ranked
    assert first(always, image, fresh=True).ranked == answers[1].ranked


def test_answers_of_earlier_releases(
    make_engine: Callable[..., Engine], tmp_path: Path, model: LoadedModel, cat: Path
) -> None:
    """An answer that was kept by another way from bytes to confidences is not served."""
    engine, data = make_engine(), cat.read_bytes()
    right = first(engine, EncodedImage(data)).ranked
    old = f"answer:{model.version.digest}:5:{hashlib.sha256(data).hexdigest()}"
    with sqlite3.connect(cache_folder(Settings(data=tmp_path)) / "answers.sqlite3") as connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM answers")]
        connection.execute("UPDATE answers SET key = ?", (old,))

    again = first(make_engine(), EncodedImage(data))

    assert old not in keys
    assert (again.cached, again.ranked) == (False, right)


def test_cache_off(make_engine: Callable[..., Engine], cat: Path) -> None:
    """With the cache off, nothing is remembered."""
    engine = make_engine(cache="off")

    assert not any(first(engine, EncodedImage(cat.read_bytes())).cached for _ in range(2))


def test_many(make_engine: Callable[..., Engine], cat: Path, pictures: Pictures) -> None:
    """Of many images, each bad one has its own error, in the order sent."""
    engine = make_engine()
    pictures.answers["https://broken.example/"] = FetchFailed("It is not there.")
    cats = cat.read_bytes()

    results = engine.predict(
        [
            EncodedImage(cats),
            EncodedImage(b"x"),
            ImageUrl("https://broken.example/"),
            InvalidImage("?"),
            EncodedImage(cats),
        ],
        Options(),
    ).results

    assert names(results) == ["tiger cat", "unsupported_image", "fetch_failed", "invalid_image", "tiger cat"]


def png(shade: int) -> bytes:
    """An image of one shade."""
    out = io.BytesIO()
    Image.new("L", (300, 300), shade).save(out, "PNG")
    return out.getvalue()


def observed(model: LoadedModel) -> tuple[LoadedModel, list[int]]:
    """A model that runs two images together, and the sizes of its batches."""
    sizes = list[int]()
    runner = Runner(model.runner, max_batch=2, seconds=0.01, observe=sizes.append)
    return replace(model, runner=runner), sizes


@pytest.mark.parametrize("cache", ["on", "off"])
def test_many_run_together(make_engine: Callable[..., Engine], model: LoadedModel, cache: str) -> None:
    """Images of a request run together, without those that have an answer or an error."""
    model, sizes = observed(model)
    engine = make_engine(cache=cache, model=model)
    new = [EncodedImage(png(shade)) for shade in range(2 * cores())]

    results = engine.predict([EncodedImage(b"x"), *new, EncodedImage(b"y")], Options()).results
    again = [engine.predict([picture], Options(fresh=True)).results[0] for picture in new]

    assert names(results) == ["unsupported_image", *names(again), "unsupported_image"]
    assert sum(sizes) == 2 * len(new)
    assert 2 in sizes


def test_many_equal(make_engine: Callable[..., Engine], model: LoadedModel) -> None:
    """An image that a request holds many times is run once."""
    model, sizes = observed(model)
    engine = make_engine(model=model)

    results = engine.predict([EncodedImage(png(7))] * 4 * cores(), Options()).results

    assert len(set(names(results))) == 1
    assert sum(sizes) == 1


def test_many_known(make_engine: Callable[..., Engine], model: LoadedModel) -> None:
    """Of many images only those run whose answer is not known."""
    model, sizes = observed(model)
    engine = make_engine(model=model)
    known, new = [EncodedImage(png(shade)) for shade in (3, 4)]
    first(engine, known)

    results = engine.predict([known, new] * cores(), Options()).results

    cached = [isinstance(result, Prediction) and result.cached for result in results]
    assert all(cached[::2])
    assert cached[1::2].count(False) == 1
    assert sum(sizes) == 2


class Broken(Cache):
    """A cache that fails as none should."""

    def known(self, key: str, read: object) -> Any:  # noqa: ARG002 (the base class's signature)
        """Fail."""
        raise RuntimeError(key)


def test_many_with_broken_cache(make_engine: Callable[..., Engine]) -> None:
    """An unexpected failure of the cache is that of each image, not of the request."""
    engine = make_engine(cache_class=Broken)

    results = engine.predict([EncodedImage(png(shade)) for shade in range(2 * cores())], Options()).results

    assert names(results) == ["internal"] * 2 * cores()


def test_unexpected_failure(make_engine: Callable[..., Engine], cat: Path, pictures: Pictures) -> None:
    """A failure of our own with one image is that image's error, and tells nothing of the inside."""
    engine = make_engine()
    pictures.answers[URL] = RuntimeError("/secret/path")

    results = engine.predict([ImageUrl(URL), EncodedImage(cat.read_bytes())], Options()).results

    assert names(results) == ["internal", "tiger cat"]
    assert "secret" not in str(results[0])


def test_phases(make_engine: Callable[..., Engine], cat: Path) -> None:
    """The time of each phase is kept, in the order of the work."""
    engine = make_engine()

    phases = engine.predict([ImageUrl(URL)], Options()).phases.seconds

    assert list(phases) == ["fetch", "queue", "decode", "preprocess", "infer"]
    assert all(seconds >= 0 for seconds in phases.values())


def test_unknown_model(make_engine: Callable[..., Engine]) -> None:
    """Only the live model and version can be asked."""
    engine = make_engine()

    for options in (Options(model="other"), Options(version=7)):
        with pytest.raises(ModelNotFound):
            engine.predict([EncodedImage(b"")], options)


def test_nothing_loaded(tmp_path: Path, pictures: Pictures) -> None:
    """Before a model is loaded, the engine says so."""
    settings = Settings(data=tmp_path, cache="off")
    metrics = Metrics(prometheus_client.CollectorRegistry())
    live = ActiveModels(Stamp(tmp_path / "stamp"))
    engine = Engine(settings, Cache(settings, lambda _: None), metrics, pictures, live=live, other=no_other)

    with pytest.raises(NotReady):
        engine.predict([EncodedImage(b"")], Options())


def test_places_are_free_again(make_engine: Callable[..., Engine], cat: Path) -> None:
    """Whatever came of an image, its place is free again: the next request is accepted."""
    engine = make_engine(max_queue=1)

    for data in (b"", b"text", cat.read_bytes()):
        for _ in range(2):
            engine.predict([EncodedImage(data)], Options())

    assert not engine.admission.crowded


def test_caller_has_left(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """An image whose caller has left while it was fetched is not run."""
    engine = make_engine(cache="off")
    left = threading.Event()
    caller = Deadline(disconnected=left.is_set, since=time.monotonic() - 1)
    pictures.gate.clear()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(engine.predict, [ImageUrl(URL)], Options(), caller)
        while pictures.calls == 0:
            threading.Event().wait(0.001)
        left.set()
        pictures.gate.set()
        outcome = future.result(PATIENCE)

    assert names(outcome.results) == ["overloaded"]
    assert "infer" not in outcome.phases.seconds


def test_other_caller_has_left(make_engine: Callable[..., Engine], pictures: Pictures) -> None:
    """Who shared the work of a caller that has left gets an answer all the same."""
    engine = make_engine()
    left = threading.Event()
    # Nobody can know yet that the first has left: only when its image would run.
    impatient, patient = Deadline(disconnected=left.is_set, since=time.monotonic() - 1), Deadline()
    pictures.gate.clear()

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(engine.predict, [ImageUrl(URL)], Options(), impatient)]
        while pictures.calls == 0:
            threading.Event().wait(0.001)
        asked.append(pool.submit(engine.predict, [ImageUrl(URL)], Options(), patient))
        threading.Event().wait(0.2)
        left.set()
        pictures.gate.set()
        results = [future.result(20).results[0] for future in asked]

    assert names(results) == ["overloaded", "tiger cat"]


def test_scores(make_engine: Callable[..., Engine], model: LoadedModel, cat: Path) -> None:
    """The model's own scores have the same bits from the model, from the cache and for the prepared image."""
    engine, image = make_engine(), EncodedImage(cat.read_bytes())
    trace = first(engine, image, debug=True).trace
    assert trace is not None

    answers = [
        first(engine, image, scores=True),
        first(engine, image, scores=True),
        first(engine, PreparedImage(trace.tensor), scores=True),
        first(engine, PreparedImage(trace.tensor), scores=True),
    ]

    assert [answer.cached for answer in answers] == [False, True, False, True]
    assert all(answer.scores is not None and answer.scores.shape == (1000,) for answer in answers)
    assert {np.asarray(answer.scores).tobytes() for answer in answers} == {
        model.scores(trace.tensor).tobytes()
    }
    assert first(engine, image).ranked[0][0] == np.asarray(answers[0].scores).argmax()


def test_prepared_image(make_engine: Callable[..., Engine], model: LoadedModel) -> None:
    """A tensor is ranked as an image is, and is no image that happens to have the same bytes."""
    engine, shape = make_engine(), model.spec.preprocessing.shape
    tensor = np.zeros(shape, model.spec.preprocessing.dtype)

    assert len(first(engine, PreparedImage(tensor)).ranked) == 5
    with pytest.raises(PredictorError):
        first(engine, EncodedImage(tensor.tobytes()))


def test_given_model(make_engine: Callable[..., Engine], model: LoadedModel, cat: Path) -> None:
    """A model that the caller has chosen answers, whatever serves under the name of the options."""
    engine = make_engine()

    outcome = engine.predict([EncodedImage(cat.read_bytes())], Options(model="nobody"), model=model)

    assert names(outcome.results) == ["tiger cat"]
