"""bench data import: tables made into catalogues, with every fault named."""

import errno
import json
import os
from pathlib import Path

import pytest
import tabled
from PIL import Image
from planted import catalogue
from tabled import SHADES, TABLE, labels, options

from bench.cli import main
from bench.protocol import SPLITS
from datasets._open import open_dataset


@pytest.fixture
def data(tmp_path):
    return tabled.command(tmp_path)


@pytest.fixture
def photos(tmp_path):
    return tabled.shaded(tmp_path / "photos")


EXPECTED = {
    "train/red.jpg": {"colour": ["red"], "details": ["button", "zip"]},
    "train/sub/blue.jpg": {"colour": ["blue"], "details": []},
    "val/green.jpg": {"colour": None, "details": ["zip"]},
    "test/grey.jpg": {"colour": ["red"], "details": None},
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_with_tabs_semicolons_and_names_of_its_own_becomes_a_catalogue(tmp_path, data, photos, mark, capsys):
    table = tmp_path / "labels.tsv"
    table.write_text(mark + TABLE, encoding="utf-8")
    before = {path: path.read_bytes() for path in photos.rglob("*.jpg")}
    out = tmp_path / "out"
    assert data("import", photos, table, "--out", out, "--file-column", "image") == 0
    text = capsys.readouterr().out
    assert f"{out}: 4 images (2 train, 1 val, 1 test)" in text
    assert any(line.split() == ["colour", "2", "one", "75.0", "%", "1.00", "red", "2,", "blue", "1"] for line in text.splitlines())
    assert f"python -m bench run --datasets folder:{out}" in text
    opened = open_dataset(f"folder:{out}", options(tmp_path))
    assert labels(opened) == EXPECTED
    assert [(kind.name, kind.classes, kind.exclusive) for kind in opened.schema] == [
        ("colour", ("blue", "red"), True),
        ("details", ("button", "zip"), False),
    ]
    assert [SPLITS[split] for split in opened.annotations.splits] == [path.split("/")[0] for path in opened.annotations.paths]
    assert {path: path.read_bytes() for path in photos.rglob("*.jpg")} == before
    assert {Path(*path.relative_to(out).parts[1:]): path.read_bytes() for path in out.rglob("*.jpg")} == {
        path.relative_to(photos): content for path, content in before.items()
    }
    assert main(["doctor", f"folder:{out}", "--cache", str(tmp_path / "cache")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "labels.tsv", "out", "photos"]


def test_what_folder_reads_itself_comes_out_the_same(tmp_path, data):
    """An imported catalogue and the same table read in place agree on everything but where the photos lie."""
    root = catalogue(tmp_path / "mine", 60)
    table = root / "metadata.csv"
    lines = table.read_text().splitlines()
    table.write_text("".join(f"{line},{'title' if number == 0 else f'no. {number}'}\n" for number, line in enumerate(lines)))
    assert data("import", root, table, "--out", tmp_path / "out") == 0
    one, other = (open_dataset(f"folder:{path}", options(tmp_path)) for path in (root, tmp_path / "out"))
    assert one.schema == other.schema
    assert one.schema.names == ("shade",)  # a title hardly repeats
    splits = {path: SPLITS[split] for path, split in zip(one.annotations.paths, one.annotations.splits, strict=True)}
    assert {f"{splits[path]}/{path}": marks for path, marks in labels(one).items()} == labels(other)
    assert {f"{split}/{path}" for path, split in splits.items()} == set(other.annotations.paths)
    assert one.num_images == other.num_images


def test_splits_are_written_as_folders_with_a_table_each(tmp_path, data, photos):
    (photos / "scan.photo").write_bytes((photos / "grey.jpg").read_bytes())
    said = {"red.jpg": "train", "sub/blue.jpg": "Valid", "green.jpg": "test", "grey.jpg": "unlabeled"}
    table = tmp_path / "t.csv"
    table.write_text("file_name,split,colour,sku\n" + "".join(f"{name},{split},{split[:1]},7\n" for name, split in said.items()))
    assert data("import", photos, table, "--out", tmp_path / "out", "--group-column", "sku") == 0
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    tables = {f"{split}/metadata.csv" for split in ("train", "val", "test")}
    tables.add("unlabeled/metadata.csv")
    assert written == {*tables, "attributes.json", "train/red.jpg", "val/sub/blue.jpg", "test/green.jpg", "unlabeled/grey.jpg"}
    assert (tmp_path / "out/unlabeled/metadata.csv").read_text().splitlines() == ["file_name,sku", "grey.jpg,7"]
    assert (tmp_path / "out/val/metadata.csv").read_text().splitlines() == ["file_name,colour,sku", "sub/blue.jpg,V,7"]
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert labels(opened) == {
        **{"train/red.jpg": {"colour": ["t"]}, "val/sub/blue.jpg": {"colour": ["V"]}},
        **{"test/green.jpg": {"colour": ["t"]}, "unlabeled/grey.jpg": {"colour": None}},
    }
    table.write_text(table.read_text() + "scan.photo,unlabeled,,\n")  # a name that only a table finds
    assert data("import", photos, table, "--out", tmp_path / "more") == 0
    assert open_dataset(f"folder:{tmp_path}/more", options(tmp_path)).num_images["unlabeled"] == 2


def test_photos_that_lie_in_folders_of_their_splits_stay_there(tmp_path, data, photos):
    for name, split in (("red.jpg", "train"), ("green.jpg", "train"), ("sub/blue.jpg", "val"), ("grey.jpg", "test")):
        (photos / split).mkdir(exist_ok=True)
        (photos / name).rename(photos / split / Path(name).name)
    table = tmp_path / "t.csv"
    table.write_text("file_name,colour\ntrain/red.jpg,x\ntrain/green.jpg,y\nval/blue.jpg,x\ntest/grey.jpg,y\n")
    assert data("import", photos, table, "--out", tmp_path / "out") == 0
    found = labels(open_dataset(f"folder:{tmp_path}/out", options(tmp_path)))
    assert found == {path: {"colour": [mark]} for path, mark in zip(sorted(found), "yyxx", strict=True)}
    assert sorted(found) == ["test/grey.jpg", "train/green.jpg", "train/red.jpg", "val/blue.jpg"]


def test_a_photo_outside_the_folders_of_splits_is_said(tmp_path, data, photos, capsys):
    (photos / "train").mkdir()
    (photos / "test").mkdir()
    for name, folder in (("red.jpg", "train"), ("green.jpg", "train"), ("grey.jpg", "test")):
        (photos / name).rename(photos / folder / name)
    table = tmp_path / "t.csv"
    table.write_text("file_name,colour\ntrain/red.jpg,x\ntrain/green.jpg,y\nsub/blue.jpg,x\ntest/grey.jpg,y\n")
    assert data("import", photos, table, "--out", tmp_path / "out") == 0
    note = "sub/blue.jpg lies in no split's folder, so the folders say no splits; add a column split\n"
    assert capsys.readouterr().err == note


def test_a_name_without_its_suffix_means_the_one_photo_of_that_name(tmp_path, data, photos, capsys):
    (photos / "grey.jpg").rename(photos / "v1.2.JPG")
    (photos / "sub/blue.jpg").rename(photos / "sub/1163.jpeg")
    table = tmp_path / "styles.csv"
    table.write_text("id,colour\nred,x\nsub/1163,y\ngreen.jpg,x\nv1.2,y\n")
    words = ("import", photos, table, "--file-column", "id")
    assert data(*words, "--out", tmp_path / "out") == 0
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert sorted(opened.annotations.paths) == [f"photos/{name}" for name in ("green.jpg", "red.jpg", "sub/1163.jpeg", "v1.2.JPG")]
    (photos / "red.png").write_bytes((photos / "red.jpg").read_bytes())
    (photos / "more").symlink_to(tmp_path / "out/photos")
    table.write_text("id,colour\nred,x\nsub/1164,y\nmore/green,y\ngreen.jpg,x\ngreen,x\n" + f"{300 * 'n'},x\n")
    capsys.readouterr()
    assert data(*words, "--out", tmp_path / "other") == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines[:3]] == [
        "styles.csv:6: green.jpg is listed twice, first in styles.csv:5",
        "styles.csv:2: red is missing",
        "styles.csv:3: sub/1164 is missing",
    ]
    assert lines[3].startswith("styles.csv:4: more/green leads out of the data set's folder")
    assert lines[4].startswith("styles.csv:7: nnn")


def test_columns_that_are_named_are_taken_and_no_others(tmp_path, data, photos, capsys):
    table = tmp_path / "t.csv"
    table.write_text("file_name,colour,shop\n" + "".join(f"{name},{k},x\n" for k, name in enumerate(SHADES)))
    assert data("import", photos, table, "--out", tmp_path / "out", "--columns", "colour", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(kind["name"], kind["classes"], kind["labeled"]) for kind in summary["types"]] == [("colour", 4, 4)]
    assert summary["left_out"] == 0
    assert (tmp_path / "out" / "metadata.csv").read_text().splitlines()[0] == "file_name,colour"
    assert open_dataset(f"folder:{tmp_path}/out", options(tmp_path)).schema.names == ("colour",)


def test_the_column_that_is_named_wins_over_one_called_file_name(tmp_path, data, photos):
    table = tmp_path / "t.csv"
    rows = [f"{name},{k % 2},was-{k}.jpg\n" for k, name in enumerate(SHADES)]
    table.write_text("image,colour,file_name\n" + "".join(rows))
    assert data("import", photos, table, "--out", tmp_path / "out", "--file-column", "image") == 0
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert sorted(opened.annotations.paths) == sorted(f"photos/{name}" for name in SHADES)
    assert opened.schema.names == ("colour",)


def many(root):
    """The folder with 40 photos, 0.png to 39.png."""
    root.mkdir()
    for number in range(40):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / f"{number}.png")
    return root


