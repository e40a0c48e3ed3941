"""DeepFashion's fine-grained attributes: 26 of them in six groups, one of each group an image (Liu et al. 2016; the challenge of 2021).

Reads `Anno_fine/` of the official release (14,000/2,000/4,000 images; 26 values 0 or 1) and the challenge's copy (`img/` and `split/`,
5,000/1,000/1,000; six class numbers counted from 0, and no labels for test, which is then unknown throughout). Lists belong together by
row: `{train,val,test}.txt`, `_attr.txt` and `_bbox.txt`. Header lines and paths before the values, which one copy has, are recognised.
The second "pleated" of the challenge's table is lattice. Groups without a 1 are unknown. Categories and landmarks are not read. Boxes
hold their last pixel; lists in which no coordinate is 0 count from 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, UNKNOWN, AttributeType, Schema
from datasets._paths import path_fault
from datasets._schema import Annotations, Problems, unknown_labels

REQUIRED = (
    "Img/img|img",
    "Anno_fine/train.txt|split/train.txt",
    "Anno_fine/val.txt|split/val.txt",
    "Anno_fine/test.txt|split/test.txt",
    "Anno_fine/train_attr.txt|split/train_attr.txt",
    "Anno_fine/val_attr.txt|split/val_attr.txt",
    "Anno_fine/test_attr.txt|split/test_attr.txt|split/test.txt",
    "Anno_fine/train_bbox.txt|split/train_bbox.txt",
    "Anno_fine/val_bbox.txt|split/val_bbox.txt",
    "Anno_fine/test_bbox.txt|split/test_bbox.txt",
)
REQUEST = "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/AttributePrediction.html"
STANDIN = {
    "tiny": {"layout": "deepfashion26", "num": {"train": 4000, "val": 600, "test": 1200}, "long_side": 80, "seed": 0},
    "paper": {"layout": "deepfashion26", "num": {"train": 5000, "val": 1000, "test": 1000}, "long_side": 300, "seed": 0},
}
GROUPS = {
    "texture": ("floral", "graphic", "striped", "embroidered", "pleated", "solid", "lattice"),
    "sleeve": ("long_sleeve", "short_sleeve", "sleeveless"),
    "length": ("maxi_length", "mini_length", "no_dress"),
    "neckline": ("crew_neckline", "v_neckline", "square_neckline", "no_neckline"),
    "fabric": ("denim", "chiffon", "cotton", "leather", "faux", "knit"),
    "fit": ("tight", "loose", "conventional"),
}
_NUM_ATTRIBUTES = sum(map(len, GROUPS.values()))
_HEADER_LINES = 2  # at most, before the first row of data


def read(root: Path, problems: Problems) -> Annotations:
    """Every listed image with its box and, where there are any, its labels."""
    schema = Schema(tuple(AttributeType(name, classes, exclusive=True) for name, classes in GROUPS.items()))
    folder = "Anno_fine" if (root / "Anno_fine/train.txt").is_file() else "split"
    images = "Img" if (root / "Img").is_dir() else ""
    seen: dict[str, str] = {}
    parts = [_read_split(root, folder, split, seen, problems) for split in SPLITS[:3]]
    labels = unknown_labels(schema, sum(len(part.paths) for part in parts))
    values = np.concatenate([part.values for part in parts])  # (N, 6), the class of each group or -1
    for column, kind in enumerate(schema):
        known = values[:, column] >= 0
        marks = np.where(values[:, column, None] == np.arange(len(kind.classes)), POSITIVE, NEGATIVE)
        labels[kind.name][:] = np.where(known[:, None], marks, UNKNOWN)
    numbers = [len(part.paths) for part in parts]
    return Annotations(
        schema,
        [path for part in parts for path in part.paths],
        np.repeat(np.arange(3, dtype=np.int8), numbers),
        labels,
        tuple(f"{folder}/{split}.txt" for split in SPLITS[:3]),
        np.repeat(np.arange(3, dtype=np.int16), numbers),
        np.concatenate([part.lines for part in parts]),
        boxes=_half_open(np.concatenate([part.boxes for part in parts])),
        folder=images,
    )


@dataclass(frozen=True)
class _Split:
    """The sound rows of one split. values: int64 (N, 6). boxes: int32 (N, 4), as written. lines: int32 (N,) of the list of paths."""

    paths: list[str]
    values: np.ndarray
    boxes: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True)
class _Row:
    """A row of a list. name: the path before its values, if there is one. fields: its values as text."""

    line: int
    name: str
    fields: list[str]


def _read_split(root: Path, folder: str, split: str, seen: dict[str, str], problems: Problems) -> _Split:
    file = f"{folder}/{split}.txt"
    paths = _rows(root, file, (0,))
    attributes, boxes = f"{folder}/{split}_attr.txt", f"{folder}/{split}_bbox.txt"
    tables = {name: _rows(root, name, widths) for name, widths in ((attributes, (_NUM_ATTRIBUTES, len(GROUPS))), (boxes, (4,)))
              if name == boxes or split != "test" or (root / name).is_file()}  # fmt: skip
    for name, rows in tables.items():
        if len(rows) != len(paths):
            problems.fatal(name, 0, f"{len(rows)} rows, but {file} names {len(paths)} images; the lists belong together by row")
    kept: list[tuple[int, list[int], list[int]]] = []
    for place, row in enumerate(paths):
        fault = _path_fault(row, file, seen)
        if fault:
            problems.add(file, row.line, fault)
        values = _checked(tables, attributes, place, row.name, problems, _classes) if attributes in tables else [-1] * len(GROUPS)
        box = _checked(tables, boxes, place, row.name, problems, _box)
        if not fault and values is not None and box is not None:
            kept.append((place, values, box))
    return _Split(
        [paths[place].name for place, _, _ in kept],
        np.array([values for _, values, _ in kept], np.int64).reshape(-1, len(GROUPS)),
        np.array([box for _, _, box in kept], np.int32).reshape(-1, 4),
        np.array([paths[place].line for place, _, _ in kept], np.int32),
    )


def _rows(root: Path, file: str, widths: Sequence[int]) -> list[_Row]:
    """Rows in order, without empty lines and without header lines at the start. widths: how many values a row may have."""
    found: list[_Row] = []
    with open(root / file, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line, text in enumerate(stream, start=1):
            fields = text.split()
            if not fields:
                continue
            named = not _is_integer(fields[0])
            row = _Row(line, fields[0] if named else "", fields[named:])
            if found or line > _HEADER_LINES or (_looks_like_data(row) and len(row.fields) in widths):
                found.append(row)
    return found


def _looks_like_data(row: _Row) -> bool:
    return (not row.name or "." in row.name) and all(map(_is_integer, row.fields))


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _path_fault(row: _Row, file: str, seen: dict[str, str]) -> str:
    """What is wrong with a row of the list of paths, or an empty text."""
    if not row.name or row.fields:
        return f"{' '.join([row.name, *row.fields]).strip()!r}, expected one path"
    if row.name in seen:
        return f"{row.name} is listed twice, first in {seen[row.name]}"
    seen[row.name] = f"{file}:{row.line}"
    return path_fault(row.name)


def _checked(
    tables: dict[str, list[_Row]], file: str, place: int, path: str, problems: Problems, parse: Callable[[list[int]], list[int]]
) -> list[int] | None:
    """The numbers of a row, or None where it is at fault."""
    row = tables[file][place]
    try:
        if row.name and row.name != path:
            raise ValueError(f"{row.name}, but this row belongs to {path}")
        if not all(map(_is_integer, row.fields)):
            raise ValueError(f"{' '.join(row.fields)!r}, expected integers")
        numbers = parse([int(field) for field in row.fields])
    except ValueError as failed:
        problems.add(file, row.line, str(failed))
        return None
    return numbers


def _classes(values: list[int]) -> list[int]:
    """The class of each group, -1 where none is marked. Raises ValueError."""
    if len(values) == len(GROUPS):
        for value, (name, classes) in zip(values, GROUPS.items(), strict=True):
            if not -1 <= value < len(classes):
                raise ValueError(f"{name} is {value}, expected 0 to {len(classes) - 1}")
        return values
    if len(values) != _NUM_ATTRIBUTES:
        raise ValueError(f"{len(values)} values, expected {_NUM_ATTRIBUTES} of 0 and 1 or the {len(GROUPS)} classes of the groups")
    found, start = [], 0
    for name, classes in GROUPS.items():
        marks = values[start : start + len(classes)]
        start += len(classes)
        marked = [place for place, mark in enumerate(marks) if mark == 1]
        if not set(marks) <= {-1, 0, 1}:
            raise ValueError(f"{name} is {' '.join(map(str, marks))}, expected 0 and 1")
        if len(marked) > 1:
            raise ValueError(f"{name} is {', '.join(classes[place] for place in marked)}, expected one of them")
        found.append(marked[0] if marked else -1)
    return found


def _box(values: list[int]) -> list[int]:
    if len(values) != 4 or max(map(abs, values)) >= 2**30:
        raise ValueError(f"{' '.join(map(str, values))!r}, expected x1 y1 x2 y2")
    return values


def _half_open(boxes: np.ndarray) -> np.ndarray:
    """Corners that hold their last pixel, counted from 1 or from 0 -> half-open, counted from 0; all 0 where there is no area."""
    real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    first = 0 if (boxes[real, :2] == 0).any() else 1
    return np.where(real[:, None], boxes + np.array([-first, -first, 1 - first, 1 - first], np.int32), 0).astype(np.int32)
