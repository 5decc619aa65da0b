"""The classes of a model by everything that may name them in a set of images."""

import re
from collections.abc import Iterable, Sequence

from predictor.model.label import AMBIGUOUS, Label, named, plain

_SEPARATORS = re.compile(r"\s*[|;]\s*")


class Classes:
    """The classes of a model by everything that may name them.

    An identifier is surer than a name, a name surer than a synonym, and a number is an index unless a class
    is called so. Case, underlines and spaces make no difference. What names two classes names none.

    Args:
        labels: in order of their index.
        model: what a sentence calls their model.
        independent: whether any number of them may apply to an image, or none.
        indices: whether a number is an index; not where it may be that of another model.
    """

    def __init__(
        self,
        labels: Sequence[Label],
        model: str = "the model",
        *,
        independent: bool = False,
        indices: bool = True,
    ) -> None:
        self.labels = tuple(labels)
        self.model = model
        self.independent = independent
        numbers = {str(index): index for index in range(len(self.labels) if indices else 0)}
        self._index = numbers | named(self.labels)

    def find(self, names: Iterable[str]) -> int | None:
        """The index of the first of these names that is a class's; None if none of them is."""
        found = (self._index.get(plain(name), AMBIGUOUS) for name in names)
        return next((index for index in found if index != AMBIGUOUS), None)

    def all_of(self, said: Iterable[Sequence[str]]) -> tuple[int, ...]:
        """The indices of all classes that apply to an image; none if one of them is unknown.

        Args:
            said: for each class what may name it. A name that is no class may be several, with `|` or `;`
                between them.
        """
        found: list[int] = []
        for names in said:
            one = self.find(names)
            several = [self._several(name) for name in names] if one is None else [[one]]
            found += next(filter(None, several), [AMBIGUOUS])
        return () if AMBIGUOUS in found else tuple(dict.fromkeys(found))

    def by_name(self, said: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
        """What names the classes of an image for classes without indices: an index becomes its class's names.

        Args:
            said: as in `all_of`.
        """
        found = list[tuple[str, ...]]()
        for names in said:
            own = [self._names(index) for index in self.all_of([names])]
            # What another model knows under a name that this one lacks may be among what was said.
            found += [(*own[0], *names)] if len(own) == 1 else own or [tuple(names)]
        return tuple(found)

    def _names(self, index: int) -> tuple[str, ...]:
        """What names a class and no other, the surest first; all of its names if others have them, too."""
        label = self.labels[index]
        names = tuple(name for name in (label.id, label.name, *label.synonyms) if name is not None)
        return tuple(name for name in names if self.find([name]) == index) or names

    def _several(self, name: str) -> list[int]:
        """The classes that a text names, with separators between them; none if one is unknown."""
        parts = [part for part in _SEPARATORS.split(name) if part]
        found = [self.find((part,)) for part in parts]
        return [] if None in found or len(parts) < 2 else [one for one in found if one is not None]
