"""Damaged files of a store, through the commands that read stores: one line names the file, and the rest of the store counts."""

import json

import handmade
import pytest

from bench.cli import FAILED, OK, REGRESSION, main
from bench.store import Store

COMMANDS = ("report", "status", "claims", "check")
WRONG = {
    "text for a number": {"severity": "3"},
    "a number for text": {"method": 3},
    "true for a number": {"seed": True},
    "no object of metrics": {"metrics": [1.0]},
    "a metric that is text": {"metrics": {"f1@1": "0.5"}},
    "a number without end": {"label_fraction": 10**400},
    "an unknown status": {"status": "fine"},
    "a path out of the store": {"predictions_path": "../../secret.safetensors"},
    "an absolute path": {"predictions_path": "/etc/passwd"},
    "ok without predictions": {"predictions_path": None},
    "half a character": {"dataset": "\ud800"},
}


@pytest.fixture
def store(tmp_path):
    """Two methods, one record of which the tests damage, and the note of a sweep."""
    store = Store(tmp_path / "store")
    found = [handmade.write(store, method, split="test", skill=0.5) for method in ("supervised", "floor")]
    (store.root / "sweeps").mkdir()
    (store.root / "sweeps" / "a.json").write_text(json.dumps({"argv": ["run"], "keys": [each["key"] for each in found]}))
    return store


def run(command, store, tmp_path):
    more = {"report": ["--out", str(tmp_path / "out")], "check": ["--metrics", "--baseline", str(tmp_path / "store")]}.get(command, [])
    return main([command, "--store", str(store.root), *more])


def spoil(store, **fields):
    record = next(each for each in store.records() if each["method"] == "supervised")
    path = store.record_path(record["key"])
    path.write_text(json.dumps({**record, **fields}))
    return path


@pytest.mark.parametrize("how", WRONG)
def test_a_record_with_a_wrong_field_is_named_and_counts_as_none(store, how, caplog):
    path = spoil(store, **WRONG[how])
    assert [each["method"] for each in store.records()] == ["floor"]
    [said] = caplog.messages
    assert said.startswith(f"{path}: damaged ({next(iter(WRONG[how]))}")
    assert said.endswith(f", counts as missing; set aside as {path.stem}.damaged")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", ["text for a number", "a metric that is text"])
def test_the_rest_of_the_store_counts_in_every_command(store, command, how, tmp_path, capsys, caplog):
    path = spoil(store, **WRONG[how])
    assert run(command, store, tmp_path) == OK
    found = capsys.readouterr()
    assert sum(str(path) in message for message in caplog.messages) == 1
    if command == "status":
        assert "2 cells: 1 missing, 1 ok" in found.out or "2 cells: 1 ok, 1 missing" in found.out
    if command == "report":
        assert "floor" in (tmp_path / "out/leaderboard.csv").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_record_of_a_later_harness_ends_every_command_with_its_name_and_stays(store, command, tmp_path, capsys):
    path = spoil(store, schema_version=99)
    assert run(command, store, tmp_path) == FAILED
    assert f"{path}: record {path.stem}: schema_version 99, at most 1 expected; update the harness" in capsys.readouterr().err
    assert path.exists()


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "other arrays"])
def test_damaged_predictions_are_named_with_what_to_do(store, how, tmp_path, capsys):
    record = next(each for each in store.records() if each["method"] == "supervised")
    path = store.root / record["predictions_path"]
    if how == "other arrays":
        store.save_arrays("predictions", record["key"], {"hits": handmade.counts(0.5)["hits"][:3]})
    else:
        path.write_bytes(b"" if how == "empty" else path.read_bytes()[:100])
        if how == "gone":
            path.unlink()
    assert main(["report", "--store", str(store.root), "--out", str(tmp_path / "out")]) == FAILED
    assert f"bench report: {path}: {'lost' if how == 'gone' else 'damaged ('}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"argv": 3, "keys": []}', '{"argv": [], "keys": ["../../x"]}', "[" * 100_000])
@pytest.mark.parametrize("command", ["status", "report"])
def test_a_damaged_note_of_a_sweep_is_named_and_set_aside(store, text, command, tmp_path, caplog):
    path = store.root / "sweeps" / "b.json"
    path.write_text(text)
    assert run(command, store, tmp_path) == OK
    assert any(message.startswith(f"{path}: damaged (") for message in caplog.messages)
    assert path.with_suffix(".damaged").read_text() == text


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_damaged_marker_of_a_model_costs_that_model(store, text):
    import torch

    store.save_model("k", {"w": torch.zeros(2)}, {})
    (store.model_path("k") / "complete.json").write_text(text)
    with pytest.raises(ValueError, match=r"complete\.json: damaged; run again to rebuild the model"):
        store.model_facts("k")
    assert not store.has_model("k")


@pytest.mark.parametrize("how", ["no safetensors", "no schema", "schema of another shape", "a type without labels"])
def test_a_damaged_split_is_named(store, how):
    import numpy as np
    from safetensors.numpy import save

    schema = {
        "no schema": None,
        "schema of another shape": "[3]",
        "a type without labels": '[{"name": "z", "classes": [], "exclusive": 1}]',
    }
    path = store.root / "splits" / "d-test.safetensors"
    path.parent.mkdir()
    data = save({"a": np.zeros((2, 1), np.uint8)}, metadata={"schema": schema[how]} if schema.get(how) else None)
    path.write_bytes(b"x" if how == "no safetensors" else data)
    if how == "no safetensors":  # not as long as it says: set aside, and as good as absent
        with pytest.raises(FileNotFoundError, match=r"d-test\.safetensors: not there; type the run command again"):
            store.load_split("d", "test")
        assert path.with_suffix(".damaged").exists()
    else:
        with pytest.raises(ValueError, match=r"d-test\.safetensors: damaged"):
            store.load_split("d", "test")


@pytest.mark.parametrize("index", ["{", '{"version": 1}', '{"version": 1, "fields": [], "records": {}}', "records of another shape"])
def test_a_damaged_index_beside_a_report_is_made_anew(store, index, tmp_path):
    from bench.report.index import FIELDS, read_records

    path = tmp_path / "records.json"
    path.write_text(json.dumps({"version": 1, "fields": FIELDS, "records": {"k": [1, []]}}) if "shape" in index else index)
    assert len(read_records(store, path)) == 2


def test_nothing_comparable_remains_a_failure(store, tmp_path):
    (tmp_path / "empty").mkdir()
    assert main(["check", "--store", str(store.root), "--baseline", str(tmp_path / "empty")]) == REGRESSION
