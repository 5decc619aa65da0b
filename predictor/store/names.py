"""Changes of a name that make no version of it, in all workers and machines or in none.

Golden images are set and removed: what serves stays as it is, only the state of the name says which set
counts. A name is unloaded, so that its files stay, and serves again once it is loaded; that is a part of the
state too, so it holds after a restart. An upload or an activation loads a name as well.
"""

import dataclasses
from collections.abc import Sequence

from predictor.errors import ModelConflict
from predictor.store import lookup
from predictor.store.commit import ModelTransactions
from predictor.store.golden import GoldenImage, GoldenSet, write_set
from predictor.store.publish import now
from predictor.store.registry import ModelVersion, Registry
from predictor.store.state import Event, Name


class GoldenSets:
    """The golden images of all names.

    Args:
        registry: the models on disk.
        transactions: make changes take effect.
    """

    def __init__(self, registry: Registry, transactions: ModelTransactions) -> None:
        self._registry = registry
        self._files = registry.golden
        self._transactions = transactions

    def find(self, name: str) -> GoldenSet | None:
        """The golden images of a name; None if it has none.

        Raises:
            ModelConflict: they are missing or cannot be read.
        """
        return self._files.find(name, self._index(name))

    def data_of(self, name: str, image: GoldenImage) -> bytes:
        """The bytes of an image.

        Raises:
            ModelConflict: they cannot be read, or are others than were sent.
        """
        return self._files.data_of(name, self._index(name), image)

    def write(self, name: str, golden: GoldenSet, contents: Sequence[bytes]) -> None:
        """Keep golden images in place of those that the name has.

        Args:
            name: of the model.
            golden: what is to be known of them.
            contents: the bytes of each image.

        Raises:
            ModelNotFound: there is no such name.
            ModelConflict: another change is under way.
            NotReady: another machine cannot do the same; the former ones stay.
            StorageFull: there is no room; the former ones stay.
        """
        with self._transactions.staging.new_folder() as folder:
            write_set(folder, golden, contents)
            with self._transactions.change() as state:
                known = self._registry.name(name)
                try:
                    index = self._files.place(name, folder)
                    self._transactions.record(state, name, dataclasses.replace(known, golden=index))
                    self._files.remove_former(name)
                finally:
                    self._registry.remove_unknown(self._registry.read())

    def remove(self, name: str) -> None:
        """Forget the golden images of a name, if it has any.

        Raises:
            ModelNotFound, ModelConflict, NotReady, StorageFull: as for `write`.
        """
        with self._transactions.change() as state:
            known = self._registry.name(name)
            # They count no more where the state has others; else they are all that is to be forgotten.
            self._files.remove_former(name)
            if known.golden is not None:
                self._transactions.record(state, name, dataclasses.replace(known, golden=None))
            self._registry.remove_unknown(self._registry.read())

    def _index(self, name: str) -> str | None:
        return self._registry.read().names.get(name, Name()).golden


class Loading:
    """Takes names out of service and puts them back, in all workers or in none.

    Both methods raise what those of `Publisher` raise if nothing could be changed.

    Args:
        registry: the models on disk.
        transactions: make changes take effect.
    """

    def __init__(self, registry: Registry, transactions: ModelTransactions) -> None:
        self._registry = registry
        self._transactions = transactions

    def unload(self, name: str) -> None:
        """Have no version of a name served; nothing changes if none is.

        Raises:
            ModelNotFound: there is no such name.
        """
        with self._transactions.change() as state:
            known = lookup.known(state, name)
            if known.live is not None:
                after = known.switched(None, Event(now(), "unload", known.live))
                self._transactions.commit(state, name, after)

    def load(self, name: str) -> ModelVersion:
        """Have the version served that was live last; nothing changes if one is live.

        Raises:
            ModelNotFound: there is no such name.
            ModelConflict: none of its versions may serve.
            InvalidModel: its files are damaged.
        """
        with self._transactions.change() as state:
            known = lookup.known(state, name)
            if known.live is not None:
                return self._registry.version(name, known.live)
            if (version := known.before()) is None:
                raise ModelConflict("None of the model's versions may serve; upload another one.")
            self._transactions.supplied(name, version).verify()
            self._transactions.commit(state, name, known.returned(version, Event(now(), "load", version)))
        return self._registry.version(name, version)
