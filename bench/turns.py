"""Which of several runs on one store works on what: locks that the system frees when their process ends, however it ends.

A stage's teacher or fit and its cells are a byte each of STORE/lock, so that sweeps may overlap in any way. Jobs on a cluster, which have
no driver, keep apart by bench.leases instead."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.outcomes import CellResult, StageResult
from bench.plan import Stage
from bench.store import Record, Store

_TAKEN = (errno.EACCES, errno.EAGAIN)


class Turns:
    """The stages that this process works on.

    attempts: cell key -> attempt on record when the sweep was planned, from which it knows what others have done since. tell: takes what
    they did. say: takes one line where there is something to say. A process has at most one of these a store, since the system frees
    all its locks on a file when any of them is closed."""

    def __init__(
        self, root: Path, attempts: Mapping[str, int], tell: Callable[[Stage, StageResult], None], say: Callable[[str], None]
    ) -> None:
        self.store, self.attempts, self.tell, self.say = Store(root), attempts, tell, say
        self._waited = False
        self._held: dict[str, list[int]] = {}
        self._file: int | None = None
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._file = os.open(root / "lock", os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            self._go_without(error)

    def take(self, stage: Stage) -> bool:
        """Whether nobody else works on any part of the stage; it is this process's then, until it is left."""
        taken: list[int] = []
        for place in _places(stage):
            if not self._lock(place):
                self._free(taken)
                if not self._waited:
                    self._waited = True
                    self.say("another run works on some of these cells; the others come first")
                return False
            taken.append(place)
        self._held[stage.key] = taken
        return True

    def leave(self, stage: Stage) -> None:
        """Ends what take began; the records of the stage have been written."""
        self._free(self._held.pop(stage.key, []))

    def done_elsewhere(self, stage: Stage) -> str | None:
        """Takes the cells off a stage that another run has done since this one was planned, and tells of them. The status of the stage
        where nothing of it is left to do, else None."""
        news = {cell.key: record for cell in (*stage.cells, *stage.affects) if (record := self._news(cell.key)) is not None}
        trained = stage.kind != "evaluate" and self.store.has_model(stage.key)
        stage_cells = [cell for cell in stage.cells if cell.key not in news]
        over = not stage_cells and (trained or (bool(news) and len(news) == len({cell.key for cell in (*stage.cells, *stage.affects)})))
        told = (*stage.cells, *stage.affects) if over and not trained else stage.cells
        results = [_result(cell.key, news[cell.key]) for cell in told if cell.key in news]
        ok = trained or any(record["status"] == "ok" for record in news.values())
        status = "ok" if ok or not news else next(iter(news.values()))["status"]
        if results:
            self.tell(stage, StageResult(status, "", 0.0, results))
        stage.cells = stage_cells
        return status if over else None

    def close(self) -> None:
        """Frees everything."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _news(self, key: str) -> Record | None:
        """What another run made of a cell since. A run that was interrupted made nothing of it: it is anybody's again."""
        record = self.store.read(key)
        if record is None or record["status"] == "interrupted":
            return None
        return record if record["attempt"] > self.attempts.get(key, 0) else None

    def _lock(self, place: int) -> bool:
        if self._file is None:
            return True
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            self._go_without(error)
        return True

    def _free(self, places: list[int]) -> None:
        for place in places:
            if self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    def _go_without(self, error: OSError) -> None:
        self.close()
        self.say(f"{self.store.root}: no locks here ({error.strerror}); a second run of the same cells at the same time does them twice")


def in_use(root: Path) -> bool:
    """Whether another process works on a store; False where that cannot be known."""
    try:
        with open(root / "lock", "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _TAKEN
    return False


def _places(stage: Stage) -> list[int]:
    """The bytes of the lock's file that stand for a stage, which need not be there."""
    return [int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") for key in _keys(stage)]


def _keys(stage: Stage) -> Iterator[str]:
    if stage.kind != "evaluate":
        yield stage.key
    for cell in stage.cells:
        yield cell.key


def _result(key: str, record: Record) -> CellResult:
    return CellResult(key, record["status"], record["reason"] or "by another run", 0.0)
