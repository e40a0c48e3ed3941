"""The metrics as slow loops in Python floats, and what to try them on: ties, -inf, unknown labels, types without positives."""

from __future__ import annotations

import math

import numpy as np

from bench.protocol import AttributeType, Schema

KINDS = {"category": (4, True), "texture": (6, False), "length": (2, True), "style": (7, False)}
SCHEMA = Schema(tuple(AttributeType(name, tuple(map(str, range(count))), exclusive) for name, (count, exclusive) in KINDS.items()))


def ranked(row) -> list[int]:
    """Classes of one image, best first: the definition that everything here is checked against."""
    return sorted((c for c in range(len(row)) if row[c] > -math.inf), key=lambda c: (-row[c], c))


def slow_counts(scores, labels, k) -> tuple[int, int, int, int, int]:
    """TP, predictions, positives, images hit, images with a positive."""
    tp = predictions = positives = hit = known = 0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        top = ranked(row)[:k]
        found = sum(label[c] == 1 for c in top)
        tp, predictions, positives = tp + found, predictions + len(top), positives + label.count(1)
        hit, known = hit + (found > 0), known + (1 in label)
    return tp, predictions, positives, hit, known


def slow_f_beta(labels, decisions, beta) -> float:
    pairs = [(label, chosen) for label, chosen in zip(labels.tolist(), decisions.tolist(), strict=True) if label != -1]
    tp, fn, fp = pairs.count((1, True)), pairs.count((1, False)), pairs.count((0, True))
    return (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp)


def draw(rng, count: int, exclusive: bool, num_images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties and some -inf; labels with unknowns, and images without any positive."""
    scores = rng.integers(-3, 4, (num_images, count)).astype(np.float32) / 2
    scores[rng.random(scores.shape) < 0.15] = -np.inf
    if exclusive:
        labels = np.zeros(scores.shape, dtype=np.int8)
        labels[np.arange(num_images), rng.integers(0, count, num_images)] = 1
        labels[rng.random(num_images) < 0.3] = -1
    else:
        labels = rng.choice(np.array([1, 0, -1], dtype=np.int8), scores.shape, p=[0.25, 0.55, 0.2])
        labels[:, -1] = np.where(labels[:, -1] == 1, 0, labels[:, -1])  # a class without positives
    return scores, labels


def draw_all(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores and labels of each type of the schema."""
    rng = np.random.default_rng(seed)
    pairs = {name: draw(rng, *kind) for name, kind in KINDS.items()}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}
