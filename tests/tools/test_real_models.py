"""What is sent of a real model, how answers are compared, and what the table says of it."""

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from tools.real_models import judge, photographs
from tools.real_models.environments import MODULES, REQUIREMENTS, ROOT
from tools.real_models.makers import case as cases
from tools.real_models.table import summary, table, versions

ANSWERS = {"photograph-1.jpg": (0.75, 0.25)}
VERDICT = judge.Verdict("torch", "torch 2", "two files", True, ("files", "ZIP"), ("files", "ZIP"), 1e-5, "")


def made(folder: Path, send: tuple[str, ...], **changes: object) -> judge.Case:
    """A case whose files have their names as content."""
    for name in send:
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    fields = {"labels": None, "preprocessing": None, "file": None}
    values = {"fields": fields, "answers": ANSWERS, "names": None, **changes}
    return judge.Case(folder, "torch", "torch 2", "two files", True, send, **values)  # type: ignore[arg-type]


def predictions(*confidences: float, label: str = "class {}") -> list[dict[str, object]]:
    """What the service says of a photograph, the best class first."""
    found = [
        {"index": index, "label": label.format(index), "confidence": value}
        for index, value in enumerate(confidences)
    ]
    return sorted(found, key=lambda one: -float(str(one["confidence"])))


def test_one_file(tmp_path: Path) -> None:
    """A model of one file is sent in one way."""
    (form,) = judge.forms(made(tmp_path, ("m.onnx",)))

    assert form == ("files", [("model", ("m.onnx", b"m.onnx"))])


def test_several_files(tmp_path: Path) -> None:
    """Several files are sent one by one, the ONNX file as the model, and once more as a ZIP."""
    case = made(tmp_path, ("config.json", "onnx/model.onnx"))

    (one, files), (other, archive) = judge.forms(case)

    assert (one, other) == ("files", "ZIP")
    assert files == [
        ("model", ("onnx/model.onnx", b"onnx/model.onnx")),
        ("files", ("config.json", b"config.json")),
    ]
    ((field, (name, content)),) = archive
    assert (field, name) == ("model", "model.zip")
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["config.json", "onnx/model.onnx"]


def test_fields(tmp_path: Path) -> None:
    """What the case says belongs in a field of its own goes there, and makes no ZIP of one file."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "labels.txt").write_text("cat")
    case = made(tmp_path, ("m.onnx",), fields={"labels": "labels.txt", "preprocessing": None, "file": None})

    (form,) = judge.forms(case)

    assert form[1][1] == ("labels", ("labels.txt", b"cat"))


def test_no_onnx_file(tmp_path: Path) -> None:
    """Without an ONNX file the first one is sent as the model."""
    (form,) = judge.forms(made(tmp_path, ("m.onnx.data",)))

    assert form[1][0][1][0] == "m.onnx.data"


def test_difference(tmp_path: Path) -> None:
    """Confidences are compared class by class, in whichever order they come."""
    case = made(tmp_path, ())

    assert judge.difference(case, {"photograph-1.jpg": predictions(0.5, 0.5)}) == (0.25, "")
    assert judge.difference(case, {"photograph-1.jpg": predictions(0.75, 0.25)}) == (0.0, "")


def test_other_classes(tmp_path: Path) -> None:
    """Another number of classes is no difference but a fault of its own."""
    apart, sentence = judge.difference(made(tmp_path, ()), {"photograph-1.jpg": predictions(1.0)})

    assert apart is None
    assert sentence == "1 classes came back, the tool has 2"


def test_names(tmp_path: Path) -> None:
    """The classes must have the names that the tool's files give them."""
    case = made(tmp_path, (), names=["cat", "dog"])

    _, sentence = judge.difference(case, {"photograph-1.jpg": predictions(0.75, 0.25)})

    assert sentence == "class 0 is called class 0, not cat"


