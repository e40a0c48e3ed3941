"""Arrays: every stage once, within every limit, and nobody beside those whose failure is none of their business."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.bundles import Bundle, Limits, by_time, make_arrays, memory_mb, most_running, walltime_minutes
from bench.costs import Estimate
from bench.plan import Stage


def even(seconds=10.0):
    return lambda stage: Estimate(seconds, 0.0, True)


@st.composite
def sweeps(draw):
    """Teachers in groups, fits with and without them, evaluations of some fits; and seconds of each."""
    stages = []
    groups = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    for group, count in enumerate(groups):
        teachers = [f"t{group}-{number}" for number in range(count)]
        stages += [Stage("teacher", key) for key in teachers]
        stages += [Stage("fit", f"f{group}-{number}", tuple(teachers)) for number in range(draw(st.integers(1, 6)))]
    fits = [stage.key for stage in stages if stage.kind == "fit"]
    for number in range(draw(st.integers(0, 4))):
        stages.append(Stage("evaluate", f"e{number}", tuple(draw(st.lists(st.sampled_from(fits), max_size=5, unique=True)))))
    times = {stage.key: (draw(st.floats(0.1, 5000)), draw(st.booleans())) for stage in stages}
    return stages, lambda stage: Estimate(times[stage.key][0], 0.0, times[stage.key][1])


@given(sweeps(), st.integers(1, 4), st.floats(1, 2000), st.integers(1, 5), st.integers(0, 7))
def test_every_stage_is_in_one_bundle_after_all_it_needs_and_no_limit_is_passed(sweep, max_array, bundle_seconds, max_stages, max_running):
    stages, estimate = sweep
    limits = Limits(bundle_seconds=bundle_seconds, max_stages=max_stages, max_array=max_array, max_running=max_running)
    arrays = make_arrays(stages, estimate, limits)
    where = {stage.key: (a, e) for a, array in enumerate(arrays) for e, bundle in enumerate(array.bundles) for stage in bundle.stages}
    assert sorted(where) == sorted(stage.key for stage in stages)
    assert sum(len(bundle.stages) for array in arrays for bundle in array.bundles) == len(stages)
    students = {stage.key: {other.key for other in stages if stage.key in other.needs} for stage in stages}
    for number, array in enumerate(arrays):
        assert 1 <= len(array.bundles) <= max_array
        assert all(other < number for other, _ in array.needs)
        for bundle in array.bundles:
            assert len(bundle.stages) == 1 or (bundle.seconds <= bundle_seconds * (1 + 1e-9) and len(bundle.stages) <= max_stages)
            assert array.walltime_minutes == walltime_minutes(bundle, limits)
            for stage in bundle.stages:
                assert stage.kind == array.kind
                assert {where[need] for need in stage.needs} == set(array.needs)
                if stage.kind == "teacher":
                    assert students[stage.key] == students[bundle.stages[0].key]
        assert not max_running or 1 <= array.max_running <= max(1, max_running)


def test_short_stages_share_a_job_and_alike_bundles_an_array():
    stages = [Stage("fit", f"f{number}") for number in range(100)]
    [array] = make_arrays(stages, even(10), Limits(bundle_seconds=100))
    assert [len(bundle.stages) for bundle in array.bundles] == [10] * 10
    [array] = make_arrays(stages, even(10), Limits(bundle_seconds=100, workers=4))
    assert [len(bundle.stages) for bundle in array.bundles] == [40, 40, 20]


def test_5000_jobs_make_five_arrays_of_at_most_1001():
    arrays = make_arrays([Stage("fit", f"f{number}") for number in range(5000)], even(), Limits(max_stages=1, max_array=1001))
    assert [len(array.bundles) for array in arrays] == [1001, 1001, 1001, 1001, 996]


def test_what_was_never_measured_keeps_to_itself_and_gets_a_long_walltime():
    stages = [Stage("fit", f"f{number}") for number in range(4)]
    known = {"f0", "f2"}
    arrays = make_arrays(stages, lambda stage: Estimate(5.0, 0.0, stage.key in known), Limits(unmeasured_minutes=240))
    assert [([stage.key for bundle in array.bundles for stage in bundle.stages], array.walltime_minutes) for array in arrays] == [
        (["f1", "f3"], 320),
        (["f0", "f2"], 20),
    ]


def test_a_pending_need_is_kept_by_its_key():
    [array] = make_arrays([Stage("evaluate", "e", ("f", "met before"))], even(), Limits(), pending=["f"])
    assert (array.needs, array.pending, array.strict) == ([], ["f"], False)


def test_the_limit_on_running_jobs_is_shared_within_a_kind():
    stages = [*(Stage("fit", f"a{n}") for n in range(30)), Stage("teacher", "t"), *(Stage("fit", f"b{n}", ("t",)) for n in range(10))]
    arrays = make_arrays(stages, even(), Limits(max_stages=1, max_running=8))
    assert {array.kind + str(len(array.bundles)): array.max_running for array in arrays} == {"teacher1": 1, "fit30": 6, "fit10": 2}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 30))
def test_the_arrays_of_a_kind_keep_to_the_limit_on_running_jobs_where_they_are_no_more_than_it(sizes, max_running):
    stages = [Stage("fit", f"f{group}-{number}", (f"t{group}",)) for group, size in enumerate(sizes) for number in range(size)]
    teachers = [Stage("teacher", f"t{group}") for group in range(len(sizes))]
    arrays = make_arrays([*teachers, *stages], even(), Limits(max_stages=1, max_running=max_running))
    running = [array.max_running for array in arrays if array.kind == "fit"]
    assert min(running) >= 1
    assert sum(running) == min(max(max_running, len(sizes)), len(stages))
    assert most_running(arrays)[0] == max(sum(running), min(max_running, len(sizes)))


@pytest.mark.parametrize(
    ("seconds", "measured", "minutes"), [(0, True, 20), (569, True, 20), (571, True, 40), (10**6, True, 1440), (0, False, 320)]
)
def test_walltime_grows_in_doublings_up_to_the_partitions_limit(seconds, measured, minutes):
    assert walltime_minutes(Bundle([], seconds, 0.0, measured), Limits()) == minutes


@pytest.mark.parametrize(
    ("memory", "workers", "asked"), [(0, 1, 8000), (100, 1, 1000), (1400, 1, 3000), (8000, 2, 24000), (10**6, 1, 64000)]
)
def test_memory_follows_what_was_measured_within_the_limits(memory, workers, asked):
    assert memory_mb(Bundle([], 1.0, memory, True), Limits(workers=workers, max_mb=64000)) == asked


@given(st.lists(st.floats(0.01, 100)), st.floats(0.01, 300), st.integers(1, 9))
def test_runs_of_neighbours_keep_their_order_and_the_target(items, target, most):
    found = by_time(items, lambda item: item, target, most)
    assert [item for group in found for item in group] == items
    assert all(group and len(group) <= most and (len(group) == 1 or math.fsum(group) <= target * (1 + 1e-9)) for group in found)


@pytest.mark.parametrize(
    ("hours", "workers", "minutes"), [([4.0], 8, 640), ([4.0, 4.0], 8, 640), ([4.0, *[0.1] * 40], 8, 640), ([1.0] * 16, 8, 320)]
)
def test_no_job_is_shorter_than_its_longest_stage_however_many_workers_share_it(hours, workers, minutes):
    stages = [Stage("fit", f"f{number}") for number in range(len(hours))]
    seconds = {stage.key: 3600 * each for stage, each in zip(stages, hours, strict=True)}
    [array] = make_arrays(stages, lambda stage: Estimate(seconds[stage.key], 0.0, True), Limits(bundle_seconds=10**6, workers=workers))
    assert array.walltime_minutes == minutes
    assert array.bundles[0].duration(workers) == max(max(seconds.values()), sum(seconds.values()) / workers)
