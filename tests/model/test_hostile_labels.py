"""Whatever comes as labels: classes with names that can be shown, or a refusal in one sentence."""

import csv
import io
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from predictor.errors import InvalidModel
from predictor.model.label_lines import MAX_CLASSES
from predictor.model.labels import LONGEST, Label, find, parse

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CHARACTERS = some.characters(codec=None, exclude_categories=())
TEXTS = some.text(CHARACTERS, max_size=30) | some.sampled_from(["", " ", "0", "00", "1", "id", "name", "\\"])
KEYS = TEXTS | some.sampled_from(["id2label", "labels", "names", "label", "index", "synonyms", "label2id"])
NUMBERS = some.integers(-3, 12) | some.integers() | some.floats()
VALUES: some.SearchStrategy[Any] = some.recursive(
    some.none() | some.booleans() | NUMBERS | TEXTS,
    lambda inner: some.lists(inner, max_size=6) | some.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
# What tells the forms apart, and what breaks each of them.
WORDS = [
    "007",
    "1e999",
    "NaN",
    "index",
    "label",
    "id",
    "cat",
    "n01440764",
    "n01440764 ",
    "\\u202e",
    "\\ud800",
]
PIECES = some.sampled_from([*"{}[]\"'\\:,;012\t\n\r \x85\0\u0663\ufeff", *TURNING, *WORDS])
NAMES = some.lists(
    some.text(
        some.characters(exclude_categories=("Cc", "Cs"), exclude_characters=TURNING), min_size=1
    ).filter(lambda name: bool(name.split())),
    min_size=1,
    max_size=8,
    unique_by=lambda name: " ".join(name.split()),
)


def check(text: str) -> None:
    """Read labels; anything but names that can be shown or a sentence fails."""
    try:
        labels = parse(text)
    except InvalidModel as error:
        assert_one_sentence(error.detail)
        return
    assert 1 <= len(labels) <= MAX_CLASSES
    for label in labels:
        assert label.name
        for shown in (label.name, label.id or "", *label.synonyms):
            assert_harmless(shown)


def assert_one_sentence(said: str) -> None:
    """No more than a caller can read."""
    assert said.isprintable()
    assert len(said) < 300


def assert_harmless(shown: str) -> None:
    """No text that does something else than to stand there."""
    assert len(shown) <= LONGEST
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cs"}
    assert not set(shown) & set(TURNING)
    shown.encode()


def cleaned(names: list[str]) -> list[str]:
    """Names as they are shown."""
    joined = [" ".join(name.split()) for name in names]
    return [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in joined]


@given(text=some.text(CHARACTERS, max_size=300) | some.lists(PIECES, max_size=40).map("".join))
def test_text(text: str) -> None:
    """Any text, and texts made of the pieces of which the forms consist."""
    check(text)


@pytest.mark.promise("U9")
@given(value=VALUES)
def test_json(value: object) -> None:
    """Any JSON, with numbers and halves of characters that JSON does not have."""
    check(json.dumps(value))


@given(value=some.dictionaries(some.integers(-1, 5), TEXTS, max_size=6))
def test_printed(value: dict[int, str]) -> None:
    """Any dict of numbers and texts that Python prints."""
    check(repr(value))


@given(names=NAMES)
def test_names_come_back(names: list[str]) -> None:
    """Names in JSON, in a printed dict and in a table come back in their order, with one blank for many."""
    table = io.StringIO()
    csv.writer(table).writerows([("index", "label"), *enumerate(cleaned(names))])

    for text in (
        json.dumps(names),
        json.dumps(dict(enumerate(names))),
        json.dumps([{"name": name} for name in names]),
        repr(dict(enumerate(names))),
    ):
        assert [label.name for label in parse(text)] == cleaned(names)
    if not any("\u2028" in name or "\u2029" in name for name in cleaned(names)):
        assert [label.name for label in parse(table.getvalue())] == cleaned(names)


@given(value=VALUES.map(json.dumps))
def test_read_again(value: str) -> None:
    """What was read can be written and read again."""
    try:
        labels = parse(value)
    except InvalidModel:
        return

    assert parse(json.dumps([label.to_json() for label in labels])) == labels


@given(
    metadata=some.dictionaries(
        KEYS | some.just("predictor.labels"), TEXTS | VALUES.map(json.dumps), max_size=4
    )
)
def test_metadata(metadata: dict[str, str]) -> None:
    """Any metadata of a model with three classes: three labels or a refusal."""
    try:
        labels: tuple[Label, ...] = find(None, metadata, 3).labels
    except InvalidModel as error:
        assert_one_sentence(error.detail)
        return

    assert len(labels) == 3