@pytest.mark.parametrize(
    ("change", "taken", "figure"),
    [
        ({}, "yes", "0.000010"),
        ({"taken": ()}, "no", "0.000010"),
        ({"taken": ("files",)}, "only as files", "0.000010"),
        ({"difference": None}, "yes", ""),
    ],
)
def test_row(change: dict[str, object], taken: str, figure: str) -> None:
    """A row says in which way a model was taken, and how far its answers are from the tool's."""
    verdict = judge.Verdict(**{**vars(VERDICT), **change})

    assert table([verdict]).splitlines()[2] == f"| torch | two files | {taken} | {figure} |  |"


def test_summary() -> None:
    """Only what a user may expect to work is counted, and as right only what was compared."""
    silent = judge.Verdict(**{**vars(VERDICT), "difference": None})
    refused = judge.Verdict(**{**vars(VERDICT), "taken": ()})
    wrong = judge.Verdict(**{**vars(VERDICT), "difference": 0.1})
    hopeless = judge.Verdict(**{**vars(VERDICT), "taken": (), "expected": False})

    assert summary([VERDICT, VERDICT, wrong, silent, refused, hopeless]) == (
        "6 models. Of the 5 that a user may expect to work, 4 are taken (80.0 %); "
        "3 of these have answers to compare, of which 2 are within 0.001 of their tool's."
    )


def test_versions() -> None:
    """The packages of a tool are named once."""
    assert versions([VERDICT, VERDICT]) == "- torch: torch 2\n"


def test_case(tmp_path: Path) -> None:
    """What a module writes is what is judged later."""
    images = photographs.write(tmp_path / "photographs")
    case = cases.Case(tmp_path / "one", "torch", "torch 2", images)
    case.path("onnx/model.onnx").write_text("network")
    case.path("labels.txt").write_text("cat\ndog\n")

    case.save("two files", lambda _: cases.softmax(np.log([0.75, 0.25])), labels="labels.txt")

    read = judge.read(tmp_path / "one")
    assert (read.send, read.fields["labels"]) == (("onnx/model.onnx",), "labels.txt")
    assert read.answers == {path.name: [0.75, 0.25] for path in images}


def test_verdict(tmp_path: Path) -> None:
    """A verdict is kept beside its case."""
    judge.kept(VERDICT, tmp_path)

    assert judge.known(tmp_path) == VERDICT


def test_photographs(tmp_path: Path) -> None:
    """The photographs are the same each time."""
    once, again = (photographs.write(tmp_path / name) for name in ("a", "b"))

    assert len(once) == 3
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_modules() -> None:
    """Each module has an environment, and each environment a module."""
    folder = ROOT / "tools" / "real_models" / "makers"

    assert [name for name in MODULES if not (folder / f"{name}.py").exists()] == []
    assert set(MODULES.values()) == REQUIREMENTS.keys()


class OneWay(http.server.BaseHTTPRequestHandler):
    """A service that takes no ZIP, and says the same of each image."""

    removed: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Take an upload, or answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"model.zip" in body:
            return self._say(422, {"detail": "Send no ZIP."})
        uploaded = {"version": 3, "report": {"classes": 2}}
        return self._say(200, {"predictions": predictions(0.5, 0.5)} if "predict" in self.path else uploaded)

    def do_GET(self) -> None:
        """Say which versions there are."""
        self._say(200, {"versions": [{"version": 2}, {"version": 3}]})

    def do_DELETE(self) -> None:
        """Remember what was removed."""
        self.removed.append(self.path)
        self._say(200, {})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""

    def _say(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def one_way() -> Iterator[str]:
    """The address of a service that takes no ZIP."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OneWay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_judge(tmp_path: Path, one_way: str) -> None:
    """A model that is taken in one of two ways is not right, and older versions of it are removed."""
    photograph = tmp_path / "photograph-1.jpg"
    photograph.write_bytes(b"image")

    verdict = judge.judge(made(tmp_path, ("m.onnx", "m.data")), one_way, [photograph], 10)

    assert (verdict.taken, verdict.ways) == (("files",), ("files", "ZIP"))
    assert (verdict.difference, verdict.sentence, verdict.right) == (0.25, "Send no ZIP.", False)
    assert OneWay.removed == ["/models/tried/versions/2"]
