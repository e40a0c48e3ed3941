"""Outlines of garments and bodies in body units.

The origin is the base of the neck, y grows downwards: armpit .28, waist .62, hip 1, crotch 1.08, knee 1.55, ankle 2.1.
Points are float64 (N, 2)."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from datasets.runway.garment import Garment
from datasets.runway.vocabulary import LOWER

WAIST = 0.62
CROTCH = 1.08
_BODY_Y = (0.04, 0.28, 0.62, 0.98, 1.3, 1.7, 2.2)
_BODY_HALF_WIDTH = (0.35, 0.31, 0.25, 0.33, 0.31, 0.27, 0.25)
_EASE = {"slim": -0.015, "regular": 0.05, "loose": 0.18, "a-line": 0.02, "cocoon": 0.1, "flare": 0.03, "cuffed": 0.04}
_LEG_HALF_WIDTH = {"slim": (0.165, 0.085), "regular": (0.18, 0.13), "loose": (0.2, 0.21), "flare": (0.165, 0.24), "cuffed": (0.2, 0.1)}


@dataclass(frozen=True)
class Pose:
    """How the garment is shown. Arm angles are radians from hanging straight down, outwards positive."""

    presentation: str  # body, mannequin or flat
    arms: tuple[float, float]  # left (negative x), right
    bends: tuple[float, float]
    sway: float  # sideways shift of the hips, body units
    stance: float  # distance of the feet, factor near 1


def sample_pose(rng: random.Random, presentation: str) -> Pose:
    """Arms hang beside a body and lie spread when flat."""
    low, high = (0.4, 0.75) if presentation == "flat" else (0.14, 0.36)
    bend = 0.12 if presentation == "flat" else 0.35
    return Pose(
        presentation,
        (rng.uniform(low, high), rng.uniform(low, high)),
        (rng.uniform(-bend, 0.1), rng.uniform(-bend, 0.1)),
        rng.uniform(-0.04, 0.04) if presentation == "body" else 0.0,
        rng.uniform(0.85, 1.5),
    )


def body_half_width(y: float | np.ndarray) -> np.ndarray:
    """Half the width of the trunk at a height."""
    return np.asarray(np.interp(y, _BODY_Y, _BODY_HALF_WIDTH))


def trunk(garment: Garment, pose: Pose) -> np.ndarray:
    """The part around the trunk, down to the hem, or to the crotch where legs follow."""
    top = WAIST + 0.02 if garment.kind == LOWER else 0.0
    bottom = CROTCH if garment.has_legs else garment.hem
    heights = np.linspace(max(top, 0.28), bottom, 7)
    widths = (body_half_width(heights) + _EASE[garment.fit]) * garment.ease
    below = np.clip((heights - 0.5) / 1.2, 0, 1)
    if garment.fit == "a-line":
        widths = widths + 0.5 * below + 0.05 * (below > 0)
    elif garment.fit == "slim" and garment.hem > 1.5 and not garment.has_legs:
        widths = widths - 0.08 * below
    elif garment.fit == "cocoon":
        middle = (heights - 0.28) / (bottom - 0.28)
        widths = widths + 0.26 * np.sin(np.pi * np.clip(middle * 1.05, 0, 1)) - 0.12 * middle
    if garment.sleeve_shape == "batwing":
        widths[:3] += (0.2, 0.16, 0.06)
    shift = pose.sway * np.clip(heights, 0, 1)
    right = np.stack([widths + shift, heights], 1)
    left = np.stack([shift - widths, heights], 1)[::-1]
    return np.concatenate([_shoulders(garment), right, left]) if garment.has_top else np.concatenate([right, left])


def _shoulders(garment: Garment) -> np.ndarray:
    """From the left armhole over the neck to the right armhole."""
    if garment.neck == "off-shoulder":
        half = [(0.34, 0.2)]
    elif garment.neck == "halter":
        half = [(0.1, -0.03), (0.2, 0.15)]
    elif garment.sleeve == "sleeveless" and garment.category not in ("hoodie", "down coat"):
        half = [(0.13, 0.0), (0.24, 0.03), (0.225, 0.17)]
    else:
        half = [(0.13, 0.0), (0.36, 0.055), (0.37, 0.1)]
    right = np.array(half)
    return np.concatenate([right[::-1] * (-1, 1), right])


def legs(garment: Garment, pose: Pose) -> list[np.ndarray]:
    """Both trouser legs, from the hip to the hem."""
    thigh, hem = _LEG_HALF_WIDTH.get(garment.fit, _LEG_HALF_WIDTH["regular"])
    reach = min(1.0, (garment.hem - CROTCH) / 0.95)
    ankle = thigh + (hem - thigh) * reach**1.4
    apart = max(0.165, ankle * garment.ease + 0.01)
    found = []
    for side in (-1, 1):
        x_top, x_low = side * 0.165 + pose.sway, side * (apart + (0.05 * pose.stance - 0.03) * reach) + pose.sway
        outer = body_half_width(0.98) + _EASE.get(garment.fit, 0.03)
        points = [
            (pose.sway + side * 0.0, CROTCH - 0.12),
            (pose.sway + side * outer * garment.ease, 0.98),
            (x_top + side * thigh, CROTCH + 0.12),
            (x_low + side * ankle * garment.ease, garment.hem),
            (x_low - side * ankle * garment.ease, garment.hem),
            (pose.sway + side * 0.012, CROTCH + 0.06),
        ]
        found.append(np.array(points))
    return found


def arm(pose: Pose, side: int) -> np.ndarray:
    """Shoulder, elbow and wrist of one arm (3, 2); side -1 is left."""
    which = 0 if side < 0 else 1
    angle, bend = pose.arms[which], pose.bends[which]
    shoulder = (0.31, 0.1)
    elbow = (shoulder[0] + 0.45 * math.sin(angle), shoulder[1] + 0.45 * math.cos(angle))
    wrist = (elbow[0] + 0.47 * math.sin(angle + bend), elbow[1] + 0.47 * math.cos(angle + bend))
    return np.array([shoulder, elbow, wrist]) * (side, 1)


def limb(points: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """A tube of the given half widths (N,) along a line (N, 2)."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    normal = along[:, ::-1] * (-1, 1)
    offset = normal * half_widths[:, None]
    return np.concatenate([points + offset, (points - offset)[::-1]])


