"""JD AI Fashion-Challenge 2018, style recognition: 54,908 photos of women's clothes, 13 styles, any number of them on an image.

Reads `train.txt`, rows `imageID,imageURL,<13 x 0 or 1>` without a header, and `<imageID>.jpg` in `images/` (or `train/`, `img/`). The
challenge kept the labels of its test images, so all splits come from train.txt, 8:2 as in Wang & Zhong's report: an image is in the test
split where the hash of its id falls into the last fifth of its range, and in validation, which the report's test figures need too, where it
falls into the tenth before. An image keeps its split whatever else is in the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.protocol import NEGATIVE, POSITIVE, SPLITS, AttributeType, Schema
from datasets._paths import path_fault
from datasets._schema import Annotations, Problems, image_keys

REQUIRED = ("images|train|img", "train.txt")
REQUEST = "https://fashion-challenge.github.io/"
STANDIN = {
    "tiny": {"layout": "jdstyle", "num": {"train": 6000}, "long_side": 80, "seed": 0},
    "paper": {"layout": "jdstyle", "num": {"train": 20000}, "long_side": 300, "seed": 0},
}
STYLES = (
    "sports", "casual", "commuting", "japanese", "korean", "western", "british", "girls", "ladies", "simple", "natural", "street",
    "national",
)  # fmt: skip
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
_LIST = "train.txt"
_MARKS = {"0": NEGATIVE, "1": POSITIVE}
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def read(root: Path, problems: Problems) -> Annotations:
    """Every listed image."""
    folder = next((name for name in REQUIRED[0].split("|") if (root / name).is_dir()), "images")
    ids: dict[str, int] = {}  # imageID -> line
    marks: list[list[int]] = []
    with open(root / _LIST, encoding="utf-8-sig", errors="surrogateescape") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                name, values = _parse(text.strip(), ids)
            except ValueError as failed:
                problems.add(_LIST, line, str(failed))
                continue
            ids[name] = line
            marks.append(values)
    splits = split_of(list(ids))
    labels = {"style": np.array(marks, np.int8).reshape(-1, len(STYLES))}
    schema = Schema((AttributeType("style", STYLES, exclusive=False),))
    lines = np.array(list(ids.values()), np.int32)
    return Annotations(schema, [_file(name) for name in ids], splits, labels, (_LIST,), np.zeros(len(ids), np.int16), lines, folder=folder)


def split_of(ids: list[str]) -> np.ndarray:
    """int8 (N,), an index into SPLITS, by the hash of each id alone."""
    place = image_keys(ids) / 2.0**64  # in [0, 1]
    train, val, test = (SPLITS.index(name) for name in ("train", "val", "test"))
    later = np.where(place < 1 - TEST_SHARE, val, test)
    return np.where(place < 1 - TEST_SHARE - VALIDATION_SHARE, train, later).astype(np.int8)


def _parse(text: str, ids: dict[str, int]) -> tuple[str, list[int]]:
    """Id and labels of a row; the URL may hold commas. Raises ValueError."""
    name, *rest = (field.strip() for field in text.split(","))
    if len(rest) <= len(STYLES):
        raise ValueError(f"{len(rest) + 1} fields, expected an id, a URL and {len(STYLES)} labels")
    values = rest[-len(STYLES) :]
    for style, value in zip(STYLES, values, strict=True):
        if value not in _MARKS:
            raise ValueError(f"{style} is {value!r}, expected 0 or 1")
    if name in ids:
        raise ValueError(f"{name} is listed twice, first in line {ids[name]}")
    if not name:
        raise ValueError("the id is empty")
    if fault := path_fault(_file(name)):
        raise ValueError(fault)
    return name, [_MARKS[value] for value in values]


def _file(name: str) -> str:
    return name if name.lower().endswith(_IMAGES) else f"{name}.jpg"
