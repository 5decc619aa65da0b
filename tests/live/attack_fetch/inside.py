"""`python -m tests.live.attack_fetch.inside FOLDER`, in namespaces of its own: a world around the service.

Every address there is belongs to this world: whatever the service connects to, a server of ours accepts it
and writes down on which address. Questions come as lines of JSON on standard input, answers leave on standard
output; when standard input ends, so does everything.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import trustme
from requests.adapters import DEFAULT_CA_BUNDLE_PATH

from tests.live.attack_fetch.names import NameServer
from tests.live.attack_fetch.origin import Origin
from tests.live.attack_fetch.places import OPENED, SILENT, UNREACHABLE, ZONE
from tests.live.service import Service

SECONDS = 4.0
"""The service's time for one download in this world."""
_PROXY = "http://127.0.0.1:3128"
_OURS = ("X-Request-ID", "Date", "Server-Timing")


def main() -> None:
    """Build the world, start the service in it, and answer questions until their end."""
    folder = Path(sys.argv[1])
    authority = trustme.CA()
    _settle(folder, authority)
    names = NameServer(ZONE, SILENT)
    with _service(folder) as service:
        world = World(service, Origin(authority, service.port), names)
        _say("ready")
        for line in sys.stdin:
            verb, arguments = json.loads(line)
            _say(getattr(world, verb)(**arguments))


class World:
    """What can be asked from outside of the namespaces."""

    def __init__(self, service: Service, origin: Origin, names: NameServer) -> None:
        self._service = service
        self._origin = origin
        self._names = names

    def predict(self, urls: list[str], threads: int) -> list[dict[str, Any]]:
        """Have the service fetch images, some at once; what it answered, without the request's id."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self._predict, urls))

    def get(self, path: str, times: int) -> list[dict[str, Any]]:
        """Ask the service for a path, one time after the other."""
        return [_timed(lambda: self._service.get(path)) for _ in range(times)]

    def taken(self) -> dict[str, Any]:
        """What the servers of this world saw since the last call."""
        asked = list(self._names.asked)
        self._names.asked.clear()
        return {**self._origin.taken(), "names": asked}

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return self._service.workers()

    def memory(self) -> list[dict[str, int]]:
        """The memory of each worker in bytes: its own now, all now, and the most since the last call."""
        return [_memory(pid) for pid in self._service.workers()]

    def _predict(self, url: str) -> dict[str, Any]:
        return _timed(lambda: self._service.post("/predict", json={"image_url": url}))


def _timed(send: Any) -> dict[str, Any]:
    start = time.perf_counter()
    response: requests.Response = send()
    seconds = time.perf_counter() - start
    body = response.json()
    return {
        "status": response.status_code,
        "code": body.get("code"),
        "body": response.text.replace(response.headers["X-Request-ID"], ""),
        "headers": sorted(f"{k}: {'' if k in _OURS else v}" for k, v in response.headers.items()),
        "seconds": seconds,
    }


def _memory(pid: int) -> dict[str, int]:
    process = Path(f"/proc/{pid}")
    figures = {
        "private": _bytes(process / "smaps_rollup", "Private_"),
        "peak": _bytes(process / "status", "VmHWM"),
        "resident": _bytes(process / "status", "VmRSS"),
    }
    (process / "clear_refs").write_text("5")  # the peak begins anew
    return figures


def _bytes(file: Path, field: str) -> int:
    lines = [line.split() for line in file.read_text().splitlines() if line.startswith(field)]
    return sum(1024 * int(words[1]) for words in lines)


def _settle(folder: Path, authority: trustme.CA) -> None:
    """Make every address local, and put own files in the place of the system's for names and authorities."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    (folder / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    places = {name: f"/etc/{name}" for name in ("hosts", "resolv.conf", "nsswitch.conf")}
    for name, place in {**places, "ca.pem": DEFAULT_CA_BUNDLE_PATH}.items():
        _system("mount", "--bind", str(folder / name), place)
    _system("ip", "link", "set", "lo", "up")
    _system("ip", "route", "add", "local", "default", "dev", "lo", "table", "local")
    _system("ip", "-6", "route", "add", "local", "default", "dev", "lo", "table", "local")
    _system("ip", "route", "add", "throw", UNREACHABLE, "table", "local")


def _system(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)


@contextmanager
def _service(folder: Path) -> Iterator[Service]:
    """The service, in an environment with proxies and with a password for the public server."""
    (folder / ".netrc").write_text("machine pub.test login somebody password secret\n")
    (folder / ".netrc").chmod(0o600)
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    os.environ |= {name: _PROXY for upper in proxies for name in (upper, upper.lower())}
    os.environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HOME": str(folder)}
    with Service(folder / "data", fetch_seconds=SECONDS, fetch_allow=f"{OPENED}:80") as service:
        yield service


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201 (the way out)


if __name__ == "__main__":
    main()