def test_photos_of_a_group_stay_together_after_an_import(tmp_path, data, capsys):
    root, rows = many(tmp_path / "many"), []
    for number in range(40):
        rows.append(f"{number}.png,item {number // 2},{'red' if number % 3 else 'blue'}\n")
    (tmp_path / "t.csv").write_text("file_name,sku,colour\n" + "".join(rows))
    words = ("import", root, tmp_path / "t.csv", "--out", tmp_path / "out", "--group-column")
    assert data(*words, "item") == 2
    error = f"bench data: {tmp_path}/t.csv: --group-column 'item' given, but the table has the columns sku, colour\n"
    assert capsys.readouterr().err == error
    assert data(*words, "sku") == 0
    assert (tmp_path / "out" / "metadata.csv").read_text().splitlines()[0] == "file_name,colour,sku"
    assert json.loads((tmp_path / "out" / "attributes.json").read_text())["group"] == "sku"
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert opened.schema.names == ("colour",)
    splits = {}
    for path, split in zip(opened.annotations.paths, opened.annotations.splits.tolist(), strict=True):
        splits.setdefault(int(path.removeprefix("photos/").removesuffix(".png")) // 2, set()).add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) == {0, 1, 2}


def test_unlabelled_photos_of_groups_that_are_held_out_are_not_imported(tmp_path, data, capsys):
    root, rows = many(tmp_path / "many"), []
    for number in range(40):
        rows.append(f"{number}.png,{'unlabeled' if number % 2 else 'train'},item {number // 4},{number % 8 // 4}\n")
    (tmp_path / "t.csv").write_text("file_name,split,sku,colour\n" + "".join(rows))
    assert data("import", root, tmp_path / "t.csv", "--out", tmp_path / "out", "--group-column", "sku") == 0
    assert capsys.readouterr().err == "4 unlabelled images left out: others of their 'sku' are in val or test\n"
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert (opened.num_images, opened.notes) == ({"train": 16, "val": 2, "test": 2, "unlabeled": 16}, ())
    assert len(list((tmp_path / "out").rglob("*.png"))) == 36


BAD_ROWS = {
    "../secret.jpg,train,red": "t.csv:3: '../secret.jpg' leads out of the data set's folder",
    "/etc/passwd,train,red": "t.csv:3: '/etc/passwd' is an absolute path",
    "none.jpg,train,red": "t.csv:3: none.jpg is missing",
    "away.jpg,train,red": "t.csv:3: away.jpg leads out of the data set's folder through a symbolic link",
    "notes.txt,train,red": "t.csv:3: notes.txt is no JPEG, PNG, WebP, BMP or GIF image",
    "torn.jpg,train,red": "t.csv:3: torn.jpg is truncated",
    "red.jpg,train,red": "t.csv:3: red.jpg is listed twice, first in t.csv:2",
    "grey.jpg,training day,red": "t.csv:3: split 'training day', expected train, val, test, unlabeled",
    "grey.jpg,train": "t.csv:3: 2 cells, expected 3",
    ",train,red": "t.csv:3: no file_name",
    "grey.jpg,train,caf\udce9": "t.csv:3: is no UTF-8; save the table as UTF-8",
}


@pytest.mark.parametrize(("row", "message"), BAD_ROWS.items())
def test_a_row_at_fault_is_named_and_nothing_is_written_unless_it_may_be_left_out(tmp_path, data, photos, row, message, capsys):
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.jpg")
    (photos / "away.jpg").symlink_to(tmp_path / "secret.jpg")
    (photos / "notes.txt").write_text("not a photo")
    (photos / "torn.jpg").write_bytes((photos / "red.jpg").read_bytes()[:300])
    table = tmp_path / "t.csv"
    text = f"file_name,split,colour\nred.jpg,train,red\n{row}\ngreen.jpg,test,green\nsub/blue.jpg,val,red\n"
    table.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert data("import", photos, table, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert message in error
    assert "nothing was written" in error
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert data("import", photos, table, "--out", tmp_path / "out", "--on-bad-data", "skip", "--json") == 0
    captured = capsys.readouterr()
    assert message in captured.err
    assert json.loads(captured.out)["left_out"] == 1
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert sorted(opened.annotations.paths) == ["test/green.jpg", "train/red.jpg", "val/sub/blue.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.jpg")) == ["blue.jpg", "green.jpg", "red.jpg"]


def test_where_semicolons_part_columns_they_join_no_values(tmp_path, data, photos):
    table = tmp_path / "excel.csv"
    table.write_text('file_name;colour;details\nred.jpg;"red;ish";zip|button\nsub/blue.jpg;1,5;zip\ngreen.jpg;1,5;|\n')
    assert data("import", photos, table, "--out", tmp_path / "out") == 0
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert [(kind.name, kind.classes, kind.exclusive) for kind in opened.schema] == [
        ("colour", ("1,5", "red;ish"), True),
        ("details", ("button", "zip"), False),
    ]


def test_a_name_of_any_bytes_is_imported(tmp_path, data, photos):
    name = "caf\udce9.jpg"
    (photos / "red.jpg").rename(photos / name)
    table = tmp_path / "t.csv"
    table.write_text(f"file_name,colour\n{name},red\nsub/blue.jpg,blue\ngreen.jpg,red\n", errors="surrogateescape")
    assert data("import", photos, table, "--out", tmp_path / "out") == 0
    assert f"photos/{name}" in open_dataset(f"folder:{tmp_path}/out", options(tmp_path)).annotations.paths
    assert main(["doctor", f"folder:{tmp_path}/out", "--cache", str(tmp_path / "cache")]) == 0


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"image,colour\nred.jpg,red\n", (), "t.csv:1: no column file_name; there are image, colour; --file-column NAME says which"),
        ("file_name,colour\nred.jpg,red\n".encode("utf-16"), (), "t.csv:1: is UTF-16; save the table as UTF-8"),
        (b'file_name,colour\n"red.jpg,red\n', (), "t.csv:2: unexpected end of data; a quotation mark may be missing"),
        (b"file_name,colour\n", (), "no training images"),
        (b"", (), "t.csv:1: no column file_name; there are none"),
    ],
)
def test_a_table_that_cannot_be_read_on(tmp_path, data, photos, content, words, message, capsys):
    (tmp_path / "t.csv").write_bytes(content)
    for mercy in ((), ("--on-bad-data", "skip")):
        assert data("import", photos, tmp_path / "t.csv", "--out", tmp_path / "out", *words, *mercy) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.endswith(f"nothing was written; mend {tmp_path / 't.csv'}\n")  # no row to leave out
        assert not (tmp_path / "out").exists()


