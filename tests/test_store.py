"""Records appear whole or not at all; models count only with their marker."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import record

from bench import clean
from bench.report.index import read_records
from bench.store import Store, StoreError, replacing, upgrade

KEY = "ab" + "0" * 62


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_a_record_reads_back(store):
    store.write(record(KEY, metrics={"recall@1": 0.5}))
    assert store.read(KEY) == record(KEY, metrics={"recall@1": 0.5})
    assert store.record_path(KEY) == store.root / "records" / "ab" / f"{KEY}.json"
    assert [each["key"] for each in store.records()] == [KEY]
    assert store.read("cd" + "0" * 62) is None


@pytest.mark.parametrize("wrong", [{"extra": 1}, {"metrics": {"f1": float("nan")}}])
def test_a_record_with_an_unknown_field_or_nan_is_refused(store, wrong):
    with pytest.raises(ValueError, match=r"extra|not JSON compliant"):
        store.write(record(KEY, **wrong))
    assert store.read(KEY) is None
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_record_without_a_field_is_refused(store):
    incomplete = record(KEY)
    del incomplete["metrics"]
    with pytest.raises(ValueError, match="metrics"):
        store.write(incomplete)


@pytest.mark.parametrize("text", ['{"key": "ab', "[]", "", "\x00\x00", json.dumps({"key": "another"})])
def test_a_damaged_record_is_set_aside_and_counts_as_none(store, text):
    path = store.record_path(KEY)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert store.read(KEY) is None
    assert not path.exists()
    assert path.with_suffix(".damaged").read_text() == text
    assert list(store.records()) == []


def test_folders_that_may_not_be_read_are_counted_in_one_line(store, monkeypatch, caplog, tmp_path):
    for key in (KEY, "cd" + KEY[2:], "ef" + KEY[2:]):
        store.write(record(key))
    scandir = os.scandir

    def private(folder):
        if Path(folder).name in ("ab", "ef"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", private)
    assert [each["key"] for each in store.records()] == ["cd" + KEY[2:]]
    assert list(store.survey()[0]) == ["cd" + KEY[2:]]
    assert [each["key"] for each in read_records(store, tmp_path / "index.json")] == ["cd" + KEY[2:]]  # what `report` reads
    assert caplog.messages == [f"{store.root / 'records'}: 2 of its folders may not be read by this user; the records in them are left out"]


def test_a_record_from_the_future_is_named():
    with pytest.raises(ValueError, match="schema_version 99, at most"):
        upgrade(record(KEY, schema_version=99))


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_reads_back_with_its_facts(store):
    weights = {"layer.weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}
    assert not store.has_model(KEY)
    store.save_model(KEY, weights, {"fit_seconds": 1.5})
    assert store.has_model(KEY)
    assert store.model_facts(KEY) == {"fit_seconds": 1.5}
    loaded = store.load_model(KEY)
    torch.testing.assert_close(loaded, weights)


def test_a_model_without_its_marker_does_not_count(store):
    store.save_model(KEY, {"w": torch.zeros(2)}, {})
    (store.model_path(KEY) / "complete.json").unlink()
    assert not store.has_model(KEY)
    with pytest.raises(FileNotFoundError, match="no complete model"):
        store.load_model(KEY)


def test_a_truncated_model_is_named_and_loses_its_marker(store):
    store.save_model(KEY, {"w": torch.zeros(100)}, {})
    path = store.model_path(KEY) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged .* run again to rebuild it"):
        store.load_model(KEY)
    assert not store.has_model(KEY)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), OSError(errno.ESTALE, "Stale file handle"), MemoryError()])
def test_what_cannot_be_read_for_now_is_not_damaged(store, monkeypatch, error):
    """Nothing is set aside or loses its marker, and each says so in one line."""
    counts = {"hits": np.ones((4, 2, 3), np.uint8), "num_predictions": np.ones((4, 2, 3), np.uint8), "num_positives": np.ones((4, 2))}
    relative = store.save_arrays("predictions", KEY, counts)
    store.save_model(KEY, {"w": torch.zeros(2)}, {})
    store.write(record(KEY, predictions_path=relative))
    found = store.read(KEY)

    def refuse(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("bench.store.open", refuse, raising=False)
        for read in (
            lambda: store.has_model(KEY),
            lambda: store.load_model(KEY),
            lambda: store.has_figures(found),
            lambda: store.load_arrays(relative),
            lambda: list(clean.waste(store, failed=False, stale=False, models=True, older_than=0.0)),
        ):
            with pytest.raises(StoreError, match=rf"{KEY}\S*: cannot be read: (Input/output error|Stale file handle|out of memory)$"):
                read()
    assert store.has_model(KEY)
    assert store.has_figures(found)


def test_arrays_read_back(store):
    counts = {"hits": np.ones((4, 2, 3), np.uint8), "num_predictions": np.ones((4, 2, 3), np.uint8), "num_positives": np.ones((4, 2))}
    relative = store.save_arrays("predictions", KEY, {**counts, "extra": np.eye(3, dtype=np.uint8)})
    assert relative == f"predictions/ab/{KEY}.safetensors"
    np.testing.assert_array_equal(store.load_arrays(relative)["extra"], np.eye(3))
