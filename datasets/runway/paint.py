"""Paints a garment: cloth with pattern, weave, folds and sheen, cut out by its outline, with collar, closure and details."""

from __future__ import annotations

import random

import cv2
import numpy as np

from datasets.runway import outline, texture
from datasets.runway.camera import Camera
from datasets.runway.details import draw_collar, draw_details, draw_front, draw_print
from datasets.runway.garment import Garment, lightness, toned
from datasets.runway.outline import Pose

_RELIEF = {"knit": 0.75, "lace": 0.35, "leather": 1.25, "satin": 1.0, "faux fur": 0.9, "sequin": 1.3, "quilted": 0.9, "chiffon": 0.9}
_OPACITY = {"chiffon": 0.74}
_RESOLUTIONS = (32, 64, 128, 256)  # of texture tiles, pixels a body unit


def paint_garment(image: np.ndarray, garment: Garment, pose: Pose, camera: Camera, rng: random.Random) -> np.ndarray:
    """Paints onto uint8 RGB (H, W, 3) in place. Returns uint8 (H, W), how much of each pixel the garment covers."""
    panels = _panels(garment, pose)
    alpha = np.zeros(image.shape[:2], np.uint8)
    for panel in panels:
        camera.fill(alpha, panel, 255)
    opening = outline.neck_opening(garment) if garment.has_top else None
    if opening is not None:
        if pose.presentation == "flat":
            _paint_inside(image, garment, alpha, camera)
        camera.fill(alpha, opening, 0)
    sleeves = _sleeve_mask(garment, panels, camera)
    layer = _cloth(garment, panels, alpha, sleeves, camera, rng)
    _draw_edges(layer, garment, panels, opening, camera)
    draw_front(layer, alpha, garment, camera)
    draw_collar(layer, alpha, garment, camera)
    draw_details(layer, alpha, garment, pose, camera)
    _shadow(image, alpha, camera)
    _blend(image, layer, _cover(garment, alpha, camera, rng))
    return alpha


def _panels(garment: Garment, pose: Pose) -> list[np.ndarray]:
    """Outlines in painting order, sleeves last."""
    panels = [outline.trunk(garment, pose)]
    if garment.has_legs:
        panels += outline.legs(garment, pose)
    if garment.has_top and garment.sleeve_shape:
        panels += [outline.sleeve(garment, pose, side) for side in (-1, 1)]
    return panels


def _paint_inside(image: np.ndarray, garment: Garment, alpha: np.ndarray, camera: Camera) -> None:
    """The back's inside, seen through the neck of a garment that nobody wears."""
    inside = toned(garment.base, 0.45, 12)
    camera.fill(image, np.array([(-0.16, 0.0), (0, 0.035), (0.16, 0.0), (0.16, 0.5), (-0.16, 0.5)]), inside)


def _sleeve_mask(garment: Garment, panels: list[np.ndarray], camera: Camera) -> np.ndarray | None:
    """float32 (H, W) in [0, 1], or None without sleeves."""
    if not garment.sleeve_shape:
        return None
    sleeves = np.zeros((camera.height, camera.width), np.uint8)
    for panel in panels[-2:]:
        camera.fill(sleeves, panel, 255)
    return sleeves * np.float32(1 / 255)


def _cloth(
    garment: Garment, panels: list[np.ndarray], alpha: np.ndarray, sleeves: np.ndarray | None, camera: Camera, rng: random.Random
) -> np.ndarray:
    """uint8 RGB (H, W, 3): the garment's fabric over the whole picture, shaded as its panels bend."""
    shade = _shade(garment, alpha, camera, rng)
    colors = _pattern_colors(garment, panels, camera, rng)
    if sleeves is not None and garment.sleeve_shape == "raglan":  # sleeves of another colour
        colors = colors + (np.array(garment.trim, np.float32) - colors) * sleeves[..., None]
    elif sleeves is not None:
        shade *= 1 - 0.2 * sleeves
    if garment.fabric in ("leather", "satin", "sequin"):
        colors = colors + np.maximum(shade - 1, 0)[..., None] * 130  # highlights are white, whatever the colour
    return np.clip(colors * shade[..., None], 0, 255).astype(np.uint8)


