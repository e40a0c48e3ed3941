"""Builds a folder whole or not at all: once, however many processes ask for it at the same moment, or in a place that a person names."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_FORGOTTEN_SECONDS = 86400.0  # another node's unfinished folder that has not changed for so long is nobody's
MARKER = "complete"  # last file of a finished folder: the sizes of those beside it


def build_once(target: Path, build: Callable[[Path], None], *, stale: Callable[[Path], bool] = lambda folder: False) -> Path:
    """target, filled by build(temporary folder beside it) unless it is complete and not stale already.

    A second process waits for the first, or, on file systems without locks, builds too and the first to finish wins."""
    if _ready(target) and not stale(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target) as locked:
        if _ready(target) and not stale(target):
            return target
        if locked:
            for leftover in target.parent.glob(f".{target.name}.*"):
                if _abandoned(leftover):
                    shutil.rmtree(leftover, ignore_errors=True)
        folder = _beside(target)
        try:
            build(folder)
            sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder) if entry.is_file()}
            (folder / MARKER).write_text(json.dumps(sizes), encoding="utf-8")
            _move(folder, target, stale)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return target


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder beside target that takes its place when the block ends without an error.

    target: absent, or an empty folder; FileExistsError otherwise."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is {'not empty' if target.is_dir() else 'a file'}; name a new folder")
    target = target.resolve()
    folder = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    folder.mkdir(parents=True)
    try:
        yield folder
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A new hidden folder beside target, named after the process that fills it."""
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.{_node()}.{os.getpid()}.", dir=target.parent))


def _node() -> str:
    return platform.node().replace(".", "-")


def _abandoned(folder: Path) -> bool:
    """Whether nobody fills a folder of _beside any more. Holding the lock does not tell: some shared file systems lock within a node."""
    *_, node, pid, _ = ["", "", "", *folder.name.split(".")]
    if node == _node() and pid.isdecimal():
        return not _is_alive(int(pid))
    with contextlib.suppress(OSError):
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _FORGOTTEN_SECONDS
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    with contextlib.suppress(OSError, IndexError):  # Linux: one that was killed keeps its number until its parent asks
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    return True


def _ready(target: Path) -> bool:
    """Whether a folder was finished and its files are as long as they were then."""
    try:
        sizes = json.loads((target / MARKER).read_bytes() or b"{}")  # empty in folders of an earlier day
        return all((target / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _move(folder: Path, target: Path, stale: Callable[[Path], bool]) -> None:
    if target.exists() and (not _ready(target) or stale(target)):
        old = _beside(target)
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
