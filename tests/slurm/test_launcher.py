"""What Slurm is asked for, and which array waits for what."""

import errno
import os
import signal
import stat
import time

import pytest
from planted import PLAIN, catalogue, plant

from bench import registry, stopping
from bench.bundles import Bundle, JobArray
from bench.spec import CellSpec, DataSpec, FitSpec, TeacherSpec, UsageError
from bench.stages import Settings, Stage, open_dataset, record_failure
from slurm import jobs, launcher, status, worker
from slurm.profile import Profile
from slurm.queue import State

DATA = DataSpec("darn", "real", "h", 8, 0.25, 1.0, 3)
ARRAY = JobArray("fit", [Bundle([], 1.0, 0.0, True)] * 3, 40, 6000, max_running=2)


def submission_with_teacher(folder, note=True, attempt=0, method="mtss"):
    """Two arrays on disk: a teacher, and the fit that needs it; with note their jobs are 5 and 6. attempt: on record by then."""
    cell = CellSpec(FitSpec(method, {}, DATA, "s"), "", "tiny")
    teacher = Stage("teacher", "t", (), [], [cell], teacher=TeacherSpec(method, "color", {}, DATA, "s"))
    arrays = [
        JobArray(stage.kind, [Bundle([stage], 1.0, 0.0, True)], 10, 1000)
        for stage in (teacher, Stage("fit", cell.fit.key, ("t",), [cell], fit=cell.fit))
    ]
    attempts = {cell.key: attempt} if attempt else {}
    found = jobs.create(folder, arrays, Settings(str(folder), "d", "c", launcher="slurm"), attempts=attempts)
    for array, job in enumerate(("5", "6") if note else ()):
        found.note_job_id(array, job)
    return found, cell


def test_an_array_asks_for_what_its_profile_says_and_always_for_time_and_memory():
    profile = Profile(partition="gpu", account="us", qos="low", constraint="a100", gpus_per_node=2, workers=4, cpus_per_worker=3)
    found = launcher.parameters("bench-x-0", ARRAY, profile, "afterok:7")
    expected = {"time": 40, "mem": "6000M", "cpus_per_task": 12, "gpus_per_node": 2, "array_parallelism": 2, "dependency": "afterok:7"}
    expected |= {"partition": "gpu", "account": "us", "qos": "low", "constraint": "a100", "job_name": "bench-x-0"}
    assert {name: found[name] for name in expected} == expected
    assert found["additional_parameters"] == {"requeue": True, "kill-on-invalid-dep": "yes"}
    assert launcher.parameters("x", ARRAY, Profile(), threads=8)["cpus_per_task"] == 8
    assert not {"partition", "account", "gpus_per_node", "dependency"} & set(launcher.parameters("x", ARRAY, Profile()))


def test_the_words_of_an_array_are_those_that_submitit_knows(tmp_path, monkeypatch):
    import submitit

    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda _: 2))
    executor = submitit.SlurmExecutor(tmp_path)
    executor.update_parameters(**launcher.parameters("x", ARRAY, Profile(partition="p", exclude="n1", setup=("echo hi",)), "afterok:7"))
    text = executor._make_submission_file_text("run", "0")
    for line in ("--time=40", "--mem=6000M", "--dependency=afterok:7", "--kill-on-invalid-dep=yes", "--signal=USR2@120", "--exclude=n1"):
        assert f"#SBATCH {line}\n" in text
    assert "umask" not in text  # what jobs write beside the job folders is as open as the user wants it
    assert "\necho hi\n" in text


@pytest.mark.parametrize(
    ("kind", "needs", "pending", "expected"),
    [
        ("fit", [], [], ""),
        ("fit", [(0, 1)], [], "afterok:10_1"),
        ("fit", [(0, 0), (0, 1)], [], "afterok:10"),
        ("evaluate", [(0, 1), (1, 0)], [], "afterany:10_1:11"),
        ("evaluate", [(1, 0)], ["k", "l"], "afterany:11:7_3:8"),
    ],
)
def test_a_dependency_names_elements_or_whole_arrays(kind, needs, pending, expected):
    array = JobArray(kind, [], 1, 1, needs, pending)
    assert launcher._dependency(array, [["10_0", "10_1"], ["11"]], {"k": "7_3", "l": "8"}) == expected


def test_stale_code_is_told_apart_by_root_and_protocol():
    facts = worker.code_facts()
    assert worker.stale(facts) == ""
    assert "was submitted from /elsewhere; set PYTHONPATH=/elsewhere" in worker.stale({**facts, "root": "/elsewhere"})
    assert "at submission; type the run command again" in worker.stale({**facts, "protocol": -1})


