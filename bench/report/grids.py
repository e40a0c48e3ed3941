"""Tables as text: Markdown, LaTeX and for the terminal. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence


def grid(heads: Sequence[str], lines: Sequence[Sequence[str]], form: str = "pipe") -> str:
    """A table in one of tabulate's forms. In that of Markdown a | of a name stays in its cell."""
    from tabulate import tabulate

    if form == "pipe":
        heads, *lines = [[text.replace("|", "\\|") for text in line] for line in (heads, *lines)]
    return tabulate(lines, headers=heads, tablefmt=form, disable_numparse=True)
