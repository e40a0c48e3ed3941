"""Metrics as pure functions of scores and labels; those @k rest on bench.ranking, those of classes on bench.classwise.

scores: float (N, C), higher is likelier. labels: int8 (N, C) of 1 (positive), 0 (negative) and -1 (unknown). A figure that is
undefined, such as a recall without positives, is NaN from a function and absent from a Summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench import ranking
from bench.classwise import average_precisions, decide, f_beta, f_betas, mean, mean_average_precision
from bench.protocol import POSITIVE, UNKNOWN, Schema
from bench.ranking import Ranking, check_scores, hits, positive_ranks, rank
from bench.thresholds import best_thresholds

__all__ = [
    "CATEGORY",
    "KS",
    "Summary",
    "accuracy_at_k",
    "best_thresholds",
    "cross_entropy",
    "decide",
    "f1_at_k",
    "f_beta",
    "hits",
    "macro_recall_at_k",
    "mean_accuracy",
    "mean_average_precision",
    "positive_ranks",
    "recall_at_k",
    "summarize",
]

KS = (1, 3, 5)
CATEGORY = "category"  # all_mean, all_1000 and macro50 leave this type out, where the schema has it
_NUM_TOP = 5  # classes an image that a Summary keeps
_FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Summary:
    """Every figure of one prediction. metrics: pooled over types, with `recall@k/all_mean`, `/all_1000` and `/macro50` beside
    `recall@k`. per_attribute: type -> the same without variants. per_class: type -> `recall@1`, `recall@3`, `f1@1` and, where
    it is defined, `f2` (NaN without positives) and `support` (positives), each (C,).

    arrays, T types in schema order and K = len(ks), for paired bootstraps: hits and num_predictions uint8 (N, T, K),
    num_positives uint8 (N, T), top_classes int16 (N, T, 5) with -1 beyond the last, top_scores float16 (N, T, 5), cross_entropy
    float32 (N, T) with NaN where undefined. Of each type that has them, `f2/<type>` and `f2@0.5/<type>`: the decisions behind that
    metric among known labels, eight classes a byte, uint8 (N, ceil(C / 8)) as numpy.packbits makes them."""

    metrics: dict[str, float]
    per_attribute: dict[str, dict[str, float]]
    per_class: dict[str, dict[str, np.ndarray]]
    arrays: dict[str, np.ndarray]


def recall_at_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """TP_k / G, micro: positives among the top k of their image / positives."""
    return ranking.recall([rank(scores, labels)], k)


def f1_at_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """2 TP_k / (k N + G), where N counts images without positives too and C < k predicts C."""
    return ranking.f1([rank(scores, labels)], k)


def accuracy_at_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """For an exclusive type: the share of images with their class in the top k, among those whose class is known."""
    return ranking.accuracy([rank(scores, labels)], k)


def macro_recall_at_k(scores: np.ndarray, labels: np.ndarray, k: int, best: int = 50) -> float:
    """Mean of the best so many per-class recalls @k (mmfashion)."""
    return ranking.macro_recall(rank(scores, labels), k, best)


def mean_accuracy(scores: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], schema: Schema) -> float:
    """Plain mean of accuracy@1 over the exclusive types with a known class anywhere (challenge26, Table 2)."""
    return mean([accuracy_at_k(scores[kind.name], labels[kind.name], 1) for kind in schema if kind.exclusive])


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log softmax(scores)[class] in nats, float32 (N,), of an exclusive type; scores are logits. NaN unless exactly one class is
    positive, inf where its logit is -inf. Raises ValueError for a logit of +inf."""
    check_scores(scores, labels)
    if scores.size and scores.max() == np.inf:
        raise ValueError("a logit is +inf, so the cross-entropy is undefined")
    positive = labels == POSITIVE
    known = positive.sum(axis=1) == 1
    own = np.where(known, scores[np.arange(len(scores)), positive.argmax(axis=1)], np.nan).astype(np.float64)
    result = np.where(own == -np.inf, np.inf, np.nan).astype(np.float32)
    rows = np.flatnonzero(own > -np.inf)
    logits = scores[rows].astype(np.float64) - scores[rows].max(axis=1, keepdims=True)
    result[rows] = np.log(np.exp(logits).sum(axis=1)) + scores[rows].max(axis=1) - own[rows]
    return result


