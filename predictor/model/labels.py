"""Labels: every accepted format -> the model's classes in order of their index."""

import json
from dataclasses import dataclass
from typing import Any

from predictor.errors import InvalidModel


@dataclass(frozen=True)
class Label:
    """One class of a model.

    Attributes:
        name: what people read.
        id: the class's identifier in its data set, such as an ImageNet synset; None if it has none.
        synonyms: other names of the same class.
    """

    name: str
    id: str | None = None
    synonyms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form that `parse` reads back."""
        value: dict[str, Any] = {"name": self.name}
        if self.id is not None:
            value["id"] = self.id
        if self.synonyms:
            value["synonyms"] = list(self.synonyms)
        return value


def parse(text: str) -> tuple[Label, ...]:
    """Read labels from a JSON list of names or of `{"name", "id", "synonyms"}` objects.

    Raises:
        InvalidModel: the text is not such a list; the message names the first entry that is wrong.
    """
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModel("The labels are not valid JSON.") from error
    if not isinstance(entries, list) or not entries:
        raise InvalidModel("The labels must be a list with an entry for each class.")
    return tuple(_label(index, entry) for index, entry in enumerate(entries))


def numbered(classes: int) -> tuple[Label, ...]:
    """Stand-ins for a model that came without labels: `class 0`, `class 1` and so on."""
    return tuple(Label(f"class {index}") for index in range(classes))


def _label(index: int, entry: object) -> Label:
    if isinstance(entry, str):
        return Label(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise InvalidModel(f"Label {index} must be a text, or an object with a name.")
    identifier, synonyms = entry.get("id"), entry.get("synonyms", [])
    if not isinstance(identifier, str | None):
        raise InvalidModel(f"The id of label {index} must be a text.")
    if not isinstance(synonyms, list) or not all(isinstance(name, str) for name in synonyms):
        raise InvalidModel(f"The synonyms of label {index} must be a list of texts.")
    return Label(entry["name"], identifier, tuple(synonyms))
