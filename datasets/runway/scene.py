"""Where a garment is photographed: background, the body that wears it, what hides it, light and the camera's flaws."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.runway import outline, texture
from datasets.runway.camera import Camera
from datasets.runway.garment import Garment, jitter, toned
from datasets.runway.outline import Pose
from datasets.runway.vocabulary import FULL, LOWER, RGB, UPPER

_SKIN: tuple[RGB, ...] = ((246, 214, 190), (232, 190, 160), (204, 152, 116), (160, 110, 78), (112, 74, 52), (84, 56, 42))
_HAIR: tuple[RGB, ...] = ((28, 22, 20), (70, 44, 28), (120, 78, 44), (206, 168, 100), (60, 58, 60))
_REACH = {UPPER: 1.3, LOWER: 2.0, FULL: 2.0}  # how far down a typical picture shows a body
_UNDER: tuple[RGB, ...] = ((40, 44, 60), (58, 78, 118), (30, 30, 34), (226, 224, 218), (150, 140, 126), (92, 92, 96))


@dataclass(frozen=True)
class Domain:
    """How the photos of a data set look. backgrounds, presentations: weights as text; aspect: range of width / height;
    quality: range of JPEG quality; blur: largest blur as a share of the long side; noise: largest factor on the sensor's noise."""

    backgrounds: str  # of studio, street, shop, plain, flat
    presentations: str  # of body, mannequin, flat
    aspect: tuple[float, float]
    quality: tuple[int, int]
    margin: tuple[float, float]  # space around the garment, share of its height
    blur: float = 0.008
    noise: float = 1.0
    light: float = 0.2  # how far exposure and white balance stray
    occlusion: float = 0.12  # chance that something lies before the garment
    tilt: float = 5.0  # degrees
    banner: float = 0.0  # chance of a seller's text over the picture


def sample_camera(rng: random.Random, domain: Domain, garment: Garment, pose: Pose, long_side: int) -> Camera:
    """Frames the garment with some room, tilt and shift."""
    height = long_side
    width = min(long_side, max(8, round(long_side * rng.uniform(*domain.aspect))))
    top = 0.6 if garment.kind == LOWER else -0.18
    bottom = garment.hem + 0.05
    if pose.presentation != "flat":  # the shorter a thing is, the more of the body shows
        bottom += 0.4 * max(0.0, _REACH[garment.kind] - garment.hem)
    spread = 1.25 if garment.kind == LOWER else (1.5 if pose.presentation == "flat" and garment.sleeve == "long" else 1.2)
    room = rng.uniform(*domain.margin)
    scale = min(height / ((bottom - top) * (1 + room)), width / (spread * (1 + room * 0.4)))
    angle = math.radians(rng.gauss(0, domain.tilt * (1.6 if pose.presentation == "flat" else 0.7)))
    stretch = rng.uniform(0.94, 1.07)
    linear = np.array([[math.cos(angle) * stretch, -math.sin(angle)], [math.sin(angle) * stretch, math.cos(angle)]]) * scale
    centre = np.array([width * rng.uniform(0.45, 0.55), height * rng.uniform(0.47, 0.53)])
    shift = centre - linear @ np.array([0.0, (top + bottom) / 2])
    return Camera(np.concatenate([linear, shift[:, None]], 1), scale, width, height)


def draw_background(camera: Camera, kind: str, rng: random.Random) -> np.ndarray:
    """uint8 RGB (H, W, 3)."""
    image = np.empty((camera.height, camera.width, 3), np.uint8)
    _BACKGROUNDS[kind](image, rng)
    haze = rng.uniform(0.15, 0.5) if kind in ("street", "shop") else 0.0
    return cv2.addWeighted(image, 1 - haze, np.full_like(image, 215), haze, 0) if haze else image  # the garment stands out


