"""FiccY in the generic layout: clothes photographed by sellers, on plain grounds and mannequins, and by those who wear them.

Four types: category, pattern and texture, of which one holds, and color, of which a garment of two may have two. An empty cell is "not
annotated"; experts annotated, so slips are rare."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark, _generic
from datasets.runway.layouts._generic import paths
from datasets.runway.photo import Shot, take_photo
from datasets.runway.scene import Domain

__all__ = ["annotate", "label", "paths", "take"]

SPLITS = ("train", "val", "test", "unlabeled")
SELLER = Domain(
    backgrounds="plain 9 studio 4 flat 5",
    presentations="mannequin 7 flat 5 body 3",
    aspect=(0.74, 0.9),
    quality=(82, 96),
    margin=(0.03, 0.18),
    blur=0.004,
    noise=0.7,
    light=0.12,
    occlusion=0.02,
    tilt=2.5,
    banner=0.12,
)
WEARER = Domain(
    backgrounds="street 8 shop 7",
    presentations="body 1",
    aspect=(0.6, 0.78),
    quality=(60, 88),
    margin=(0.1, 0.32),
    light=0.2,
    occlusion=0.1,
    tilt=5.0,
)
SELLERS = 0.6  # share of photos that a seller took
CATEGORIES = (
    "dress 18 tee 14 blouse 10 sweater 9 skirt 8 trousers 7 cardigan 6 shirt 6 coat 5 jeans 4 jacket 4 shorts 4 hoodie 3 blazer 2 tank 2 "
    "jumpsuit 2 down coat 2 joggers 1 romper 1"
)
PATTERNS = "solid 36 flower 14 stripe 13 check 10 graphic 8 dot 7 leopard 5 color-block 3 zigzag 2 tie-dye 1.5 camouflage 1.5"
WRONG = 0.02  # share of values that are a slip

KINDS: Mapping[str, str] = {"category": "single", "color": "multi", "pattern": "single", "texture": "single"}
VALUES: Mapping[str, tuple[str, ...]] = {
    "category": tuple(sorted(vocab.weights(CATEGORIES)[0])),
    "color": tuple(sorted(vocab.COLORS)),
    "pattern": tuple(sorted(name.replace("-", " ") for name in vocab.weights(PATTERNS)[0])),
    "texture": ("chiffon", "cotton", "denim", "faux fur", "knit", "lace", "leather", "quilted", "satin", "sequin"),
}
_MISSING = {"category": 0.02, "color": 0.1, "pattern": 0.12, "texture": 0.25}
_UNREMARKED = {("pattern", "solid"): 0.5, ("texture", "cotton"): 0.4}  # further chance that the ordinary is left out
_MIXED = ("stripe", "check", "color-block", "dot")  # patterns whose second colour counts


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Column -> cell."""
    truth = {
        "category": {garment.category},
        "color": {garment.color} | ({vocab.nearest(garment.palette[0])} if garment.pattern in _MIXED else set()),
        "pattern": {garment.pattern.replace("-", " ")},
        "texture": {garment.fabric},
    }
    cells = {}
    for name, values in truth.items():
        unremarked = any(rng.random() < _UNREMARKED.get((name, value), 0.0) for value in sorted(values))
        given = sorted({rng.choice(VALUES[name]) if rng.random() < WRONG else value for value in sorted(values)})
        cells[name] = "" if unremarked or rng.random() < _MISSING[name] else "|".join(given)
    return cells


def take(garment: Garment, long_side: int, seed: str) -> Shot:
    """A photo by a seller or by a wearer."""
    domain = SELLER if random.Random(f"{seed}/who").random() < SELLERS else WEARER
    return take_photo(garment, domain, long_side, seed)


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """metadata.csv in each split that has photos, and attributes.json."""
    about = {name: {"kind": kind, "values": list(VALUES[name])} for name, kind in KINDS.items()}
    _generic.annotate(root, items, [item.labels for item in items], list(KINDS), about)
