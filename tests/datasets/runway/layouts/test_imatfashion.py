"""The files are read here by a small reader of the public format, which knows nothing of the writer."""

import csv
import io
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from datasets.runway import render

_NUM = {"train": 500, "val": 40, "test": 120}
_MAP = "iMat_fashion_2018_label_map_228.csv"
_OFFICIAL_TASKS = {1: "category", 2: "color", 3: "gender", 4: "material", 5: "neckline", 6: "pattern", 8: "sleeve", 9: "style"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("imatfashion")
    render(folder, "imatfashion", num=_NUM, long_side=48, seed=0)
    return folder


@pytest.fixture(scope="module")
def names(root) -> dict[str, tuple[str, str]]:
    """Label id -> task and label."""
    text = (root / _MAP).read_bytes().decode()
    assert text.count("\r\n") == text.count("\n")
    return {row["labelId"]: (row["taskName"], row["labelName"]) for row in csv.DictReader(io.StringIO(text, newline=""))}


def _labels(root: Path, file: str) -> dict[str, list[str]]:
    found = json.loads((root / file).read_text())
    assert [row["imageId"] for row in found["images"]] == [row["imageId"] for row in found["annotations"]]
    return {row["imageId"]: row["labelId"] for row in found["annotations"]}


def test_the_label_map_has_the_eight_tasks_with_their_numbers(root, names):
    with (root / _MAP).open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["labelId", "taskId", "labelName", "taskName"]
    assert {int(row[1]): row[3] for row in rows[1:]} == _OFFICIAL_TASKS
    ids = [int(row[0]) for row in rows[1:]]
    assert ids == sorted(set(ids))
    assert max(ids) <= 228
    assert names["89"] == ("category", "Hosiery, Stockings, Tights")
    assert b'"Hosiery, Stockings, Tights"' in (root / _MAP).read_bytes()


def test_every_image_is_there_once(root):
    train, validation = _labels(root, "train.json"), _labels(root, "validation.json")
    assert (len(train), len(validation)) == (540, 120)
    assert not train.keys() & validation.keys()
    assert {path.stem for path in (root / "images").glob("*.jpg")} == train.keys() | validation.keys()


def test_labels_are_known_sparse_and_several_of_a_task(root, names):
    rows = [Counter(names[label][0] for label in labels) for labels in _labels(root, "train.json").values()]
    for task in _OFFICIAL_TASKS.values():
        seen = sum(row[task] > 0 for row in rows) / len(rows)
        assert 0.15 < seen < 0.99, task
    assert any(row["category"] > 1 for row in rows)
    assert any(row["color"] > 1 for row in rows)
    assert 3 < sum(sum(row.values()) for row in rows) / len(rows) < 9


def test_labels_are_long_tailed_and_no_class_rules(root, names):
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for labels in _labels(root, "train.json").values():
        for label in labels:
            counts[names[label][0]][names[label][1]] += 1
    for task, found in counts.items():
        ranked = [count for _, count in found.most_common()]
        assert ranked[0] < 0.75 * sum(ranked), task
        assert ranked[0] > 2 * ranked[-1], task


def test_the_five_shared_patterns_occur(root, names):
    counts = Counter(names[label][1] for labels in _labels(root, "train.json").values() for label in labels)
    assert all(counts[name] >= 8 for name in ("Floral", "Stripes", "Polka Dot", "Checkered", "Leopard And Cheetah"))
