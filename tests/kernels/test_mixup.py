"""Probabilistic pseudo mixup of a batch against a loop over its images, which reads as the definition does.

At 32 pixels a side the loop's bookkeeping counts, at 64 also the pixels, each of which either side reads twice and writes once."""

import time

import pytest
import torch

from methods.parts.mixup import probabilistic_pseudo_mixup

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core")]
BATCH, CLASSES, THRESHOLD = 64, 20, 0.5


def drawn(side):
    """Images (B, 3, side, side), probabilities (B, C) and a permutation."""
    generator = torch.Generator().manual_seed(0)
    images = 255 * torch.rand(BATCH, 3, side, side, generator=generator)
    chances = (3 * torch.randn(BATCH, CLASSES, generator=generator)).softmax(dim=1)
    return images, chances, torch.randperm(BATCH, generator=generator)


def batched(images, chances, partner):
    found = probabilistic_pseudo_mixup(images, {"class": chances}, partner, THRESHOLD)
    return found.images, found.targets["class"], found.masks["class"]


def looped(images, chances, partner):
    certain, classes = chances.max(dim=1)
    mixed, targets, masks = torch.empty_like(images), torch.zeros_like(chances), []
    for place, (own, other) in enumerate(zip(certain.tolist(), certain[partner].tolist(), strict=True)):
        share, second = own / (own + other), int(partner[place])
        mixed[place] = share * images[place] + (1 - share) * images[second]
        targets[place, classes[place]] += share
        targets[place, classes[second]] += 1 - share
        masks.append(max(own, other) >= THRESHOLD)
    return mixed, targets, torch.tensor(masks)


@pytest.mark.parametrize("side", [32, 64])
def test_they_are_the_same_mixture(side):
    inputs = drawn(side)
    for one, other in zip(batched(*inputs), looped(*inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("name", "side"), [("mixup/pseudo", 32), ("mixup/pixels", 64)])
def test_pseudo_mixup(ratio, name, side):
    inputs = drawn(side)
    ratio(name, lambda: batched(*inputs), lambda: looped(*inputs), rounds=25, repeat=5)
