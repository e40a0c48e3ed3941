"""What is in a data set, in figures and as a sheet of photos with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from bench.protocol import POSITIVE, SPLITS, UNKNOWN
from datasets._dataset import OpenDataset
from datasets._files import ImageError
from datasets._schema import Annotations, image_keys, printable

_FREQUENT = 5  # classes a type that are named
_SIDE, _GAP, _LINE, _COLUMNS = 160, 8, 13, 6  # of the sheet, pixels, and photos in a row
_FONT_SIZE, _LETTERS = 11, 26  # letters of a caption that fit


def summarize(annotations: Annotations, split: str = "") -> dict[str, Any]:
    """Images by split, and by type: classes, exclusive or not, labeled (images with a label), labels_per_image (of those), and the most
    frequent classes with their counts; and the columns that are no types. split: counts this one alone."""
    rows = _rows(annotations, split)
    counts = {name: int((annotations.splits[rows] == place).sum()) for place, name in enumerate(SPLITS)}
    types = []
    for kind in annotations.schema:
        labels = annotations.labels[kind.name][rows]
        known, positives = int((labels != UNKNOWN).any(axis=1).sum()), (labels == POSITIVE).sum(axis=0)
        order = np.argsort(-positives, kind="stable")[:_FREQUENT]
        types.append(
            {
                "name": kind.name,
                "classes": len(kind.classes),
                "exclusive": kind.exclusive,
                "labeled": known,
                "labels_per_image": float(positives.sum() / known) if known else 0.0,
                "most_frequent": [[kind.classes[place], int(positives[place])] for place in order if positives[place]],
            }
        )
    there = {name: count for name, count in counts.items() if count}
    return {"images": len(rows), "splits": there, "types": types, "ignored": list(annotations.ignored)}


def contact_sheet(opened: OpenDataset, split: str, count: int) -> tuple[Image.Image, list[str]]:
    """A picture of so many photos of a split (of all, where it is empty), each above its labels; and what is wrong with those that
    cannot be shown. The same photos every time: those whose paths hash lowest. A photo is cut to its box and keeps its shape."""
    annotations = opened.annotations
    rows = _rows(annotations, split)
    rows = rows[np.argsort(image_keys([annotations.paths[row] for row in rows.tolist()]), kind="stable")][:count]
    captions = [_caption(annotations, row) for row in rows.tolist()]
    cell = (_SIDE + _GAP, _SIDE + _GAP + _LINE * max([1, *map(len, captions)]))
    columns = min(_COLUMNS, max(1, len(rows)))
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, max(1, -(-len(rows) // columns)) * cell[1] + _GAP), "white")
    draw, font, faults = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE), []
    for place, (row, lines) in enumerate(zip(rows.tolist(), captions, strict=True)):
        left, top = _GAP + place % columns * cell[0], _GAP + place // columns * cell[1]
        try:
            photo = ImageOps.contain(Image.fromarray(opened.photo(row)), (_SIDE, _SIDE))
            sheet.paste(photo, (left + (_SIDE - photo.width) // 2, top + (_SIDE - photo.height) // 2))
        except ImageError as error:
            file, line = annotations.where(row)
            faults.append(printable(f"{file}:{line}: {error}" if line else f"{file}: {error}"))
            draw.rectangle((left, top, left + _SIDE - 1, top + _SIDE - 1), outline="red")
        for number, text in enumerate(lines):
            draw.text((left, top + _SIDE + 1 + number * _LINE), text, "black", font)
    return sheet, faults


def _rows(annotations: Annotations, split: str) -> np.ndarray:
    return np.flatnonzero(annotations.splits == SPLITS.index(split)) if split else np.arange(len(annotations))


def _caption(annotations: Annotations, row: int) -> Sequence[str]:
    """A line a type that is known of an image: its classes, cut to what fits."""
    lines = []
    for kind in annotations.schema:
        labels = annotations.labels[kind.name][row]
        if (labels != UNKNOWN).any():
            names = ", ".join(kind.classes[place] for place in np.flatnonzero(labels == POSITIVE)) or "none"
            text = printable(f"{kind.name}: {names}")
            lines.append(text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…")
    return lines or ["no label"]
