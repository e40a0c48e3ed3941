"""Strong views: per-image draws, what each change does alone, and ranges."""

import numpy as np
import pytest
import torch

from methods.parts.augment_strong import _blurred, _hue, _resampling, crop_augment, strong_augment

WHOLE = (1.0, 1.0)  # with aspect jitter, so nearly the whole image


def images(num=8, side=24, dtype=torch.uint8):
    picture = torch.randint(256, (num, side, side, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return picture.permute(0, 3, 1, 2).to(dtype)


def seeded(function, *arguments, seed=0, **options):
    torch.manual_seed(seed)
    return function(*arguments, **options)


@pytest.mark.parametrize("function", [strong_augment, crop_augment])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_type_shape_and_range(function, dtype):
    views = seeded(function, images(5, 20, dtype))
    assert views.dtype == torch.float32
    assert views.shape == (5, 3, 20, 20)
    assert 0.0 <= float(views.min()) < float(views.max()) <= 255.0
    assert views.is_contiguous(memory_format=torch.channels_last)
    tall = seeded(function, torch.zeros(2, 3, 10, 30, dtype=dtype))
    assert tall.shape == (2, 3, 10, 30)


def test_same_seed_same_views_and_each_image_has_its_own_draw():
    same = images(1).expand(6, -1, -1, -1)
    first, again, other = (seeded(strong_augment, same, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    distances = torch.cdist(first.flatten(1), first.flatten(1))
    assert float(distances[~torch.eye(6, dtype=torch.bool)].min()) > 1.0


def test_the_input_stays_as_it_is():
    before = images()
    kept = before.clone()
    seeded(strong_augment, before)
    assert torch.equal(before, kept)


def test_the_whole_part_is_the_image_and_a_part_is_cut_linearly():
    """Against numpy's interpolation at the pixel centres of the part."""
    row = torch.linspace(0, 200, 12).double() ** 1.3
    weights = _resampling(torch.tensor([0.0, 0.25]), torch.tensor([1.0, 0.5]), 12).double()
    torch.testing.assert_close(weights[0] @ row, row, rtol=1e-5, atol=1e-4)
    places = (0.25 + 0.5 * (np.arange(12) + 0.5) / 12) * 12 - 0.5
    np.testing.assert_allclose((weights[1] @ row).numpy(), np.interp(places, np.arange(12), row.numpy()), rtol=1e-4)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 12, dtype=torch.float64), rtol=1e-5, atol=1e-5)


def test_a_mirror_and_nothing_else():
    """A scale so close to 1 that only the aspect cuts; constant rows make that invisible."""
    ramp = torch.linspace(0, 255, 16).expand(64, 3, 16, 16)
    views = seeded(crop_augment, ramp, scale=WHOLE)
    rising = views[:, 0, 8, -1] > views[:, 0, 8, 0]
    assert 10 < int(rising.sum()) < 54
    assert bool((seeded(crop_augment, ramp, scale=WHOLE, flip=0.0)[:, 0, 8].diff(dim=1) >= -1e-3).all())
    assert bool((seeded(crop_augment, ramp, scale=WHOLE, flip=1.0)[:, 0, 8].diff(dim=1) <= 1e-3).all())


def test_crops_have_the_share_of_the_area_asked_for():
    """Two ramps tell how much of each axis is left."""
    axis = torch.linspace(0, 255, 64)
    ramps = torch.stack([axis.expand(64, 64), axis[:, None].expand(64, 64), torch.zeros(64, 64)]).expand(400, 3, 64, 64)
    views = seeded(crop_augment, ramps, scale=(0.2, 0.5), flip=0.0)
    wide = (views[:, 0, 0, -1] - views[:, 0, 0, 0]) / 255
    high = (views[:, 1, -1, 0] - views[:, 1, 0, 0]) / 255
    area = wide * high
    assert 0.17 < float(area.min()) < 0.25
    assert 0.42 < float(area.max()) < 0.52
    aspect = wide / high
    assert 0.7 < float(aspect.min()) < 0.8
    assert 1.25 < float(aspect.max()) < 1.4


def test_grey_images_have_three_equal_channels_of_the_same_lightness():
    views = seeded(strong_augment, images(), scale=WHOLE, jitter=0.0, gray=1.0, blur=0.0, flip=0.0)
    plain = seeded(strong_augment, images(), scale=WHOLE, jitter=0.0, gray=0.0, blur=0.0, flip=0.0)
    luma = torch.einsum("bchw,c->bhw", plain, torch.tensor([0.299, 0.587, 0.114]))
    for channel in range(3):
        torch.testing.assert_close(views[:, channel], luma, rtol=1e-4, atol=1e-2)


def test_without_any_change_it_is_the_crop():
    options = {"jitter": 0.0, "gray": 0.0, "blur": 0.0}
    assert torch.equal(seeded(strong_augment, images(), **options), seeded(crop_augment, images()))


def test_jitter_changes_the_share_of_images_asked_for():
    flat = torch.full((1000, 3, 4, 4), 100.0) * torch.tensor([0.5, 1.0, 1.5])[:, None, None]
    views = seeded(strong_augment, flat, gray=0.0, blur=0.0, jitter_probability=0.8)
    changed = (views - flat).abs().amax(dim=(1, 2, 3)) > 0.5
    assert 0.75 < changed.float().mean() < 0.85
    light = views.mean(dim=(1, 2, 3))[changed] / 100
    assert 0.1 < float(light.min()) < 0.4  # brightness between .2 and 1.8 of a picture without contrast
    assert 1.5 < float(light.max()) < 1.95


def test_hue_turns_keep_the_lightness_and_come_round():
    turns = torch.tensor([0.0, 0.2, -0.2, 1.0])
    matrices = _hue(turns)
    luma = torch.tensor([0.299, 0.587, 0.114])
    torch.testing.assert_close(luma @ matrices, luma.expand(4, 3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matrices[[0, 3]], torch.eye(3).expand(2, 3, 3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matrices[1] @ matrices[2], torch.eye(3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(matrices @ torch.ones(3), torch.ones(4, 3), rtol=1e-3, atol=1e-3)  # grey stays grey


def test_blur_keeps_flat_pictures_and_smooths_others():
    torch.manual_seed(0)
    flat = torch.full((4, 32, 20, 3), 7.0)
    torch.testing.assert_close(_blurred(flat, 1.0), flat)
    noise = torch.randn(40, 224, 30, 3)
    blurred = _blurred(noise, 0.5)
    unchanged = (blurred - noise).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert 8 < int(unchanged.sum()) < 32
    assert bool((blurred.std(dim=(1, 2, 3)) <= noise.std(dim=(1, 2, 3)) + 1e-5).all())
    assert float(blurred.std(dim=(1, 2, 3)).min()) < 0.3


@pytest.mark.parametrize("function", [strong_augment, crop_augment])
def test_under_autocast_views_are_the_same_to_the_bit(function):
    plain = seeded(function, images(8, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(seeded(function, images(8, 64)), plain)


@pytest.mark.parametrize("name", ["jitter", "jitter_probability", "gray", "blur", "flip"])
def test_values_out_of_range(name):
    with pytest.raises(ValueError, match=rf"{name} is 1.5; expected a value in \[0, 1\]"):
        strong_augment(images(), **{name: 1.5})


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.5, 0.4), (0.5, 1.5)])
def test_scales_out_of_range(scale):
    with pytest.raises(ValueError, match="scale is"):
        crop_augment(images(), scale=scale)
