"""Progress on stderr: a live bar on a terminal, one plain line a finished cell otherwise."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import IO, Any

from bench.plan import Stage
from bench.spec import CellSpec
from bench.stages import CellResult, StageResult


def format_seconds(seconds: float) -> str:
    """8.1s, 3m10s, 2h05m."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes = int(seconds // 60)
    return f"{minutes}m{int(seconds % 60):02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def cell_text(cell: CellSpec) -> str:
    """mtss/student darn f=0.25 seed=1, and the corruption where there is one."""
    data = cell.fit.data
    pool = f" u={data.unlabeled:g}" if data.unlabeled != 1 else ""
    condition = f" {cell.corruption}/{cell.severity}" if cell.severity else ""
    return f"{cell.label} {cell.dataset} f={data.label_fraction:g}{pool} seed={data.seed}{condition}"


class Progress:
    """Counts cells as they end and tells of it. costs: predicted seconds of each stage, for the time left."""

    def __init__(self, cells: Mapping[str, CellSpec], costs: Mapping[str, float], jobs: int, stream: IO[str] | None = None) -> None:
        self.cells, self.costs, self.jobs = cells, dict(costs), jobs
        self.stream = stream or sys.stderr
        self.counts: Counter[str] = Counter()
        self.started = time.monotonic()
        self.spent = self.predicted = sum(costs.values()) / 10  # some trust in the prediction, so that a quick first stage fools nobody
        self._done: set[str] = set()
        self._bar: Any = None
        if self.stream.isatty() and cells:
            self._open_bar()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=Console(file=self.stream), transient=True)
        self._task = self._bar.add_task("", total=len(self.cells))
        self._bar.start()

    def step(self, stage: Stage, phase: str, step: int, num_steps: int) -> None:
        """A stage's own progress; shown on the live bar only."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{stage.label} {phase} {step}/{num_steps} (eta {self.eta()})")

    def result(self, stage: Stage, result: StageResult) -> None:
        """A stage has ended; each of its cells gets a line."""
        if stage.key in self.costs:
            self.predicted += self.costs.pop(stage.key)
            self.spent += result.seconds
        for cell in result.cells:
            if cell.key not in self._done:
                self._done.add(cell.key)
                self.counts[cell.status] += 1
                self._line(cell)

    def _line(self, result: CellResult) -> None:
        total, reason = len(self.cells), f": {result.reason}" if result.reason else ""
        text = cell_text(self.cells[result.key])
        left = "" if len(self._done) == total else f" (eta {self.eta()})"
        self.say(f"[{len(self._done)}/{total}] {result.status} {text} {format_seconds(result.seconds)}{reason}{left}")
        if self._bar is not None:
            self._bar.update(self._task, completed=len(self._done))

    def eta(self) -> str:
        """Predicted work that is left, at the pace of the stages that have ended, shared by the workers."""
        pace = self.spent / self.predicted if self.predicted else 1.0
        return format_seconds(pace * sum(self.costs.values()) / max(self.jobs, 1))

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
