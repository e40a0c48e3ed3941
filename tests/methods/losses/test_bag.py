"""One word of a bag against drawn words: exact where all are drawn, and which words may be drawn."""

import pytest
import torch

from methods.losses.bag import bag_loss


def logits(seed=0, shape=(8, 6)):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def one_word(shape=(8, 6)):
    labels = torch.zeros(shape, dtype=torch.int8)
    labels[torch.arange(shape[0]), torch.arange(shape[0]) % shape[1]] = 1
    return labels


def test_with_one_word_and_all_others_it_is_the_softmax():
    found = bag_loss(logits(), one_word(), 100)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits(), one_word().argmax(dim=1)))


def test_a_word_of_the_bag_is_drawn_and_the_other_ones_are_left_out():
    """With words a and b, and all others drawn, a step's loss is one of two, and the mean over many steps is the mean of both."""
    scores = logits(shape=(1, 5))
    labels = torch.tensor([[1, 1, 0, 0, 0]], dtype=torch.int8)
    two = [-torch.log_softmax(scores[0, [word, 2, 3, 4]], dim=0)[0].item() for word in (0, 1)]
    torch.manual_seed(0)
    found = [bag_loss(scores, labels, 5).item() for _ in range(400)]
    assert {round(value, 5) for value in found} == {round(value, 5) for value in two}
    assert sum(found) / len(found) == pytest.approx(sum(two) / 2, abs=0.1 * abs(two[0] - two[1]))


@pytest.mark.parametrize("num_negatives", [1, 3])
def test_as_many_words_are_drawn_as_asked_and_all_alike(num_negatives):
    scores = torch.zeros(2000, 9, requires_grad=True)
    labels = torch.zeros(2000, 9, dtype=torch.int8)
    labels[:, 0] = 1
    torch.manual_seed(0)
    bag_loss(scores, labels, num_negatives).backward()
    drawn = scores.grad[:, 1:] != 0
    assert drawn.sum(dim=1).tolist() == [num_negatives] * 2000
    assert (drawn.float().mean(dim=0) - num_negatives / 8).abs().max() < 0.05


def test_unknown_words_are_outside_only_where_asked():
    labels = torch.tensor([[1, -1, 0]], dtype=torch.int8)
    for asked, outside in (({}, [1, 2]), ({"unknown_negative": True}, [1, 2]), ({"unknown_negative": False}, [2])):
        scores = torch.zeros(1, 3, requires_grad=True)
        bag_loss(scores, labels, 5, **asked).backward()
        assert torch.nonzero(scores.grad[0, 1:]).ravel().add(1).tolist() == outside


def test_empty_bags_take_no_part():
    labels = one_word()
    labels[::2] = 0
    scores = logits().requires_grad_()
    bag_loss(scores, labels, 100).backward()
    assert not scores.grad[::2].any()
    torch.testing.assert_close(bag_loss(logits(), labels, 100), bag_loss(logits()[1::2], labels[1::2], 100))
    assert bag_loss(logits(), torch.zeros_like(labels), 3).item() == 0.0


def test_errors():
    with pytest.raises(ValueError, match="expected the same"):
        bag_loss(logits(), one_word()[:, :3], 3)
    with pytest.raises(ValueError, match="num_negatives is 0"):
        bag_loss(logits(), one_word(), 0)
