"""Mixtures of two images: slow loops an image at a time, and what holds for every draw."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.parts.mixup import _outside_box, mix, probabilistic_pseudo_mixup


def drawn(num, seed=0, side=6):
    """Images, the teacher's probabilities of two types, and a permutation."""
    generator = torch.Generator().manual_seed(seed)
    images = 255 * torch.rand(num, 3, side, side, generator=generator)
    chances = {name: (3 * torch.randn(num, size, generator=generator)).softmax(dim=1) for name, size in (("color", 4), ("shape", 3))}
    return images, chances, torch.randperm(num, generator=generator)


def slow(images, chances, partner, threshold):
    """The definition, an image at a time."""
    mixed, shares = [], []
    targets, masks = {name: [] for name in chances}, {name: [] for name in chances}
    for i, j in enumerate(partner.tolist()):
        sure = [sum(values[k].max().item() for values in chances.values()) / len(chances) for k in (i, j)]
        share = sure[0] / sum(sure)
        shares.append(share)
        mixed.append(share * images[i] + (1 - share) * images[j])
        for name, values in chances.items():
            target = torch.zeros(values.shape[1])
            target[values[i].argmax()] += share
            target[values[j].argmax()] += 1 - share
            targets[name].append(target)
            masks[name].append(max(values[i].max().item(), values[j].max().item()) >= threshold)
    return torch.stack(mixed), targets, masks, torch.tensor(shares)


@settings(max_examples=25, deadline=None)
@given(num=st.integers(1, 9), seed=st.integers(0, 1000), threshold=st.sampled_from([0.5, 0.8, 0.95]))
def test_pseudo_mixup_against_a_loop(num, seed, threshold):
    images, chances, partner = drawn(num, seed)
    found = probabilistic_pseudo_mixup(images, chances, partner, threshold)
    mixed, targets, masks, shares = slow(images, chances, partner, threshold)
    torch.testing.assert_close(found.images, mixed, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.shares, shares)
    for name in chances:
        torch.testing.assert_close(found.targets[name], torch.stack(targets[name]))
        assert found.masks[name].tolist() == masks[name]
        torch.testing.assert_close(found.targets[name].sum(dim=1), torch.ones(num))


@settings(max_examples=25, deadline=None)
@given(half=st.integers(1, 6), seed=st.integers(0, 1000))
def test_shares_of_swapped_pairs_sum_to_one(half, seed):
    images, chances, _ = drawn(2 * half, seed)
    partner = torch.arange(2 * half).flip(0)
    found = probabilistic_pseudo_mixup(images, chances, partner)
    torch.testing.assert_close(found.shares + found.shares[partner], torch.ones(2 * half))
    for masks in found.masks.values():
        assert torch.equal(masks, masks[partner])
    torch.testing.assert_close(found.images, found.images[partner], rtol=1e-4, atol=1e-3)  # so that both are the same picture


def test_the_surer_image_has_the_larger_part():
    images = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)])
    found = probabilistic_pseudo_mixup(images, {"class": torch.tensor([[0.9, 0.1], [0.4, 0.6]])}, torch.tensor([1, 0]), 0.8)
    torch.testing.assert_close(found.shares, torch.tensor([0.6, 0.4]))
    torch.testing.assert_close(found.images[0], torch.full((3, 2, 2), 0.4))
    torch.testing.assert_close(found.targets["class"], torch.tensor([[0.6, 0.4], [0.6, 0.4]]))
    assert found.masks["class"].tolist() == [True, True]


def test_pseudo_mixup_refuses_rows_that_do_not_fit():
    images, chances, partner = drawn(4)
    with pytest.raises(ValueError, match=r"rows \[3, 4\] of 2 types; expected as many of each"):
        probabilistic_pseudo_mixup(images[:3], chances, partner)
    with pytest.raises(ValueError, match="of 0 types"):
        probabilistic_pseudo_mixup(images, {}, partner)


