"""The command line serves, predicts, evaluates files and services, and finds a preprocessing."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import requests
from click.testing import CliRunner, Result
from flask import Flask
from PIL import Image
from werkzeug.serving import make_server

import predictor
from predictor.cli import main
from predictor.client import Client
from predictor.config import defaults, documented
from tests.patience import PATIENCE
from tests.web.colours import colours, picture
from tools.sample_models import classifier

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that calls every image red."""
    path = tmp_path / "m.onnx"
    path.write_bytes(classifier(list(COLOURS), winner=0))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of class folders with two images each."""
    for label, colour in COLOURS.items():
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(2):
            out = io.BytesIO()
            Image.new("RGB", (40, 40), colour).save(out, "PNG")
            (tmp_path / "set" / label / f"{number}.png").write_bytes(out.getvalue())
    return tmp_path / "set"


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """The address of a running service."""
    with served(app) as address:
        yield address


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application at an address as long as the block lasts."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE)


def run(*words: object) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, [str(word) for word in words])


def test_evaluate_file(model: Path, pictures: Path, tmp_path: Path) -> None:
    """A model in a file is evaluated; the figures are printed, and written as JSON and as a page."""
    files = tmp_path / "r.json", tmp_path / "r.html", tmp_path / "r.csv"

    written = ("--json", files[0], "--html", files[1], "--csv", files[2])
    result = run("evaluate", pictures, "--model", model, *written)

    assert result.exit_code == 0, result.output
    assert "top-1                33.3%  2 of 6" in result.output
    assert "2 x blue predicted as red" in result.output
    assert "4 images are wrong and 0 unsure" in result.output
    assert "A calibration needs at least 40 different images with one label each." in result.output
    assert len(files[2].read_text().splitlines()) == 7
    report = json.loads(files[0].read_text())
    assert (report["top1"]["hits"], report["top5"]["hits"], report["model"]["name"]) == (2, 6, "m.onnx")
    page = files[1].read_text()
    assert "33.3&nbsp;%" in page
    assert "<svg" in page
    assert page.count('<img class="small-copy" src="data:image/jpeg;base64,') == 4
    assert "<link" not in page
    assert "<script" not in page


def test_evaluate_one_image(model: Path, pictures: Path) -> None:
    """A single wrong image is spoken of as one."""
    for path in (*(pictures / "red").iterdir(), *(pictures / "blue").iterdir(), pictures / "green" / "1.png"):
        path.unlink()
    (pictures / "red" / "0.png").write_bytes((pictures / "green" / "0.png").read_bytes())

    result = run("evaluate", pictures, "--model", model)

    assert "1 image is wrong and 0 unsure:" in result.output


@pytest.mark.parametrize("command", ["evaluate", "tune", "predict", "optimise"])
def test_folder_of_a_model(command: str, pictures: Path, tmp_path: Path) -> None:
    """A folder is a model with what belongs to it, for each command; what had to be assumed is said."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(classifier(list(COLOURS), winner=0, metadata=False))
    (folder / "labels.txt").write_text("\n".join(COLOURS))
    words = {"predict": (pictures, "--model", folder), "optimise": (folder, pictures, "--seconds", 0.01)}

    result = run(command, *words.get(command, (pictures, "--model", folder)))

    assert result.exit_code == 0, result.output
    assert "Warning: The normalisation is not declared" in result.stderr
    assert "Warning" not in result.stdout
    assert "Runs" not in result.output, "there is no progress bar where nobody looks on"


def test_evaluate_service(url: str, tmp_path: Path, cat: Path) -> None:
    """A running service is asked over HTTP; its labels and synonyms name the classes."""
    folder = tmp_path / "tiger_cat"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(cat.read_bytes())
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff")

    result = run("evaluate", tmp_path, "--url", url, "--json", tmp_path / "r.json")

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["top1"]["hits"], report["left_out"]) == (1, 1)
    assert (report["model"]["name"], report["model"]["version"]) == ("default", 1)
    assert "bad.jpg: The JPEG image ends before its first scan." in result.output


