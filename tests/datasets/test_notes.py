"""What doctor says of a data set that is no fault: photos that lie in two splits."""

import pytest

from bench.cli import main
from bench.protocol import DataOptions
from datasets import _notes, folder
from datasets._open import open_dataset

SAME = "are the same photo, byte for byte"


@pytest.fixture
def dataset(tmp_path, make_photo):
    """Photos 0 to 29, of which 20 to 29 are for test and 2 is as 22 and 23, 4 as 24, 5 as 6, and 7 and 25 as unlabelled ones."""
    root = tmp_path / "photos"
    for number in range(30):
        make_photo(root / f"{number}.png", number)
    make_photo(root / "unlabeled/x.png", 7)
    make_photo(root / "unlabeled/y.png", 25)
    for copy, original in ((22, 2), (23, 2), (24, 4), (6, 5)):
        (root / f"{copy}.png").write_bytes((root / f"{original}.png").read_bytes())
    split = dict.fromkeys(range(15), "train") | dict.fromkeys(range(15, 20), "val")
    rows = "".join(f"{number}.png,{split.get(number, 'test')},{number % 2}\n" for number in range(30))
    (root / "metadata.csv").write_text("file_name,split,color\n" + rows)
    return f"folder:{root}"


def notes(dataset, tmp_path):
    return _notes.notes(open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache", "real")))


def test_photos_in_two_splits_are_named(tmp_path, dataset):
    pairs = [("2.png (train)", "22.png (test)"), ("2.png (train)", "23.png (test)"), ("25.png (test)", "unlabeled/y.png (unlabeled)")]
    pairs.append(("4.png (train)", "24.png (test)"))
    assert sorted(notes(dataset, tmp_path)) == [f"{one} and {other} {SAME}" for one, other in pairs]


def test_ten_are_named_and_the_rest_counted(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(_notes, "_SHOWN", 2)
    found = notes(dataset, tmp_path)
    assert [line.endswith(SAME) for line in found] == [True, True, False]
    assert found[-1] == "and 2 more such pairs"


def test_doctor_says_so_and_finds_no_fault(tmp_path, dataset, capsys):
    assert main(["doctor", dataset, "--cache", str(tmp_path / "cache")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(SAME) for line in lines) == 4
    assert lines[-1] == f"{dataset}: ok"


def test_files_of_other_sizes_are_not_read(tmp_path, dataset, monkeypatch):
    opened = open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache", "real"))
    monkeypatch.setattr(type(opened._files), "size", lambda self, path: hash(path))
    monkeypatch.setattr(type(opened._files), "read", lambda self, path: pytest.fail(path))
    assert _notes.notes(opened) == []


def test_what_reading_notes_is_said_by_doctor_show_and_run(tmp_path, dataset, monkeypatch, capsys):
    read = folder.read

    def noting(root, problems):
        problems.note("a thing to know")
        return read(root, problems)

    monkeypatch.setattr(folder, "read", noting)
    places = ["--cache", str(tmp_path / "cache")]
    for _ in range(2):  # the second time out of the index
        assert main(["doctor", dataset, *places]) == 0
        assert f"{dataset}: a thing to know\n" in capsys.readouterr().out
        assert main(["data", "show", dataset, *places]) == 0
        assert capsys.readouterr().err == "a thing to know\n"
        words = ["--methods", "floor", "--datasets", dataset, "--store", str(tmp_path / "store"), "--preset", "tiny", "--dry-run"]
        assert main(["run", *words, *places]) == 0
        assert f"{dataset}: a thing to know\n" in capsys.readouterr().err
