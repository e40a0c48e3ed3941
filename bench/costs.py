"""Predicted seconds and memory of a stage, learnt from the store; a plain guess where nothing like it has run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.plan import Stage
from bench.store import Record, Store

FIT_SECONDS, TEACHER_SECONDS, CELL_SECONDS = 12.0, 10.0, 0.5  # before anything has been measured, at preset tiny
PAPER_FACTOR = 300.0  # how much longer preset paper is taken to be while nothing of it has been measured


@dataclass(frozen=True)
class Estimate:
    """seconds on one worker; memory_mb: peak of the process, 0 where unknown; measured: whether anything like it has run."""

    seconds: float
    memory_mb: float
    measured: bool


class CostModel:
    """Medians of what has been measured, nearest match first: same data set and label fraction, same data set, same preset.

    teachers: what the store keeps beside teachers' weights. cuda: where the stages will run; measurements made there come first."""

    def __init__(self, records: Iterable[Record], teachers: Iterable[Mapping[str, Any]] = (), *, cuda: bool | None = None) -> None:
        self._cuda = cuda
        fits: dict[tuple, dict[str, float]] = defaultdict(dict)
        cells: dict[tuple, list[float]] = defaultdict(list)
        memory: dict[tuple, float] = defaultdict(float)
        for record in records:
            if record["status"] != "ok":
                continue
            place = _place(record.get("peak_vram_mb"))
            for group in _with_place(_groups(record["method"], record["preset"], record["dataset"], record["label_fraction"]), place):
                fits[group][record["fit_key"]] = record["fit_seconds"]
                cells[group].append(record["eval_seconds"])
                memory[group] = max(memory[group], record.get("peak_rss_mb") or 0.0)
        taught: dict[tuple, list[float]] = defaultdict(list)
        for facts in teachers:
            for group in _with_place(_teacher_groups(facts), _place(facts.get("peak_vram_mb"))):
                taught[group].append(facts["fit_seconds"])
                memory[group] = max(memory[group], facts.get("peak_rss_mb") or 0.0)
        self._fits = {group: median(values.values()) for group, values in fits.items()}
        self._cells = {group: median(values) for group, values in cells.items()}
        self._teachers = {group: median(values) for group, values in taught.items()}
        self._memory = dict(memory)

    def seconds(self, stage: Stage) -> float:
        """Predicted seconds of a stage on one worker."""
        return self.estimate(stage).seconds

    def estimate(self, stage: Stage) -> Estimate:
        """What a stage will take of one worker."""
        if stage.teacher is not None:
            return self._teacher(stage)
        total, measured, memory = 0.0, True, 0.0
        found: dict[tuple, tuple[float | None, float]] = {}
        for cell in stage.cells:
            what = (cell.fit.method, cell.preset, cell.fit.data.dataset, cell.fit.data.label_fraction)
            if what not in found:
                groups = self._nearest(_groups(*what))
                found[what] = _first(self._cells, groups), _first(self._memory, groups) or 0.0
            seconds, needed = found[what]
            total += CELL_SECONDS * _factor(cell.preset) if seconds is None else seconds
            measured, memory = measured and seconds is not None, max(memory, needed)
        if stage.fit is not None:
            preset = [*stage.cells, *stage.affects][0].preset
            groups = self._nearest(_groups(stage.fit.method, preset, stage.fit.data.dataset, stage.fit.data.label_fraction))
            seconds = _first(self._fits, groups)
            total += FIT_SECONDS * _factor(preset) if seconds is None else seconds
            measured, memory = measured and seconds is not None, max(memory, _first(self._memory, groups) or 0.0)
        return Estimate(total, memory, measured)

    def _teacher(self, stage: Stage) -> Estimate:
        assert stage.teacher is not None
        preset, data = stage.affects[0].preset if stage.affects else "tiny", stage.teacher.data
        facts = {"method": stage.teacher.method, "teacher": stage.teacher.teacher, "preset": preset, "dataset": data.dataset}
        groups = self._nearest(_teacher_groups({**facts, "label_fraction": data.label_fraction}))
        seconds = _first(self._teachers, groups)
        guess = TEACHER_SECONDS * _factor(preset)
        return Estimate(guess if seconds is None else seconds, _first(self._memory, groups) or 0.0, seconds is not None)

    def _nearest(self, groups: list[tuple]) -> list[tuple]:
        here = [] if self._cuda is None else _with_place(groups, self._cuda)[len(groups) :]
        return [*here, *groups]


def learn(store: Store, *, cuda: bool | None = None) -> CostModel:
    """The cost model of all that a store has measured."""
    return CostModel(store.records(), teacher_facts(store), cuda=cuda)


def teacher_facts(store: Store) -> Iterator[dict[str, Any]]:
    """What is kept beside the weights of teachers. Facts of another form are passed over."""
    for path in sorted((store.root / "models").glob("*/complete.json")):
        facts = store.model_facts(path.parent.name)
        if {"teacher", "method", "preset", "dataset", "label_fraction", "fit_seconds"} <= set(facts):
            yield facts


def _first(table: Mapping[tuple, float], groups: Iterable[tuple]) -> float | None:
    return next((table[group] for group in groups if group in table), None)


def _factor(preset: str) -> float:
    return PAPER_FACTOR if preset == "paper" else 1.0


def _place(vram: float | None) -> bool:
    return vram is not None


def _with_place(groups: list[tuple], cuda: bool) -> list[tuple]:
    return [*groups, *((*group, "cuda" if cuda else "cpu") for group in groups)]


def _groups(method: str, preset: str, dataset: str, fraction: float) -> list[tuple]:
    return [(method, preset, dataset, fraction), (method, preset, dataset), (method, preset)]


def _teacher_groups(facts: Mapping[str, Any]) -> list[tuple]:
    method, preset, dataset = f"teacher of {facts['method']}", facts["preset"], facts["dataset"]
    exact = (method, preset, dataset, facts["label_fraction"], facts["teacher"])
    return [exact, *_groups(method, preset, dataset, facts["label_fraction"])]
