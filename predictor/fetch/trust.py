"""Which certificate authorities downloads trust: those of certifi, and those that the operator adds."""

import functools
import ssl
from pathlib import Path

from predictor.errors import ConfigError

_SETTING = "PREDICTOR_FETCH_CA"


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
