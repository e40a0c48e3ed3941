"""Files that lost bytes: named, set aside, and built again by the command that built them."""

import shutil

import pytest
from faulty import run_here

from bench import cli
from bench.store import Store

FILES = {
    "record": "records/*/*.json",
    "model": "models/*/model.safetensors",
    "predictions": "predictions/*/*.safetensors",
    "split": "splits/*.safetensors",
}


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def stable(record):
    return {name: record[name] for name in ("key", "fit_key", "status", "metrics", "per_attribute", "label_index_hash")}


@pytest.fixture
def store(place):
    assert run_here(place, "--seeds", "0-2") == 0
    return Store(place / "store")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["record", "predictions", "split"])
def test_the_same_command_rebuilds_what_lost_bytes(place, store, kind, share, caplog):
    path = next(store.root.glob(FILES[kind]))
    content, before = path.read_bytes(), {record["key"]: record for record in store.records()}
    truncate(path, share)
    assert run_here(place, "--seeds", "0-2") == 0
    [line] = caplog.messages
    why = " (is no record of this name)" if kind == "record" else ""
    assert line == f"{path}: damaged{why}, counts as missing; set aside as {path.stem}.damaged"
    assert path.with_suffix(".damaged").stat().st_size == int(len(content) * share)
    if kind != "record":
        assert path.read_bytes() == content
    after = {record["key"]: record for record in store.records()}
    assert {key: stable(record) for key, record in after.items()} == {key: stable(record) for key, record in before.items()}
    assert sum(after[key]["finished"] != before[key]["finished"] for key in before) == 1  # no other cell was done again
    caplog.clear()
    assert run_here(place, "--seeds", "0-2") == 0
    assert caplog.messages == []


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_model_is_trained_again_where_it_is_needed(place, store, share, caplog):
    path = next(store.root.glob(FILES["model"]))
    content, others = path.read_bytes(), {each: each.stat().st_mtime_ns for each in store.root.glob(FILES["model"]) if each != path}
    truncate(path, share)
    shutil.rmtree(store.root / "records")
    assert run_here(place, "--seeds", "0-2") == 0
    assert f"{path}: damaged, counts as missing; set aside as model.damaged" in caplog.messages
    assert path.read_bytes() == content
    assert {each: each.stat().st_mtime_ns for each in others} == others
    assert {record["status"] for record in store.records()} == {"ok"}


def test_a_model_with_a_damaged_head_costs_its_own_cells_and_is_trained_again(place, store):
    path = next(store.root.glob(FILES["model"]))
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"F32"', b'"F99"'))  # as long as it was
    shutil.rmtree(store.root / "records")
    assert run_here(place, "--seeds", "0-2") == 1
    [failed] = [record for record in store.records() if record["status"] != "ok"]
    assert failed["reason"].startswith(f"StoreError: {path}: damaged (")
    assert failed["reason"].endswith("; set aside as model.damaged; run again to rebuild it")
    assert run_here(place, "--seeds", "0-2") == 0
    assert path.read_bytes() == content


def test_a_report_that_meets_lost_figures_names_them_and_the_run_brings_them_back(place, store, capsys):
    path = next(store.root.glob(FILES["predictions"]))
    truncate(path, 0.5)
    report = ["report", "--store", str(store.root), "--out", str(place / "out")]
    assert cli.main(report) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"bench report: {path}: damaged (")
    assert line.endswith(f"; set aside as {path.stem}.damaged; type the run command again to rebuild it")
    assert cli.main(report) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"bench report: {path}: lost; type the run command again to rebuild it"
    assert run_here(place, "--seeds", "0-2") == 0
    assert cli.main(report) == 0


def test_a_report_does_without_a_split_that_lost_bytes(place, store, caplog):
    path = next(store.root.glob(FILES["split"]))
    truncate(path, 0.5)
    assert cli.main(["report", "--store", str(store.root), "--out", str(place / "out")]) == 0
    assert f"{path}: damaged, counts as missing; set aside as {path.stem}.damaged" in caplog.messages
