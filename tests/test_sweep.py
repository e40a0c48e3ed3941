"""Sweeps as a user types them: failures cost only themselves, and the same command goes on where it stopped."""

import json
import os
import re
import shlex
import signal
import subprocess
import time

import pytest
from handmade import write
from planted import DEADLY, PLAIN, SLOW, TAUGHT, UNLUCKY, bench, catalogue, command, environment, plant

from bench.run import Selection, older_keys
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.store import FIELDS, Store

VOLATILE = {"attempt", "fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "started", "finished", "launcher", "reason"}


@pytest.fixture
def place(tmp_path):
    """A working folder with a catalogue and planted methods."""
    catalogue(tmp_path / "photos")
    plant(tmp_path / "plugins", plain=PLAIN, unlucky=UNLUCKY, taught=TAUGHT, deadly=DEADLY, slow=SLOW, crooked="def (")
    return tmp_path


def run(place, *words, **options):
    words = ["run", "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", *words]
    return bench(*words, cwd=place, plugins=place / "plugins", **options)


def records(place, store="results/store"):
    return {record["key"]: record for record in Store(place / store).records()}


def by_status(place):
    found = {}
    for record in records(place).values():
        found.setdefault(record["status"], []).append(record)
    return found


def stable(record):
    return {name: value for name, value in record.items() if name not in VOLATILE}


def test_of_twenty_cells_one_raises_and_one_is_killed_and_eighteen_are_fine(place):
    done = run(place, "--methods", "unlucky", "--seeds", "0-19", "--severities", "0", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    found = by_status(place)
    assert {status: len(group) for status, group in found.items()} == {"ok": 18, "failed": 1, "killed": 1}
    failed, killed = found["failed"][0], found["killed"][0]
    assert (failed["seed"], failed["reason"]) == (3, "RuntimeError: three is unlucky")
    assert "three is unlucky" in failed["error"]["traceback"]
    assert (killed["seed"], killed["reason"]) == (7, "the worker died of SIGKILL")
    again = re.search(r"run what failed again: python -m bench (.*)", done.stderr).group(1)

    (place / "plugins" / "methods" / "mended").touch()
    before = {key: record["finished"] for key, record in records(place).items() if record["status"] == "ok"}
    done = bench(*shlex.split(again), cwd=place, plugins=place / "plugins")
    assert done.returncode == 0, done.stderr
    after = records(place)
    assert {record["status"] for record in after.values()} == {"ok"}
    assert {key: after[key]["finished"] for key in before} == before
    assert sorted(record["attempt"] for record in after.values()) == [1] * 18 + [2, 2]


def test_a_finished_sweep_typed_again_trains_nothing_and_adds_nothing(place):
    words = ("--methods", "plain", "--corruptions", "gaussian_noise", "--severities", "0,3", "--seeds", "0-1")
    assert run(place, *words).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (place / "results" / "store" / "records").rglob("*.json")}
    assert len(before) == 4
    done = run(place, *words)
    assert done.returncode == 0
    assert "4 cells: 4 ok" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (place / "results" / "store" / "records").rglob("*.json")} == before


def test_a_new_severity_refits_nothing(place):
    assert run(place, "--methods", "plain", "--severities", "0").returncode == 0
    markers = {path: path.stat().st_mtime_ns for path in (place / "results" / "store" / "models").rglob("complete.json")}
    assert run(place, "--methods", "plain", "--severities", "0,2", "--corruptions", "jpeg_compression").returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (place / "results" / "store" / "models").rglob("complete.json")} == markers
    assert len(records(place)) == 2


def test_records_have_every_field_and_are_equal_inline_and_in_processes(place):
    words = ("--methods", "plain,deadly", "--severities", "0,3", "--corruptions", "jpeg_compression", "--seeds", "0-1")
    assert run(place, *words, "--launcher", "inline", "--store", "a").returncode == 0
    assert run(place, *words, "--jobs", "2", "--store", "b").returncode == 0
    first, second = records(place, "a"), records(place, "b")
    assert len(first) == 8
    assert all(set(record) == set(FIELDS) for record in first.values())
    assert {key: stable(record) for key, record in first.items()} == {key: stable(record) for key, record in second.items()}


