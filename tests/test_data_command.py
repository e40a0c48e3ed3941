"""bench data: stand-ins that never pass for real, tables made into catalogues with every fault named, figures and sheets."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import catalogue

from bench import registry
from bench.cli import main
from bench.protocol import SPLITS, DataOptions, NoDataError
from datasets._open import open_dataset

STANDIN = {"tiny": {"layout": "deepfashion", "num": {"train": 12, "val": 4, "test": 4}, "long_side": 32, "seed": 0}}
SHADES = {"red.jpg": (200, 20, 20), "sub/blue.jpg": (20, 20, 200), "green.jpg": (20, 200, 20), "grey.jpg": (128, 128, 128)}


@pytest.fixture
def small(monkeypatch):
    """deepfashion with a stand-in of twenty photos."""
    entry = registry.entry
    found = entry("datasets", "deepfashion")
    fewer = replace(found, constants={**found.constants, "STANDIN": STANDIN})
    monkeypatch.setattr(registry, "entry", lambda kind, name: fewer if name == "deepfashion" else entry(kind, name))


@pytest.fixture
def data(tmp_path):
    """Runs `bench data` with a cache and a data root of its own."""

    def run(action, *words):
        places = [] if action == "import" else ["--cache", str(tmp_path / "cache"), "--data-root", str(tmp_path / "root")]
        return main(["data", action, *map(str, words), *places])

    return run


@pytest.fixture
def photos(tmp_path):
    for name, colour in SHADES.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20), colour).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def options(tmp_path, **fields):
    return DataOptions(tmp_path / "root", tmp_path / "cache", **fields)


def labels(opened):
    """path -> type -> its classes, None where nothing is known."""
    table = {}
    for row, path in enumerate(opened.annotations.paths):
        marks = {kind.name: (kind, opened.annotations.labels[kind.name][row]) for kind in opened.schema}
        table[path] = {
            name: None if (values == -1).all() else [kind.classes[k] for k in np.flatnonzero(values == 1)]
            for name, (kind, values) in marks.items()
        }
    return table


def test_a_rendered_folder_is_the_stand_in_and_never_passes_for_real(tmp_path, small, data, capsys):
    out = tmp_path / "root" / "deepfashion"
    assert data("render", "deepfashion", "--out", out) == 0
    assert capsys.readouterr().out.strip() == f"deepfashion (tiny, synthetic): {out}"
    assert (out / "Eval" / "list_eval_partition.txt").is_file()
    assert sorted(path.name for path in out.parent.iterdir()) == ["deepfashion"]
    found = open_dataset("deepfashion", options(tmp_path))
    assert (found.source, found.num_images["train"]) == ("synthetic", 12)
    assert not (tmp_path / "cache" / "runway").exists()  # it was read where it lies
    assert found.data_hash == open_dataset("deepfashion", options(tmp_path, data="synthetic")).data_hash
    with pytest.raises(NoDataError, match="holds a rendered stand-in"):
        open_dataset("deepfashion", options(tmp_path, data="real"))
    (out / "runway.json").unlink()
    assert open_dataset("deepfashion", options(tmp_path, data="real")).source == "real"


def test_without_a_place_it_lies_where_a_sweep_looks_for_it(tmp_path, small, data, monkeypatch, capsys):
    assert data("render", "deepfashion") == 0
    (folder,) = (tmp_path / "cache" / "runway").glob("*/")
    assert str(folder) in capsys.readouterr().out
    monkeypatch.setattr("datasets.runway.render", lambda *_, **__: pytest.fail("rendered twice"))
    assert open_dataset("deepfashion", options(tmp_path)).num_images["train"] == 12


def test_an_interrupted_rendering_leaves_nothing(tmp_path, small, data, monkeypatch):
    def interrupted(folder, **_):
        (folder / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("datasets.runway.render", interrupted)
    assert data("render", "deepfashion", "--out", tmp_path / "new" / "out") == 130
    assert list((tmp_path / "new").iterdir()) == []


def test_what_cannot_be_rendered_is_a_wrong_command(tmp_path, small, data, photos, capsys):
    for words, text in (
        (["deepfashion", "--out", photos], "photos is not empty; name a new folder"),
        (["deepfashion", "--out", photos / "red.jpg"], "red.jpg is a file; name a new folder"),
        (["deepfashion", "--preset", "paper"], "no stand-in for preset 'paper'; there are tiny"),
        ([f"folder:{photos}"], f"folder:{photos} has no stand-in"),
        (["deepfashon"], "did you mean 'deepfashion'"),
    ):
        assert data("render", *words) == 2
        assert text in capsys.readouterr().err
    assert sorted(path.name for path in photos.iterdir()) == ["green.jpg", "grey.jpg", "red.jpg", "sub"]


TABLE = (
    "split\timage\tcolour\tdetails\n"
    "train\tred.jpg\tred\tzip; button\n"
    "train\tsub/blue.jpg\tblue\t;\n"
    "val\tgreen.jpg\t\tzip|zip\n"
    "test\tgrey.jpg\tred\t\n"
)
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
    (photos / "scan.jfif").write_bytes((photos / "grey.jpg").read_bytes())
    said = {"red.jpg": "train", "sub/blue.jpg": "Valid", "green.jpg": "test", "grey.jpg": "unlabeled"}
    table = tmp_path / "t.csv"
    table.write_text("file_name,split,colour,sku\n" + "".join(f"{name},{split},{split[:1]},7\n" for name, split in said.items()))
    assert data("import", photos, table, "--out", tmp_path / "out", "--group-column", "sku") == 0
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    tables = {f"{split}/metadata.csv" for split in ("train", "val", "test")}
    assert written == {*tables, "attributes.json", "train/red.jpg", "val/sub/blue.jpg", "test/green.jpg", "unlabeled/grey.jpg"}
    assert (tmp_path / "out/val/metadata.csv").read_text().splitlines() == ["file_name,colour,sku", "sub/blue.jpg,V,7"]
    opened = open_dataset(f"folder:{tmp_path}/out", options(tmp_path))
    assert labels(opened) == {
        **{"train/red.jpg": {"colour": ["t"]}, "val/sub/blue.jpg": {"colour": ["V"]}},
        **{"test/green.jpg": {"colour": ["t"]}, "unlabeled/grey.jpg": {"colour": None}},
    }
    table.write_text(table.read_text() + "scan.jfif,unlabeled,,\n")  # a name that only a table finds
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


def test_photos_of_a_group_stay_together_after_an_import(tmp_path, data, capsys):
    root = tmp_path / "many"
    root.mkdir()
    rows = []
    for number in range(40):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / f"{number}.png")
        rows.append(f"{number}.png,item {number // 2},{'red' if number % 3 else 'blue'}\n")
    (tmp_path / "t.csv").write_text("file_name,sku,colour\n" + "".join(rows))
    words = ("import", root, tmp_path / "t.csv", "--out", tmp_path / "out", "--group-column")
    assert data(*words, "item") == 1
    assert "group is column 'item', but there are sku, colour" in capsys.readouterr().err
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
        (b"file_name,colour\nred.jpg,red\n", ("--columns", "shape"), "type 'shape' reads column 'shape', but there are colour"),
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
    ):
        assert data("import", *words) == 2
        assert text in capsys.readouterr().err


@pytest.fixture
def imported(tmp_path, data, photos, capsys):
    (tmp_path / "labels.tsv").write_text(TABLE)
    assert data("import", photos, tmp_path / "labels.tsv", "--out", tmp_path / "mine", "--file-column", "image") == 0
    capsys.readouterr()
    return tmp_path / "mine"


def test_show_counts_what_is_known(imported, data, capsys):
    assert data("show", f"folder:{imported}", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["name"], summary["source"], summary["images"]) == (f"folder:{imported}", "real", 4)
    assert summary["splits"] == {"train": 2, "val": 1, "test": 1}
    colour = {"name": "colour", "classes": 2, "exclusive": True, "labeled": 3, "labels_per_image": 1.0}
    details = {"name": "details", "classes": 2, "exclusive": False, "labeled": 3, "labels_per_image": 1.0}
    frequent = [["red", 2], ["blue", 1]], [["zip", 2], ["button", 1]]
    assert summary["types"] == [kind | {"most_frequent": found} for kind, found in zip((colour, details), frequent, strict=True)]
    assert data("show", f"folder:{imported}", "--split", "train") == 0
    text = capsys.readouterr().out
    assert f"folder:{imported} (real): 2 images (2 train)" in text
    assert any(
        line.split() == ["details", "2", "any", "number", "100.0", "%", "1.00", "button", "1,", "zip", "1"] for line in text.splitlines()
    )


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_a_sheet_shows_the_photos_in_their_shape_above_their_labels(imported, data, tmp_path):
    out = tmp_path / "sheet.png"
    assert data("show", f"folder:{imported}", "--split", "train", "--out", out) == 0
    sheet = pixels(out)
    for name in ("red.jpg", "sub/blue.jpg"):
        near = (np.abs(sheet - np.array(SHADES[name])).max(axis=2) < 12).nonzero()
        assert [np.ptp(places) + 1 for places in near] == [80, 160]  # 20 and 40, enlarged
    assert (sheet[-3 * 13 :] < 100).all(axis=2).sum() > 30  # dark letters below
    before = out.read_bytes()
    assert data("show", f"folder:{imported}", "--split", "train", "--out", out) == 0
    assert out.read_bytes() == before
    assert data("show", f"folder:{imported}", "--count", 1, "--out", out) == 0
    assert pixels(out).shape[1] < sheet.shape[1]


def test_a_photo_that_cannot_be_shown_is_named_and_the_others_are_shown(imported, data, tmp_path, capsys):
    (imported / "train" / "red.jpg").write_bytes(b"")
    out = tmp_path / "sheet.png"
    assert data("show", f"folder:{imported}", "--out", out) == 1
    assert "train/metadata.csv:2: train/red.jpg is empty" in capsys.readouterr().err
    sheet = pixels(out)
    assert (np.abs(sheet - np.array(SHADES["sub/blue.jpg"])).max(axis=2) < 12).sum() == 80 * 160


def test_columns_that_are_no_types_are_said(tmp_path, data, capsys):
    root = catalogue(tmp_path / "mine", 60)
    table = root / "metadata.csv"
    lines = table.read_text().splitlines()
    table.write_text("".join(f"{line},{'sku' if number == 0 else number // 2}\n" for number, line in enumerate(lines)))
    note = "left out: sku (31 values in 60 rows); attributes.json (or --columns of data import) makes them types"
    for _ in range(2):  # the second time out of the index
        assert data("show", f"folder:{root}", "--json") == 0
        captured = capsys.readouterr()
        assert captured.err.strip() == note
        assert json.loads(captured.out)["ignored"] == ["sku (31 values in 60 rows)"]
    assert data("import", root, table, "--out", tmp_path / "out") == 0
    assert note in capsys.readouterr().err
    assert main(["doctor", f"folder:{root}", "--cache", str(tmp_path / "cache")]) == 0
    assert f"folder:{root}: {note}\n" in capsys.readouterr().out
    assert data("show", f"folder:{tmp_path}/out") == 0
    assert capsys.readouterr().err == ""


def test_a_stand_in_is_shown_as_what_it_is_and_cut_to_its_boxes(tmp_path, small, data, capsys):
    assert data("show", "deepfashion", "--out", tmp_path / "sheet.png", "--count", 4) == 0
    assert "deepfashion (synthetic): 20 images (12 train, 4 val, 4 test)" in capsys.readouterr().out
    opened = open_dataset("deepfashion", options(tmp_path))
    x1, y1, x2, y2 = opened.annotations.boxes[0].tolist()
    assert opened.photo(0).shape == (y2 - y1, x2 - x1, 3)


def test_what_cannot_be_shown_is_said(tmp_path, small, data, photos, capsys):
    for words, code, text in (
        (["deepfashion", "--data", "real"], 1, "is missing under"),
        ([f"folder:{tmp_path}/none"], 1, "no such folder"),
        ([f"folder:{photos}"], 1, "too few to hold validation and test images out; the first problem: .: 3 images, such as"),
        (["deepfashion", "--count", "0"], 2, "--count 0 given, 1 or more expected"),
        (["deepfashion", "--out", "sheet.jpg"], 2, "a name that ends in .png expected"),
        (["deepfashon"], 2, "did you mean 'deepfashion'"),
    ):
        assert data("show", *words) == code
        assert text in capsys.readouterr().err


def test_an_action_that_does_not_exist_gets_a_hint(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["data", "shwo"])
    assert caught.value.code == 2
    assert "did you mean 'show'?" in capsys.readouterr().err
