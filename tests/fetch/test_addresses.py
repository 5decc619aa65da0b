"""Which addresses are public, what the allow list opens, and which authorities are added."""

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from predictor.errors import ConfigError
from predictor.fetch.addresses import AllowList, authorities, is_host, is_public, tls_context

# Purposes as IANA's special-purpose registries and the named RFCs state them.
NOT_PUBLIC = {
    "0.0.0.0": "unspecified, this host",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "10.255.255.255": "private, last",
    "100.64.0.1": "carrier-grade NAT",
    "100.127.255.254": "carrier-grade NAT, last",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback, last",
    "168.63.129.16": "a cloud's platform service",
    "169.254.169.254": "link-local, cloud metadata",
    "169.254.0.1": "link-local",
    "172.16.0.1": "private",
    "127.0.0.254": "loopback",
    "192.168.1.1": "private",
    "100.64.0.0": "carrier-grade NAT, first",
    "100.127.255.255": "carrier-grade NAT, very last",
    "172.31.255.255": "private, last",
    "192.0.0.1": "protocol assignments",
    "192.0.0.9": "port control anycast",
    "192.0.0.170": "NAT64 discovery",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking, last",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast, last block",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::8.8.8.8": "IPv4-compatible, public inside",
    "::10.0.0.1": "IPv4-compatible, private inside",
    "::100.64.0.1": "IPv4-compatible, carrier-grade NAT inside",
    "::169.254.0.1": "IPv4-compatible, link-local inside",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:169.254.169.254": "IPv4-mapped metadata",
    "::ffff:8.8.8.8": "IPv4-mapped, public inside",
    "::ffff:0:127.0.0.1": "IPv4-translated, RFC 2765",
    "64:ff9b::7f00:1": "NAT64, RFC 6052",
    "64:ff9b::127.0.0.1": "NAT64, loopback inside",
    "64:ff9b::169.254.169.254": "NAT64, cloud metadata inside",
    "64:ff9b::168.63.129.16": "NAT64, a cloud's platform service inside",
    "64:ff9b::192.88.99.1": "NAT64, 6to4 relay inside",
    "64:ff9b::224.0.0.1": "NAT64, multicast inside",
    "64:ff9b::0.0.0.0": "NAT64, unspecified inside",
    "64:ff9b:0:0:0:1:808:808": "beside NAT64's prefix",
    "64:ff9b::172.16.0.1": "NAT64, private inside",
    "64:ff9b::100.64.0.1": "NAT64, carrier-grade NAT inside",
    "64:ff9b:1:a00:0:100::": "local NAT64 with 48 bits of prefix, private inside",
    "64:ff9b:1:c0a8:1:100::": "local NAT64 with 48 bits of prefix, private inside",
    "64:ff9b:1::a00:1": "local NAT64, RFC 8215",
    "64:ff9b:1::8.8.8.8": "local NAT64, public inside",
    "100::1": "discard, RFC 6666",
    "100:0:0:1::1": "dummy prefix, RFC 9780",
    "2001::1": "Teredo",
    "2001::f5ff:fffe": "Teredo, private inside",
    "2001::f7f7:f7f7": "Teredo, public inside",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "Teredo, loopback inside",
    "2001:2::1": "benchmarking",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHIDv2",
    "2001:db8::1": "documentation",
    "2002:7f00:1::1": "6to4, loopback inside",
    "2002:a9fe:a9fe::": "6to4, metadata inside",
    "2002:808:808::1": "6to4, public inside",
    "2002:a00:1::": "6to4, private inside",
    "2002:c0a8:1::": "6to4, private inside",
    "2002:6440:1::": "6to4, carrier-grade NAT inside",
    "2001:db8::5efe:a00:1": "ISATAP in documentation, private inside",
    "2001:db8::200:5efe:c0a8:101": "ISATAP in documentation, private inside",
    "2606:4700::5efe:7f00:1": "ISATAP, loopback inside",
    "2606:4700::200:5efe:a00:1": "ISATAP with the universal bit, private inside",
    "2606:4700::5efe:808:808": "ISATAP, public inside",
    "3fff::1": "documentation, RFC 9637",
    "3fff:fff::1": "documentation, last",
    "4000::1": "outside of global unicast",
    "5f00::1": "segment routing, RFC 9602",
    "8000::1": "outside of global unicast",
    "fc00::1": "unique local",
    "fd00::1": "unique local",
    "fd00:ec2::254": "unique local, cloud metadata",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local with a zone",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
    "ff0e::1": "multicast of global scope",
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.254",
    "2001:200::1",
    "2001:4860::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::2004",
    "3ffe:ffff::1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::5db8:d70e",
]


@pytest.mark.promise("S5")
@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_special_address(text: str) -> None:
    """An address of a special-purpose block, or one that carries an IPv4 address, is not public.

    Of those only NAT64's well-known prefix is judged by the address inside.
    """
    assert not is_public(ip_address(text)), NOT_PUBLIC[text]


