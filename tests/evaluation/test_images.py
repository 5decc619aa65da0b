"""Sets of images are read in the forms in which people keep them."""

import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from predictor.errors import ImageTooLarge, InvalidImage, InvalidRequest
from predictor.evaluation import images as module
from predictor.evaluation.classes import Classes
from predictor.evaluation.image_files import files_of
from predictor.evaluation.images import LabelledImage, labelled, on_disk
from predictor.model.label import Label

Tree = Callable[[dict[str, str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files into a folder."""

    def write(files: dict[str, str]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return write


def said(found: list[LabelledImage]) -> dict[str, tuple[str, ...]]:
    """What is said of each image."""
    return {picture.name: picture.truth for picture in found}


def test_class_folders(tree: Tree) -> None:
    """A folder's name is the class of its images; other files are left out, hidden ones passed by."""
    folder = tree(
        {
            "cat/1.jpg": "a",
            "cat/2.JPEG": "b",
            "tiger cat/1.png": "c",
            "README.md": "no",
            "cat/.DS_Store": "no",
            "cat/Thumbs.db": "no",
            "__MACOSX/cat/._1.jpg": "no",
        }
    )

    *found, other = on_disk(folder)

    assert (other.name, other.truth) == ("README.md", ())
    assert "name does not end" in (other.left_out or "")
    assert [picture.left_out for picture in found] == [None] * 3
    assert said(found) == {"cat/1.jpg": ("cat",), "cat/2.JPEG": ("cat",), "tiger cat/1.png": ("tiger cat",)}
    assert [picture.read() for picture in found] == [b"a", b"b", b"c"]


def test_names_with_identifiers(tree: Tree) -> None:
    """A name may have an identifier before its first line, so each part may be the class."""
    assert said(on_disk(tree({"n01_tiger_cat/a.jpg": "", "n02_lion/b.jpg": ""}))) == {
        "n01_tiger_cat/a.jpg": ("n01_tiger_cat", "n01", "tiger_cat"),
        "n02_lion/b.jpg": ("n02_lion", "n02", "lion"),
    }


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("1.jpg", []),
        ("0001.jpg", []),
        ("IMG_0001.jpg", ["IMG_0001", "IMG"]),
        ("7_001.png", []),
        ("1_of_20.jpg", ["1_of_20", "1_of", "of_20", "of"]),
    ],
)
def test_numbered_files_of_one_class(tree: Tree, name: str, names: list[str]) -> None:
    """Where files are numbered, their folder is their class; a number before more comes behind it."""
    ((_, found),) = said(on_disk(tree({f"tiger cat/{name}": "a"}))).items()

    assert found == (*names, "tiger cat", *([name[0]] if name[1] == "_" else []))


@pytest.mark.parametrize("name", ["1.jpg", "photos/300.jpg"])
def test_number_of_a_file_is_no_class(tree: Tree, name: str) -> None:
    """The numbers of photographs are not taken for the indices of classes."""
    ((_, found),) = said(on_disk(tree({name: "a"}))).items()

    assert not any(text.isdecimal() for text in found)


def test_flat(tree: Tree) -> None:
    """Where all images lie in one folder, each name begins with its class; the folder may be one, too."""
    assert said(on_disk(tree({"val/n01_cat.jpg": ""}))) == {
        "val/n01_cat.jpg": ("n01_cat", "n01", "cat", "val")
    }


@pytest.mark.parametrize(
    ("table", "truth"),
    [
        ("file,index,synset\na.jpg,281,n02\nb.jpg,7,n01\n", [("281", "n02"), ("7", "n01")]),
        ("label;path\ncat;a.jpg\ndog;b.jpg\n", [("cat",), ("dog",)]),
        ("name,category\na.jpg,cat\nb.jpg,dog\n", [("cat",), ("dog",)]),
        ("file,class_id\na.jpg,7.0\nb.jpg,281.0\n", [("7",), ("281",)]),
        ("filename\tclass\na.jpg\tcat\nb.jpg\tdog\n", [("cat",), ("dog",)]),
        ("a.jpg,cat\nb.jpg,dog\n", [("cat",), ("dog",)]),
        ('﻿file,label\n"a.jpg","cat, tabby"\nb.jpg,\n', [("cat, tabby",), ()]),
    ],
)
def test_tables(tree: Tree, table: str, truth: list[tuple[str, ...]]) -> None:
    """A table says the classes, whatever its columns are called and whatever separates them."""
    folder = tree({"a.jpg": "A", "b.jpg": "B", "labels.csv": table})

    beside, named = on_disk(folder), on_disk(folder / "labels.csv")

    assert [picture.truth for picture in beside] == truth
    assert [(picture.truth, picture.read()) for picture in named] == list(
        zip(truth, (b"A", b"B"), strict=True)
    )


def test_empty_label(tree: Tree) -> None:
    """An image whose label in a table is empty is known to have no class, others are not."""
    folder = tree({"a.jpg": "", "b.jpg": "", "c.jpg": "", "labels.csv": "file,label\na.jpg,\nb.jpg,cat\n"})

    found = {picture.name: (picture.truth, picture.classless) for picture in on_disk(folder)}

    assert found == {"a.jpg": ((), True), "b.jpg": (("cat",), False), "c.jpg": ((), False)}


def test_truth_beside_predictions(tree: Tree) -> None:
    """In a table of predictions a column of the truth has the labels, and no column of predictions."""
    for rows in (
        "name,rank,label,index,confidence,error,truth\na.jpg,1,dog,1,0.9,,cat\na.jpg,2,cow,2,0.1,,cat\n",
        "file,label,Ground Truth\na.jpg,dog,cat\n",
    ):
        folder = tree({"a.jpg": "", "rows.csv": rows})

        assert said(on_disk(folder)) == {"a.jpg": ("cat",)}


def test_foreign_table(tree: Tree) -> None:
    """A table that names none of the images, or has predictions but no labels, is left out, with why."""
    no_labels = (
        "It has no column with labels, such as label, class or index. Those beside the columns rank and "
        "confidence are predictions."
    )
    for rows, reason in (
        ("file,label\nx.jpg,y\n", "It names none of the images; the first that it names is x.jpg."),
        ("file,width,height\ncat/a.jpg,1,2\n", no_labels),
        # What `predict --csv` wrote beside the images.
        ("name,rank,label,index,confidence,error\nset/cat/a.jpg,1,dog,1,0.9,\n", no_labels),
    ):
        *found, table = on_disk(tree({"cat/a.jpg": "", "dog/b.jpg": "", "notes.csv": rows}))

        assert said(found) == {"cat/a.jpg": ("cat",), "dog/b.jpg": ("dog",)}
        assert {one.named_by for one in found} == {"the names of the folders"}
        assert (table.name, table.left_out) == ("notes.csv", reason)


@pytest.mark.parametrize(
    "named",
    [
        "a.jpg", "A.JPG", "a", "images/a.jpg", "./images/a.jpg", "images\\a.jpg", "C:\\me\\images\\a.jpg",
        "/home/me/images/a.jpg", "data/val/images/a.jpg",
    ],
)  # fmt: skip
def test_paths_of_another_place(named: str) -> None:
    """A table's paths may be those of another folder or system; one of both paths is the end of the other."""
    table = f"file,label\n{named},cat\n".encode()

    found = labelled([("set/labels.csv", lambda: table), ("set/images/a.jpg", bytes), ("set/b.jpg", bytes)])

    assert said(found)["set/images/a.jpg"] == ("cat",)
    assert {one.name for one in found if one.left_out} == {"set/b.jpg"}


def test_tables_of_two_folders() -> None:
    """A row of one folder's table does not mean an image of another folder that has a table of its own."""
    tables = {
        "train/labels.csv": b"file,label\n1.jpg,cat\n2.jpg,cat\n",
        "test/labels.csv": b"file,label\n3.jpg,dog\n",
        "all.csv": b"file,label\ntest/4.jpg,fox\n2.jpg,fox\n",
    }
    images = ("train/1.jpg", "test/2.jpg", "test/3.jpg", "test/4.jpg")

    found = labelled(
        [
            *((name, lambda text=text: text) for name, text in tables.items()),
            *((one, bytes) for one in images),
        ]
    )

    assert said([one for one in found if not one.left_out]) == {
        "train/1.jpg": ("cat",), "test/3.jpg": ("dog",), "test/4.jpg": ("fox",),
    }  # fmt: skip


def test_table_of_windows(tree: Tree) -> None:
    """A table that is given by itself may have the paths of Windows."""
    folder = tree(
        {"set/a.jpg": "a", "b\\c.jpg": "b", "l.csv": "file,label\n.\\set\\a.jpg,cat\nb\\c.jpg,dog\n"}
    )

    assert [one.read() for one in on_disk(folder / "l.csv")] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("rows", "paths"),
    [
        ("dog/1.jpg,dog\n", ["cat/1.jpg", "cat/2.jpg"]),
        ("1.jpg,dog\n", ["cat/1.jpg", "dog/1.jpg"]),
        ("x/1.jpg,dog\ny/1.jpg,cat\n", ["1.jpg", "2.jpg"]),
        ("0,cat\n1,dog\n", ["cat/0.jpg", "dog/1.jpg"]),
    ],
)
def test_paths_that_may_mean_another_image(rows: str, paths: list[str]) -> None:
    """A row that may mean another image, or several, is not taken to mean one."""
    found = labelled([("l.csv", lambda: b"file,label\n" + rows.encode()), *((path, bytes) for path in paths)])

    (table,) = (one for one in found if one.left_out)
    assert table.name == "l.csv"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tiger_cat_001.jpg", "tiger cat"),
        ("tiger_cat-3.jpg", "tiger cat"),
        ("tiger-cat-3.jpg", "tiger cat"),
        ("Tiger Cat (2).jpg", "tiger cat"),
        ("tiger_1.jpg", "tiger"),
        ("tiger0.jpg", "tiger"),
        ("tiger.0.jpg", "tiger"),
        ("n02123045_tiger_cat_7.jpg", "tiger cat"),
        ("281_tiger_cat.jpg", "tiger cat"),
        ("cat_owner_1.jpg", "cat owner"),
        ("cat_1_2.jpg", "cat"),
        ("1 tiger.jpg", "tiger"),
        ("2.jpg", None),
        ("_2.jpg", None),
        ("2_.jpg", None),
        ("1;2.jpg", None),
        ("IMG_0002.jpg", None),
        ("002_sunset.jpg", None),
        ("2_7.jpg", "cat"),
    ],
)
def test_class_in_a_name(name: str, label: str | None) -> None:
    """The longest beginning of a name that is a class counts; a number does only where more follows."""
    classes = Classes([Label(one) for one in ("tiger", "tiger cat", "cat", "cat owner")])

    (image,) = labelled([(name, bytes)])

    found = classes.find(image.truth)
    assert (None if found is None else classes.labels[found].name) == label


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("tiger_cat", "tiger cat"), ("tiger-cat", "tiger cat"), ("n1_tiger", "tiger"), ("1 tiger", "tiger"),
        ("1. tiger", "tiger"), ("1_tiger", "tiger"), ("2", "cat"), ("batch_1", None), ("photos_2", None),
    ],
)  # fmt: skip
def test_class_in_the_name_of_a_folder(folder: str, label: str | None) -> None:
    """A class may stand behind an identifier or a number; a number behind a word counts the folders."""
    classes = Classes([Label(one) for one in ("tiger", "tiger cat", "cat")])

    image, _ = labelled([(f"{folder}/a.jpg", bytes), ("zebra/b.jpg", bytes)])

    found = classes.find(image.truth)
    assert (None if found is None else classes.labels[found].name) == label


