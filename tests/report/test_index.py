"""Records by way of the index: the same as read one by one, whatever happened to them in between."""

import os

import pytest
from handmade import write

from bench.report.index import FIELDS, read_records
from bench.store import Store


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    for seed in range(3):
        write(found, "good", seed=seed)
    return found


def read(store, tmp_path):
    return read_records(store, tmp_path / "index.json")


def test_records_are_those_of_the_store(store, tmp_path):
    for _ in range(2):  # without an index, and with one
        found = read(store, tmp_path)
        for record, whole in zip(found, store.records(), strict=True):
            assert {name: record[name] for name in whole} == whole


def test_what_the_index_leaves_out_is_read_when_asked_for(store, tmp_path):
    read(store, tmp_path)
    record = read(store, tmp_path)[0]
    assert "metrics" not in FIELDS
    assert "metrics" not in list(record)
    renamed = record.copy()
    renamed["dataset"] = "other"
    assert renamed["metrics"]["map"] == 0.5
    assert renamed.get("metrics") == record.get("metrics")
    assert renamed["dataset"] == "other"
    assert record.get("nothing", 7) == 7
    with pytest.raises(KeyError):
        record["nothing"]


def test_changed_new_and_removed_records_are_noticed(store, tmp_path):
    before = read(store, tmp_path)
    path = store.record_path(before[0]["key"])
    record = store.read(before[0]["key"])
    record["status"] = "failed"
    store.write(record)
    store.record_path(before[1]["key"]).unlink()
    write(store, "new")
    after = {record["key"]: record for record in read(store, tmp_path)}
    assert after[before[0]["key"]]["status"] == "failed"
    assert after[before[0]["key"]]["stamp"] != before[0]["stamp"]
    assert before[1]["key"] not in after
    assert {record["method"] for record in after.values()} == {"good", "new"}
    assert os.path.exists(path)


def test_only_what_changed_is_read(store, tmp_path, monkeypatch):
    read(store, tmp_path)
    added = write(store, "new")["key"]
    asked = []
    monkeypatch.setattr(Store, "read", lambda self, key, real=Store.read: asked.append(key) or real(self, key))
    assert len(read(store, tmp_path)) == 4
    assert asked == [added]


def test_a_damaged_record_or_index_is_no_end(store, tmp_path):
    key = read(store, tmp_path)[0]["key"]
    store.record_path(key).write_text("{")
    assert len(read(store, tmp_path)) == 2
    (tmp_path / "index.json").write_text("{")
    assert len(read(store, tmp_path)) == 2
    assert read_records(Store(tmp_path / "empty"), tmp_path / "other.json") == []
