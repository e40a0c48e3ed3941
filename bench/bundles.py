"""From stages to job arrays: short stages bundled by predicted time, alike bundles in one array, arrays tied by what they need."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bench.costs import Estimate
from bench.plan import Stage

T = TypeVar("T")
_LEVELS = {"teacher": 0, "fit": 1, "evaluate": 2}


@dataclass(frozen=True)
class Limits:
    """What a cluster and its user allow. bundle_seconds: aim of a bundle on one worker; max_stages: in one bundle; workers: that share
    one job; max_array: elements of an array; max_running: elements that run at a time, 0 for any number. Minutes are walltime: what is
    predicted times walltime_factor, within [min_minutes, max_minutes], and at least unmeasured_minutes where nothing like it has run.
    Memory is in MB and for one worker: what was measured times memory_factor, default_mb where nothing was."""

    bundle_seconds: float = 1200.0
    max_stages: int = 200
    workers: int = 1
    max_array: int = 1001
    max_running: int = 0
    startup_seconds: float = 60.0
    walltime_factor: float = 2.0
    min_minutes: int = 20
    max_minutes: int = 24 * 60
    unmeasured_minutes: int = 240
    memory_factor: float = 1.5
    default_mb: float = 8000.0
    min_mb: float = 1000.0
    max_mb: float = math.inf


@dataclass
class Bundle:
    """Stages that one element of an array runs one after another. seconds: predicted, over all of its workers; longest: of one stage.
    further_mb, more_memory and more_time as those of an Estimate."""

    stages: list[Stage]
    seconds: float
    memory_mb: float
    measured: bool
    longest: float = 0.0
    further_mb: float = 0.0
    more_memory: float = 1.0
    more_time: float = 1.0

    def duration(self, workers: int) -> float:
        """Seconds by the clock, at best: a stage keeps to one worker, however many a job has."""
        return max(self.seconds / workers, self.longest)


@dataclass
class JobArray:
    """Bundles that are submitted together. Elements are numbered from 0. needs: elements of arrays before it, as (array, element), and
    stages of earlier submissions by key; with strict they must have succeeded, else only ended. max_running: 0 for any number."""

    kind: str
    bundles: list[Bundle]
    walltime_minutes: int
    memory_mb: int
    needs: list[tuple[int, int]] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    max_running: int = 0

    @property
    def strict(self) -> bool:
        """A fit is nothing without its teachers; an evaluation leaves out the fits that are not there."""
        return self.kind != "evaluate"


def make_arrays(
    stages: Sequence[Stage], estimate: Callable[[Stage], Estimate], limits: Limits, pending: Iterable[str] = ()
) -> list[JobArray]:
    """The arrays of a sweep in an order in which they can be submitted; every stage is in exactly one bundle.

    pending: keys of stages that an earlier submission is still to run. Stages with different needs, and teachers of different fits,
    never share a bundle: a failure then costs nothing that does not depend on it."""
    waiting, estimates = set(pending), {stage.key: estimate(stage) for stage in stages}
    arrays: list[JobArray] = []
    where: dict[str, tuple[int, int]] = {}  # stage -> array, element
    for kind in sorted({stage.kind for stage in stages}, key=_LEVELS.__getitem__):
        alike: dict[tuple, list[Bundle]] = defaultdict(list)
        for group in _groups([stage for stage in stages if stage.kind == kind], stages):
            needs = {where[need] for stage in group for need in stage.needs if need in where}
            late = {need for stage in group for need in stage.needs if need in waiting}
            for bundle in _bundles(group, estimates, limits):
                size = walltime_minutes(bundle, limits), memory_mb(bundle, limits)
                alike[(*size, tuple(sorted(needs)), tuple(sorted(late)))].append(bundle)
        for (minutes, memory, needs, late), bundles in sorted(alike.items(), key=lambda item: -item[0][0]):  # the longest first
            bundles.sort(key=lambda bundle: -bundle.seconds)
            for start in range(0, len(bundles), limits.max_array):
                chunk = bundles[start : start + limits.max_array]
                for element, bundle in enumerate(chunk):
                    where |= {stage.key: (len(arrays), element) for stage in bundle.stages}
                arrays.append(JobArray(kind, chunk, minutes, memory, list(needs), list(late)))
    _share_running(arrays, limits.max_running)
    return arrays


def walltime_minutes(bundle: Bundle, limits: Limits) -> int:
    """The walltime to ask for, on a coarse grid so that bundles of about the same length share an array."""
    wanted = (bundle.duration(limits.workers) * limits.walltime_factor + limits.startup_seconds) / 60
    if not bundle.measured:
        wanted = max(wanted, limits.unmeasured_minutes)
    wanted *= bundle.more_time
    grid = limits.min_minutes
    while grid < wanted:
        grid *= 2
    return max(1, min(grid, limits.max_minutes))


def memory_mb(bundle: Bundle, limits: Limits) -> int:
    """The memory to ask for, of all workers of a job, in steps of 1,000 MB up to 8,000 and of 4,000 above."""
    one = bundle.memory_mb * limits.memory_factor if bundle.memory_mb else limits.default_mb
    one = max(one + bundle.further_mb, limits.min_mb)
    step = 1000 if one <= 8000 else 4000
    return int(min(math.ceil(one / step) * step * bundle.more_memory, limits.max_mb)) * limits.workers


def by_time(items: Sequence[T], seconds: Callable[[T], float], target: float, max_items: int) -> list[list[T]]:
    """Runs of neighbours that take at most target seconds each, and one alone where it takes longer."""
    found: list[list[T]] = []
    total = 0.0
    for item in items:
        if not found or total + seconds(item) > target or len(found[-1]) >= max_items:
            found.append([])
            total = 0.0
        found[-1].append(item)
        total += seconds(item)
    return found


def _groups(stages: Sequence[Stage], every: Sequence[Stage]) -> list[list[Stage]]:
    """Stages that may share a bundle: fits and evaluations with the same needs, teachers of the same fits."""
    students: Mapping[str, list[str]] = defaultdict(list)
    for stage in every:
        for need in stage.needs:
            students[need].append(stage.key)
    found: dict[tuple[str, ...], list[Stage]] = defaultdict(list)
    for stage in stages:
        found[tuple(students[stage.key]) if stage.kind == "teacher" else stage.needs].append(stage)
    return list(found.values())


def _bundles(group: list[Stage], estimates: Mapping[str, Estimate], limits: Limits) -> list[Bundle]:
    """Neighbours with the same kind of prediction, so that what has never been measured, or ran out of time, does not lengthen the
    walltime of the rest."""

    def kind(stage: Stage) -> tuple[bool, float, float]:
        each = estimates[stage.key]
        return not each.measured, each.more_memory, each.more_time

    found = []
    for unmeasured, more_memory, more_time in sorted({kind(stage) for stage in group}):
        members = [stage for stage in group if kind(stage) == (unmeasured, more_memory, more_time)]
        target = limits.bundle_seconds * limits.workers
        for chunk in by_time(members, lambda stage: estimates[stage.key].seconds, target, limits.max_stages):
            own = [estimates[stage.key] for stage in chunk]
            seconds, further = [each.seconds for each in own], max(each.further_mb for each in own)
            peak = max(each.memory_mb for each in own)
            found.append(Bundle(chunk, sum(seconds), peak, not unmeasured, max(seconds), further, more_memory, more_time))
    return found


def _share_running(arrays: Sequence[JobArray], max_running: int) -> None:
    """Shares the limit among the arrays of a kind by their length; kinds mostly run one after another. Slurm has a limit for an array
    alone and each runs at least one, so that more arrays of a kind than the limit pass it: see most_running."""
    for kind in _LEVELS if max_running else ():
        own = sorted((array for array in arrays if array.kind == kind), key=lambda array: len(array.bundles))
        free = max_running
        for place, array in enumerate(own):  # the shortest first: what it does not need is left to the others
            left = sum(len(each.bundles) for each in own[place:])
            most = free - (len(own) - place - 1)  # one is kept for each of the others
            array.max_running = max(1, min(len(array.bundles), free * len(array.bundles) // left, most))
            free -= array.max_running


def most_running(arrays: Sequence[JobArray]) -> tuple[int, str]:
    """How many jobs of a kind the limits of its arrays let run at a time, and which kind that is of; of the kind with the most."""
    found = {kind: sum(array.max_running or len(array.bundles) for array in arrays if array.kind == kind) for kind in _LEVELS}
    kind = max(found, key=found.__getitem__)
    return found[kind], kind
