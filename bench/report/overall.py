"""Mean ranks of the methods over data sets, for each share of the labels: as a table, and a diagram of each share (Demšar, 2006)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.comparisons import Ranking, complete_blocks, rank_methods
from bench.report.cache import Cache, fingerprint
from bench.report.grids import grid
from bench.report.groups import ALL, Group, source_of
from bench.report.origins import side_by_side
from bench.report.ranks import diagram
from bench.report.summaries import BANNERS, FLOOR, Text, World, draw, label, left_out, points, write_table
from bench.statistics import tied_with_best

METRIC = "f1@1"
NAME = "over-data-sets"
_LEAST = 3  # methods, and data sets
HEADS = (
    *("source", "preset", "label_fraction", "method", "metric", "mean_rank", "mean", "n_best", "n_datasets", "n_methods", "n_seeds"),
    *("friedman_p", "critical_difference", "not_worse_than_best"),
)
_NOTES = (
    "Mean ranks by F1@1 over all types on clean images, means over seeds; a block is a data set, so that blocks share no image. The "
    "methods and data sets are, at each share of the labels, the largest table without a gap; three of each at least.",
    "best on: data sets on which a method cannot be told from the best, as the leaderboard has it. \\* cannot be told from the first by "
    "Nemenyi's critical difference at 5 %; of few data sets that is a weak test.",
    "Figures of a method are of one version of its sources, that of its newest one; others are missing.",
    "mean: of F1@1 over those data sets, each counting the same. Seeds: the fewest behind any figure.",
)


@dataclass(frozen=True)
class _Figure:
    """One method on one data set at one share of the labels. origin: which version of its sources, and when the newest result was."""

    value: float
    is_best: bool
    num_seeds: int
    origin: tuple[str | None, float]


def write(out: Path, found: list[World], cache: Cache) -> None:
    """tables/over-data-sets.{csv,md} and figures/over-data-sets-SOURCE-PRESET-FRACTION.svg; nothing of fewer than three data sets."""
    kinds: dict[tuple[str, str], list[World]] = defaultdict(list)
    for world in found:
        if "->" not in world.dataset:  # a transfer is another question
            kinds[world.source, world.preset].append(world)
    texts = []
    for (source, preset), own in kinds.items():
        stamp = fingerprint([world.stamp for world in own])
        rankings = cache.of(f"over data sets {source} {preset}", stamp, partial(_rankings, own))
        shown = [(each, Ranking.of_json(each["ranking"])) for each in rankings]
        if shown:
            texts.append(Text(_lines(source, preset, shown), _markdown(source, preset, shown)))
        for each, ranking in shown:
            title = f"Mean ranks by F1@1 over data sets: {source}, preset {preset}, {each['fraction']:.0%} of the labels"
            name = f"{NAME}-{source}-{preset}-{each['fraction']:g}"
            draw(out, cache, name, [stamp, title], partial(diagram, ranking, title, "data sets"))
    write_table(out, cache, NAME, "Over data sets", HEADS, texts, _NOTES)


def order_of(ranks: Sequence[Mapping[str, float]]) -> list[str]:
    """Methods by their mean ranks at each share of the labels: those with most of these first, then the best on average."""
    own = {name: [each[name] for each in ranks if name in each] for each in ranks for name in each}
    return sorted(own, key=lambda name: (-len(own[name]), sum(own[name]) / len(own[name]), name))


def _rankings(found: Sequence[World]) -> list[dict[str, Any]]:
    """For each share of the labels what there is to say, in JSON's terms."""
    figures: dict[float, dict[str, dict[str, _Figure]]] = defaultdict(lambda: defaultdict(dict))  # fraction -> method -> data set
    for world in found:
        for (fraction, _), groups in _by_protocol(world).items():
            for name, figure in _figures(groups).items():
                if not name.startswith(FLOOR):  # it is among those that are compared, as in the leaderboard
                    figures[fraction][name][world.dataset] = figure
    return [made for fraction, own in sorted(figures.items()) if (made := _ranking(fraction, own)) is not None]


def _by_protocol(world: World) -> dict[tuple[float, str], dict[str, Group]]:
    """(fraction, pool) -> method -> its clean group, over the images that most methods saw."""
    groups: dict[tuple[float, str], dict[str, dict[float, Group]]] = defaultdict(dict)
    for cell in world.cells:
        if not cell.severity and world.figures.groups[cell].ok:
            groups[cell.label_fraction, cell.pool][label(cell)] = {cell.label_fraction: world.figures.groups[cell]}
    return {place: {name: each[place[0]] for name, each in sorted(side_by_side(own).items())} for place, own in sorted(groups.items())}


