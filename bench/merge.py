"""The `merge` command: joins stores. One result a key; where two results of a key differ, both are listed and neither is overwritten."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.cli import FAILED, OK
from bench.spec import UsageError
from bench.status import cell_of
from bench.store import MODEL_FILES, Record, Store, arrays_path, replacing

_ABSENT = "none"  # how a metric that one side lacks is listed


@dataclass(frozen=True)
class Conflict:
    """Two ok records of a key that differ. metrics: (name, value in the target, value in the source), None where a side lacks it."""

    record: Record
    metrics: list[tuple[str, float | None, float | None]]


@dataclass
class Merged:
    """What came of one source. damaged: one text a record that was left out."""

    added: int = 0
    replaced: int = 0
    present: int = 0
    models: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def command(options: argparse.Namespace) -> int:
    """Joins the stores in the order given and prints what came of each. Exit code 1 where a result was left out."""
    sources, target = _sources(options.stores, options.store), Store(options.store)
    try:
        records = {record["key"]: record for record in target.records()}
    except ValueError as error:
        raise UsageError(f"{target.root}: {error}") from error
    (target.root / "records").mkdir(parents=True, exist_ok=True)  # an interrupted merge leaves a store
    code = OK
    for source in sources:
        found = merge(source, target, records, models=options.models)
        _show(found, source, target)
        code = FAILED if found.conflicts or found.damaged else code
    return code


def merge(source: Store, target: Store, records: dict[str, Record], *, models: bool = False) -> Merged:
    """Copies into target what it lacks. records: all that target has, by key; kept up to date.

    An ok record wins over one that is not; of two ok ones with the same figures the earlier stays, of two that are not the later.
    Predictions come before their record, so that whatever ends this in the middle, doing it again completes it."""
    theirs, damaged = source.survey()
    found = Merged(damaged=damaged)
    for folder, pattern in (("splits", "*.safetensors"), ("sweeps", "*.json")):
        for path in sorted((source.root / folder).glob(pattern)):
            _copy(path, target.root / folder / path.name, keep=True)
    for key, record in theirs.items():
        arrays, own = arrays_path("predictions", key), records.get(key)
        if record["predictions_path"] not in (None, arrays):
            found.damaged.append(f"{source.record_path(key)}: predictions_path {record['predictions_path']!r}, expected {arrays!r}")
            continue
        if own is not None and (different := differences(own, record)):
            found.conflicts.append(Conflict(record, different))
            continue
        wins = own is None or _wins(record, own)
        if record["status"] == "ok":
            _copy(source.root / arrays, target.root / arrays, keep=not wins)
        if wins:
            target.write(record)
            records[key] = record
        found.added += own is None
        found.replaced += own is not None and wins
        found.present += not wins
    if models:
        found.models = _copy_models(source, target, {conflict.record["fit_key"] for conflict in found.conflicts})
    return found


def differences(one: Record, other: Record) -> list[tuple[str, float | None, float | None]]:
    """The metrics, those of the attribute types too, in which two ok records differ; nothing where one of them is not ok."""
    if one["status"] != "ok" or other["status"] != "ok":
        return []
    pair = dict(_figures(one)), dict(_figures(other))
    names = dict.fromkeys([*pair[0], *pair[1]])
    values = [(name, pair[0].get(name), pair[1].get(name)) for name in names]
    return [each for each in values if each[1] != each[2]]


def _figures(record: Record) -> Iterator[tuple[str, float]]:
    yield from record["metrics"].items()
    for kind, figures in record["per_attribute"].items():
        yield from ((f"{kind} {name}", value) for name, value in figures.items())


def _wins(record: Record, own: Record) -> bool:
    """Whether a record takes the place of the target's own, with which it does not conflict."""
    if (record["status"] == "ok") != (own["status"] == "ok"):
        return bool(record["status"] == "ok")
    earlier, later = (record, own) if own["status"] == "ok" else (own, record)
    return bool(earlier["finished"] < later["finished"])


def _copy_models(source: Store, target: Store, left_out: set[str]) -> int:
    """Copies the complete models that target lacks, the weights before the marker that makes them count; returns their number."""
    keys = [path.name for path in sorted((source.root / "models").glob("*")) if path.name not in left_out]
    whole = [key for key in keys if all((source.model_path(key) / name).is_file() for name in MODEL_FILES)]
    missing = [key for key in whole if not target.has_model(key)]
    for key in missing:
        for name in MODEL_FILES:
            _copy(source.model_path(key) / name, target.model_path(key) / name)
    return len(missing)


def _copy(path: Path, to: Path, *, keep: bool = False) -> None:
    """Copies a file whole or not at all. keep: leave what is there. A file that the source lacks is no error: its record says enough."""
    if (keep and to.exists()) or not path.is_file():
        return
    with replacing(to) as temporary:
        shutil.copyfile(path, temporary)


def _sources(paths: list[Path], into: Path) -> list[Store]:
    """The stores to read, each once. Raises UsageError for what is no store, or is the target itself."""
    for path in paths:
        if not (path / "records").is_dir():
            raise UsageError(f"{path}: {'no folder records in it' if path.is_dir() else 'no such folder'}; expected a store")
        if path.resolve() == into.resolve():
            raise UsageError(f"{path} is the store of --store itself; name the stores that are to be joined into it")
    if into.exists() and not (into / "records").is_dir() and (not into.is_dir() or any(into.iterdir())):
        raise UsageError(f"--store {into} is neither a store nor an empty folder")
    return [Store(path) for path in {path.resolve(): path for path in reversed(paths)}.values()][::-1]


def _show(found: Merged, source: Store, target: Store) -> None:
    counts = {"added": found.added, "replaced": found.replaced, "already there": found.present, "in conflict": len(found.conflicts)}
    counts |= {"damaged": len(found.damaged), "models copied": found.models}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    print(f"{source.root}: {', '.join(parts) or 'nothing in it'}")
    for conflict in found.conflicts:
        figures = ", ".join(f"{name} {_value(mine)} and {_value(other)}" for name, mine, other in conflict.metrics)
        print(f"  conflict {cell_of(conflict.record)} ({conflict.record['key'][:12]}), in {target.root} and in {source.root}: {figures}")
    for text in found.damaged:
        print(f"left out: {text}", file=sys.stderr)


def _value(value: float | None) -> str:
    return _ABSENT if value is None else repr(value)  # all digits: a conflict may be in the last