@pytest.mark.parametrize("source", ["--model", "--url"])
def test_files_that_are_left_out(source: str, url: str, model: Path, pictures: Path, tmp_path: Path) -> None:
    """Files that cannot be images are left out, here as with a service, however many come first."""
    for number in range(8):
        (pictures / "blue" / f".{number}.png").touch()
        (pictures / "blue" / f"-{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pictures / "blue" / "--large.png").write_bytes(bytes(20_000_001))
    (pictures / "blue" / "--empty.png").touch()
    assert run("upload", model, "--name", "set", "--url", url).exit_code == 0
    words = {"--model": ("--model", model), "--url": ("--url", url, "--name", "set")}

    result = run("evaluate", pictures, *words[source], "--json", tmp_path / "r.json")

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    problems = {one["file"]: one["problem"] for one in report["problems"]}
    assert (report["pictures"], report["left_out"]) == (6, 10)
    assert problems["blue/--large.png"] == "The file has more than 20 MB."
    assert problems["blue/--empty.png"].startswith("The image is empty")


def test_no_file_is_an_image(url: str, tmp_path: Path) -> None:
    """If a service can classify none of the files, the sentence names the first."""
    (tmp_path / "tiger_cat").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "tiger_cat" / name).write_bytes(b"\xff\xd8\xff")

    result = run("evaluate", tmp_path, "--url", url)

    assert result.exit_code == 1
    said = " ".join(result.output.replace("│", "").split())
    assert "can classify none of the 2 images. The first is tiger_cat/a.png: The JPEG image ends" in said


def test_unsure_by_the_threshold_of_the_version(url: str, tmp_path: Path) -> None:
    """What a service's version does not name is unsure, and nothing else is."""
    model, images = tmp_path / "m.onnx", tmp_path / "set"
    model.write_bytes(colours(8.0))
    (images / "red").mkdir(parents=True)
    for name, colour in {"sure": (250, 20, 20), "likely": (170, 120, 120)}.items():
        (images / "red" / f"{name}.png").write_bytes(picture(colour))
    assert run("upload", model, "--name", "unsure", "--url", url).exit_code == 0

    def outcomes() -> dict[str, str]:
        words = ("--url", url, "--name", "unsure", "--json", tmp_path / "r.json")
        assert run("evaluate", images, *words).exit_code == 0
        report = json.loads((tmp_path / "r.json").read_text())
        return {one["file"]: one["outcome"] for one in report["images"]}

    before = outcomes()
    Client(url).calibrate({"temperature": 1, "threshold": 0.9}, "unsure")

    assert before == {"red/sure.png": "right", "red/likely.png": "right"}
    assert outcomes() == {"red/sure.png": "right", "red/likely.png": "unsure"}


@pytest.mark.parametrize("where", ["file", "service", "thresholds"])
def test_evaluate_independent(url: str, tmp_path: Path, where: str) -> None:
    """Of independent classes all that are named count, here as on a service, by its thresholds."""
    path, images = tmp_path / "both.onnx", tmp_path / "images"
    path.write_bytes(colours(40.0, sigmoid=True))
    images.mkdir()
    for name, colour in {"yellow": (220, 220, 20), "red": (220, 20, 20), "black": (20, 20, 20)}.items():
        (images / f"{name}.png").write_bytes(picture(colour))
    (images / "labels.csv").write_text("file,label\nyellow.png,red|green\nred.png,red|blue\nblack.png,\n")
    source: tuple[object, ...] = ("--model", path)
    if where != "file":
        source = ("--url", url, "--name", where)
        assert run("upload", path, "--name", where, "--url", url).exit_code == 0
    if where == "thresholds":
        Client(url).calibrate({"temperature": 1, "thresholds": [0.5, 1, 0]}, where)

    result = run("evaluate", images, *source, "--json", tmp_path / "r.json")

    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    outcomes = {one["file"]: one["outcome"] for one in report["images"]}
    if where == "thresholds":
        assert outcomes == {"yellow.png": "wrong", "red.png": "right", "black.png": "wrong"}
        assert "yellow.png: missed green; extra blue" in result.output
    else:
        assert outcomes == {"yellow.png": "right", "red.png": "wrong", "black.png": "right"}
        assert "red.png: missed blue" in result.output
        assert "all classes right    66.7%  2 of 3" in result.output
    assert (report["top1"]["hits"], report["top1"]["of"]) == (2, 2)


def test_compare(url: str, tmp_path: Path, pictures: Path, model: Path) -> None:
    """A service compares a model with a candidate; the figures are printed."""
    other = tmp_path / "other.onnx"
    other.write_bytes(classifier(list(COLOURS), winner=1))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as written:
        for path in pictures.rglob("*.png"):
            written.write(path, path.relative_to(pictures))
    assert run("upload", model, "--name", "colours", "--url", url).exit_code == 0

    words = ("--url", url, "--name", "colours", "--candidate", other, "--json", tmp_path / "r.json")
    result = run("compare", tmp_path / "set.zip", *words)

    assert result.exit_code == 0, result.output
    assert "both 0, only the first 2, only the second 2, neither 2" in result.output
    assert "McNemar's test p = 1.0000" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["other"]["name"] == "other.onnx"


