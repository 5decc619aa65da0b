"""Whatever comes as a multipart form: its fields and files as they were sent, or a refusal."""

import contextlib
import io
import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as some
from werkzeug.test import EnvironBuilder

from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.web import forms

Field = tuple[str, str]
File = tuple[str, str, bytes]
BOUNDARY = "-ab"
MAX_BYTES, MAX_PARTS = 20_000, 6
PIECES = some.sampled_from(
    [
        b"--",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"---ab",
        b"\r\n---ab",
        b"\r\n---ab\r\n",
        b"---ab--",
        b"---ab--\r\n",
        b"Content-Disposition: form-data; name=",
        b'"model"; filename="m.onnx"',
        b'"name"',
        b"; filename*=utf-8''%e2%82%ac",
        b'; filename="../../../etc/passwd"',
        b"Content-Type: text/plain; charset=utf-16",
        b"Content-Type: multipart/mixed; boundary=x",
        b"Content-Transfer-Encoding: base64",
        b"Content-Length: 99999999999999999999",
        b"\0",
        b"\xff\xfe",
        b"x" * 5_000,
    ]
)
NAMES = some.text(
    some.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'), min_size=1, max_size=8
)
CONTENTS = some.binary(max_size=300) | some.lists(PIECES, max_size=4).map(b"".join)
FILES = some.lists(some.tuples(NAMES, NAMES, CONTENTS), max_size=3)
FIELDS = some.lists(some.tuples(NAMES, NAMES), min_size=1, max_size=2)


class Trickle(io.BytesIO):
    """A body of which a few bytes come at a time."""

    def __init__(self, body: bytes, at_once: int) -> None:
        super().__init__(body)
        self._at_once = at_once

    def read(self, size: int | None = -1, /) -> bytes:
        """As many bytes as come at once, at most."""
        return super().read(self._at_once if size is None or size < 0 else min(size, self._at_once))

    def readinto(self, buffer: Any, /) -> int:
        """The same."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _open_files() -> list[Path]:
    """What this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(link.readlink())
    return found


def receive(
    body: bytes, content_type: str, at_once: int, length: int | None, most: int = MAX_BYTES
) -> tuple[dict[str, Any], list[File]] | None:
    """Receive a form; None if it is refused. No file stays open, and none lies elsewhere."""
    environ = EnvironBuilder(method="POST").get_environ()
    environ |= {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(length)}
    environ["wsgi.input"] = Trickle(body, at_once)
    if length is None:
        del environ["CONTENT_LENGTH"]
        environ["wsgi.input_terminated"] = True
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "incoming"
        folder.mkdir()
        try:
            fields, files = forms.receive(
                Request(environ),
                folder,
                forms.Bounds(most, MAX_PARTS, ModelTooLarge("too large")),
                field="model",
            )
        except (InvalidRequest, ModelTooLarge):
            return None
        finally:
            assert [path.name for path in Path(above).iterdir()] == ["incoming"]
            assert sum(path.stat().st_size for path in folder.iterdir()) <= most
            assert [path for path in _open_files() if path.is_relative_to(above)] == []
        assert len(fields) + len(files) <= MAX_PARTS
        read = [(file.field, file.filename, file.path.read_bytes()) for file in files]
        assert {file.path.parent for file in files} <= {folder}
    return fields, read


@given(
    body=some.binary(max_size=400) | some.lists(PIECES, max_size=30).map(b"".join),
    content_type=some.sampled_from([f"multipart/form-data; boundary={BOUNDARY}"] * 4)
    | some.sampled_from(
        ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"]
    )
    | some.text(some.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=100).map(
        lambda text: f"multipart/form-data; boundary={text}"
    ),
    at_once=some.sampled_from([1, 7, 100_000]),
    wrong=some.sampled_from([0, 0, 0, -3, 5, 10**6, None]),
)
def test_any_body(body: bytes, content_type: str, at_once: int, wrong: int | None) -> None:
    """Any body, whatever length and boundary it claims to have."""
    receive(body, content_type, at_once, None if wrong is None else max(0, len(body) + wrong))


