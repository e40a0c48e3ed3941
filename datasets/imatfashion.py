"""iMaterialist-Fashion 2018 (Guo et al., 2019): 1,012,947 catalogue and street photos, 228 attributes in eight groups, many an image.

Reads `train.json`, `validation.json` (also `val.json`) and `iMat_fashion_2018_label_map_228.csv`; ids may be spelled imageId, labelId or
image_id, label_id, as text or numbers. The lists name pictures by URL; they are expected as `images/<imageId>.jpg` or, where ids of the
two lists collide, as `images/train/<imageId>.jpg` and `images/validation/<imageId>.jpg`.

A group without any label on an image is unknown there; where it has one, the group's other classes are negative. The labels of the
official test set were never published: the official validation set is the test split here, and the images of train whose ids hash lowest
are validation, as many as the test split has, but at most one for ten that stay."""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, Schema
from datasets import _lists, _stream
from datasets._paths import path_fault
from datasets._schema import Annotations, Problems, attribute_type, image_keys, integer, unknown_labels

REQUIRED = ("images", "train.json", "validation.json|val.json", "iMat_fashion_2018_label_map_228.csv")
REQUEST = "https://github.com/visipedia/imat_fashion_comp"
STANDIN = {
    "tiny": {"layout": "imatfashion", "num": {"train": 6600, "test": 1200}, "long_side": 80, "seed": 0},
    "paper": {"layout": "imatfashion", "num": {"train": 22000, "test": 4000}, "long_side": 300, "seed": 0},
}
# the five classes of a pattern that data sets share, as this one names them
SHARED = (
    "pattern",
    {
        "flower": ("Floral",),
        "stripe": ("Stripes", "Pin Stripes"),
        "dot": ("Polka Dot",),
        "check": ("Checkered", "Plaid"),
        "leopard": ("Leopard And Cheetah",),
    },
)
_, TRAIN, VALIDATION, LABEL_MAP = REQUIRED
HEADER = ("labelId", "taskId", "labelName", "taskName")
MOST_HELD_OUT = 11  # validation is at most one image of so many of train.json


def read(root: Path, problems: Problems) -> Annotations:
    """Every image of both lists with its labels."""
    schema, columns = _label_map(root, problems)
    lists = [_List(root, TRAIN, "train", problems), _List(root, _lists.existing(root, VALIDATION), "validation", problems)]
    for each in lists:
        each.read(columns)
    if both := lists[0].rows.keys() & lists[1].rows.keys() if lists[0].folder == lists[1].folder else ():
        advice = "keep their pictures apart, in images/train/ and images/validation/"
        problems.fatal(lists[1].file, 0, f"{len(both)} ids, such as {min(both)}, are in {TRAIN} too; {advice}")
    paths = [f"{each.folder}/{name}.jpg" for each in lists for name in each.rows]
    files = tuple(each.file for each in lists)
    sizes = [len(each.rows) for each in lists]
    splits = np.repeat(np.array([SPLITS.index("train"), SPLITS.index("test")], np.int8), sizes)
    splits[_held_out(list(lists[0].rows), sizes[1])] = SPLITS.index("val")
    rows = np.concatenate([np.array(lists[0].row_of, np.int64), np.array(lists[1].row_of, np.int64) + sizes[0]])
    labels = _labels(schema, len(paths), rows, np.concatenate([np.array(each.label_of, np.int64) for each in lists]))
    where_file = np.repeat(np.arange(2, dtype=np.int16), sizes)
    found = Annotations(schema, paths, splits, labels, files, where_file, np.zeros(len(paths), np.int32))
    damaged = [*lists[0].damaged, *(row + sizes[0] for row in lists[1].damaged)]
    return found.take(np.setdiff1d(np.arange(len(paths)), damaged)) if damaged else found


