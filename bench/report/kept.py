"""Pictures of what was kept while a method was trained and evaluated: accuracy by epoch, and attention maps. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bench.report.groups import Group
from bench.report.svg import draw_figure, render
from bench.statistics import Arrays

_HISTORY, _ATTENTION = "history/", "attention/"


def training_curves(groups: Sequence[Group | None], labels: Sequence[str], title: str, note: str = "") -> str | None:
    """The validation figure by epoch of each group, the mean over seeds and their range; None where none has kept any.

    A line's phases follow each other, and a mark stands where a new one begins."""
    curves = {
        label: (np.stack(found), starts_of(group.arrays[0]))
        for label, group in zip(labels, groups, strict=True)
        if group is not None and group.ok and (found := [curve_of(arrays) for arrays in group.arrays]) and len(found[0])
    }
    if not curves:
        return None

    def draw(axes: Any) -> None:
        for label, (values, starts) in curves.items():
            epochs = np.flatnonzero(np.isfinite(values).all(axis=0))
            shown = 100 * values[:, epochs]
            (line,) = axes.plot(epochs + 1, shown.mean(axis=0), marker="o", markersize=3, label=label)
            axes.fill_between(epochs + 1, shown.min(axis=0), shown.max(axis=0), alpha=0.12, color=line.get_color(), linewidth=0)
            for start in starts[1:]:
                axes.axvline(start + 0.5, color=line.get_color(), linewidth=0.6, linestyle=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation, % (mean and range of seeds)")
        axes.legend(fontsize=7, frameon=False)

    return render(draw, title, note)


def attention_maps(groups: Sequence[Group | None], labels: Sequence[str], title: str, note: str = "", num_images: int = 2) -> str | None:
    """Figure 2 of the Naver report: of the first images a row each, with the features before each attention module, its mask, and the
    features after it. Of the first group that has kept any; None where none has."""
    chosen = next((group for group in groups if group is not None and group.ok and f"{_ATTENTION}image" in group.arrays[0]), None)
    if chosen is None:
        return None
    arrays = chosen.arrays[0]
    names = sorted((name for name in arrays if name.startswith(_ATTENTION) and name != f"{_ATTENTION}image"), key=_place)
    columns = [f"{_ATTENTION}image", *names]

    def draw(figure: Any) -> None:
        panels = figure.subplots(num_images, len(columns), squeeze=False)
        for row, name in np.ndindex(num_images, len(columns)):
            axes, values = panels[row, name], arrays[columns[name]][row]
            axes.imshow(values if values.ndim == 3 else values.astype(np.float32), cmap="viridis", interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(columns[name].removeprefix(_ATTENTION), fontsize=7)
        label = next(label for label, group in zip(labels, groups, strict=True) if group is chosen)
        figure.suptitle("\n".join(part for part in (title, label, note) if part), fontsize=8)

    return draw_figure(draw, (1.1 * len(columns), 1.1 * num_images + 0.7))


def curve_of(arrays: Arrays) -> np.ndarray:
    """float32 (epochs of all phases,): the validation figure after each, NaN where it was not asked."""
    return np.concatenate([np.empty(0, dtype=np.float32), *(arrays[name] for name in _phases(arrays))])


def starts_of(arrays: Arrays) -> list[int]:
    """The epochs that went before each phase."""
    ends = np.cumsum([0, *(len(arrays[name]) for name in _phases(arrays))])
    return [int(start) for start, _ in pairwise(ends)]


def _phases(arrays: Arrays) -> list[str]:
    return sorted((name for name in arrays if name.startswith(_HISTORY)), key=lambda name: int(name.removeprefix(_HISTORY).split(" ")[0]))


def _place(name: str) -> tuple[int, int]:
    """The order within a batch's way: by module, then before, mask, after."""
    number, kind = name.removeprefix(_ATTENTION).split(" ", 1)
    return int(number), ("before", "mask", "after").index(kind)
