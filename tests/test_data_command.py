"""bench data: stand-ins that never pass for real, figures and sheets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tabled
from PIL import Image
from planted import catalogue
from tabled import SHADES, TABLE, options

from bench import registry
from bench.cli import main
from bench.protocol import NoDataError
from datasets._open import open_dataset

STANDIN = {"tiny": {"layout": "deepfashion", "num": {"train": 12, "val": 4, "test": 4}, "long_side": 32, "seed": 0}}


@pytest.fixture
def small(monkeypatch):
    """deepfashion with a stand-in of twenty photos."""
    entry = registry.entry
    found = entry("datasets", "deepfashion")
    fewer = replace(found, constants={**found.constants, "STANDIN": STANDIN})
    monkeypatch.setattr(registry, "entry", lambda kind, name: fewer if name == "deepfashion" else entry(kind, name))


@pytest.fixture
def data(tmp_path):
    return tabled.command(tmp_path)


@pytest.fixture
def photos(tmp_path):
    return tabled.shaded(tmp_path / "photos")


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


def test_a_cache_that_cannot_be_used_is_said_in_a_line(tmp_path, data, imported, capsys):
    (tmp_path / "cache").write_text("a file")
    assert data("show", f"folder:{imported}") == 1
    error = capsys.readouterr().err
    assert error.startswith("bench data: ")
    assert f"'{tmp_path}/cache" in error
    assert error.count("\n") == 1


def test_an_action_that_does_not_exist_gets_a_hint(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["data", "shwo"])
    assert caught.value.code == 2
    assert "did you mean 'show'?" in capsys.readouterr().err
