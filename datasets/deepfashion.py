"""DeepFashion, Category and Attribute Prediction Benchmark (Liu et al., CVPR 2016): 289,222 images, 1,000 attributes, 46 categories.

Reads `Anno_coarse/` (older releases: `Anno/`), `Eval/list_eval_partition.txt` and `Img/img/`. Attributes are marked 1, -1 or 0;
0 stays unknown. Six types: the category, of which one holds, and texture, fabric, shape, part and style. Names in
`list_category_cloth.txt` that no image carries are left out: 46 of the 50 remain. Boxes hold their last pixel; a list in which no
coordinate is 0 counts from 1. Landmarks, whose list may be absent, count as boxes do; those marked occluded or cut off are not visible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, Schema
from datasets import _lists
from datasets._paths import path_fault
from datasets._schema import Annotations, Problems, attribute_type, integer, unknown_labels

REQUIRED = (
    "Img/img",
    "Anno_coarse/list_attr_cloth.txt|Anno/list_attr_cloth.txt",
    "Anno_coarse/list_attr_img.txt|Anno/list_attr_img.txt",
    "Anno_coarse/list_category_cloth.txt|Anno/list_category_cloth.txt",
    "Anno_coarse/list_category_img.txt|Anno/list_category_img.txt",
    "Anno_coarse/list_bbox.txt|Anno/list_bbox.txt",
    "Eval/list_eval_partition.txt",
)
OPTIONAL = ("Anno_coarse/list_landmarks.txt|Anno/list_landmarks.txt",)
REQUEST = "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/AttributePrediction.html"
STANDIN = {
    "tiny": {"layout": "deepfashion", "num": {"train": 6000, "val": 600, "test": 1200}, "long_side": 80, "seed": 0},
    "paper": {"layout": "deepfashion", "num": {"train": 20000, "val": 2000, "test": 4000}, "long_side": 300, "seed": 0},
}
# the five classes of a pattern that data sets share, and what this one may call them; names that its list does not have do not count
SHARED = (
    "texture",
    {
        "flower": ("floral", "floral print", "floral pattern", "ditsy floral", "ditsy floral print", "flower", "rose", "daisy"),
        "stripe": ("stripe", "stripes", "striped", "stripe print", "pinstripe", "pinstriped", "breton stripe", "breton", "nautical stripe"),
        "dot": ("dot", "dots", "dotted", "polka dot", "polka dots", "polka"),
        "check": ("check", "checked", "checkered", "plaid", "gingham", "tartan", "buffalo plaid", "tartan plaid", "grid", "grid print"),
        "leopard": ("leopard", "leopard print", "cheetah", "cheetah print"),
    },
)
_, ATTR_CLOTH, ATTR_IMG, CATEGORY_CLOTH, CATEGORY_IMG, BBOX, PARTITION = REQUIRED
(LANDMARKS,) = OPTIONAL
# clothes type (upper body, lower body, full body) -> the places of its landmarks among these eight: left and right collar, left and right
# sleeve, left and right waistline, left and right hem
PLACES = {"1": (0, 1, 2, 3, 6, 7), "2": (4, 5, 6, 7), "3": (0, 1, 2, 3, 4, 5, 6, 7)}
TYPES = {1: "texture", 2: "fabric", 3: "shape", 4: "part", 5: "style"}


def read(root: Path, problems: Problems) -> Annotations:
    """Every image of the evaluation partition with its labels and box."""
    rows = _Rows(root, problems)
    categories = [fields[0] for _, fields in _lists.numbered(root, rows.file(CATEGORY_CLOTH), problems, num_fields=2)]
    category = rows.integers(CATEGORY_IMG, 1, lambda values: _category_fault(values[0], len(categories)))[:, 0]
    corners = rows.integers(BBOX, 4)
    first = _first(corners)
    landmarks = rows.landmarks(first)
    attributes = _attributes(root, rows.file(ATTR_CLOTH), problems)
    used = [number for number in range(1, len(categories) + 1) if (category == number).any()]
    names = {"category": [categories[number - 1] for number in used], **attributes}
    listed = dict.fromkeys(names, rows.file(ATTR_CLOTH)) | {"category": rows.file(CATEGORY_CLOTH)}
    kinds = [
        attribute_type(name, list(names[name]), exclusive=name == "category", file=listed[name], problems=problems)
        for name in ("category", *TYPES.values())
        if name in names
    ]
    schema = Schema(tuple(kinds))
    labels = unknown_labels(schema, len(rows.paths))
    labels["category"][:] = np.where(category[:, None] == np.array(used, np.int32), POSITIVE, NEGATIVE)
    rows.fill(labels, attributes)
    where_file = np.zeros(len(rows.lines), np.int16)
    files = (rows.file(PARTITION),)
    facts = (schema, rows.paths, rows.splits, labels, files, where_file, rows.lines)
    found = Annotations(*facts, boxes=_half_open(corners, first), folder="Img", landmarks=landmarks)
    return found if rows.whole.all() else found.take(np.flatnonzero(rows.whole))


class _Rows:
    """The images of the partition, and the lines of the other lists that belong to them."""

    def __init__(self, root: Path, problems: Problems) -> None:
        self.root, self.problems = root, problems
        self.row: dict[str, int] = {}
        splits: list[int] = []
        lines: list[int] = []
        file = self.file(PARTITION)
        for line, (path, split) in _lists.rows(root, file, problems, num_fields=2):
            if fault := self._fault(path, split, lines):
                problems.add(file, line, fault)
                continue
            self.row[path] = len(lines)
            splits.append(SPLITS.index(split))
            lines.append(line)
        self.paths = list(self.row)
        self.splits, self.lines = np.array(splits, np.int8), np.array(lines, np.int32)
        self.whole = np.ones(len(lines), bool)

    def file(self, spelling: str) -> str:
        """The file of the alternatives that is there."""
        return _lists.existing(self.root, spelling)

    def _fault(self, path: str, split: str, lines: list[int]) -> str:
        if path in self.row:
            return f"{path} is listed twice, first in line {lines[self.row[path]]}"
        if split not in SPLITS[:3]:
            return f"split {split!r}, expected train, val or test"
        return path_fault(path)

    def integers(self, spelling: str, num: int, fault: Callable[[list[int]], str] = lambda values: "") -> np.ndarray:
        """int32 (N, num) of a list with num integers a row; rows without a good line are marked as not whole."""
        file, seen = self.file(spelling), np.zeros(len(self.paths), bool)
        found = np.zeros((len(self.paths), num), np.int32)
        for line, (path, *texts) in _lists.rows(self.root, file, self.problems, num_fields=num + 1):
            try:
                values = [int(text) for text in texts]
                message = fault(values) if max(map(abs, values)) < 2**30 else f"{' '.join(texts)!r} holds a number that is too large"
            except ValueError:
                message = f"{' '.join(texts)!r}, expected {num} integer{'s' * (num > 1)}"
            if message:
                self.problems.add(file, line, message)
            elif (row := self._position(file, line, path, seen)) is not None:
                found[row] = values
        self._close(file, seen)
        return found

    def fill(self, labels: dict[str, np.ndarray], attributes: dict[str, dict[str, int]]) -> None:
        """Writes the attribute list into labels."""
        file, seen = self.file(ATTR_IMG), np.zeros(len(self.paths), bool)
        columns = {name: np.array(list(classes.values()), np.int64) for name, classes in attributes.items()}
        for lines, paths, values in _lists.label_rows(self.root, file, self.problems, sum(map(len, columns.values()))):
            places = [self._position(file, line, path, seen) for line, path in zip(lines, paths, strict=True)]
            good = np.array([place is not None for place in places])
            rows = np.array([place for place in places if place is not None], np.int64)
            for name, column in columns.items():
                labels[name][rows] = values[good][:, column] if not good.all() else values[:, column]
        self._close(file, seen)

    def landmarks(self, first: int) -> np.ndarray | None:
        """int32 (N, 8, 3), x and y counted from 0; None where the list is absent or shows no landmark. first: what it counts from."""
        file, seen = self.file(LANDMARKS), np.zeros(len(self.paths), bool)
        if not (self.root / file).exists():
            return None
        found = np.zeros((len(self.paths), 8, 3), np.int32)
        for line, (path, *texts) in _lists.ragged_rows(self.root, file, self.problems):
            message, points = _points(texts)
            if message:
                self.problems.add(file, line, message)
            elif (row := self._position(file, line, path, seen)) is not None:
                found[row, PLACES[texts[0]]] = [(1, x - first, y - first) if visibility == 0 else (0, 0, 0) for visibility, x, y in points]
        self._close(file, seen)
        return found if found[..., 0].any() else None

    def _position(self, file: str, line: int, path: str, seen: np.ndarray) -> int | None:
        row = self.row.get(path)
        if row is None:
            self.problems.add(file, line, f"{path} is not in {self.file(PARTITION)}")
        elif seen[row]:
            self.problems.add(file, line, f"{path} is listed twice")
            return None
        else:
            seen[row] = True
        return row

    def _close(self, file: str, seen: np.ndarray) -> None:
        for row in np.flatnonzero(~seen):
            self.problems.add(self.file(PARTITION), int(self.lines[row]), f"{self.paths[row]} has no sound line in {file}")
        self.whole &= seen


def _attributes(root: Path, file: str, problems: Problems) -> dict[str, dict[str, int]]:
    """type -> attribute -> column of list_attr_img.txt."""
    found: dict[str, dict[str, int]] = {name: {} for name in TYPES.values()}
    for column, (line, (name, kind)) in enumerate(_lists.numbered(root, file, problems, num_fields=2)):
        if (number := integer(kind)) not in TYPES:
            problems.fatal(file, line, f"attribute type {kind!r}, expected 1 to 5")
        if found[TYPES[number]].setdefault(name, column) != column:
            problems.fatal(file, line, f"attribute {name!r} is listed twice")
    return {name: classes for name, classes in found.items() if classes}


def _category_fault(number: int, num_categories: int) -> str:
    return "" if 1 <= number <= num_categories else f"category {number}, expected 1 to {num_categories}"


def _points(texts: list[str]) -> tuple[str, list[tuple[int, int, int]]]:
    """What is wrong with the fields behind a path, or "", and the (visibility, x, y) in them. A variation may follow the clothes type."""
    if not texts or texts[0] not in PLACES:
        return f"clothes type {texts[0] if texts else ''!r}, expected 1, 2 or 3", []
    num, given = len(PLACES[texts[0]]), texts[1 + (len(texts) - 1) % 3 :]
    if len(given) != 3 * num or (len(texts) - 1) % 3 == 2:
        return f"{len(texts) - 1} fields behind clothes type {texts[0]}, expected {num} times visibility, x and y", []
    try:
        values = [int(text) for text in given]
    except ValueError:
        return f"{' '.join(given)!r}, expected {len(given)} integers", []
    points = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    for visibility, x, y in points:
        if visibility not in (0, 1, 2):
            return f"visibility {visibility}, expected 0, 1 or 2", []
        if max(abs(x), abs(y)) >= 2**31 - 1:
            return f"'{x} {y}' holds a number that is too large", []
    return "", points


def _real(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def _first(boxes: np.ndarray) -> int:
    """What the boxes' coordinates count from."""
    return 0 if (boxes[_real(boxes), :2] == 0).any() else 1


def _half_open(boxes: np.ndarray, first: int) -> np.ndarray:
    """Corners that hold their last pixel, counted from first -> half-open, counted from 0; all 0 where there is no area."""
    real = _real(boxes)
    return np.where(real[:, None], boxes + np.array([-first, -first, 1 - first, 1 - first], np.int32), 0).astype(np.int32)
