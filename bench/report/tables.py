"""The papers' tables filled from records: paper | ours ± interval | difference | verdict, in the paper's own order."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.report.figures import Cell, Figures
from bench.report.grids import grid
from bench.spec import row_label
from bench.statistics import Interval, Replicates, mean_replicates
from bench.tables import Column, Reported, Row, Table, covers, floor_rows

WITHIN, OUTSIDE, PROTOCOL, NOT_RUN, SYNTHETIC = "within", "outside", "protocol differs", "not run", "not comparable: synthetic"
NO_INTERVAL = "no interval"
CSV_COLUMNS = (
    *("table", "source", "preset", "row", "method", "dataset", "attribute", "metric", "condition", "paper", "ours", "ci_low", "ci_high"),
    *("delta", "verdict", "n_seeds", "ok", "missing", "failed", "note"),
)
AVERAGE = "average"  # the attribute whose gain is the mean gain over a table's types
_MARKS = {WITHIN: "=", OUTSIDE: "≠", PROTOCOL: "p", SYNTHETIC: "s", NOT_RUN: "–", NO_INTERVAL: "?", "": ""}
_OLDER = "†"
_OLDER_MEANS = "of an older version of the method's sources, or of other images, than the figure beside it"
_LEGEND = (
    "Each cell: paper / ours ± half the 95 % interval / difference and verdict. = within our interval, ≠ outside, p protocol differs, "
    "s not comparable since the data are synthetic, – not run."
)


@dataclass(frozen=True)
class Filled:
    """One cell of a table. ours: in the paper's unit. num_seeds: the fewest that any cell behind it has. counts: records by status that it
    rests on. older: it is of other code or images than what stands beside it in its row."""

    row: Row
    column: Column
    paper: Reported | None
    ours: Interval | None
    num_seeds: int
    counts: Counter
    older: bool = False

    @property
    def delta(self) -> float | None:
        """Ours less the printed one; nothing where its decimals cannot be read."""
        return None if self.paper is None or self.ours is None or self.paper.width else self.ours.mean - self.paper.value


@dataclass(frozen=True)
class World:
    """A table under one source and preset."""

    table: Table
    source: str
    preset: str
    cells: dict[tuple[str, Column], Filled]

    def verdict(self, cell: Filled) -> str:
        """What our figure says of the printed one."""
        if cell.paper is None:
            return ""
        if cell.ours is None:
            return NOT_RUN
        if self.source == "synthetic":
            return SYNTHETIC
        if self.preset != "paper":
            return PROTOCOL
        if math.isnan(cell.ours.low) or math.isnan(cell.ours.high):
            return NO_INTERVAL
        return WITHIN if cell.ours.low <= cell.paper.value + cell.paper.width and cell.paper.value <= cell.ours.high else OUTSIDE


def fill(table: Table, figures: Figures) -> list[World]:
    """The table under each source and preset that has any of its cells; with nothing run, once without our figures."""
    worlds = [World(table, source, preset, dict(_cells(table, figures, source, preset))) for source, preset in figures.worlds]
    run = [world for world in worlds if any(cell.ours is not None or cell.counts.total() > cell.counts["missing"] for cell in _ours(world))]
    return run or [World(table, "", "", dict(_cells(table, figures, "", "")))]


def texts_of(worlds: list[World]) -> list[str]:
    """CSV, Markdown and LaTeX; nothing where nothing of the table was run."""
    return [to_csv(worlds), to_markdown(worlds), to_tex(worlds)] if worlds[0].source else []


def cells_of(table: Table, figures: Figures) -> list[Cell]:
    """All cells with records that the table is filled from, under any source and preset; nothing where only its floors have any."""
    found: dict[Cell, None] = {}
    own = False
    for source, preset in figures.worlds:
        for row in (*table.rows, *floor_rows(table)):
            for column in table.columns if row.method else ():
                if row.method == "floor" or covers(table, row, column):
                    cell = place_of(row, column, source, preset)
                    cells = [
                        each for each in (cell, *(figures.corrupted_cells(cell) if column.corrupted else ())) if each in figures.groups
                    ]
                    own = own or (row.method != "floor" and bool(cells))
                    found |= dict.fromkeys(cells)
    return list(found) if own else []


def _ours(world: World) -> Iterator[Filled]:
    return (cell for cell in world.cells.values() if cell.row.method != "floor")


def to_csv(worlds: list[World]) -> str:
    """One line a row and column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for world in worlds:
        for cell in world.cells.values():
            if cell.paper is not None or cell.row.method:
                writer.writerow(_csv_line(world, cell))
    return out.getvalue()


