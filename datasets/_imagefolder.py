"""Reads the generic layout, an image folder with metadata or a folder per class; datasets/folder.py says what it looks like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, AttributeType, Schema
from datasets import _stream, _tables
from datasets._paths import LINK, leads_out, path_fault
from datasets._schema import Annotations, Problems, attribute_type, image_keys, printable, unknown_labels

FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
SPLIT_OF = {name: split for split, names in FOLDERS.items() for name in names}
HELD_OUT = 0.15  # share of train that stands in for a missing val or test
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
_NO_TYPE = ("file_name", "split")
_FEW_ROWS = 50  # so few rows say nothing about whether values repeat


@dataclass(frozen=True)
class Row:
    """An image: its path below the root, where it is listed, and what its metadata says."""

    path: str
    split: str
    file: str
    line: int
    cells: dict[str, str]


def sources(root: Path) -> list[str]:
    """What read depends on, relative to root: files, and the folders that it lists. A split's folder that lies elsewhere is not entered."""
    folders = _split_folders(root)
    if any(leads_out(root, folder) for folder in folders):
        return list(folders)
    tables = [path for folder in (*folders, ".") if (path := _tables.find(root / folder))]
    listed = [folder for folder, split in folders.items() if split == "unlabeled"] if tables else ["."]
    deep = [Path(parent).relative_to(root).as_posix() for folder in listed for parent, _, _ in os.walk(root / folder)]
    found = [".", *folders, *sorted(deep), *(path.relative_to(root).as_posix() for path in tables)]
    return list(dict.fromkeys([*found, *(["attributes.json"] if (root / "attributes.json").is_file() else [])]))


def read(root: Path, problems: Problems, *, only: Sequence[str] = (), prepare: Callable[[Row], Row] | None = None) -> Annotations:
    """Every image of the catalogue.

    only: the attribute types that are read, in this order, each of which must be there; where it is empty, every column that looks like
    one. prepare: changes a row before its cells are looked at."""
    rows = [prepare(row) if prepare else row for row in rows_of(root, problems)]
    return annotate(rows, _described(root, problems), only, problems)


def annotate(rows: Sequence[Row], described: Mapping[str, dict[str, Any]] | None, only: Sequence[str], problems: Problems) -> Annotations:
    """What rows say. described: the types as attributes.json gives them, None without that file; only: as in read."""
    if not any(row.split == "train" for row in rows):
        advice = (
            f"the first problem: {problems.found[0]}"
            if problems.found
            else "add train/metadata.csv, or a split column with 'train' to metadata.csv"
        )
        problems.fatal(".", 0, f"no training images; {advice}")
    kinds, columns = _types(described, rows, only, problems)
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
    splits = _held_out(paths, np.array([SPLITS.index(row.split) for row in rows], np.int8))
    found = Annotations(schema, paths, splits, labels, files, where_file, where_line)
    return found if whole.all() else found.take(np.flatnonzero(whole))


def rows_of(root: Path, problems: Problems) -> list[Row]:
    """Every listed image, each once."""
    return list(unique(_rows(root, problems), problems))


def _split_folders(root: Path) -> dict[str, str]:
    """Name of each split's folder -> split."""
    return {path.name: SPLIT_OF[path.name.lower()] for path in sorted(root.iterdir()) if path.name.lower() in SPLIT_OF and path.is_dir()}


def _rows(root: Path, problems: Problems) -> Iterator[Row]:
    folders = _split_folders(root)
    for folder in folders:
        if leads_out(root, folder):
            problems.fatal(folder, 0, LINK)
    tables = {folder: table for folder in folders if (table := _tables.find(root / folder))}
    if tables:
        for folder, split in folders.items():
            yield from _folder_rows(root, folder, split, tables.get(folder), problems)
    elif table := _tables.find(root):
        yield from listed(_tables.rows(table, table.name, problems), table.name, problems)
        yield from (row for folder, split in folders.items() if split == "unlabeled" for row in _images(root, folder, split, {}))
    else:
        for folder, split in (folders or {".": "train"}).items():
            yield from _class_rows(root, folder, split, problems)


def _folder_rows(root: Path, folder: str, split: str, table: Path | None, problems: Problems) -> Iterator[Row]:
    """A split folder with metadata; its split column, if any, does not count."""
    if table is None:
        images = list(_images(root, folder, split, {}))
        if images and split != "unlabeled":
            problems.fatal(folder, 0, "holds images but no metadata.csv, .jsonl or .parquet, which the other folders have")
        yield from images
        return
    name = f"{folder}/{table.name}"
    for line, cells in _tables.rows(table, name, problems):
        if fault := path_fault(cells["file_name"]):
            problems.add(name, line, fault)
        else:
            yield Row(f"{folder}/{cells['file_name']}", split, name, line, {} if split == "unlabeled" else cells)


