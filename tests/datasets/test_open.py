import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import registry
from bench.protocol import BadDataError, NoDataError, Problem
from datasets import _index, _open
from datasets._open import check, describe, open_dataset
from datasets._splits import label_set

ROOT = Path(__file__).resolve().parents[2]


def refused(error, name, options):
    with pytest.raises(error) as caught:
        open_dataset(name, options)
    return str(caught.value)


def test_what_an_opened_data_set_says(deepfashion, options):
    opened, info = open_dataset("deepfashion", options), describe("deepfashion", options)
    assert (opened.name, opened.source) == ("deepfashion", "real") == (info.name, info.source)
    assert opened.num_images == info.num_images == {"train": 12, "val": 4, "test": 4, "unlabeled": 0}
    assert opened.schema == info.schema
    assert opened.schema.names == ("category", "texture", "fabric", "shape", "part", "style")
    assert opened.data_hash == info.data_hash
    assert opened.problems == ()


def test_training_data(deepfashion, options):
    opened = open_dataset("deepfashion", options)
    data = opened.training(image_size=16, label_fraction=0.25, unlabeled=1, seed=0)
    everything = opened.annotations
    train = np.flatnonzero(everything.splits == 0)
    positions, digest = opened.label_index(label_fraction=0.25, seed=0)
    expected = label_set({name: values[train] for name, values in everything.labels.items()}, 0.25, 0)
    assert np.array_equal(positions, expected)
    assert digest == hashlib.sha256(expected.astype("<i8").tobytes()).hexdigest()
    assert np.array_equal(data.labeled.rows, train[positions])
    assert (len(data.labeled), len(data.unlabeled), len(data.validation)) == (3, 9, 4)
    assert set(data.labeled.rows) | set(data.unlabeled.rows) == set(train)
    assert data.unlabeled.labels == {}
    assert np.array_equal(data.validation.rows, np.flatnonzero(everything.splits == 1))
    for examples in (data.labeled, data.validation):
        assert all(np.array_equal(values, everything.labels[name][examples.rows]) for name, values in examples.labels.items())
        assert all(type(values) is np.ndarray and values.dtype == np.int8 for values in examples.labels.values())
    assert data.labeled.images(slice(None)).shape == (3, 16, 16, 3)


def test_batches_are_tensors(deepfashion, options):
    batch = open_dataset("deepfashion", options).examples("test", image_size=16).batch(np.array([2, 0]))
    assert tuple(batch.images.shape) == (2, 3, 16, 16)
    assert tuple(batch.labels["category"].shape) == (2, 3)
    assert batch.positions.tolist() == [2, 0]


def test_examples_of_a_split(deepfashion, options):
    opened = open_dataset("deepfashion", options)
    with pytest.raises(KeyError, match="no split 'dev'; there are train, val, test, unlabeled"):
        opened.examples("dev", image_size=16)
    found = [opened.examples(split, image_size=16) for split in ("train", "val", "test", "unlabeled")]
    assert [len(examples) for examples in found] == [12, 4, 4, 0]
    assert len(np.unique(np.concatenate([examples.keys for examples in found]))) == 20
    assert found[3].labels == {}


def test_the_unlabelled_split_joins_the_pool_last(tmp_path, options, make_photo):
    root = tmp_path / "mine"
    for i in range(20):
        make_photo(root / f"train/{'ab'[i % 2]}/{i}.png", i)
        make_photo(root / f"val/{'ab'[i % 2]}/{i}.png", i)
        make_photo(root / f"unlabeled/{i}.png", i)
    opened = open_dataset(f"folder:{root}", options)
    sizes = {}
    for multiple in (0, 0.5, 1, 4):
        pool = opened.training(image_size=8, label_fraction=0.25, unlabeled=multiple, seed=0).unlabeled
        splits = opened.annotations.splits[pool.rows]
        sizes[multiple] = ((splits == 0).sum(), (splits == 3).sum())
    # test is lent by train: 3 of 20, so 17 are left, 4 of them labelled
    assert sizes == {0: (0, 0), 0.5: (9, 0), 1: (13, 4), 4: (13, 20)}


def test_opening_again_reads_no_list(deepfashion, options, monkeypatch):
    first = open_dataset("deepfashion", options)
    ranking = first.label_index(label_fraction=0.5, seed=1)[1]
    monkeypatch.setattr("datasets.deepfashion.read", lambda *_: pytest.fail("read"))
    monkeypatch.setattr("datasets._splits.label_ranking", lambda *_: pytest.fail("ranked"))
    again = open_dataset("deepfashion", options)
    assert again.data_hash == first.data_hash
    assert again.annotations.paths == first.annotations.paths
    assert again.annotations.where(4) == first.annotations.where(4)
    assert np.array_equal(again.annotations.boxes, first.annotations.boxes)
    assert all(np.array_equal(again.annotations.labels[name], values) for name, values in first.annotations.labels.items())
    assert again.label_index(label_fraction=0.5, seed=1)[1] == ranking


