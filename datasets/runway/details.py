"""What is sewn onto a garment: collars, hoods, buttons, zips, pockets, belts, ruffles, fringes and prints."""

from __future__ import annotations

import random

import numpy as np

from datasets.runway import outline
from datasets.runway.camera import Camera
from datasets.runway.garment import Garment, lightness, toned
from datasets.runway.outline import Pose
from datasets.runway.vocabulary import LOWER, RGB

_CLOSED_BANDS = {"stand": (0.05, -0.09), "turtle": (0.06, -0.17)}  # from, to: heights of the band around the neck


def draw_front(layer: np.ndarray, alpha: np.ndarray, garment: Garment, camera: Camera) -> None:
    """How the garment closes: buttons in one or two rows, a zip, or open over something else."""
    if garment.closure == "none":
        return
    top, bottom = _front_span(garment)
    dark = toned(garment.base, 0.45)
    if garment.closure == "open":
        gap = np.array([(-0.03, top - 0.2), (0.03, top - 0.2), (0.13, bottom + 0.02), (-0.13, bottom + 0.02)])
        camera.fill(layer, gap, _inner_color(garment))
        camera.line(layer, gap, dark, 0.02, closed=True)
        return
    camera.line(layer, np.array([(0, top), (0, bottom)]), dark, 0.015)
    if garment.closure == "zip":
        camera.line(layer, np.array([(0, top), (0, bottom)]), garment.trim, 0.055)
        camera.line(layer, np.array([(0, top), (0, bottom)]), (176, 178, 182), 0.02)
        camera.disc(layer, 0, top + 0.06, 0.035, (225, 226, 230))
        return
    columns = (0.0,) if garment.closure == "single" else (-0.12, 0.12)
    for x in columns:
        for y in np.arange(top + 0.07, bottom - 0.03, 0.15 if len(columns) == 1 else 0.17):
            camera.disc(layer, x, y, 0.034, garment.trim)


def _front_span(garment: Garment) -> tuple[float, float]:
    if garment.kind == LOWER:
        return outline.WAIST + 0.04, min(garment.hem, 1.5) - 0.02 if not garment.has_legs else 1.0
    top = {"v": 0.36, "lapel": 0.5, "scoop": 0.27, "shirt": 0.15, "square": 0.22, "off-shoulder": 0.24, "halter": 0.22, "round": 0.09}.get(
        garment.neck, 0.05
    )
    if garment.closure == "double":
        top = min(top, 0.42)
    return top, 1.0 if garment.has_legs else min(garment.hem, 1.6)


def _inner_color(garment: Garment) -> RGB:
    return (236, 234, 228) if lightness(garment.base) < 128 else (62, 64, 74)


def draw_collar(layer: np.ndarray, alpha: np.ndarray, garment: Garment, camera: Camera) -> None:
    """Collars, lapels, bands and hoods; those that rise above the shoulders widen the garment's cover."""
    if not garment.has_top:
        return
    light = toned(garment.base, 1.25, 22)
    dark = toned(garment.base, 0.42)
    if garment.neck in _CLOSED_BANDS:
        low, high = _CLOSED_BANDS[garment.neck]
        band = np.array([(-0.135, low), (-0.115, high), (0.115, high), (0.135, low), (0, low + 0.05)])
        camera.fill(alpha, band, 255)
        camera.fill(layer, band, toned(garment.base, 0.8))
        camera.line(layer, band, dark, 0.02, closed=True)
    elif garment.neck == "hood":
        _draw_hood(layer, alpha, garment, camera)
    elif garment.neck == "shirt":
        for side in (-1, 1):
            wing = np.array([(0.02, -0.06), (0.13, -0.04), (0.19, 0.12), (0.09, 0.17), (0.01, 0.06)]) * (side, 1)
            _trimmed(layer, alpha, wing, light, dark, camera)
    elif garment.neck == "lapel":
        for side in (-1, 1):
            wing = np.array([(0.1, -0.05), (0.2, 0.14), (0.25, 0.2), (0.2, 0.26), (0.02, 0.52), (0.0, 0.48), (0.09, 0.1)]) * (side, 1)
            _trimmed(layer, alpha, wing, toned(garment.base, 0.72, -4), dark if lightness(garment.base) > 70 else light, camera)


