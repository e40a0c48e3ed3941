"""Claims as they stand in results/claims.toml, checked: what each compares, where, and where it stands in print."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench import registry, tables, toml_files
from bench.spec import UsageError, row_label
from bench.tables import RESULTS, Column, Row

_KEYS = frozenset(
    {"paper", "where", "statement", "needs", "datasets", "metric", "attributes", "order", "pairs", "best", "than", "loss", "bounds"}
    | {"margin", "within", "corrupted", "separately", "label_fraction", "unlabeled", "note"}
)
_ROW: Any = (str, dict)
_SHAPES = {
    **dict.fromkeys(("paper", "where", "statement", "metric", "note"), str),
    **dict.fromkeys(("margin", "within", "label_fraction", "unlabeled"), toml_files.NUMBER),
    **dict.fromkeys(("corrupted", "separately"), bool),
    **dict.fromkeys(("best", "loss"), _ROW),
    **{
        "needs": (str, [str]),
        "datasets": [str],
        "attributes": [str],
        "order": [_ROW],
        "than": [_ROW],
        "pairs": [[_ROW]],
        "bounds": [toml_files.NUMBER],
    },
}
_ROW_SHAPES = {
    **dict.fromkeys(("label_fraction", "unlabeled"), toml_files.NUMBER),
    **{"method": str, "set": dict, "metrics": {str: str}},
}
_REQUIRED = ("paper", "where", "statement", "needs", "datasets", "metric")
_ROW_KEYS = frozenset({"method", "set", "label_fraction", "unlabeled", "metrics"})
_KINDS = ("order", "pairs", "best", "loss")


@dataclass(frozen=True)
class Part:
    """One comparison of a claim. Without worse, the effect is what better loses under corruption, as a share. low, high: the region
    of the effect that the claim puts it in."""

    better: Row
    worse: Row | None
    places: tuple[Column, ...]
    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True)
class Claim:
    """A claim in our words. needs: the tables whose cells it is judged by."""

    name: str
    paper: str
    where: str
    statement: str
    needs: tuple[str, ...]
    datasets: tuple[str, ...]
    metric: str
    parts: tuple[Part, ...]
    note: str = ""


def load() -> list[Claim]:
    """All claims of results/claims.toml. Raises UsageError, or UnknownNameError with the nearest name."""
    return [_claim(name, entry) for name, entry in _entries().items()]


@cache
def _entries() -> dict[str, Any]:
    return toml_files.read(RESULTS / "claims.toml", "results/claims.toml")


def _claim(name: str, entry: Mapping[str, Any]) -> Claim:
    where = f"results/claims.toml, {name}"
    toml_files.check(where, entry, _SHAPES)
    if any(len(pair) != 2 for pair in [*entry.get("pairs", ()), entry.get("bounds", (0, 0))]):
        raise UsageError(f"{where}: pairs are [better, worse] each, bounds two numbers")
    _refuse_unknown(where, entry, _KEYS)
    for key in _REQUIRED:
        if key not in entry:
            raise UsageError(f"{where}: {key} is missing")
    needs = tuple(entry["needs"] if isinstance(entry["needs"], list) else [entry["needs"]])
    for table in needs:
        if table not in tables.names():
            raise registry.UnknownNameError(f"{where}: {registry.unknown('table', table, tables.names(), 'list tables')}")
    for dataset in (part for each in entry["datasets"] for part in each.split("->")):
        if dataset not in registry.names("datasets"):
            raise registry.UnknownNameError(
                f"{where}: {registry.unknown('data set', dataset, registry.names('datasets'), 'list datasets')}"
            )
    texts = {key: entry[key] for key in ("paper", "where", "statement", "metric")}
    parts = tuple(_parts(where, entry))
    return Claim(name=name, needs=needs, datasets=tuple(entry["datasets"]), parts=parts, note=entry.get("note", ""), **texts)


def _refuse_unknown(where: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it may hold {', '.join(sorted(known))}"
            raise registry.UnknownNameError(f"{where}: no key {key!r}; {hint}")


def _parts(where: str, entry: Mapping[str, Any]) -> Iterator[Part]:
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1 or ("than" in entry) != ("best" in entry) or ("bounds" in entry) != ("loss" in entry):
        raise UsageError(
            f"{where}: expected one of order = [..], pairs = [[..], ..], best = .. with than = [..], loss = .. with bounds = [..]"
        )
    if "loss" in entry:
        low, high = map(float, entry["bounds"])
        row = _row(where, entry, entry["loss"])
        for chosen in _places(entry):
            yield Part(row, None, tuple(place._replace(corrupted=True) for place in chosen), low, high)
        return
    low, high = -float(entry.get("margin", entry.get("within", 0.0))), float(entry.get("within", math.inf))
    pairs = [(_row(where, entry, better), _row(where, entry, worse)) for better, worse in _pairs(entry, kinds[0])]
    if not pairs:
        raise UsageError(f"{where}: nothing to compare; expected two rows or more")
    for better, worse in pairs:
        for chosen in _places(entry):
            yield Part(better, worse, chosen, low, high)


def _pairs(entry: Mapping[str, Any], kind: str) -> list[tuple[Any, Any]]:
    """(what should be better, than what)."""
    if kind == "best":
        return [(entry["best"], each) for each in entry["than"]]
    return [(better, worse) for better, worse in (zip(entry[kind], entry[kind][1:], strict=False) if kind == "order" else entry[kind])]


def _places(entry: Mapping[str, Any]) -> list[tuple[Column, ...]]:
    """Where the effect is looked for: all places together, for their mean, or each by itself."""
    corrupted = bool(entry.get("corrupted", False))
    found = [
        Column(dataset, attribute, entry["metric"], corrupted)
        for dataset in entry["datasets"]
        for attribute in entry.get("attributes", [tables.ALL])
    ]
    return [(place,) for place in found] if entry.get("separately", False) else [tuple(found)]


def _row(where: str, entry: Mapping[str, Any], given: str | Mapping[str, Any]) -> Row:
    """A row of ours; what a claim says for all of its rows holds where the row says nothing else. A method that nobody wrote yet has no
    records, and the claim is not run; a name close to one that exists is a slip."""
    defaults = {key: entry[key] for key in ("label_fraction", "unlabeled") if key in entry}
    merged = {**defaults, **({"method": given} if isinstance(given, str) else given)}
    _refuse_unknown(where, merged, _ROW_KEYS)
    toml_files.check(where, merged, _ROW_SHAPES)
    if "method" not in merged:
        raise UsageError(f"{where}: a row without method")
    method, _, variant = merged["method"].partition("/")
    if method in registry.names("methods"):
        return tables.make_row(where, _label(merged), merged)
    said = registry.unknown("method", method, registry.names("methods"), "list methods")
    if "did you mean" in said:
        raise registry.UnknownNameError(f"{where}: {said}")
    return Row(_label(merged), method, variant, {}, float(merged.get("label_fraction", 1.0)), float(merged.get("unlabeled", 1.0)))


def _label(given: Mapping[str, Any]) -> str:
    """mtss/student, mtss/teacher[gamma=0.5], semivit/vit at 50 %, with 2 times the pool."""
    text = str(given["method"]) + row_label("", given.get("set", {}))
    if "label_fraction" in given:
        text += f" at {100 * given['label_fraction']:g} %"
    return text + (f" with {given['unlabeled']:g} times the pool" if given.get("unlabeled", 1.0) != 1.0 else "")
