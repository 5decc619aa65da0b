"""Golden images as a part of the models: setting and removing them is a change of all workers and machines.

What serves stays as it is: only the state of the name says which set counts.
"""

import dataclasses
from collections.abc import Sequence

from predictor.store.commit import ModelTransactions
from predictor.store.golden import GoldenImage, GoldenSet, write_set
from predictor.store.registry import Registry
from predictor.store.state import Name


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
