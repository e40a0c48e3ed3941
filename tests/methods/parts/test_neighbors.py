"""Neighbours by products of full and of rounded features, against a full sort."""

import pytest
import torch
from torch.nn import functional

from methods.parts import neighbors
from methods.parts.neighbors import nearest_neighbors


def features(num, dim=8, classes=4, seed=0):
    """Rows around a centre for each class."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(classes, dim, generator=generator)
    return 1.5 * centers[torch.arange(num) % classes] + torch.randn(num, dim, generator=generator)


def full_sort(rows, k):
    unit = functional.normalize(rows, dim=1)
    values, index = (unit @ unit.T).fill_diagonal_(-torch.inf).sort(dim=1, descending=True)
    return index[:, :k], values[:, :k]


@pytest.mark.parametrize("tile", [7, 64, 1024])
@pytest.mark.parametrize(("num", "k"), [(50, 5), (600, 3), (600, 9)])
def test_neighbours_are_those_of_a_full_sort(num, k, tile):
    rows = features(num)
    index, cosines = nearest_neighbors(rows, k, tile=tile)
    expected, values = full_sort(rows, k)
    torch.testing.assert_close(cosines, values)
    assert torch.equal(index, expected)


def test_many_columns_take_the_way_by_groups():
    """Enough columns that group maxima decide, with the largest values crowded into one group."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(5, 4000, generator=generator)
    values[0, ::250] += 1.0  # one column a group and step
    values[1, 17 + 250 * torch.arange(16)] += 1.0  # all in group 17
    found, index = neighbors._top(values, 20)
    expected = values.topk(20, dim=1)
    assert torch.equal(found, expected.values)
    assert torch.equal(index, expected.indices)


def test_an_image_is_left_out_by_identity_and_its_twin_is_not():
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    index, cosines = nearest_neighbors(rows, 2)
    for node, others in enumerate(index.tolist()):
        assert node not in others
    assert [set(others) for others in index[:3].tolist()] == [{1, 2}, {0, 2}, {0, 1}]
    assert cosines[:3].tolist() == [[1.0, 1.0]] * 3


def test_fewer_images_than_neighbours():
    assert nearest_neighbors(torch.eye(3), 50)[0].shape == (3, 2)
    with pytest.raises(ValueError, match="k is 0; expected >= 1"):
        nearest_neighbors(torch.eye(3), 0)


@pytest.mark.parametrize("tile", [100, 1024])
@pytest.mark.parametrize(("num", "dim", "k"), [(700, 64, 9), (700, 16, 400), (7, 16, 50)])
def test_rounded_products_find_the_same_neighbours(num, dim, k, tile):
    rows = features(num, dim)
    index, cosines = nearest_neighbors(rows, k, tile=tile, rounded=True)
    expected, values = full_sort(rows, min(k, num - 1))
    torch.testing.assert_close(cosines, values)
    swapped = index != expected  # only among equals, to the last digit
    unit = functional.normalize(rows, dim=1)
    chosen = (unit[:, None] * unit[index]).sum(dim=2)
    torch.testing.assert_close(chosen[swapped], values[swapped], rtol=0, atol=1e-6)


def test_rows_whose_neighbours_rounding_could_have_hidden_are_looked_at_in_full(monkeypatch):
    """Images so alike that bfloat16 cannot tell any two apart."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.ones(300, 32) + 1e-3 * torch.randn(300, 32, generator=generator)
    looked_at = []
    exact = neighbors._Exact.neighbors

    def counted(self, chosen):
        looked_at.append(len(chosen))
        return exact(self, chosen)

    monkeypatch.setattr(neighbors._Exact, "neighbors", counted)
    _, cosines = nearest_neighbors(rows, 5, rounded=True)
    assert sum(looked_at) == 300
    torch.testing.assert_close(cosines, full_sort(rows, 5)[1])


def test_the_bound_holds_for_every_image_that_is_no_candidate():
    rows = functional.normalize(features(500, 48), dim=1)
    search = neighbors._Rounded(rows, 3, 500)
    everyone = torch.arange(500)
    rough, candidates = neighbors._top(neighbors._product(search.half, everyone, search.cosines), search.num_candidates)
    others = (rows @ rows.T).fill_diagonal_(-torch.inf).scatter(1, candidates, -torch.inf)
    assert (others.amax(dim=1) <= search._most_elsewhere(everyone, rough.amin(dim=1).float())).all()
