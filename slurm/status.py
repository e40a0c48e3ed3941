"""Where the cells of submitted sweeps stand: records say what came of them, the rest follows from the states of their jobs."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.stages import Settings, Stage, record_failure
from bench.store import Record, Store
from slurm import jobs, queue
from slurm.queue import LIVE, State

_JUST_SUBMITTED_SECONDS = 30.0  # accounting hears of a job with a delay
_YOUNG_SECONDS = 300.0  # for so long a job may be in neither the queue's answer nor accounting's
_ABANDONED_SECONDS = 86400.0  # after so long no sbatch of a command that was cut short is still trying
Element = tuple[int, int]  # array, element


@dataclass
class Attached:
    """What earlier submissions are still going to do. busy: cells that are queued or running, with their state; pending: teachers and
    fits among them, with the job that runs each; recorded: how many lost cells were written down."""

    busy: dict[str, State] = field(default_factory=dict)
    pending: dict[str, str] = field(default_factory=dict)
    recorded: int = 0


@dataclass
class _Jobs:
    """The elements of one submission: which cells are theirs, which they make possible, and how they stand.

    Records are told from older ones by their attempts: the clocks of two machines do not agree."""

    submission: jobs.Submission
    lines: dict[Element, dict[str, Any]]
    states: dict[Element, State] = field(default_factory=dict)
    own: dict[str, Element] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)  # cell -> attempt on record when it was submitted
    upstream: dict[str, list[Element]] = field(default_factory=lambda: defaultdict(list))

    def has_news(self, record: Record) -> bool:
        """Whether a record was written after the submission."""
        return bool(record["attempt"] > self.attempts.get(record["key"], 0))

    @property
    def is_old(self) -> bool:
        """Whether all of it was submitted so long ago that Slurm knows its jobs, or the command that submitted it was cut short a day
        ago; else a job that Slurm does not know may still come."""
        submitted = all(self.submission.job_id(array) for array in range(self.submission.num_arrays))
        return time.time() - self.submission.written > (_YOUNG_SECONDS if submitted else _ABANDONED_SECONDS)

    def label(self, element: Element, key: str) -> str:
        """The teacher on which a cell depends and whose job this is, or nothing."""
        for stage in self.lines[element]["stages"]:
            if stage["kind"] == "teacher" and key in self.lines[element]["affects"]:
                spec = self.lines[element]["specs"][stage["teacher"]]
                return f"{spec['method']}:{spec['teacher']}"
        return ""


def cell_states(root: Path, keys: Iterable[str]) -> dict[str, State]:
    """The states of those cells that were submitted and have no record of that submission; one accounting query for all of them.
    Submissions that are settled have nothing to add to their records."""
    wanted = set(keys)
    return _states(Store(root), [each for each in _read(root) if not wanted.isdisjoint(each.own)], None, wanted)


def ended_well(root: Path, keys: Iterable[str]) -> set[str]:
    """Those cells without a record whose jobs accounting calls completed: their records may be there already and not yet be seen."""
    return {key for key, state in cell_states(root, keys).items() if state == queue.ENDED_WELL}


def look(root: Path) -> dict[str, State]:
    """The cells that are queued or running, as the queue says; nothing is written. Raises queue.QueueError where it cannot be asked."""
    found = _read(root)
    states = _states(Store(root), found, queue.live()) if found else {}
    return {key: state for key, state in states.items() if state.status in LIVE}


def num_live(root: Path) -> int:
    """How many jobs are queued or running, by the queue and by accounting. Raises queue.QueueError where neither can be asked."""
    found, live, silence = _read(root), None, ""
    if not found:
        return 0
    try:
        live = queue.live()
    except queue.QueueError as error:
        silence = str(error)
    noted = any(each.submission.job_id(array) for each in found for array in range(each.submission.num_arrays))
    if (_ask(found, live) or not noted) and silence:  # what nobody noted, accounting cannot be asked of
        raise queue.QueueError(silence)
    return sum(state.status in LIVE for each in found for state in each.states.values())


def attach(root: Path, settings: Settings) -> Attached:
    """Asks the queue what is still to come, and writes down what was lost: for whoever holds the right to submit, since another
    command's submission may be half done otherwise. Raises queue.QueueError where the queue cannot be asked."""
    store, found = Store(root), _read(root)
    if not found:
        return Attached()
    live = queue.live()
    for each in found:
        _adopt(each.submission, live)
    states = _states(store, found, live)
    attached = Attached({key: state for key, state in states.items() if state.status in LIVE})
    gone, latest = [key for key, state in states.items() if state.status not in (*LIVE, "unknown")], _latest(found)
    store.look_again(gone)
    lost: dict[State, list[str]] = defaultdict(list)
    for key in gone:
        if _is_missing(store, key, latest[key]):
            lost[states[key]].append(key)
    for state, keys in lost.items():
        attached.recorded += len(_record(found, keys, settings, state))
    for each in found:
        _note_pending(each, store, attached)
        if each.is_old and not any(state.status in LIVE for state in each.states.values()):
            each.submission.settle()
    return attached


def _read(root: Path) -> list[_Jobs]:
    """All submissions that may still do something, oldest first."""
    found = []
    for submission in jobs.submissions(root):
        if submission.settled:
            continue
        lines = {(a, e): line for a in range(submission.num_arrays) for e, line in enumerate(submission.bundles(a))}
        each = _Jobs(submission, lines)
        for element, line in lines.items():
            each.own |= dict.fromkeys(line["cells"], element)
            each.attempts |= line["attempts"]
            for key in line["affects"]:
                each.upstream[key].append(element)
        found.append(each)
    return found


