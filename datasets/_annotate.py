"""Which columns of a catalogue's rows are attribute types, and what the rows say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, UNKNOWN, AttributeType, Schema
from datasets import _stream, _tables
from datasets._held_out import held_out
from datasets._schema import MAX_CLASSES, Annotations, Problems, attribute_type, printable, unknown_labels

_FEW_ROWS = 50  # so few rows say nothing about whether values repeat
_USES = 3  # of a value, on average: two photos an article make its number no type
_MANY, _FEW_USES = 200, 20  # more classes than these, each used less often, may still be numbers of articles


@dataclass(frozen=True)
class Row:
    """An image: its path below the root, where it is listed, and what its metadata says; of one of split unlabeled no label counts."""

    path: str
    split: str
    file: str
    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Described:
    """What attributes.json says: type -> its kind, values and column, None where they are to be inferred; and the column that groups."""

    types: Mapping[str, dict[str, Any]] | None = None
    group: str = ""


def annotate(rows: Sequence[Row], said: Described, only: Sequence[str], problems: Problems, *, settled: bool = False) -> Annotations:
    """What rows say. only: as in read. settled: the splits are a published set's own, and stay.

    Otherwise a training image without any label is unlabelled. What is held out of train for want of val or test leaves no group in two
    splits, and none of theirs among the unlabelled images."""
    if not any(row.split == "train" for row in rows):
        advice = (
            f"the first problem: {problems.found[0]}"
            if problems.found
            else "add train/metadata.csv, or a split column with 'train' to metadata.csv"
        )
        problems.fatal(".", 0, f"no training images; {advice}")
    cells = [row.cells for row in rows]  # by which unlabelled images are grouped, too
    rows = [replace(row, cells={}) if row.split == "unlabeled" and row.cells else row for row in rows]
    kinds, columns, ignored = _types(said, rows, only, problems)
    schema = Schema(tuple(kinds))
    labels = unknown_labels(schema, len(rows))
    whole = np.ones(len(rows), bool)
    for kind in kinds:
        _fill(labels[kind.name], kind, columns[kind.name], rows, whole, problems)
    files = tuple(dict.fromkeys(row.file for row in rows))
    number = {file: index for index, file in enumerate(files)}
    where_file = np.array([number[row.file] for row in rows], np.int16)
    where_line = np.array([row.line for row in rows], np.int32)
    paths = [row.path for row in rows]
    splits = np.array([SPLITS.index(row.split) for row in rows], np.int8)
    found = Annotations(schema, paths, splits, labels, files, where_file, where_line, ignored=ignored)
    found = found if whole.all() else found.take(np.flatnonzero(whole))
    splits = found.splits if settled else _without_labels(found, problems)
    if not said.group:
        return replace(found, splits=held_out(found.paths, splits, problems))
    groups = [cells[place].get(said.group, "") for place in np.flatnonzero(whole).tolist()]
    given = all((splits == SPLITS.index(name)).any() for name in ("val", "test"))
    units = [group or path for group, path in zip(groups, found.paths, strict=True)]
    found = replace(found, splits=held_out(units, splits, problems, f"groups of {said.group!r}"))
    return found if given or settled else _apart(found, groups, said.group, problems)


def _apart(found: Annotations, groups: Sequence[str], column: str, problems: Problems) -> Annotations:
    """What is found less the unlabelled images of a group (empty: of none) that lies in val or test, which are counted in a note."""
    names = [SPLITS[split] for split in found.splits.tolist()]
    held = {group for group, name in zip(groups, names, strict=True) if group and name in ("val", "test")}
    kept = [row for row, (group, name) in enumerate(zip(groups, names, strict=True)) if name != "unlabeled" or group not in held]
    if len(kept) == len(found):
        return found
    problems.note(f"{len(found) - len(kept)} unlabelled images left out: others of their {column!r} are in val or test")
    return found.take(np.array(kept))


def _without_labels(found: Annotations, problems: Problems) -> np.ndarray:
    """The splits, in which training images without any label are unlabelled."""
    train, splits = SPLITS.index("train"), found.splits.copy()
    known = np.zeros(len(found), bool)
    for labels in found.labels.values():
        known |= (labels != UNKNOWN).any(axis=1)
    splits[(splits == train) & ~known] = SPLITS.index("unlabeled")
    if not (splits == train).any():
        advice = f"; the first problem: {problems.found[0]}" if problems.found else ""
        problems.fatal(".", 0, f"no training images with a label{advice}")
    return splits


def described(root: Path, problems: Problems) -> Described:
    """What attributes.json says, nothing without that file."""
    if not (root / "attributes.json").is_file():
        return Described()
    found = _stream.whole(root, "attributes.json", problems)
    group = ""
    if isinstance(found, dict) and ("attribute_types" in found or isinstance(found.get("group"), str)):
        group = found.pop("group", "")
        if not isinstance(group, str):
            problems.fatal("attributes.json", 0, f"group is {group!r}, expected the name of a column")
        if not found:
            return Described(None, printable(group))
    types = found.get("attribute_types", found) if isinstance(found, dict) else None
    if not isinstance(types, dict) or not all(isinstance(facts, dict) for facts in types.values()):
        problems.fatal("attributes.json", 0, 'expected {"attribute_types": {"<type>": {"kind": "single", "values": [...]}}}')
    types = {printable(name): facts for name, facts in types.items()}
    for name, facts in types.items():
        if facts.get("kind", "single") not in ("single", "multi"):
            problems.fatal("attributes.json", 0, f"type {name!r} has kind {facts['kind']!r}, expected 'single' or 'multi'")
        if not isinstance(facts.get("values", []), list):
            problems.fatal("attributes.json", 0, f"type {name!r} has values {facts['values']!r}, expected a list")
    return Described(types, printable(group))


def _types(
    said: Described, rows: Sequence[Row], only: Sequence[str], problems: Problems
) -> tuple[list[AttributeType], dict[str, str], tuple[str, ...]]:
    """The attribute types, the column of each, and the columns that inference has left out."""
    said_by = "." if said.types is None else "attributes.json"
    names = dict.fromkeys(column for row in rows for column in row.cells if column and column not in _tables.RESERVED)
    if said.group and said.group not in names:
        problems.fatal("attributes.json", 0, f"group is column {said.group!r}, but there are {', '.join(names) or 'none'}")
    looked_at = [] if only or said.types is not None else [name for name in names if name != said.group]
    inferred, ignored = _inferred(looked_at, rows, problems)
    described = {name: {} for name in inferred} if said.types is None else said.types
    kinds, columns = [], {}
    for name, facts in ({name: described.get(name, {}) for name in only} if only else described).items():
        columns[name] = printable(str(facts.get("column", name)))
        if columns[name] not in names:
            problems.fatal(said_by, 0, f"type {name!r} reads column {columns[name]!r}, but there are {', '.join(names) or 'none'}")
        cells = [cell for row in rows if (cell := row.cells.get(columns[name], ""))]
        multi = facts["kind"] == "multi" if "kind" in facts else any(_tables.SEPARATOR in cell for cell in cells)
        classes = facts.get("values") or sorted({value for cell in cells for value in _values(cell)})
        if classes:
            kinds.append(attribute_type(name, list(map(str, classes)), exclusive=not multi, file=said_by, problems=problems))
    if not kinds and ignored:
        left_out = f"values hardly repeat or are all one in {', '.join(ignored)}"
        problems.fatal(".", 0, f"no attribute types; {left_out}; name types in attributes.json or --columns")
    if not kinds:
        problems.fatal(".", 0, f"no attribute types; metadata needs a column for each (there are {', '.join(names) or 'none'})")
    return kinds, columns, ignored


def _inferred(names: Sequence[str], rows: Sequence[Row], problems: Problems) -> tuple[list[str], tuple[str, ...]]:
    """The columns that look like types, and what is to be said of the others. Notes those that may tell articles apart."""
    kept, ignored = [], []
    for name in names:
        cells = [cell for row in rows if (cell := row.cells.get(name, ""))]
        uses = Counter(value for cell in cells for value in _values(cell))
        tells_apart = len(uses) > 1 or not all(map(_values, cells))  # a lone | says that the one value does not hold
        repeats = uses.total() >= _USES * len(uses) and len(uses) <= MAX_CLASSES
        if len(cells) < _FEW_ROWS or (repeats and tells_apart):
            kept.append(name)
            if len(uses) > _MANY and uses.total() < _FEW_USES * len(uses):
                facts = f"{len(uses)} classes, {uses.total() / len(uses):.1f} photos each"
                problems.note(f"{name} became a type of {facts}; if it tells articles apart, name it as group (--group-column {name})")
        else:
            ignored.append(f"{name} ({len(uses)} value{'s' * (len(uses) != 1)} in {len(cells)} rows)")
    return kept, tuple(ignored)


def _values(cell: str) -> list[str]:
    return [value for part in cell.split(_tables.SEPARATOR) if (value := part.strip())]


def _fill(labels: np.ndarray, kind: AttributeType, column: str, rows: Sequence[Row], whole: np.ndarray, problems: Problems) -> None:
    """Writes one type's labels (N, C); rows at fault are marked as not whole."""
    place = {value: index for index, value in enumerate(kind.classes)}
    for index, row in enumerate(rows):
        cell = row.cells.get(column, "")
        if not cell:
            continue
        values = _values(cell)
        strange = [value for value in values if value not in place]
        if strange or (kind.exclusive and len(values) != 1):
            fault = f"{strange[0]!r}, which attributes.json does not list" if strange else f"{cell!r}, but the type holds a single value"
            problems.add(row.file, row.line, f"{kind.name} is {fault}")
            whole[index] = False
            continue
        labels[index] = NEGATIVE
        labels[index, [place[value] for value in values]] = POSITIVE
