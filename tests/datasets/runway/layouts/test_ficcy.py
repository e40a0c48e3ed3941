import csv
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from datasets.runway import render
from datasets.runway.garment import sample_garment
from datasets.runway.layouts import ficcy
from datasets.runway.photo import take_photo

_NUM = {"train": 500, "val": 40, "test": 60, "unlabeled": 20}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ficcy")
    render(folder, "ficcy", num=_NUM, long_side=48, seed=0)
    return folder


def _read(root: Path, split: str) -> list[dict[str, str]]:
    with (root / split / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("split", _NUM)
def test_each_split_lists_exactly_its_photos(root, split):
    rows = _read(root, split)
    assert len(rows) == _NUM[split]
    assert {row["file_name"] for row in rows} == {path.name for path in (root / split).glob("*.jpg")}
    assert list(rows[0]) == ["file_name"] + ([] if split == "unlabeled" else ["category", "color", "pattern", "texture"])


def test_cells_hold_listed_values_and_colours_may_be_two(root):
    types = json.loads((root / "attributes.json").read_text())["attribute_types"]
    for row in _read(root, "train"):
        for name, kind in types.items():
            values = [value for value in row[name].split("|") if value]
            assert set(values) <= set(kind["values"])
            assert kind["kind"] == "multi" or len(values) <= 1
    assert any("|" in row["color"] for row in _read(root, "train"))
    assert {"flower", "stripe", "dot", "check", "leopard"} <= set(types["pattern"]["values"])


def test_labels_are_sparse_and_long_tailed(root):
    rows = _read(root, "train")
    for name in ficcy.KINDS:
        assert 0.4 < sum(bool(row[name]) for row in rows) / len(rows) < 0.995
        ranked = [count for _, count in Counter(value for row in rows for value in row[name].split("|") if value).most_common()]
        assert ranked[0] < 0.6 * sum(ranked)
        assert ranked[0] > 2 * ranked[-1]


def test_sellers_and_wearers_take_their_shares_of_the_photos():
    """Each photo is one that its domain takes, byte for byte."""
    garment = sample_garment(random.Random(0), "tee 1")
    sellers = 0
    for k in range(40):
        taken = ficcy.take(garment, 40, f"{k}").jpeg
        both = [take_photo(garment, domain, 40, f"{k}").jpeg for domain in (ficcy.SELLER, ficcy.WEARER)]
        assert both[0] != both[1]
        sellers += both.index(taken) == 0
    assert 0.4 < sellers / 40 < 0.8
    assert not set(ficcy.SELLER.backgrounds.split()[::2]) & set(ficcy.WEARER.backgrounds.split()[::2])
