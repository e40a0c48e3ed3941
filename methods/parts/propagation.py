"""Label propagation (Iscen et al., CVPR 2019): labels spread over the graph of nearest neighbours, all classes at once.

The graph's product with a block of vectors is an embedding bag, the fastest such product that torch has on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from methods.parts.neighbors import nearest_neighbors

NO_LABEL = -1
_BLOCK = 32  # right-hand sides solved together: wide enough for vector units, narrow enough for the cache


@dataclass(frozen=True)
class Graph:
    """A weighted graph by rows. offsets: int64 (N + 1,). neighbors: int64 (E,). weights: float (E,), of D^-1/2 W D^-1/2."""

    offsets: Tensor
    neighbors: Tensor
    weights: Tensor

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.offsets) - 1

    def times(self, vectors: Tensor) -> Tensor:
        """The matrix times vectors (N, B), in the type of vectors."""
        weights = self.weights.to(vectors.dtype)
        return functional.embedding_bag(
            self.neighbors, vectors, self.offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        )


@dataclass(frozen=True)
class PseudoLabels:
    """classes: int64 (N,), NO_LABEL where nothing arrived. weights: float32 (N,) in [0, 1], certainty. class_weights: float32 (C,)."""

    classes: Tensor
    weights: Tensor
    class_weights: Tensor


def neighbor_graph(features: Tensor, k: int = 50, power: float = 3.0) -> Graph:
    """D^-1/2 W D^-1/2 of the symmetrised graph of k nearest neighbours, W = cosine^power where the cosine is positive.

    features: (N, D), of any length. A node without neighbours counts as one of degree 1. Raises ValueError if k < 1."""
    neighbors, cosines = nearest_neighbors(features, k)
    num, k = neighbors.shape
    rows = torch.arange(num, device=features.device).repeat_interleave(k)
    columns, values = neighbors.flatten(), cosines.flatten().clamp_min(0.0) ** power
    keys, order = torch.cat([rows * num + columns, columns * num + rows]).sort()  # W + W^T; no key is on the diagonal
    keys, place = keys.unique_consecutive(return_inverse=True)  # type: ignore[no-untyped-call]
    weights = values.new_zeros(len(keys)).index_add_(0, place, values.repeat(2)[order])
    rows, columns = keys // max(num, 1), keys % max(num, 1)
    degrees = weights.new_zeros(num).index_add_(0, rows, weights)
    scale = torch.where(degrees > 0, degrees, 1.0).rsqrt()
    offsets = torch.cat([rows.new_zeros(1), rows.bincount(minlength=num).cumsum(0)])
    return Graph(offsets, columns, weights * scale[rows] * scale[columns])


def diffuse(graph: Graph, sources: Tensor, *, alpha: float = 0.99, iterations: int = 20, tolerance: float = 1e-6) -> Tensor:
    """Solves (I - alpha * graph) Z = sources by conjugate gradients, Eq. (2) of the Naver report.

    sources: (N, C). iterations: 20 do not converge at alpha 0.99 (the condition number is about 199), so their number is part of the
    method. tolerance: a column stops once its residual is below tolerance times its norm. Returns (N, C) in the type of sources.
    Raises ValueError unless 0 <= alpha < 1 and iterations >= 1."""
    if not 0.0 <= alpha < 1.0 or iterations < 1:
        raise ValueError(f"diffuse: alpha is {alpha} and iterations is {iterations}; expected alpha in [0, 1) and iterations >= 1")
    graph = Graph(graph.offsets, graph.neighbors, graph.weights.to(sources.dtype))
    blocks = torch.split(sources, _BLOCK, dim=1)
    solved = [_conjugate_gradients(graph, block.contiguous(), alpha, iterations, tolerance) for block in blocks]
    return torch.cat(solved, dim=1) if solved else sources.clone()


def propagate(graph: Graph, labels: Tensor, num_classes: int, *, alpha: float = 0.99, iterations: int = 20) -> PseudoLabels:
    """Pseudo-labels of all nodes from the labelled ones, each with its certainty, Iscen et al. Eq. (5), (7), (10) and (11).

    labels: int64 (N,), a class or NO_LABEL. Each class starts with a mass of 1, shared by its labelled nodes; a class without any takes
    nothing. The certainty is 1 - entropy / log C over the largest one; labelled nodes keep their label at 1, nodes that nothing reached
    have NO_LABEL and 0. class_weights: (N / C) / count over the N nodes with a label, 1 for a class without any.
    Raises ValueError if a label is out of range."""
    if len(labels) and not NO_LABEL <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(f"propagate: labels lie in [{int(labels.min())}, {int(labels.max())}]; expected -1 to {num_classes - 1}")
    known = labels >= 0
    counts = labels[known].bincount(minlength=num_classes)
    present = counts.nonzero().flatten()  # solving for the others would give zeros
    sources = torch.zeros(len(labels), len(present), device=labels.device)
    sources[known, torch.searchsorted(present, labels[known])] = 1.0 / counts[labels[known]].float()
    mass = diffuse(graph, sources, alpha=alpha, iterations=iterations).clamp_min(0.0)
    shares = mass / mass.sum(dim=1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)
    reached = mass.any(dim=1)
    certainty = torch.where(reached, (1.0 + shares.xlogy(shares).sum(dim=1) / math.log(max(num_classes, 2))).clamp_min(0.0), 0.0)
    certainty = certainty / certainty.max().clamp_min(torch.finfo(mass.dtype).tiny) if len(certainty) else certainty
    guesses = present[shares.argmax(dim=1)] if len(present) else torch.zeros_like(labels)
    classes = torch.where(known, labels, torch.where(reached, guesses, NO_LABEL))
    return PseudoLabels(classes, torch.where(known, 1.0, certainty), balanced_weights(classes, num_classes))


def propagate_binary(graph: Graph, labels: Tensor, *, alpha: float = 0.99, iterations: int = 20) -> tuple[Tensor, Tensor]:
    """The same for classes that do not exclude each other: for each one, its positive labels compete with its negative ones.

    labels: int8 (N, C) of 1, 0 and -1 (unknown). Both sides start with a mass of 1 and are weighed by their shares among the labels of
    the class (class mass normalisation, Zhu et al. 2003). Returns float32 (N, C): probabilities, and certainties 1 - entropy / log 2.
    Known labels stay, at certainty 1; classes that lack one of the sides and nodes that nothing reached have certainty 0."""
    positive, negative = (labels == 1).float(), (labels == 0).float()
    counts = torch.stack([positive.sum(dim=0), negative.sum(dim=0)])
    sources = torch.cat([positive / counts[0].clamp_min(1.0), negative / counts[1].clamp_min(1.0)], dim=1)
    mass = diffuse(graph, sources, alpha=alpha, iterations=iterations).clamp_min(0.0)
    share = counts[0] / counts.sum(dim=0).clamp_min(1.0)
    forward, against = (part * weight for part, weight in zip(mass.chunk(2, dim=1), (share, 1.0 - share), strict=True))
    total = forward + against
    chance = torch.where(total > 0, forward / total.clamp_min(torch.finfo(mass.dtype).tiny), share)
    certainty = 1.0 + (chance.xlogy(chance) + (1.0 - chance).xlogy(1.0 - chance)) / math.log(2.0)
    usable = (total > 0) & (counts > 0).all(dim=0)
    known = labels >= 0
    certainty = torch.where(known, 1.0, torch.where(usable, certainty.clamp(0.0, 1.0), 0.0))
    return torch.where(known, positive, chance), certainty


def balanced_weights(classes: Tensor, num_classes: int) -> Tensor:
    """(N / C) / count, float32 (C,), over the N nodes that have a class; 1 for a class that none has."""
    counts = classes[classes >= 0].bincount(minlength=num_classes).float()
    return torch.where(counts > 0, counts.sum() / num_classes / counts.clamp_min(1.0), 1.0)


def _conjugate_gradients(graph: Graph, sources: Tensor, alpha: float, iterations: int, tolerance: float) -> Tensor:
    solution, residual, direction = torch.zeros_like(sources), sources.clone(), sources.clone()
    squares = residual.square().sum(dim=0)
    enough = squares * tolerance**2
    for _ in range(iterations):
        active = squares > enough
        if not bool(active.any()):
            break
        image = torch.sub(direction, graph.times(direction), alpha=alpha)
        curvature = torch.linalg.vecdot(direction, image, dim=0)
        step = torch.where(active, squares / torch.where(active, curvature, 1.0), 0.0)
        solution.addcmul_(direction, step)
        residual.addcmul_(image, step, value=-1.0)
        previous, squares = squares, residual.square().sum(dim=0)
        direction = torch.addcmul(residual, direction, torch.where(active, squares / torch.where(active, previous, 1.0), 0.0))
    return solution
