"""`predict --resume` goes on only with what decided over the rows that are there: a file is of one kind."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from predictor.cli import main
from tools.sample_models import classifier


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three images."""
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file in files:
        Image.new("RGB", (8, 8), "red").save(file)
    return files


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Two models."""
    files = [tmp_path / f"{number}.onnx" for number in range(2)]
    for number, file in enumerate(files):
        file.write_bytes(classifier(["a", "b"], winner=number))
    return files


def run(*words: object) -> Result:
    """Run `predict`."""
    return CliRunner().invoke(main, ["predict", *map(str, words)])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (("--top-k", "1"), "--top-k"),
        (("--threshold", "0.5"), "--threshold"),
        (("--exact",), "--exact"),
        (("--model", "1.onnx"), "--model"),
        (("--model", "1.onnx", "--top-k", "1"), "--model and --top-k"),
    ],
)
def test_other_options(
    form: str, other: tuple[str, ...], named: str, images: list[Path], models: list[Path], tmp_path: Path
) -> None:
    """Another model or option is refused with a sentence, and the file stays as it is."""
    out = tmp_path / f"rows.{form}"
    words = ("--model", models[0], "--top-k", 2, f"--{form}", out)
    given = [str(tmp_path / word) if word.endswith(".onnx") else word for word in other]
    assert run(*images[:2], *words).exit_code == 0
    before = out.read_bytes()

    refused = run(*images, *words, *given, "--resume")
    same = run(*images, *words, "--resume")

    assert refused.exit_code == 1
    assert f"The run for {out.name} was begun with another value of {named}. " in refused.output
    assert "leave out --resume to begin again" in refused.output
    assert same.exit_code == 0
    assert out.read_bytes().startswith(before)
    assert out.read_bytes().count(b"\n") > before.count(b"\n")


def test_begun_again(images: list[Path], models: list[Path], tmp_path: Path) -> None:
    """A run that begins again goes on with its own options, whatever those of the run before were."""
    out = tmp_path / "rows.csv"
    for model in models:
        assert run(*images[:2], "--model", model, "--csv", out, "--top-k", 1).exit_code == 0

    assert run(*images, "--model", models[0], "--csv", out, "--top-k", 1, "--resume").exit_code == 1
    assert run(*images, "--model", models[1], "--csv", out, "--top-k", 1, "--resume").exit_code == 0
    assert [line.split(",")[2] for line in out.read_text().splitlines()[1:]] == ["b"] * 3
