"""Anybody's own catalogue: an image folder with metadata.csv in each split and attributes.json at the root.

Plain backgrounds, flat lays, mannequins; an empty cell is "not annotated", | joins the values of a multi-label."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain

SPLITS = ("train", "val", "test", "unlabeled")
DOMAIN = Domain(
    backgrounds="plain 12 studio 4 flat 4",
    presentations="mannequin 5 flat 8 body 4",
    aspect=(0.72, 0.82),
    quality=(80, 95),
    margin=(0.06, 0.22),
    blur=0.005,
    noise=0.8,
    light=0.14,
    occlusion=0.06,
    tilt=3.0,
)
CATEGORIES = "dress 15 tee 14 skirt 10 shirt 9 sweater 8 shorts 7 trousers 7 jacket 6 hoodie 6 jeans 5 blouse 5 coat 3 tank 3 jumpsuit 2"
PATTERNS = "solid 30 stripe 15 flower 12 graphic 8 check 9 dot 8 leopard 6 color-block 3 zigzag 2 tie-dye 2 camouflage 1"
WRONG = 0.03  # share of values that are a slip

KINDS: Mapping[str, str] = {"category": "single", "pattern": "single", "color": "single", "sleeve": "single", "details": "multi"}
VALUES: Mapping[str, tuple[str, ...]] = {
    "category": tuple(sorted(vocab.weights(CATEGORIES)[0])),
    "pattern": ("camouflage", "check", "color block", "dot", "flower", "graphic", "leopard", "solid", "stripe", "tie dye", "zigzag"),
    "color": tuple(sorted(vocab.COLORS)),
    "sleeve": ("elbow", "long", "short", "sleeveless"),
    "details": ("belt", "buttons", "fringe", "hood", "lapel", "pockets", "ruffle", "v neck", "zip"),
}
_MISSING = {"category": 0.02, "pattern": 0.1, "color": 0.1, "sleeve": 0.1}
_NAMED = 0.7  # chance that a detail is filled in


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Column -> cell."""
    truth = {"category": garment.category, "pattern": garment.pattern.replace("-", " "), "color": garment.color, "sleeve": garment.sleeve}
    cells = {}
    for name, value in truth.items():
        known = bool(value) and rng.random() >= _MISSING[name]
        cells[name] = (rng.choice(VALUES[name]) if rng.random() < WRONG else value) if known else ""
    cells["details"] = "|".join(sorted(name for name in _details(garment) if rng.random() < _NAMED))
    return cells


def _details(garment: Garment) -> list[str]:
    holds = {
        "belt": "belt" in garment.details,
        "buttons": garment.closure in ("single", "double"),
        "fringe": "fringe" in garment.details,
        "hood": garment.neck == "hood",
        "lapel": garment.neck == "lapel",
        "pockets": "pocket" in garment.details,
        "ruffle": "ruffle" in garment.details,
        "v neck": garment.neck == "v",
        "zip": garment.closure == "zip",
    }
    return [name for name, true in holds.items() if true]


def paths(items: Sequence[Item]) -> list[str]:
    """train/item_000001.jpg and so on."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.split] += 1
        found.append(f"{item.split}/item_{counts[item.split]:06d}.jpg")
    return found


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """metadata.csv in each split that has photos, and attributes.json."""
    names = [Path(path).name for path in paths(items)]
    for split in dict.fromkeys(item.split for item in items):
        columns = [] if split == "unlabeled" else list(KINDS)
        with (root / split / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["file_name", *columns])
            rows = zip(names, items, strict=True)
            writer.writerows([name, *(item.labels[column] for column in columns)] for name, item in rows if item.split == split)
    (root / "attributes.json").write_text(json.dumps(_about(items), indent=1) + "\n", encoding="utf-8")


def _about(items: Sequence[Item]) -> dict[str, object]:
    labelled = [item.labels for item in items if item.split != "unlabeled"]
    types = {}
    for name, kind in KINDS.items():
        counts = Counter(value for labels in labelled for value in labels[name].split("|") if value)
        counted = {value: counts[value] for value in VALUES[name]}
        filled = sum(bool(labels[name]) for labels in labelled)
        types[name] = {"kind": kind, "column": name, "values": list(VALUES[name]), "counts": counted, "rows_with_a_value": filled}
    return {
        "about": "rendered garments",
        "images": len(items),
        "splits": dict(sorted(Counter(item.split for item in items).items())),
        "separator": "|",
        "empty_cell": "unknown / not annotated (for kind=multi: no positive label)",
        "attribute_types": types,
    }
