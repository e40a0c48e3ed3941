"""Fan-out evaluation: each corrupted batch is made once and shown to every model, while a thread makes the next one.

The thread runs beside the models because what corrupts releases the interpreter: the compiled corruptions, OpenCV and torch do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.metrics import Summary, summarize
from bench.protocol import Examples, Schema
from bench.training import prefetched

Predict = Callable[[Tensor], dict[str, Tensor]]


class ScoreError(ValueError):
    """A prediction that cannot be scored; the text names the attribute type."""


@dataclass
class Candidate:
    """A model to evaluate, in eval mode on the device. logits: whether its scores are logits. thresholds: type -> (C,), for f2."""

    key: str
    predict: Predict
    logits: bool = True
    thresholds: Mapping[str, np.ndarray] | None = None


@dataclass
class Outcome:
    """What became of a candidate: a summary or an error. seconds: its own predictions and metrics; images_per_second: its
    predictions alone. shared_seconds: what was waited for images, once for all candidates; the part of reading and corrupting that
    went on beside predictions is not in it, so that all seconds add up to the time that passed."""

    key: str
    summary: Summary | None
    error: BaseException | None
    seconds: float
    images_per_second: float
    shared_seconds: float = 0.0


def evaluate(
    candidates: Sequence[Candidate],
    examples: Examples,
    schema: Schema,
    corruption: str,
    severity: int,
    *,
    corrupt: Callable[[np.ndarray, str, int, np.ndarray], np.ndarray],
    device: torch.device,
    batch_size: int = 256,
    overlap: bool = True,
) -> list[Outcome]:
    """One outcome a candidate, in their order. A candidate that raises an Exception, or whose scores are not (B, C) for each
    type of the schema or hold a NaN, drops out with its error, and the rest go on.

    corrupt(images uint8 (B, H, W, 3), corruption, severity, keys uint64 (B,)) -> uint8 (B, H, W, 3); what it raises is raised.
    overlap: read and corrupt the next batch in a thread, one batch ahead and in order; the outcomes are the same without."""
    lanes = [_Lane(candidate, schema, len(examples)) for candidate in candidates]
    plan = _slices(len(examples), batch_size)

    def load(rows: slice) -> np.ndarray:
        return corrupt(examples.images(rows), corruption, severity, examples.keys[rows])

    batches = prefetched(plan, load) if overlap and len(plan) > 1 else map(load, plan)
    shared_seconds = 0.0
    for rows in plan:
        started = time.perf_counter()
        images = _to_device(next(batches), device)
        shared_seconds += time.perf_counter() - started
        running = [lane for lane in lanes if lane.error is None]
        for lane in running:
            lane.predict(images.clone() if len(running) > 1 else images, rows)  # nobody changes the others' images in place
    return [lane.finish(examples, shared_seconds) for lane in lanes]


def predict_all(predict: Predict, examples: Examples, device: torch.device, batch_size: int = 256) -> dict[str, np.ndarray]:
    """float32 scores (N, C) of each type. Raises ScoreError for NaN scores or types that come and go between batches."""
    scores: dict[str, np.ndarray] = {}
    for rows in _slices(len(examples), batch_size):
        batch = _predict(predict, _to_device(examples.images(rows), device))
        if not scores:
            scores = {name: np.empty((len(examples), *values.shape[1:]), dtype=np.float32) for name, values in batch.items()}
        _store(batch, scores, rows)
    return scores


class _Lane:
    """One candidate's way through the batches."""

    def __init__(self, candidate: Candidate, schema: Schema, num_images: int) -> None:
        self.candidate, self.schema = candidate, schema
        self.scores = {kind.name: np.empty((num_images, len(kind.classes)), dtype=np.float32) for kind in schema}
        self.error: BaseException | None = None
        self.seconds = 0.0

    def predict(self, images: Tensor, rows: slice) -> None:
        started = time.perf_counter()
        try:
            _store(_predict(self.candidate.predict, images), self.scores, rows)
        except (Exception, SystemExit) as error:  # the cell's border: whatever one model does, the others go on
            self._drop(error)
        self.seconds += time.perf_counter() - started

    def finish(self, examples: Examples, shared_seconds: float) -> Outcome:
        speed = len(examples) / self.seconds if self.seconds and self.error is None else 0.0
        started, summary = time.perf_counter(), None
        if self.error is None:
            try:
                summary = summarize(
                    self.scores, examples.labels, self.schema, logits=self.candidate.logits, thresholds=self.candidate.thresholds
                )
            except Exception as error:
                self._drop(error)
        self.scores.clear()
        seconds = self.seconds + time.perf_counter() - started
        return Outcome(self.candidate.key, summary, self.error, seconds, speed, shared_seconds)

    def _drop(self, error: BaseException) -> None:
        self.error = error
        self.scores.clear()


def _slices(num_images: int, batch_size: int) -> list[slice]:
    return [slice(start, min(start + batch_size, num_images)) for start in range(0, num_images, batch_size)]


def _to_device(images: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # (B, H, W, 3) -> (B, 3, H, W), channels last in memory


def _predict(predict: Predict, images: Tensor) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {name: values.float().cpu().numpy() for name, values in predict(images).items()}


def _store(batch: Mapping[str, np.ndarray], scores: Mapping[str, np.ndarray], rows: slice) -> None:
    """Writes a batch's scores to their rows. Raises ScoreError unless types, shapes and values are as they must be."""
    for name in sorted(scores.keys() ^ batch.keys()):
        problem = "no scores" if name in scores else f"scores for an unknown type; there are {', '.join(scores)}"
        raise ScoreError(f"type {name!r}: {problem}")
    for name, values in batch.items():
        expected = (rows.stop - rows.start, *scores[name].shape[1:])
        if values.shape != expected:
            raise ScoreError(f"type {name!r}: scores {values.shape}, expected {expected}")
        if np.isnan(values).any():
            raise ScoreError(f"type {name!r}: {int(np.isnan(values).sum())} of {values.size} scores are NaN")
        scores[name][rows] = values
