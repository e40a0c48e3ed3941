"""What a job runs: the stages of one bundle, each in a process that may die without harm to the rest.

The job itself imports nothing heavy. It hears Slurm's signals, lets its processes save where they are, and goes back into the queue."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import UncompletedJobError

from bench import launchers, registry, stopping
from bench.protocol import PROTOCOL_VERSION
from bench.stages import Settings, Stage, StageResult, left_of, record_failure
from bench.store import Store
from slurm import jobs

_END_SECONDS = 600.0  # how long a job that was told to end waits for its end


class StageFailed(RuntimeError):
    """A teacher failed, or somebody else took a stage over: jobs that wait for this one must not start."""


class StaleCodeError(RuntimeError):
    """The code here is not the code that the job was submitted with."""


class _GraceOver(BaseException):
    """A stage did not come to a point where it can stop."""


class Bundle:
    """One element of an array, as submitit pickles it: where its job file is, and nothing else."""

    def __init__(self, folder: str, array: int, element: int) -> None:
        self.folder, self.array, self.element = folder, array, element

    def __call__(self) -> str:
        return run(jobs.read(Path(self.folder)), self.array, self.element)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """The same bundle again: what is done is in the store. The SIGTERM that follows may not end the requeueing half-way."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        return submitit.helpers.DelayedSubmission(self)


def run(submission: jobs.Submission, array: int, element: int) -> str:
    """Runs a bundle and says what came of it. Raises StageFailed after a failed teacher, StaleCodeError before anything."""
    submission.note_job_id(array, os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", ""))
    settings, stages = submission.settings, submission.stages(array, element)
    complaint = stale(submission.facts["code"])
    if complaint:
        for stage in stages:
            record_failure(left_of(stage, Store(Path(settings.store))), settings, "failed", f"stale code: {complaint}")
        raise StaleCodeError(complaint)
    print(f"bundle {array}_{element}: {len(stages)} stages on {os.environ.get('SLURMD_NODENAME', 'this machine')}", flush=True)
    return _Supervisor(stages, settings, submission.facts).run()


def stale(code: dict[str, Any]) -> str:
    """Why this project is not that of the submission, or nothing; a method whose source has changed costs its own stages only, which see
    to that themselves. code: as code_facts gave it."""
    for name in ("bench", "datasets", "methods", "slurm"):
        package = registry.load_part(name)
        if Path(package.__file__ or "").resolve().parent.parent != Path(code["root"]):
            mend = f"set PYTHONPATH={code['root']}, or take another {name!r} out of this environment"
            return f"the package {name!r} is {package.__file__}, the job was submitted from {code['root']}; {mend}"
    if code["protocol"] != PROTOCOL_VERSION:
        return f"protocol {PROTOCOL_VERSION} here, {code['protocol']} at submission; type the run command again"
    return ""


def code_facts() -> dict[str, Any]:
    """What a worker compares itself with."""
    return {"root": str(registry.ROOT), "protocol": PROTOCOL_VERSION}


class _Supervisor:
    """Runs stages in worker processes and stops them in time when Slurm says so."""

    def __init__(self, stages: Sequence[Stage], settings: Settings, facts: dict[str, Any]) -> None:
        self.store = Store(Path(settings.store))
        self.stages = [stage for stage in map(self._runnable, stages) if stage is not None]
        self.settings, self.facts = settings, facts
        self.status: dict[str, str] = {}
        self.lost = ""  # who took a stage over
        self.requeue = signal.getsignal(signal.SIGUSR2)  # submitit's, which puts the job back into the queue
        self.signals: list[int] = []

    def _runnable(self, stage: Stage) -> Stage | None:
        """What is left of a stage; None where all of it is done. Cells of a fit that is not there are left to its own job to explain."""
        stage = left_of(stage, self.store)
        if stage.kind == "teacher":
            return None if self.store.has_model(stage.key) else stage
        if stage.kind == "evaluate":
            stage.cells = [cell for cell in stage.cells if self.store.has_model(cell.fit.key)]
        elif stage.fit is not None and not self.store.has_model(stage.fit.key):
            return stage
        return stage if stage.cells else None

    def run(self) -> str:
        self.pool = pool = launchers.Pool(self.stages, self.settings, self._tell, _ignore, self.facts["timeout"], stop=self._stopping)
        signal.signal(signal.SIGALRM, _over)
        for number in stopping.SIGNALS:
            signal.signal(number, self._hear)
        try:
            pool.run(self.facts["workers"])
        except _GraceOver:
            print("no point to stop at was reached in time; what was done since the last checkpoint is done again", flush=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            pool.stop()
        if self.signals:
            self._leave()
        if self.lost:
            raise StageFailed(self.lost)
        failed = [key for key, status in self.status.items() if status != "ok"]
        if any(stage.kind == "teacher" and stage.key in failed for stage in self.stages):
            raise StageFailed(f"{len(failed)} of {len(self.stages)} stages failed")
        return f"{len(self.stages)} stages, {len(failed)} not ok"

    def _stopping(self) -> bool:
        return bool(self.signals)

    def _hear(self, number: int, _: object) -> None:
        """Notes the signal, passes it on, and sees to it that waiting for a good point to stop has an end."""
        print(f"{signal.Signals(number).name} after {time.process_time():.0f} s of work; stopping", flush=True)
        if not self.signals:
            signal.setitimer(signal.ITIMER_REAL, self.facts["grace_seconds"])
        self.signals.append(number)
        for worker in list(self.pool.workers):
            with suppress(ProcessLookupError, TypeError):
                os.kill(worker.process.pid, signal.SIGUSR2)

    def _tell(self, stage: Stage, result: StageResult) -> None:
        self.status[stage.key] = result.status
        if result.status == "interrupted" and not self.signals:
            self.lost = result.reason
        print(f"{result.status} {stage.label} {stage.key[:12]} {result.seconds:.1f}s {result.reason}", flush=True)

    def _leave(self) -> None:
        """After a signal: back into the queue where Slurm asked for that, else wait for the end that was announced."""
        if signal.SIGUSR2 not in self.signals:
            deadline = time.monotonic() + _END_SECONDS
            while time.monotonic() < deadline and signal.SIGUSR2 not in self.signals:
                time.sleep(0.2)  # a job that ends by itself is not put back into the queue by Slurm
        if signal.SIGUSR2 not in self.signals or not callable(self.requeue):
            sys.exit(1)
        try:
            self.requeue(signal.SIGUSR2, None)
        except UncompletedJobError as error:
            for stage in self.stages:
                if self.status.get(stage.key, "interrupted") == "interrupted":
                    record_failure(left_of(stage, self.store), self.settings, "timeout", f"out of time: {error}")
            raise


def _over(*_: object) -> None:
    raise _GraceOver


def _ignore(*_: object) -> None:
    pass
