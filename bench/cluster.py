"""`run --launcher slurm`: attach to what earlier submissions still do, submit what is missing, and return; --follow stays and watches."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench import registry
from bench.bundles import JobArray, most_running
from bench.cli import FAILED, INTERRUPTED, OK
from bench.costs import learn
from bench.plan import Stage, make_stages
from bench.progress import Progress, format_seconds
from bench.spec import UsageError
from bench.stages import CellResult, Settings, StageResult
from bench.store import Store

if TYPE_CHECKING:
    from bench.run import Selection

T = TypeVar("T")
_POLL_SECONDS, _QUEUE_SECONDS = 0.5, 5.0
_LATE_SECONDS = 65.0  # after so long a client of NFS sees what another machine has written


def command(options: argparse.Namespace, settings: Settings, store: Store, selection: Selection) -> int:
    """Submits the sweep and returns the exit code: 0 while jobs are under way, else as inline."""
    from bench import run

    slurm = registry.load_part("slurm.launcher")
    profile = slurm.load(options.profile)
    settings = absolute(settings, profile.lease_seconds)
    with slurm.submitting(store.root):
        attached = slurm.attach(store.root, settings)
        selection = run.refreshed(selection, store)
        older = run.older_keys(selection, store, options.only)
        to_do = [cell for cell in selection.to_do(options.only, older) if cell.key not in attached.busy]
        run.remember(store, options, selection)
        stages = make_stages([cell for cell in to_do if not selection.lacks(cell)], store.has_model, selection.schemas, attached.pending)
        arrays = slurm.plan(stages, _costs(store, profile), profile, list(attached.pending)) if stages else []
        seconds = {stage.key: bundle_seconds for stage, bundle_seconds in _seconds(arrays)}
        awaited = {cell.key: cell for cell in selection.cells if cell.key in attached.busy} | {cell.key: cell for cell in to_do}
        progress = Progress(awaited, seconds, max(1, sum(len(array.bundles) for array in arrays)))
        try:
            run.record_absent(selection, to_do, settings, progress)
            run.compile_kernels(stages, progress)
            if arrays:
                facts = {"timeout": options.timeout, "argv": options.argv, "hold": options.hold}
                slurm.submit(arrays, settings, profile, pending=attached.pending, attempts=selection.attempts, **facts)
            progress.say(_summary(arrays, to_do, attached.busy, profile))
        except slurm.PartlySubmittedError as error:
            progress.close()
            progress.say(str(error))
            return FAILED
        except BaseException:
            progress.close()
            raise
    if not arrays and not attached.busy:
        progress.close()
        return run.finish(options, run.refreshed(selection, store), store, progress, False)
    if not options.follow:
        progress.close()
        progress.say(f"next: python -m bench status{run.store_words(options)}; the same command again goes on where this one stopped")
        return OK
    try:
        watch = _Watch(store, dict(awaited), selection.attempts, progress)
        _follow(slurm, watch)
        if watch.left:  # their jobs did not live to write a record
            with slurm.submitting(store.root):
                _ask(partial(slurm.attach, store.root, settings), watch)
            watch.tell_news()
    except KeyboardInterrupt:
        progress.say("the jobs go on; the same command watches them again")
        return INTERRUPTED
    finally:
        progress.close()
    return run.finish(options, run.refreshed(selection, store), store, progress, False)


def absolute(settings: Settings, lease_seconds: float) -> Settings:
    """Settings that mean the same in whatever folder a job starts."""
    store, data_root, cache_dir = (str(Path(path).resolve()) for path in (settings.store, settings.data_root, settings.cache_dir))
    return replace(settings, store=store, data_root=data_root, cache_dir=cache_dir, launcher="slurm", lease_seconds=lease_seconds)


def describe(options: argparse.Namespace, store: Store, stages: Sequence[Stage]) -> str:
    """What a dry run says of a profile: arrays, bundles, GPU-hours, predicted makespan and queue width."""
    from bench import simulate

    slurm = registry.load_part("slurm.launcher")
    profile = slurm.load(options.profile)
    arrays = slurm.plan(stages, _costs(store, profile), profile, max_array=slurm.likely_array_size())
    outcome = simulate.undisturbed(arrays, profile.workers, profile.startup_seconds)
    lines = [f"{'array':>5}  {'kind':8} {'jobs':>5} {'stages':>6} {'walltime':>8} {'memory':>8} {'predicted':>9}  after"]
    for number, array in enumerate(arrays):
        total, after = sum(bundle.seconds for bundle in array.bundles), sorted({other for other, _ in array.needs})
        stages_in = sum(len(bundle.stages) for bundle in array.bundles)
        text = f"{number:>5}  {array.kind:8} {len(array.bundles):>5} {stages_in:>6} {format_seconds(array.walltime_minutes * 60):>8}"
        lines.append(f"{text} {array.memory_mb / 1000:>5.0f} GB {format_seconds(total):>9}  {', '.join(map(str, after)) or '-'}")
    hours = outcome.busy_seconds * max(profile.gpus_per_node, 1) / 3600
    what = "GPU-hours" if profile.gpus_per_node else "job-hours"
    bundles = sum(len(array.bundles) for array in arrays)
    lines.append(
        f"{len(arrays)} arrays, {bundles} bundles, {hours:.2f} {what}, predicted makespan "
        f"{format_seconds(outcome.makespan_seconds)} where the cluster has room, queue width {outcome.width} jobs"
        f"{_beyond(arrays, profile.max_running)}"
    )
    if any(not bundle.measured for array in arrays for bundle in array.bundles):
        lines.append("some of it has never been measured in this store: its time is a guess, its walltime unmeasured_walltime_minutes")
    return "\n".join(lines)


def _costs(store: Store, profile: Any) -> Any:
    return learn(store, cuda=profile.gpus_per_node > 0)


def _seconds(arrays: Sequence[JobArray]) -> list[tuple[Stage, float]]:
    every = [bundle for array in arrays for bundle in array.bundles]
    return [(stage, bundle.seconds / len(bundle.stages)) for bundle in every for stage in bundle.stages]


def _summary(arrays: Sequence[JobArray], to_do: Sequence[Any], busy: Mapping[str, Any], profile: Any) -> str:
    counts = Counter(state.status for state in busy.values())
    under_way = "".join(f", {count} {status}" for status, count in sorted(counts.items()))
    jobs = sum(len(array.bundles) for array in arrays)
    where = f" to {profile.partition}" if profile.partition else ""
    if not arrays:
        return f"nothing to submit{under_way}"
    return f"submitted {len(to_do)} cells in {jobs} jobs of {len(arrays)} arrays{where}{under_way}{_beyond(arrays, profile.max_running)}"


def _beyond(arrays: Sequence[JobArray], max_running: int) -> str:
    """Says where a limit on running jobs cannot be kept."""
    most, kind = most_running(arrays)
    why = "each array may run one, and arrays that wait for different jobs cannot be one"
    return f"; up to {most} jobs of kind {kind} may run at a time, not {max_running}: {why}" if 0 < max_running < most else ""


@dataclass
class _Watch:
    """Cells that are waited for. attempts: cell key -> attempt on record before: a record of a later one is news, whatever the clocks
    say."""

    store: Store
    left: dict[str, Any]
    attempts: Mapping[str, int]
    progress: Progress
    seen: dict[str, int] = field(default_factory=dict)  # when each record was last written
    is_deaf: bool = False  # the queue did not answer when it was last asked

    def tell_news(self) -> None:
        """Tells of the cells whose records have appeared; they are no longer waited for."""
        for key in list(self.left):
            record = self.store.read(key) if self._has_changed(key) else None
            if record is not None and (record["status"] == "ok" or record["attempt"] > self.attempts.get(key, 0)):
                _tell(self.progress, self.left.pop(key), record)

    def _has_changed(self, key: str) -> bool:
        before = self.seen.get(key)
        with suppress(OSError):
            self.seen[key] = self.store.record_path(key).stat().st_mtime_ns
        return self.seen.get(key) != before


def _follow(slurm: Any, watch: _Watch) -> None:
    """Tells of cells as their records appear, until none is queued or running any more, nor may be seen late."""
    idle, asked = 0, time.monotonic()
    while watch.left and idle < 2:
        began = time.monotonic()
        watch.tell_news()
        if began - asked > _QUEUE_SECONDS:
            busy, asked = _ask(partial(slurm.look, watch.store.root), watch), began
            idle = 0 if busy is None or any(key in busy for key in watch.left) else idle + 1
        time.sleep(max(_POLL_SECONDS, 5 * (time.monotonic() - began)))
    deadline = time.monotonic() + _LATE_SECONDS
    while watch.left:
        watch.store.look_again(watch.left)
        watch.tell_news()
        if time.monotonic() > deadline or not slurm.ended_well(watch.store.root, watch.left):
            return
        time.sleep(_QUEUE_SECONDS)


def _ask(question: Callable[[], T], watch: _Watch) -> T | None:
    """What the queue says; None where it does not answer, which is said once."""
    try:
        answer = question()
    except UsageError as error:  # the jobs go on without the controller, and so does the watching
        if not watch.is_deaf:
            watch.progress.say(f"{error}; still watching")
        watch.is_deaf = True
        return None
    watch.is_deaf = False
    return answer


def _tell(progress: Progress, cell: Any, record: Mapping[str, Any]) -> None:
    seconds = (record["eval_seconds"] or 0.0) + (0.0 if cell.severity else record["fit_seconds"] or 0.0)
    result = CellResult(cell.key, record["status"], record["reason"], seconds)
    kind, key = ("evaluate", "") if cell.severity else ("fit", cell.fit.key)
    progress.result(Stage(kind, key, (), [cell]), StageResult(record["status"], record["reason"], seconds, [result]))
