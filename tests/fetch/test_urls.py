"""A text is the URL it holds, or one sentence says what is wrong with it."""

import pytest

from predictor.errors import FetchBlocked, FetchFailed, InvalidRequest
from predictor.fetch import urls

BASE = "https://pictures.test/a/b.jpg?x=1"


@pytest.mark.parametrize("before", ["", " ", "\r\n", "\ufeff", "\u00a0", "\u200b\t"])
@pytest.mark.parametrize("after", ["", " ", "\n", "\r\n\r\n", "\u3000"])
def test_white_space_around(before: str, after: str) -> None:
    """What came along when a URL was copied or read from a file is dropped."""
    assert urls.read(f"{before}https://pictures.test/cat.jpg{after}") == "https://pictures.test/cat.jpg"


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.test/my cat.jpg?name=my cat",
        "HTTPS://pictures.test/",
        "http://pictures.test:80",
        "http://pictures.test:/",
        "http://[::1]:80/",
        "http://pictures.test/@user:password",
        "http://pictures.test?u=a@b",
        "http://pictures.test/K\u00e4tzchen\u00a0\u732b.jpg",
        "http://b\u00fccher.test/",
        f"http://pictures.test/{'a' * (8192 - 21)}",
    ],
)
def test_good_url(url: str) -> None:
    """What browsers take is taken as it is: the request encodes spaces and characters beyond ASCII."""
    assert urls.read(url) == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", urls.EMPTY),
        (" \r\n", urls.EMPTY),
        (f"http://pictures.test/{'a' * (8193 - 21)}", urls.LONG),
        ("cat.jpg", urls.NO_SCHEME),
        ("//pictures.test/cat.jpg", urls.NO_SCHEME),
        ("www.pictures.test/cat.jpg", urls.NO_SCHEME),
        ("pictures.test:8080/cat.jpg", urls.NO_SCHEME),
        ("localhost:8080/cat.jpg", urls.NO_SCHEME),
        ("127.0.0.1:9000/cat.jpg", urls.NO_SCHEME),
        ('"https://pictures.test/cat.jpg"', urls.NO_SCHEME),
        ("http:pictures.test", urls.NO_HOST),
        ("https:/pictures.test", urls.NO_HOST),
        ("s3://bucket/cat.jpg", urls.OBJECT_STORE),
        ("GS://bucket/cat.jpg", urls.OBJECT_STORE),
        ("abfss://container@account/cat.jpg", urls.OBJECT_STORE),
        ("ftp://pictures.test/cat.jpg", urls.FTP),
        ("sftp://user@pictures.test/cat.jpg", urls.FTP),
        ("file:///etc/passwd", urls.FILE),
        ("C:\\Users\\me\\cat.jpg", urls.FILE),
        ("c:/Users/me/cat.jpg", urls.FILE),
        ("\\\\server\\share\\cat.jpg", urls.FILE),
        ("/home/me/cat.jpg", urls.FILE),
        ("~/cat.jpg", urls.FILE),
        ("../cat.jpg", urls.FILE),
        ("blob:https://pictures.test/1234", urls.BLOB),
        ("javascript:alert(1)", urls.OTHER_SCHEME),
        ("http+unix://%2Frun%2Fdocker.sock/info", urls.OTHER_SCHEME),
        ('{"image_url": "https://pictures.test/cat.jpg"}', urls.JSON),
        ('["https://pictures.test/cat.jpg"]', urls.JSON),
        ("http://user:password@pictures.test/", urls.USER),
        ("http://user@pictures.test/", urls.USER),
        ("http://pictures.test/\r\nX-Evil: 1", urls.CONTROL),
        ("http://pictures\n.test/", urls.CONTROL),
        ("http://pictures.test/\x00", urls.CONTROL),
        ("http://pictures.test/\x85a", urls.CONTROL),
        ("http://pictures.test\\cat.jpg", urls.BACKSLASH),
        ("http://pictures.test /", urls.HOST),
        ("http://pictures .test/", urls.HOST),
        ("http://pic\u200btures.test/", urls.HOST),
        ("http://[::1/", urls.HOST),
        ("http://pictures.test:port/", urls.PORT),
        ("http://pictures.test:65536/", urls.PORT),
        ("http://pictures.test:-1/", urls.PORT),
        ("http://pictures.test:\u0661/", urls.PORT),
    ],
)
def test_bad_url(text: str, sentence: str) -> None:
    """Each kind of mistake has its sentence, which repeats nothing of the text."""
    with pytest.raises(InvalidRequest) as error:
        urls.read(text)
    assert error.value.detail == sentence


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("c.jpg", "https://pictures.test/a/c.jpg"),
        ("/c.jpg", "https://pictures.test/c.jpg"),
        ("?y=2", "https://pictures.test/a/b.jpg?y=2"),
        ("//cdn.test/c.jpg", "https://cdn.test/c.jpg"),
        (" https://cdn.test/my cat.jpg ", "https://cdn.test/my cat.jpg"),
        ("/K\u00c3\u00a4tzchen.jpg", "https://pictures.test/K\u00e4tzchen.jpg"),
    ],
)
def test_redirect(location: str, target: str) -> None:
    """A location is relative to the URL that answered, in UTF-8, and may hold spaces."""
    assert urls.joined(BASE, location) == target


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("/a\tb", FetchFailed),
        ("/a\x00b", FetchFailed),
        ("\\\\127.0.0.1\\c", FetchFailed),
        ("/\xfc", FetchFailed),
        ("http://[::1/", FetchFailed),
        ("/" * 8193, FetchFailed),
        ("file:///etc/passwd", FetchBlocked),
        ("data:image/png;base64,AAAA", FetchBlocked),
        ("ftp://pictures.test/", FetchBlocked),
        ("//user@pictures.test/", FetchBlocked),
    ],
)
def test_bad_redirect(location: str, error: type[Exception]) -> None:
    """A redirect to no URL is the server's failure; to another scheme, or with a user, it is blocked."""
    with pytest.raises(error, match=r"^The server of the image URL redirected"):
        urls.joined(BASE, location)
