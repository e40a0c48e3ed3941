import numpy as np
import pytest

from bench.protocol import BadDataError
from datasets import deepfashion as loader
from datasets._schema import Problems


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


@pytest.mark.parametrize("anno", ["Anno_coarse", "Anno"])
def test_everything_the_lists_say(data_root, make_deepfashion, anno):
    made = make_deepfashion(data_root / "deepfashion", anno)
    found, problems = read(made.root)
    assert problems == []
    assert found.folder == "Img"
    assert found.paths == made.paths
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [
        ("category", ("Anorak", "Tee", "Dress"), True),
        ("texture", ("abstract print", "dotted"), False),
        ("fabric", ("denim",), False),
        ("shape", ("a-line",), False),
        ("part", ("crew neck",), False),
        ("style", ("boho",), False),
    ]
    assert found.splits.tolist() == [0, 0, 0, 1, 2] * 4
    assert found.labels["category"].argmax(1).tolist() == [i % 3 for i in range(20)]
    meaning = {1: 1, -1: 0, 0: -1}
    expected = np.vectorize(meaning.get)(np.array(made.values))
    for name, columns in {"texture": [1, 5], "fabric": [2], "shape": [0], "part": [3], "style": [4]}.items():
        assert np.array_equal(found.labels[name], expected[:, columns])
    assert found.boxes[:2].tolist() == [[0, 2, 20, 25], [1, 2, 20, 25]]
    assert found.where(3) == ("Eval/list_eval_partition.txt", 6)


def test_types_that_are_absent_are_left_out(deepfashion):
    rows = [line.replace("  5", "  4") for line in (deepfashion.anno / "list_attr_cloth.txt").read_text().splitlines()]
    (deepfashion.anno / "list_attr_cloth.txt").write_text("\n".join(rows).replace("boho                          5", "boho 4"))
    found, problems = read(deepfashion.root)
    assert problems == []
    assert found.schema.names == ("category", "texture", "fabric", "shape", "part")


def test_boxes_counted_from_0_keep_their_last_pixel(deepfashion):
    deepfashion.write("list_bbox.txt", ["000 000 019 009", "005 005 005 009", *["001 001 002 002"] * 18])
    found, _ = read(deepfashion.root)
    assert found.boxes[:3].tolist() == [[0, 0, 20, 10], [0, 0, 0, 0], [1, 1, 3, 3]]


def test_an_absent_box_does_not_shift_the_others(deepfashion):
    deepfashion.write("list_bbox.txt", ["000 000 000 000", *["002 002 010 010"] * 19])
    found, _ = read(deepfashion.root)
    assert found.boxes[:2].tolist() == [[0, 0, 0, 0], [1, 1, 10, 10]]


def test_a_list_in_another_order_is_matched_by_path(deepfashion):
    path = deepfashion.anno / "list_attr_img.txt"
    lines = path.read_text().splitlines()
    expected, _ = read(deepfashion.root)
    path.write_text("\n".join([*lines[:2], *reversed(lines[2:])]) + "\n")
    found, problems = read(deepfashion.root)
    assert problems == []
    assert all(np.array_equal(found.labels[name], expected.labels[name]) for name in expected.schema.names)


