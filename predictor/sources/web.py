"""One file of a web server: a model, or a ZIP file of a model and what belongs to it."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from predictor.fetch.files import Downloads
from predictor.sources.listing import Listing, OnTheWeb, RemoteFile

_UNNAMED = "model.onnx"


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
