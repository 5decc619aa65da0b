"""Settings come from the environment, once, and wrong ones are named."""

import subprocess
import sys
from pathlib import Path

import pytest

from predictor.config import Settings, defaults, documented
from predictor.errors import ConfigError

ROOT = Path(__file__).parent.parent


def test_defaults() -> None:
    """Without any variable the contract's defaults hold."""
    settings = Settings.from_environment({})

    assert settings == Settings()
    assert (settings.bind, settings.threads, settings.cache_seconds) == ("127.0.0.1:8080", 16, 300)


def test_reading() -> None:
    """Numbers, lists and paths are read from text, with white space passed over."""
    settings = Settings.from_environment(
        {
            "PREDICTOR_WORKERS": " 3 ",
            "PREDICTOR_DATA": "/var/lib/predictor",
            "PREDICTOR_FETCH_ALLOW": "10.1.0.0/16, cdn.internal",
            "PREDICTOR_FETCH_CA": "/etc/ssl/own.pem",
            "PREDICTOR_FETCH_AGENT": " my-service/1.0 (+https://example.org) ",
            "PREDICTOR_FORMATS": "jpeg,tiff",
            "PREDICTOR_MAX_IMAGE_MB": "1.5",
            "PREDICTOR_ADMIN_TOKEN": "",
            "HOME": "/root",
        }
    )

    assert settings.workers == 3
    assert settings.data == Path("/var/lib/predictor")
    assert settings.fetch_allow == ("10.1.0.0/16", "cdn.internal")
    assert settings.fetch_ca == Path("/etc/ssl/own.pem")
    assert settings.fetch_agent == "my-service/1.0 (+https://example.org)"
    assert settings.formats == ("JPEG", "TIFF")
    assert settings.max_image_bytes == 1_500_000
    assert settings.admin_token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREDICTOR_WORKERS", "0"),
        ("PREDICTOR_WORKERS", "two"),
        ("PREDICTOR_THREADS", "1.5"),
        ("PREDICTOR_FETCH_SECONDS", "nan"),
        ("PREDICTOR_FETCH_SECONDS", "inf"),
        ("PREDICTOR_FETCH_SECONDS", "0"),
        ("PREDICTOR_DEVICE", "cuda:"),
        ("PREDICTOR_DEVICE", "gpu"),
        ("PREDICTOR_BIND", "8080"),
        ("PREDICTOR_BIND", "127.0.0.1:70000"),
        ("PREDICTOR_BIND", "127.0.0.1:"),
        ("PREDICTOR_BIND", "127.0.0.1:80a"),
        ("PREDICTOR_BIND", "127.0.0.1:-1"),
        ("PREDICTOR_BIND", ":8080"),
        ("PREDICTOR_BIND", "*:8122"),
        ("PREDICTOR_BIND", "127.0.0.1:8122,[::1]:8122"),
        ("PREDICTOR_BIND", "127.0.0.1:8122 127.0.0.1:8123"),
        ("PREDICTOR_BIND", "::1:8080"),
        ("PREDICTOR_BIND", "[::1]"),
        ("PREDICTOR_BIND", "[::g]:8080"),
        ("PREDICTOR_BIND", "[127.0.0.1]:8080"),
        ("PREDICTOR_BIND", "256.0.0.1:8080"),
        ("PREDICTOR_BIND", "127.1:8080"),
        ("PREDICTOR_BIND", "http://127.0.0.1:8080"),
        ("PREDICTOR_BIND", "unix:predictor.sock"),
        ("PREDICTOR_BIND", "fd://3"),
        ("PREDICTOR_WORKERS", "100000"),
        ("PREDICTOR_WORKERS", "-1"),
        ("PREDICTOR_THREADS", "1" * 5000),
        ("PREDICTOR_RUN_SECONDS", "1e300"),
        ("PREDICTOR_DEADLINE_SECONDS", "1e9"),
        ("PREDICTOR_CACHE_SECONDS", "-1"),
        ("PREDICTOR_CACHE_SECONDS", "99999999999999999999"),
        ("PREDICTOR_MAX_IMAGE_MB", "20MB"),
        ("PREDICTOR_MAX_QUEUE", "1e3"),
        ("PREDICTOR_LOG_LEVEL", "verbose"),
        ("PREDICTOR_LOG_LEVEL", ""),
        ("PREDICTOR_CACHE", "redis://cache:port/0"),
        ("PREDICTOR_CACHE", "redis://cache:6379/zero"),
        ("PREDICTOR_CACHE", "redis://"),
        ("PREDICTOR_CACHE", "redis://cache:6379/0?no_such_option=1"),
        ("PREDICTOR_CACHE", "cache.internal:6379"),
        ("PREDICTOR_ADMIN_TOKEN", '"quoted-by-an-env-file"'),
        ("PREDICTOR_PREDICT_TOKEN", "one-token\nanother-token"),
        ("PREDICTOR_TRUSTED_HOSTS", f"{'a' * 64}.example"),
        ("PREDICTOR_TRUSTED_HOSTS", f"ü{'a' * 60}.example"),
        ("PREDICTOR_TRUSTED_HOSTS", ".".join(["a" * 50] * 6)),
        ("PREDICTOR_TRUSTED_HOSTS", "image_api"),
        ("PREDICTOR_TRUSTED_HOSTS", "a..example"),
        ("PREDICTOR_TRUSTED_HOSTS", "."),
        ("PREDICTOR_TRUSTED_HOSTS", "example.com/path"),
        ("PREDICTOR_TRUSTED_HOSTS", "one.example two.example"),
        ("PREDICTOR_CACHE", "yes"),
        ("PREDICTOR_FORMATS", " , "),
        ("PREDICTOR_DATA", ""),
        ("PREDICTOR_LOG", "xml"),
        ("PREDICTOR_JPEG", "whole"),
        ("PREDICTOR_ADMIN_TOKEN", ","),
        ("PREDICTOR_PREDICT_TOKEN", " , ,"),
        ("PREDICTOR_TRUSTED_HOSTS", "example.com:80"),
        ("PREDICTOR_TRUSTED_HOSTS", "https://example.com"),
        ("PREDICTOR_TRUSTED_HOSTS", "*.example.com"),
        ("PREDICTOR_FETCH_AGENT", "Käthe"),
        ("PREDICTOR_FETCH_AGENT", "a\r\nX-Evil: 1"),
    ],
)
def test_unusable_values(name: str, value: str) -> None:
    """A value that cannot be used is refused in one sentence: the variable, what it must be, an example."""
    with pytest.raises(ConfigError, match=rf"^{name}.* cannot be used: it must be .+\.$") as error:
        Settings.from_environment({name: value})

    assert len(error.value.detail) < 500
    assert "such as" in error.value.detail or " or " in error.value.detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bind", "[::1]:8080"),
        ("bind", "[fe80::1%eth0]:8080"),
        ("bind", "0.0.0.0:0"),
        ("bind", "localhost:65535"),
        ("bind", "models_1.internal:80"),
        ("bind", "unix:/run/a b:c/socket"),
        ("cache", "redis://user:p%40ss@cache.internal:6379/3"),
        ("cache", "rediss://cache.internal"),
        ("cache", "redis://[::1]:6379/"),
        ("cache", "redis://cache:6379/0?socket_timeout=5"),
        ("log_level", "warning"),
        ("admin_token", "a token of several words"),
    ],
)
def test_usable_values(name: str, value: str) -> None:
    """What can be used is taken as it is."""
    assert getattr(Settings.from_environment({f"PREDICTOR_{name.upper()}": value}), name) == value


