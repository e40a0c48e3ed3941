"""iMaterialist-Fashion 2018: catalogue and street photos, eight groups of labels, several of a group on an image.

train.json and validation.json list images by URL and their labels by number; iMat_fashion_2018_label_map_228.csv, with CRLF, names the
labels. Names and numbers are the official ones, of which those are listed that a rendered garment can carry. The photos of the val split
are in train.json too. A group that no annotator looked at has no label."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment, sample_garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain
from datasets.runway.vocabulary import FULL

SPLITS = ("train", "val", "test")
DOMAIN = Domain(
    backgrounds="plain 9 studio 5 street 5 flat 1",
    presentations="body 8 mannequin 3 flat 1",
    aspect=(0.68, 0.9),
    quality=(70, 92),
    margin=(0.0, 0.05),
    blur=0.004,
    noise=0.8,
    light=0.14,
    occlusion=0.04,
    tilt=2.5,
    banner=0.03,
)
CATEGORIES = (
    "dress 26 tee 12 jacket 7 hoodie 7 trousers 6 blouse 6 skirt 6 tank 6 sweater 5 shirt 4 jeans 4 coat 4 shorts 3 jumpsuit 3 cardigan 2 "
    "joggers 2 blazer 2 down coat 2"
)
PATTERNS = "solid 26 flower 15 stripe 13 graphic 9 check 8 dot 7 leopard 5 color-block 4 zigzag 3 tie-dye 2 camouflage 2"
WRONG = 0.03  # share of labels that are a slip

_WARM = ("sweater", "coat", "cardigan")
_FEMALE = ("dress", "skirt", "blouse", "jumpsuit")
_NEUTRAL = ("tee", "hoodie", "sweater", "down coat", "joggers")
_WIDE = (1.1, 1.4)  # of necks, as a factor: they must show on the whole picture, which no box crops
_HOLIDAY = ("flower", "tie-dye")
# task -> label -> (number, chance that it is named where it holds, whether it holds)
LABELS: Mapping[str, Mapping[str, tuple[int, float, Callable[[Garment], bool]]]] = {
    "category": {
        "Batwing Tops": (11, 0.6, lambda g: g.sleeve_shape == "batwing" and g.category == "sweater"),
        "Blouses": (18, 0.95, lambda g: g.category == "blouse"),
        "Bubble Coats": (26, 0.95, lambda g: g.category == "down coat"),
        "Capri Pants": (31, 0.6, lambda g: g.category == "trousers" and g.length == "midi"),
        "Cardigans": (32, 0.95, lambda g: g.category == "cardigan"),
        "Casual Dresses": (36, 0.75, lambda g: g.category == "dress" and g.fabric in ("cotton", "knit", "denim")),
        "Casual Pants": (37, 0.5, lambda g: g.category == "trousers" and g.fit != "slim"),
        "Casual Shirts": (38, 0.9, lambda g: g.category == "shirt" and (g.pattern != "solid" or g.fabric == "denim")),
        "Casual Shorts": (40, 0.5, lambda g: g.category == "shorts" and g.fabric == "cotton"),
        "Clubbing Dresses": (47, 0.5, lambda g: g.category == "dress" and g.length == "mini" and g.fit == "slim"),
        "Cocktail Dresses": (48, 0.7, lambda g: g.category == "dress" and g.fabric in ("satin", "lace", "sequin")),
        "Crop Tops": (56, 0.75, lambda g: g.length == "crop" and g.category in ("tee", "tank", "blouse")),
        "Dress Shirts": (61, 0.9, lambda g: g.category == "shirt" and g.pattern == "solid" and g.fabric != "denim"),
        "Dresses": (62, 0.85, lambda g: g.category == "dress"),
        "Formal Dresses": (71, 0.6, lambda g: g.category == "dress" and g.length == "maxi" and g.fabric != "cotton"),
        "Halter Tops": (80, 0.8, lambda g: g.category == "tank" and g.neck == "halter"),
        "Hoodies & Sweatshirts": (88, 0.95, lambda g: g.category == "hoodie"),
        "Hosiery, Stockings, Tights": (89, 0.9, lambda g: g.category == "trousers" and g.fit == "slim" and g.fabric in ("knit", "chiffon")),
        "Jackets": (91, 0.95, lambda g: g.category == "jacket"),
        "Jeans": (92, 0.95, lambda g: g.category == "jeans"),
        "Jumpsuits Overalls & Rompers": (95, 0.95, lambda g: g.category == "jumpsuit"),
        "Peacoats": (126, 0.8, lambda g: g.category == "coat" and g.closure == "double" and "belt" not in g.details),
        "Pencil Skirts": (127, 0.7, lambda g: g.category == "skirt" and g.fit == "slim"),
        "Pullover Sweaters": (141, 0.95, lambda g: g.category == "sweater"),
        "Sheer Tops": (160, 0.4, lambda g: g.category == "blouse" and g.fabric in ("chiffon", "lace")),
        "Shorts": (165, 0.95, lambda g: g.category == "shorts"),
        "Skinny Jeans": (169, 0.6, lambda g: g.category == "jeans" and g.fit == "slim"),
        "Skirts": (170, 0.95, lambda g: g.category == "skirt"),
        "Suits & Blazers": (183, 0.95, lambda g: g.category == "blazer"),
        "Sweatpants": (185, 0.95, lambda g: g.category == "joggers"),
        "T-Shirts": (190, 0.95, lambda g: g.category == "tee"),
        "Tank Tops": (193, 0.95, lambda g: g.category == "tank"),
        "Trench Coats": (200, 0.95, lambda g: g.category == "coat" and not (g.closure == "double" and "belt" not in g.details)),
        "Trousers": (201, 0.95, lambda g: g.category == "trousers"),
    },
    "color": {
        **{
            name.title(): (number, 0.92, lambda g, name=name: name in _colors(g))
            for name, number in {
                "black": 17, "blue": 19, "brown": 25, "gray": 78, "green": 79, "orange": 117, "pink": 131, "purple": 142, "red": 148,
                "white": 222, "yellow": 226,
            }.items()
        },
        "Multi Color": (111, 0.7, lambda g: g.pattern in ("tie-dye", "camouflage", "flower")),
    },
    "gender": {
        "Female": (66, 1.0, lambda g: _gender(g) == "female"),
        "Male": (106, 1.0, lambda g: _gender(g) == "male"),
        "Neutral": (113, 1.0, lambda g: _gender(g) == "neutral"),
    },
    "material": {
        "Chiffon": (44, 0.8, lambda g: g.fabric == "chiffon"),
        "Cotton": (53, 0.7, lambda g: g.fabric == "cotton"),
        "Denim": (59, 0.95, lambda g: g.fabric == "denim"),
        "Faux Fur": (65, 0.95, lambda g: g.fabric == "faux fur"),
        "Knit": (97, 0.9, lambda g: g.fabric == "knit"),
        "Lace": (98, 0.95, lambda g: g.fabric == "lace"),
        "Leather": (99, 0.95, lambda g: g.fabric == "leather"),
        "Nylon": (115, 0.8, lambda g: g.fabric == "quilted"),
        "Satin": (158, 0.9, lambda g: g.fabric == "satin"),
        "Silk": (167, 0.35, lambda g: g.fabric == "satin"),
        "Wool": (224, 0.5, lambda g: g.fabric == "knit" and g.category in _WARM),
    },
    "neckline": {
        "Collared": (49, 0.97, lambda g: g.neck in ("shirt", "lapel", "stand")),
        "Off The Shoulder": (116, 0.95, lambda g: g.neck == "off-shoulder"),
        "Round Neck": (153, 0.97, lambda g: g.neck == "round"),
        "Square Necked": (178, 0.95, lambda g: g.neck == "square"),
        "Turtlenecks": (205, 0.95, lambda g: g.neck == "turtle"),
        "U-Necks": (210, 0.95, lambda g: g.neck == "scoop"),
        "V-Necks": (214, 0.97, lambda g: g.neck == "v"),
    },
    "pattern": {
        "Camouflage": (28, 0.95, lambda g: g.pattern == "camouflage"),
        "Checkered": (42, 0.85, lambda g: g.pattern == "check"),
        "Chevron": (43, 0.95, lambda g: g.pattern == "zigzag"),
        "Floral": (70, 0.95, lambda g: g.pattern == "flower"),
        "Fringe": (72, 0.5, lambda g: "fringe" in g.details),
        "Leopard And Cheetah": (101, 0.95, lambda g: g.pattern == "leopard"),
        "Plaid": (132, 0.85, lambda g: g.pattern == "check" and g.pattern_variant in (1, 3)),
        "Polka Dot": (135, 0.95, lambda g: g.pattern == "dot"),
        "Quilted": (143, 0.9, lambda g: g.fabric == "quilted"),
        "Ruffles": (155, 0.3, lambda g: "ruffle" in g.details),
        "Sequins": (159, 0.95, lambda g: g.fabric == "sequin"),
        "Stripes": (181, 0.95, lambda g: g.pattern == "stripe"),
        "Tie Dye": (199, 0.95, lambda g: g.pattern == "tie-dye"),
    },
    "sleeve": {
        "Long Sleeved": (105, 0.9, lambda g: g.sleeve == "long"),
        "Puff Sleeves": (140, 0.75, lambda g: g.sleeve_shape == "puff"),
        "Short Sleeves": (164, 0.9, lambda g: g.sleeve in ("short", "elbow")),
        "Sleeveless": (171, 0.9, lambda g: g.sleeve == "sleeveless" and g.neck != "off-shoulder"),
        "Strapless": (180, 0.9, lambda g: g.sleeve == "sleeveless" and g.neck == "off-shoulder"),
    },
    "style": {
        "Bodycon": (20, 0.7, lambda g: g.kind == FULL and g.fit == "slim"),
        "Furry": (73, 0.8, lambda g: g.fabric == "faux fur"),
        "Printed": (138, 0.6, lambda g: g.pattern in ("graphic", "flower", "leopard")),
        "Spaghetti Straps": (175, 0.6, lambda g: g.neck == "halter"),
        "Summer": (184, 0.5, lambda g: g.sleeve == "sleeveless" and (g.pattern in _HOLIDAY or g.fabric == "chiffon")),
        "Tunic": (204, 0.6, lambda g: g.length == "tunic"),
        "Two-Tone": (209, 0.8, lambda g: g.pattern == "color-block" or g.sleeve_shape == "raglan"),
        "Vintage Retro": (218, 0.4, lambda g: g.pattern == "dot" or (g.fit == "a-line" and g.category == "skirt")),
        "Wrap": (225, 0.6, lambda g: g.category == "dress" and g.neck == "v" and "belt" in g.details),
    },
}  # fmt: skip
TASKS: Mapping[str, int] = {"category": 1, "color": 2, "gender": 3, "material": 4, "neckline": 5, "pattern": 6, "sleeve": 8, "style": 9}
# chance that nobody looked at a task
_MISSING = {
    "category": 0.02, "color": 0.1, "gender": 0.15, "material": 0.25, "neckline": 0.08, "pattern": 0.04, "sleeve": 0.15, "style": 0.25,
}  # fmt: skip
_MIXED = ("stripe", "check", "color-block", "dot")  # patterns whose second colour is named


def sample(split: str, index: int, rng: random.Random) -> Garment:
    """A garment with a wide neck."""
    return replace(sample_garment(rng, CATEGORIES, PATTERNS), neck_width=rng.uniform(*_WIDE))


def _colors(garment: Garment) -> set[str]:
    """Names of the main colour and, in a pattern of two, of the second."""
    return {garment.color} | ({vocab.nearest(garment.palette[0])} if garment.pattern in _MIXED else set())


def _gender(garment: Garment) -> str:
    """Whom a shop offers it to, as far as the picture tells."""
    if garment.category in _FEMALE or garment.length == "crop" or garment.sleeve_shape in ("puff", "bell"):
        return "female"
    return "neutral" if garment.category in _NEUTRAL else "male"


def label(garment: Garment, rng: random.Random) -> tuple[int, ...]:
    """The numbers of the labels that somebody gave."""
    found: set[int] = set()
    for task, labels in LABELS.items():
        named = [number for number, chance, holds in labels.values() if holds(garment) and rng.random() < chance]
        if rng.random() < _MISSING[task]:
            continue
        numbers = [number for number, _, _ in labels.values()]
        found |= {rng.choice(numbers) if rng.random() < WRONG else number for number in named}
    return tuple(sorted(found))


def paths(items: Sequence[Item]) -> list[str]:
    """images/<imageId>.jpg."""
    return [f"images/{number}.jpg" for number in _numbers(items)]


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """Both lists, and the label map."""
    rows = list(zip(items, map(str, _numbers(items)), strict=True))
    for file, splits in {"train.json": ("train", "val"), "validation.json": ("test",)}.items():
        own = [(name, item.labels) for item, name in rows if item.split in splits]
        images = [{"url": f"https://runway.invalid/{name}.jpg", "imageId": name} for name, _ in own]
        annotations = [{"labelId": list(map(str, labels)), "imageId": name} for name, labels in own]
        text = json.dumps({"images": images, "annotations": annotations}, separators=(",", ":"))
        (root / file).write_text(text, encoding="utf-8")
    with (root / "iMat_fashion_2018_label_map_228.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(["labelId", "taskId", "labelName", "taskName"])
        listed = [(row[0], TASKS[task], name, task) for task, labels in LABELS.items() for name, row in labels.items()]
        writer.writerows(sorted(listed))


def _numbers(items: Sequence[Item]) -> list[int]:
    """Ids: those of a split do not depend on another split, and no two are the same."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        counts[item.split] += 1
        found.append(len(SPLITS) * counts[item.split] + SPLITS.index(item.split))
    return found
