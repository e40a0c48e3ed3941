"""The `status` command: what the records of a store say of the sweeps that were typed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from bench.cli import OK
from bench.store import Record, Store


def command(options: argparse.Namespace) -> int:
    """Prints, for each sweep of the store, its counts by status, and the reasons of what is not ok."""
    sweeps = summarize(Store(options.store))
    if options.json:
        print(json.dumps(sweeps, indent=1))
        return OK
    if not sweeps:
        print(f"no sweep in {options.store}; python -m bench run starts one")
    for sweep in sweeps:
        counts = ", ".join(f"{count} {status}" for status, count in sweep["counts"].items())
        print(f"python -m bench {' '.join(sweep['argv'])}\n  {sweep['cells']} cells: {counts}")
        for failure in sweep["not_ok"]:
            print(f"  {failure['status']} {failure['cell']}: {failure['reason']}")
    return OK


def summarize(store: Store) -> list[dict[str, Any]]:
    """One entry a sweep, oldest first: argv, cells, counts by status (with missing), and what is not ok."""
    found = []
    for path in sorted((store.root / "sweeps").glob("*.json"), key=lambda each: each.stat().st_mtime):
        sweep = json.loads(path.read_bytes())
        records = [store.read(key) for key in sweep["keys"]]
        counts = Counter(record["status"] if record else "missing" for record in records)
        not_ok = [_failure(record) for record in records if record and record["status"] != "ok"]
        found.append({"argv": sweep["argv"], "cells": len(records), "counts": dict(counts.most_common()), "not_ok": not_ok})
    return found


def _failure(record: Record) -> dict[str, str]:
    method = f"{record['method']}/{record['row']}" if record["row"] else record["method"]
    condition = f" {record['corruption']}/{record['severity']}" if record["severity"] else ""
    cell = f"{method} {record['dataset']} f={record['label_fraction']:g} seed={record['seed']}{condition}"
    return {"status": record["status"], "cell": cell, "reason": record["reason"]}
