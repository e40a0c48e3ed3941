"""Validation and test images of a catalogue that has none of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.protocol import SPLITS
from datasets._schema import Problems, image_keys

HELD_OUT = 0.15  # share of train that stands in for a missing val or test


def held_out(paths: Sequence[str], splits: np.ndarray, problems: Problems) -> np.ndarray:
    """Fills an absent val and test from train: those whose paths hash lowest and highest. Raises BadDataError where there are too few."""
    train = SPLITS.index("train")
    absent = [name for name in ("val", "test") if not (splits == SPLITS.index(name)).any()]
    rows = np.flatnonzero(splits == train)
    if len(rows) <= len(absent):
        wanted = " and ".join({"val": "validation", "test": "test"}[name] for name in absent)
        advice = f"the first problem: {problems.found[0]}" if problems.found else f"label {len(absent) + 1} or more"
        problems.fatal(".", 0, f"{len(rows)} labelled training images are too few to hold {wanted} images out; {advice}")
    rows = rows[np.argsort(image_keys([paths[row] for row in rows.tolist()]), kind="stable")]
    count = max(1, round(HELD_OUT * len(rows)))
    lent = {"val": rows[:count], "test": rows[len(rows) - count :]}
    for name in absent:
        splits[lent[name]] = SPLITS.index(name)
    return splits
