"""The `check` command: metrics of a store against a baseline, measured kernel ratios against their floors, and tables of a committed store
against what they were. Where one of them has nothing to compare, that is a failure, not a success."""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance

from bench import archive, golden, kernels
from bench.cli import OK, REGRESSION
from bench.compare import ALPHA, METRICS, Move, cell_name, condition_of, listed
from bench.compare import compare as pairs
from bench.spec import UsageError
from bench.statistics import holm
from bench.store import Store

_ROUNDING = 1e-9
_Z = 1.959964  # the 97.5 % point of a normal law


@dataclass(frozen=True)
class Finding:
    """One cell whose metric fell, or which is not ok any more."""

    cell: str
    text: str


def command(options: argparse.Namespace) -> int:
    """Compares what is asked for, or all, prints what fell and returns 0 or 3."""
    if options.update:
        return _update(options.baseline, Store(options.store))
    everything = not (options.metrics or options.tables or options.kernels is not None)
    found = []
    if options.metrics or everything:
        found.append(_check_metrics(options.baseline, Store(options.store)))
    if options.kernels is not None or everything:
        found.append(check_kernels(options.kernels or kernels.measured_path()))
    if options.tables or everything:
        found.append(_check_tables())
    return max(found)


def _check_metrics(baseline: Path, current: Store) -> int:
    compared, findings, unpaired = compare(archive.open_results(baseline), current)
    problems = [f"{finding.cell}: {finding.text}" for finding in findings]
    if unpaired:
        print(f"{len(unpaired)} figures not in pairs, since a side lacks the arrays of the same images: {listed(unpaired)}")
    advice = f"no cell stands in both {baseline} and {current.root}; `python -m bench run` fills the latter"
    return _verdict(compared, problems, f"cells compared with {baseline}", advice)


def check_kernels(measured: Path) -> int:
    """Compares a file of measured ratios with the committed floors."""
    try:
        compared, problems = kernels.compare(measured)
    except FileNotFoundError as error:
        advice = f"{error.filename} is missing; tox run -e kernels measures, {kernels.FLOORS} is committed"
        return _verdict(0, [], "", advice)
    advice = f"no kernel stands in both {measured} and {kernels.FLOORS}"
    return _verdict(compared, problems, f"kernels compared with {kernels.FLOORS}", advice)


def _check_tables() -> int:
    compared, moved = golden.compare(golden.GOLDEN)
    problems = [f"{golden.GOLDEN / 'tables' / name}: another file comes out; see `python tests/golden/refresh.py`" for name in moved]
    advice = f"no tables in {golden.GOLDEN}; run it where the project's sources are"
    return _verdict(compared, problems, f"tables compared with {golden.GOLDEN}", advice)


def _verdict(compared: int, problems: list[str], what: str, advice: str) -> int:
    """Prints what is wrong, and how much was compared, of which nothing is a fault of its own."""
    for problem in problems:
        print(f"regression: {problem}")
    print(f"{compared} {what}, {len(problems)} regressions" if compared else f"nothing comparable: {advice}")
    return REGRESSION if problems or not compared else OK


def compare(baseline: Store | archive.Archive, current: Store) -> tuple[int, list[Finding], list[str]]:
    """How many cells, seeds apart, were compared, those that are worse now, and the figures that nothing can be said of but which of the
    two is lower: without arrays of the same images there is no noise to judge by, so that a lower one counts as fallen. So does one that
    is not there any more.

    A metric counts as fallen where Holm's correction over all that were compared leaves p < .05. The noise is that of the images, by
    paired bootstrap, and that of training anew: where a single seed stands on both sides, twice the variance between the baseline's
    seeds, of that cell or of all cells of its data set and condition, whichever is larger. Few seeds say little of a variance, so that
    p is Student's t with the degrees of freedom of Welch and Satterthwaite."""
    found = pairs(baseline, current)
    noise = _TrainingNoise(baseline)
    fell = [move for move in found.moves if move.difference.mean < 0]
    p_values = []
    for move in fell:
        error = (move.difference.high - move.difference.low) / (2 * _Z)
        variance, freedom = noise.of(move) if move.num_seeds == 1 else (0.0, 0)
        p_values.append(_p_value(-move.difference.mean, error**2, 2 * variance, freedom))
    others = len(found.moves) - len(fell)
    unpaired = [f"{cell}: {metric}" for cell, metric, _, _ in found.unpaired]
    findings = [Finding(cell, f"was ok, now {change.partition(' → ')[2]}") for cell, change in found.changed if change.startswith("ok →")]
    for move, p_value in zip(fell, holm([*p_values, *[1.0] * others])[: len(fell)], strict=True):
        if p_value < ALPHA:
            low, high = -move.difference.high, -move.difference.low
            text = f"{move.metric} fell by {-move.difference.mean:.4f} [{low:.4f}, {high:.4f}] from {move.before:.4f}"
            findings.append(Finding(move.cell, text))
    lower = [(cell, metric, old, new) for cell, metric, old, new in found.unpaired if new < old - _ROUNDING]
    findings += [Finding(cell, f"{metric} fell from {old:.4f} to {new:.4f}, not in pairs") for cell, metric, old, new in lower]
    findings += [Finding(cell, f"{metric} was {old:.4f}, and has no figure now") for cell, metric, old in found.lost]
    cells = {move.cell for move in found.moves} | {cell for cell, *_ in (*lower, *found.lost)}
    return len(cells) + len(found.changed), findings, unpaired


def _p_value(drop: float, known: float, estimated: float, freedom: int) -> float:
    """Two-sided, of a drop > 0 whose variance is the sum of a known one and of one estimated with so many degrees of freedom."""
    total = known + estimated
    if not total:
        return 0.0
    if not estimated:
        return math.erfc(drop / math.sqrt(2 * total))
    from scipy.special import stdtr

    return float(2 * stdtr(freedom * (total / estimated) ** 2, -drop / math.sqrt(total)))


class _TrainingNoise:
    """How much a metric of a baseline varies between seeds."""

    def __init__(self, baseline: Store | archive.Archive) -> None:
        values: dict[tuple, list[float]] = defaultdict(list)
        for record in baseline.records():
            for metric in METRICS if record["status"] == "ok" else ():
                if metric in record["metrics"]:
                    values[cell_name(record), condition_of(record), metric].append(record["metrics"][metric])
        self._own: dict[tuple, float] = {}
        pooled: dict[tuple, list[float]] = defaultdict(list)
        freedom: dict[tuple, int] = defaultdict(int)
        for (cell, condition, metric), found in values.items():
            if len({*found}) > 1:  # a floor has no training
                self._own[cell, condition, metric] = variance(found)
                pooled[condition, metric].append(self._own[cell, condition, metric])
                freedom[condition, metric] += len(found) - 1
        self._pooled = {place: (fmean(found), freedom[place]) for place, found in pooled.items()}

    def of(self, move: Move) -> tuple[float, int]:
        """The variance of the metric of a comparison, 0 where the baseline has one seed of everything, and its degrees of freedom: those
        of all cells together, since the larger of two variances errs on the safe side already."""
        pooled, freedom = self._pooled.get((move.condition, move.metric), (0.0, 0))
        return max(pooled, self._own.get((move.cell, move.condition, move.metric), 0.0)), freedom


def _update(baseline: Path, store: Store) -> int:
    if (baseline / "records").is_dir():
        raise UsageError(f"{baseline}: a store; --update writes an archive, into a folder of its own")
    added = archive.add(baseline, store)
    print(f"{added} cells of {store.root} are in {baseline}")
    return OK if added else REGRESSION
