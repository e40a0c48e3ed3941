"""The layouts of the three sets whose labels a crowd gave."""

import csv
import json
import random
from collections import Counter
from pathlib import Path

import pytest

from datasets.runway import render
from datasets.runway.layouts import _crowd
from datasets.runway.stand_in import layout_module

NAMES = ("vest_neck_style", "phone_case_pattern", "apron_food_bib_pattern")
_NUM = {"train": 600, "val": 10, "test": 60, "unlabeled": 30}


@pytest.fixture(scope="module", params=NAMES)
def root(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    render(folder, request.param, num=_NUM, long_side=32, seed=0)
    return folder


def _read(root: Path, split: str) -> list[dict[str, str]]:
    with (root / split / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _top(row: dict[str, str]) -> tuple[str, int]:
    return Counter(row[f"answer_{k}"] for k in (1, 2, 3)).most_common(1)[0]


def test_columns_and_classes(root):
    classes = json.loads((root / "attributes.json").read_text())["attribute_types"]["class"]["values"]
    assert len(classes) == len(set(classes)) >= 10
    assert "other" in classes
    rows = _read(root, "train")
    assert list(rows[0]) == ["file_name", "answer_1", "answer_2", "answer_3", "marketplace"]
    assert {row[f"answer_{k}"] for row in rows for k in (1, 2, 3)} == set(classes)
    assert list(_read(root, "unlabeled")[0]) == ["file_name"]


def test_train_is_long_tailed_and_the_test_split_uniform(root):
    train = Counter(name for name, votes in map(_top, _read(root, "train")) if votes > 1)
    ranked = [count for _, count in train.most_common()]
    assert ranked[0] > 4 * ranked[-1]
    assert ranked[0] < 0.4 * sum(ranked)
    test = [_top(row) for row in _read(root, "test")]
    assert all(votes > 1 for _, votes in test)
    counts = Counter(name for name, _ in test)
    assert set(counts.values()) == {60 // len(counts)}
    assert counts.keys() == train.keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_class_is_what_its_thing_is_labelled_with(name):
    module = layout_module(name)
    for split in ("train", "test"):
        for index in range(60):
            drawn = _crowd.draw_class(split, index, random.Random(f"{index}"), module.CLASSES)
            thing = module.sample(split, index, random.Random(f"{index}"))
            assert module._class_of(thing) == drawn


def test_people_are_right_as_often_as_said_and_mistake_what_is_alike():
    rng = random.Random(0)
    rows = [_crowd.ask("a", "a 5 b 3 c 1 d 1", {"a": "c"}, rng) for _ in range(4000)]
    counts = Counter(row[f"answer_{k}"] for row in rows for k in (1, 2, 3))
    assert abs(counts["a"] / 12000 - _crowd.RIGHT) < 0.01
    expected = (1 - _crowd.RIGHT) * (_crowd.TAKEN_FOR + (1 - _crowd.TAKEN_FOR) / 3)
    assert abs(counts["c"] / 12000 - expected) < 0.01
    assert set(_crowd.ask("d", "d 1 e 1", {}, rng).values()) - {"d", "e"} < set(_crowd.MARKETPLACES.split())
