"""The papers' claims as data, judged on whatever a store holds: the `claims` command.

An entry of results/claims.toml, whose head says what it may hold, is one claim. A claim has one or more parts, each an effect with a
region that the claim puts it in: a difference above zero, one no lower than a margin, or a loss between two bounds. An effect comes with
its bootstrap over images and seeds, in pairs wherever two methods saw the same images, and with a p against the nearest bound of its
region. All parts inside: the claim's p is the largest of theirs. Any part outside: it is the smallest of those, times the number
of parts. Holm corrects over all claims of one command."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench import tables
from bench.archive import open_results
from bench.claim_entries import Claim, Part, load
from bench.cli import OK, is_typed
from bench.statistics import Replicates, holm, mean_replicates, p_against
from bench.tables import Column, Row

if TYPE_CHECKING:
    from bench.report.cache import Cache
    from bench.report.figures import Cell, Figures

REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_RUN = "reproduced", "contradicted", "inconclusive", "not run"
VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_RUN)
ALPHA = 0.05


@dataclass(frozen=True)
class Effect:
    """A part as found. p_value: against the nearest bound of its region, which it is inside of or not."""

    what: str
    value: float
    low: float
    high: float
    p_value: float
    inside: bool
    places: list[str]
    num_seeds: int


@dataclass(frozen=True)
class Judged:
    """What the records say of a claim under one source and preset. value, low, high: the effect that decided, in points of the metric
    (or percent lost); p_value before and holm after the correction over all claims judged with it."""

    name: str
    paper: str
    where: str
    statement: str
    verdict: str
    source: str
    preset: str
    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    holm: float | None = None
    num_seeds: int = 0
    places: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    needs: str = ""
    note: str = ""


def command(options: argparse.Namespace) -> int:
    """Prints each claim with its verdict. Raises UsageError for a typed store that is none; without any typed all claims are not run."""
    from bench.places import check_there
    from bench.report.claims import to_json, to_text
    from bench.report.figures import Figures

    if is_typed(options, "--store"):
        check_there(options.store)
    store = open_results(options.store)
    judged = judge(Figures(store.records(), store))
    print(to_json(judged) if options.json else to_text(judged))
    return OK


def judge(figures: Figures, cache: Cache | None = None) -> list[Judged]:
    """Every claim, under each source and preset that has any of its cells; once, as not run, where none has."""
    found = [judged for claim in load() for judged in _judge_worlds(claim, figures, cache)]
    decided = [place for place, judged in enumerate(found) if judged.p_value is not None]
    for place, adjusted in zip(decided, holm([found[place].p_value or 0.0 for place in decided]), strict=True):
        inside = all(part["inside"] for part in found[place].parts)
        verdict = INCONCLUSIVE if adjusted >= ALPHA else REPRODUCED if inside else CONTRADICTED
        found[place] = replace(found[place], holm=float(adjusted), verdict=verdict)
    return found


def counts(judged: Sequence[Judged]) -> dict[str, int]:
    """How many have each verdict."""
    return {verdict: sum(each.verdict == verdict for each in judged) for verdict in VERDICTS}


def _judge_worlds(claim: Claim, figures: Figures, cache: Cache | None) -> Iterator[Judged]:
    blank = Judged(claim.name, claim.paper, claim.where, claim.statement, NOT_RUN, "", "", claim.metric, needs=", ".join(claim.needs))
    blank = replace(blank, note=claim.note)
    any_world = False
    for source, preset in figures.worlds:
        stamps: list[object] = [*figures.stamps(_cells(claim, figures, source, preset))]
        if stamps:
            any_world = True
            stamps.append(repr(claim))
            own = replace(blank, source=source, preset=preset)

            def make(own: Judged = own) -> dict[str, Any]:
                return _facts(claim, figures, own)

            facts = cache.of(f"claim {claim.name} {source} {preset}", stamps, make) if cache is not None else make()
            yield replace(own, **facts)
    if not any_world:
        yield replace(blank, reason="no record of what it compares", missing=sorted(set(_names(claim))))


def _facts(claim: Claim, figures: Figures, own: Judged) -> dict[str, Any]:
    """What is known before the correction, in JSON's terms."""
    effects, missing = [], []
    for part in claim.parts:
        effect, lacking = _effect(part, figures, own.source, own.preset)
        missing += lacking
        if effect is not None:
            effects.append(effect)
    facts: dict[str, Any] = {"missing": list(dict.fromkeys(missing)), "parts": [asdict(effect) for effect in effects]}
    if len(effects) < len(claim.parts):
        return {**facts, "reason": f"not there: {', '.join(facts['missing'])}"}
    decisive, p_value = _decide(effects)
    shown = {name: _number(getattr(decisive, name)) for name in ("value", "low", "high")}
    facts |= {**shown, "num_seeds": decisive.num_seeds, "places": decisive.places}
    if math.isnan(p_value):
        return {**facts, "verdict": INCONCLUSIVE, "reason": "one seed, and nothing that varies with the images: no error to judge by"}
    return {**facts, "p_value": p_value}


