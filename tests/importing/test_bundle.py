"""Each file of an upload is known by its name and form."""

import json
from pathlib import Path

import pytest

from predictor.errors import InvalidModel, InvalidRequest
from predictor.importing.bundle import Bundle, recognise, wanted
from predictor.importing.companions import COMPANION_BYTES

NAMES = ["cat", "dog", "bird"]
SIGNATURE = {
    "doc_id": "1f2e",
    "doc_name": "Animals",
    "classes": {"Label": NAMES},
    "format": "onnx",
    "filename": "model.onnx",
    "inputs": {"Image": {"dtype": "float32", "shape": [None, 224, 224, 3], "name": "Image:0"}},
    "outputs": {"Confidences": {"dtype": "float32", "shape": [None, 3], "name": "softmax:0"}},
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 224, "width": 224},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
CONTENTS = {
    "labels.txt": "\n".join(NAMES),
    "classes.txt": "\n".join(NAMES),
    "config.json": json.dumps({"id2label": dict(enumerate(NAMES)), "model_type": "vit"}),
    "preprocessor_config.json": json.dumps(PROCESSOR),
    "preprocessing.json": json.dumps({"size": 224, "mean": 0.5, "std": 0.5}),
    "signature.json": json.dumps(SIGNATURE),
}
"""What stands in files of these names, wherever they lie."""


class Folder:
    """Files of an upload, made by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, Path] = {}

    def add(self, *names: str, content: bytes | None = None) -> "Folder":
        """More files, with this content or what is usual under their names."""
        for name in names:
            path = self.path / f"part-{len(self.files)}"
            usual = CONTENTS.get(name.rpartition("/")[2], "something").encode()
            path.write_bytes(usual if content is None else content)
            self.files[name] = path
        return self


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An upload without files."""
    return Folder(tmp_path)


def test_one_file(folder: Folder) -> None:
    """A model may come alone, whatever it is called."""
    assert recognise(folder.add("m").files, model="m") == Bundle("m", None, None, {}, ())


def test_pair(folder: Folder) -> None:
    """What lies beside the model and is not known may be its weights."""
    found = recognise(folder.add("m.onnx.data", "m.onnx", "labels.txt").files)

    assert found == Bundle("m.onnx", "labels.txt", None, {"m.onnx.data": "m.onnx.data"}, ())


def test_more_than_a_check_can_be_told(folder: Folder) -> None:
    """Where very many files lie beside the model, those that are likely its weights come first."""
    images = [f"data/{number:03}{'ü' * 100}.bin" for number in range(200)]
    folder.add(*images, "m.onnx", "weights/m.onnx.data", "tensor")

    found = recognise(folder.files)

    assert {"weights/m.onnx.data", "tensor", images[0]} <= found.data.keys()
    assert len(json.dumps(dict.fromkeys(found.data, "data-999"))) < 50_000
    assert {*found.data.values(), *found.unused} == folder.files.keys() - {"m.onnx"}


@pytest.mark.parametrize(
    ("names", "data"),
    [
        (("d/m.onnx", "m.onnx.data"), {"m.onnx.data": "m.onnx.data"}),
        (("d/m.onnx", "e/w.bin"), {"w.bin": "e/w.bin"}),
        (("d/m.onnx", "d/w.bin", "w.bin"), {"w.bin": "d/w.bin"}),
        (("d/m.onnx", "d/x/w.bin", "w.bin"), {"x/w.bin": "d/x/w.bin"}),
        (("d/m.onnx", "e/w.bin", "f/w.bin"), {}),
        (("d/m.onnx", "e/.w.bin", "e/n.onnx", "e/w.bin", "e/f/v.bin"), {}),
    ],
    ids=["dropped folder", "other folder", "both", "deeper", "two of a name", "hidden, and of another model"],
)
def test_weights_elsewhere(folder: Folder, names: tuple[str, ...], data: dict[str, str]) -> None:
    """A file outside the model's folder may hold its weights under its name, if it is the only one of it."""
    assert recognise(folder.add(*names).files, file="d/m.onnx").data == data


def test_hugging_face(folder: Folder) -> None:
    """The model of a Hugging Face folder may lie in a folder of its own; places are relative to it."""
    names = ["config.json", "preprocessor_config.json", "README.md", ".gitattributes"]
    folder.add(*(f"vit/{name}" for name in names), "vit/onnx/model.onnx", "vit/onnx/model.onnx_data")

    found = recognise(folder.files)

    assert (found.model, found.labels) == ("vit/onnx/model.onnx", "vit/config.json")
    assert found.preprocessing == "vit/preprocessor_config.json"
    assert found.data == {"model.onnx_data": "vit/onnx/model.onnx_data"}
    assert found.unused == ("vit/README.md", "vit/.gitattributes")