@pytest.mark.parametrize(
    ("name", "line", "text", "expected"),
    [
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 0", "Anno_coarse/list_attr_img.txt:4: 5 labels, expected 6"),
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 0 1 1", "Anno_coarse/list_attr_img.txt:4: 7 labels, expected 6"),
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 x 1", "Anno_coarse/list_attr_img.txt:4: label 5 is 'x', expected 1, -1 or 0"),
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 2 1", "Anno_coarse/list_attr_img.txt:4: label 5 is '2', expected 1, -1 or 0"),
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 11", "Anno_coarse/list_attr_img.txt:4: 5 labels, expected 6"),
        ("list_attr_img.txt", 4, "{path} 1 -1 0 0 11 1", "Anno_coarse/list_attr_img.txt:4: label 5 is '11', expected 1, -1 or 0"),
        ("list_category_img.txt", 4, "{path} 5", "Anno_coarse/list_category_img.txt:4: category 5, expected 1 to 4"),
        ("list_category_img.txt", 4, "{path} 0", "Anno_coarse/list_category_img.txt:4: category 0, expected 1 to 4"),
        ("list_category_img.txt", 4, "{path} two", "Anno_coarse/list_category_img.txt:4: 'two', expected 1 integer"),
        ("list_bbox.txt", 4, "{path} 1 2 3 x", "Anno_coarse/list_bbox.txt:4: '1 2 3 x', expected 4 integers"),
        (
            "list_bbox.txt",
            4,
            "{path} 1 2 99999999999 4",
            "Anno_coarse/list_bbox.txt:4: '1 2 99999999999 4' holds a number that is too large",
        ),
        ("list_bbox.txt", 4, "{path} 1 2 3", "Anno_coarse/list_bbox.txt:4: 4 fields, expected 5"),
    ],
)
def test_a_damaged_line_is_named_and_its_row_left_out(deepfashion, name, line, text, expected):
    path = deepfashion.paths[line - 3]
    deepfashion.edit(name, line, text.format(path=path))
    found, problems = read(deepfashion.root)
    assert problems == [expected, f"Eval/list_eval_partition.txt:4: {path} has no sound line in Anno_coarse/{name}"]
    assert found.paths == [other for other in deepfashion.paths if other != path]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{path} training", "Eval/list_eval_partition.txt:5: split 'training', expected train, val or test"),
        ("{path}", "Eval/list_eval_partition.txt:5: 1 fields, expected 2"),
        ("{first} train", "Eval/list_eval_partition.txt:5: {first} is listed twice, first in line 3"),
        ("../../etc/passwd train", "Eval/list_eval_partition.txt:5: '../../etc/passwd' leads out of the data set's folder"),
        (
            "/etc/passwd train",
            "Eval/list_eval_partition.txt:5: '/etc/passwd' is an absolute path; paths are relative to the data set's folder",
        ),
    ],
)
def test_a_damaged_line_of_the_partition(deepfashion, text, expected):
    first, path = deepfashion.paths[0], deepfashion.paths[2]
    deepfashion.edit("list_eval_partition.txt", 5, text.format(first=first, path=path))
    found, problems = read(deepfashion.root)
    assert problems[0] == expected.format(first=first)
    assert f"Anno_coarse/list_attr_img.txt:5: {path} is not in Eval/list_eval_partition.txt" in problems
    assert len(found) == 19


def test_a_missing_line_and_a_count_that_does_not_match(deepfashion):
    deepfashion.edit("list_attr_img.txt", 22, None)
    found, problems = read(deepfashion.root)
    assert problems == [
        "Anno_coarse/list_attr_img.txt:1: 20 rows announced, 19 found; the file may be cut off, fetch it again",
        f"Eval/list_eval_partition.txt:22: {deepfashion.paths[19]} has no sound line in Anno_coarse/list_attr_img.txt",
    ]
    assert len(found) == 19


def test_an_image_listed_twice_among_the_labels(deepfashion):
    deepfashion.edit("list_category_img.txt", 4, f"{deepfashion.paths[0]} 2")
    _, problems = read(deepfashion.root)
    assert problems[0] == f"Anno_coarse/list_category_img.txt:4: {deepfashion.paths[0]} is listed twice"


@pytest.mark.parametrize(
    ("name", "line", "text", "expected"),
    [
        ("list_attr_img.txt", 1, "hello", "Anno_coarse/list_attr_img.txt:1: b'hello', expected the number of rows"),
        ("list_attr_cloth.txt", 3, "a-line 6", "Anno_coarse/list_attr_cloth.txt:3: attribute type '6', expected 1 to 5"),
        ("list_attr_cloth.txt", 7, "dotted 1", "Anno_coarse/list_attr_cloth.txt:8: attribute 'dotted' is listed twice"),
        (
            *("list_category_cloth.txt", 3, "Blazer"),
            "Anno_coarse/list_category_cloth.txt: its rows go by their numbers, so that none can be left out; "
            "Anno_coarse/list_category_cloth.txt:3: 1 fields, expected 2",
        ),
        (
            *("list_attr_cloth.txt", 3, "a-line"),
            "Anno_coarse/list_attr_cloth.txt: its rows go by their numbers, so that none can be left out; "
            "Anno_coarse/list_attr_cloth.txt:3: 1 fields, expected 2",
        ),
    ],
)
def test_a_list_that_cannot_be_understood_ends_reading(deepfashion, name, line, text, expected):
    deepfashion.edit(name, line, text)
    with pytest.raises(BadDataError) as caught:
        read(deepfashion.root)
    assert str(caught.value) == expected


