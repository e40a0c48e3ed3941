"""Weak augmentation against a loop over pixels."""

import pytest
import torch

from methods.parts.augment import Moves, draw_moves, move_images, move_landmarks, weak_augment


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


def test_landmarks_by_hand():
    """8 x 10 pixels: as it is; mirrored; 2 up and 3 left; mirrored, then 3 left; mirrored, then out at the right."""
    up, left = torch.tensor([[0], [0], [2], [0], [0]]), torch.tensor([[0], [0], [3], [3], [-3]])
    moves = Moves(torch.tensor([[False], [True], [False], [True], [True]]), up, left)
    points = torch.tensor([[1, 0.15, 0.5], [1, 0.85, 0.25], [0, 0, 0], [1, 0.5, 0.75]]).expand(5, 4, 3)
    gone = [0, 0, 0]
    expected = [
        points[0].tolist(),
        [[1, 0.15, 0.25], [1, 0.85, 0.5], [1, 0.5, 0.75], gone],
        [gone, gone, gone, [1, 0.2, 0.5]],  # the second one lies on the upper edge now
        [gone, [1, 0.55, 0.5], [1, 0.2, 0.75], gone],
        [[1, 0.45, 0.25], gone, [1, 0.8, 0.75], gone],
    ]
    torch.testing.assert_close(move_landmarks(points, moves, 8, 10), torch.tensor(expected))


def test_landmarks_stay_on_what_they_mark():
    """A dot in each picture, left or right of its pair, is found again where its landmark went, in the pair's other place if mirrored."""
    torch.manual_seed(2)
    count, height, width = 200, 8, 12
    rows, columns, place = torch.randint(height, (count,)), torch.randint(width, (count,)), torch.randint(2, (count,))
    every = torch.arange(count)
    images = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    images[every, :, rows, columns] = 255
    landmarks = torch.zeros(count, 4, 3)
    landmarks[every, 2 + place] = torch.stack([torch.ones(count), (columns + 0.5) / width, (rows + 0.5) / height], dim=1)
    moves = draw_moves(images, shift=0.25)
    pictures, found = move_images(images, moves), move_landmarks(landmarks, moves, height, width)
    assert 0.5 * count < found[..., 0].sum() < count  # some are moved out
    where = torch.where(moves.mirrored[:, 0], 1 - place, place)
    assert not found[every, 2 + (1 - where)].any()
    assert not found[:, :2].any()
    visible, x, y = found[every, 2 + where].unbind(1)
    seen = visible == 1
    dots = pictures[every, 0, (y * height).long(), (x * width).long()]
    assert bool((dots[seen] == 255).all())
    assert {bool(value) for value in moves.mirrored[seen]} == {False, True}


def test_moving_images_is_weak_augmentation():
    torch.manual_seed(5)
    expected = weak_augment(numbered())
    torch.manual_seed(5)
    assert torch.equal(move_images(numbered(), draw_moves(numbered())), expected)
