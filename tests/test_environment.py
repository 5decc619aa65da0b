"""Variables that Kubernetes makes for a Service are not settings; misspelt settings are found."""

import pytest

from predictor.config import Settings
from predictor.environment import given, of_kubernetes
from predictor.errors import ConfigError


def service(name: str, port: str = "80", protocol: str = "tcp") -> dict[str, str]:
    """The variables that Kubernetes puts into each container for a Service with a named port."""
    prefix, address = name.upper().replace("-", "_"), "10.0.0.12"
    url, one = f"{protocol}://{address}:{port}", f"PORT_{port}_{protocol.upper()}"
    values = {
        "SERVICE_HOST": address, "SERVICE_PORT": port, "SERVICE_PORT_HTTP": port,
        "SERVICE_PORT_GRPC_WEB": port, "PORT": url, one: url, f"{one}_PROTO": protocol,
        f"{one}_PORT": port, f"{one}_ADDR": address,
    }  # fmt: skip
    return {f"{prefix}_{key}": value for key, value in values.items()}


@pytest.mark.parametrize("name", ["predictor", "predictor-data", "predictor-x", "predictor-2-canary"])
@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
def test_services(name: str, protocol: str) -> None:
    """No variable of a Service whose name begins as our settings do is a setting, alone or not."""
    variables = service(name, protocol=protocol)

    assert Settings.from_environment(variables) == Settings()
    assert of_kubernetes(variables) == sorted(variables)
    for one, value in variables.items():
        assert Settings.from_environment({one: value}) == Settings()


def test_ipv6() -> None:
    """So it is in a cluster of IPv6."""
    assert Settings.from_environment({"PREDICTOR_PORT": "tcp://[fd00::12]:80"}) == Settings()


def test_settings_beside_them() -> None:
    """Settings are read all the same."""
    settings = Settings.from_environment({**service("predictor"), "PREDICTOR_THREADS": "3", "HOME": "/root"})

    assert settings == Settings(threads=3)


def test_collision() -> None:
    """What Kubernetes made is not taken for a setting even if one has that name."""
    variables = {"PREDICTOR_X_PORT": "tcp://10.0.0.12:80", "PREDICTOR_X_SERVICE_HOST": "10.0.0.12"}

    assert given(variables, variables) == {}
    assert given({"PREDICTOR_X_PORT": "8080"}, ["PREDICTOR_X_PORT"]) == {"PREDICTOR_X_PORT": "8080"}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PREDICTOR_WORKER", "PREDICTOR_WORKERS"),
        ("PREDICTOR_TRHEADS", "PREDICTOR_THREADS"),
        ("PREDICTOR_LOGLEVEL", "PREDICTOR_LOG_LEVEL"),
        ("PREDICTOR_MAX_MEGAPIXEL", "PREDICTOR_MAX_MEGAPIXELS"),
        ("PREDICTOR_threads", "PREDICTOR_THREADS"),
        ("PREDICTOR_PORT", "PREDICTOR_BIND"),
        ("PREDICTOR_HOST", "PREDICTOR_BIND"),
        ("PREDICTOR_SERVICE_PORTS", "PREDICTOR_"),
        ("PREDICTOR_", "PREDICTOR_"),
    ],
)
def test_misspelt(name: str, nearest: str) -> None:
    """A misspelt setting stops the start, and the sentence names the nearest one."""
    with pytest.raises(ConfigError, match=rf"Unknown setting {name}; did you mean {nearest}"):
        Settings.from_environment({**service("predictor-data"), name: "8080"})