def test_both(folder: Folder) -> None:
    """One file may say the labels and the preprocessing."""
    found = recognise(folder.add("lobe/model.onnx", "lobe/signature.json").files)

    assert (found.labels, found.preprocessing) == ("lobe/signature.json", "lobe/signature.json")
    assert found.data == {}


def test_more_specific(folder: Folder) -> None:
    """A file whose name says what it is for goes before one that says it among other things."""
    folder.add("m.onnx", "signature.json", "config.json", "labels.txt", "preprocessor_config.json")

    found = recognise(folder.files)

    assert (found.labels, found.preprocessing) == ("labels.txt", "preprocessor_config.json")
    assert (found.unused, found.data) == (("signature.json", "config.json"), {})


def test_nearer(folder: Folder) -> None:
    """Of two alike the one nearer to the model is taken, and one beside or around it before any other."""
    folder.add("labels.txt", "a/labels.txt", "a/onnx/m.onnx", "a/more/classes.txt", "a/preprocessing.json")

    assert recognise(folder.files).labels == "a/labels.txt"
    assert recognise(Folder(folder.path).add("a/m.onnx", "b/labels.txt").files).labels == "b/labels.txt"


def test_of_another_model(folder: Folder) -> None:
    """What lies in the folder of another model is about that one."""
    folder.add("a/m.onnx", "b/m.onnx", "b/labels.txt", "b/m.onnx.data", "b/deep/config.json")

    found = recognise(folder.files, file="a/m.onnx")

    assert (found.model, found.labels, found.data) == ("a/m.onnx", None, {})
    assert recognise(folder.files, file="b/m.onnx").labels == "b/labels.txt"


def test_given(folder: Folder) -> None:
    """What was sent apart is not looked for."""
    found = recognise(folder.add("m.onnx", "labels.txt", "config.json").files, given=["labels"])

    assert (found.labels, found.unused) == (None, ("labels.txt", "config.json"))


NO_TEXTS = [b"\x00\x01\x02", b"\xff\xff\xff", bytes(COMPANION_BYTES + 1)]


@pytest.mark.parametrize("content", NO_TEXTS)
def test_no_text(folder: Folder, content: bytes) -> None:
    """A file that is no text, or too long, says nothing, and may be weights."""
    found = recognise(folder.add("m.onnx").add("class.txt.bin", "old_labels_1.txt", content=content).files)

    assert found.labels is None
    assert {*found.data} == {"class.txt.bin", "old_labels_1.txt"}


@pytest.mark.parametrize("content", NO_TEXTS)
def test_no_text_by_name(folder: Folder, content: bytes) -> None:
    """Where its name says that it has the labels, the check says why it cannot be read, unless others can."""
    folder.add("m.onnx").add("labels.txt", content=content)

    assert recognise(folder.files).labels == "labels.txt"
    found = recognise(folder.add("m_classes.txt", content=b"a\nb").files)
    assert (found.labels, found.unused) == ("m_classes.txt", ("labels.txt",))
    assert found.warnings == ("labels.txt is passed over. It must be UTF-8 text of at most 4 MB.",)


def test_utf_16(folder: Folder) -> None:
    """A text with the mark of UTF-16 is one."""
    found = recognise(folder.add("m.onnx").add("labels.txt", content="cat\ndog".encode("utf-16")).files)

    assert found.labels == "labels.txt"


SEVERAL = ("onnx/model.onnx", "onnx/model_quantized.onnx", "model.onnx")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("model.onnx", "model.onnx"),
        ("onnx/model.onnx", "onnx/model.onnx"),
        ("model_quantized.onnx", "onnx/model_quantized.onnx"),
    ],
)
def test_chosen(folder: Folder, file: str, expected: str) -> None:
    """Of several models one is chosen by its path or the end of it."""
    assert recognise(folder.add(*SEVERAL).files, file=file).model == expected


def test_other_models_are_unused(folder: Folder) -> None:
    """A model that was not chosen is no weights of the other."""
    found = recognise(folder.add(*SEVERAL).files, file="model.onnx")

    assert (found.data, found.unused) == ({}, SEVERAL[:2])


@pytest.mark.parametrize("file", [None, "model", "q.onnx", "onnx"])
def test_not_chosen(folder: Folder, file: str | None) -> None:
    """None is guessed, and the error lists them."""
    with pytest.raises(InvalidRequest) as caught:
        recognise(folder.add(*SEVERAL).files, file=file)

    assert all(name in caught.value.detail for name in SEVERAL)
    assert file is None or file in caught.value.detail


