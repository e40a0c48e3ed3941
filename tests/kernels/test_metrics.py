"""Recall and F1 at 1, 3 and 5 over the 1,000 attributes of DeepFashion in its five types, against torchmetrics and against top-k.

torchmetrics ranks one image at a time (RetrievalRecall, RetrievalPrecision), so that it is shown some images and its time is taken
times their share. The second peer is what one would write with torch: topk, gather and sums."""

import time

import numpy as np
import pytest
import torch

from bench import ranking
from bench.ranking import rank

pytestmark = [pytest.mark.benchmark(timer=time.process_time), pytest.mark.usefixtures("one_core")]
SIZES = (156, 218, 180, 216, 230)  # classes of texture, fabric, shape, part and style
KS = (1, 3, 5)
SHOWN = 100  # images that torchmetrics is timed on


def drawn(num_images):
    """Scores and labels of each type, some 3.3 positives an image over all types."""
    rng = np.random.default_rng(0)
    for num_classes in SIZES:
        labels = (rng.random((num_images, num_classes)) < 0.0033).astype(np.int8)
        yield rng.normal(size=labels.shape).astype(np.float32) + labels, labels


def ours(pairs):
    rankings = [rank(scores, labels) for scores, labels in pairs]
    return [figure(rankings, k) for k in KS for figure in (ranking.recall, ranking.f1)]


def by_top_k(tensors):
    hits, num_positives = dict.fromkeys(KS, 0), 0
    for scores, labels in tensors:
        found = labels.gather(1, scores.topk(max(KS), dim=1).indices)
        num_positives += int(labels.sum())
        for k in KS:
            hits[k] += int(found[:, :k].sum())
    num_types = len(SIZES) * len(tensors[0][0])
    return [value for k in KS for value in (hits[k] / num_positives, 2 * hits[k] / (k * num_types + num_positives))]


def tensors_of(pairs):
    return [(torch.from_numpy(scores), torch.from_numpy(labels == 1)) for scores, labels in pairs]


def test_against_top_k(ratio, full):
    pairs = list(drawn(40_000 if full else 4_000))
    tensors = tensors_of(pairs)
    assert ours(pairs) == pytest.approx(by_top_k(tensors), abs=1e-12)
    ratio("metrics/topk", lambda: ours(pairs), lambda: by_top_k(tensors), rounds=7)


def test_against_torchmetrics(ratio, full):
    from torchmetrics.retrieval import RetrievalPrecision, RetrievalRecall

    num_images = 40_000 if full else 4_000
    pairs = list(drawn(num_images))
    shown = tensors_of([(scores[:SHOWN], labels[:SHOWN]) for scores, labels in pairs])

    def theirs():
        figures = []
        for scores, labels in shown:
            index = torch.arange(SHOWN)[:, None].expand_as(scores).flatten()
            for k in KS:
                for metric in (RetrievalRecall(top_k=k), RetrievalPrecision(top_k=k)):
                    metric.update(scores.flatten(), labels.flatten(), indexes=index)
                    figures.append(float(metric.compute()))
        return figures

    expected = iter(theirs())  # both mean over images, those without positives as 0
    for scores, labels in pairs:
        one = rank(scores[:SHOWN], labels[:SHOWN])
        for k in KS:
            assert next(expected) == pytest.approx(float((one.hits(k) / np.maximum(one.num_positives, 1)).mean()), abs=1e-6)
            assert next(expected) == pytest.approx(float((one.hits(k) / k).mean()), abs=1e-6)
    ratio("metrics/torchmetrics", lambda: ours(pairs), theirs, rounds=3, times=num_images / SHOWN)