def test_a_method_that_was_edited_or_broken_since_submission_costs_the_cells_of_others_nothing(tmp_path, monkeypatch):
    """All three are in one bundle."""
    monkeypatch.setenv("BENCH_PLUGINS", str(plant(tmp_path / "plugins", plain=PLAIN, edited=PLAIN, broken=PLAIN)))
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    photos = f"folder:{catalogue(tmp_path / 'photos')}"
    settings = Settings(str(tmp_path / "store"), str(tmp_path), str(tmp_path), launcher="slurm")
    data = DataSpec(photos, "real", open_dataset(photos, settings.data_options).data_hash, 32, 1.0, 1.0, 0)
    fits = [FitSpec(name, {}, data, registry.source_hash("methods", name)) for name in ("edited", "broken", "plain")]
    stages = [Stage("fit", fit.key, (), [CellSpec(fit, "", "tiny")], fit=fit) for fit in fits]
    facts = {"code": worker.code_facts(), "workers": 1, "grace_seconds": 1.0, "timeout": None}
    found = jobs.create(tmp_path / "store", [JobArray("fit", [Bundle(stages, 1.0, 0.0, True)], 10, 1000)], settings, **facts)
    plant(tmp_path / "plugins", edited=PLAIN.replace("shift: float = 0.0", "shift: float = 2.0"), broken="def (")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, *stopping.SIGNALS)}
    try:
        assert worker.run(found, 0, 0) == "3 stages, 2 not ok"
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    records = [status.Store(tmp_path / "store").read(stage.cells[0].key) for stage in stages]
    assert [(record["method"], record["status"]) for record in records] == [("edited", "failed"), ("broken", "failed"), ("plain", "ok")]
    assert records[0]["reason"] == "the source of edited has changed since the sweep was planned; type the command again"
    assert records[1]["reason"].startswith("SyntaxError: methods/broken.py:1")


def test_a_foreign_package_of_the_same_name_is_refused(monkeypatch, tmp_path):
    import types

    foreign = types.ModuleType("datasets")
    foreign.__file__ = str(tmp_path / "datasets" / "__init__.py")
    monkeypatch.setitem(__import__("sys").modules, "datasets", foreign)
    assert f"the package 'datasets' is {foreign.__file__}, the job was submitted from" in worker.stale(worker.code_facts())


def test_a_cell_whose_teacher_was_lost_says_so(tmp_path, monkeypatch):
    """Accounting knows a dead teacher and the fit that Slurm cancelled with it; one query is made."""
    _, cell = submission_with_teacher(tmp_path)
    rows = {"5": {0: status.queue.Row("FAILED", "9:0", nodes="n1")}, "6": {0: status.queue.Row("CANCELLED", reason="Dependency")}}
    asked = []
    monkeypatch.setattr(status.queue, "accounting", lambda ids: asked.append(set(ids)) or rows)
    assert status.cell_states(tmp_path, [cell.key]) == {
        cell.key: State("killed", "skipped: teacher failed (mtss:color: the job died of SIGKILL on n1)")
    }
    assert asked == [{"5", "6"}]
    monkeypatch.setattr(status.queue, "live", lambda: {})
    assert status.look(tmp_path) == {}
    assert status.Store(tmp_path).read(cell.key) is None
    monkeypatch.setattr(status, "_YOUNG_SECONDS", -1)
    attached = status.attach(tmp_path, Settings(str(tmp_path), "d", "c", launcher="slurm"))
    assert (attached.busy, attached.pending, attached.recorded) == ({}, {}, 1)
    record = status.Store(tmp_path).read(cell.key)
    assert (record["status"], record["reason"]) == ("killed", "skipped: teacher failed (mtss:color: the job died of SIGKILL on n1)")
    assert jobs.submissions(tmp_path)[0].settled


