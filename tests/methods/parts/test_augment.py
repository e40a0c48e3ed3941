"""Weak augmentation against a loop over pixels."""

import pytest
import torch

from methods.parts.augment import weak_augment


def numbered(count=16, height=8, width=12):
    """Each pixel knows its image, row and column."""
    image = torch.arange(count)[:, None, None].expand(count, height, width)
    row = torch.arange(height)[None, :, None].expand(count, height, width)
    column = torch.arange(width)[None, None, :].expand(count, height, width)
    return torch.stack([image, row, column], dim=1).to(torch.uint8)


def reflected(position, side):
    position = abs(position)
    return 2 * (side - 1) - position if position > side - 1 else position


def test_every_image_is_one_of_its_shifts_and_mirrors():
    torch.manual_seed(0)
    images = numbered()
    found = weak_augment(images, shift=0.25)
    assert found.dtype == torch.uint8
    assert found.shape == images.shape
    moves = set()
    for index, image in enumerate(found):
        assert bool((image[0] == index).all())
        candidates = [
            (down, right, mirror)
            for down in range(-2, 3)
            for right in range(-3, 4)
            for mirror in (False, True)
            if [reflected(row + down, 8) for row in range(8)] == image[1, :, 0].tolist()
            and [11 - reflected(c + right, 12) if mirror else reflected(c + right, 12) for c in range(12)] == image[2, 0].tolist()
        ]
        assert len(candidates) == 1
        moves.add(candidates[0])
    assert len(moves) > 10  # each image by its own draw
    assert {mirror for _, _, mirror in moves} == {False, True}


def test_parts_can_be_switched_off():
    images = numbered()
    assert torch.equal(weak_augment(images, flip=0.0, shift=0.0), images)
    assert torch.equal(weak_augment(images, flip=1.0, shift=0.0), images.flip(3))


def test_layout_and_type_do_not_matter_and_draws_follow_the_seed():
    images = numbered()
    found = []
    for variant in (images, images.contiguous(memory_format=torch.channels_last), images.float()):
        torch.manual_seed(4)
        found.append(weak_augment(variant))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0].float(), found[2])
    assert not torch.equal(weak_augment(images), found[0])


@pytest.mark.parametrize(("flip", "shift"), [(1.5, 0.1), (0.5, 0.6), (-0.1, 0.1)])
def test_errors(flip, shift):
    with pytest.raises(ValueError, match=rf"flip is {flip} and shift is {shift}"):
        weak_augment(numbered(), flip=flip, shift=shift)
