"""Who works on a stage: a file with a heartbeat, so that a stage that runs twice (a node given up for dead that was not) is worked on once.

Results do not depend on it: whatever is written twice is written whole and is the same. A lease spares the work and keeps the newer run."""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import stopping

_POLL_SECONDS = 0.5
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # what file systems without hard links say


@contextmanager
def hold(path: Path, *, owner: str, rank: int, seconds: float) -> Iterator[None]:
    """Holds the lease of a file in the block, once it can be had.

    owner and rank: who asks; a later rank of the same owner (a requeued job) takes the lease from an earlier one at once. seconds: how
    long a lease lives after its last heartbeat. One whose process is gone from this host counts for nothing. Raises stopping.Stopped
    where this process is asked to stop while it waits. Where the lease is taken away it is asked to stop: for good by a later rank of
    the same owner, else at this stage alone."""
    lease = _Lease(path, owner, rank, seconds)
    lease.acquire()
    try:
        yield
    finally:
        lease.release()


class _Lease:
    def __init__(self, path: Path, owner: str, rank: int, seconds: float) -> None:
        self.path, self.owner, self.rank, self.seconds = path, owner, rank, seconds
        pid = os.getpid()
        self.content = {"token": secrets.token_hex(8), "owner": owner, "rank": rank, "host": socket.gethostname(), "pid": pid}
        self.content["process"] = _process(pid)
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._seen = 0.0, time.monotonic()  # the holder's last heartbeat, and when it was first seen

    def acquire(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        mine = self.path.with_name(f".{self.path.name}.{self.content['token']}")
        mine.write_text(json.dumps(self.content), encoding="utf-8")
        try:
            while not self._take(mine):
                stopping.check()
                time.sleep(min(_POLL_SECONDS, self.seconds / 4))
        finally:
            mine.unlink(missing_ok=True)
        threading.Thread(target=self._beat, daemon=True).start()

    def _take(self, mine: Path) -> bool:
        os.utime(mine)
        if self._put(mine):
            return self._is_mine()
        with suppress(FileNotFoundError):
            beat = self.path.stat().st_mtime
            age = mine.stat().st_mtime - beat  # both times are the file server's
            if age > self.seconds or self._silent_for(beat) > self.seconds or self._outranks(self._read()):
                copy = mine.with_name(f"{mine.name}.taken")
                copy.write_text(json.dumps(self.content), encoding="utf-8")
                os.replace(copy, self.path)
                return self._is_mine()
        return False

    def _put(self, mine: Path) -> bool:
        """Makes the lease where there is none; with its content in one step where the file system has hard links."""
        try:
            os.link(mine, self.path)
        except FileExistsError:
            return self._is_linked(mine)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create()
        return True

    def _is_linked(self, mine: Path) -> bool:
        """Whether the lease is this very file: over NFS a link whose first answer was lost is asked for again, and is there by then."""
        with suppress(OSError):
            return os.path.samefile(mine, self.path)
        return False

    def _create(self) -> bool:
        try:
            with self.path.open("x", encoding="utf-8") as file:  # a lease without a name until it is written, which nobody outranks
                file.write(json.dumps(self.content))
        except FileExistsError:
            return False
        return True

    def _silent_for(self, beat: float) -> float:
        """Seconds for which this process has seen no other heartbeat: right even where the calendar was put back since the last one."""
        if beat != self._seen[0]:
            self._seen = beat, time.monotonic()
        return time.monotonic() - self._seen[1]

    def _outranks(self, other: dict[str, Any]) -> bool:
        if other.get("owner") == self.owner and other.get("rank", 0) < self.rank:
            return True
        return other.get("host") == self.content["host"] and _process(other.get("pid", 0)) != other.get("process")

    def _beat(self) -> None:
        while not self._ended.wait(self.seconds / 4):
            with suppress(OSError):
                holder = self._read()
                if holder.get("token") == self.content["token"]:
                    os.utime(self.path)
                elif holder:
                    self._lose(holder)
                    return

    def _lose(self, holder: dict[str, Any]) -> None:
        """Asks this process to stop, unless it has released the lease in the meantime, and it was taken by the next."""
        with self._lock:
            if self._ended.is_set():
                return
            if holder.get("owner") == self.owner and holder.get("rank", 0) > self.rank:
                stopping.request(f"another run of {self.owner} took over")
            else:
                stopping.request_stage(f"{holder.get('owner') or 'another process'} took over after {self.seconds:g} s without a heartbeat")

    def _is_mine(self) -> bool:
        return self._read().get("token") == self.content["token"]

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(self.path.read_bytes())
            if isinstance(found, dict):
                return found
        return {}

    def release(self) -> None:
        with self._lock:
            self._ended.set()
        with suppress(OSError):
            if self._is_mine():
                self.path.unlink()


def _process(pid: int) -> str:
    """Tells a process from later ones of its number; empty where it is gone, or where the system does not say."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
