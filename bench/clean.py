"""The `clean` command: prunes what nothing in a store needs. It says what would go; with --yes it goes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import registry, turns
from bench.cli import FAILED, OK
from bench.protocol import PROTOCOL_VERSION
from bench.spec import UsageError
from bench.status import cell_of
from bench.store import MODEL_FILES, Record, Store, arrays_path

_SHOWN = 10  # of a kind; the rest is counted
_LEASE_SECONDS = 600.0  # a lease whose last heartbeat is older than this is nobody's
_DAMAGED = tuple(f"{folder}/*.damaged" for folder in ("records/??", "predictions/??", "models/*", "splits", "sweeps"))
_TEACHER_FACTS = ("dataset", "label_fraction", "seed", "preset")


@dataclass(frozen=True)
class Waste:
    """Something that may go. paths: inside the store, in the order in which they are deleted."""

    name: str
    paths: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        return sum(_size(path) for path in self.paths)


def command(options: argparse.Namespace) -> int:
    """Lists what would go with its size, or deletes it. Raises UsageError for a folder that is no store, or that a sweep is using."""
    store = Store(options.store)
    if not (store.root / "records").is_dir():
        raise UsageError(f"{store.root} is no store: no folder records in it")
    if options.yes and (holder := held(store)):
        raise UsageError(f"{store.root} is in use ({holder}); clean it when the sweep has ended")
    found = waste(store, failed=options.failed, stale=options.stale, models=options.models, older_than=options.older_than)
    for kind, items in found.items():
        _show(kind, items)
    everything = [item for items in found.values() for item in items]
    size = _bytes(sum(item.num_bytes for item in everything))
    if not everything:
        print(f"nothing to delete in {store.root}")
    elif not options.yes:
        print(f"{len(everything)} to delete, {size}; type it again with --yes to delete them")
    else:
        faults = delete(everything)
        print(f"{len(everything) - len(faults)} of {len(everything)} deleted{'' if faults else f', {size}'}")
        for fault in faults:
            print(f"not deleted: {fault}", file=sys.stderr)
        return FAILED if faults else OK
    return OK


def waste(store: Store, *, failed: bool, stale: bool, models: bool, older_than: float) -> dict[str, list[Waste]]:
    """What may go, by kind.

    failed: records that are not ok. stale: records of other code than today's. models: those that no ok record that stays needs.
    Leftovers always: checkpoints of finished stages, files set aside as damaged, and, older than older_than seconds, temporary files,
    models without their completion marker, predictions without a record, submissions all of whose jobs have ended, and leases without a
    heartbeat. What is younger may belong to a sweep under way.
    Raises UsageError for models where a record cannot be read: what it needs is unknown."""
    records, faults = store.survey()
    for fault in faults:
        print(f"left alone: {fault}", file=sys.stderr)
    if models and faults:
        raise UsageError("--models needs every record: mend or delete those that cannot be read")
    found: dict[str, list[Waste]] = {}
    going: set[str] = set()
    if failed:
        going |= _choose(found, "records that are not ok", store, {key: _failure(record) for key, record in records.items()})
    if stale:
        whys = {key: stale_reason(record) for key, record in records.items() if key not in going}
        going |= _choose(found, "records of other code", store, whys)
    if models:
        kept = [record for key, record in records.items() if key not in going and record["status"] == "ok"]
        found["models that no ok record needs"] = list(_unneeded_models(store, kept, older_than))
    found["checkpoints of finished stages"] = [_whole(path) for path in _below(store, "checkpoints/*") if store.has_model(path.name)]
    found["temporary files"] = [_whole(path) for path in _old(_temporary(store), older_than)]
    unfinished = (path for path in _below(store, "models/*") if path.is_dir() and not store.has_model(path.name))
    found["unfinished models"] = [_whole(path) for path in _old(unfinished, older_than)]
    lost = (path for path in _below(store, "predictions/??/*.safetensors") if not store.record_path(path.stem).exists())
    found["predictions without a record"] = [_whole(path) for path in _old(lost, older_than)]
    going_whole = {path for items in found.values() for item in items for path in item.paths}
    found["settled submissions"] = [_whole(path.parent) for path in _old(_below(store, "slurm/*/settled"), older_than)]
    found["leases that nobody holds"] = [_whole(path) for path in _old(_below(store, "leases/*"), max(older_than, _LEASE_SECONDS))]
    damaged = (path for pattern in _DAMAGED for path in _below(store, pattern) if path.parent not in going_whole)
    found["damaged files"] = [_whole(path) for path in damaged]
    return found


def stale_reason(record: Record) -> str:
    """Why today's code would give this record another key, or nothing. A record that does not say what code it is of is not stale,
    nor is any of a method whose file is broken at the moment."""
    method = record["method"]
    try:
        entry = registry.entry("methods", method)
    except registry.UnknownNameError:
        return f"there is no method {method!r} any more"
    if entry.error:
        return ""
    if not str(record["protocol_id"]).startswith(f"v{PROTOCOL_VERSION}/"):
        return f"protocol {str(record['protocol_id']).partition('/')[0]}, today v{PROTOCOL_VERSION}"
    if record["row"].partition("[")[0] not in entry.rows:
        return f"{method} has no row {record['row']!r} any more"
    source = record["env"].get("source_hash")
    changed = source is not None and source != registry.source_hash("methods", method)
    return f"methods/{method}.py, or what it imports, has changed" if changed else ""


def held(store: Store) -> str:
    """Who is using a store, as far as it can be known: a run on this machine, a lease with a heartbeat, jobs in the queue or, where Slurm
    does not answer, perhaps; nothing where nobody is."""
    if turns.in_use(store.root):
        return "a run is working on it"
    for path in [*store.root.glob("leases/*.json"), *store.root.glob("slurm/*.lease")]:
        age = time.time() - _modified(path)
        if age < _LEASE_SECONDS:
            return f"{path.relative_to(store.root)} was renewed {max(0.0, age):.0f} s ago"
    if not (store.root / "slurm").is_dir():
        return ""
    try:
        live = registry.load_part("slurm.status").num_live(store.root)
    except UsageError as error:
        return f"whether its jobs have ended is unknown: {error}"
    return f"{live} jobs are queued or running" if live else ""


def delete(items: Iterable[Waste]) -> list[str]:
    """Deletes in order and returns what could not be deleted. A model loses the marker that makes it count first."""
    faults = []
    for item in items:
        try:
            for path in item.paths:
                if path.is_dir() and not path.is_symlink():
                    (path / MODEL_FILES[-1]).unlink(missing_ok=True)
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            faults.append(f"{item.name}: {error}")
    return faults


def _choose(found: dict[str, list[Waste]], kind: str, store: Store, whys: Mapping[str, str]) -> set[str]:
    """Notes the records that have a reason to go, each with its predictions, and returns their keys."""
    keys = {key for key, why in whys.items() if why and _inside(store, store.record_path(key))}
    found[kind] = [_record(store, key, whys[key]) for key in sorted(keys)]
    return keys


def _record(store: Store, key: str, why: str) -> Waste:
    arrays = store.root / arrays_path("predictions", key)
    return Waste(f"{key[:12]} {why}", (store.record_path(key), *([arrays] if arrays.is_file() and _inside(store, arrays) else [])))


def _failure(record: Record) -> str:
    return "" if record["status"] == "ok" else f"{cell_of(record)}: {record['status']} {record['reason']}".rstrip()


def _unneeded_models(store: Store, kept: list[Record], older_than: float) -> Iterator[Waste]:
    """Models of which no kept record is. A teacher stays while any fit that could share it has one: other rows may still want it."""
    fits = {record["fit_key"] for record in kept}
    shared = {(record["method"], record["dataset"].partition("->")[0], *(record[name] for name in _TEACHER_FACTS[1:])) for record in kept}
    for path in _old((path for path in _below(store, "models/*") if path.name not in fits and store.has_model(path.name)), older_than):
        facts = store.model_facts(path.name)
        if "teacher" not in facts or (facts.get("method"), *(facts.get(name) for name in _TEACHER_FACTS)) not in shared:
            yield _whole(path)


def _below(store: Store, pattern: str) -> list[Path]:
    return [path for path in sorted(store.root.glob(pattern)) if _inside(store, path)]


def _inside(store: Store, path: Path) -> bool:
    """Whether a path's folder lies in the store, and not behind a symbolic link to elsewhere."""
    return path.parent.resolve().is_relative_to(store.root.resolve())


def _temporary(store: Store) -> Iterator[Path]:
    """Files under the names that bench.store gives to what it has not finished; links are not followed."""
    for folder, _, names in os.walk(store.root):
        yield from (Path(folder, name) for name in sorted(names) if name.startswith(".tmp-"))


def _old(paths: Iterable[Path], seconds: float) -> Iterator[Path]:
    newest = time.time() - seconds
    return (path for path in paths if max(_modified(path), *(_modified(path / name) for name in MODEL_FILES)) <= newest)


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _whole(path: Path) -> Waste:
    return Waste("/".join(path.parts[-2:]), (path,))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links count as themselves."""
    paths = (
        [Path(folder, name) for folder, _, names in os.walk(path) for name in names] if path.is_dir() and not path.is_symlink() else [path]
    )
    return sum(each.lstat().st_size for each in paths if each.exists() or each.is_symlink())


def _show(kind: str, items: list[Waste]) -> None:
    if items:
        print(f"{kind}: {len(items)}, {_bytes(sum(item.num_bytes for item in items))}")
    for item in items[:_SHOWN]:
        print(f"  {item.name}")
    if len(items) > _SHOWN:
        print(f"  and {len(items) - _SHOWN} more")


def _bytes(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} kB"
