"""What moved between two stores: found where it did, silent where it is noise, and from a commit without touching the working tree."""

import shutil
import subprocess

import pytest
from handmade import counts, write

from bench import compare as module
from bench.cli import main
from bench.compare import compare, opened
from bench.spec import UsageError
from bench.store import Store

PLACE = {"split": "test"}


@pytest.fixture
def pair(tmp_path):
    return Store(tmp_path / "one"), Store(tmp_path / "other")


def test_a_real_change_is_found_and_noise_is_not(pair):
    one, other = pair
    better = counts(0.5)
    moved = {**better, "hits": better["hits"].copy()}
    moved["hits"][:40] = 1
    for name in "abcd":
        write(one, name, arrays=counts(0.5, ord(name)), **PLACE)
        write(other, name, arrays=counts(0.5, 100 + ord(name)), **PLACE)
    write(one, "moved", arrays=better, **PLACE)
    write(other, "moved", arrays=moved, **PLACE)
    found = compare(one, other)
    assert {(move.cell.split()[0], move.metric) for move in found.moved} == {("moved", "f1@1")}
    assert {move.cell.split()[0] for move in found.moves} == {"a", "b", "c", "d", "moved"}
    move = found.moved[0]
    assert move.after - move.before == pytest.approx(moved["hits"][:, :, 0].mean() - better["hits"][:, :, 0].mean())
    assert 0 < move.difference.low < move.difference.mean < move.difference.high


def test_holm_corrects_over_all_that_were_compared(pair):
    one, other = pair
    for place in range(12):
        write(one, f"m{place}", arrays=counts(0.5, place), **PLACE)
        write(other, f"m{place}", arrays=counts(0.5, 50 + place), **PLACE)
    found = compare(one, other)
    raw = sorted(move.difference.p_value for move in found.moves)
    assert sorted(move.p_value for move in found.moves)[0] == pytest.approx(min(1, 12 * raw[0]))
    assert not found.moved


def test_seeds_are_compared_together(pair):
    one, other = pair
    for seed in range(3):
        write(one, "m", arrays=counts(0.5, seed), seed=seed, **PLACE)
        write(other, "m", arrays=counts(0.8, 10 + seed), seed=seed, **PLACE)
    write(other, "m", arrays=counts(0.8, 20), seed=3, **PLACE)  # of one side alone: takes no part
    (move,) = compare(one, other).moves
    assert move.num_seeds == 3
    assert move.p_value < 0.001


def test_status_changes_and_cells_of_one_side_are_listed(pair, capsys):
    one, other = pair
    write(one, "broken", **PLACE)
    write(other, "broken", status="failed", **PLACE)
    write(one, "gone", **PLACE)
    write(other, "new", **PLACE)
    assert main(["report", "--compare", str(one.root), str(other.root)]) == 0
    assert main(["report", "--compare", str(one.root), str(other.root), "--out", str(one.root / "report")]) == 2
    text = capsys.readouterr().out
    assert "broken darn f=1 seed=0: ok → failed" in text
    assert f"only in {one.root}: gone darn f=1" in text
    assert f"only in {other.root}: new darn f=1" in text
    assert "Nothing comparable" in text


def test_without_arrays_nothing_is_said_of_noise(pair):
    one, other = pair
    for store, value in ((one, 0.5), (other, 0.6)):
        write(store, "m", metrics={"f1@1": value}, **PLACE)
        shutil.rmtree(store.root / "predictions")
    found = compare(one, other)
    assert found.unpaired == [("m darn f=1", "f1@1", 0.5, 0.6)]
    assert not found.moves


def test_other_data_are_other_cells(pair):
    one, other = pair
    write(one, "m", **PLACE)
    write(other, "m", data_hash="e" * 64, **PLACE)
    found = compare(one, other)
    assert not found.moves
    assert found.only == (["m darn f=1"], ["m darn f=1"])


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_a_commit_is_read_without_touching_the_working_tree(tmp_path, monkeypatch, capsys):
    tree = tmp_path / "tree"
    tree.mkdir()
    git(tree, "init", "-q")
    write(Store(tree / "results" / "reference"), "m", arrays=counts(0.2, 1), **PLACE)
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "one")
    shutil.rmtree(tree / "results")
    write(Store(tree / "results" / "reference"), "m", arrays=counts(0.9, 2), **PLACE)
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "two")
    (tree / "results" / "reference" / "mine").write_text("untracked")
    monkeypatch.setattr(module.registry, "ROOT", tree)
    assert main(["report", "--compare", "HEAD~1", "HEAD"]) == 0
    assert "1 moved beyond noise" in capsys.readouterr().out
    assert (tree / "results" / "reference" / "mine").read_text() == "untracked"
    shutil.rmtree(tree / "results")
    git(tree, "rm", "-q", "-r", "--cached", "results")
    git(tree, "commit", "-q", "-m", "three")
    with pytest.raises(UsageError, match="no store at results/reference"), opened("HEAD"):
        pass


@pytest.mark.parametrize("name", ["nonsense", "--output=x"])
def test_what_is_neither_a_store_nor_a_commit_is_said(name, tmp_path):
    with pytest.raises(UsageError, match="neither the folder of a store nor a commit"), opened(name):
        pass
    with pytest.raises(UsageError, match="no folder records in it"), opened(str(tmp_path)):
        pass
