"""Submits a sweep to Slurm and returns: one sbatch a job array, whatever the number of cells."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import leases
from bench.bundles import JobArray, make_arrays
from bench.costs import CostModel
from bench.stages import Settings, Stage
from slurm import jobs, queue, status, worker
from slurm.profile import Profile, load

__all__ = ["PartlySubmittedError", "Profile", "attach", "ended_well", "likely_array_size", "load", "look", "plan", "submit", "submitting"]
_LOCK_SECONDS, _GLANCE_SECONDS = 30.0, 3.0
MAX_ARRAY_SIZE = 1001  # where there is no controller to ask


class PartlySubmittedError(RuntimeError):
    """Slurm took some arrays of a sweep and refused the next one."""


attach, ended_well, look = status.attach, status.ended_well, status.look


def plan(
    stages: Sequence[Stage], costs: CostModel, profile: Profile, pending: Sequence[str] = (), max_array: int | None = None
) -> list[JobArray]:
    """The arrays of a sweep. max_array: the controller is asked where it is not given. Raises queue.QueueError."""
    size = queue.max_array_size() if max_array is None else max_array
    return make_arrays(stages, costs.estimate, profile.limits(size), pending)


def likely_array_size() -> int:
    """The controller's limit where it answers at once, else Slurm's own default: for plans, which need no cluster."""
    try:
        return queue.max_array_size(_GLANCE_SECONDS)
    except queue.QueueError:
        return MAX_ARRAY_SIZE


@contextmanager
def submitting(store: Path) -> Iterator[None]:
    """Keeps a second command from submitting the same cells in the block; it waits for its turn. Raises UsageError where another user
    submits from this store."""
    path = store / "slurm" / "submit.lease"
    jobs.make_private(path.parent)
    with leases.hold(path, owner="driver", rank=0, seconds=_LOCK_SECONDS):
        yield


def submit(
    arrays: Sequence[JobArray],
    settings: Settings,
    profile: Profile,
    *,
    pending: Mapping[str, str] | None = None,
    attempts: Mapping[str, int] | None = None,
    timeout: float | None = None,
    argv: Sequence[str] = (),
    hold: bool = False,
) -> jobs.Submission:
    """Writes the job files, submits the arrays in order, and notes their ids. pending: job ids of stages that earlier submissions run.
    attempts: cell key -> attempt on record. timeout: seconds a stage. hold: leaves the jobs in the queue until they are released. Raises
    QueueError where nothing was submitted, else PartlySubmittedError."""
    facts: dict[str, Any] = {"argv": list(argv), "workers": profile.workers, "grace_seconds": profile.grace_seconds, "timeout": timeout}
    submission = jobs.create(Path(settings.store), arrays, settings, attempts=attempts, code=worker.code_facts(), **facts)
    ids: list[list[str]] = []  # array -> ids of its elements
    with _outside_of_jobs():
        for number, array in enumerate(arrays):
            needs = _dependency(array, ids, pending or {})
            try:
                ids.append(_submit_array(submission, number, array, profile, needs, hold, settings.threads))
            except queue.QueueError as error:
                if not ids:
                    shutil.rmtree(submission.folder)  # nothing of it will ever run
                    raise
                done = f"{len(ids)} of {len(arrays)} arrays were submitted before that"
                raise PartlySubmittedError(f"{error}; {done}; the same command submits the rest") from error
            submission.note_job_id(number, ids[-1][0].partition("_")[0])
    return submission


def _submit_array(
    submission: jobs.Submission, number: int, array: JobArray, profile: Profile, needs: str, hold: bool, threads: int
) -> list[str]:
    import submitit

    if shutil.which("sbatch") is None:
        raise queue.QueueError("sbatch is not on this machine: type this where Slurm's commands are, or take --launcher process")
    executor = submitit.SlurmExecutor(submission.folder / "logs", max_num_timeout=profile.max_timeouts)
    executor.update_parameters(**parameters(submission.name(number), array, profile, needs, hold, threads))
    bundles = [worker.Bundle(str(submission.folder), number, element) for element in range(len(array.bundles))]
    try:
        return [job.job_id for job in executor.submit_array(bundles)]
    except submitit.core.utils.FailedJobError as error:
        raise queue.QueueError(f"sbatch refused array {number}: {' '.join(str(error).split())}") from error


def parameters(name: str, array: JobArray, profile: Profile, needs: str = "", hold: bool = False, threads: int = 1) -> dict[str, Any]:
    """What submitit is told of an array; every job has a walltime and a memory of its own."""
    found: dict[str, Any] = {
        "job_name": name,
        "time": array.walltime_minutes,
        "mem": f"{array.memory_mb}M",
        "cpus_per_task": profile.workers * max(profile.cpus_per_worker, threads),
        "ntasks_per_node": 1,
        "nodes": 1,
        "signal_delay_s": profile.signal_seconds,
        "array_parallelism": array.max_running or len(array.bundles),
        "setup": [*_setup(), *profile.setup],
        "additional_parameters": {"requeue": True, **({"hold": True} if hold else {})},
    }
    for key in ("partition", "account", "qos", "constraint", "exclude"):
        if getattr(profile, key):
            found[key] = getattr(profile, key)
    if profile.gpus_per_node:
        found["gpus_per_node"] = profile.gpus_per_node
    if needs:
        found["dependency"] = needs
        found["additional_parameters"]["kill-on-invalid-dep"] = "yes"
    return found


def _setup() -> list[str]:
    root = worker.code_facts()["root"]
    return [
        f"export PYTHONPATH={shlex.quote(root)}${{PYTHONPATH:+:$PYTHONPATH}}",
        "export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK",  # since Slurm 22.05 srun takes one core otherwise
    ]


def _dependency(array: JobArray, ids: Sequence[Sequence[str]], pending: Mapping[str, str]) -> str:
    """afterok or afterany with the elements that an array needs; an array that is needed as a whole stands by its own id."""
    found: list[str] = []
    for other in sorted({number for number, _ in array.needs}):
        elements = [ids[other][element] for number, element in array.needs if number == other]
        found += [ids[other][0].partition("_")[0]] if len(elements) == len(ids[other]) else elements
    found += dict.fromkeys(pending[key] for key in array.pending)
    return ":".join(["afterok" if array.strict else "afterany", *found]) if found else ""


@contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """Submits as from a login shell where the driver itself runs in a job, whose limits sbatch would take over."""
    inherited = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLURM_") and name != "SLURM_CONF"}
    try:
        yield
    finally:
        os.environ.update(inherited)
