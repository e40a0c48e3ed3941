"""Patterned cloth for things that are no garments, and the patterns that only such things have.

A thing is a Garment of which pattern, colours, size (hem) and category count; it is drawn in body units."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import cv2
import numpy as np

from datasets.runway import texture
from datasets.runway.camera import Camera
from datasets.runway.details import draw_print
from datasets.runway.garment import Garment, sample_garment

_RESOLUTIONS = (32, 64, 128, 256)  # pixels a body unit
_OWN = ("trellis", "patched", "paisley")
_MIXABLE = ("stripe", "dot", "check", "flower", "zigzag")


def sample_swatch(rng: random.Random, pattern: str, category: str, hem: float) -> Garment:
    """A thing with a pattern of garments, one of the patterns drawn here, or "mixed": two at once."""
    wanted = "stripe" if pattern in (*_OWN, "mixed") else pattern
    garment = sample_garment(rng, "hoodie 1", f"{wanted} 1")
    while garment.pattern != wanted:  # fur stays plain
        garment = sample_garment(rng, "hoodie 1", f"{wanted} 1")
    plain = replace(garment, fabric="cotton", neck="", closure="none", sleeve="", sleeve_shape="", details=frozenset())
    return replace(plain, pattern=pattern, category=category, hem=hem)


def cloth(garment: Garment, camera: Camera, rng: random.Random, *, zoom: float = 1.0, folds: float = 0.0) -> np.ndarray:
    """float32 RGB (H, W, 3): the swatch over the whole picture. zoom: size of the pattern, 1 as on garments; folds: their depth."""
    base = np.array(garment.base, np.float32)
    colors: np.ndarray = np.broadcast_to(base, (camera.height, camera.width, 3))
    if garment.pattern != "solid":
        mix = (np.array(garment.palette, np.float32) - base) / 255  # (3, 3)
        flat = _cover(garment, camera, rng, zoom).reshape(-1, 3).astype(np.float32) @ mix
        colors = (flat + base).reshape(camera.height, camera.width, 3)
    if folds:
        relief = _lay(texture.fabric_tile("chiffon", _resolution(camera)), camera, 1.0, 0.0, rng).astype(np.float32)
        colors = colors * (1 + (relief - 128) * np.float32(folds / 128))[..., None]
    return np.clip(colors, 0, 255)


def blend(image: np.ndarray, layer: np.ndarray, alpha: np.ndarray, camera: Camera) -> None:
    """Lays uint8 RGB over image where uint8 (H, W) alpha covers it, with a soft shadow around."""
    reach = max(3, int(camera.scale * 0.14)) | 1
    shadow = 1 - cv2.blur(alpha, (reach, reach)).astype(np.float32)[..., None] * np.float32(0.25 / 255)
    below = image * shadow
    below += (layer - below) * (alpha.astype(np.float32) * np.float32(1 / 255))[..., None]
    image[:] = below.astype(np.uint8)


def _cover(garment: Garment, camera: Camera, rng: random.Random, zoom: float) -> np.ndarray:
    """uint8 (H, W, 3): how much of each of the palette's colours lies over the base."""
    pattern, scale, turn = garment.pattern, garment.pattern_scale * zoom, garment.pattern_angle
    if pattern == "mixed":
        first, second = rng.sample(_MIXABLE, 2)
        tiles = [texture.pattern_tile(name, rng.randrange(4), _resolution(camera)) for name in (first, second)]
        return cv2.addWeighted(_lay(tiles[0], camera, scale, turn, rng), 0.55, _lay(tiles[1], camera, scale, turn, rng), 0.45, 0)
    if pattern in _OWN or texture.has_tile(pattern):
        tile = (_own_tile if pattern in _OWN else texture.pattern_tile)(pattern, garment.pattern_variant, _resolution(camera))
        return _lay(tile, camera, scale, turn, rng)
    cover = np.zeros((camera.height, camera.width, 3), np.uint8)
    draw_print(cover, garment, [], camera, rng)
    return cover


def _resolution(camera: Camera) -> int:
    return next((size for size in _RESOLUTIONS if size >= camera.scale), _RESOLUTIONS[-1])


