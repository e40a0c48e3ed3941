"""The attributes can be seen: pixels differ as a person who looks at the attribute would expect."""

import random
from dataclasses import replace

import cv2
import numpy as np
import pytest

from datasets.runway import vocabulary as vocab
from datasets.runway.garment import Garment, sample_garment
from datasets.runway.photo import take_photo
from datasets.runway.scene import Domain

_STUDIO = Domain("plain 1", "mannequin 1", (0.8, 0.8), (95, 95), (0.1, 0.1), blur=0, noise=0, light=0, occlusion=0, tilt=0)


def _garment(**changes) -> Garment:
    garment = sample_garment(random.Random(3), "dress 1", "solid 1")
    plain = replace(
        garment, fabric="cotton", length="midi", hem=1.7, fit="regular", sleeve="sleeveless", sleeve_shape="", sleeve_reach=0.0,
        neck="round", closure="none", details=frozenset(), base=(60, 60, 190), trim=(240, 240, 240), ease=1.0, pattern_angle=0.0,
        pattern_scale=1.0, pattern_variant=0, palette=((240, 240, 240), (20, 20, 20), (20, 20, 20)),
    )  # fmt: skip
    return replace(plain, **changes)


def _image(garment: Garment, seed: str = "photo") -> np.ndarray:
    return take_photo(garment, _STUDIO, 128, seed).image.astype(float)


def _skirt(garment: Garment) -> np.ndarray:
    """A patch of cloth below the waist."""
    shot = take_photo(garment, _STUDIO, 128, "photo")
    x1, y1, x2, y2 = shot.box
    middle, high = (x1 + x2) // 2, y2 - y1
    return shot.image[y1 + int(0.5 * high) : y1 + int(0.85 * high), middle - 12 : middle + 12].astype(float)


def test_color_is_the_color_of_the_cloth():
    for base in ((190, 40, 40), (40, 150, 60), (50, 50, 180)):
        assert np.argmax(_skirt(_garment(base=base)).mean((0, 1))) == np.argmax(base)


def test_patterns_have_more_contrast_than_plain_cloth():
    plain = _skirt(_garment()).mean(2).std()
    for pattern in (*vocab.SHARED_PATTERNS, "zigzag", "camouflage"):
        assert _skirt(_garment(pattern=pattern)).mean(2).std() > 2 * plain, pattern


def test_stripes_run_across_and_checks_both_ways():
    stripe, check = _skirt(_garment(pattern="stripe")).mean(2), _skirt(_garment(pattern="check")).mean(2)
    assert stripe.mean(1).std() > 4 * stripe.mean(0).std()
    assert check.mean(1).std() < 2.5 * check.mean(0).std()


def test_shared_patterns_have_spectra_that_differ():
    spectra = {}
    for pattern in vocab.SHARED_PATTERNS:
        patch = _skirt(_garment(pattern=pattern)).mean(2)
        spectrum = np.abs(np.fft.rfft2(patch - patch.mean()))
        spectra[pattern] = (spectrum / np.linalg.norm(spectrum)).ravel()
    names = list(spectra)
    similar = [spectra[a] @ spectra[b] for k, a in enumerate(names) for b in names[k + 1 :]]
    assert max(similar) < 0.93


def test_graphic_and_color_block_stand_where_they_belong():
    plain = _image(_garment(fit="slim"))
    for pattern in ("graphic", "color-block"):
        changed = np.abs(_image(_garment(fit="slim", pattern=pattern)) - plain).max(2) > 40
        rows = np.flatnonzero(changed.any(1)) / len(changed)
        assert changed.mean() > 0.01
        assert (rows.max() < 0.6) if pattern == "graphic" else (rows.max() > 0.7)


def test_longer_hems_and_wider_fits_have_larger_boxes():
    def shape(**changes) -> tuple[float, float]:
        x1, y1, x2, y2 = take_photo(_garment(**changes), _STUDIO, 128, "photo").box
        return x2 - x1, (y2 - y1) / (x2 - x1)

    assert shape(length="maxi", hem=2.05)[1] > shape(length="mini", hem=1.35)[1] * 1.15
    assert shape(fit="a-line")[0] > 1.3 * shape(fit="slim")[0]


@pytest.mark.parametrize("sleeve_shape", ["regular", "raglan", "puff", "bell", "batwing"])
def test_long_sleeves_cover_more_than_short_ones(sleeve_shape):
    def covered(reach: float, sleeve: str) -> float:
        return (np.abs(_image(_garment(sleeve=sleeve, sleeve_shape=sleeve_shape, sleeve_reach=reach)) - bare).max(2) > 60).mean()

    bare = _image(_garment())
    assert covered(0.95, "long") > 1.5 * covered(0.3, "short") > 0.01


@pytest.mark.parametrize(
    "change",
    [
        *({"neck": neck} for neck in ("v", "scoop", "square", "off-shoulder", "halter", "turtle", "stand", "shirt", "lapel", "hood")),
        *({"closure": closure} for closure in ("single", "double", "zip", "open")),
        *({"details": frozenset({detail})} for detail in ("pocket", "belt", "ruffle", "fringe")),
        *({"fabric": fabric} for fabric in ("knit", "denim", "lace", "leather", "chiffon", "satin", "faux fur", "sequin", "quilted")),
    ],
    ids=lambda change: str(next(iter(change.values()))),
)
def test_every_attribute_changes_the_picture_at_64_pixels(change):
    def small(garment: Garment) -> np.ndarray:
        return take_photo(garment, _STUDIO, 64, "photo").image.astype(float)

    changed = np.abs(small(_garment(**change)) - small(_garment())).max(2) > 25
    assert changed.sum() >= 20


def test_box_and_landmarks_lie_on_the_picture():
    for k in range(60):
        garment = sample_garment(random.Random(k), "dress 1 jeans 1 tee 1 coat 1")
        shot = take_photo(garment, Domain("studio 1 street 1", "body 1", (0.6, 0.9), (80, 90), (0.0, 0.4)), 96, str(k))
        height, width = shot.image.shape[:2]
        x1, y1, x2, y2 = shot.box
        assert 1 <= x1 < x2 <= width
        assert 1 <= y1 < y2 <= height
        assert len(shot.landmarks) == {vocab.UPPER: 6, vocab.LOWER: 4, vocab.FULL: 8}[garment.kind]
        for visibility, x, y in shot.landmarks:
            assert (visibility, x, y) == (2, 0, 0) or (visibility in (0, 1) and 1 <= x <= width and 1 <= y <= height)


def test_jpeg_is_the_image():
    shot = take_photo(_garment(), _STUDIO, 96, "photo")
    decoded = cv2.imdecode(np.frombuffer(shot.jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == shot.image.shape
    assert np.abs(decoded.astype(int) - shot.image).mean() < 4


def test_seed_changes_the_scene_and_nothing_else_does():
    first = take_photo(_garment(), _STUDIO, 96, "a").jpeg
    assert take_photo(_garment(), _STUDIO, 96, "a").jpeg == first
    assert take_photo(_garment(), _STUDIO, 96, "b").jpeg != first
