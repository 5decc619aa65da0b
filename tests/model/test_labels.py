"""Labels are read in the order of their classes, in every form in use."""

import json
import time
from pathlib import Path

import pytest

from predictor.errors import InvalidModel
from predictor.model.label import repeated
from predictor.model.labels import BESIDE, IN_METADATA, NONE, Label, find, numbered, parse

CONFIGS = Path(__file__).parents[1] / "data" / "configs"
NAMES = ("tench", "lady's slipper", "kite, glede")
LABELS = tuple(map(Label, NAMES))
NUMBERS = ("idx", "class_id", "class_index", "category_id", "value", "id", "number")
SYNSETS = ("n01440764", "n12057211", "n01608432")
IDENTIFIED = tuple(map(Label, NAMES, SYNSETS))


def test_objects() -> None:
    """Objects carry an id and synonyms, and come back as they went out."""
    labels = parse('[{"name": "tabby", "id": "n02123045", "synonyms": ["tabby cat"]}, {"name": "dog"}]')

    assert labels == (Label("tabby", "n02123045", ("tabby cat",)), Label("dog"))
    assert [label.to_json() for label in labels] == [
        {"name": "tabby", "id": "n02123045", "synonyms": ["tabby cat"]},
        {"name": "dog"},
    ]
    assert parse(json.dumps([label.to_json() for label in labels])) == labels


