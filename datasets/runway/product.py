"""Photographs phone cases, aprons, bibs and phone accessories."""

from __future__ import annotations

import random
from dataclasses import replace

import cv2
import numpy as np

from datasets.runway import outline, scene
from datasets.runway.camera import Camera
from datasets.runway.garment import Garment, lightness, sample_garment, toned
from datasets.runway.outline import Pose
from datasets.runway.paint import paint_garment
from datasets.runway.photo import Shot
from datasets.runway.scene import Domain
from datasets.runway.swatch import blend, cloth
from datasets.runway.vocabulary import RGB, UPPER, pick

_DARK: RGB = (26, 27, 31)
_GLASS: RGB = (86, 94, 110)


def take_product(garment: Garment, domain: Domain, long_side: int, seed: str) -> Shot:
    """Photographs a thing whose category is phone case, apron, bib or accessory; its box is the whole picture."""
    rng = random.Random(seed)
    background = pick(rng, domain.backgrounds)
    worn = garment.category == "apron" and background != "flat" and rng.random() < 0.6
    pose = outline.sample_pose(rng, pick(rng, domain.presentations) if worn else "flat")
    camera = scene.sample_camera(rng, domain, garment, pose, long_side)
    image = scene.draw_background(camera, background, rng)
    if worn:
        _dress(image, garment, pose, camera, rng)
    _DRAW[garment.category](image, garment, camera, rng)
    if rng.random() < domain.occlusion:
        scene.draw_occlusion(image, garment, camera, rng)
    if rng.random() < domain.banner:
        scene.draw_banner(image, rng)
    image = scene.expose(image, domain, rng)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, rng.randint(*domain.quality)])[1]
    return Shot(image, encoded.tobytes(), (1, 1, image.shape[1], image.shape[0]), ())


def _dress(image: np.ndarray, garment: Garment, pose: Pose, camera: Camera, rng: random.Random) -> None:
    """Somebody in a plain top and trousers."""
    scene.draw_body(image, replace(garment, kind=UPPER), pose, camera, rng)
    paint_garment(image, sample_garment(rng, "tee 1", "solid 1"), pose, camera, rng)


def _draw_case(image: np.ndarray, garment: Garment, camera: Camera, rng: random.Random) -> None:
    """The back of a case with its cut-out for the lenses; sometimes the phone's front behind it."""
    half, top = rng.uniform(0.26, 0.31), -0.12
    if rng.random() < 0.4:
        shift = rng.choice((-1, 1)) * rng.uniform(0.2, 0.34)
        camera.fill(image, _rounded(shift - half, top + 0.07, shift + half, garment.hem, 0.09), _DARK)
        camera.fill(image, _rounded(shift - half + 0.03, top + 0.1, shift + half - 0.03, garment.hem - 0.03, 0.07), _GLASS)
    shape = _rounded(-half, top, half, garment.hem, 0.1)
    alpha = np.zeros(image.shape[:2], np.uint8)
    camera.fill(alpha, shape, 255)
    layer: np.ndarray = cloth(garment, camera, rng, zoom=0.72).astype(np.uint8)
    camera.line(layer, shape, toned(garment.base, 0.55), 0.035, closed=True)
    _draw_lenses(layer, half, top, camera, rng)
    if rng.random() < 0.6:  # gloss
        x = rng.uniform(-0.2, 0.1)
        shine = layer.copy()
        camera.fill(shine, np.array([(x, top), (x + 0.16, top), (x - 0.1, garment.hem), (x - 0.26, garment.hem)]), (255, 255, 255))
        layer = cv2.addWeighted(layer, 0.78, shine, 0.22, 0)
    blend(image, layer, alpha, camera)


def _draw_lenses(layer: np.ndarray, half: float, top: float, camera: Camera, rng: random.Random) -> None:
    left, upper, wide = -half + 0.05, top + 0.05, rng.choice((0.13, 0.24))
    camera.fill(layer, _rounded(left, upper, left + wide, upper + 0.26, 0.05), _DARK)
    for x in (0.065,) if wide < 0.2 else (0.075, 0.17):
        for y in (0.075, 0.185):
            camera.disc(layer, left + x, upper + y, 0.042, _GLASS)


