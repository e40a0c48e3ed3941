"""The `run` command: choose the cells, leave out what is done, run the rest, say what came of it."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import launchers, registry
from bench.cli import FAILED, INTERRUPTED, OK, is_typed
from bench.costs import CostModel, learn
from bench.plan import DataFacts, Stage, Sweep, make_cells, make_conditions, make_stages, select_rows, unique
from bench.progress import Progress, cell_text, format_seconds
from bench.protocol import Schema
from bench.seeding import digest
from bench.spec import CellSpec, UsageError, parse_set
from bench.stages import Settings, classify, record_failure
from bench.store import Store, replacing
from bench.turns import Turns


@dataclass(frozen=True)
class Selection:
    """The sweep's cells, those of data sets that are not there, and their status and attempt on record."""

    cells: list[CellSpec]
    absent: dict[str, BaseException]
    schemas: dict[str, Any]
    status: dict[str, str]
    attempts: dict[str, int] = field(default_factory=dict)

    def lacks(self, cell: CellSpec) -> str:
        """The first data set that a cell needs and that is not there, or nothing."""
        return next((name for name in cell.datasets if name in self.absent), "")

    def to_do(self, only: str | None, older: set[str]) -> list[CellSpec]:
        """The cells that this run computes: all without an ok record, or those that --only names. older: as older_keys gave it."""

        def wanted(key: str) -> bool:
            if only == "failed":
                return self.status.get(key, "failed" if key in older else "ok") != "ok"
            if only == "missing":
                return key not in self.status
            if only == "stale":
                return key not in self.status and key in older
            return self.status.get(key) != "ok"

        return [cell for cell in self.cells if wanted(cell.key)]


def command(options: argparse.Namespace) -> int:
    """Runs the sweep that the options describe and returns the exit code."""
    settings, store = make_settings(options), Store(options.store)
    if not options.dry_run:
        _refuse_read_only(store)
    selection = select(options, settings, store)
    if options.launcher == "slurm" and not options.dry_run:
        from bench import cluster

        return cluster.command(options, settings, store, selection)
    to_do = selection.to_do(options.only, older_keys(selection, store, options.only))
    present = [cell for cell in to_do if not selection.lacks(cell)]
    jobs = options.jobs or (1 if options.launcher == "inline" else launchers.default_jobs(options.threads))
    stages = make_stages(present, store.has_model, selection.schemas)
    costs = learn(store) if stages else CostModel(())
    seconds = {stage.key: costs.seconds(stage) for stage in stages}
    if options.dry_run:
        code = _dry_run(selection, to_do, stages, sum(seconds.values()) / jobs)
        if options.profile:
            from bench import cluster

            print(cluster.describe(options, store, stages))
        return code
    remember(store, options, selection)
    progress = Progress({cell.key: cell for cell in to_do}, seconds, jobs)
    if to_do:
        progress.say(f"{len(to_do)} cells to do in {len(stages)} stages, {len(selection.cells) - len(to_do)} on record ({options.store})")
    record_absent(selection, to_do, settings, progress)
    compile_kernels(stages, progress)
    interrupted = _launch(stages, settings, options, jobs, progress, selection.attempts)
    return finish(options, selection, store, progress, interrupted)


def select(options: argparse.Namespace, settings: Settings, store: Store) -> Selection:
    """The cells of the sweep with their status on record. Raises UsageError or UnknownNameError before anything runs."""
    sweeps = _sweeps(options, settings)
    facts: dict[str, DataFacts] = {}
    absent: dict[str, BaseException] = {}
    for name in dict.fromkeys(name for sweep in sweeps for name in sweep.every_dataset):
        try:
            facts[name] = describe(name, settings)
        except Exception as error:  # one data set that cannot be read costs its own cells only
            absent[name] = error
            facts[name] = DataFacts("real" if options.data != "synthetic" else "synthetic", "", Schema(()))
    cells = unique(cell for sweep in sweeps for cell in make_cells(sweep, facts))
    return refreshed(Selection(cells, absent, {name: fact.schema for name, fact in facts.items()}, {}), store)


