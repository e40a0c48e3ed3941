"""Pairs of a kernel and its peer: interleaved in one process, and only their ratio counts.

Ratios are held against the floors of results/kernels.json and written to $BENCH_KERNELS_OUT (results/kernels-measured.json), which
`python -m bench check --kernels` compares again. BENCH_KERNELS=full measures at the sizes of the goals, which takes minutes."""

import os
import statistics
import time
from pathlib import Path

import pytest
import torch

from bench import kernels

ROOT = Path(__file__).resolve().parents[2]


class Ratios:
    """The ratios of a session, each at least its floor."""

    def __init__(self, floors):
        self.floors = floors
        self.measured = {}

    def record(self, name, ratio, **milliseconds):
        """Prints a ratio, keeps it, and fails where it is below its floor; returns it."""
        assert name in self.floors, f"{name} has no floor in results/kernels.json"
        self.measured[name] = {"ratio": float(ratio), **milliseconds}
        facts = self.floors[name]
        took = "".join(f", {side} {value:.3g}" for side, value in milliseconds.items())
        print(f"\n{name}: {ratio:.3g}x (floor {facts['floor']:g}, goal {facts['goal'] or 'none'}){took}")
        problem = kernels.below(name, ratio, facts["floor"])
        assert not problem, problem
        return ratio


@pytest.fixture(scope="session")
def full():
    """Whether pairs are measured at the sizes of their goals, or at sizes that take seconds."""
    return os.environ.get("BENCH_KERNELS") == "full"


@pytest.fixture(scope="session")
def kernel_ratios(full):
    found = Ratios(kernels.read_floors(ROOT / kernels.FLOORS))
    yield found
    if found.measured:
        path = ROOT / kernels.measured_path()
        kernels.write_measured(path, "full" if full else "short", found.measured)
        print(f"\n{len(found.measured)} kernel ratios in {path}")


@pytest.fixture
def record_ratio(kernel_ratios):
    """record_ratio(name, ratio), for a test that measures by itself."""
    return kernel_ratios.record


@pytest.fixture
def ratio(request, record_ratio):
    """ratio(name, ours, peer): a round is the peer, then ours; medians of the rounds, after one (warm_up) that does not count.

    repeat: calls of ours in a round, where one is too short to time. times: how much of the peer's work one call of it stands for.
    The clock is that of the test's benchmark marker: CPU time where both sides keep to one thread, so that nobody else's work counts."""
    marker = request.node.get_closest_marker("benchmark")
    clock = marker.kwargs.get("timer", time.perf_counter) if marker else time.perf_counter

    def measure(name, ours, peer, *, rounds=5, repeat=1, times=1.0, warm_up=True):
        theirs = []

        def run_peer():
            started = clock()
            peer()
            theirs.append(clock() - started)

        def run_ours():
            for _ in range(repeat):
                ours()

        benchmark = request.getfixturevalue("benchmark")  # not before: it complains where a test fails ahead of it
        benchmark.pedantic(run_ours, setup=run_peer, rounds=rounds, warmup_rounds=int(warm_up))
        mine = benchmark.stats.stats.median / repeat
        other = statistics.median(theirs[-rounds:]) * times
        benchmark.extra_info["ratio"] = other / mine
        return record_ratio(name, other / mine, ours_ms=1000 * mine, peer_ms=1000 * other)

    return measure


@pytest.fixture
def one_core():
    """One thread for torch and OpenCV."""
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])
