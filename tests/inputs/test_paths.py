"""Nothing outside a data set's folder is opened, wherever the way out stands: in a list, or as a symbolic link in the place of a list,
a folder or a picture. tests/datasets/test_files.py has what ImageFiles does by itself."""

import os
import shutil

import pytest
import sound
from PIL import Image

from bench.cli import FAILED, USAGE, main
from bench.protocol import BadDataError, DataOptions
from datasets._files import ImageFiles
from datasets._open import check, describe, open_dataset

LINK = "leads out of the data set's folder through a symbolic link; put the files themselves there"
WAYS_OUT = {
    "../secret.jpg": "leads out of the data set's folder",
    "a/../../secret.jpg": "leads out of the data set's folder",
    "/etc/passwd.jpg": "is an absolute path",
    "~/secret.jpg": "is an absolute path",
    "\\\\host\\share.jpg": "is an absolute path",
    "C:\\secret.jpg": "is an absolute path",
}


@pytest.fixture
def options(tmp_path):
    return DataOptions(tmp_path / "data", tmp_path / "cache", data="real")


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Every path that is opened while a test runs."""
    found, real = [], os.open
    (tmp_path / "outside").mkdir()
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: found.append(os.path.realpath(path)) or real(path, *rest, **more))
    return found


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("name", sorted(set(sound.SOUND) - {"imatfashion"}))  # its lists hold ids: test_imatfashion.py
def test_a_path_that_leads_out_is_refused_in_every_list(tmp_path, name, way):
    first = {
        **{"deepfashion": ("Eval/list_eval_partition.txt", "img/Dress/img_0.jpg"), "deepfashion26": ("split/train.txt", "img/train/1.jpg")},
        **{"darn": ("filenames_train.txt", "pic/train1.jpg"), "naver": ("train/train_label", "a.jpg"), "jdstyle": ("train.txt", "0")},
        **{"folder": ("train/metadata.csv", "a.jpg")},
    }
    file, path = first.get(name, ("metadata.csv", "a.jpg"))
    lines = sound.SOUND[name][file].decode().split("\n")
    line = next(number for number, text in enumerate(lines, start=1) if path in text)
    lines[line - 1] = lines[line - 1].replace(path, way, 1)
    files = {**sound.SOUND[name], file: "\n".join(lines).encode()}
    found, problems = sound.read(name, sound.write(tmp_path / "data", files))
    assert [problem for problem in problems.found if (problem.file, problem.line) == (file, line) and WAYS_OUT[way] in problem.message]
    assert not [each for each in found.paths if "secret" in each or "passwd" in each or "share" in each]


def linked_out(root, outside, name):
    """Moves a file or folder of a data set out and leaves a link."""
    outside.mkdir(exist_ok=True)
    shutil.move(root / name, outside / "moved")
    (root / name).symlink_to(outside / "moved")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("deepfashion", "Eval/list_eval_partition.txt"),
        ("deepfashion", "Anno_coarse"),
        ("darn", "meta.json"),
        ("naver", "train/train_label"),
        ("naver", "train/hidden_label"),
        ("folder", "train"),
        ("folder", "train/metadata.csv"),
        ("folder", "attributes.json"),
        ("ficcy", "metadata.csv"),
        ("vest_neck_style", "metadata.csv"),
    ],
)
def test_a_list_that_is_a_link_out_is_never_read(tmp_path, options, opened, name, part):
    root = sound.write(tmp_path / "data" / name, sound.SOUND[name])
    for folder in ("Img/img", "pic", "train/train_data", "test_data"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    linked_out(root, tmp_path / "outside", part)
    dataset = f"folder:{root}" if name == "folder" else name
    with pytest.raises(BadDataError) as caught:
        describe(dataset, options)
    assert str(caught.value).startswith(f"{dataset}: {part}")
    assert str(caught.value).endswith(f": {LINK}")
    [problem] = check(dataset, options)
    assert problem.file.startswith(part)
    assert problem.message == LINK
    assert [path for path in opened if "outside" in path] == []


def test_a_link_that_stays_inside_is_followed(tmp_path, options):
    root = sound.write(tmp_path / "data" / "photos", sound.SOUND["folder"])
    (root / "train/metadata.csv").rename(root / "train/list.csv")
    (root / "train/metadata.csv").symlink_to("list.csv")
    assert describe(f"folder:{root}", options).num_images["train"] == 2


def test_the_size_of_a_file_outside_is_no_part_of_the_data(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "root/a.jpg").symlink_to(tmp_path / "secret.jpg")
    assert ImageFiles(tmp_path / "root").size("a.jpg") == -1


@pytest.mark.parametrize("linked", ["picture", "folder of a class"])
def test_pictures_of_a_catalogue_that_lie_elsewhere_are_refused_by_name(tmp_path, options, linked, capsys):
    root, outside = tmp_path / "photos", tmp_path / "outside"
    for path in (root / "coat", root / "tee", outside):
        path.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (8, 8)).save(root / "coat" / f"{number}.png")
        Image.new("RGB", (8, 8)).save(root / "tee" / f"{number}.png")
    Image.new("RGB", (8, 8)).save(outside / "secret.png")
    away = "coat/9.png" if linked == "picture" else "secret"
    (root / away).symlink_to(outside / "secret.png" if linked == "picture" else outside)
    with pytest.raises(BadDataError, match=rf"{away}.* {LINK}|{away}: {LINK}"):
        open_dataset(f"folder:{root}", options).examples("train", image_size=8)
    assert main(["doctor", f"folder:{root}", "--cache", str(tmp_path / "cache")]) == FAILED
    assert LINK in capsys.readouterr().out


@pytest.mark.parametrize("words", [["run", "--dry-run", "--datasets"], ["doctor"], ["data", "show"]], ids=lambda words: words[0])
def test_a_path_that_is_not_utf_8_is_refused_before_anything_is_read(tmp_path, words, capsys):
    """No record could hold the name of its data set."""
    folder = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9")
    shutil.move(sound.write(tmp_path / "photos", sound.SOUND["folder"]), folder)
    assert main([*words, f"folder:{folder}", "--cache", str(tmp_path / "cache")]) == USAGE
    assert f"{'folder:' + folder!r} is not UTF-8; rename it or give it a link with another name\n" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
