"""What a method's source text declares, checked before anything runs: hyper-parameters by their annotations, constants by their shapes."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

PRESETS = ("tiny", "paper", "contract")  # the last for the contract suite alone: as small as shapes allow
SCORES = ("logits", "similarity")


def convert(value: Any, annotation: str) -> tuple[bool, Any]:
    """Whether a value is of the type that an annotation names, and the value in that type."""
    for option in _alternatives(annotation):
        matched, converted = _convert(value, option)
        if matched:
            return True, converted
    return False, value


def fault(constants: Mapping[str, Any], defaults: Mapping[str, tuple[str, Any]]) -> str:
    """What is wrong with the constants of a method's class and the defaults of its hyper-parameters, or an empty text.

    defaults: name -> annotation as written, default (None where there is none)."""
    return next(_faults(constants, defaults), "")


def _faults(constants: Mapping[str, Any], defaults: Mapping[str, tuple[str, Any]]) -> Iterator[str]:
    for name, (annotation, default) in defaults.items():
        if annotation and default is not None and not convert(default, annotation)[0]:
            yield f"the default of {name} is {default!r}, but {annotation} is its type"
    presets, rows = constants["PRESETS"], constants.get("ROWS", {})
    for constant, layers in (("PRESETS", presets), ("ROWS", rows)):
        if not isinstance(layers, dict) or not all(isinstance(changes, dict) for changes in layers.values()):
            yield f"{constant} is to be a dict of dicts"
            return
        for layer, changes in layers.items():
            for name, value in changes.items():
                if name not in defaults:
                    yield f"{constant}[{layer!r}] changes {name!r}, which is no hyper-parameter{_near(name, defaults)}"
                elif not convert(value, defaults[name][0])[0]:
                    yield f"{constant}[{layer!r}] sets {name} to {value!r}, but {defaults[name][0]} is its type"
    for layer in presets:
        preset, slash, row = str(layer).partition("/")
        if preset not in PRESETS:
            yield f"PRESETS has {layer!r}, but presets are {', '.join(PRESETS)}"
        elif slash and row not in rows:
            yield f"PRESETS has {layer!r}, but no row {row!r} is in ROWS{_near(row, rows)}"
    for constant, known, what in (("HEADLINE", rows, "row"), ("TEACHER_PARAMS", defaults, "hyper-parameter")):
        given = constants.get(constant, ())
        if not isinstance(given, tuple | list):
            yield f"{constant} is to be a tuple"
            return
        for name in given:
            if name not in known and not (constant == "HEADLINE" and not rows and name == ""):
                yield f"{constant} names {name!r}, which is no {what}{_near(str(name), known)}"
    if constants.get("SCORES", SCORES[0]) not in SCORES:
        yield f"SCORES is {constants['SCORES']!r}, expected one of {', '.join(SCORES)}"


def _near(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _alternatives(annotation: str) -> Iterator[ast.expr]:
    todo = [ast.parse(annotation or "str", mode="eval").body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.BinOp):
            todo += [node.right, node.left]
        else:
            yield node


def _convert(value: Any, option: ast.expr) -> tuple[bool, Any]:
    text = ast.unparse(option)
    if text == "float":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number, float(value) if is_number else value
    if text in ("int", "bool", "str"):
        return type(value).__name__ == text, value
    if text == "None":
        return value is None, value
    if text.startswith("Literal["):
        choices = ast.literal_eval(text.removeprefix("Literal"))
        return value in choices, value
    if text.startswith("tuple[") and isinstance(value, list | tuple) and isinstance(option, ast.Subscript):
        inner = option.slice.elts[0] if isinstance(option.slice, ast.Tuple) else option.slice
        pairs = [_convert(item, inner) for item in value]
        return all(matched for matched, _ in pairs), tuple(item for _, item in pairs)
    return False, value
