"""Spatter, an extra: drops of water or splashes of mud, by the peer's own filters."""

from __future__ import annotations

import numpy as np

from datasets.corruptions import _philox

SPATTER = (  # mean, scale and blur of the noise, threshold, strength (of drops) or blur (of mud), mud or not
    (0.65, 0.3, 4, 0.69, 0.6, False),
    (0.65, 0.3, 3, 0.68, 0.6, False),
    (0.65, 0.3, 2, 0.68, 0.5, False),
    (0.65, 0.3, 1, 0.65, 1.5, True),
    (0.67, 0.4, 1, 0.65, 1.5, True),
)
WATER, MUD = (175 / 255.0, 238 / 255.0, 238 / 255.0), (63 / 255.0, 42 / 255.0, 20 / 255.0)


def draw_spatter(images: np.ndarray, severity: int, identities: np.ndarray) -> tuple[np.ndarray]:
    """float64 (N, H, W), standard normal."""
    _, height, width, _ = images.shape
    return (_philox.normals(identities, height * width).reshape(-1, height, width),)


def apply_spatter(images: np.ndarray, out: np.ndarray, severity: int, noise: np.ndarray) -> None:
    from scipy.ndimage import gaussian_filter

    mean, scale, blur, threshold, strength, mud = SPATTER[severity - 1]
    for image, result, normal in zip(images, out, noise, strict=True):
        liquid = gaussian_filter(mean + scale * normal, blur, mode="nearest", truncate=4.0)
        liquid[liquid < threshold] = 0
        picture = image.astype(np.float32) / np.float32(255)
        if mud:
            cover = gaussian_filter((liquid > threshold).astype(np.float32), strength, mode="nearest", truncate=4.0)
            cover[cover < 0.8] = 0
            picture = picture * (1 - cover[..., None]) + np.array(MUD) * cover[..., None]
        else:
            picture = picture + _drops(liquid, strength)[..., None] * np.array(WATER, dtype=np.float32)
        result[...] = np.clip(picture, 0, 1) * 255


def _drops(liquid: np.ndarray, strength: float) -> np.ndarray:
    """float32 (H, W) from 0 to strength: water that shines at its rims; 0 everywhere where there is none."""
    import cv2

    levels = (liquid * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(levels, 50, 150), cv2.DIST_L2, 5)
    distance = np.minimum(distance, np.float32(20))
    rims = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    rims = cv2.filter2D(rims, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    drops: np.ndarray = levels * cv2.blur(rims, (3, 3)).astype(np.float32)
    drops = drops / np.maximum(np.max(drops), np.float32(1)) * np.float32(strength)
    return drops
