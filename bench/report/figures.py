"""Figures of groups of records with their resamples: what tables, claims and plots are made of. Nothing here imports torch.

A group is one method under one condition on one data set, with a record a seed. Every figure of it comes as Replicates over the same
resampled images, so that any two groups on the same images can be compared in pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from bench import registry
from bench.report.groups import Group, Source, like_newest, method_label
from bench.report.origins import of_newest, origin_of
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
    the same images under the same protocol as its newest, and that the same code made. The same holds of the cells of one figure: what
    is of another origin than the newest of them counts as missing there."""

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
        self.groups = {cell: Group(like_newest(found, origin_of), store) for cell, found in grouped.items()}

    def group_of(self, records: Sequence[Record]) -> Group:
        """The group of just these records, so that what one part of the report has counted serves the others; a new one where there is
        none."""
        keys = frozenset(record["key"] for record in records)
        if keys not in self._groups_by_keys:
            self._groups_by_keys[keys] = Group(list(records), self._store)
        return self._groups_by_keys[keys]

    def with_seeds_of_all(self, groups: Sequence[Group]) -> list[Group]:
        """The same groups with those seeds alone that all have, so that they can be subtracted; nothing where there is no such seed."""
        seeds = set.intersection(*({record["seed"] for record in group.ok} for group in groups)) if groups else set()
        if not seeds:
            return []
        return [
            group if len(group.ok) == len(seeds) else self.group_of([record for record in group.ok if record["seed"] in seeds])
            for group in groups
        ]

    @cached_property
    def _groups_by_keys(self) -> dict[frozenset[str], Group]:
        return {frozenset(record["key"] for record in group.records): group for group in self.groups.values()}

    @cached_property
    def worlds(self) -> list[tuple[str, str]]:
        """(source, preset) of the records, real before synthetic."""
        return sorted({(cell.source, cell.preset) for cell in self.groups})

    def clean(self, cell: Cell) -> Group | None:
        """The group of a clean cell."""
        return self.groups.get(cell._replace(corruption="none", severity=0))

    def corrupted(self, cell: Cell) -> list[Group]:
        """The groups of a cell under the corruptions that have records, extras left out, all of one origin."""
        return list(self._corrupted.get(cell._replace(corruption="", severity=0), {}).values())

    def beside_clean(self, cell: Cell) -> tuple[Group | None, dict[tuple[str, int], Group]]:
        """The clean group of a cell and (corruption, severity) -> its group, with any result and all of one origin, so that one can be
        subtracted from the other; None where the clean one is of another, or has no result."""
        groups = {each: self.groups[each] for each in (cell, *self.corrupted_cells(cell)) if each in self.groups and self.groups[each].ok}
        found = of_newest(dict(sorted(groups.items())))
        clean = found.pop(cell, None)
        return clean, {(each.corruption, each.severity): group for each, group in found.items()}

    def is_older(self, cell: Cell, *, corrupted: bool) -> bool:
        """Whether a figure of replicates() is of other code, images or protocol than the newer one that stands beside it, which is clean
        where it is corrupted and the other way round."""
        clean, under = self.beside_clean(cell)
        if corrupted:
            return not {id(group) for group in self.corrupted(cell) if group.ok} <= {id(group) for group in under.values()}
        return clean is None

    def same_images(self, cells: Iterable[Cell], *, corrupted: bool = False) -> bool:
        """Whether the figures of some cells are of the same images under the same protocol."""
        return len({origin_of(group.ok[0]).images for cell in cells for group in self._behind(cell, corrupted)}) == 1

    def corrupted_cells(self, cell: Cell) -> list[Cell]:
        """The cells of the records that corrupted() and beside_clean() choose from."""
        return self._cells_by_fit.get(cell._replace(corruption="", severity=0), [])

    @cached_property
    def _corrupted(self) -> Mapping[Cell, Mapping[Cell, Group]]:
        return {fit: of_newest({cell: self.groups[cell] for cell in cells}) for fit, cells in self._cells_by_fit.items()}

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
        return _figure_of(self._behind(cell, corrupted), attribute, metric, corrupted)

    def paired(
        self, cells: Sequence[Cell], attribute: str, metrics: Sequence[str], *, corrupted: bool = False
    ) -> tuple[list[Replicates | None], int]:
        """Figures that can be subtracted, a metric of each cell as replicates() has it, but over those seeds alone that all records behind
        them have, and how many these are; nothing where the cells saw other images, or have no seed in common."""
        behind = [self._behind(cell, corrupted) for cell in cells]
        shared = self.with_seeds_of_all([group for own in behind for group in own])
        if not (shared and all(behind) and self.same_images(cells, corrupted=corrupted)):
            return [None for _ in cells], 0
        left = iter(shared)
        groups = [[next(left) for _ in own] for own in behind]
        return [_figure_of(own, attribute, metric, corrupted) for own, metric in zip(groups, metrics, strict=True)], len(shared[0].ok)

    def _behind(self, cell: Cell, corrupted: bool) -> list[Group]:
        """The groups with a result that a figure of a cell rests on."""
        groups = self.corrupted(cell) if corrupted else [self.clean(cell)]
        return [group for group in groups if group is not None and group.ok]

    def num_seeds(self, cell: Cell, *, corrupted: bool = False) -> int:
        """The fewest seeds with a result among the groups that a figure of replicates() rests on; 0 of none."""
        return min((len(group.ok) for group in self._behind(cell, corrupted)), default=0)

    def stamps(self, cells: Iterable[Cell]) -> list[tuple[str, ...]]:
        """What the figures of some cells are made of: another list wherever one of them might differ."""
        return [(*cell[:2], *group.stamps) for cell in cells if (group := self.groups.get(cell)) is not None]


def _figure_of(groups: Sequence[Group], attribute: str, metric: str, corrupted: bool) -> Replicates | None:
    if len(groups) < (NUM_CONDITIONS if corrupted else 1):
        return None
    found = [group.replicates(attribute, metric) for group in groups]
    known = [each for each in found if each is not None]
    return (mean_replicates(known) if corrupted else known[0]) if len(known) == len(found) else None