def test_left_out(tree: Tree) -> None:
    """Images of kinds that are not accepted are read, to be named; other files only counted."""
    folder = tree({"cat/a.jpg": "", "cat/b.HEIC": "b", "cat/c.jxl": "", "cat/d": "", "clip.mp4": ""})

    assert {picture.name: picture.left_out is None for picture in on_disk(folder)} == {
        "cat/a.jpg": True, "cat/b.HEIC": True, "cat/c.jxl": True, "cat/d": False, "clip.mp4": False,
    }  # fmt: skip
    tree({"labels.csv": "file,label\ncat/a.jpg,cat\n"})
    assert {picture.name: picture.left_out for picture in on_disk(folder) if picture.left_out} == {
        "cat/b.HEIC": "The table labels.csv does not name it.",
        "cat/c.jxl": "The table labels.csv does not name it.",
        "cat/d": "Its name does not end as that of an image does, such as .jpg or .png.",
        "clip.mp4": "Its name does not end as that of an image does, such as .jpg or .png.",
    }


def test_nothing(tree: Tree) -> None:
    """A folder without images is refused; what was left out is counted, with the reason of the first."""
    with pytest.raises(InvalidRequest, match=r"no images .*; 2 other .*first is notes.md: Its name"):
        on_disk(tree({"notes.md": "", "notes.txt": ""}))


