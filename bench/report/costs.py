"""What each method costs and what it brings, with the methods that none beats in both, as a table and a figure a data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from bench.comparisons import pareto_front
from bench.report.cache import Cache
from bench.report.figures import Group
from bench.report.grids import grid
from bench.report.groups import ALL
from bench.report.summaries import FLOOR, Text, World, draw, half, points, section, write_table
from bench.report.svg import render

METRIC = "f1@1"
HEADS = (
    *("dataset", "source", "preset", "label_fraction", "method", "device", "fit_seconds", "eval_seconds", "images_per_second"),
    *("peak_rss_mb", "peak_vram_mb", "metric", "mean", "ci_low", "ci_high", "n_seeds", "pareto"),
)
_NOTES = (
    "Means over seeds of the clean cells. fit seconds: wall-clock time of the method's own fit on one worker, GPU or CPU as the device "
    "says; teachers and other stages that several rows share are not in it.",
    "images/s: predictions alone, without reading images. Memory: the worker's peak while it fitted.",
    "front: no other method of the data set and label fraction fits faster and has a better F1@1.",
)


def write(out: Path, found: list[World], cache: Cache) -> None:
    """tables/cost.{csv,md} and figures/cost-DATASET.svg."""
    texts = []
    for world in found:
        lines, markdown = cache.of(f"cost {world.title}", world.stamp, partial(_text, world))
        texts.append(Text(lines, markdown))
        if len({line[4] for line in lines}) > 1:
            draw(out, cache, f"cost-{world.name}", world.stamp, partial(_drawing, world, lines))
    write_table(out, cache, "cost", "What methods cost and bring", HEADS, texts, _NOTES)


def _text(world: World) -> list[Any]:
    """CSV lines, and Markdown."""
    lines: list[list[Any]] = []
    parts = []
    clean = world.clean()
    for fraction in sorted({fraction for _, fraction in clean}, reverse=True):
        own = _lines(world, fraction, {name: group for (name, at), group in clean.items() if at == fraction})
        lines += own
        heads = ["method", "device", "fit s", "eval s", "images/s", "memory MB", "GPU memory MB", "F1@1", "front"]
        rows = [[*_shown(line), "front" if line[-1] else ""] for line in own]
        parts.append(f"Label fraction {fraction:g}.\n\n{grid(heads, rows)}")
    return [lines, section(world, *parts)]


def _lines(world: World, fraction: float, groups: Mapping[str, Group]) -> list[list[Any]]:
    """Fastest first; a method that has no figure of the metric takes no part."""
    found: dict[str, list[Any]] = {}
    for name, group in groups.items():
        replicates = group.replicates(ALL, METRIC)
        if replicates is not None and group.ok[0]["fit_seconds"] is not None:
            low, high = replicates.interval()[1:]
            facts = {
                field: _mean(group, field) for field in ("fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "peak_vram_mb")
            }
            found[name] = [_device(group), *facts.values(), METRIC, replicates.value, low, high, len(group.ok)]
    front = pareto_front({name: (facts[1], facts[7]) for name, facts in found.items()})
    order = sorted(found, key=lambda name: (found[name][1], name))
    return [[world.dataset, world.source, world.preset, fraction, name, *found[name], name in front] for name in order]


def _device(group: Group) -> str:
    return "GPU" if any(record["peak_vram_mb"] for record in group.ok) else "CPU"


def _mean(group: Group, field: str) -> float:
    values = [record[field] for record in group.ok if record[field] is not None]
    return float(mean(values)) if values else float("nan")


def _shown(line: list[Any]) -> list[str]:
    _, _, _, _, name, device, fit, evaluation, speed, memory, vram, _, value, low, high, *_ = line
    numbers = [f"{fit:.1f}", f"{evaluation:.2f}", f"{speed:.0f}", f"{memory:.0f}", f"{vram:.0f}"]
    return [name, device, *("" if text == "nan" else text for text in numbers), points(value, half((low, high)))]


def _drawing(world: World, lines: list[list[Any]]) -> str:
    """The largest label fraction: a point a method, and the line of those that none beats."""
    shown = [line for line in lines if line[3] == lines[0][3] and not line[4].startswith(FLOOR)]

    def paint(axes: Any) -> None:
        for line in shown:
            axes.errorbar(line[6], 100 * line[12], yerr=_ends(line), fmt="o", markersize=4, capsize=2, linewidth=0.8, label=line[4])
        front = [line for line in shown if line[-1]]
        axes.plot(
            [line[6] for line in front], [100 * line[12] for line in front], color="#888", linewidth=1, drawstyle="steps-post", zorder=0
        )
        axes.set_xscale("log")
        axes.set_xlabel("seconds of the fit")
        axes.set_ylabel("F1@1, %")
        axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    note = f"synthetic stand-ins, preset {world.preset}" if world.source == "synthetic" else ""
    return render(paint, f"F1@1 against the cost of a fit: {world.dataset}, label fraction {lines[0][3]:g}", note)


def _ends(line: list[Any]) -> list[list[float]]:
    below, above = (max(0.0, 100 * gap) if gap == gap else 0.0 for gap in (line[12] - line[13], line[14] - line[12]))
    return [[below], [above]]
