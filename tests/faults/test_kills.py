"""Drivers and workers killed at any moment: what is finished stays so, nothing is torn, and typing again ends as an undisturbed run."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from faulty import records, run, session, start, until

from bench.store import Store

SWEEP = ("--methods", "gated", "--seeds", "0-119", "--jobs", "2")
VOLATILE = {"fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "started", "finished"}


def stable(found):
    return {key: {name: value for name, value in record.items() if name not in VOLATILE} for key, record in found.items()}


def kill_somewhere(driver, rng):
    """Kills a driver, sometimes with its workers, at a moment that has nothing to do with what it is doing: while it starts, or some
    milliseconds after one of its lines. Returns once nothing of it is left."""
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0.0, 1.5))
    else:
        wanted = rng.randint(1, 12)
        for line in driver.stderr:
            if line.startswith(f"[{wanted}/"):
                break
        time.sleep(rng.uniform(0.0, 0.05))
    os.kill(driver.pid, signal.SIGKILL) if rng.random() < 0.7 else os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stderr.close()
    until(lambda: not session(driver.pid), 15)  # no worker outlives its driver for long


@pytest.mark.slow
def test_a_driver_killed_at_ten_moments_loses_and_repeats_nothing(place):
    assert run(place, *SWEEP, store="undisturbed").returncode == 0
    rng, finished = random.Random(20240607), {}
    for number in range(10):
        kill_somewhere(start(place, *SWEEP), rng)
        found = records(place) if (place / "store").exists() else {}
        assert {record["status"] for record in found.values()} <= {"ok"}
        assert {key: found[key]["finished"] for key in finished} == finished, number
        finished = {key: record["finished"] for key, record in found.items()}
        assert all(Store(place / "store").has_figures(record) for record in found.values())
    assert 0 < len(finished) < 120  # some kills came amid the work, and some of it was left
    done = run(place, *SWEEP)
    assert done.returncode == 0, done.stderr
    after, undisturbed = records(place), records(place, "undisturbed")
    assert {key: after[key]["finished"] for key in finished} == finished
    assert {record["attempt"] for record in after.values()} == {1}
    assert stable(after) == stable(undisturbed)
    assert not (place / "store" / "checkpoints").exists() or list((place / "store/checkpoints").iterdir()) == []


def test_a_worker_in_the_midst_of_a_stage_ends_with_its_driver(place):
    (place / "plugins/methods/stuck").touch()
    driver = start(place, "--methods", "gated", "--jobs", "1")
    until((place / "plugins/methods/fits").exists)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stderr.close()
    until(lambda: not session(driver.pid), 15)
    assert records(place) == {}


def test_a_worker_killed_from_outside_costs_its_own_cell_and_typing_again_mends_it(place):
    stuck, fits = place / "plugins/methods/stuck", place / "plugins/methods/fits"
    stuck.touch()
    driver = start(place, "--methods", "gated", "--seeds", "0-9", "--jobs", "2")
    until(lambda: fits.exists() and len(fits.read_text().splitlines()) == 2)
    victim = int(fits.read_text().split()[1])
    os.kill(victim, signal.SIGKILL)
    until(lambda: not (Path("/proc") / str(victim)).exists())
    stuck.unlink()
    _, error = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "10 cells: 9 ok, 1 killed" in error
    before = records(place)
    [killed] = [record for record in before.values() if record["status"] != "ok"]
    assert (killed["status"], killed["reason"]) == ("killed", "the worker died of SIGKILL")
    assert run(place, "--methods", "gated", "--seeds", "0-9").returncode == 0
    after = records(place)
    assert Counter(record["attempt"] for record in after.values()) == {1: 9, 2: 1}
    assert {key: record["finished"] for key, record in before.items() if record is not killed}.items() <= {
        key: record["finished"] for key, record in after.items()
    }.items()
    assert after[killed["key"]]["status"] == "ok"


def test_what_a_killed_writer_leaves_counts_as_nothing(place):
    assert run(place, "--jobs", "1").returncode == 0
    store = Store(place / "store")
    [record] = store.records()
    for folder in (store.record_path(record["key"]).parent, store.model_path(record["fit_key"]), store.root / "splits"):
        (folder / ".tmp-0123456789abcdef").write_bytes(b'{"key": "ab')
    assert [each["key"] for each in store.records()] == [record["key"]]
    done = run(place, "--jobs", "1")
    assert "1 cells: 1 ok" in done.stderr
    assert list(store.root.rglob("*.damaged")) == []