def test_predict(cat: Path, tmp_path: Path) -> None:
    """Files, folders and URLs are predicted by the bundled model; a row whose image has none says why."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "cat.jpg").write_bytes(cat.read_bytes())
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "notes.txt").write_text("no image")

    result = run("predict", tmp_path, cat, "http://127.0.0.1:9/x.jpg", tmp_path / "none.png", "--top-k", 2)

    assert result.exit_code == 3
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["name"], row["rank"], row["label"], row["index"]) for row in table if row["rank"]] == [
        (str(name), rank, label, index)
        for name in (tmp_path / "deep" / "cat.jpg", cat)
        for rank, label, index in (("1", "tiger cat", "282"), ("2", "Egyptian cat", "285"))
    ]
    assert {row["name"]: row["error"] for row in table if row["error"]} == {
        str(tmp_path / "bad.jpg"): "The JPEG image ends before its first scan.",
        "http://127.0.0.1:9/x.jpg": "The image URL is not allowed: its port is not 80 or 443. "
        "PREDICTOR_FETCH_ALLOW can open the host with its port. The command downloads images itself, so that "
        "the settings PREDICTOR_FETCH_* of its own environment decide, and not those of a service.",
        str(tmp_path / "none.png"): "There is no file none.png.",
    }


def test_predict_as_the_service_does(url: str, cat: Path) -> None:
    """A service, and the same model on this machine, give the same classes and confidences as the API."""
    answer = requests.post(f"{url}/predict?top_k=3", files={"image": cat.read_bytes()}, timeout=30).json()

    local = run("predict", cat, "--top-k", 3, "--format", "jsonl")
    remote = run("predict", cat, "--top-k", 3, "--format", "jsonl", "--url", url)

    assert (local.exit_code, remote.exit_code) == (0, 0)
    assert json.loads(remote.stdout)["predictions"] == answer["predictions"]
    assert json.loads(local.stdout) == {
        "name": str(cat),
        "predicted_label": answer["predicted_label"],
        "confidence": pytest.approx(answer["confidence"], abs=1e-5),
        "predictions": [
            one | {"confidence": pytest.approx(one["confidence"], abs=1e-5)} for one in answer["predictions"]
        ],
    }


def test_predict_with_own_model(model: Path, cat: Path, tmp_path: Path) -> None:
    """A model in a file predicts with the labels that are given with it; no file name moves the cursor."""
    labels, image = tmp_path / "names.txt", tmp_path / "a\x1b[2J.jpg"
    labels.write_text("un\ndeux\ntrois\n")
    image.write_bytes(cat.read_bytes())

    result = run("predict", image, "--model", model, "--labels", labels, "--top-k", 1, "--format", "text")

    assert result.exit_code == 0, result.output
    name, line = result.stdout.splitlines()
    assert "\x1b" not in name
    assert re.fullmatch(r" +[\d.]+%  un", line)


@pytest.mark.parametrize("words", [("--model", "pair", "--url", "U"), ("--url", "U", "--model", "pair")])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_name_as_a_path(command: str, words: tuple[str, ...], pictures: Path) -> None:
    """The name of a service's model in the place of a path is told how it is given."""
    result = run(command, pictures, *words)

    assert result.exit_code == 2
    said = " ".join(result.output.replace("│", "").split())
    assert "Path 'pair' does not exist. A model of a service is named by --name, with --url." in said


def test_predict_usage(cat: Path, model: Path) -> None:
    """A service is not asked with a model of one's own."""
    result = run("predict", cat, "--url", "http://127.0.0.1:1", "--model", model)

    assert result.exit_code == 2
    assert "--url cannot be combined with --model" in result.output


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_file_that_is_read_is_not_overwritten(command: str, model: Path, cat: Path, tmp_path: Path) -> None:
    """A command refuses to write its rows into the table of its images, by another path as well."""
    table, link = tmp_path / "table.csv", tmp_path / "link.csv"
    table.write_text(f"file,label\n{cat},red\n")
    link.symlink_to(table)

    for output in (table, link):
        result = run(command, "--csv", output, table, "--model", model)

        assert result.exit_code == 2
        assert f"{output} is read by this command" in result.output
    assert table.read_text() == f"file,label\n{cat},red\n"


