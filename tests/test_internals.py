"""The undocumented parts of libraries that the service uses: all are listed, and all are there."""

import ast
import http.client
import re
import socket
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import flask.json.provider
import gunicorn.arbiter
import gunicorn.http.errors
import gunicorn.util
import prometheus_client.multiprocess
import prometheus_client.values
import prometheus_flask_exporter
import pytest
import requests.adapters
import urllib3.connection
from flask_caching.backends.base import BaseCache
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.wsgi import default_environ
from gunicorn.sock import TCPSocket
from gunicorn.workers.gthread import TConn, ThreadWorker
from werkzeug.routing import Map, Rule

ROOT = Path(__file__).parent.parent
LISTED = (
    (ROOT / "docs" / "architecture.md").read_text().partition("\n## Undocumented parts of libraries\n")[2]
)
ROWS = [
    (re.findall(r"`([^`]+)`", names), file, test)
    for names, file, test in re.findall(
        r"^\| [\w., -]+ \| (`.+`) \| `([^`]+)` \| `([^`]+)` \|$", LISTED, re.MULTILINE
    )
]
MOST = 30
"""How many such names there may be."""
HERE = "tests/test_internals.py::test_exists"


def _of_gunicorn() -> dict[str, Any]:
    """A worker, and a connection whose request was read as the worker does it."""
    config = Config()
    logger = Logger(config)
    client, server = socket.socketpair()
    with client, server, closing(TCPSocket(("127.0.0.1", 0), config, logger)) as listener:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        connection = TConn(config, server, ("127.0.0.1", 1), ("127.0.0.1", 2))
        connection.init()
        request = next(connection.parser)
        objects = [
            ThreadWorker(1, 1, [], None, 30, config, logger), listener,
            connection, connection.parser, connection.parser.unreader,
            request, request.body, request.body.reader,
        ]  # fmt: skip
        environ = SimpleNamespace(**default_environ(request, server, config))
    return {
        **{type(one).__name__: one for one in objects},
        "environ": environ,
        "errors": gunicorn.http.errors,
        "util": gunicorn.util,
        "Arbiter": gunicorn.arbiter.Arbiter,
    }


def _of_prometheus(folder: Path) -> dict[str, Any]:
    registry = prometheus_client.CollectorRegistry()
    return {
        "MultiProcessCollector": prometheus_client.multiprocess.MultiProcessCollector(registry, str(folder)),
        "PrometheusMetrics": prometheus_flask_exporter.PrometheusMetrics,
        "values": prometheus_client.values,
    }


def _of_others() -> dict[str, Any]:
    rule = Rule("/models/<name>")
    Map([rule])
    adapter = requests.adapters.HTTPAdapter()
    return {
        "BaseCache": BaseCache,
        "DefaultJSONProvider": flask.json.provider.DefaultJSONProvider,
        "HTTPAdapter": adapter,
        "HTTPConnection": urllib3.connection.HTTPConnection("localhost"),
        "HTTPResponse": http.client.HTTPResponse,
        "PoolManager": adapter.poolmanager,
        "Response": flask.Response,
        "Rule": rule,
    }


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the names begin with, as the libraries make it."""
    return _of_gunicorn() | _of_prometheus(tmp_path_factory.mktemp("metrics")) | _of_others()


def split(name: str) -> tuple[str, str]:
    """What a name begins with, and the attribute or key that follows; itself twice if nothing does."""
    found = re.fullmatch(r'(\w+)(?:\.(\w+)|\["(.+)"\])', name)
    return (found[1], found[2] or found[3]) if found else (name, name)


@pytest.mark.parametrize("name", [name for names, _, test in ROWS if test == HERE for name in names])
def test_exists(name: str, objects: dict[str, Any]) -> None:
    """The library has the part: what it renames would not be called, or not be found, without a word."""
    owner, part = split(name)

    assert owner in objects
    assert part == owner or hasattr(objects[owner], part)


def test_used() -> None:
    """Each part is used in the file that the document names, and there are no more than there may be."""
    used = [(split(name)[1], (ROOT / file).read_text()) for names, file, _ in ROWS for name in names]

    assert 0 < len(used) <= MOST
    assert [part for part, text in used if part not in text] == []


def test_tests() -> None:
    """The tests that the document names are there."""
    for test in {test for *_, test in ROWS}:
        path, _, name = test.partition("::")
        module = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
