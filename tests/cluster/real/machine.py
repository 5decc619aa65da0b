"""One machine of many: the real service in a network namespace of its own."""

import io
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import requests

from predictor.discovery.discover import LABELS
from tests.cluster.real.network import Host
from tests.live.models import eventually
from tests.live.service import Service
from tests.patience import PATIENCE

PORT = 8080
TOKEN = "token-of-the-test"
POLL_SECONDS = 0.25
_AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
_EXPORT = Path(__file__).parent.parent.parent / "data" / "exports" / "timm_softmax.onnx"
_CLASSES = 12


def model(number: int) -> bytes:
    """A real network of 0.4 MB whose labels begin with a number, `v007`, so that each answer tells it."""
    graph = onnx.load(_EXPORT)
    labels = [f'"v{number:03} {index}"' for index in range(_CLASSES)]
    graph.metadata_props.add(key=LABELS, value=f"[{', '.join(labels)}]")
    return bytes(graph.SerializeToString())


def number_of(label: str) -> int:
    """The number in an answer's label; 0 for the model that ships with the service."""
    word = label.split(" ", maxsplit=1)[0]
    return int(word[1:]) if word[:1] == "v" and word[1:].isdecimal() else 0


class Machine(Service):
    """A service with two workers in a namespace; leaving its block stops it, entering it again starts it.

    Args:
        host: its namespace.
        folder: of its own.
        told: what it is told of the store, environment variables.
        settings: more `PREDICTOR_*` settings.
    """

    def __init__(self, host: Host, folder: Path, told: Mapping[str, str], **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ours = {"cache": "off", "admin_token": TOKEN, "store_seconds": POLL_SECONDS, "machine": host.name}
        super().__init__(folder / "data", **{**ours, **settings})  # type: ignore[arg-type]
        self.host = host
        self.url = f"http://{host.address}:{PORT}"
        self.command = host.command(sys.executable, "-m", "gunicorn")
        self.environment = {**told, "PREDICTOR_BIND": f"{host.address}:{PORT}"}

    def post(self, path: str, **arguments: Any) -> requests.Response:
        """POST as an administrator."""
        headers = _AUTHORIZATION | arguments.pop("headers", {})
        return super().post(path, headers=headers, **arguments)

    def upload(self, number: int) -> requests.Response:
        """Upload the model with a number."""
        return self.post("/upload", files={"model": ("my.onnx", io.BytesIO(model(number)))})

    def predict(self, image: bytes) -> int:
        """The number of the version that answers, on a connection of its own; -1 for an error."""
        headers = {"Content-Type": "image/jpeg", "Connection": "close"}
        answer = self.post("/predict", data=image, headers=headers)
        return number_of(answer.json()["predicted_label"]) if answer.ok else -1

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            return self.get("/readyz").status_code == 200
        except requests.RequestException:
            return False

    def live(self) -> str:
        """The digest of the live version."""
        shown = self.get("/models/default").json()
        return next(str(one["digest"]) for one in shown["versions"] if one["version"] == shown["live"])

    def kill(self) -> None:
        """Kill every process of the machine."""
        assert self._process is not None
        while self.host.pids():
            self.host.signal(signal.SIGKILL)
            time.sleep(0.01)
        self._process.wait(PATIENCE)

    def start(self) -> float:
        """Start it; the seconds until it was ready."""
        start = time.monotonic()
        self.__enter__()
        return time.monotonic() - start

    def until(self, number: int, image: bytes, seconds: float = PATIENCE) -> float:
        """Wait until it answers with a version; the seconds it took."""
        return eventually(lambda: self.predict(image) == number, seconds)
