"""A person uploads a model in a real browser, reads what was found, predicts with it, and goes back."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
import requests
from onnx import helper
from playwright.sync_api import FilePayload, Page, expect

from tests.live.models import JPEG, upload_as
from tests.live.page.conftest import watch
from tests.live.service import Service
from tests.sources.hub import Files, serving
from tools import quantised_models
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
HOSTILE = "<img src=x onerror=alert(1)>"
NAME = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
EXCESS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def file(name: str, content: bytes) -> FilePayload:
    """A file to choose."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def model(label: str, name: str = "my.onnx") -> FilePayload:
    """A model that always answers with one label."""
    return file(name, classifier([label, "other"], winner=0))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose models may be changed."""
    with Service(tmp_path_factory.mktemp("models") / "data") as running:
        yield running


@pytest.fixture
def models(browser_page: Page, own: Service) -> Iterator[Page]:
    """The page of the models, at version 1; a complaint of the browser or a dialog fails the test."""
    complaints = watch(browser_page)
    browser_page.on("dialog", lambda dialog: complaints.append(dialog.message))
    browser_page.emulate_media(reduced_motion="reduce")
    browser_page.goto(f"{own.url}/upload")
    yield browser_page
    assert complaints == []
    own.post("/models/default/activate", json={"version": 1})


def send(page: Page, *files: FilePayload) -> None:
    """Choose files and press the button."""
    for field, chosen in zip(("model", "labels", "preprocessing"), files, strict=False):
        page.set_input_files(f"#{field}-file", chosen)
    page.click("#upload button[type=submit]")


def first_label(page: Page, own: Service, cat_file: FilePayload) -> str:
    """What the first page says of the cat."""
    page.goto(own.url)
    page.set_input_files("#image", cat_file)
    found = page.locator("#answers .verdict .label")
    expect(found).not_to_be_empty()
    return found.inner_text()


def test_upload_predict_roll_back(models: Page, own: Service, cat_file: FilePayload) -> None:
    """Upload, look at the report, predict, roll back: the way of everybody's first model."""
    send(models, model("borzoi"))

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    expect(models.locator("#outcome .report")).to_contain_text("[any, 3, 32, 32]")
    expect(models.locator("#outcome .report")).to_contain_text("Read from the model's metadata.")
    expect(models.locator("#outcome")).to_be_focused()
    expect(models.locator(".version").first).to_contain_text("live")
    expect(models.locator(".version").first).to_contain_text("my.onnx")
    assert first_label(models, own, cat_file) == "borzoi"

    models.goto(f"{own.url}/upload")
    models.get_by_role("button", name="Roll back to version 1").click()
    expect(models.locator("dialog")).to_contain_text("Roll back default to version 1?")
    expect(models.locator("dialog")).to_contain_text("Version 2 is live now.")
    models.locator("dialog").get_by_role("button", name="Roll back").click()

    note = models.get_by_role("article", name="default").locator("#note")
    expect(note).to_have_text("Version 1 of default is live.")
    expect(note).to_be_focused()
    expect(models.locator("#outcome-title")).to_have_text("What happens")
    expect(models.locator(".version:has(.badge)")).to_contain_text("Version 1")
    assert first_label(models, own, cat_file) == "tiger cat"


def test_back(models: Page, own: Service) -> None:
    """After a change and a look at another page, Back shows which version is live now."""
    upload_as(own, classifier(["borzoi", "other"]), "default").raise_for_status()
    models.reload()
    article = models.get_by_role("article", name="default")
    article.get_by_role("button", name="Roll back").click()
    models.locator("dialog").get_by_role("button", name="Roll back").click()
    expect(article.locator("#note")).to_contain_text("is live.")
    live = own.get("/models/default").json()["live"]
    models.goto(own.url)
    models.go_back()

    expect(article).to_contain_text(f"version {live} is live")


def test_warnings_stand_out(models: Page) -> None:
    """What had to be assumed is set apart from what was found."""
    bare = classifier(["a", "b"], metadata=False)
    send(models, file("bare.onnx", bare), file("labels.txt", b"borzoi\nsaluki\n"))

    expect(models.locator("#outcome .warnings")).to_contain_text("ImageNet")
    expect(models.locator("#outcome .report")).to_contain_text("Read from the file that came with the model.")


