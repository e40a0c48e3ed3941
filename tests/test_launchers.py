"""What may start when, and how an evaluation that killed its worker is split."""

import os

import pytest

from bench import launchers
from bench.launchers import Pool, Schedule, cuda_present, default_jobs, split_evaluation
from bench.plan import Stage
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.stages import Settings


def cell(name):
    return CellSpec(FitSpec(name, {}, DataSpec("d", "real", "h", 8, 1.0, 1.0, 0), "s"), "", "tiny", "fog", 1)


def test_a_stage_waits_for_its_needs_and_others_pass_it():
    schedule = Schedule([Stage("teacher", "t"), Stage("fit", "f", ("t",)), Stage("fit", "g")])
    assert [schedule.next().key, schedule.next().key, schedule.next()] == ["t", "g", None]
    schedule.status["t"] = "ok"
    assert schedule.next().key == "f"


def test_a_fit_is_lost_with_its_teacher_and_an_evaluation_is_not():
    fit, evaluation = Stage("fit", "f", ("t",)), Stage("evaluate", "e", ("f",))
    schedule = Schedule([Stage("teacher", "t"), fit, evaluation])
    schedule.next()
    schedule.status["t"] = "failed"
    assert schedule.lost_need(schedule.next())
    schedule.status["f"] = "failed"
    assert not schedule.lost_need(schedule.next())


def test_a_need_that_is_not_in_the_plan_has_been_met_before():
    assert Schedule([Stage("fit", "f", ("earlier",))]).next().key == "f"


def test_an_evaluation_of_several_fits_is_split_by_fit():
    stage = Stage("evaluate", "e", ("x",), [cell("a"), cell("b"), cell("a")])
    pieces = split_evaluation(stage)
    assert [[each.fit.method for each in piece.cells] for piece in pieces] == [["a", "a"], ["b"]]
    assert len({piece.key for piece in pieces}) == 2
    assert split_evaluation(pieces[0]) == [pieces[0]]
    schedule = Schedule([stage])
    schedule.next()
    schedule.replace(stage, pieces)
    assert [schedule.next().key, schedule.next().key] == [piece.key for piece in pieces]


def test_more_threads_a_worker_mean_fewer_workers():
    assert default_jobs(10**6) == 1
    assert default_jobs(1) >= 1


@pytest.mark.parametrize(
    ("variable", "visible", "handed_out"),
    [
        (None, 4, ["0", "1", "2", "3", "0"]),
        ("", 0, [""] * 5),
        ("-1", 0, ["-1"] * 5),
        ("2,3", 2, ["2", "3", "2", "3", "2"]),
        ("2, 3", 2, ["2", "3", "2", "3", "2"]),
        ("1,-1,3", 1, ["1"] * 5),  # CUDA reads up to the first that is none
        ("GPU-5f3a,GPU-77c1", 2, ["GPU-5f3a", "GPU-77c1", "GPU-5f3a", "GPU-77c1", "GPU-5f3a"]),
    ],
)
def test_workers_share_the_devices_that_are_shown_and_no_hidden_one(variable, visible, handed_out, monkeypatch):
    def show():
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if variable is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)

    monkeypatch.setattr(launchers, "_cuda_devices", lambda: ["0", "1", "2", "3"])
    show()
    assert cuda_present() == (visible > 0)
    assert default_jobs(10**6) == max(1, visible)
    found = []
    for number in range(5):
        show()
        launchers._choose_device(number)
        found.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert found == handed_out


def test_a_machine_without_a_device_has_none_whatever_the_variable_says(monkeypatch):
    monkeypatch.setattr(launchers, "_cuda_devices", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert not cuda_present()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    launchers._choose_device(0)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_pool_that_is_to_stop_starts_nothing(tmp_path):
    told = []
    settings = Settings(str(tmp_path / "store"), str(tmp_path), str(tmp_path))
    pool = Pool([Stage("fit", "f")], settings, lambda *each: told.append(each), lambda *_: None, None, stop=lambda: True)
    pool.run(2)
    assert (told, pool.workers, len(pool.schedule.waiting)) == ([], [], 1)