def refreshed(selection: Selection, store: Store) -> Selection:
    """The selection with what is on record now. An ok record whose figures are lost does not count as ok."""
    records = {cell.key: record for cell in selection.cells if (record := store.read(cell.key)) is not None}
    status = {key: record["status"] if store.has_figures(record) else "lost" for key, record in records.items()}
    for key, place in {(records[key]["data_hash"], records[key]["split"]): key for key in records if status[key] == "ok"}.items():
        if not store.has_split(*key):
            status[place] = "lost"  # one cell brings back what the images of a split carry
    return replace(selection, status=status, attempts={key: record["attempt"] for key, record in records.items()})


def _refuse_read_only(store: Store) -> None:
    """Raises UsageError where nothing can be written into the store."""
    folder = next(path for path in (store.root, *store.root.absolute().parents) if path.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{store.root} is read-only here; --store DIR takes another place (report, status and claims only read)")


def describe(name: str, settings: Settings) -> DataFacts:
    """Source, hash and schema of a data set, whose notes are printed; renders its stand-in where one is allowed and needed."""
    info = registry.load_part("datasets._open").describe(name, settings.data_options)
    if info.source == "synthetic":
        print(f"{name}: no real files under {settings.data_root}/{name}; using a rendered stand-in (synthetic)", file=sys.stderr)
    for note in info.notes:
        print(f"{name}: {note}", file=sys.stderr)
    return DataFacts(info.source, info.data_hash, info.schema)


def make_settings(options: argparse.Namespace) -> Settings:
    """What workers are told of the options. Raises UsageError."""
    preset = choose_preset(options.preset, **_gpu_of_jobs(options))
    if options.timeout == 0:
        raise UsageError("--timeout 0 given, a time that a stage may take expected, such as 2h")
    if options.jobs and options.launcher != "process":
        raise UsageError("--jobs needs --launcher process")
    if options.device == "cuda" and options.launcher != "slurm" and not options.dry_run and not launchers.cuda_present():
        raise UsageError("--device cuda given, but this machine has no CUDA device, or hides it")
    if options.timeout and options.launcher == "inline":
        raise UsageError("--timeout needs --launcher process or slurm: nothing can stop a stage that runs inline")
    for word, given in (("--profile", options.profile and not options.dry_run), ("--follow", options.follow), ("--hold", options.hold)):
        if given and options.launcher != "slurm":
            raise UsageError(f"{word} needs --launcher slurm")
    return Settings(
        store=str(options.store),
        data_root=str(options.data_root),
        cache_dir=str(options.cache),
        data=options.data,
        preset=preset,
        on_bad_data=options.on_bad_data,
        device=options.device,
        threads=options.threads,
        launcher=options.launcher,
    )


def choose_preset(preset: str | None, *, where: str = "this machine has", gpu: bool | None = None) -> str:
    """The preset that was named, or tiny without a CUDA device. gpu: whether there is one (default: on this machine); where: it, in words.
    Raises UsageError for no name with a device."""
    if preset is None and (launchers.cuda_present() if gpu is None else gpu):
        raise UsageError(f"{where} a CUDA device: say --preset tiny (minutes) or --preset paper (the papers' sizes)")
    return preset or "tiny"


def _gpu_of_jobs(options: argparse.Namespace) -> dict[str, Any]:
    """What choose_preset is to know of jobs that run elsewhere: the login node's devices say nothing of them."""
    if options.launcher != "slurm":
        return {}
    profile = registry.load_part("slurm.profile").load(options.profile)
    return {"where": f"jobs of profile {options.profile!r} have", "gpu": profile.gpus_per_node > 0}


def _sweeps(options: argparse.Namespace, settings: Settings) -> list[Sweep]:
    """The sweep of the axes, or those of the tables."""
    sweeps = [_sweep(options, settings)] if not options.table else _of_tables(options, settings)
    taking_part = {method for sweep in sweeps for method, _ in sweep.rows}
    for method in parse_set(options.set):
        if method not in taking_part:
            raise UsageError(f"--set {method}.… given, but {method} takes no part; of this sweep are {', '.join(sorted(taking_part))}")
    return sweeps


def _of_tables(options: argparse.Namespace, settings: Settings) -> list[Sweep]:
    from bench import tables

    for word in ("--methods", "--datasets", "--label-fractions", "--unlabeled", "--corruptions", "--severities", "--transfer"):
        if is_typed(options, word):
            raise UsageError(f"--table says what to run; leave {word} out")
    base = Sweep([], [], [], [], options.seeds, [], settings.preset, options.corruption_backend, parse_set(options.set))
    return [sweep for table in tables.select(options.table) for sweep in tables.sweeps(table, base)]


def _sweep(options: argparse.Namespace, settings: Settings) -> Sweep:
    if any(not 0 < fraction <= 1 for fraction in options.label_fractions):
        raise UsageError(f"--label-fractions {options.label_fractions} given, numbers in (0, 1] expected")
    if any(not 0 <= multiple < math.inf for multiple in options.unlabeled):
        raise UsageError(f"--unlabeled {options.unlabeled} given, numbers of at least 0 expected")
    chosen = conditions(options)
    given = options.datasets or ("" if options.transfer else "deepfashion,darn")
    datasets = [name.strip() for name in given.split(",") if given]
    for place, name in enumerate(datasets):
        try:
            check_dataset_name(name)
        except registry.UnknownNameError as unknown:
            if any(before.startswith("folder:") for before in datasets[:place]):
                raise UsageError(f"{unknown}. A comma separates data sets, so that no folder's path may hold one") from None
            raise
    transfers: list[tuple[str, str]] = []
    if options.transfer:
        from bench.transfer import parse_transfers

        transfers = parse_transfers(options.transfer)
    return Sweep(
        select_rows(options.methods),
        datasets,
        options.label_fractions,
        options.unlabeled,
        options.seeds,
        chosen,
        settings.preset,
        options.corruption_backend,
        parse_set(options.set),
        transfers,
    )


def check_dataset_name(name: str) -> None:
    """Raises UnknownNameError or UsageError unless the name is registered, or is folder:PATH."""
    kind, _, path = name.partition(":")
    if kind == "folder" and not path:
        raise UsageError("folder needs a path: folder:/path/to/catalogue")
    try:
        path.encode()
    except UnicodeEncodeError:  # no record could hold it
        raise UsageError(f"{name!r} is not UTF-8; rename it or give it a link with another name") from None
    registry.entry("datasets", "folder" if kind == "folder" else name)


def conditions(options: argparse.Namespace) -> list[tuple[str, int]]:
    """The pairs of corruption and severity that the options name. Raises UsageError or UnknownNameError."""
    if any(not 0 <= severity <= 5 for severity in options.severities):
        raise UsageError(f"--severities {options.severities} given, numbers from 0 to 5 expected")
    return make_conditions(_corruptions(options.corruptions), options.severities)


def _corruptions(text: str) -> list[str]:
    """Names from `all|a,b`, each once; `all` means the 15 and leaves room for extras beside it."""
    part = registry.load_part("datasets.corruptions")
    known, found = [*part.NAMES, *part.EXTRAS], dict[str, None]()
    for name in (piece.strip() for piece in text.split(",")):
        if name not in known and name != "all":
            raise registry.UnknownNameError(registry.unknown("corruption", name, known, "list corruptions"))
        found |= dict.fromkeys(part.NAMES if name == "all" else [name])
    return list(found)


def older_keys(selection: Selection, store: Store, only: str | None) -> set[str]:
    """Cells without a record of their own for which an older source, protocol or data left one: with `stale` any, with `failed` one that
    is not ok and that no later one follows, with anything else none is looked for."""
    if only not in ("stale", "failed"):
        return set()
    records = sorted(store.records(), key=lambda record: record["finished"])
    newest: dict[tuple, str] = {_identity(record): record["status"] for record in records}
    found = {cell.key: newest.get(_identity_of(cell)) for cell in selection.cells if cell.key not in selection.status}
    return {key for key, status in found.items() if status is not None and (only == "stale" or status != "ok")}


def _identity_of(cell: CellSpec) -> tuple:
    data = cell.fit.data
    return (cell.fit.method, cell.row, cell.dataset, data.label_fraction, cell.corruption, cell.severity, data.seed, cell.preset)


def _identity(record: dict[str, Any]) -> tuple:
    names = ("method", "row", "dataset", "label_fraction", "corruption", "severity", "seed", "preset")
    return tuple(record[name] for name in names)


def _dry_run(selection: Selection, to_do: list[CellSpec], stages: Sequence[Stage], seconds: float) -> int:
    waiting = {cell.key for cell in to_do}
    for cell in selection.cells:
        state = "to do" if cell.key in waiting else "cached" if selection.status.get(cell.key) == "ok" else "left alone"
        print(f"{state:10} {cell_text(cell)}  {cell.key[:12]}")
    kinds = Counter(stage.kind for stage in stages)
    parts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("teacher", "fit", "evaluate"))
    print(f"{len(selection.cells)} cells, {len(to_do)} to do; stages: {parts}; predicted time {format_seconds(seconds)}")
    return OK


