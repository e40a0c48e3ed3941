"""Takes one photo: a garment, shown in a domain's way, as a JPEG with its box and landmarks."""

from __future__ import annotations

import random
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.runway import outline, scene
from datasets.runway.camera import Camera
from datasets.runway.garment import Garment
from datasets.runway.outline import Pose
from datasets.runway.paint import paint_garment
from datasets.runway.scene import Domain
from datasets.runway.vocabulary import UPPER, pick

Box = tuple[int, int, int, int]
Landmark = tuple[int, int, int]  # visibility (0 visible, 1 occluded, 2 cut off), x, y


@dataclass(frozen=True)
class Shot:
    """A finished photo. box: x1, y1, x2, y2, 1-based and inclusive. landmarks: left and right collar, sleeve, waist, hem."""

    image: np.ndarray  # uint8 RGB (H, W, 3)
    jpeg: bytes
    box: Box
    landmarks: tuple[Landmark, ...]


def take_photo(garment: Garment, domain: Domain, long_side: int, seed: str) -> Shot:
    """Photographs a garment; everything but the garment is drawn from the seed."""
    rng = random.Random(seed)
    background = pick(rng, domain.backgrounds)
    presentation = "flat" if background == "flat" else pick(rng, domain.presentations)
    presentation = "body" if background == "street" else presentation
    pose = outline.sample_pose(rng, presentation)
    camera = scene.sample_camera(rng, domain, garment, pose, long_side)
    image = scene.draw_background(camera, background, rng)
    scene.draw_body(image, garment, pose, camera, rng)
    alpha = paint_garment(image, garment, pose, camera, random.Random(f"{seed}/cloth"))
    occluded = rng.random() < domain.occlusion and presentation == "body"
    if occluded:
        scene.draw_occlusion(image, garment, camera, rng)
    if rng.random() < domain.banner:
        scene.draw_banner(image, rng)
    image = scene.expose(image, domain, rng)
    quality = rng.randint(*domain.quality)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return Shot(image, encoded.tobytes(), _box(alpha, rng), _landmarks(garment, pose, camera, rng))


def _box(alpha: np.ndarray, rng: random.Random) -> Box:
    """The garment's extent, drawn by a hand that is a little off."""
    height, width = alpha.shape
    x, y, wide, high = cv2.boundingRect((alpha > 96).astype(np.uint8))
    slack = 0.02 * max(wide, high)
    x1, y1 = round(x + 1 + rng.uniform(-slack, slack)), round(y + 1 + rng.uniform(-slack, slack))
    x2, y2 = round(x + wide + rng.uniform(-slack, slack)), round(y + high + rng.uniform(-slack, slack))
    x1, y1 = min(max(1, x1), width - 1), min(max(1, y1), height - 1)
    return x1, y1, min(max(x1 + 1, x2), width), min(max(y1 + 1, y2), height)


def _landmarks(garment: Garment, pose: Pose, camera: Camera, rng: random.Random) -> tuple[Landmark, ...]:
    points: list[tuple[float, float]] = []
    if garment.has_top:
        points += [(-0.12, 0.0), (0.12, 0.0)]
        for side in (-1, 1):
            joints = outline.arm(pose, side)
            along = garment.sleeve_reach * 2
            points.append(tuple(np.interp(along, (0, 1, 2), joints[:, axis]) for axis in (0, 1)))
    if garment.kind != UPPER:
        half = float(outline.body_half_width(outline.WAIST))
        points += [(-half, outline.WAIST), (half, outline.WAIST)]
    panel = outline.legs(garment, pose)[1] if garment.has_legs else outline.trunk(garment, pose)
    half = float(panel[panel[:, 1] > panel[:, 1].max() - 0.02][:, 0].max())
    points += [(-half, garment.hem), (half, garment.hem)]
    found = []
    for x, y in np.rint(camera.project(np.array(points))).astype(int):
        inside = 1 <= x <= camera.width and 1 <= y <= camera.height
        found.append((int(rng.random() < 0.1), int(x), int(y)) if inside else (2, 0, 0))
    return tuple(found)
