"""`bench plan` and `run --dry-run --profile`: what a sweep would ask of a cluster, told without one."""

import re

import pytest
from planted import PLAIN, TAUGHT, bench, catalogue, plant

from bench.costs import CostModel
from bench.forecast import critical_path, describe
from bench.plan import Stage


@pytest.fixture
def place(tmp_path):
    catalogue(tmp_path / "photos")
    plant(tmp_path / "plugins", plain=PLAIN, taught=TAUGHT)
    (tmp_path / "p.toml").write_text('partition = "gpu"\ngpus_per_node = 1\nbundle_minutes = 1.0\nmax_running = 2\n')
    return tmp_path


def run(place, *words):
    return bench(*words, "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", cwd=place, plugins=place / "plugins")


def test_the_longest_chain_runs_through_needs():
    stages = [Stage("teacher", "t"), Stage("fit", "f", ("t", "gone before")), Stage("fit", "g"), Stage("evaluate", "e", ("f", "g"))]
    assert critical_path(stages, {"t": 3.0, "f": 2.0, "g": 4.0, "e": 1.0}) == 6.0
    assert critical_path([], {}) == 0.0
    assert "the longest chain of stages takes 0.0s" in describe([], CostModel(()))


def test_a_plan_shows_graph_cost_and_makespan_and_writes_nothing(place):
    done = run(place, "plan", "--methods", "plain,taught", "--seeds", "0-3", "--severities", "0,3", "--corruptions", "jpeg_compression")
    assert done.returncode == 0, done.stderr
    assert "16 cells, 16 to do" in done.stdout
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith(("teacher", "fit", "evaluate"))}
    assert {kind: row[:2] for kind, row in rows.items()} == {"teacher": ["8", "0"], "fit": ["8", "8"], "evaluate": ["1", "8"]}
    assert {row[-1] for row in rows.values()} == {"0%"}
    assert re.search(r"makespan at best, by workers: 1: \S+, 4: ", done.stdout)
    assert not (place / "results").exists()


def test_a_plan_of_what_is_stale_counts_what_a_run_would_do(place):
    words = ("--methods", "plain", "--severities", "0", "--launcher", "inline")
    assert run(place, "run", *words).returncode == 0
    plant(place / "plugins", plain=PLAIN.replace("shift: float = 0.0", "shift: float = 2.0"))
    for command in (("run", "--dry-run"), ("plan",)):
        done = run(place, *command, *words, "--only", "stale")
        assert "1 cells, 1 to do" in done.stdout, done.stderr


def test_a_dry_run_with_a_profile_shows_arrays_bundles_hours_makespan_and_width(place):
    words = ("--methods", "plain,taught", "--seeds", "0-3", "--severities", "0,3", "--corruptions", "jpeg_compression")
    done = run(place, "run", *words, "--dry-run", "--profile", "p.toml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("to do ") == 16
    kinds = re.findall(r"^ +\d+  (teacher|fit|evaluate) +(\d+) +(\d+) ", done.stdout, re.MULTILINE)
    assert kinds.count(("teacher", "4", "8")) == 1  # two teachers a fit, which may share a bundle
    assert kinds.count(("fit", "1", "4")) == 1  # plain: four of 12.5 s in a minute
    assert kinds.count(("fit", "1", "1")) == 4  # taught: each waits for its own teachers
    assert kinds.count(("evaluate", "1", "1")) == 1
    assert re.search(
        r"7 arrays, 10 bundles, 0\.0\d GPU-hours, predicted makespan \S+ where the cluster has room, queue width \d jobs", done.stdout
    )
    assert "some of it has never been measured" in done.stdout
    assert not (place / "results").exists()


def test_a_made_up_sweep_has_the_conditions_that_are_typed(place):
    for words, conditions in (
        (("--corruptions", "all", "--severities", "0-5"), 76),
        (("--corruptions", "all, speckle_noise", "--severities", "0-5"), 81),
        (("--corruptions", "fog, snow,fog", "--severities", "0,3"), 3),
    ):
        done = run(place, "plan", "--simulate", "--cells", "760", "--gpus", "4", *words)
        assert done.returncode == 0, done.stderr
        assert f"a made-up sweep of 760 cells, {conditions} a fit" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--profile", "p.toml"], "--profile needs --launcher slurm"),
        (["run", "--follow"], "--follow needs --launcher slurm"),
        (["run", "--launcher", "slurm", "--profile", "nowhere.toml"], "no profile 'nowhere.toml'"),
        (["run", "--launcher", "slrum"], "did you mean 'slurm'"),
        (["plan", "--simulate", "--cells", "9", "--corruptions", "fogg"], "no corruption 'fogg'; did you mean 'fog'"),
        (["plan", "--simulate", "--cells", "9", "--severities", "7"], "numbers from 0 to 5 expected"),
        (["plan", "--out", "x.svg"], "--cells and --out belong to --simulate"),
    ],
)
def test_a_wrong_word_ends_with_2_before_anything_is_submitted(place, words, message):
    done = run(place, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (place / "results" / "store" / "records").exists()
