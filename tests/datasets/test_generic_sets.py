"""The three sets of one type with labels of a crowd, and what they share."""

import csv
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bench import registry
from bench.protocol import BadDataError
from datasets import _crowd
from datasets._open import open_dataset
from datasets._schema import Problems
from datasets.runway import render, vocabulary
from datasets.runway.stand_in import layout_module

NAMES = ("vest_neck_style", "phone_case_pattern", "apron_food_bib_pattern")
HEADER = "file_name,answer_1,answer_2,answer_3,marketplace\n"
TRAIN = "a.jpg,v neck,lapel,v neck,MX\nb.jpg,v neck,lapel,hooded,US\nc.jpg,other,other,other,\nd.jpg,,lapel,,BR\n"


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def read(root, name="vest_neck_style"):
    problems = Problems()
    found = registry.load("datasets", name).read(root, problems)
    assert [str(problem) for problem in problems.found] == []
    return found


def rows(found):
    """path -> split and class; None where it is unknown."""
    classes, labels = found.schema["class"].classes, found.labels["class"]
    marks = [classes[values.argmax()] if values.max() == 1 else None for values in labels]
    return {path: (int(split), mark) for path, split, mark in zip(found.paths, found.splits, marks, strict=True)}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (("a", "a", "b"), "a"),
        (("b", "a", "a"), "a"),
        (("a", "a", "a"), "a"),
        (("a", "b", "c"), ""),
        (("a", "", ""), ""),
        (("a", "", "a"), "a"),
        (("a", "b", "a", "b"), ""),
        (("", "", "", ""), ""),
        ((), ""),
    ],
)
def test_majority(answers, expected):
    assert _crowd.majority(answers) == expected


@pytest.mark.parametrize("name", NAMES)
def test_answers_become_labels_and_discord_joins_the_unlabelled(tmp_path, name):
    files = {"train/metadata.csv": HEADER + TRAIN, "val/metadata.csv": HEADER + "e.jpg,lapel,lapel,other,US\nf.jpg,other,lapel,v neck,US\n"}
    found = read(write(tmp_path, {**files, "test/metadata.csv": HEADER + "g.jpg,other,other,lapel,MX\n"}), name)
    assert [(kind.name, kind.classes, kind.exclusive) for kind in found.schema] == [("class", ("lapel", "other", "v neck"), True)]
    assert rows(found) == {
        "train/a.jpg": (0, "v neck"),
        "train/b.jpg": (3, None),
        "train/c.jpg": (0, "other"),
        "train/d.jpg": (3, None),
        "val/e.jpg": (1, "lapel"),
        "val/f.jpg": (1, None),
        "test/g.jpg": (2, "other"),
    }


def test_a_class_that_is_filled_in_counts_more_than_answers(tmp_path):
    text = "file_name,class,answer_1,answer_2,answer_3\na.jpg,lapel,other,other,other\nb.jpg,,other,other,lapel\n"
    found = read(write(tmp_path, {"train/metadata.csv": text, "val/metadata.csv": text, "test/metadata.csv": text}))
    assert rows(found)["train/a.jpg"] == (0, "lapel")
    assert rows(found)["train/b.jpg"] == (0, "other")


def test_a_folder_per_class(tmp_path, make_photo):
    for split in ("train", "val", "test"):
        for name in ("lapel", "other"):
            make_photo(tmp_path / split / name / "1.jpg", 1)
    make_photo(tmp_path / "unlabeled/2.jpg", 2)
    assert rows(read(tmp_path))["val/lapel/1.jpg"] == (1, "lapel")
    assert rows(read(tmp_path))["unlabeled/2.jpg"] == (3, None)


def test_neither_class_nor_answers(tmp_path):
    text = "file_name,marketplace,colour\na.jpg,MX,red\n"
    with pytest.raises(BadDataError, match="type 'class' reads column 'class', but there are marketplace, colour"):
        read(write(tmp_path, {"train/metadata.csv": text}))


def test_marketplaces_by_path(tmp_path):
    files = {"train/metadata.csv": HEADER + TRAIN, "test/metadata.csv": HEADER + "g.jpg,other,other,lapel,MX\n"}
    found = registry.load("datasets", "vest_neck_style").groups(write(tmp_path, files))
    assert found == {"marketplace": {"train/a.jpg": "MX", "train/b.jpg": "US", "train/d.jpg": "BR", "test/g.jpg": "MX"}}


@pytest.mark.parametrize("name", NAMES)
def test_the_stand_in(tmp_path, options, monkeypatch, name):
    small = {"tiny": {"layout": name, "num": {"train": 80, "val": 20, "test": 60, "unlabeled": 90}, "long_side": 32, "seed": 0}}
    real = registry.entry("datasets", name)
    monkeypatch.setattr(registry, "entry", lambda kind, key: replace(real, constants={**real.constants, "STANDIN": small}))
    opened = open_dataset(name, replace(options, data="synthetic"))
    assert opened.problems == ()
    assert "other" in opened.schema["class"].classes
    assert opened.num_images["train"] + opened.num_images["unlabeled"] == 170
    assert 70 <= opened.num_images["train"] <= 80
    test = opened.annotations.labels["class"][opened.annotations.splits == 2]
    assert np.array_equal((test == 1).sum(0), [60 // test.shape[1]] * test.shape[1])  # as many of each class


@pytest.mark.parametrize("name", NAMES)
def test_the_pool_reaches_four_times_the_training_images_at_every_fraction(name):
    classes = vocabulary.weights(layout_module(name).CLASSES)[0]
    for preset in ("tiny", "paper"):
        num = registry.entry("datasets", name).constants["STANDIN"][preset]["num"]
        assert num["unlabeled"] >= 4 * num["train"]
        assert num["test"] % len(classes) == 0


@pytest.mark.parametrize("name", NAMES)
def test_three_people_answer_mostly_alike(tmp_path, name):
    render(tmp_path / "x", name, num={"train": 300}, long_side=32, seed=0)
    with (tmp_path / "x/train/metadata.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    agree = Counter(len({row[f"answer_{k}"] for k in (1, 2, 3)}) for row in found)
    assert 0.55 < agree[1] / len(found) < 0.85
    assert 0 < agree[3] / len(found) < 0.08
    assert set(Counter(row["marketplace"] for row in found)) == {"US", "UK", "DE", "MX", "JP", "BR"}


def test_groups_of_a_split_are_in_the_order_of_its_examples(tmp_path, options, monkeypatch):
    name = "phone_case_pattern"
    small = {"tiny": {"layout": name, "num": {"train": 40, "val": 10, "test": 30, "unlabeled": 20}, "long_side": 32, "seed": 0}}
    real = registry.entry("datasets", name)
    monkeypatch.setattr(registry, "entry", lambda kind, key: replace(real, constants={**real.constants, "STANDIN": small}))
    opened = open_dataset(name, replace(options, data="synthetic"))
    examples = opened.examples("test", image_size=32)
    found = opened.groups(examples)["marketplace"]
    by_path = registry.load("datasets", name).groups(opened._root)["marketplace"]
    assert found == [by_path[opened.annotations.paths[row]] for row in examples.rows]
    assert len(set(found)) > 2
