"""Models on disk: names, versions, and which one is live.

The bundled model is version 1 of `default`, so that a fresh service can predict and there is always something
to go back to; it lies in the package and is never removed.
"""

import dataclasses
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from predictor.errors import InvalidModel, NotReady
from predictor.model.strict_text import decoded
from predictor.model_files import MODEL
from predictor.store import lookup, state
from predictor.store.files import remove
from predictor.store.golden import GoldenFiles
from predictor.store.manifest import Manifest, digest
from predictor.store.state import Name, State

DEFAULT = "default"
_BUNDLED = 1
_COMING_SECONDS = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelVersion:
    """One version of a named model.

    Attributes:
        name: the model's name, as in `model=` of a request.
        version: grows by one with each upload.
        path: the ONNX file.
        digest: `sha256:` and the hexadecimal digest of what makes this version's answers.
        manifest: what is known of it; None for the bundled model.
    """

    name: str
    version: int
    path: Path
    digest: str
    manifest: Manifest | None = None

    @property
    def key(self) -> str:
        """`name/version`."""
        return f"{self.name}/{self.version}"

    @property
    def bytes(self) -> int:
        """The size of the model, with the files beside it that hold its weights."""
        weights = () if self.manifest is None else self.manifest.weights().values()
        return sum(path.stat().st_size for path in (self.path, *map(self.path.with_name, weights)))

    def companion(self, name: str) -> str | None:
        """The text of a file that came with the model; None if it did not come.

        Raises:
            InvalidModel: it cannot be read.
        """
        if self.manifest is None or name not in self.manifest.files:
            return None
        try:
            return decoded(self.path.with_name(name).read_bytes())
        except (OSError, ValueError) as error:
            raise InvalidModel(f"The {name} of version {self.version} cannot be read.") from error

    def verify(self) -> None:
        """Compare the files with their digests.

        Raises:
            InvalidModel: a file is missing or is not what was uploaded.
        """
        for name, known in ({} if self.manifest is None else self.manifest.files).items():
            path = self.path if name == MODEL else self.path.with_name(name)
            try:
                intact = path.stat().st_size == known["bytes"] and digest(path) == known["digest"]
            except OSError:
                intact = False
            if not intact:
                raise InvalidModel(f"A file of version {self.version} is missing or damaged.")


class Registry:
    """The models of a store.

    Args:
        data: the folder of everything that the service writes.
        bundled: the ONNX file that ships with the service.

    Attributes:
        golden: the golden images of the models.
        shared: whether files may come from other machines after the state names them.
    """

    def __init__(self, data: Path, bundled: Path) -> None:
        self.data = data
        self.models = data / "models"
        self.golden = GoldenFiles(data / "golden")
        self._bundled_path = bundled
        self.shared = False
        self._lock = threading.Lock()
        self._known: tuple[object, State] | None = None

    @cached_property
    def bundled(self) -> ModelVersion:
        """The model that ships with the service.

        Raises:
            NotReady: its file cannot be read.
        """
        return ModelVersion(DEFAULT, _BUNDLED, self._bundled_path, digest(self._bundled_path))

    def read(self) -> State:
        """The state of the store; what cannot be read is made anew from the versions that lie there."""
        with self._lock:
            signature = self._signature()
            if self._known is None or self._known[0] != signature:
                self._known = signature, state.read(self.data, self.golden.newest) or self._rebuilt()
            return self._known[1]

    def write(self, value: State) -> None:
        """Write the state.

        Raises:
            StorageFull: there is no room; the former state stays.
        """
        state.write(self.data, value)

    def name(self, name: str) -> Name:
        """A model's versions.

        Raises:
            ModelNotFound: no model has that name.
        """
        return lookup.known(self.read(), name)

    def version(self, name: str, version: int) -> ModelVersion:
        """One version of a model.

        Raises:
            ModelNotFound: no model has that name, or it has no such version.
            InvalidModel: what is known of it cannot be read.
            NotReady: its files have not come yet.
        """
        lookup.present(self.read(), name, version)
        if self.shared and not self.permanent(name, version) and not self.folder(name, version).exists():
            raise NotReady(
                f"Version {version} of {name} is not on this machine yet; try again.",
                retry_after=_COMING_SECONDS,
            )
        return self.at(name, version)

    def at(self, name: str, version: int) -> ModelVersion:
        """A version as it lies on the disk, whether or not the state knows it already.

        Raises:
            InvalidModel: what is known of it cannot be read.
        """
        if self.permanent(name, version):
            return self.bundled
        try:
            manifest = self._manifest(name, version)
        except (OSError, ValueError, TypeError) as error:
            raise InvalidModel(f"A file of version {version} is missing or damaged.") from error
        return ModelVersion(name, version, self.folder(name, version) / MODEL, manifest.digest, manifest)

    def same(self, name: str, version: int, manifest: Manifest) -> ModelVersion | None:
        """A version, if the files of a manifest are its files, whole on the disk; else None."""
        try:
            found = self.at(name, version)
            if found.digest == manifest.digest:
                # By the digests of these files, not by what the version's own manifest says.
                dataclasses.replace(found, manifest=manifest).verify()
                return found
        except (InvalidModel, NotReady) as error:
            log.warning("%s/%d is no match for an upload: %s", name, version, error.detail)
        return None

    def folder(self, name: str, version: int) -> Path:
        """Where a version's files lie."""
        return self.models / name / str(version)

    def permanent(self, name: str, version: int) -> bool:
        """Whether a version ships with the service, so that it cannot be removed."""
        return (name, version) == (DEFAULT, _BUNDLED)

    def remove(self, name: str, versions: Iterable[int]) -> None:
        """Remove the files of versions."""
        for version in versions:
            remove(self.folder(name, version))

    def remove_unknown(self, known: State) -> None:
        """Remove the folders that a state does not know, while no change is made."""
        for folder in self.models.glob("*"):
            if folder.name not in known.names:
                remove(folder)
        for folder in self.models.glob("*/*"):
            versions = known.names.get(folder.parent.name, Name()).versions
            if not (folder.name.isdecimal() and int(folder.name) in versions):
                remove(folder)
        self.golden.remove_unknown({name: one.golden for name, one in known.names.items()})

    def _manifest(self, name: str, version: int) -> Manifest:
        return Manifest.read(self.folder(name, version))

    def _signature(self) -> object:
        try:
            found = state.pointer(self.data).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _rebuilt(self) -> State:
        """The newest complete version of each name, live; for a fresh store, the bundled model."""
        golden = self.golden.newest
        names = {DEFAULT: Name(_BUNDLED, _BUNDLED, (_BUNDLED,), golden=golden(DEFAULT))}
        for folder in self.models.glob("*"):
            present = sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())
            complete = tuple(version for version in present if self._complete(folder.name, version))
            if complete:
                log.error("The model store lost its state; %s serves version %d", folder.name, complete[-1])
                known = tuple(sorted({*names.get(folder.name, Name()).versions, *complete}))
                names[folder.name] = Name(
                    known[-1], present[-1], known, former=known[:-1], golden=golden(folder.name)
                )
        return State(names=names)

    def _complete(self, name: str, version: int) -> bool:
        try:
            manifest = self._manifest(name, version)
        except (OSError, ValueError, TypeError):
            return False
        try:
            ModelVersion(name, version, self.folder(name, version) / MODEL, "", manifest).verify()
        except InvalidModel:
            return False
        return True