def test_job_folders_are_private_whatever_the_umask_and_anothers_are_refused(tmp_path, monkeypatch):
    before = os.umask(0o002)
    try:
        submission, _ = submission_with_teacher(tmp_path)
    finally:
        os.umask(before)
    for folder in (tmp_path / "slurm", submission.folder, submission.folder / "logs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((submission.folder / "submission.json").stat().st_mode) == 0o600

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(type(tmp_path), "chmod", refuse)
    refused = pytest.raises(UsageError, match=r"slurm is another user's, who alone submits from this store; take a --store of your own")
    with refused, launcher.submitting(tmp_path):
        pass


def test_a_record_that_is_not_seen_until_its_folder_is_listed_is_not_lost(tmp_path, monkeypatch):
    """A client of NFS may say for a while that a new file is not there."""
    _, cell = submission_with_teacher(tmp_path)
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm")
    record_failure(Stage("evaluate", "e", (), [cell]), settings, "failed", "boom")
    path = status.Store(tmp_path).record_path(cell.key)
    path.rename(tmp_path / "hidden")
    listdir = os.listdir

    def listed(folder):
        if folder == path.parent and not path.exists():
            (tmp_path / "hidden").rename(path)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", listed)
    rows = {"5": {0: status.queue.Row("COMPLETED")}, "6": {0: status.queue.Row("CANCELLED by 0")}}
    monkeypatch.setattr(status.queue, "accounting", lambda ids: rows)
    monkeypatch.setattr(status.queue, "live", lambda: {})
    assert status.attach(tmp_path, settings).recorded == 0
    assert status.Store(tmp_path).read(cell.key)["reason"] == "boom"


def test_a_cell_whose_job_ended_well_and_that_has_no_record_may_be_seen_late(tmp_path, monkeypatch):
    _, cell = submission_with_teacher(tmp_path)
    rows = {"5": {0: status.queue.Row("COMPLETED")}, "6": {0: status.queue.Row("COMPLETED")}}
    monkeypatch.setattr(status.queue, "accounting", lambda ids: rows)
    assert launcher.ended_well(tmp_path, [cell.key]) == {cell.key}
    rows["5"] = {0: status.queue.Row("FAILED", "9:0", nodes="n1")}
    assert launcher.ended_well(tmp_path, [cell.key]) == set()


def test_a_method_that_has_gone_since_keeps_nobody_from_submitting(tmp_path, monkeypatch):
    _, cell = submission_with_teacher(tmp_path, method="vanished")
    rows = {"5": {0: status.queue.Row("CANCELLED by 0")}, "6": {0: status.queue.Row("CANCELLED", reason="Dependency")}}
    monkeypatch.setattr(status.queue, "accounting", lambda ids: rows)
    monkeypatch.setattr(status.queue, "live", lambda: {})
    assert status.attach(tmp_path, Settings(str(tmp_path), "d", "c", launcher="slurm")).recorded == 1
    record = status.Store(tmp_path).read(cell.key)
    assert (record["method"], record["paper"], record["status"]) == ("vanished", "", "interrupted")


@pytest.mark.parametrize("live", [{}, {"5": {0: State("running")}, "6": {0: State("queued")}}])
def test_a_submission_that_another_version_wrote_is_settled_with_one_line(tmp_path, monkeypatch, capsys, live):
    submission, cell = submission_with_teacher(tmp_path)
    for path in submission.folder.glob("array-*.jsonl"):
        path.write_text(path.read_text().replace('"source_hash":', '"source_sha":'))
    rows = {"5": {0: status.queue.Row("FAILED", "9:0", nodes="n1")}, "6": {0: status.queue.Row("CANCELLED", reason="Dependency")}}
    monkeypatch.setattr(status.queue, "accounting", lambda ids: rows)
    monkeypatch.setattr(status.queue, "live", lambda: live)
    assert status.attach(tmp_path, Settings(str(tmp_path), "d", "c", launcher="slurm")).recorded == 0
    assert submission.settled
    assert status.Store(tmp_path).read(cell.key) is None
    [said] = capsys.readouterr().err.splitlines()
    assert f"{submission.folder}: written by another version of this project (" in said


def test_a_live_fit_is_waited_for_and_a_job_that_nobody_noted_is_adopted(tmp_path, monkeypatch):
    submission, cell = submission_with_teacher(tmp_path, note=False)
    live = {"6": {0: State("queued", "Dependency")}, f"id of {submission.name(1)}": {6: State("queued")}}
    monkeypatch.setattr(status.queue, "accounting", lambda ids: {})
    monkeypatch.setattr(status.queue, "live", lambda: live)
    attached = status.attach(tmp_path, Settings(str(tmp_path), "d", "c", launcher="slurm"))
    assert attached.busy == {cell.key: State("queued", "Dependency")}
    assert attached.pending == {cell.fit.key: "6"}
    assert attached.recorded == 0
    assert submission.job_id(1) == "6"
    assert not submission.settled


@pytest.mark.parametrize("ahead", [-60.0, 0.0, 60.0])
def test_records_are_told_from_older_ones_whatever_a_nodes_clock_says(tmp_path, monkeypatch, ahead):
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm")
    monkeypatch.setattr(status.queue, "accounting", lambda ids: {})
    monkeypatch.setattr(status.queue, "live", lambda: {"5": {0: State("running")}, "6": {0: State("queued", "Dependency")}})
    now = time.time

    def fail(cell):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now() + ahead)
            record_failure(Stage("evaluate", "e", (), [cell]), settings, "failed", "boom")

    first, cell = submission_with_teacher(tmp_path)
    fail(cell)
    assert status.look(tmp_path) == {}
    first.settle()
    submission_with_teacher(tmp_path, attempt=1)
    assert status.look(tmp_path) == {cell.key: State("queued", "Dependency")}
    assert set(status.attach(tmp_path, settings).pending) == {"t", cell.fit.key}
    fail(cell)
    assert status.look(tmp_path) == {}


