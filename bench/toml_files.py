"""Reads TOML and holds what it says against plain shapes, so that a slip in a file is named and reaches nobody as a TypeError.

A shape is a type, a tuple of alternatives, [shape] for a list, or {str: shape} for a table of anything."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.record_check import shown
from bench.spec import UsageError

NUMBER = (int, float)
_SAID = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


def read(path: Path, name: str = "") -> dict[str, Any]:
    """The content of a TOML file. Raises UsageError with its name for whatever cannot be read, FileNotFoundError without the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (ValueError, OSError, RecursionError) as error:  # tomllib passes on what int() refuses
        raise UsageError(f"{name or path}: {error}") from None


def check(where: str, entry: Any, shapes: Mapping[str, Any]) -> None:
    """Raises UsageError where the value of a key of shapes has another shape; other keys are not looked at."""
    if not isinstance(entry, dict):
        raise UsageError(f"{where} is {shown(entry)}; a table expected")
    for key, shape in shapes.items():
        if key in entry and not fits(entry[key], shape):
            raise UsageError(f"{where}: {key} is {shown(entry[key])}; {describe(shape)} expected")


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape; numbers are finite, and true is none."""
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(each, shape[str]) for each in value.values())
    if shape in NUMBER and type(value) in NUMBER:
        return type(value) is shape and math.isfinite(value) and abs(value) < 1e15
    return type(value) is shape


def describe(shape: Any) -> str:
    """A shape in words."""
    if shape == NUMBER:
        return _SAID[float]
    if isinstance(shape, tuple):
        return " or ".join(map(describe, shape))
    if isinstance(shape, list):
        return f"a list, each {describe(shape[0])},"
    return f"a table, each {describe(shape[str])}," if isinstance(shape, dict) else _SAID[shape]
