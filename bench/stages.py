"""What a stage does: train a teacher, train a method, evaluate. run_stage is the one callable that each launcher runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from bench import leases, stopping
from bench.environment import reset_peaks
from bench.fitting import Progress, load_candidate, run_teacher, train
from bench.judging import evaluate_cells
from bench.outcomes import UNWRITABLE, CellResult, StageResult, Start, classify, error_of, slurm_job_id, write_record
from bench.plan import Stage
from bench.seeding import digest
from bench.spec import CellSpec
from bench.store import Record, Store, UnwritableError
from bench.working import Settings, open_dataset, prepare_process

__all__ = ["CellResult", "Progress", "Settings", "Stage", "StageResult", "classify", "load_candidate", "open_dataset"]
__all__ += ["left_of", "prepare_process", "record_failure", "record_rest", "run_stage", "slurm_job_id"]


def run_stage(stage: Stage, settings: Settings, progress: Progress | None = None) -> StageResult:
    """Runs one stage and writes its records; an Exception ends up on the records of all cells that depend on the stage."""
    start = Start()
    stopping.next_stage()
    try:
        return _recorded(stage, settings, progress, start)
    except UnwritableError as error:  # that is no fault of the cells, and no record could say so
        return StageResult(UNWRITABLE, str(error), start.seconds, [])


def _recorded(stage: Stage, settings: Settings, progress: Progress | None, start: Start) -> StageResult:
    store, attempts = Store(Path(settings.store)), dict[str, int]()
    try:
        stopping.check()
        prepare_process(settings.threads)
        reset_peaks()
        with _lease(stage, settings, store):
            attempts |= {cell.key: record["attempt"] for cell in stage.cells if (record := store.read(cell.key)) is not None}
            cells = _run(stage, settings, store, progress, start)
    except stopping.Stopped as error:  # it is going to be run again
        return StageResult("interrupted", str(error), start.seconds, [])
    except UnwritableError:
        raise
    except (Exception, SystemExit) as error:  # a method that ends the process is no reason to end the sweep
        if stopping.requested() and classify(error)[0] == "interrupted":
            return StageResult("interrupted", f"{error}: {stopping.reason()}", start.seconds, [])
        status, reason = classify(error)
        cells = record_rest(stage, settings, status, reason, attempts, error=error, start=start)
        return StageResult(status, reason, start.seconds, cells)
    return StageResult("ok", "", start.seconds, cells)


def _run(stage: Stage, settings: Settings, store: Store, progress: Progress | None, start: Start) -> list[CellResult]:
    if stage.kind == "teacher":
        run_teacher(stage, settings, store, progress)
        return []
    if stage.kind == "fit":
        return _run_fit(stage, settings, store, progress, start)
    return evaluate_cells(stage.cells, settings, store, start)


def _run_fit(stage: Stage, settings: Settings, store: Store, progress: Progress | None, start: Start) -> list[CellResult]:
    fit = stage.fit
    assert fit is not None
    fitted = None if store.has_model(fit.key) else train(fit, settings, store, progress)
    return evaluate_cells(stage.cells, settings, store, start, fitted)


def _lease(stage: Stage, settings: Settings, store: Store) -> AbstractContextManager[None]:
    if not settings.lease_seconds:
        return nullcontext()
    owner, rank = slurm_job_id() or "", int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    path = store.root / "leases" / f"{digest(stage.key)[:32]}.json"  # an evaluation's key may hold a path
    return leases.hold(path, owner=owner, rank=rank, seconds=settings.lease_seconds)


def left_of(stage: Stage, store: Store, attempts: Mapping[str, int] | None = None) -> Stage:
    """The stage without the cells that are on record as ok and have lost nothing since. attempts: cell key -> attempt on record when
    the stage began; an ok record that is no later one is left to be done again."""
    before = attempts or {}

    def is_done(record: Record | None) -> bool:
        if record is None or record["status"] != "ok" or record["attempt"] <= before.get(record["key"], 0):
            return False
        return store.has_figures(record) and store.has_split(record["data_hash"], record["split"])

    def todo(cells: list[CellSpec]) -> list[CellSpec]:
        return [cell for cell in cells if not is_done(store.read(cell.key))]

    return replace(stage, cells=todo(stage.cells), affects=todo(stage.affects))


def record_rest(
    stage: Stage,
    settings: Settings,
    status: str,
    reason: str,
    attempts: Mapping[str, int],
    *,
    error: BaseException | None = None,
    start: Start | None = None,
) -> list[CellResult]:
    """record_failure for what a stage that broke off has left; what it had done by then stays, and is told of. attempts as in left_of."""
    store = Store(Path(settings.store))
    left = left_of(stage, store, attempts)
    open_keys = {cell.key for cell in left.cells}
    done = [(cell, store.read(cell.key)) for cell in stage.cells if cell.key not in open_keys]
    found = [_done(cell, record) for cell, record in done if record is not None]
    return found + record_failure(left, settings, status, reason, error=error, start=start)


def _done(cell: CellSpec, record: Record) -> CellResult:
    seconds = (record["eval_seconds"] or 0.0) + (0.0 if cell.severity else record["fit_seconds"] or 0.0)
    return CellResult(cell.key, "ok", "", seconds)


def record_failure(
    stage: Stage, settings: Settings, status: str, reason: str, *, error: BaseException | None = None, start: Start | None = None
) -> list[CellResult]:
    """Writes a record for each cell that the stage would have written or made possible."""
    store, found, start = Store(Path(settings.store)), [], start or Start()
    for cell in [*stage.cells, *stage.affects]:
        text = f"skipped: teacher failed ({stage.label}: {reason})" if stage.kind == "teacher" else reason
        found.append(write_record(store, cell, settings, start, status=status, reason=text, error=error_of(error)))
    return found
