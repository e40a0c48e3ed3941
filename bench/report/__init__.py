"""The `report` command: tables, claims, figures and the page from records. Nothing here imports torch."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.archive import store_of
from bench.cli import FAILED, OK, is_typed
from bench.spec import UsageError

if TYPE_CHECKING:
    from bench.report.cache import Cache
    from bench.report.figures import Figures
    from bench.report.page_gallery import GalleryOptions
    from bench.store import Store
    from bench.tables import Table


def command(options: argparse.Namespace) -> int:
    """Writes leaderboard.*, tables/, claims.* and figures/, and prints the overview; or compares two stores. Raises UsageError."""
    if options.compare:
        from bench.compare import run

        for word in ("--out", "--gallery", "--store"):
            if is_typed(options, word):
                raise UsageError(f"--compare A B prints what moved between them and writes nothing; leave {word} out")
        return run(*options.compare)
    gallery = None
    if options.gallery:
        from bench.report.page_gallery import GalleryOptions

        gallery = GalleryOptions(options.gallery, options.data_root, options.cache)
    return write(options.store, options.out, gallery)


def write(store_path: Path, out: Path, gallery: GalleryOptions | None = None) -> int:
    """The whole report of a store or an archive. What it computed is kept under OUT/.cache, and only what moved since is computed
    again. Raises UsageError where a file is in the place of out."""
    from bench.places import check_out
    from bench.report.board import make_board, write_board
    from bench.report.cache import Cache
    from bench.report.figures import Figures
    from bench.report.index import read_records

    check_out(out)
    store = store_of(store_path, out / ".cache" / "store")
    records = read_records(store, out / ".cache" / "records.json")
    if not records:
        print(f"no record in {store_path}; python -m bench run makes some")
        return FAILED
    cache = Cache(out / ".cache" / "report.json")
    figures = Figures(records, store)
    board = make_board(records, figures.group_of, cache)
    print(write_board(out, board, cache))
    names = write_tables(out, figures, cache)
    print(f"claims: {write_claims(out, figures, cache)}; {out}/claims.md")
    write_summaries(out, figures, cache)
    cache.drop_others(out)

    def make_page() -> int:
        from bench.report.page import content_of, write_page

        return write_page(out / "index.html", content_of(out, names, records, store, board.frame, figures, gallery))

    if (
        cache.of("page", [board.stamp, names, _page_stamps(store, out, names), str(gallery)], make_page)
        and not (out / "index.html").exists()
    ):
        make_page()
    cache.save()
    papers = ", ".join(names) or "no paper"
    print(f"written: {out}/index.html, leaderboard.csv, .md, .tex, claims.json, .md, figures/, and tables/ of {papers}")
    return OK


def _page_stamps(store: Store, out: Path, names: list[str]) -> list[str]:
    """Of what the page shows besides records: its own files, the sweeps that were typed, and the tables and claims just written."""
    from bench.tables import RESULTS

    own = Path(__file__).parent
    files = [*own.glob("page*.py"), *(own / "assets").rglob("*"), *(store.root / "sweeps").glob("*.json"), RESULTS / "tables.toml"]
    written = [out / "claims.json", *(out / "tables" / f"{name}.csv" for name in (*names, "over-data-sets"))]
    stamps = sorted(f"{path.name} {path.stat().st_mtime_ns}" for path in files if path.exists())
    return [*stamps, *(path.read_text(encoding="utf-8") for path in written if path.exists())]


def write_tables(out: Path, figures: Figures, cache: Cache) -> list[str]:
    """The papers' tables that any record belongs to; returns their names."""
    from bench import tables
    from bench.report.summaries import draw
    from bench.report.tables import cells_of

    written = []
    for name in tables.names():
        table = tables.load(name)
        stamps: list[object] = [*figures.stamps(cells_of(table, figures))]
        stamps += [repr(table)] if stamps else []
        texts = cache.of(f"table {name}", stamps, partial(_table_texts, table, figures)) if stamps else []
        if not texts:
            continue
        written.append(name)
        for ending, text in zip(("csv", "md", "tex"), texts, strict=True):
            cache.write(out / "tables" / f"{name}.{ending}", text)
        if table.figure:
            draw(out, cache, name, stamps, partial(_table_figure, table, figures))
    return written


def _table_texts(table: Table, figures: Figures) -> list[str]:
    from bench.report.tables import fill, texts_of

    return texts_of(fill(table, figures))


def _table_figure(table: Table, figures: Figures) -> str | None:
    from bench.report.plots import of_table
    from bench.report.tables import fill

    return of_table(fill(table, figures)[0], figures)


def write_claims(out: Path, figures: Figures, cache: Cache) -> str:
    """claims.{json,md}; returns how many have each verdict."""
    from bench.claims import counts, judge
    from bench.report.cache import write_text
    from bench.report.claims import to_json, to_markdown

    judged = judge(figures, cache)
    write_text(out / "claims.json", to_json(judged))
    write_text(out / "claims.md", to_markdown(judged))
    return ", ".join(f"{count} {verdict}" for verdict, count in counts(judged).items())


def write_summaries(out: Path, figures: Figures, cache: Cache) -> None:
    """What is over whole data sets: corruption, cost, label fractions and ranks; and ranks over all of them."""
    from bench.report import costs, curves, overall, ranks, robustness
    from bench.report.summaries import worlds

    found = worlds(figures)
    for part in (robustness, costs, curves, ranks, overall):
        part.write(out, found, cache)
