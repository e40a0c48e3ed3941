"""DARN, Dual Attribute-aware Ranking Network (Huang et al., ICCV 2015): about 214,619 shop and street photos, nine exclusive types.

Reads the layout of its public reader: `meta.json`; `filenames_{train,valid,test}.txt`, a path a line; `label_{train,valid,test}.txt`,
rows `<index into filenames> <attribute> <value> [<attribute> <value> ...]`; images in `pic/`. No file of the genuine set could be
looked at, so attributes and values may be numbers or names, numbers may count from 0 or from 1 (from 1 where the count itself occurs
and 0 does not; for images, in any of the splits), and meta.json may give value names or their number alone. Attributes that a row does
not name, and values -1, are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, Schema
from datasets import _stream
from datasets._paths import path_fault
from datasets._schema import MAX_CLASSES, Annotations, Problems, attribute_type, integer, printable, unknown_labels

REQUIRED = (
    "pic",
    "meta.json",
    "filenames_train.txt",
    "label_train.txt",
    "filenames_valid.txt",
    "label_valid.txt",
    "filenames_test.txt",
    "label_test.txt",
)
REQUEST = "the authors of 'Cross-domain Image Retrieval with a Dual Attribute-aware Ranking Network' (ICCV 2015)"
STANDIN = {
    "tiny": {"layout": "darn", "num": {"train": 6000, "val": 600, "test": 1200}, "long_side": 80, "seed": 0},
    "paper": {"layout": "darn", "num": {"train": 20000, "val": 2000, "test": 4000}, "long_side": 300, "seed": 0},
}
# the five classes of a pattern that data sets share, and what this one may call them; names that meta.json does not have do not count
SHARED = (
    "pattern",
    {
        "flower": ("flower", "flowers", "floral"),
        "stripe": ("stripe", "stripes", "striped"),
        "dot": ("dot", "dots", "polka dot"),
        "check": ("check", "checked", "lattice", "plaid"),
        "leopard": ("leopard", "leopard print"),
    },
)
FILE_NAMES = {"train": "train", "val": "valid", "test": "test"}


def read(root: Path, problems: Problems) -> Annotations:
    """Every listed image; those without a label row are unknown throughout."""
    schema = _schema(root, problems)
    paths: dict[str, tuple[str, int]] = {}
    splits: list[int] = []
    places: dict[str, list[int]] = {}  # split -> row of each line of its list, -1 where the line is refused
    for split, suffix in FILE_NAMES.items():
        file, places[split] = f"filenames_{suffix}.txt", []
        for line, text in _lines(root, file):
            path = text if text.startswith("pic/") else f"pic/{text}"
            fault = path_fault(text) or (f"{path} is listed twice, first in {paths[path][0]}:{paths[path][1]}" if path in paths else "")
            places[split].append(-1 if fault else len(paths))
            if fault:
                problems.add(file, line, fault)
                continue
            paths[path] = (file, line)
            splits.append(SPLITS.index(split))
    labels = unknown_labels(schema, len(paths))
    damaged = _fill(root, schema, places, labels, problems)
    files = tuple(f"filenames_{suffix}.txt" for suffix in FILE_NAMES.values())
    where_file = np.array([files.index(file) for file, _ in paths.values()], np.int16)
    where_line = np.array([line for _, line in paths.values()], np.int32)
    found = Annotations(schema, list(paths), np.array(splits, np.int8), labels, files, where_file, where_line)
    return found.take(np.setdiff1d(np.arange(len(paths)), damaged)) if damaged else found


def _schema(root: Path, problems: Problems) -> Schema:
    found = _described(_stream.whole(root, "meta.json", problems))
    if not found:
        problems.fatal("meta.json", 0, "names no attributes; expected a list of names and the number or names of each one's values")
    kinds = []
    for name, values in found.items():
        if isinstance(values, int) and values <= MAX_CLASSES:
            values = [str(number) for number in range(values)]
        if not isinstance(values, list) or not values:
            problems.fatal("meta.json", 0, f"attribute {name!r} has {values!r}, expected its values or their number")
        kinds.append(attribute_type(str(name), list(map(str, values)), exclusive=True, file="meta.json", problems=problems))
    return Schema(tuple(kinds))


def _described(meta: Any) -> Mapping[str, Any]:
    """attribute -> value names, or their number."""
    if isinstance(meta, list):
        return {str(item.get("name")): item.get("values", item.get("count")) for item in meta if isinstance(item, dict)}
    if not isinstance(meta, dict):
        return {}
    upper = {str(key).upper(): value for key, value in meta.items()}
    names = upper.get("ATTRIBUTES") or upper.get("ATTRIBUTE_NAMES")
    if isinstance(names, list) and names and isinstance(names[0], dict):
        return _described(names)
    for key in ("ATTRIBUTES_VALUES", "VALUES", "ATTRIBUTES_NUM", "ATTRIBUTE_COUNTS", "NUM_VALUES", "COUNTS"):
        values = upper.get(key)
        if isinstance(names, list) and isinstance(values, list) and len(values) == len(names):
            return dict(zip(map(str, names), values, strict=True))
        if isinstance(values, dict):
            return {str(name): values.get(name) for name in (names if isinstance(names, list) else values)}
    return names if isinstance(names, dict) else {} if names else meta


def _lines(root: Path, file: str) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not empty."""
    with open(root / file, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip():
                yield line, text.strip()


def _fill(root: Path, schema: Schema, places: dict[str, list[int]], labels: dict[str, np.ndarray], problems: Problems) -> list[int]:
    """Writes the label files into labels. Returns the rows whose line is damaged."""
    lines = {split: list(_lines(root, f"label_{suffix}.txt")) for split, suffix in FILE_NAMES.items()}
    values = _Values(schema, [text.split()[1:] for rows in lines.values() for _, text in rows])
    damaged: list[int] = []
    numbers = {split: {integer(text.split()[0]) for _, text in rows} for split, rows in lines.items()}
    reached = any(len(places[split]) in found for split, found in numbers.items())
    first = int(reached and not any(0 in found for found in numbers.values()))  # one for all: the last image of a split may lack a row
    for split, rows in lines.items():
        images, file = places[split], f"label_{FILE_NAMES[split]}.txt"
        for line, text in rows:
            index, *fields = text.split()
            row = -1
            try:
                row = _image(index, first, images)
                for name, column in values.pairs(fields) if row >= 0 else []:
                    if POSITIVE in labels[name][row] and labels[name][row, column] != POSITIVE:
                        raise ValueError(f"image {index} has another {name} in an earlier place")
                    labels[name][row] = NEGATIVE
                    labels[name][row, column] = POSITIVE
            except ValueError as failed:
                problems.add(file, line, str(failed))
                damaged += [row] if row >= 0 else []
    return damaged


def _image(index: str, first: int, images: list[int]) -> int:
    number = integer(index)
    if number is None or not 0 <= number - first < len(images):
        raise ValueError(f"image index {index!r}, expected a number from {first} to {len(images) - 1 + first}")
    return images[number - first]


def _first(numbers: set[int | None], count: int) -> int:
    """1 where numbers count up to count from 1, 0 where they may count from 0."""
    return int(count in numbers and 0 not in numbers)


def _plain(name: str) -> str:
    return printable(name).casefold().replace("_", " ").replace("-", " ")


class _Values:
    """Translates the attribute and value fields of a row."""

    def __init__(self, schema: Schema, rows: list[list[str]]) -> None:
        self._kinds = schema.types
        self._names = {_plain(kind.name): number for number, kind in enumerate(schema)}
        self._columns = [{_plain(value): column for column, value in enumerate(kind.classes)} for kind in schema]
        self._first_kind = _first({integer(field) for row in rows for field in row[::2]}, len(self._kinds))
        self._first_value = self._find_first_value(rows)

    def pairs(self, fields: list[str]) -> list[tuple[str, int]]:
        """(type, column) of each value that is known. Raises ValueError."""
        if len(fields) % 2:
            raise ValueError(f"{len(fields)} fields after the image's index, expected pairs of attribute and value")
        found = []
        for field, value in zip(fields[::2], fields[1::2], strict=True):
            kind = self._kind(field)
            if value != "-1":
                found.append((self._kinds[kind].name, self._column(kind, value)))
        return found

    def _kind(self, field: str) -> int:
        number = integer(field)
        kind = self._names.get(_plain(field), -1) if number is None else number - self._first_kind
        if not 0 <= kind < len(self._kinds):
            raise ValueError(f"attribute {field!r}, expected one of {', '.join(kind.name for kind in self._kinds)}, or its number")
        return kind

    def _column(self, kind: int, value: str) -> int:
        number = integer(value)
        column = self._columns[kind].get(_plain(value), -1) if number is None else number - self._first_value
        if not 0 <= column < len(self._columns[kind]):
            raise ValueError(f"{self._kinds[kind].name} {value!r}, which is none of the {len(self._columns[kind])} values in meta.json")
        return column

    def _find_first_value(self, rows: list[list[str]]) -> int:
        """1 where some attribute's values reach its count and no value is 0."""
        reached = False
        for row in rows:
            for field, value in zip(row[::2], row[1::2], strict=False):
                if value == "0":
                    return 0
                if not reached and (number := integer(value)) is not None:
                    try:
                        reached = number == len(self._columns[self._kind(field)])
                    except ValueError:
                        continue
        return int(reached)