def test_no_table(tree: Tree) -> None:
    """Neither a file of another kind nor a table that is no text is taken."""
    folder = tree({"notes.txt": ""})
    (folder / "bad.csv").write_bytes(b"file,label\n\xff\xfe\n")

    with pytest.raises(InvalidRequest, match="folder of images"):
        on_disk(folder / "notes.txt")
    with pytest.raises(InvalidRequest, match="UTF-8"):
        on_disk(folder / "bad.csv")


def test_missing_file(tree: Tree) -> None:
    """An image that a table names and that is not there is that image's error."""
    [picture] = on_disk(tree({"labels.csv": "file,label\ngone.jpg,cat\n"}) / "labels.csv")

    with pytest.raises(InvalidImage, match=r"There is no file gone\.jpg\."):
        picture.read()


def test_pipe(tree: Tree) -> None:
    """So is a pipe that a table names: nobody waits for its end, which may never come."""
    folder = tree({"labels.csv": "file,label\npipe.jpg,cat\n"})
    os.mkfifo(folder / "pipe.jpg")
    [picture] = on_disk(folder / "labels.csv")

    with pytest.raises(InvalidImage, match="is a pipe or a device, not a regular file"):
        picture.read()


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit to the images of one set."""
    monkeypatch.setattr(module, "MAX_IMAGES", 2)

    with pytest.raises(InvalidRequest, match="At most 2"):
        labelled([(f"cat/{n}.jpg", bytes) for n in range(3)])


KILO = 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive of two class folders."""
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("cat")
        archive.writestr("cat/a.jpg", b"meow")
        archive.writestr("./dog/b.jpg", b"woof")
        archive.writestr("bomb.png", bytes(100 * KILO))
    return path