@pytest.mark.slow
def test_a_stage_past_its_time_limit_is_stopped_and_named(place):
    (place / "plugins" / "methods" / "slow").touch()
    done = run(place, "--methods", "unlucky", "--seeds", "10-12", "--severities", "0", "--timeout", "8s", "--jobs", "2")
    assert done.returncode == 1
    found = by_status(place)
    assert [(record["seed"], record["reason"]) for record in found["timeout"]] == [(11, "ran past the limit of 8 s")]
    assert len(found["ok"]) == 2


def test_a_failed_teacher_takes_its_own_fit_along_and_nothing_else(place):
    done = run(place, "--methods", "taught,plain", "--severities", "0,3", "--corruptions", "jpeg_compression")
    assert done.returncode == 1
    found = by_status(place)
    assert {record["method"] for record in found["ok"]} == {"plain"}
    assert len(found["failed"]) == 2
    assert {record["reason"] for record in found["failed"]} == {"skipped: teacher failed (taught:bad: RuntimeError: cannot teach)"}


@pytest.mark.slow
def test_a_model_that_kills_a_shared_evaluation_is_found_and_the_others_are_evaluated(place):
    words = ("--methods", "deadly,plain", "--severities", "0,5", "--corruptions", "impulse_noise", "--seeds", "0-1", "--jobs", "1")
    done = run(place, *words)
    assert done.returncode == 1, done.stderr
    found = by_status(place)
    assert {(record["method"], record["severity"]) for record in found["killed"]} == {("deadly", 5)}
    assert len(found["killed"]) == 2
    assert len(found["ok"]) == 6


def test_a_syntax_error_in_one_method_costs_only_its_cells(place):
    done = run(place, "--methods", "crooked,plain", "--severities", "0")
    assert done.returncode == 1
    found = by_status(place)
    assert [record["reason"] for record in found["failed"]] == ["SyntaxError: methods/crooked.py:1: invalid syntax"]
    assert [record["method"] for record in found["ok"]] == ["plain"]


def test_a_driver_killed_half_way_redoes_no_finished_cell_and_ends_the_same(place):
    words = ("--methods", "plain,unlucky", "--seeds", "12-19", "--severities", "0", "--jobs", "1")
    assert run(place, *words, "--store", "undisturbed").returncode == 0
    arguments = command("run", "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", *words)
    driver = subprocess.Popen(arguments, cwd=place, env=environment(place, place / "plugins"), stderr=subprocess.PIPE, text=True)
    for line in driver.stderr:
        if line.startswith("[4/"):
            break
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stderr.close()
    time.sleep(1)  # the worker notices that its driver is gone
    before = {key: record["finished"] for key, record in records(place).items()}
    assert 4 <= len(before) < 16
    assert run(place, *words).returncode == 0
    after, undisturbed = records(place), records(place, "undisturbed")
    assert {key: after[key]["finished"] for key in before} == before
    assert {key: stable(record) for key, record in after.items()} == {key: stable(record) for key, record in undisturbed.items()}


@pytest.mark.slow
def test_a_driver_killed_during_training_leaves_no_false_failure(place):
    arguments = command(
        "run", "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", "--methods", "slow", "--severities", "0"
    )
    driver = subprocess.Popen(arguments, cwd=place, env=environment(place, place / "plugins"), stderr=subprocess.DEVNULL)
    started = time.monotonic()
    while not (place / "plugins" / "methods" / "training").exists():
        assert time.monotonic() - started < 60
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(2)  # the worker tries to tell a driver that is gone how far it is
    assert records(place) == {}
    assert run(place, "--methods", "slow", "--severities", "0").returncode == 0
    assert [record["attempt"] for record in records(place).values()] == [1]


