"""A contact sheet: photos of every layout with the attributes that were drawn, to judge the renderer by eye."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets.runway.garment import Garment
from datasets.runway.stand_in import layout_module, layouts, sample_thing, take_thing

_CAPTION_HEIGHT = 34


def contact_sheet(path: Path, *, names: Sequence[str] = (), rows: int = 2, columns: int = 7, long_side: int = 112, seed: int = 0) -> None:
    """Writes a PNG with rows of photos for each named layout (all where none is named), each with its attributes below."""
    strips = []
    for name in names or layouts():
        module = layout_module(name)
        cells = []
        for index in range(rows * columns):
            key = f"sheet/{name}/{seed}/{index}"
            garment = sample_thing(module, "train", index, random.Random(key))
            cells.append(_cell(take_thing(module, garment, long_side, key).image, garment, long_side))
        strips += [np.concatenate(cells[row * columns : (row + 1) * columns], 1) for row in range(rows)]
    sheet = Image.fromarray(np.concatenate(strips)).quantize(
        255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )  # a third of the bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _cell(image: np.ndarray, garment: Garment, long_side: int) -> np.ndarray:
    cell = np.full((long_side + _CAPTION_HEIGHT, long_side + 4, 3), 255, np.uint8)
    left = (long_side + 4 - image.shape[1]) // 2
    cell[: image.shape[0], left : left + image.shape[1]] = image
    lines = (
        f"{garment.color} {garment.pattern}",
        f"{garment.fabric} {garment.category}",
        ", ".join(word for word in (garment.neck, garment.sleeve, garment.sleeve_shape) if word) or ", ".join(sorted(garment.details)),
    )
    for row, line in enumerate(lines):
        cv2.putText(cell, line, (2, long_side + 9 + 11 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (30, 30, 30), 1, cv2.LINE_AA)
    return cell
