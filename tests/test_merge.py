"""Joined stores: one result a key, contradictions listed and never overwritten, sources left as they were, and safe to type again."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from handmade import counts, write

from bench import merge as module
from bench.cli import main
from bench.merge import differences
from bench.protocol import AttributeType, Schema
from bench.store import SCHEMA_VERSION, Store

PLACE = {"split": "test"}


@pytest.fixture
def stores(tmp_path):
    return Store(tmp_path / "one"), Store(tmp_path / "other"), Store(tmp_path / "into")


def merge(*sources, into, models=False):
    return main(["merge", *(str(source.root) for source in sources), "--store", str(into.root), *(["--models"] if models else [])])


def files(root):
    """path -> bytes and time of every file."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_records_come_with_their_predictions_and_labels_and_the_sources_stay_as_they_are(stores, capsys):
    one, other, into = stores
    mine, theirs = write(one, "a", arrays=counts(0.3), **PLACE), write(other, "b", arrays=counts(0.7), **PLACE)
    schema = Schema((AttributeType("category", ("dress", "shirt"), True),))
    other.save_split("d" * 64, "test", schema, {"category": np.array([[1, 0], [0, 1]], np.int8)})
    (other.root / "sweeps").mkdir()
    (other.root / "sweeps" / "0123.json").write_text('{"argv": ["run"], "keys": [], "written": 1}')
    before = files(one.root), files(other.root)
    assert merge(one, other, into=into) == 0
    assert {record["key"]: record for record in into.records()} == {mine["key"]: mine, theirs["key"]: theirs}
    for source, record in ((one, mine), (other, theirs)):
        found, expected = into.load_arrays(record["predictions_path"]), source.load_arrays(record["predictions_path"])
        assert {name: values.tolist() for name, values in found.items()} == {name: values.tolist() for name, values in expected.items()}
    assert into.load_split("d" * 64, "test")[0] == schema
    assert (into.root / "sweeps" / "0123.json").is_file()
    assert (files(one.root), files(other.root)) == before
    text = capsys.readouterr().out
    assert f"{one.root}: 1 added" in text
    assert f"{other.root}: 1 added" in text


def test_typed_again_nothing_is_written(stores, capsys):
    one, other, into = stores
    write(one, "a", **PLACE)
    write(other, "b", status="failed", **PLACE)
    assert merge(one, other, into=into) == 0
    before = files(into.root)
    assert merge(one, other, into=into) == 0
    assert files(into.root) == before
    assert f"{one.root}: 1 already there" in capsys.readouterr().out


def test_different_results_are_a_conflict_and_the_target_keeps_its_own(stores, capsys):
    one, _, into = stores
    mine = write(into, "a", arrays=counts(0.3), **PLACE)
    theirs = write(one, "a", arrays=counts(0.7), **PLACE)
    one.write({**theirs, "finished": 0.5})  # earlier, which settles nothing where results differ
    extra = write(one, "b", **PLACE)
    before = into.record_path(mine["key"]).read_bytes(), (into.root / mine["predictions_path"]).read_bytes()
    for record in (theirs, extra):
        one.save_model(record["fit_key"], {"w": torch.zeros(2)}, {})
    assert theirs["key"] == mine["key"]
    for _ in range(2):  # it does not go away by typing it again
        assert merge(one, into=into, models=True) == 1
        text = capsys.readouterr().out
        assert "1 in conflict" in text
        assert f"conflict a darn f=1 seed=0 ({mine['key'][:12]})" in text
        assert f"f1@1 {mine['metrics']['f1@1']!r} and {theirs['metrics']['f1@1']!r}" in text
        assert "map" not in text  # the same on both sides
        assert (into.record_path(mine["key"]).read_bytes(), (into.root / mine["predictions_path"]).read_bytes()) == before
    assert into.read(extra["key"]) == extra
    assert into.has_model(extra["fit_key"])
    assert not into.has_model(mine["fit_key"])


def test_stores_that_contradict_each_other_are_listed_and_the_first_named_stays(stores, capsys):
    one, other, into = stores
    first = write(one, "a", arrays=counts(0.3), **PLACE)
    write(other, "a", arrays=counts(0.7), **PLACE)
    assert merge(one, other, into=into) == 1
    assert into.read(first["key"]) == first
    assert f"in {into.root} and in {other.root}" in capsys.readouterr().out


def test_figures_of_types_and_missing_ones_count_as_different(stores):
    one, _, _ = stores
    record = write(one, "a", **PLACE)
    types = {**record["per_attribute"], "part": {**record["per_attribute"]["part"], "recall@3": 0.25}}
    assert differences(record, {**record, "per_attribute": types}) == [("part recall@3", 0.0, 0.25)]
    assert differences(record, {**record, "metrics": {"f1@1": record["metrics"]["f1@1"]}}) == [("map", 0.5, None)]
    assert differences(record, {**record, "fit_seconds": 9.0, "host": "elsewhere", "finished": 5.0}) == []
    assert differences(record, {**record, "status": "failed", "metrics": {}}) == []


@pytest.mark.parametrize("order", [0, 1])
def test_an_ok_result_wins_over_one_that_is_not(stores, order):
    one, other, into = stores
    good = write(one, "a", **PLACE)
    write(other, "a", status="oom", reason="out of memory", metrics={}, **PLACE)
    assert merge(*((one, other) if order else (other, one)), into=into) == 0
    assert into.read(good["key"]) == good
    assert into.load_arrays(good["predictions_path"])


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(("status", "kept"), [("ok", "early"), ("failed", "late")])
def test_of_equal_results_the_earlier_stays_and_of_failures_the_later(stores, order, status, kept):
    one, other, into = stores
    for store, host, seconds in ((one, "early", 5.0), (other, "late", 9.0)):
        record = write(store, "a", status=status, host=host, **PLACE)
        store.write({**record, "finished": seconds})
    assert merge(*((one, other) if order else (other, one)), into=into) == 0
    (found,) = into.records()
    assert found["host"] == kept


