"""From axes to cells, and from the cells still to do to a graph of stages in which each teacher and each fit stands once."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import registry
from bench.protocol import Schema
from bench.seeding import digest
from bench.spec import CLEAN, POOL_PARAM, CellSpec, DataSpec, FitSpec, TeacherSpec, UsageError, resolve_params, row_label

MAX_MODELS_PER_EVALUATION = 32  # loaded together, so that one corrupted batch serves them all


@dataclass(frozen=True)
class DataFacts:
    """What planning needs to know of a data set."""

    source: str
    data_hash: str
    schema: Schema


@dataclass(frozen=True)
class Sweep:
    """The axes of a run. rows: (method, row). conditions: (corruption, severity). transfers: pairs of data sets, of which the first is
    trained on and the second is tested on."""

    rows: Sequence[tuple[str, str]]
    datasets: Sequence[str]
    label_fractions: Sequence[float]
    unlabeled: Sequence[float]
    seeds: Sequence[int]
    conditions: Sequence[tuple[str, int]]
    preset: str
    backend: str = "native"
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    transfers: Sequence[tuple[str, str]] = ()

    @property
    def places(self) -> list[tuple[str, str]]:
        """(trained on, tested on); the second is empty where it is the same."""
        return [(name, "") for name in self.datasets] + list(self.transfers)

    def params(self, method: str, row: str) -> dict[str, Any]:
        """The hyper-parameters of a row. Raises UsageError."""
        return resolve_params(method, row, self.preset, self.overrides.get(method, {}))

    @property
    def every_dataset(self) -> list[str]:
        """All that must be described before cells can be made: trained on, tested on, and pooled."""
        pools = [str(self.params(method, row).get(POOL_PARAM, "")) for method, row in self.rows]
        return list(dict.fromkeys(name for name in (*(name for pair in self.places for name in pair), *pools) if name))


@dataclass
class Stage:
    """A piece of work that one worker does. kind: teacher, fit or evaluate. needs: stages that come first; an evaluation
    also starts when a fit before it has failed, and leaves that fit out. cells: the results that it writes itself.
    affects: results of later stages that cannot be had if this one fails."""

    kind: str
    key: str
    needs: tuple[str, ...] = ()
    cells: list[CellSpec] = field(default_factory=list)
    affects: list[CellSpec] = field(default_factory=list)
    teacher: TeacherSpec | None = None
    fit: FitSpec | None = None

    @property
    def label(self) -> str:
        if self.teacher is not None:
            return f"{self.teacher.method}:{self.teacher.teacher}"
        return self.cells[0].label if self.cells else self.fit.method if self.fit else self.kind


def make_cells(sweep: Sweep, facts: Mapping[str, DataFacts]) -> list[CellSpec]:
    """The cells of a sweep over the data sets that are there, fits side by side with their conditions."""
    found = []
    for method, row in sweep.rows:
        overrides = sweep.overrides.get(method, {})
        params = sweep.params(method, row)  # empty where the file is broken: its cells will say so
        source_hash, label, pool = registry.source_hash("methods", method), row_label(row, overrides), params.get(POOL_PARAM, "")
        axes = itertools.product(sweep.places, sweep.label_fractions, sweep.unlabeled, sweep.seeds)
        for (dataset, target), fraction, unlabeled, seed in axes:
            if dataset not in facts or pool == dataset:  # a data set is no pool beside itself
                continue
            fact, pooled = facts[dataset], facts[pool].data_hash if pool else ""
            size = params.get("image_size", 0)
            data = DataSpec(dataset, fact.source, fact.data_hash, size, fraction, unlabeled, seed, pool, pooled)
            tested = (target, facts[target].source, facts[target].data_hash) if target else ()
            fit = FitSpec(method, params, data, source_hash)
            found += [CellSpec(fit, label, sweep.preset, *condition, "test", sweep.backend, *tested) for condition in sweep.conditions]
    return found


def unique(cells: Iterable[CellSpec]) -> list[CellSpec]:
    """Each key once, the first of its kind."""
    return list({cell.key: cell for cell in reversed(list(cells))}.values())[::-1]


def make_conditions(corruptions: Iterable[str], severities: Iterable[int]) -> list[tuple[str, int]]:
    """Pairs of corruption and severity; severity 0 is the clean split, once."""
    ordered = sorted(set(severities))
    clean = [(CLEAN, 0)] if 0 in ordered else []
    return clean + [(name, severity) for name in corruptions for severity in ordered if severity]


def make_stages(
    cells: Sequence[CellSpec],
    has_model: Callable[[str], bool],
    schemas: Mapping[str, Schema],
    pending: Collection[str] = (),
    *,
    max_models: int = MAX_MODELS_PER_EVALUATION,
) -> list[Stage]:
    """The stages that the given cells still need, teachers first.

    pending: keys of teachers and fits that somebody else is making; they become no stages here and are needs all the same.
    A fit evaluates its own clean cell while it is loaded; corrupted cells are evaluated for many fits at a time."""
    by_fit: dict[str, list[CellSpec]] = defaultdict(list)
    for cell in cells:
        by_fit[cell.fit.key].append(cell)
    stages: dict[str, Stage] = {}
    leftover: list[CellSpec] = []
    for key, group in by_fit.items():
        if has_model(key) or key in pending:
            leftover += group
            continue
        fit = group[0].fit
        needs = _add_teachers(fit, has_model, schemas, stages, pending)
        for need in needs:
            if need in stages:
                stages[need].affects += group
        clean, corrupted = [cell for cell in group if not cell.severity], [cell for cell in group if cell.severity]
        stages[key] = Stage("fit", key, needs, clean, corrupted, fit=fit)
        leftover += corrupted
    return [*stages.values(), *_evaluations(leftover, {*stages, *pending}, max_models)]


def _add_teachers(
    fit: FitSpec,
    has_model: Callable[[str], bool],
    schemas: Mapping[str, Schema],
    stages: dict[str, Stage],
    pending: Collection[str],
) -> tuple[str, ...]:
    specs = [fit.teacher(name) for name in teacher_names(fit, schemas[fit.data.dataset])]
    for spec in specs:
        if spec.key not in stages and spec.key not in pending and not has_model(spec.key):
            stages[spec.key] = Stage("teacher", spec.key, teacher=spec)
    return tuple(spec.key for spec in specs if spec.key in stages or spec.key in pending)


def teacher_names(fit: FitSpec, schema: Schema) -> Sequence[str]:
    """The teachers of a fit. A method without TEACHER_PARAMS has none, and is not imported to ask."""
    if "TEACHER_PARAMS" not in registry.entry("methods", fit.method).constants:
        return ()
    try:
        method = registry.method_class(fit.method)(**fit.params)
        return tuple(method.teachers(schema))
    except (Exception, SystemExit):  # the fit meets the same error in its worker, where it is recorded
        return ()


def _evaluations(cells: Sequence[CellSpec], fitted_here: set[str], max_models: int) -> list[Stage]:
    """One stage per data set, resolution and corruption, for at most max_models fits. Its key stands for its cells: leases go by it."""
    groups: dict[tuple[str, str, str, int, str], list[CellSpec]] = defaultdict(list)
    for cell in cells:
        data = cell.fit.data
        groups[(cell.dataset, data.data_hash, cell.target_hash, data.image_size, cell.corruption)].append(cell)
    found = []
    for (dataset, _, _, size, corruption), group in groups.items():
        fits = list(dict.fromkeys(cell.fit.key for cell in group))
        for start in range(0, len(fits), max_models):
            chosen = set(fits[start : start + max_models])
            members = [cell for cell in group if cell.fit.key in chosen]
            key = f"evaluate-{dataset}-{size}-{corruption}-{digest(sorted(cell.key for cell in members))[:16]}"
            found.append(Stage("evaluate", key, tuple(sorted(chosen & fitted_here)), members))
    return found


def select_rows(text: str) -> list[tuple[str, str]]:
    """Rows from `all|a,b,mtss/*,!x`: `all` and a bare name mean headline rows, `name/*` every row. Raises UsageError."""
    chosen: dict[tuple[str, str], None] = {}
    for part in (piece.strip() for piece in text.split(",")):
        negative, pattern = part.startswith("!"), part.removeprefix("!")
        if not pattern:
            raise UsageError(f"--methods {text!r}: an empty name; all, NAME, NAME/ROW, NAME/* and !NAME are understood")
        rows = _matching(pattern, every_row=negative)
        for row in rows:
            if negative:
                chosen.pop(row, None)
            else:
                chosen[row] = None
    if not chosen:
        raise UsageError(f"--methods {text!r} leaves no method; python -m bench list methods shows them")
    return list(chosen)


def _matching(pattern: str, *, every_row: bool) -> list[tuple[str, str]]:
    if pattern in ("all", "*"):
        return [(entry.name, row) for entry in registry.entries("methods") for row in entry.headline]
    name, slash, row = pattern.partition("/")
    entry = registry.entry("methods", name)
    if not slash:
        return [(name, each) for each in (entry.rows if every_row else entry.headline)]
    if row == "*":
        return [(name, each) for each in entry.rows]
    if row not in entry.rows:
        raise registry.UnknownNameError(
            registry.unknown(f"row of {name}", row, [each for each in entry.rows if each], f"list methods {name}")
        )
    return [(name, row)]
