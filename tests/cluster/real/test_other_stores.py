"""Stores of other makers: one that ignores conditions is refused, Azure's and Google's forms are tried."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.real.figures import Row
from tests.cluster.real.machine import Machine
from tests.cluster.real.network import HERE, Host
from tests.live.models import eventually
from tests.live.service import ROOT

pytestmark = pytest.mark.cluster
SERVERS = ROOT / ".venv" / "servers"
_AZURE_PORT, _GOOGLE_PORT, _NANIO_PORT = 10_000, 4443, 9000


@contextmanager
def running(log: Path, url: str, *command: str | Path, **environment: str) -> Iterator[None]:
    """A server, from the moment it answers."""
    if not Path(command[0]).exists():
        pytest.skip(f"{Path(command[0]).name} is not installed")
    with log.open("wb") as out:
        server = subprocess.Popen(
            list(map(str, command)), env=os.environ | environment, stdout=out, stderr=out, cwd=log.parent
        )
    try:
        eventually(lambda: _answers(url), 60)
        yield
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def outcome(machine: Machine, image: bytes, number: int) -> str:
    """What comes of a start and an upload on a store: served, or the sentence of the refusal."""
    try:
        machine.start()
    except AssertionError:
        return machine.log.strip().splitlines()[-1]
    answer = machine.upload(number)
    served = machine.predict(image) == number
    machine.stop()
    return "served" if answer.status_code == 200 and served else f"{answer.status_code}: {answer.text}"


def tried(number: int, folder: Path, image: Path, url: str, told: Mapping[str, str]) -> str:
    """What comes of a machine on a store."""
    host = Host.add(number)
    try:
        machine = Machine(host, folder / "machine", told, store=url)
        return outcome(machine, image.read_bytes(), number)
    finally:
        host.remove()


def test_a_store_that_ignores_conditions(network: str, tmp_path: Path, cat: Path, figure: Row) -> None:
    """A store that lets a second writer win is refused at the start, in one sentence."""
    (tmp_path / "store" / "models").mkdir(parents=True)
    url = f"http://{HERE}:{_NANIO_PORT}"
    command = (SERVERS / "bin" / "nanio", "serve", "--data-dir", tmp_path / "store", "--host", HERE)
    keys = {"NANIO_ACCESS_KEY": "predictor", "NANIO_SECRET_KEY": "predictor-secret"}
    told = {
        "AWS_ACCESS_KEY_ID": "predictor",
        "AWS_SECRET_ACCESS_KEY": "predictor-secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
    }
    with running(tmp_path / "nanio.log", url, *command, "--port", str(_NANIO_PORT), **keys):
        found = tried(11, tmp_path, cat, "s3://models/predictor", told)

    figure("nanio 0.1.7, which ignores conditions", "refused at the start", found)
    assert "PREDICTOR_STORE" in found
    assert found != "served"


def test_azure(network: str, tmp_path: Path, cat: Path, figure: Row) -> None:
    """Azure's form of a store, on its emulator: served, or refused in a sentence."""
    account, key = "predictor", base64.b64encode(b"key-of-the-test").decode()
    azurite = SERVERS / "node_modules" / ".bin" / "azurite-blob"
    options = (
        "--blobHost",
        HERE,
        "--blobPort",
        str(_AZURE_PORT),
        "--location",
        tmp_path,
        "--skipApiVersionCheck",
    )
    url = f"http://{HERE}:{_AZURE_PORT}"
    told = {
        "AZURE_STORAGE_ACCOUNT_NAME": account,
        "AZURE_STORAGE_ACCOUNT_KEY": key,
        "AZURE_STORAGE_ENDPOINT": f"{url}/{account}",
        "AZURE_ALLOW_HTTP": "true",
    }
    with running(tmp_path / "azurite.log", url, azurite, *options, AZURITE_ACCOUNTS=f"{account}:{key}"):
        _make_container(url, account, key)
        found = tried(12, tmp_path, cat, "az://models/predictor", told)

    figure("Azure's form, on Azurite 3.35", "parsed and tried", found)
    assert found == "served"


def _make_container(url: str, account: str, key: str) -> None:
    """Make the container `models`, by a request signed with Azure's shared key."""
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    lines = ["PUT", *[""] * 11, *(f"{name}:{value}" for name, value in headers.items())]
    text = "\n".join([*lines, f"/{account}/{account}/models", "restype:container"])
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
    request = urllib.request.Request(
        f"{url}/{account}/models?restype=container", method="PUT", headers=headers | {"Content-Length": "0"}
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_google(network: str, tmp_path: Path, cat: Path, figure: Row) -> None:
    """Google's form of a store, on an emulator: it is asked, and a refusal is a sentence."""
    (tmp_path / "store" / "models").mkdir(parents=True)
    url = f"http://{HERE}:{_GOOGLE_PORT}"
    account = tmp_path / "account.json"
    account.write_text(
        json.dumps(
            {
                "gcs_base_url": url,
                "disable_oauth": True,
                "client_email": "",
                "private_key": "",
                "private_key_id": "",
            }
        )
    )
    binary = next(
        SERVERS.glob("lib/*/site-packages/fake_gcs*/vendor/*/bin/*linux-amd64"), SERVERS / "fake-gcs"
    )
    options = ("-scheme", "http", "-host", HERE, "-port", str(_GOOGLE_PORT), "-external-url", url)
    served = ("-public-host", f"{HERE}:{_GOOGLE_PORT}", "-backend", "filesystem")
    folder = ("-filesystem-root", tmp_path / "store")
    told = {
        "PREDICTOR_STORE": "gs://models/predictor",
        "PREDICTOR_DATA": str(tmp_path / "data"),
        "GOOGLE_SERVICE_ACCOUNT": str(account),
    }
    command = [sys.executable, "-m", "predictor", "store", "check"]
    with running(tmp_path / "google.log", f"{url}/storage/v1/b", binary, *options, *served, *folder):
        asked = subprocess.run(
            command, cwd=ROOT, env=os.environ | told, capture_output=True, text=True, timeout=120, check=False
        )

    # It is asked over TLS only, and has no uploads by the XML protocol that obstore speaks.
    said = (asked.stdout + asked.stderr).strip().splitlines()[-1]
    figure("Google's form, on fake-gcs-server", "parsed and tried", f"exit code {asked.returncode}: {said}")
    assert "Traceback" not in asked.stderr
    assert asked.returncode == 0 or "PREDICTOR_STORE" in said