def test_level_in_capitals() -> None:
    """Levels are read without regard to case, as logging libraries write them."""
    assert Settings.from_environment({"PREDICTOR_LOG_LEVEL": "WARNING"}).log_level == "warning"


@pytest.mark.parametrize(
    "value",
    [
        "http://user:secret@cache:6379",
        "user:secret@cache:6379",
        "redis:/user:secret@cache",
        "https://cache/0?password=secret",
    ],
)
def test_secrets_stay_secret(value: str) -> None:
    """What is said of an address that cannot be used does not hold its password."""
    with pytest.raises(ConfigError, match=r"^PREDICTOR_CACHE cannot be used") as error:
        Settings.from_environment({"PREDICTOR_CACHE": value})

    assert "secret" not in error.value.detail


def test_tokens() -> None:
    """Tokens are separated by commas, do not show when settings are printed, and weak ones are named."""
    settings = Settings.from_environment(
        {
            "PREDICTOR_ADMIN_TOKEN": "0123456789abcdef, geheim a,",
            "PREDICTOR_PREDICT_TOKEN": "0123456789abcdef",
        }
    )

    assert settings.admin_tokens == ("0123456789abcdef", "geheim a")
    assert settings.predict_tokens == ("0123456789abcdef", "0123456789abcdef", "geheim a")
    assert Settings(admin_token="geheim a").predict_tokens == ()
    assert settings.weak == ("PREDICTOR_ADMIN_TOKEN",)
    assert "geheim" not in repr(settings)
    assert "0123456789abcdef" not in repr(settings)
    assert (Settings().admin_tokens, Settings().weak) == ((), ())


