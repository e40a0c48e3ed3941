"""What is held out of train for want of val or test, in whole groups."""

import json
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol import BadDataError
from datasets import folder as loader
from datasets._held_out import HELD_OUT, held_out
from datasets._schema import Problems, image_keys

TRAIN, VAL, TEST = range(3)


def read(root, rows, described):
    """Splits by path, and the schema, of a table whose rows are file_name, sku, colour."""
    root.mkdir(exist_ok=True)
    (root / "metadata.csv").write_text("file_name,sku,colour\n" + "".join(f"{','.join(row)}\n" for row in rows))
    (root / "attributes.json").write_text(json.dumps(described))
    problems = Problems()
    found = loader.read(root, problems)
    assert problems.count == 0
    return dict(zip(found.paths, found.splits.tolist(), strict=True)), found.schema


def read_files(root, files):
    """What is read of a catalogue of these files, and the problems."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    problems = Problems()
    return loader.read(root, problems), [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    "described",
    [
        {"group": "sku"},
        {"group": "sku", "attribute_types": {"colour": {"kind": "single"}}},
        {"group": "sku", "colour": {"kind": "single"}},
    ],
)
def test_photos_of_one_item_stay_in_one_split(tmp_path, described):
    rows = [(f"{i}.jpg", f"item {i // 4}" if i < 160 else "", "red" if i % 3 else "blue") for i in range(200)]
    splits, schema = read(tmp_path / "a", rows, described)
    assert schema.names == ("colour",)
    by_group = defaultdict(set)
    for path, sku, _ in rows:
        by_group[sku or path].add(splits[path])
    assert all(len(found) == 1 for found in by_group.values())
    counts = np.bincount(list(splits.values()), minlength=3)
    assert np.abs(counts[[VAL, TEST]] - HELD_OUT * 200).max() <= 2
    moved, _ = read(tmp_path / "b", [(f"again/{path}" if sku else path, sku, colour) for path, sku, colour in rows], described)
    assert {moved[f"again/{path}" if sku else path] == splits[path] for path, sku, _ in rows} == {True}  # the value is hashed, not the path


def test_a_type_may_still_be_called_group(tmp_path):
    rows = [(f"{i}.jpg", f"item {i // 4}", "red" if i % 3 else "blue") for i in range(20)]
    _, schema = read(tmp_path, rows, {"group": {"kind": "single", "column": "colour"}})
    assert schema.names == ("group",)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"group": "item"}, "attributes.json: group is column 'item', but there are sku, colour"),
        ({"group": 3, "attribute_types": {"colour": {}}}, "attributes.json: group is 3, expected the name of a column"),
        (
            {"group": "colour", "attribute_types": {"sku": {}}},
            ".: 2 labelled training groups of 'colour' are too few to hold validation and test",
        ),
    ],
)
def test_groups_that_cannot_serve(tmp_path, described, message):
    rows = [(f"{i}.jpg", f"item {i // 4}", "red" if i % 3 else "blue") for i in range(20)]
    with pytest.raises(BadDataError) as caught:
        read(tmp_path, rows, described)
    assert str(caught.value).startswith(message)


@given(st.lists(st.integers(0, 40), min_size=3, max_size=120), st.sets(st.sampled_from([VAL, TEST])))
def test_whole_groups_near_the_share(groups, given):
    units = [f"group {group}" for group in groups] + [f"given {split}" for split in given]
    before = np.array([TRAIN] * len(groups) + sorted(given), np.int8)
    absent = {VAL, TEST} - given
    if len(set(groups)) <= len(absent):
        with pytest.raises(BadDataError, match="too few to hold") if absent else pytest.raises(AssertionError):
            held_out(units, before.copy(), Problems())
            raise AssertionError
        return
    after = held_out(units, before.copy(), Problems())
    where = defaultdict(set)
    for unit, split in zip(units, after.tolist(), strict=True):
        where[unit].add(split)
    assert all(len(found) == 1 for found in where.values())
    assert set(after.tolist()) >= {TRAIN, VAL, TEST} - given
    largest = max(groups.count(group) for group in groups)
    for split in absent:
        assert (after == split).sum() <= max(HELD_OUT * len(groups) + largest, 1)


def test_single_images_are_taken_by_their_hash_as_ever():
    paths = [f"{i}.jpg" for i in range(101)]
    order = np.argsort(image_keys(paths))
    found = held_out(paths, np.zeros(101, np.int8), Problems())
    assert found[order].tolist() == [VAL] * 15 + [TRAIN] * 71 + [TEST] * 15


def test_a_group_that_is_too_large_is_passed_over():
    units = ["large"] * 80 + [f"{i}.jpg" for i in range(20)]
    found = held_out(units, np.zeros(100, np.int8), Problems())
    assert set(found[:80].tolist()) == {TRAIN}
    assert np.bincount(found).tolist()[1] == 15


def test_missing_val_and_test_are_lent_by_train(tmp_path):
    found, problems = read_files(tmp_path, {f"{name}/{i}.jpg": "" for name in ("dress", "shirt") for i in range(50)})
    assert problems == []
    splits = found.splits
    assert [(splits == index).sum() for index in range(4)] == [70, 15, 15, 0]
    keys = image_keys(found.paths)
    assert keys[splits == 1].max() < keys[splits == 0].min() <= keys[splits == 0].max() < keys[splits == 2].min()


@pytest.mark.parametrize(("num", "given"), [(1, ""), (2, ""), (1, "t.jpg,test,red\n"), (1, "v.jpg,val,red\n")])
def test_too_few_images_to_hold_some_out_are_refused(tmp_path, num, given):
    table = "file_name,split,color\n" + "".join(f"{i}.jpg,train,red\n" for i in range(num)) + given
    with pytest.raises(BadDataError) as caught:
        read_files(tmp_path, {"metadata.csv": table})
    wanted, least = {"": ("validation and test", 3), "t": ("validation", 2), "v": ("test", 2)}[given[:1]]
    assert str(caught.value) == f".: {num} labelled training images are too few to hold {wanted} images out; label {least} or more"
    found, _ = read_files(tmp_path, {"metadata.csv": f"{table}" + "".join(f"more{i}.jpg,train,red\n" for i in range(least - num))})
    assert sorted(found.splits.tolist())[:3] == [0, 1, 2]


def test_only_val_is_lent_where_test_is_there(tmp_path):
    lines = "".join(f"{i}.jpg,{'test' if i < 10 else 'train'},{i % 2}\n" for i in range(50))
    found, _ = read_files(tmp_path, {"metadata.csv": "file_name,split,color\n" + lines})
    assert [(found.splits == index).sum() for index in range(3)] == [34, 6, 10]
    assert all(found.splits[found.paths.index(f"{i}.jpg")] == 2 for i in range(10))


ITEMS = [(f"{i}.jpg", "" if i % 10 == 9 else f"item {i // 4}", "red" if i % 3 else "blue") for i in range(200)]


@pytest.mark.parametrize("layout", ["empty cells", "a column split", "folders"])
def test_no_unlabelled_image_shares_its_group_with_val_or_test(tmp_path, layout):
    """Every other image is unlabelled, and every fifth of them in no group."""
    labels = [colour if i % 2 == 0 else "" for i, (_, _, colour) in enumerate(ITEMS)]
    if layout == "folders":
        header, parts = "file_name,sku,colour\n", {"train": "", "unlabeled": ""}
        for i, (path, sku, _) in enumerate(ITEMS):
            parts["unlabeled" if i % 2 else "train"] += f"{path},{sku},{labels[i] or 'strange'}\n"
        files = {f"{split}/metadata.csv": header + text for split, text in parts.items()}
    else:
        split = ["unlabeled" if i % 2 and layout == "a column split" else "" for i in range(200)]
        lines = [f"{path},{split[i]},{sku},{labels[i] or split[i]}\n" for i, (path, sku, _) in enumerate(ITEMS)]
        files = {"metadata.csv": "file_name,split,sku,colour\n" + "".join(lines)}
    for name, text in (files | {"attributes.json": json.dumps({"group": "sku"})}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    problems = Problems()
    found = loader.read(tmp_path, problems)
    assert [kind.classes for kind in found.schema] == [("blue", "red")]  # what an unlabelled row says is no label
    group = {path: sku or path for path, sku, _ in ITEMS}
    where = defaultdict(set)
    for path, one in zip(found.paths, found.splits.tolist(), strict=True):
        where[group[path.rpartition("/")[2]]].add(one)
    assert set(map(frozenset, where.values())) <= {frozenset(each) for each in ((0,), (1,), (2,), (3,), (0, 3))}
    assert sum(each == {3} for each in where.values()) == 20  # those in no group stay
    left = 200 - len(found)
    assert 20 < left < 50
    assert (problems.count, problems.notes) == (0, [f"{left} unlabelled images left out: others of their 'sku' are in val or test"])


def test_splits_that_are_given_leave_unlabelled_images_as_they_are(tmp_path):
    lines = "".join(f"{i}.jpg,{('train', 'val', 'test', 'unlabeled')[i % 4]},item {i // 8},{i % 3}\n" for i in range(80))
    files = {"metadata.csv": "file_name,split,sku,colour\n" + lines, "attributes.json": json.dumps({"group": "sku"})}
    found, problems = read_files(tmp_path, files)
    assert (problems, np.bincount(found.splits).tolist()) == ([], [20, 20, 20, 20])
