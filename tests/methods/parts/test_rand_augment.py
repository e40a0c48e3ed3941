"""RandAugment and random erasing: each change against Pillow, an image at a time, and what holds for every draw."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from methods.parts.rand_augment import NAMES, apply_changes, rand_augment, random_erase

FILL = (124, 116, 104)


@pytest.fixture(scope="module")
def images():
    """Smooth colours with some noise: uint8 (4, 3, 24, 24)."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 200, 24)
    base = ramp[None, :, None, None] * rng.random((4, 1, 1, 3)) + ramp[None, None, :, None] * rng.random((4, 1, 1, 3)) * 0.5
    pixels = (base + rng.normal(0, 8, base.shape)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def pillow(name, picture, level):
    """timm's change of that name and increasing strength, on one picture; level in [-1, 1]."""
    strength, factor = abs(level), 1 + 0.9 * level
    shift = 0.45 * level * picture.width
    affine = {
        "shear_x": (1, 0.3 * level, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.3 * level, 1, 0),
        "translate_x": (1, 0, shift, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, shift),
    }
    changes = {
        "auto_contrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
        "invert": lambda: ImageOps.invert(picture),
        "posterize": lambda: picture.point([value & ~(2 ** (8 - (4 - int(strength * 4))) - 1) for value in range(256)] * 3),
        "solarize": lambda: ImageOps.solarize(picture, 256 - min(256, int(strength * 256))),
        "solarize_add": lambda: picture.point([min(255, v + int(strength * 110)) if v < 128 else v for v in range(256)] * 3),
        "color": lambda: ImageEnhance.Color(picture).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(factor),
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(factor),
        "rotate": lambda: picture.rotate(30 * level, Image.Resampling.BILINEAR, fillcolor=FILL),
    }
    if name in changes:
        return changes[name]()
    return picture.transform(picture.size, Image.Transform.AFFINE, affine[name], Image.Resampling.BILINEAR, fillcolor=FILL)


@pytest.mark.parametrize("level", [-0.9, -0.4, 0.3, 0.9])
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("shear")])
def test_each_change_is_that_of_pillow(images, name, level):
    kinds = torch.full((len(images),), NAMES.index(name))
    found = apply_changes(images.float(), kinds, torch.full((len(images),), level))
    for image, mine in zip(images, found, strict=True):
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())
        theirs = torch.from_numpy(np.array(pillow(name, picture, level))).permute(2, 0, 1).float()
        difference = (mine - theirs).abs()
        inner = difference[:, 2:-2, 2:-2]  # at an edge Pillow does not blend with the fill
        assert inner.median() <= 1.0
        assert (inner > 4.0).float().mean() < (0.12 if name.startswith(("rotate", "translate")) else 0.01)


@pytest.mark.parametrize(("name", "axis"), [("shear_x", 0), ("shear_y", 1)])
def test_shear_moves_rows_in_proportion_to_their_distance_from_the_middle(name, axis):
    """A line along the axis that is sheared becomes one with the slope 0.3 * level, through the same middle."""
    values = torch.zeros(1, 3, 41, 41)
    values[:, :, :, 20] = 255.0
    level = 0.5
    found = apply_changes(values if axis == 0 else values.transpose(2, 3), torch.tensor([NAMES.index(name)]), torch.tensor([level]))
    found = found if axis == 0 else found.transpose(2, 3)
    brightest = found[0, 0].argmax(dim=1)[5:36]
    expected = 20 - 0.3 * level * (torch.arange(41.0)[5:36] - 20)
    assert (brightest - expected).abs().max() <= 1.0


def test_each_image_has_its_own_change(images):
    kinds = torch.tensor([NAMES.index("invert"), -1, NAMES.index("brightness"), NAMES.index("rotate")])
    levels = torch.tensor([0.5, 0.5, -0.5, 0.2])
    found = apply_changes(images.float(), kinds, levels)
    assert torch.equal(found[1], images[1].float())
    for place in range(4):
        alone = apply_changes(images[place : place + 1].float(), kinds[place : place + 1], levels[place : place + 1])
        torch.testing.assert_close(found[place : place + 1], alone)


def test_values_stay_in_range_and_repeat(images):
    torch.manual_seed(5)
    first = rand_augment(images.repeat(16, 1, 1, 1))
    torch.manual_seed(5)
    assert torch.equal(first, rand_augment(images.repeat(16, 1, 1, 1)))
    assert first.dtype == torch.float32
    assert first.min() >= -0.01
    assert first.max() <= 255.01
    assert torch.equal(rand_augment(images, probability=0.0), images.float())
    with pytest.raises(ValueError, match=r"rand_augment: num_changes 2, magnitude 11"):
        rand_augment(images, magnitude=11)


@pytest.mark.parametrize("name", NAMES)
def test_under_autocast_each_change_is_the_same_to_the_bit(images, name):
    kinds, levels = torch.full((len(images),), NAMES.index(name)), torch.tensor([-0.9, -0.3, 0.4, 0.8])
    plain = apply_changes(images.float(), kinds, levels)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(apply_changes(images.float(), kinds, levels), plain)


def test_under_autocast_views_are_the_same_to_the_bit(images):
    found = []
    for enabled in (False, True):
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(random_erase(rand_augment(images.repeat(8, 1, 1, 1)), *torch.full((2, 1, 3, 1, 1), 60.0), probability=0.5))
    assert torch.equal(*found)


def test_half_of_the_changes_happen():
    images = torch.randint(0, 256, (400, 3, 8, 8), dtype=torch.uint8)
    torch.manual_seed(0)
    changed = (rand_augment(images, num_changes=1) != images.float()).flatten(1).any(dim=1).float().mean()
    assert 0.4 < changed < 0.56


def test_erased_boxes():
    torch.manual_seed(0)
    images = torch.full((300, 3, 32, 32), 50.0)
    mean, std = torch.full((1, 3, 1, 1), 120.0), torch.full((1, 3, 1, 1), 60.0)
    found = random_erase(images, mean, std, probability=0.25)
    other = (found != images).any(dim=1)
    touched = other.flatten(1).any(dim=1)
    assert 0.18 < touched.float().mean() < 0.33
    for mask in other[touched]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, rows[:, None] & columns)
        assert 0.01 < mask.float().mean() < 0.4
    noise = found[other[:, None].expand_as(found)]
    assert abs(noise.mean() - 120) < 2
    assert abs(noise.std() - 60) < 2
    assert torch.equal(random_erase(images, mean, std, probability=0.0), images)
    with pytest.raises(ValueError, match="random_erase: probability is 2"):
        random_erase(images, mean, std, probability=2)
