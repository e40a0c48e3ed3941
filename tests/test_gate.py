"""What counts as a regression, and that nothing to compare is one."""

import pytest
from handmade import counts, write

from bench.cli import main
from bench.store import Store


@pytest.fixture
def stores(tmp_path):
    return Store(tmp_path / "old"), Store(tmp_path / "new")


def check(stores):
    return main(["check", "--baseline", str(stores[0].root), "--store", str(stores[1].root)])


def test_equal_stores_pass(stores, capsys):
    for store in stores:
        write(store, "good", skill=0.8)
    assert check(stores) == 0
    assert "1 cells compared" in capsys.readouterr().out


def test_a_drop_beyond_noise_fails_and_names_the_cell(stores, capsys):
    write(stores[0], "good", skill=0.8)
    write(stores[1], "good", skill=0.5)
    assert check(stores) == 3
    assert "regression: good darn f=1 seed=0 none/0: f1@1 fell by 0." in capsys.readouterr().out


def test_a_rise_and_a_drop_within_noise_pass(stores):
    arrays = counts(0.8)
    write(stores[0], "good", arrays=arrays)
    arrays["hits"][0, 0] = 1 - arrays["hits"][0, 0]
    write(stores[1], "good", arrays=arrays)
    write(stores[0], "risen", skill=0.2)
    write(stores[1], "risen", skill=0.6)
    assert check(stores) == 0


def test_a_cell_that_fails_now_is_a_regression(stores, capsys):
    write(stores[0], "good", skill=0.8)
    write(stores[1], "good", status="failed", reason="RuntimeError: no")
    assert check(stores) == 3
    assert "was ok, now failed: RuntimeError: no" in capsys.readouterr().out


@pytest.mark.parametrize("filled", [None, 0, 1])
def test_nothing_comparable_fails(stores, filled, capsys):
    if filled is not None:
        write(stores[filled], "good", skill=0.8)
    assert check(stores) == 3
    assert "nothing comparable" in capsys.readouterr().out