def _lay(tile: np.ndarray, camera: Camera, scale: float, turn: float, rng: random.Random) -> np.ndarray:
    """A tile over the whole picture, at a place drawn from rng."""
    size = tile.shape[0]
    units = size / texture.TILE_UNITS / scale
    cos, sin = np.cos(turn) * units, np.sin(turn) * units
    to_tile = np.array([[cos, -sin], [sin, cos]]) @ cv2.invertAffineTransform(camera.matrix)
    to_tile[:, 2] += (rng.random() * size + 8 * size, rng.random() * size + 8 * size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(tile, to_tile, (camera.width, camera.height), flags=flags, borderMode=cv2.BORDER_WRAP)


@cache
def _own_tile(pattern: str, variant: int, resolution: int) -> np.ndarray:
    size = texture.TILE_UNITS * resolution
    tile: np.ndarray = np.zeros((size, size, 3), np.uint8)
    _DRAW[pattern](tile, variant, random.Random(f"{pattern}/{variant}"))
    tile = cv2.GaussianBlur(tile, (3, 3), 0.5, borderType=cv2.BORDER_REFLECT)
    tile.setflags(write=False)
    return tile


def _trellis(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    """Slanted bars that cross, with a knot in each mesh of some variants."""
    size, count = tile.shape[0], (6, 8, 5, 7)[variant]
    y, x = np.mgrid[0:size, 0:size] * (count / size)
    edge = np.minimum(np.abs((x + y) % 1.0 - 0.5), np.abs((x - y) % 1.0 - 0.5))  # 0 on a bar
    tile[..., 0] = np.clip((0.12 - edge) * size / count + 0.5, 0, 1) * 255
    if variant % 2:
        far = np.minimum(np.abs((x + y + 0.5) % 1.0 - 0.5), np.abs((x - y + 0.5) % 1.0 - 0.5))
        middle = np.maximum(np.abs((x + y + 0.5) % 1.0 - 0.5), np.abs((x - y + 0.5) % 1.0 - 0.5)) + far
        tile[..., 1] = np.clip((0.2 - middle) * size / count + 0.5, 0, 1) * 255


def _patched(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    """Squares of other colours, some with dots or bars, sewn together."""
    size, count = tile.shape[0], (6, 8, 5, 7)[variant]
    edges = [round(k * size / count) for k in range(count + 1)]
    for top, bottom in pairwise(edges):
        for left, right in pairwise(edges):
            weights = [rng.choice((0, 0, 130, 255)) for _ in range(3)]
            patch = tile[top:bottom, left:right]
            patch[:] = weights
            if rng.random() < 0.35:
                patch[:: max(2, size // 40)] = [255 - value for value in weights]
            patch[0], patch[:, 0] = (0, 0, 255), (0, 0, 255)


def _paisley(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    """Drops with a bent tip and an eye, scattered."""
    size = tile.shape[0]
    count = (5, 6, 4, 5)[variant]
    step = size / count
    for row in range(count):
        for column in range(count):
            x, y = (column + 0.5 + 0.25 * (row % 2) + rng.uniform(-0.08, 0.08)) * step, (row + 0.5 + rng.uniform(-0.08, 0.08)) * step
            turn, radius = rng.uniform(0, 6.3), step * rng.uniform(0.24, 0.3)
            for dx in (-size, 0, size):
                for dy in (-size, 0, size):
                    _drop(tile, x + dx, y + dy, radius, turn)


def _drop(tile: np.ndarray, x: float, y: float, radius: float, turn: float) -> None:
    for share, color in ((1.0, (255, 0, 0)), (0.68, (0, 255, 0)), (0.36, (0, 0, 255))):
        for k in range(7):  # discs that shrink along a bend
            angle, reach = turn + 0.28 * k, 0.3 * k * radius * share
            centre = (round((x + reach * np.cos(angle)) * 16), round((y + reach * np.sin(angle)) * 16))
            cv2.circle(tile, centre, max(8, round(radius * share * (1 - 0.13 * k) * 16)), color, -1, cv2.LINE_AA, 4)


_DRAW: dict[str, Callable[[np.ndarray, int, random.Random], None]] = {"trellis": _trellis, "patched": _patched, "paisley": _paisley}
