"""Two runs on one store at the same moment share the work: nothing is computed twice, nothing is lost, and nobody waits for the dead."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest
from faulty import records, run_here, start, until
from planted import ROOT

from bench.outcomes import StageResult
from bench.plan import Stage
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.store import Store
from bench.turns import Turns

ALL = ("--methods", "gated", "--seeds", "0-29", "--jobs", "1")


def fits(place):
    """(seed, worker, driver) of each fit that began."""
    path = place / "plugins/methods/fits"
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


def close(*drivers):
    for driver in drivers:
        driver.kill()
        driver.wait()
        driver.stderr.close()


def test_two_runs_share_a_sweep(place):
    stuck = place / "plugins/methods/stuck"
    stuck.touch()
    both = [start(place, *ALL), start(place, *ALL)]
    try:
        until(lambda: len(fits(place)) == 2)  # both are at work, each on a cell of its own
        stuck.unlink()
        errors = [driver.communicate(timeout=120)[1] for driver in both]
    finally:
        close(*both)
    assert [driver.returncode for driver in both] == [0, 0], errors
    assert all("30 cells: 30 ok" in error and "[30/30]" in error for error in errors)
    assert set(Counter(seed for seed, *_ in fits(place)).values()) == {1}
    assert len({driver for *_, driver in fits(place)}) == 2
    assert [record["attempt"] for record in records(place).values()] == [1] * 30
    assert sum(error.count(": by another run") for error in errors) == 30  # each cell is done by one and told of by both


def test_overlapping_sweeps_share_what_they_have_in_common(place):
    stuck = place / "plugins/methods/stuck"
    stuck.touch()
    first = start(place, "--methods", "gated", "--seeds", "0-9", "--jobs", "1")
    second = start(place, "--methods", "plain,gated", "--seeds", "5-14", "--jobs", "1")
    try:
        until(lambda: len(fits(place)) == 2)
        stuck.unlink()
        errors = [driver.communicate(timeout=120)[1] for driver in (first, second)]
    finally:
        close(first, second)
    assert "10 cells: 10 ok" in errors[0]
    assert "20 cells: 20 ok" in errors[1]
    assert len(fits(place)) == 15
    assert [record["attempt"] for record in records(place).values()] == [1] * 25


@contextmanager
def one_waits(place):
    """Two runs of one cell: the first is held up in it, and the second has said that it waits. And the file that holds it up."""
    stuck = place / "plugins/methods/stuck"
    stuck.touch()
    runs = [start(place, "--methods", "gated", "--jobs", "1")]
    try:
        until(lambda: fits(place))
        runs.append(start(place, "--methods", "gated", "--jobs", "1"))
        line = next(line for line in runs[1].stderr if "another run" in line)
        assert line == "another run works on some of these cells; the others come first\n"
        assert len(fits(place)) == 1
        yield (*runs, stuck)
    finally:
        close(*runs)


def test_a_run_that_waits_for_another_takes_over_when_it_is_killed(place):
    with one_waits(place) as (first, second, stuck):
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: len(fits(place)) == 2)  # the lock went with its process
        stuck.unlink()
        _, error = second.communicate(timeout=60)
        assert "1 cells: 1 ok" in error
    assert [record["attempt"] for record in records(place).values()] == [1]


def test_a_run_that_waits_for_another_takes_over_when_it_is_interrupted(place):
    with one_waits(place) as (first, second, stuck):
        os.kill(first.pid, signal.SIGTERM)  # as Ctrl-C, which a background job's children may ignore
        assert first.wait(timeout=60) == 130
        stuck.unlink()
        _, error = second.communicate(timeout=60)
        assert second.returncode == 0, error
        assert "1 cells: 1 ok" in error
    assert [(record["status"], record["attempt"]) for record in records(place).values()] == [("ok", 2)]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_on_a_file_system_without_locks_a_run_says_so_once_and_goes_on(place, number, monkeypatch, capsys):
    def lockf(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", lockf)
    assert run_here(place, "--seeds", "0-2") == 0
    error = capsys.readouterr().err
    line = f"{place}/store: no locks here ({os.strerror(number)}); a second run of the same cells at the same time does them twice"
    assert error.count(line) == 1
    assert "3 cells: 3 ok" in error


def cell(name, severity=1):
    return CellSpec(FitSpec(name, {}, DataSpec("d", "real", "h", 8, 1.0, 1.0, 0), "s"), "", "tiny", "fog" if severity else "none", severity)


class Other:
    """Another process, which takes one stage's cells and keeps them until it is told to end."""

    def __init__(self, root, key):
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.turns import Turns; "
        code += "from bench.plan import Stage; from pathlib import Path; "
        code += f"assert Turns(Path({str(root)!r}), {{}}, print, print).take(Stage('fit', {key!r})); print('held', flush=True); input()"
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "held\n"

    def end(self):
        self.process.communicate("\n", timeout=30)


