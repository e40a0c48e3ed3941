"""How arrays and text get into the page: little-endian columns as base64, JSON that cannot end its script element."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = 65535  # of a quantised column: no figure
_LARGEST = MISSING - 1
_FINEST = 1e-4  # the smallest step: a digit more than the page shows
_STRAY = sorted(  # by how many steps the ends of an interval may stray, the least first
    ((low, high) for low in range(-4, 5) for high in range(-4, 5)), key=lambda pair: (abs(pair[0]) + abs(pair[1]), pair)
)


class Names:
    """A dictionary of strings in order of first use: text -> number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    @property
    def list(self) -> list[str]:
        return list(self._numbers)


def pack(values: np.ndarray, kind: str) -> str:
    """Base64 of an array as little-endian numbers; kind: u1, u2, i1."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=f"<{kind}").tobytes()).decode("ascii")


def pack_bits(values: np.ndarray) -> str:
    """Base64 of booleans, the first in the highest bit of the first byte."""
    return base64.b64encode(np.packbits(values).tobytes()).decode("ascii")


def unit_of(values: np.ndarray) -> float:
    """What one step of a quantised column stands for: the smallest of 0.0001, 0.001, ... that the largest value fits in."""
    largest = float(np.nanmax(values, initial=0.0))
    step = _FINEST
    while largest / step > _LARGEST and step < 1e300:
        step *= 10
    return step


def quantise(values: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    """uint16 of values >= 0 in steps; what is not finite becomes MISSING, and never zero.

    A figure is shown with a digit less than the finest step has. Rounded twice it would not always show what it does rounded once, so
    that here no whole number of finest steps ends in 5: such a one becomes the next on the side that the figure itself rounds to."""
    known = np.isfinite(values)
    whole = np.clip(np.rint(np.where(known, values, 0.0) / step), 0, _LARGEST).astype(np.int64)
    tied = known & (np.broadcast_to(step, values.shape) == _FINEST) & (whole % 10 == 5)
    whole[tied] += np.where(_tenths(100 * values[tied]) * 10 > whole[tied], 1, -1)
    return np.where(known, whole, MISSING).astype(np.uint16)


def quantise_intervals(low: np.ndarray, high: np.ndarray, step: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`quantise` of both ends of intervals, such that half of their difference, too, shows what it does unrounded.

    Only where both ends and the half lie exactly between two digits can no such pair be."""
    ends = quantise(low, step), quantise(high, step)
    wanted = np.flatnonzero((ends[0] != MISSING) & (ends[1] != MISSING) & (np.broadcast_to(step, low.shape) == _FINEST))
    first, last = (each.ravel().astype(np.int64) for each in ends)
    wanted = wanted[np.abs((last - first)[wanted] % 20 - 10) <= 4]  # close to where the half's last digit changes
    half = _tenths(50 * (high.ravel()[wanted] - low.ravel()[wanted]))
    for less, more in _STRAY:
        new = first[wanted] + less, last[wanted] + more
        good = np.abs(new[1] - new[0] - 20 * half) < 10
        for moved, end in zip(new, (first, last), strict=True):
            good &= (moved % 10 != 5) & ((moved + 5) // 10 == (end[wanted] + 5) // 10) & (moved >= 0) & (moved <= _LARGEST)
        first[wanted[good]], last[wanted[good]] = new[0][good], new[1][good]
        wanted, half = wanted[~good], half[~good]
    return first.reshape(low.shape).astype(np.uint16), last.reshape(low.shape).astype(np.uint16)


def _tenths(points: np.ndarray) -> np.ndarray:
    """Tenths of a point as Python's own rounding to one digit gives them."""
    return np.array([round(10 * float(f"{value:.1f}")) for value in points.tolist()], dtype=np.int64)


def to_json(value: object) -> str:
    """JSON for the inside of a script element: no character in it can end the element or open a comment in it."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate, as in a file's name that is not UTF-8, becomes ?


def rounded(value: float | None, digits: int) -> float | None:
    """A number for JSON: None for what is not finite."""
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), digits)


def plain(value: Any) -> Any:
    """Dataclasses, named tuples, numpy's numbers and paths as JSON's own types; NaN as None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | np.floating):
        return rounded(float(value), 6)
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(each) for each in value]
    return str(value)
