"""Options before anything heavy: numbers, ranges, times, and hints for what was mistyped."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli


@pytest.mark.parametrize(("text", "expected"), [("0-2", [0, 1, 2]), ("0,3,5", [0, 3, 5]), ("0-1,4", [0, 1, 4]), ("7", [7])])
def test_integers_take_lists_and_ranges(text, expected):
    assert cli.integers(text) == expected


def test_numbers_take_lists():
    assert cli.numbers("0.25,1") == [0.25, 1.0]


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_times_take_units(text, expected):
    assert cli.seconds(text) == expected


@pytest.mark.parametrize("text", ["2 days", "", "h", "-1"])
def test_a_wrong_time_says_what_is_expected(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a time such as 90s, 15m or 2h expected"):
        cli.seconds(text)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rum"], "did you mean 'run'?"),
        (["run", "--label-fraction", "1"], "did you mean '--label-fractions'?"),
        (["run", "--preset", "tinny"], "did you mean 'tiny'?"),
        (["run", "--seeds", "2-0"], "argument --seeds: '2-0' given, a range from the lower to the higher number such as 0-2 expected"),
        (["run", "--seeds", "0,5-3"], "'5-3' given"),
        (["run", "--jobs", "-1"], "argument --jobs: '-1' given, a whole number of at least 1 expected"),
        (["run", "--jobs", "0"], "argument --jobs: '0' given"),
        (["report", "--gallery", "-1"], "argument --gallery: '-1' given"),
        (["plan", "--threads", "0"], "argument --threads: '0' given"),
        (["run", "--seeds", "a"], "argument --seeds: invalid integers value: 'a'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_a_mistyped_word_ends_with_2_and_a_hint(words, hint, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err


def test_every_command_of_the_help_has_its_module():
    import importlib

    for name, module in {
        "run": "run",
        "report": "report",
        "status": "status",
        "list": "listing",
        "doctor": "doctor",
        "check": "gate",
        "data": "data",
        "merge": "merge",
        "clean": "clean",
    }.items():
        assert callable(importlib.import_module(f"bench.{module}").command), name


def test_list_prints_names_and_json(capsys):
    import json

    assert cli.main(["list", "methods"]) == 0
    assert "mtss" in capsys.readouterr().out
    assert cli.main(["list", "methods", "mtss", "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert entry["parameters"]["gamma"] == {"type": "float", "default": 1.0}
    assert {"teacher", "student"} <= set(entry["rows"])
    assert cli.main(["list", "corruptions"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 19
    assert cli.main(["list", "methods", "mtts"]) == 2
    assert "did you mean 'mtss'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["tables", "corruptions"])
def test_a_list_without_details_takes_no_name(kind, capsys):
    assert cli.main(["list", kind, "mtss-1"]) == 2
    assert capsys.readouterr().err == f"bench list: list {kind} takes no name\n"


def test_the_cache_moves_without_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    options = cli._parser().parse_args(["run"])
    assert (options.cache, options.data_root) == (tmp_path, Path.home() / ".cache/bench/data")


def test_numpy_keeps_to_one_thread(tmp_path):
    """A spinning one makes a report beside other work many times as slow."""
    code = f"""
import json
from bench.cli import main
main(["claims", "--store", {str(tmp_path)!r}])
from threadpoolctl import threadpool_info
print(json.dumps([each["num_threads"] for each in threadpool_info() if each["internal_api"] == "openblas"]))
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120)
    threads = json.loads(found.stdout.splitlines()[-1])
    assert threads
    assert set(threads) == {1}
