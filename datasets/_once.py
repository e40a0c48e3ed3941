"""Builds a folder once, however many processes ask for it at the same moment and wherever one of them is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

MARKER = "complete"  # last file of a finished folder


def build_once(target: Path, build: Callable[[Path], None], *, stale: Callable[[Path], bool] = lambda folder: False) -> Path:
    """target, filled by build(temporary folder beside it) unless it is complete and not stale already.

    A second process waits for the first, or, on file systems without locks, builds too and the first to finish wins."""
    if _ready(target) and not stale(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target) as locked:
        if _ready(target) and not stale(target):
            return target
        if locked:  # whatever lies here is nobody's work in progress
            for leftover in target.parent.glob(f".{target.name}.*"):
                shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            build(folder)
            (folder / MARKER).touch()
            _move(folder, target, stale)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return target


def _ready(target: Path) -> bool:
    return (target / MARKER).is_file()


def _move(folder: Path, target: Path, stale: Callable[[Path], bool]) -> None:
    if target.exists() and (not _ready(target) or stale(target)):
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        os.replace(target, old)  # readers keep what they have mapped
        shutil.rmtree(old, ignore_errors=True)
    try:
        os.replace(folder, target)
    except OSError:
        if not _ready(target):  # otherwise another process has finished the same thing first
            raise


@contextlib.contextmanager
def _lock(target: Path) -> Iterator[bool]:
    """Holds the lock of a target; yields whether there is one. The system frees it when the process ends, however it ends."""
    with open(target.with_name(f"{target.name}.lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
            return
        yield True
