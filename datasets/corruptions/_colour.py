"""Brightness, and the saturation that is an extra."""

from __future__ import annotations

import numpy as np

from datasets.corruptions._kernel import kernel

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
SATURATE = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))  # factor, offset


def apply_brightness(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    _shift_saturation_and_value(images, 1.0, 0.0, BRIGHTNESS[severity - 1], out)


def apply_saturate(images: np.ndarray, out: np.ndarray, severity: int) -> None:
    factor, offset = SATURATE[severity - 1]
    _shift_saturation_and_value(images, factor, offset, 0.0, out)


@kernel
def _shift_saturation_and_value(images, factor, offset, amount, out):
    """To hue, saturation and value and back as scikit-image does, in one pass without branches: s * factor + offset, v + amount."""
    num, height, width, _ = images.shape
    planes = np.empty((3, width))
    for n in range(num):
        for y in range(height):
            pixels, result, reds, greens, blues = images[n, y], out[n, y], planes[0], planes[1], planes[2]
            for x in range(width):
                reds[x], greens[x], blues[x] = pixels[x, 0], pixels[x, 1], pixels[x, 2]
            for x in range(width):
                red, green, blue = reds[x] / 255.0, greens[x] / 255.0, blues[x] / 255.0
                value = max(red, green, blue)
                spread = value - min(red, green, blue)
                saturation = min((spread / value if spread != 0 else 0.0) * factor + offset, 1.0)
                difference = red - green if blue == value else (blue - red if green == value else green - blue)
                hue = ((4.0 if blue == value else (2.0 if green == value else 0.0)) + difference / spread) / 6.0
                hue = 0.0 if spread == 0 else (hue + 1.0 if hue < 0 else hue)
                value = min(value + amount, 1.0)
                sector = np.floor(hue * 6)
                part = hue * 6 - sector
                low = value * (1 - saturation)
                falling, rising = value * (1 - part * saturation), value * (1 - (1 - part) * saturation)
                first, last = (sector == 0) | (sector == 6), sector == 5
                reds[x] = value if first | last else (falling if sector == 1 else (rising if sector == 4 else low))
                greens[x] = rising if first else (value if sector <= 2 else (falling if sector == 3 else low))
                blues[x] = low if first | (sector == 1) else (rising if sector == 2 else (falling if last else value))
            for x in range(width):
                result[x, 0], result[x, 1], result[x, 2] = np.uint8(reds[x] * 255), np.uint8(greens[x] * 255), np.uint8(blues[x] * 255)
