"""Vest Neck Style: sleeveless tops by their neck, and other clothes as `other`; answers of a crowd in the generic layout."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datasets.runway.garment import Garment, sample_garment
from datasets.runway.layouts import Item, Mark, _crowd
from datasets.runway.layouts._generic import paths
from datasets.runway.scene import Domain
from datasets.runway.vocabulary import pick

__all__ = ["annotate", "label", "paths", "sample"]

SPLITS = ("train", "val", "test", "unlabeled")
DOMAIN = Domain(
    backgrounds="plain 11 studio 5 flat 4",
    presentations="mannequin 8 flat 5 body 3",
    aspect=(0.74, 0.96),
    quality=(74, 94),
    margin=(0.0, 0.06),
    blur=0.005,
    noise=0.9,
    light=0.14,
    occlusion=0.02,
    tilt=3.0,
    banner=0.06,
)
CLASSES = "v neck 26 crew neck 21 shirt collar 12 lapel 9 halter 9 square neck 7 hooded 5 strapless 4 band collar 2 other 5"
PATTERNS = "solid 70 stripe 12 check 6 flower 5 dot 4 leopard 3"
FABRICS = "cotton 6 knit 3 satin 1"
OTHERS = "skirt 3 trousers 3 shorts 2 jeans 2 dress 2 sweater 1 jacket 1"
_NECKS: Mapping[str, tuple[str, str]] = {  # class -> neck and weights of its closure
    "v neck": ("v", "none 3 single 2"),
    "crew neck": ("round", "none 1"),
    "shirt collar": ("shirt", "single 1"),
    "lapel": ("lapel", "single 3 double 1"),
    "halter": ("halter", "none 1"),
    "square neck": ("square", "none 1"),
    "hooded": ("hood", "zip 1"),
    "strapless": ("off-shoulder", "none 1"),
    "band collar": ("stand", "single 2 zip 1"),
}
_CLASS_OF = {neck: name for name, (neck, _) in _NECKS.items()}
_ALIKE = {
    "v neck": "crew neck", "crew neck": "v neck", "square neck": "crew neck", "halter": "v neck", "band collar": "shirt collar",
    "shirt collar": "lapel", "lapel": "v neck",
}  # fmt: skip


def sample(split: str, index: int, rng: random.Random) -> Garment:
    """A sleeveless top of a class, or something else."""
    name = _crowd.draw_class(split, index, rng, CLASSES)
    if name == "other":
        return sample_garment(rng, OTHERS, PATTERNS)
    neck, closure = _NECKS[name]
    garment = sample_garment(rng, "tank 1", PATTERNS)
    return replace(
        garment,
        neck=neck,
        closure=pick(rng, closure),
        fabric=pick(rng, FABRICS),
        details=garment.details - {"ruffle", "fringe"},
        hem=rng.uniform(0.62, 0.86),  # short, so that the neck fills the picture
        neck_width=rng.uniform(1.0, 1.3),
    )


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Column -> cell."""
    return _crowd.ask(_class_of(garment), CLASSES, _ALIKE, rng)


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """metadata.csv in each split that has photos, and attributes.json."""
    _crowd.annotate(root, items, CLASSES, _class_of)


def _class_of(garment: Garment) -> str:
    return _CLASS_OF[garment.neck] if garment.category == "tank" else "other"
