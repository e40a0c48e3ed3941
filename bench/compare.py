"""`report --compare A B`: what moved between two stores beyond noise.

A store is a folder, or a commit of the repository, whose results/reference is read without touching the working tree. Cells are the same
where method, row, data and condition agree, whatever their keys. Where both sides have the per-image arrays of a cell, its seeds are
compared in pairs on the same images; Holm corrects over all cells and metrics of one command."""

from __future__ import annotations

import io
import math
import subprocess
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import registry
from bench.archive import Archive, identity, is_archive, open_results
from bench.cli import OK
from bench.report.groups import ALL, Group, method_label
from bench.spec import UsageError
from bench.statistics import Difference, holm, paired_difference
from bench.store import Record, Store

METRICS = ("f1@1", "recall@3", "accuracy@1", "f2")
REFERENCE = "results/reference"
ALPHA = 0.05
Cells = Store | Archive
Condition = tuple[str, str, str, int]


@dataclass(frozen=True)
class Move:
    """One metric of one cell on both sides. condition: condition_of its records. p_value: corrected over all comparisons."""

    cell: str
    condition: Condition
    metric: str
    before: float
    after: float
    difference: Difference
    num_seeds: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """moves: every comparison in pairs, clearest first; unpaired: (cell, metric, before, after) where no images tie the two sides together;
    lost: (cell, metric, before) of what has a figure before alone; changed: (cell, what it was and what it is) where the status differs;
    only: cells of one side alone."""

    moves: list[Move]
    unpaired: list[tuple[str, str, float, float]]
    changed: list[tuple[str, str]]
    only: tuple[list[str], list[str]]
    lost: list[tuple[str, str, float]]

    @property
    def moved(self) -> list[Move]:
        return [move for move in self.moves if move.p_value < ALPHA]


def run(first: str, second: str) -> int:
    """Prints what moved. Raises UsageError for what is neither a folder nor a commit with a store."""
    with opened(first) as before, opened(second) as after:
        print(to_text(compare(before, after), first, second))
    return OK


@contextmanager
def opened(name: str) -> Iterator[Cells]:
    """The store in a folder, or the one that a commit has at results/reference, unpacked where it is thrown away after use."""
    if (Path(name) / "records").is_dir() or is_archive(Path(name)):
        yield open_results(Path(name))
        return
    if Path(name).is_dir():
        raise UsageError(f"{name}: no folder records in it; expected a store, or a commit")
    try:
        found = subprocess.run(
            ["git", "archive", "--format=tar", f"{_commit(name)}", REFERENCE],
            cwd=registry.ROOT,
            capture_output=True,
            check=True,
            timeout=120,
        )
    except subprocess.CalledProcessError as error:
        raise UsageError(f"{name}: no store at {REFERENCE} in this commit ({error.stderr.decode(errors='replace').strip()})") from error
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(folder, filter="data")
        unpacked = Path(folder) / REFERENCE
        yield open_results(unpacked)


def compare(before: Cells, after: Cells, metrics: Sequence[str] = METRICS) -> Comparison:
    """Every cell of the two stores, matched by what it is of; seeds of a cell together."""
    sides = _cells(before), _cells(after)
    moves: list[Move] = []
    unpaired, lost, changed = [], [], []
    for place in sorted(sides[0].keys() & sides[1].keys(), key=str):
        pair = [_newest(side[place]) for side in sides]
        seeds = sorted(seed for seed in pair[0].keys() & pair[1].keys())
        statuses = [{seed: found[seed]["status"] for seed in seeds} for found in pair]
        changed += [
            (f"{cell_name(pair[0][seed])} seed={seed}", f"{old} → {new}" + (f": {reason}" if (reason := pair[1][seed]["reason"]) else ""))
            for seed in seeds
            if (old := statuses[0][seed]) != (new := statuses[1][seed])
        ]
        both = [seed for seed in seeds if statuses[0][seed] == statuses[1][seed] == "ok"]
        if both:
            groups = Group([pair[0][seed] for seed in both], before), Group([pair[1][seed] for seed in both], after)
            found, plain = _compare_cell(*groups, metrics)
            moves += found
            unpaired += plain
            lost += _lost(*groups, metrics)
    adjusted = holm([move.p_value for move in moves])
    moves = [replace(move, p_value=float(p)) for move, p in zip(moves, adjusted, strict=True)]
    only = tuple(sorted(cell_name(next(iter(side[place]))) for place in side.keys() - other.keys()) for side, other in (sides, sides[::-1]))
    return Comparison(sorted(moves, key=lambda move: (move.p_value, move.cell, move.metric)), unpaired, changed, (only[0], only[1]), lost)