@pytest.mark.parametrize("launcher", ["inline", "process"])
def test_ctrl_c_ends_with_130_and_says_what_was_interrupted(place, launcher):
    (place / "plugins" / "methods" / "slow").touch()
    words = ("--methods", "unlucky", "--seeds", "10-11", "--severities", "0", "--launcher", launcher)
    arguments = command("run", "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", *words)
    driver = subprocess.Popen(
        arguments,
        cwd=place,
        env=environment(place, place / "plugins"),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )
    for line in driver.stderr:
        if line.startswith("[1/2] ok"):
            break
    time.sleep(1)
    os.kill(driver.pid, signal.SIGINT)
    _, error = driver.communicate(timeout=30)
    assert driver.returncode == 130, error
    assert [record["seed"] for record in by_status(place)["interrupted"]] == [11]


def test_a_missing_data_set_costs_only_its_own_cells(place):
    words = ("--methods", "plain", "--severities", "0", "--data", "real", "--data-root", place / "none")
    done = run(place, *words, "--datasets", f"folder:{place / 'photos'},deepfashion")
    assert done.returncode == 1
    found = by_status(place)
    assert [record["dataset"] for record in found["ok"]] == [f"folder:{place / 'photos'}"]
    [absent] = found["no_data"]
    assert absent["reason"].startswith("deepfashion: Img/img is missing under ")
    assert absent["reason"].endswith("run 'python -m bench doctor deepfashion'")
    assert (absent["dataset"], absent["source"], absent["metrics"]) == ("deepfashion", "real", {})


def test_each_missing_data_set_has_cells_of_its_own(place):
    words = ("--methods", "plain", "--severities", "0", "--data", "real", "--data-root", place / "none")
    done = run(place, *words, "--datasets", "deepfashion,darn", "--transfer", "deepfashion:darn,deepfashion:imatfashion")
    assert done.returncode == 1
    assert "4 cells: 4 no_data" in done.stderr
    found = by_status(place)["no_data"]
    assert {(record["dataset"], record["reason"].partition(":")[0]) for record in found} == {
        *(("deepfashion", "deepfashion"), ("darn", "darn")),
        *(("deepfashion->darn", "deepfashion"), ("deepfashion->imatfashion", "deepfashion")),
    }
    assert {record["data_hash"] for record in found if "->" not in record["dataset"]} == {""}


def test_a_damaged_picture_is_named_and_other_data_sets_go_on(place):
    bad = catalogue(place / "bad")
    picture = bad / "4.jpg"
    picture.write_bytes(picture.read_bytes()[:-40])
    words = ("--methods", "plain", "--severities", "0")
    done = run(place, *words, "--datasets", f"folder:{place / 'photos'},folder:{bad}")
    assert done.returncode == 1
    found = by_status(place)
    assert [record["dataset"] for record in found["ok"]] == [f"folder:{place / 'photos'}"]
    assert "metadata.csv:6" in found["failed"][0]["reason"]
    assert "4.jpg" in found["failed"][0]["reason"]
    done = run(place, *words, "--datasets", f"folder:{bad}", "--on-bad-data", "skip")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("split", "unlabeled", "message"),
    [("test", (), "no test image is left to measure on; "), ("val", (6, 10), "none of the 2 val images left has a label; ")],
)
def test_a_split_of_which_nothing_is_left_that_has_a_label_fails_its_cells(place, split, unlabeled, message):
    bad = catalogue(place / "bad")
    lines = (bad / "metadata.csv").read_text().splitlines()
    for number, line in enumerate(lines[1:]):
        if f",{split}," in line and number in unlabeled:
            lines[number + 1] = f"{number}.jpg,{split},"
        elif f",{split}," in line:
            (bad / f"{number}.jpg").write_bytes(b"")
    (bad / "metadata.csv").write_text("\n".join(lines) + "\n")
    words = ("--methods", "plain", "--severities", "0,3", "--corruptions", "jpeg_compression", "--on-bad-data", "skip")
    done = run(place, *words, "--datasets", f"folder:{bad}")
    assert done.returncode == 1, done.stderr
    found = by_status(place)
    assert {status: len(group) for status, group in found.items()} == {"failed": 2}
    expected = f"BadDataError: folder:{bad}: {message}'python -m bench doctor folder:{bad}' lists what is damaged"
    assert all(record["reason"].endswith(expected) for record in found["failed"])


