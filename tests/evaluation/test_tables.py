"""Tables are read one after the other, and no further than all of them together may be."""

from collections.abc import Callable

import pytest

from predictor.errors import InvalidImage, InvalidRequest
from predictor.evaluation import tables
from predictor.evaluation.images import labelled
from predictor.evaluation.tables import NO_CLASS, Row, grouped, rows_of

HEADING = b"file,label\n"


def counted(tables_: dict[str, bytes], read: list[str]) -> dict[str, Callable[[], bytes]]:
    """What reads each table, and notes that it did."""

    def reader(name: str) -> Callable[[], bytes]:
        def get() -> bytes:
            read.append(name)
            return tables_[name]

        return get

    return {name: reader(name) for name in tables_}


def all_of(tables_: dict[str, bytes]) -> dict[str, list[Row]]:
    """The rows of each table."""
    return {table: list(rows) for table, rows in rows_of(counted(tables_, []))}


def test_rows() -> None:
    """A row says a path and what may name the class; a table without a heading has two columns."""
    assert all_of({"a.csv": HEADING + b"\n1.jpg,cat\n2.jpg\n", "b/c.tsv": b"3.jpg\tdog\n"}) == {
        "a.csv": [Row("1.jpg", ("cat",)), Row("2.jpg", ())],
        "b/c.tsv": [Row("3.jpg", ("dog",))],
    }


def test_empty_label() -> None:
    """An empty label says that no class applies, which a row without one does not, or one beside others."""
    table = HEADING + b"\n1.jpg,\n2.jpg\n3.jpg,\n3.jpg,cat\n4.jpg\n4.jpg,\n"
    (rows,) = all_of({"a.csv": table}).values()

    assert rows[:2] == [Row("1.jpg", NO_CLASS), Row("2.jpg", ())]
    assert grouped(rows) == {"1.jpg": [NO_CLASS], "2.jpg": [()], "3.jpg": [("cat",)], "4.jpg": [NO_CLASS]}


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        # Roboflow's _classes.csv, HAM10000's ground truth, CelebA's list of attributes.
        (
            "filename, cat, dog\n1.jpg, 1, 0\n2.jpg, 1, 1\n3.jpg, 0, 0\n",
            [("1.jpg", "cat"), ("2.jpg", "cat"), ("2.jpg", "dog"), ("3.jpg", "")],
        ),
        ("image,MEL,NV\nISIC_1,0.0,1.0\nISIC_2,1.0,0.0\n", [("ISIC_1", "NV"), ("ISIC_2", "MEL")]),
        (
            "image_id,Bald,Smiling\n1.jpg,-1,1\n2.jpg,1\n3.jpg,1,\n",
            [("1.jpg", "Smiling"), ("2.jpg", "Bald"), ("3.jpg", "Bald")],
        ),
        ("path,a,b\n1.jpg,True,FALSE\n", [("1.jpg", "a")]),
    ],
)  # fmt: skip
def test_column_for_each_class(table: str, rows: list[tuple[str, str]]) -> None:
    """A column for each class says whether that applies."""
    (found,) = all_of({"a.csv": table.encode()}).values()

    assert found == [Row(image, (label,)) for image, label in rows]


@pytest.mark.parametrize("row", ["1.jpg,2,1", "1.jpg,,1", "1.jpg,640,480", "1.jpg,1"])
def test_columns_of_other_things(row: str) -> None:
    """Numbers that are not all 0 or 1 in the first row say nothing of classes."""
    (found,) = all_of({"a.csv": f"file,width,height\n{row}\n2.jpg,0,1\n".encode()}).values()

    assert found == [Row("1.jpg", ()), Row("2.jpg", ())]


@pytest.mark.parametrize(
    "table",
    [
        "image_id,diagnosis\n1.jpg,cat\n",
        "Image Index,Finding Labels,Patient Age\n1.jpg,cat,58\n",
        "lesion_id,image_id,dx,age\nHAM_1,1.jpg,cat,80\n",
        "label,img-path\ncat,1.jpg\n",
        "number,label,where\n7,cat,1.jpg\n",
        "TRAIN,gs://bucket/1.jpg,cat\n",
        "cat,1.jpg\n",
    ],
)
def test_names_of_columns(table: str) -> None:
    """Columns are known by the names that data sets give them, or the image's by the endings of its cells."""
    (found,) = all_of({"a.csv": table.encode()}).values()

    assert (found[-1].image.removeprefix("gs://bucket/"), found[-1].truth) == ("1.jpg", ("cat",))


