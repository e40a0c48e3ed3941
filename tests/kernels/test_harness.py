"""What the harness itself costs, as ratios to the work that no harness could save; seconds stand in docs/performance.md."""

import json
import resource
import subprocess
import sys
import time

import pytest
from planted import PLAIN, ROOT, catalogue, forget, plant

from bench import cli, run
from bench.store import Store, write_whole


@pytest.fixture
def place(tmp_path, monkeypatch):
    catalogue(tmp_path / "photos")
    plant(tmp_path / "plugins", plain=PLAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    forget()


def words_of(place, *words):
    return ["run", "--datasets", f"folder:{place / 'photos'}", "--methods", "plain", "--label-fractions", "1", *words]


def sweep(place, *words):
    return cli.main(words_of(place, *words))


def timed(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def cpu_seconds(code, *words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *code, *words], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little_more_than_argparse():
    parser = "import argparse; argparse.ArgumentParser().format_help()"
    pairs = [(cpu_seconds(["-m", "bench"], "--help"), cpu_seconds(["-c", parser])) for _ in range(5)]
    assert min(ours for ours, _ in pairs) < 3 * min(theirs for _, theirs in pairs)


def test_a_finished_sweep_is_rechecked_for_a_few_times_the_cost_of_reading_it(place, capsys):
    """1,000 cells: the store's share is plain reading and parsing; planning, keys and status come on top."""
    words = ("--launcher", "inline", "--severities", "0", "--seeds")
    assert sweep(place, *words, "0") == 0
    store = Store(place / "results" / "store")
    [record] = store.records()
    keys = planned_keys(place, "0-999")
    for key in keys:
        store.write({**record, "key": key})
    seconds, code = timed(sweep, place, *words, "0-999")
    assert code == 0
    assert "1000 cells: 1000 ok" in capsys.readouterr().err
    paths = [store.record_path(key) for key in keys]
    floor, _ = timed(lambda: [json.loads(path.read_bytes()) for path in paths])
    print(f"recheck of 1,000 cells: {seconds:.3f} s, plain reading {floor:.3f} s")
    assert seconds < 12 * floor


def planned_keys(place, seeds):
    """Keys of the cells of a sweep."""
    options = cli._parser().parse_args(words_of(place, "--severities", "0", "--seeds", seeds))
    return [cell.key for cell in run.select(options, run.make_settings(options), Store(options.store)).cells]


def test_a_trivial_cell_costs_a_few_times_its_files(place, capsys):
    """A cell whose method does nothing: what remains is planning, saving, evaluating 6 images and writing four files."""
    words = ("--launcher", "inline", "--severities", "0", "--unlabeled")
    assert sweep(place, *words, "0") == 0
    seconds, code = timed(sweep, place, *words, ",".join(str(multiple) for multiple in range(1, 61)))
    assert code == 0
    floor, _ = timed(write_files, place / "floor", 60)
    print(f"trivial cell: {1000 * seconds / 60:.2f} ms, its files alone {1000 * floor / 60:.2f} ms")
    assert seconds < 16 * floor


def write_files(folder, num):
    import numpy as np
    import torch
    from safetensors import numpy as numpy_tensors
    from safetensors import torch as torch_tensors

    for index in range(num):
        write_whole(folder / f"{index}.model", torch_tensors.save({"weight": torch.zeros(2)}))
        write_whole(folder / f"{index}.arrays", numpy_tensors.save({"hits": np.zeros((6, 1, 3)), "scores": np.zeros((6, 1, 5))}))
        for ending in ("json", "facts"):
            write_whole(folder / f"{index}.{ending}", json.dumps({"metrics": list(range(100))}).encode())
