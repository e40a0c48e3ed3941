"""Apron Food Bib Pattern: aprons and baby's bibs by their pattern, and clothes as `other`; answers of a crowd in the generic layout."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway.garment import Garment, sample_garment
from datasets.runway.layouts import Item, Mark, _crowd
from datasets.runway.layouts._generic import paths
from datasets.runway.photo import Shot, take_photo
from datasets.runway.product import take_product
from datasets.runway.scene import Domain
from datasets.runway.swatch import sample_swatch

__all__ = ["annotate", "label", "paths", "sample", "take"]

SPLITS = ("train", "val", "test", "unlabeled")
DOMAIN = Domain(
    backgrounds="plain 11 studio 4 flat 4 shop 1",
    presentations="mannequin 4 body 6",
    aspect=(0.72, 0.96),
    quality=(72, 94),
    margin=(0.0, 0.15),
    blur=0.006,
    noise=1.0,
    light=0.15,
    tilt=4.0,
    banner=0.06,
)
CLASSES = "solid 26 floral 16 graphic 14 plaid 10 striped 9 polka dot 6 leopard 4 chevron 3 patched 2.5 trellis 2 paisley 1.5 other 5"
OTHERS = "tee 3 trousers 2 skirt 2 dress 1 sweater 1"
BIBS = 0.4  # share of bibs
_PATTERNS: Mapping[str, str] = {
    "solid": "solid", "floral": "flower", "graphic": "graphic", "plaid": "check", "striped": "stripe", "polka dot": "dot",
    "leopard": "leopard", "chevron": "zigzag", "patched": "patched", "trellis": "trellis", "paisley": "paisley",
}  # fmt: skip
_CLASS_OF = {pattern: name for name, pattern in _PATTERNS.items()}
_ALIKE = {
    "floral": "paisley", "paisley": "floral", "striped": "plaid", "plaid": "striped", "chevron": "striped", "trellis": "plaid",
    "patched": "plaid", "polka dot": "floral",
}  # fmt: skip


def sample(split: str, index: int, rng: random.Random) -> Garment:
    """An apron or a bib of a class, or a garment."""
    name = _crowd.draw_class(split, index, rng, CLASSES)
    if name == "other":
        return sample_garment(rng, OTHERS)
    bib = rng.random() < BIBS
    return sample_swatch(rng, _PATTERNS[name], "bib" if bib else "apron", rng.uniform(0.68, 0.8) if bib else rng.uniform(1.3, 1.6))


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Column -> cell."""
    return _crowd.ask(_class_of(garment), CLASSES, _ALIKE, rng)


def take(garment: Garment, long_side: int, seed: str) -> Shot:
    """A photo of the apron, the bib or the garment."""
    photographer = take_photo if _class_of(garment) == "other" else take_product
    return photographer(garment, DOMAIN, long_side, seed)


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """metadata.csv in each split that has photos, and attributes.json."""
    _crowd.annotate(root, items, CLASSES, _class_of)


def _class_of(garment: Garment) -> str:
    return _CLASS_OF[garment.pattern] if garment.category in ("apron", "bib") else "other"
