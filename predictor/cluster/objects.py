"""Objects of a bucket, listed or saved by a process of its own: `python -m predictor.cluster.objects`.

The process reads one request, in JSON, and writes one answer. obstore's threads, which do not survive a fork,
are those of this process alone, and the one that started it can end it at any moment.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from predictor.cluster.connection import client_options

_CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """A request that cannot be answered, by one of the words of `Bucket`."""


def answer(request: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a request asks for.

    Args:
        request: `bucket` and `seconds`; and either `key`, of an object or of those below it, with `most` of
            them, or `save`, a list of keys, each with its ETag and the path to write, with `most` bytes.
        environment: has the address and the credentials, in the variables of AWS.

    Returns:
        `files`, each with `key`, `bytes` and `etag`, or nothing.

    Raises:
        Refused: it cannot be answered.
    """
    store = _store(request["bucket"], environment, request["seconds"])
    with _translated():
        if "save" not in request:
            return {"files": [*_listed(store, request["key"], request["most"])]}
        left = request["most"]
        for key, etag, path in request["save"]:
            left = _save(store, key, etag, Path(path), left)
        return {}


def _store(bucket: str, environment: Mapping[str, str], seconds: float) -> S3Store:
    """A bucket of S3; the rest of the configuration is read from the environment by the library."""
    given = timedelta(seconds=seconds)
    with _translated():
        options: Any = client_options(environment, seconds)
        return S3Store(
            bucket,
            client_options=options,
            retry_config={"max_retries": 3, "retry_timeout": min(given, timedelta(seconds=20))},
        )


def _listed(store: S3Store, key: str, most: int) -> Iterator[dict[str, Any]]:
    """The object of a key, or those below it."""
    if key and not key.endswith("/"):
        with contextlib.suppress(FileNotFoundError):
            yield _described(obstore.head(store, key))
            return
    found = 0
    for some in obstore.list(store, key.rstrip("/") or None):
        for one in some:
            found += 1
            if found > most:
                raise Refused("many")
            yield _described(one)
    if not found:
        raise Refused("missing")


def _described(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"key": found["path"], "bytes": found["size"], "etag": found.get("e_tag")}


def _save(store: S3Store, key: str, etag: str | None, path: Path, left: int) -> int:
    """Write an object to a file; how many bytes may still come."""
    found = obstore.get(store, key)
    if etag is not None and found.meta.get("e_tag") not in {etag, None}:
        raise Refused("changed")
    pieces = found.stream(min_chunk_size=_CHUNK_BYTES)
    with path.open("wb") as file:
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise Refused("large")
            try:
                file.write(piece)
            except OSError as error:
                raise Refused("disk") from error
    return left


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The library's errors as words; what they say may hold addresses and keys."""
    try:
        yield
    except FileNotFoundError as error:
        raise Refused("missing") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise Refused("denied") from error
    except (BaseError, OSError, ValueError) as error:
        print(type(error).__name__, error, file=sys.stderr)  # noqa: T201 - for the log of the service
        raise Refused("failed") from error


def main() -> None:
    """Answer the request on the standard input."""
    try:
        found = answer(json.load(sys.stdin), os.environ)
    except Refused as refused:
        found = {"refused": str(refused)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
