"""Neighbours, the graph and what spreads over it, against dense float64 algebra and by hand."""

import math

import numpy as np
import pytest
import torch

from methods.parts.propagation import (
    NO_LABEL,
    Graph,
    balanced_weights,
    diffuse,
    neighbor_graph,
    propagate,
    propagate_binary,
)


def features(num, dim=8, classes=4, seed=0):
    """Rows around a centre for each class, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % classes
    centers = torch.randn(classes, dim, generator=generator)
    return 1.5 * centers[labels] + torch.randn(num, dim, generator=generator), labels


def dense(graph, dtype=torch.float64):
    matrix = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=dtype)
    rows = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.offsets.diff())
    matrix[rows, graph.neighbors] = graph.weights.to(dtype)
    return matrix


def seeds(labels, per_class=3):
    found = torch.full_like(labels, NO_LABEL)
    for name in labels.unique():
        chosen = (labels == name).nonzero().flatten()[:per_class]
        found[chosen] = name
    return found


def test_one_image_and_none():
    for num in (0, 1):
        graph = neighbor_graph(torch.ones(num, 4), 50)
        assert graph.num_nodes == num
        assert len(graph.neighbors) == 0
        labels = torch.zeros(num, dtype=torch.int64)
        assert propagate(graph, labels, 2).classes.tolist() == [0] * num


def test_the_graph_is_the_normalised_one_of_the_paper():
    rows, _ = features(40, dim=3)
    graph, k = neighbor_graph(rows, 4), 4
    unit = torch.nn.functional.normalize(rows, dim=1).double()
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    one_way = torch.zeros(40, 40, dtype=torch.float64)
    for node in range(40):
        for other in cosines[node].topk(k).indices:
            one_way[node, other] = max(0.0, cosines[node, other].item()) ** 3
    both = one_way + one_way.T
    scale = both.sum(dim=1).rsqrt()
    torch.testing.assert_close(dense(graph), scale[:, None] * both * scale, rtol=1e-5, atol=1e-6)
    assert bool((graph.offsets.diff() >= k).all())


def test_negative_cosines_and_zero_rows_have_no_weight():
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    graph = neighbor_graph(rows, 2)
    assert not graph.weights.any()
    assert bool(graph.weights.isfinite().all())


def test_products_are_those_of_the_matrix():
    graph = neighbor_graph(features(60)[0], 5)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        vectors = torch.randn(60, 7, dtype=dtype)
        torch.testing.assert_close(graph.times(vectors), dense(graph, dtype) @ vectors, rtol=tolerance, atol=tolerance)


def test_fifty_iterations_are_the_dense_solution_on_2000_nodes():
    rows, labels = features(2000, dim=16, classes=10)
    graph = neighbor_graph(rows, 50)
    known = seeds(labels, 4)
    sources = torch.zeros(2000, 10, dtype=torch.float64)
    sources[known >= 0, known[known >= 0]] = 0.25
    matrix = torch.eye(2000, dtype=torch.float64) - 0.99 * dense(graph)
    expected = torch.linalg.solve(matrix, sources)
    at_50 = (diffuse(graph, sources, iterations=50, tolerance=0.0) - expected).abs().max().item()
    at_20 = (diffuse(graph, sources, iterations=20) - expected).abs().max().item()
    assert at_50 <= 1e-6
    assert at_20 > 10 * at_50  # the number of iterations is part of the method
    single = diffuse(graph, sources.float(), iterations=50, tolerance=0.0)
    assert (single.double() - expected).abs().max().item() <= 1e-5


def test_all_at_once_is_one_by_one():
    rows, _ = features(300)
    graph = neighbor_graph(rows, 8)
    sources = torch.rand(300, 70, dtype=torch.float64) * (torch.rand(300, 70) < 0.05)
    together = diffuse(graph, sources)
    for column in (0, 31, 32, 69):
        torch.testing.assert_close(together[:, [column]], diffuse(graph, sources[:, [column]]))


def test_it_does_what_scipy_does_in_as_many_iterations():
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.linalg import cg

    graph = neighbor_graph(features(500)[0], 10)
    parts = [tensor.numpy() for tensor in (graph.weights.double(), graph.neighbors, graph.offsets)]
    matrix = eye_array(500, format="csr") - 0.99 * csr_array(tuple(parts), shape=(500, 500))
    source = np.zeros(500)
    source[:4] = 0.25
    for iterations in (1, 5, 20, 200):  # the last one converges before
        expected, _ = cg(matrix, source, rtol=1e-6, maxiter=iterations)
        found = diffuse(graph, torch.from_numpy(source)[:, None], iterations=iterations)
        np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-6, atol=1e-9)


def test_alpha_of_zero_leaves_the_sources():
    graph = neighbor_graph(features(30)[0], 3)
    sources = torch.rand(30, 3)
    torch.testing.assert_close(diffuse(graph, sources, alpha=0.0), sources)
    assert not diffuse(graph, torch.zeros(30, 2)).any()
    assert diffuse(graph, torch.zeros(30, 0)).shape == (30, 0)
    for options in ({"alpha": 1.0}, {"alpha": -0.1}, {"iterations": 0}):
        with pytest.raises(ValueError, match="expected alpha in"):
            diffuse(graph, sources, **options)


def test_pseudo_labels_against_the_loop():
    rows, labels = features(200, classes=4)
    graph, known = neighbor_graph(rows, 6), seeds(labels, 2)
    known[known == 3] = NO_LABEL  # a class without a label
    found = propagate(graph, known, 4, iterations=200)
    solution = torch.linalg.inv(torch.eye(200, dtype=torch.float64) - 0.99 * dense(graph))
    masses = torch.stack([solution @ ((known == name).double() / max(1, int((known == name).sum()))) for name in range(4)], dim=1)
    raw = []
    for node in range(200):
        shares = (masses[node] / masses[node].sum()).tolist()
        raw.append(1 + sum(p * math.log(p) for p in shares if p > 0) / math.log(4))
        if known[node] >= 0:
            assert found.classes[node] == known[node]
            assert found.weights[node] == 1.0
        else:
            assert found.classes[node] == int(masses[node].argmax())
    free = known < 0
    expected = torch.tensor(raw, dtype=torch.float64) / max(raw)
    torch.testing.assert_close(found.weights[free].double(), expected[free], rtol=2e-3, atol=2e-4)
    assert 3 not in found.classes
    counts = found.classes.bincount(minlength=4)
    torch.testing.assert_close(found.class_weights, torch.tensor([50.0 / int(count) if count else 1.0 for count in counts]))


def test_a_good_graph_gives_good_labels():
    rows, labels = features(400, dim=32)
    found = propagate(neighbor_graph(rows, 10), seeds(labels, 2), 4)
    assert (found.classes == labels).float().mean() > 0.95
    assert float(found.weights.max()) <= 1.0


def test_nodes_that_nothing_reaches_have_no_label_and_spoil_no_other():
    """Two islands and a lonely node: only the first island has labels."""
    rows = torch.tensor([[1.0, 0.1, 0.0], [1.0, 0.2, 0.0], [1.0, 0.3, 0.0], [-1.0, 0.0, 0.1], [-1.0, 0.0, 0.2], [0.0, 0.0, 0.0]])
    graph = neighbor_graph(rows, 1)
    found = propagate(graph, torch.tensor([0, NO_LABEL, 1, NO_LABEL, NO_LABEL, NO_LABEL]), 3)
    assert found.classes.tolist()[3:] == [NO_LABEL] * 3
    assert found.weights.tolist()[3:] == [0.0] * 3
    assert found.classes[1] >= 0
    assert bool(found.weights.isfinite().all())
    assert found.class_weights[2] == 1.0


def test_no_label_at_all():
    found = propagate(neighbor_graph(features(20)[0], 3), torch.full((20,), NO_LABEL), 4)
    assert found.classes.tolist() == [NO_LABEL] * 20
    assert found.weights.tolist() == [0.0] * 20
    assert found.class_weights.tolist() == [1.0] * 4


@pytest.mark.parametrize("wrong", [4, -2])
def test_labels_out_of_range(wrong):
    with pytest.raises(ValueError, match="expected -1 to 3"):
        propagate(neighbor_graph(features(20)[0], 3), torch.tensor([wrong] + [0] * 19), 4)


def test_balanced_weights_by_hand():
    weights = balanced_weights(torch.tensor([0, 0, 0, 1, NO_LABEL]), 3)
    torch.testing.assert_close(weights, torch.tensor([4 / 3 / 3, 4 / 3, 1.0]))


def test_classes_that_do_not_exclude_each_other():
    """A class follows one half of the clusters, another one has no negatives, a third one is unknown throughout."""
    rows, labels = features(300, dim=32)
    truth = labels < 2
    known = torch.full((300, 3), -1, dtype=torch.int8)
    known[:40, 0] = truth[:40].to(torch.int8)
    known[:40, 1] = 1
    chances, certainty = propagate_binary(neighbor_graph(rows, 10), known)
    assert ((chances[:, 0] > 0.5) == truth).float().mean() > 0.95
    assert torch.equal(chances[:40, 0], truth[:40].float())
    assert certainty[:40, :2].min() == 1.0
    assert 0.0 < certainty[40:, 0].mean() <= 1.0
    assert not certainty[40:, 1].any()
    assert not certainty[:, 2].any()
    assert bool(chances.isfinite().all())


def test_one_label_of_each_side_is_enough_and_certainty_is_what_entropy_leaves():
    rows, labels = features(120, dim=16)
    known = torch.full((120, 2), -1, dtype=torch.int8)
    known[0, 0], known[1, 0] = 1, 0
    known[:60, 1] = (labels[:60] == 0).to(torch.int8)
    chances, certainty = propagate_binary(neighbor_graph(rows, 10), known)
    entropy = -(chances.double().xlogy(chances.double()) + (1 - chances.double()).xlogy(1 - chances.double())) / math.log(2)
    unlabelled = known < 0
    torch.testing.assert_close(certainty[unlabelled].double(), (1 - entropy)[unlabelled], rtol=1e-3, atol=1e-4)
    assert certainty[unlabelled].min() < 0.05  # some cannot be told, and are not said to be
    assert (certainty[2:, 0] > 0).any()
    assert certainty[~unlabelled].min() == 1.0


def test_rare_positives_weigh_as_their_share_of_the_labels():
    """On a graph where all nodes are alike, the chance of an unlabelled node is the class's frequency."""
    num = 41
    offsets = torch.arange(num + 1) * (num - 1)
    neighbors = torch.cat([torch.cat([torch.arange(node), torch.arange(node + 1, num)]) for node in range(num)])
    graph = Graph(offsets, neighbors, torch.full((num * (num - 1),), 1.0 / (num - 1)))
    known = torch.full((num, 1), -1, dtype=torch.int8)
    known[:40] = 0
    known[:10] = 1
    chances, certainty = propagate_binary(graph, known, iterations=100)
    assert chances[40].item() == pytest.approx(0.25, abs=1e-3)
    entropy = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert certainty[40].item() == pytest.approx(1 - entropy, abs=2e-3)
