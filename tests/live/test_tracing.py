"""The real service sends its traces to a receiver of OpenTelemetry's protocol."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.live.models import eventually
from tests.live.service import Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PHASES = {"queue", "decode", "preprocess", "infer"}


class Receiver(http.server.ThreadingHTTPServer):
    """Takes traces as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ExportTraceServiceRequest] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Span]:
        """All spans that came so far."""
        return [
            span
            for sent in self.requests
            for resource in sent.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def resources(self) -> list[dict[str, str]]:
        """What each sender says of itself, as far as it is text."""
        return [
            {one.key: one.value.string_value for one in resource.resource.attributes}
            for sent in self.requests
            for resource in sent.resource_spans
        ]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Read one batch of spans."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A receiver of traces."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that sends its traces there."""
    service = Service(tmp_path_factory.mktemp("traced") / "data", cache="off", fetch_allow="127.0.0.1")
    service.environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_SERVICE_NAME": "cats",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with service:
        yield service


def of(receiver: Receiver, trace: str, spans: int) -> list[Span]:
    """The spans of a trace, once as many have come."""
    found = list[Span]()

    def complete() -> bool:
        found[:] = [span for span in receiver.spans if span.trace_id.hex() == trace]
        return len(found) >= spans

    eventually(complete)
    return found


def attributes(span: Span) -> dict[str, object]:
    """What a span says."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_spans(traced: Service, receiver: Receiver, picture_url: str) -> None:
    """A request is a span of the caller's trace, with a span of each phase inside."""
    answer = traced.post(
        "/predict", json={"image_url": picture_url}, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
    )

    spans = {span.name: span for span in of(receiver, TRACE, 6)}
    whole = spans.pop("POST /predict")
    said = attributes(whole)
    assert answer.headers["X-Request-ID"] == TRACE == said["predictor.request_id"]
    assert spans.keys() == PHASES | {"fetch"}
    assert whole.parent_span_id.hex() == PARENT
    assert whole.kind == Span.SPAN_KIND_SERVER
    assert (said["http.route"], said["http.response.status_code"], said["predictor.model"]) == (
        "/predict",
        200,
        "default",
    )
    for span in spans.values():
        assert span.parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= whole.end_time_unix_nano
    order = sorted(spans, key=lambda name: spans[name].start_time_unix_nano)
    assert order == ["fetch", "queue", "decode", "preprocess", "infer"]
    assert picture_url.rpartition("/")[2] not in str(receiver.requests)


def test_many(traced: Service, receiver: Receiver, cat: Path) -> None:
    """Each image of a request has its phases, under its number; an invalid one has none."""
    trace = TRACE[::-1]
    files = [("image", cat.read_bytes()), ("image", b"no image"), ("image", cat.read_bytes())]
    traced.post("/predict", files=files, headers={"traceparent": f"00-{trace}-{PARENT}-01"})

    spans = of(receiver, trace, 1 + 2 * len(PHASES))
    assert len(spans) == 1 + 2 * len(PHASES)
    numbered = {(attributes(span)["predictor.image"], span.name) for span in spans if span.name in PHASES}
    assert numbered == {(image, phase) for image in (0, 2) for phase in PHASES}


def test_senders(traced: Service, receiver: Receiver, cat: Path) -> None:
    """Without a trace of the caller a request begins one; probes have none, and each worker sends its own."""
    statuses = [traced.get("/healthz").status_code for _ in range(4)]
    lost = traced.get("/no/such/page", headers={"X-Request-ID": "lost-1"})
    begun = traced.post("/predict", data=cat.read_bytes())

    def named() -> dict[object, Span]:
        return {attributes(span).get("predictor.request_id"): span for span in receiver.spans}

    eventually(lambda: {"lost-1", begun.headers["X-Request-ID"]} <= named().keys())
    assert (statuses, lost.status_code) == ([200] * 4, 404)
    assert named()["lost-1"].name == "HTTP"
    assert not named()[begun.headers["X-Request-ID"]].parent_span_id
    assert not [span for span in receiver.spans if "healthz" in span.name]
    assert {resource["service.name"] for resource in receiver.resources()} == {"cats"}


def test_not_sampled(traced: Service, receiver: Receiver, cat: Path) -> None:
    """A trace that its caller does not keep is not sent."""
    trace = "1" * 32
    traced.post("/predict", data=cat.read_bytes(), headers={"traceparent": f"00-{trace}-{PARENT}-00"})
    later = traced.post(
        "/predict", data=cat.read_bytes(), headers={"traceparent": f"00-{'2' * 32}-{PARENT}-01"}
    )

    assert later.status_code == 200
    of(receiver, "2" * 32, 1 + len(PHASES))
    assert [span for span in receiver.spans if span.trace_id.hex() == trace] == []


def test_after_the_fork(traced: Service) -> None:
    """The master has no thread besides its first, and nothing of what sends traces."""
    threads = list(Path(f"/proc/{traced.master}/task").iterdir())
    mapped = Path(f"/proc/{traced.master}/maps").read_text()

    assert len(threads) == 1
    assert "/google/_upb/" not in mapped
    assert all("/google/_upb/" in Path(f"/proc/{one}/maps").read_text() for one in traced.workers())


def test_receiver_is_away(tmp_path: Path, cat: Path) -> None:
    """Without its receiver the service predicts, says what is wrong, and stops by itself."""
    service = Service(tmp_path / "data", workers=1, cache="off")
    service.environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with service:
        answers = [service.post("/predict", data=cat.read_bytes()) for _ in range(3)]
        stopped = service.stop()

    assert {answer.status_code for answer in answers} == {200}
    assert stopped
