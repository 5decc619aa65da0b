"""Images in buckets: what lies below a prefix, and the bytes of an object. By obstore, which may be missing.

Credentials and endpoints come from the variables of each cloud, such as `AWS_ACCESS_KEY_ID`,
`AWS_ENDPOINT_URL` and `GOOGLE_APPLICATION_CREDENTIALS`, never from the URL. A process that has used
obstore must not fork.
"""

import functools
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from predictor.archives import shown
from predictor.cluster.connection import OF_ALL_OBJECTS, client_options, trouble
from predictor.errors import FetchFailed, ImageTooLarge, InvalidRequest, NotReady

SCHEMES = ("s3://", "gs://", "az://")
"""What the URLs of objects and prefixes begin with."""
_SECONDS = 30.0


def listed(url: str) -> Iterator[str]:
    """The URLs of all objects below a prefix, in the order of the store; listed as they are taken.

    Args:
        url: such as `s3://bucket/photos`, which stands for what lies in that folder.

    Raises:
        InvalidRequest: it cannot be listed, or obstore is missing.
    """
    try:
        bucket, prefix = _parts(url)
        for found in _store(bucket).list(prefix=prefix or None):
            for one in found:
                yield f"{bucket}/{one['path']}"
    except _failures() as error:
        raise InvalidRequest(
            f"{shown(url)} cannot be listed; check its name, the credentials and the endpoint of the store."
        ) from error


def read(url: str, most: int) -> bytes:
    """The bytes of an object.

    Args:
        url: such as `s3://bucket/photos/cat.jpg`.
        most: how many it may have.

    Raises:
        ImageTooLarge: it has more.
        FetchFailed: it is not there or cannot be read.
        NotReady: no object can be read, whichever it is: the credentials have ended, for example.
        InvalidRequest: obstore is missing.
    """
    try:
        bucket, path = _parts(url)
        answer = _store(bucket).get(path)
        if answer.meta["size"] > most:
            raise ImageTooLarge(f"The object has more than {most / 1e6:g} MB.")
        return bytes(answer.bytes())
    except _failures() as error:
        if (why := trouble(error)) in OF_ALL_OBJECTS:
            raise NotReady(
                f"The store refuses every request ({why}): check its name, the credentials and the clock."
            ) from error
        if isinstance(error, FileNotFoundError):
            raise FetchFailed("The object is not in the store.") from error
        raise FetchFailed(f"The object cannot be read from the store ({why}).") from error


def _parts(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    # Keys may hold what ends a path in a URL.
    return f"{parts.scheme}://{parts.netloc}", url.split("://", 1)[1].partition("/")[2]


@functools.cache
def _store(bucket: str) -> Any:
    return _library().store.from_url(bucket, client_options=client_options(os.environ, _SECONDS))


def _failures() -> tuple[type[Exception], ...]:
    return (_library().exceptions.BaseError, OSError, ValueError)


def _library() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise InvalidRequest("Buckets need obstore: pip install 'image-prediction-api[cluster]'.") from error
    return obstore