def _draw_apron(image: np.ndarray, garment: Garment, camera: Camera, rng: random.Random) -> None:
    """Bib, skirt, straps around neck and waist, and often a pocket."""
    wide, low = rng.uniform(0.15, 0.2), garment.hem
    shape = np.array([(-wide, 0.14), (wide, 0.14), (0.2, 0.46), (0.34, 0.62), (0.38, low), (-0.38, low), (-0.34, 0.62), (-0.2, 0.46)])
    trim = garment.trim if rng.random() < 0.6 else toned(garment.base, 0.6)
    camera.line(image, np.array([(-wide, 0.15), (-0.11, -0.06), (-0.05, -0.12), (0.05, -0.12), (0.11, -0.06), (wide, 0.15)]), trim, 0.04)
    for side in (-1, 1):
        camera.line(image, np.array([(side * 0.33, 0.63), (side * 0.52, 0.66), (side * 0.55, rng.uniform(0.8, 1.0))]), trim, 0.04)
    alpha = np.zeros(image.shape[:2], np.uint8)
    camera.fill(alpha, shape, 255)
    layer = cloth(garment, camera, rng, folds=0.25).astype(np.uint8)
    edge = toned(garment.base, 0.5) if lightness(garment.base) > 60 else toned(garment.base, 1.3, 40)
    camera.line(layer, shape, edge, 0.025, closed=True)
    if rng.random() < 0.7:
        pocket = np.array([(-0.2, 0.78), (0.2, 0.78), (0.2, 1.04), (-0.2, 1.04)])
        camera.line(layer, pocket, edge, 0.025, closed=True)
        camera.line(layer, np.array([(-0.2, 0.79), (0.2, 0.79)]), trim, 0.05)
    blend(image, layer, alpha, camera)


def _draw_bib(image: np.ndarray, garment: Garment, camera: Camera, rng: random.Random) -> None:
    """A rounded bib with its neck cut out and a piped edge."""
    half, low = rng.uniform(0.33, 0.4), garment.hem
    body, neck = _rounded(-half, 0.0, half, low, 0.28), _oval(0.0, 0.0, 0.16, 0.19)
    alpha = np.zeros(image.shape[:2], np.uint8)
    for side in (-1, 1):  # the ends that close behind the neck
        camera.fill(alpha, _oval(side * 0.19, -0.03, 0.1, 0.17), 255)
    camera.fill(alpha, body, 255)
    camera.fill(alpha, neck, 0)
    layer = cloth(garment, camera, rng, zoom=0.8, folds=0.12).astype(np.uint8)
    for shape in (np.concatenate([body[7:], body[:3]]), neck):  # the upper edge lies under the neck and the ends
        camera.line(layer, shape, garment.trim, 0.04)
    blend(image, layer, alpha, camera)


def _draw_accessory(image: np.ndarray, garment: Garment, camera: Camera, rng: random.Random) -> None:
    """Earphones, a charger with its cable, or a stand: what turns up among phone cases."""
    color, dark = garment.base, toned(garment.base, 0.55)
    if garment.pattern_variant == 0:
        loop = np.stack([0.36 * np.cos(np.linspace(0, 5.2, 14)), 0.4 + 0.34 * np.sin(np.linspace(0, 5.2, 14))], 1)
        camera.line(image, loop, color, 0.04)
        for x, y in (loop[0], loop[-1]):
            camera.disc(image, float(x), float(y), 0.09, dark)
    elif garment.pattern_variant == 1:
        camera.fill(image, _rounded(-0.2, 0.45, 0.2, 0.95, 0.06), color)
        camera.fill(image, np.array([(-0.1, 0.95), (-0.05, 0.95), (-0.05, 1.05), (-0.1, 1.05)]), dark)
        camera.fill(image, np.array([(0.05, 0.95), (0.1, 0.95), (0.1, 1.05), (0.05, 1.05)]), dark)
        camera.line(image, np.array([(0, 0.45), (0.05, 0.2), (0.3, 0.1), (0.32, -0.1), (0.05, -0.12)]), dark, 0.04)
    else:
        camera.fill(image, _oval(0.0, 0.95, 0.34, 0.1), dark)
        camera.line(image, np.array([(0, 0.95), (0.05, 0.4)]), dark, 0.07)
        camera.fill(image, _oval(0.05, 0.25, 0.24, 0.24), color)
        camera.fill(image, _oval(0.05, 0.25, 0.13, 0.13), dark)


def _rounded(left: float, top: float, right: float, bottom: float, radius: float) -> np.ndarray:
    """A rectangle with round corners, clockwise from the upper left corner's left end."""
    corners = (
        (left + radius, top + radius),
        (right - radius, top + radius),
        (right - radius, bottom - radius),
        (left + radius, bottom - radius),
    )
    turns = [np.linspace(start, start + np.pi / 2, 5) for start in (np.pi, 1.5 * np.pi, 0.0, 0.5 * np.pi)]
    arcs = [np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], 1) for (x, y), turn in zip(corners, turns, strict=True)]
    return np.concatenate(arcs)


def _oval(x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 17)[:-1]
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], 1)


_DRAW = {"phone case": _draw_case, "apron": _draw_apron, "bib": _draw_bib, "accessory": _draw_accessory}
