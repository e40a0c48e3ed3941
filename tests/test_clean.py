"""Pruning: what is named goes and nothing else, only with --yes, never outside the store and never under a sweep's hands."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from handmade import write

from bench import clean as module
from bench import registry
from bench.bundles import Bundle, JobArray
from bench.clean import stale_reason
from bench.cli import main
from bench.plan import Stage
from bench.spec import CellSpec, DataSpec, FitSpec, TeacherSpec
from bench.stages import Settings
from bench.store import SCHEMA_VERSION, Store

PLACE = {"split": "test"}
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def clean(store, *words):
    return main(["clean", "--store", str(store.root), *words])


def files(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def model(store, key, **facts):
    store.save_model(key, {"w": torch.ones(4)}, facts)


def leftovers(store) -> set[str]:
    """Plants one leftover of each kind beside something that is still wanted; returns the leftovers' files."""
    kept = write(store, "supervised", env={"source_hash": registry.source_hash("methods", "supervised")}, **PLACE)
    before = files(store.root)
    model(store, kept["fit_key"])
    before |= files(store.root)
    for key in (kept["fit_key"], "unfinished"):
        store.checkpoint_dir(key).mkdir(parents=True)
        (store.checkpoint_dir(key) / "phase.ckpt").write_bytes(b"x" * 10)
    before.add("checkpoints/unfinished/phase.ckpt")
    (store.root / "records" / "ab").mkdir()
    (store.root / "records" / "ab" / "ab01.damaged").write_text("{")
    (store.root / "models" / "torn").mkdir()
    (store.root / "models" / "torn" / "model.safetensors").write_bytes(b"x")
    (store.root / "splits").mkdir()
    (store.root / "splits" / ".tmp-0123").write_bytes(b"x")
    store.save_arrays("predictions", "f" * 64, {})
    return files(store.root) - before


def test_without_yes_it_only_tells(store, capsys):
    going = leftovers(store)
    before = files(store.root)
    assert clean(store, "--older-than", "0s") == 0
    text = capsys.readouterr().out
    for kind in ("checkpoints of finished stages", "damaged files", "temporary files", "unfinished models", "predictions without a record"):
        assert f"{kind}: 1, " in text
    assert f"{len(going)} to delete" in text
    assert "--yes" in text
    assert files(store.root) == before


def test_leftovers_go_and_what_is_wanted_stays(store, capsys):
    going, before = leftovers(store), files(store.root)
    assert len(going) == 5
    assert clean(store, "--older-than", "0s", "--yes") == 0
    assert before - files(store.root) == going
    assert "5 of 5 deleted" in capsys.readouterr().out
    assert clean(store, "--older-than", "0s", "--yes") == 0
    assert "nothing to delete" in capsys.readouterr().out