@pytest.mark.promise("S5")
@pytest.mark.parametrize("text", PUBLIC)
def test_public_address(text: str) -> None:
    """An address of the public unicast space is public, up to the edges of the special blocks."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("text", ["example.com", "a", "my_host.cdn-7.test", "example.com.", "1.1.1.1", "::1"])
def test_host(text: str) -> None:
    """Names with letters, digits, hyphens and underscores, and addresses, can be hosts."""
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", ".a", "a b", "a%2fb", "fe80::1%eth0", "bücher.test", "a" * 64, "a:b", "*.a"]
)
def test_no_host(text: str) -> None:
    """Empty labels, escapes, zones and other characters are no host."""
    assert not is_host(text)


@pytest.mark.parametrize(
    ("entry", "host", "address", "port"),
    [
        ("10.1.0.0/16", "pictures.test", "10.1.2.3", 80),
        ("10.1.0.0/16", "pictures.test", "10.1.2.3", 8443),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", 9000),
        ("127.0.0.1:9000", "localhost", "127.0.0.1", 9000),
        ("[::1]:8080", "::1", "::1", 8080),
        ("::1", "::1", "::1", 1),
        ("[::1]", "::1", "::1", 1),
        ("fd00::/8", "inner.test", "fd12::7", 443),
        ("cdn.internal", "cdn.internal", "192.168.3.4", 8080),
        ("CDN.internal.", "cdn.INTERNAL.", "192.168.3.4", 80),
        ("cdn.internal:8080", "cdn.internal", "fd00::1", 8080),
        ("origin.test", "origin.test", "93.184.215.14", 8080),
        ("10.1.0.0/16", "pictures.test", "64:ff9b::10.1.2.3", 8443),
        ("10.1.2.3:9000", "pictures.test", "64:ff9b::10.1.2.3", 9000),
        ("64:ff9b::/96", "pictures.test", "64:ff9b::8.8.8.8", 8080),
        ("64:ff9b::a01:0/112", "pictures.test", "64:ff9b::10.1.2.3", 80),
        ("cdn.internal", "cdn.internal", "64:ff9b::10.1.2.3", 80),
        (".internal", "cdn.internal", "192.168.3.4", 8080),
        (".internal", "a.cdn.INTERNAL.", "192.168.3.4", 80),
        (".cdn.internal", "cdn.internal", "192.168.3.4", 80),
        ("*.internal", "a.cdn.internal", "192.168.3.4", 80),
        (".Internal:8080", "cdn.internal", "fd00::1", 8080),
    ],
)
def test_opening(entry: str, host: str, address: str, port: int) -> None:
    """A name opens whatever it resolves to, a network its addresses, on the entry's port or on any.

    A network of IPv4 addresses opens these through NAT64, too; a suffix opens the names that end with it.
    """
    allow = AllowList.parse([entry])
    assert allow.admits_port(host, port)
    assert allow.admits(host, address, port)


@pytest.mark.parametrize(
    ("entry", "host", "address", "port"),
    [
        ("10.1.0.0/16", "pictures.test", "10.2.0.1", 80),
        ("10.1.0.0/16", "pictures.test", "::ffff:10.1.2.3", 80),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 9001),
        ("127.0.0.1:9000", "127.0.0.1", "127.0.0.1", 80),
        ("127.0.0.1:9000", "localhost", "::1", 9000),
        ("cdn.internal", "other.internal", "192.168.3.4", 80),
        ("cdn.internal", "www.cdn.internal", "192.168.3.4", 80),
        ("cdn.internal:8080", "cdn.internal", "192.168.3.4", 80),
        ("cdn.internal", "93.184.215.14", "93.184.215.14", 8080),
        ("10.1.0.0/16", "pictures.test", "no address", 80),
        ("10.1.0.0/16", "pictures.test", "64:ff9b::10.2.0.1", 80),
        ("10.1.0.0/16", "pictures.test", "64:ff9b:1::a01:203", 80),
        ("64:ff9b::/96", "pictures.test", "64:ff9b::169.254.169.254", 80),
        ("64:ff9b::/96", "pictures.test", "64:ff9b::127.0.0.1", 80),
        ("64:ff9b::/96", "pictures.test", "64:ff9b::10.1.2.3", 80),
        ("64:ff9b::/96", "pictures.test", "8.8.8.8", 8080),
        ("::/0", "pictures.test", "64:ff9b::169.254.169.254", 80),
        ("64:ff9b::a01:0/112", "pictures.test", "64:ff9b::10.2.2.3", 80),
        ("64:ff9b::a01:0/112", "pictures.test", "10.1.2.3", 80),
        (".internal", "internal.test", "192.168.3.4", 80),
        (".internal", "notinternal", "192.168.3.4", 80),
        ("*.internal", "internal", "192.168.3.4", 80),
        ("*.cdn.internal", "xcdn.internal", "192.168.3.4", 80),
        (".internal:8080", "cdn.internal", "192.168.3.4", 80),
    ],
)
def test_opening_is_narrow(entry: str, host: str, address: str, port: int) -> None:
    """What an entry does not name stays closed; NAT64's prefix opens only what it leads to in public."""
    assert not AllowList.parse([entry]).admits(host, address, port)


