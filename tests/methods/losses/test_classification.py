"""Cross-entropies over known labels against loops in float64."""

import math

import pytest
import torch

from methods.losses.classification import attribute_loss, known_binary_cross_entropy, known_cross_entropy


def slow_softmax(logits, labels):
    terms = []
    for scores, row in zip(logits.tolist(), labels.tolist(), strict=True):
        if 1 in row:
            terms.append(math.log(sum(math.exp(score) for score in scores)) - scores[row.index(1)])
    return sum(terms) / len(terms)


def slow_sigmoid(logits, labels):
    terms = []
    for scores, row in zip(logits.tolist(), labels.tolist(), strict=True):
        for score, label in zip(scores, row, strict=True):
            probability = 1 / (1 + math.exp(-score))
            if label != -1:
                terms.append(-math.log(probability if label else 1 - probability))
    return sum(terms) / len(terms)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(20, 5, generator=generator) * 2
    multi = torch.randint(-1, 2, (20, 5), generator=generator, dtype=torch.int8)
    single = torch.nn.functional.one_hot(torch.randint(5, (20,), generator=generator), 5).to(torch.int8)
    single[::3] = -1
    return logits, single, multi


def test_against_the_loops(batch):
    logits, single, multi = batch
    torch.testing.assert_close(known_cross_entropy(logits, single).item(), slow_softmax(logits, single), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(known_binary_cross_entropy(logits, multi).item(), slow_sigmoid(logits, multi), rtol=1e-5, atol=1e-6)


def test_by_hand():
    logits = torch.tensor([[0.0, 0.0, 0.0], [9.0, 1.0, -5.0]])
    labels = torch.tensor([[0, 1, 0], [-1, -1, -1]], dtype=torch.int8)
    torch.testing.assert_close(known_cross_entropy(logits, labels).item(), math.log(3))
    torch.testing.assert_close(known_binary_cross_entropy(logits, labels).item(), math.log(2))


def test_unknown_entries_receive_no_gradient(batch):
    logits, _, multi = batch
    logits.requires_grad_()
    known_binary_cross_entropy(logits, multi).backward()
    assert bool((logits.grad[multi == -1] == 0).all())
    assert bool((logits.grad[multi != -1] != 0).all())


def test_nothing_known_is_zero_and_can_be_differentiated():
    for loss in (known_cross_entropy, known_binary_cross_entropy):
        logits = torch.randn(4, 3, requires_grad=True)
        value = loss(logits, torch.full((4, 3), -1, dtype=torch.int8))
        value.backward()
        assert value.item() == 0
        assert not logits.grad.any()


def test_types_count_equally(batch):
    logits, single, multi = batch
    both = attribute_loss({"a": logits, "b": logits}, {"a": single, "b": multi}, {"a"})
    torch.testing.assert_close(both, (known_cross_entropy(logits, single) + known_binary_cross_entropy(logits, multi)) / 2)
    forced = attribute_loss({"a": logits}, {"a": single}, frozenset())
    torch.testing.assert_close(forced, known_binary_cross_entropy(logits, single))


def test_order_in_the_batch_does_not_matter(batch):
    logits, single, multi = batch
    order = torch.randperm(len(logits))
    torch.testing.assert_close(known_cross_entropy(logits[order], single[order]), known_cross_entropy(logits, single))
    torch.testing.assert_close(known_binary_cross_entropy(logits[order], multi[order]), known_binary_cross_entropy(logits, multi))


def test_shapes_must_agree():
    for loss in (known_cross_entropy, known_binary_cross_entropy):
        with pytest.raises(ValueError, match=r"logits are \(2, 3\) and labels \(2, 4\)"):
            loss(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.int8))