def test_files(path: Path, tmp_path: Path) -> None:
    """Each file is read by its name, which is never a path of ours."""
    files = files_of(path, KILO)

    assert {name: files[name]() for name in ("cat/a.jpg", "dog/b.jpg")} == {
        "cat/a.jpg": b"meow",
        "dog/b.jpg": b"woof",
    }
    assert "cat/" not in files
    assert sorted(tmp_path.iterdir()) == [path]


def test_windows(tmp_path: Path) -> None:
    """An archive with the folders' mark of Windows has folders, too."""
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr("cat\\a.jpg", b"meow")

    assert list(files_of(tmp_path / "w.zip", KILO)) == ["cat/a.jpg"]


def test_bomb(path: Path) -> None:
    """A file that unpacks to more than is allowed is refused, and no more than that is unpacked."""
    with pytest.raises(ImageTooLarge):
        files_of(path, KILO)["bomb.png"]()


def test_lying_size(path: Path) -> None:
    """The size that the archive says is not believed."""
    data = path.read_bytes().replace((100 * KILO).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)

    with pytest.raises((ImageTooLarge, InvalidImage)):
        files_of(path, KILO)["bomb.png"]()


def test_damaged(path: Path) -> None:
    """A damaged file is that file's error."""
    data = bytearray(path.read_bytes())
    place = data.index(b"cat/a.jpg") + len("cat/a.jpg")
    data[place : place + 3] = b"\xff\xff\xff"
    path.write_bytes(data)

    with pytest.raises(InvalidImage):
        files_of(path, KILO)["cat/a.jpg"]()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n" * 10])