def remember(store: Store, options: argparse.Namespace, selection: Selection) -> None:
    """Notes the sweep in the store, so that `status` knows what is still to come."""
    import json

    words = [word for word in options.argv if word not in ("--dry-run", "--follow")]
    sweep = {"argv": words, "keys": [cell.key for cell in selection.cells], "written": time.time()}
    with replacing(store.root / "sweeps" / f"{digest(words)[:16]}.json") as temporary:
        temporary.write_text(json.dumps(sweep), encoding="utf-8")


def record_absent(selection: Selection, to_do: list[CellSpec], settings: Settings, progress: Progress) -> None:
    from bench.stages import StageResult

    for name, error in selection.absent.items():
        cells = [cell for cell in to_do if selection.lacks(cell) == name]
        status, reason = classify(error)
        stage = Stage("evaluate", f"absent-{name}", (), cells)
        results = record_failure(stage, settings, status, reason, error=error)
        progress.result(stage, StageResult(status, reason, 0.0, results))


def compile_kernels(stages: Sequence[Stage], progress: Progress) -> None:
    """Compiles the corruption kernels before workers would each do so; on a machine that has done it before, nothing."""
    if any(cell.severity and cell.backend == "native" for stage in stages for cell in stage.cells):
        engine = registry.load_part("datasets.corruptions")
        if not engine.is_compiled():
            progress.say("compiling the corruption kernels, once a machine (about 20 s)")
            engine.warm_up()


