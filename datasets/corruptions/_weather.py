"""Snow, frost and fog."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from datasets.corruptions import _filters, _philox
from datasets.corruptions._kernel import kernel

SNOW = (  # mean and scale of the noise, zoom, threshold, radius and sigma of the blur, share of the picture
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
FROST = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))  # shares of picture and frost
FROST_FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")  # the package's sixth is never drawn
FOG = ((1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # thickness, decay of the roughness


def draw_snow(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 (N, h, w), standard normal, of the centre that the zoom looks at; float64 (N,), uniform: from -135 to -45 degrees."""
    height, width = (int(np.ceil(size / SNOW[severity - 1][2])) for size in images.shape[1:3])
    noise = _philox.normals(identities, height * width)
    return noise.reshape(-1, height, width), _philox.uniforms(identities, 1, stream=1)[:, 0]


def apply_snow(images: np.ndarray, out: np.ndarray, severity: int, noise: np.ndarray, uniform: np.ndarray) -> None:
    mean, scale, zoom, threshold, radius, sigma, share = SNOW[severity - 1]
    layer = _filters.linear_zoom(mean + scale * noise, zoom)
    layer[layer < threshold] = 0
    layer = np.clip(layer, 0, 1, out=layer)[..., None]
    blurred = np.empty_like(layer)
    _filters.motion_blur(layer, int(radius), sigma, -135 + 90 * uniform, blurred)
    flakes = np.round(blurred[:, : images.shape[1], : images.shape[2], 0] * 255).astype(np.uint8)
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    _snow(images, _grey(images), levels, flakes, np.float32(share), np.float32(1 - share), out)


def _grey(images: np.ndarray) -> np.ndarray:
    """float32 (N, H, W), by cv2, whose rounding depends on the processor."""
    import cv2

    grey = np.empty(images.shape[:3], dtype=np.float32)
    for image, result in zip(images, grey, strict=True):
        cv2.cvtColor(image / np.float32(255), cv2.COLOR_RGB2GRAY, dst=result)
    return grey


