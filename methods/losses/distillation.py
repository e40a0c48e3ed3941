"""Embedding distillation of MTSS, Eq. (3) and (4): a student's embedding points where its teacher's does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from methods.losses.label_embedding import cosine


def distillation_loss(student: Tensor, teacher: Tensor, weights: Tensor | None = None) -> Tensor:
    """The term of one attribute type in Eq. (3), or with weights in Eq. (4): weights * (1 - cos(student, teacher)).

    student, teacher: (B, D), the teacher's without gradient. weights: (B,) from certainty(). Returns the mean over B, in [0, 2].
    Raises ValueError if the shapes differ."""
    if student.shape != teacher.shape:
        raise ValueError(f"student is {tuple(student.shape)} and teacher is {tuple(teacher.shape)}; expected the same (B, D)")
    distances = 1.0 - cosine(student, teacher.detach())
    return (distances if weights is None else weights * distances).mean()


@torch.no_grad()
def certainty(teacher: Tensor, dictionary: Tensor, beta: float = 1.0, trained: Tensor | None = None) -> Tensor:
    """The weight of Eq. (4): the cosine of each embedding to the closest label embedding, to the power beta.

    teacher: (B, D). dictionary: (N, D). beta: >= 0. trained: bool (N,), the rows that count; None for all. Returns (B,) in [0, 1],
    without gradient; a negative cosine counts as 0, where it would flip the loss's sign at beta 1 and be NaN at fractions.
    Raises ValueError if beta < 0."""
    if beta < 0:
        raise ValueError(f"certainty: beta is {beta}; expected >= 0")
    cosines = functional.normalize(teacher.float(), dim=-1) @ functional.normalize(dictionary.float(), dim=-1).T
    if trained is not None:
        cosines = cosines.masked_fill(~trained, -1.0)
    return cosines.amax(dim=1).clamp(0.0, 1.0) ** beta
