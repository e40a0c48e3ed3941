"""Nearest neighbours of every image among all of them, by tiles of the product of all features with all.

Where the processor multiplies bfloat16 numbers, they choose candidates in half the time; those are compared by exact products, and a row
counts only where no other image can be nearer, given how far rounding can reach. All other rows are looked at in full."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional

_GROUPS_OF = 16  # columns whose maximum decides whether they are looked at one by one
_TILE = 1024  # rows of the product held at once
_CANDIDATES = 2  # for each neighbour
_MIN_NODES, _MIN_DIM = 4096, 256  # below, rounding gains nothing


def nearest_neighbors(features: Tensor, k: int, *, tile: int = _TILE, rounded: bool | None = None) -> tuple[Tensor, Tensor]:
    """Exact neighbours of largest cosine, itself left out by identity: a twin of an image is a neighbour like any other.

    features: (N, D). Returns int64 and float32 (N, min(k, N - 1)), nearest first. tile: rows of the (N, N) product held at once.
    rounded: choose candidates by bfloat16 products; None: where images and D are many and the processor has them. Raises ValueError
    if k < 1."""
    if k < 1:
        raise ValueError(f"nearest_neighbors: k is {k}; expected >= 1")
    unit = functional.normalize(features.detach().float(), dim=1)
    num = len(unit)
    k = min(k, num - 1)
    if k < 1:
        return unit.new_empty(num, 0, dtype=torch.int64), unit.new_empty(num, 0)
    if rounded is None:
        rounded = num >= _MIN_NODES and unit.shape[1] >= _MIN_DIM and unit.device.type == "cpu" and _multiplies_bfloat16()
    tiles = torch.arange(num, device=unit.device).split(tile)
    search = _Rounded(unit, k, tile) if rounded else _Exact(unit, k, tile)
    values, index = (torch.cat(pieces) for pieces in zip(*map(search.neighbors, tiles), strict=True))
    return index, values


class _Exact:
    """Neighbours by float32 products."""

    def __init__(self, unit: Tensor, k: int, tile: int) -> None:
        self.unit, self.k = unit, k
        self.cosines = _room(unit, tile)

    def neighbors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and indices of the neighbours of some rows, (R, k) each."""
        return _top(_product(self.unit, rows, self.cosines), self.k)


class _Rounded:
    """The same by bfloat16 products, each row proved or looked at in full."""

    def __init__(self, unit: Tensor, k: int, tile: int) -> None:
        self.unit, self.k = unit, k
        self.half = unit.bfloat16()
        self.cosines = _room(self.half, tile)
        self.lost = (unit - self.half.float()).norm(dim=1)  # (N,): how far rounding has moved each vector
        self.num_candidates = min(_CANDIDATES * k, len(unit) - 1)

    def neighbors(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and indices of the neighbours of some rows, (R, k) each."""
        rough, candidates = _top(_product(self.half, rows, self.cosines), self.num_candidates)
        candidates = candidates.sort(dim=1).values
        found = self._cosines(rows, candidates).topk(self.k, dim=1)
        values, index = found.values, candidates.gather(1, found.indices)
        if self.num_candidates < len(self.unit) - 1:
            doubtful = (values[:, -1] < self._most_elsewhere(rows, rough.amin(dim=1).float())).nonzero()[:, 0]
            if len(doubtful):
                exact = _Exact(self.unit, self.k, len(doubtful)).neighbors(rows[doubtful])
                values[doubtful], index[doubtful] = exact
        return values, index

    def _cosines(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Exact products of each row with its own candidates, which are sorted: (R, M)."""
        count = candidates.shape[1]
        offsets = torch.arange(0, candidates.numel() + 1, count)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls its sparse tensors a beta
            empty = torch.zeros(candidates.numel())
            wanted = torch.sparse_csr_tensor(offsets, candidates.flatten(), empty, size=(len(rows), len(self.unit)), check_invariants=False)
            return torch.sparse.sampled_addmm(wanted, self.unit[rows], self.unit.T, beta=0.0).values().view(-1, count)

    def _most_elsewhere(self, rows: Tensor, least: Tensor) -> Tensor:
        """What the cosine of an image that is no candidate can be at most, (R,). least: the smallest rounded product among candidates.

        Each vector has moved by `lost`, sums of D products add D 2^-23, and the result was rounded to eight digits."""
        moved = self.lost[rows] + (1 + self.lost[rows]) * self.lost.max()
        return least + least.abs() * 2**-8 + moved + self.unit.shape[1] * 2**-23


def _multiplies_bfloat16() -> bool:
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkl.is_available() and supported is not None and bool(supported())


def _room(unit: Tensor, tile: int) -> Tensor:
    """For the products of a tile of rows with all, padded so that columns make whole groups."""
    return unit.new_full((min(tile, len(unit)), -(-len(unit) // _GROUPS_OF) * _GROUPS_OF), -torch.inf)


def _product(unit: Tensor, rows: Tensor, room: Tensor) -> Tensor:
    """Cosines of some rows with all, -inf with themselves."""
    part = room[: len(rows)]
    torch.mm(unit[rows], unit.T, out=part[:, : len(unit)])
    part[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
    return part


def _top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """topk along rows whose length is a multiple of the group size: at most k groups have a maximum as large as the k-th value, so
    only the columns of those are compared one by one."""
    num_rows, num_columns = values.shape
    num_groups = num_columns // _GROUPS_OF
    if num_groups <= 4 * k:
        found = values.topk(k, dim=1)
        return found.values, found.indices
    grouped = values.view(num_rows, _GROUPS_OF, num_groups)
    groups = grouped.amax(dim=1).topk(k, dim=1, sorted=False).indices  # (rows, k)
    candidates = grouped.gather(2, groups[:, None].expand(-1, _GROUPS_OF, -1)).flatten(1)  # (rows, group size * k)
    found = candidates.topk(k, dim=1)
    return found.values, found.indices // k * num_groups + groups.gather(1, found.indices % k)
