"""The native corruptions against imagecorruptions itself, which is handed the very draws that the native ones made.

The package runs through the shim of _reference; on current packages it runs at no size without it. Its own np.random is replaced by
one that hands out the native draws, so that what differs is the arithmetic alone."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.corruptions import EXTRAS, NAMES, TOLERANCE, _native, _noise, _reference, _weather

SIZES = ((32, 32), (64, 64), (96, 96), (224, 224), (48, 80), (150, 101))


class Drawn:
    """numpy.random as the package sees it, with numbers from the native draws of one image."""

    def __init__(self, name, severity, image, draws):
        self.name, self.severity, self.image, self.draws = name, severity, image, draws
        self.used = 0

    def normal(self, size, loc=0.0, scale=1.0):
        drawn = self.draws[0]
        if self.name == "gaussian_noise":
            return (drawn + 0.5) / 255  # the middle of what adds up to this many levels
        if self.name == "speckle_noise":
            return (drawn + 0.5) / np.maximum(self.image, 0.5) - 1
        if self.name == "snow":
            zoomed = np.full(size, np.nan)
            top, left = ((whole - part) // 2 for whole, part in zip(size, drawn.shape, strict=True))
            zoomed[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
            drawn = zoomed
        assert drawn.shape == tuple(size)
        return loc + scale * drawn

    def poisson(self, rates):
        assert rates.shape == self.draws[0].shape
        return self.draws[0].astype(np.int64)

    def uniform(self, low, high, size=None):
        if self.name == "fog":
            drawn = self.draws[0][self.used : self.used + int(np.prod(size))].reshape(size)
            self.used += drawn.size
        elif self.name == "elastic_transform":
            drawn = self.draws[0][self.used]
            self.used += 1
        else:
            drawn = self.draws[-1]  # one angle
        return low + (high - low) * drawn

    def randint(self, low, high=None, size=None):
        drawn = int(self.draws[0].flat[self.used])
        self.used += 1
        if size is None:  # frost
            low, high = (0, low) if high is None else (low, high)
            assert low <= drawn < high
            return drawn
        assert drawn < (high - low) ** 2  # glass: dx and dy
        return drawn % (high - low) + low, drawn // (high - low) + low


class Impulses(np.random.Generator):
    """The two uniforms a value of scikit-image's salt and pepper, as one native word decides them."""

    def __init__(self, words, amount):
        super().__init__(np.random.PCG64(0))
        flipped, salted = words < round(amount * 2**32), words < round(amount * 2**32) // 2
        self.answers = [np.where(flipped, 0.0, 1.0), np.where(salted, 0.0, 1.0)]

    def random(self, shape):
        assert self.answers[0].shape == tuple(shape)
        return self.answers.pop(0)


def photograph(height, width):
    """Waves and grain, with flat white, black and dark parts, pure noise and grey: what truncation and ties could stumble over."""
    rng = np.random.default_rng(height)
    rows, columns = np.mgrid[0:height, 0:width]
    phases = rng.uniform(0, 6, 3)
    waves = np.sin(5 * rows[..., None] / height + phases) + np.cos(7 * columns[..., None] / width - phases)
    image = (127 + 80 * waves + rng.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)
    image[: height // 3, : width // 3] = 255
    image[-height // 4 :, -width // 3 :] = (17, 40, 201)
    image[height // 2 : height // 2 + 8] = rng.integers(0, 256, (8, width, 3))
    image[:5, -9:] = 0
    image[-6:, : width // 4] = image[-6:, : width // 4, :1]
    return image


def expected(package, name, severity, image, draws, patch):
    functions = package.gaussian_noise.__globals__
    patch.setattr(functions["np"], "random", Drawn(name, severity, image, draws))
    if name == "impulse_noise":
        import skimage.util

        generator = Impulses(draws[0], _noise.IMPULSE_AMOUNT[severity - 1])
        noise = skimage.util.random_noise
        patch.setattr(functions["sk"].util, "random_noise", lambda pixels, **options: noise(pixels, rng=generator, **options))
    return package.corrupt(image, severity=severity, corruption_name=name)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", [*NAMES, *EXTRAS])
def test_equals_the_peer_given_the_same_draws(name, size, monkeypatch):
    package, _ = _reference._package()
    images = np.stack([photograph(*size), photograph(*size)[::-1, ::-1]])
    draw, apply = _native.functions(name)
    for severity in range(1, 6):
        identities = np.random.default_rng(severity).integers(0, 2**32, (2, 4), dtype=np.uint32)
        draws = draw(images, severity, identities)
        result = np.empty_like(images)
        apply(images, result, severity, *draws)
        for n in range(1 if name == "glass_blur" and size == (224, 224) else 2):  # half a second each there
            with monkeypatch.context() as patch, np.errstate(all="ignore"):
                peer = expected(package, name, severity, images[n], [part[n] for part in draws], patch)
            difference = np.abs(result[n].astype(int) - peer)
            assert difference.max() <= TOLERANCE[name], f"severity {severity}: {np.count_nonzero(difference)} values"
            assert np.count_nonzero(difference) <= 1e-4 * difference.size


def test_a_tolerance_is_the_exception():
    assert {name for name, levels in TOLERANCE.items() if levels} == {"defocus_blur"}
    assert set(TOLERANCE) == {*NAMES, *EXTRAS}


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_flat_pictures_keep_the_peers_truncation(level, monkeypatch):
    """Where all neighbours are equal, a weighted mean is a whole number but for rounding, and truncation turns on its last bit."""
    package, _ = _reference._package()
    image = np.full((1, 48, 40, 3), level, dtype=np.uint8)
    for name in ("defocus_blur", "motion_blur", "zoom_blur", "glass_blur", "gaussian_blur", "elastic_transform", "contrast", "fog"):
        draw, apply = _native.functions(name)
        for severity in range(1, 6):
            draws = draw(image, severity, np.full((1, 4), level, dtype=np.uint32))
            result = np.empty_like(image)
            apply(image, result, severity, *draws)
            with monkeypatch.context() as patch, np.errstate(all="ignore"):
                peer = expected(package, name, severity, image[0], [part[0] for part in draws], patch)
            np.testing.assert_array_equal(result[0], peer, err_msg=f"{name} {severity}")


def test_frost_textures_are_read_once_and_enlarged_where_images_are_larger(monkeypatch):
    import cv2

    _weather._frost_file.cache_clear()
    _weather._frost_scaled.cache_clear()
    read, paths = cv2.imread, []
    monkeypatch.setattr(cv2, "imread", lambda path: paths.append(path) or read(path))
    images = np.zeros((40, 32, 48, 3), dtype=np.uint8)
    for _ in range(2):
        _weather.draw_frost(images, 1, np.random.default_rng(0).integers(0, 2**32, (40, 4), dtype=np.uint32))
    assert len(paths) == len(set(paths)) == 5


def test_frost_on_images_larger_than_its_textures(monkeypatch):
    package, _ = _reference._package()
    image = np.full((1, 700, 400, 3), 90, dtype=np.uint8)
    for word in range(5):
        draws = _weather.draw_frost(image, 2, np.full((1, 4), word, dtype=np.uint32))
        result = np.empty_like(image)
        _weather.apply_frost(image, result, 2, *draws)
        with monkeypatch.context() as patch:
            np.testing.assert_array_equal(result[0], expected(package, "frost", 2, image[0], [draws[0][0]], patch))
