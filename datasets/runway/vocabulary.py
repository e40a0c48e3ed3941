"""What garments are made of: categories and the weights of their attributes, colours, fabrics, patterns and lengths."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

RGB = tuple[int, int, int]
UPPER, LOWER, FULL = 1, 2, 3  # where a garment is worn, as DeepFashion numbers it
SHARED_PATTERNS = ("flower", "stripe", "dot", "check", "leopard")  # drawn alike, and named alike, in every domain

COLORS: Mapping[str, RGB] = {
    "black": (30, 30, 34),
    "white": (240, 238, 233),
    "blue": (48, 84, 160),
    "gray": (140, 141, 146),
    "red": (188, 34, 42),
    "pink": (238, 150, 178),
    "green": (52, 128, 74),
    "brown": (122, 82, 50),
    "yellow": (238, 202, 60),
    "purple": (120, 66, 152),
    "orange": (232, 118, 40),
}
COLOR_WEIGHTS = "black 18 white 15 blue 14 gray 9 red 10 pink 9 green 8 brown 6 yellow 5 purple 4 orange 3"

# The hem's height in body units: 0 is the base of the neck, 1 the hip, 1.55 the knee, 2.1 the ankle.
HEMS: Mapping[str, tuple[float, float]] = {
    "crop": (0.58, 0.68),
    "regular": (0.92, 1.04),
    "tunic": (1.18, 1.28),
    "mini": (1.30, 1.44),
    "midi": (1.62, 1.76),
    "maxi": (1.96, 2.10),
}
SLEEVE_REACH: Mapping[str, tuple[float, float]] = {"short": (0.26, 0.36), "elbow": (0.50, 0.60), "long": (0.90, 1.0)}  # share of the arm

PATTERN_WEIGHTS = "solid 34 stripe 15 flower 13 graphic 9 check 9 dot 8 leopard 6 color-block 5 zigzag 3 tie-dye 3 camouflage 2"
PLAIN_FABRICS = ("denim", "leather", "lace", "faux fur", "sequin")  # these rarely carry a pattern
FABRIC_COLORS: Mapping[str, str] = {
    "denim": "blue 8 black 2 gray 1 white 1",
    "leather": "black 7 brown 4 red 1",
    "faux fur": "brown 4 gray 3 black 3 white 3 pink 1",
}
GRAPHIC_CATEGORIES = ("tee", "sweater", "hoodie", "tank", "jacket", "dress")


@dataclass(frozen=True)
class Category:
    """How a category looks: weights of its attributes as text ("short 3 long 1"), chances of its details ("pocket .2")."""

    kind: int
    length: str
    fit: str
    fabric: str
    sleeve: str = ""
    sleeve_shape: str = "regular 1"
    neck: str = ""
    closure: str = "none 1"
    details: str = ""
    plain: float = 1.0  # how much likelier than usual it is to carry no pattern


_TOP_FITS = "regular 4 slim 3 loose 3"
_LEG_FITS = "slim 4 regular 3 loose 2 flare 1"
_OUTER = "cotton 3 denim 2 leather 2 faux fur 1 satin 1"

CATEGORIES: Mapping[str, Category] = {
    "tee": Category(UPPER, "regular 6 crop 3 tunic 1", _TOP_FITS, "cotton 8 knit 1 lace .6 denim .3", "short 8 elbow 2 long 1",
        "regular 6 raglan 2 puff 1", "round 5 v 4 scoop 2 off-shoulder 1", "none 1", "pocket .15 ruffle .05"),
    "blouse": Category(UPPER, "regular 5 tunic 3 crop 2", "regular 3 loose 3 a-line 2", "chiffon 5 cotton 3 satin 2 lace 2",
        "long 4 elbow 3 short 2 sleeveless 1", "bell 4 puff 5 regular 2", "v 4 round 2 off-shoulder 3 square 1 turtle 1",
        "none 4 single 1", "ruffle .45 belt .08"),
    "shirt": Category(UPPER, "regular 6 tunic 2 crop 1", "regular 4 slim 3 loose 2", "cotton 6 denim 3 satin 1 chiffon 1",
        "long 6 short 3 elbow 1", "regular 1", "shirt 1", "single 1", "pocket .5"),
    "tank": Category(UPPER, "regular 5 crop 4 tunic 1", "slim 4 regular 3 loose 2 a-line 1",
        "cotton 6 lace 1.4 satin 1 sequin 1 knit 1", "sleeveless 1", "regular 1", "scoop 4 v 3 round 2 halter 2 square 1", "none 1",
        "ruffle .15 fringe .1"),
    "sweater": Category(UPPER, "regular 6 crop 2 tunic 2", "regular 3 loose 4 slim 2 cocoon 1", "knit 9 faux fur 1 cotton 1",
        "long 8 elbow 1", "regular 5 batwing 4 raglan 2", "round 4 turtle 4 v 3 off-shoulder 1", "none 1", "pocket .06 fringe .06"),
    "cardigan": Category(UPPER, "regular 4 tunic 3 crop 1 mini 2", "regular 3 loose 3 cocoon 2 slim 2", "knit 8 cotton 1 lace 1",
        "long 7 elbow 2", "regular 5 batwing 4", "v 1", "open 3 single 3", "pocket .35 fringe .15 belt .15"),
    "hoodie": Category(UPPER, "regular 7 crop 2 tunic 1", "regular 4 loose 4 slim 1", "cotton 7 knit 2 faux fur .5",
        "long 8 short 1 sleeveless .5", "regular 3 raglan 2", "hood 1", "none 3 zip 3", "pocket .7"),
    "jacket": Category(UPPER, "regular 5 crop 4 tunic 1", "regular 4 slim 3 loose 2", "leather 4 denim 4 cotton 3 satin 1 sequin .4",
        "long 9 elbow 1", "regular 4 raglan 1", "stand 4 shirt 3 hood 1 lapel 1", "zip 5 single 3 open 1",
        "pocket .5 belt .1 fringe .06", 2.0),
    "blazer": Category(UPPER, "regular 6 tunic 3 crop 1", "regular 4 slim 4 loose 1", "cotton 6 satin 2 leather .6 knit .6",
        "long 8 elbow 2", "regular 1", "lapel 1", "single 5 double 3 open 2", "pocket .6 belt .08", 2.0),
    "coat": Category(FULL, "midi 4 mini 4 maxi 1", "regular 3 a-line 3 cocoon 3 loose 1", _OUTER, "long 9 elbow 1", "regular 6 bell 1",
        "lapel 5 stand 2 hood 1 shirt 1", "double 4 single 4 zip 1 open 1", "pocket .5 belt .45", 2.0),
    "down coat": Category(UPPER, "regular 4 tunic 3 mini 3", "regular 4 loose 3 cocoon 3", "quilted 1", "long 8 sleeveless 2",
        "regular 1", "hood 4 stand 4", "zip 5 single 1", "pocket .4 belt .15", 3.0),
    "dress": Category(FULL, "mini 5 midi 4 maxi 4", "a-line 6 slim 4 regular 2 loose 2",
        "cotton 4 chiffon 4 lace 2 satin 2 knit 1 sequin 1 denim .6", "sleeveless 5 short 3 long 3 elbow 2", "regular 3 puff 3 bell 4",
        "v 4 round 3 scoop 2 off-shoulder 2 halter 2 square 1 shirt 1 turtle .5", "none 7 single 2 zip .5",
        "belt .3 ruffle .3 pocket .05"),
    "jumpsuit": Category(FULL, "maxi 4 midi 1", _LEG_FITS, "cotton 4 satin 2 denim 2 chiffon 1", "sleeveless 4 short 2 long 2",
        "regular 3 bell 1", "v 4 halter 2 off-shoulder 2 shirt 2 square 1", "none 3 single 2 zip 1", "belt .6 pocket .1"),
    "romper": Category(FULL, "mini 1", "regular 3 loose 3 slim 1", "cotton 4 chiffon 2 denim 1 lace 1", "sleeveless 4 short 3 long 1",
        "regular 3 puff 1 bell 1", "v 4 halter 2 off-shoulder 2 square 1 round 2", "none 3 single 1", "belt .5 ruffle .2"),
    "skirt": Category(LOWER, "mini 5 midi 4 maxi 2", "a-line 5 slim 4 loose 1",
        "cotton 4 denim 3 leather 2 chiffon 2 lace 1 satin 1 sequin .7", closure="none 4 single 1 zip 1",
        details="ruffle .3 belt .25 pocket .15 fringe .08"),
    "shorts": Category(LOWER, "mini 1", "slim 3 regular 4 loose 3", "denim 5 cotton 5 leather 1 lace 1 satin .6",
        closure="none 2 single 1", details="pocket .4 belt .3 fringe .1"),
    "jeans": Category(LOWER, "maxi 6 midi 1", "slim 5 regular 3 flare 2 loose 1", "denim 1", closure="none 1 single 1",
        details="pocket .6 belt .2", plain=5.0),
    "trousers": Category(LOWER, "maxi 5 midi 2", "regular 3 slim 3 flare 2 loose 3", "cotton 6 satin 1 leather 2 chiffon 1 knit .5",
        closure="none 1", details="pocket .3 belt .35"),
    "joggers": Category(LOWER, "maxi 3 midi 1", "cuffed 1", "cotton 6 knit 3 satin 1", closure="none 1", details="pocket .5"),
}  # fmt: skip


def nearest(color: RGB) -> str:
    """The name of the colour that is closest."""
    return min(COLORS, key=lambda name: sum((a - b) ** 2 for a, b in zip(color, COLORS[name], strict=True)))


@cache
def weights(text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Reads "faux fur 2 knit 1" as names and cumulative weights."""
    names: list[str] = []
    totals: list[float] = []
    words: list[str] = []
    for word in text.split():
        if word.replace(".", "", 1).isdigit():
            names.append(" ".join(words))
            totals.append((totals[-1] if totals else 0.0) + float(word))
            words = []
        else:
            words.append(word)
    return tuple(names), tuple(totals)


def pick(rng: random.Random, text: str) -> str:
    """One name drawn by the weights of a text, or "" from an empty text."""
    if not text:
        return ""
    names, totals = weights(text)
    return rng.choices(names, cum_weights=totals)[0]