def test_links_share_the_files_and_say_where_they_cannot(tmp_path, data, photos, monkeypatch, capsys):
    table = tmp_path / "t.csv"
    (photos / "inside.jpg").symlink_to(photos / "green.jpg")
    table.write_text("file_name,colour\nred.jpg,red\ninside.jpg,green\ngrey.jpg,grey\n")
    assert data("import", photos, table, "--out", tmp_path / "out", "--link") == 0
    assert os.path.samefile(tmp_path / "out" / "photos" / "red.jpg", photos / "red.jpg")
    assert os.path.samefile(tmp_path / "out" / "photos" / "inside.jpg", photos / "green.jpg")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert data("import", photos, table, "--out", tmp_path / "copy") == 0
    assert not os.path.samefile(tmp_path / "copy" / "photos" / "red.jpg", photos / "red.jpg")

    def elsewhere(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", elsewhere)
    capsys.readouterr()
    assert data("import", photos, table, "--out", tmp_path / "far", "--link") == 2
    assert "Invalid cross-device link; --link needs both on one file system" in capsys.readouterr().err
    assert not (tmp_path / "far").exists()


def test_what_cannot_be_imported_is_a_wrong_command(tmp_path, data, photos, capsys):
    table = tmp_path / "t.csv"
    table.write_text("file_name,colour\nred.jpg,red\n")
    for words, text in (
        ([tmp_path / "none", table, "--out", tmp_path / "out"], "none: no such folder"),
        ([photos, tmp_path / "none.csv", "--out", tmp_path / "out"], "none.csv: no such file"),
        ([photos, table, "--out", photos], "photos is not empty; name a new folder"),
        (
            [photos, table, "--out", tmp_path / "out", "--columns", "colour,shape"],
            "t.csv: --columns 'shape' given, but the table has the columns colour",
        ),
    ):
        assert data("import", *words) == 2
        assert text in capsys.readouterr().err