def test_trusted_hosts() -> None:
    """Names are compared in lower case; a leading dot stays."""
    settings = Settings.from_environment({"PREDICTOR_TRUSTED_HOSTS": "API.Example.com, .example.org"})

    assert settings.trusted_hosts == ("api.example.com", ".example.org")


def test_trusted_hosts_in_other_letters() -> None:
    """A name in other letters is compared in the form in which browsers send it."""
    settings = Settings.from_environment({"PREDICTOR_TRUSTED_HOSTS": "Bücher.example,.bücher.example"})

    assert settings.trusted_hosts == ("xn--bcher-kva.example", ".xn--bcher-kva.example")


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATA", "/data"),
        ("SIGNING_KEY", "/keys/model.pem"),
        ("FETCH_CA", "/etc/ssl/own.pem"),
        ("FETCH_AGENT", "my-service/1.0"),
        ("FETCH_ALLOW", "cdn.internal"),
        ("STORE", "file:///srv/models"),
        ("ADMIN_TOKEN", "0123456789abcdef"),
        ("PREFIX", "/ml"),
    ],
)
def test_quotation_marks(quote: str, name: str, text: str) -> None:
    """Quotation marks that a file of variables keeps are no part of a value, and one sentence says so."""
    with pytest.raises(ConfigError, match=f"^PREDICTOR_{name}.* without quotation marks"):
        Settings.from_environment({f"PREDICTOR_{name}": f"{quote}{text}{quote}"})


@pytest.mark.parametrize("name", ["DATA", "SIGNING_KEY", "FETCH_CA"])
@pytest.mark.parametrize("text", ["~", "~/models", "~user/models"])
def test_home(name: str, text: str) -> None:
    """A path that only a shell understands is no folder of that name in this one."""
    with pytest.raises(ConfigError, match=f"^PREDICTOR_{name}=.*without ~"):
        Settings.from_environment({f"PREDICTOR_{name}": text})


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("JPG,TIF", ("JPEG", "TIFF")),
        ("JPEG PNG", ("JPEG", "PNG")),
        (" jpg;\tapng , .webp", ("JPEG", "PNG", "WEBP")),
        ("jpeg,JPG,jfif,mpo", ("JPEG",)),
        ("avif,pgm,jp2", ("AVIF", "PPM", "JPEG2000")),
    ],
)
def test_names_of_formats(text: str, formats: tuple[str, ...]) -> None:
    """A format may be given by what its files' names end in, in any case, between commas or spaces."""
    assert Settings.from_environment({"PREDICTOR_FORMATS": text}).formats == formats


@pytest.mark.parametrize(
    ("text", "name"),
    [("JPEG,NOSUCH", "NOSUCH"), ("PNG PDF", "PDF"), ("svg", "SVG"), ("image/jpeg", "IMAGE/JPEG")],
)
def test_formats_that_cannot_be_opened(text: str, name: str) -> None:
    """A format that cannot be opened stops the start; the sentence names it."""
    with pytest.raises(ConfigError, match=f"{name} is not one"):
        Settings.from_environment({"PREDICTOR_FORMATS": text})


WITHOUT_HEIF = """
import sys

sys.modules["pillow_heif"] = None  # as if it were not installed
from predictor.config import Settings

print(*Settings().formats)
Settings.from_environment()
"""