def test_refused(models: Page, own: Service) -> None:
    """A text that is called a model is refused with its reason and code, and nothing changes."""
    send(models, file("notes.onnx", b"not a model"))

    expect(models.locator("#outcome-title")).to_have_text("Nothing was changed")
    expect(models.locator("#outcome .detail")).to_contain_text("not an ONNX model")
    expect(models.locator("#outcome .codes")).to_contain_text("invalid_model")
    assert own.get("/models/default").json()["live"] == 1


def test_file_mended(models: Page, tmp_path: Path) -> None:
    """Labels that were mended after they were chosen are asked for again; chosen again they serve."""
    labels, chosen = tmp_path / "labels.txt", tmp_path / "bare.onnx"
    labels.write_text("borzoi\n")
    chosen.write_bytes(classifier(["a", "b"], metadata=False))
    models.set_input_files("#model-file", chosen)
    models.set_input_files("#labels-file", labels)
    models.click("#upload button[type=submit]")
    expect(models.locator("#outcome .detail")).to_contain_text("1 label")
    labels.write_text("borzoi\nsaluki\n")
    models.click("#upload button[type=submit]")
    expect(models.locator("#outcome")).to_contain_text("The file labels.txt was changed, moved or deleted")
    expect(models.locator("#outcome-title")).to_have_text("Nothing was changed")

    models.set_input_files("#labels-file", labels)
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")


def test_model_written_again(models: Page, tmp_path: Path) -> None:
    """A model that its tool wrote again serves once it is chosen again under its name."""
    chosen = tmp_path / "mine.onnx"
    chosen.write_bytes(b"not a model")
    models.set_input_files("#model-file", chosen)
    models.click("#upload button[type=submit]")
    expect(models.locator("#outcome .detail")).to_contain_text("not an ONNX model")

    chosen.write_bytes(classifier(["borzoi", "saluki"]))
    models.set_input_files("#model-file", chosen)
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")


def test_cancel(browser_page: Page, tmp_path: Path) -> None:
    """What is cancelled while it is sent changes nothing; once all was sent the page promises nothing."""
    outcome = browser_page.locator("#outcome")
    with Service(tmp_path / "data", workers=1) as running:
        browser_page.goto(f"{running.url}/upload")
        browser_page.route("**/upload", lambda _: None)
        send(browser_page, model("borzoi"))
        browser_page.get_by_role("button", name="Cancel").click()
        expect(outcome).to_contain_text("Nothing was changed")
        browser_page.unroute("**/upload")

        browser_page.click("#upload button[type=submit]")
        expect(browser_page.locator("#stage")).to_contain_text("Checking the model")
        browser_page.get_by_role("button", name="Cancel").click()

        expect(outcome).to_contain_text("The result is unknown")
        expect(outcome).to_contain_text("may still make the change")


def test_too_large_is_not_sent(models: Page) -> None:
    """A file that would be refused for its size is not sent first."""
    models.evaluate("document.getElementById('upload').dataset.maxMb = '0.0001'")
    send(models, model("borzoi"))

    expect(models.locator("#outcome-title")).to_have_text("Nothing was sent")


def test_names_are_text(models: Page, own: Service, cat_file: FilePayload) -> None:
    """Labels and file names of any content are shown as they are, and run nothing."""
    send(models, model(HOSTILE, f"{HOSTILE}.onnx"), file(f"{HOSTILE}.json", f'["{HOSTILE}", "b"]'.encode()))

    expect(models.locator("#outcome-title")).to_contain_text("Live")
    expect(models.locator(".version .filename").first).to_have_text(f"{HOSTILE}.onnx")
    assert first_label(models, own, cat_file) == HOSTILE


def test_delete(models: Page, own: Service) -> None:
    """A version is removed after a question, and not without."""
    for name in ("one", "two"):
        send(models, model(name, f"{name}.onnx"))
        expect(models.locator(".version").first).to_contain_text(f"{name}.onnx")
    before = models.locator(".version").count()
    old = models.locator(".version").nth(1)

    old.get_by_role("button", name="Delete").click()
    models.get_by_role("button", name="Keep it").click()
    expect(models.locator(".version")).to_have_count(before)

    old.get_by_role("button", name="Delete").click()
    models.locator("dialog").get_by_role("button", name="Delete").click()
    expect(models.locator("#note")).to_contain_text("is deleted")
    expect(models.locator(".version")).to_have_count(before - 1)
    assert "one.onnx" not in own.get("/models/default").text


