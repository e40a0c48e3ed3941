"""The challenge's layout, written here line by line, and the stand-in in that layout."""

from collections import Counter

import numpy as np
import pytest

from bench.protocol import SPLITS, DataOptions
from datasets import naver as loader
from datasets._open import open_dataset
from datasets._schema import Problems
from datasets.runway import render

HEADER = "instance_id\tlabel\tfile_name\n"


def rows(labels, prefix):
    return [f"{number}\t{label}\t{prefix}{number}.jpg\n" for number, label in enumerate(labels)]


def make(root, train=(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, -1, -1), test=(0, 1, -1), header=HEADER):
    (root / "train" / "train_data").mkdir(parents=True)
    (root / "test_data").mkdir()
    (root / "train" / "train_label").write_text(header + "".join(rows(train, "a")))
    (root / "test_data" / "test_meta.txt").write_text(header + "".join(rows(test, "t")))
    return root


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


def split_of(found):
    return [SPLITS[number] for number in found.splits]


def test_rows_labels_and_splits(tmp_path):
    found, problems = read(make(tmp_path / "naver"))
    assert problems == []
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [("class", ("0", "1"), True)]
    assert found.paths[0] == "train/train_data/a0.jpg"
    assert found.paths[-1] == "test_data/t2.jpg"
    assert Counter(split_of(found)) == {"train": 8, "val": 2, "unlabeled": 2, "test": 3}
    assert found.labels["class"].tolist() == [[1, 0]] * 5 + [[0, 1]] * 5 + [[-1, -1]] * 2 + [[1, 0], [0, 1], [-1, -1]]
    assert found.where(3) == ("train/train_label", 5)
    assert found.where(13) == ("test_data/test_meta.txt", 3)


def test_one_labelled_image_in_five_of_each_class_validates():
    labels = np.repeat([0, 1, 2, 3, -1], [5, 10, 2, 3, 4])
    keys = np.random.default_rng(0).permutation(len(labels)).astype(np.uint64)
    chosen = loader.validation_rows(labels, keys)
    assert Counter(labels[chosen].tolist()) == {0: 1, 1: 2, 3: 1}
    for name in (0, 1, 3):
        mine = np.flatnonzero(labels == name)
        taken = np.intersect1d(mine, chosen)
        assert set(taken) == set(mine[np.argsort(keys[mine])][: len(taken)])
    assert len(loader.validation_rows(np.full(3, -1), keys[:3])) == 0


def test_validation_depends_on_names_and_not_on_their_order(tmp_path):
    first, _ = read(make(tmp_path / "a"))
    root = make(tmp_path / "b")
    lines = (root / "train" / "train_label").read_text().splitlines(keepends=True)
    (root / "train" / "train_label").write_text("".join([lines[0], *reversed(lines[1:])]))
    second, _ = read(root)
    assert dict(zip(first.paths, split_of(first), strict=True)) == dict(zip(second.paths, split_of(second), strict=True))


@pytest.mark.parametrize("header", [HEADER, "", "\ufeff" + HEADER])
def test_a_header_may_be_missing_and_blanks_may_stand_for_tabs(tmp_path, header):
    root = make(tmp_path / "naver", header=header)
    path = root / "test_data" / "test_meta.txt"
    path.write_text(path.read_text().replace("\t", "  ") + "\n")
    found, problems = read(root)
    assert problems == []
    assert len(found) == 15


def test_test_images_may_lie_under_test(tmp_path):
    root = make(tmp_path / "naver")
    (root / "test").mkdir()
    (root / "test_data").rename(root / "test" / "test_data")
    found, _ = read(root)
    assert found.paths[-1] == "test/test_data/t2.jpg"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3\tx\ta3.jpg", "'3\\tx\\ta3.jpg', expected instance_id, label (-1 or a class) and file_name"),
        ("3\t-2\ta3.jpg", "'3\\t-2\\ta3.jpg', expected instance_id, label (-1 or a class) and file_name"),
        ("3\t1", "'3\\t1', expected instance_id, label (-1 or a class) and file_name"),
        ("3\t1\ta0.jpg", "train/train_data/a0.jpg is listed twice, first in line 2"),
        ("3\t1\t../../etc/passwd", "'../../etc/passwd' leads out of the data set's folder"),
    ],
)
def test_a_damaged_line_is_named_and_its_row_left_out(tmp_path, line, message):
    root = make(tmp_path / "naver")
    lines = (root / "train" / "train_label").read_text().splitlines()
    lines[4] = line
    (root / "train" / "train_label").write_text("\n".join(lines) + "\n")
    found, problems = read(root)
    assert problems == [f"train/train_label:5: {message}"]
    assert len(found) == 14


def test_hidden_labels_are_known_and_no_split_changes(tmp_path):
    plain, _ = read(make(tmp_path / "a"))
    root = make(tmp_path / "b")
    (root / "train" / "hidden_label").write_text(HEADER + "".join(rows([0] * 5 + [1] * 5 + [1, 0], "a")))
    found, problems = read(root)
    assert problems == []
    assert np.array_equal(found.splits, plain.splits)
    assert found.labels["class"][10:12].tolist() == [[0, 1], [1, 0]]
    others = np.delete(np.arange(15), [10, 11])
    assert np.array_equal(found.labels["class"][others], plain.labels["class"][others])


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A small one in the place of the real files: of each class up to five pictures are labelled."""
    root = tmp_path_factory.mktemp("data")
    render(root / "naver", "naver", num={"train": 600, "test": 60}, long_side=32, seed=0)
    return root


def test_the_stand_in_is_read_without_a_problem(stand_in):
    found, problems = read(stand_in / "naver")
    assert problems == []
    counts = Counter(split_of(found))
    assert counts["train"] + counts["val"] + counts["unlabeled"] == 600
    assert counts["test"] == 60
    classes = found.labels["class"].argmax(1)
    assert bool((found.labels["class"] == 1).any(1).all())  # hidden labels too
    known = np.bincount(classes[np.isin(found.splits, (SPLITS.index("train"), SPLITS.index("val")))])
    assert known.max() == 5
    assert np.median(known) == 5


def test_the_stand_in_shows_no_hidden_label(stand_in, tmp_path):
    opened = open_dataset("naver", DataOptions(stand_in, tmp_path / "cache"))
    data = opened.training(image_size=32, label_fraction=1.0, unlabeled=float("inf"), seed=0)
    assert dict(data.unlabeled.labels) == {}
    assert opened.examples("unlabeled", image_size=32).labels == {}
    assert len(data.unlabeled) > 2 * len(data.labeled)
    listed = (stand_in / "naver" / "train" / "train_label").read_text().splitlines()[1:]
    labels = np.array([int(line.split("\t")[1]) for line in listed])
    assert (labels >= 0).sum() == len(data.labeled) + len(data.validation)


def test_the_stand_ins_of_the_presets_have_the_papers_ratios():
    """About four labels a class beside one for validation, and at least 50 unlabelled images for each of the four."""
    from datasets.runway.layouts import naver as layout

    for settings in loader.STANDIN.values():
        labeled = layout.LABELED * len(layout.CLASSES)
        assert settings["num"]["train"] - labeled >= 50 * 0.8 * labeled
        assert settings["num"]["test"] >= 800