def _pattern_colors(garment: Garment, panels: list[np.ndarray], camera: Camera, rng: random.Random) -> np.ndarray:
    base = np.array(garment.base, np.float32)
    if garment.pattern == "solid":
        return np.broadcast_to(base, (camera.height, camera.width, 3))
    if texture.has_tile(garment.pattern):
        cover = _warp(texture.pattern_tile(garment.pattern, garment.pattern_variant, _resolution(camera)), camera, garment, rng)
    else:
        cover = np.zeros((camera.height, camera.width, 3), np.uint8)
        draw_print(cover, garment, panels, camera, rng)
    mix = np.array(garment.palette, np.float32) - base  # (3, 3)
    flat = cover.reshape(-1, 3).astype(np.float32) @ (mix / 255)
    return np.clip(flat + base, 0, 255).reshape(camera.height, camera.width, 3)


def _resolution(camera: Camera) -> int:
    return next((size for size in _RESOLUTIONS if size >= camera.scale), _RESOLUTIONS[-1])


def _warp(tile: np.ndarray, camera: Camera, garment: Garment | None, rng: random.Random) -> np.ndarray:
    """A tile laid over the picture at the garment's place, turn and scale."""
    inverse = cv2.invertAffineTransform(camera.matrix)
    units = tile.shape[0] / texture.TILE_UNITS
    zoom = units / (garment.pattern_scale if garment else 1.0)
    turn = garment.pattern_angle if garment else 0.0
    cos, sin = np.cos(turn) * zoom, np.sin(turn) * zoom
    to_tile = np.array([[cos, -sin], [sin, cos]]) @ inverse
    to_tile[:, 2] += (rng.random() * tile.shape[0] + 4 * tile.shape[0], rng.random() * tile.shape[0] + 4 * tile.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(tile, to_tile, (camera.width, camera.height), flags=flags, borderMode=cv2.BORDER_WRAP)


def _shade(garment: Garment, alpha: np.ndarray, camera: Camera, rng: random.Random) -> np.ndarray:
    """float32 (H, W), about 1: weave, folds and rounding towards the edges."""
    relief = _warp(texture.fabric_tile(garment.fabric, _resolution(camera)), camera, None, rng).astype(np.float32)
    depth = _RELIEF.get(garment.fabric, 0.8) * (1.25 if lightness(garment.base) < 60 else 1.0)
    depth *= 1.0 if garment.pattern == "solid" else 0.5  # the weave must not hide the pattern
    shade = 1 + (relief - 128) * (depth / 128)
    reach = max(3, int(camera.scale * 0.2)) | 1
    shade *= 0.66 + cv2.blur(alpha, (reach, reach)) * np.float32(0.36 / 255)
    folds = _warp(texture.fabric_tile("chiffon", _resolution(camera)), camera, None, rng)
    shade += (folds.astype(np.float32) - 128) * np.float32(0.28 / 128)
    return shade


def _draw_edges(layer: np.ndarray, garment: Garment, panels: list[np.ndarray], opening: np.ndarray | None, camera: Camera) -> None:
    dark = toned(garment.base, 0.5)
    for panel in panels:
        camera.line(layer, panel, dark, 0.012, closed=True)
    if opening is not None:
        camera.line(layer, opening, dark, 0.035, closed=True)


def _cover(garment: Garment, alpha: np.ndarray, camera: Camera, rng: random.Random) -> np.ndarray:
    """float32 (H, W) in [0, 1]: chiffon lets light through, lace has holes, fur a ragged edge."""
    cover = alpha * np.float32(_OPACITY.get(garment.fabric, 1.0) / 255)
    if garment.fabric == "lace":
        holes = _warp(texture.fabric_tile("lace", _resolution(camera)), camera, None, rng)
        cover = cover * np.clip((holes.astype(np.float32) - 40) / 70, 0.28, 1)
    elif garment.fabric == "faux fur":
        reach = max(3, int(camera.scale * 0.1)) | 1
        soft = cv2.blur(alpha, (reach, reach)).astype(np.float32)
        hair = _warp(texture.fabric_tile("faux fur", _resolution(camera)), camera, None, rng).astype(np.float32)
        cover = np.clip((soft + (hair - 128) * 1.6 - 70) / 60, 0, 1)
    return cover


def _shadow(image: np.ndarray, alpha: np.ndarray, camera: Camera) -> None:
    """A soft shadow, so that white on white keeps an outline."""
    reach = max(3, int(camera.scale * 0.14)) | 1
    soft = cv2.blur(alpha, (reach, reach))
    image[:] = cv2.multiply(image, cv2.merge([255 - (soft >> 2)] * 3), scale=1 / 255)


def _blend(image: np.ndarray, layer: np.ndarray, cover: np.ndarray) -> None:
    below = image.astype(np.float32)
    below += (layer - below) * cover[..., None]
    image[:] = below.astype(np.uint8)
