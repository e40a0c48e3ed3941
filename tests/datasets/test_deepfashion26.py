import numpy as np
import pytest

from bench.protocol import BadDataError
from datasets import deepfashion26 as loader
from datasets._open import open_dataset
from datasets._schema import Problems

GROUPS = {"texture": 7, "sleeve": 3, "length": 3, "neckline": 4, "fabric": 6, "fit": 3}
CLASSES = {"train": [(5, 0, 2, 0, 2, 2), (0, 1, 1, 3, 5, 0), (6, 2, 0, 2, 3, 1)], "val": [(1, 1, 1, 1, 1, 1)], "test": [(2, 0, 0, 0, 0, 0)]}


def marks(classes):
    return " ".join(str(int(place == value)) for value, size in zip(classes, GROUPS.values(), strict=True) for place in range(size))


class Fine:
    """The official release: Anno_fine, 26 marks a row."""

    folder, images = "Anno_fine", "Img/"

    def __init__(self, root):
        self.root = root
        for split, rows in CLASSES.items():
            self.write(f"{split}.txt", [f"img/{split}/img_{k:08d}.jpg" for k in range(len(rows))])
            self.write(f"{split}_attr.txt", [self.attributes(classes) for classes in rows])
            self.write(f"{split}_bbox.txt", ["062 007 165 300" for _ in rows])
        (root / self.images / "img").mkdir(parents=True)

    def attributes(self, classes):
        return marks(classes)

    def write(self, name, lines):
        path = self.root / self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")

    def lines(self, name):
        return (self.root / self.folder / name).read_text().splitlines()


class Challenge(Fine):
    """The challenge's copy: split/, six class numbers a row, no labels for test."""

    folder, images = "split", ""

    def __init__(self, root):
        super().__init__(root)
        (root / "split/test_attr.txt").unlink()

    def attributes(self, classes):
        return " ".join(map(str, classes))


def read(root):
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


@pytest.mark.parametrize("variant", [Fine, Challenge])
def test_everything_the_lists_say(tmp_path, variant):
    found, problems = read(variant(tmp_path).root)
    assert problems == []
    assert {kind.name: len(kind.classes) for kind in found.schema} == GROUPS
    assert all(kind.exclusive for kind in found.schema)
    assert found.schema["texture"].classes[-2:] == ("solid", "lattice")
    assert found.folder == variant.images.rstrip("/")
    assert found.paths[:2] == ["img/train/img_00000000.jpg", "img/train/img_00000001.jpg"]
    assert found.splits.tolist() == [0, 0, 0, 1, 2]
    for column, name in enumerate(GROUPS):
        labels = found.labels[name]
        assert labels[:4].argmax(1).tolist() == [classes[column] for split in ("train", "val") for classes in CLASSES[split]]
        assert (labels[:4].sum(1) == 1).all()
        expected = [-1] * GROUPS[name] if variant is Challenge else np.eye(GROUPS[name], dtype=int)[CLASSES["test"][0][column]].tolist()
        assert labels[4].tolist() == expected
    assert found.boxes.tolist() == [[61, 6, 165, 300]] * 5
    assert found.where(3) == (f"{variant.folder}/val.txt", 1)


def test_boxes_that_hold_a_zero_count_from_zero(tmp_path):
    made = Fine(tmp_path)
    made.write("val_bbox.txt", ["000 007 165 300"])
    assert read(made.root)[0].boxes[:1].tolist() == [[62, 7, 166, 301]]


def test_header_lines_and_paths_before_the_values(tmp_path):
    made = Challenge(tmp_path)
    paths = made.lines("train.txt")
    made.write("train.txt", ["3", "image_name", *paths])
    made.write(
        "train_attr.txt",
        ["image_name a b c d e f", *(f"{path} {line}" for path, line in zip(paths, made.lines("train_attr.txt"), strict=True))],
    )
    made.write("train_bbox.txt", ["3", "image_name x_1 y_1 x_2 y_2", *(f"{path}  062 007 165 300" for path in paths)])
    found, problems = read(made.root)
    assert problems == []
    assert found.paths[:3] == paths
    assert found.labels["texture"][:3].argmax(1).tolist() == [5, 0, 6]
    assert found.where(0) == ("split/train.txt", 3)