def _draw_hood(layer: np.ndarray, alpha: np.ndarray, garment: Garment, camera: Camera) -> None:
    angle = np.linspace(np.pi * 0.92, 2.08 * np.pi, 12)
    hood = np.concatenate([np.stack([0.27 * np.cos(angle), 0.06 + 0.3 * np.sin(angle)], 1), [(0.12, 0.2), (0, 0.26), (-0.12, 0.2)]])
    camera.fill(alpha, hood, 255)
    camera.fill(layer, hood, toned(garment.base, 0.82))
    camera.line(layer, hood, toned(garment.base, 0.45), 0.02, closed=True)
    inner = np.stack([0.13 * np.cos(angle * 2), 0.0 + 0.15 * np.sin(angle * 2)], 1)
    camera.fill(layer, inner, toned(garment.base, 0.4))
    for x in (-0.06, 0.06):
        camera.line(layer, np.array([(x, 0.16), (x * 1.3, 0.42)]), garment.trim, 0.025)


def _trimmed(layer: np.ndarray, alpha: np.ndarray, points: np.ndarray, color: RGB, edge: RGB, camera: Camera) -> None:
    camera.fill(alpha, points, 255)
    camera.fill(layer, points, color)
    camera.line(layer, points, edge, 0.018, closed=True)


def draw_details(layer: np.ndarray, alpha: np.ndarray, garment: Garment, pose: Pose, camera: Camera) -> None:
    """Pockets, belt, ruffles and fringe, and the cuffs and seams that go with a category."""
    dark = toned(garment.base, 0.45)
    if garment.category in ("sweater", "hoodie", "joggers") or garment.fit == "cuffed":
        _draw_ribbing(layer, garment, pose, camera, dark)
    if "pocket" in garment.details:
        _draw_pockets(layer, garment, camera, dark)
    if "ruffle" in garment.details:
        _draw_ruffle(layer, alpha, garment, pose, camera, dark)
    if "fringe" in garment.details:
        _draw_fringe(layer, alpha, garment, pose, camera)
    if "belt" in garment.details:
        half = float(outline.body_half_width(0.66)) + 0.16
        y = 0.68 if garment.has_top else 0.69
        camera.fill(layer, np.array([(-half, y - 0.045), (half, y - 0.045), (half, y + 0.045), (-half, y + 0.045)]), garment.trim)
        camera.fill(layer, np.array([(-0.06, y - 0.05), (0.06, y - 0.05), (0.06, y + 0.05), (-0.06, y + 0.05)]), (214, 186, 96))
    elif garment.kind == LOWER:
        camera.line(layer, np.array([(-0.5, 0.72), (0.5, 0.72)]), dark, 0.02)


def _draw_ribbing(layer: np.ndarray, garment: Garment, pose: Pose, camera: Camera, dark: RGB) -> None:
    if not garment.has_legs:
        camera.line(layer, np.array([(-0.6, garment.hem - 0.08), (0.6, garment.hem - 0.08)]), dark, 0.02)
    for side in (-1, 1) if garment.has_legs else ():
        camera.line(layer, np.array([(0.02 * side, garment.hem - 0.07), (0.4 * side, garment.hem - 0.07)]), dark, 0.025)


def _draw_pockets(layer: np.ndarray, garment: Garment, camera: Camera, dark: RGB) -> None:
    if garment.category == "hoodie":
        boxes = [np.array([(-0.15, 0.62), (0.15, 0.62), (0.22, 0.86), (-0.22, 0.86)])]
    elif garment.category in ("tee", "shirt"):
        boxes = [_box(side * 0.16, 0.3, 0.075, 0.15) for side in ((1,) if garment.category == "tee" else (-1, 1))]
    else:
        y = 0.78 if garment.kind == LOWER else min(0.74, garment.hem - 0.3)
        boxes = [_box(side * 0.19, y, 0.085, 0.2) for side in (-1, 1)]
    fill = toned(garment.base, 0.7) if lightness(garment.base) > 70 else toned(garment.base, 1.3, 36)
    for box in boxes:
        camera.fill(layer, box, fill)
        camera.line(layer, box, dark if lightness(garment.base) > 70 else toned(garment.base, 1.5, 70), 0.02, closed=True)


def _box(x: float, y: float, half_width: float, height: float) -> np.ndarray:
    return np.array([(x - half_width, y), (x + half_width, y), (x + half_width, y + height), (x - half_width, y + height)])


