"""The tables of a committed store, to the byte: whatever moves a figure shows here. `python tests/golden/refresh.py` makes them anew."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "golden"
_SPEC = importlib.util.spec_from_file_location("golden_refresh", HERE / "refresh.py")
refresh = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(refresh)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("golden")
    refresh.make_tables(HERE / "store", out)
    return refresh.golden_files(out)


def test_the_same_files_are_written(made):
    assert sorted(made) == sorted(path.name for path in (HERE / "tables").iterdir())
    assert {"leaderboard.csv", "leaderboard.md", "leaderboard.tex", "claims.json", "claims.md"} <= set(made)


@pytest.mark.parametrize("name", sorted(path.name for path in (HERE / "tables").iterdir()))
def test_each_file_is_the_same_to_the_byte(made, name):
    assert made[name].decode() == (HERE / "tables" / name).read_text(encoding="utf-8")


def test_the_store_is_small_and_holds_every_kind_of_loss():
    files = [path for path in HERE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    records = list(refresh.Store(HERE / "store").records())
    assert len(records) > 140
    assert {"ok", "failed", "timeout", "oom", "no_data", "killed"} == {record["status"] for record in records}
    assert {"real", "synthetic"} == {record["source"] for record in records}


def test_the_store_is_what_its_program_makes(tmp_path):
    refresh.make_store(tmp_path)
    committed = HERE / "store"
    names = sorted(path.relative_to(committed).as_posix() for path in committed.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    records = {record["key"]: record for record in refresh.Store(tmp_path).records()}
    for record in refresh.Store(committed).records():
        assert records[record["key"]]["params"] == record["params"]
        for name, value in record["metrics"].items():
            assert records[record["key"]]["metrics"][name] == pytest.approx(value, abs=1e-5)
