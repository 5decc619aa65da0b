"""A run that writes to one file is continued only with the options that decided over its first rows."""

from pathlib import Path

import pytest

from predictor.bulk.continued import Options
from predictor.errors import InvalidRequest


def test_other_options(tmp_path: Path) -> None:
    """The sentence names the options that are others, and how to begin again."""
    out = tmp_path / "rows.csv"
    out.touch()
    Options(out).keep({"--top-k": 1, "--exact": False, "--model": ["a"]})

    Options(out).check({"--top-k": 1, "--exact": False, "--model": ["a"]})
    with pytest.raises(InvalidRequest) as caught:
        Options(out).check({"--top-k": 2, "--exact": False, "--url": "http://x"})

    assert caught.value.detail == (
        "The run for rows.csv was begun with another value of --model and --top-k and --url. "
        "Give the options of that run, or leave out --resume to begin again."
    )


def test_nothing_kept(tmp_path: Path) -> None:
    """A file of an older release, which kept no options, is continued with any."""
    Options(tmp_path / "rows.csv").check({"--top-k": 2})


def test_no_file() -> None:
    """Beside a device nothing is written."""
    Options(Path("/dev/null")).keep({"--top-k": 2})

    assert not Path("/dev/.null.run").exists()