def summarize(
    scores: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    schema: Schema,
    *,
    logits: bool,
    thresholds: Mapping[str, np.ndarray] | None = None,
    ks: Sequence[int] = KS,
) -> Summary:
    """All metrics of one prediction; undefined and infinite ones are left out.

    scores, labels: type -> (N, C), for every type of the schema. logits: whether the scores are logits, for cross_entropy.
    thresholds: type -> (C,) for f2, which is over the classes of the types that are not exclusive; `f2@0.5` is the same where the
    sigmoid of a logit is at least .5, whatever the thresholds. Raises ValueError naming the type whose arrays are absent, do not fit or
    hold a NaN or +inf."""
    parts: dict[str, _Part] = {}
    for kind in schema:
        if kind.name not in scores or kind.name not in labels:
            raise ValueError(f"type {kind.name!r}: no {'scores' if kind.name not in scores else 'labels'}")
        if scores[kind.name].shape[-1:] != (len(kind.classes),):
            raise ValueError(f"type {kind.name!r}: scores {scores[kind.name].shape}, expected (images, {len(kind.classes)})")
        limits = None if kind.exclusive or thresholds is None else thresholds.get(kind.name)
        try:
            parts[kind.name] = _part(scores[kind.name], labels[kind.name], kind.exclusive, logits, limits)
        except ValueError as wrong:
            raise ValueError(f"type {kind.name!r}: {wrong}") from wrong
    tops = [ranking.top_classes(scores[name], _NUM_TOP) for name in parts]
    per_attribute = {name: _defined(_figures([part], ks)) for name, part in parts.items()}
    pooled = _defined(_figures(list(parts.values()), ks)) if len(parts) > 1 else next(iter(per_attribute.values()))
    return Summary(
        metrics=pooled | _defined(_variants(scores, labels, parts, ks)),
        per_attribute=per_attribute,
        per_class={name: _per_class(part, top) for (name, part), top in zip(parts.items(), tops, strict=True)},
        arrays=_arrays(scores, parts, tops, ks),
    )


@dataclass(frozen=True)
class _Part:
    """What the figures of one type are made of. precisions, f2s, even_f2s (at a probability of .5): (C,) or empty.
    cross_entropy: (N,), NaN where undefined. decisions: packed, for each F2 that there is."""

    ranking: Ranking
    exclusive: bool
    precisions: np.ndarray
    f2s: np.ndarray
    even_f2s: np.ndarray
    cross_entropy: np.ndarray
    decisions: dict[str, np.ndarray]


def _part(scores: np.ndarray, labels: np.ndarray, exclusive: bool, logits: bool, thresholds: np.ndarray | None) -> _Part:
    decisions = {} if thresholds is None else {"f2": decide(scores, thresholds)}
    if logits and not exclusive:
        decisions["f2@0.5"] = decide(scores, np.zeros(scores.shape[1]))
    f2s = {name: f_betas(labels, decided, beta=2.0) for name, decided in decisions.items()}
    return _Part(
        rank(scores, labels),
        exclusive,
        average_precisions(scores, labels),
        f2s.get("f2", np.empty(0)),
        f2s.get("f2@0.5", np.empty(0)),
        cross_entropy(scores, labels) if exclusive and logits else np.full(len(scores), np.nan, dtype=np.float32),
        {name: np.packbits(decided & (labels != UNKNOWN), axis=1) for name, decided in decisions.items()},
    )


