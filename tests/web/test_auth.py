"""Who may change models: whoever has the token or, without one, whoever sits at the machine."""

import contextlib
import time
from typing import Any

import pytest
from flask import Flask, request

from predictor.config import Settings
from predictor.errors import Forbidden, Unauthorized
from predictor.web import auth
from predictor.web.auth import require_admin, require_token

APP = Flask("test")
LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:8080"}


def admit(settings: Settings | None = None, **environment: str) -> None:
    """Ask for a request with this environment."""
    with APP.test_request_context("/upload", method="POST", environ_overrides=LOCAL | environment):
        require_admin(request, settings or Settings())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HTTP_HOST": "localhost:8080"},
        {"HTTP_HOST": "[::1]:8080", "REMOTE_ADDR": "::1"},
        {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "http://127.0.0.1:8080"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"HTTP_ORIGIN": "http://127.0.0.1:8080"},
    ],
)
def test_direct(environment: dict[str, str]) -> None:
    """Scripts and the service's own page on the machine itself may."""
    admit(None, **environment)


@pytest.mark.parametrize(
    "environment",
    [
        {"REMOTE_ADDR": "192.168.1.7"},
        {"HTTP_HOST": "attacker.example:8080"},
        {"HTTP_HOST": ""},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_CF_CONNECTING_IP": "127.0.0.1"},
    ],
)
def test_not_direct(environment: dict[str, str]) -> None:
    """Without a token, a request from elsewhere or through a proxy is told which setting to use."""
    with pytest.raises(Forbidden, match="PREDICTOR_ADMIN_TOKEN"):
        admit(None, **environment)


@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "10.0.0.1:8080", "unix:/run/service.sock", "[::]:8080"])
def test_not_bound_to_loopback(bind: str) -> None:
    """A service that others can reach changes nothing without a token, whoever asks."""
    with pytest.raises(Forbidden, match="PREDICTOR_ADMIN_TOKEN"):
        admit(Settings(bind=bind))


@pytest.mark.parametrize("bind", ["localhost:80", "127.0.0.2:80", "[::1]:80"])
def test_bound_to_loopback(bind: str) -> None:
    """Every way to write the machine itself is known."""
    admit(Settings(bind=bind))


@pytest.mark.promise("A3")
@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": "http://127.0.0.1:8080"},
        {"HTTP_ORIGIN": "http://attacker.example"},
        {"HTTP_ORIGIN": "http://127.0.0.1:9999"},
        {"HTTP_ORIGIN": "null"},
    ],
)
@pytest.mark.parametrize("token", [None, "secret"])
def test_other_sites(environment: dict[str, str], token: str | None) -> None:
    """A form on another site changes nothing, even if the browser were to send a token."""
    with pytest.raises(Forbidden, match="another web site"):
        admit(Settings(admin_token=token), HTTP_AUTHORIZATION="Bearer secret", **environment)


@pytest.mark.parametrize(
    "given", [None, "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer secret2"]
)
def test_wrong_token(given: str | None) -> None:
    """With a token set, nothing else counts, not even that the request is direct."""
    environment: dict[str, Any] = {} if given is None else {"HTTP_AUTHORIZATION": given}
    with pytest.raises(Unauthorized):
        admit(Settings(admin_token="secret"), **environment)


@pytest.mark.parametrize("token", ["secret", "geheim-äöü", "秘密"])
def test_right_token(token: str) -> None:
    """The right token counts from anywhere, in whatever letters."""
    header = f"bearer {token}".encode().decode("latin-1")

    admit(
        Settings(admin_token=token, bind="0.0.0.0:80"),
        HTTP_AUTHORIZATION=header,
        HTTP_X_FORWARDED_FOR="203.0.113.7",
        REMOTE_ADDR="10.0.0.1",
    )


def test_no_predict_token() -> None:
    """Where no token is set none is needed."""
    with APP.test_request_context("/predict", method="POST"):
        require_token(request, ())


@pytest.mark.parametrize("environment", [{"HTTP_ORIGIN": "http://["}, {"HTTP_HOST": "[:::::]"}])
def test_no_addresses(environment: dict[str, str]) -> None:
    """An origin or a host that is no address is refused like any other that is not the service's."""
    with pytest.raises(Forbidden):
        admit(None, **environment)


@pytest.mark.promise("A3")
def test_null_is_nobody() -> None:
    """A page without an origin is not taken for the page of a service whose name was not sent."""
    with pytest.raises(Forbidden, match="another web site"):
        admit(
            Settings(admin_token="secret"),
            HTTP_ORIGIN="null",
            HTTP_HOST="",
            HTTP_AUTHORIZATION="Bearer secret",
        )


class Digest(bytes):
    """A digest that must not be compared byte after byte."""

    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared in a time that tells how much is right")

    __ne__ = __eq__


@pytest.mark.promise("A2")
def test_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are compared by their digests, and those without stopping at the first byte that differs."""
    digest = auth._digest
    monkeypatch.setattr(auth, "_digest", lambda token: Digest(digest(token)))

    admit(Settings(admin_token="first,second"), HTTP_AUTHORIZATION="Bearer second")
    with pytest.raises(Unauthorized):
        admit(Settings(admin_token="first,second"), HTTP_AUTHORIZATION="Bearer secont")


@pytest.mark.promise("A2")
def test_same_time() -> None:
    """The time does not tell which of several tokens it was, or that it was none.

    The tokens are so long that leaving out one of them would show.
    """
    first, second = "a" * 3_000_000, "b" * 3_000_000
    sent = {"first": first, "second": second, "none": "x" + first[1:]}
    spent: dict[str, list[float]] = {name: [] for name in sent}
    for _ in range(15):
        for name, token in sent.items():
            with APP.test_request_context("/", headers={"Authorization": f"Bearer {token}"}):
                start = time.thread_time()
                with contextlib.suppress(Unauthorized):
                    require_token(request, (first, second))
                spent[name].append(time.thread_time() - start)

    fastest = [min(times) for times in spent.values()]
    assert max(fastest) < 1.3 * min(fastest)