@pytest.mark.parametrize(
    "text",
    [
        '["tench", "lady\'s slipper", "kite, glede"]',
        '{"0": "tench", "2": "kite, glede", "1": "lady\'s slipper"}',
        '{"tench": 0, "kite, glede": 2, "lady\'s slipper": 1}',
        '{"tench": "0", "kite, glede": "2", "lady\'s slipper": "1"}',
        '{"id2label": {"0": "tench", "1": "lady\'s slipper", "2": "kite, glede"}, "model_type": "vit"}',
        '{"class_to_idx": {"tench": 0, "lady\'s slipper": 1, "kite, glede": 2}}',
        '{"labels": ["tench", "lady\'s slipper", "kite, glede"]}',
        json.dumps([{"id": index, "name": NAMES[index]} for index in (2, 0, 1)]),
        json.dumps([{"index": index, "label": name} for index, name in enumerate(NAMES)]),
        *(json.dumps([{number: index, "name": NAMES[index]} for index in (2, 0, 1)]) for number in NUMBERS),
        *(
            json.dumps([{number: str(index), "name": NAMES[index]} for index in (2, 0, 1)])
            for number in NUMBERS
        ),
        json.dumps({"classes": [{"class_name": NAMES[index], "class_id": index + 1} for index in (2, 0, 1)]}),
        json.dumps([{"name": NAMES[index], "label": index, "photos": index * 7} for index in (2, 0, 1)]),
        *(f'name,{number}\n"kite, glede",3\ntench,1\nlady\'s slipper,2\n' for number in NUMBERS),
        "{0: 'tench', 1: \"lady's slipper\", 2: 'kite, glede'}",
        "{0: 'tench',\n 1: 'lady\\'s slipper',\n 2: 'kite, glede',}\n",
        "tench\nlady's slipper\nkite, glede\n",
        "\ufefftench\r\nlady's slipper\r\nkite, glede",
        "0 tench\n1 lady's slipper\n2 kite, glede\n",
        "2: kite, glede\n0: tench\n1: lady's slipper\n",
        'index,label\n0,tench\n1,lady\'s slipper\n2,"kite, glede"\n',
        'name,id\n"kite, glede",2\ntench,0\nlady\'s slipper,1\n',
        '0,tench\n1,lady\'s slipper\n2,"kite, glede"\n',
        'tench,0\nlady\'s slipper,1\n"kite, glede",2\n',
        "label\tcount\ntench\t17\nlady's slipper\t4\nkite, glede\t9\n",
        "id;name\n0;tench\n1;lady's slipper\n2;kite, glede\n",
        "['tench', \"lady's slipper\", 'kite, glede']",
        "{tench: 0, 'kite, glede': 2, lady's slipper: 1}",
        "0: 'tench',\n1: \"lady's slipper\",\n2: 'kite, glede'\n",
        "0: 'tench', 1: 'lady\\'s slipper', 2: 'kite, glede'",
        "'tench',\n\"lady's slipper\",\n'kite, glede',\n",
        '"tench"\n"lady\'s slipper"\n"kite, glede"\n',
        "0 tench\n1\tlady's slipper\n2. kite, glede\n",
        "# Birds\ntench\nlady's slipper\n# of prey\nkite, glede\n",
        "\ufeff# Birds\r\n#  and others\r\n\r\n0 tench\r\n1 lady's slipper\r\n2 kite, glede\r\n\r\n# end\r\n",
        '# Birds\nindex,label\n0,tench\n1,lady\'s slipper\n2,"kite, glede"\n',
        "tench: 0\nlady's slipper: 1\nkite, glede: 2\n",
        "- tench\n- lady's slipper\n- 'kite, glede'\n",
        "- id: 2\n  name: kite, glede\n- id: 0\n  name: tench\n- id: 1\n  name: lady's slipper\n",
        # Ultralytics' data.yaml.
        "# Birds\npath: ../birds\nnc: 3\nnames:\n  0: tench\n  1: lady's slipper\n  2: kite, glede\n",
        "names:\n- tench\n- lady's slipper\n- 'kite, glede'\n",
        "nc: 3\nnames:\n  - tench  # a fish\n  - lady's slipper\n  - 'kite, glede'\n",
        "nc: 3\nnames: ['tench', \"lady's slipper\", 'kite, glede']\n",
        # PaddleX' inference.yml.
        "PostProcess:\n  Topk:\n    topk: 5\n    label_list: [tench, lady's slipper, 'kite, glede']\n",
        # Lobe's signature.json.
        json.dumps({"doc_id": "a", "classes": {"Label": NAMES}}),
        "item { id: 0 name: 'tench'}\nitem{id:1 name: \"lady's slipper\"} item: {id: 2, name: 'kite, glede'}",
        '// Birds\n["tench", "lady\'s slipper", "kite, glede"]',
        # A CSV file of one column.
        'tench\nlady\'s slipper\n"kite, glede"\n',
        '0 tench\n1 lady\'s slipper\n2 "kite, glede"\n',
        'tench,lady\'s slipper,"kite, glede"\n',
        "0 - tench\n1 - lady's slipper\n2 - kite, glede\n",
        "0-tench\n1-lady's slipper\n2-kite, glede\n",
        "0=tench\n1=lady's slipper\n2=kite, glede\n",
        "1 | lady's slipper\n0 | tench\n2 | kite, glede\n",
        "tench = 0\nlady's slipper = 1\nkite, glede = 2\n",
        "tench|0\nlady's slipper|1\nkite, glede|2\n",
        "tench - 0\nlady's slipper - 1\nkite, glede - 2\n",
        "tench 0\nkite, glede 2\nlady's slipper 1\n",
        # What Python prints, with the variable.
        "CLASSES = ['tench', \"lady's slipper\", 'kite, glede']\n",
        "('tench', \"lady's slipper\", 'kite, glede')",
        "classes = {0: 'tench',\n 1: \"lady's slipper\",\n 2: 'kite, glede'}",
        "(#3) ['tench', \"lady's slipper\", 'kite, glede']",
        # What NumPy, pandas, a dict's keys and Hugging Face's datasets print.
        "['tench' \"lady's slipper\"\n 'kite, glede']",
        "array(['tench', \"lady's slipper\", 'kite, glede'],\n      dtype='<U14')",
        "[np.str_('tench'), np.str_(\"lady's slipper\"), np.str_('kite, glede')]",
        "Index(['tench', \"lady's slipper\", 'kite, glede'], dtype='object', name='bird')",
        "names = dict_keys(['tench', \"lady's slipper\", 'kite, glede'])",
        "ClassLabel(names=['tench', \"lady's slipper\", 'kite, glede'], id=None)",
        # Classes that were encoded in the column `label`, and headings of other words.
        'bird,label\ntench,0\n"kite, glede",2\nlady\'s slipper,1\n',
        'bird,label,photos\ntench,1,40\n"kite, glede",3,41\nlady\'s slipper,2,40\n',
        'bird,code\ntench,0\n"kite, glede",2\nlady\'s slipper,1\n',
        ',0\n0,tench\n1,lady\'s slipper\n2,"kite, glede"\n',
        "model:\n  names: [tench, lady's slipper, 'kite, glede']\n",
        "DATASET:\n  NAMES: [tench, lady's slipper, 'kite, glede']\n",
        json.dumps({"model": {"classes": NAMES}}),
        "train: &n [tench, lady's slipper, 'kite, glede']\nnames: *n\n",
        "label_map:\n  0: tench\n  1: lady's slipper\n  2: kite, glede\n",
    ],
)
def test_names(text: str) -> None:
    """Whatever the form, the names come in the order of their indices."""
    assert parse(text) == LABELS


