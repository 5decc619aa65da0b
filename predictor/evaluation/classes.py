"""What people call a class -> its index in the model's output."""

from collections.abc import Iterable, Sequence

from predictor.model.labels import Label

_AMBIGUOUS = -1


class Classes:
    """The classes of a model by everything that may name them.

    An identifier is surer than a name, a name surer than a synonym, and a number is an index unless a class
    is called so. Case, underlines and spaces make no difference. What names two classes names none.

    Args:
        labels: in order of their index.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self.labels = tuple(labels)
        self._index: dict[str, int] = {}
        self._add((label.id, index) for index, label in enumerate(labels))
        self._add((label.name, index) for index, label in enumerate(labels))
        self._add((one, index) for index, label in enumerate(labels) for one in label.synonyms)
        self._add((str(index), index) for index in range(len(self.labels)))

    def find(self, names: Iterable[str]) -> int | None:
        """The index of the first of these names that is a class's; None if none of them is."""
        found = (self._index.get(_plain(name), _AMBIGUOUS) for name in names)
        return next((index for index in found if index != _AMBIGUOUS), None)

    def _add(self, named: Iterable[tuple[str | None, int]]) -> None:
        fresh: dict[str, int] = {}
        for name, index in named:
            if name is not None and (plain := _plain(name)) not in self._index:
                fresh[plain] = index if fresh.get(plain, index) == index else _AMBIGUOUS
        self._index |= fresh


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
