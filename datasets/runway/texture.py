"""Pattern and fabric tiles, drawn once a process at the resolution asked for; they repeat every TILE_UNITS body units.

A pattern tile holds in its three channels how much of the palette's three colours covers the base colour (0 to 255).
A fabric tile is relief: 128 leaves the cloth as it is, more lightens, less darkens."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

TILE_UNITS = 2
NUM_VARIANTS = 4


@cache
def pattern_tile(pattern: str, variant: int, resolution: int) -> np.ndarray:
    """uint8 (N, N, 3), N = TILE_UNITS * resolution, of a repeating pattern; resolution in pixels a body unit."""
    size = TILE_UNITS * resolution
    tile = np.zeros((size, size, 3), np.uint8)
    _PATTERNS[pattern](tile, variant, random.Random(f"{pattern}/{variant}"))
    tile = cv2.GaussianBlur(tile, (3, 3), 0.5, borderType=cv2.BORDER_REFLECT)
    tile.setflags(write=False)
    return tile


@cache
def fabric_tile(fabric: str, resolution: int) -> np.ndarray:
    """uint8 (N, N) relief of a fabric."""
    size = TILE_UNITS * resolution
    tile = np.clip(128 + _FABRICS[fabric](size, np.random.default_rng(len(fabric))), 0, 255).astype(np.uint8)
    tile.setflags(write=False)
    return tile


@cache
def noise_tile(size: int) -> np.ndarray:
    """int16 (size, size, 3) sensor noise of standard deviation 4."""
    noise = np.random.default_rng(0).normal(0, 4, (size, size, 3)).astype(np.int16)
    noise.setflags(write=False)
    return noise


def has_tile(pattern: str) -> bool:
    """Whether a pattern repeats; solid, graphic and color-block are drawn on the garment instead."""
    return pattern in _PATTERNS


def smooth_noise(size: int, cells: int, rng: np.random.Generator, shape: tuple[int, int] = (1, 1)) -> np.ndarray:
    """float32 (size, size) repeating noise with mean 0 and deviation 1, of cells * shape features an axis."""
    grid = rng.normal(size=(cells * shape[0], cells * shape[1])).astype(np.float32)
    wrapped = np.pad(grid, 2, mode="wrap")
    step_y, step_x = size / grid.shape[0], size / grid.shape[1]
    big = cv2.resize(wrapped, (round(step_x * wrapped.shape[1]), round(step_y * wrapped.shape[0])), interpolation=cv2.INTER_CUBIC)
    top, left = round(2 * step_y), round(2 * step_x)
    big = big[top : top + size, left : left + size]
    return (big - big.mean()) / big.std()


def _wrapped(tile: np.ndarray, x: float, y: float, draw: Callable[[tuple[float, float]], None], reach: float) -> None:
    """Draws at (x, y), and again beyond the borders where the shape reaches over them."""
    size = tile.shape[0]
    for dx in (-size, 0, size):
        for dy in (-size, 0, size):
            if -reach < x + dx < size + reach and -reach < y + dy < size + reach:
                draw((x + dx, y + dy))


def _disc(tile: np.ndarray, centre: tuple[float, float], radius: float, color: tuple[int, int, int]) -> None:
    point = (round(centre[0] * 16), round(centre[1] * 16))
    cv2.circle(tile, point, max(12, round(radius * 16)), color, -1, cv2.LINE_AA, 4)


def _stripe(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size, count = tile.shape[0], (8, 12, 10, 8)[variant]  # stripes a tile
    share = (0.5, 0.45, 0.4, 0.3)[variant]
    phase = (np.arange(size) * count / size) % 1.0
    band = np.clip((share - np.abs(phase - 0.5) * 2) * size / count + 0.5, 0, 1) * 255
    tile[..., 0] = band[:, None] if variant != 2 else band[None, :]
    if variant == 3:  # a thin line of the third colour between
        thin = np.clip((0.16 - np.abs((phase + 0.5) % 1.0 - 0.5) * 2) * size / count + 0.5, 0, 1) * 255
        tile[..., 1] = thin[:, None]


def _check(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size, count = tile.shape[0], (8, 6, 10, 6)[variant]
    phase = (np.arange(size) * count / size) % 1.0
    share = (0.5, 0.42, 0.5, 0.3)[variant]
    band = np.clip((share - np.abs(phase - 0.5) * 2) * size / count + 0.5, 0, 1)
    tile[..., 0] = 127 * (band[:, None] + band[None, :])
    if variant in (1, 3):  # tartan lines
        thin = np.clip((0.12 - np.abs((phase + 0.5) % 1.0 - 0.5) * 2) * size / count + 0.5, 0, 1) * 230
        tile[..., 1] = np.maximum(thin[:, None], thin[None, :])


def _dot(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size, count = tile.shape[0], (8, 10, 12, 8)[variant]
    step, radius = size / count, size / count * (0.27, 0.3, 0.32, 0.34)[variant]
    for row in range(count):
        for column in range(count):
            x, y = (column + 0.5 * (row % 2) + 0.25) * step, (row + 0.5) * step
            _wrapped(tile, x, y, lambda at: _disc(tile, at, radius, (255, 0, 0)), radius)


def _scatter(size: int, spacing: float, rng: random.Random) -> list[tuple[float, float]]:
    count = round(size / spacing)
    step = size / count
    points = [((i + rng.uniform(0.15, 0.85)) * step, (j + rng.uniform(0.15, 0.85)) * step) for i in range(count) for j in range(count)]
    rng.shuffle(points)
    return points


def _flower(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size = tile.shape[0]
    spacing = size / (7, 9, 6, 8)[variant]
    for x, y in _scatter(size, spacing, rng):
        radius, turn = spacing * rng.uniform(0.34, 0.46), rng.uniform(0, 6.3)
        petals = 5 if variant != 2 else 6

        def draw(at: tuple[float, float], radius: float = radius, turn: float = turn, petals: int = petals) -> None:
            leaf = turn + 0.6
            _disc(tile, (at[0] + 1.15 * radius * np.cos(leaf), at[1] + 1.15 * radius * np.sin(leaf)), radius * 0.42, (0, 0, 255))
            for k in range(petals):
                angle = turn + 2 * np.pi * k / petals
                _disc(tile, (at[0] + 0.6 * radius * np.cos(angle), at[1] + 0.6 * radius * np.sin(angle)), radius * 0.42, (255, 0, 0))
            _disc(tile, at, radius * 0.34, (0, 255, 0))

        _wrapped(tile, x, y, draw, 2 * radius)


def _leopard(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size = tile.shape[0]
    spacing = size / (9, 11, 8, 10)[variant]
    for x, y in _scatter(size, spacing, rng):
        axes, turn, gap = (spacing * rng.uniform(0.3, 0.44), spacing * rng.uniform(0.22, 0.34)), rng.uniform(0, 360), rng.uniform(40, 110)

        def draw(at: tuple[float, float], axes: tuple[float, float] = axes, turn: float = turn, gap: float = gap) -> None:
            centre = (round(at[0] * 16), round(at[1] * 16))
            scaled = (round(axes[0] * 16), round(axes[1] * 16))
            cv2.ellipse(tile, centre, scaled, turn, 0, 360, (0, 255, 0), -1, cv2.LINE_AA, 4)
            cv2.ellipse(tile, centre, scaled, turn, gap, 360, (0, 0, 255), max(1, round(spacing * 0.2)), cv2.LINE_AA, 4)

        _wrapped(tile, x, y, draw, spacing)


def _zigzag(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    size, rows, teeth = tile.shape[0], (8, 6, 10, 8)[variant], (8, 6, 8, 10)[variant]
    y, x = np.mgrid[0:size, 0:size] / size
    wave = np.abs((x * teeth) % 1.0 - 0.5) * 2
    phase = (y * rows + wave * 0.9) % 1.0
    tile[..., 0] = np.clip((0.5 - np.abs(phase - 0.5) * 2) * size / rows + 0.5, 0, 1) * 255
    if variant % 2:
        tile[..., 1] = np.clip((0.14 - np.abs((phase + 0.5) % 1.0 - 0.5) * 2) * size / rows + 0.5, 0, 1) * 255


def _tie_dye(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    noise = np.random.default_rng(variant)
    size = tile.shape[0]
    for channel in (0, 1):
        tile[..., channel] = np.clip((smooth_noise(size, 4 + variant % 2, noise) * 0.9 + 0.1 - 0.5 * channel) * 255, 0, 255)


def _camouflage(tile: np.ndarray, variant: int, rng: random.Random) -> None:
    noise = np.random.default_rng(variant + 10)
    size = tile.shape[0]
    for channel, level in enumerate((0.25, 0.7, 1.05)):
        tile[..., channel] = np.clip((smooth_noise(size, 9, noise, (1, 1)) - level) * 900, 0, 255)


_PATTERNS: dict[str, Callable[[np.ndarray, int, random.Random], None]] = {
    "stripe": _stripe,
    "check": _check,
    "dot": _dot,
    "flower": _flower,
    "leopard": _leopard,
    "zigzag": _zigzag,
    "tie-dye": _tie_dye,
    "camouflage": _camouflage,
}


def _ribs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Columns of stitches: the knit's vertical ribs with small v marks."""
    y, x = np.mgrid[0:size, 0:size] / size
    column = x * 20
    return 46 * np.cos(2 * np.pi * column) + 20 * np.cos(2 * np.pi * (y * 28 + np.abs(column % 1 - 0.5) * 1.2))


