"""What the papers set: numbers that nobody has to give, and whether a confidence that equals the threshold counts."""

import pytest
import torch

from methods.losses.classification import focal_binary_cross_entropy, focal_cross_entropy
from methods.losses.consistency import binary_consistency_loss, consistency_loss, is_confident
from methods.losses.contrastive import nt_xent
from methods.losses.divergence import binary_divergence_loss, divergence_loss
from methods.losses.pseudo_label import binary_pseudo_label_loss, pseudo_label_loss


def pair(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(40, 5, generator=generator), torch.randn(40, 5, generator=generator)


@pytest.mark.parametrize(
    ("loss", "counts"),
    [
        (pseudo_label_loss, True),  # FixMatch, Eq. (4): max p >= tau
        (binary_pseudo_label_loss, True),
        (consistency_loss, False),  # UDA and the Naver report, Eq. (1): max p > tau
        (binary_consistency_loss, False),
        (divergence_loss, False),
        (binary_divergence_loss, False),
    ],
)
def test_a_confidence_at_the_threshold(loss, counts):
    weak, strong = torch.zeros(1, 2), torch.tensor([[1.0, -2.0]])  # a half each
    assert bool(loss(weak, strong, threshold=0.5, temperature=1.0) > 0) is counts
    assert loss(weak, strong, threshold=0.49, temperature=1.0) > 0
    assert loss(weak, strong, threshold=0.51, temperature=1.0) == 0
    assert not is_confident(weak, 0.5).any()


@pytest.mark.parametrize("loss", [pseudo_label_loss, binary_pseudo_label_loss])
def test_fixmatch_is_sure_at_95_percent_and_takes_hard_labels(loss):
    assert loss(*pair()) == loss(*pair(), threshold=0.95, temperature=None)
    assert loss(*pair()) not in (0, loss(*pair(), threshold=0.9), loss(*pair(), threshold=0.95, temperature=1.0))


@pytest.mark.parametrize("loss", [consistency_loss, binary_consistency_loss, divergence_loss, binary_divergence_loss])
def test_uda_is_sure_at_80_percent_and_sharpens_by_0_4(loss):
    assert loss(*pair()) == loss(*pair(), threshold=0.8, temperature=0.4)
    assert loss(*pair()) not in (0, loss(*pair(), threshold=0.7), loss(*pair(), temperature=0.5))


@pytest.mark.parametrize("loss", [focal_cross_entropy, focal_binary_cross_entropy])
def test_focal_losses_focus_by_2(loss):
    logits, labels = pair()[0], torch.eye(5, dtype=torch.int8).repeat(8, 1)
    assert loss(logits, labels) == loss(logits, labels, gamma=2.0)
    assert loss(logits, labels) != loss(logits, labels, gamma=1.9)


def test_nt_xent_has_the_temperature_of_simclr_and_means_of_logarithms():
    assert nt_xent(*pair()) == nt_xent(*pair(), 0.5, log_of_mean=False)
    assert nt_xent(*pair()) not in (nt_xent(*pair(), 0.4), nt_xent(*pair(), log_of_mean=True))
