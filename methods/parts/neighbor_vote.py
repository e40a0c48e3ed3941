"""Votes of the nearest labelled images, with labels that may be unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST = 1e-4  # of a vote, the chance of a class that no neighbour carries


class NeighborVote(nn.Module):
    """The classes of the nearest remembered images: features (B, D) -> type -> log-odds or log-probabilities (B, C).

    A neighbour's vote weighs exp(cosine / temperature). In an exclusive type (in exclusive) the chance of a class is its share of the
    votes of those neighbours whose class is known, and its logarithm comes back; in another, the share of those neighbours that carry the
    class among those of whom that is known, as log-odds. prior_weight: how much the shares among all remembered images count beside the
    votes, as a part of one vote of the nearest image; they decide where no neighbour's label is known.

    What is remembered is kept in buffers whose length the saved weights decide."""

    features: Tensor
    labels: Tensor

    def __init__(
        self, num_features: int, sizes: Mapping[str, int], exclusive: frozenset[str], *, k: int, temperature: float, prior_weight: float
    ) -> None:
        super().__init__()
        self.sizes, self.exclusive = dict(sizes), exclusive
        self.k, self.temperature, self.prior_weight = k, temperature, prior_weight
        self.register_buffer("features", torch.zeros(0, num_features))
        self.register_buffer("labels", torch.zeros(0, sum(self.sizes.values()), dtype=torch.int8))

    def remember(self, features: Tensor, labels: Mapping[str, Tensor]) -> None:
        """Keeps features (N, D) and labels, type -> int8 (N, C). Raises ValueError where there are none."""
        if not len(features):
            raise ValueError("NeighborVote: there is no labelled image to remember")
        self.features = functional.normalize(features.float(), dim=1).to(self.features.device)
        self.labels = torch.cat([labels[name] for name in self.sizes], dim=1).to(self.labels.device)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        cosines = functional.normalize(features.float(), dim=1) @ self.features.T
        found = cosines.topk(min(self.k, self.features.shape[0]), dim=1)
        weights = ((found.values - found.values[:, :1]) / self.temperature).exp()  # (B, k), the nearest one's is 1
        sizes = list(self.sizes.values())
        parts = torch.split(self.labels[found.indices], sizes, dim=2)  # (B, k, C) each
        whole = torch.split(self.labels, sizes, dim=1)
        return {name: self._votes(name, weights, near, known) for name, near, known in zip(self.sizes, parts, whole, strict=True)}

    def _votes(self, name: str, weights: Tensor, near: Tensor, whole: Tensor) -> Tensor:
        positive = (near == 1).float()
        if name in self.exclusive:
            known = positive.amax(dim=2, keepdim=True)  # (B, k, 1): whose class is known
            prior = (whole == 1).float().sum(dim=0).clamp_min(0.5)
            prior = prior / prior.sum()
        else:
            known = (near >= 0).float()
            prior = ((whole == 1).float().sum(dim=0) + 0.5) / ((whole >= 0).float().sum(dim=0) + 1.0)
        for_class = torch.einsum("bk,bkc->bc", weights, positive) + self.prior_weight * prior
        all_votes = torch.einsum("bk,bkc->bc", weights, known.expand_as(positive)) + self.prior_weight
        chance = (for_class / all_votes.clamp_min(_LEAST)).clamp_max(1.0 - _LEAST).maximum(_LEAST * prior)
        return chance.log() if name in self.exclusive else chance.logit()

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *arguments: Any) -> None:
        """Makes room for as many images as the saved weights hold."""
        for name in ("features", "labels"):
            if (saved := state_dict.get(prefix + name)) is not None:
                own = getattr(self, name)
                setattr(self, name, own.new_zeros((len(saved), *own.shape[1:])))
        super()._load_from_state_dict(state_dict, prefix, *arguments)