@pytest.mark.parametrize(
    "text",
    [
        # Keras' imagenet_class_index.json, which TorchServe's index_to_name.json has taken over.
        json.dumps({index: [SYNSETS[index], name] for index, name in enumerate(NAMES)}),
        '[["n01440764", "tench"], ["n12057211", "lady\'s slipper"], ["n01608432", "kite, glede"]]',
        # ONNX's model zoo and Caffe: synset.txt.
        "n01440764 tench\nn12057211 lady's slipper\nn01608432 kite, glede\n",
        'index,mid,display_name\n0,n01440764,tench\n1,n12057211,lady\'s slipper\n2,n01608432,"kite, glede"\n',
        '0,n01440764,tench\n1,n12057211,lady\'s slipper\n2,n01608432,"kite, glede"\n',
        'n01440764,tench\nn12057211,lady\'s slipper\nn01608432,"kite, glede"\n',
        "n01440764,tench\nn12057211,lady's slipper\nn01608432,kite, glede\n",
        "".join(
            f"# {name}\nitem {{\n  name: '{one}'\n  id: {index}\n  display_name: \"{name}\"\n"
            "  keypoints { id: 7 }\n}\n"
            for index, (name, one) in enumerate(zip(NAMES, SYNSETS, strict=True))
        ),
    ],
)
def test_identifiers(text: str) -> None:
    """Forms that carry identifiers keep them."""
    assert parse(text) == IDENTIFIED


@pytest.mark.parametrize(
    "lines",
    [
        ("3 series", "7up", "100 plus"),
        ("0 stars", "1 star", "2 stars"),
        ("1 people", "2 people"),
        ("1 star", "2 stars"),
        ("star 1", "star 2"),
        ("0-2", "1-3"),
        ("0 - 2 years", "1 - 3 years", "2 - 4 years"),
        ("0=a", "1|b"),
        ("- 0", "cat"),
        ("n01440764 449", "n01443537 450"),
        ("apollo 11", "apollo 13"),
        ('"cat" or "dog"', "bird"),
        ("(cat)", "(dog)"),
        ("0",),
        ("0", "1", "2"),
        ("3", "1", "2"),
        ("0 a", "1 b", "c"),
        ("0 a", "2 b"),
        ("'tis", "a'"),
        ('"a" b', '"c"'),
        ("cat: 0", "dog"),
        ("- cat", "dog"),
        ("cat: a pet", "dog: another pet"),
        ("item", "names"),
        ("# cat", "# dog"),
        ("#cat", "dog"),
        ("!", "#", "$"),
        ("cat # a pet", "dog"),
    ],
)
def test_lines_stay(lines: tuple[str, ...]) -> None:
    """What looks like a number, a mark or a form in some lines only is part of the names."""
    assert parse("\n".join(lines)) == tuple(map(Label, lines))


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("end", ["", ","])
def test_quoted_lines(quote: str, end: str) -> None:
    """Quotation marks around all names are no part of them, with commas behind them or without."""
    text = "\n".join(f"{quote}{name}{quote}{end}" for name in ("cat", "dog"))

    assert parse(text) == (Label("cat"), Label("dog"))


def test_words_of_yaml() -> None:
    """In YAML, too, a class may be called what YAML takes for a truth value, a number or nothing."""
    assert parse("names: [no, on, 3.10, null, 1e3]") == tuple(map(Label, ("no", "on", "3.10", "null", "1e3")))


