"""Where stages run: in this process, or in worker processes of their own that can be killed without harm to the rest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench import stopping
from bench.outcomes import UNWRITABLE, Start
from bench.plan import Stage
from bench.stages import Settings, StageResult, prepare_process, record_rest, run_stage
from bench.store import UnwritableError
from bench.turns import Turns

OnResult = Callable[[Stage, StageResult], None]
OnProgress = Callable[[Stage, str, int, int], None]
_KILL_GRACE_SECONDS = 2.0
_PROGRESS_SECONDS = 0.5
_TURN_SECONDS = 0.3  # between two looks at what other runs hold


class Interrupted(Exception):
    """The user stopped the run; the stages that were running have a record that says so."""


class Schedule:
    """Which stages may start, in the order given. A failed teacher takes the fits that need it along. turns: keep stages apart from
    those of other runs; is_blocked says whether only another run is in the way of one."""

    def __init__(self, stages: Sequence[Stage], turns: Turns | None = None) -> None:
        self.waiting, self.turns, self.is_blocked = list(stages), turns, False
        self.status: dict[str, str] = {}
        self._known = {stage.key for stage in stages}

    @property
    def attempts(self) -> Mapping[str, int]:
        """Cell key -> attempt on record when the sweep was planned, as far as it is known."""
        return self.turns.attempts if self.turns is not None else {}

    def next(self) -> Stage | None:
        """The first stage whose needs have ended; it counts as started."""
        while (stage := self._take()) is not None and self.turns is not None:
            status = self.turns.done_elsewhere(stage)
            if status is None:
                break
            self.end(stage, status)
        return stage

    def _take(self) -> Stage | None:
        self.is_blocked = False
        for position, stage in enumerate(self.waiting):
            if all(need in self.status or need not in self._known for need in stage.needs):
                if self.turns is None or self.turns.take(stage):
                    return self.waiting.pop(position)
                self.is_blocked = True
        return None

    def end(self, stage: Stage, status: str) -> None:
        """A stage that had started has ended, and its records are written."""
        self.status[stage.key] = status
        self._leave(stage)

    def _leave(self, stage: Stage) -> None:
        if self.turns is not None:
            self.turns.leave(stage)

    def lost_need(self, stage: Stage) -> bool:
        """Whether a stage cannot run since one before it failed, its cells being on record already."""
        return stage.kind == "fit" and any(self.status.get(need, "ok") != "ok" for need in stage.needs)

    def replace(self, stage: Stage, pieces: Sequence[Stage]) -> None:
        """Puts smaller stages in the place of one that did not survive."""
        self._leave(stage)
        self._known |= {piece.key for piece in pieces}
        self.waiting[:0] = pieces


def run_inline(
    stages: Sequence[Stage], settings: Settings, on_result: OnResult, on_progress: OnProgress, turns: Turns | None = None
) -> None:
    """All stages one after another in this process. Raises Interrupted on SIGINT or SIGTERM, UnwritableError where the store is full."""
    schedule, running = Schedule(stages, turns), None
    try:
        while (stage := schedule.next()) is not None or schedule.is_blocked:
            if stage is None:
                time.sleep(_TURN_SECONDS)
            elif schedule.lost_need(stage):
                schedule.end(stage, "failed")
            else:
                running = stage
                result = run_stage(stage, settings, partial(on_progress, stage))
                running = None  # from here on its records say what became of it
                schedule.end(stage, _written(result).status)
                on_result(stage, result)
    except KeyboardInterrupt:
        if running is not None:
            on_result(running, _lost(running, settings, "interrupted", "interrupted by the user", Start(), schedule.attempts))
        raise Interrupted from None


def _written(result: StageResult) -> StageResult:
    if result.status == UNWRITABLE:
        raise UnwritableError(result.reason)
    return result


@dataclass
class _Worker:
    process: Any
    connection: Connection
    stage: Stage | None = None
    start: Start | None = None  # of the stage; a worker that is still importing has not started
    ready: bool = False


def run_processes(
    stages: Sequence[Stage],
    settings: Settings,
    on_result: OnResult,
    on_progress: OnProgress,
    *,
    jobs: int,
    timeout_seconds: float | None = None,
    turns: Turns | None = None,
) -> None:
    """Stages on `jobs` worker processes. A worker that dies or outlasts the timeout costs its own stage only and is replaced.
    Raises Interrupted on SIGINT or SIGTERM, UnwritableError where the store is full."""
    pool = Pool(stages, settings, on_result, on_progress, timeout_seconds, turns=turns)
    try:
        pool.run(jobs)
    except KeyboardInterrupt:
        pool.interrupt()
        raise Interrupted from None
    finally:
        pool.stop()


class Pool:
    """Worker processes and their stages. stop(): asked before each stage; True starts no further one."""

    def __init__(
        self,
        stages: Sequence[Stage],
        settings: Settings,
        on_result: OnResult,
        on_progress: OnProgress,
        timeout_seconds: float | None,
        stop: Callable[[], bool] = lambda: False,
        turns: Turns | None = None,
    ) -> None:
        self.wants_stop = stop
        self.schedule = Schedule(stages, turns)
        self.settings, self.on_result, self.on_progress, self.timeout_seconds = settings, on_result, on_progress, timeout_seconds
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker] = []
        self.oom_kills = _oom_kills()

    def run(self, jobs: int) -> None:
        while True:
            self._assign(jobs)
            busy = [worker for worker in self.workers if worker.stage is not None]
            if not busy and not self.schedule.is_blocked:
                return
            ready = wait([worker.connection for worker in busy], timeout=self._patience(busy))
            for worker in busy:
                if worker.connection in ready:
                    self._receive(worker)
                elif self.timeout_seconds is not None and worker.start and worker.start.seconds > self.timeout_seconds:
                    self._kill(worker, "timeout", f"ran past the limit of {self.timeout_seconds:g} s")

    def _assign(self, jobs: int) -> None:
        self.schedule.is_blocked = False
        while not self.wants_stop():
            idle = [worker for worker in self.workers if worker.stage is None]
            if not idle and len(self.workers) >= jobs:
                return
            stage = self.schedule.next()
            if stage is None:
                return
            if self.schedule.lost_need(stage):
                self.schedule.end(stage, "failed")
                continue
            worker = idle[0] if idle else self._start()
            worker.stage, worker.start = stage, Start() if worker.ready else None
            with suppress(BrokenPipeError):  # a worker that died idle is found out when its answer is read
                worker.connection.send(stage)

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        number = min(set(range(len(self.workers) + 1)) - {getattr(worker.process, "number", -1) for worker in self.workers})
        process = self.context.Process(target=_work, args=(theirs, self.settings, number, os.getpid()), daemon=True)
        process.number = number  # type: ignore[attr-defined]
        with stopping.held_back() if self.settings.launcher == "slurm" else nullcontext():
            process.start()
        theirs.close()
        self.workers.append(_Worker(process, ours))
        return self.workers[-1]

    def _patience(self, busy: list[_Worker]) -> float | None:
        limits = [_TURN_SECONDS] if self.schedule.is_blocked else []
        if self.timeout_seconds is not None:
            limits += [max(0.0, self.timeout_seconds - worker.start.seconds) + 0.01 for worker in busy if worker.start]
        return min(limits, default=None)

    def _receive(self, worker: _Worker) -> None:
        assert worker.stage is not None
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            self._kill(worker, *self._cause(worker))
            return
        if message[0] == "ready":
            worker.ready, worker.start = True, Start()
            return
        if message[0] == "progress":
            self.on_progress(worker.stage, *message[1:])
            return
        stage, worker.stage = worker.stage, None
        result = _written(message[1])
        self.schedule.end(stage, result.status)
        self.on_result(stage, result)

    def _cause(self, worker: _Worker) -> tuple[str, str]:
        worker.process.join(_KILL_GRACE_SECONDS)
        code, kills = worker.process.exitcode, _oom_kills()
        if code == -signal.SIGKILL and kills > self.oom_kills:
            self.oom_kills = kills
            return "oom", "the system killed the worker for want of memory"
        if code is not None and code < 0:
            return "killed", f"the worker died of {signal.Signals(-code).name}"
        return "killed", f"the worker ended with exit code {code}"

    def _kill(self, worker: _Worker, status: str, reason: str) -> None:
        stage = worker.stage
        assert stage is not None
        self._end(worker)
        pieces = split_evaluation(stage)
        if len(pieces) > 1:
            self.schedule.replace(stage, pieces)
            return
        result = _lost(stage, self.settings, status, reason, worker.start or Start(), self.schedule.attempts)
        self.schedule.end(stage, status)
        self.on_result(stage, result)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join(_KILL_GRACE_SECONDS)
        worker.connection.close()
        self.workers.remove(worker)

    def interrupt(self) -> None:
        for worker in [each for each in self.workers if each.stage is not None]:
            stage = worker.stage
            assert stage is not None
            self._end(worker)
            why, start = ("interrupted", "interrupted by the user"), worker.start or Start()
            self.on_result(stage, _lost(stage, self.settings, *why, start, self.schedule.attempts))

    def stop(self) -> None:
        for worker in list(self.workers):
            self._end(worker)


def split_evaluation(stage: Stage) -> list[Stage]:
    """An evaluation of several fits as one stage a fit, so that the fit that kills its worker is found; else the stage itself."""
    keys = list(dict.fromkeys(cell.fit.key for cell in stage.cells))
    if stage.kind != "evaluate" or len(keys) < 2:
        return [stage]
    return [
        Stage("evaluate", f"{stage.key}-{key[:12]}", stage.needs, [cell for cell in stage.cells if cell.fit.key == key]) for key in keys
    ]


def _lost(stage: Stage, settings: Settings, status: str, reason: str, start: Start, attempts: Mapping[str, int]) -> StageResult:
    cells = record_rest(stage, settings, status, reason, attempts, start=start)
    return StageResult(status, reason, start.seconds, cells)


def _work(connection: Connection, settings: Settings, number: int, parent: int) -> None:
    """A worker's life: receive a stage, run it, send the result; end with the driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if settings.launcher == "slurm":
        stopping.listen()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _choose_device(number)
    last = 0.0

    def progress(phase: str, step: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _PROGRESS_SECONDS:
            last = time.monotonic()
            with suppress(OSError):  # the driver is gone, and this process is about to follow it: no fault of the stage
                connection.send(("progress", phase, step, total))

    with suppress(Exception):  # what goes wrong here goes wrong again in the stage, whose records say so
        prepare_process(settings.threads)
    with suppress(EOFError, OSError):
        connection.send(("ready",))
        while True:
            stage = connection.recv()
            connection.send(("result", run_stage(stage, settings, progress)))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _choose_device(number: int) -> None:
    """Leaves one CUDA device visible to this process, which is worker `number`; hidden ones stay hidden."""
    devices = _visible_devices()
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]


def _cuda_devices() -> list[str]:
    return [str(index) for index in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def _visible_devices() -> list[str]:
    """The CUDA devices that this process may use, as CUDA reads the variable: all without it, else those before the first that is none."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return _cuda_devices()
    return list(takewhile(lambda name: name and not name.startswith("-"), (name.strip() for name in given.split(","))))


def cuda_present() -> bool:
    """Whether this machine has a CUDA device and shows it, told without importing torch."""
    return bool(_visible_devices()) and bool(_cuda_devices())


def default_jobs(threads: int) -> int:
    """Workers that fill this machine: one a CUDA device, else one for every `threads` cores this process may use."""
    if cuda_present():
        return len(_visible_devices())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)


def _oom_kills() -> int:
    """How often the kernel has killed for want of memory since boot; 0 where it does not say."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/vmstat").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return 0
