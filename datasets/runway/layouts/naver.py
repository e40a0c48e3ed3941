"""The fashion set of the CS492(I) challenge: product photos of fine-grained classes, few of them labelled.

A class is a category in a shade; patterns vary within it. train/train_label has a header and rows <instance_id> <label> <file_name>, tabs
between; of each class the first LABELED pictures of the train split show their label, all others have -1. Pictures of the val split join
them, with their label. train/hidden_label has the same columns with every label: no official file, and for judging pseudo-labels alone.
test_data/test_meta.txt has the columns of train_label."""

from __future__ import annotations

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
    backgrounds="plain 5 flat 1",
    presentations="flat 3 mannequin 1",
    aspect=(0.9, 1.0),
    quality=(75, 92),
    margin=(0.02, 0.1),
    blur=0.003,
    noise=0.6,
    light=0.08,
    occlusion=0.02,
    tilt=2.0,
    banner=0.12,
)
CATEGORIES = "dress 5 tee 4 skirt 4 coat 5 hoodie 4 shorts 4 trousers 5 jumpsuit 4"
PATTERNS = "solid 12 stripe 2 flower 1 check 2 dot 1"
LABELED = 5  # of each class: one of them is for validation
SHADES: Mapping[str, tuple[str, ...]] = {
    "dark": ("black", "gray", "brown"),
    "white": ("white",),
    "cool": ("blue", "purple"),
    "warm": ("red", "pink", "orange"),
    "fresh": ("green", "yellow"),
}

CLASSES = tuple(f"{shade} {category}" for category in sorted(vocab.weights(CATEGORIES)[0]) for shade in SHADES)
_SHADE = {color: shade for shade, colors in SHADES.items() for color in colors}
_HEADER = "instance_id\tlabel\tfile_name\n"


def label(garment: Garment, rng: random.Random) -> int:
    """The class."""
    return CLASSES.index(f"{_SHADE[garment.color]} {garment.category}")


def paths(items: Sequence[Item]) -> list[str]:
    """train/train_data/0000001.jpg and so on."""
    return [f"{_folder(item)}/{name}" for item, name in zip(items, _names(items), strict=True)]


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """train_label, hidden_label and test_meta.txt."""
    shown: Counter[int] = Counter()
    files: dict[str, list[str]] = {"train/train_label": [], "train/hidden_label": [], "test_data/test_meta.txt": []}
    for item, name in zip(items, _names(items), strict=True):
        if item.split == "test":
            _add(files["test_data/test_meta.txt"], item.labels, name)
            continue
        shown[item.labels] += item.split == "train"
        known = item.split == "val" or shown[item.labels] <= LABELED
        _add(files["train/train_label"], item.labels if known else -1, name)
        _add(files["train/hidden_label"], item.labels, name)
    for file, rows in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(_HEADER + "".join(rows), encoding="utf-8")


def _add(rows: list[str], label: int, name: str) -> None:
    rows.append(f"{len(rows)}\t{label}\t{name}\n")


def _folder(item: Item) -> str:
    return "test_data" if item.split == "test" else "train/train_data"


def _names(items: Sequence[Item]) -> list[str]:
    """Numbered within each split, so that no split's names depend on another."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.split] += 1
        found.append(f"{item.split}_{counts[item.split]:07d}.jpg")
    return found
