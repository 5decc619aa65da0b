"""Contestants are read from their files, started, and ended with all their processes."""

from pathlib import Path

import onnxruntime
import pytest

from bench.contestant import CannotTakePart, Contestant, contestants, python, read, started

METADATA = """# /// script
# dependencies = ["flask>=3", "onnxruntime"]
# [tool.bench]
# name = "one"
# command = ["-m", "one", "{port}"]
# [tool.bench.environment]
# WHERE = "{folder}"
# ///
"""


def test_read() -> None:
    """What stands in the block at the top of a file is the contestant."""
    assert read("key", f'{METADATA}"""It."""\n') == Contestant(
        key="key",
        name="one",
        command=("-m", "one", "{port}"),
        dependencies=("flask>=3", f"onnxruntime=={onnxruntime.__version__}"),
        environment={"WHERE": "{folder}"},
    )


def test_no_contestant() -> None:
    """A file without such a block is shared by contestants and is none itself."""
    assert read("key", '"""Something else."""\n') is None


def test_everybody() -> None:
    """Those that the targets compare are there, and only they run in the project's own environment."""
    found = {one.key: one for one in contestants()}

    assert {"service", "cached", "hello", "flask_sync", "fastapi_uvicorn", "litserve_workers"} <= found.keys()
    assert {key for key, one in found.items() if one.dependencies is None} == {
        "service", "cached", "hello", "service_v2", "service_v2_json",
    }  # fmt: skip
    assert len({one.name for one in found.values()}) == len(found)


@pytest.mark.live
def test_started(tmp_path: Path) -> None:
    """A contestant that answered the image runs with all its processes, and none is left afterwards."""
    (hello,) = (one for one in contestants() if one.key == "hello")

    with started(hello, python(hello), tmp_path) as running:
        alive = running.processes()

    assert running.index == 282
    assert running.process in alive
    assert len(alive) >= 2
    assert running.processes() == []


LATE = """
import http.server, json, signal, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"predictions": [{"index": 282}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

def leave(*_):
    late = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(sys.argv[2], "w").write(str(late.pid))
    sys.exit()

signal.signal(signal.SIGTERM, leave)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.live
def test_late_process(tmp_path: Path) -> None:
    """A process that was started while its contestant ended is ended, too."""
    late, code = tmp_path / "late", tmp_path / "late.py"
    code.write_text(LATE)
    leaving = Contestant("late", "late", (str(code), "{port}", str(late)))

    with started(leaving, python(leaving), tmp_path) as running:
        assert running.index == 282

    assert late.read_text()
    assert running.processes() == []


def test_does_not_start(tmp_path: Path) -> None:
    """One that ends instead of answering takes no part, and its last words say why."""
    broken = Contestant("broken", "broken", ("-c", "import sys; print('why'); sys.exit('out of luck')"))

    with pytest.raises(CannotTakePart, match="out of luck"), started(broken, python(broken), tmp_path):
        pass
