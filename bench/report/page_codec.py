"""How arrays and text get into the page: little-endian columns as base64, JSON that cannot end its script element."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = 65535  # of a quantised column: no figure
_LARGEST = MISSING - 1


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
    step = 1e-4
    while largest / step > _LARGEST and step < 1e300:
        step *= 10
    return step


def quantise(values: np.ndarray, step: float | np.ndarray) -> np.ndarray:
    """uint16 of values >= 0 in steps; what is not finite becomes MISSING, and never zero."""
    known = np.isfinite(values)
    whole = np.rint(np.where(known, values, 0.0) / step)
    return np.where(known, np.clip(whole, 0, _LARGEST), MISSING).astype(np.uint16)


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