def test_damaged_records_are_named_and_left_where_they_are(stores, capsys):
    one, _, into = stores
    good, bad = write(one, "good", **PLACE), [write(one, name, **PLACE) for name in "abcdef"]
    paths = [one.record_path(record["key"]) for record in bad]
    paths[0].write_text("{")
    paths[1].write_text(json.dumps({**bad[1], "key": "0" * 64}))
    paths[2].write_text(json.dumps({**bad[2], "schema_version": SCHEMA_VERSION + 1}))
    paths[3].write_text(json.dumps({name: value for name, value in bad[3].items() if name != "metrics"}))
    paths[4].write_text(json.dumps({**bad[4], "predictions_path": "../../secret"}))
    paths[5].write_text(json.dumps({**bad[5], "metrics": [1]}))
    before = files(one.root)
    assert merge(one, into=into) == 1
    captured = capsys.readouterr()
    for path, reason in zip(
        paths,
        (
            "is no record of this name",
            "is no record of this name",
            "update the harness",
            "metrics is missing",
            "predictions_path",
            "metrics is",
        ),
        strict=True,
    ):
        assert any(str(path) in line and reason in line for line in captured.err.splitlines())
    assert "1 added, 6 damaged" in captured.out
    assert [record["key"] for record in into.records()] == [good["key"]]
    assert files(one.root) == before


def test_models_are_copied_where_wanted_and_only_whole(stores, capsys):
    one, _, into = stores
    record = write(one, "a", **PLACE)
    one.save_model(record["fit_key"], {"w": torch.ones(3)}, {"teacher": "x"})
    one.save_model("torn", {"w": torch.ones(3)}, {})
    (one.model_path("torn") / "complete.json").unlink()
    assert merge(one, into=into) == 0
    assert not (into.root / "models").exists()
    assert merge(one, into=into, models=True) == 0
    assert "1 models copied" in capsys.readouterr().out
    torch.testing.assert_close(into.load_model(record["fit_key"]), {"w": torch.ones(3)})
    assert into.model_facts(record["fit_key"]) == {"teacher": "x"}
    assert not into.model_path("torn").exists()


def test_what_was_interrupted_is_completed_by_doing_it_again(stores, monkeypatch):
    """Ended before any file that is copied and before any record, in turn: what is there is sound, and once more gives the whole."""
    one, _, into = stores
    for name in "ab":
        record = write(one, name, arrays=counts(0.4), **PLACE)
        one.save_model(record["fit_key"], {"w": torch.ones(2)}, {})
    replace, ended = os.replace, 0
    for last in range(100):
        shutil.rmtree(into.root, ignore_errors=True)
        left = [last]

        def breaking(source, to, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            replace(source, to)

        monkeypatch.setattr(os, "replace", breaking)
        code = merge(one, into=into, models=True)
        monkeypatch.setattr(os, "replace", replace)
        for record in into.records():
            assert into.load_arrays(record["predictions_path"])
        for key in (path.name for path in (into.root / "models").glob("*")):
            assert not into.has_model(key) or into.load_model(key)
        assert not list(into.root.rglob(".tmp-*"))
        if code == 0:
            break
        assert code == 130
        ended += 1
        assert merge(one, into=into, models=True) == 0
        assert {name: data for name, (data, _) in files(into.root).items()} == {name: data for name, (data, _) in files(one.root).items()}
    assert ended == 8  # two predictions, two records, two models of two files


def test_a_damaged_record_of_the_target_gives_way(stores):
    one, _, into = stores
    record = write(one, "a", **PLACE)
    write(into, "a", **PLACE)
    into.record_path(record["key"]).write_text("{")
    assert merge(one, into=into) == 0
    assert into.read(record["key"]) == record


def test_what_cannot_be_joined_is_said_before_anything_is_written(stores, tmp_path, capsys):
    one, _, into = stores
    write(one, "a", **PLACE)
    (tmp_path / "link").symlink_to(one.root)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    for sources, target, text in (
        ((one, Store(tmp_path / "none")), into, "none: no such folder"),
        ((Store(tmp_path / "photos"),), into, "photos: no folder records in it"),
        ((Store(tmp_path / "link"),), one, "is the store of --store itself"),
        ((one,), Store(tmp_path / "photos"), "neither a store nor an empty folder"),
    ):
        assert merge(*sources, into=target) == 2
        assert text in capsys.readouterr().err
    assert not into.root.exists()
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]


def test_a_target_of_a_later_version_is_refused(stores, capsys):
    one, _, into = stores
    record = write(one, "a", **PLACE)
    write(into, "b", **PLACE)
    (path,) = (into.root / "records").rglob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": SCHEMA_VERSION + 1}))
    assert merge(one, into=into) == 2
    assert "update the harness" in capsys.readouterr().err
    assert not into.record_path(record["key"]).exists()


def test_nothing_is_read_twice_where_a_store_is_named_twice(stores, monkeypatch, capsys):
    one, _, into = stores
    write(one, "a", **PLACE)
    calls = []
    monkeypatch.setattr(module, "merge", lambda source, *rest, **more: calls.append(source.root) or module.Merged())
    assert merge(one, one, into=into) == 0
    assert calls == [one.root]