def test_file_in_a_folder_that_is_read_is_not_overwritten(model: Path, pictures: Path) -> None:
    """So it does for a table or an image in the folder of the images, and for the model in its folder."""
    table, folder = pictures / "labels.csv", pictures.parent / "my-model"
    image = next(pictures.rglob("*.png"))
    table.write_text(f"file,label\n{image.name},red\n")
    folder.mkdir()
    shutil.copy(model, folder / "m.onnx")
    kept = {path: path.read_bytes() for path in (table, image, folder / "m.onnx")}
    commands = [
        ("evaluate", pictures, "--model", model, "--csv", table),
        ("predict", pictures, "--model", model, "--csv", image),
        ("optimise", folder, pictures, "--out", folder / "m.onnx"),
    ]

    for words in commands:
        result = run(*words)

        assert result.exit_code == 2, result.output
        assert "is read by this command" in result.output
    assert {path: path.read_bytes() for path in kept} == kept
    # The rows of predict are no input of it, wherever they lie.
    assert run("predict", pictures, "--model", model, "--csv", table).exit_code == 0


def test_standard_input_is_not_overwritten(cat: Path, tmp_path: Path) -> None:
    """A file that the shell gives as the standard input is read as well."""
    image = tmp_path / "a.jpg"
    image.write_bytes(cat.read_bytes())
    with image.open("rb") as file:
        command = [sys.executable, "-m", "predictor", "predict", "-", "--csv", str(image)]
        found = subprocess.run(command, stdin=file, capture_output=True, check=False, text=True)

    assert found.returncode == 2
    assert "is read by this command" in found.stderr
    assert image.read_bytes() == cat.read_bytes()


def test_url_that_is_too_long_for_a_path(model: Path, tmp_path: Path) -> None:
    """A long URL, as stores sign them, is predicted into a file that exists."""
    out = tmp_path / "out.jsonl"
    out.write_text("")
    result = run("predict", f"http://127.0.0.1:1/a.jpg?{'x' * 5000}", "--model", model, "--jsonl", out)

    assert result.exit_code == 3
    assert json.loads(out.read_text())["error"]["code"] == "fetch_blocked"


def test_two_outputs_in_one_file(model: Path, pictures: Path, tmp_path: Path) -> None:
    """A command refuses to write one output over another, which a device may take."""
    (tmp_path / "link").symlink_to(tmp_path / "out")
    refused = run(
        "evaluate", pictures, "--model", model, "--json", tmp_path / "out", "--csv", tmp_path / "link"
    )
    taken = run("evaluate", pictures, "--model", model, "--json", "/dev/null", "--csv", "/dev/null")

    assert (refused.exit_code, taken.exit_code) == (2, 0)
    assert "is written by this command" in refused.output
    assert not (tmp_path / "out").exists()


def test_report_of_which_nobody_reads_the_lines(model: Path, pictures: Path, tmp_path: Path) -> None:
    """A report is in its file also where its lines cannot be printed, which is a sentence."""
    out = tmp_path / "r.json"
    words = ("evaluate", str(pictures), "--model", str(model), "--json", str(out))
    command = [sys.executable, "-m", "predictor", *words]
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)

    assert found.returncode == 1
    assert found.stderr.endswith("No space left on device.\n")
    assert "Traceback" not in found.stderr
    assert json.loads(out.read_text())["accuracy"]["hits"] == 2


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("-", "Give the name of an output file"),
        ("", "Give the name of an output file"),
        ("gone/r.json", "There is no folder gone."),
        ("SET/link.json", "There is no folder "),
        ("/proc/sys/r.json", "No file can be made in /proc/sys."),
    ],
)
def test_file_that_cannot_be_written(output: str, said: str, model: Path, pictures: Path) -> None:
    """A file that cannot be written in the end is refused before the images are judged."""
    (pictures / "link.json").symlink_to(pictures / "gone" / "r.json")
    output = output.replace("SET", str(pictures))
    result = run("evaluate", pictures, "--model", model, "--json", output)

    assert result.exit_code == 2
    assert said in result.output
    assert "top-1" not in result.output