def _decide(effects: Sequence[Effect]) -> tuple[Effect, float]:
    """The part that decides, and the claim's p before Holm's correction."""
    outside = [effect for effect in effects if not effect.inside]
    if outside:
        worst = min(outside, key=_p_of)
        return worst, min(1.0, worst.p_value * len(effects))
    weakest = max(effects, key=_p_of)
    return weakest, weakest.p_value


def _p_of(effect: Effect) -> float:
    return 1.0 if math.isnan(effect.p_value) else effect.p_value


def _effect(part: Part, figures: Figures, source: str, preset: str) -> tuple[Effect | None, list[str]]:
    """The mean effect over the places; nothing, and what is not there, where any of them lacks a side."""
    found: list[Replicates] = []
    places, missing, seeds = [], [], []
    for place in part.places:
        where = f"{place.dataset}: {place.attribute}" if place.attribute != tables.ALL else place.dataset
        replicates, lacking, num_seeds = _at(part, place, figures, source, preset)
        if replicates is None:
            missing += [f"{name} on {where}" for name in lacking]
        else:
            found.append(replicates)
            places.append(where)
            seeds.append(num_seeds)
    if missing:
        return None, missing
    effect = mean_replicates(found)
    low, high = effect.percentiles()
    bounds = [bound for bound in (part.low, part.high) if math.isfinite(bound)]
    inside = part.low < effect.value < part.high
    p_values = [p_against(effect, bound) for bound in bounds]
    outside = part.low if effect.value <= part.low else part.high
    p_value = max(p_values) if inside else p_against(effect, outside)
    return Effect(_name(part), 100 * effect.value, 100 * low, 100 * high, p_value, inside, places, min(seeds)), missing


def _at(part: Part, place: Column, figures: Figures, source: str, preset: str) -> tuple[Replicates | None, list[str], int]:
    """The effect at one place, what it lacks, and its number of seeds."""
    if part.worse is None:
        lost, seeds = _loss(part.better, place, figures, source, preset)
        return lost, [] if lost is not None else [part.better.label], seeds
    rows = part.better, part.worse
    if lacking := [row.label for row in rows if not _is_there(row, place, figures, source, preset)]:
        return None, lacking, 0
    cells = [_cell(row, place, source, preset) for row in rows]
    metrics = [row.metric(place) for row in rows]
    (own, other), seeds = figures.paired(cells, place.attribute, metrics, corrupted=place.corrupted)
    if own is None or other is None or math.isnan(own.value) or math.isnan(other.value):
        what = "with a seed in common" if figures.same_images(cells, corrupted=place.corrupted) else "on the same images"
        return None, [f"{part.better.label} and {part.worse.label} {what}"], 0
    sign = -1.0 if place.metric == "cross_entropy" else 1.0
    return Replicates(sign * (own.value - other.value), sign * (own.values - other.values), own.num_images, own.num_seeds), [], seeds


def _is_there(row: Row, place: Column, figures: Figures, source: str, preset: str) -> bool:
    metric = row.metric(place)
    found = figures.replicates(_cell(row, place, source, preset), place.attribute, metric, corrupted=place.corrupted)
    return found is not None and not math.isnan(found.value)


def _loss(row: Row, place: Column, figures: Figures, source: str, preset: str) -> tuple[Replicates | None, int]:
    """The share of its clean figure that a row loses under the corruptions, over the seeds that it has everywhere, and how many."""
    from bench.report.figures import NUM_CONDITIONS

    metric = row.metric(place)
    clean, corrupted = figures.beside_clean(_cell(row, place, source, preset))
    groups = figures.with_seeds_of_all([clean, *corrupted.values()]) if clean is not None and len(corrupted) == NUM_CONDITIONS else []
    own, *under = [group.replicates(place.attribute, metric) for group in groups] or [None]
    known = [each for each in under if each is not None]
    if own is None or not own.value > 0 or len(known) < len(under):
        return None, 0
    mean = mean_replicates(known)
    if math.isnan(mean.value):
        return None, 0
    return Replicates(1 - mean.value / own.value, 1 - mean.values / own.values, mean.num_images, mean.num_seeds), len(groups[0].ok)


def _cells(claim: Claim, figures: Figures, source: str, preset: str) -> Iterator[Cell]:
    for part in claim.parts:
        for row in (part.better, part.worse):
            for place in part.places if row is not None else ():
                assert row is not None
                cell = _cell(row, place, source, preset)
                yield cell
                if place.corrupted:
                    yield from figures.corrupted_cells(cell)


def _cell(row: Row, place: Column, source: str, preset: str) -> Cell:
    from bench.report.tables import place_of

    return place_of(row, place, source, preset)


def _names(claim: Claim) -> Iterator[str]:
    for part in claim.parts:
        for row in (part.better, part.worse):
            if row is not None:
                yield row.label


def _name(part: Part) -> str:
    return f"what {part.better.label} loses" if part.worse is None else f"{part.better.label} − {part.worse.label}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
