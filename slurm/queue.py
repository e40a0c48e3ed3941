"""What Slurm's commands say: the queue as it stands, and one accounting query for many arrays at a time."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.spec import UsageError

QUEUED = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
RUNNING = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
LIVE = ("queued", "running")
_FIELDS = ("JobID", "State", "ExitCode", "Reason", "NodeList", "MaxRSS", "ReqMem")
_SECONDS = 60.0
_MAX_ARRAY_SIZE = 1001  # Slurm's own default


class State(NamedTuple):
    """status: queued, running, unknown, or as on a record; reason: why, in one line."""

    status: str
    reason: str = ""


ENDED_WELL = State("unknown", "the job ended well and left no record")


@dataclass
class Row:
    """What accounting knows of one element of an array: the job's own line, and the most memory that a step of it took, in bytes."""

    state: str = ""
    exit_code: str = ""
    reason: str = ""
    nodes: str = ""
    asked: float = 0.0
    peak: float = 0.0
    steps: set[str] = field(default_factory=set)


class QueueError(UsageError):
    """Slurm could not be asked, so nothing may be submitted."""


def ask(*words: str, seconds: float = _SECONDS) -> str:
    """What a Slurm command prints. Raises QueueError."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise QueueError(f"{words[0]} is not on this machine: type this where Slurm's commands are, or take --launcher process") from None
    except subprocess.TimeoutExpired:
        raise QueueError(f"{words[0]} did not answer within {seconds:.0f} s; try again when the controller does") from None
    if done.returncode:
        raise QueueError(f"{' '.join(words[:2])}: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout


def max_array_size(seconds: float = _SECONDS) -> int:
    """How many elements an array may have; indices go from 0 to one less. Raises QueueError."""
    found = re.search(r"(?m)^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config", seconds=seconds))
    return max(1, int(found[1])) if found else _MAX_ARRAY_SIZE


def live() -> dict[str, dict[int, State]]:
    """This user's jobs that wait or run: job id -> element -> state. Jobs by their names, too, under their name. Raises QueueError."""
    user = pwd.getpwuid(os.getuid()).pw_name
    found: dict[str, dict[int, State]] = defaultdict(dict)
    for line in ask("squeue", "--noheader", "--array", f"--user={user}", "--format=%F|%K|%T|%j|%r").splitlines():
        job, element, word, name, reason = line.split("|", 4)
        state = State("queued" if word in QUEUED else "running", "" if reason == "None" else reason)
        for key in (job, name):
            found[key][int(element) if element.isdigit() else 0] = state
        if name.startswith("bench-"):
            found[f"id of {name}"][int(job)] = state
    return found


def accounting(job_ids: Iterable[str]) -> dict[str, dict[int | None, Row]]:
    """One query for all jobs: job id -> element -> what is known; None stands for the elements that have no line of their own yet.
    Raises QueueError, where accounting is off for example."""
    wanted = ",".join(sorted(set(job_ids)))
    if not wanted:
        return {}
    found: dict[str, dict[int | None, Row]] = defaultdict(lambda: defaultdict(Row))
    for line in ask("sacct", "--noheader", "--parsable2", f"--jobs={wanted}", f"--format={','.join(_FIELDS)}").splitlines():
        values = dict(zip(_FIELDS, line.split("|"), strict=True))
        job, dot, _ = values["JobID"].partition(".")
        number, _, element = job.partition("_")
        row = found[number][(int(element) if element.isdigit() else None) if element else 0]
        if dot:
            row.peak = max(row.peak, _bytes(values["MaxRSS"]))
            row.steps.add(values["State"].split()[0])
        else:
            row.state, row.exit_code, row.reason = values["State"], values["ExitCode"], values["Reason"]
            row.nodes, row.asked = values["NodeList"], _bytes(values["ReqMem"])
    return found


def judge(row: Row | None) -> State:
    """Status and reason of an element. What this does not know, and a job that ended well without its cells' records, is unknown."""
    if row is None:
        return State("unknown", "Slurm's accounting does not know the job")
    word = (row.state.split() or [""])[0].rstrip("+")
    reason = "" if row.reason == "None" else row.reason
    if word in QUEUED:
        return State("queued", reason)
    if word in RUNNING:
        return State("running", f"on {row.nodes}")
    if word == "OUT_OF_MEMORY" or "OUT_OF_MEMORY" in row.steps or (word == "FAILED" and row.asked and row.peak > row.asked):
        return State("oom", f"used more than the {row.asked / 2**20:.0f} MB that the job asked for")
    if word in ("TIMEOUT", "DEADLINE"):
        return State("timeout", "ran past its time limit")
    if word in ("NODE_FAIL", "BOOT_FAIL"):
        return State("killed", f"node {row.nodes} failed")
    if word == "PREEMPTED":
        return State("interrupted", "made way for another job and was not put back into the queue")
    if word == "CANCELLED":
        if "Dependency" in reason:
            return State("failed", "skipped: a job that it needs did not succeed")
        return State("interrupted", f"cancelled{_by(row.state)}")
    if word == "FAILED":
        return _failed(row)
    if word == "COMPLETED":
        return ENDED_WELL
    return State("unknown", f"Slurm says {row.state!r}")


def _failed(row: Row) -> State:
    code, _, number = row.exit_code.partition(":")
    died = int(number or 0) or (int(code) if code in ("4", "6", "7", "8", "9", "11", "13", "15") else 0)  # srun ends with its task's signal
    if died:
        with suppress(ValueError):
            return State("killed", f"the job died of {signal.Signals(died).name} on {row.nodes}")
    return State("failed", f"the job ended with exit code {code} on {row.nodes}")


def _by(state: str) -> str:
    found = re.search(r"by (\d+)", state)
    if not found:
        return ""
    try:
        return f" by {pwd.getpwuid(int(found[1])).pw_name}"
    except KeyError:
        return f" by user {found[1]}"


def _bytes(text: str) -> float:
    """300M, 4G, 627928K, as Slurm writes sizes; a suffix of older versions (n: a node, c: a core) is left out."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)[nc]?", text)
    return float(found[1]) * 1024 ** " KMGT".index(found[2] or " ") if found else 0.0
