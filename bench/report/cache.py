"""What a report computed from given content, kept beside its tables, so that a report made again draws and counts only what moved.

Nothing rests on it: a cache that is absent, damaged or of other code is made anew, and one that cannot be written is done without."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bench import registry
from bench.store import write_whole

Value = TypeVar("Value")
_FILES = "files"
_FILE = re.compile(r"(?:tables|figures)/[^/\\\0]+")


class Cache:
    """name -> what was made of some content. Values are what JSON can hold: lists for tuples.

    path: a file. Entries that nobody asks for are left out when it is saved. files: tables and figures that this report has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.before: dict[str, list[Any]] = _read(path)
        self.now: dict[str, list[Any]] = {}
        self.files: set[str] = set()
        self.made = 0

    def of(self, name: str, content: object, make: Callable[[], Value]) -> Value:
        """What make() gave for this content and this code before, or gives now."""
        key = fingerprint([code_version(), content])
        entry = self.before.get(name)
        if entry is None or entry[0] != key:
            entry = [key, make()]
            self.made += 1
        self.now[name] = entry
        value: Value = entry[1]
        return value

    def write(self, path: Path, text: str) -> None:
        """A table's file."""
        self.has(path)
        write_text(path, text)

    def has(self, path: Path) -> None:
        """Notes a file of this report."""
        self.files.add(f"{path.parent.name}/{path.name}")

    def drop_others(self, out: Path) -> None:
        """Deletes the tables and figures of the report that was here before and that this one has not, such as another store's."""
        _, before = self.before.get(_FILES, ["", []])
        for name in before if isinstance(before, list) else []:
            if str(name) not in self.files and _FILE.fullmatch(str(name)):  # the list may be anybody's
                with suppress(OSError):
                    (out / name).unlink()
        self.now[_FILES] = ["", sorted(self.files)]

    def save(self) -> None:
        if self.made or self.now.keys() != self.before.keys() or self.now.get(_FILES) != self.before.get(_FILES):
            with suppress(OSError):
                write_whole(self.path, json.dumps(self.now).encode())


def write_text(path: Path, text: str) -> None:
    """A file of this text; one that has it already is left alone."""
    data = text.encode()
    with suppress(OSError):
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return
    write_whole(path, data)


def fingerprint(content: object) -> str:
    """sha256 of JSON content."""
    return hashlib.sha256(json.dumps(content, default=str, separators=(",", ":")).encode()).hexdigest()


@cache
def code_version() -> str:
    """Of all that tables are made by: the modules that count and write. What a table or claim holds is its own content."""
    root = registry.ROOT
    files = [path for path in (root / "bench" / "report").glob("*.py") if not path.name.startswith("page")]
    files += [
        root / "bench" / f"{name}.py"
        for name in ("claim_entries", "claims", "comparisons", "imagewise", "robustness", "statistics", "tables")
    ]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: entry for name, entry in found.items() if isinstance(entry, list) and len(entry) == 2}
