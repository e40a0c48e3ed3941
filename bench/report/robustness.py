"""What corruption costs each method, as a table and a figure a data set: bench.robustness on the records of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import robustness
from bench.report.cache import Cache
from bench.report.figures import Group
from bench.report.grids import grid
from bench.report.groups import ALL
from bench.report.origins import OTHER, images_of, most_common
from bench.report.summaries import FLOOR, Text, World, draw, half, label, left_out, points, section, write_table
from bench.report.svg import render
from bench.statistics import Replicates, mean_replicates

METRIC = "recall@3"  # MTSS, Table 7
HEADS = (
    *(
        "dataset",
        "source",
        "preset",
        "label_fraction",
        "method",
        "metric",
        "conditions",
        "n_seeds",
        "clean",
        "corrupted",
        "drop",
        "drop_low",
    ),
    *("drop_high", "relative_drop", "relative_low", "relative_high", "mce", "relative_mce", "reference", "severity", "severity_drop"),
    *("severity_relative_drop", "rank_clean", "rank_change"),
)
_NOTES = (
    "R@3, all types pooled. drop: points lost from clean to the mean over the corrupted conditions; relative: as a share of the "
    "clean figure; both with 95 % intervals by bootstrap over images and seeds.",
    "mCE: the mean over corruptions of the error relative to the reference's (Hendrycks & Dietterich, 2019), in percent; relative mCE: "
    "the same of what is lost. The reference is a method of this sweep, named in the table, and not AlexNet.",
    "rank change: places lost from clean to the mean at a severity; τ: Kendall's agreement of the two orders.",
)

Conditions = Mapping[tuple[str, int], Group]


def write(out: Path, found: list[World], cache: Cache) -> None:
    """tables/robustness.{csv,md} and figures/robustness-DATASET.svg."""
    texts = []
    for world in found:
        lines, markdown, curves = cache.of(f"robustness {world.title}", world.stamp, partial(_text, world))
        texts.append(Text(lines, markdown))
        if curves:
            draw(out, cache, f"robustness-{world.name}", world.stamp, partial(_drawing, world, curves))
    write_table(out, cache, "robustness", "What corruption costs", HEADS, texts, _NOTES)


def _text(world: World) -> list[Any]:
    """CSV lines, Markdown, and method -> [severity, mean] of the largest label fraction, for the figure."""
    lines: list[list[Any]] = []
    parts: list[str] = []
    curves: dict[str, list[list[float]]] = {}
    clean = world.clean()
    for fraction in sorted({fraction for _, fraction in clean}, reverse=True):
        methods, lost = _side_by_side(world, fraction, [name for name, at in clean if at == fraction])
        measured = _measure(methods)
        if not measured:
            continue
        num_conditions = len(next(iter(methods.values()))[1])
        lines += _lines(world, fraction, measured, num_conditions)
        parts.append(_markdown(fraction, measured, num_conditions, lost))
        curves = curves or {name: each["curve"] for name, each in measured.items() if not name.startswith(FLOOR)}
    return [lines, section(world, *parts), curves]


def _side_by_side(world: World, fraction: float, names: Sequence[str]) -> tuple[dict[str, tuple[Group, Conditions]], dict[str, str]]:
    """method -> its clean group and those under the conditions that most methods have, with the same seeds; and why others are left out."""
    cells = {label(cell): cell._replace(corruption="none", severity=0) for cell in world.cells if cell.label_fraction == fraction}
    sides = {name: world.figures.beside_clean(cell) for name, cell in cells.items()}
    images, wanted = most_common({name: (images_of(groups), frozenset(groups)) for name, (_, groups) in sides.items() if groups})
    found: dict[str, tuple[Group, Conditions]] = {}
    lost = {}
    for name in names if wanted else ():
        clean, groups = sides[name]
        shared = world.figures.with_seeds_of_all([clean, *groups.values()]) if clean is not None else []
        if groups and images_of(groups) != images:
            lost[name] = OTHER
        elif set(groups) != wanted:
            lost[name] = f"{len(wanted - set(groups))} of {len(wanted)} conditions missing"
        elif not shared:
            lost[name] = "clean cell missing" if clean is None else "no seed under all conditions"
        else:
            found[name] = shared[0], dict(zip(groups, shared[1:], strict=True))
    return found, lost


def _measure(methods: Mapping[str, tuple[Group, Conditions]]) -> dict[str, dict[str, Any]]:
    """Everything that is said of each method, best first under corruption."""
    clean: dict[str, Replicates] = {}
    under: dict[str, dict[tuple[str, int], Replicates]] = {}
    for name, (group, groups) in methods.items():
        own = group.replicates(ALL, METRIC)
        found = {condition: each.replicates(ALL, METRIC) for condition, each in groups.items()}
        if own is not None and all(each is not None for each in found.values()) and own.value > 0:
            clean[name], under[name] = own, {condition: each for condition, each in found.items() if each is not None}
    if not clean:
        return {}
    errors = {name: {condition: 1 - each.value for condition, each in found.items()} for name, found in under.items()}
    base = {name: 1 - each.value for name, each in clean.items()}
    changes, agreement = robustness.rank_changes(errors, base), robustness.rank_agreement(errors, base)
    reference = "supervised" if "supervised" in clean else next((name for name in sorted(clean) if not name.startswith(FLOOR)), min(clean))
    order = sorted(clean, key=lambda name: (-np.mean([each.value for each in under[name].values()]), name))
    ranks = {name: 1 + sum(other < base[name] for other in base.values()) for name in base}
    return {
        name: {
            "seeds": len(methods[name][0].ok),
            "clean": clean[name],
            "corrupted": mean_replicates(list(under[name].values())),
            "mce": robustness.mean_corruption_error(errors[name], errors[reference]),
            "relative_mce": robustness.relative_mean_corruption_error(errors[name], base[name], errors[reference], base[reference]),
            "reference": reference,
            "drops": robustness.mean_drops(errors[name], base[name]),
            "relative": robustness.relative_drops(errors[name], base[name]),
            "rank": ranks[name],
            "changes": {severity: found[name] for severity, found in changes.items()},
            "agreement": agreement,
            "curve": [
                [0, clean[name].value],
                *([s, clean[name].value - d] for s, d in robustness.mean_drops(errors[name], base[name]).items()),
            ],
        }
        for name in order
    }


def _drops(each: Mapping[str, Any]) -> tuple[Replicates, Replicates]:
    """Points lost and share lost."""
    clean, corrupted = each["clean"], each["corrupted"]
    plain = Replicates(clean.value - corrupted.value, clean.values - corrupted.values, clean.num_images)
    return plain, Replicates(plain.value / clean.value, plain.values / clean.values, clean.num_images)


def _lines(world: World, fraction: float, measured: Mapping[str, Mapping[str, Any]], num_conditions: int) -> list[list[Any]]:
    lines = []
    for name, each in measured.items():
        plain, relative = _drops(each)
        start = [world.dataset, world.source, world.preset, fraction, name, METRIC, num_conditions, each["seeds"]]
        start += [each["clean"].value, each["corrupted"].value, plain.value, *plain.percentiles(), relative.value, *relative.percentiles()]
        start += [_known(each["mce"]), _known(each["relative_mce"]), each["reference"]]
        for severity, drop in each["drops"].items():
            lines.append([*start, severity, drop, _known(each["relative"][severity]), each["rank"], each["changes"][severity]])
    return lines


def _markdown(fraction: float, measured: Mapping[str, Mapping[str, Any]], num_conditions: int, lost: Mapping[str, str]) -> str:
    severities = list(next(iter(measured.values()))["drops"])
    reference = next(iter(measured.values()))["reference"]
    heads = ["method", "clean", "corrupted", "drop", "relative drop, %", "mCE", "relative mCE", *(f"drop at {s}" for s in severities)]
    rows = []
    for name, each in measured.items():
        plain, relative = _drops(each)
        clean = each["clean"]
        row = [name, points(clean.value, half(clean.percentiles())), points(each["corrupted"].value, half(each["corrupted"].percentiles()))]
        row += [points(plain.value, half(plain.percentiles())), points(relative.value, half(relative.percentiles()))]
        row += [points(each["mce"]), points(each["relative_mce"]), *(points(each["drops"][s]) for s in severities)]
        rows.append([*row, str(each["rank"]), *(f"{each['changes'][s]:+g}" for s in severities)])
    heads += ["rank clean", *(f"rank change at {s}" for s in severities)]
    tau = next(iter(measured.values()))["agreement"]
    said = ", ".join(f"{tau[s]:.2f} at {s}" for s in severities if tau[s] == tau[s])
    parts = [f"Label fraction {fraction:g}, {num_conditions} corrupted conditions, reference {reference}.", grid(heads, rows)]
    return "\n\n".join([*parts, *([f"τ: {said}."] if said else []), *([left_out(lost)] if lost else [])])


def _known(value: float) -> float:
    return float(value)


def _drawing(world: World, curves: Mapping[str, list[list[float]]]) -> str:
    def paint(axes: Any) -> None:
        for name, curve in curves.items():
            x, y = np.array(curve).T
            axes.plot(x, 100 * y, marker="o", markersize=3, linewidth=1, label=name)
        axes.set_xlabel("severity (0 is clean)")
        axes.set_ylabel(f"{METRIC}, mean over corruptions, %")
        axes.legend(fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    return render(paint, f"Under corruption: {world.dataset}", _note(world))


def _note(world: World) -> str:
    return f"synthetic stand-ins, preset {world.preset}" if world.source == "synthetic" else ""
