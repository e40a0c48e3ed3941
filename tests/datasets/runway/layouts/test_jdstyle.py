"""The files are read here by a small reader of the public format, which knows nothing of the writer."""

import random
from pathlib import Path

import numpy as np
import pytest

from datasets.runway import render
from datasets.runway.garment import sample_garment
from datasets.runway.layouts import jdstyle

ORDER = [
    "sports", "casual", "commuting", "japanese", "korean", "western", "british", "girls", "ladies", "simple", "natural", "street",
    "national",
]  # fmt: skip
COUNTS = np.array([104, 4292, 49893, 262, 18722, 8882, 197, 1356, 49389, 7094, 3712, 1249, 361]) / 54_908
RARE = [ORDER.index(name) for name in ("sports", "japanese", "british", "national")]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("jdstyle")
    render(folder, "jdstyle", num={"train": 200, "val": 4, "test": 6}, long_side=40, seed=0)
    return folder


@pytest.fixture(scope="module")
def shares() -> np.ndarray:
    """Of a good many labels, without their photos."""
    garments = (sample_garment(random.Random(f"garment {k}"), jdstyle.CATEGORIES, jdstyle.PATTERNS) for k in range(6000))
    named = [jdstyle.label(garment, random.Random(f"labels {k}")) for k, garment in enumerate(garments)]
    return np.mean([[name in styles for name in ORDER] for styles in named], axis=0)


def test_rows_name_an_image_a_url_and_thirteen_labels(root):
    rows = [line.split(",") for line in (root / "train.txt").read_text().splitlines()]
    assert len(rows) == 210
    assert {len(row) for row in rows} == {15}
    assert {value for row in rows for value in row[2:]} == {"0", "1"}
    assert {f"{row[0]}.jpg" for row in rows} == {path.name for path in (root / "images").iterdir()}
    assert all(row[1].startswith("http") for row in rows)
    assert tuple(jdstyle.STYLES) == tuple(ORDER)


def test_frequent_styles_are_as_frequent_as_in_the_original(shares):
    frequent = [place for place in range(len(ORDER)) if place not in RARE]
    np.testing.assert_allclose(shares[frequent], COUNTS[frequent], rtol=0.25)
    order = [place for place in np.argsort(-COUNTS, kind="stable") if COUNTS[place] > 0.1]
    assert np.argsort(-shares, kind="stable")[2 : len(order)].tolist() == order[2:]  # commuting and ladies are nearly equal


def test_the_rarest_four_are_those_of_the_original(shares):
    """At about one image of a hundred each, there are some to learn from among 6,000."""
    assert sorted(np.argsort(shares, kind="stable")[:4].tolist()) == RARE
    assert (shares[RARE] > 0.007).all()
    assert (shares[RARE] < 0.02).all()


def test_a_style_follows_from_what_the_picture_shows():
    garment = sample_garment(random.Random(0), "dress 1", "flower 1")
    assert garment.pattern == "flower"
    named = [jdstyle.label(garment, random.Random(k)) for k in range(300)]
    assert np.mean(["natural" in styles for styles in named]) == pytest.approx(1 - jdstyle.MISSED, abs=0.03)
    assert np.mean(["street" in styles for styles in named]) < 0.02