def _figures(groups: Mapping[str, Group]) -> dict[str, _Figure]:
    known = {name: made for name, group in groups.items() if (made := group.replicates(ALL, METRIC)) is not None}
    known = {name: made for name, made in known.items() if not math.isnan(made.value)}
    best = tied_with_best(known) if len({made.num_images for made in known.values()}) == 1 else set()
    return {name: _Figure(made.value, name in best, len(groups[name].ok), _origin(groups[name])) for name, made in known.items()}


def _origin(group: Group) -> tuple[str | None, float]:
    return source_of(group.ok[0]), max(record["finished"] for record in group.ok)


def _of_one_version(figures: Mapping[str, _Figure]) -> dict[str, _Figure]:
    """data set -> a method's figures by the sources of its newest one."""
    newest, _ = max((figure.origin for figure in figures.values()), key=lambda origin: origin[1])
    return {dataset: figure for dataset, figure in figures.items() if figure.origin[0] == newest}


def _ranking(fraction: float, found: Mapping[str, Mapping[str, _Figure]]) -> dict[str, Any] | None:
    figures = {name: _of_one_version(own) for name, own in found.items()}
    values = {name: {dataset: figure.value for dataset, figure in own.items()} for name, own in figures.items()}
    methods, datasets = complete_blocks(values, least=_LEAST)
    if len(methods) < _LEAST:
        return None
    chosen = {name: [figures[name][dataset] for dataset in datasets] for name in methods}
    ranking = rank_methods({name: [figure.value for figure in own] for name, own in chosen.items()})
    return {
        "fraction": fraction,
        "ranking": vars(ranking),
        "datasets": datasets,
        "means": {name: sum(figure.value for figure in own) / len(own) for name, own in chosen.items()},
        "best": {name: sum(figure.is_best for figure in own) for name, own in chosen.items()},
        "num_seeds": min(figure.num_seeds for own in chosen.values() for figure in own),
        "lost": _lost({name: own for name, own in figures.items() if name not in chosen}, found),
    }


def _lost(figures: Mapping[str, Mapping[str, _Figure]], found: Mapping[str, Mapping[str, _Figure]]) -> dict[str, str]:
    """Why methods are left out; those of a single data set, such as most rows of a paper's tables, by their number."""
    alone = sum(len(found[name]) == 1 for name in figures)
    every = len({dataset for own in found.values() for dataset in own})
    several = {
        name: f"on {len(own)} of {every} data sets" + (", on others by other sources" if len(own) < len(found[name]) else "")
        for name, own in figures.items()
        if len(found[name]) > 1
    }
    return several | ({f"{alone} {'others' if alone > 1 else 'other'}": "on one data set"} if alone else {})


def _lines(source: str, preset: str, shown: Sequence[tuple[Mapping[str, Any], Ranking]]) -> list[list[Any]]:
    return [
        [
            *(source, preset, each["fraction"], name, METRIC, rank, each["means"][name], each["best"][name], ranking.num_blocks),
            *(len(ranking.names), each["num_seeds"], ranking.p_value, ranking.critical_difference),
            rank - ranking.mean_ranks[0] <= ranking.critical_difference,
        ]
        for each, ranking in shown
        for name, rank in zip(ranking.names, ranking.mean_ranks, strict=True)
    ]


def _markdown(source: str, preset: str, shown: Sequence[tuple[Mapping[str, Any], Ranking]]) -> str:
    """A line a method, a pair of columns a share of the labels; first what is best on average over the shares that it has."""
    parts = [
        f"## {source}, preset {preset}",
        *([BANNERS] if source == "synthetic" else []),
    ]
    ranks = [dict(zip(ranking.names, ranking.mean_ranks, strict=True)) for _, ranking in shown]
    heads = ["method", *(head for each, _ in shown for head in (f"rank, {each['fraction']:.0%}", "mean", "best on"))]
    lines = [[name, *(text for pair in shown for text in _shown(name, *pair))] for name in order_of(ranks)]
    parts.append(grid(heads, lines))
    for each, ranking in shown:
        parts.append(
            f"{each['fraction']:.0%} of the labels: {ranking.num_blocks} data sets ({', '.join(each['datasets'])}), {_seeds(each)}, "
            f"Friedman's p = {ranking.p_value:.3g}, critical difference {ranking.critical_difference:.2f}. "
            f"{left_out(each['lost'])}".rstrip()
        )
    return "\n\n".join(parts)


def _seeds(each: Mapping[str, Any]) -> str:
    return "one seed" if each["num_seeds"] == 1 else f"{each['num_seeds']} seeds"


def _shown(name: str, each: Mapping[str, Any], ranking: Ranking) -> list[str]:
    if name not in ranking.names:
        return ["", "", ""]
    rank = ranking.mean_ranks[ranking.names.index(name)]
    mark = "\\*" if rank - ranking.mean_ranks[0] <= ranking.critical_difference else ""
    return [f"{rank:.1f}{mark}", points(each["means"][name]), str(each["best"][name])]
