"""Judged claims as text: a list for the terminal, Markdown and JSON. Nothing here imports torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from bench.claims import ALPHA, NOT_RUN, Judged, counts
from bench.report.grids import grid

_LEGEND = (
    "Each claim is a comparison of ours, judged by the bootstrap over images and seeds, in pairs on the same images; p is corrected by "
    f"Holm's method over all claims judged together, at {ALPHA:g}. Effects are in points of the metric, or percent lost. Of a claim of "
    "several parts the one that decides is shown: the weakest where all agree with it, the clearest of those that do not. "
    "*Inconclusive* is what these data cannot tell, not a refutation."
)
_SYNTHETIC = (
    "SYNTHETIC: verdicts marked synthetic rest on rendered stand-ins, not photographs. They say what holds there, not whether the "
    "paper is right."
)


def to_json(judged: Sequence[Judged]) -> str:
    """A list of objects, one a claim, source and preset."""
    return json.dumps(_rounded([asdict(each) for each in judged]), indent=1) + "\n"


def _rounded(value: Any) -> Any:
    """Six digits of each number: what lies beyond them depends on the machine."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def to_markdown(judged: Sequence[Judged]) -> str:
    """A table a paper, with what each claim needs and where it stands in print."""
    parts = ["# Claims", _LEGEND, *([f"**{_SYNTHETIC}**"] if _synthetic(judged) else []), f"{_summary(judged)}"]
    for paper, found in groupby(judged, key=lambda each: each.paper):
        own = list(found)
        lines = [[each.name, each.statement, each.where, *_cells(each)] for each in own]
        heads = ["claim", "in our words", "in print", "verdict", "data", "effect [95 %]", "p (Holm)", "seeds"]
        parts += [f"## {paper}", grid(heads, lines)]
        notes = dict.fromkeys(f"- {each.name}: {said}" for each in own for said in (each.note, _why(each)) if said)
        parts += ["\n".join(notes)] if notes else []
    return "\n\n".join(parts) + "\n"


def to_text(judged: Sequence[Judged]) -> str:
    """One line a claim, for the terminal."""
    lines = [[each.name, *_cells(each), each.statement if each.verdict != NOT_RUN else _why(each)] for each in judged]
    table = grid(["claim", "verdict", "data", "effect [95 %]", "p (Holm)", "seeds", ""], lines, "simple")
    return "\n\n".join([table, *([_SYNTHETIC] if _synthetic(judged) else []), _summary(judged)])


def _cells(each: Judged) -> list[str]:
    data = f"{each.source}, {each.preset}" if each.source else ""
    if each.value is None:
        return [each.verdict, data, "", "", ""]
    ends = "" if each.low is None else f" [{each.low:+.2f}, {each.high:+.2f}]"
    p_value = "" if each.holm is None else "< 0.001" if each.holm < 0.001 else f"{each.holm:.3f}"
    return [each.verdict, data, f"{each.value:+.2f}{ends}", p_value, str(each.num_seeds)]


def _why(each: Judged) -> str:
    if each.verdict != NOT_RUN:
        return each.reason
    return f"{each.reason}; python -m bench run --table {each.needs.replace(', ', ',')}"


def _summary(judged: Sequence[Judged]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(judged).items()) + f" of {len(judged)}"


def _synthetic(judged: Sequence[Judged]) -> bool:
    return any(each.source == "synthetic" and each.verdict != NOT_RUN for each in judged)
