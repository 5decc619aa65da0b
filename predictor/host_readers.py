"""The text of a setting with hosts in it -> its value; a `ValueError` says what it must be."""

import ipaddress
import re

_NUMERIC = re.compile(r"[\d.]+")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*")
# What the web framework takes in a Host header, as long as a name of DNS and its labels may be.
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*")
# As the Fetch standard serialises an origin: lower case, no path; a page of no origin (`null`) has no host.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def names(text: str) -> tuple[str, ...]:
    """The parts of a list that commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def hosts(text: str) -> tuple[str, ...]:
    """The names of hosts, in the form that a Host header has them in; one may begin with a dot."""
    return tuple(map(_host, names(text.lower())))


def _host(text: str) -> str:
    try:
        # The name in other letters than ASCII's is sent in the form of RFC 3490.
        name = text.removeprefix(".").encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "host names without ports, separated by commas, such as api.example.com,.example.org; a name has "
            "no underscore (give such a host an alias) and at most 63 characters between two dots"
        )
    return f".{name}" if text.startswith(".") else name


def origins(text: str) -> tuple[str, ...]:
    """Origins as a browser sends them, or `*` alone."""
    found = names(text.lower())
    if found != ("*",) and not all(map(_is_origin, found)):
        raise ValueError(
            "* alone, or origins with scheme and host, without a path, a slash at the end, a wildcard or a "
            "default port, separated by commas, such as https://app.example,http://localhost:3000"
        )
    return found


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return False
    scheme, port = found[1], found[4] or ":0"
    return port != _DEFAULT_PORTS.get(scheme) and int(port[1:]) < 65536


def bind(text: str) -> str:
    """The one address to listen on."""
    if not (text.startswith("unix:/") or _is_address(text)):
        raise ValueError(
            "one address, host:port or unix:/path, such as 127.0.0.1:8080, [::1]:8080, 0.0.0.0:8080 for every"
            " address of this machine, or unix:/run/image-prediction-api/socket"
        )
    return text


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port[:6]) < 65536):
        return False
    if host.startswith("[") and host.endswith("]"):
        return _is_ip(host[1:-1], 6)
    return _is_ip(host, 4) if _NUMERIC.fullmatch(host) else bool(_HOST.fullmatch(host))


def _is_ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
