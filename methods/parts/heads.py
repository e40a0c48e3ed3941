"""Linear outputs for several attribute types at once."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class TypeHeads(nn.Module):
    """One linear layer for each attribute type: (B, num_features) -> type -> (B, size). sizes: type -> number of outputs.

    The layers lie in one matrix, type after type; a layer's initial values depend on num_features alone, so this is the same as
    separate ones."""

    def __init__(self, num_features: int, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        self.linear = nn.Linear(num_features, sum(self.sizes.values()))

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        outputs = self.linear(features).split(list(self.sizes.values()), dim=-1)
        return dict(zip(self.sizes, outputs, strict=True))
