"""A cluster in numbers: when jobs start and end on so many GPUs, with start-up times, failures and preemptions.

Nothing is run. Times come from the cost model or from a made-up sweep; what comes out says which way of bundling wastes least."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.bundles import JobArray, Limits, make_arrays
from bench.costs import Estimate
from bench.plan import Stage


@dataclass(frozen=True)
class Machine:
    """A cluster. gpus: in all; gpus_a_job: of which a job takes so many. startup_seconds: of a job, before its first stage does anything.
    starts_a_second: what the controller manages. failures and preemptions: a GPU-hour. checkpoint_seconds: between two, at most so much
    work is done again."""

    gpus: int
    startup_seconds: float = 30.0
    starts_a_second: float = 5.0
    failures: float = 0.0
    preemptions: float = 0.0
    checkpoint_seconds: float = 30.0
    requeue_seconds: float = 120.0
    gpus_a_job: int = 1

    @property
    def jobs(self) -> int:
        """At a time, at most."""
        return self.gpus // self.gpus_a_job


@dataclass(frozen=True)
class Outcome:
    """Seconds are of GPUs but for the makespan. busy: useful work; overhead: start-ups; lost: work done twice. width: most jobs at a
    time; waiting: most jobs in the queue that only wanted for a GPU."""

    jobs: int
    arrays: int
    makespan_seconds: float
    busy_seconds: float
    overhead_seconds: float
    lost_seconds: float
    width: int
    waiting: int
    restarts: int

    def utilisation(self, gpus: int) -> float:
        """Share of the GPUs' time that was useful."""
        return self.busy_seconds / (self.makespan_seconds * gpus) if self.makespan_seconds else 1.0


@dataclass
class _Job:
    seconds: float
    array: int
    missing: int  # needs that have not ended
    done: float = 0.0


def run(arrays: Sequence[JobArray], machine: Machine, *, workers: int = 1, seed: int = 0) -> Outcome:
    """Plays the schedule: a job starts when its needs have ended, a GPU is free and its array may run one more.

    workers: of each job, which share its stages. A job that is hit by a failure or a preemption goes back into the queue and goes on
    from its last checkpoint."""
    return _Schedule(arrays, machine, workers, random.Random(seed)).run()


def undisturbed(arrays: Sequence[JobArray], workers: int, startup_seconds: float) -> Outcome:
    """The schedule where the cluster has room for all and nothing goes wrong."""
    total = sum(len(array.bundles) for array in arrays)
    return run(arrays, Machine(max(total, 1), startup_seconds, starts_a_second=math.inf), workers=workers)


class _Schedule:
    def __init__(self, arrays: Sequence[JobArray], machine: Machine, workers: int, rng: random.Random) -> None:
        self.arrays, self.machine, self.rng = arrays, machine, rng
        self.jobs: list[_Job] = []
        self.students: list[list[int]] = []  # job -> arrays that wait for it
        first: list[int] = []
        for number, array in enumerate(arrays):
            first.append(len(self.jobs))
            needs = [first[other] + element for other, element in array.needs]
            for bundle in array.bundles:
                self.jobs.append(_Job(bundle.duration(workers), number, len(needs)))
                self.students.append([])
            for need in needs:
                self.students[need].append(number)
        self.first = first
        self.running = [0] * len(arrays)
        self.ready: list[list[int]] = [[] for _ in arrays]  # jobs of an array that may start, last first
        self.free, self.now, self.next_start = machine.jobs, 0.0, 0.0
        self.events: list[tuple[float, int, int, float]] = []  # time, job, 1 ended or 0 stopped or 2 back in the queue, work done
        self.overhead = self.lost = 0.0
        self.width = self.waiting = self.restarts = 0

    def run(self) -> Outcome:
        for index in reversed(range(len(self.jobs))):
            if not self.jobs[index].missing:
                self.ready[self.jobs[index].array].append(index)
        self._start()
        while self.events:
            self.now, index, kind, worked = heapq.heappop(self.events)
            self._event(index, kind, worked)
            self._start()
        busy = sum(job.seconds for job in self.jobs)
        busy, overhead, lost = (self.machine.gpus_a_job * seconds for seconds in (busy, self.overhead, self.lost))
        return Outcome(len(self.jobs), len(self.arrays), self.now, busy, overhead, lost, self.width, self.waiting, self.restarts)

    def _event(self, index: int, kind: int, worked: float) -> None:
        job = self.jobs[index]
        if kind == 2:
            self.ready[job.array].append(index)
            return
        self.free += 1
        self.running[job.array] -= 1
        if kind == 0:
            job.done += worked
            self.restarts += 1
            heapq.heappush(self.events, (self.now + self.machine.requeue_seconds, index, 2, 0.0))
            return
        for array in self.students[index]:
            for student in range(self.first[array], self.first[array] + len(self.arrays[array].bundles)):
                self.jobs[student].missing -= 1
                if not self.jobs[student].missing:
                    self.ready[array].insert(0, student)

    def _start(self) -> None:
        for number, waiting in enumerate(self.ready):
            limit = self.arrays[number].max_running or math.inf
            while waiting and self.free and self.running[number] < limit:
                self._launch(waiting.pop())
        if not self.free:
            self.waiting = max(self.waiting, sum(len(waiting) for waiting in self.ready))
        self.width = max(self.width, sum(self.running))

    def _launch(self, index: int) -> None:
        job, machine = self.jobs[index], self.machine
        self.free -= 1
        self.running[job.array] += 1
        begin = max(self.now, self.next_start)
        self.next_start = begin + 1 / machine.starts_a_second
        rate = machine.gpus_a_job * (machine.failures + machine.preemptions) / 3600
        survives = self.rng.expovariate(rate) if rate else math.inf
        left = job.seconds - job.done
        self.overhead += min(machine.startup_seconds, survives)
        if survives >= machine.startup_seconds + left:
            heapq.heappush(self.events, (begin + machine.startup_seconds + left, index, 1, left))
            return
        worked = max(0.0, survives - machine.startup_seconds)
        if self.rng.random() * (machine.failures + machine.preemptions) < machine.failures:  # no signal before a failure
            again = min(worked, self.rng.uniform(0, machine.checkpoint_seconds))
            self.lost += again
            worked -= again
        heapq.heappush(self.events, (begin + survives, index, 0, worked))


