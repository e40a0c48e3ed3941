import numpy as np
import pytest

from datasets.runway import texture

_PATTERNS = ("stripe", "check", "dot", "flower", "leopard", "zigzag", "tie-dye", "camouflage")
_FABRICS = ("cotton", "knit", "denim", "lace", "leather", "chiffon", "satin", "faux fur", "sequin", "quilted")


@pytest.mark.parametrize("pattern", _PATTERNS)
@pytest.mark.parametrize("variant", range(texture.NUM_VARIANTS))
def test_patterns_cover_part_of_the_cloth_and_repeat_without_a_seam(pattern, variant):
    tile = texture.pattern_tile(pattern, variant, 64)
    assert tile.shape == (128, 128, 3)
    cover = tile.max(2) > 100
    assert 0.1 < cover.mean() < 0.95
    inside = np.abs(np.diff(tile.astype(int), axis=0)).mean((1, 2))
    seam = np.abs(tile[0].astype(int) - tile[-1]).mean()
    assert seam <= inside.max() + 12


@pytest.mark.parametrize("fabric", _FABRICS)
def test_fabrics_are_reliefs_about_the_middle(fabric):
    tile = texture.fabric_tile(fabric, 64)
    assert tile.shape == (128, 128)
    assert 90 < tile.mean() < 170
    assert tile.std() > 3


def test_stripe_varies_along_one_axis_and_check_along_both():
    stripe, check = texture.pattern_tile("stripe", 0, 64)[..., 0].astype(float), texture.pattern_tile("check", 0, 64)[..., 0].astype(float)
    assert stripe.mean(1).std() > 50
    assert stripe.mean(0).std() < 1
    assert min(check.mean(0).std(), check.mean(1).std()) > 30


def test_tiles_are_cached_and_cannot_be_written():
    tile = texture.pattern_tile("dot", 0, 64)
    assert texture.pattern_tile("dot", 0, 64) is tile
    with pytest.raises(ValueError, match="read-only"):
        tile[0] = 0
