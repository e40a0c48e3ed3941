"""The label-embedding focal ranking loss, forward and backward, against a loop over the batch as Eq. (2) of MTSS reads."""

import time

import pytest
import torch
from planted import ROOT
from torch.nn import functional

from bench import kernels
from methods.losses import label_embedding
from methods.losses.label_embedding import cosine, label_embedding_focal_loss

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core")]
BATCH, DIM, CLASSES = 128, 512, 156


@pytest.fixture(scope="module")
def drawn():
    """classes (B,), label embeddings (C, D), and embeddings of positives and negatives (B, D)."""
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(num, DIM, generator=generator).requires_grad_() for num in (CLASSES, BATCH, BATCH)]
    return torch.randint(CLASSES, (BATCH,), generator=generator), tensors


def batched(classes, dictionary, positives, negatives):
    anchors = dictionary[classes]
    return label_embedding_focal_loss(cosine(anchors, positives), cosine(anchors, negatives), 1.0)


def looped(classes, dictionary, positives, negatives):
    losses = []
    for label, positive, negative in zip(classes.tolist(), positives, negatives, strict=True):
        anchor = dictionary[label]
        margin = functional.cosine_similarity(anchor, positive, dim=0) - functional.cosine_similarity(anchor, negative, dim=0)
        p = 1 - torch.relu(1 - margin) / 2
        losses.append(-(1 - p) * torch.log(p))
    return sum(losses) / len(losses)


def step(function, classes, tensors):
    for tensor in tensors:
        tensor.grad = None
    loss = function(classes, *tensors)
    loss.backward()
    return loss.item(), [tensor.grad for tensor in tensors]


def test_they_are_the_same_loss(drawn):
    found, expected = step(batched, *drawn), step(looped, *drawn)
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    for one, other in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-7)


def test_focal_ranking_loss(ratio, drawn):
    ratio("losses/label_embedding", lambda: step(batched, *drawn), lambda: step(looped, *drawn), rounds=15, repeat=5)


def test_a_slowed_kernel_fails(ratio, drawn, kernel_ratios, monkeypatch, tmp_path):
    """The guards are seen failing: with a loop planted in the kernel's place, the same pair is below its floor, here and in the file."""
    monkeypatch.setattr(kernel_ratios, "measured", {})
    monkeypatch.setitem(globals(), "label_embedding_focal_loss", one_by_one)
    with pytest.raises(AssertionError, match=r"losses/label_embedding: .* below the floor of"):
        ratio("losses/label_embedding", lambda: step(batched, *drawn), lambda: step(looped, *drawn), rounds=3)
    kernels.write_measured(tmp_path / "slow.json", "short", kernel_ratios.measured)
    compared, problems = kernels.compare(tmp_path / "slow.json", ROOT / kernels.FLOORS)
    assert compared == 1
    assert any("losses/label_embedding" in problem and "below the floor" in problem for problem in problems)


def one_by_one(positive, negative, gamma):
    each = [label_embedding.label_embedding_focal_loss(*pair, gamma) for pair in zip(positive[:, None], negative[:, None], strict=True)]
    return torch.stack(each).mean()
