"""What counts as a regression, of a store and of speed ratios, and that nothing to compare is one."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from handmade import counts, write

from bench import gate, golden, kernels
from bench.cli import main
from bench.store import Store

ROOT = Path(__file__).parents[1]


@pytest.fixture
def stores(tmp_path):
    return Store(tmp_path / "old"), Store(tmp_path / "new")


def check(stores):
    return main(["check", "--metrics", "--baseline", str(stores[0].root), "--store", str(stores[1].root)])


def test_equal_stores_pass(stores, capsys):
    for store in stores:
        write(store, "good", skill=0.8)
    assert check(stores) == 0
    assert "1 cells compared" in capsys.readouterr().out


def test_a_drop_beyond_noise_fails_and_names_the_cell(stores, capsys):
    write(stores[0], "good", skill=0.8)
    write(stores[1], "good", skill=0.5)
    assert check(stores) == 3
    assert "regression: good darn f=1: f1@1 fell by 0." in capsys.readouterr().out


def test_a_rise_and_a_drop_within_noise_pass(stores):
    arrays = counts(0.8)
    write(stores[0], "good", arrays=arrays)
    arrays["hits"][0, 0] = 1 - arrays["hits"][0, 0]
    write(stores[1], "good", arrays=arrays)
    write(stores[0], "risen", skill=0.2)
    write(stores[1], "risen", skill=0.6)
    assert check(stores) == 0


@pytest.mark.parametrize(("num_lost", "verdict"), [(2, 0), (16, 3)])
def test_noise_of_the_images_is_that_of_what_moved(stores, num_lost, verdict):
    """Of so many images alike the answer to one type is lost: a drop of its own square root in standard errors."""
    arrays = counts(0.8)
    write(stores[0], "good", arrays=arrays)
    lost = np.flatnonzero(arrays["hits"][:, 0, 0])[:num_lost]
    arrays["hits"][lost, 0] = 0
    write(stores[1], "good", arrays=arrays)
    assert check(stores) == verdict


def test_a_cell_that_fails_now_is_a_regression(stores, capsys):
    write(stores[0], "good", skill=0.8)
    write(stores[1], "good", status="failed", reason="RuntimeError: no")
    assert check(stores) == 3
    assert "good darn f=1 seed=0: was ok, now failed: RuntimeError: no" in capsys.readouterr().out


def without_arrays(store):
    shutil.rmtree(store.root / "predictions")


def test_a_lower_figure_without_arrays_is_a_regression_though_others_pass(stores, capsys):
    for store, value in zip(stores, (0.8, 0.16), strict=True):
        write(store, "good", metrics={"f1@1": value, "recall@3": 0.5})
    without_arrays(stores[1])
    for store in stores:
        write(store, "fine", skill=0.8)
    assert check(stores) == 3
    printed = capsys.readouterr().out
    assert "regression: good darn f=1: f1@1 fell from 0.8000 to 0.1600, not in pairs" in printed
    assert "2 figures not in pairs, since a side lacks the arrays of the same images: good darn f=1: f1@1, good darn f=1: rec" in printed
    assert "2 cells compared" in printed
    assert "1 regressions" in printed


def test_figures_without_arrays_that_are_equal_or_risen_are_named_and_pass(stores, capsys):
    for store, value in zip(stores, (0.8, 0.9), strict=True):
        write(store, "good", metrics={"f1@1": value, "recall@3": 0.5})
        write(store, "fine", skill=0.8)
    key = next(record["key"] for record in stores[0].records() if record["method"] == "good")
    next(stores[0].root.glob(f"predictions/**/{key}*")).unlink()
    assert check(stores) == 0
    assert "2 figures not in pairs" in capsys.readouterr().out


def test_figures_without_arrays_alone_are_nothing_to_compare(stores, capsys):
    for store, value in zip(stores, (0.8, 0.9), strict=True):
        write(store, "good", metrics={"f1@1": value})
        without_arrays(store)
    assert check(stores) == 3
    assert "nothing comparable" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_metric_that_is_not_there_any_more_is_a_regression(stores, seeds, capsys):
    for seed in range(seeds):
        write(stores[0], "good", seed=seed, skill=0.8, metrics={"f1@1": 0.8, "f2": 0.6})
        write(stores[1], "good", seed=seed, skill=0.8, metrics={"f1@1": 0.8} | ({} if seed == 0 else {"f2": 0.6}))
    assert check(stores) == 3
    assert "regression: good darn f=1: f2 was 0.6000, and has no figure now" in capsys.readouterr().out
    assert main(["report", "--compare", *(str(store.root) for store in stores)]) == 0
    assert "good darn f=1: f2 was 60.00, and has no figure now" in capsys.readouterr().out
    assert check(stores[::-1]) == 0


@pytest.mark.parametrize("filled", [None, 0, 1])
def test_nothing_comparable_fails(stores, filled, capsys):
    if filled is not None:
        write(stores[filled], "good", skill=0.8)
    assert check(stores) == 3
    assert "nothing comparable" in capsys.readouterr().out


def test_a_drop_that_training_anew_explains_passes(stores, capsys):
    """One seed on both sides: .03 of F1 over 2,000 images is beyond the images' noise, not beyond that of the baseline's own seeds."""
    steady, shaky = ({"f1@1": value} for value in (0.8, 0.77))
    for seed, skill in enumerate((0.8, 0.7, 0.9)):
        write(stores[0], "spread", seed=seed, skill=skill)
    write(stores[0], "good", arrays=counts(0.80, 1, 2000), metrics=steady)
    write(stores[1], "good", arrays=counts(0.77, 1, 2000), metrics=shaky)
    assert check(stores) == 0
    capsys.readouterr()
    for seed in range(3):
        write(stores[0], "spread", seed=seed, skill=0.8, metrics={"f1@1": 0.8 + seed / 1000})
    assert check(stores) == 3
    assert "regression: good darn f=1: f1@1 fell by" in capsys.readouterr().out


def test_noise_of_training_is_that_of_the_condition(stores):
    """What varies under corruption alone explains a drop there, and none on clean images."""
    for condition in ({}, {"corruption": "fog", "severity": 5}):
        for seed in range(3):
            spread = seed / 10 if condition else seed / 1000
            write(stores[0], "spread", seed=seed, metrics={"f1@1": 0.7 + spread}, **condition)
        write(stores[0], "good", arrays=counts(0.80, 1, 2000), metrics={"f1@1": 0.8}, **condition)
    write(stores[1], "good", arrays=counts(0.77, 1, 2000), metrics={"f1@1": 0.77}, corruption="fog", severity=5)
    assert check(stores) == 0
    write(stores[1], "good", arrays=counts(0.77, 1, 2000), metrics={"f1@1": 0.77})
    assert check(stores) == 3


def test_rendered_images_say_nothing_of_the_noise_on_photographs(stores):
    worlds = {"synthetic": {"finished": 1.0, "source": "synthetic"}, "real": {"finished": 2.0, "source": "real"}}
    for name, world in worlds.items():
        for seed in range(3):
            spread = seed / (10 if name == "synthetic" else 1000)
            write(stores[0], "good", seed=seed, arrays=counts(0.80, 1, 2000), metrics={"f1@1": 0.7 + spread}, **world)
    write(stores[1], "good", arrays=counts(0.75, 1, 2000), metrics={"f1@1": 0.65}, **worlds["synthetic"])
    assert check(stores) == 0
    write(stores[1], "good", arrays=counts(0.75, 1, 2000), metrics={"f1@1": 0.65}, **worlds["real"])
    assert check(stores) == 3


def test_a_cell_that_is_shakier_than_the_others_is_judged_by_its_own_seeds(stores):
    for seed in range(3):
        for steady in range(20):
            write(stores[0], f"steady{steady}", seed=seed, metrics={"f1@1": 0.8 + seed / 1000})
        write(stores[0], "shaky", arrays=counts(0.80 - seed / 10, seed, 2000), seed=seed, metrics={"f1@1": 0.8 - seed / 10})
    write(stores[1], "shaky", arrays=counts(0.72, 0, 2000), metrics={"f1@1": 0.72})
    assert check(stores) == 0


def test_p_is_normal_where_the_variance_is_known_and_students_where_it_is_estimated():
    assert gate._p_value(1.959964, 1.0, 0.0, 0) == pytest.approx(0.05, rel=1e-5)
    assert gate._p_value(2.776445, 0.0, 1.0, 4) == pytest.approx(0.05, rel=1e-5)  # the 97.5 % point of Student's t with 4 degrees
    assert gate._p_value(math.sqrt(2) * 2.119905, 1.0, 1.0, 4) == pytest.approx(0.05, rel=1e-5)  # half of it estimated: 16 degrees
    assert gate._p_value(0.1, 0.0, 0.0, 0) == 0.0


def test_holm_spares_what_chance_explains(stores, capsys):
    for place in range(40):
        write(stores[0], f"m{place}", arrays=counts(0.5, place))
        write(stores[1], f"m{place}", arrays=counts(0.5, 100 + place))
    assert check(stores) == 0
    assert "40 cells compared" in capsys.readouterr().out


def test_all_parts_are_checked_where_none_is_named(stores, place, monkeypatch, capsys):
    for store in stores:
        write(store, "good", skill=0.8)
    words = ["check", "--baseline", str(stores[0].root), "--store", str(stores[1].root)]
    assert main(words) == 3
    printed = capsys.readouterr().out
    assert "1 cells compared" in printed
    assert "nothing comparable: results/kernels-measured.json is missing" in printed
    assert "nothing comparable: no tables in tests/golden" in printed
    measured(loss=10.0, ranks=0.7)
    monkeypatch.setattr(golden, "GOLDEN", ROOT / "tests" / "golden")
    assert main(words) == 0
    assert "tables compared with" in capsys.readouterr().out


def test_a_table_that_comes_out_otherwise_fails_by_name(tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "tests" / "golden", tmp_path / "tests" / "golden")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--tables"]) == 0
    board = tmp_path / "tests" / "golden" / "tables" / "leaderboard.md"
    board.write_text(board.read_text().replace("0", "1", 1))
    assert main(["check", "--tables"]) == 3
    assert "regression: tests/golden/tables/leaderboard.md: another file comes out" in capsys.readouterr().out


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with floors for two kernels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_KERNELS_OUT", raising=False)
    (tmp_path / "results").mkdir()
    floors = {"loss": {"floor": 10, "goal": 15}, "ranks": {"floor": 0.5, "goal": 1}}
    (tmp_path / kernels.FLOORS).write_text(json.dumps({"kernels": floors}))
    return tmp_path


def measured(**ratios):
    """Writes ratios where a session of the kernel tests would."""
    kernels.write_measured(kernels.measured_path(), "short", {name: {"ratio": value} for name, value in ratios.items()})


def test_ratios_at_or_above_their_floors_pass(place, capsys):
    measured(loss=10.0, ranks=0.7)
    assert main(["check", "--kernels"]) == 0
    assert capsys.readouterr().out == "2 kernels compared with results/kernels.json, 0 regressions\n"


def test_a_slower_kernel_fails_by_name_ratio_and_floor(place, capsys):
    measured(loss=9.5, ranks=0.7)
    assert main(["check", "--kernels"]) == 3
    assert "regression: loss: 9.5 times its peer, below the floor of 10\n" in capsys.readouterr().out


def test_a_kernel_that_was_not_measured_fails(place, capsys):
    measured(loss=12.0, other=3.0)
    assert main(["check", "--kernels"]) == 3
    printed = capsys.readouterr().out
    assert "regression: ranks: not measured; its floor is 0.5\n1 kernels compared" in printed


def test_a_ratio_that_is_no_number_fails(place, capsys):
    measured(loss=float("nan"), ranks=0.7)
    assert main(["check", "--kernels"]) == 3
    assert "loss: nan times its peer" in capsys.readouterr().out


@pytest.mark.parametrize("ratios", [None, {}, {"other": 3.0}])
def test_no_ratio_to_compare_fails(place, ratios, capsys):
    if ratios is not None:
        measured(**ratios)
    assert main(["check", "--kernels"]) == 3
    assert "nothing comparable" in capsys.readouterr().out


def test_absent_floors_are_nothing_to_compare(place, capsys):
    measured(loss=12.0, ranks=0.7)
    (place / kernels.FLOORS).unlink()
    assert main(["check", "--kernels"]) == 3
    assert "nothing comparable: results/kernels.json is missing" in capsys.readouterr().out


def test_another_file_by_option_and_by_environment(place, monkeypatch):
    monkeypatch.setenv("BENCH_KERNELS_OUT", str(place / "there.json"))
    measured(loss=12.0, ranks=0.7)
    assert not (place / kernels.MEASURED).exists()
    assert main(["check", "--kernels"]) == 0
    monkeypatch.delenv("BENCH_KERNELS_OUT")
    assert main(["check", "--kernels"]) == 3
    assert main(["check", "--kernels", "there.json"]) == 0


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"kernels": []}', '{"kernels": {"loss": 3}}', '{"kernels": {"loss": {"ratio": "12"}}}', b"\xff"]
)
def test_damaged_files_are_refused(place, content, capsys):
    (place / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["check", "--kernels", "bad.json"]) == 2
    assert "bad.json" in capsys.readouterr().err


def test_a_floor_that_is_no_number_is_refused(place, capsys):
    measured(loss=12.0)
    (place / kernels.FLOORS).write_text('{"kernels": {"loss": {"floor": "high"}}}')
    assert main(["check", "--kernels"]) == 2
    assert "results/kernels.json: loss: a floor is expected, a number" in capsys.readouterr().err
