"""Eq. (3) and (4) of MTSS against loops in float64."""

import pytest
import torch

from methods.losses.distillation import certainty, distillation_loss


def slow_cosine(first, second):
    return (sum(a * b for a, b in zip(first, second, strict=True))) / (sum(a * a for a in first) * sum(b * b for b in second)) ** 0.5


def slow_loss(student, teacher, dictionary, beta):
    total = 0.0
    for own, target in zip(student.tolist(), teacher.tolist(), strict=True):
        closest = max(slow_cosine(row, target) for row in dictionary.tolist())
        total += max(closest, 0.0) ** beta * (1 - slow_cosine(own, target))
    return total / len(student)


@pytest.fixture
def parts():
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(count, 6, generator=generator) for count in (32, 32, 4)]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_weighted_loss_against_the_loop(parts, beta):
    student, teacher, dictionary = parts
    found = distillation_loss(student, teacher, certainty(teacher, dictionary, beta)).item()
    torch.testing.assert_close(found, slow_loss(*parts, beta), rtol=1e-5, atol=1e-6)


def test_unweighted_loss_is_beta_zero(parts):
    student, teacher, dictionary = parts
    torch.testing.assert_close(
        distillation_loss(student, teacher), distillation_loss(student, teacher, certainty(teacher, dictionary, 0.0))
    )


def test_by_hand():
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.0, -3.0]])
    dictionary = torch.tensor([[5.0, 0.0]])  # cosines to the teacher: .7071 and 0
    torch.testing.assert_close(distillation_loss(student, teacher).item(), (1 - 0.5**0.5 + 2) / 2)
    weighted = distillation_loss(student, teacher, certainty(teacher, dictionary)).item()
    torch.testing.assert_close(weighted, 0.5**0.5 * (1 - 0.5**0.5) / 2)


def test_a_negative_cosine_weighs_nothing_at_any_power():
    teacher, dictionary = torch.tensor([[-1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    for beta in (0.5, 1.0, 2.0):
        assert certainty(teacher, dictionary, beta).item() == 0


def test_rows_that_are_not_trained_do_not_count(parts):
    _, teacher, dictionary = parts
    trained = torch.tensor([True, False, False, True])
    torch.testing.assert_close(certainty(teacher, dictionary, 1.0, trained), certainty(teacher, dictionary[trained]))
    assert not certainty(teacher, dictionary, 1.0, torch.zeros(4, dtype=torch.bool)).any()


def test_only_the_student_receives_a_gradient(parts):
    student, teacher, dictionary = (part.requires_grad_() for part in parts)
    weights = certainty(teacher, dictionary)
    assert not weights.requires_grad
    distillation_loss(student, teacher, weights).backward()
    assert student.grad.any()
    assert teacher.grad is None
    assert dictionary.grad is None


def test_order_in_the_batch_does_not_matter(parts):
    student, teacher, dictionary = parts
    order = torch.randperm(len(student))
    first = distillation_loss(student, teacher, certainty(teacher, dictionary))
    torch.testing.assert_close(distillation_loss(student[order], teacher[order], certainty(teacher[order], dictionary)), first)


def test_errors():
    with pytest.raises(ValueError, match=r"student is \(2, 3\) and teacher is \(2, 4\)"):
        distillation_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"beta is -0\.5; expected >= 0"):
        certainty(torch.ones(2, 3), torch.ones(1, 3), -0.5)
