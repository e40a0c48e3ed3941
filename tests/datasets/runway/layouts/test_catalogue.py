"""The files are read here by a small reader of image folders, which knows nothing of the writer."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from datasets.runway import render, vocabulary

_NUM = {"train": 500, "val": 40, "test": 160, "unlabeled": 30}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    render(folder, "catalogue", num=_NUM, long_side=48, seed=0)
    return folder


def _read(root: Path, split: str) -> list[dict[str, str]]:
    with (root / split / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _types(root: Path) -> dict:
    return json.loads((root / "attributes.json").read_text())["attribute_types"]


@pytest.mark.parametrize("split", _NUM)
def test_each_split_lists_exactly_its_photos(root, split):
    names = [row["file_name"] for row in _read(root, split)]
    assert len(names) == _NUM[split]
    assert set(names) == {path.name for path in (root / split).glob("*.jpg")}


def test_unlabelled_photos_carry_no_labels(root):
    assert set(_read(root, "unlabeled")[0]) == {"file_name"}


def test_an_absent_split_leaves_no_folder(tmp_path):
    render(tmp_path, "catalogue", num={"train": 3}, long_side=40, seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attributes.json", "runway.json", "train"]


def test_cells_hold_known_values_and_one_type_holds_several(root):
    types = _types(root)
    assert {kind["kind"] for kind in types.values()} == {"single", "multi"}
    assert set(vocabulary.SHARED_PATTERNS) <= set(types["pattern"]["values"])
    for row in _read(root, "train"):
        assert list(row) == ["file_name", *types]
        for name, kind in types.items():
            values = [value for value in row[name].split("|") if value]
            assert set(values) <= set(kind["values"])
            assert len(set(values)) == len(values)
            assert kind["kind"] == "multi" or len(values) <= 1
    assert any("|" in row["details"] for row in _read(root, "train"))


def test_counts_in_attributes_json_are_those_of_the_files(root):
    rows = [row for split in ("train", "val", "test") for row in _read(root, split)]
    for name, kind in _types(root).items():
        counts = Counter(value for row in rows for value in row[name].split("|") if value)
        assert {value: count for value, count in kind["counts"].items() if count} == counts
        assert kind["rows_with_a_value"] == sum(bool(row[name]) for row in rows)


def test_labels_are_long_tailed_and_no_class_rules(root):
    for name in _types(root):
        ranked = [count for _, count in Counter(v for row in _read(root, "train") for v in row[name].split("|") if v).most_common()]
        assert ranked[0] < 0.6 * sum(ranked)
        assert ranked[0] > 2 * ranked[-1]
