"""A sweep small enough to be committed: its records, and of its predictions the counts that comparing takes.

ROOT/<data set>/records.jsonl.xz and <method>.safetensors.xz, ROOT/splits/ as in a store. An archive reads like a store; nothing is
unpickled. `check --update` writes it, `claims` reads it, and `report` reads it unpacked."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.record_check import fault
from bench.spec import UsageError
from bench.store import Record, Store, upgrade, write_whole

if TYPE_CHECKING:
    import numpy as np

_RECORDS = "records.jsonl.xz"
_COMPLETE = "unpacked"  # last file of an archive's store
_COUNTS = ("hits", "num_predictions", "num_positives")
_DECISIONS = re.compile(r"f2(@0\.5)?/")
IDENTITY = (
    *("method", "row", "dataset", "source", "data_hash", "label_fraction", "protocol_id", "split", "corruption", "severity", "preset"),
    "seed",
)


class Archive:
    """Reads what add() wrote."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._splits = Store(root)

    def records(self) -> Iterator[Record]:
        """All records. Raises UsageError where a file is damaged."""
        for path in sorted(self.root.glob(f"*/{_RECORDS}")):
            yield from _read_records(path)

    def load_arrays(self, relative: str) -> dict[str, np.ndarray]:
        """Of a record's predictions_path: hits, num_predictions, num_positives and decisions. Raises as Store.load_arrays does."""
        file, _, key = relative.partition("#")
        found = {name.removeprefix(f"{key}/"): values for name, values in _tensors(self.root / file).items() if name.startswith(key)}
        if not found:
            raise FileNotFoundError(f"{self.root / file}: nothing of {key}")
        return found

    def load_split(self, data_hash: str, split: str) -> Any:
        """As Store.load_split."""
        return self._splits.load_split(data_hash, split)


def is_archive(root: Path) -> bool:
    """Whether a folder holds one."""
    return any(root.glob(f"*/{_RECORDS}"))


def open_results(root: Path) -> Archive | Store:
    """What lies in a folder, to read."""
    return Archive(root) if is_archive(root) else Store(root)


def store_of(root: Path, place: Path) -> Store:
    """The store in a folder, or what an archive there holds as a store under place, which stays for the next time. Raises as Archive."""
    if not is_archive(root):
        return Store(root)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".xz", ".safetensors"))
    state = [[str(path.relative_to(root)), hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    store = Store(place / hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16])
    if (store.root / _COMPLETE).exists():
        return store
    shutil.rmtree(place, ignore_errors=True)
    kept = Archive(root)
    for record in kept.records():
        arrays = kept.load_arrays(record["predictions_path"])
        store.write({**record, "predictions_path": store.save_arrays("predictions", record["key"], arrays)})
    if (root / "splits").is_dir():
        shutil.copytree(root / "splits", store.root / "splits")
    write_whole(store.root / _COMPLETE, b"")
    return store


def identity(record: Mapping[str, Any]) -> tuple:
    """What a cell is of, whatever its key: a change of source gives it another key, and is what is compared."""
    return tuple(record[name] for name in IDENTITY)


def add(root: Path, store: Store) -> int:
    """Puts every ok record of a store into an archive, in place of one of the same cell; returns how many. Files whose content stays are
    left alone. Raises as Store.load_arrays where a prediction is damaged."""
    added = [record for record in store.records() if record["status"] == "ok"]
    by_folder: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(added, key=lambda each: each["finished"]):
        by_folder[_slug(record["dataset"])].append(record)
    for folder, records in by_folder.items():
        _add_folder(root / folder, store, records)
    for path in (store.root / "splits").glob("*.safetensors"):
        target = root / "splits" / path.name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return len(added)


def _add_folder(folder: Path, store: Store, records: list[Record]) -> None:
    path = folder / _RECORDS
    kept = {identity(record): record for record in (_read_records(path) if path.exists() else ())}
    new = {identity(record): record for record in records}
    for method in {record["method"] for record in new.values()}:
        file = folder / f"{_slug(method)}.safetensors.xz"
        before = _tensors(file) if file.exists() else {}
        tensors: dict[str, np.ndarray] = {}
        for record in (record for place, record in kept.items() if place not in new and record["method"] == method):
            key = record["key"]
            tensors |= {name: values for name, values in before.items() if name.startswith(f"{key}/")}
        for place, record in new.items():
            if record["method"] == method:
                tensors |= {f"{record['key']}/{name}": values for name, values in _counts(store, record).items()}
                new[place] = {**record, "predictions_path": f"{folder.name}/{file.name}#{record['key']}", "per_class_path": None}
        _write_tensors(file, tensors)
    lines = sorted((kept | new).values(), key=lambda record: str(record["key"]))
    text = "".join(json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n" for record in lines)
    _write(path, text.encode())


def _counts(store: Store, record: Record) -> dict[str, np.ndarray]:
    arrays = store.load_arrays(record["predictions_path"])
    return {name: values for name, values in arrays.items() if name in _COUNTS or _DECISIONS.match(name)}


def _read_records(path: Path) -> list[Record]:
    try:
        records: list[Record] = [upgrade(json.loads(line)) for line in lzma.decompress(path.read_bytes()).splitlines()]
        faults = [wrong for record in records if (wrong := fault(record))]
    except (lzma.LZMAError, EOFError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: damaged ({error})") from error
    if faults:
        raise UsageError(f"{path}: damaged ({faults[0]})")
    return records


@lru_cache(maxsize=4)
def _tensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, np.ndarray] = load(lzma.decompress(path.read_bytes()))
    except (SafetensorError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    return found


def _write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    # arrays of one name side by side compress best: num_positives are those of the data set in each
    ordered = {name: tensors[name].copy() for name in sorted(tensors, key=lambda each: (each.partition("/")[2], each))}
    _write(path, save(ordered))
    _tensors.cache_clear()


def _write(path: Path, data: bytes) -> None:
    """Compressed, unless that is what is there."""
    if path.exists() and lzma.decompress(path.read_bytes()) == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lzma.compress(data, preset=6))


def _slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip(".") or "-"