def listed(lines: Iterable[tuple[int, dict[str, str]]], name: str, problems: Problems) -> Iterator[Row]:
    """The rows of one table for all splits, with its name in messages."""
    for line, cells in lines:
        split = cells.get("split", "train")
        if fault := path_fault(cells["file_name"]):
            problems.add(name, line, fault)
        elif split.lower() not in SPLIT_OF:
            problems.add(name, line, f"split {split!r}, expected {', '.join(SPLITS)}")
        else:
            found = SPLIT_OF[split.lower()]
            yield Row(cells["file_name"], found, name, line, {} if found == "unlabeled" else cells)


def _class_rows(root: Path, folder: str, split: str, problems: Problems) -> Iterator[Row]:
    classes = _class_folders(root / folder)
    loose = list(_images(root, folder, split, {}, deep=False))
    if split == "unlabeled":
        yield from loose
    elif loose:
        problems.add(folder, 0, f"{len(loose)} images, such as {loose[0].path}, lie in no class folder; describe them in metadata.csv")
    for path in classes:
        name = str(path.relative_to(root))
        if leads_out(root, name):
            problems.add(name, 0, LINK)
            continue
        yield from _images(root, name, split, {} if split == "unlabeled" else {"class": printable(path.name)})


def _class_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(root: Path, folder: str, split: str, cells: dict[str, str], *, deep: bool = True) -> Iterator[Row]:
    """The image files below a folder, sorted; folders that are symbolic links are not entered."""
    found = []
    for parent, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        found += [Path(parent, name) for name in names if name.lower().endswith(IMAGES) and not name.startswith(".")]
    for path in sorted(found):
        yield Row(path.relative_to(root).as_posix(), split, folder, 0, cells)


def unique(rows: Iterable[Row], problems: Problems) -> Iterator[Row]:
    """The rows whose image no earlier one lists."""
    seen: dict[str, Row] = {}
    for row in rows:
        first = seen.setdefault(os.path.normpath(row.path), row)
        if first is row:
            yield row
        else:
            problems.add(row.file, row.line, f"{row.path} is listed twice, first in {first.file}:{first.line}")


def _types(
    described: Mapping[str, dict[str, Any]] | None, rows: Sequence[Row], only: Sequence[str], problems: Problems
) -> tuple[list[AttributeType], dict[str, str]]:
    """The attribute types, and the column of each."""
    said_by = "." if described is None else "attributes.json"
    names = dict.fromkeys(column for row in rows for column in row.cells if column not in _NO_TYPE)
    if described is None:
        described = {name: {} for name in names if only or _repeats([row.cells.get(name, "") for row in rows])}
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
    if not kinds:
        problems.fatal(".", 0, f"no attribute types; metadata needs a column for each (there are {', '.join(names) or 'none'})")
    return kinds, columns


def _described(root: Path, problems: Problems) -> dict[str, dict[str, Any]] | None:
    """type -> kind, values and column as attributes.json gives them; None without that file."""
    if not (root / "attributes.json").is_file():
        return None
    found = _stream.whole(root, "attributes.json", problems)
    types = found.get("attribute_types", found) if isinstance(found, dict) else None
    if not isinstance(types, dict) or not all(isinstance(facts, dict) for facts in types.values()):
        problems.fatal("attributes.json", 0, 'expected {"attribute_types": {"<type>": {"kind": "single", "values": [...]}}}')
    types = {printable(name): facts for name, facts in types.items()}
    for name, facts in types.items():
        if facts.get("kind", "single") not in ("single", "multi"):
            problems.fatal("attributes.json", 0, f"type {name!r} has kind {facts['kind']!r}, expected 'single' or 'multi'")
        if not isinstance(facts.get("values", []), list):
            problems.fatal("attributes.json", 0, f"type {name!r} has values {facts['values']!r}, expected a list")
    return types


def _repeats(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and (len(filled) < _FEW_ROWS or len(set(filled)) <= len(filled) / 2)


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


def _held_out(paths: Sequence[str], splits: np.ndarray) -> np.ndarray:
    """Fills an absent val and test from train."""
    train, val, test = (SPLITS.index(name) for name in ("train", "val", "test"))
    rows = np.flatnonzero(splits == train)
    rows = rows[np.argsort(image_keys([paths[row] for row in rows.tolist()]), kind="stable")]
    count = max(1, round(HELD_OUT * len(rows))) if len(rows) > 2 else 0
    lent = {split: part for split, part in ((val, rows[:count]), (test, rows[len(rows) - count :])) if not (splits == split).any()}
    for split, part in lent.items():
        splits[part] = split
    return splits