def to_text(found: Comparison, first: str, second: str) -> str:
    """What moved, what changed its status, and how much there was to compare."""
    from tabulate import tabulate

    parts = [f"{first} → {second}: {len(found.moves)} figures compared in pairs, {len(found.moved)} moved beyond noise (Holm, {ALPHA:g})"]
    if found.moved:
        lines = [
            [
                move.cell,
                move.metric,
                f"{100 * move.before:.2f}",
                f"{100 * move.after:.2f}",
                _change(move),
                f"{move.p_value:.2g}",
                move.num_seeds,
            ]
            for move in found.moved
        ]
        parts.append(
            tabulate(lines, headers=["cell", "metric", "before", "after", "change [95 %]", "p (Holm)", "seeds"], disable_numparse=True)
        )
    different = [line for line in found.unpaired if line[2] != line[3]]
    if different:
        rows = [[cell, metric, f"{100 * old:.2f}", f"{100 * new:.2f}"] for cell, metric, old, new in different]
        parts.append("Not the same images, or their arrays are not there: nothing can be said of noise.")
        parts.append(tabulate(rows, headers=["cell", "metric", "before", "after"], disable_numparse=True))
    parts += [f"{cell}: {metric} was {100 * old:.2f}, and has no figure now" for cell, metric, old in found.lost]
    parts += [f"{cell}: {text}" for cell, text in found.changed]
    parts += [f"only in {name}: {listed(cells)}" for name, cells in zip((first, second), found.only, strict=True) if cells]
    if not found.moves and not found.unpaired:
        parts.append("Nothing comparable: no cell stands in both with a result.")
    return "\n\n".join(parts)


def _compare_cell(before: Group, after: Group, metrics: Sequence[str]) -> tuple[list[Move], list[tuple[str, str, float, float]]]:
    moves, unpaired, name, condition = [], [], cell_name(before.ok[0]), condition_of(before.ok[0])
    for metric in metrics:
        values = [_mean([record["metrics"].get(metric) for record in group.ok]) for group in (before, after)]
        if None in values:
            continue
        old, new = (value for value in values if value is not None)
        if before.ok[0]["metrics"] == after.ok[0]["metrics"] and old == new:
            moves.append(Move(name, condition, metric, old, new, Difference(0.0, 0.0, 0.0, 1.0), len(before.ok), 1.0))
            continue
        difference = _difference(before, after, metric)
        if difference is None or math.isnan(difference.p_value):
            unpaired.append((name, metric, old, new))
        else:
            moves.append(Move(name, condition, metric, old, new, difference, len(before.ok), difference.p_value))
    return moves, unpaired


def _lost(before: Group, after: Group, metrics: Sequence[str]) -> list[tuple[str, str, float]]:
    """What a seed had a figure of, and has none of now."""
    found = []
    for metric in metrics:
        pairs = [(old["metrics"].get(metric), new["metrics"].get(metric)) for old, new in zip(before.ok, after.ok, strict=True)]
        gone = [old for old, new in pairs if old is not None and new is None]
        if gone:
            found.append((cell_name(before.ok[0]), metric, sum(gone) / len(gone)))
    return found


def _difference(before: Group, after: Group, metric: str) -> Difference | None:
    """Over the same images; None where a side has no arrays of them."""
    try:
        old, new = before.replicates(ALL, metric), after.replicates(ALL, metric)
        return None if old is None or new is None or not old.num_images else paired_difference(new, old)
    except (FileNotFoundError, ValueError):
        return None


def _cells(store: Cells) -> dict[tuple, list[Record]]:
    found: dict[tuple, list[Record]] = defaultdict(list)
    for record in store.records():
        found[identity(record)[:-1]].append(record)
    return found


def _newest(records: Sequence[Record]) -> dict[int, Record]:
    """seed -> its newest record."""
    return {record["seed"]: record for record in sorted(records, key=lambda each: (each["finished"], each["key"]))}


def _commit(name: str) -> str:
    """The full name of a commit, so that nothing typed is an option to git."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"],
        cwd=registry.ROOT,
        capture_output=True,
        timeout=60,
    )
    if found.returncode:
        raise UsageError(f"{name}: neither the folder of a store nor a commit")
    return found.stdout.decode().strip()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def condition_of(record: Record) -> Condition:
    """Data set, source, corruption and severity: which images a cell is tested on, and what was done to them."""
    return record["dataset"], record["source"], record["corruption"], record["severity"]


def cell_name(record: Record) -> str:
    """A cell in words, without its seed."""
    condition = f" {record['corruption']}/{record['severity']}" if record["severity"] else ""
    return f"{method_label(record)} {record['dataset']} f={record['label_fraction']:g}{condition}"


def _change(move: Move) -> str:
    return f"{100 * move.difference.mean:+.2f} [{100 * move.difference.low:+.2f}, {100 * move.difference.high:+.2f}]"


def listed(cells: Sequence[str], most: int = 5) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(cells[:most]) + (f" and {len(cells) - most} more" if len(cells) > most else "")
