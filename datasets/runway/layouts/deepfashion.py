"""DeepFashion's Category and Attribute Prediction Benchmark (Anno_coarse): studio and street photos, attributes mined from text.

Most of what is true of a garment is not named. Where a type has at least one name on an image, its other attributes are -1,
also those that are true but went unmentioned; where it has none, they are 0, unknown."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain
from datasets.runway.vocabulary import CATEGORIES as SPECS
from datasets.runway.vocabulary import FULL, LOWER, UPPER

SPLITS = ("train", "val", "test")
DOMAIN = Domain(
    backgrounds="studio 11 street 9",
    presentations="body 8 mannequin 2",
    aspect=(0.62, 0.85),
    quality=(75, 93),
    margin=(0.05, 0.25),
    light=0.15,
    occlusion=0.06,
    tilt=3.0,
)
CATEGORIES = (
    "dress 21 tee 13 blouse 10 skirt 8 shorts 7 tank 7 sweater 7 cardigan 5 jacket 5 jeans 5 blazer 4 hoodie 3 shirt 3 "
    "coat 3 jumpsuit 2 romper 2 trousers 2 joggers 2 down coat 2"
)
PATTERNS = vocab.PATTERN_WEIGHTS
WRONG = 0.03  # share of names that are a slip

_CATEGORY_NAMES = {
    "blazer": "Blazer", "blouse": "Blouse", "shirt": "Button-Down", "cardigan": "Cardigan", "hoodie": "Hoodie", "jacket": "Jacket",
    "down coat": "Parka", "sweater": "Sweater", "tank": "Tank", "tee": "Tee", "trousers": "Chinos", "jeans": "Jeans",
    "joggers": "Joggers", "shorts": "Shorts", "skirt": "Skirt", "coat": "Coat", "dress": "Dress", "jumpsuit": "Jumpsuit",
    "romper": "Romper",
}  # fmt: skip

# attribute -> (type, chance that a text names it, whether it holds)
_ATTRIBUTES: dict[str, tuple[int, float, Callable[[Garment], bool]]] = {
    **{name: (1, 0.95, lambda g, name=name: g.pattern == name) for name in vocab.SHARED_PATTERNS},
    "solid": (1, 0.2, lambda g: g.pattern == "solid"),
    "graphic print": (1, 0.87, lambda g: g.pattern == "graphic"),
    "color block": (1, 0.87, lambda g: g.pattern == "color-block"),
    "zigzag": (1, 0.87, lambda g: g.pattern == "zigzag"),
    "tie dye": (1, 0.87, lambda g: g.pattern == "tie-dye"),
    "camouflage": (1, 0.93, lambda g: g.pattern == "camouflage"),
    "cotton": (2, 0.3, lambda g: g.fabric == "cotton"),
    **{
        name: (2, 0.8, lambda g, name=name: g.fabric == name)
        for name in ("knit", "denim", "chiffon", "lace", "leather", "satin", "faux fur", "sequin", "quilted")
    },
    "a-line": (3, 0.45, lambda g: g.fit == "a-line"),
    "slim fit": (3, 0.25, lambda g: g.fit == "slim"),
    "loose": (3, 0.35, lambda g: g.fit in ("loose", "cocoon")),
    "flare": (3, 0.7, lambda g: g.fit == "flare"),
    "crop": (3, 0.7, lambda g: g.length == "crop"),
    "longline": (3, 0.58, lambda g: g.length == "tunic"),
    "mini": (3, 0.58, lambda g: g.length == "mini" and g.category not in ("shorts", "romper")),
    "midi": (3, 0.58, lambda g: g.length == "midi"),
    "maxi": (3, 0.7, lambda g: g.length == "maxi" and not g.has_legs),
    "long sleeve": (4, 0.39, lambda g: g.sleeve == "long"),
    "short sleeve": (4, 0.39, lambda g: g.sleeve == "short"),
    "sleeveless": (4, 0.46, lambda g: g.sleeve == "sleeveless"),
    "v neck": (4, 0.46, lambda g: g.neck == "v"),
    "crew neck": (4, 0.35, lambda g: g.neck == "round"),
    "off the shoulder": (4, 0.7, lambda g: g.neck == "off-shoulder"),
    "turtleneck": (4, 0.7, lambda g: g.neck == "turtle"),
    "hooded": (4, 0.58, lambda g: g.neck == "hood"),
    "button front": (4, 0.41, lambda g: g.closure in ("single", "double")),
    "zip front": (4, 0.46, lambda g: g.closure == "zip"),
    "belted": (4, 0.52, lambda g: "belt" in g.details),
    "ruffle": (4, 0.58, lambda g: "ruffle" in g.details),
    "puff sleeve": (4, 0.58, lambda g: g.sleeve_shape == "puff"),
}

# style -> what speaks for it
_STYLES: dict[str, Callable[[Garment], float]] = {
    "basic": lambda g: 2.0 * (g.pattern == "solid") + (g.fabric == "cotton") - len(g.details) - (g.kind == FULL),
    "summer": lambda g: 1.4 * (g.sleeve in ("sleeveless", "short")) + (g.length in ("mini", "crop")) + (g.pattern in ("flower", "tie-dye")),
    "winter": lambda g: 2.2 * (g.fabric in ("knit", "faux fur", "quilted")) + (g.neck in ("turtle", "hood")) + (g.category == "coat"),
    "party": lambda g: 2.4 * (g.fabric in ("sequin", "satin")) + (g.kind == FULL and g.length == "mini") + (g.neck == "off-shoulder"),
    "boho": lambda g: 1.3 * (g.length == "maxi" and not g.has_legs) + 2 * ("fringe" in g.details) + (g.sleeve_shape == "bell")
    + 1.2 * (g.pattern in ("flower", "zigzag")),
    "office": lambda g: 2.6 * (g.category in ("blazer", "shirt", "trousers")) + (g.fit == "slim" and g.length == "midi"),
    "street": lambda g: 2.0 * (g.pattern in ("graphic", "camouflage")) + 1.3 * (g.fabric in ("denim", "leather")) + (g.neck == "hood"),
    "romantic": lambda g: 1.8 * (g.fabric in ("lace", "chiffon")) + 1.3 * ("ruffle" in g.details) + (g.color == "pink"),
}  # fmt: skip
_STYLE_TYPE = 5
_STYLE_CHANCES = (0.47, 0.14)  # that a first style is named, and a second one
_TYPES = {name: row[0] for name, row in _ATTRIBUTES.items()} | dict.fromkeys(_STYLES, _STYLE_TYPE)
ATTRIBUTES: dict[str, int] = dict(sorted(_TYPES.items()))  # name -> type
_BY_TYPE = {kind: [name for name, of in ATTRIBUTES.items() if of == kind] for kind in range(1, 6)}
_CATEGORY_ORDER = sorted(_CATEGORY_NAMES, key=lambda name: (SPECS[name].kind, _CATEGORY_NAMES[name]))


def label(garment: Garment, rng: random.Random) -> tuple[str, frozenset[str]]:
    """The category and the attributes that a text names."""
    named = {name for name, (_, chance, holds) in _ATTRIBUTES.items() if holds(garment) and rng.random() < chance}
    named |= _styles(garment, rng)
    slips = {name for name in sorted(named) if rng.random() < WRONG}
    named = (named - slips) | {rng.choice(_BY_TYPE[ATTRIBUTES[name]]) for name in sorted(slips)}
    category = garment.category
    if rng.random() < WRONG:
        category = rng.choice([name for name in _CATEGORY_ORDER if SPECS[name].kind == garment.kind])
    return category, frozenset(named)


def _styles(garment: Garment, rng: random.Random) -> set[str]:
    odds = [math.exp(2.2 * speaks(garment)) for speaks in _STYLES.values()]
    return {rng.choices(list(_STYLES), odds)[0] for chance in _STYLE_CHANCES if rng.random() < chance}


def paths(items: Sequence[Item]) -> list[str]:
    """Img/img/<Item_Name>/img_00000001.jpg; an item's name is the text that its attributes are mined from."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        category, named = item.labels
        words = [*sorted(named, key=lambda name: (-ATTRIBUTES[name], name)), _CATEGORY_NAMES[category]]
        folder = "_".join(word.title().replace(" ", "_") for word in words)
        counts[folder] += 1
        found.append(f"Img/img/{folder}/img_{counts[folder]:08d}.jpg")
    return found


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """Anno_coarse and Eval, rows in the order of their paths."""
    names = [path.removeprefix("Img/") for path in paths(items)]
    order = sorted(range(len(items)), key=names.__getitem__)
    rows = [(names[k], items[k], marks[k]) for k in order]
    coarse, evaluation = root / "Anno_coarse", root / "Eval"
    coarse.mkdir(exist_ok=True)
    evaluation.mkdir(exist_ok=True)
    kinds = [(_CATEGORY_NAMES[name], str(SPECS[name].kind)) for name in _CATEGORY_ORDER]
    _write(coarse / "list_category_cloth.txt", "category_name category_type", kinds)
    _write(coarse / "list_attr_cloth.txt", "attribute_name attribute_type", [(name, str(kind)) for name, kind in ATTRIBUTES.items()])
    ids = {name: str(k + 1) for k, name in enumerate(_CATEGORY_ORDER)}
    _write(coarse / "list_category_img.txt", "image_name category_label", [(name, ids[item.labels[0]]) for name, item, _ in rows])
    _write(coarse / "list_attr_img.txt", "image_name attribute_labels", [(name, _values(item.labels[1])) for name, item, _ in rows])
    boxes = [(name, " ".join(f"{value:03d}" for value in mark.box)) for name, _, mark in rows]
    _write(coarse / "list_bbox.txt", "image_name x_1 y_1 x_2 y_2", boxes)
    _write(coarse / "list_landmarks.txt", _LANDMARK_HEADER, [(name, _landmarks(item.garment.kind, mark)) for name, item, mark in rows])
    _write(evaluation / "list_eval_partition.txt", "image_name evaluation_status", [(name, item.split) for name, item, _ in rows])


_LANDMARK_HEADER = "image_name clothes_type " + " ".join(
    f"landmark_visibility_{k} landmark_location_x_{k} landmark_location_y_{k}" for k in range(1, 9)
)


def _values(named: frozenset[str]) -> str:
    spoken = {ATTRIBUTES[name] for name in named}
    return " ".join(f"{1 if name in named else -1 if kind in spoken else 0:2d}" for name, kind in ATTRIBUTES.items())


def _landmarks(kind: int, mark: Mark) -> str:
    assert len(mark.landmarks) == {UPPER: 6, LOWER: 4, FULL: 8}[kind]
    return f"{kind}  " + "  ".join(f"{visibility} {x:03d} {y:03d}" for visibility, x, y in mark.landmarks)


def _write(path: Path, header: str, rows: Sequence[tuple[str, str]]) -> None:
    first, _, rest = header.partition(" ")
    width = max([len(first), *(len(name) for name, _ in rows)]) + 2
    lines = [str(len(rows)), f"{first:<{width}}{rest}", *(f"{name:<{width}}{value}" for name, value in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