def to_markdown(worlds: list[World]) -> str:
    """The paper's layout, with the notes and the count of what is missing."""
    table = worlds[0].table
    unsure = any(world.verdict(cell) == NO_INTERVAL for world in worlds for cell in world.cells.values())
    older = any(cell.older for world in worlds for cell in world.cells.values())
    legend = _LEGEND + (" ? one seed of a figure that varies with the seed alone." if unsure else "")
    parts = [f"# {table.name}: {table.title}", legend + (f" {_OLDER} {_OLDER_MEANS}." if older else "")]
    for world in worlds:
        if world.source == "synthetic":
            parts.append("**SYNTHETIC: ours are figures on rendered stand-ins, the paper's on photographs; they cannot be compared.**")
        parts += [f"Ours: {world.source or 'nothing run'}{f', preset {world.preset}' if world.preset else ''}", _grid(world, "pipe")]
        parts += _counts(world)
    return "\n\n".join([*parts, *(f"- {note}" for note in _notes(table))]) + "\n"


def to_tex(worlds: list[World]) -> str:
    """The same with booktabs rules."""
    table = worlds[0].table
    parts = [f"% {table.name}: {table.title}"]
    for world in worlds:
        text = _grid(world, "latex_booktabs")
        for sign, word in {"±": "$\\pm$", "†": "$\\dagger$", "≠": "$\\neq$", "–": "--", "→": "$\\to$"}.items():
            text = text.replace(sign, word)
        parts += [f"% {world.source or 'nothing run'} {world.preset}", text]
    return "\n\n".join([*parts, *(f"% {note}" for note in _notes(table))]) + "\n"


def _cells(table: Table, figures: Figures, source: str, preset: str) -> Iterator[tuple[tuple[str, Column], Filled]]:
    seeds = _num_seeds(table, figures, source, preset)
    for row in (*table.rows, *floor_rows(table)):
        for column in table.columns:
            paper = table.reported.get((row.label, column))
            ours: Interval | None = None
            counts: Counter = Counter()
            found, older = 0, False
            if row.method and (row.method == "floor" or covers(table, row, column)):
                cell = place_of(row, column, source, preset)
                replicates = replicates_of(table, figures, row, column, source, preset)
                ours = None if replicates is None else _interval(replicates, table.scales[column] if not column.gain else 100.0)
                counts = figures.statuses(cell, corrupted=column.corrupted, num_seeds=seeds)
                found = 0 if ours is None and column.corrupted else _fewest_seeds(table, figures, row, column, source, preset)
                older = ours is not None and column._replace(corrupted=not column.corrupted) in table.columns
                older = older and figures.is_older(cell, corrupted=column.corrupted)
            yield (row.label, column), Filled(row, column, paper, ours, found, counts, older)


def _fewest_seeds(table: Table, figures: Figures, row: Row, column: Column, source: str, preset: str) -> int:
    rows = [row, table.row(column.gain)] if column.gain and row.method != "floor" else [row]
    return min(figures.num_seeds(place_of(each, column, source, preset), corrupted=column.corrupted) for each in rows)


def _num_seeds(table: Table, figures: Figures, source: str, preset: str) -> int:
    """The most seeds that any cell of the table was run with."""
    places = [place_of(row, column, source, preset) for row in table.rows if row.method for column in table.columns]
    return max((len(group.records) for place in places if (group := figures.clean(place))), default=1)


def place_of(row: Row, column: Column, source: str, preset: str) -> Cell:
    name = row_label(row.row, row.overrides)
    label = f"{row.method}{'/' if name and not name.startswith('[') else ''}{name}"
    return Cell(label, column.dataset, source, preset, row.label_fraction, f"{row.unlabeled:g}", "none", 0)


def replicates_of(table: Table, figures: Figures, row: Row, column: Column, source: str, preset: str) -> Replicates | None:
    """Our figure of a cell; a gain is relative to the same figure of another row, in parts of one, and that of the attribute "average"
    the mean gain over the table's types."""
    if not column.gain:
        metric = row.metric(column)
        cell = place_of(row, column, source, preset)
        return figures.replicates(cell, column.attribute, metric, corrupted=column.corrupted)
    if row.label == column.gain or row.method == "floor":
        return None
    if column.attribute == AVERAGE:
        kinds = [each.attribute for each in table.columns if each == column._replace(attribute=each.attribute, gain="")]
        gains = [replicates_of(table, figures, row, column._replace(attribute=kind), source, preset) for kind in kinds]
        known = [gain for gain in gains if gain is not None]
        return mean_replicates(known) if known and len(known) == len(gains) else None
    own, base = paired(figures, row, table.row(column.gain), column, source, preset)
    return None if own is None or base is None else Replicates(own.value / base.value - 1, own.values / base.values - 1, own.num_images)