@pytest.mark.parametrize(("noted", "young"), [((), -1), (("5",), -1), (("5", "6"), 300)])
def test_a_submission_under_way_is_never_settled(tmp_path, monkeypatch, noted, young):
    """Its jobs are not in the queue yet when another driver asks."""
    submission, cell = submission_with_teacher(tmp_path, note=False)
    for array, job in enumerate(noted):
        submission.note_job_id(array, job)
    monkeypatch.setattr(status, "_YOUNG_SECONDS", young)
    monkeypatch.setattr(status.queue, "accounting", lambda ids: {})
    monkeypatch.setattr(status.queue, "live", lambda: {})
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm")
    assert status.attach(tmp_path, settings).recorded == 0
    live = {name: {0: State("queued")} for name in ("6", submission.name(1))} | {f"id of {submission.name(1)}": {6: State("queued")}}
    monkeypatch.setattr(status.queue, "live", lambda: live)
    assert status.look(tmp_path) == {cell.key: State("queued")}
    assert submission.job_id(1) == "".join(noted[1:])  # a look notes nothing
    assert status.attach(tmp_path, settings).busy == {cell.key: State("queued")}


def test_a_submission_that_was_cut_short_is_settled_a_day_later(tmp_path, monkeypatch):
    """Else each later command would read it, for ever; not while any of its jobs is at work."""
    submission, cell = submission_with_teacher(tmp_path, note=False)
    submission.note_job_id(0, "5")
    now = time.time()
    monkeypatch.setattr(status.queue, "accounting", lambda ids: {})
    monkeypatch.setattr(status.queue, "live", lambda: {"5": {0: State("running")}})
    monkeypatch.setattr(status.time, "time", lambda: now + 90000)
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm")
    status.attach(tmp_path, settings)
    assert not submission.settled
    monkeypatch.setattr(status.queue, "live", lambda: {})
    monkeypatch.setattr(status.time, "time", lambda: now + 80000)
    status.attach(tmp_path, settings)
    assert not submission.settled
    monkeypatch.setattr(status.time, "time", lambda: now + 90000)
    assert status.attach(tmp_path, settings).busy == {}
    assert submission.settled
    assert status.Store(tmp_path).read(cell.key) is None  # it is submitted again


def test_a_teacher_is_waited_for_while_it_may_still_come_whatever_was_submitted_after_it(tmp_path, monkeypatch):
    """The fit that needs it was never submitted; nor is a teacher waited for that has failed in a job which is still at work."""
    submission, cell = submission_with_teacher(tmp_path, note=False)
    submission.note_job_id(0, "5")
    settings = Settings(str(tmp_path), "d", "c", launcher="slurm")
    monkeypatch.setattr(status.queue, "accounting", lambda ids: {})
    monkeypatch.setattr(status.queue, "live", lambda: {"5": {0: State("running")}})
    attached = status.attach(tmp_path, settings)
    assert (attached.busy, attached.pending) == ({}, {"t": "5"})
    for name, pending in (("shape", {"t": "5"}), ("color", {})):
        teacher = Stage("teacher", name, (), [], [cell], teacher=TeacherSpec("mtss", name, {}, DATA, "s"))
        record_failure(teacher, settings, "failed", "boom")
        assert status.attach(tmp_path, settings).pending == pending


def test_what_slurm_does_not_know_is_unknown_and_never_done(tmp_path, monkeypatch):
    submission, cell = submission_with_teacher(tmp_path, note=False)
    assert status.cell_states(tmp_path, [cell.key])[cell.key].status == "unknown"
    submission.note_job_id(1, "6")

    def broken(ids):
        raise status.queue.QueueError("sacct: Slurm accounting storage is disabled")

    monkeypatch.setattr(status.queue, "accounting", broken)
    monkeypatch.setattr(status, "_JUST_SUBMITTED_SECONDS", -1)
    assert status.cell_states(tmp_path, [cell.key]) == {cell.key: State("unknown", "sacct: Slurm accounting storage is disabled")}