def test_a_changed_list_is_read_anew(deepfashion, options):
    before = describe("deepfashion", options).data_hash
    path = deepfashion.anno / "list_category_img.txt"
    status, text = path.stat(), path.read_text()
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(list((options.cache_dir / "index").glob("*/"))) == 1
    assert describe("deepfashion", options).data_hash == before
    assert len(list((options.cache_dir / "index").glob("*/"))) == 1
    deepfashion.edit("list_category_img.txt", 3, f"{deepfashion.paths[0]} 2")
    assert describe("deepfashion", options).data_hash != before


def test_the_same_lists_with_other_pictures_are_another_data_set(deepfashion, options):
    before = describe("deepfashion", options).data_hash
    picture = deepfashion.root / "Img" / deepfashion.paths[0]
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert describe("deepfashion", options).data_hash != before


def test_the_hash_does_not_depend_on_where_the_files_are(deepfashion, options, data_root, tmp_path):
    before = describe("deepfashion", options).data_hash
    (tmp_path / "elsewhere").mkdir()
    (data_root / "deepfashion").rename(tmp_path / "elsewhere/files")
    (tmp_path / "elsewhere/deepfashion").symlink_to(tmp_path / "elsewhere/files")
    moved = replace(options, data_root=tmp_path / "elsewhere")
    assert describe("deepfashion", moved).data_hash == before
    assert len(open_dataset("deepfashion", moved).examples("train", image_size=8)) == 12


