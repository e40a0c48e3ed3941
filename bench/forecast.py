"""The `plan` command: a sweep's graph, its cost and its makespan; with --simulate, ways of bundling compared on a simulated cluster."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import registry, simulate
from bench.cli import OK
from bench.costs import CostModel, Estimate, learn
from bench.plan import Stage, make_stages
from bench.progress import format_seconds
from bench.report.svg import draw_figure
from bench.spec import UsageError
from bench.store import Store, write_whole

_JOBS = (1, 4, 16, 64, 256)
_GUESSES = {"paper": {"fit": 900.0, "teacher": 700.0, "cell": 8.0}, "tiny": {"fit": 12.0, "teacher": 10.0, "cell": 0.5}}


def command(options: argparse.Namespace) -> int:
    """Prints a plan of the sweep that the options describe, or the comparison of --simulate."""
    from bench import run

    store = Store(options.store)
    if options.gpus < 1 or (options.cells is not None and options.cells < 1):
        raise UsageError("--gpus and --cells of at least 1 expected")
    if not all(0 <= rate < math.inf for rate in (options.failure_rate, options.preemption_rate)):
        raise UsageError("--failure-rate and --preemption-rate of at least 0 expected, and finite")
    if (options.cells is not None or options.out is not None) and not options.simulate:
        raise UsageError("--cells and --out belong to --simulate")
    if options.simulate and options.cells is not None:
        preset, conditions = options.preset or "paper", len(run.conditions(options))
        medians = measured_medians(store, preset)
        stages, estimate = simulate.made_up_sweep(options.cells, conditions=conditions, medians=medians or _GUESSES[preset])
        basis = "on record" if medians else "that are guessed, since none is on record"
        print(f"a made-up sweep of {options.cells} cells, {conditions} a fit, times around medians of preset {preset} {basis}")
        return _simulate(options, stages, estimate)
    settings = run.make_settings(options)
    selection = run.select(options, settings, store)
    older = run.older_keys(selection, store, options.only)
    to_do = [cell for cell in selection.to_do(options.only, older) if not selection.lacks(cell)]
    stages, costs = make_stages(to_do, store.has_model, selection.schemas), learn(store)
    if options.simulate:
        return _simulate(options, stages, costs.estimate)
    print(f"{len(selection.cells)} cells, {len(to_do)} to do")
    print(describe(stages, costs))
    if options.profile:
        from bench import cluster

        print(cluster.describe(options, store, stages))
    return OK


def describe(stages: Sequence[Stage], costs: CostModel) -> str:
    """The graph as a table, the longest chain, and the makespan by number of workers."""
    counts, seconds = Counter(stage.kind for stage in stages), {stage.key: costs.estimate(stage) for stage in stages}
    lines = [f"{'kind':10} {'stages':>6} {'cells':>6} {'predicted':>9} {'longest':>8} {'measured':>8}"]
    for kind in ("teacher", "fit", "evaluate"):
        own = [stage for stage in stages if stage.kind == kind]
        if own:
            each = [seconds[stage.key] for stage in own]
            total, longest = sum(one.seconds for one in each), max(one.seconds for one in each)
            cells, known = sum(len(stage.cells) for stage in own), sum(one.measured for one in each)
            text = f"{kind:10} {counts[kind]:>6} {cells:>6} {format_seconds(total):>9} {format_seconds(longest):>8}"
            lines.append(f"{text} {known / len(own):>8.0%}")
    chain = critical_path(stages, {key: each.seconds for key, each in seconds.items()})
    total = sum(each.seconds for each in seconds.values())
    lines.append(f"{total / 3600:.2f} worker-hours in all; the longest chain of stages takes {format_seconds(chain)}")
    spans = [f"{jobs}: {format_seconds(max(chain, total / jobs))}" for jobs in _JOBS]
    lines.append(f"makespan at best, by workers: {', '.join(spans)}")
    return "\n".join(lines)


def critical_path(stages: Sequence[Stage], seconds: Mapping[str, float]) -> float:
    """Seconds of the longest chain of stages that wait for each other. stages come after what they need."""
    ends: dict[str, float] = {}
    for stage in stages:
        ends[stage.key] = seconds[stage.key] + max((ends.get(need, 0.0) for need in stage.needs), default=0.0)
    return max(ends.values(), default=0.0)


def measured_medians(store: Store, preset: str) -> dict[str, float]:
    """Median seconds of fits and cells of a preset on record; nothing where there is none."""
    from statistics import median

    records = [record for record in store.records() if record["status"] == "ok" and record["preset"] == preset]
    fits = {record["fit_key"]: record["fit_seconds"] for record in records}
    return {"fit": median(fits.values()), "cell": median(record["eval_seconds"] for record in records)} if records else {}


def _simulate(options: argparse.Namespace, stages: Sequence[Stage], estimate: Callable[[Stage], Estimate]) -> int:
    slurm = registry.load_part("slurm.launcher")
    profile = slurm.load(options.profile)
    rates = {"failures": options.failure_rate, "preemptions": options.preemption_rate}
    machine = simulate.Machine(options.gpus, profile.startup_seconds, gpus_a_job=max(profile.gpus_per_node, 1), **rates)
    if not machine.jobs:
        raise UsageError(f"--gpus {options.gpus} is less than the {profile.gpus_per_node} of one job of --profile {options.profile}")
    outcomes = simulate.compare(stages, estimate, profile.limits(slurm.MAX_ARRAY_SIZE), machine)
    print(table(outcomes, options.gpus))
    best = min(outcomes, key=lambda name: outcomes[name].makespan_seconds)
    print(f"shortest: {best}; {len(stages)} stages on {options.gpus} GPUs, {options.failure_rate:g} failures and "
          f"{options.preemption_rate:g} preemptions a GPU-hour, {profile.startup_seconds:g} s to start a job")  # fmt: skip
    if options.out is not None:
        plot(outcomes, options.gpus, options.out)
        print(options.out)
    return OK


def table(outcomes: Mapping[str, simulate.Outcome], gpus: int) -> str:
    """One line a policy."""
    heads = ("bundling", "jobs", "arrays", "makespan", "GPU-hours", "start-up", "lost", "in use", "restarts", "waiting")
    rows: list[Sequence[Any]] = [heads]
    for name, each in outcomes.items():
        hours = (each.busy_seconds + each.overhead_seconds + each.lost_seconds) / 3600
        shares = (f"{each.overhead_seconds / 3600:.1f} h", f"{each.lost_seconds / 3600:.2f} h", f"{each.utilisation(gpus):.1%}")
        rows.append(
            (name, each.jobs, each.arrays, format_seconds(each.makespan_seconds), f"{hours:.1f}", *shares, each.restarts, each.waiting)
        )
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            str(value).rjust(width) if column else str(value).ljust(width)
            for column, (value, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def plot(outcomes: Mapping[str, simulate.Outcome], gpus: int, path: Path) -> None:
    """Makespan and idle GPU-time of each policy, as SVG."""
    names = list(outcomes)[::-1]
    parts = {"start-up": "overhead_seconds", "done again": "lost_seconds"}

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        left.barh(names, [outcomes[name].makespan_seconds / 3600 for name in names], color="#4c72b0")
        left.set_xlabel("makespan (h)")
        before = [0.0] * len(names)
        for (label, field), color in zip(parts.items(), ("#dd8452", "#c44e52"), strict=True):
            values = [getattr(outcomes[name], field) / 3600 for name in names]
            right.barh(names, values, left=before, label=label, color=color)
            before = [one + other for one, other in zip(before, values, strict=True)]
        right.set_xlabel("wasted GPU-hours")
        right.legend()
        figure.suptitle(f"{gpus} GPUs")

    write_whole(path, draw_figure(draw, (9, 0.45 * len(names) + 1.2)).encode())