def draw_frost(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """int64 (N, 3): the texture, and the row and column at which its crop starts."""
    height, width = images.shape[1:3]
    words = _philox.words(identities, 3).astype(np.uint64)
    choice = (words[:, 0] * np.uint64(len(FROST_FILES))) >> np.uint64(32)
    room = np.array([frost_texture(int(index), height, width).shape[:2] for index in choice]) - (height, width)
    places = (words[:, 1:] * room.astype(np.uint64)) >> np.uint64(32)
    return (np.column_stack([choice, places]).astype(np.int64),)


def apply_frost(images: np.ndarray, out: np.ndarray, severity: int, choices: np.ndarray) -> None:
    share, frost_share = FROST[severity - 1]
    for image, result, (index, row, column) in zip(images, out, choices.tolist(), strict=True):
        _frost(image, frost_texture(index, *image.shape[:2]), row, column, float(share), float(frost_share), result)


def frost_texture(index: int, height: int, width: int) -> np.ndarray:
    """uint8 (h, w, 3), RGB: the package's texture, a tenth larger than it is or than images of this size need."""
    rows, columns = _frost_file(index).shape[:2]
    scale = 1 if rows >= height and columns >= width else max(height / rows, width / columns)
    return _frost_scaled(index, scale * 1.1)


@lru_cache(maxsize=2 * len(FROST_FILES))
def _frost_scaled(index: int, scale: float) -> np.ndarray:
    import cv2

    texture = _frost_file(index)
    size = int(np.ceil(texture.shape[1] * scale)), int(np.ceil(texture.shape[0] * scale))
    return np.ascontiguousarray(cv2.resize(texture, dsize=size, interpolation=cv2.INTER_CUBIC)[..., ::-1])


@cache
def _frost_file(index: int) -> np.ndarray:
    import cv2

    spec = importlib.util.find_spec("imagecorruptions")  # found, not imported
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("frost needs the textures of imagecorruptions: pip install imagecorruptions==1.1.2")
    path = Path(spec.origin).parent / "frost" / FROST_FILES[index]
    texture: np.ndarray | None = cv2.imread(str(path))
    if texture is None:
        raise FileNotFoundError(f"{path} is missing or no picture: pip install --force-reinstall imagecorruptions==1.1.2")
    return texture


def draw_fog(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """float64 (N, S*S - 1), uniform in (0, 1), in the order of the map's refinement; S: the power of two that holds the image."""
    size = 1 << (max(images.shape[1:]) - 1).bit_length()
    return (_philox.uniforms(identities, size * size - 1),)


def apply_fog(images: np.ndarray, out: np.ndarray, severity: int, uniform: np.ndarray) -> None:
    thickness, decay = FOG[severity - 1]
    size = 1 << (max(images.shape[1:]) - 1).bit_length()
    _fog(images, np.arange(256) / 255.0, uniform, size, thickness, float(decay), out)


@kernel
def _snow(images, grey, levels, flakes, share, rest, out):
    num, height, width, _ = images.shape
    for n in range(num):
        for y in range(height):
            for x in range(width):
                snow = flakes[n, y, x] / 255.0
                mirrored = flakes[n, height - 1 - y, width - 1 - x] / 255.0
                whitened = grey[n, y, x] * np.float32(1.5) + np.float32(0.5)
                for c in range(3):
                    value = levels[images[n, y, x, c]]
                    pixel = share * value + rest * max(value, whitened)
                    out[n, y, x, c] = np.uint8(min((np.float64(pixel) + snow) + mirrored, 1.0) * 255)


@kernel
def _frost(image, texture, first_row, first_column, share, frost_share, out):
    for y in range(image.shape[0]):
        row, ice, result = image[y].reshape(-1), texture[first_row + y, first_column:].reshape(-1), out[y].reshape(-1)
        for i in range(len(row)):
            result[i] = np.uint8(min(share * row[i] + frost_share * ice[i], 255.0))


@kernel
def _fog(images, levels, uniform, size, thickness, decay, out):
    num, height, width, channels = images.shape
    heights, mist = np.empty((size, size)), np.empty(width * channels)
    for n in range(num):
        _diamond_square(uniform[n], decay, heights)
        lowest, highest, brightest = heights.min(), heights.max(), levels[images[n].max()]
        highest -= lowest
        for y in range(height):
            row, pixels, result = heights[y], images[n, y].reshape(-1), out[n, y].reshape(-1)
            for x in range(width):
                mist[x * channels : (x + 1) * channels] = thickness * ((row[x] - lowest) / highest)
            for i in range(len(mist)):
                value = (pixels[i] / 255.0 + mist[i]) * brightest / (brightest + thickness)
                result[i] = np.uint8(min(value, 1.0) * 255)


@kernel
def _diamond_square(uniform, decay, heights):
    """Height map of midpoint displacement on a torus, float64 (S, S); uniform: in (0, 1), in the peer's order."""
    size = len(heights)
    heights[0, 0] = 0.0
    step, wibble, used = size, 100.0, 0
    while step >= 2:
        half, num, spread = step // 2, size // step, wibble - -wibble
        for i in range(num):
            here, below, between = heights[i * step], heights[(i + 1) % num * step], heights[i * step + half]
            for j in range(num):
                x, right = j * step, (j + 1) % num * step
                corners = (here[x] + below[x]) + (here[right] + below[right])
                between[x + half] = corners / 4 + wibble * (-wibble + spread * uniform[used])
                used += 1
        for i in range(num):
            row, above, below = heights[i * step], heights[(i - 1) % num * step + half], heights[i * step + half]
            for j in range(num):
                x, right = j * step, (j + 1) % num * step
                sides = (below[x + half] + above[x + half]) + (row[x] + row[right])
                row[x + half] = sides / 4 + wibble * (-wibble + spread * uniform[used])
                used += 1
        for i in range(num):
            row, below, between = heights[i * step], heights[(i + 1) % num * step], heights[i * step + half]
            for j in range(num):
                x, left = j * step, (j - 1) % num * step
                sides = (between[x + half] + between[left + half]) + (row[x] + below[x])
                between[x] = sides / 4 + wibble * (-wibble + spread * uniform[used])
                used += 1
        step, wibble = half, wibble / decay
