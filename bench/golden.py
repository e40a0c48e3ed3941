"""Tables of a committed store that hold to the byte: whatever moves a figure for users shows in them."""

from __future__ import annotations

import tempfile
from pathlib import Path

GOLDEN = Path("tests/golden")


def make_tables(store: Path, out: Path) -> None:
    """Everything of a report but its pictures and page."""
    from bench.report import write_claims, write_summaries, write_tables
    from bench.report.board import make_board, write_board
    from bench.report.cache import Cache
    from bench.report.figures import Figures
    from bench.report.index import read_records
    from bench.store import Store

    cache = Cache(out / ".cache" / "report.json")
    records = read_records(Store(store), out / ".cache" / "records.json")
    figures = Figures(records, Store(store))
    write_board(out, make_board(records, figures.group_of, cache), cache)
    write_tables(out, figures, cache)
    write_claims(out, figures, cache)
    write_summaries(out, figures, cache)


def golden_files(out: Path) -> dict[str, bytes]:
    """Name -> content of each file that is held to the byte; `__` stands for a slash."""
    found = [*out.glob("leaderboard.*"), *out.glob("claims.*"), *(out / "tables").glob("*")]
    return {path.relative_to(out).as_posix().replace("/", "__"): path.read_bytes() for path in sorted(found)}


def compare(golden: Path) -> tuple[int, list[str]]:
    """How many committed tables there are, and the names of those that come out otherwise, or not, or are new."""
    kept = {path.name: path.read_bytes() for path in sorted((golden / "tables").glob("*"))}
    if not kept:
        return 0, []
    with tempfile.TemporaryDirectory() as folder:
        make_tables(golden / "store", Path(folder))
        made = golden_files(Path(folder))
    return len(kept), sorted(name for name in kept.keys() | made.keys() if kept.get(name) != made.get(name))
