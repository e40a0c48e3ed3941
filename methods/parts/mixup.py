"""Mixtures of two images and of what they are to answer, a whole batch at once on its device: mixup, cutmix, and the probabilistic pseudo
mixup of Semi-ViT (Cai et al., NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

_CACHED = 2**18  # numbers that are mixed at a time
Targets = Mapping[str, Tensor]  # type -> shares of classes (B, C); a row of zeros asks nothing


class PseudoMixture(NamedTuple):
    """images: float32 (B, 3, H, W). targets: type -> (B, C). masks: type -> bool (B,), which of them count. shares: (B,), the part of each
    image that is its own."""

    images: Tensor
    targets: dict[str, Tensor]
    masks: dict[str, Tensor]
    shares: Tensor


def mix(images: Tensor, targets: Targets, *, mixup: float = 0.8, cutmix: float = 1.0, switch: float = 0.5) -> tuple[Tensor, Targets]:
    """mixup (Zhang et al., ICLR 2018) or cutmix (Yun et al., ICCV 2019) of each image with a random other one.

    images: (B, 3, H, W). targets: type -> (B, C), mixed in the same shares. mixup, cutmix: the α of the Beta distribution that shares are
    drawn from; 0 leaves that one out. switch: where there are both, the chance of cutmix. cutmix's box is cut off at the image's border,
    and the share is what is left of it. Draws from torch's global generator. Raises ValueError for a value below 0 or switch above 1."""
    if mixup < 0 or cutmix < 0 or not 0.0 <= switch <= 1.0:
        raise ValueError(f"mix: mixup is {mixup}, cutmix {cutmix} and switch {switch}; expected >= 0, >= 0 and a value in [0, 1]")
    if not mixup and not cutmix:
        return images.float(), targets
    num, device = len(images), images.device
    cut = torch.rand(num) < (switch if mixup and cutmix else float(cutmix > 0))
    shares = torch.where(cut, _beta(cutmix, num), _beta(mixup, num)).to(device)
    partner = torch.randperm(num).to(device)
    own = torch.where(cut.to(device)[:, None, None], _outside_box(shares, *images.shape[2:]), shares[:, None, None])  # (B, H, W)
    shares = own.mean(dim=(1, 2))
    values = images.float()
    mixed = torch.lerp(values[partner], values, own[:, None])
    return mixed, {name: torch.lerp(target[partner], target, shares[:, None]) for name, target in targets.items()}


def probabilistic_pseudo_mixup(
    images: Tensor, probabilities: Mapping[str, Tensor], partner: Tensor, threshold: float = 0.5
) -> PseudoMixture:
    """Mixes each image with its partner in proportion to how sure the teacher is of either: with o the largest probability, image i keeps
    λ_i = o_i / (o_i + o_j), its hard pseudo-label is mixed alike, and it counts where max(o_i, o_j) >= threshold.

    images: (B, 3, H, W), the strong views. probabilities: type -> (B, C), the teacher's for the weak views, without gradient. partner:
    int64 (B,), a permutation. Of several types, o is their mean for λ, and each type's own for its mask. Raises ValueError if sizes
    differ."""
    sizes = {len(images), len(partner), *(len(values) for values in probabilities.values())}
    if len(sizes) > 1 or not probabilities:
        raise ValueError(
            f"probabilistic_pseudo_mixup: rows {sorted(sizes)} of {len(probabilities)} types; expected as many of each, of >= 1"
        )
    tops = {name: values.max(dim=1) for name, values in probabilities.items()}
    certain = torch.stack([values for values, _ in tops.values()])  # (T, B)
    sure = certain.mean(dim=0)
    shares = sure / (sure + sure[partner])
    mixed = _mixed_rows(images.float(), partner, shares)
    masks = torch.maximum(certain, certain[:, partner]) >= threshold
    targets = {}
    for name, (_, classes) in tops.items():
        target = torch.zeros_like(probabilities[name])
        target.scatter_(1, classes[:, None], shares[:, None])
        targets[name] = target.scatter_add_(1, classes[partner][:, None], 1.0 - shares[:, None])
    return PseudoMixture(mixed, targets, dict(zip(tops, masks, strict=True)), shares)


def _mixed_rows(values: Tensor, partner: Tensor, shares: Tensor) -> Tensor:
    """shares * values + (1 - shares) * values[partner], some images at a time on a CPU, whose cache then holds the partners' copies."""
    weights = shares[:, None, None, None]
    if values.device.type != "cpu" or values.numel() <= _CACHED:
        return torch.lerp(values[partner], values, weights)
    step = max(1, _CACHED // max(1, values[0].numel()))
    found = torch.empty_like(values)
    for part, others, shares_of, out in zip(values.split(step), partner.split(step), weights.split(step), found.split(step), strict=True):  # type: ignore[no-untyped-call]
        torch.lerp(values[others], part, shares_of, out=out)
    return found


def _beta(alpha: float, num: int) -> Tensor:
    """(num,) draws of Beta(α, α); ones for an α of 0."""
    if not alpha:
        return torch.ones(num)
    found: Tensor = torch.distributions.Beta(alpha, alpha).sample((num,))
    return found


def _outside_box(shares: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W): 0 inside a box of the other image, at any place, of area 1 - share before it is cut off at the border."""
    num, device = len(shares), shares.device
    sides = (1.0 - shares).clamp_min(0.0).sqrt()
    centers = torch.rand(2, num, device=device)
    inside = []
    for center, side in zip(centers, (height, width), strict=True):
        middle, half = (center * side).floor(), (sides * side).floor() / 2
        place = torch.arange(side, device=device)
        inside.append((place >= (middle - half).floor()[:, None]) & (place < (middle + half).floor()[:, None]))
    return 1.0 - (inside[0][:, :, None] & inside[1][:, None, :]).float()  # type: ignore[no-any-return]
