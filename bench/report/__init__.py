"""The `report` command: tables from records. Nothing here imports torch."""

from __future__ import annotations

import argparse

from bench.cli import FAILED, OK
from bench.store import Store, replacing


def command(options: argparse.Namespace) -> int:
    """Writes leaderboard.{csv,md,tex} and prints the overview."""
    from bench.report.leaderboard import build
    from bench.report.render import overview, to_markdown, to_tex

    store = Store(options.store)
    frame = build(store.records(), store.load_arrays)
    if frame.empty:
        print(f"no record in {options.store}; python -m bench run makes some")
        return FAILED
    texts = {"csv": frame.to_csv(index=False, float_format="%.6f"), "md": to_markdown(frame), "tex": to_tex(frame)}
    for ending, text in texts.items():
        with replacing(options.out / f"leaderboard.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(overview(frame))
    print(f"written: {options.out}/leaderboard.csv, .md, .tex")
    return OK