def test_damaged_files_of_every_kind_go(store, capsys):
    kept = write(store, "supervised", **PLACE)
    model(store, kept["fit_key"])
    before = files(store.root)
    shard = f"predictions/{kept['key'][:2]}"
    for name in ("records/ab/ab01", f"{shard}/{kept['key']}", f"models/{kept['fit_key']}/model", "splits/d-test", "sweeps/0123"):
        path = store.root / f"{name}.damaged"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{")
    assert clean(store, "--yes") == 0
    assert "damaged files: 5, " in capsys.readouterr().out
    assert files(store.root) == before


def test_a_damaged_file_in_a_folder_that_goes_is_counted_once(store, capsys):
    write(store, "supervised", **PLACE)
    store.model_path("torn").mkdir(parents=True)
    (store.model_path("torn") / "model.damaged").write_bytes(b"x" * 1024)
    assert clean(store, "--older-than", "0s", "--yes") == 0
    assert "1 of 1 deleted, 1.0 kB" in capsys.readouterr().out
    assert not store.model_path("torn").exists()


def test_what_may_belong_to_a_sweep_under_way_is_spared(store, capsys):
    leftovers(store)
    model(store, "0" * 64)
    model(store, "1" * 64)
    old = time.time() - 2 * 86400
    for path in (store.model_path("1" * 64), *store.model_path("1" * 64).iterdir()):
        os.utime(path, (old, old))
    assert clean(store, "--models", "--yes") == 0
    assert not store.has_model("1" * 64)
    for path in ("models/torn", "splits/.tmp-0123", f"predictions/ff/{'f' * 64}.safetensors", f"models/{'0' * 64}"):
        assert (store.root / path).exists()
    assert "3 of 3 deleted" in capsys.readouterr().out


def test_failed_records_go_where_they_are_named(store, capsys):
    good, bad = write(store, "supervised", **PLACE), write(store, "naver", status="oom", reason="out of memory", **PLACE)
    assert clean(store, "--yes") == 0
    assert store.read(bad["key"])
    assert clean(store, "--failed", "--yes") == 0
    assert store.read(bad["key"]) is None
    assert store.read(good["key"]) == good
    assert store.load_arrays(good["predictions_path"])
    assert "naver darn f=1 seed=0: oom out of memory" in capsys.readouterr().out


def test_records_of_other_code_go_with_their_predictions(store, capsys):
    today = {"source_hash": registry.source_hash("methods", "supervised")}
    kept = [write(store, "supervised", env=today, **PLACE), write(store, "supervised", env={}, seed=1, **PLACE)]
    gone = [write(store, "supervised", env={"source_hash": "0" * 64}, seed=2, **PLACE), write(store, "vanished", env=today, **PLACE)]
    gone.append(write(store, "mtss", row="forgotten", env={"source_hash": registry.source_hash("methods", "mtss")}, **PLACE))
    gone.append(write(store, "supervised", env=today, seed=3, protocol_id="v0/darn/test/64px", **PLACE))
    assert clean(store, "--stale", "--yes") == 0
    assert {record["key"] for record in store.records()} == {record["key"] for record in kept}
    assert {Path(name).stem for name in files(store.root) if name.startswith("predictions")} == {record["key"] for record in kept}
    text = capsys.readouterr().out
    for record, reason in zip(
        gone, ("has changed", "no method 'vanished'", "mtss has no row 'forgotten'", "protocol v0, today v1"), strict=True
    ):
        assert any(record["key"][:12] in line and reason in line for line in text.splitlines())


def test_a_broken_file_makes_no_record_stale(store, monkeypatch):
    record = write(store, "supervised", env={"source_hash": "0" * 64}, **PLACE)
    assert stale_reason(record)
    broken = registry.Entry("methods", "supervised", Path("x.py"), error="x.py:1: invalid syntax")
    monkeypatch.setattr(registry, "entry", lambda *_: broken)
    assert stale_reason(record) == ""


def test_models_stay_while_an_ok_record_needs_them(store):
    mine = {"dataset": "darn", "label_fraction": 1.0, "seed": 0, "preset": "tiny"}
    ok, bad = write(store, "mtss", row="student", **PLACE), write(store, "naver", status="failed", **PLACE)
    moved = write(store, "jdstyle", dataset="darn->ficcy", **PLACE)
    model(store, ok["fit_key"])
    model(store, bad["fit_key"])
    model(store, moved["fit_key"])
    model(store, "shared", teacher="category", method="mtss", **mine)
    model(store, "of-another-seed", teacher="category", method="mtss", **{**mine, "seed": 1})
    model(store, "of-a-transfer", teacher="category", method="jdstyle", **mine)
    assert clean(store, "--models", "--older-than", "0s", "--yes") == 0
    left = {path.name for path in (store.root / "models").iterdir()}
    assert left == {ok["fit_key"], moved["fit_key"], "shared", "of-a-transfer"}
    assert clean(store, "--stale", "--models", "--older-than", "0s", "--yes") == 0
    assert (store.root / "models" / ok["fit_key"]).exists()  # handmade records do not say what code they are of


def test_a_model_of_a_record_that_goes_goes_too(store):
    record = write(store, "supervised", env={"source_hash": "0" * 64}, **PLACE)
    model(store, record["fit_key"])
    assert clean(store, "--stale", "--models", "--older-than", "0s", "--yes") == 0
    assert files(store.root) == set()


@pytest.mark.parametrize("content", ["{", json.dumps({"key": "0" * 64, "schema_version": SCHEMA_VERSION + 1})])
def test_what_cannot_be_read_is_left_alone_with_all_that_it_may_need(store, content, capsys):
    record = write(store, "supervised", **PLACE)
    path = store.root / "records" / "00" / f"{'0' * 64}.json"
    path.parent.mkdir()
    path.write_text(content)
    store.save_arrays("predictions", "0" * 64, {})
    model(store, "0" * 64)
    before = files(store.root)
    assert clean(store, "--failed", "--stale", "--older-than", "0s", "--yes") == 0
    assert f"left alone: {path}" in capsys.readouterr().err
    assert clean(store, "--models", "--older-than", "0s", "--yes") == 2
    assert "--models needs every record" in capsys.readouterr().err
    assert files(store.root) == before
    assert store.read(record["key"]) == record


def test_nothing_outside_the_store_is_touched(store, tmp_path):
    outside = tmp_path / "outside"
    other = Store(outside)
    bad = write(other, "naver", status="failed", **PLACE)
    model(other, "weights")
    other.save_arrays("predictions", "f" * 64, {})
    (outside / ".tmp-0").touch()
    before = files(outside)
    write(store, "supervised", **PLACE)
    shard = bad["key"][:2]
    (store.root / "records" / shard).symlink_to(outside / "records" / shard)
    (store.root / "predictions" / "ff").symlink_to(outside / "predictions" / "ff")
    (store.root / "elsewhere").symlink_to(outside)
    (store.root / "models").mkdir()
    (store.root / "models" / "weights").symlink_to(outside / "models" / "weights")
    assert clean(store, "--failed", "--models", "--stale", "--older-than", "0s", "--yes") == 0
    assert files(outside) == before
    assert not (store.root / "models" / "weights").is_symlink()


def test_a_store_in_use_is_left_alone(store, capsys):
    going = leftovers(store)
    (store.root / "leases").mkdir()
    lease = store.root / "leases" / "0123.json"
    lease.write_text("{}")
    assert clean(store, "--older-than", "0s") == 0  # telling is always possible
    assert clean(store, "--older-than", "0s", "--yes") == 2
    assert "is in use (leases/0123.json was renewed" in capsys.readouterr().err
    assert going <= files(store.root)
    old = time.time() - 3600
    os.utime(lease, (old, old))
    assert clean(store, "--older-than", "0s", "--yes") == 0
    assert not going & files(store.root)


def test_a_run_on_this_machine_uses_a_store(store, capsys):
    going = leftovers(store)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from bench.plan import Stage; "
        "from bench.turns import Turns; "
        f"turns = Turns(Path({str(store.root)!r}), {{}}, print, print); turns.take(Stage('fit', 'k')); print('held', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert clean(store, "--older-than", "0s", "--yes") == 2
        assert "is in use (a run is working on it)" in capsys.readouterr().err
        assert going <= files(store.root)
        holder.communicate("\n", timeout=30)
    assert clean(store, "--older-than", "0s", "--yes") == 0
    assert not going & files(store.root)


def submission(store, *, noted=True):
    """Job files of one job, whose id is 5."""
    from slurm import jobs

    fit = FitSpec("naver", {}, DataSpec("darn", "real", "h", 8, 1.0, 1.0, 0), "s")
    stage = Stage("teacher", "t", (), [], [CellSpec(fit, "", "tiny")], teacher=TeacherSpec("naver", "color", {}, fit.data, "s"))
    found = jobs.create(store.root, [JobArray("teacher", [Bundle([stage], 1.0, 0.0, True)], 10, 1000)], Settings(str(store.root), "d", "c"))
    if noted:
        found.note_job_id(0, "5")
    return found


def slurm_says(monkeypatch, live=None, rows=None):
    """The answers of squeue and sacct; None where one does not answer."""
    from slurm import queue

    def answer(text, value):
        def ask(*_):
            if value is None:
                raise queue.QueueError(text)
            return value

        return ask

    monkeypatch.setattr(queue, "live", answer("squeue: no controller", live))
    monkeypatch.setattr(queue, "accounting", answer("sacct: accounting is disabled", rows))


@pytest.mark.parametrize(
    ("live", "rows", "said"),
    [
        ("queued", None, "1 jobs are queued or running"),
        (None, "RUNNING", "1 jobs are queued or running"),
        (None, None, "whether its jobs have ended is unknown: squeue: no controller"),
        ("", None, ""),
        (None, "FAILED", ""),
        ("", "RUNNING", ""),  # accounting is the one that lags
    ],
)
def test_jobs_in_the_queue_use_a_store(store, monkeypatch, capsys, live, rows, said):
    """Jobs whose cells no sweep's note names, too."""
    from slurm.queue import Row, State

    write(store, "supervised", **PLACE)
    submission(store)
    found = None if live is None else {"5": {0: State(live)}} if live else {}
    slurm_says(monkeypatch, found, None if rows is None else {"5": {0: Row(rows, "1:0")}})
    assert clean(store, "--yes") == (2 if said else 0)
    assert said in capsys.readouterr().err


def test_jobs_that_nobody_noted_are_asked_of_the_queue(store, monkeypatch, capsys):
    from slurm.queue import State

    write(store, "supervised", **PLACE)
    made = submission(store, noted=False)
    slurm_says(monkeypatch, {made.name(0): {0: State("running")}}, {})
    assert clean(store, "--yes") == 2
    slurm_says(monkeypatch, None, {})
    assert clean(store, "--yes") == 2
    assert "whether its jobs have ended is unknown" in capsys.readouterr().err
    slurm_says(monkeypatch, {}, {})
    assert clean(store, "--yes") == 0


def test_a_damaged_note_of_a_sweep_beside_jobs_is_in_nobodys_way(store):
    write(store, "naver", status="failed", **PLACE)
    for folder in ("slurm", "sweeps"):
        (store.root / folder).mkdir()
    (store.root / "sweeps" / "0.json").write_text('{"argv": [')
    assert clean(store, "--failed", "--yes") == 0
    assert list(store.records()) == []


def test_settled_submissions_and_dead_leases_go_when_they_are_old(store, monkeypatch, capsys):
    write(store, "supervised", **PLACE)
    settled, other = submission(store), submission(store)
    settled.settle()
    (store.root / "leases").mkdir()
    leases = [store.root / "leases" / name for name in ("01.json", ".01.json.0123.taken")]
    for path in leases:
        path.write_text("{}")
    slurm_says(monkeypatch, {}, {})

    def age(seconds):
        then = time.time() - seconds
        for path in (settled.folder / "settled", *leases):
            os.utime(path, (then, then))

    age(3600)
    before = files(store.root)
    assert clean(store, "--yes") == 0
    assert files(store.root) == before
    age(2 * 86400)
    assert clean(store) == 0
    assert "settled submissions: 1, " in (text := capsys.readouterr().out)
    assert "leases that nobody holds: 2, " in text
    assert clean(store, "--yes") == 0
    assert not settled.folder.exists()
    assert other.folder.exists()
    assert list((store.root / "leases").iterdir()) == []
    (store.root / "leases" / "02.json").write_text("{}")
    capsys.readouterr()
    assert clean(store, "--older-than", "0s") == 0
    assert "leases" not in capsys.readouterr().out  # one with a heartbeat is somebody's


def test_what_cannot_be_deleted_is_said(store, monkeypatch, capsys):
    write(store, "naver", status="failed", **PLACE)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert clean(store, "--failed", "--yes") == 1
    captured = capsys.readouterr()
    assert "0 of 1 deleted" in captured.out
    assert "Permission denied" in captured.err


def test_a_model_that_is_half_deleted_does_not_count(store, monkeypatch):
    model(store, "0" * 64)
    monkeypatch.setattr(module.shutil, "rmtree", lambda path: (_ for _ in ()).throw(OSError("the disk has gone")))
    write(store, "supervised", **PLACE)
    assert clean(store, "--models", "--older-than", "0s", "--yes") == 1
    assert not store.has_model("0" * 64)


def test_a_folder_that_is_no_store_is_refused(tmp_path, capsys):
    (tmp_path / "models").mkdir()
    for root in (tmp_path, tmp_path / "none"):
        assert clean(Store(root), "--yes") == 2
        assert "is no store" in capsys.readouterr().err