def test_groups_without_a_mark_are_unknown(tmp_path):
    made = Fine(tmp_path)
    made.write("val_attr.txt", ["0 0 0 0 0 0 0 " + marks(CLASSES["val"][0])[14:]])
    found, problems = read(made.root)
    assert problems == []
    assert found.labels["texture"][3].tolist() == [-1] * 7
    assert found.labels["sleeve"][3].tolist() == [0, 1, 0]


FINE = marks(CLASSES["train"][1])


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("train_attr.txt", FINE.replace("1", "0", 1).replace("0 0", "1 1", 1), "texture is floral, graphic, expected one of them"),
        ("train_attr.txt", FINE[2:], "25 values, expected 26 of 0 and 1 or the 6 classes of the groups"),
        ("train_attr.txt", "2" + FINE[1:], "texture is 2 0 0 0 0 0 0, expected 0 and 1"),
        ("train_attr.txt", "5 3 2 0 2 2", "sleeve is 3, expected 0 to 2"),
        ("train_attr.txt", "5 0 2 0 2 x", "'5 0 2 0 2 x', expected integers"),
        ("train_attr.txt", "img/other.jpg 5 0 2 0 2 2", "img/other.jpg, but this row belongs to img/train/img_00000001.jpg"),
        ("train_bbox.txt", "062 007 165", "'62 7 165', expected x1 y1 x2 y2"),
        ("train.txt", "img/train/img_00000000.jpg", "img/train/img_00000000.jpg is listed twice, first in Anno_fine/train.txt:1"),
        ("train.txt", "../x.jpg", "'../x.jpg' leads out of the data set's folder"),
        ("train.txt", "img/a.jpg 5", "'img/a.jpg 5', expected one path"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, name, line, message):
    made = Fine(tmp_path)
    lines = made.lines(name)
    made.write(name, [lines[0], line, *lines[2:]])
    found, problems = read(made.root)
    assert problems == [f"Anno_fine/{name}:2: {message}"]
    assert found.paths == [path for k, path in enumerate(self_paths()) if k != 1]
    assert found.labels["texture"].argmax(1).tolist() == [5, 6, 1, 2]


def self_paths():
    return [f"img/{split}/img_{k:08d}.jpg" for split, rows in CLASSES.items() for k in range(len(rows))]


@pytest.mark.parametrize("name", ["train_attr.txt", "train_bbox.txt", "train.txt"])
def test_lists_of_other_lengths_cannot_be_aligned(tmp_path, name):
    made = Fine(tmp_path)
    made.write(name, made.lines(name)[:2])
    with pytest.raises(BadDataError, match=r"rows, but Anno_fine/train\.txt names . images; the lists belong together by row"):
        read(made.root)


@pytest.mark.parametrize("variant", [Fine, Challenge])
def test_it_opens(data_root, options, make_photo, variant):
    made = variant(data_root / "deepfashion26")
    for path in self_paths():
        make_photo(made.root / made.images / path, 1, width=200, height=320)
    opened = open_dataset("deepfashion26", options)
    assert opened.num_images == {"train": 3, "val": 1, "test": 1, "unlabeled": 0}
    data = opened.training(image_size=16, label_fraction=1.0, unlabeled=0, seed=0)
    assert data.labeled.labels["fit"].argmax(1).tolist() == [2, 0, 1]
    assert data.labeled.images(slice(None)).shape == (3, 16, 16, 3)


def test_labels_of_test_that_are_kept_back_are_noted(data_root, options):
    Challenge(data_root / "deepfashion26")
    assert open_dataset("deepfashion26", options).notes == ("none of the 1 images of test has a label; nothing can be measured on it",)
