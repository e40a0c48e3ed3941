"""The files are read here by a small reader of the public format, which knows nothing of the writer."""

import json
from collections import Counter
from pathlib import Path

import pytest

from datasets.runway import render, vocabulary

_NUM = {"train": 500, "val": 40, "test": 160}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("darn")
    render(folder, "darn", num=_NUM, long_side=48, seed=0)
    return folder


def _read(root: Path, split: str) -> list[dict[int, int]]:
    """Type -> value of each image of a split, by number."""
    images = (root / f"filenames_{split}.txt").read_text().splitlines()
    found: list[dict[int, int]] = [{} for _ in images]
    for line in (root / f"label_{split}.txt").read_text().splitlines():
        index, *pairs = map(int, line.split(" "))
        assert pairs
        assert len(pairs) % 2 == 0
        assert not found[index]
        found[index] = dict(zip(pairs[::2], pairs[1::2], strict=True))
        assert len(found[index]) == len(pairs) // 2
    return found


def test_meta_names_the_nine_types(root):
    meta = json.loads((root / "meta.json").read_text())
    assert meta["ATTRIBUTES"] == [
        "category", "button", "color", "length", "pattern", "shape", "collar shape", "sleeve length", "sleeve shape",
    ]  # fmt: skip
    for name in meta["ATTRIBUTES"]:
        values = meta["ATTRIBUTES_VALUES"][name]
        assert meta["ATTRIBUTES_NUM"][name] == len(values) == len(set(values))
        assert 4 <= len(values) <= 12
    assert set(vocabulary.SHARED_PATTERNS) <= set(meta["ATTRIBUTES_VALUES"]["pattern"])


def test_filenames_have_the_counts_asked_for_and_are_there(root):
    names = {split: (root / f"filenames_{split}.txt").read_text().splitlines() for split in ("train", "valid", "test")}
    assert {split: len(rows) for split, rows in names.items()} == {"train": 500, "valid": 40, "test": 160}
    listed = [name for rows in names.values() for name in rows]
    assert len(set(listed)) == len(listed)
    assert {str(path.relative_to(root)) for path in root.rglob("*.jpg")} == set(listed)
    assert all(name.startswith("pic/") for name in listed)


def test_values_are_in_range_often_missing_and_long_tailed(root):
    meta = json.loads((root / "meta.json").read_text())
    rows = _read(root, "train")
    for number, name in enumerate(meta["ATTRIBUTES"]):
        counts = Counter(row[number] for row in rows if number in row)
        assert min(counts) >= 0
        assert max(counts) < meta["ATTRIBUTES_NUM"][name]
        assert 0.4 < sum(counts.values()) / len(rows) < 0.99
        ranked = [count for _, count in counts.most_common()]
        assert ranked[0] < 0.6 * sum(ranked)
        assert ranked[0] > 2 * ranked[-1]


def test_shared_patterns_occur(root):
    meta = json.loads((root / "meta.json").read_text())
    pattern = meta["ATTRIBUTES"].index("pattern")
    counts = Counter(meta["ATTRIBUTES_VALUES"]["pattern"][row[pattern]] for row in _read(root, "train") if pattern in row)
    assert all(counts[name] >= 8 for name in vocabulary.SHARED_PATTERNS)


def test_sleeveless_clothes_have_no_sleeve_shape(root):
    """Up to the few slips that a label may hold."""
    meta = json.loads((root / "meta.json").read_text())
    length, shape = meta["ATTRIBUTES"].index("sleeve length"), meta["ATTRIBUTES"].index("sleeve shape")
    sleeveless = meta["ATTRIBUTES_VALUES"]["sleeve length"].index("sleeveless")
    rows = [row for split in ("train", "valid", "test") for row in _read(root, split)]
    bare = [row for row in rows if row.get(length) == sleeveless]
    assert len(bare) > 30
    assert sum(shape in row for row in bare) < 0.2 * len(bare)
