"""The bucket that machines share.

The only condition of a request that is used is "put if absent": some stores refuse or ignore the others, even
where they hold. obstore does not survive a fork: this module is imported in workers and in commands, never in
gunicorn's master.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from predictor.cluster.connection import Unusable, client_options, refused, trouble
from predictor.errors import ConfigError, StorageFull

_CONNECT_SECONDS, _REQUEST_SECONDS, _PART_SECONDS = 1.0, 5.0, 20.0
# S3 refuses parts of less than 5 MiB, but for the last.
_PART_BYTES = 8 << 20
# How often a request is sent again that a busy store refused, and until when. One that writes only what is
# absent is not: it could find its own first try, and take it for that of another machine.
_RETRIES, _RETRY_SECONDS, _PART_RETRY_SECONDS = 4, 2.0, 20.0
_REFUSALS = (PermissionDeniedError, UnauthenticatedError, FileNotFoundError)
# What S3, Google and Azure answer, with the status of an object that is not there.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_UNUSABLE = {
    "file": "the folder cannot be made or read",
    "s3": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, both or none, and AWS_CA_BUNDLE",
    "gs": "check GOOGLE_APPLICATION_CREDENTIALS, a file with credentials that this user can read",
    "az": "check AZURE_STORAGE_ACCOUNT_NAME and the other AZURE_ variables",
}
_KINDS: dict[str, Any] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}


class Unavailable(StorageFull):
    """The store does not answer, or refuses: models cannot be changed at this moment.

    Attributes:
        refused: whether it answered, and credentials or the name of the bucket are wrong.
        reason: what is known of the cause, in a few words.
    """

    refused, reason = False, ""


@dataclass(frozen=True)
class Entry:
    """An object in a listing.

    Attributes:
        key: its key.
        time: when it was written, in seconds since 1970 by the store's clock.
        tag: changes with each write.
        size: in bytes.
    """

    key: str
    time: float
    tag: str | None
    size: int


class Bucket:
    """Objects by their keys. Every method raises `Unavailable` where the store does not do its part.

    Args:
        store: obstore's, for small objects.
        large: the same store, with more time for each part of a large object.
        once: the same store, which sends no request again.
        count: told the operation of each failure.
    """

    def __init__(
        self,
        store: Any,
        *,
        large: Any = None,
        once: Any = None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._large = large or store
        self._once = once or store
        self._count = count

    @classmethod
    def open(cls, url: str, count: Callable[[str], None] = lambda _: None) -> "Bucket":
        """The bucket that `PREDICTOR_STORE` names; credentials come from the variables of each cloud.

        Raises:
            ConfigError: they cannot be used.
        """
        try:
            store = _opened(url, _REQUEST_SECONDS, _RETRIES, _RETRY_SECONDS)
            large = _opened(url, _PART_SECONDS, _RETRIES, _PART_RETRY_SECONDS)
            once = _opened(url, _REQUEST_SECONDS, 0, 0)
        except Unusable as error:
            raise ConfigError(str(error)) from error
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(_UNUSABLE[urlsplit(url).scheme]) from error
        return cls(store, large=large, once=once, count=count)

    def fault(self) -> str | None:
        """Write an object twice that must be written once; a sentence if the store does not keep its word."""
        key = f"proof/{secrets.token_hex(16)}"
        if not self.create(key, b"first"):
            return "it refuses to write an object that is not there; choose another store"
        try:
            if self.create(key, b"second") or self.get(key) != b"first":
                return (
                    "it overwrites an object that must not be overwritten (it ignores If-None-Match), so "
                    "that changes of several machines could be lost; choose another store"
                )
            if key not in {entry.key for entry in self.entries("proof/")}:
                return "it does not list an object that was just written; choose another store"
        finally:
            self.remove([key])
        return None

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless one is there; whether it was written."""
        with self._told("create"):
            try:
                obstore.put(self._once, key, data, mode="create")
            except (AlreadyExistsError, FileExistsError):
                return False
            return True

    def put(self, key: str, data: bytes) -> str | None:
        """Write an object, whatever was there; its tag."""
        with self._told("put"):
            return obstore.put(self._store, key, data)["e_tag"]

    def get(self, key: str) -> bytes | None:
        """The bytes of an object; None if there is none."""
        with self._told("get"):
            try:
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError as error:
                if any(code in str(error) for code in _NO_BUCKET):
                    raise
                return None

    def find(self, key: str) -> Entry | None:
        """What is known of an object; None if there is none."""
        with self._told("head"):
            try:
                return _entry(obstore.head(self._store, key))
            except FileNotFoundError:
                return None

    def entries(self, prefix: str, after: str | None = None) -> list[Entry]:
        """The objects under a prefix in the order of their keys; after a key if one is given."""
        with self._told("list"):
            found = obstore.list(self._store, prefix, offset=after, chunk_size=1000)
            return sorted((_entry(meta) for chunk in found for meta in chunk), key=lambda entry: entry.key)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects if they are there, as well as can be: nothing depends on it."""
        with suppress(Unavailable), self._told("delete"):
            for key in keys:
                with suppress(FileNotFoundError):
                    obstore.delete(self._store, key)

    def upload(self, key: str, path: Path, *, since: float) -> None:
        """Write a file, in parts if it is large, unless an object of its size was written since some time.

        For objects that are named by their digests, so that it does not matter who writes them, or how often.

        Args:
            key: of the object.
            path: the file.
            since: by the store's clock, in seconds.
        """
        found = self.find(key)
        if found and found.size == path.stat().st_size and found.time >= since:
            return
        with self._told("upload"):
            obstore.put(self._large, key, path, chunk_size=_PART_BYTES, max_concurrency=2)

    def download(self, key: str, path: Path, between: Callable[[], None] = lambda: None) -> str | None:
        """Read an object into a file, part by part; `sha256:` and its digest, or None if there is none.

        Args:
            key: of the object.
            path: the file; what it has already, of an attempt that failed, is the beginning.
            between: called before each part; what it raises ends the attempt.

        Raises:
            OSError: the file cannot be written.
        """
        if (entry := self.find(key)) is None:
            return None
        found = hashlib.sha256()
        with path.open("a+b") as file:
            file.seek(0)
            while part := file.read(_PART_BYTES):
                found.update(part)
            for start in range(file.tell(), entry.size, _PART_BYTES):
                between()
                part = self._part(key, start, min(entry.size, start + _PART_BYTES))
                found.update(part)
                file.write(part)
        return f"sha256:{found.hexdigest()}"

    def _part(self, key: str, start: int, end: int) -> bytes:
        with self._told("download"):
            return bytes(obstore.get_range(self._large, key, start=start, end=end))

    @contextmanager
    def _told(self, operation: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            self._count(operation)
            reason = trouble(error)
            unavailable = Unavailable(
                f"The store of PREDICTOR_STORE does not answer or refuses ({reason}); "
                "nothing was changed. Try again."
            )
            unavailable.refused = isinstance(error, _REFUSALS) or refused(error)
            unavailable.reason = reason
            raise unavailable from error


def _entry(meta: Any) -> Entry:
    return Entry(meta["path"], meta["last_modified"].timestamp(), meta["e_tag"], meta["size"])


def _opened(url: str, seconds: float, retries: int, retry_seconds: float) -> Any:
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if parts.scheme == "file":
        return LocalStore(f"/{path}", mkdir=True)
    options: Any = client_options(os.environ, seconds, _CONNECT_SECONDS)
    # Several servers with the protocol of S3 cannot delete many objects in one request.
    single = {"disable_bulk_delete": True} if parts.scheme == "s3" else {}
    retry: Any = {"max_retries": retries, "retry_timeout": timedelta(seconds=retry_seconds)}
    return _KINDS[parts.scheme](
        parts.netloc, prefix=path or None, client_options=options, retry_config=retry, **single
    )
