"""Which environment variables are settings of this service.

A misspelt name must not pass unseen, so each name with the prefix has to be a setting. But Kubernetes gives
every container variables for each Service of its namespace, named after the Service: one that is called
`predictor`, or `predictor-` and more, makes names with our prefix.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from predictor.errors import ConfigError

PREFIX = "PREDICTOR_"
"""What the names of all settings begin with."""

# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE = r"PREDICTOR(_[A-Z0-9_]+)?"
_BY_NAME = re.compile(
    rf"{_SERVICE}_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_BY_VALUE = re.compile(rf"{_SERVICE}_PORT")
# What other servers call it.
_MEANT = {"PORT": "BIND", "HOST": "BIND", "ADDRESS": "BIND", "LISTEN": "BIND"}
_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*", re.IGNORECASE)


def of_kubernetes(environment: Mapping[str, str]) -> list[str]:
    """The names that begin as those of settings do and are Kubernetes' for a Service, sorted."""
    return sorted(name for name, value in environment.items() if _is_of_kubernetes(name, value))


def _is_of_kubernetes(name: str, value: str) -> bool:
    by_value = _BY_VALUE.fullmatch(name) and _ADDRESS.fullmatch(value.strip())
    return bool(by_value or _BY_NAME.fullmatch(name))


def given(environment: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """The settings among environment variables, as they are written.

    Args:
        environment: all variables.
        known: the names of all settings.

    Raises:
        ConfigError: a name with our prefix is no setting; the sentence names the nearest one.
    """
    injected = set(of_kubernetes(environment))
    found = {
        name: value for name, value in environment.items() if name.startswith(PREFIX) and name not in injected
    }
    if unknown := sorted(found.keys() - set(known)):
        raise ConfigError(_unknown(unknown[0], sorted(known)))
    return found


def _unknown(name: str, known: list[str]) -> str:
    words = [one.removeprefix(PREFIX) for one in known]
    word = name.removeprefix(PREFIX).upper()
    nearest = _MEANT.get(word) or get_close_matches(word, words, n=1, cutoff=0.0)[0]
    return f"Unknown setting {name}; did you mean {PREFIX}{nearest}? The settings are {', '.join(known)}."
