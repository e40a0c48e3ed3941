"""A clock that is put back, or was: durations, limits, leases and what comes after."""

import itertools
import json
import os
import re
import time

import pytest
from faulty import records, run_here

from bench import leases
from bench.report import write
from bench.store import Store

HOUR = 3600.0


@pytest.fixture
def falling(monkeypatch):
    """A calendar that goes back an hour whenever it is asked."""
    now, steps = time.time(), itertools.count(1)
    monkeypatch.setattr(time, "time", lambda: now - HOUR * next(steps))


def test_no_duration_is_negative(place, falling, capsys):
    assert run_here(place, "--seeds", "0-1") == 0
    found = records(place).values()
    assert len(found) == 2
    for record in found:
        assert record["finished"] >= record["started"]
        assert min(record["fit_seconds"], record["eval_seconds"]) >= 0
    assert re.findall(r"-\d+(?:\.\d)?[smh]", capsys.readouterr().err) == []


def test_a_time_limit_holds(place, falling):
    (place / "plugins/methods/stuck").touch()
    assert run_here(place, "--methods", "gated", "--timeout", "2s", "--jobs", "1", launcher="process") == 1
    assert [(record["status"], record["reason"]) for record in records(place).values()] == [("timeout", "ran past the limit of 2 s")]


def test_records_of_a_later_day_are_resumed_and_reported(place, capsys):
    assert run_here(place, "--seeds", "0-1") == 0
    store = Store(place / "store")
    for record in list(store.records()):
        store.write({**record, "started": time.time() + 24 * HOUR, "finished": time.time() + 25 * HOUR})
        os.utime(store.record_path(record["key"]), (time.time() + 25 * HOUR,) * 2)
    assert run_here(place, "--seeds", "0-2") == 0
    assert [record["attempt"] for record in records(place).values()] == [1, 1, 1]
    assert write(place / "store", place / "out") == 0
    assert "3 ok" in capsys.readouterr().err


def test_a_dead_lease_from_a_later_day_is_taken_in_its_time(tmp_path):
    path = tmp_path / "stage"
    path.write_text(json.dumps({"token": "x", "owner": "7", "rank": 0, "host": "elsewhere", "pid": 1, "process": "1"}))
    os.utime(path, (time.time() + HOUR,) * 2)
    with leases.hold(path, owner="9", rank=0, seconds=0.5):
        assert json.loads(path.read_text())["owner"] == "9"


def test_a_living_lease_from_a_later_day_is_left_alone(tmp_path):
    path = tmp_path / "stage"
    holder = leases._Lease(path, "7", 0, 0.8)
    holder.content["host"] = "elsewhere"
    holder.acquire()
    lost = leases._Lease(path, "9", 0, 0.8)
    mine = tmp_path / "mine"
    mine.write_text("{}")
    began = time.monotonic()
    while time.monotonic() - began < 2.5:  # three times as long as a silent one lives
        os.utime(path, (path.stat().st_mtime + HOUR,) * 2)
        assert not lost._take(mine)
        time.sleep(0.1)
    holder.release()
