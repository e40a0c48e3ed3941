"""One file a layout: what its photos look like, how they are labelled, and how the labels lie on disk.

A layout is a module with
    DOMAIN      scene.Domain: how its photos look
    CATEGORIES  weights of the categories, as text; PATTERNS likewise
    SPLITS      the splits it has, of train, val, test and unlabeled
    label(garment, rng) -> labels                       what its annotators wrote down
    paths(items) -> one path an item, relative to the root
    annotate(root, items, marks) -> None                writes the annotation files
and, where the usual way does not do,
    sample(split, index, rng) -> Garment                instead of CATEGORIES and PATTERNS
    take(garment, long_side, seed) -> photo.Shot        instead of DOMAIN
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets.runway.garment import Garment
from datasets.runway.photo import Box, Landmark


@dataclass(frozen=True)
class Item:
    """A photo to be: seed draws all of it but the garment; labels are in the layout's own terms."""

    split: str
    seed: str
    garment: Garment
    labels: Any


@dataclass(frozen=True)
class Mark:
    """What is known of a photo once it is taken."""

    width: int
    height: int
    box: Box
    landmarks: tuple[Landmark, ...]