def test_a_path_that_leaves_the_folder_is_refused_before_anything_is_opened(place):
    bad = catalogue(place / "bad")
    table = bad / "metadata.csv"
    table.write_text(table.read_text().replace("\n4.jpg", "\n../../etc/passwd"))
    done = run(place, "--methods", "plain", "--severities", "0", "--datasets", f"folder:{place / 'photos'},folder:{bad}")
    assert done.returncode == 1
    found = by_status(place)
    assert len(found["ok"]) == 1
    assert "metadata.csv:6: '../../etc/passwd'" in found["failed"][0]["reason"]


def test_progress_lines_have_their_form_and_no_escape_codes(place):
    done = run(place, "--methods", "plain", "--severities", "0,3", "--corruptions", "jpeg_compression")
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    name = f"folder:{place / 'photos'}"
    assert re.fullmatch(rf"\[1/2\] ok plain {re.escape(name)} f=1 seed=0 \d+\.\ds \(eta .+\)", lines[0])
    assert re.fullmatch(rf"\[2/2\] ok plain {re.escape(name)} f=1 seed=0 jpeg_compression/3 \d+\.\ds", lines[1])
    assert "\x1b" not in done.stderr + done.stdout


def test_a_dry_run_lists_cells_and_stages_and_writes_nothing(place):
    done = run(place, "--methods", "plain,taught", "--severities", "0,3", "--corruptions", "jpeg_compression", "--dry-run")
    assert done.returncode == 0
    assert "4 cells, 4 to do; stages: 2 teacher, 2 fit, 1 evaluate; predicted time" in done.stdout
    assert not (place / "results").exists()


def test_a_source_that_is_edited_while_a_sweep_runs_gives_no_figures_under_the_old_key(place):
    """The first method's fit edits the second one's file, and breaks the third's; each costs its own cells only."""
    edits = 'EDITS = [("plain.py", "counts + self.shift", "self.shift - counts"), ("slow.py", "import torch", "import (torch")]'
    fit = "        import pathlib\n\n        for name, old, new in EDITS:\n            path = pathlib.Path(__file__).with_name(name)\n"
    fit += "            path.write_text(path.read_text().replace(old, new))\n        self.model ="
    editing = PLAIN.replace("class Plain", f"{edits}\n\n\nclass Editing").replace("        self.model =", fit)
    plant(place / "plugins", editing=editing)
    assert run(place, "--methods", "editing,plain,slow,taught", "--severities", "0", "--jobs", "1").returncode == 1
    found = {record["method"]: (record["status"], record["reason"]) for record in records(place).values()}
    assert found["editing"] == ("ok", "")
    assert found["plain"] == ("failed", "the source of plain has changed since the sweep was planned; type the command again")
    assert found["slow"][0] == "failed"
    assert found["taught"][1].startswith("skipped: teacher failed (taught:bad: RuntimeError: cannot teach")
    run(place, "--methods", "plain", "--severities", "0")
    assert sorted(record["status"] for record in records(place).values() if record["method"] == "plain") == ["failed", "ok"]


def test_only_missing_and_failed_and_stale_choose_their_cells(place):
    (place / "plugins" / "methods" / "mended").touch()
    assert run(place, "--methods", "unlucky", "--seeds", "0", "--severities", "0").returncode == 0
    (place / "plugins" / "methods" / "mended").unlink()
    base = ("--methods", "unlucky", "--seeds", "0,3,4", "--severities", "0")
    assert "3 cells, 2 to do" in run(place, *base, "--only", "missing", "--dry-run").stdout
    assert "3 cells, 0 to do" in run(place, *base, "--only", "failed", "--dry-run").stdout
    assert run(place, *base).returncode == 1
    assert "3 cells, 1 to do" in run(place, *base, "--only", "failed", "--dry-run").stdout
    plant(place / "plugins", unlucky=UNLUCKY.replace("shift: float = 0.0", "shift: float = 1.0"))
    assert "3 cells, 3 to do" in run(place, *base, "--only", "stale", "--dry-run").stdout
    assert "3 cells, 1 to do" in run(place, *base, "--only", "failed", "--dry-run").stdout  # seed 3, whose fault the edit may have mended
    plant(place / "plugins", unlucky=UNLUCKY.replace("three is unlucky", "three is unlucky"))
    assert "3 cells, 0 to do" in run(place, *base, "--only", "stale", "--dry-run").stdout