@pytest.mark.parametrize(
    "text",
    [
        '{"1": "cat", "2": "dog"}',
        '{"cat": 1, "dog": 2}',
        '[{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]',
        "{1: 'cat', 2: 'dog'}",
        "1,cat\n2,dog\n",
        "id,name\n1,cat\n2,dog\n",
        "1: cat\n2: dog\n",
        "names:\n  1: cat\n  2: dog\n",
        "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }",
    ],
)
def test_numbered_from_one(text: str) -> None:
    """Labels that people counted from 1 are taken, and a warning says so."""
    found = find(text, {}, 2)

    assert found.labels == (Label("cat"), Label("dog"))
    assert [warning for warning in found.warnings if "numbered from 1" in warning]
    assert find("0: cat\n1: dog", {}, 2).warnings == ()


def test_numbers_as_names() -> None:
    """Digits may be names."""
    assert parse('{"0": "7", "1": "8"}') == (Label("7"), Label("8"))
    assert parse('{"0": 0, "1": 1}') == (Label("0"), Label("1"))
    assert parse('[{"name": "1", "id": "x"}, {"name": "0", "id": "y"}]') == (Label("1", "x"), Label("0", "y"))
    assert parse('[{"name": "1", "idx": 1}, {"name": "2", "idx": 0}]') == (Label("2"), Label("1"))
    assert parse("name,number\n1,2\n2,1\n") == (Label("2"), Label("1"))
    assert parse("7\n8\n9\n") == parse("[7, 8, 9]") == (Label("7"), Label("8"), Label("9"))
    assert parse("0,1,2,3") == parse("0\n1\n2\n3\n")
    digits = "\n".join(map(str, range(10)))
    assert [label.name for label in parse(digits)] == digits.split()


def test_numbers_of_other_things() -> None:
    """Numbers in objects that are not those of all classes are no class numbers; as `id` they identify."""
    assert parse('[{"name": "a", "value": 40}, {"name": "b", "value": 7}]') == (Label("a"), Label("b"))
    assert parse('[{"name": "a", "id": "40"}, {"name": "b", "id": "7"}]') == (
        Label("a", "40"),
        Label("b", "7"),
    )


def test_identifiers_by_number() -> None:
    """An identifier with a number after it is the name of that class."""
    assert parse("n01443537 1\nn01440764 0\n") == (Label("n01440764"), Label("n01443537"))


def test_other_networks() -> None:
    """Stand-ins in the configuration of a part of the network name no classes."""
    config = {"model_type": "clip", "text_config": {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}}

    with pytest.raises(InvalidModel, match="no list of class names"):
        parse(json.dumps(config))


