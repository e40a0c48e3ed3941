"""Samples garments: which attributes go together, and the numbers a painter needs to draw them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from datasets.runway import vocabulary as vocab
from datasets.runway.vocabulary import CATEGORIES, FULL, LOWER, RGB, UPPER, pick


@dataclass(frozen=True)
class Garment:
    """Everything that is true of a garment, whether or not a label says so. Empty text: the attribute does not apply."""

    category: str
    kind: int  # UPPER, LOWER or FULL
    pattern: str
    fabric: str
    color: str
    length: str
    fit: str
    sleeve: str
    sleeve_shape: str
    neck: str
    closure: str
    details: frozenset[str]  # of pocket, belt, ruffle, fringe
    hem: float  # height of the hem in body units
    sleeve_reach: float  # share of the arm that is covered
    ease: float  # width beyond the usual, as a factor near 1
    neck_width: float  # factor near 1
    base: RGB
    palette: tuple[RGB, RGB, RGB]  # colours of the pattern's three channels
    trim: RGB  # buttons, collar, zip
    pattern_variant: int
    pattern_scale: float
    pattern_angle: float  # radians

    @property
    def has_legs(self) -> bool:
        return self.category in ("jumpsuit", "romper", "shorts", "jeans", "trousers", "joggers")

    @property
    def has_top(self) -> bool:
        return self.kind in (UPPER, FULL)


def sample_garment(rng: random.Random, categories: str, patterns: str = vocab.PATTERN_WEIGHTS) -> Garment:
    """One garment. categories, patterns: weights as text, such as "dress 3 tee 2"."""
    name = pick(rng, categories)
    spec = CATEGORIES[name]
    fabric = pick(rng, spec.fabric)
    pattern = _pattern(rng, name, fabric, patterns)
    color = "brown" if pattern == "leopard" and rng.random() < 0.75 else pick(rng, vocab.FABRIC_COLORS.get(fabric, vocab.COLOR_WEIGHTS))
    color = "green" if pattern == "camouflage" and rng.random() < 0.75 else color
    base = _leopard_ground(rng) if pattern == "leopard" and color == "brown" else jitter(rng, vocab.COLORS[color])
    base = jitter(rng, (74, 104, 146)) if fabric == "denim" and color == "blue" and pattern == "solid" else base
    palette = _palette(rng, pattern, base)
    length, sleeve = pick(rng, spec.length), pick(rng, spec.sleeve)
    chances = zip(*_chances(spec.details), strict=True)
    return Garment(
        category=name,
        kind=spec.kind,
        pattern=pattern,
        fabric=fabric,
        color=color,
        length=length,
        fit=pick(rng, spec.fit),
        sleeve=sleeve,
        sleeve_shape=pick(rng, spec.sleeve_shape) if sleeve and sleeve != "sleeveless" else "",
        neck=pick(rng, spec.neck),
        closure=pick(rng, spec.closure),
        details=frozenset(detail for detail, chance in chances if rng.random() < chance),
        hem=rng.uniform(*vocab.HEMS[length]),
        sleeve_reach=rng.uniform(*vocab.SLEEVE_REACH[sleeve]) if sleeve in vocab.SLEEVE_REACH else 0.0,
        ease=rng.uniform(0.95, 1.07),
        neck_width=rng.uniform(0.85, 1.2),
        base=base,
        palette=palette,
        trim=contrast(rng, base) if rng.random() < 0.75 else toned(base, 0.55),
        pattern_variant=rng.randrange(4),
        pattern_scale=rng.uniform(1.2, 1.7),
        pattern_angle=rng.uniform(-0.12, 0.12),
    )


def jitter(rng: random.Random, color: RGB, amount: int = 16) -> RGB:
    """A colour near another."""
    gain = rng.uniform(0.84, 1.12)
    red, green, blue = (min(255, max(0, round(value * gain + rng.uniform(-amount, amount)))) for value in color)
    return red, green, blue


def contrast(rng: random.Random, color: RGB, least: float = 95.0) -> RGB:
    """A colour of the palette that differs clearly from another in lightness."""
    names, totals = vocab.weights(vocab.COLOR_WEIGHTS)
    for _ in range(12):
        other = jitter(rng, vocab.COLORS[rng.choices(names, cum_weights=totals)[0]])
        if abs(lightness(other) - lightness(color)) >= least:
            return other
    return (245, 243, 238) if lightness(color) < 128 else (28, 28, 34)


def lightness(color: RGB) -> float:
    """Perceived lightness, 0 to 255."""
    return 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]


def toned(color: RGB, factor: float, add: int = 0) -> RGB:
    """A colour made darker or lighter."""
    red, green, blue = (min(255, max(0, int(value * factor + add))) for value in color)
    return red, green, blue


def _chances(text: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    names, totals = vocab.weights(text)
    return names, tuple(total - before for total, before in zip(totals, (0.0, *totals), strict=False))


def _pattern(rng: random.Random, category: str, fabric: str, patterns: str) -> str:
    spec = CATEGORIES[category]
    if fabric in vocab.PLAIN_FABRICS and rng.random() < 0.8:
        return "solid"
    if spec.plain > 1 and rng.random() < 1 - 1 / spec.plain:
        return "solid"
    pattern = pick(rng, patterns)
    misplaced = pattern == "graphic" and category not in vocab.GRAPHIC_CATEGORIES
    return pick(rng, "solid 2 stripe 1 flower 1") if misplaced or (pattern == "color-block" and spec.kind == LOWER) else pattern


def _leopard_ground(rng: random.Random) -> RGB:
    return jitter(rng, (198, 150, 96))


def _palette(rng: random.Random, pattern: str, base: RGB) -> tuple[RGB, RGB, RGB]:
    if pattern == "leopard":
        return jitter(rng, (222, 180, 120)), toned(base, 0.62), jitter(rng, (34, 24, 20), 8)
    if pattern == "camouflage":
        return jitter(rng, (150, 140, 95)), jitter(rng, (84, 64, 42)), jitter(rng, (36, 42, 34), 8)
    second = contrast(rng, base)
    if pattern == "flower":
        return second, jitter(rng, (240, 205, 70)), jitter(rng, (58, 122, 62))
    return second, contrast(rng, second), toned(base, 0.5)


assert {UPPER, LOWER, FULL} == {spec.kind for spec in CATEGORIES.values()}