def test_what_failed_of_an_older_source_and_was_mended_since_counts_as_stale_alone(tmp_path):
    store = Store(tmp_path)
    cells = [CellSpec(FitSpec("plain", {}, DataSpec("darn", "synthetic", "h", 8, 1.0, 1.0, seed), "new"), "", "tiny") for seed in (0, 1, 2)]
    for seed, status, finished in ((0, "failed", 1.0), (0, "ok", 2.0), (1, "ok", 1.0), (1, "killed", 2.0)):
        write(store, "plain", seed=seed, status=status, finished=finished)
    selection = Selection(cells, {}, {}, {})
    assert older_keys(selection, store, "failed") == {cells[1].key}
    assert older_keys(selection, store, "stale") == {cells[0].key, cells[1].key}
    assert older_keys(selection, store, "missing") == set()


def test_the_last_line_names_the_store_however_it_was_typed(place):
    for words in (("--store", "here"), ("--store=here",)):
        done = run(place, "--methods", "plain", "--severities", "0", *words)
        assert "next: python -m bench report --store here\n" in done.stderr


def test_status_tells_what_is_there_and_what_is_not(place):
    run(place, "--methods", "unlucky", "--seeds", "2-3", "--severities", "0")
    done = bench("status", "--json", cwd=place, plugins=place / "plugins")
    [sweep] = json.loads(done.stdout)
    assert sweep["counts"] == {"ok": 1, "failed": 1}
    assert sweep["not_ok"][0]["reason"] == "RuntimeError: three is unlucky"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "plane"], "no method 'plane'; did you mean 'plain'"),
        (["--set", "plain.shfit=1"], "no hyper-parameter of plain 'shfit'; did you mean 'shift'"),
        (["--set", "plain.shift=big"], "plain.shift: 'big' given, float expected"),
        (["--corruptions", "gausian_noise"], "no corruption 'gausian_noise'; did you mean 'gaussian_noise'"),
        (["--severities", "0,7"], "numbers from 0 to 5 expected"),
        (["--severities", "5-3"], "'5-3' given, a range from the lower to the higher number"),
        (["--unlabeled=-1"], "--unlabeled [-1.0] given, numbers of at least 0 expected"),
        (["--unlabeled", "nan"], "--unlabeled [nan] given, numbers of at least 0 expected"),
        (["--threads", "0"], "argument --threads: '0' given, a whole number of at least 1 expected"),
        (["--label-fractions", "2"], "numbers in (0, 1] expected"),
        (["--datasets", "darm"], "no data set 'darm'; did you mean 'darn'"),
        (["--launcher", "inline", "--timeout", "1h"], "--timeout needs --launcher process"),
        (["--seed", "3"], "did you mean '--seeds'"),
        (["--methods", "plain", "--set", "mtss.gamma=0.5"], "--set mtss.… given, but mtss takes no part; of this sweep are plain"),
        (["--jobs", "2", "--launcher", "inline"], "--jobs needs --launcher process"),
        (["--timeout", "0"], "--timeout 0 given"),
        (["--datasets", "folder:a,b"], "A comma separates data sets, so that no folder's path may hold one"),
        (["--launcher", "slurm", "--profile", "single-gpu"], "jobs of profile 'single-gpu' have a CUDA device: say --preset"),
        (["--store", "photos/metadata.csv"], "--store photos/metadata.csv: this is a file; the folder of a store expected"),
    ],
)
def test_a_wrong_word_ends_with_2_before_anything_runs(place, words, message):
    done = run(place, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (place / "results").exists()
