"""Rendered stand-ins, as data sets that are opened."""

from dataclasses import replace

import pytest

from bench import registry
from datasets import _open
from datasets._open import describe, open_dataset

STANDIN = {"tiny": {"layout": "deepfashion", "num": {"train": 30, "val": 6, "test": 6}, "long_side": 32, "seed": 0}}


@pytest.fixture
def small_stand_in(monkeypatch):
    entry = registry.entry("datasets", "deepfashion")
    small = replace(entry, constants={**entry.constants, "STANDIN": STANDIN})
    monkeypatch.setattr(_open.registry, "entry", lambda kind, name: small)


@pytest.mark.parametrize("data", ["auto", "synthetic"])
def test_a_stand_in_is_rendered_once(options, small_stand_in, monkeypatch, data):
    options = replace(options, data=data)
    info = describe("deepfashion", options)
    assert info.source == "synthetic"
    assert info.num_images == {"train": 30, "val": 6, "test": 6, "unlabeled": 0}
    monkeypatch.setattr("datasets.runway.render", lambda *_, **__: pytest.fail("rendered twice"))
    opened = open_dataset("deepfashion", options)
    assert (opened.source, opened.data_hash) == ("synthetic", info.data_hash)
    assert len(opened.training(image_size=16, label_fraction=0.5, unlabeled=1, seed=0).labeled) == 15
    (folder,) = (options.cache_dir / "runway").glob("*/")
    assert folder.name.startswith(f"deepfashion-tiny-v{_open._renderer_version()}-")
    assert (folder / "runway.json").is_file()


def test_the_hash_of_a_stand_in_follows_its_renderer(options, small_stand_in):
    options = replace(options, data="auto")
    before = describe("deepfashion", options).data_hash
    (about,) = (options.cache_dir / "runway").glob("*/runway.json")
    text = about.read_text()
    about.write_text(text.replace('"long_side": 32', '"long_side": 48'))  # a file of another length would be rendered again
    assert about.read_text() != text
    assert describe("deepfashion", options).data_hash != before


def test_real_files_win_unless_synthetic_is_asked_for(deepfashion, options, small_stand_in):
    assert describe("deepfashion", replace(options, data="auto")).source == "real"
    assert describe("deepfashion", replace(options, data="synthetic")).source == "synthetic"


def test_a_preset_without_a_stand_in(options, small_stand_in):
    with pytest.raises(ValueError, match=r"^deepfashion has no stand-in for preset 'paper'; there are tiny$"):
        open_dataset("deepfashion", replace(options, data="auto", preset="paper"))


def test_the_renderer_version_is_the_renderers():
    from datasets.runway import RENDERER_VERSION

    assert _open._renderer_version() == str(RENDERER_VERSION)


@pytest.mark.parametrize("name", ["deepfashion", "darn"])
def test_stand_ins_of_the_registry_name_layouts_that_exist(name):
    from datasets.runway import layouts

    stand_in = registry.entry("datasets", name).constants["STANDIN"]
    assert set(stand_in) == {"tiny", "paper"}
    assert all(settings["layout"] in layouts() for settings in stand_in.values())
