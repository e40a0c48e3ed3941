"""Mean ranks of the methods of a data set with their critical difference (Demšar, 2006), as a table and a diagram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.comparisons import Ranking, complete_blocks, rank_methods
from bench.report.cache import Cache
from bench.report.grids import grid
from bench.report.groups import Group
from bench.report.origins import OTHER, side_by_side
from bench.report.summaries import FLOOR, Text, World, draw, left_out, section, write_table
from bench.report.svg import render

METRIC = "f1@1"
HEADS = (
    *("dataset", "source", "preset", "method", "metric", "mean_rank", "n_methods", "n_blocks", "friedman_p", "critical_difference"),
    "not_worse_than_best",
)
_NOTES = (
    "Mean ranks by F1@1 on clean images over blocks of attribute type, label fraction and seed; the methods and blocks are the largest "
    "table without a gap. Friedman's test says whether all are alike, Nemenyi's critical difference how far apart mean ranks must be at "
    "5 %.",
    "Blocks of one data set share its images, so that these tests see more evidence than there is; the leaderboard's comparisons in "
    "pairs do not.",
)


def write(out: Path, found: list[World], cache: Cache) -> None:
    """tables/critical-difference.{csv,md} and figures/critical-difference-DATASET.svg."""
    texts = []
    for world in found:
        ranking, lost = cache.of(f"ranks {world.title}", world.stamp, partial(_ranking, world))
        if ranking is not None:
            shown = Ranking.of_json(ranking)
            texts.append(Text(_lines(world, shown), section(world, _grid(shown), left_out(lost))))
            draw(out, cache, f"critical-difference-{world.name}", world.stamp, partial(diagram, shown, _title(world)))
    write_table(out, cache, "critical-difference", "Mean ranks", HEADS, texts, _NOTES)


def diagram(ranking: Ranking, title: str, blocks: str = "blocks") -> str:
    """The usual drawing: mean ranks on a line, best left, bars over methods that cannot be told apart."""

    def paint(axes: Any) -> None:
        count, ranks = len(ranking.names), ranking.mean_ranks
        axes.set_xlim(1 - 0.02 * count, count)
        axes.set_ylim(-(count + 1.5), 2 + 0.6 * len(ranking.groups))
        axes.plot([1, count], [0, 0], color="black", linewidth=1)
        for rank in range(1, count + 1):
            axes.plot([rank, rank], [0, 0.2], color="black", linewidth=0.8)
            axes.text(rank, 0.3, str(rank), ha="center", va="bottom", fontsize=7)
        for place, (name, mean) in enumerate(zip(ranking.names, ranks, strict=True)):
            level = -(place + 1)
            axes.plot([mean, mean], [0, level], color="#4c78a8", linewidth=0.8)
            axes.text(mean, level, f" {name} ({mean:.2f})", ha="left" if mean < 0.7 * count else "right", va="center", fontsize=7)
        for level, (first, last) in enumerate(ranking.groups):
            height = [1.4 + 0.5 * level] * 2
            axes.plot([ranks[first], ranks[last]], height, color="#e45756", linewidth=3, solid_capstyle="round")
        axes.plot([1, 1 + ranking.critical_difference], [-(count + 1), -(count + 1)], color="black", linewidth=2)
        axes.text(1, -(count + 0.9), f"CD = {ranking.critical_difference:.2f}", fontsize=7, va="bottom")
        axes.axis("off")

    return render(paint, title, f"{ranking.num_blocks} {blocks}, Friedman's p = {ranking.p_value:.2g}")


def _title(world: World) -> str:
    return f"Mean ranks by F1@1: {world.title}"


def _ranking(world: World) -> list[Any]:
    """The ranking in JSON's terms, or None, and the methods left out."""
    groups = {name: own for name, own in world.by_fraction().items() if not name.startswith(FLOOR)}
    figures = {name: _blocks(own) for name, own in side_by_side(groups).items()}
    if not figures:
        return [None, {}]
    methods, blocks = complete_blocks(figures, least=2)
    if len(methods) < 3:
        return [None, {}]
    every = {block for own in figures.values() for block in own}
    lost = {name: f"figures in {len(figures[name])} of {len(every)} blocks" for name in figures if name not in methods}
    lost |= dict.fromkeys(groups.keys() - figures.keys(), OTHER)
    return [asdict(rank_methods({name: [figures[name][block] for block in blocks] for name in methods})), lost]


def _blocks(groups: Mapping[float, Group]) -> dict[str, float]:
    """`category 0.25 0` -> the figure of a type at a label fraction, of a seed."""
    return {
        f"{kind} {fraction:g} {record['seed']}": values[METRIC]
        for fraction, group in groups.items()
        for record in group.ok
        for kind, values in record["per_attribute"].items()
        if values.get(METRIC) is not None
    }


def _lines(world: World, ranking: Ranking) -> list[list[Any]]:
    best = ranking.mean_ranks[0]
    return [
        [
            *(world.dataset, world.source, world.preset, name, METRIC, rank, len(ranking.names), ranking.num_blocks, ranking.p_value),
            *(ranking.critical_difference, rank - best <= ranking.critical_difference),
        ]
        for name, rank in zip(ranking.names, ranking.mean_ranks, strict=True)
    ]


def _grid(ranking: Ranking) -> str:
    best = ranking.mean_ranks[0]
    rows = [
        [name, f"{rank:.2f}", "yes" if rank - best <= ranking.critical_difference else ""]
        for name, rank in zip(ranking.names, ranking.mean_ranks, strict=True)
    ]
    said = f"{ranking.num_blocks} blocks, Friedman's p = {ranking.p_value:.3g}, critical difference {ranking.critical_difference:.2f}."
    return f"{said}\n\n{grid(['method', 'mean rank', 'not told from the best'], rows)}"