def test_no_archive(path: Path, content: bytes) -> None:
    """Whatever is no archive is refused."""
    path.write_bytes(content)

    with pytest.raises(InvalidRequest):
        files_of(path, KILO)


@pytest.mark.parametrize("name", ["../../dog/b.jpg", "/dog/b.jpg", "dog\\..\\..\\b.jpg", "C:\\dog\\b.jpg"])
def test_outside(path: Path, name: str) -> None:
    """An archive with a path that leads out of it is refused."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"woof")

    with pytest.raises(InvalidRequest, match="outside of itself"):
        files_of(path, KILO)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_other_methods(tmp_path: Path, method: int, name: str) -> None:
    """A file that could only be unpacked whole is refused by its compression's name, and not unpacked."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", method) as archive:
        archive.writestr("cat/bomb.png", bytes(30 * KILO * KILO))
    read = files_of(tmp_path / "bomb.zip", KILO)["cat/bomb.png"]

    tracemalloc.start()
    try:
        with pytest.raises(InvalidImage, match=f"deflate instead of {name}"):
            read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < KILO * KILO


def test_unknown_method(path: Path) -> None:
    """So is a file whose compression has no name here."""
    data = path.read_bytes()
    entry = data.rindex(b"PK\x01\x02", 0, data.index(b"cat/a.jpg", data.index(b"PK\x01\x02")))
    path.write_bytes(data[: entry + 10] + (98).to_bytes(2, "little") + data[entry + 12 :])

    with pytest.raises(InvalidImage, match="another method"):
        files_of(path, KILO)["cat/a.jpg"]()


def test_large_file(tmp_path: Path) -> None:
    """A file is read up to the limit only."""
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "t.csv").write_text("file,label\nlarge.jpg,cat\n")

    (large,) = on_disk(tmp_path / "t.csv")

    with pytest.raises(ImageTooLarge):
        large.read()


def test_broken_link(tmp_path: Path) -> None:
    """A link whose file is gone is an image that cannot be read."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "cat" / "circle").symlink_to(tmp_path)

    [image] = on_disk(tmp_path)

    assert (image.name, image.truth[0]) == ("cat/gone.jpg", "gone")
    with pytest.raises(InvalidImage, match="There is no file gone"):
        image.read()


def test_name_that_is_no_text(tmp_path: Path) -> None:
    """Bytes of a file's name that are no UTF-8 are numbers in its name, so that a report can be written."""
    file = tmp_path / "cat" / os.fsdecode(b"a\xff.jpg")
    file.parent.mkdir()
    file.write_bytes(b"A")

    [image] = on_disk(tmp_path)

    assert (image.name, image.read()) == ("cat/a\\udcff.jpg", b"A")


def test_row_without_a_file(tmp_path: Path) -> None:
    """A row whose file is empty says so in place of a file that cannot be read."""
    (tmp_path / "labels.csv").write_text("file,label\n,cat\n")

    [image] = on_disk(tmp_path / "labels.csv")

    with pytest.raises(InvalidImage, match="The row names no file"):
        image.read()
