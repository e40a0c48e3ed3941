"""What Slurm's words mean, on lines as its commands print them; each kind of end has a status and a reason of its own."""

import subprocess

import pytest

from slurm import queue
from slurm.queue import Row, State, judge


@pytest.fixture
def printed(monkeypatch):
    """Lets a command print a text, and counts the calls."""
    calls = []

    def set_output(text, code=0, error=""):
        def run(words, **_):
            calls.append(words)
            return subprocess.CompletedProcess(words, code, text, error)

        monkeypatch.setattr(queue.subprocess, "run", run)
        return calls

    return set_output


@pytest.mark.parametrize(
    ("row", "state"),
    [
        (Row("PENDING", reason="Dependency"), State("queued", "Dependency")),
        (Row("REQUEUED"), State("queued")),
        (Row("RUNNING", nodes="n1"), State("running", "on n1")),
        (Row("COMPLETING", nodes="n1"), State("running", "on n1")),
        (Row("COMPLETED"), State("unknown", "the job ended well and left no record")),
        (Row("TIMEOUT"), State("timeout", "ran past its time limit")),
        (Row("DEADLINE"), State("timeout", "ran past its time limit")),
        (Row("NODE_FAIL", nodes="n2"), State("killed", "node n2 failed")),
        (Row("OUT_OF_MEMORY", asked=2.0**30), State("oom", "used more than the 1024 MB that the job asked for")),
        (Row("FAILED", "9:0", asked=2.0**20, peak=2.0**21), State("oom", "used more than the 1 MB that the job asked for")),
        (Row("FAILED", "9:0", nodes="n1", asked=2.0**20), State("killed", "the job died of SIGKILL on n1")),
        (Row("FAILED", "0:11", nodes="n1"), State("killed", "the job died of SIGSEGV on n1")),
        (Row("FAILED", "3:0", nodes="n1"), State("failed", "the job ended with exit code 3 on n1")),
        (Row("CANCELLED by 0"), State("interrupted", "cancelled by root")),
        (Row("CANCELLED by 4294967"), State("interrupted", "cancelled by user 4294967")),
        (Row("CANCELLED", reason="Dependency"), State("failed", "skipped: a job that it needs did not succeed")),
        (Row("PREEMPTED"), State("interrupted", "made way for another job and was not put back into the queue")),
        (Row("FROBNICATED"), State("unknown", "Slurm says 'FROBNICATED'")),
        (Row(""), State("unknown", "Slurm says ''")),
        (None, State("unknown", "Slurm's accounting does not know the job")),
    ],
)
def test_each_end_has_its_status_and_reason(row, state):
    assert judge(row) == state


def test_accounting_is_asked_once_and_read_with_its_steps(printed):
    calls = printed(
        "17_0|COMPLETED|0:0|None|n0||300M\n"
        "17_0.batch|COMPLETED|0:0||n0|12M|\n"
        "17_2|FAILED|9:0|None|n1||300M\n"
        "17_2.batch|FAILED|9:0||n1|12240K|\n"
        "17_2.0|CANCELLED by 0|0:9||n1|627928K|\n"
        "17_[3-9%2]|PENDING|0:0|Resources|None assigned||300M\n"
        "18|RUNNING|0:0|None|n2||1Gn\n"
    )
    found = queue.accounting(["18", "17", "17"])
    assert len(calls) == 1
    assert "--jobs=17,18" in calls[0]
    assert set(found) == {"17", "18"}
    assert set(found["17"]) == {0, 2, None}
    assert judge(found["17"][2]).status == "oom"
    assert judge(found["17"][None]) == State("queued", "Resources")
    assert found["18"][0].asked == 2.0**30
    assert queue.accounting([]) == {}
    assert len(calls) == 1


def test_the_queue_is_read_by_job_and_by_name(printed):
    printed("17|0|RUNNING|bench-x-0|None\n17|1|PENDING|bench-x-0|Dependency\n18|N/A|PENDING|other|a|b\n")
    found = queue.live()
    assert found["17"] == {0: State("running"), 1: State("queued", "Dependency")}
    assert found["18"] == {0: State("queued", "a|b")}
    assert list(found["id of bench-x-0"]) == [17]


def test_the_array_size_is_the_controllers(printed):
    printed("Configuration data\nMaxArraySize            = 401\nMaxBatchRequeue = 5\n")
    assert queue.max_array_size() == 401


def test_a_command_that_fails_or_is_not_there_is_named(printed, monkeypatch):
    printed("", 1, "sacct: error: Slurm accounting storage is disabled\n")
    with pytest.raises(queue.QueueError, match="sacct --noheader: sacct: error: Slurm accounting storage is disabled"):
        queue.accounting(["1"])
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(queue.QueueError, match=r"squeue is not on this machine: .* or take --launcher process"):
        queue.live()