def test_delete_model(models: Page, own: Service) -> None:
    """A name is removed after a question, and not without; `default` has no button for it."""
    models.fill("#name", "dogs")
    send(models, model("borzoi"))
    dogs = models.get_by_role("article", name="dogs")
    expect(dogs).to_contain_text("version 1 is live")
    assert models.get_by_role("button", name="Delete model").count() == 1

    dogs.get_by_role("button", name="Delete model").click()
    expect(models.locator("dialog")).to_contain_text("Delete the model dogs?")
    expect(models.locator("dialog")).to_contain_text("All its versions are deleted")
    models.get_by_role("button", name="Keep it").click()
    expect(dogs).to_have_count(1)

    dogs.get_by_role("button", name="Delete model").click()
    models.locator("dialog").get_by_role("button", name="Delete").click()
    expect(models.locator("#models > #note")).to_have_text("The model dogs is deleted.")
    expect(dogs).to_have_count(0)
    assert own.get("/models/dogs").status_code == 404


def test_unchanged(models: Page) -> None:
    """An upload of what is live already is told as such."""
    for expected in (0, 1):
        send(models, model("borzoi"))
        expect(models.locator("#outcome .report")).to_be_visible()
        expect(models.get_by_text("no new version was made")).to_have_count(expected)


def test_problem_beside_its_button(models: Page, own: Service) -> None:
    """What is wrong with a change is said at the model whose button was pressed."""
    for label in ("tosa", "beagle"):
        send(models, model(label, f"{label}.onnx"))
        expect(models.locator(".version").first).to_contain_text(f"{label}.onnx")
    old = models.locator(".version").nth(1)
    requests.delete(
        f"{own.url}/models/default/versions/{old.get_attribute('data-version')}"
    ).raise_for_status()
    old.get_by_role("button", name="Make live").click()
    models.locator("dialog").get_by_role("button", name="Make live").click()

    note = models.get_by_role("article", name="default").locator("#note")
    expect(note).to_contain_text("model_not_found")
    expect(note).to_be_focused()


def test_keyboard(models: Page) -> None:
    """Every control is reached in order and has a name."""
    names = []
    models.locator("#model-file").focus()
    for _ in range(9):
        names.append(
            models.evaluate(
                "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
            )
        )
        models.keyboard.press("Tab")

    first = ["Model", "or", "or", "Labels", "Preprocessing", "Which", "Name", "Make", "Upload"]
    assert [name.split()[0] for name in names] == first


@pytest.mark.parametrize("width", [360, 768])
def test_narrow(models: Page, width: int) -> None:
    """Nothing is scrolled sideways, however long a name is."""
    models.set_viewport_size({"width": width, "height": 800})
    send(models, model("borzoi", f"{'long' * 22}.onnx"))
    expect(models.locator("#outcome .report")).to_be_visible()
    models.locator("summary").first.click()

    assert models.evaluate(EXCESS) == 0


DROP = """(names) => {
    const transfer = new DataTransfer();
    for (const name of names) transfer.items.add(new File(["x"], name));
    const drop = { dataTransfer: transfer, bubbles: true, cancelable: true };
    document.dispatchEvent(new DragEvent("drop", drop));
}"""


def test_drop(models: Page) -> None:
    """Dropped files are sent together; those that were chosen before are not."""
    models.set_input_files("#model-file", model("borzoi"))
    expect(models.locator("#chosen")).to_contain_text("my.onnx")

    models.evaluate(DROP, ["a.onnx", "labels.txt", "preprocessor_config.json"])

    expect(models.locator("#chosen")).to_contain_text("a.onnx, labels.txt, preprocessor_config.json")
    assert models.locator("#model-file").evaluate("(input) => input.files.length") == 0


def folder_of(path: Path) -> Path:
    """A folder as Hugging Face's tools write it, with what systems and git put into it."""
    bare = classifier(["borzoi", "other"], winner=0, metadata=False)
    config = {"id2label": {"0": "borzoi", "1": "other"}, "model_type": "vit"}
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (path / "vit" / "onnx").mkdir(parents=True)
    (path / "vit" / ".git").mkdir()
    (path / "vit" / ".git" / "index").write_bytes(b"no")
    (path / "vit" / "onnx" / "model.onnx").write_bytes(bare)
    (path / "vit" / "config.json").write_text(json.dumps(config))
    (path / "vit" / "preprocessor_config.json").write_text(json.dumps(processor))
    (path / "vit" / "README.md").write_text("# A model")
    return path / "vit"


USED = ("model: vit/onnx/model.onnx", "labels: vit/config.json", "not used: vit/README.md")


