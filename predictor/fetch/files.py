"""The files of a model from the web: many requests within one deadline and one bound of bytes.

They go through the same rules of addresses, redirects and certificates as the downloads of images.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from predictor.config import MEGA, Settings
from predictor.errors import FetchError, FetchFailed, InvalidRequest, ModelTooLarge, StorageFull
from predictor.fetch import content
from predictor.fetch.client import CHUNK_BYTES, Fetcher
from predictor.fetch.dial import Deadline
from predictor.fetch.transport import check_status

MAX_TEXT_BYTES = 8 * MEGA
"""Bytes of an answer that is read into memory, such as a list of files."""
MAX_REQUESTS = 2_500
"""Requests for one model: one for each file and folder that it may have, and some more."""

TOO_LONG = (
    f"The server of the source sent an answer of more than {MAX_TEXT_BYTES} bytes where a list was due."
)
TOO_MANY = "The source needs too many requests; give it as one ZIP file."
OTHER_BYTES = "The server of the source sent a file with another digest than its list says; try again."

_HINTS = {
    401: ": it wants credentials, or refuses those of the service's environment.",
    403: ": the credentials of the service's environment may not read this, or the URL has expired.",
    404: ": it has no such model, version or file, or shows it only with credentials.",
} | dict.fromkeys((408, 425, 429, 500, 502, 503, 504), "; try again later.")


@dataclass(frozen=True)
class Answer:
    """An answer in memory, whatever its status is.

    Attributes:
        status: of HTTP.
        headers: by name without regard to case.
        body: decoded.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def checked(self) -> "Answer":
        """This answer, if its status is 200.

        Raises:
            FetchFailed: it is another one.
        """
        check_status(self.status, "source", _HINTS)
        return self


@dataclass(frozen=True)
class Saved:
    """A file that was written.

    Attributes:
        digest: `sha256:` and the hexadecimal digest of its bytes.
        headers: of the answer that it came with.
    """

    digest: str
    headers: Mapping[str, str]


class Downloads:
    """The downloads of one model, one after the other.

    Args:
        settings: which addresses may be reached, who is trusted, and how large a model may be.
        deadline: of all of them together.
        requests: that they may need.
    """

    def __init__(self, settings: Settings, deadline: Deadline, *, requests: int = MAX_REQUESTS) -> None:
        self._fetcher = Fetcher(
            allow=settings.fetch_allow,
            headers=content.request_headers(agent=content.user_agent(settings)),
            ca_file=settings.fetch_ca,
        )
        self._deadline = deadline
        self._most = self._left = settings.max_model_bytes
        self._requests = requests

    def read(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """An answer as it comes, whatever its status is.

        Args:
            url: what is asked for.
            headers: sent besides, to the server of `url` alone.

        Raises:
            FetchError: there is no whole answer, or it has more than `MAX_TEXT_BYTES`.
            InvalidRequest: `url` cannot be asked for.
        """
        body = bytearray()
        with self._asked(url, headers) as reply:
            for piece in reply.pieces:
                body += piece
                if len(body) > MAX_TEXT_BYTES:
                    raise FetchFailed(TOO_LONG)
            return Answer(reply.status, reply.headers, bytes(body))

    def save(
        self, url: str, path: Path, headers: Mapping[str, str] | None = None, digest: str | None = None
    ) -> Saved:
        """Write what a URL gives to a file.

        Args:
            url: what is asked for.
            path: the file.
            headers: sent besides, to the server of `url` alone.
            digest: what it must have, if that is known: `sha256:` and the hexadecimal digest.

        Raises:
            FetchError: there is no whole answer of status 200, or its bytes have another digest.
            InvalidRequest: `url` cannot be asked for.
            ModelTooLarge: the files together have more bytes than a model may have.
            StorageFull, OSError: the disk does not take it.
        """
        known = hashlib.sha256()
        with path.open("wb") as file, self._asked(url, headers) as reply:
            check_status(reply.status, "source", _HINTS)
            self.check_room(reply.expected)
            for piece in reply.pieces:
                self.check_room(len(piece))
                self._left -= len(piece)
                known.update(piece)
                with _on_disk():
                    file.write(piece)
        saved = f"sha256:{known.hexdigest()}"
        if digest is not None and saved != digest:
            raise FetchFailed(OTHER_BYTES)
        return Saved(saved, reply.headers)

    @property
    def seconds_left(self) -> float:
        """Until the time of all downloads together is over."""
        return self._deadline.remaining()

    @property
    def bytes_left(self) -> int:
        """How many more may be saved."""
        return self._left

    def check_room(self, size: int) -> None:
        """Go on only if so many more bytes may come.

        Raises:
            ModelTooLarge: they would be more than a model may have.
        """
        if size > self._left:
            raise ModelTooLarge(f"The files of the model may have at most {self._most / MEGA:g} MB together.")

    @contextlib.contextmanager
    def _asked(self, url: str, headers: Mapping[str, str] | None) -> Iterator["_Reply"]:
        self._requests -= 1
        if self._requests < 0:
            raise FetchFailed(TOO_MANY)
        with _said(), self._fetcher.answer(url, self._deadline, headers) as (response, _):
            coding = content.coding_of(response.headers)
            chunks = response.raw.stream(CHUNK_BYTES, decode_content=False)
            pieces = content.inflated(chunks, coding) if coding else chunks
            expected = 0 if coding else response.raw.length_remaining or 0
            yield _Reply(response.status_code, response.headers, expected, pieces)
            # A body without a stated length seems complete when its connection is shut.
            self._deadline.check()


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    expected: int
    pieces: Iterator[bytes]


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """Have the sentences about downloads, which speak of images, speak of the source of a model."""
    try:
        yield
    except (FetchError, InvalidRequest) as error:
        said = error.detail.replace("image URL", "source").replace("download of the image", "download")
        raise type(error)(said) from error


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    """Tell an error of the disk from one of the connection, which is an `OSError` as well."""
    try:
        yield
    except OSError as error:
        raise StorageFull("The disk does not take the model; nothing was changed.") from error
