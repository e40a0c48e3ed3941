"""Figures of groups of records with their resamples: what tables, claims and plots are made of. Nothing here imports torch.

A group is one method under one condition on one data set, with a record a seed. Every figure of it comes as Replicates over the same
resampled images, so that any two groups on the same images can be compared in pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from bench import registry
from bench.report.groups import Group, Source, like_newest, method_label, source_of
from bench.statistics import Replicates, mean_replicates
from bench.store import Record

__all__ = ["NUM_CONDITIONS", "Cell", "Figures", "Group", "cell_of", "extras", "is_official"]

NUM_CONDITIONS = 75


class Cell(NamedTuple):
    """What a record is of, less its seed."""

    method: str
    dataset: str
    source: str
    preset: str
    label_fraction: float
    pool: str
    corruption: str
    severity: int


def cell_of(record: Record) -> Cell:
    """The cell that a record belongs to."""
    pool = record["protocol_id"].rpartition("pool=")[2]
    condition = record["corruption"], record["severity"]
    return Cell(method_label(record), record["dataset"], record["source"], record["preset"], record["label_fraction"], pool, *condition)


def is_official(cell: Cell) -> bool:
    """Whether a cell is under one of the 15 corruptions that means are over, and not clean or under an extra."""
    return cell.severity > 0 and cell.corruption not in extras()


@cache
def extras() -> tuple[str, ...]:
    """The corruptions that are never part of a mean."""
    names: tuple[str, ...] = registry.load_part("datasets.corruptions").EXTRAS
    return names


class Figures:
    """All records of a store, by cell. Of several records of one cell and seed the newest counts, and of a cell's seeds those that saw
    the same images under the same protocol as its newest, and that the same code made."""

    def __init__(self, records: Iterable[Record], store: Source) -> None:
        newest: dict[tuple[Cell, int], Record] = {}
        for record in records:
            place = cell_of(record), record["seed"]
            if place not in newest or record["finished"] > newest[place]["finished"]:
                newest[place] = record
        grouped: dict[Cell, list[Record]] = defaultdict(list)
        for (cell, _), record in newest.items():
            grouped[cell].append(record)
        self._store = store
        self.groups = {cell: Group(like_newest(found, _origin), store) for cell, found in grouped.items()}

    def group_of(self, records: Sequence[Record]) -> Group:
        """The group of just these records, so that what one part of the report has counted serves the others; a new one where there is
        none."""
        return self._groups_by_keys.get(frozenset(record["key"] for record in records)) or Group(list(records), self._store)

    @cached_property
    def _groups_by_keys(self) -> Mapping[frozenset[str], Group]:
        return {frozenset(record["key"] for record in group.records): group for group in self.groups.values()}

    @cached_property
    def worlds(self) -> list[tuple[str, str]]:
        """(source, preset) of the records, real before synthetic."""
        return sorted({(cell.source, cell.preset) for cell in self.groups})

    def clean(self, cell: Cell) -> Group | None:
        """The group of a clean cell."""
        return self.groups.get(cell._replace(corruption="none", severity=0))

    def corrupted(self, cell: Cell) -> list[Group]:
        """The groups of a cell under the corruptions that have records, extras left out."""
        return [self.groups[each] for each in self.corrupted_cells(cell)]

    def corrupted_cells(self, cell: Cell) -> list[Cell]:
        """The cells behind corrupted()."""
        return self._cells_by_fit.get(cell._replace(corruption="", severity=0), [])

    @cached_property
    def _cells_by_fit(self) -> Mapping[Cell, list[Cell]]:
        found: dict[Cell, list[Cell]] = defaultdict(list)
        for cell in self.groups:
            if is_official(cell):
                found[cell._replace(corruption="", severity=0)].append(cell)
        return found

    def statuses(self, cell: Cell, *, corrupted: bool, num_seeds: int) -> Counter:
        """How many records a figure rests on, by status, with those that are missing."""
        groups = self.corrupted(cell) if corrupted else [group for group in (self.clean(cell),) if group]
        counts: Counter = Counter()
        for group in groups:
            counts += group.statuses
        wanted = num_seeds * (NUM_CONDITIONS if corrupted else 1)
        counts["missing"] = max(0, wanted - counts.total())
        return counts

    def replicates(self, cell: Cell, attribute: str, metric: str, *, corrupted: bool = False) -> Replicates | None:
        """A figure, or its mean over the 75 corrupted conditions; None unless all that it rests on is there."""
        if not corrupted:
            group = self.clean(cell)
            return group.replicates(attribute, metric) if group else None
        groups = [group for group in self.corrupted(cell) if group.ok]
        if len(groups) < NUM_CONDITIONS:
            return None
        found = [group.replicates(attribute, metric) for group in groups]
        known = [each for each in found if each is not None]
        return mean_replicates(known) if len(known) == len(found) else None

    def stamps(self, cells: Iterable[Cell]) -> list[tuple[str, ...]]:
        """What the figures of some cells are made of: another list wherever one of them might differ."""
        return [(*cell[:2], *group.stamps) for cell in cells if (group := self.groups.get(cell)) is not None]


def _origin(record: Record) -> tuple[str, str, str | None]:
    """What the seeds of a group share: the images that they saw, under which protocol, and the code."""
    return record["protocol_id"], record["data_hash"], source_of(record)