def _figures(parts: Sequence[_Part], ks: Sequence[int]) -> dict[str, float]:
    """The metrics of one type, or pooled over several."""
    rankings, exclusive = [part.ranking for part in parts], [part.ranking for part in parts if part.exclusive]
    return {
        **{f"recall@{k}": ranking.recall(rankings, k) for k in ks},
        **{f"f1@{k}": ranking.f1(rankings, k) for k in ks},
        **{f"accuracy@{k}": ranking.accuracy(exclusive, k) for k in ks if k in (1, 5)},
        "map": mean(np.concatenate([part.precisions for part in parts])),
        "cross_entropy": mean(np.concatenate([part.cross_entropy for part in parts])),
        "mean_accuracy": mean([ranking.accuracy([one], 1) for one in exclusive]),
        "f2": mean(np.concatenate([part.f2s for part in parts])),
        "f2@0.5": mean(np.concatenate([part.even_f2s for part in parts])),
    }


def _variants(
    scores: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], parts: Mapping[str, _Part], ks: Sequence[int]
) -> dict[str, float]:
    """The other meanings of "All" in print: the plain mean over types (Liu & Lu), the top k over all attributes (Corbière, 1000 of
    them), and that per class over the 50 best classes (mmfashion). The category takes no part, where there is another type."""
    names = [name for name in parts if name != CATEGORY] or list(parts)
    whole = parts[names[0]].ranking
    if len(names) > 1:
        whole = rank(np.concatenate([scores[name] for name in names], axis=1), np.concatenate([labels[name] for name in names], axis=1))
    found = {}
    for k in ks:
        found[f"recall@{k}/all_mean"] = mean([ranking.recall([parts[name].ranking], k) for name in names])
        found[f"recall@{k}/all_1000"] = ranking.recall([whole], k)
        found[f"recall@{k}/macro50"] = ranking.macro_recall(whole, k)
    return found


def _per_class(part: _Part, top: np.ndarray) -> dict[str, np.ndarray]:
    """The figures of each class of a type, (C,). top: int16 (N, 5), its best classes."""
    one = part.ranking
    recalls, support = one.class_recalls(1)
    predicted = np.bincount(top[:, 0][top[:, 0] >= 0], minlength=one.num_classes)
    hits = np.where(support > 0, recalls * support, 0.0)
    f1 = np.where(support > 0, 2 * hits / np.maximum(predicted + support, 1), np.nan)
    found = {"recall@1": recalls, "recall@3": one.class_recalls(3)[0], "f1@1": f1, "support": support}
    return found | ({"f2": part.f2s} if len(part.f2s) else {})


def _arrays(
    scores: Mapping[str, np.ndarray], parts: Mapping[str, _Part], tops: Sequence[np.ndarray], ks: Sequence[int]
) -> dict[str, np.ndarray]:
    rankings = [part.ranking for part in parts.values()]
    return {
        "hits": np.stack([np.stack([one.hits(k) for k in ks], axis=1) for one in rankings], axis=1).astype(np.uint8),
        "num_predictions": np.stack([np.stack([one.num_predictions(k) for k in ks], axis=1) for one in rankings], axis=1).astype(np.uint8),
        "num_positives": np.stack([_uint8(one.num_positives) for one in rankings], axis=1),
        "top_classes": np.stack(tops, axis=1),
        "top_scores": np.stack([_top_scores(scores[name], top) for name, top in zip(parts, tops, strict=True)], axis=1),
        "cross_entropy": np.stack([part.cross_entropy for part in parts.values()], axis=1),
        **{f"{metric}/{name}": packed for name, part in parts.items() for metric, packed in part.decisions.items()},
    }


def _uint8(counts: np.ndarray) -> np.ndarray:
    if counts.size and counts.max() > 255:
        raise ValueError(f"an image has {counts.max()} positives in one type, and at most 255 fit into a summary")
    return counts.astype(np.uint8)


def _top_scores(scores: np.ndarray, top: np.ndarray) -> np.ndarray:
    """float16 (N, 5), kept finite; -inf beyond the last class."""
    values = np.take_along_axis(scores, np.maximum(top, 0).astype(np.intp), axis=1).clip(-_FLOAT16_MAX, _FLOAT16_MAX)
    return np.where(top >= 0, values, -np.inf).astype(np.float16)


def _defined(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if np.isfinite(value)}
