"""The laws of the native noises, against SciPy's, by mean, variance and chi-square at fixed keys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from datasets.corruptions import _noise, _philox, _weather, corrupt

LEVELS = (0, 3, 60, 128, 200, 255)
COUNT = 128 * 128 * 3 * 4


def noisy(name, severity, level):
    """Corrupted values of a flat picture, int64 (COUNT,)."""
    images = np.full((4, 128, 128, 3), level, dtype=np.uint8)
    return corrupt(images, name, severity, np.arange(4, dtype=np.uint64)).ravel().astype(np.int64)


def law(name, severity, level):
    """Chances of the levels 0 to 255, from the definition of imagecorruptions."""
    if name == "impulse_noise":
        amount = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
        chances = np.zeros(256)
        chances[int(level / 255.0 * 255)] = 1 - amount
        chances[[0, 255]] += amount / 2
        return chances
    if name == "shot_noise":
        white = (60, 25, 12, 5, 3)[severity - 1]
        chances = np.zeros(256)
        for photons in range(white):
            chances[int(photons / white * 255)] += stats.poisson.pmf(photons, level / 255 * white)
        chances[255] += stats.poisson.sf(white - 1, level / 255 * white)
        return chances
    scale = {"gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38), "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6)}[name][severity - 1]
    scale *= 255 if name == "gaussian_noise" else level
    if scale == 0:
        return np.eye(256)[level]
    below = stats.norm.cdf(np.arange(1, 256), level, scale)  # a value is truncated to the level under it
    return np.diff(below, prepend=0, append=1)


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"])
def test_noise_follows_its_law(name, severity):
    for level in LEVELS:
        values, chances = noisy(name, severity, level), law(name, severity, level)
        assert chances.sum() == pytest.approx(1, abs=1e-9)
        mean = chances @ np.arange(256)
        spread = chances @ (np.arange(256) - mean) ** 2
        assert abs(values.mean() - mean) <= 5 * np.sqrt(spread / COUNT) + 1e-9
        fourth = chances @ (np.arange(256) - mean) ** 4
        assert abs(values.var() - spread) <= 5 * np.sqrt((fourth - spread**2) / COUNT) + 1e-9
        assert chi_square(np.bincount(values, minlength=256), chances * COUNT) > 1e-4


def chi_square(seen, expected):
    """p-value; rare levels count as one class. 0 where something was seen that cannot be."""
    if np.any(seen[expected < 1e-12]):
        return 0.0
    common = expected >= 10
    seen, expected = (np.append(counts[common], counts[~common].sum()) for counts in (seen, expected))
    if expected[-1] < 1:
        seen, expected = seen[:-1], expected[:-1]
    if len(seen) < 2:
        return 1.0
    return stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue


def test_a_law_that_is_off_by_a_level_is_seen():
    values, chances = noisy("gaussian_noise", 1, 128), law("gaussian_noise", 1, 127)
    assert chi_square(np.bincount(values, minlength=256), chances * COUNT) < 1e-9


@pytest.mark.parametrize("severity", range(1, 6))
def test_alias_tables_hold_their_laws(severity):
    """Chances read back from a table, as the share of 32-bit words that lead to each number."""
    cases = [
        ("gaussian_noise", 128, _noise.gaussian_table(severity)[0], lambda number: np.clip(number + 128, 0, 255)),
        ("speckle_noise", 200, _noise.speckle_table(severity)[200], lambda number: number),
    ]
    for name, level, table, level_of in cases:
        threshold, own = (table >> np.uint64(32)).astype(float) / 2**32, (table & np.uint64(0xFFFF)).astype(np.uint16).astype(np.int16)
        other = ((table >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.uint16).astype(np.int16)
        chances = np.zeros(256)
        np.add.at(chances, level_of(own.astype(int)), threshold / len(table))
        np.add.at(chances, level_of(other.astype(int)), (1 - threshold) / len(table))
        np.testing.assert_allclose(chances, law(name, severity, level), atol=3e-9)


def test_values_of_a_picture_are_independent():
    steps = noisy("gaussian_noise", 1, 128).reshape(4, 128, 128, 3) - 128.0
    pairs = {
        "channels": (steps[..., 0], steps[..., 1]),
        "columns": (steps[:, :, 1:], steps[:, :, :-1]),
        "rows": (steps[:, 1:], steps[:, :-1]),
        "images": (steps[1:], steps[:-1]),
    }
    for name, (first, second) in pairs.items():
        correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(first.size), name


def test_normals_uniforms_and_integers():
    identities = np.random.default_rng(0).integers(0, 2**32, (3, 4), dtype=np.uint32)
    normals, uniforms = _philox.normals(identities, 50_001), _philox.uniforms(identities, 50_001)
    assert normals.shape == uniforms.shape == (3, 50_001)
    assert stats.kstest(normals.ravel(), "norm").pvalue > 1e-4
    assert stats.kstest(uniforms.ravel(), "uniform").pvalue > 1e-4
    counts = np.bincount(_philox.integers(identities, 50_001, 6).ravel(), minlength=6)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-4


def test_frost_and_glass_draw_evenly():
    images = np.zeros((3000, 32, 32, 3), dtype=np.uint8)
    identities = np.random.default_rng(1).integers(0, 2**32, (3000, 4), dtype=np.uint32)
    (choices,) = _weather.draw_frost(images, 1, identities)
    assert stats.chisquare(np.bincount(choices[:, 0], minlength=5)).pvalue > 1e-4
    for index in range(5):
        room = _weather.frost_texture(index, 32, 32).shape[0] - 32
        rows = choices[choices[:, 0] == index, 1]
        assert 0 <= rows.min() < 0.05 * room
        assert 0.95 * room < rows.max() < room
    from datasets.corruptions import _blur

    for severity in range(1, 6):
        (moves,) = _blur.draw_glass_blur(images[:20], severity, identities[:20])
        distance = _blur.GLASS[severity - 1][1]
        assert stats.chisquare(np.bincount(moves.ravel(), minlength=4 * distance**2)).pvalue > 1e-4