@pytest.mark.parametrize(
    ("file", "labels"),
    [
        ("hf_model_config.json", ("tabby, tabby cat", "golden retriever", "kite")),
        ("timm_labelled.json", ("tabby, tabby cat", "golden retriever", "kite")),
    ],
)
def test_files(file: str, labels: tuple[str, ...]) -> None:
    """The configurations that transformers and timm write hold labels."""
    found = parse((CONFIGS / file).read_text())

    assert tuple(label.name for label in found) == labels
    assert [label.id for label in found] == (
        ["n02123045", "n02099601", "n01608432"] if file.startswith("timm") else [None] * 3
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "list of labels is empty"),
        ("\n \n", "list of labels is empty"),
        ("[" * 100_000, "JSON"),
        ("{" * 100_000, "JSON"),
        ('{"a":' * 100_000, "JSON"),
        ("{}", "list of labels is empty"),
        ("[]", "list"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "too large"),
        ("[" + "1" * 101 + "]", "100 digits"),
        ('{"cat": ' + "1" * 5_000 + "}", "100 digits"),
        ('["cat", 5]', "Label 1"),
        ('[{"id": "a"}]', "Label 0"),
        ('[{"name": "a", "id": 5.5}]', "label 0"),
        ('["a", {"name": "a", "synonyms": "b"}]', "label 1"),
        ('[{"name": "a", "synonyms": [1]}]', "label 0"),
        ('["a", ["b", "c", "d"]]', "Label 1"),
        ('["a", ["b", 1]]', "Label 1"),
        ('["a", "  "]', "Label 1 is empty"),
        ('["a", "b\\u0007"]', "Label 1 has a character"),
        ('["a", "b\\ud800"]', "Label 1 has a character"),
        ('["a", "b\\u202e"]', "Label 1 has a character"),
        ('["a", "' + "b" * 100_000 + '"]', "Label 1 has more than"),
        ('{"0": "a", "2": "b"}', "Label 1 is missing"),
        ('{"2": "a", "3": "b"}', "Label 0 is missing"),
        ('{"0": "a", "0": "b"}', "field 0 is defined twice"),
        ('{"0": "a", "00": "b"}', "Label 0 is defined twice"),
        ('{"cat": 0, "dog": 0}', "Label 0 is defined twice"),
        ('{"cat": 0, "dog": 2}', "Label 1 is missing"),
        ('{"cat": 0, "dog": null}', "dog is neither"),
        ('{"cat": 0, "dog": -1}', "Label 1 is missing"),
        ('{"cat": 0, "dog": 1.0}', "dog is neither"),
        ('{"cat": 0, "dog": true}', "dog is neither"),
        ('{"id2label": {"0": "a", "2": "b"}}', "Label 1 is missing"),
        ('[{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]', "same id"),
        ('[{"id": 1, "name": "a"}, {"id": 3, "name": "b"}]', "Label 0 is missing"),
        ('[{"class_id": 1, "name": "a"}, {"class_id": 3, "name": "b"}]', "Label 0 is missing"),
        ('[{"class_id": 1, "name": "a"}, {"class_id": 1, "name": "b"}]', "same class_id"),
        ('{"pipeline": {"tasks": []}}', "no list of class names"),
        ('{"a": {}}', "no list of class names"),
        ("PostProcess:\n  Topk:\n    class_id_map_file: labels.txt\n", "no list of class names"),
        ("flavors:\n  onnx:\n    data: model.onnx\n", "no list of class names"),
        ("names: [a, b\n", "YAML is invalid at line 2"),
        ("names: [a, &b [*b]]\n", "alias of what is not complete"),
        ("names:\n  0: a\n  0: b\n", "field 0 is defined twice"),
        ("names:\n  0: a\n  2: b\n", "Label 1 is missing"),
        ("---\nnames: !!python/name:os.system\n", "tag"),
        ("names:\n" + "- " * 100_000, "20 levels"),
        ("item { id: 1 name: 'a' ", "label map is damaged"),
        ("item { id: 1 } item { id: 2 name: 'b' }", "Item 0 of the label map"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "same id"),
        ("{0: 'a', 0: 'b'}", "Label 0 is defined twice"),
        ("{0: 'a' 1: 'b'}", "The text after label 0"),
        ("{0: 'a', 1: b}", "not a list of numbers and names"),
        ("a\n\nb\n", "Line 2 is empty"),
        ("index,label\n0,a\n0,b\n", "Label 0 is defined twice"),
        ("index,label\n0,a\n2,b\n", "Label 1 is missing"),
        ("index,label\n0,a\nx,b\n", "Line 3 has no class number"),
        ("index,label\n0,a\n1,b,c\n", "Line 3 has 3 fields"),
        ("a\n" * 100_001, "100000"),
        ("a\n" * 200_000, "100000"),
        (json.dumps(["a"] * 100_001), "100000"),
    ],
)
def test_malformed(text: str, named: str) -> None:
    """What has no such form is refused in a sentence that names the entry."""
    with pytest.raises(InvalidModel, match=named):
        parse(text)


def test_wide_table() -> None:
    """A line of a million commas is no table, and is told so in the time that its length takes."""

    def seconds(columns: int) -> float:
        start = time.process_time()
        with pytest.raises(InvalidModel, match="Label 0 has more than"):
            parse("a," * columns)
        return time.process_time() - start

    usual = max(seconds(150_000) for _ in range(3))
    # What grows with the square takes a hundred times as long.
    assert seconds(1_500_000) < 40 * usual


@pytest.mark.parametrize("begin", ["item { name", "item { name: 'a' } item"])
def test_blanks_in_a_label_map(begin: str) -> None:
    """A damaged label map with many blanks is told so in the time that its length takes."""

    def seconds(blanks: int) -> float:
        start = time.process_time()
        with pytest.raises(InvalidModel, match="damaged or incomplete"):
            parse(begin + " " * blanks + "!")
        return time.process_time() - start

    usual = max(seconds(1_000) for _ in range(3))
    # What grows with the square takes a hundred times as long as what does not.
    assert seconds(100_000) < max(1.0, 1_000 * usual)