def draw_body(image: np.ndarray, garment: Garment, pose: Pose, camera: Camera, rng: random.Random) -> None:
    """The person or mannequin, and the plain clothes that go with a top or with trousers."""
    if pose.presentation == "flat":
        return
    alive = pose.presentation == "body"
    skin = jitter(rng, rng.choice(_SKIN), 8) if alive else jitter(rng, rng.choice(((228, 224, 216), (180, 178, 176), (238, 222, 200))), 6)
    shaded = toned(skin, 0.84)
    for side in (-1, 1):
        foot = side * (0.15 + 0.05 * (pose.stance - 1))
        leg = np.array([(side * 0.16 + pose.sway, 0.95), (side * 0.16 + pose.sway, 1.5), (foot + pose.sway, 2.15)])
        camera.fill(image, outline.limb(leg, np.array([0.16, 0.1, 0.06])), skin if side < 0 else shaded)
        camera.fill(image, outline.limb(outline.arm(pose, side), np.array([0.085, 0.065, 0.05])), shaded)
    camera.fill(image, _trunk(pose), skin)
    camera.fill(image, np.array([(-0.075, -0.25), (0.075, -0.25), (0.11, 0.06), (-0.11, 0.06)]), shaded)
    if alive:
        _draw_head(image, camera, skin, rng)
    _draw_underwear(image, garment, pose, camera, rng)


def _trunk(pose: Pose) -> np.ndarray:
    heights = np.array([0.04, 0.28, 0.62, 0.98, 1.08])
    half = outline.body_half_width(heights)
    shift = pose.sway * heights
    return np.concatenate([np.stack([half + shift, heights], 1), np.stack([shift - half, heights], 1)[::-1]])


def _draw_head(image: np.ndarray, camera: Camera, skin: RGB, rng: random.Random) -> None:
    hair = jitter(rng, rng.choice(_HAIR), 10)
    length = rng.choice((0.0, 0.0, 0.1, 0.3))
    camera.fill(image, _oval(0, -0.42, 0.185, 0.235), hair)
    if length:
        camera.fill(image, np.array([(-0.185, -0.42), (0.185, -0.42), (0.2, -0.2 + length), (-0.2, -0.2 + length)]), hair)
        camera.fill(image, np.array([(-0.075, -0.25), (0.075, -0.25), (0.11, 0.06), (-0.11, 0.06)]), toned(skin, 0.84))
    camera.fill(image, _oval(0, -0.37, 0.14, 0.19), skin)


def _draw_underwear(image: np.ndarray, garment: Garment, pose: Pose, camera: Camera, rng: random.Random) -> None:
    """Plain trousers under a top, a plain top over trousers or a skirt, and a slip under thin cloth."""
    color = jitter(rng, rng.choice(_UNDER), 10)
    if garment.kind == UPPER:
        width = rng.choice((0.11, 0.13, 0.17))
        end = rng.choice((1.3, 2.1, 2.1))
        for side in (-1, 1):
            line = np.array([(side * 0.17 + pose.sway, 0.7), (side * 0.165 + pose.sway, 1.1), (side * 0.17 + pose.sway, end)])
            camera.fill(image, outline.limb(line, np.array([0.15, 0.17, width])), color)
        camera.fill(image, np.array([(-0.26, 0.68), (0.26, 0.68), (0.33, 0.98), (0.2, 1.12), (-0.2, 1.12), (-0.33, 0.98)]), color)
    elif garment.kind == LOWER:
        camera.fill(image, _trunk(pose)[np.array([0, 1, 2, 7, 8, 9])] * (1.05, 1.0) + (0, 0.04), color)


def draw_occlusion(image: np.ndarray, garment: Garment, camera: Camera, rng: random.Random) -> None:
    """A bag with its strap, or long hair, or a hand's object before the garment."""
    side = rng.choice((-1, 1))
    color = jitter(rng, rng.choice(((96, 60, 38), (30, 30, 34), (170, 40, 46), (206, 178, 140))), 14)
    middle = (max(0.0, 0.6 * (garment.kind == LOWER)) + garment.hem) / 2
    if rng.random() < 0.5:
        camera.line(image, np.array([(-side * 0.2, -0.02), (side * 0.33, 0.9)]), color, 0.04)
        camera.fill(image, np.array([(0.2, 0.85), (0.52, 0.85), (0.54, 1.15), (0.18, 1.15)]) * (side, 1), color)
    else:
        x, y, size = side * rng.uniform(0.12, 0.4), middle + rng.uniform(-0.2, 0.3), rng.uniform(0.09, 0.16)
        camera.fill(image, _oval(x, y, size, size * rng.uniform(0.8, 1.5)), color)