class _List:
    """One JSON file: its images, and the labels that it gives them."""

    def __init__(self, root: Path, file: str, name: str, problems: Problems) -> None:
        self.root, self.file, self.problems = root, file, problems
        self.folder = f"images/{name}" if (root / "images" / name).is_dir() else "images"
        self.rows: dict[str, int] = {}  # id -> row
        self.row_of, self.label_of = array("i"), array("I")  # of each label: its image's row, its place among all labels
        self.damaged: set[int] = set()

    def read(self, columns: dict[str, int]) -> None:
        """columns: label id -> place among all labels."""
        early: list[tuple[int, Any]] = []  # annotations before their image
        seen: set[int] = set()
        for name, index, entry in _stream.elements(self.root, self.file, self.problems):
            if name == "images":
                self._add_image(index, entry)
            elif name == "annotations" and not self._annotate(index, entry, columns, seen):
                early.append((index, entry))
        for index, entry in early:
            if not self._annotate(index, entry, columns, seen):
                self._fault("annotations", index, f"image {_field(entry, 'image')!r} is not among the images")

    def _add_image(self, index: int, entry: Any) -> None:
        name = _text(_field(entry, "image"))
        if fault := _id_fault(name) or (f"image {name} is listed twice" if name in self.rows else ""):
            self._fault("images", index, fault)
        else:
            self.rows[name] = len(self.rows)

    def _annotate(self, index: int, entry: Any, columns: dict[str, int], seen: set[int]) -> bool:
        """Keeps an annotation's labels, or says what is wrong with it; False where its image is not known."""
        row = self.rows.get(_text(_field(entry, "image")))
        if row is None:
            return False
        labels = _field(entry, "label")
        names = [_text(label) for label in labels] if isinstance(labels, list) else []
        strange = [name for name in names if name not in columns]
        if row in seen:
            self._fault("annotations", index, f"image {_field(entry, 'image')} is annotated twice")
        elif strange or not isinstance(labels, list):
            fault = f"label {strange[0]!r} is not in {LABEL_MAP}" if strange else f"labelId is {labels!r}, expected a list of ids"
            self._fault("annotations", index, fault)
            self.damaged.add(row)
        else:
            self.row_of.extend([row] * len(names))
            self.label_of.extend([columns[name] for name in names])
        seen.add(row)
        return True

    def _fault(self, name: str, index: int, message: str) -> None:
        self.problems.add(self.file, 0, f"{name}[{index}]: {message}")


def _field(entry: Any, name: str) -> Any:
    """An id by either spelling, such as imageId and image_id; None without one."""
    return entry.get(f"{name}Id", entry.get(f"{name}_id")) if isinstance(entry, dict) else None


def _text(value: Any) -> str:
    """An id as text; empty where it is neither a text nor a whole number."""
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _id_fault(name: str) -> str:
    if not name:
        return "has no imageId"
    return path_fault(name) or (f"imageId {name!r} names a folder" if "/" in name or "\\" in name else "")


def _label_map(root: Path, problems: Problems) -> tuple[Schema, dict[str, int]]:
    """The types, by the numbers of their tasks, and label id -> place among the classes of all types."""
    tasks: dict[int, tuple[str, dict[str, str]]] = {}  # number -> name, and label id -> label
    seen: set[str] = set()
    with open(root / LABEL_MAP, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = _csv_rows(stream, problems)
        _, first = next(rows, (1, []))
        header = [column.strip() for column in first]
        if sorted(header) != sorted(HEADER):
            problems.fatal(LABEL_MAP, 1, f"columns {', '.join(header) or 'none'}, expected {', '.join(HEADER)}")
        for line, fields in rows:
            cells = dict(zip(header, map(str.strip, fields), strict=False))
            task = integer(cells["taskId"]) if len(fields) == len(HEADER) and all(cells.values()) else None
            if task is None:
                problems.fatal(LABEL_MAP, line, f"{','.join(fields)!r}, expected {', '.join(HEADER)}")
            if cells["labelId"] in seen:
                problems.fatal(LABEL_MAP, line, f"label {cells['labelId']} is listed twice")
            seen.add(cells["labelId"])
            tasks.setdefault(task, (cells["taskName"], {}))[1][cells["labelId"]] = cells["labelName"]
    ordered = [tasks[number] for number in sorted(tasks)]
    kinds = tuple(attribute_type(name, _distinct(labels), exclusive=False, file=LABEL_MAP, problems=problems) for name, labels in ordered)
    if not kinds or len({kind.name for kind in kinds}) < len(kinds):
        problems.fatal(LABEL_MAP, 0, "two tasks have the same name" if kinds else "holds no labels")
    return Schema(kinds), {number: place for place, number in enumerate(number for _, labels in ordered for number in labels)}


def _csv_rows(stream: TextIO, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of the rows that are not empty."""
    reader = csv.reader(stream)
    try:
        for fields in filter(None, reader):
            yield reader.line_num, fields
    except csv.Error as failed:
        problems.fatal(LABEL_MAP, reader.line_num, f"{failed}; a quotation mark may be missing")


def _distinct(labels: dict[str, str]) -> tuple[str, ...]:
    """The labels' names; one that occurs twice in its task carries its number."""
    counts = Counter(labels.values())
    return tuple(name if counts[name] == 1 else f"{name} ({number})" for number, name in labels.items())


def _labels(schema: Schema, num_images: int, rows: np.ndarray, places: np.ndarray) -> dict[str, np.ndarray]:
    """rows, places: int64 (L,), the image of each label and its place among all classes."""
    labels, first = unknown_labels(schema, num_images), 0
    for kind in schema:
        own = (places >= first) & (places < first + len(kind.classes))
        labels[kind.name][np.unique(rows[own])] = NEGATIVE
        labels[kind.name][rows[own], places[own] - first] = POSITIVE
        first += len(kind.classes)
    return labels


def _held_out(names: list[str], num_test: int) -> np.ndarray:
    """Rows of train.json for validation: those whose ids hash lowest."""
    count = min(num_test, len(names) // MOST_HELD_OUT)
    return np.argsort(image_keys(names), kind="stable")[:count]