def test_long_names() -> None:
    """A long name is cut, with a mark that it was."""
    (label,) = parse(json.dumps(["x" * 300]))

    assert label.name == "x" * 199 + "…"


def test_many() -> None:
    """As many labels as are allowed are read in every form."""
    many = [f"Überraschung {index}" for index in range(100_000)]

    assert len(parse(json.dumps({str(index): name for index, name in enumerate(many)}))) == 100_000
    assert len(parse("\n".join(many))) == 100_000
    assert (
        len(parse("{" + ", ".join(f"{index}: {name!r}" for index, name in enumerate(many)) + "}")) == 100_000
    )


@pytest.mark.parametrize("delimiter", [",", ", ", ";", "\t"])
@pytest.mark.parametrize("count", [2, 100, 101, 1000, 100_000])
def test_one_line(delimiter: str, count: int) -> None:
    """As many labels as are allowed may stand in one line."""
    names = [f"class{index}" for index in range(count)]

    assert [label.name for label in parse(delimiter.join(names))] == names


def test_numbered() -> None:
    """A model without labels shows its classes' numbers."""
    assert numbered(2) == (Label("class 0"), Label("class 1"))


def test_find_order() -> None:
    """What came beside the model wins over its metadata, and these over numbers."""
    metadata = {"predictor.labels": '["a", "b"]', "names": "{0: 'c', 1: 'd'}"}

    beside = find("e\nf", metadata, 2)
    inside = find(None, metadata, 2)
    neither = find(None, {}, 2)

    assert (beside.labels, beside.reason) == ((Label("e"), Label("f")), BESIDE)
    assert (inside.labels, inside.reason) == ((Label("a"), Label("b")), IN_METADATA)
    assert (neither.labels, neither.reason) == (numbered(2), NONE)
    assert find(None, {}, None).labels == ()


@pytest.mark.parametrize(("text", "count"), [("b\na", 1), ("a\nb", 0), ("a\nc", 0)])
def test_other_order_than_the_graph(text: str, count: int) -> None:
    """Labels that are those of the graph in another order win, with a warning."""
    found = find(text, {"predictor.graph_labels": '["a", "b"]'}, 2)

    assert [label.name for label in found.labels] == text.split()
    assert len(found.warnings) == count
    assert find(text, {"predictor.graph_labels": "[1, {}"}, 2).warnings == ()


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{0: 'tench', 1: \"lady's slipper\", 2: 'kite, glede'}"},
        {"id2label": '{"0": "tench", "1": "lady\'s slipper", "2": "kite, glede"}'},
        {"labels": json.dumps(NAMES)},
        {"classes": json.dumps(NAMES), "names": "of no interest"},
        {"config.json": json.dumps({"architectures": ["A"], "id2label": dict(enumerate(NAMES))})},
        {"model_info labels": "tench lady's_slipper kite,_glede"},
        {"class_to_idx": json.dumps({name: index for index, name in enumerate(NAMES)})},
        {"label2id": str({name: index for index, name in enumerate(NAMES)})},
        {"idx_to_class": str(dict(enumerate(NAMES)))},
        {"label_map": json.dumps(dict(enumerate(NAMES, 1)))},
        {"categories": json.dumps(NAMES)},
        {"CLASSES": json.dumps(NAMES)},
        {"classes": str(NAMES)},
        {"Labels": "tench;lady's slipper;kite, glede"},
        {"classes": 'tench,lady\'s slipper,"kite, glede"'},
        {"class_names": "tench\nlady's slipper\nkite, glede\n"},
        {"label_map": "0: tench\n1: lady's slipper\n2: kite, glede"},
        {"names": "the classes of birds, fish", "labels": "tench;lady's slipper;kite, glede"},
        {"model_info labels": "a b c", "model_info label_info": json.dumps({"label_names": NAMES})},
    ],
)
def test_find_metadata(metadata: dict[str, str]) -> None:
    """Labels are found in the metadata that other tools write."""
    assert find(None, metadata, 3).labels == LABELS


