"""A source in one line, such as `hf:org/name@main` -> the files of its model in a folder, within limits."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from predictor.config import Settings
from predictor.errors import InvalidRequest
from predictor.fetch.dial import Deadline
from predictor.fetch.files import Downloads
from predictor.importing.bundle import wanted
from predictor.importing.unpacking import MAX_FILES, Sent
from predictor.sources import hugging_face, mlflow, oci
from predictor.sources.bucket import FORM as BUCKET_FORM
from predictor.sources.bucket import Bucket
from predictor.sources.listing import Listing, OnTheWeb, Place, RemoteFile

MAX_SOURCE = 2048
"""Characters of a source."""

_FORMS = ", ".join((hugging_face.FORM, mlflow.FORM, oci.FORM, BUCKET_FORM, "https://..."))
_UNKNOWN = f"The source must be one of: {_FORMS}."

_Open = Callable[[str, Downloads, Mapping[str, str]], Place]
_PLACES: Mapping[str, _Open] = {
    "hf": lambda rest, *given: hugging_face.Repository(rest.removeprefix("//"), *given),
    "mlflow": mlflow.RegisteredModel,
    "oci": lambda rest, *given: oci.Artifact(rest.removeprefix("//"), *given),
    "s3": Bucket,
    "https": lambda rest, downloads, _: WebFile(f"https:{rest}", downloads),
    "http": lambda rest, downloads, _: WebFile(f"http:{rest}", downloads),
}

log = logging.getLogger(__name__)

_UNNAMED = "model.onnx"


@dataclass(frozen=True)
class Pulled:
    """The files of a source, in a folder.

    Attributes:
        files: as if they had been sent.
        source: where they are from, without what may be a secret.
        revision: what names exactly these files there.
    """

    files: Sequence[Sent]
    source: str
    revision: str | None

    def to_json(self) -> dict[str, str | None]:
        """What the report of a version says of it."""
        return {"source": self.source, "revision": self.revision}


def pull(
    source: str,
    folder: Path,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    file: str | None = None,
) -> Pulled:
    """Fetch the files of a model.

    Args:
        source: where they lie.
        folder: where they are written, under names of our own.
        settings: which addresses may be reached, and how long and how much may be fetched. Where a signature
            is demanded, all files are fetched, for it is about all of them.
        environment: has the addresses of servers and the credentials for them.
        file: which ONNX file is the model, if there are several.

    Raises:
        InvalidRequest: the source is not of a known form, or has several models.
        InvalidModel: it has none.
        FetchError: it cannot be reached, or not be read.
        ModelTooLarge: the files have more bytes than a model may have.
        OSError, StorageFull: the disk does not take them.
    """
    with Deadline(settings.pull_seconds) as deadline:
        downloads = Downloads(settings, deadline)
        place = _place(source.strip(), downloads, environment)
        listing = place.listing()
        files = _needed(listing, file, whole=settings.signing_key is not None)
        if len(files) > MAX_FILES:
            raise InvalidRequest(f"The source has more than {MAX_FILES} files; give it as one ZIP file.")
        downloads.check_room(sum(one.bytes or 0 for one in files))
        paths = [folder / f"pulled-{number}" for number in range(len(files))]
        revision = place.save(files, paths) or listing.revision
    log.info("Pulled %s, revision %s, files: %d", _shown(source), revision, len(files))
    alone = len(files) == 1
    sent = [Sent(one.name, path, model=alone) for one, path in zip(files, paths, strict=True)]
    return Pulled(sent, _shown(source), revision)


def _place(source: str, downloads: Downloads, environment: Mapping[str, str]) -> Place:
    scheme, colon, rest = source.partition(":")
    opened = _PLACES.get(scheme.lower()) if colon and source.isprintable() else None
    if opened is None or len(source) > MAX_SOURCE:
        raise InvalidRequest(_UNKNOWN)
    return opened(rest, downloads, environment)


def _needed(listing: Listing, file: str | None, *, whole: bool) -> Sequence[RemoteFile]:
    """The files that belong to the model."""
    if whole or listing.named:
        return listing.files
    names = set(wanted({one.name: one.bytes for one in listing.files}, file))
    return [one for one in listing.files if one.name in names]


def _shown(source: str) -> str:
    """A source without its query, which may be a signature of the URL."""
    text = source.strip()
    return urlsplit(text)._replace(query="", fragment="").geturl() if "://" in text else text


class WebFile(OnTheWeb):
    """A file by its URL.

    Args:
        url: http or https, without credentials.
        downloads: of this model.
    """

    def __init__(self, url: str, downloads: Downloads) -> None:
        super().__init__(downloads)
        self._url = url

    def listing(self) -> Listing:
        """The file alone, under the last part of its path."""
        try:
            last = unquote(urlsplit(self._url).path).replace("\\", "/").rpartition("/")[2]
        except ValueError:  # the download says what is wrong with it
            last = ""
        named = "".join(letter for letter in last if letter.isprintable())
        return Listing([RemoteFile(named if named.strip(".") else _UNNAMED, self._url)], named=True)

    def save(self, files: Sequence[RemoteFile], paths: Sequence[Path]) -> str | None:
        """As `Place` has it; the revision is the digest of the file."""
        (file,), (path,) = files, paths
        return self._downloads.save(file.place, path).digest
