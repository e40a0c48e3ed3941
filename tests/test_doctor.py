"""bench doctor: every fault named with file and line, before anything is queued."""

import pytest
from planted import bench, catalogue

from datasets.runway import render


def test_a_sound_catalogue_is_ok(tmp_path):
    done = bench("doctor", f"folder:{catalogue(tmp_path / 'photos')}", cwd=tmp_path, plugins=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, f"folder:{tmp_path / 'photos'}: ok")


def test_a_damaged_picture_a_missing_one_and_a_path_outside_are_each_named(tmp_path):
    photos = catalogue(tmp_path / "photos")
    picture = photos / "3.jpg"
    picture.write_bytes(picture.read_bytes()[:200])
    (photos / "5.jpg").unlink()
    table = photos / "metadata.csv"
    table.write_text(table.read_text().replace("\n7.jpg", "\n../../etc/passwd"))
    done = bench("doctor", f"folder:{photos}", cwd=tmp_path, plugins=tmp_path)
    assert done.returncode == 1
    named = [line for line in done.stdout.splitlines() if any(word in line for word in ("3.jpg", "5.jpg", "passwd"))]
    assert len(named) == 3
    assert any("metadata.csv:9" in line and "../../etc/passwd" in line for line in named)
    assert "3 problems" in done.stdout


def test_absent_data_names_the_missing_file_and_where_to_ask(tmp_path):
    done = bench("doctor", "deepfashion", "--data-root", tmp_path / "none", cwd=tmp_path, plugins=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "none" / "deepfashion") in done.stdout
    assert "ask " in done.stdout


def test_an_unknown_data_set_gets_the_nearest_name(tmp_path):
    done = bench("doctor", "deepfashon", cwd=tmp_path, plugins=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'deepfashion'" in done.stderr


def test_without_names_every_data_set_with_a_place_of_its_own_is_checked(tmp_path):
    done = bench("doctor", "--data-root", tmp_path / "none", cwd=tmp_path, plugins=tmp_path)
    assert done.returncode == 1
    assert {line.split(":")[0] for line in done.stdout.splitlines()} >= {"deepfashion", "darn"}
    assert "folder:" not in done.stdout


def test_a_folder_without_a_path_says_what_is_expected(tmp_path):
    done = bench("doctor", "folder", cwd=tmp_path, plugins=tmp_path)
    assert done.returncode == 2
    assert "folder needs a path" in done.stderr


def test_a_file_that_may_be_absent_is_named_and_costs_nothing(tmp_path):
    render(tmp_path / "deepfashion", "deepfashion", num={"train": 6, "val": 2, "test": 2}, long_side=32, seed=0)
    ask = ("doctor", "deepfashion", "--data-root", tmp_path)
    assert bench(*ask, cwd=tmp_path, plugins=tmp_path).stdout == "deepfashion: ok\n"
    (tmp_path / "deepfashion/Anno_coarse/list_landmarks.txt").unlink()
    done = bench(*ask, cwd=tmp_path, plugins=tmp_path)
    file = "Anno_coarse/list_landmarks.txt or Anno/list_landmarks.txt"
    assert (done.returncode, done.stdout) == (0, f"deepfashion: {file}: absent, and the data set can do without\ndeepfashion: ok\n")


@pytest.mark.parametrize(
    ("source", "message"),
    [("def (", "SyntaxError: "), ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"), ("x = 1", "AttributeError: ")],
)
def test_a_broken_file_of_a_data_set_costs_the_others_nothing(tmp_path, source, message):
    photos = catalogue(tmp_path / "photos")
    (tmp_path / "plugins/datasets").mkdir(parents=True)
    (tmp_path / "plugins/datasets/brokn.py").write_text(source)
    (tmp_path / "data/brokn").mkdir(parents=True)
    where = {"cwd": tmp_path, "plugins": tmp_path / "plugins"}
    done = bench("doctor", "brokn", f"folder:{photos}", "--data-root", tmp_path / "data", **where)
    assert (done.returncode, done.stderr) == (1, "")
    broken, count, sound = done.stdout.splitlines()
    assert broken.startswith(f"brokn: {message}")
    assert (count, sound) == ("brokn: 1 problems", f"folder:{photos}: ok")
    done = bench("data", "show", "brokn", "--data-root", tmp_path / "data", **where)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith(f"bench data: {message}")