_SLEEVE_AT = np.linspace(0, 1, 6)
_SLEEVE_WIDTHS = {  # half widths from the shoulder to the sleeve's end
    "regular": (0.12, 0.12, 0.11, 0.105, 0.1, 0.095),
    "raglan": (0.13, 0.125, 0.115, 0.105, 0.1, 0.095),
    "puff": (0.14, 0.23, 0.27, 0.26, 0.19, 0.08),
    "bell": (0.1, 0.095, 0.11, 0.17, 0.24, 0.31),
    "batwing": (0.26, 0.29, 0.25, 0.17, 0.11, 0.08),
}


def sleeve(garment: Garment, pose: Pose, side: int) -> np.ndarray:
    """One sleeve."""
    joints = arm(pose, side)
    along = _SLEEVE_AT * garment.sleeve_reach * 2  # 1 is the elbow
    points = np.stack([np.interp(along, (0, 1, 2), joints[:, 0]), np.interp(along, (0, 1, 2), joints[:, 1])], 1)
    if garment.neck == "off-shoulder":
        points[:, 1] += 0.1
    widths = np.array(_SLEEVE_WIDTHS[garment.sleeve_shape])
    if garment.sleeve == "short" and garment.sleeve_shape in ("bell", "batwing"):
        widths = widths * 0.85
    loose = 1.12 if garment.fit in ("loose", "cocoon") else 1.0
    return limb(points, widths * loose * garment.ease)


def neck_opening(garment: Garment) -> np.ndarray | None:
    """What a neckline leaves bare, or None for closed ones."""
    width = garment.neck_width
    if garment.neck in ("round", "scoop"):
        half, depth = (0.13, 0.1) if garment.neck == "round" else (0.17, 0.27)
        angle = np.linspace(0, np.pi, 9)
        return np.stack([half * width * np.cos(angle), depth * width * np.sin(angle)], 1) - (0, 0.02)
    points = {
        "v": [(-0.13, -0.03), (0.13, -0.03), (0.0, 0.36)],
        "square": [(-0.17, -0.03), (0.17, -0.03), (0.16, 0.22), (-0.16, 0.22)],
        "halter": [(-0.075, -0.05), (0.075, -0.05), (0.0, 0.22)],
        "lapel": [(-0.11, -0.03), (0.11, -0.03), (0.0, 0.5)],
        "shirt": [(-0.09, -0.03), (0.09, -0.03), (0.0, 0.15)],
    }.get(garment.neck)
    return None if points is None else np.array(points) * (width, 1)