def drop(page: Page, *paths: Path) -> None:
    """Drop files or folders on the page, as a file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})


def test_dropped_folder(models: Page, own: Service, cat_file: FilePayload, tmp_path: Path) -> None:
    """A folder that is dropped on the page is uploaded, and the result says what each file was used for."""
    drop(models, folder_of(tmp_path))
    expect(models.locator("#chosen")).to_contain_text("vit/onnx/model.onnx")
    expect(models.locator("#chosen")).not_to_contain_text(".git")

    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    for sentence in (*USED, "preprocessing: vit/preprocessor_config.json"):
        expect(models.locator("#outcome .report")).to_contain_text(sentence)
    assert first_label(models, own, cat_file) == "borzoi"


def test_chosen_folder(models: Page, tmp_path: Path) -> None:
    """So is a folder that is chosen."""
    models.set_input_files("#folder", folder_of(tmp_path))
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    for sentence in USED:
        expect(models.locator("#outcome .report")).to_contain_text(sentence)


def test_zip(models: Page, tmp_path: Path) -> None:
    """A ZIP with two models is refused with their names, and served when one of them is chosen."""
    folder = folder_of(tmp_path)
    shutil.copy(folder / "onnx" / "model.onnx", folder / "onnx" / "model_quantized.onnx")
    shutil.make_archive(str(tmp_path / "vit"), "zip", tmp_path, "vit")
    models.set_input_files("#model-file", tmp_path / "vit.zip")
    models.click("#upload button[type=submit]")
    expect(models.locator("#outcome .detail")).to_contain_text("vit/onnx/model_quantized.onnx")

    models.fill("#file", "model.onnx")
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    expect(models.locator("#outcome .report")).to_contain_text(USED[0])


def torch_pair(folder: Path) -> None:
    """What `torch.onnx.export` writes: a model, and the file of its weights."""
    made = onnx.load_from_string(classifier(["borzoi", "other"], winner=0))
    onnx.save(made, folder / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)


def custom_vision(folder: Path) -> None:
    """What Azure Custom Vision writes: the best name, a map of scores by name, and the names."""
    made = onnx.load_from_string(classifier(["borzoi", "other"], winner=0, metadata=False))
    score = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(onnx.TensorProto.STRING, score))
    names = {"classlabels_strings": ["borzoi", "other"], "domain": "ai.onnx.ml"}
    made.graph.node.append(helper.make_node("ZipMap", [made.graph.output[0].name], ["loss"], **names))
    made.graph.output[0].CopyFrom(helper.make_value_info("loss", maps))
    made.opset_import.add(domain="ai.onnx.ml", version=3)
    onnx.save(made, folder / "model.onnx")
    (folder / "labels.txt").write_text("borzoi\nother\n")
    (folder / "cvexport.manifest").write_text('{"DomainType": "Classification", "Platform": "ONNX"}')


def lobe(folder: Path) -> None:
    """What Lobe writes: a model, and a signature with labels and size."""
    (folder / "model.onnx").write_bytes(
        classifier(["borzoi", "other"], winner=0, layout="NHWC", metadata=False)
    )
    inputs = {"Image": {"dtype": "float32", "shape": [None, 32, 32, 3], "name": "Image:0"}}
    signature = {"doc_id": "1", "classes": {"Label": ["borzoi", "other"]}, "format": "onnx", "inputs": inputs}
    (folder / "signature.json").write_text(json.dumps(signature))


@pytest.mark.parametrize("zipped", [False, True], ids=["files", "ZIP"])
@pytest.mark.parametrize("write", [torch_pair, custom_vision, lobe])
def test_as_tools_write(
    models: Page,
    own: Service,
    cat_file: FilePayload,
    tmp_path: Path,
    write: Callable[[Path], None],
    zipped: bool,
) -> None:
    """What a tool writes is uploaded as it is, as files or as a ZIP, and answers by the right name."""
    (folder := tmp_path / "export").mkdir()
    write(folder)
    files = sorted(folder.iterdir())
    if zipped:
        files = [Path(shutil.make_archive(str(tmp_path / "export"), "zip", folder))]
    models.set_input_files("#model-file", files)

    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    assert first_label(models, own, cat_file) == "borzoi"


EXPORTS = Path(__file__).parents[2] / "data" / "exports"


@pytest.mark.parametrize("zipped", [False, True], ids=["files", "ZIP"])
def test_torch_export(
    models: Page, own: Service, cat_file: FilePayload, tmp_path: Path, zipped: bool
) -> None:
    """Both files of `torch.onnx.export`, or a ZIP of them, are dropped and answer as the network in torch."""
    files = [EXPORTS / "torch_pair.onnx", EXPORTS / "torch_pair.onnx.data"]
    if zipped:
        files = [tmp_path / "m.zip"]
        with zipfile.ZipFile(files[0], "w") as archive:
            archive.write(EXPORTS / "torch_pair.onnx", "torch_pair.onnx")
            archive.write(EXPORTS / "torch_pair.onnx.data", "torch_pair.onnx.data")
    drop(models, *files)
    expect(models.locator("#chosen")).to_contain_text(files[0].name)

    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    expected = json.loads((EXPORTS / "pair.json").read_text())["torch_pair"]["confidences"]["whole"]
    answer = own.post("/predict?top_k=12", data=cat_file["buffer"], headers=JPEG).json()
    found = {one["index"]: one["confidence"] for one in answer["predictions"]}
    assert [found[index] for index in range(12)] == pytest.approx(expected, abs=1e-3)
    assert first_label(models, own, cat_file) == answer["predicted_label"]


def test_quantised(models: Page, own: Service, cat_file: FilePayload, quantised: bytes) -> None:
    """The included network with integer operators is uploaded on the page, and still sees a cat."""
    preprocessing = json.dumps(quantised_models.preprocessing()).encode()
    models.set_input_files("#model-file", file("int8.onnx", quantised))
    models.set_input_files("#preprocessing-file", file("preprocessing.json", preprocessing))
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_contain_text("Live: default version")
    assert first_label(models, own, cat_file) in {f"class {index}" for index in range(281, 286)}


def test_nothing_chosen(models: Page) -> None:
    """Without a file nothing is sent."""
    models.click("#upload button[type=submit]")

    expect(models.locator("#outcome-title")).to_have_text("Nothing was sent")


def test_token(browser_page: Page, tmp_path: Path) -> None:
    """Where a token is needed its field is there; without it nothing changes, with it the upload works."""
    with Service(tmp_path / "data", workers=1, admin_token="geheim a") as running:
        browser_page.goto(f"{running.url}/upload")
        browser_page.fill("#admin-token", "wrong")
        send(browser_page, model("borzoi"))
        expect(browser_page.locator("#outcome .codes")).to_contain_text("unauthorized")
        expect(browser_page.locator("#admin-token")).to_be_focused()

        browser_page.fill("#admin-token", "geheim a")
        browser_page.click("#upload button[type=submit]")
        expect(browser_page.locator("#outcome-title")).to_contain_text("Live: default version 2")


def test_without_javascript(plain_page: Page, own: Service) -> None:
    """The form works in a browser without JavaScript, and so do its changes."""
    plain_page.goto(f"{own.url}/upload")
    send(plain_page, model("borzoi"))
    expect(plain_page.locator("#outcome-title")).to_contain_text("Live: default version")

    labels = file("labels.txt", b"borzoi\nsaluki\n")
    plain_page.set_input_files(
        "#model-file", [file("m.onnx", classifier(["a", "b"], metadata=False)), labels]
    )
    plain_page.click("#upload button[type=submit]")
    expect(plain_page.locator("#outcome .report")).to_contain_text("labels: labels.txt")

    plain_page.get_by_role("button", name="Roll back").click()
    expect(plain_page.locator("#note")).to_contain_text("is live.")

    send(plain_page, file("notes.onnx", b"not a model"))
    expect(plain_page.locator("#outcome .codes")).to_contain_text("invalid_model")
    own.post("/models/default/activate", json={"version": 1})


def test_source(browser_page: Page, tmp_path: Path) -> None:
    """Instead of files a source can be named, and what was given last counts."""
    complaints = watch(browser_page)
    web = Files({"/birds.onnx": classifier(["robin", "wren"], winner=0)})
    with serving(web), Service(tmp_path / "data", fetch_allow="127.0.0.1") as service:
        browser_page.goto(f"{service.url}/upload")
        browser_page.fill("#name", "birds")
        browser_page.fill("#source", "ftp://127.0.0.1/birds.onnx")
        send(browser_page)
        expect(browser_page.locator("#outcome .problem")).to_be_visible()
        browser_page.set_input_files("#model-file", model("cat"))
        expect(browser_page.locator("#source")).to_have_value("")
        browser_page.fill("#source", f"{web.url}/birds.onnx")
        expect(browser_page.locator("#model-file")).to_have_value("")
        send(browser_page)
        expect(browser_page.locator("#outcome-title")).to_have_text("Live: birds version 1")
        assert service.get("/models/birds").json()["live"] == 1
    assert complaints == []
