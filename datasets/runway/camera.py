"""From body units to pixels, and drawing there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.runway.vocabulary import RGB


@dataclass(frozen=True)
class Camera:
    """Where body units land on the picture. matrix: (2, 3) to pixels. scale: pixels a body unit."""

    matrix: np.ndarray
    scale: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) body units -> (N, 2) pixels."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def fill(self, image: np.ndarray, points: np.ndarray, color: RGB | int) -> None:
        """Fills a polygon given in body units, smoothly."""
        cv2.fillPoly(image, [_fixed(self.project(points))], color, cv2.LINE_AA, 4)

    def line(self, image: np.ndarray, points: np.ndarray, color: RGB | int, width: float, closed: bool = False) -> None:
        """Draws a line of a width in body units, at least one pixel."""
        cv2.polylines(image, [_fixed(self.project(points))], closed, color, max(1, round(width * self.scale)), cv2.LINE_AA, 4)

    def disc(self, image: np.ndarray, x: float, y: float, radius: float, color: RGB | int) -> None:
        """Fills a circle given in body units, at least 0.9 pixels in radius."""
        px, py = _fixed(self.project(np.array([[x, y]])))[0]
        cv2.circle(image, (int(px), int(py)), max(15, round(radius * self.scale * 16)), color, -1, cv2.LINE_AA, 4)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * 16).astype(np.int32)