def _adopt(submission: jobs.Submission, live: Mapping[str, Mapping[int, State]]) -> None:
    """Notes the ids of arrays that were submitted by a driver that did not live to note them."""
    for array in range(submission.num_arrays):
        known = live.get(f"id of {submission.name(array)}", {})
        if known and not submission.job_id(array):
            submission.note_job_id(array, str(min(known)))


def _states(
    store: Store, found: list[_Jobs], live: Mapping[str, Mapping[int, State]] | None, wanted: set[str] | None = None
) -> dict[str, State]:
    """The state of each cell without a record of the last submission that holds it."""
    latest = _latest(found)
    keys = latest if wanted is None else wanted & set(latest)
    missing = {key: latest[key] for key in keys if _is_missing(store, key, latest[key])}
    _ask(list({id(each): each for each in (missing.values() if live is None else found)}.values()), live)
    return {key: _cell_state(key, each) for key, each in missing.items()}


def _latest(found: list[_Jobs]) -> dict[str, _Jobs]:
    """Cell -> the last submission that holds it."""
    return {key: each for each in found for key in each.own}


def _is_missing(store: Store, key: str, each: _Jobs) -> bool:
    record = store.read(key)
    return record is None or (record["status"] != "ok" and not each.has_news(record))


def _ask(found: list[_Jobs], live: Mapping[str, Mapping[int, State]] | None) -> str:
    """Fills in the states of elements: from the queue where it was asked, else and for what has ended from accounting. Returns why
    accounting did not answer, or nothing."""
    ids = {each.submission.job_id(array) for each in found for array in range(each.submission.num_arrays)} - {""}
    error = ""
    try:
        known = queue.accounting(ids)
    except queue.QueueError as problem:
        known, error = {}, str(problem)
    for each in found:
        for array, element in each.lines:
            job = each.submission.job_id(array)
            waiting = {} if live is None else live.get(job) or live.get(each.submission.name(array), {})
            if element in waiting:
                each.states[array, element] = waiting[element]
                continue
            rows = known.get(job, {})
            row = rows.get(element, rows.get(None))
            state = queue.judge(row)
            if live is not None and state.status in LIVE:
                state = State("unknown", "the job has left the queue")
            if not job:
                state = State("unknown", "not submitted: the command that submitted it was cut short")
            elif row is None and live is None and time.time() - each.submission.written < _JUST_SUBMITTED_SECONDS:
                state = State("queued", "just submitted")
            elif not rows and error:
                state = State("unknown", error)
            each.states[array, element] = state
    return error


def _cell_state(key: str, each: _Jobs) -> State:
    """A cell stands as its own element does, unless something that it needs came to grief."""
    own = each.states[each.own[key]]
    if own.status in LIVE:
        return own
    for element in each.upstream.get(key, []):
        state = each.states[element]
        if state.status not in (*LIVE, "unknown"):
            teacher = each.label(element, key)
            return State(state.status, f"skipped: teacher failed ({teacher}: {state.reason})") if teacher else state
    return own


def _record(found: list[_Jobs], keys: list[str], settings: Settings, state: State) -> list:
    """Writes what became of cells whose job did not live to write it."""
    left, results = set(keys), []
    for each in reversed(found):
        elements: dict[Element, set[str]] = defaultdict(set)
        for key in left & set(each.own):
            elements[each.own[key]].add(key)
        for element, own in elements.items():
            cells = [cell for stage in _stages(each, element) for cell in stage.cells if cell.key in own]
            results += record_failure(Stage("evaluate", "lost", (), cells), settings, state.status, state.reason)
            left -= own
    return results


def _stages(each: _Jobs, element: Element) -> list[Stage]:
    """The stages of an element; none where another version of this project wrote them, which settles the submission."""
    try:
        return jobs.stages_from_json(each.lines[element])
    except (TypeError, KeyError) as error:
        if not each.submission.settled:
            why = f"written by another version of this project ({error})"
            print(f"{each.submission.folder}: {why}; left alone from now on", file=sys.stderr)
            each.submission.settle()
        return []


def _note_pending(each: _Jobs, store: Store, attached: Attached) -> None:
    for array, element in each.lines:
        if each.states.get((array, element), State("unknown")).status not in LIVE:
            continue
        job = each.submission.job_id(array)
        name = f"{job}_{element}" if each.submission.facts["arrays"][array]["elements"] > 1 else job
        for stage in _stages(each, (array, element)):
            if stage.kind != "evaluate" and not store.has_model(stage.key) and not _has_failed(stage, each, store):
                attached.pending[stage.key] = name


def _has_failed(stage: Stage, each: _Jobs, store: Store) -> bool:
    """Whether a stage of a bundle that is still at work has come to grief, as the cells say that depend on it."""
    records = [record for cell in (*stage.cells, *stage.affects) if (record := store.read(cell.key)) is not None and each.has_news(record)]
    reason = f"skipped: teacher failed ({stage.label}:" if stage.kind == "teacher" else ""  # cells have other teachers, too
    return any(record["status"] != "ok" and record["reason"].startswith(reason) for record in records)
