"""The `check` command: a store against a baseline, or measured kernel ratios against their floors. Nothing to compare is a failure,
not a success."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from bench import kernels
from bench.cli import OK, REGRESSION
from bench.store import Record, Store

METRICS = ("f1@1", "recall@3")


@dataclass(frozen=True)
class Finding:
    """One cell whose metric fell, or which is not ok any more."""

    cell: str
    text: str


def command(options: argparse.Namespace) -> int:
    """Compares, prints what fell and returns 0 or 3."""
    if options.kernels is not None:
        return check_kernels(options.kernels)
    compared, findings = compare(Store(options.baseline), Store(options.store))
    for finding in findings:
        print(f"regression: {finding.cell}: {finding.text}")
    if not compared:
        print(f"nothing comparable: no cell stands in both {options.baseline} and {options.store}")
        return REGRESSION
    print(f"{compared} cells compared with {options.baseline}, {len(findings)} regressions")
    return REGRESSION if findings else OK


def check_kernels(measured: Path) -> int:
    """Compares a file of measured ratios with the committed floors."""
    try:
        compared, problems = kernels.compare(measured)
    except FileNotFoundError as error:
        print(f"nothing comparable: {error.filename} is missing; tox run -e kernels measures, {kernels.FLOORS} is committed")
        return REGRESSION
    for problem in problems:
        print(f"regression: {problem}")
    if not compared:
        print(f"nothing comparable: no kernel stands in both {measured} and {kernels.FLOORS}")
        return REGRESSION
    print(f"{compared} kernels compared with {kernels.FLOORS}, {len(problems)} regressions")
    return REGRESSION if problems else OK


def compare(baseline: Store, current: Store) -> tuple[int, list[Finding]]:
    """How many cells stand on both sides, and those that are worse now. A cell is the same where method, row, data and
    condition agree: its key may differ, since a change of source is what is checked."""
    now = {_identity(record): record for record in sorted(current.records(), key=lambda each: each["finished"])}
    compared, findings = 0, []
    for old in baseline.records():
        new = now.get(_identity(old))
        if old["status"] != "ok" or new is None:
            continue
        compared += 1
        findings += [Finding(_name(old), text) for text in _worse(baseline, old, current, new)]
    return compared, findings


def _worse(baseline: Store, old: Record, current: Store, new: Record) -> list[str]:
    """A metric counts as fallen where the whole 95 % interval of the paired difference, over the same images, is below zero."""
    if new["status"] != "ok":
        return [f"was ok, now {new['status']}: {new['reason']}"]
    if old["metrics"] == new["metrics"]:
        return []
    from bench.statistics import paired_difference, resample

    before = resample([baseline.load_arrays(old["predictions_path"])])
    after = resample([current.load_arrays(new["predictions_path"])])
    found = []
    for metric in METRICS:
        difference = paired_difference(after.metric(metric), before.metric(metric))
        if difference.high < 0:
            text = f"{metric} fell by {-difference.mean:.4f} [{-difference.high:.4f}, {-difference.low:.4f}]"
            found.append(f"{text} from {before.metric(metric).value:.4f}")
    return found


def _identity(record: Record) -> tuple:
    names = ("method", "row", "dataset", "data_hash", "label_fraction", "protocol_id", "corruption", "severity", "seed", "preset")
    return tuple(record[name] for name in names)


def _name(record: Record) -> str:
    method = f"{record['method']}/{record['row']}" if record["row"] else record["method"]
    return f"{method} {record['dataset']} f={record['label_fraction']:g} seed={record['seed']} {record['corruption']}/{record['severity']}"
