"""Predicted seconds of a stage, learnt from the store's records; a plain guess where nothing like it has run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from bench.plan import Stage
from bench.store import Record

FIT_SECONDS, TEACHER_SECONDS, CELL_SECONDS = 12.0, 10.0, 0.5  # before anything has been measured, at preset tiny


class CostModel:
    """Median seconds of the fits and evaluations that have been measured, nearest match first."""

    def __init__(self, records: Iterable[Record]) -> None:
        fits: dict[tuple, dict[str, float]] = defaultdict(dict)
        cells: dict[tuple, list[float]] = defaultdict(list)
        for record in records:
            if record["status"] == "ok":
                for group in _groups(record["method"], record["preset"], record["dataset"], record["label_fraction"]):
                    fits[group][record["fit_key"]] = record["fit_seconds"]
                    cells[group].append(record["eval_seconds"])
        self._fits = {group: median(values.values()) for group, values in fits.items()}
        self._cells = {group: median(values) for group, values in cells.items()}

    def seconds(self, stage: Stage) -> float:
        """Predicted seconds of a stage on one worker."""
        if stage.kind == "teacher":
            return TEACHER_SECONDS
        total = 0.0
        for cell in stage.cells:
            groups = _groups(cell.fit.method, cell.preset, cell.fit.data.dataset, cell.fit.data.label_fraction)
            total += next((self._cells[group] for group in groups if group in self._cells), CELL_SECONDS)
        if stage.fit is not None:
            preset = [*stage.cells, *stage.affects][0].preset
            groups = _groups(stage.fit.method, preset, stage.fit.data.dataset, stage.fit.data.label_fraction)
            total += next((self._fits[group] for group in groups if group in self._fits), FIT_SECONDS)
        return total


def _groups(method: str, preset: str, dataset: str, fraction: float) -> list[tuple]:
    return [(method, preset, dataset, fraction), (method, preset, dataset), (method, preset)]
