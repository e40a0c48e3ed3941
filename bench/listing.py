"""The `list` command: methods, data sets, corruptions and tables, read from source text."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bench import registry
from bench.cli import OK
from bench.spec import UsageError


def command(options: argparse.Namespace) -> int:
    """Prints what is registered, or the details of one name."""
    if options.kind in ("corruptions", "tables"):
        if options.name:
            raise UsageError(f"list {options.kind} takes no name")
        found = corruptions() if options.kind == "corruptions" else tables()
    else:
        found = describe(options.kind, options.name)
    if options.json:
        print(json.dumps(found, indent=1))
        return OK
    for item in found:
        print(_line(item))
        if options.name:
            for name, value in item.get("parameters", {}).items():
                print(f"  {name}: {value['type']} = {value['default']!r}")
    return OK


def describe(kind: str, name: str | None = None) -> list[dict[str, Any]]:
    """One entry a registered name, or the one asked for. Raises UnknownNameError."""
    chosen = [registry.entry(kind, name)] if name else list(registry.entries(kind))
    return [_entry(each) for each in chosen]


def corruptions() -> list[dict[str, Any]]:
    """The 15 of the benchmark, and the four outside its mean."""
    part = registry.load_part("datasets.corruptions")
    extra = [{"name": name, "summary": "extra, outside the mean"} for name in part.EXTRAS]
    return [{"name": name, "summary": ""} for name in part.NAMES] + extra


def tables() -> list[dict[str, Any]]:
    """The papers' tables, which run --table fills."""
    from bench import tables as known

    return [{"name": name, "summary": known.load(name).title} for name in known.names()]


def _entry(entry: registry.Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"name": entry.name, "summary": entry.summary, "error": entry.error}
    if entry.kind == "methods" and not entry.error:
        found["rows"], found["headline"] = [row for row in entry.rows if row], [row for row in entry.headline if row]
        found["parameters"] = {each.name: {"type": each.annotation, "default": each.default} for each in entry.parameters.values()}
    return found


def _line(item: dict[str, Any]) -> str:
    if item.get("error"):
        return f"{item['name']:20} broken: {item['error']}"
    rows = f" rows: {', '.join(item['rows'])}" if item.get("rows") else ""
    return f"{item['name']:20} {item['summary']}{rows}".rstrip()
