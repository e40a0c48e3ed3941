"""The gallery of a page: photographs, what was predicted for them, corrupted copies, and why there are none."""

import base64
import io

import numpy as np
import pytest
from pagemade import content, numbers, parts
from PIL import Image
from planted import catalogue

from bench import registry
from bench.cli import main
from bench.report.page import render
from bench.report.page_gallery import GalleryOptions
from bench.store import Store


@pytest.fixture
def photographed(tmp_path, capsys):
    """A store of two floors on a small catalogue, and where data and cache are."""
    return sweep_photographs(tmp_path, capsys)


def sweep_photographs(tmp_path, capsys, *more):
    places = GalleryOptions(5, tmp_path / "data", tmp_path / "cache")
    typed = ["run", "--methods", "floor/prior,floor/majority", "--datasets", f"folder:{catalogue(tmp_path / 'photos', 40)}"]
    typed += ["--label-fractions", "1", "--severities", "0", "--preset", "tiny", "--launcher", "inline", "--store", str(tmp_path / "store")]
    assert main([*typed, *more, "--cache", str(places.cache_dir), "--data-root", str(places.data_root)]) == 0
    capsys.readouterr()
    return Store(tmp_path / "store"), places, tmp_path / "photos"


def test_the_gallery_shows_photographs_with_predictions_and_corrupted_copies(photographed, monkeypatch):
    store, places, _ = photographed
    engine = registry.load_part("datasets.corruptions")
    monkeypatch.setattr(engine, "NAMES", ("gaussian_noise", "shot_noise"))
    gallery = parts(render(content(store, gallery=places)))["gallery"]
    assert gallery["problems"] == []
    (world,) = gallery["worlds"]
    assert world["rows"] == [0, 2, 4, 7, 9]
    assert all(photo.startswith("data:image/webp;base64,") for photo in world["photos"])
    classes = world["types"][0]["classes"]
    for photo, (truth,) in zip(world["photos"], world["labels"], strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(photo.partition(",")[2]))))
        assert [classes[place] for place in truth] == ["light" if pixels.mean() > 110 else "dark"]
    assert [each["method"] for each in world["methods"]] == ["floor/majority", "floor/prior"]
    prior = numbers(world["methods"][1]["classes"], "<u2").reshape(5, 1, 3)
    assert (prior == [classes.index("dark"), classes.index("light"), 65535]).all()
    copies = world["corrupted"][0]["copies"]
    assert [each["name"] for each in copies] == ["gaussian_noise", "shot_noise"]
    assert [len(set(each["photos"])) for each in copies] == [5, 5]


def test_a_sweep_that_may_leave_photographs_out_has_a_gallery_of_its_own(tmp_path, capsys):
    store, places, _ = sweep_photographs(tmp_path, capsys, "--on-bad-data", "skip")
    gallery = parts(render(content(store, gallery=places)))["gallery"]
    assert gallery["problems"] == []
    assert len(gallery["worlds"][0]["photos"]) == 5


def test_photographs_that_changed_since_are_left_out_with_the_reason(photographed):
    store, places, photos = photographed
    lines = (photos / "metadata.csv").read_text().splitlines()
    (photos / "metadata.csv").write_text("\n".join(lines[:-1]) + "\n")
    gallery = parts(render(content(store, gallery=places)))["gallery"]
    assert gallery["worlds"] == []
    (problem,) = gallery["problems"]
    assert "not those that the records were made of" in problem
