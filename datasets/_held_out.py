"""Validation and test images of a catalogue that has none of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.protocol import SPLITS
from datasets._schema import image_keys

HELD_OUT = 0.15  # share of train that stands in for a missing val or test


def held_out(paths: Sequence[str], splits: np.ndarray) -> np.ndarray:
    """Fills an absent val and test from train."""
    train, val, test = (SPLITS.index(name) for name in ("train", "val", "test"))
    rows = np.flatnonzero(splits == train)
    rows = rows[np.argsort(image_keys([paths[row] for row in rows.tolist()]), kind="stable")]
    count = max(1, round(HELD_OUT * len(rows))) if len(rows) > 2 else 0
    lent = {split: part for split, part in ((val, rows[:count]), (test, rows[len(rows) - count :])) if not (splits == split).any()}
    for split, part in lent.items():
        splits[part] = split
    return splits
