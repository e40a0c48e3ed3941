"""What the three sets with labels of a crowd share: how classes are drawn, how people answer, and the files.

Three people look at a photo. Each is right with the chance RIGHT; a wrong answer is mostly the class that the right one is taken for.
Train, validation and unlabelled photos follow the weights of the classes; the test split goes through them in turn, and its photos are
shown to other people until they settle on the class, so that each class has as many test images. A marketplace is written beside the
answers; the photo does not depend on it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, _generic
from datasets.runway.vocabulary import pick, weights

RIGHT = 0.88
TAKEN_FOR = 0.6  # chance that a wrong answer is the class most alike
MARKETPLACES = "US 34 UK 18 DE 14 MX 14 JP 12 BR 8"
COLUMNS = ("answer_1", "answer_2", "answer_3", "marketplace")


def draw_class(split: str, index: int, rng: random.Random, classes: str) -> str:
    """The class of a photo. classes: weights as text."""
    names = weights(classes)[0]
    return names[index % len(names)] if split == "test" else pick(rng, classes)


def ask(truth: str, classes: str, alike: Mapping[str, str], rng: random.Random) -> dict[str, str]:
    """Column -> cell. alike: class -> the one that it is taken for, of those that have one."""
    others = [name for name in weights(classes)[0] if name != truth]
    cells = {}
    for column in COLUMNS[:3]:
        wrong = alike[truth] if truth in alike and rng.random() < TAKEN_FOR else rng.choice(others)
        cells[column] = truth if rng.random() < RIGHT else wrong
    return {**cells, "marketplace": pick(rng, MARKETPLACES)}


def annotate(root: Path, items: Sequence[Item], classes: str, class_of: Callable[[Garment], str]) -> None:
    """metadata.csv in each split, and attributes.json with the classes."""
    cells = [_settled(item.labels, class_of(item.garment)) if item.split == "test" else item.labels for item in items]
    about = {"class": {"kind": "single", "values": list(weights(classes)[0])}}
    _generic.annotate(root, items, cells, COLUMNS, about)


def _settled(cells: Mapping[str, str], truth: str) -> dict[str, str]:
    """The answers, two of them put right where fewer than two are."""
    votes = Counter(cells[column] for column in COLUMNS[:3])
    return {**cells, "answer_1": truth, "answer_2": truth} if votes[truth] < 2 else dict(cells)
