"""A process that was asked to stop: its signals set a flag, and work that can stop between two steps looks at it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)  # what Slurm sends before a time limit or a preemption, and before the end

_reason = ""
_stage_reason = ""  # why the stage at hand alone is to stop


class Stopped(Exception):
    """The process was asked to stop, and did so where it can go on from later."""


def request(reason: str) -> None:
    """Asks this process to stop; the first reason counts."""
    global _reason
    _reason = _reason or reason


def request_stage(reason: str) -> None:
    """Asks this process to leave the stage that it is at; it goes on with the next one."""
    global _stage_reason
    _stage_reason = _stage_reason or reason


def next_stage() -> None:
    """Forgets what was asked of the stage before."""
    global _stage_reason
    _stage_reason = ""


def reason() -> str:
    """Why this process is to stop; empty where nobody asked."""
    return _reason or _stage_reason


def requested() -> bool:
    """Whether somebody asked."""
    return bool(reason())


def check() -> None:
    """Raises Stopped where somebody asked."""
    if requested():
        raise Stopped(reason())


def clear() -> None:
    """Forgets every request."""
    global _reason
    _reason = ""
    next_stage()


def listen() -> None:
    """From now on the signals of a cluster ask this process to stop, those too that came while they were held back."""
    for number in SIGNALS:
        signal.signal(number, lambda received, _: request(f"stopped by {signal.Signals(received).name}"))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def held_back() -> Iterator[None]:
    """Holds the signals back in the block; a process started there holds them back until it listens, instead of dying of one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