def test_wrong_name_costs_no_file(tmp_path: Path, cat: Path, url: str) -> None:
    """A model that the service does not have is said before the file of an earlier run is replaced."""
    kept = tmp_path / "rows.csv"
    kept.write_text("earlier")

    ended = run("predict", cat, "--url", url, "--name", "nope", "--csv", kept)

    assert ended.exit_code == 1
    assert kept.read_text() == "earlier"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "MODEL", "--url", "http://127.0.0.1:1"), "--model"),
        (("--model", "MODEL", "--name", "pets"), "--model"),
        (("--labels", "LABELS"), "need --model"),
        (("--file", "m.onnx"), "need --model"),
        (("--precision", "0.9"), "needs --model"),
    ],
)
def test_evaluate_usage(
    model: Path, pictures: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    """An option that the source of the answers would not look at is refused."""
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    paths = {"MODEL": model, "LABELS": labels}

    result = run("evaluate", pictures, *(paths.get(word, word) for word in words))

    assert result.exit_code == 2
    assert said in result.output


def test_nothing_left_asks_nobody(app: Flask, tmp_path: Path, cat: Path) -> None:
    """A run that came to its end is not begun again: the service may be gone."""
    with served(app) as url:
        words = ("predict", cat, "--url", url, "--csv", tmp_path / "rows.csv")
        assert run(*words).exit_code == 0
    written = (tmp_path / "rows.csv").read_bytes()

    assert run(*words, "--resume").exit_code == 0
    assert (tmp_path / "rows.csv").read_bytes() == written


def test_serve_help() -> None:
    """The help of `serve` lists each setting with its default and its meaning."""
    text = " ".join(run("serve", "--help").stdout.split())

    for name, doc in documented().items():
        assert f"{name} {doc} [default: {defaults()[name]}]" in text


def test_version() -> None:
    """The version is that of the package."""
    assert run("--version").stdout.endswith(f"version {predictor.__version__}\n")


def test_file_without_model(pictures: Path) -> None:
    """A file of no model is not taken for the included model's."""
    result = run("predict", pictures, "--file", "model.onnx")

    assert (result.exit_code, "--file needs --model" in result.output) == (2, True)


def test_tune(model: Path, pictures: Path, tmp_path: Path) -> None:
    """Preprocessings are ranked, and the best is written in a form that can be uploaded."""
    out = tmp_path / "best.json"

    result = run(
        "tune", pictures, "--model", model, "--out", out, "--html", tmp_path / "t.html", "--limit", 3
    )

    assert result.exit_code == 0, result.output
    assert "Ranked by the share of images that the model predicts correctly." in result.output
    assert "(current)" in result.output
    assert run("tune", pictures, "--model", model, "--preprocessing", out).exit_code == 0
    assert "Values" in (tmp_path / "t.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("evaluate", "SET", "--url", "http://127.0.0.1:1"), "cannot be reached at http"),
        (("predict", "SET", "--url", "http://127.0.0.1:1"), "cannot be reached at http"),
        (("predict", "SET", "--model", "MODEL", "--file", "zz"), "There is no file zz. The models are: "),
        (("predict", "SET", "--model", "/dev/zero"), "zero is a pipe or a device."),
        (("predict", "EMPTY"), "There are no images in the folder empty."),
        (("predict", "SET", "--model", "SET/red/0.png"), "not an ONNX"),
        (("evaluate", "EMPTY", "--model", "MODEL"), "There are no images in the upload."),
        (("tune", "SET", "--model", "SET/red/0.png"), "not an ONNX"),
        (("evaluate", "SET", "--model", "MODEL", "--json", "/dev/full"), "cannot be written"),
    ],
)
def test_sentences(
    model: Path, pictures: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    """What goes wrong is said in a sentence, without a stack."""
    (tmp_path / "empty").mkdir()
    places = {"SET": pictures, "EMPTY": tmp_path / "empty", "MODEL": model}

    result = run(*(re.sub("^(SET|EMPTY|MODEL)", lambda place: str(places[place[0]]), word) for word in words))

    assert result.exit_code == 1
    assert result.output.startswith("Error: ") or "\nError: " in result.output
    assert sentence in result.output
    assert "Traceback" not in result.output


LOSES_IT = """
import os, signal
from predictor.cli import main

class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

@main.command()
def work():
    Deleted()
    print("went on")

main(["work"])
"""


def test_lost_end() -> None:
    """SIGTERM ends a command with 143 also where its exception came while an object was deleted."""
    found = subprocess.run([sys.executable, "-c", LOSES_IT], check=False, capture_output=True, text=True)

    assert (found.returncode, found.stdout) == (143, "went on\n")
    assert found.stderr.endswith("Stopped.\n")
