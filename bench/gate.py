"""The `check` command: a store against a baseline. Nothing to compare is a failure, not a success."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass

from bench.cli import OK, REGRESSION
from bench.store import Record, Store

METRICS = ("f1@1", "recall@3")
_TOLERANCE = 1e-9  # two runs of one key are equal to the bit on one machine; this forgives the last digit of a JSON number


@dataclass(frozen=True)
class Finding:
    """One cell whose metric fell, or which is not ok any more."""

    cell: str
    text: str


def command(options: argparse.Namespace) -> int:
    """Compares, prints what fell and returns 0 or 3."""
    compared, findings = compare(Store(options.baseline).records(), Store(options.store).records())
    for finding in findings:
        print(f"regression: {finding.cell}: {finding.text}")
    if not compared:
        print(f"nothing comparable: no cell stands in both {options.baseline} and {options.store}")
        return REGRESSION
    print(f"{compared} cells compared with {options.baseline}, {len(findings)} regressions")
    return REGRESSION if findings else OK


def compare(baseline: Iterable[Record], current: Iterable[Record]) -> tuple[int, list[Finding]]:
    """How many cells stand on both sides, and those that are worse now. A cell is the same where method, row, data and
    condition agree: its key may differ, since a change of source is what is checked."""
    now = {_identity(record): record for record in sorted(current, key=lambda each: each["finished"])}
    compared, findings = 0, []
    for old in baseline:
        new = now.get(_identity(old))
        if old["status"] != "ok" or new is None:
            continue
        compared += 1
        findings += [Finding(_name(old), text) for text in _worse(old, new)]
    return compared, findings


def _worse(old: Record, new: Record) -> list[str]:
    if new["status"] != "ok":
        return [f"was ok, now {new['status']}: {new['reason']}"]
    found = []
    for metric in METRICS:
        before, after = old["metrics"].get(metric), new["metrics"].get(metric)
        if before is not None and (after is None or after < before - _noise(old, new, metric) - _TOLERANCE):
            found.append(f"{metric} fell from {before:.4f} to {after if after is None else f'{after:.4f}'}")
    return found


def _noise(old: Record, new: Record, metric: str) -> float:
    """Half the width of the baseline's 95 % interval; none where both come from the same source (equal keys)."""
    if old["key"] == new["key"]:
        return 0.0
    low, high = old["env"].get("intervals", {}).get(metric, (0.0, 0.0))
    return float(high - low) / 2


def _identity(record: Record) -> tuple:
    names = ("method", "row", "dataset", "data_hash", "label_fraction", "protocol_id", "corruption", "severity", "seed", "preset")
    return tuple(record[name] for name in names)


def _name(record: Record) -> str:
    method = f"{record['method']}/{record['row']}" if record["row"] else record["method"]
    return f"{method} {record['dataset']} f={record['label_fraction']:g} seed={record['seed']} {record['corruption']}/{record['severity']}"
