"""Votes of neighbours against a slow loop, unknown labels, and saved memories."""

import math

import numpy as np
import pytest
import torch

from methods.parts.neighbor_vote import NeighborVote

SIZES = {"kind": 3, "marks": 2}
EXCLUSIVE = frozenset({"kind"})


def memory(num=30, seed=0):
    rng = np.random.default_rng(seed)
    kinds = np.eye(3, dtype=np.int8)[rng.integers(3, size=num)]
    kinds[rng.random(num) < 0.3] = -1
    marks = rng.choice(np.array([1, 0, -1], dtype=np.int8), size=(num, 2))
    return torch.from_numpy(rng.normal(size=(num, 5))).float(), {"kind": torch.from_numpy(kinds), "marks": torch.from_numpy(marks)}


def vote(k=7, prior_weight=0.1, **options):
    return NeighborVote(5, SIZES, EXCLUSIVE, k=k, temperature=0.2, prior_weight=prior_weight, **options)


def slow(query, features, labels, k, prior_weight):
    """Probabilities of kind and of marks for one image."""
    cosine = [float(query @ row) / math.sqrt(float(query @ query) * float(row @ row)) for row in features]
    nearest = sorted(range(len(cosine)), key=lambda row: -cosine[row])[:k]
    weight = {row: math.exp((cosine[row] - cosine[nearest[0]]) / 0.2) for row in nearest}
    kinds, marks = labels["kind"].tolist(), labels["marks"].tolist()
    counts = [sum(row[c] == 1 for row in kinds) for c in range(3)]
    top = [sum(weight[row] * (kinds[row][c] == 1) for row in nearest) + prior_weight * counts[c] / sum(counts) for c in range(3)]
    whole = sum(weight[row] * (1 in kinds[row]) for row in nearest) + prior_weight
    shares = []
    for c in range(2):
        column = [row[c] for row in marks]
        prior = (column.count(1) + 0.5) / (column.count(1) + column.count(0) + 1)
        yes = sum(weight[row] * (marks[row][c] == 1) for row in nearest) + prior_weight * prior
        shares.append(yes / (sum(weight[row] * (marks[row][c] >= 0) for row in nearest) + prior_weight))
    return [value / whole for value in top], shares


def test_against_the_loop():
    features, labels = memory()
    network = vote()
    network.remember(features, labels)
    queries = memory(6, seed=1)[0]
    found = network(queries)
    for place, query in enumerate(queries):
        kinds, marks = slow(query.double(), features.double(), labels, 7, 0.1)
        torch.testing.assert_close(found["kind"][place].exp(), torch.tensor(kinds), rtol=1e-4, atol=2e-4)
        torch.testing.assert_close(found["marks"][place].sigmoid(), torch.tensor(marks), rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(found["kind"].exp().sum(dim=1), torch.ones(6), rtol=0, atol=5e-4)


def test_where_no_neighbor_is_known_the_shares_of_all_decide():
    features, labels = memory()
    labels["kind"][:] = -1
    labels["kind"][5] = torch.tensor([0, 1, 0])
    network = vote(k=1)
    network.remember(features, labels)
    away = int((features @ features[5] / features.norm(dim=1)).argmin())
    scores = network(features[away : away + 1])["kind"][0]
    assert scores.argmax() == 1
    assert bool(scores.isfinite().all())


def test_a_memory_is_as_large_as_the_saved_one():
    network, fresh = vote(), vote()
    network.remember(*memory())
    fresh.load_state_dict(network.state_dict())
    queries = memory(4, seed=2)[0]
    first, second = network(queries), fresh(queries)
    assert all(torch.equal(first[name], second[name]) for name in SIZES)


def test_fewer_images_than_neighbors():
    network = vote(k=50)
    network.remember(*memory(4))
    assert network(memory(2, seed=3)[0])["kind"].shape == (2, 3)


def test_an_empty_memory_is_refused():
    with pytest.raises(ValueError, match="no labelled image"):
        vote().remember(torch.zeros(0, 5), {name: torch.zeros(0, size, dtype=torch.int8) for name, size in SIZES.items()})
