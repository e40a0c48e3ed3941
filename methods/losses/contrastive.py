"""NT-Xent, the contrastive loss of SimCLR (Chen et al., ICML 2020), in memory that grows with the batch and not with its square."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LEAST_TEMPERATURE = 0.025  # exp(-2 / temperature) is still a float32 there
_TILE = {"cpu": 512}  # rows and columns of a tile: it stays in a core's cache
_TILE_ON_DEVICES = 4096


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.5, *, log_of_mean: bool = False) -> Tensor:
    """Sec. 3.1 of the Naver report: the mean over all 2N views of -log(exp(sim(z_i, z_j) / t) / sum over k != i of exp(sim(z_i, z_k) / t)).

    first, second: (N, D), two views of the same images in the same order; they need not be normalised. temperature: t >= 0.025.
    log_of_mean: -log of the mean ratio in place of the mean of -log. Returns a scalar, in nats.
    Raises ValueError if the shapes differ, N < 1 or the temperature is too small."""
    if first.shape != second.shape or first.ndim != 2 or not len(first):
        raise ValueError(f"first is {tuple(first.shape)} and second is {tuple(second.shape)}; expected the same (N, D) with N >= 1")
    if temperature < LEAST_TEMPERATURE:
        raise ValueError(f"nt_xent: temperature is {temperature}; expected >= {LEAST_TEMPERATURE}")
    with torch.autocast(first.device.type, enabled=False):
        unit = functional.normalize(torch.cat([first, second]).to(torch.promote_types(first.dtype, torch.float32)), dim=1)
        partner = torch.linalg.vecdot(*unit.chunk(2)).repeat(2)  # (2N,)
        log_ratios = partner / temperature - _LogPartition.apply(unit, temperature)  # type: ignore[no-untyped-call]
        loss: Tensor = -log_ratios.exp().mean().log() if log_of_mean else -log_ratios.mean()
        return loss


class _LogPartition(torch.autograd.Function):
    """log sum over k != i of exp(<u_i, u_k> / t) for unit vectors u: (M, D) -> (M,).

    The product is symmetric, so that only tiles on and above the diagonal are computed, once forward and once backward; none is kept.
    Unit vectors bound it by 1 / t, which takes the place of a row's maximum."""

    @staticmethod
    def forward(ctx: Any, unit: Tensor, temperature: float) -> Tensor:
        scaled = unit * temperature**-0.5
        sums = unit.new_zeros(len(unit))
        for rows, columns, tile in _tiles(scaled, 1.0 / temperature):
            sums[rows] += tile.sum(dim=1)
            if rows != columns:
                sums[columns] += tile.sum(dim=0)
        ctx.save_for_backward(scaled, sums)
        ctx.temperature = temperature
        return sums.log() + 1.0 / temperature

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        scaled, sums = ctx.saved_tensors
        shares = gradient / sums
        found = torch.zeros_like(scaled)
        for rows, columns, tile in _tiles(scaled, 1.0 / ctx.temperature):
            tile *= shares[rows, None] + shares[columns]  # d/du_i of row i's sum and of row k's
            found[rows].addmm_(tile, scaled[columns])
            if rows != columns:
                found[columns].addmm_(tile.T, scaled[rows])
        return found * ctx.temperature**-0.5, None


def _tiles(scaled: Tensor, bound: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """(rows, columns, exp(scaled[rows] @ scaled[columns].T - bound)), each pair of blocks once; zero on the diagonal.
    A tile may be changed in place and lasts until the next one."""
    size = min(_TILE.get(scaled.device.type, _TILE_ON_DEVICES), len(scaled))
    memory = scaled.new_empty(size * size)
    blocks = [slice(start, min(start + size, len(scaled))) for start in range(0, len(scaled), size)]
    for index, rows in enumerate(blocks):
        for columns in blocks[index:]:
            shape = rows.stop - rows.start, columns.stop - columns.start
            tile = memory[: shape[0] * shape[1]].view(shape)
            torch.mm(scaled[rows], scaled[columns].T, out=tile)
            tile.sub_(bound).exp_()
            if rows == columns:
                tile.fill_diagonal_(0.0)
            yield rows, columns, tile
