"""The running service fetches models: from a hub, from a bucket of S3 and by TLS; all workers serve them."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from predictor.client import Client
from tests.live.service import Service
from tests.sources.hub import BUNDLE, COMMIT, MODEL, Files, Hub, serving
from tests.sources.localbucket import buckets
from tools.sample_models import classifier

pytestmark = pytest.mark.live

TOKEN = "an-admin-token-of-tests"
HUB_TOKEN = "hf_secret-of-tests"


@dataclass(frozen=True)
class Running:
    """A service with the servers that it fetches from."""

    service: Service
    web: Files


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with two workers, and a hub, a bucket and a web server with TLS of an own authority."""
    folder = tmp_path_factory.mktemp("sources")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    storage, web = Files({}), Files({"/m.onnx": classifier(["a", "b"], winner=0)})
    hub = Hub(BUNDLE, storage, token=HUB_TOKEN)
    with ExitStack() as held:
        held.enter_context(serving(storage))
        held.enter_context(serving(hub))
        held.enter_context(serving(web, context))
        reached = held.enter_context(buckets(folder / "buckets", {"models/cats/m.onnx": MODEL}))
        service = Service(
            folder / "data",
            fetch_allow="127.0.0.1",
            fetch_ca=folder / "ca.pem",
            admin_token=TOKEN,
            cache="off",
        )
        service.environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": HUB_TOKEN, **reached}
        yield Running(held.enter_context(service), web)


@pytest.mark.parametrize(
    ("source", "label", "revision"),
    [
        ("hf:org/name@main", "green", COMMIT),
        ("s3://models/cats", "class 1", None),
        ("{web}/m.onnx?signature=s3cr3t", "a", "sha256:"),
    ],
)
def test_served(running: Running, cat: Path, source: str, label: str, revision: str | None) -> None:
    """Each source ends in a model that every worker serves, and whose source is shown without its secrets."""
    service = running.service
    with Client(service.url, TOKEN) as client:
        answer = client.upload(source=source.format(web=running.web.url), name="pulled")
        said = {client.predict(cat, model="pulled", fresh=True).label for _ in range(8)}
        report = client.model("pulled")["versions"][0]["report"]

    assert said == {label}
    assert report is not None
    shown = report["source"]
    assert answer["report"]["source"] == shown
    assert str(shown["revision"]).startswith(revision or "")
    assert not [secret for secret in (HUB_TOKEN, TOKEN, "s3cr3t", "secret-of-tests") if secret in service.log]
    assert "s3cr3t" not in service.get("/models").text


def test_blocked(running: Running) -> None:
    """Addresses that no download may reach, no source may either."""
    form = {"source": (None, "http://169.254.169.254/latest/meta-data")}
    headers = {"Authorization": f"Bearer {TOKEN}"}

    answer = running.service.post("/upload", files=form, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "fetch_blocked")