def form(fields: list[Field], files: list[File], boundary: str = BOUNDARY) -> bytes:
    """A form as browsers write it."""
    parts = [(f'name="{name}"', value.encode()) for name, value in fields]
    parts += [(f'name="{name}"; filename="{shown}"', content) for name, shown, content in files]
    begin = f"--{boundary}\r\nContent-Disposition: form-data; ".encode()
    body = b"".join(begin + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return body + f"--{boundary}--\r\n".encode()


@given(fields=FIELDS, files=FILES, at_once=some.sampled_from([1, 13, 100_000]))
def test_comes_as_sent(fields: list[Field], files: list[File], at_once: int) -> None:
    """Fields and files come byte for byte, however the body is cut up on its way."""
    # Without a letter of the boundary's, none of them holds it.
    files = [(name, shown, content.replace(b"a", b"e")) for name, shown, content in files]
    body = form(fields, files)

    received = receive(body, f"multipart/form-data; boundary={BOUNDARY}", at_once, len(body), most=len(body))

    assert received is not None
    texts, written = received
    assert sorted(written) == sorted(files)
    for name, text in fields:
        assert text in (texts[name] if isinstance(texts[name], list) else [texts[name]])


@pytest.mark.parametrize("boundary", [BOUNDARY, "----WebKitFormBoundary--"])
def test_comes_as_sent_at_the_edge_of_a_piece(boundary: str) -> None:
    """A file is whole also if one of the pieces in which a body is read ends within the line behind it."""
    piece = 64 * 1024
    begin = form([], [("model", "m", b"")], boundary).rindex(b"\r\n--")
    for edge in range(piece - len(boundary) - 8, piece + 2):
        files = [("model", "m", bytes(edge - begin))]
        body = form([], files, boundary)

        received = receive(body, f"multipart/form-data; boundary={boundary}", 10**6, len(body), 10**6)

        assert received == ({}, files)


@given(
    files=FILES,
    at=some.integers(0, 2_000),
    out=some.integers(0, 30),
    into=PIECES | some.binary(max_size=4),
    missing=some.integers(0, 50),
)
def test_changed_form(files: list[File], at: int, out: int, into: bytes, missing: int) -> None:
    """A form with a piece taken out and another put in, whose end does not come."""
    body = form([("name", "cats")], files)
    place = at % len(body)
    changed = body[:place] + into + body[place + out :]
    receive(
        changed[: len(changed) - missing], f"multipart/form-data; boundary={BOUNDARY}", 1_000, len(changed)
    )


class Watched(io.BytesIO):
    """A body that notes, before each piece of it is read, how many bytes lie in a folder."""

    def __init__(self, body: bytes, folder: Path) -> None:
        super().__init__(body)
        self._folder = folder
        self.written: list[int] = []

    def readinto(self, buffer: Any, /) -> int:
        """Note it, and read."""
        self.written.append(sum(file.stat().st_size for file in self._folder.iterdir()))
        return super().readinto(buffer)


def test_written_as_it_comes(tmp_path: Path) -> None:
    """A large file goes to the disk piece by piece, and never lies in memory as a whole."""
    boundary, size = "b", 1_000_000
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="model"; filename="m"\r\n\r\n'.encode()
    body = head + bytes(size) + f"\r\n--{boundary}--\r\n".encode()
    environ = EnvironBuilder(
        method="POST", data=body, content_type=f"multipart/form-data; boundary={boundary}"
    ).get_environ()
    environ["wsgi.input"] = stream = Watched(body, tmp_path)

    _, files = forms.receive(
        Request(environ),
        tmp_path,
        forms.Bounds(2 * size, MAX_PARTS, ModelTooLarge("too large")),
        field="model",
    )

    assert files[0].path.stat().st_size == size
    assert len(stream.written) >= size / 100_000
    assert max(after - before for before, after in itertools.pairwise(stream.written)) <= 200_000
