"""Folders as they were typed, held against what is there."""

from __future__ import annotations

import os
from pathlib import Path

from bench.spec import UsageError


def expanded(path: Path) -> Path:
    """The path with the home folder for a leading ~ or ~user. Raises UsageError where there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: no home folder of {path.parts[0]!r}; ./{path} is a path of that name") from None


def check_store(path: Path) -> None:
    """A store's folder, which may be absent. Raises UsageError where a file is in its place, in its way, or in that of its records."""
    _check("--store", path, path / "records", "the folder of a store")


def check_out(path: Path) -> None:
    """A folder to write, which may be absent. Raises UsageError where a file is in its place or in its way."""
    _check("--out", path, path, "a folder")


def check_there(path: Path) -> None:
    """Raises UsageError where the folder of a store is absent."""
    if not path.exists():
        raise UsageError(f"--store {path}: no such folder; python -m bench run --store {path} makes one")


def _check(option: str, path: Path, deepest: Path, expected: str) -> None:
    for place in (deepest, *deepest.parents):
        if os.path.exists(place) and not os.path.isdir(place):
            raise UsageError(f"{option} {path}: {'this' if place == path else place} is a file; {expected} expected")