@pytest.mark.parametrize("file", ["ultralytics", "openvino"])
def test_find_tools(file: str) -> None:
    """Labels are found in whole metadata as the tools write them."""
    metadata = json.loads((CONFIGS / f"metadata_{file}.json").read_text())

    assert [label.name for label in find(None, metadata, 3).labels] == ["tench", "lady's slipper", "kite"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"classes": "3"},
        {"names": "of no interest"},
        {"config.json": "{}"},
        {"labels": "made by a, b, c, d"},
        {"categories": "vision"},
    ],
)
def test_find_unrelated(metadata: dict[str, str]) -> None:
    """Metadata of the same name that hold something else are left alone."""
    found = find(None, metadata, 3)

    assert (found.labels, found.reason, found.warnings) == (numbered(3), NONE, (NONE,))
    assert find(None, metadata, 1).labels == numbered(2)


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": '{"a": {}}'},
        {"names": "[1, 2]"},
        {"classes": '{"0": "a", "2": "b"}'},
        {"names": "{0: 'a', 1: 'b', 2: 'c', 3: 'd'}"},
        {"model_info labels": "a b c d"},
        {"model_info labels": "a b c\u202e"},
    ],
)
def test_find_foreign(metadata: dict[str, str]) -> None:
    """Metadata of another tool that cannot be read, or have other classes, are passed over with a warning."""
    found = find(None, metadata, 3)

    assert (found.labels, found.reason) == (numbered(3), NONE)
    assert ["passed over" in warning for warning in found.warnings] == [True, False]
    assert find(None, {**metadata, "config.json": '{"id2label": ["x", "y", "z"]}'}, None).labels


def test_find_own_key() -> None:
    """What stands under this service's own key is used or refused."""
    with pytest.raises(InvalidModel, match="no list of class names"):
        find(None, {"predictor.labels": '{"a": {}}'}, 2)


def test_find_background() -> None:
    """One label too many or too few: the sentence names the background class, and what to do."""
    many = "\n".join(f"class of {index}" for index in range(1000))

    with pytest.raises(InvalidModel, match=r"1001 classes, but 1000 labels.* add the label background"):
        find(many, {}, 1001)
    with pytest.raises(
        InvalidModel, match=r"1000 classes, but 1001 labels.* background, is a background class.* remove it"
    ):
        find(f"background\n{many}", {}, 1000)


def test_find_heading() -> None:
    """The heading of a file with one column is no label, where the number of classes shows it."""
    assert find("label\ncat\ndog\n", {}, 2).labels == (Label("cat"), Label("dog"))
    assert find("label\ncat\ndog\n", {}, 3).labels[0] == Label("label")


def test_find_count() -> None:
    """Another number of labels than of classes is refused with both numbers."""
    with pytest.raises(InvalidModel, match="3 classes, but 2 labels"):
        find("cat\ndog\n", {}, 3)
    with pytest.raises(InvalidModel, match=r"2 classes, but 1 label came with it\.$"):
        find("dog\n", {}, 2)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((Label("thing 3"), Label("cat"), Label("Thing_3")), "thing 3 (classes 0 and 2)."),
        ((Label("crane", "n1"), Label("crane")), "crane (classes 0 and 1)."),
        ((Label("crane", "n1"), Label("crane", "n1")), "crane (classes 0 and 1)."),
        ((Label("cat"),) * 6, "cat (classes 0, 1, 2 and 3 more)."),
        (tuple(map(Label, "abcdeabcde")), "a (classes 0 and 5), b (classes 1 and 6), c (classes 2 and 7)"),
        (tuple(map(Label, "abcdeabcde")), "c (classes 2 and 7) and 2 more."),
        ((Label("crane", "n1"), Label("crane", "n2")), None),
        ((Label("crane", synonyms=("bird",)), Label("crane", synonyms=("machine",))), None),
        ((Label("cat", synonyms=("pet",)), Label("dog", synonyms=("pet",))), None),
    ],
)
def test_repeated(labels: tuple[Label, ...], classes: str | None) -> None:
    """A label of several classes is named with their numbers, unless ids or synonyms tell them apart."""
    warnings = repeated(labels)

    assert len(warnings) == (classes is not None)
    assert all((classes or "") in warning for warning in warnings)