UPPER = "1  0 005 006  0 015 006  1 002 012  2 000 000  0 004 020  0 016 021"
LOWER = "2  0 004 003  0 016 003  0 004 020  1 016 021"
FULL = "3  0 001 001  0 002 002  0 003 003  0 004 004  0 005 005  0 006 006  0 007 007  0 008 008"


def test_without_a_list_there_are_no_landmarks(deepfashion):
    found, problems = read(deepfashion.root)
    assert (found.landmarks, problems) == (None, [])


@pytest.mark.parametrize("anno", ["Anno_coarse", "Anno"])
def test_landmarks_go_to_the_places_of_their_type_of_clothes(data_root, make_deepfashion, anno):
    made = make_deepfashion(data_root / "deepfashion", anno)
    made.write("list_landmarks.txt", [UPPER, LOWER, FULL, *[FULL] * 17])
    found, problems = read(made.root)
    assert problems == []
    assert (found.landmarks.shape, found.landmarks.dtype) == ((20, 8, 3), np.int32)
    unseen = [0, 0, 0]
    # boxes, and so landmarks, are counted from 1 here
    assert found.landmarks[0].tolist() == [[1, 4, 5], [1, 14, 5], unseen, unseen, unseen, unseen, [1, 3, 19], [1, 15, 20]]
    assert found.landmarks[1].tolist() == [unseen, unseen, unseen, unseen, [1, 3, 2], [1, 15, 2], [1, 3, 19], unseen]
    assert found.landmarks[2].tolist() == [[1, i, i] for i in range(8)]


def test_landmarks_count_from_0_where_boxes_do(deepfashion):
    deepfashion.write("list_bbox.txt", ["000 000 019 009"] * 20)
    deepfashion.write("list_landmarks.txt", [FULL] * 20)
    found, _ = read(deepfashion.root)
    assert found.landmarks[0].tolist() == [[1, i, i] for i in range(1, 9)]


def test_a_variation_may_follow_the_type_of_clothes(deepfashion):
    deepfashion.write("list_landmarks.txt", [UPPER, LOWER, FULL] * 6 + [UPPER] * 2)
    plain, _ = read(deepfashion.root)
    deepfashion.write("list_landmarks.txt", [f"{row[0]} 2 {row[1:]}" for row in [UPPER, LOWER, FULL] * 6 + [UPPER] * 2])
    varied, problems = read(deepfashion.root)
    assert problems == []
    assert np.array_equal(varied.landmarks, plain.landmarks)


def test_a_list_that_shows_no_landmark_is_none(deepfashion):
    deepfashion.write("list_landmarks.txt", ["2  2 000 000  2 000 000  1 004 004  2 000 000"] * 20)
    found, problems = read(deepfashion.root)
    assert (found.landmarks, problems) == (None, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{path} 4 0 1 1", "clothes type '4', expected 1, 2 or 3"),
        ("{path}", "clothes type '', expected 1, 2 or 3"),
        ("{path} 2 0 1 1 0 1 1 0 1 1", "9 fields behind clothes type 2, expected 4 times visibility, x and y"),
        ("{path} 2 0 1 1 0 1 1 0 1 1 0 1", "11 fields behind clothes type 2, expected 4 times visibility, x and y"),
        ("{path} 1 " + FULL[3:], "24 fields behind clothes type 1, expected 6 times visibility, x and y"),
        ("{path} 2 0 1 1 0 1 1 0 1 1 0 x 1", "'0 1 1 0 1 1 0 1 1 0 x 1', expected 12 integers"),
        ("{path} 2 0 1 1 3 1 1 0 1 1 0 1 1", "visibility 3, expected 0, 1 or 2"),
        ("{path} 2 0 1 1 0 9999999999 1 0 1 1 0 1 1", "'9999999999 1' holds a number that is too large"),
    ],
)
def test_a_damaged_line_of_the_landmarks(deepfashion, text, expected):
    deepfashion.write("list_landmarks.txt", [f"2  0 {i:03d} 003  0 016 003  0 004 020  1 016 021" for i in range(1, 21)])
    path = deepfashion.paths[1]
    deepfashion.edit("list_landmarks.txt", 4, text.format(path=path))
    found, problems = read(deepfashion.root)
    file = "Anno_coarse/list_landmarks.txt"
    assert problems == [f"{file}:4: {expected}", f"Eval/list_eval_partition.txt:4: {path} has no sound line in {file}"]
    assert found.paths == [other for other in deepfashion.paths if other != path]
    assert found.landmarks[:, 4, 1].tolist() == [0, *range(2, 20)]  # rows stay with their landmarks