def _twill(size: int, rng: np.random.Generator) -> np.ndarray:
    """Denim: a diagonal weave over pale, washed patches."""
    y, x = np.mgrid[0:size, 0:size] / size
    return 14 * np.cos(2 * np.pi * 36 * (x + y)) + 26 * smooth_noise(size, 5, rng) + 12 * rng.normal(size=(size, size))


def _mesh(size: int, rng: np.random.Generator) -> np.ndarray:
    """Lace: round holes (below 128) inside a bright net."""
    y, x = np.mgrid[0:size, 0:size] / size
    return -105 * np.cos(2 * np.pi * 16 * (x + y)) * np.cos(2 * np.pi * 16 * (x - y)) + 18 * smooth_noise(size, 12, rng)


def _shine(size: int, rng: np.random.Generator) -> np.ndarray:
    """Leather: few hard highlights."""
    noise = smooth_noise(size, 7, rng, (1, 2))
    return 150 * np.exp(-((noise - 0.6) ** 2) / 0.05) - 22


def _flow(size: int, rng: np.random.Generator) -> np.ndarray:
    """Chiffon: soft vertical folds."""
    return 24 * smooth_noise(size, 2, rng, (1, 7))


def _satin(size: int, rng: np.random.Generator) -> np.ndarray:
    """Satin: broad diagonal lustre."""
    y, x = np.mgrid[0:size, 0:size] / size
    return 62 * np.cos(2 * np.pi * (3 * x + 2 * y) + 1.5 * smooth_noise(size, 3, rng)) + 14


