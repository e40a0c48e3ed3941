"""The `status` command: what the records of a store, and the jobs that were submitted, say of the sweeps that were typed."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench import registry
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
        print(f"python -m bench {shlex.join(sweep['argv'])}\n  {sweep['cells']} cells: {counts}")
        for failure in sweep["not_ok"]:
            print(f"  {failure['status']} {failure['cell']}: {failure['reason']}")
        for wait in sweep["under_way"]:
            print(f"  {wait['cells']} cells {wait['status']}{': ' if wait['reason'] else ''}{wait['reason']}")
    return OK


def summarize(store: Store) -> list[dict[str, Any]]:
    """One entry a sweep, oldest first: argv, cells, counts by status (with missing, queued, running and unknown), what is not ok,
    and what jobs are still to do. Accounting is asked once for all of it, and only where jobs were submitted."""
    sweeps = store.sweeps()
    states = _job_states(store, {key for sweep in sweeps for key in sweep["keys"]})
    return [_summary(store, sweep, states) for sweep in sweeps]


def _job_states(store: Store, keys: set[str]) -> Mapping[str, Any]:
    """What jobs know of cells; nothing where none was ever submitted."""
    if not (store.root / "slurm").is_dir():
        return {}
    found: Mapping[str, Any] = registry.load_part("slurm.status").cell_states(store.root, keys)
    return found


def _summary(store: Store, sweep: Mapping[str, Any], states: Mapping[str, Any]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    not_ok: list[dict[str, str]] = []
    under_way: Counter[tuple[str, str]] = Counter()
    for key in sweep["keys"]:
        record, state = store.read(key), states.get(key)
        if state is not None:  # a job that is newer than the record, if there is one
            counts[state.status] += 1
            under_way[state.status, state.reason] += 1
        else:
            counts[record["status"] if record else "missing"] += 1
            not_ok += [_failure(record)] if record and record["status"] != "ok" else []
    waiting = [{"status": status, "reason": reason, "cells": count} for (status, reason), count in under_way.most_common()]
    return {
        "argv": sweep["argv"],
        "cells": len(sweep["keys"]),
        "counts": dict(counts.most_common()),
        "not_ok": not_ok,
        "under_way": waiting,
    }


def cell_of(record: Record) -> str:
    """A record's cell as people write it: mtss/student darn f=0.25 seed=1 jpeg_compression/3."""
    method = f"{record['method']}/{record['row']}" if record["row"] else record["method"]
    condition = f" {record['corruption']}/{record['severity']}" if record["severity"] else ""
    return f"{method} {record['dataset']} f={record['label_fraction']:g} seed={record['seed']}{condition}"


def _failure(record: Record) -> dict[str, str]:
    return {"status": record["status"], "cell": cell_of(record), "reason": record["reason"]}
