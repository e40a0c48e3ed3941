import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol import AttributeType, BadDataError, Problem, Schema
from datasets import _schema
from datasets._paths import path_fault
from datasets._schema import Annotations, Problems, content_hash, image_keys, refuse

SCHEMA = Schema((AttributeType("color", ("red", "blue"), True), AttributeType("style", ("a", "b", "c"), False)))


def annotations():
    labels = {"color": np.array([[1, 0], [0, 1]], np.int8), "style": np.array([[1, -1, 0], [0, 0, 0]], np.int8)}
    arrays = {"where_file": np.zeros(2, np.int16), "where_line": np.array([3, 4], np.int32)}
    boxes = np.array([[0, 0, 5, 5], [1, 1, 2, 2]], np.int32)
    return Annotations(SCHEMA, ["a.jpg", "b.jpg"], np.array([0, 1], np.int8), labels, ("list.txt",), **arrays, boxes=boxes)


def test_take_keeps_rows_together():
    points = np.arange(12, dtype=np.int32).reshape(2, 2, 3)
    taken = replace(annotations(), landmarks=points).take(np.array([1]))
    assert taken.paths == ["b.jpg"]
    assert taken.where(0) == ("list.txt", 4)
    assert taken.labels["color"].tolist() == [[0, 1]]
    assert taken.boxes.tolist() == [[1, 1, 2, 2]]
    assert taken.landmarks.tolist() == [[[6, 7, 8], [9, 10, 11]]]
    assert annotations().take(np.array([1])).landmarks is None


def test_content_hash_follows_everything_but_where_it_was_written():
    base = annotations()
    same = replace(base, files=("other.txt",), where_line=base.where_line + 9, ignored=("sku (3 values in 6 rows)",))
    assert content_hash(same) == content_hash(base)
    flipped = {**base.labels, "style": base.labels["style"] * -1}
    renamed = Schema((replace(SCHEMA.types[0], classes=("red", "green")), SCHEMA.types[1]))
    changed = [
        replace(base, labels=flipped),
        replace(base, paths=["a.jpg", "c.jpg"]),
        replace(base, splits=base.splits[::-1].copy()),
        replace(base, boxes=base.boxes + 1),
        replace(base, boxes=None),
        replace(base, folder="Img"),
        replace(base, schema=renamed),
    ]
    assert len({content_hash(base), *map(content_hash, changed)}) == 8


def test_landmarks_count_where_there_are_some_and_change_no_other_hash():
    base = annotations()
    assert content_hash(base) == "267bf281f2cd6d730e21614a562311ec64f766d8e94232d8d2ce4967d4728d9f"
    points = np.zeros((2, 2, 3), np.int32)
    hashes = {content_hash(replace(base, landmarks=found)) for found in (None, points, points + 1, points[:, :1])}
    assert len(hashes) == 4


def test_keys_come_from_the_path_alone():
    expected = int.from_bytes(hashlib.blake2b(b"img/a.jpg", digest_size=8).digest(), "little")
    keys = image_keys(["x", "img/a.jpg"])
    assert keys.dtype == np.uint64
    assert int(keys[1]) == expected
    assert image_keys([]).shape == (0,)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_paths_survive_being_joined(paths):
    assert _schema.split_paths(_schema.joined(paths)) == paths


def test_paths_that_are_no_utf8_survive_too():
    path = b"img/caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert _schema.split_paths(_schema.joined([path])) == [path]
    assert _schema.printable(path).isprintable()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc/passwd", "'/etc/passwd' is an absolute path; paths are relative to the data set's folder"),
        ("C:\\x.jpg", "'C:\\\\x.jpg' is an absolute path; paths are relative to the data set's folder"),
        ("img/../../x.jpg", "'img/../../x.jpg' leads out of the data set's folder"),
        ("img\\..\\x.jpg", "'img\\\\..\\\\x.jpg' leads out of the data set's folder"),
        ("", "the path is empty"),
        ("a\0b", "'a\\x00b' holds a zero byte"),
        ("img/..hidden/ok..jpg", ""),
    ],
)
def test_path_fault(path, message):
    assert path_fault(path) == message


def test_problems_are_counted_beyond_those_kept():
    problems = Problems()
    for line in range(_schema.MAX_KEPT + 5):
        problems.add("f.txt", line, "bad")
    assert (problems.count, len(problems.found)) == (_schema.MAX_KEPT + 5, _schema.MAX_KEPT)


def test_fatal_is_raised_and_kept():
    problems = Problems()
    with pytest.raises(BadDataError, match=r"^f.txt:7: broken$"):
        problems.fatal("f.txt", 7, "broken")
    assert problems.found == [Problem("f.txt", 7, "broken")]
    assert (problems.ended, Problems().ended) == (True, False)


def test_refuse_names_the_first_and_counts_the_rest():
    refuse("darn", [], 0)
    with pytest.raises(BadDataError) as caught:
        refuse("darn", [Problem("f.txt", line, "bad") for line in range(1, 9)], 12)
    assert str(caught.value).splitlines() == [
        "darn: 12 damaged",
        *(f"f.txt:{line}: bad" for line in range(1, 6)),
        "and 7 more",
        "mend them ('python -m bench doctor darn' lists all) or leave these rows out with --on-bad-data skip",
    ]


def test_schema_survives_json():
    assert _schema.schema_from_json(_schema.schema_to_json(SCHEMA)) == SCHEMA


def test_notes_are_kept_once_count_as_no_problem_and_are_no_more_than_fifty():
    problems = Problems()
    for number in range(60):
        problems.note(f"caf\udce9 {number // 2}")
    assert problems.notes == [f"caf\\udce9 {number}" for number in range(30)]
    for number in range(60):
        problems.note(f"{number}")
    assert (len(problems.notes), problems.count, problems.found) == (50, 0, [])
