"""`make bench`, second part: what each piece of a request costs, in one process without a server.

Pieces take turns, a few hundredths of a second each, so that their ratios do not depend on what else the
machine does. The process is set up as a worker is: metrics in shared files, log lines to a file.
"""

import gc
import hashlib
import io
import itertools
import logging.config
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request

from bench.machine import machine
from bench.run import PICTURE, RESULTS
from predictor import logs
from predictor.app import create_app
from predictor.config import BUNDLED_MODEL, Settings
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.inference.admission import Deadline
from predictor.inference.prediction import EncodedImage, Options, Outcome, Question
from predictor.model.device import Device
from predictor.model.scores import Ranked, rank
from predictor.model.session import load
from predictor.runtime.worker import Worker
from predictor.shared import METRICS_VARIABLE, SLOT_VARIABLE
from predictor.web import middleware, serializers
from predictor.web.flask_app import ServiceFlask

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3")) * 7
_TURN_SECONDS = 0.03
_SHORT = 1000.0
BARE = "all of these, and nothing else"
_KEY = """
Medians of many turns in one process, first of each piece again and again, then of each once after a picture
was computed: that takes the processor's caches, so what comes after it costs several times as much. A known
picture is one whose answer is in the cache.
"""

Pieces = dict[str, Callable[[], object]]


def pictures(worker: Worker, data: bytes) -> Pieces:
    """The phases of an image's work, and all of it together."""
    model, limits, engine = worker.engine.model(), Limits(), worker.engine
    preprocessing = model.spec.preprocessing
    image = decode_scaled(data, limits, preprocessing.shortest)
    tensor = to_tensor(image, preprocessing)
    scores = model.scores(tensor)
    session = load(BUNDLED_MODEL, Device("cpu"))

    def bare() -> None:
        image = decode_scaled(data, limits, preprocessing.shortest)
        rank(session.run(to_tensor(image, preprocessing)[None])[0], model.spec.activation, 5)

    return {
        "decode": lambda: decode_scaled(data, limits, preprocessing.shortest),
        "preprocess": lambda: to_tensor(image, preprocessing),
        "run of the model": lambda: session.run(tensor[None]),
        "run of the model, with its queue and its watchdog": lambda: model.scores(tensor),
        "rank the scores": lambda: rank(scores, model.spec.activation, 5),
        BARE: bare,
        "all of these, by the engine": lambda: engine.predict([EncodedImage(data)], Options(fresh=True)),
    }


def parts(app: Flask, worker: Worker, data: bytes) -> Pieces:
    """What the service itself does for a request, piece by piece."""
    metrics, outcome = worker.metrics, worker.engine.predict([EncodedImage(data)], Options())
    worker.engine.predict([EncodedImage(data)], Options())
    asked = Question(outcome.model, Options(), Deadline())
    key = asked.key_of(hashlib.sha256(data).hexdigest())

    def find() -> Ranked | None:
        return worker.cache.find(key, asked.read)

    if (kept := find()) is None:
        raise RuntimeError("the cache does not have the answer under its key")
    body = _answer(outcome)
    return {
        "which model is live (the stamp)": worker.live.models,
        "digest of the picture": lambda: hashlib.sha256(data).hexdigest(),
        "find an answer in the cache": find,
        "keep an answer in the cache": lambda: worker.cache.keep("answer:", kept),
        "a known picture, by the engine": lambda: worker.engine.predict([EncodedImage(data)], Options()),
        "the answer as a dictionary": lambda: _answer(outcome),
        "the dictionary as a response": lambda: app.json.response(body),
        "count a request (2 metrics)": lambda: _count(worker),
        "count a picture": lambda: metrics.images.labels("default", 1, "ok").inc(),
        "a log line": lambda: logs.write(logging.getLogger("predictor.request"), "request", _FIELDS),
    }


_FIELDS: Mapping[str, Any] = {
    "request_id": 32 * "0", "method": "POST", "path": "/predict", "status": 200, "milliseconds": 1.23,
    "remote": "127.0.0.1",
}  # fmt: skip


def _answer(outcome: Outcome) -> dict[str, Any]:
    (result,) = outcome.results
    if isinstance(result, Exception):
        raise result
    return serializers.answer_json(result, outcome.model)


def _count(worker: Worker) -> None:
    labels = ("POST", "api.predict", 200)
    worker.metrics.requests.labels(*labels).inc()
    worker.metrics.request_seconds.labels(*labels).observe(0.01)


