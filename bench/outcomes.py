"""What became of cells and stages, and the records that say so."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import registry
from bench.environment import environment, git_sha
from bench.protocol import NoDataError
from bench.seeding import digest
from bench.spec import CellSpec
from bench.store import SCHEMA_VERSION, Record, Store
from bench.working import Settings

UNWRITABLE = "unwritable"  # of a stage whose results the store had no room for: its cells have no record


@dataclass(frozen=True)
class Start:
    """When something began: by the calendar, for records, and by a clock that nobody puts back, for durations."""

    calendar: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since then."""
        return time.monotonic() - self.clock


@dataclass(frozen=True)
class CellResult:
    """What became of a cell, as the progress line needs it."""

    key: str
    status: str
    reason: str
    seconds: float


@dataclass
class StageResult:
    """What became of a stage and of the cells that it wrote. status as on a record, or UNWRITABLE."""

    status: str
    reason: str
    seconds: float
    cells: list[CellResult]


def classify(error: BaseException) -> tuple[str, str]:
    """Status and one-line reason of an exception."""
    text = " ".join(str(error).split()) or type(error).__name__
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in text:
        return "oom", f"out of memory: {text}"
    if isinstance(error, registry.ChangedSourceError):
        return "failed", text
    if isinstance(error, NoDataError):
        return "no_data", text
    if name == "TrainingStopped":
        return "interrupted", text
    return "failed", f"{name}: {text}"


def write_record(store: Store, cell: CellSpec, settings: Settings, start: Start, **fields: Any) -> CellResult:
    earlier = store.read(cell.key)
    record = {**_blank_record(cell, settings, start), **fields, "attempt": (earlier["attempt"] if earlier else 0) + 1}
    store.write(record)
    seconds = start.seconds
    if fields["status"] == "ok":  # a corrupted cell is evaluated beside others: only its own part counts
        seconds = fields["eval_seconds"] + (0.0 if cell.severity else fields["fit_seconds"])
    return CellResult(cell.key, fields["status"], fields["reason"], seconds)


def _blank_record(cell: CellSpec, settings: Settings, start: Start) -> Record:
    """Every field of a record, those that are only known after success as None."""
    fit, data = cell.fit, cell.fit.data
    try:
        paper = registry.entry("methods", fit.method).constants.get("PAPER", "")
    except registry.UnknownNameError:  # its file has gone since the sweep was planned
        paper = ""
    record: Record = {
        "schema_version": SCHEMA_VERSION,
        "key": cell.key,
        "fit_key": fit.key,
        "protocol_id": cell.protocol_id,
        "paper": paper,
        "method": fit.method,
        "row": cell.row,
        "params": dict(fit.params),
        "split": cell.split,
        "corruption": cell.corruption,
        "severity": cell.severity,
        "preset": cell.preset,
        "error": None,
        "metrics": {},
        "per_attribute": {},
        "started": start.calendar,
        "finished": max(start.calendar, time.time()),  # the calendar may have been put back meanwhile
        "host": socket.gethostname(),
        "device": settings.device,
        "launcher": settings.launcher,
        "slurm_job_id": slurm_job_id() if settings.launcher == "slurm" else None,
        "git_sha": git_sha(),
        "env": environment(settings.threads) | {"source_hash": fit.source_hash, "backend": cell.backend},
    }
    record |= {"dataset": cell.dataset, "source": cell.source, "data_hash": data_hash(cell)}
    record |= {"label_fraction": data.label_fraction, "seed": data.seed}
    unknown = ("n_labeled", "n_unlabeled", "label_index_hash", "per_class_path", "predictions_path", "fit_seconds", "eval_seconds")
    return record | dict.fromkeys((*unknown, "images_per_second", "peak_rss_mb", "peak_vram_mb"))


def data_hash(cell: CellSpec) -> str:
    """What a record calls its data: of a transfer, both data sets."""
    own = cell.fit.data.data_hash
    return digest([own, cell.target_hash]) if cell.target else own


def slurm_job_id() -> str | None:
    """The job that this process belongs to, as Slurm's commands know it: 17, or 17_3 for an element of an array."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID")


def error_of(error: BaseException | None) -> Mapping[str, str] | None:
    if error is None:
        return None
    return {"type": type(error).__name__, "message": str(error), "traceback": "".join(traceback.format_exception(error))}
