"""Predicted seconds and memory of a stage, learnt from the store; a plain guess where nothing like it has run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench.plan import Stage
from bench.store import MODEL_FILES, Record, Store

FIT_SECONDS, TEACHER_SECONDS, CELL_SECONDS = 12.0, 10.0, 0.5  # before anything has been measured, at preset tiny
MODEL_MB = {"tiny": 5.0, "paper": 100.0}  # weights, while none of the method lie in the store
MOST_DOUBLINGS = 3  # of what a cell is given that ran out of it at each attempt
PAPER_FACTOR = 300.0  # how much longer preset paper is taken to be while nothing of it has been measured


@dataclass(frozen=True)
class Estimate:
    """seconds on one worker; memory_mb: peak of the process with one model, 0 where unknown; measured: whether anything like it has run.
    further_mb: weights of the other models of an evaluation. more_memory, more_time: by how much to multiply what is asked for, since
    the last of its like ran out of it."""

    seconds: float
    memory_mb: float
    measured: bool
    further_mb: float = 0.0
    more_memory: float = 1.0
    more_time: float = 1.0


class CostModel:
    """Medians of what has been measured, nearest match first: same data set and label fraction, same data set, same preset.

    teachers: what the store keeps beside teachers' weights. cuda: where the stages will run; measurements made there come first.
    model_mb: fit key -> size of its weights, 0 where they are not there."""

    def __init__(
        self,
        records: Iterable[Record],
        teachers: Iterable[Mapping[str, Any]] = (),
        *,
        cuda: bool | None = None,
        model_mb: Callable[[str], float] = lambda key: 0.0,
    ) -> None:
        self._cuda = cuda
        self._last: dict[tuple, Record] = {}
        weights: dict[tuple, float] = defaultdict(float)
        fits: dict[tuple, dict[str, float]] = defaultdict(dict)
        cells: dict[tuple, list[float]] = defaultdict(list)
        memory: dict[tuple, float] = defaultdict(float)
        for record in records:
            for group in _ends_of(record):
                if record.get("finished", 0.0) >= self._last.get(group, {}).get("finished", 0.0):
                    self._last[group] = record
            if record["status"] != "ok":
                continue
            if record["fit_key"] not in fits.get((record["method"], record["preset"]), {}):
                for group in _groups(record["method"], record["preset"], record["dataset"], record["label_fraction"]):
                    weights[group] = max(weights[group], model_mb(record["fit_key"]))
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
        self._weights = {group: size for group, size in weights.items() if size}

    def seconds(self, stage: Stage) -> float:
        """Predicted seconds of a stage on one worker."""
        return self.estimate(stage).seconds

    def estimate(self, stage: Stage) -> Estimate:
        """What a stage will take of one worker."""
        if stage.teacher is not None:
            return self._teacher(stage)
        total, measured, memory = 0.0, True, 0.0
        found: dict[tuple, tuple[float | None, float]] = {}
        sizes: dict[str, float] = {}
        for cell in stage.cells:
            what = (cell.fit.method, cell.preset, cell.fit.data.dataset, cell.fit.data.label_fraction)
            if what not in found:
                groups = self._nearest(_groups(*what))
                found[what] = _first(self._cells, groups), _first(self._memory, groups) or 0.0
            seconds, needed = found[what]
            if cell.fit.key not in sizes:
                sizes[cell.fit.key] = _first(self._weights, _groups(*what)) or MODEL_MB.get(cell.preset, 0.0)
            total += CELL_SECONDS * _factor(cell.preset) if seconds is None else seconds
            measured, memory = measured and seconds is not None, max(memory, needed)
        if stage.fit is not None:
            preset = [*stage.cells, *stage.affects][0].preset
            what = (stage.fit.method, preset, stage.fit.data.dataset, stage.fit.data.label_fraction)
            found.setdefault(what, (None, 0.0))
            groups = self._nearest(_groups(*what))
            seconds = _first(self._fits, groups)
            total += FIT_SECONDS * _factor(preset) if seconds is None else seconds
            measured, memory = measured and seconds is not None, max(memory, _first(self._memory, groups) or 0.0)
        further = sum(sizes.values()) - max(sizes.values(), default=0.0)
        return Estimate(total, memory, measured, further, self._more("oom", found), self._more("timeout", found))

    def _teacher(self, stage: Stage) -> Estimate:
        assert stage.teacher is not None
        preset, data = stage.affects[0].preset if stage.affects else "tiny", stage.teacher.data
        facts = {"method": stage.teacher.method, "teacher": stage.teacher.teacher, "preset": preset, "dataset": data.dataset}
        groups = self._nearest(_teacher_groups({**facts, "label_fraction": data.label_fraction}))
        seconds = _first(self._teachers, groups)
        guess, memory = TEACHER_SECONDS * _factor(preset), _first(self._memory, groups) or 0.0
        own = [(f"teacher of {stage.teacher.method}", preset, data.dataset, data.label_fraction)]
        more = self._more("oom", own), self._more("timeout", own)
        return Estimate(guess if seconds is None else seconds, memory, seconds is not None, 0.0, *more)

    def _more(self, status: str, groups: Iterable[tuple]) -> float:
        """By how much to multiply what is asked for: 2 for each attempt of a cell whose last one ran out of it, where it is the last of
        its kind on record."""
        ends = [record for group in groups if (record := self._last.get(group)) is not None and record["status"] == status]
        return max((2.0 ** min(record.get("attempt", 1), MOST_DOUBLINGS) for record in ends), default=1.0)

    def _nearest(self, groups: list[tuple]) -> list[tuple]:
        here = [] if self._cuda is None else _with_place(groups, self._cuda)[len(groups) :]
        return [*here, *groups]


def learn(store: Store, *, cuda: bool | None = None) -> CostModel:
    """The cost model of all that a store has measured."""
    return CostModel(store.records(), teacher_facts(store), cuda=cuda, model_mb=partial(_model_mb, store))


def _model_mb(store: Store, key: str) -> float:
    try:
        return (store.model_path(key) / MODEL_FILES[0]).stat().st_size / 1e6
    except OSError:
        return 0.0


def teacher_facts(store: Store) -> Iterator[dict[str, Any]]:
    """What is kept beside the weights of teachers. Facts of another form are passed over."""
    for path in sorted((store.root / "models").glob("*/complete.json")):
        facts = store.model_facts(path.parent.name)
        if {"teacher", "method", "preset", "dataset", "label_fraction", "fit_seconds"} <= set(facts):
            yield facts


def _ends_of(record: Record) -> list[tuple]:
    """The kinds of stages of which a record says how they ended: a cell's own, and its teachers' where they are the cause or went well."""
    own = (record["preset"], record["dataset"].partition("->")[0], record["label_fraction"])
    of_teacher = str(record.get("reason")).startswith("skipped: teacher failed")
    if record["status"] == "oom" and "CUDA" in str(record.get("reason")):  # a larger share of the node's memory would not help
        return []
    names = [record["method"], f"teacher of {record['method']}"]
    return [(name, *own) for name in (names if record["status"] == "ok" else names[of_teacher : of_teacher + 1])]


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