def calls(app: Flask, worker: Worker, data: bytes) -> Pieces:
    """Whole requests, as the server calls the application."""
    plain, lean, hooked = _hello(Flask("plain")), _hello(ServiceFlask("lean")), ServiceFlask("hooked")
    middleware.init_app(hooked, worker.metrics)
    _hello(hooked)
    number = itertools.count()
    return {
        "hello world, plain Flask": lambda: _call(plain, "GET", "/hello"),
        "hello world, this service's Flask": lambda: _call(lean, "GET", "/hello"),
        "hello world, and its hooks (id, time, metrics, log, headers)": lambda: _call(
            hooked, "GET", "/hello"
        ),
        "hello world, plain Flask that reads the picture": lambda: _call(plain, "POST", "/hello", data),
        "GET /healthz": lambda: _call(app, "GET", "/healthz"),
        "POST /predict, known picture": lambda: _call(app, "POST", "/predict", data),
        # What follows the end of an image changes its digest and nothing else.
        "POST /predict, new picture": lambda: _call(app, "POST", "/predict", data + b"%d" % next(number)),
    }


def _hello(app: Flask) -> Flask:
    @app.route("/hello", methods=["GET", "POST"])
    def hello() -> Any:
        if request.method == "POST":
            request.get_data()
        return jsonify(status="alive")

    return app


def _call(app: Flask, method: str, path: str, body: bytes = b"") -> None:
    """One request, all of whose answer is read."""
    environ = {
        **_ENVIRON, "REQUEST_METHOD": method, "PATH_INFO": path, "RAW_URI": path,
        "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
    }  # fmt: skip
    seen = list[str]()
    answer = app(environ, lambda status, *_: seen.append(status))  # type: ignore[arg-type]
    for _ in answer:
        pass
    if (close := getattr(answer, "close", None)) is not None:
        close()
    if seen != ["200 OK"]:
        raise RuntimeError(f"{method} {path} answered {seen}")


_ENVIRON: Mapping[str, Any] = {
    "SCRIPT_NAME": "", "QUERY_STRING": "", "CONTENT_TYPE": "image/jpeg", "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8080", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "50000",
    "HTTP_HOST": "127.0.0.1:8080", "wsgi.version": (1, 0), "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
}  # fmt: skip


def measure(pieces: Pieces) -> dict[str, float]:
    """The median microseconds of each piece; they take turns."""
    repeats, times = dict[str, int](), {name: list[float]() for name in pieces}
    for name, piece in pieces.items():
        piece()
        repeats[name] = max(1, round(_TURN_SECONDS / min(_seconds(piece, 1) for _ in range(3))))
    for _ in range(ROUNDS):
        for name, piece in pieces.items():
            times[name].append(1e6 * _seconds(piece, repeats[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def measure_cold(pieces: Pieces, picture: Callable[[], object]) -> dict[str, float]:
    """The median microseconds of each piece right after an image, which takes the processor's caches."""
    times = {name: list[float]() for name in pieces}
    for _ in range(3 * ROUNDS):
        for name, piece in pieces.items():
            picture()
            times[name].append(1e6 * _seconds(piece, 1))
    return {name: statistics.median(values) for name, values in times.items()}


def _seconds(piece: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        piece()
    return (time.perf_counter() - start) / repeats


@contextmanager
def set_up() -> Iterator[tuple[Flask, Worker]]:
    """The application as a worker has it, whose log lines go to a file."""
    logging.config.dictConfig(logs.configuration("json"))
    with tempfile.TemporaryDirectory() as folder, Path(folder, "log").open("wb") as log:
        metrics = Path(folder, "metrics")
        metrics.mkdir()
        os.environ |= {METRICS_VARIABLE: str(metrics), SLOT_VARIABLE: "0"}
        kept = os.dup(1)
        os.dup2(log.fileno(), 1)
        app = create_app(Settings(data=Path(folder, "data"), device="cpu"))
        worker: Worker = app.extensions["predictor"]
        gc.freeze()
        try:
            yield app, worker
        finally:
            worker.close()
            os.dup2(kept, 1)


def _cell(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds:.1f}"


def main() -> None:
    """Measure, print, and write the table."""
    data = PICTURE.read_bytes()
    with set_up() as (app, worker):
        groups = {
            "A picture": pictures(worker, data),
            "What a request needs besides": parts(app, worker, data),
            "Whole requests, without a server": calls(app, worker, data),
        }
        pieces = {name: piece for group in groups.values() for name, piece in group.items()}
        hot = measure(pieces)
        short = {name: piece for name, piece in pieces.items() if hot[name] < _SHORT}
        cold = measure_cold(short, pieces[BARE])
    lines = ["# What each piece of a request costs", "", machine(), ""]
    for title, group in groups.items():
        lines += [f"| {title} | microseconds | after a picture |", "| --- | ---: | ---: |"]
        lines += [f"| {name} | {hot[name]:.1f} | {_cell(cold.get(name))} |" for name in group]
        lines.append("")
    lines.append(_KEY.strip())
    text = "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "micro.md").write_text(text)


if __name__ == "__main__":
    main()
