"""Whatever stands in the place of a record or of the note of a sweep: something that every reader may rely on, or nothing."""

import json
from argparse import Namespace

import handmade
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import record_check, status
from bench.store import FIELDS, Store, StoreError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["../x", "/x", "\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def sound(root):
    store = Store(root / "store")
    record = handmade.write(store, "mtss", row="student", split="test")
    return store, record, store.record_path(record["key"])


@settings(max_examples=200)
@given(data=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | st.sampled_from([b"[" * 100_000, b"\xff\xfe{\0"]))
def test_any_bytes_in_the_place_of_a_record(tmp_path_factory, data):
    store, record, path = sound(tmp_path_factory.mktemp("any"))
    path.write_bytes(data)
    assert list(store.records()) == []
    assert store.read(record["key"]) is None
    assert path.with_suffix(".damaged").read_bytes() == data


@settings(max_examples=400)
@given(field=st.sampled_from(FIELDS), value=JSON)
def test_any_value_in_a_field_of_a_record(tmp_path_factory, field, value):
    store, record, path = sound(tmp_path_factory.mktemp("field"))
    path.write_text(json.dumps({**record, field: value}))
    if field == "schema_version" and type(value) is int and value > 1:
        with pytest.raises(StoreError, match="schema_version"):
            list(store.records())
        return
    found = list(store.records())
    assert path.exists() == bool(found)
    for each in found:
        assert record_check.fault(each) == ""
        f"{each['label_fraction']:g} {each['finished']:.3f} {each['seed']}".join(each["method"]).encode()
        assert json.loads(json.dumps(each, allow_nan=False)) == each


@settings(max_examples=200)
@given(data=st.binary(max_size=40) | JSON.map(lambda value: json.dumps({"argv": ["run"], "keys": value}).encode()))
def test_any_bytes_in_the_place_of_a_sweep(tmp_path_factory, data):
    store, record, _ = sound(tmp_path_factory.mktemp("sweep"))
    folder = store.root / "sweeps"
    folder.mkdir()
    (folder / "good.json").write_text(json.dumps({"argv": ["run"], "keys": [record["key"]]}))
    (folder / "other.json").write_bytes(data)
    found = status.summarize(store)
    assert {"ok": 1} in [sweep["counts"] for sweep in found]
    assert len(found) == 2 or (folder / "other.damaged").read_bytes() == data
    assert status.command(Namespace(store=store.root, json=True)) == 0
