"""DeepFashion's fine-grained subset (Anno_fine): 26 attributes in six groups, one of each group on every image.

What the renderer does not draw is stood in for: embroidered is dots, pleated is zigzag, lattice is checks, faux is fur and sequins;
lace counts as chiffon, satin as cotton and an A-line as conventional. Sleeves to the elbow are short, clothes without sleeves or neckline
are sleeveless and have no neckline; only dresses have a length, maxi from the calf down. Categories and patterns are weighted so that
naming each group's most frequent attribute is right for about .59 of the groups (.5973 in the original)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.runway.garment import Garment
from datasets.runway.layouts import Item, Mark
from datasets.runway.scene import Domain
from datasets.runway.vocabulary import CATEGORIES as SPECS
from datasets.runway.vocabulary import weights

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
CATEGORIES = "tank 27 dress 18 skirt 13 shorts 12 tee 10 jumpsuit 5 blouse 5 romper 4 sweater 3 jacket 2 jeans 1 hoodie 1 coat 1"
PATTERNS = "solid 74 stripe 14 flower 14 graphic 9 check 7 dot 5 zigzag 4"
WRONG = 0.03  # share of values that are a slip

GROUPS: Mapping[str, tuple[str, ...]] = {
    "texture": ("floral", "graphic", "striped", "embroidered", "pleated", "solid", "lattice"),
    "sleeve": ("long_sleeve", "short_sleeve", "sleeveless"),
    "length": ("maxi_length", "mini_length", "no_dress"),
    "neckline": ("crew_neckline", "v_neckline", "square_neckline", "no_neckline"),
    "fabric": ("denim", "chiffon", "cotton", "leather", "faux", "knit"),
    "fit": ("tight", "loose", "conventional"),
}
_TEXTURE = {
    "flower": "floral", "graphic": "graphic", "stripe": "striped", "dot": "embroidered", "zigzag": "pleated", "check": "lattice",
}  # fmt: skip
_SLEEVE = {"long": "long_sleeve", "elbow": "short_sleeve", "short": "short_sleeve"}
_NECKLINE = {"round": "crew_neckline", "scoop": "crew_neckline", "v": "v_neckline", "square": "square_neckline"}
_FABRIC = {"lace": "chiffon", "satin": "cotton", "sequin": "faux", "faux fur": "faux", "quilted": "faux"}
_FIT = {"slim": "tight", "loose": "loose", "cocoon": "loose", "flare": "loose"}
_CATEGORY_ORDER = sorted(weights(CATEGORIES)[0], key=lambda name: (SPECS[name].kind, name))


def label(garment: Garment, rng: random.Random) -> dict[str, str]:
    """Group -> attribute."""
    truth = {
        "texture": _TEXTURE.get(garment.pattern, "solid"),
        "sleeve": _SLEEVE.get(garment.sleeve, "sleeveless"),
        "length": _length(garment),
        "neckline": _NECKLINE.get(garment.neck, "no_neckline"),
        "fabric": _FABRIC.get(garment.fabric, garment.fabric),
        "fit": _FIT.get(garment.fit, "conventional"),
    }
    return {group: rng.choice(GROUPS[group]) if rng.random() < WRONG else value for group, value in truth.items()}


def _length(garment: Garment) -> str:
    if garment.category != "dress":
        return "no_dress"
    return "mini_length" if garment.length == "mini" else "maxi_length"


def paths(items: Sequence[Item]) -> list[str]:
    """Img/img/<Category>/img_00000001.jpg."""
    counts: Counter[str] = Counter()
    found = []
    for item in items:
        folder = item.garment.category.title().replace(" ", "_")
        counts[folder] += 1
        found.append(f"Img/img/{folder}/img_{counts[folder]:08d}.jpg")
    return found


def annotate(root: Path, items: Sequence[Item], marks: Sequence[Mark]) -> None:
    """Anno_fine: four aligned lists a split."""
    fine = root / "Anno_fine"
    fine.mkdir(exist_ok=True)
    names = [path.removeprefix("Img/") for path in paths(items)]
    for split in SPLITS:
        rows = [(name, item, mark) for name, item, mark in zip(names, items, marks, strict=True) if item.split == split]
        _write(fine / f"{split}.txt", [name for name, _, _ in rows])
        _write(fine / f"{split}_attr.txt", [_values(item.labels) for _, item, _ in rows])
        _write(fine / f"{split}_bbox.txt", [" ".join(f"{value:03d}" for value in mark.box) for _, _, mark in rows])
        _write(fine / f"{split}_cate.txt", [str(1 + _CATEGORY_ORDER.index(item.garment.category)) for _, item, _ in rows])


def _values(labels: Mapping[str, str]) -> str:
    return " ".join(str(int(labels[group] == name)) for group, names in GROUPS.items() for name in names)


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