def _fur(size: int, rng: np.random.Generator) -> np.ndarray:
    """Faux fur: clumps of hair."""
    return 40 * smooth_noise(size, 24, rng, (1, 1)) + 26 * smooth_noise(size, 14, rng, (1, 2))


def _sequin(size: int, rng: np.random.Generator) -> np.ndarray:
    """Sequins: sparks on a dark ground."""
    sparks = cv2.resize((rng.random((48, 48)) ** 5).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return 230 * sparks - 42


def _quilt(size: int, rng: np.random.Generator) -> np.ndarray:
    """Down: horizontal puffed channels with dark seams."""
    y = np.arange(size)[:, None] / size
    return np.broadcast_to(70 * (np.abs(np.sin(np.pi * y * 11)) ** 0.6) - 48, (size, size)) + 5 * smooth_noise(size, 10, rng)


def _cotton(size: int, rng: np.random.Generator) -> np.ndarray:
    """Cotton: faint, matt noise."""
    return 5 * rng.normal(size=(size, size)) + 5 * smooth_noise(size, 6, rng)


_FABRICS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "cotton": _cotton,
    "knit": _ribs,
    "denim": _twill,
    "lace": _mesh,
    "leather": _shine,
    "chiffon": _flow,
    "satin": _satin,
    "faux fur": _fur,
    "sequin": _sequin,
    "quilted": _quilt,
}
