"""Cutout: how much is covered, that each image has its own place, and errors."""

import pytest
import torch

from methods.parts.cutout import cutout


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_a_square_is_covered_and_nothing_else_changes(kind):
    torch.manual_seed(0)
    images = torch.full((200, 3, 32, 32), 9, dtype=kind)
    found = cutout(images, 0.5)
    assert found.dtype == kind
    covered = found == 127
    assert bool((covered | (found == 9)).all())
    assert bool((covered.amax(dim=1) == covered.amin(dim=1)).all())  # all channels alike
    rows, columns = covered[:, 0].any(dim=2).sum(dim=1), covered[:, 0].any(dim=1).sum(dim=1)
    assert bool((covered[:, 0].sum(dim=(1, 2)) == rows * columns).all())  # a rectangle: the square, or what an edge leaves of it
    assert int(rows.max()) in (16, 17)
    assert int(rows.min()) >= 8
    assert len({tuple(image.flatten().tolist()) for image in covered[:, 0]}) > 100


def test_the_images_given_are_left_as_they_are():
    images = torch.zeros(2, 3, 8, 8)
    cutout(images)
    assert not images.any()


def test_nothing_is_covered_at_zero():
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(cutout(images, 0.0), images)


def test_errors():
    with pytest.raises(ValueError, match=r"side is 1\.5"):
        cutout(torch.zeros(1, 3, 8, 8), 1.5)