@pytest.mark.parametrize("options", [{"mixup": 0.8, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_targets_are_mixed_in_the_shares_of_the_pixels(options):
    """Image k is k everywhere, so that a mixture of i and j says how much of either it holds."""
    num = 16
    torch.manual_seed(3)
    images = torch.arange(num).float()[:, None, None, None].expand(num, 3, 12, 12) * 10
    mixed, targets = mix(images, {"class": torch.eye(num)}, **options)
    target = targets["class"]
    torch.testing.assert_close(target.sum(dim=1), torch.ones(num))
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), target @ (10.0 * torch.arange(num)), rtol=1e-4, atol=1e-2)
    assert ((target > 0).sum(dim=1) <= 2).all()
    assert ((target > 0).sum(dim=1) == 2).any()
    values = [len(image.unique()) for image in mixed]
    assert max(values) <= 2  # of two images; of a mixture by weights one value alone
    if not options["cutmix"]:
        assert set(values) == {1}


@pytest.mark.parametrize("switch", [0.0, 0.3, 1.0])
def test_the_switch_is_the_chance_of_a_cut(switch):
    """Of two images that differ everywhere a blend holds none of their own pixels, and a cut nothing else."""
    num = 2000
    torch.manual_seed(1)
    images = torch.arange(num).float()[:, None, None, None].expand(num, 3, 2, 2)
    mixed, _ = mix(images, {}, mixup=0.8, cutmix=1.0, switch=switch)
    cut = (mixed == mixed.round()).all(dim=(1, 2, 3)).float().mean().item()
    assert cut == pytest.approx(switch, abs=0.0 if switch == 1.0 else 0.04)  # a blend may round to an image of its own
    for options, boxes in (({"mixup": 0.8, "cutmix": 0.0}, 0.0), ({"mixup": 0.0, "cutmix": 1.0}, 1.0)):
        alone, _ = mix(images, {}, **options, switch=1.0 - boxes)
        assert (alone == alone.round()).all(dim=(1, 2, 3)).float().mean().item() == pytest.approx(boxes, abs=0.04 * (1 - boxes))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.75, 0.984, 1.0])
def test_a_box_has_the_area_that_its_share_leaves_it(share):
    height, width, num = 20, 32, 4000
    torch.manual_seed(0)
    inside = _outside_box(torch.full((num,), share), height, width) == 0
    side = (1 - share) ** 0.5
    for size, lines in ((height, inside.any(dim=2)), (width, inside.any(dim=1))):
        full, lengths = int(side * size), lines.sum(dim=1)
        assert lengths.max() == full
        touching = lines[:, 0] | lines[:, -1]
        assert (lengths[~touching & lines.any(dim=1)] == full).all()
        if full:  # its middle is a line like any other
            first, last = lines[:, 0].float().mean(), lines[:, -1].float().mean()
            assert first == pytest.approx(((full + 1) // 2 + 1) / size, abs=0.04)
            assert last == pytest.approx(full // 2 / size, abs=0.04)


def test_a_cut_is_one_box():
    torch.manual_seed(0)
    images = torch.arange(8).float()[:, None, None, None].expand(8, 3, 16, 16)
    mixed, _ = mix(images, {}, mixup=0.0, cutmix=1.0)
    for own, image in zip(range(8), mixed, strict=True):
        other = image[0] != own
        rows, columns = other.any(dim=1), other.any(dim=0)
        assert torch.equal(other, rows[:, None] & columns)
        assert all((part.int().diff() != 0).sum() <= 2 for part in (rows, columns))


def test_without_either_nothing_changes():
    images, targets = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8), {"class": torch.eye(4)}
    mixed, same = mix(images, targets, mixup=0.0, cutmix=0.0)
    assert torch.equal(mixed, images.float())
    assert same is targets
    with pytest.raises(ValueError, match=r"mixup is -1, cutmix 1.0 and switch 0.5; expected >= 0"):
        mix(images, targets, mixup=-1)
    for options in ({"cutmix": -0.5}, {"switch": 1.1}, {"switch": -0.1}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} {next(iter(options.values()))}"):
            mix(images, targets, **options)
