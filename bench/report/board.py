"""The leaderboard's files, condition by condition: what did not change since the last report is taken from its cache."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.report.cache import Cache, write_text
from bench.report.groups import Group, stamp_of
from bench.report.leaderboard import COLUMNS, Condition, Seeds, condition_rows, conditions, num_seeds, older_methods
from bench.report.render import Row, is_shown, overview, to_markdown, to_tex
from bench.store import Record

if TYPE_CHECKING:
    import pandas as pd

_METHOD = COLUMNS.index("method")
_NUMBERS = ("label_fraction", "mean", "ci_low", "ci_high")


@dataclass
class Board:
    """The leaderboard as text. csv: all rows; shown: those that the other texts show, and whether a row is older,
    as older_methods has it; stamp: another where any of it may differ."""

    csv: str
    shown: Sequence[Row]
    stamp: list[Any]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows, as leaderboard.build gives them."""
        import pandas as pd

        texts = dict.fromkeys(("dataset", "source", "method", "corruption", "attribute", "metric", "tied_with_best", "status"), str)
        found = pd.read_csv(
            io.StringIO(self.csv), dtype=texts, keep_default_na=False, na_values={name: [""] for name in (*_NUMBERS, "rank")}
        )
        found["tied_with_best"] = found["tied_with_best"].map({"True": True, "False": False, "": None})
        return found


def make_board(records: Iterable[Record], group_of: Callable[[Sequence[Record]], Group], cache: Cache) -> Board:
    """The whole leaderboard; only conditions of which a record changed are counted. group_of: as Figures.group_of."""
    found = conditions(records)
    wanted, older = num_seeds(found), older_methods(found)
    texts, shown, stamps = [",".join(COLUMNS) + "\n"], [], []
    for condition in sorted(found):
        methods = found[condition]
        stamp = [list(condition), [[label, wanted[*condition[:3], label], *map(stamp_of, each)] for label, each in methods.items()]]
        text, own = cache.of(f"leaderboard {condition}", stamp, partial(_chunk, condition, methods, group_of, wanted))
        texts.append(text)
        shown += [dict(zip(COLUMNS, row, strict=True)) | {"older": row[_METHOD] in older[condition]} for row in own]
        stamps.append(stamp)
    return Board("".join(texts), shown, stamps)


def write_board(out: Path, board: Board, cache: Cache) -> str:
    """Writes leaderboard.{csv,md,tex} and returns the overview."""
    texts = cache.of("leaderboard texts", board.stamp, lambda: [make(board.shown) for make in (to_markdown, to_tex, overview)])
    for ending, text in zip(("csv", "md", "tex"), (board.csv, *texts[:2]), strict=True):
        write_text(out / f"leaderboard.{ending}", text)
    shown: str = texts[2]
    return shown


def _chunk(condition: Condition, methods: Seeds, group_of: Callable[[Sequence[Record]], Group], wanted: dict[tuple, int]) -> list[Any]:
    """The lines of one condition, and its rows that are shown, in JSON's terms."""
    rows = condition_rows(condition, methods, group_of, wanted)
    shown = [row for row in rows if is_shown(dict(zip(COLUMNS, row, strict=True)))]
    return [_to_csv(rows), [[None if isinstance(value, float) and math.isnan(value) else value for value in row] for row in shown]]


def _to_csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = [name in _NUMBERS for name in COLUMNS]
    for row in rows:
        writer.writerow([_number(value) if number else value for value, number in zip(row, numbers, strict=True)])
    return out.getvalue()


def _number(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"
