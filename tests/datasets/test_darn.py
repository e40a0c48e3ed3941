import json

import numpy as np
import pytest

from bench.protocol import BadDataError
from datasets import darn as loader
from datasets._schema import Problems

VALUES = {"color": ["red", "navy blue", "green"], "sleeve length": ["short", "long"]}
SHAPES = {
    "values": {"ATTRIBUTES": list(VALUES), "ATTRIBUTES_VALUES": VALUES, "ATTRIBUTES_NUM": {"color": 3, "sleeve length": 2}},
    "mapping": VALUES,
    "items": [{"name": name, "values": values} for name, values in VALUES.items()],
    "nested": {"attributes": [{"name": name, "values": values} for name, values in VALUES.items()]},
    "lists": {"attribute_names": list(VALUES), "values": list(VALUES.values())},
    "attribute mapping": {"attributes": VALUES},
}


def make(root, meta=SHAPES["values"], train="0 0 1 1 0\n2 0 2\n", names="pic/a.jpg\npic/b.jpg\npic/c.jpg\n"):
    (root / "pic").mkdir(parents=True)
    (root / "meta.json").write_text(json.dumps(meta))
    for split, text, label in [("train", names, train), ("valid", "d.jpg\n", "0 1 1\n"), ("test", "e.jpg\n", "")]:
        (root / f"filenames_{split}.txt").write_text(text)
        (root / f"label_{split}.txt").write_text(label)
    return root


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_meta_json(tmp_path, shape):
    found, problems = read(make(tmp_path / "darn", SHAPES[shape]))
    assert problems == []
    assert [(kind.name, list(kind.classes), kind.exclusive) for kind in found.schema] == [(k, v, True) for k, v in VALUES.items()]
    assert found.paths == ["pic/a.jpg", "pic/b.jpg", "pic/c.jpg", "pic/d.jpg", "pic/e.jpg"]
    assert found.splits.tolist() == [0, 0, 0, 1, 2]
    assert found.labels["color"].tolist() == [[0, 1, 0], [-1] * 3, [0, 0, 1], [-1] * 3, [-1] * 3]
    assert found.labels["sleeve length"].tolist() == [[1, 0], [-1] * 2, [-1] * 2, [0, 1], [-1] * 2]
    assert found.where(3) == ("filenames_valid.txt", 1)
    assert found.boxes is None


def test_counts_alone_number_the_values(tmp_path):
    found, problems = read(make(tmp_path / "darn", {"color": 3, "sleeve length": 2}))
    assert problems == []
    assert found.schema["color"].classes == ("0", "1", "2")


@pytest.mark.parametrize(
    "train", ["1 1 2 2 1\n3 1 3\n", "1 color navy_blue Sleeve-Length SHORT\n3 color green\n", "1 color 2 2 1\n3 1 green\n"]
)
def test_numbers_from_1_and_names(tmp_path, train):
    root = make(tmp_path / "darn", train=train)
    (root / "label_valid.txt").write_text("1 2 2\n")
    found, problems = read(root)
    assert problems == []
    assert found.labels["color"].tolist()[:3] == [[0, 1, 0], [-1] * 3, [0, 0, 1]]
    assert found.labels["sleeve length"].tolist()[:4] == [[1, 0], [-1] * 2, [-1] * 2, [0, 1]]


def test_one_split_that_reaches_its_count_says_where_all_begin(tmp_path):
    root = make(tmp_path / "darn", train="1 0 1\n2 0 2\n")  # its third and last image has no row
    (root / "label_valid.txt").write_text("1 0 0\n")
    found, problems = read(root)
    assert problems == []
    assert found.labels["color"][:4].tolist() == [[0, 1, 0], [0, 0, 1], [-1] * 3, [1, 0, 0]]


def test_labels_of_an_image_may_stand_in_several_rows_but_not_contradict(tmp_path):
    found, problems = read(make(tmp_path / "darn", train="0 0 1\n0 1 0\n0 0 1\n2 0 2\n"))
    assert problems == []
    assert (found.labels["color"][0].tolist(), found.labels["sleeve length"][0].tolist()) == ([0, 1, 0], [1, 0])
    found, problems = read(make(tmp_path / "again", train="0 0 1\n2 0 2\n0 0 2\n"))
    assert problems == ["label_train.txt:3: image 0 has another color in an earlier place"]
    assert found.paths[0] == "pic/b.jpg"


def test_minus_one_is_unknown(tmp_path):
    found, problems = read(make(tmp_path / "darn", train="0 0 -1 1 0\n"))
    assert problems == []
    assert found.labels["color"][0].tolist() == [-1] * 3
    assert found.labels["sleeve length"][0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("line", "message", "rows"),
    [
        ("1 0 7", "color '7', which is none of the 3 values in meta.json", 4),
        ("1 0 3", "color '3', which is none of the 3 values in meta.json", 4),
        ("1 color pink", "color 'pink', which is none of the 3 values in meta.json", 4),
        ("1 9 0", "attribute '9', expected one of color, sleeve length, or its number", 4),
        ("1 2 0", "attribute '2', expected one of color, sleeve length, or its number", 4),
        ("1 size 0", "attribute 'size', expected one of color, sleeve length, or its number", 4),
        ("1 0 1 1", "3 fields after the image's index, expected pairs of attribute and value", 4),
        ("3 0 1", "image index '3', expected a number from 0 to 2", 5),
        ("9 0 1", "image index '9', expected a number from 0 to 2", 5),
        ("x 0 1", "image index 'x', expected a number from 0 to 2", 5),
    ],
)
def test_a_damaged_label_row_is_named(tmp_path, line, message, rows):
    found, problems = read(make(tmp_path / "darn", train=f"0 0 1 1 0\n{line}\n2 0 2\n"))
    assert problems == [f"label_train.txt:2: {message}"]
    assert len(found) == rows


def test_damaged_names_keep_the_numbering(tmp_path):
    root = make(tmp_path / "darn", names="pic/a.jpg\n../../etc/passwd\npic/c.jpg\npic/a.jpg\n", train="0 0 1\n2 0 2\n1 0 0\n")
    found, problems = read(root)
    assert problems == [
        "filenames_train.txt:2: '../../etc/passwd' leads out of the data set's folder",
        "filenames_train.txt:4: pic/a.jpg is listed twice, first in filenames_train.txt:1",
    ]
    assert found.paths[:2] == ["pic/a.jpg", "pic/c.jpg"]
    assert np.array_equal(found.labels["color"][:2].argmax(1), [1, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "meta.json:1: is no JSON"),
        ("[]", "meta.json: names no attributes"),
        ('{"ATTRIBUTES": ["color"]}', "meta.json: names no attributes"),
        ('{"color": 0.5}', "meta.json: attribute 'color' has 0.5, expected its values or their number"),
        ('{"color": 0}', "meta.json: attribute 'color' has \\[\\], expected its values or their number"),
    ],
)
def test_a_meta_json_that_cannot_be_understood(tmp_path, text, message):
    root = make(tmp_path / "darn")
    (root / "meta.json").write_text(text)
    with pytest.raises(BadDataError, match=message):
        read(root)
