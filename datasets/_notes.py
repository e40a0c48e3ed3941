"""What a person should know of a data set that is no fault of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from bench.protocol import SPLITS
from datasets._dataset import OpenDataset
from datasets._files import ImageError, ImageFiles
from datasets._schema import Annotations, printable

_JUDGING = frozenset(SPLITS.index(name) for name in ("val", "test"))
_SHOWN = 10  # pairs that are named


def notes(opened: OpenDataset) -> list[str]:
    """A line each."""
    return [*left_out(opened.annotations.ignored), *opened.notes, *twins(opened.annotations, opened._files)]


def left_out(ignored: Sequence[str]) -> list[str]:
    """A line on the columns that might have been types and are not, or none."""
    return [f"left out: {', '.join(ignored)}; attributes.json (or --columns of data import) makes them types"] if ignored else []


def twins(annotations: Annotations, files: ImageFiles) -> list[str]:
    """A line on each photo of val or test that is byte for byte one of another split, the first of them and their number. Only files of
    the same size are read."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for row in range(len(annotations)):
        by_size[files.size(annotations.paths[row])].append(row)
    found: list[str] = []
    for size, rows in by_size.items():
        splits = set(annotations.splits[rows].tolist())
        if size > 0 and len(splits) > 1 and splits & _JUDGING:
            found += _pairs(rows, annotations, files)
    more = [f"and {len(found) - _SHOWN} more such pairs"] if len(found) > _SHOWN else []
    return [*found[:_SHOWN], *more]


def _pairs(rows: Sequence[int], annotations: Annotations, files: ImageFiles) -> list[str]:
    """A line on each of these photos that has an equal one before it in another split, where one of the two is val or test."""
    seen: dict[bytes, dict[int, int]] = defaultdict(dict)  # digest -> split -> its first row
    lines = []
    for row in rows:
        split, path = int(annotations.splits[row]), annotations.paths[row]
        try:
            firsts = seen[hashlib.sha256(files.read(path)).digest()]
        except ImageError:
            continue
        others = [first for place, first in firsts.items() if place != split and {place, split} & _JUDGING]
        if others:
            one = f"{annotations.paths[others[0]]} ({SPLITS[annotations.splits[others[0]]]})"
            lines.append(printable(f"{one} and {path} ({SPLITS[split]}) are the same photo, byte for byte"))
        firsts.setdefault(split, row)
    return lines
