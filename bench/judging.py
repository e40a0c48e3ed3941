"""Evaluates fits under the conditions of their cells, and writes the records of what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench import registry, stopping
from bench.fitting import load_candidate
from bench.outcomes import CellResult, Start, classify, data_hash, error_of, write_record
from bench.protocol import BadDataError, Examples, Schema
from bench.spec import CellSpec, FitSpec
from bench.store import Store
from bench.working import Settings, check_measurable, dataset_of, device_of, planned

if TYPE_CHECKING:
    import numpy as np
    import torch

    from bench.evaluation import Candidate, Outcome


def evaluate_cells(
    cells: list[CellSpec], settings: Settings, store: Store, start: Start, fitted: Candidate | None = None
) -> list[CellResult]:
    """Shows each condition once to all fits that need it, and writes their records. fitted: their fit, where it is at hand."""
    from bench.evaluation import evaluate
    from bench.image_groups import memberships

    if not cells:
        return []
    device, engine = device_of(settings), registry.load_part("datasets.corruptions")
    candidates: dict[str, Candidate] = {} if fitted is None else {fitted.key: fitted}
    results: list[CellResult] = []
    if fitted is None:
        candidates, results = _load_candidates(cells, settings, store, device, start)
    groups: dict[tuple[str, str, str, int], list[CellSpec]] = {}
    for cell in cells:
        if cell.fit.key in candidates:
            groups.setdefault((cell.target, cell.backend, cell.corruption, cell.severity), []).append(cell)
    for (_, backend, corruption, severity), chosen in groups.items():
        stopping.check()
        corrupt = partial(engine.corrupt, backend=backend)
        examples, schema, adapt = _test(chosen[0], settings)
        try:
            check_measurable(chosen[0].target or chosen[0].dataset, chosen[0].split, examples)
        except BadDataError as error:
            results += _write_failed(store, chosen, settings, start, error)
            continue
        store.save_split(data_hash(chosen[0]), chosen[0].split, schema, examples.labels)
        shown = {cell.fit.key: adapt(candidates[cell.fit.key]) for cell in chosen}
        outcomes = evaluate(list(shown.values()), examples, schema, corruption, severity, corrupt=corrupt, device=device)
        by_key = {outcome.key: outcome for outcome in outcomes}
        members = {} if chosen[0].target else memberships(dataset_of(chosen[0].fit.data, settings), examples)
        for cell in chosen:
            extra = {} if cell.severity or cell.target else _views(candidates[cell.fit.key], examples, device) | _curves(store, cell.fit)
            extra |= members
            results.append(_write_outcome(store, cell, settings, start, by_key[cell.fit.key], extra))
    return results


def _views(candidate: Candidate, examples: Examples, device: torch.device) -> dict[str, np.ndarray]:
    """Embeddings and attention maps of a method that has any."""
    from bench.embeddings import first_attention, first_embeddings

    method = getattr(candidate.predict, "__self__", None)
    embed, attend = getattr(method, "embed", None), getattr(method, "attention", None)
    found = first_embeddings(embed, examples, device) if embed is not None else {}
    return found | (first_attention(attend, examples, device) if attend is not None else {})


def _curves(store: Store, fit: FitSpec) -> dict[str, np.ndarray]:
    """`history/<n> <phase>` -> float32 (epochs,): what validation said after each epoch of each phase, NaN where it was not asked."""
    import numpy as np

    history = store.model_facts(fit.key).get("history", {})
    found = {}
    for number, (phase, rows) in enumerate(history.items()):
        values = np.array([row.get("validation", math.nan) for row in rows], dtype=np.float32)
        if np.isfinite(values).any():
            found[f"history/{number} {phase}"] = values
    return found


def _test(cell: CellSpec, settings: Settings) -> tuple[Examples, Schema, Callable[[Candidate], Candidate]]:
    """The images that a cell is tested on, the types that it is judged by, and what makes a candidate answer in these."""
    data = cell.fit.data
    dataset = dataset_of(data, settings)
    if not cell.target:
        return dataset.examples(cell.split, image_size=data.image_size), dataset.schema, lambda candidate: candidate
    from bench.transfer import make_transfer

    target = planned(cell.target, cell.target_hash, settings)
    transfer = make_transfer(data.dataset, dataset.schema, cell.target, target.schema)
    examples = transfer.examples(target.examples(cell.split, image_size=data.image_size))
    return examples, transfer.schema, lambda candidate: replace(candidate, predict=transfer.predict(candidate.predict), thresholds=None)


def _load_candidates(
    cells: list[CellSpec], settings: Settings, store: Store, device: torch.device, start: Start
) -> tuple[dict[str, Candidate], list[CellResult]]:
    """The fitted methods by key. A fit without a model has failed: its cells keep the record that says why."""
    found: dict[str, Candidate] = {}
    results = []
    for key in dict.fromkeys(cell.fit.key for cell in cells):
        own = [cell for cell in cells if cell.fit.key == key]
        if not store.has_model(key) and all(store.read(cell.key) for cell in own):
            continue
        try:
            registry.check_source(own[0].fit.method, own[0].fit.source_hash)
            found[key] = load_candidate(own[0].fit, store, dataset_of(own[0].fit.data, settings).schema, device)
        except (Exception, SystemExit) as error:
            results += _write_failed(store, own, settings, start, error)
    return found, results


def _write_failed(store: Store, cells: list[CellSpec], settings: Settings, start: Start, error: BaseException) -> list[CellResult]:
    """A record of each cell that says why there is no figure."""
    status, reason = classify(error)
    return [write_record(store, cell, settings, start, status=status, reason=reason, error=error_of(error)) for cell in cells]


def _write_outcome(
    store: Store, cell: CellSpec, settings: Settings, start: Start, outcome: Outcome, extra: Mapping[str, np.ndarray]
) -> CellResult:
    if outcome.summary is None:
        assert outcome.error is not None
        return _write_failed(store, [cell], settings, start, outcome.error)[0]
    summary, facts = outcome.summary, store.model_facts(cell.fit.key)
    per_class = {f"per_class/{name}/{kind}": values for kind, found in summary.per_class.items() for name, values in found.items()}
    path = store.save_arrays("predictions", cell.key, {**summary.arrays, **per_class, **extra})
    fields = {
        "metrics": summary.metrics,
        "per_attribute": summary.per_attribute,
        "per_class_path": path,
        "predictions_path": path,
        "eval_seconds": outcome.seconds,
        "images_per_second": outcome.images_per_second,
        "device": facts.get("device", settings.device),
        **{name: facts[name] for name in ("n_labeled", "n_unlabeled", "label_index_hash", "fit_seconds", "peak_rss_mb", "peak_vram_mb")},
    }
    return write_record(store, cell, settings, start, status="ok", reason="", **fields)