def _hem_half_width(garment: Garment, pose: Pose) -> float:
    points = outline.trunk(garment, pose)
    return float(points[points[:, 1] > points[:, 1].max() - 0.02][:, 0].max())


def _draw_ruffle(layer: np.ndarray, alpha: np.ndarray, garment: Garment, pose: Pose, camera: Camera, dark: RGB) -> None:
    """A pleated tier below the hem; on shorts and rompers below the waist."""
    half = _hem_half_width(garment, pose) * 1.1 + 0.02
    y = outline.CROTCH - 0.1 if garment.has_legs else garment.hem - 0.1
    x = np.linspace(-half, half, 17)
    scallop = y + 0.17 + 0.035 * np.cos(np.arange(17) * np.pi)
    tier = np.concatenate([[(-half * 0.92, y), (half * 0.92, y)], np.stack([x, scallop], 1)[::-1]])
    _trimmed(layer, alpha, tier, toned(garment.base, 1.2, 26), dark, camera)
    for k in range(1, 17, 2):
        camera.line(layer, np.array([(x[k] * 0.92, y + 0.02), (x[k], scallop[k])]), dark, 0.014)


def _draw_fringe(layer: np.ndarray, alpha: np.ndarray, garment: Garment, pose: Pose, camera: Camera) -> None:
    half = _hem_half_width(garment, pose) if not garment.has_legs else 0.34
    y = garment.hem - 0.02 if not garment.has_legs else garment.hem
    for x in np.linspace(-half * 0.97, half * 0.97, 12):
        strand = np.array([(x, y - 0.16), (x * 1.03, y + 0.15)])
        camera.line(alpha, strand, 255, 0.03)
        camera.line(layer, strand, garment.trim, 0.025)


def draw_print(cover: np.ndarray, garment: Garment, panels: list[np.ndarray], camera: Camera, rng: random.Random) -> None:
    """A large motif on the chest, or the upper half in another colour, into the three channels of the palette's cover."""
    if garment.pattern == "color-block":
        split = rng.uniform(0.4, 0.62) if garment.hem < 1.2 else rng.uniform(0.55, 0.8)
        slant = rng.choice((0.0, 0.0, 0.25))
        camera.fill(cover, np.array([(-2, split - slant), (2, split + slant), (2, 5), (-2, 5)]), (255, 0, 0))
        if garment.pattern_variant % 2:
            camera.fill(cover, np.array([(-2, split - 0.08), (2, split - 0.08), (2, split + 0.08), (-2, split + 0.08)]), (0, 255, 0))
        return
    y, size = rng.uniform(0.36, 0.46), rng.uniform(0.14, 0.19)
    if garment.pattern_variant == 0:  # a disc with a star
        camera.disc(cover, 0, y, size, (255, 0, 0))
        camera.fill(cover, _star(y, size * 0.75), (0, 255, 0))
    elif garment.pattern_variant == 1:  # a heart
        camera.disc(cover, -size * 0.45, y - size * 0.3, size * 0.55, (255, 0, 0))
        camera.disc(cover, size * 0.45, y - size * 0.3, size * 0.55, (255, 0, 0))
        camera.fill(cover, np.array([(-size * 0.98, y - size * 0.12), (size * 0.98, y - size * 0.12), (0, y + size)]), (255, 0, 0))
    elif garment.pattern_variant == 2:  # lines of lettering
        for row, width in enumerate((0.2, 0.14, 0.18)):
            for x in np.arange(-width, width, 0.07):
                camera.fill(cover, _box(x + 0.03, y - 0.13 + 0.11 * row, rng.uniform(0.015, 0.028), 0.08), (255, 0, 0))
    else:  # a framed picture
        camera.fill(cover, _box(0, y - size, size * 1.05, size * 2), (255, 0, 0))
        camera.disc(cover, size * 0.3, y - size * 0.3, size * 0.4, (0, 255, 0))
        hill = np.array([(-0.9, 0.9), (-0.3, -0.2), (0.5, 0.9)]) * size + (0, y)
        camera.fill(cover, hill, (0, 0, 255))


def _star(y: float, size: float) -> np.ndarray:
    angle = np.arange(10) * np.pi / 5 - np.pi / 2
    radius = np.where(np.arange(10) % 2, 0.45, 1.0) * size
    return np.stack([radius * np.cos(angle), y + radius * np.sin(angle)], 1)
