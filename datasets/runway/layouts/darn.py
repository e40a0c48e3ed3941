"""DARN, as its public reader expects it: nine exclusive types, shop and street photos without boxes.

filenames_{split}.txt has a path a line; label_{split}.txt has a row an image with at least one value, "<line> <type> <value> ...",
all counted from 0; meta.json names types and values. Clothes with sleeves and dresses only, as in the original."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain

SPLITS = ("train", "val", "test")
DOMAIN = Domain(
    backgrounds="shop 11 street 7 flat 2",
    presentations="body 6 mannequin 4",
    aspect=(0.78, 0.92),
    quality=(55, 85),
    margin=(0.0, 0.08),
    blur=0.005,
    noise=1.0,
    light=0.15,
    occlusion=0.06,
    tilt=3.0,
    banner=0.15,
)
CATEGORIES = "dress 20 tee 17 sweater 12 shirt 10 coat 9 jacket 8 blouse 8 hoodie 6 cardigan 5 down coat 4 blazer 3 tank 3"
PATTERNS = "solid 30 stripe 14 flower 11 graphic 9 check 10 dot 7 leopard 6 color-block 4 zigzag 2 tie-dye 1 camouflage 2"
WRONG = 0.03  # share of values that are a slip

TYPES: Mapping[str, tuple[str, ...]] = {
    "category": tuple(sorted(vocab.weights(CATEGORIES)[0])),
    "button": ("pullover", "single row", "double breasted", "zip", "open front"),
    "color": tuple(vocab.COLORS),
    "length": ("short", "regular", "mid", "long", "extra long"),
    "pattern": ("solid", "stripe", "flower", "graphic", "check", "dot", "leopard", "color block", "zigzag", "tie dye", "camouflage"),
    "shape": ("slim", "straight", "loose", "a-line", "cocoon"),
    "collar shape": ("round", "v-shape", "shirt", "lapel", "hooded", "stand", "off shoulder", "square", "halter"),
    "sleeve length": ("sleeveless", "short", "elbow", "long"),
    "sleeve shape": ("regular", "puff", "bell", "batwing", "raglan"),
}
_MISSING = {
    "category": 0.04, "button": 0.25, "color": 0.1, "length": 0.15, "pattern": 0.15, "shape": 0.15, "collar shape": 0.15,
    "sleeve length": 0.1, "sleeve shape": 0.05,
}  # fmt: skip
# further chance that the ordinary is left out
_UNREMARKED = {
    ("button", "pullover"): 0.55, ("length", "regular"): 0.35, ("pattern", "solid"): 0.55, ("shape", "straight"): 0.35,
    ("sleeve length", "long"): 0.4, ("sleeve shape", "regular"): 0.6,
}  # fmt: skip
_BUTTON = {"none": "pullover", "single": "single row", "double": "double breasted", "zip": "zip", "open": "open front"}
_COLLAR = {"v": "v-shape", "scoop": "round", "hood": "hooded", "turtle": "stand", "off-shoulder": "off shoulder"}
_LENGTH = {"crop": "short", "regular": "regular", "tunic": "mid", "mini": "mid", "midi": "long", "maxi": "extra long"}


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Type -> value, of those that somebody filled in."""
    truth = {
        "category": garment.category,
        "button": _BUTTON[garment.closure],
        "color": garment.color,
        "length": _LENGTH[garment.length],
        "pattern": garment.pattern.replace("-", " "),
        "shape": {"regular": "straight"}.get(garment.fit, garment.fit),
        "collar shape": _COLLAR.get(garment.neck, garment.neck),
        "sleeve length": garment.sleeve,
        "sleeve shape": garment.sleeve_shape,
    }
    found = {}
    for name, value in truth.items():
        if not value or rng.random() < _MISSING[name] or rng.random() < _UNREMARKED.get((name, value), 0.0):
            continue
        found[name] = rng.choice(TYPES[name]) if rng.random() < WRONG else value
    return found


def paths(items: Sequence[Item]) -> list[str]:
    """pic/train_000001.jpg and so on."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.split] += 1
        found.append(f"pic/{item.split}_{counts[item.split]:06d}.jpg")
    return found


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """filenames, labels and meta.json."""
    names = paths(items)
    for split in SPLITS:
        rows = [(name, item.labels) for name, item in zip(names, items, strict=True) if item.split == split]
        suffix = {"val": "valid"}.get(split, split)
        (root / f"filenames_{suffix}.txt").write_text("".join(f"{name}\n" for name, _ in rows), encoding="utf-8")
        lines = [f"{number} {_pairs(labels)}\n" for number, (_, labels) in enumerate(rows) if labels]
        (root / f"label_{suffix}.txt").write_text("".join(lines), encoding="utf-8")
    meta = {
        "ATTRIBUTES": list(TYPES),
        "ATTRIBUTES_NUM": {name: len(values) for name, values in TYPES.items()},
        "ATTRIBUTES_VALUES": {name: list(values) for name, values in TYPES.items()},
    }
    (root / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")


def _pairs(labels: Mapping[str, str]) -> str:
    return " ".join(f"{number} {TYPES[name].index(labels[name])}" for number, name in enumerate(TYPES) if name in labels)