def paired(figures: Figures, row: Row, other: Row, column: Column, source: str, preset: str) -> tuple[Replicates | None, Replicates | None]:
    """The figures of two rows in a column, its gain aside, that can be subtracted: as Figures.paired has them."""
    cells = [place_of(each, column, source, preset) for each in (row, other)]
    metrics = [each.metric(column) for each in (row, other)]
    (one, two), _ = figures.paired(cells, column.attribute, metrics, corrupted=column.corrupted)
    return one, two


def _interval(replicates: Replicates, scale: float) -> Interval | None:
    if math.isnan(replicates.value):
        return None
    low, high = replicates.percentiles()
    return Interval(scale * replicates.value, scale * low, scale * high)


def _grid(world: World, form: str) -> str:
    lines = []
    for row in (*world.table.rows, *floor_rows(world.table)):
        cells = [world.cells[row.label, column] for column in world.table.columns]
        if any(cell.paper is not None or cell.ours is not None or cell.counts for cell in cells):
            lines.append([row.label, *(_text(world, cell) for cell in cells)])
    return grid(["", *(_header(column) for column in world.table.columns)], lines, form)


def _header(column: Column) -> str:
    where = f"{column.dataset.replace('->', ' → ')}{', corrupted' if column.corrupted else ''}"
    return f"{where}: {column.attribute} {column.metric}{f', gain over {column.gain} in %' if column.gain else ''}"


def num_digits(table: Table, column: Column) -> int:
    """How many decimals a column's figures are shown with."""
    return 3 if table.scales[column] == 1.0 else 2


def head_of(column: Column) -> tuple[str, str, str, str]:
    """A column as the CSV file names it: data set, attribute, metric, condition."""
    metric = column.metric + (f" relative gain over {column.gain}" if column.gain else "")
    return column.dataset, column.attribute, metric, "corrupted" if column.corrupted else "clean"


def _text(world: World, cell: Filled) -> str:
    digits = num_digits(world.table, cell.column)
    paper = "" if cell.paper is None else f"{cell.paper.value:.{digits}f}"
    if cell.ours is None:
        lost = [f"{count} {status}" for status, count in sorted(cell.counts.items()) if count and status != "ok"]
        return " / ".join(part for part in (paper, ", ".join(lost), _MARKS[world.verdict(cell)]) if part)
    half = (cell.ours.high - cell.ours.low) / 2
    ours = f"{cell.ours.mean:.{digits}f}{'' if math.isnan(half) else f' ± {half:.{digits}f}'}{_OLDER if cell.older else ''}"
    delta = _MARKS[world.verdict(cell)] if cell.delta is None else f"{cell.delta:+.{digits}f} {_MARKS[world.verdict(cell)]}"
    return " / ".join(part for part in (paper, ours, delta) if part)


def _counts(world: World) -> list[str]:
    total: Counter = Counter()
    places = {(label, column.dataset, column.corrupted): cell for (label, column), cell in world.cells.items() if cell.counts}
    for cell in places.values():  # a record is behind several columns, and counts once
        total += Counter({status: count for status, count in cell.counts.items() if status != "ok"})
    return [f"Not ok: {', '.join(f'{count} {status}' for status, count in sorted(total.items())) or 'none'}."]


def _notes(table: Table) -> list[str]:
    printed = dict.fromkeys(f"{label}: {figure.note}" for (label, _), figure in table.reported.items() if figure.note)
    return [*table.notes, *printed]


def _csv_line(world: World, cell: Filled) -> list[object]:
    column, ours = cell.column, cell.ours
    figures = ("", "", "") if ours is None else tuple("" if math.isnan(value) else f"{value:.6g}" for value in ours)
    return [
        *(
            world.table.name,
            world.source,
            world.preset,
            cell.row.label,
            place_of(cell.row, column, "", "").method if cell.row.method else "",
        ),
        *head_of(column),
        "" if cell.paper is None else f"{cell.paper.value:g}",
        *figures,
        "" if cell.delta is None else f"{cell.delta:.6g}",
        world.verdict(cell),
        cell.num_seeds,
        *(cell.counts["ok"], cell.counts["missing"], cell.counts.total() - cell.counts["ok"] - cell.counts["missing"]),
        "; ".join([note for note in (cell.paper.note if cell.paper else "", _OLDER_MEANS if cell.older else "") if note]),
    ]