def test_none() -> None:
    """A table without rows says nothing."""
    assert all_of({"a.csv": b"", "b.csv": b"\n\n", "c.csv": HEADING}) == {
        "a.csv": [],
        "b.csv": [],
        "c.csv": [],
    }


def test_one_after_the_other() -> None:
    """Of several tables the first that names an image says its class."""
    read = list[str]()
    files = counted(
        {
            "1.csv": HEADING + b"x.jpg,cat\n",
            "2.csv": HEADING + b"a.jpg,cat\n",
            "3.csv": HEADING,
            "4.csv": HEADING + b"a.jpg,dog\nb.jpg,dog\n",
            "5.csv": b"\xff\xfe",
        },
        read,
    )

    found = labelled([*files.items(), ("a.jpg", bytes), ("b.jpg", bytes)])

    assert {one.name: one.truth for one in found if not one.left_out} == {
        "a.jpg": ("cat",),
        "b.jpg": ("dog",),
    }
    assert {one.named_by for one in found if not one.left_out} == {"the tables 2.csv and 4.csv"}
    assert {one.name: one.left_out for one in found if one.left_out} == {
        "1.csv": "It names none of the images; the first that it names is x.jpg.",
        "3.csv": "It has no rows.",
        "5.csv": "The table must be UTF-8 text.",
    }
    assert read == ["1.csv", "2.csv", "3.csv", "4.csv", "5.csv"]


@pytest.mark.parametrize(
    ("bound", "most", "sentence", "last"),
    [
        ("MAX_TABLES", 3, "more than 3 tables", 3),
        ("MAX_ROWS", 25, "more than 25 rows", 3),
        ("MAX_BYTES", 500, "more than 500 bytes", 4),
    ],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, bound: str, most: int, sentence: str, last: int) -> None:
    """Too many tables, rows or bytes are refused in a sentence, and the tables behind are not read.

    Ten tables of ten rows and 130 bytes each, none of which names an image.
    """
    monkeypatch.setattr(tables, bound, most)
    read = list[str]()
    table = HEADING + b"\n" * 2 + b"other/x.jpg,c\n" * 7 + b"a,b,c,d,e,f,g,h,i\n"
    files = counted({f"{number}.csv": table for number in range(10)}, read)

    with pytest.raises(InvalidRequest, match=sentence):
        labelled([*files.items(), ("a.jpg", bytes)])

    assert len(read) == last


def test_nobody_waits() -> None:
    """No table is read for somebody who has left; the others are not read on."""
    read, asked = list[str](), list[int]()

    def wanted() -> None:
        asked.append(len(read))
        if len(read) == 2:
            raise InvalidRequest("gone")

    files = counted({f"{number}.csv": HEADING + b"x.jpg,cat\n" for number in range(10)}, read)
    with pytest.raises(InvalidRequest, match="gone"):
        labelled([*files.items(), ("a.jpg", bytes)], wanted)

    assert read == ["0.csv", "1.csv"]
    assert asked[0] == 0


def test_nobody_waits_for_a_long_table() -> None:
    """A long table is not read to its end for somebody who has left."""
    asked = list[int]()

    def wanted() -> None:
        asked.append(1)
        if len(asked) == 4:
            raise InvalidRequest("gone")

    table = HEADING + b"x.jpg,cat\n" * 100_000
    [(_, rows)] = rows_of({"a.csv": lambda: table}, wanted)
    passed = list[Row]()
    with pytest.raises(InvalidRequest, match="gone"):
        passed.extend(rows)

    assert 1000 < len(passed) < 10_000


def test_damaged() -> None:
    """A table that cannot be unpacked is refused by its name."""

    def read() -> bytes:
        raise InvalidImage("The file cannot be extracted: the archive is damaged.")

    with pytest.raises(InvalidRequest, match=r"The table set/labels\.csv cannot be read: The file cannot"):
        list(rows_of({"set/labels.csv": read}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(HEADING + b"\xff,cat\n", "UTF-8"), (HEADING + b"a.jpg," + b"x" * 200_000 + b"\n", "CSV")],
)
def test_no_table(content: bytes, sentence: str) -> None:
    """What is no text, or has a cell without end, is refused."""
    with pytest.raises(InvalidRequest, match=sentence):
        all_of({"a.csv": content})