def test_no_openings() -> None:
    """Without entries only public addresses on the web's ports are admitted."""
    allow = AllowList.parse([])
    assert allow.admits("pictures.test", "93.184.215.14", 80)
    assert allow.admits("pictures.test", "2606:4700:4700::1111", 443)
    assert not allow.admits("pictures.test", "93.184.215.14", 8080)
    assert not allow.admits("pictures.test", "10.0.0.1", 443)


def test_port_before_lookup() -> None:
    """A port that no address of the host could use is known without resolving the host."""
    allow = AllowList.parse(["cdn.internal:8080", "10.0.0.0/8", "127.0.0.1:9000"])
    closed = AllowList.parse(["cdn.internal:8080", "127.0.0.1:9000", ".inner:8081"])
    assert allow.admits_port("any.test", 22)  # it may resolve into the network
    assert closed.admits_port("cdn.internal", 8080)
    assert closed.admits_port("any.test", 9000)
    assert closed.admits_port("cdn.inner", 8081)
    assert not closed.admits_port("any.test", 8081)
    assert not closed.admits_port("any.test", 8080)
    assert not closed.admits_port("any.test", 22)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        ".",
        "*.",
        "**.internal",
        "*.*.internal",
        "..internal",
        "cdn.*.internal",
        "*internal",
        ".0.0.1",
        "http://cdn.internal",
        "cdn.internal/pictures",
        "user@cdn.internal",
        "cdn internal",
        "cdn..internal",
        "cdn.internal:",
        "cdn.internal:0",
        "cdn.internal:65536",
        "cdn.internal:http",
        "10.1.2.3/16",
        "10.1.0.0/33",
        "10.1.0.0/16:80",
        "10.1",
        "2130706433",
        "0x7f.1",
        "256.1.1.1",
        "[::1",
        "[10.0.0.1::]",
        "fe80::1%eth0",
        "bücher.test",
    ],
)
def test_unusable_entry(entry: str) -> None:
    """An entry of another form stops the start, and the sentence names the setting and the entry."""
    with pytest.raises(ConfigError, match="PREDICTOR_FETCH_ALLOW") as error:
        AllowList.parse(["cdn.internal", entry])
    assert repr(entry) in error.value.detail


@pytest.fixture(scope="module")
def pem() -> bytes:
    """A certificate of an authority."""
    return bytes(trustme.CA().cert_pem.bytes())


def test_added(pem: bytes, tmp_path: Path) -> None:
    """The certificates of the file are trusted besides those of the bundle, whatever else stands in it."""
    (tmp_path / "bundle.pem").write_bytes(trustme.CA().cert_pem.bytes())
    (tmp_path / "own.pem").write_bytes(
        "# Geschäft\r\n".encode() + pem + b"\n" + trustme.CA().cert_pem.bytes()
    )

    context = tls_context(str(tmp_path / "bundle.pem"), tmp_path / "own.pem")

    assert context.cert_store_stats()["x509"] == 3
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize("content", [b"", b"cat", "Schlüssel".encode(), b"\x30\x82\x01\x0a", bytes(300)])
def test_no_certificate(content: bytes, tmp_path: Path) -> None:
    """A file without a certificate in PEM form is named in one sentence."""
    (tmp_path / "own.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^PREDICTOR_FETCH_CA=.* must be a PEM file"):
        authorities(tmp_path / "own.pem")


def test_damaged_certificate(pem: bytes, tmp_path: Path) -> None:
    """A certificate that was cut is none."""
    (tmp_path / "own.pem").write_bytes(pem[:-100])
    with pytest.raises(ConfigError, match="must be a PEM file"):
        authorities(tmp_path / "own.pem")


def test_key_alone(tmp_path: Path) -> None:
    """A private key is no certificate."""
    key = trustme.CA().issue_cert("pictures.test").private_key_pem
    (tmp_path / "own.pem").write_bytes(key.bytes())
    with pytest.raises(ConfigError, match="must be a PEM file"):
        authorities(tmp_path / "own.pem")


@pytest.mark.parametrize("place", ["missing.pem", ""])
def test_unreadable(place: str, tmp_path: Path) -> None:
    """A file that is missing, or a folder, is named with the reason."""
    with pytest.raises(ConfigError, match=r"^PREDICTOR_FETCH_CA=.* cannot be read: "):
        authorities(tmp_path / place)


@pytest.mark.parametrize(
    ("entry", "network"), [("10.1.2.3/16", "10.1.0.0/16"), ("fd00:1:2::3/32", "fd00:1::/32")]
)
def test_address_for_a_network(entry: str, network: str) -> None:
    """An address that was given with the size of its network is refused, and the network is named."""
    with pytest.raises(ConfigError, match=f"{entry} lies in the network {network}\\.$"):
        AllowList.parse([entry])
