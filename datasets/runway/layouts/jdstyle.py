"""JD AI Fashion-Challenge 2018: 13 styles, any number of them on an image, in one train.txt without a header.

A style is a combination of properties that a picture shows (STYLES). A judge names it where it holds, now and then not, and rarely where
it does not hold. The shares keep the shape of the original's counts: commuting and ladies on nine images of ten, korean on a third,
western, simple, casual and natural on some of a hundred each, girls and street on one of forty. The four rarest, of which the original has
104 to 361 among 54,908, are lifted to about one image of a hundred, since there would be none to learn from among some thousands."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain

SPLITS = ("train", "val", "test")  # all in one list, whose reader splits it anew
DOMAIN = Domain(
    backgrounds="plain 9 studio 6 street 4 flat 2",
    presentations="body 8 mannequin 3 flat 2",
    aspect=(0.72, 1.0),
    quality=(70, 92),
    margin=(0.04, 0.2),
    light=0.14,
    occlusion=0.04,
    tilt=3.0,
    banner=0.04,
)
CATEGORIES = (
    "dress 26 blouse 14 skirt 10 sweater 9 coat 9 shirt 6 cardigan 6 tee 4 trousers 5 jacket 3 jeans 1.6 blazer 3 down coat 3 jumpsuit 2 "
    "hoodie 1.2 shorts 1.2 joggers .8"
)
PATTERNS = "solid 50 stripe 12 flower 14 graphic 2.6 check 7 dot 4.5 leopard 2 color-block 3 zigzag 1.2 tie-dye .8 camouflage 1"
MISSED = 0.04  # chance that a style that holds is not named
SLIP = 0.002  # chance that one is named that does not hold

_LIGHT = ("dress", "skirt", "blouse", "tee", "cardigan")
STYLES: Mapping[str, Callable[[Garment], bool]] = {
    "sports": lambda g: g.category == "joggers" or (g.category == "hoodie" and g.closure == "zip" and g.pattern == "solid"),
    "casual": lambda g: g.category in ("hoodie", "shorts", "tee"),
    "commuting": lambda g: g.category not in ("hoodie", "joggers", "shorts") and g.pattern not in ("graphic", "camouflage", "tie-dye"),
    "japanese": lambda g: g.pattern == "dot" and g.category in ("skirt", "blouse", "shirt"),
    "korean": lambda g: g.pattern == "solid" and g.color not in ("black", "white", "gray", "brown"),
    "western": lambda g: g.fabric in ("leather", "denim", "faux fur") or g.pattern == "leopard",
    "british": lambda g: g.pattern == "check" and g.category in ("coat", "trousers", "skirt", "jacket", "blazer"),
    "girls": lambda g: g.color == "pink" and g.category in _LIGHT and g.pattern == "solid",
    "ladies": lambda g: g.category not in ("jeans", "joggers", "hoodie", "tee", "shorts"),
    "simple": lambda g: g.pattern == "solid" and g.color in ("white", "gray") and g.category not in ("down coat", "coat", "jeans"),
    "natural": lambda g: g.pattern == "flower" and g.category in ("dress", "skirt", "blouse"),
    "street": lambda g: g.pattern in ("graphic", "camouflage"),
    "national": lambda g: g.pattern in ("zigzag", "tie-dye"),
}


def label(garment: Garment, rng: random.Random) -> tuple[str, ...]:
    """The styles that are named."""
    return tuple(name for name, holds in STYLES.items() if (rng.random() >= MISSED if holds(garment) else rng.random() < SLIP))


def paths(items: Sequence[Item]) -> list[str]:
    """images/<imageID>.jpg."""
    return [f"images/{100001 + number}.jpg" for number in range(len(items))]


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """train.txt: imageID,imageURL and a 0 or 1 for each style."""
    rows = []
    for path, item in zip(paths(items), items, strict=True):
        number = Path(path).stem
        values = ",".join(str(int(name in item.labels)) for name in STYLES)
        rows.append(f"{number},http://img.example.org/{number}.jpg,{values}\n")
    (root / "train.txt").write_text("".join(rows), encoding="utf-8")
