"""A case against the service: what is sent, what comes back, and how far it is from the tool's answers."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import requests

TOLERANCE = 1e-3
NAME = "tried"

Form = list[tuple[str, tuple[str, bytes]]]


@dataclass(frozen=True)
class Case:
    """What a tool wrote.

    Attributes:
        folder: where it lies.
        tool: the tool's name.
        versions: of its packages.
        what: what is special about the model.
        expected: whether a user may expect that it works.
        send: the names of the files that a person sends.
        fields: the names of the files for the fields `labels` and `preprocessing`, and what `file` says.
        answers: the tool's confidences by the names of the photographs; none if they cannot be compared.
        names: the names that the tool gives to the classes, if its files tell them.
    """

    folder: Path
    tool: str
    versions: str
    what: str
    expected: bool
    send: tuple[str, ...]
    fields: Mapping[str, str | None]
    answers: Mapping[str, Sequence[float]]
    names: Sequence[str] | None


@dataclass(frozen=True)
class Verdict:
    """How the service took a case.

    Attributes:
        tool: the tool's name.
        versions: of its packages.
        what: what is special about the model.
        expected: whether a user may expect that it works.
        taken: the ways of sending it that were taken, of `files` and `ZIP`.
        ways: the ways that were tried.
        difference: the largest difference of a confidence; None without one to compare.
        sentence: why it was refused, or what is wrong with its answers.
    """

    tool: str
    versions: str
    what: str
    expected: bool
    taken: tuple[str, ...]
    ways: tuple[str, ...]
    difference: float | None
    sentence: str

    @property
    def right(self) -> bool:
        """Whether it was taken in each way, and answered as the tool does."""
        return self.taken == self.ways and (self.difference or 0.0) <= TOLERANCE and not self.sentence


def read(folder: Path) -> Case:
    """A case as a module of `makers` wrote it."""
    about = json.loads((folder / "case.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    fields = {name: about[name] for name in ("labels", "preprocessing", "file")}
    return Case(
        folder,
        about["tool"],
        about["versions"],
        about["what"],
        about["expected"],
        tuple(about["send"]),
        fields,
        expected["answers"],
        expected["names"],
    )


def forms(case: Case) -> Iterator[tuple[str, Form]]:
    """The ways to send a case: its files one by one, and a ZIP if there are several."""
    companions = [
        (field, (name, _bytes(case, name)))
        for field in ("labels", "preprocessing")
        if (name := case.fields[field]) is not None
    ]
    model = next((name for name in case.send if name.endswith(".onnx")), case.send[0])
    others = [("files", (name, _bytes(case, name))) for name in case.send if name != model]
    yield "files", [("model", (model, _bytes(case, model))), *others, *companions]
    if others:
        yield "ZIP", [("model", ("model.zip", _zipped(case))), *companions]


def difference(case: Case, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[float | None, str]:
    """The largest difference of a confidence, and a sentence if the answers are of another kind.

    Args:
        case: what the tool answers.
        answers: the service's predictions by the names of the photographs.
    """
    largest: float | None = None
    for photograph, expected in case.answers.items():
        found = {one["index"]: one["confidence"] for one in answers[photograph]}
        if sorted(found) != list(range(len(expected))):
            return None, f"{len(found)} classes came back, the tool has {len(expected)}"
        worst = max(abs(found[index] - value) for index, value in enumerate(expected))
        largest = max(largest or 0.0, worst)
    named = [one for found in answers.values() for one in found]
    wrong = [one for one in named if case.names and one["label"] != case.names[one["index"]]]
    if case.names and wrong:
        return (
            largest,
            f"class {wrong[0]['index']} is called {wrong[0]['label']}, not {case.names[wrong[0]['index']]}",
        )
    return largest, ""


def judge(case: Case, url: str, photographs: Sequence[Path], patience: float) -> Verdict:
    """Upload a case in each way, ask about the photographs, and compare.

    Args:
        case: what a tool wrote.
        url: of the service.
        photographs: the images that the tool answered.
        patience: seconds that a request may take.
    """
    taken, ways, sentences, worst = [], [], [], None
    for way, form in forms(case):
        ways.append(way)
        try:
            found, sentence = _tried(case, form, url, photographs, patience)
        except requests.ConnectionError:
            found, sentence = None, "The connection ended without an answer."
        if found is not None:
            taken.append(way)
            apart, sentence = difference(case, found)
            worst = max((one for one in (worst, apart) if one is not None), default=None)
        if sentence and sentence not in sentences:
            sentences.append(sentence)
    outcome = tuple(taken), tuple(ways), worst, " ".join(sentences)
    return Verdict(case.tool, case.versions, case.what, case.expected, *outcome)


def kept(verdict: Verdict, folder: Path) -> None:
    """Write a verdict beside its case."""
    (folder / "verdict.json").write_text(json.dumps(asdict(verdict), indent=1) + "\n")


def known(folder: Path) -> Verdict:
    """The verdict that stands beside a case."""
    values = json.loads((folder / "verdict.json").read_text())
    return Verdict(**{**values, "taken": tuple(values["taken"]), "ways": tuple(values["ways"])})


def _bytes(case: Case, name: str) -> bytes:
    return (case.folder / "files" / name).read_bytes()


def _zipped(case: Case) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in case.send:
            archive.writestr(name, _bytes(case, name))
    return content.getvalue()


def _tried(
    case: Case, form: Form, url: str, photographs: Sequence[Path], patience: float
) -> tuple[dict[str, Any] | None, str]:
    """The predictions for each photograph; None, and the service's sentence, if it refuses the model."""
    chosen = {"file": case.fields["file"]} if case.fields["file"] else {}
    answer = requests.post(f"{url}/upload", files=form, data={"name": NAME, **chosen}, timeout=patience)
    if answer.status_code != 200:
        return None, _sentence(answer)
    version = answer.json()["version"]
    classes = answer.json()["report"]["classes"]
    asked = {"model": NAME, "version": version, "top_k": classes, "exact": "true"}
    found = {}
    for photograph in photographs:
        said = requests.post(
            f"{url}/predict",
            params=asked,
            data=photograph.read_bytes(),
            headers={"Content-Type": "image/jpeg"},
            timeout=patience,
        )
        if said.status_code != 200:
            return None, f"/predict: {_sentence(said)}"
        found[photograph.name] = said.json()["predictions"]
    _remove_older(url, version, patience)
    return found, ""


def _sentence(answer: requests.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (requests.JSONDecodeError, KeyError):
        return f"status {answer.status_code}"


def _remove_older(url: str, live: int, patience: float) -> None:
    """Remove the versions before the live one, which cannot be removed itself."""
    versions = requests.get(f"{url}/models/{NAME}", timeout=patience).json()["versions"]
    for number in (one["version"] for one in versions):
        if number != live:
            requests.delete(f"{url}/models/{NAME}/versions/{number}", timeout=patience)
