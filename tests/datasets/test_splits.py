import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets._splits import label_ranking, label_set, num_shown, unlabeled_pool

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)


def random_labels(seed: int, num_rows: int, num_classes: int, density: float) -> dict[str, np.ndarray]:
    """An exclusive type and a long-tailed multi-label type with unknowns."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, num_classes + 1)
    category = rng.choice(num_classes, num_rows, p=share / share.sum())
    style = np.where(rng.random((num_rows, num_classes)) < density * share, 1, rng.integers(-1, 1, (num_rows, num_classes)))
    return {"category": (category[:, None] == np.arange(num_classes)).astype(np.int8), "style": style.astype(np.int8)}


cases = st.builds(
    random_labels, st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 12), st.floats(0, 1)
)  # also rows without any label, classes without any row


@given(cases, st.integers(-3, 10**9))
def test_ranking_holds_every_row_once(labels, seed):
    ranking = label_ranking(labels, seed)
    assert ranking.dtype == np.int64
    assert np.array_equal(np.sort(ranking), np.arange(len(labels["category"])))


@given(cases, st.integers(0, 99))
def test_label_sets_are_nested_ascending_and_of_the_size_asked_for(labels, seed):
    num_rows, smaller = len(labels["category"]), set()
    for fraction in FRACTIONS:
        rows = label_set(labels, fraction, seed)
        assert np.all(np.diff(rows) > 0)
        assert len(rows) == max(1, int(fraction * num_rows + 0.5))
        assert smaller <= set(rows.tolist())
        smaller = set(rows.tolist())
    assert smaller == set(range(num_rows))


@given(cases, st.integers(0, 99))
def test_every_class_is_shown_as_early_as_can_be(labels, seed):
    positive = np.concatenate([values == 1 for values in labels.values()], axis=1)
    first = label_ranking(labels, seed)[: positive.any(0).sum()]
    assert np.array_equal(positive[first].any(0), positive.any(0))


@given(cases, st.integers(0, 99), st.sampled_from(FRACTIONS))
def test_every_class_keeps_its_share(labels, seed, fraction):
    positive = np.concatenate([values == 1 for values in labels.values()], axis=1)
    counts = positive[label_set(labels, fraction, seed)].sum(0)
    slack = 4 + positive.any(0).sum() * fraction  # rows moved ahead so that each class is shown push others back
    assert np.all(np.abs(counts - fraction * positive.sum(0)) <= slack)


def test_shares_are_closer_than_a_random_draw():
    labels = random_labels(0, 4000, 60, 0.5)
    positive = np.concatenate([values == 1 for values in labels.values()], axis=1)
    rng = np.random.default_rng(0)

    def error(rows: np.ndarray) -> float:
        return float(np.abs(positive[rows].sum(0) - len(rows) / 4000 * positive.sum(0)).mean())

    for fraction in (0.1, 0.25, 0.5, 0.75):
        chance = np.mean([error(rng.permutation(4000)[: int(4000 * fraction)]) for _ in range(5)])
        assert error(label_set(labels, fraction, 0)) < chance / 2


def test_the_seed_decides():
    labels = random_labels(1, 300, 5, 0.3)
    assert np.array_equal(label_ranking(labels, 3), label_ranking(labels, 3))
    assert not np.array_equal(label_set(labels, 0.25, 3), label_set(labels, 0.25, 4))


def test_unknown_and_negative_labels_do_not_move_a_row():
    labels = random_labels(2, 200, 5, 0.3)
    swapped = {name: np.where(values == 1, 1, -1 - values).astype(np.int8) for name, values in labels.items()}
    assert np.array_equal(label_ranking(labels, 0), label_ranking(swapped, 0))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fractions_outside_are_refused(fraction):
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        num_shown(fraction, 10)


@pytest.mark.parametrize(
    ("multiple", "outside", "extra"),
    [(0, 0, 0), (0.3, 3, 0), (0.75, 8, 0), (0.8, 8, 0), (1, 8, 2), (1.2, 8, 4), (4, 8, 7), (float("inf"), 8, 7)],
)
def test_pool_takes_train_first_then_the_unlabelled_split(multiple, outside, extra):
    ranking = np.array([3, 1, 9, 0, 2, 4, 5, 6, 7, 8])
    rows, more = unlabeled_pool(ranking, 2, 7, multiple)
    assert rows.tolist() == sorted(ranking[2 : 2 + outside].tolist())
    assert more.tolist() == list(range(extra))


def test_pool_is_empty_at_full_labels_without_extra_images():
    rows, more = unlabeled_pool(np.arange(5), 5, 0, 4)
    assert (len(rows), len(more)) == (0, 0)


@pytest.mark.parametrize("multiple", [-1, float("nan")])
def test_negative_pools_are_refused(multiple):
    with pytest.raises(ValueError, match="expected 0 or more"):
        unlabeled_pool(np.arange(5), 1, 0, multiple)


@pytest.mark.slow
def test_a_data_set_of_official_size_is_ranked_in_seconds():
    rng = np.random.default_rng(0)
    labels = {"attributes": (rng.random((209222, 1000), dtype=np.float32) < 0.0033).astype(np.int8)}
    started = time.perf_counter()
    label_ranking(labels, 0)
    assert time.perf_counter() - started < 30
