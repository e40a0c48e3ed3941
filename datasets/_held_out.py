"""Validation and test images of a catalogue that has none of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.protocol import SPLITS
from datasets._schema import Problems, image_keys

HELD_OUT = 0.15  # share of train that stands in for a missing val or test


def held_out(units: Sequence[str], splits: np.ndarray, problems: Problems, what: str = "images") -> np.ndarray:
    """Fills an absent val and test from train, by whole units: those that hash lowest and highest, near HELD_OUT of the images.

    units: of each image, its path or the group that must stay in one split. splits: int8 (N,), changed and returned. what: units, in the
    message of BadDataError, which is raised where there are too few of them."""
    absent = [name for name in ("val", "test") if not (splits == SPLITS.index(name)).any()]
    if not absent:
        return splits
    rows = np.flatnonzero(splits == SPLITS.index("train"))
    keys = image_keys([units[row] for row in rows.tolist()])
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
    parts = np.split(rows[order], starts[1:])  # the rows of each unit
    if len(parts) <= len(absent):
        wanted = " and ".join({"val": "validation", "test": "test"}[name] for name in absent)
        advice = f"the first problem: {problems.found[0]}" if problems.found else f"label {len(absent) + 1} or more"
        problems.fatal(".", 0, f"{len(parts)} labelled training {what} are too few to hold {wanted} images out; {advice}")
    share = max(1, round(HELD_OUT * len(rows)))
    for place, name in enumerate(absent):
        if name == "test":
            parts.reverse()
        taken = _near(list(map(len, parts)), share, most=len(parts) - len(absent) + place)
        splits[np.concatenate([parts[number] for number in taken])] = SPLITS.index(name)
        kept = set(range(len(parts))).difference(taken)
        parts = [parts[number] for number in sorted(kept)]
    return splits


def _near(sizes: Sequence[int], share: int, most: int) -> list[int]:
    """Which units make up a share of images: from the first on, each that brings their sum nearer to it; the smallest where none does."""
    taken, total = [], 0
    for number, size in enumerate(sizes):
        if total >= share or len(taken) == most:
            break
        if abs(total + size - share) < share - total:
            taken.append(number)
            total += size
    return taken or [min(range(len(sizes)), key=sizes.__getitem__)]
