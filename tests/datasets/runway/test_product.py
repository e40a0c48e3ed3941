import random
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from datasets.runway.camera import Camera
from datasets.runway.layouts import apron_food_bib_pattern, phone_case_pattern
from datasets.runway.product import take_product
from datasets.runway.scene import Domain
from datasets.runway.swatch import cloth, sample_swatch

STILL = Domain("plain 1", "flat 1", (0.8, 0.8), (95, 95), (0.05, 0.05), blur=0.0, noise=0.0, light=0.0, occlusion=0.0, tilt=0.0)
PATTERNS = (
    "solid",
    "flower",
    "stripe",
    "dot",
    "check",
    "leopard",
    "zigzag",
    "tie-dye",
    "graphic",
    "trellis",
    "patched",
    "paisley",
    "mixed",
)
THINGS = {"phone case": 1.0, "apron": 1.4, "bib": 0.75}


def thing(category, pattern, seed=0):
    return sample_swatch(random.Random(f"{category}/{seed}"), pattern, category, THINGS.get(category, 1.0))


def middle(shot):
    height, width = shot.image.shape[:2]
    return shot.image[int(0.45 * height) : int(0.75 * height), int(0.42 * width) : int(0.58 * width)].astype(float)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_cloth_shows_its_pattern_and_solid_none(pattern):
    camera = Camera(np.array([[100.0, 0, 60], [0, 100.0, 10]]), 100.0, 120, 130)
    found = [cloth(thing("bib", pattern, k), camera, random.Random(k)) for k in range(8)]
    spread = np.mean([colors.std((0, 1)).max() for colors in found])
    assert all(colors.shape == (130, 120, 3) and colors.min() >= 0 and colors.max() <= 255 for colors in found)
    assert spread == 0 if pattern == "solid" else spread > 20


def test_folds_shade_solid_cloth():
    camera = Camera(np.array([[100.0, 0, 60], [0, 100.0, 10]]), 100.0, 120, 130)
    shaded = cloth(replace(thing("bib", "solid"), base=(120, 120, 120)), camera, random.Random(0), folds=0.2)
    assert 3 < shaded.std() < 30
    assert abs(shaded.mean() - 120) < 15


@pytest.mark.parametrize("category", [*THINGS, "accessory"])
def test_same_seed_same_photo_and_another_seed_another(category):
    found = [take_product(thing(category, "solid"), STILL, 64, seed) for seed in ("a", "a", "b")]
    assert found[0].jpeg == found[1].jpeg
    assert found[0].jpeg != found[2].jpeg
    assert max(found[0].image.shape[:2]) == 64
    assert found[0].box == (1, 1, found[0].image.shape[1], 64)
    decoded = cv2.imdecode(np.frombuffer(found[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == found[0].image.shape


@pytest.mark.parametrize("category", THINGS)
def test_a_thing_stands_out_from_its_ground_and_keeps_its_colour(category):
    garment = replace(thing(category, "solid"), base=(200, 30, 40))
    shot = take_product(garment, STILL, 120, "x")
    assert np.abs(np.median(middle(shot), axis=(0, 1)) - (200, 30, 40)).max() < 60
    assert shot.image[2, 2].min() > 190  # the plain ground


def test_the_pattern_of_a_swatch_is_what_was_asked_for():
    for pattern in PATTERNS:
        assert {thing("bib", pattern, k).pattern for k in range(8)} == {pattern}


@pytest.mark.parametrize("module", [phone_case_pattern, apron_food_bib_pattern])
def test_a_photo_costs_no_more_than_a_few_plain_noise_jpegs(module):
    """As for garments: 14 peers are 300 photos a second where the peer makes 4,200."""
    things = [module.sample("train", k, random.Random(f"{k}")) for k in range(120)]
    rng = np.random.default_rng(0)

    def peer():
        for _ in range(120):
            noise = cv2.GaussianBlur(rng.normal(128, 60, (64, 64, 3)), (0, 0), 2)
            cv2.imencode(".jpg", np.clip(noise, 0, 255).astype(np.uint8))

    def ours():
        for k, each in enumerate(things):
            module.take(each, 64, f"{k}")

    seconds = {peer: [], ours: []}
    ours()
    for _ in range(3):
        for work, found in seconds.items():
            start = time.process_time()
            work()
            found.append(time.process_time() - start)
    assert min(seconds[ours]) < 14 * min(seconds[peer])
