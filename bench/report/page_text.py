"""Tables, claims, failures and circumstances of the records, as plain values for the page."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

from bench import tables
from bench.registry import UnknownNameError
from bench.report.leaderboard import method_label
from bench.report.overall import order_of
from bench.report.page_codec import Names, plain, rounded
from bench.report.tables import head_of, num_digits
from bench.store import Record, Store

MAX_FAILURES = 200  # groups of cells that the page lists; it says how many more there are
MAX_FITS = 300  # whose records are read for commits, machines and versions
_HEAD = ("dataset", "attribute", "metric", "condition")  # the fields that name a table's column
_MAX_TEXT = 400  # characters of a reason


def encode_tables(texts: Mapping[str, str]) -> dict[str, Any]:
    """The papers' tables, from name -> what tables/<name>.csv holds. Figures are in the paper's unit.

    A cell is null, or [paper, ours, low, high, verdict, records that are not ok, difference]; a world is a source and preset."""
    verdicts = Names()
    found = []
    for name, text in texts.items():
        lines = list(csv.DictReader(io.StringIO(text)))
        worlds: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        for line in lines:
            worlds[line["source"], line["preset"]].append(line)
        title, notes, digits = _words(name)
        notes += dict.fromkeys(f"{line['row']}: {line['note']}" for line in lines if line["note"])
        made = [_world(source, preset, own, verdicts, digits) for (source, preset), own in worlds.items()]
        found.append({"name": name, "title": title, "notes": list(dict.fromkeys(notes)), "worlds": made})
    return {"verdicts": verdicts.list, "tables": found}


def encode_overall(text: str) -> list[dict[str, Any]]:
    """Ranks over data sets, from what tables/over-data-sets.csv holds, by source and preset.

    heads: shares of the labels. A row is a method and for each head null or [mean rank, mean, data sets where it is among the best,
    whether it cannot be told from the first]."""
    found: dict[tuple[str, str], dict[float, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for line in csv.DictReader(io.StringIO(text)):
        found[line["source"], line["preset"]][float(line["label_fraction"])].append(line)
    return [
        {
            "source": source,
            "preset": preset,
            "heads": [
                {"fraction": fraction, "num_datasets": int(own[0]["n_datasets"]), "difference": float(own[0]["critical_difference"])}
                for fraction, own in heads.items()
            ],
            "rows": _ranks([{line["method"]: line for line in own} for own in heads.values()]),
        }
        for (source, preset), heads in found.items()
    ]


def _ranks(heads: Sequence[Mapping[str, Mapping[str, str]]]) -> list[list[Any]]:
    def cell(line: Mapping[str, str]) -> list[Any]:
        return [float(line["mean_rank"]), float(line["mean"]), int(line["n_best"]), line["not_worse_than_best"] == "True"]

    order = order_of([{name: float(line["mean_rank"]) for name, line in own.items()} for own in heads])
    return [[name, *(cell(own[name]) if name in own else None for own in heads)] for name in order]


def _words(name: str) -> tuple[str, list[str], dict[tuple[str, ...], int]]:
    """A table's title and notes, and how many decimals each of its columns has."""
    try:
        table = tables.load(name)
    except UnknownNameError:
        return "", [], {}
    return table.title, list(table.notes), {head_of(column): num_digits(table, column) for column in table.columns}


def _world(
    source: str, preset: str, lines: Sequence[Mapping[str, str]], verdicts: Names, digits: Mapping[tuple[str, ...], int]
) -> dict[str, Any]:
    heads = list(dict.fromkeys(tuple(line[name] for name in _HEAD) for line in lines))
    rows: dict[str, list[Any]] = {}
    for line in lines:
        cells = rows.setdefault(line["row"], [None] * len(heads))
        cells[heads.index(tuple(line[name] for name in _HEAD))] = _cell(line, verdicts)
    kept = [[row, *cells] for row, cells in rows.items() if any(cells)]
    return {"source": source, "preset": preset, "columns": heads, "digits": [digits.get(head, 2) for head in heads], "rows": kept}


def _cell(line: Mapping[str, str], verdicts: Names) -> list[Any] | None:
    lost = ", ".join(f"{line[name]} {name}" for name in ("missing", "failed") if line[name] not in ("", "0"))
    *figures, delta = [float(line[name]) if line[name] else None for name in ("paper", "ours", "ci_low", "ci_high", "delta")]
    if figures[0] is None and figures[1] is None and not lost:
        return None
    verdict = line["verdict"] if line["method"] else ""  # a row in print that nothing here stands for
    return [*figures, verdicts.number(verdict), lost, delta]


def encode_claims(claims: Iterable[Any]) -> list[dict[str, Any]]:
    """Judged claims, dataclasses or mappings, with their own field names."""
    found = [plain(claim) for claim in claims]
    return [claim for claim in found if isinstance(claim, dict)]


def encode_sweeps(records: Sequence[Record], store: Store) -> tuple[list[dict[str, Any]], int, dict[str, str]]:
    """What was typed, oldest first, with counts by status; how many cells of all of it have no record; and the command that runs each
    lost record again, by its key."""
    status = {record["key"]: record["status"] for record in records}
    found: list[dict[str, Any]] = []
    missing: set[str] = set()
    again: dict[str, str] = {}
    for sweep in store.sweeps():
        counts = Counter(status.get(key, "missing") for key in sweep["keys"])
        command = _command(sweep["argv"])
        rerun = "" if set(counts) <= {"ok"} else command if counts["missing"] else f"{command} --only failed"
        found.append({"command": command, "cells": len(sweep["keys"]), "counts": dict(counts.most_common()), "rerun": rerun})
        missing |= set(sweep["keys"]) - status.keys()
        again |= {key: f"{command} --only failed" for key in sweep["keys"] if status.get(key, "ok") != "ok"}
    return found, len(missing), again


