"""Cross-entropies over known labels against loops in float64."""

import math

import pytest
import torch

from methods.losses.classification import (
    attribute_loss,
    count_weights,
    focal_binary_cross_entropy,
    focal_cross_entropy,
    known_binary_cross_entropy,
    known_cross_entropy,
    soft_f_beta_loss,
    weighted_binary_cross_entropy,
)

JD_COUNTS = [104, 4292, 49893, 262, 18722, 8882, 197, 1356, 49389, 7094, 3712, 1249, 361]


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


def slow_softmax_focal(logits, labels, gamma):
    terms = []
    for scores, row in zip(logits.double().tolist(), labels.tolist(), strict=True):
        if 1 in row:
            probability = math.exp(scores[row.index(1)]) / sum(math.exp(score) for score in scores)
            terms.append(-((1 - probability) ** gamma) * math.log(probability))
    return sum(terms) / len(terms)


def slow_sigmoid_sum(logits, labels, weigh):
    """Mean over known entries of weigh(column, label, p_t) * -log p_t."""
    terms = []
    for scores, row in zip(logits.double().tolist(), labels.tolist(), strict=True):
        for column, (score, label) in enumerate(zip(scores, row, strict=True)):
            probability = 1 / (1 + math.exp(-score))
            of_label = probability if label == 1 else 1 - probability
            if label != -1:
                terms.append(weigh(column, label, of_label) * -math.log(of_label))
    return sum(terms) / len(terms)


def slow_soft_f(logits, labels, beta):
    columns = []
    for column in range(logits.shape[1]):
        hits = misses = alarms = 0.0
        for score, label in zip(logits[:, column].double().tolist(), labels[:, column].tolist(), strict=True):
            probability = 1 / (1 + math.exp(-score))
            hits += probability * (label == 1)
            misses += (1 - probability) * (label == 1)
            alarms += probability * (label == 0)
        if hits + misses:
            columns.append((1 + beta**2) * hits / ((1 + beta**2) * hits + beta**2 * misses + alarms))
    return 1 - sum(columns) / len(columns)


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


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 2.5])
def test_focal_losses_against_the_loops(batch, gamma):
    logits, single, multi = batch
    torch.testing.assert_close(focal_cross_entropy(logits, single, gamma).item(), slow_softmax_focal(logits, single, gamma))
    expected = slow_sigmoid_sum(logits, multi, lambda column, label, p: (1 - p) ** gamma)
    torch.testing.assert_close(focal_binary_cross_entropy(logits, multi, gamma).item(), expected)
    expected = slow_sigmoid_sum(logits, multi, lambda column, label, p: (0.3 if label else 0.7) * (1 - p) ** gamma)
    torch.testing.assert_close(focal_binary_cross_entropy(logits, multi, gamma, alpha=0.3).item(), expected)


def test_focal_losses_without_focus_are_cross_entropies(batch):
    logits, single, multi = batch
    torch.testing.assert_close(focal_cross_entropy(logits, single, 0.0), known_cross_entropy(logits, single))
    torch.testing.assert_close(focal_binary_cross_entropy(logits, multi, 0.0), known_binary_cross_entropy(logits, multi))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_losses_at_certainty_are_finite(gamma):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    labels = torch.tensor([[1, 0], [1, 0]], dtype=torch.int8)
    for loss in (focal_cross_entropy, focal_binary_cross_entropy):
        value = loss(logits, labels, gamma)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_weighted_cross_entropy_against_the_loop(batch):
    logits, _, multi = batch
    weights = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0])
    expected = slow_sigmoid_sum(logits, multi, lambda column, label, p: weights[column].item())
    torch.testing.assert_close(weighted_binary_cross_entropy(logits, multi, weights).item(), expected)
    torch.testing.assert_close(weighted_binary_cross_entropy(logits, multi, torch.ones(5)), known_binary_cross_entropy(logits, multi))


def test_weights_of_the_printed_counts():
    """w = 1.5^(-ln n) of the 13 styles of JD, n to the power -.405; sports weighs twelve times as much as commuting."""
    expected = [1.5 ** -math.log(count) for count in JD_COUNTS]
    raw = count_weights(torch.tensor(JD_COUNTS), normalize=False)
    torch.testing.assert_close(raw.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)
    by_hand = [0.1521, 0.0337, 0.0124, 0.1046, 0.0185, 0.0251, 0.1174, 0.0537, 0.0125, 0.0275, 0.0357, 0.0555, 0.0918]
    torch.testing.assert_close(raw, torch.tensor(by_hand), rtol=0, atol=5.1e-5)
    scaled = count_weights(torch.tensor(JD_COUNTS))
    torch.testing.assert_close(scaled.mean(), torch.tensor(1.0))
    torch.testing.assert_close(scaled / scaled[0], raw / raw[0])


def test_weights_of_a_label_without_images_are_finite():
    assert count_weights(torch.tensor([0, 1, 10]), normalize=False)[:2].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_soft_f_against_the_loop(batch, beta):
    logits, _, multi = batch
    multi[:, 2] = 0  # a label without positives is left out
    torch.testing.assert_close(soft_f_beta_loss(logits, multi, beta).item(), slow_soft_f(logits, multi, beta), rtol=1e-5, atol=1e-6)


def test_soft_f_by_hand():
    """One positive and one negative at p = .5: TP .5, FN .5, FP .5, F2 = 2.5 / 5. Sure and right: no loss."""
    labels = torch.tensor([[1], [0]], dtype=torch.int8)
    torch.testing.assert_close(soft_f_beta_loss(torch.zeros(2, 1), labels).item(), 0.5)
    assert soft_f_beta_loss(torch.tensor([[40.0], [-40.0]]), labels).item() == pytest.approx(0.0, abs=1e-6)


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
    losses = (known_cross_entropy, known_binary_cross_entropy, focal_cross_entropy, focal_binary_cross_entropy, soft_f_beta_loss)
    for loss in (*losses, lambda *pair: weighted_binary_cross_entropy(*pair, torch.ones(3))):
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
    torch.testing.assert_close(focal_cross_entropy(logits[order], single[order]), focal_cross_entropy(logits, single))
    torch.testing.assert_close(soft_f_beta_loss(logits[order], multi[order]), soft_f_beta_loss(logits, multi))


def test_shapes_must_agree():
    for loss in (known_cross_entropy, known_binary_cross_entropy, focal_cross_entropy, focal_binary_cross_entropy, soft_f_beta_loss):
        with pytest.raises(ValueError, match=r"logits are \(2, 3\) and labels \(2, 4\)"):
            loss(torch.zeros(2, 3), torch.zeros(2, 4, dtype=torch.int8))
    with pytest.raises(ValueError, match=r"weights are \(2,\); expected one for each of 3 labels"):
        weighted_binary_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int8), torch.ones(2))
