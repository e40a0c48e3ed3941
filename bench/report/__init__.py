"""The `report` command: tables from records. Nothing here imports torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli import FAILED, OK
from bench.store import Store, write_whole

if TYPE_CHECKING:
    from bench.report.figures import Figures


def command(options: argparse.Namespace) -> int:
    """Writes leaderboard.{csv,md,tex} and prints the overview."""
    from bench.report.figures import Figures
    from bench.report.leaderboard import build
    from bench.report.render import overview, to_markdown, to_tex

    store = Store(options.store)
    records = list(store.records())
    frame = build(records, store.load_arrays)
    if frame.empty:
        print(f"no record in {options.store}; python -m bench run makes some")
        return FAILED
    texts = {"csv": frame.to_csv(index=False, float_format="%.6f"), "md": to_markdown(frame), "tex": to_tex(frame)}
    for ending, text in texts.items():
        write_whole(options.out / f"leaderboard.{ending}", text.encode())
    print(overview(frame))
    names = _write_tables(options.out, Figures(records, store))
    print(f"written: {options.out}/leaderboard.csv, .md, .tex, and tables/*.csv, .md, .tex of {', '.join(names) or 'no table'}")
    return OK


def _write_tables(out: Path, figures: Figures) -> list[str]:
    """The papers' tables that any record belongs to; returns their names."""
    from bench import tables
    from bench.report.plots import of_table
    from bench.report.tables import fill, to_csv, to_markdown, to_tex

    written = []
    for name in tables.names():
        worlds = fill(tables.load(name), figures)
        if not worlds[0].source:
            continue
        written.append(name)
        for ending, text in {"csv": to_csv(worlds), "md": to_markdown(worlds), "tex": to_tex(worlds)}.items():
            write_whole(out / "tables" / f"{name}.{ending}", text.encode())
        if worlds[0].table.figure and (drawing := of_table(worlds[0], figures)) is not None:
            write_whole(out / "figures" / f"{name}.svg", drawing.encode())
    return written
