"""The operator's own authorities are added, and a file that has none is found at the start."""

import ssl
from pathlib import Path

import pytest
import trustme

from predictor.errors import ConfigError
from predictor.fetch.trust import authorities, tls_context


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
