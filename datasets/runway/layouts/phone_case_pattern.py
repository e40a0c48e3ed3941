"""Phone Case Pattern: phone cases by their pattern, `inconclusive` where two lie over each other, and accessories as `other`; answers of a
crowd in the generic layout."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark, _crowd
from datasets.runway.layouts._generic import paths
from datasets.runway.photo import Shot
from datasets.runway.product import take_product
from datasets.runway.scene import Domain
from datasets.runway.swatch import sample_swatch

__all__ = ["annotate", "label", "paths", "sample", "take"]

SPLITS = ("train", "val", "test", "unlabeled")
DOMAIN = Domain(
    backgrounds="plain 14 studio 4 flat 2",
    presentations="flat 1",
    aspect=(0.72, 1.0),
    quality=(74, 94),
    margin=(0.02, 0.2),
    blur=0.006,
    noise=1.0,
    light=0.16,
    tilt=9.0,
    banner=0.08,
)
CLASSES = "solid 24 floral 16 graphic 13 striped 9 marble 8 polka dot 6 plaid 6 leopard 5 chevron 3 inconclusive 3.2 paisley 1.5 other 5"
_PATTERNS: Mapping[str, str] = {
    "solid": "solid", "floral": "flower", "graphic": "graphic", "striped": "stripe", "marble": "tie-dye", "polka dot": "dot",
    "plaid": "check", "leopard": "leopard", "chevron": "zigzag", "inconclusive": "mixed", "paisley": "paisley",
}  # fmt: skip
_CLASS_OF = {pattern: name for name, pattern in _PATTERNS.items()}
_ALIKE = {
    "floral": "paisley", "paisley": "floral", "striped": "plaid", "plaid": "striped", "chevron": "striped", "marble": "inconclusive",
    "inconclusive": "graphic", "polka dot": "floral",
}  # fmt: skip


def sample(split: str, index: int, rng: random.Random) -> Garment:
    """A phone case of a class, or an accessory."""
    name = _crowd.draw_class(split, index, rng, CLASSES)
    if name == "other":
        return sample_swatch(rng, "solid", "accessory", 1.0)
    return sample_swatch(rng, _PATTERNS[name], "phone case", 1.0)


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Column -> cell."""
    return _crowd.ask(_class_of(garment), CLASSES, _ALIKE, rng)


def take(garment: Garment, long_side: int, seed: str) -> Shot:
    """A photo of the case or the accessory."""
    return take_product(garment, DOMAIN, long_side, seed)


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """metadata.csv in each split that has photos, and attributes.json."""
    _crowd.annotate(root, items, CLASSES, _class_of)


def _class_of(garment: Garment) -> str:
    return _CLASS_OF[garment.pattern] if garment.category == "phone case" else "other"