def policies(limits: Limits, total_seconds: float, machine: Machine) -> dict[str, Limits]:
    """Ways of bundling that are compared."""
    found = {"one stage a job": replace(limits, max_stages=1), "ten stages a job": replace(limits, max_stages=10, bundle_seconds=math.inf)}
    for minutes in (5, 20, 60, 240):
        found[f"{minutes} min a job"] = replace(limits, bundle_seconds=60.0 * minutes, max_stages=10**6)
    share = max(total_seconds / (machine.jobs * limits.workers), 1.0)
    place = "GPU" if machine.gpus_a_job == 1 else "node"
    return {**found, f"one job a {place}": replace(limits, bundle_seconds=share, max_stages=10**6)}


def compare(stages: Sequence[Stage], estimate: Callable[[Stage], Estimate], limits: Limits, machine: Machine) -> dict[str, Outcome]:
    """The outcome of each policy on the same sweep and the same cluster."""
    estimates = {stage.key: estimate(stage) for stage in stages}
    total = sum(each.seconds for each in estimates.values())
    found = {}
    for name, each in policies(limits, total, machine).items():
        found[name] = run(make_arrays(stages, lambda stage: estimates[stage.key], each), machine, workers=limits.workers)
    return found


def made_up_sweep(cells: int, *, conditions: int, medians: Mapping[str, float], seed: int = 0) -> tuple[list[Stage], Any]:
    """Stages that make about so many cells, and their estimates: fits with `conditions` cells each (the clean one its own), every third
    fit after six teachers that three fits share, evaluations for 32 fits at a time, one a corruption. Times are log-normal around the
    medians (seconds of fit, teacher and cell), since methods differ by orders of magnitude."""
    rng, times = random.Random(seed), {"teacher": medians["fit"], **medians}
    stages: list[Stage] = []
    seconds: dict[str, float] = {}

    def add(kind: str, key: str, needs: Sequence[str], median: float, spread: float) -> None:
        stages.append(Stage(kind, key, tuple(needs)))
        seconds[key] = median * math.exp(rng.gauss(0, spread))

    fits = [f"fit-{index}" for index in range(max(1, round(cells / conditions)))]
    for index, key in enumerate(fits):
        teachers = [f"teacher-{index // 9}-{number}" for number in range(6)] if index % 3 == 0 else []
        for teacher in teachers:
            if teacher not in seconds:
                add("teacher", teacher, (), times["teacher"], 0.8)
        add("fit", key, teachers, times["fit"], 1.0)
    corrupted = conditions - 1
    for start in range(0, len(fits), 32):
        chosen = fits[start : start + 32]
        for corruption in range(max(1, corrupted // 3)):
            add("evaluate", f"evaluate-{start}-{corruption}", chosen, times["cell"] * len(chosen) * min(3, corrupted), 0.3)
    return stages, lambda stage: Estimate(seconds[stage.key], 0.0, True)