def draw_banner(image: np.ndarray, rng: random.Random) -> None:
    """A strip with lettering, as sellers put over their pictures."""
    height, width = image.shape[:2]
    color = jitter(rng, rng.choice(((214, 40, 60), (250, 236, 90), (30, 30, 30), (250, 250, 250))), 12)
    band = max(4, int(height * rng.uniform(0.07, 0.12)))
    top = rng.choice((0, height - band))
    left, right = (0, width) if rng.random() < 0.5 else (0, width // 2)
    cv2.rectangle(image, (left, top), (right, top + band), color, -1)
    ink = (255, 255, 255) if sum(color) < 380 else (20, 20, 20)
    for x in range(left + 2, right - 2, max(2, band // 2)):
        cv2.rectangle(image, (x, top + band // 4), (x + max(1, int(band * rng.uniform(0.1, 0.3))), top + band - 1 - band // 4), ink, -1)


def expose(image: np.ndarray, domain: Domain, rng: random.Random) -> np.ndarray:
    """Exposure, white balance, light from a side, blur and sensor noise."""
    long_side = max(image.shape[:2])
    gain = 1 + rng.uniform(-domain.light, domain.light)
    gamma = 1 + rng.uniform(-domain.light, domain.light)
    ramp = np.linspace(0, 1, 256) ** gamma * 255 * gain
    balance = [1 + rng.uniform(-0.4, 0.4) * domain.light for _ in range(3)]
    table = np.clip(np.stack([ramp * value for value in balance], 1), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    sigma = rng.uniform(0, domain.blur) * long_side
    if sigma > 0.35:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return _lit(image, domain, rng)


def _lit(image: np.ndarray, domain: Domain, rng: random.Random) -> np.ndarray:
    height, width = image.shape[:2]
    tile = texture.noise_tile(512)
    top, left = rng.randrange(512 - height) if height < 512 else 0, rng.randrange(512 - width) if width < 512 else 0
    noise = tile[top : top + height, left : left + width]
    if noise.shape[:2] != (height, width):
        noise = np.tile(tile, (height // 512 + 1, width // 512 + 1, 1))[:height, :width]
    slope_x, slope_y = rng.uniform(-domain.light, domain.light), rng.uniform(-domain.light, domain.light)
    gain = 1 + slope_x * np.linspace(-1, 1, width, dtype=np.float32) + slope_y * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    lit = image * gain[..., None] + noise * np.float32(rng.uniform(0, domain.noise))
    return np.clip(lit, 0, 255).astype(np.uint8)


def _oval(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 15)[:-1]
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], 1)


def _ramp(image: np.ndarray, top: RGB, bottom: RGB) -> None:
    share = np.linspace(0, 1, image.shape[0], dtype=np.float32)[:, None, None]
    image[:] = (np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share).astype(np.uint8)


def _plain(image: np.ndarray, rng: random.Random) -> None:
    """White or nearly so."""
    shade = rng.randint(232, 255)
    image[:] = (shade, shade, shade - rng.randint(0, 6))


def _studio(image: np.ndarray, rng: random.Random) -> None:
    """A paper backdrop that curves into the floor."""
    papers = ((226, 224, 220), (190, 196, 204), (214, 200, 188), (160, 164, 168), (238, 238, 240), (196, 208, 196))
    wall = jitter(rng, rng.choice(papers), 8)
    _ramp(image, wall, toned(wall, rng.uniform(0.8, 1.05)))
    floor = int(image.shape[0] * rng.uniform(0.82, 0.98))
    cv2.rectangle(image, (0, floor), (image.shape[1], image.shape[0]), toned(wall, rng.uniform(0.75, 0.95)), -1)


def _street(image: np.ndarray, rng: random.Random) -> None:
    """Sky, house fronts with windows, pavement and greenery, out of focus."""
    height, width = image.shape[:2]
    _ramp(image, jitter(rng, (170, 196, 222)), jitter(rng, (214, 214, 208)))
    x, ground = 0, int(height * rng.uniform(0.68, 0.86))
    while x < width:
        wide = max(4, int(width * rng.uniform(0.18, 0.45)))
        wall = jitter(rng, rng.choice(((150, 120, 104), (122, 126, 130), (178, 164, 146), (96, 78, 70), (200, 196, 188))), 18)
        roof = int(height * rng.uniform(-0.1, 0.35))
        cv2.rectangle(image, (x, roof), (x + wide, ground), wall, -1)
        pane, step = toned(wall, rng.choice((0.55, 1.3))), max(3, int(height * rng.uniform(0.08, 0.14)))
        for y in range(max(0, roof) + step // 2, ground - step // 2, step):
            for left in range(x + step // 3, x + wide - step // 3, step):
                cv2.rectangle(image, (left, y), (left + step // 3, y + step // 2), pane, -1)
        x += wide
    cv2.rectangle(image, (0, ground), (width, height), jitter(rng, (128, 126, 124), 18), -1)
    for _ in range(rng.randint(0, 3)):
        blob = jitter(rng, rng.choice(((60, 96, 54), (150, 36, 38), (40, 60, 110), (220, 200, 60))), 18)
        size = int(height * rng.uniform(0.06, 0.18))
        cv2.circle(image, (rng.randrange(width), ground - rng.randint(-size, size)), size, blob, -1, cv2.LINE_AA)
    image[:] = cv2.GaussianBlur(image, (0, 0), max(0.6, height * rng.uniform(0.006, 0.016)))


def _shop(image: np.ndarray, rng: random.Random) -> None:
    """A rail of clothes on hangers before a wall, with a wooden floor."""
    height, width = image.shape[:2]
    image[:] = jitter(rng, rng.choice(((232, 222, 206), (206, 192, 176), (224, 208, 212), (180, 176, 172))), 12)
    for rail in (0.08, 0.52) if rng.random() < 0.6 else (0.14,):
        y, x = int(height * (rail + rng.uniform(-0.04, 0.04))), 0
        while x < width:
            wide = max(2, int(width * rng.uniform(0.04, 0.1)))
            color = jitter(rng, (rng.randint(90, 220), rng.randint(90, 210), rng.randint(90, 210)), 6)
            cv2.rectangle(image, (x, y), (x + wide - 1, y + int(height * rng.uniform(0.24, 0.4))), color, -1)
            x += wide + rng.randint(0, max(1, width // 16))
        cv2.line(image, (0, y), (width, y), (90, 84, 80), max(1, height // 60))
    floor = int(height * rng.uniform(0.84, 0.95))
    cv2.rectangle(image, (0, floor), (width, height), jitter(rng, (150, 112, 78), 16), -1)
    image[:] = cv2.GaussianBlur(image, (0, 0), max(0.5, height * rng.uniform(0.004, 0.012)))


def _flat(image: np.ndarray, rng: random.Random) -> None:
    """Floorboards or a bed sheet."""
    height, width = image.shape[:2]
    wood = rng.random() < 0.5
    color = jitter(rng, rng.choice(((186, 148, 108), (212, 186, 152), (120, 90, 66)) if wood else ((232, 230, 226), (206, 210, 220))), 12)
    image[:] = color
    if wood:
        board = max(4, int(height * rng.uniform(0.12, 0.2)))
        for y in range(rng.randrange(board), height, board):
            cv2.line(image, (0, y), (width, y), toned(color, 0.72), 1, cv2.LINE_AA)
    else:
        for _ in range(4):
            start, end = (rng.randrange(width), 0), (rng.randrange(width), height)
            cv2.line(image, start, end, toned(color, 0.9), max(1, height // 30), cv2.LINE_AA)


_BACKGROUNDS = {"plain": _plain, "studio": _studio, "street": _street, "shop": _shop, "flat": _flat}
