"""Folders as typed: a file in the place of one is refused in one line."""

import pytest
from handmade import write

from bench.cli import main
from bench.store import Store


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "file"
    found.write_text("")
    return found


def refused(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    "command",
    [
        ["report", "--out", "out"],
        ["claims"],
        ["run", "--dry-run"],
        ["plan"],
        ["status"],
        ["check"],
        ["clean"],
        ["merge", "elsewhere"],
        ["export", "floor/prior", "--out", "out"],
        ["predict", "floor/prior", "photo.jpg"],
    ],
    ids=lambda words: words[0],
)
def test_a_file_is_no_store(command, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"--store {file}: this is a file" in refused([*command, "--store", str(file)], capsys)
    store = tmp_path / "store"
    store.mkdir()
    (store / "records").write_text("")
    assert f"{store / 'records'} is a file" in refused([*command, "--store", str(store)], capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", ["", "more/below"])
def test_a_file_is_no_place_for_a_report(below, file, tmp_path, capsys):
    write(Store(tmp_path / "store"), "good")
    said = refused(["report", "--store", str(tmp_path / "store"), "--out", str(file / below)], capsys)
    assert f"--out {file / below}: {file if below else 'this'} is a file; a folder expected" in said


def test_a_store_that_was_typed_for_claims_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_STORE", raising=False)
    for words in (["--store", "absent"], ["--store=absent"]):
        assert "--store absent: no such folder; python -m bench run --store absent makes one" in refused(["claims", *words], capsys)
    assert main(["claims"]) == 0


def test_a_file_among_the_folders_of_records_is_passed_over(tmp_path, capsys):
    store = Store(tmp_path / "store")
    write(store, "good")
    (store.root / "records" / "zz").write_text("")
    assert main(["report", "--store", str(store.root), "--out", str(tmp_path / "out")]) == 0


def test_paths_may_begin_with_the_home_folder_however_they_are_typed(tmp_path, monkeypatch, capsys):
    """A shell leaves --store=~/x and a variable's ~ as they are."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        write(Store(tmp_path / name), "naver", seed=seed)
    assert main(["merge", "~/one", "~/two", "--store=~/joined"]) == 0
    monkeypatch.setenv("BENCH_STORE", "~/joined")
    assert main(["clean"]) == 0
    assert f"nothing to delete in {tmp_path / 'joined'}" in capsys.readouterr().out
    assert "~nobody-here/x: no home folder of '~nobody-here'" in refused(["clean", "--store", "~nobody-here/x"], capsys)
    assert main(["check", "--metrics", "--baseline=~/two"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["joined", "one", "two"]
