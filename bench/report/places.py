"""Where a report reads and writes: what was typed, held against what is there."""

from __future__ import annotations

from pathlib import Path

from bench.spec import UsageError


def check_store(path: Path, *, must_exist: bool = False) -> Path:
    """A store's folder. Raises UsageError for a file, and where it must exist for what does not."""
    for place in (path, path / "records"):
        if place.exists() and not place.is_dir():
            raise UsageError(f"--store {path}: {'this' if place == path else place} is a file; the folder of a store expected")
    if must_exist and not path.exists():
        raise UsageError(f"--store {path}: no such folder; python -m bench run --store {path} makes one")
    return path


def check_out(path: Path) -> Path:
    """A folder to write, which may be absent. Raises UsageError where a file is in its place or in its way."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise UsageError(f"--out {path}: {'this' if place == path else place} is a file; a folder expected")
    return path
