"""The records of a store without reading each file again: who they are and whether they changed, from one file beside the report.

A record read so is whole to whoever asks for a field: what the index leaves out is read from the record's own file then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.store import Record, Store, write_whole

FIELDS = (
    *("key", "protocol_id", "method", "row", "dataset", "source", "data_hash", "split", "label_fraction", "corruption", "severity"),
    *("seed", "preset", "status", "finished", "predictions_path", "n_labeled", "fit_seconds", "eval_seconds", "images_per_second"),
    *("peak_rss_mb", "peak_vram_mb", "device"),
)
STAMP = "stamp"  # the field of a record so read that tells one state of its file from the next
SOURCE = "source_hash"  # the one with its env's, since all of env is long
_VERSION = 2


class IndexedRecord(dict[str, Any]):
    """A record that reads what it lacks from the store."""

    def __init__(self, values: dict[str, Any], store: Store) -> None:
        super().__init__(values)
        self.store = store

    def __missing__(self, name: str) -> Any:
        whole = self.store.read(self["key"])
        if whole is None:
            raise KeyError(f"{name}: the record {self['key']} is gone; report again")
        for field, value in whole.items():
            self.setdefault(field, value)
        if name not in whole:
            raise KeyError(name)
        return whole[name]

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def copy(self) -> IndexedRecord:
        return IndexedRecord(dict(self), self.store)


def read_records(store: Store, path: Path) -> list[Record]:
    """All records that can be read, in the order of their keys, each with a STAMP. path: the index, made and kept up to date."""
    before = _read(path)
    now: dict[str, list[Any]] = {}
    found: list[Record] = []
    for key, stamp in _stamps(store):
        entry = before.get(key)
        if entry is None or entry[0] != stamp:
            record = store.read(key)
            if record is None:
                continue
            source = record["env"].get(SOURCE)
            entry = [stamp, [source, *(record[name] for name in FIELDS)]]
            found.append(IndexedRecord({STAMP: stamp, SOURCE: source, **record}, store))
        else:
            found.append(IndexedRecord({STAMP: stamp, **dict(zip((SOURCE, *FIELDS), entry[1], strict=True))}, store))
        now[key] = entry
    if now != before:
        with suppress(OSError):
            write_whole(path, json.dumps({"version": _VERSION, "fields": FIELDS, "records": now}).encode())
    return found


def _stamps(store: Store) -> Iterator[tuple[str, str]]:
    """(key, time and size of its file) in the order of keys."""
    for entry in store.record_files():
        facts = entry.stat()
        yield entry.name.removesuffix(".json"), f"{facts.st_mtime_ns}:{facts.st_size}"


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(path.read_bytes())
        if found["version"] != _VERSION or found["fields"] != list(FIELDS):
            return {}
        records: dict[str, list[Any]] = found["records"]
        if any(not isinstance(stamp, str) or len(values) != 1 + len(FIELDS) for stamp, values in records.values()):
            return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return records
