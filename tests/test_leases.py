"""Who works on a stage: one at a time, the later run of a job before the earlier, and nobody waits for the dead."""

import errno
import json
import multiprocessing
import os
import threading
import time

import pytest

from bench import leases, stopping
from bench.plan import Stage
from bench.stages import Settings, run_stage


@pytest.fixture(autouse=True)
def _nobody_asked():
    stopping.clear()
    yield
    stopping.clear()


def _holder(path, owner, rank, pipe):
    with leases.hold(path, owner=owner, rank=rank, seconds=0.8):
        pipe.send("held")
        pipe.poll(20)
    pipe.send("stopped" if stopping.requested() else "free")


@pytest.fixture
def another():
    """Starts a process that holds a lease until it is told to leave, or is killed."""
    started = []

    def start(path, owner="9_1", rank=0):
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_holder, args=(path, owner, rank, theirs))
        process.start()
        started.append(process)
        assert ours.recv() == "held"
        return process, ours

    yield start
    for process in started:
        process.kill()
        process.join()


def test_a_link_whose_answer_was_lost_is_held_at_once(tmp_path, monkeypatch):
    link = os.link

    def answer_lost(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(leases.os, "link", answer_lost)
    path = tmp_path / "stage.json"
    monkeypatch.setattr(leases.time, "sleep", lambda _: pytest.fail("it waits for itself"))
    with leases.hold(path, owner="9_1", rank=0, seconds=0.4):
        assert json.loads(path.read_text())["owner"] == "9_1"
    assert not path.exists()


def test_a_lease_is_there_while_it_is_held_and_gone_afterwards(tmp_path):
    path = tmp_path / "deep" / "stage.json"
    with leases.hold(path, owner="9_1", rank=2, seconds=5):
        assert {name: json.loads(path.read_text())[name] for name in ("owner", "rank")} == {"owner": "9_1", "rank": 2}
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("error", [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_one_after_the_other(tmp_path, monkeypatch, error):
    """On file systems without hard links, too."""

    def link(*_):
        raise OSError(error, "no links here")

    if error is not None:
        monkeypatch.setattr(leases.os, "link", link)
    inside, most, lock = 0, 0, threading.Lock()

    def work(number):
        nonlocal inside, most
        with leases.hold(tmp_path / "stage", owner=f"job {number}", rank=0, seconds=0.2):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (most, inside) == (1, 0)
    assert not stopping.requested()


def test_a_holder_that_was_killed_is_not_waited_for(tmp_path, another):
    process, _ = another(tmp_path / "stage", owner="8")
    process.kill()
    process.join()
    began = time.monotonic()
    with leases.hold(tmp_path / "stage", owner="9", rank=0, seconds=600):
        assert time.monotonic() - began < 5


def test_a_holder_without_a_heartbeat_is_not_waited_for(tmp_path):
    path = tmp_path / "stage"
    path.write_text(json.dumps({"token": "x", "owner": "7", "rank": 0, "host": "elsewhere", "pid": 1, "process": "1"}))
    began = time.monotonic()
    with leases.hold(path, owner="9", rank=0, seconds=1):
        assert time.monotonic() - began > 0.8
        assert json.loads(path.read_text())["owner"] == "9"


def test_a_requeued_job_takes_over_from_its_earlier_run_which_stops(tmp_path, another):
    _, pipe = another(tmp_path / "stage", owner="9_1", rank=0)
    with leases.hold(tmp_path / "stage", owner="9_1", rank=1, seconds=5):
        time.sleep(0.5)
        pipe.send("leave")
        assert pipe.recv() == "stopped"
        assert json.loads((tmp_path / "stage").read_text())["rank"] == 1  # the earlier run did not take the newer one's lease along


def test_another_job_that_took_a_silent_holders_lease_stops_that_stage_alone(tmp_path):
    """As after a pause of the whole process that was longer than the lease."""
    path = tmp_path / "stage"
    with leases.hold(path, owner="9_1", rank=3, seconds=0.4):
        path.write_text(json.dumps({"token": "x", "owner": "8_2", "rank": 0, "host": "elsewhere", "pid": 1, "process": "1"}))
        time.sleep(0.4)
        with pytest.raises(stopping.Stopped, match=r"^8_2 took over after 0\.4 s without a heartbeat$"):
            stopping.check()
    assert json.loads(path.read_text())["owner"] == "8_2"
    assert run_stage(Stage("evaluate", "next"), Settings(str(tmp_path), "d", "c")).status == "ok"


def test_another_job_waits_and_a_stopping_process_does_not(tmp_path, another):
    _, pipe = another(tmp_path / "stage", owner="9_1", rank=0)
    threading.Timer(0.5, stopping.request, ["time is up"]).start()
    with pytest.raises(stopping.Stopped, match="time is up"), leases.hold(tmp_path / "stage", owner="9_2", rank=5, seconds=600):
        pytest.fail("two holders")
    stopping.clear()
    pipe.send("leave")
    assert pipe.recv() == "free"
    with leases.hold(tmp_path / "stage", owner="9_2", rank=0, seconds=600):
        pass
