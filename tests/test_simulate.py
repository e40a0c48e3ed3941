"""The simulated cluster against schedules that can be worked out by hand, and its figures against what must always hold."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import simulate
from bench.bundles import Limits, make_arrays
from bench.cli import main
from bench.costs import Estimate
from bench.plan import Stage
from bench.simulate import Machine


def arrays(stages, seconds, **limits):
    return make_arrays(stages, lambda stage: Estimate(seconds[stage.key], 0.0, True), Limits(max_stages=1, **limits))


def fits(count, seconds=100.0):
    return [Stage("fit", f"f{number}") for number in range(count)], {f"f{number}": seconds for number in range(count)}


def quick(gpus, **settings):
    return Machine(gpus, **{"startup_seconds": 10.0, "starts_a_second": math.inf, **settings})


def test_five_equal_jobs_on_two_gpus_take_three_rounds():
    found = simulate.run(arrays(*fits(5)), quick(2))
    assert (found.makespan_seconds, found.busy_seconds, found.overhead_seconds) == (330.0, 500.0, 50.0)
    assert (found.jobs, found.width, found.waiting, found.lost_seconds, found.restarts) == (5, 2, 3, 0.0, 0)
    assert found.utilisation(2) == 500 / 660


def test_a_chain_takes_as_long_as_its_parts_and_the_limit_of_an_array_holds():
    stages = [Stage("teacher", "t"), Stage("fit", "f", ("t",)), Stage("evaluate", "e", ("f",))]
    assert simulate.run(arrays(stages, {"t": 5.0, "f": 7.0, "e": 1.0}), quick(9)).makespan_seconds == 13.0 + 30.0
    assert simulate.run(arrays(*fits(6), max_running=2), quick(9)).makespan_seconds == 330.0


def test_jobs_of_whole_nodes_share_their_stages_among_their_workers():
    """Sixteen fits of 100 s on two nodes of four GPUs: eight a node, two a worker."""
    stages, seconds = fits(16)
    machine = quick(8, gpus_a_job=4)
    found = simulate.compare(stages, lambda stage: Estimate(seconds[stage.key], 0.0, True), Limits(workers=4), machine)["one job a node"]
    assert (found.jobs, found.width, found.makespan_seconds) == (2, 2, 210.0)
    assert (found.busy_seconds, found.overhead_seconds) == (1600.0, 80.0)  # of GPUs
    assert found.utilisation(8) == pytest.approx(200 / 210)


def test_a_slow_controller_starts_jobs_one_after_another():
    assert simulate.run(arrays(*fits(3, 1.0)), Machine(9, 0.0, starts_a_second=0.1)).makespan_seconds == pytest.approx(21.0)


def test_a_preempted_job_keeps_its_work_and_a_failed_one_loses_little():
    jobs = arrays(*fits(50, 3600.0))
    preempted = simulate.run(jobs, quick(10, preemptions=0.5))
    failed = simulate.run(jobs, quick(10, failures=0.5))
    assert preempted.restarts > 5
    assert preempted.lost_seconds == 0.0
    assert 0 < failed.lost_seconds <= 30.0 * failed.restarts
    assert min(preempted.makespan_seconds, failed.makespan_seconds) > simulate.run(jobs, quick(10)).makespan_seconds


@given(
    st.lists(st.floats(1, 500), min_size=1, max_size=30),
    st.integers(1, 8),
    st.floats(0, 20),
    st.floats(0, 20),
    st.integers(0, 3),
    st.integers(0, 9),
)
def test_no_schedule_beats_arithmetic_and_all_work_is_done(seconds, gpus, failures, preemptions, max_running, seed):
    stages = [Stage("fit", f"f{number}") for number in range(len(seconds))]
    jobs = arrays(stages, {f"f{number}": value for number, value in enumerate(seconds)}, max_running=max_running)
    found = simulate.run(jobs, quick(gpus, failures=failures, preemptions=preemptions, requeue_seconds=5.0), seed=seed)
    assert found.busy_seconds == pytest.approx(sum(seconds))
    assert found.makespan_seconds >= max(max(seconds), sum(seconds) / gpus) - 1e-6
    assert found.width <= min(gpus, len(seconds))
    assert found == simulate.run(jobs, quick(gpus, failures=failures, preemptions=preemptions, requeue_seconds=5.0), seed=seed)


def test_a_made_up_sweep_has_its_size_and_a_graph_that_can_be_scheduled():
    stages, estimate = simulate.made_up_sweep(7000, conditions=7, medians={"fit": 60.0, "cell": 1.0})
    kinds = [stage.kind for stage in stages]
    assert kinds.count("fit") == 1000
    assert kinds.count("teacher") == 6 * 112
    assert kinds.count("evaluate") == 32 * 2
    found = simulate.compare(stages, estimate, Limits(), Machine(64))
    total = sum(estimate(stage).seconds for stage in stages)
    assert {round(each.busy_seconds) for each in found.values()} == {round(total)}
    assert found["one stage a job"].jobs == len(stages)
    assert found["60 min a job"].jobs < found["5 min a job"].jobs < len(stages)
    assert found["60 min a job"].overhead_seconds < found["one stage a job"].overhead_seconds


def test_the_command_prints_a_table_and_draws_it(tmp_path, capsys):
    words = ["plan", "--simulate", "--cells", "500", "--gpus", "16", "--preset", "tiny", "--store", str(tmp_path / "none")]
    assert main([*words, "--out", str(tmp_path / "plan.svg")]) == 0
    text = capsys.readouterr().out
    assert "a made-up sweep of 500 cells, 7 a fit, times around medians of preset tiny that are guessed" in text
    assert all(f"\n{name} " in text for name in ("one stage a job", "20 min a job", "one job a GPU"))
    assert "<svg" in (tmp_path / "plan.svg").read_text()
    assert main(["plan", "--cells", "5"]) == 2
    assert main(["plan", "--simulate", "--gpus", "0", "--cells", "5"]) == 2
    for rate in ("--failure-rate", "--preemption-rate"):
        for value in ("nan", "inf", "-1"):
            assert main(["plan", "--simulate", "--cells", "5", rate, value]) == 2
    capsys.readouterr()
    assert main([*words, "--profile", "a100-node", "--gpus", "7"]) == 2
    assert "--gpus 7 is less than the 8 of one job of --profile a100-node" in capsys.readouterr().err