@pytest.fixture
def turns(tmp_path):
    told, said = [], []
    found = Turns(tmp_path, {cell("old").key: 1}, lambda stage, result: told.append((stage.key, result)), said.append)
    found.told, found.said = told, said
    yield found
    found.close()


def test_a_stage_is_taken_whole_or_not_at_all(turns, tmp_path):
    shared, own = cell("shared"), cell("own")
    other = Other(tmp_path, shared.key)  # a stage of that key, as good as a cell of it
    assert not turns.take(Stage("evaluate", "both", (), [own, shared]))
    assert turns.said == ["another run works on some of these cells; the others come first"]
    Other(tmp_path, own.key).end()  # nothing of it is held
    stage = Stage("evaluate", "own", (), [own])
    assert turns.take(stage)
    stage.cells.clear()  # as where another run has done it meanwhile
    turns.leave(stage)
    Other(tmp_path, own.key).end()
    other.end()
    assert turns.take(Stage("evaluate", "both", (), [shared]))
    assert len(turns.said) == 1


def put(turns, each, status, attempt):
    """A record with as much as is read of it."""
    known = turns.store.read
    record = {"key": each.key, "status": status, "reason": "" if status == "ok" else "bad", "attempt": attempt}
    turns.store.read = lambda key: record if key == each.key else known(key)


def test_what_others_did_since_is_told_and_taken_off_the_stage(turns):
    put(turns, cell("a"), "ok", 1)
    put(turns, cell("old"), "failed", 1)  # as it was when this run was planned
    stage = Stage("evaluate", "e", (), [cell("a"), cell("b"), cell("old")])
    assert turns.done_elsewhere(stage) is None
    assert [each.fit.method for each in stage.cells] == ["b", "old"]
    [(_, result)] = turns.told
    assert [(each.key, each.status, each.reason) for each in result.cells] == [(cell("a").key, "ok", "by another run")]


def test_a_teacher_that_failed_elsewhere_is_not_taught_again(turns):
    later = [cell("fit", 0), cell("fit", 3)]
    teacher = Stage("teacher", "t", (), [], later)
    assert turns.done_elsewhere(teacher) is None
    for each in later:
        put(turns, each, "failed", 1)
    assert turns.done_elsewhere(teacher) == "failed"
    assert turns.told == [("t", StageResult("failed", "", 0.0, turns.told[0][1].cells))]
    assert [(each.status, each.reason) for each in turns.told[0][1].cells] == [("failed", "bad")] * 2


def test_what_was_interrupted_elsewhere_is_still_to_do(turns):
    later = [cell("fit", 0), cell("fit", 3)]
    for each in later:
        put(turns, each, "interrupted", 1)
    teacher, fit = Stage("teacher", "t", (), [], later), Stage("fit", later[0].fit.key, (), later[:1], later[1:])
    assert [turns.done_elsewhere(stage) for stage in (teacher, fit)] == [None, None]
    assert fit.cells == later[:1]
    assert turns.told == []


def test_a_fit_that_was_trained_elsewhere_only_has_its_cells_left(turns):
    fit = Stage("fit", cell("f").fit.key, (), [cell("f", 0)], [cell("f", 3)])
    Store(turns.store.root).save_model(fit.key, {}, {})
    assert turns.done_elsewhere(fit) is None
    put(turns, cell("f", 0), "ok", 1)
    assert turns.done_elsewhere(fit) == "ok"
    assert fit.cells == []
