"""A stage that breaks off half-way keeps the cells that it had done, and is blamed for the others only."""

import os
import signal

import pytest
from faulty import records, run, run_here, start, until
from planted import DEADLY, PLAIN, plant

from bench import evaluation, launchers
from bench.launchers import Interrupted, Schedule, run_inline
from bench.plan import Stage
from bench.progress import Progress
from bench.stages import Settings, StageResult, left_of
from bench.store import Store

PATIENT = DEADLY.replace(
    "import os, signal\n",
    """import os, pathlib, signal, time

        while (images == 255).float().mean() > 0.05 and pathlib.Path(__file__).with_name("stuck").exists():
            time.sleep(0.05)
""",
)
TWO = ("--severities", "0,3,5", "--corruptions", "gaussian_noise")  # one evaluation of two conditions after the fit


def breaking(monkeypatch, error, *, before=0):
    """Evaluations raise after so many that went well."""
    known, calls = evaluation.evaluate, []

    def evaluate(*given, **named):
        calls.append(given)
        if len(calls) > before:
            raise error
        return known(*given, **named)

    monkeypatch.setattr(evaluation, "evaluate", evaluate)


def outcomes(place):
    return sorted((record["severity"], record["status"], record["attempt"]) for record in records(place).values())


def test_an_evaluation_that_fails_half_way_keeps_what_it_had_done(place, monkeypatch, capsys):
    breaking(monkeypatch, RuntimeError("no more"), before=2)
    assert run_here(place, *TWO) == 1
    assert outcomes(place) == [(0, "ok", 1), (3, "ok", 1), (5, "failed", 1)]
    error = capsys.readouterr().err
    assert "[2/3] ok plain" in error
    assert "[3/3] failed plain" in error


@pytest.mark.parametrize("launcher", ["inline", "process"])
def test_a_method_that_ends_the_process_costs_its_own_cells(place, launcher):
    """Its exit code is not taken for the sweep's: 3 would be a regression."""
    leaving = PLAIN.replace("class Plain", "class Leaving").replace(
        "self.model = self.build", "raise SystemExit(3)\n        self.model = self.build"
    )
    plant(place / "plugins", leaving=leaving)
    done = run(place, "--methods", "leaving,plain", "--launcher", launcher)
    assert done.returncode == 1, done.stderr
    found = {record["method"]: (record["status"], record["reason"]) for record in records(place).values()}
    assert found == {"leaving": ("failed", "SystemExit: 3"), "plain": ("ok", "")}


def test_an_interrupted_evaluation_keeps_what_it_had_done(place, monkeypatch, capsys):
    breaking(monkeypatch, KeyboardInterrupt(), before=2)
    assert run_here(place, *TWO) == 130
    assert outcomes(place) == [(0, "ok", 1), (3, "ok", 1), (5, "interrupted", 1)]
    assert "[2/3] ok plain" in capsys.readouterr().err


def test_a_worker_killed_in_an_evaluation_keeps_what_it_had_done(place):
    plant(place / "plugins", deadly=DEADLY)
    done = run(place, "--methods", "deadly", "--severities", "0,1,5", "--corruptions", "impulse_noise", "--jobs", "1")
    assert done.returncode == 1, done.stderr
    assert outcomes(place) == [(0, "ok", 1), (1, "ok", 1), (5, "killed", 1)]
    assert "[2/3] ok deadly" in done.stderr


def test_ctrl_c_while_workers_evaluate_keeps_what_they_had_done(place):
    plant(place / "plugins", deadly=PATIENT)
    (place / "plugins/methods/stuck").touch()
    driver = start(place, "--methods", "deadly", "--severities", "0,1,5", "--corruptions", "impulse_noise", "--jobs", "1")
    until(lambda: (place / "store/records").is_dir() and len(list((place / "store/records").rglob("*.json"))) == 2)
    os.kill(driver.pid, signal.SIGTERM)  # as Ctrl-C, which a background job's children may ignore
    _, error = driver.communicate(timeout=60)
    assert driver.returncode == 130, error
    assert outcomes(place) == [(0, "ok", 1), (1, "ok", 1), (5, "interrupted", 1)]


def test_a_cell_that_is_done_again_and_fails_says_so(place, monkeypatch):
    assert run_here(place) == 0
    next((place / "store/splits").iterdir()).unlink()  # brought back before the evaluation breaks off
    breaking(monkeypatch, RuntimeError("not this time"))
    assert run_here(place) == 1
    assert outcomes(place) == [(0, "failed", 2)]


def test_what_is_left_of_a_stage_is_what_has_no_ok_record_of_its_own_run(place):
    assert run_here(place, "--seeds", "0-1") == 0
    store = Store(place / "store")
    first, second = (type("Cell", (), {"key": key}) for key in records(place))
    stage = Stage("evaluate", "e", (), [first], [second])
    left = left_of(stage, store)
    assert (left.cells, left.affects) == ([], [])
    left = left_of(stage, store, {first.key: 1})
    assert (left.cells, left.affects) == ([first], [])
    (store.root / records(place)[second.key]["predictions_path"]).unlink()
    assert left_of(stage, store).affects == [second]


def test_an_interrupt_while_the_next_stage_is_looked_for_blames_none(tmp_path, monkeypatch):
    def next_stage(schedule):
        if schedule.status:
            raise KeyboardInterrupt
        return known(schedule)

    known, blamed = Schedule.next, []
    monkeypatch.setattr(Schedule, "next", next_stage)
    monkeypatch.setattr(launchers, "run_stage", lambda *_: StageResult("failed", "bad", 0.0, []))
    monkeypatch.setattr(launchers, "_lost", lambda stage, *_: blamed.append(stage))
    settings = Settings(str(tmp_path / "store"), str(tmp_path), str(tmp_path))
    with pytest.raises(Interrupted):
        run_inline([Stage("fit", "f")], settings, lambda *_: None, lambda *_: None)
    assert blamed == []


def test_an_interrupt_while_a_finished_stage_is_told_of_leaves_its_records(place, monkeypatch):
    breaking(monkeypatch, RuntimeError("bad"))
    told = []

    def result(self, stage, outcome):
        told.append(outcome.status)
        if len(told) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "result", result)
    assert run_here(place) == 130
    assert (told, outcomes(place)) == (["failed"], [(0, "failed", 1)])
