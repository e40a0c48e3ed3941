"""Drawings as SVG whose bytes depend on the figures alone. Text stays text."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

_SIZE = (7.2, 4.0)  # inches


def render(draw: Callable[[Any], None], title: str, note: str = "") -> str:
    """One drawing, by draw(axes)."""

    def whole(figure: Any) -> None:
        axes = figure.subplots()
        draw(axes)
        axes.set_title(title if not note else f"{title}\n{note}", fontsize=9)

    return draw_figure(whole, _SIZE)


def draw_figure(draw: Callable[[Any], None], size: tuple[float, float]) -> str:
    """A figure of that size in inches, by draw(figure)."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False}):
        figure = pyplot.figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return text.getvalue()
