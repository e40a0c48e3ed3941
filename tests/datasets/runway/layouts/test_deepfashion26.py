"""The files are read here by a small reader of the public format, which knows nothing of the writer."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.runway import render

_NUM = {"train": 600, "val": 60, "test": 140}
GROUPS = {
    "texture": "floral graphic striped embroidered pleated solid lattice",
    "sleeve": "long_sleeve short_sleeve sleeveless",
    "length": "maxi_length mini_length no_dress",
    "neckline": "crew_neckline v_neckline square_neckline no_neckline",
    "fabric": "denim chiffon cotton leather faux knit",
    "fit": "tight loose conventional",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("deepfashion26")
    render(folder, "deepfashion26", num=_NUM, long_side=48, seed=0)
    return folder


def _list(root: Path, name: str) -> list[list[str]]:
    return [line.split() for line in (root / "Anno_fine" / name).read_text().splitlines()]


def _named(root: Path, split: str) -> list[list[str]]:
    """The names marked on each image."""
    names = " ".join(GROUPS.values()).split()
    rows = _list(root, f"{split}_attr.txt")
    assert all(len(row) == 26 for row in rows)
    return [[name for name, mark in zip(names, row, strict=True) if mark == "1"] for row in rows]


@pytest.mark.parametrize("split", _NUM)
def test_lists_are_aligned_and_complete(root, split):
    paths = _list(root, f"{split}.txt")
    assert all(len(row) == 1 and (root / "Img" / row[0]).is_file() for row in paths)
    assert len({row[0] for row in paths}) == len(paths) == _NUM[split]
    for ending, width in (("attr", 26), ("bbox", 4), ("cate", 1)):
        rows = _list(root, f"{split}_{ending}.txt")
        assert len(rows) == len(paths)
        assert {len(row) for row in rows} == {width}
        assert all(value.isdigit() for row in rows for value in row)


def test_every_image_has_one_attribute_of_each_group(root):
    for named in _named(root, "train"):
        for names in GROUPS.values():
            assert len(set(named) & set(names.split())) == 1


def test_naming_the_most_frequent_scores_as_in_the_original(root):
    """.5973 on the validation split of the challenge."""
    counts = Counter(name for named in _named(root, "train") for name in named)
    shares = [max(counts[name] for name in names.split()) / _NUM["train"] for names in GROUPS.values()]
    assert np.mean(shares) == pytest.approx(0.5973, abs=0.03)
    assert all(counts[name] >= 3 for names in GROUPS.values() for name in names.split())


def test_labels_agree_with_each_other(root):
    """A skirt has neither sleeves nor a neckline, a top no dress length; a few slips aside."""
    named = dict(zip([row[0].split("/")[1] + str(k) for k, row in enumerate(_list(root, "train.txt"))], _named(root, "train"), strict=True))
    skirts = [names for key, names in named.items() if key.startswith("Skirt")]
    tops = [names for key, names in named.items() if key.startswith(("Tee", "Tank", "Blouse"))]
    dresses = [names for key, names in named.items() if key.startswith("Dress")]
    assert np.mean(["no_neckline" in names and "sleeveless" in names for names in skirts]) > 0.9
    assert np.mean(["no_dress" in names for names in tops]) > 0.95
    assert np.mean(["no_dress" in names for names in dresses]) < 0.05


def test_boxes_lie_inside(root):
    for (path,), box in list(zip(_list(root, "test.txt"), _list(root, "test_bbox.txt"), strict=True))[:60]:
        height, width = cv2.imread(str(root / "Img" / path)).shape[:2]
        x1, y1, x2, y2 = map(int, box)
        assert 1 <= x1 < x2 <= width
        assert 1 <= y1 < y2 <= height
