"""Which servers a download may reach and trusts.

It may reach public addresses, and those that the operator opened. It trusts the certificate authorities of
certifi, and those that the operator adds.
"""

import functools
import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from predictor.errors import ConfigError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

WEB_PORTS = frozenset({80, 443})

_NAT64 = IPv6Network("64:ff9b::/96")
"""NAT64's well-known prefix: the last 32 bits are the IPv4 address that is reached (RFC 6052)."""

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<host>[^\[\]:/]+))(?::(?P<port>[0-9]{1,5}))?")
_SUFFIX = re.compile(r"^\*?\.")

# Blocks that the `ipaddress` module of some Python 3 releases takes for global, or that lead inwards.
_SPECIAL_IPV4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("168.63.129.16/32"),  # a cloud provider's internal service behind a public number
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL_IPV6 = (
    IPv6Network("2001::/23"),  # Teredo, ORCHID, benchmarking and other protocol assignments
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address inside
    IPv6Network("3fff::/20"),  # documentation
)

_SETTING = "PREDICTOR_FETCH_CA"


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet's unicast space.

    Stricter than `ipaddress.is_global`: every IPv6 form that carries an IPv4 address (mapped, compatible,
    translated, local NAT64, 6to4, Teredo, ISATAP) is refused, whatever the address inside. Only an address of
    NAT64's well-known prefix is judged by the one inside, because DNS64 makes it of every IPv4-only host.
    Source: IANA's special-purpose address registries (RFC 6890) and RFC 4291, 5214, 6052 and 9637.
    """
    if (inside := _inside(address)) is not None:
        return is_public(inside)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return (
        address in _GLOBAL_UNICAST
        and not any(address in network for network in _SPECIAL_IPV6)
        and not _is_isatap(address)
    )


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that a NAT64 address of the well-known prefix leads to."""
    if isinstance(address, IPv6Address) and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _is_isatap(address: IPv6Address) -> bool:
    # RFC 5214, section 6.1: the interface identifier is 0000:5efe or 0200:5efe, then the IPv4 address;
    # the mask leaves out the universal and group bits.
    return (int(address) >> 32) & 0xFCFF_FFFF == 0x0000_5EFE


def is_host(text: str) -> bool:
    """Whether a lower-case text can be a URL's host: a name, an IPv4 or an IPv6 address."""
    if ":" in text:
        return _network(text) is not None
    return len(text) <= 254 and bool(_HOST.fullmatch(_bare(text)))


@dataclass(frozen=True)
class Opening:
    """One entry of the allow list: a network or hosts, with one port or any.

    Attributes:
        host: a name; `.example.org` means it and its subdomains, `*.example.org` its subdomains alone.
    """

    host: str | None = None
    network: Network | None = None
    port: int | None = None


@dataclass(frozen=True)
class AllowList:
    """What may be reached: public addresses on the web's ports, and the operator's openings."""

    openings: tuple[Opening, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "AllowList":
        """Read entries such as `10.1.0.0/16`, `cdn.internal`, `.internal`, `127.0.0.1:9000` or `[::1]:8080`.

        Raises:
            ConfigError: an entry is no host, suffix of hosts, address or network, or has a wrong port.
        """
        return cls(tuple(_opening(entry) for entry in entries))

    def admits_port(self, host: str, port: int) -> bool:
        """Whether any address of `host` could be reached on `port`; asked before the name is resolved."""
        return port in WEB_PORTS or any(
            opening.port in {None, port} and (opening.host is None or _is_named(opening.host, _bare(host)))
            for opening in self.openings
        )

    def admits(self, host: str, address: str, port: int) -> bool:
        """Whether `address`, one of those that `host` resolves to, may be connected on `port`.

        Args:
            host: the name or address as it stands in the URL.
            address: the numeric address, as the resolver gave it.
            port: the port that would be connected.
        """
        try:
            number = ip_address(address)
        except ValueError:
            return False
        return (port in WEB_PORTS and is_public(number)) or any(
            opening.port in {None, port} and _covers(opening, _bare(host), number)
            for opening in self.openings
        )


def _covers(opening: Opening, host: str, address: Address) -> bool:
    if opening.network is None:
        return _is_named(opening.host or "", host)
    if (inside := _inside(address)) is None:
        return address in opening.network
    if inside in opening.network:
        return True
    # Who opens NAT64's prefix opens what it is for, not this machine and its neighbours.
    narrow = opening.network.prefixlen > _NAT64.prefixlen
    return address in opening.network and (narrow or is_public(inside))


def _is_named(opened: str, host: str) -> bool:
    if opened.startswith("*"):
        return host.endswith(opened[1:])
    return host == opened.lstrip(".") or (opened.startswith(".") and host.endswith(opened))


def _bare(host: str) -> str:
    return host.lower().removesuffix(".")


def _opening(entry: str) -> Opening:
    text = entry.strip().lower()
    if network := _network(text):
        return Opening(network=network)
    match = _HOST_AND_PORT.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match and (port is None or 0 < port < 65536):
        if network := _network(match["six"] or match["host"]):
            return Opening(network=network, port=port)
        if match["host"] and _is_opened(match["host"]):
            return Opening(host=_bare(match["host"]), port=port)
    hint = f"; {text} lies in the network {meant}" if (meant := _network(text, strict=False)) else ""
    raise ConfigError(
        f"PREDICTOR_FETCH_ALLOW has the invalid entry {entry!r}: an entry must be a host, a suffix of "
        f"hosts such as .internal, host:port, address, address:port, [IPv6 address]:port or network{hint}."
    )


def _is_opened(text: str) -> bool:
    name = _SUFFIX.sub("", text)
    return is_host(name) and not _is_numeric(name)


def _is_numeric(host: str) -> bool:
    # Resolvers take a name whose last label is a number for an IPv4 address in an unusual spelling.
    return bool(_NUMERIC_LABEL.fullmatch(_bare(host).rpartition(".")[2]))


def _network(text: str, *, strict: bool = True) -> Network | None:
    """The network that a text is, or an address as one; where it is not strict, the one that it lies in."""
    try:
        return None if "%" in text else ip_network(text, strict)
    except ValueError:
        return None


def authorities(file: Path) -> str:
    """The certificates of a PEM file; what else stands in it is passed over.

    Raises:
        ConfigError: the file cannot be read, or holds no certificate that can be used.
    """
    try:
        text = file.read_bytes().decode("ascii", "ignore")  # comments may be in any language
    except OSError as error:
        raise ConfigError(f"{_SETTING}={file} cannot be read: {error.strerror}.") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{_SETTING}={file} cannot be used: it must be a PEM file with at least one certificate "
            "(-----BEGIN CERTIFICATE-----)."
        ) from error
    return text


@functools.lru_cache(maxsize=4)  # reading a hundred authorities takes tens of milliseconds
def tls_context(bundle: str, added: Path | None = None) -> ssl.SSLContext:
    """A context that requires a certificate for the host's name, signed by an authority that is trusted.

    Args:
        bundle: PEM file of authorities.
        added: PEM file of more authorities.

    Raises:
        ConfigError: `added` cannot be used.
    """
    context = _SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    ssl.SSLContext.set_alpn_protocols(context, ["http/1.1"])
    context.load_verify_locations(bundle)
    if added is not None:
        context.load_verify_locations(cadata=authorities(added))
    return context


class _SharedContext(ssl.SSLContext):
    """A context that many threads use at once.

    urllib3 sets the ALPN protocols again for each connection, and OpenSSL frees the old ones while another
    thread's handshake may be copying them.
    """

    def set_alpn_protocols(self, alpn_protocols: object) -> None:
        """Keep the protocols as they are."""
