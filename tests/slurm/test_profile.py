"""Profiles: the examples load, and every mistake is named with what is valid."""

import logging
import time
import types

import pytest

from bench.spec import UsageError
from slurm.profile import PROFILES, Profile, load


def write(folder, text):
    path = folder / "p.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("name", "gpus", "workers"), [("single-gpu", 1, 1), ("a100-node", 8, 8), ("cpu-only", 0, 1)])
def test_the_examples_load_by_name_and_by_path(name, gpus, workers):
    found = load(name)
    assert (found.gpus_per_node, found.workers) == (gpus, workers)
    assert load(str(PROFILES / f"{name}.toml")) == found
    limits = found.limits(1001)
    assert (limits.max_array, limits.workers) == (1001, workers)
    assert limits.bundle_seconds == 60 * found.bundle_minutes


def test_a_path_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "workers = 3\n")
    assert load("~/p.toml").workers == 3
    with pytest.raises(UsageError, match=r"'~nobody-here/p\.toml': no such user; a path to a TOML file expected"):
        load("~nobody-here/p.toml")


def test_there_are_three_examples_and_defaults():
    assert sorted(path.stem for path in PROFILES.glob("*.toml")) == ["a100-node", "cpu-only", "single-gpu"]
    assert load("") == Profile()


def test_the_shortest_job_by_default_may_be_preempted_for_ten_minutes(monkeypatch):
    """What submitit holds to be out of time is put back into the queue max_timeouts times only."""
    from submitit.core.job_environment import SignalHandler

    job = types.SimpleNamespace(_timeout_min=Profile().min_walltime_minutes)
    handler = types.SimpleNamespace(_delayed=job, _start_time=time.time() - 590, _logger=logging.getLogger())
    assert not SignalHandler.has_timed_out(handler)
    job._timeout_min //= 2
    assert SignalHandler.has_timed_out(handler)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('partitoin = "gpu"', "unknown key 'partitoin'; did you mean 'partition'? valid keys are partition, account, qos"),
        ("xyzzy = 1", "unknown key 'xyzzy'; valid keys are"),
        ("[slurm]\nqos = 'a'", "unknown key 'slurm'"),
        ("partition = 3", "partition is 3; text expected"),
        ('gpus_per_node = "1"', "gpus_per_node is '1'; a whole number expected"),
        ("workers = true", "workers is True; a whole number expected"),
        ("workers = 1.5", "workers is 1.5; a whole number expected"),
        ("workers = 0", "workers is 0; more than 0 expected"),
        ("max_running = -1", "max_running is -1; 0 or more expected"),
        ('setup = "module load cuda"', "setup is 'module load cuda'; a list of shell lines expected"),
        ("setup = [1]", "a list of shell lines expected"),
        ('setup = ["export HF_TOKEN=abc"]', "export HF_TOKEN=... looks like a secret"),
        ('partition = "a\\n#SBATCH --uid=0"', "a line break in"),
        ("signal_seconds = 1200", "signal_seconds is 1200; less than the shortest walltime (20 min) expected"),
        ("min_walltime_minutes = 99\nmax_walltime_minutes = 9", "min_walltime_minutes is 99, above max_walltime_minutes 9"),
        ("gpus_per_node = 2\nworkers = 3", "3 workers for 2 GPUs; a multiple expected"),
        ("a = ", "Invalid value"),
    ],
)
def test_a_mistake_is_named_with_what_is_valid(tmp_path, text, message):
    with pytest.raises(UsageError) as caught:
        load(write(tmp_path, text))
    assert message in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_profile_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UsageError, match="no profile 'gpu'; a path to a TOML file or one of a100-node, cpu-only, single-gpu expected"):
        load("gpu")