def _command(words: Sequence[str]) -> str:
    """The command as typed, less --only and its value."""
    kept = [word for before, word in zip(["", *words], words, strict=False) if before != "--only" and word != "--only"]
    return f"python -m bench {shlex.join(word for word in kept if not word.startswith('--only='))}"


def encode_failures(records: Sequence[Record], store: Store, again: Mapping[str, str]) -> dict[str, Any]:
    """What is not ok, cells of one fit and reason together."""
    groups: dict[tuple, list[Record]] = defaultdict(list)
    for record in records:
        if record["status"] != "ok":
            place = record["status"], method_label(record), record["dataset"], record["label_fraction"], record["reason"] or ""
            groups[place].append(record)
    shown = []
    for (status, method, dataset, fraction, reason), found in sorted(groups.items())[:MAX_FAILURES]:
        error = found[0]["error"] or {}
        conditions = sorted({f"{each['corruption']}/{each['severity']}" if each["severity"] else "clean" for each in found})
        entry = {"status": status, "method": method, "dataset": dataset, "fraction": fraction, "reason": reason[:_MAX_TEXT]}
        entry |= {"error": str(error.get("type", "")), "count": len(found), "seeds": sorted({each["seed"] for each in found})}
        entry |= {"conditions": ", ".join(conditions[:6]) + (f" and {len(conditions) - 6} more" if len(conditions) > 6 else "")}
        shown.append(entry | {"rerun": again.get(found[0]["key"]) or _command_of(found[0], store)})
    return {"groups": shown, "left_out": max(0, len(groups) - MAX_FAILURES)}


def _command_of(record: Record, store: Store) -> str:
    """Runs one fit of a record again, where no sweep of the store knows it."""
    row = record["row"].partition("[")[0]
    transfer = "->" in record["dataset"]
    words = ["run", "--methods", f"{record['method']}/{row}" if row else record["method"]]
    words += ["--transfer", record["dataset"].replace("->", ":")] if transfer else ["--datasets", record["dataset"]]
    words += ["--label-fractions", f"{record['label_fraction']:g}", "--seeds", str(record["seed"])]
    if record["severity"]:
        words += ["--corruptions", record["corruption"], "--severities", str(record["severity"])]
    return _command([*words, "--preset", record["preset"], "--store", str(store.root), "--only", "failed"]) + " --only failed"


def encode_runs(records: Sequence[Record]) -> dict[str, Any]:
    """Where the records were made and what they took. Commits, machines and versions are those of one record a fit, of MAX_FITS at
    most, since every record would have to be read whole for them."""
    fits: dict[tuple, Record] = {}
    for record in records:
        if record["status"] == "ok":
            fits.setdefault(_fit(record), record)
    looked_at = list(fits.values())[:: len(fits) // MAX_FITS + 1]
    environments = Counter(json.dumps(_versions(record), sort_keys=True) for record in looked_at)
    counts = {name: _counts(records, name) for name in ("device", "preset")}
    return {
        "environments": [{"count": count, "env": json.loads(text)} for text, count in environments.most_common(10)],
        "counts": counts | {name: _counts(looked_at, name) for name in ("git_sha", "host", "launcher")},
        "looked_at": [len(looked_at), len(fits)],
        "methods": _costs(records),
        "started": rounded(min((record["finished"] for record in records), default=0.0), 0),
        "finished": rounded(max((record["finished"] for record in records), default=0.0), 0),
    }


def _fit(record: Record) -> tuple:
    """What tells the fits of a store apart without reading records whole."""
    names = ("method", "row", "dataset", "label_fraction", "seed", "preset", "protocol_id", "data_hash")
    return tuple(record[name] for name in names)


def _counts(records: Sequence[Record], name: str) -> list[tuple[str, int]]:
    return Counter(str(record[name] or "unknown") for record in records).most_common(12)


def _versions(record: Record) -> dict[str, str]:
    return {name: str(value) for name, value in (record["env"] or {}).items() if name not in ("source_hash", "backend")}


def _costs(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Of each method and data set: fits, seconds, images a second, memory."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record["status"] == "ok":
            groups[method_label(record), record["dataset"]].append(record)
    return [_cost(method, dataset, found) for (method, dataset), found in sorted(groups.items())]


def _cost(method: str, dataset: str, records: Sequence[Record]) -> dict[str, Any]:
    fits = {_fit(record): record["fit_seconds"] for record in records if record["fit_seconds"] is not None}

    def known(name: str) -> list[float]:
        return [record[name] for record in records if record[name] is not None]

    speed, memory, device_memory = known("images_per_second"), known("peak_rss_mb"), known("peak_vram_mb")
    return {
        "method": method,
        "dataset": dataset,
        "records": len(records),
        "fits": len(fits),
        "fit_seconds": rounded(mean(fits.values()), 2) if fits else None,
        "eval_seconds": rounded(sum(known("eval_seconds")), 2),
        "images_per_second": rounded(median(speed), 0) if speed else None,
        "peak_rss_mb": rounded(max(memory), 0) if memory else None,
        "peak_vram_mb": rounded(max(device_memory), 0) if device_memory else None,
    }