@pytest.mark.parametrize("text", ["HEIC", "jpeg,heif", ".hif"])
def test_heic_without_its_package(text: str) -> None:
    """HEIC needs a package: without it no setting has it by default, and the sentence says how to get it."""
    environment = {"PREDICTOR_FORMATS": text, "PYTHONPATH": str(ROOT)}
    tried = subprocess.run(
        (sys.executable, "-c", WITHOUT_HEIF), env=environment, capture_output=True, text=True, check=False
    )

    assert tried.stdout.split() == ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "TIFF"]
    assert "ConfigError" in tried.stderr
    assert "pip install pillow-heif" in tried.stderr


def test_media_types() -> None:
    """Each format has its media type, by which a browser knows what may be chosen."""
    settings = Settings(formats=("JPEG", "TIFF", "HEIF", "JPEG2000"))

    assert settings.media_types == ("image/jpeg", "image/tiff", "image/heic", "image/heif", "image/jp2")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://App.Example", ("https://app.example",)),
        ("https://app.example, http://localhost:3000", ("https://app.example", "http://localhost:3000")),
        ("http://[::1]:3000,http://10.0.0.5,", ("http://[::1]:3000", "http://10.0.0.5")),
        ("capacitor://localhost", ("capacitor://localhost",)),
    ],
)
def test_allowed_origins(text: str, origins: tuple[str, ...]) -> None:
    """Origins are kept as a browser sends them."""
    assert Settings.from_environment({"PREDICTOR_ALLOWED_ORIGINS": text}).allowed_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example/", "https://app.example/path", "app.example", "//app.example", "null", "https://",
        "https://*.app.example", "https://app.*", "*,https://app.example", "https://app.example:443",
        "http://app.example:80", "https://app.example:70000", "https://app.example:", "https://app.example?a",
        "https://user@app.example", "https://app.example https://b.example", "file://", "https://münchen.example",
        "https://app.example#a", "https://app..example", "https:app.example", "https://app.example:0",
    ],
)  # fmt: skip
def test_not_an_origin(text: str) -> None:
    """What no browser ever sends as an origin stops the start, and one sentence says what would do."""
    with pytest.raises(
        ConfigError, match=r"PREDICTOR_ALLOWED_ORIGINS=.*such as https://app\.example"
    ) as caught:
        Settings.from_environment({"PREDICTOR_ALLOWED_ORIGINS": text})

    assert str(caught.value).count(". ") == 0


def test_unknown_names() -> None:
    """A misspelt variable is refused instead of passed over."""
    with pytest.raises(ConfigError, match="PREDICTOR_WORKER;"):
        Settings.from_environment({"PREDICTOR_WORKER": "2"})


def test_every_field_is_described() -> None:
    """Each setting carries a sentence of its own."""
    sentences = list(documented().values())

    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)


def test_written_defaults() -> None:
    """Each default that can be set is written as it would be set; the others are described."""
    written = defaults()
    described = {
        "by device and cores",
        "none",
        "text on a terminal, else json",
        "name and version",
        "host name and a random part",
    }
    values = {name: text for name, text in written.items() if text not in described}

    assert written.keys() == documented().keys()
    assert Settings.from_environment(values) == Settings()
    assert written["PREDICTOR_FORMATS"].startswith("JPEG,PNG,WEBP,GIF,BMP,AVIF,TIFF")
    assert written["PREDICTOR_MAX_IMAGE_MB"] == "20"
    assert {name for name, text in written.items() if text in described} == {
        "PREDICTOR_WORKERS", "PREDICTOR_ADMIN_TOKEN", "PREDICTOR_PREDICT_TOKEN", "PREDICTOR_TRUSTED_HOSTS",
        "PREDICTOR_ALLOWED_ORIGINS", "PREDICTOR_FETCH_ALLOW", "PREDICTOR_FETCH_CA", "PREDICTOR_FETCH_AGENT",
        "PREDICTOR_LOG", "PREDICTOR_PREFIX", "PREDICTOR_STORE", "PREDICTOR_MACHINE", "PREDICTOR_SIGNING_KEY",
    }  # fmt: skip