def test_describing_again_is_quick_and_imports_nothing_heavy(deepfashion, options):
    describe("deepfashion", options)
    started = time.perf_counter()
    for _ in range(5):
        describe("deepfashion", options)
    assert (time.perf_counter() - started) / 5 < 0.01
    code = (
        "import sys; from pathlib import Path; from bench.protocol import DataOptions; from datasets._open import describe\n"
        f"print(describe('deepfashion', DataOptions(Path({str(options.data_root)!r}), Path({str(options.cache_dir)!r}), 'real')).source)\n"
        "sys.exit(str({'numpy', 'torch', 'cv2', 'pandas', 'scipy', 'sklearn'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.stdout, done.stderr.strip()) == ("real\n", "")


def test_loaders_import_nothing_heavy():
    names = ["datasets._open", "datasets._dataset", *(f"datasets.{name}" for name in registry.names("datasets"))]
    code = (
        f"import sys, {', '.join(names)}; sys.exit(str({{'torch', 'cv2', 'pandas', 'scipy', 'sklearn', 'PIL'}} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_a_damaged_line_is_refused_or_skipped(deepfashion, options):
    deepfashion.edit("list_attr_img.txt", 4, f"{deepfashion.paths[1]} 1 -1 0 0 0")
    message = refused(BadDataError, "deepfashion", options)
    assert message.splitlines()[:2] == ["deepfashion: 2 damaged", "Anno_coarse/list_attr_img.txt:4: 5 labels, expected 6"]
    with pytest.raises(BadDataError, match=r"list_attr_img.txt:4: 5 labels, expected 6"):
        describe("deepfashion", options)
    opened = open_dataset("deepfashion", replace(options, on_bad_data="skip"))
    assert opened.num_images["train"] == 11
    assert opened.problems[0] == Problem("Anno_coarse/list_attr_img.txt", 4, "5 labels, expected 6")


def test_a_damaged_image_is_refused_or_skipped(deepfashion, options):
    (deepfashion.root / "Img" / deepfashion.paths[1]).write_bytes(b"")
    message = f"Eval/list_eval_partition.txt:4: {deepfashion.paths[1]} is empty (0 bytes); fetch it again"
    with pytest.raises(BadDataError) as caught:
        open_dataset("deepfashion", options).training(image_size=8, label_fraction=1, unlabeled=1, seed=0)
    assert message in str(caught.value)
    opened = open_dataset("deepfashion", replace(options, on_bad_data="skip"))
    data = opened.training(image_size=8, label_fraction=1, unlabeled=1, seed=0)
    assert 1 not in data.labeled.rows
    assert len(data.labeled) == len(data.labeled.labels["category"]) == len(data.labeled.keys) == 11
    assert [str(problem) for problem in opened.problems] == [message]


def test_a_list_that_cannot_be_read_names_its_data_set(deepfashion, options):
    deepfashion.edit("list_attr_img.txt", 1, "hello")
    message = "deepfashion: Anno_coarse/list_attr_img.txt:1: b'hello', expected the number of rows"
    assert refused(BadDataError, "deepfashion", options) == message
    assert list((options.cache_dir / "index").glob("*/")) == []


def test_lists_without_a_sound_row(deepfashion, options):
    (deepfashion.root / "Eval/list_eval_partition.txt").write_text("1\nheader\nimg/a.jpg someday\n")
    message = refused(BadDataError, "deepfashion", replace(options, on_bad_data="skip"))
    expected = (
        "deepfashion: .: no sound row; the first problem: Eval/list_eval_partition.txt:3: split 'someday', expected train, val or test"
    )
    assert message == expected


def test_missing_files(deepfashion, options, data_root):
    (data_root / "deepfashion/Img/img").rename(data_root / "away")
    message = f"deepfashion: Img/img is missing under {data_root}/deepfashion; run 'python -m bench doctor deepfashion'"
    assert refused(NoDataError, "deepfashion", options) == message
    (data_root / "away").rename(data_root / "deepfashion/Img/img")
    (deepfashion.anno / "list_bbox.txt").unlink()
    assert refused(NoDataError, "deepfashion", options).startswith(
        "deepfashion: Anno_coarse/list_bbox.txt or Anno/list_bbox.txt is missing under"
    )


def test_names(options, tmp_path):
    assert refused(ValueError, "folder", options) == "folder needs a path: folder:/path/to/catalogue"
    message = f"folder:{tmp_path}/none: no such folder; give the path of a catalogue, folder:/path/to/catalogue"
    assert refused(NoDataError, f"folder:{tmp_path}/none", options) == message
    message = f"folder:{tmp_path} has no stand-in, and --data synthetic allows nothing else"
    assert refused(NoDataError, f"folder:{tmp_path}", replace(options, data="synthetic")) == message
    assert "did you mean 'deepfashion'" in refused(registry.UnknownNameError, "deepfashon", options)
    assert "no data set 'darn:x'" in refused(registry.UnknownNameError, "darn:x", options)


def test_a_data_set_without_a_stand_in_asks_for_its_files_too(deepfashion, options, data_root, monkeypatch):
    entry = registry.entry("datasets", "deepfashion")
    own = replace(entry, constants={name: value for name, value in entry.constants.items() if name != "STANDIN"})
    monkeypatch.setattr(_open.registry, "entry", lambda kind, name: own)
    assert describe("deepfashion", options).source == "real"
    (deepfashion.anno / "list_bbox.txt").unlink()
    assert "list_bbox.txt is missing under" in refused(NoDataError, "deepfashion", options)
    deepfashion.root.rename(data_root / "away")
    message = f"deepfashion: Img/img is missing under {data_root}/deepfashion; run 'python -m bench doctor deepfashion'"
    assert refused(NoDataError, "deepfashion", options) == message
    loose = replace(own, constants={})
    monkeypatch.setattr(_open.registry, "entry", lambda kind, name: loose)
    message = f"deepfashion: everything is missing under {data_root}/deepfashion; run 'python -m bench doctor deepfashion'"
    assert refused(NoDataError, "deepfashion", options) == message


def test_a_new_reader_makes_a_new_index(deepfashion, options, monkeypatch):
    describe("deepfashion", options)
    monkeypatch.setattr(_index, "_code_hash", lambda file: "other code")
    describe("deepfashion", options)
    assert len(list((options.cache_dir / "index").glob("*/"))) == 2


@pytest.mark.realdata
def test_real_photographs_in_deepfashions_layout(realdata, options, data_root):
    data_root.mkdir()
    (data_root / "deepfashion").symlink_to(realdata / "deepfashion_layout")
    assert check("deepfashion", options) == []
    opened = open_dataset("deepfashion", options)
    assert opened.num_images == {"train": 2721, "val": 623, "test": 584, "unlabeled": 0}
    sizes = {kind.name: len(kind.classes) for kind in opened.schema}
    assert sizes == {"category": 21, "texture": 9, "fabric": 8, "shape": 5, "part": 5, "style": 11}
    part = np.asarray(opened.annotations.labels["part"])
    assert [(part == value).sum() for value in (1, 0, -1)] == [305, 4466, 14869]
    data = opened.training(image_size=32, label_fraction=0.25, unlabeled=1, seed=0)
    assert (len(data.labeled), len(data.unlabeled), len(data.validation)) == (680, 2041, 623)


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "num"), [("fashion_product_small", (6544, 1361, 1449)), ("clothing_cc0", (3770, 417, 722))])
def test_real_catalogues(realdata, options, name, num):
    opened = open_dataset(f"folder:{realdata / name}", options)
    assert tuple(opened.num_images.values()) == (*num, 0)
    assert len(opened.examples("test", image_size=32)) == num[2]


def test_what_was_made_without_damaged_pictures_stands_neither_for_the_whole_nor_for_the_mended(deepfashion, options, monkeypatch):
    monkeypatch.setattr("datasets._index._SAMPLE", 2)  # of 20 rows or so: the damaged one is not among them
    skipping = replace(options, on_bad_data="skip")
    path = deepfashion.root / "Img" / deepfashion.paths[1]
    sound = path.read_bytes()
    strict, before = describe("deepfashion", options).data_hash, describe("deepfashion", skipping).data_hash
    path.write_bytes(sound[:-30])
    assert describe("deepfashion", options).data_hash == strict  # not in the sample; the pixels' own check refuses it
    damaged = describe("deepfashion", skipping).data_hash
    assert open_dataset("deepfashion", skipping).data_hash == damaged
    path.write_bytes(sound)
    assert len({strict, before, damaged}) == 3
    assert describe("deepfashion", skipping).data_hash == before