def _launch(
    stages: list[Stage], settings: Settings, options: argparse.Namespace, jobs: int, progress: Progress, attempts: dict[str, int]
) -> bool:
    """Runs the stages; True where the user interrupted them. Raises UnwritableError where the store is full."""
    if not stages:
        return False
    turns = Turns(Path(settings.store), attempts, progress.result, progress.say)
    previous = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        if options.launcher == "inline":
            launchers.run_inline(stages, settings, progress.result, progress.step, turns)
        else:
            limits = {"jobs": jobs, "timeout_seconds": options.timeout}
            launchers.run_processes(stages, settings, progress.result, progress.step, **limits, turns=turns)
    except launchers.Interrupted:
        return True
    finally:
        progress.close()
        turns.close()
        signal.signal(signal.SIGTERM, previous)
    return False


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def finish(options: argparse.Namespace, selection: Selection, store: Store, progress: Progress, interrupted: bool) -> int:
    records = {cell.key: record for cell in selection.cells if (record := store.read(cell.key)) is not None}
    counts = Counter(record["status"] for record in records.values())
    missing = len(selection.cells) - len(records)
    parts = [f"{count} {status}" for status, count in sorted(counts.items(), key=lambda item: item[0] != "ok")]
    if missing:
        parts.append(f"{missing} missing")
    took, say = format_seconds(time.monotonic() - progress.started), progress.say
    say(f"{len(selection.cells)} cells: {', '.join(parts)} in {took}; records in {options.store}")
    not_ok = len(selection.cells) - counts["ok"]
    if not_ok:
        again = "" if missing else " --only failed"
        say(f"to run what failed again: python -m bench {shlex.join(_without_only(options.argv))}{again}")
    say(f"next: python -m bench report{store_words(options)}" if counts["ok"] else "nothing to report")
    if interrupted:
        return INTERRUPTED
    return FAILED if not_ok else OK


def store_words(options: argparse.Namespace) -> str:
    """What a next command needs to find the store."""
    return f" --store {shlex.quote(str(options.store))}" if is_typed(options, "--store") else ""


def _without_only(words: Sequence[str]) -> list[str]:
    """The command as typed, less --only and its value."""
    kept = [word for before, word in zip(["", *words], words, strict=False) if before != "--only" and word != "--only"]
    return [word for word in kept if not word.startswith("--only=")]
