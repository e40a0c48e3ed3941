"""Trains teachers and methods, and loads what was trained, ready to be evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import registry, stopping
from bench.environment import device_name, peak_rss_mb, peak_vram_mb
from bench.outcomes import Start
from bench.plan import Stage
from bench.protocol import Dataset, Schema, TrainingData
from bench.seeding import derive_seed
from bench.spec import DataSpec, FitSpec
from bench.store import Store
from bench.working import Settings, check_measurable, dataset_of, device_of, planned

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from bench.evaluation import Candidate
    from bench.training import TrainingRun

Progress = Callable[[str, int, int], None]


def run_teacher(stage: Stage, settings: Settings, store: Store, progress: Progress | None) -> None:
    spec, start = stage.teacher, Start()
    assert spec is not None
    if store.has_model(spec.key):
        return
    registry.check_source(spec.method, spec.source_hash)
    dataset = dataset_of(spec.data, settings)
    method = registry.method_class(spec.method)(**spec.params)
    run = _training_run(spec.key, derive_seed("teacher", spec.method, spec.teacher, spec.data.seed), spec.data, settings, store, progress)
    module = method.fit_teacher(spec.teacher, _training_data(dataset, spec.data, settings), run)
    facts = {"teacher": spec.teacher, "method": spec.method, "preset": settings.preset, **_data_facts(spec.data)}
    stopping.check()
    store.save_model(spec.key, _state(module), facts | _fit_facts(dataset, spec.data, run, start))
    store.drop_checkpoints(spec.key)


def train(fit: FitSpec, settings: Settings, store: Store, progress: Progress | None) -> Candidate:
    """Fits a method, saves it, and returns it as it would be loaded back."""
    import torch

    registry.check_source(fit.method, fit.source_hash)
    method = registry.method_class(fit.method)(**fit.params)
    dataset, start = dataset_of(fit.data, settings), Start()
    run = _training_run(fit.key, derive_seed("fit", fit.method, fit.data.seed), fit.data, settings, store, progress)
    teachers = {name: _load_teacher(fit, name, method, dataset.schema, store, run.device) for name in method.teachers(dataset.schema)}
    data = _training_data(dataset, fit.data, settings)
    method.fit(data, teachers, run)
    facts = _fit_facts(dataset, fit.data, run, start)
    facts |= {"n_labeled": len(data.labeled), "n_unlabeled": len(data.unlabeled)}
    thresholds = _validation_thresholds(method, data, run.device)
    tensors = {f"model.{name}": tensor for name, tensor in _state(method.model).items()}
    tensors |= {f"thresholds.{name}": torch.from_numpy(values) for name, values in thresholds.items()}
    stopping.check()
    store.save_model(fit.key, tensors, facts)
    store.drop_checkpoints(fit.key)
    return _candidate_of(fit, method, thresholds, run.device)


def load_candidate(fit: FitSpec, store: Store, schema: Schema, device: torch.device) -> Candidate:
    """A fitted method from its saved weights, ready to predict."""
    tensors = store.load_model(fit.key)
    method = registry.method_class(fit.method)(**fit.params)
    method.model = method.build(schema)
    method.model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")})
    thresholds = {name.removeprefix("thresholds."): value.numpy() for name, value in tensors.items() if name.startswith("thresholds.")}
    return _candidate_of(fit, method, thresholds, device)


def _load_teacher(fit: FitSpec, teacher: str, method: Any, schema: Schema, store: Store, device: torch.device) -> nn.Module:
    module: nn.Module = method.build(schema, teacher)
    module.load_state_dict(store.load_model(fit.teacher(teacher).key))
    return module.to(device).eval().requires_grad_(False)


def _training_data(dataset: Dataset, data: DataSpec, settings: Settings) -> TrainingData:
    found = dataset.training(**_label_set(data))
    if len(found.validation) or dataset.num_images.get("val"):
        check_measurable(data.dataset, "val", found.validation)
    if not data.pool:
        return found
    other = planned(data.pool, data.pool_hash, settings)
    splits = [split for split in ("train", "unlabeled") if other.num_images.get(split)]
    pool = [other.examples(split, image_size=data.image_size) for split in splits]
    return replace(found, extra=tuple(replace(examples, labels={}, landmarks=None) for examples in pool))


def _label_set(data: DataSpec) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ("image_size", "label_fraction", "unlabeled", "seed")}


def _training_run(key: str, seed: int, data: DataSpec, settings: Settings, store: Store, progress: Progress | None) -> TrainingRun:
    from bench.training import TrainingRun

    return TrainingRun(
        seed=seed,
        hidden_labels=lambda: dataset_of(data, settings).hidden_labels(**_label_set(data)),
        device=device_of(settings),
        checkpoint_dir=store.checkpoint_dir(key),
        checkpoint_seconds=settings.checkpoint_seconds,
        on_progress=progress,
        stop=stopping.requested,
    )


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def _fit_facts(dataset: Dataset, data: DataSpec, run: TrainingRun, start: Start) -> dict[str, Any]:
    _, label_hash = dataset.label_index(label_fraction=data.label_fraction, seed=data.seed)
    return {
        "label_index_hash": label_hash,
        "fit_seconds": run.seconds_before + start.seconds,
        "peak_rss_mb": peak_rss_mb(),
        "peak_vram_mb": peak_vram_mb(run.device),
        "device": device_name(run.device),
        "logged": _finite(run.logged),
        "history": {phase: [_finite(row) for row in rows] for phase, rows in run.history.items()},
    }


def _data_facts(data: DataSpec) -> dict[str, Any]:
    return {"dataset": data.dataset, "label_fraction": data.label_fraction, "seed": data.seed}


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Those that JSON has a word for."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _validation_thresholds(method: Any, data: TrainingData, device: torch.device) -> dict[str, np.ndarray]:
    """The threshold of each class of the multi-label types with the best F2 on validation, (C,) a type."""
    from bench.evaluation import predict_all
    from bench.metrics import best_thresholds

    multi = [attribute_type.name for attribute_type in data.schema if not attribute_type.exclusive]
    if not multi or not len(data.validation):
        return {}
    method.model.to(device).eval()
    scores = predict_all(method.predict, data.validation, device)
    return {name: best_thresholds(scores[name], data.validation.labels[name]) for name in multi}


def _candidate_of(fit: FitSpec, method: Any, thresholds: Mapping[str, np.ndarray], device: torch.device) -> Candidate:
    from bench.evaluation import Candidate

    method.model.to(device).eval().requires_grad_(False)
    logits = registry.entry("methods", fit.method).constants.get("SCORES", "logits") == "logits"
    return Candidate(fit.key, method.predict, logits, thresholds or None)
