"""The text of companion files: the encodings that are read, and what YAML may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from predictor.model import strict_text
from predictor.model.strict_text import decoded, load_python, load_yaml

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 18))
"""A list of lists of lists, each nine times in the next."""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(encoding: str) -> None:
    """A byte order mark says what the encoding is, and is no part of the text; without one it is UTF-8."""
    assert decoded("Käuzchen\r\n鳶".encode(encoding)) == "Käuzchen\r\n鳶"
    assert decoded("\ufeffa".encode("utf-16-be")) == "a"
    assert decoded(b"") == ""


@pytest.mark.parametrize("data", [b"\xff", b"K\xe4uzchen", b"\xff\xfea", b"\xff\xfe\x00\xd8", b"\x89PNG\r\n"])
def test_other_bytes(data: bytes) -> None:
    """What is in no such encoding is refused in a sentence that says which may be used."""
    with pytest.raises(
        ValueError, match=r"^It must be UTF-8 text, or UTF-16 text with its byte order mark\.$"
    ):
        decoded(data)


def test_git_lfs_pointer() -> None:
    """What Git LFS keeps in place of a file that was not fetched is no list of names."""
    with pytest.raises(ValueError, match="run git lfs pull"):
        decoded(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [1.5, -2, 1e-3, .5]\n", {"a": 1, "b": [1.5, -2, 0.001, 0.5]}),
        ("a: true\nb: False\nc: ~\nd:\n", {"a": True, "b": False, "c": None, "d": None}),
        # What YAML 1.1 takes for truth values, dates and numbers of other bases are texts.
        ("[no, on, 2020-01-01, 0x10, 1:30, 1_000, .inf, '1', \"null\"]", None),
        ("0: a\n1: {b: c}\n", {"0": "a", "1": {"b": "c"}}),
        ("%YAML 1.1\n---\n- a # said\n- |\n  b\n  c\n", ["a", "b\nc\n"]),
        ("'a'", "a"),
        (
            "a: &a [1, x]\nb: *a\nc: {d: &a y, e: *a}\n",
            {"a": [1, "x"], "b": [1, "x"], "c": {"d": "y", "e": "y"}},
        ),
        ("&a b", "b"),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Lists, mappings, texts, numbers, truth values and nothing come out as they stand."""
    expected = value or ["no", "on", "2020-01-01", "0x10", "1:30", "1_000", ".inf", "1", "null"]

    assert load_yaml(text) == expected


def test_texts() -> None:
    """Where texts are asked for, every scalar stays the text that it is."""
    assert load_yaml("a: 1\nb: [no, 3.10, ~]", texts=True) == {"a": "1", "b": ["no", "3.10", "~"]}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "one document"),
        ("--- a\n--- b\n", "one document"),
        ("a: b: c", "invalid at line 1"),
        ("a: [1,\nb", "invalid at line"),
        ("\ta: b", "invalid at line 1"),
        ("a\0b", "character"),
        ("a\ud800b", "character"),
        ("*a", "alias of what is not complete"),
        ("a: &a [*a]", "alias of what is not complete"),
        ("a: &a b\nc: &a [*a]\nd: *a\n", "alias of what is not complete"),
        (BOMB, "or has an alias itself"),
        ("- &a " + "x" * 1000 + "\n- *a" * 10_000, "too long with its aliases"),
        ("!!python/object/apply:os.system ['true']", "tag"),
        ("!!binary aGk=", "tag"),
        ("a: !own {}", "tag"),
        ("a: 1\na: 2", "field a is defined twice"),
        ("? [a]\n: b", "list or a mapping as the name"),
        ("- " * 1000 + "a", "20 levels"),
        ("[" * 100_000, "20 levels|invalid"),
        ("{a: " * 100_000, "20 levels|invalid"),
        ("a" * 8_000_001, "too long"),
    ],
)
def test_refused(text: str, named: str) -> None:
    """What is no YAML, or more than plain values, is refused in a sentence."""
    with pytest.raises(ValueError, match=named):
        load_yaml(text)


@given(
    text=some.text(max_size=60) | some.lists(some.sampled_from("ab:-[]{},\"'#&*!|>%?\n 01.~")).map("".join)
)
def test_any_text(text: str) -> None:
    """Any text is plain values or a sentence that can be shown."""
    said = ""
    try:
        load_yaml(text)
    except ValueError as error:
        said = str(error)

    assert len(said) < 200
    assert said.isprintable()


def test_load_python() -> None:
    """A value is read as Python prints it."""
    assert load_python("[('a', {1: -1.5}), None, True]") == [("a", {1: -1.5}), None, True]


@pytest.mark.parametrize("text", ["", "open('x')", "[" * 9_000, "{[]: 1}", "1 +", "\0"])
def test_load_python_refused(text: str) -> None:
    """What is no literal is refused, whatever it does to the parser."""
    with pytest.raises(ValueError, match="not what Python prints"):
        load_python(text)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_some(texts: list[str], said: str) -> None:
    """A few texts stand in a sentence as people list them, and of many it says how many more there are."""
    assert strict_text.some(texts, 3) == said