def test_ambiguous(folder: Folder) -> None:
    """A name that several have chooses none of them; the list has an end."""
    folder.add(*(f"{number}/m.onnx" for number in range(15)))

    with pytest.raises(
        InvalidRequest, match=r"15 models: 0/m\.onnx, .*9/m\.onnx and 5 more\. Name one as file"
    ):
        recognise(folder.files, file="m.onnx")


def test_hidden(folder: Folder) -> None:
    """What a system puts beside the files is no model and says nothing."""
    found = recognise(folder.add("m.onnx", "__MACOSX/._m.onnx", "._m.onnx", ".cache/labels.txt").files)

    assert (found.model, found.labels, found.data) == ("m.onnx", None, {})
    assert len(found.unused) == 3


@pytest.mark.parametrize(
    ("name", "model"),
    [("m.onnx.data", "m.onnx.data"), ("onnx/model.onnx_data", None), ("m.ONNX.data", None), ("m.data", None)],
)
def test_weights_alone(folder: Folder, name: str, model: str | None) -> None:
    """The weights of a pair without the graph are known as such, sent as the model or not."""
    with pytest.raises(InvalidModel, match=r"the weights file of a pair: send the \.onnx file too"):
        recognise(folder.add(name, "labels.txt").files, model=model)


def test_weights_as_the_model(folder: Folder) -> None:
    """The two files of a pair may be sent the other way around."""
    found = recognise(folder.add("m.onnx.data", "m.onnx").files, model="m.onnx.data")

    assert (found.model, found.data) == ("m.onnx", {"m.onnx.data": "m.onnx.data"})


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["archive/data.pkl", "archive/data/0"], "of PyTorch"),
        (["config.json", "model.safetensors"], "torch.onnx.export"),
        (["config.json", "model.weights.h5"], 'format="onnx"'),
        (["saved_model.pb", "variables/variables.index"], "tf2onnx"),
        (["inference.pdmodel", "inference.pdiparams"], "paddle2onnx"),
        (["model.joblib"], "skl2onnx.to_onnx"),
        (["Cats.mlmodel"], "of Core ML"),
        (["inner.zip"], "Send what it holds"),
        (["readme.txt"], "There is no .onnx file."),
        ([], "There is no .onnx file."),
    ],
)
def test_no_model(folder: Folder, names: list[str], words: str) -> None:
    """Where there is no model, what to do with the files of other tools is said."""
    with pytest.raises(InvalidModel) as caught:
        recognise(folder.add(*names).files)

    assert words in caught.value.detail


# Of a place with many files, those that belong to the model.


def sizes(*names: str, large: str = "") -> dict[str, int | None]:
    """Small files, and one that is too large for a text."""
    return {name: COMPANION_BYTES + (name == large) for name in names}


def test_wanted() -> None:
    """The model, its weights, and texts of any folder; not what other frameworks or large files hold."""
    names = (
        "onnx/m.onnx",
        "onnx/m.onnx_data",
        "config.json",
        "vocab.txt",
        "model.safetensors",
        ".gitattributes",
    )

    assert wanted(sizes(*names, "big.json", large="big.json"), None) == [
        "onnx/m.onnx", "onnx/m.onnx_data", "config.json", "vocab.txt",
    ]  # fmt: skip


def test_wanted_weights() -> None:
    """Weights come by the name of their model, and from its folder."""
    names = ("a/m.onnx", "a/m_q4.onnx", "a/m.onnx_data", "a/m_q4.onnx_data", "a/w.data", "b/m.onnx.data")

    assert wanted(sizes(*names), "m_q4.onnx") == ["a/m_q4.onnx", "a/m_q4.onnx_data", "a/w.data"]
    assert wanted(sizes(*names), "a/m.onnx") == ["a/m.onnx", "a/m.onnx_data", "a/w.data"]


def test_wanted_archive() -> None:
    """Where no file is a model, the only archive is what is meant, whatever is chosen in it."""
    assert wanted(sizes("README.md", "export.zip"), "m.onnx") == ["export.zip"]
    assert wanted(sizes("m.onnx", "images.zip"), None) == ["m.onnx"]
    with pytest.raises(InvalidRequest, match=r"2 models: a\.zip and b\.zip"):
        wanted(sizes("a.zip", "b.zip"), None)
    with pytest.raises(InvalidModel, match="PyTorch"):
        wanted(sizes("model.pt"), None)
