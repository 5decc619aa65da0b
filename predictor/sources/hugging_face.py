"""A repository of a Hugging Face hub, or of a server with the same routes (`HF_ENDPOINT`)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from predictor.errors import FetchFailed, InvalidRequest
from predictor.fetch.files import Downloads
from predictor.sources.listing import Listing, OnTheWeb, RemoteFile, inside, quoted

FORM = "hf:org/name, or hf:org/name@revision"
_ENDPOINT = "https://huggingface.co"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_REFERENCE = re.compile(rf"(?P<id>(?:{_NAME}/)?{_NAME})(?:@(?P<revision>[A-Za-z0-9._/-]{{1,200}}))?")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Repository(OnTheWeb):
    """A repository at one revision.

    Args:
        reference: what stands behind `hf:`, `org/name` or `org/name@revision`: a branch, a tag or a commit.
        downloads: of this model.
        environment: `HF_ENDPOINT` names another hub, `HF_TOKEN` is the token for it.

    Raises:
        InvalidRequest: the reference has another form.
    """

    def __init__(self, reference: str, downloads: Downloads, environment: Mapping[str, str]) -> None:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise InvalidRequest(f"The source of a hub has the form {FORM}.")
        token = environment.get("HF_TOKEN", "").strip()
        super().__init__(downloads, {"Authorization": f"Bearer {token}"} if token else {})
        self._endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or _ENDPOINT
        self._name, self._revision = found["id"], found["revision"] or "main"

    def listing(self) -> Listing:
        """The repository's files, by the commit that the revision stands for."""
        url = f"{self._endpoint}/api/models/{self._name}/revision/{quoted(self._revision)}?blobs=true"
        found = self.json(url)
        commit, siblings = found.get("sha"), found.get("siblings")
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit) or not isinstance(siblings, list):
            raise FetchFailed("The hub of the source sent no list of files; check HF_ENDPOINT.")
        return Listing([*self._files(commit, siblings)], commit)

    def _files(self, commit: str, siblings: list[Any]) -> Iterable[RemoteFile]:
        for one in siblings:
            known = one if isinstance(one, dict) else {}
            name = inside(known.get("rfilename"))
            place = f"{self._endpoint}/{self._name}/resolve/{commit}/{quoted(name, slashes=True)}"
            size, large = known.get("size"), known.get("lfs")
            digest = str(large.get("sha256")) if isinstance(large, dict) else ""
            yield RemoteFile(
                name,
                place,
                size if isinstance(size, int) else None,
                f"sha256:{digest}" if _DIGEST.fullmatch(digest) else None,
            )
