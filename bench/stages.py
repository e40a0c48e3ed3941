"""What a stage does: train a teacher, train a method, evaluate. run_stage is the one callable that every launcher runs."""

from __future__ import annotations

import math
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import leases, registry, stopping
from bench.environment import environment, git_sha, peak_rss_mb, peak_vram_mb, reset_peaks
from bench.plan import Stage
from bench.protocol import DataOptions, Dataset, Examples, NoDataError, Schema, TrainingData
from bench.seeding import derive_seed, digest
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.store import SCHEMA_VERSION, Record, Store

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from bench.evaluation import Candidate, Outcome
    from bench.training import TrainingRun

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """What a worker needs beside the stage; none of it is part of a key."""

    store: str
    data_root: str
    cache_dir: str
    data: str = "auto"
    preset: str = "tiny"
    on_bad_data: str = "error"
    device: str = "auto"
    threads: int = 1
    launcher: str = "inline"
    checkpoint_seconds: float = 30.0
    lease_seconds: float = 0.0  # above 0: a stage is worked on by who holds its lease

    @property
    def data_options(self) -> DataOptions:
        return DataOptions(Path(self.data_root), Path(self.cache_dir), self.data, self.preset, self.on_bad_data)  # type: ignore[arg-type]


@dataclass(frozen=True)
class CellResult:
    """What became of a cell, as the progress line needs it."""

    key: str
    status: str
    reason: str
    seconds: float


@dataclass
class StageResult:
    """What became of a stage and of the cells that it wrote. status as on a record."""

    status: str
    reason: str
    seconds: float
    cells: list[CellResult]


def run_stage(stage: Stage, settings: Settings, progress: Progress | None = None) -> StageResult:
    """Runs one stage and writes its records; an Exception ends up on the records of all cells that depend on the stage."""
    started, store = time.time(), Store(Path(settings.store))
    try:
        stopping.check()
        prepare_process(settings.threads)
        reset_peaks()
        with _lease(stage, settings, store):
            cells = _run(stage, settings, store, progress, started)
    except stopping.Stopped as error:  # it is going to be run again
        return StageResult("interrupted", str(error), time.time() - started, [])
    except Exception as error:
        if stopping.requested() and classify(error)[0] == "interrupted":
            return StageResult("interrupted", str(error), time.time() - started, [])
        status, reason = classify(error)
        cells = record_failure(stage, settings, status, reason, error=error, started=started)
        return StageResult(status, reason, time.time() - started, cells)
    return StageResult("ok", "", time.time() - started, cells)


def _run(stage: Stage, settings: Settings, store: Store, progress: Progress | None, started: float) -> list[CellResult]:
    if stage.kind == "teacher":
        _run_teacher(stage, settings, store, progress)
        return []
    if stage.kind == "fit":
        return _run_fit(stage, settings, store, progress, started)
    return _evaluate(stage.cells, settings, store, started)


def _lease(stage: Stage, settings: Settings, store: Store) -> AbstractContextManager[None]:
    if not settings.lease_seconds:
        return nullcontext()
    owner, rank = slurm_job_id() or "", int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    path = store.root / "leases" / f"{digest(stage.key)[:32]}.json"  # an evaluation's key may hold a path
    return leases.hold(path, owner=owner, rank=rank, seconds=settings.lease_seconds)


def slurm_job_id() -> str | None:
    """The job that this process belongs to, as Slurm's commands know it: 17, or 17_3 for an element of an array."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID")


def classify(error: BaseException) -> tuple[str, str]:
    """Status and one-line reason of an exception."""
    text = " ".join(str(error).split()) or type(error).__name__
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in text:
        return "oom", f"out of memory: {text}"
    if isinstance(error, NoDataError):
        return "no_data", text
    if name == "TrainingStopped":
        return "interrupted", text
    return "failed", f"{name}: {text}"


def record_failure(
    stage: Stage, settings: Settings, status: str, reason: str, *, error: BaseException | None = None, started: float | None = None
) -> list[CellResult]:
    """Writes a record for each cell that the stage would have written or made possible."""
    store, found = Store(Path(settings.store)), []
    begun = time.time() if started is None else started
    for cell in [*stage.cells, *stage.affects]:
        text = f"skipped: teacher failed ({stage.label}: {reason})" if stage.kind == "teacher" else reason
        found.append(_write(store, cell, settings, begun, status=status, reason=text, error=_error(error)))
    return found


@cache
def prepare_process(threads: int) -> None:
    """Fixes the thread count, on which sums depend to the last bit, and mends torchvision where it cannot be imported."""
    package = registry.load_part("datasets")
    if not Path(package.__file__ or "").resolve().is_relative_to(registry.ROOT):
        mend = f"run from {registry.ROOT}, or reinstall with pip install -e ."
        raise ImportError(f"the package 'datasets' is {package.__file__}, not this project's; {mend}")
    import torch

    from bench.compat import fix_torchvision_before_timm

    torch.set_num_threads(threads)
    fix_torchvision_before_timm()


@lru_cache(maxsize=8)
def open_dataset(name: str, options: DataOptions) -> Dataset:
    """An opened data set, kept for the stages that follow in this process."""
    opened: Dataset = registry.load_part("datasets._open").open_dataset(name, options)
    return opened


def _device(settings: Settings) -> torch.device:
    import torch

    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if settings.device == "auto" else settings.device
    return torch.device(wanted)


def _dataset(data: DataSpec, settings: Settings) -> Dataset:
    return _planned(data.dataset, data.data_hash, settings)


def _planned(name: str, data_hash: str, settings: Settings) -> Dataset:
    """A data set, which must be what it was when the sweep was planned."""
    dataset = open_dataset(name, settings.data_options)
    if dataset.data_hash != data_hash:
        raise ValueError(f"{name}: its files changed since the sweep was planned; run again")
    return dataset


def _training_data(dataset: Dataset, data: DataSpec, settings: Settings) -> TrainingData:
    found = dataset.training(**_label_set(data))
    if not data.pool:
        return found
    other = _planned(data.pool, data.pool_hash, settings)
    splits = [split for split in ("train", "unlabeled") if other.num_images.get(split)]
    pool = [other.examples(split, image_size=data.image_size) for split in splits]
    return replace(found, extra=tuple(replace(examples, labels={}) for examples in pool))


def _label_set(data: DataSpec) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ("image_size", "label_fraction", "unlabeled", "seed")}


def _training_run(key: str, seed: int, data: DataSpec, settings: Settings, store: Store, progress: Progress | None) -> TrainingRun:
    from bench.training import TrainingRun

    return TrainingRun(
        seed=seed,
        hidden_labels=lambda: _dataset(data, settings).hidden_labels(**_label_set(data)),
        device=_device(settings),
        checkpoint_dir=store.checkpoint_dir(key),
        checkpoint_seconds=settings.checkpoint_seconds,
        on_progress=progress,
        stop=stopping.requested,
    )


def _run_teacher(stage: Stage, settings: Settings, store: Store, progress: Progress | None) -> None:
    spec, started = stage.teacher, time.time()
    assert spec is not None
    if store.has_model(spec.key):
        return
    dataset = _dataset(spec.data, settings)
    method = registry.method_class(spec.method)(**spec.params)
    run = _training_run(spec.key, derive_seed("teacher", spec.method, spec.teacher, spec.data.seed), spec.data, settings, store, progress)
    module = method.fit_teacher(spec.teacher, _training_data(dataset, spec.data, settings), run)
    facts = {"teacher": spec.teacher, "method": spec.method, "preset": settings.preset, **_data_facts(spec.data)}
    stopping.check()
    store.save_model(spec.key, _state(module), facts | _fit_facts(dataset, spec.data, run, started))
    store.drop_checkpoints(spec.key)


def _run_fit(stage: Stage, settings: Settings, store: Store, progress: Progress | None, started: float) -> list[CellResult]:
    fit = stage.fit
    assert fit is not None
    fitted = None if store.has_model(fit.key) else _train(fit, settings, store, progress)
    return _evaluate(stage.cells, settings, store, started, fitted)


def _train(fit: FitSpec, settings: Settings, store: Store, progress: Progress | None) -> Candidate:
    """Fits a method, saves it, and returns it as it would be loaded back."""
    import torch

    method = registry.method_class(fit.method)(**fit.params)
    dataset, started = _dataset(fit.data, settings), time.time()
    run = _training_run(fit.key, derive_seed("fit", fit.method, fit.data.seed), fit.data, settings, store, progress)
    teachers = {name: _load_teacher(fit, name, method, dataset.schema, store, run.device) for name in method.teachers(dataset.schema)}
    data = _training_data(dataset, fit.data, settings)
    method.fit(data, teachers, run)
    facts = _fit_facts(dataset, fit.data, run, started)
    facts |= {"n_labeled": len(data.labeled), "n_unlabeled": len(data.unlabeled)}
    thresholds = _validation_thresholds(method, data, run.device)
    tensors = {f"model.{name}": tensor for name, tensor in _state(method.model).items()}
    tensors |= {f"thresholds.{name}": torch.from_numpy(values) for name, values in thresholds.items()}
    stopping.check()
    store.save_model(fit.key, tensors, facts)
    store.drop_checkpoints(fit.key)
    return _candidate(fit, method, thresholds, run.device)


def _load_teacher(fit: FitSpec, teacher: str, method: Any, schema: Schema, store: Store, device: torch.device) -> nn.Module:
    module: nn.Module = method.build(schema, teacher)
    module.load_state_dict(store.load_model(fit.teacher(teacher).key))
    return module.to(device).eval().requires_grad_(False)


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}


def _fit_facts(dataset: Dataset, data: DataSpec, run: TrainingRun, started: float) -> dict[str, Any]:
    _, label_hash = dataset.label_index(label_fraction=data.label_fraction, seed=data.seed)
    return {
        "label_index_hash": label_hash,
        "fit_seconds": time.time() - started,
        "peak_rss_mb": peak_rss_mb(),
        "peak_vram_mb": peak_vram_mb(),
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


def _evaluate(cells: list[CellSpec], settings: Settings, store: Store, started: float, fitted: Candidate | None = None) -> list[CellResult]:
    """Shows each condition once to all fits that need it, and writes their records. fitted: their fit, where it is at hand."""
    from bench.evaluation import evaluate
    from bench.groups import memberships

    if not cells:
        return []
    device, engine = _device(settings), registry.load_part("datasets.corruptions")
    candidates: dict[str, Candidate] = {} if fitted is None else {fitted.key: fitted}
    results: list[CellResult] = []
    if fitted is None:
        candidates, results = _load_candidates(cells, settings, store, device, started)
    groups: dict[tuple[str, str, str, int], list[CellSpec]] = {}
    for cell in cells:
        if cell.fit.key in candidates:
            groups.setdefault((cell.target, cell.backend, cell.corruption, cell.severity), []).append(cell)
    for (_, backend, corruption, severity), chosen in groups.items():
        stopping.check()
        corrupt = partial(engine.corrupt, backend=backend)
        examples, schema, adapt = _test(chosen[0], settings)
        store.save_split(_data_hash(chosen[0]), chosen[0].split, schema, examples.labels)
        shown = {cell.fit.key: adapt(candidates[cell.fit.key]) for cell in chosen}
        outcomes = evaluate(list(shown.values()), examples, schema, corruption, severity, corrupt=corrupt, device=device)
        by_key = {outcome.key: outcome for outcome in outcomes}
        members = {} if chosen[0].target else memberships(_dataset(chosen[0].fit.data, settings), examples)
        for cell in chosen:
            extra = {} if cell.severity or cell.target else _views(candidates[cell.fit.key], examples, device) | _curves(store, cell.fit)
            extra |= members
            results.append(_write_outcome(store, cell, settings, started, by_key[cell.fit.key], extra))
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
    dataset = _dataset(data, settings)
    if not cell.target:
        return dataset.examples(cell.split, image_size=data.image_size), dataset.schema, lambda candidate: candidate
    from bench.transfer import make_transfer

    target = _planned(cell.target, cell.target_hash, settings)
    transfer = make_transfer(data.dataset, dataset.schema, cell.target, target.schema)
    examples = transfer.examples(target.examples(cell.split, image_size=data.image_size))
    return examples, transfer.schema, lambda candidate: replace(candidate, predict=transfer.predict(candidate.predict), thresholds=None)


def _load_candidates(
    cells: list[CellSpec], settings: Settings, store: Store, device: torch.device, started: float
) -> tuple[dict[str, Candidate], list[CellResult]]:
    """The fitted methods by key. A fit without a model has failed: its cells keep the record that says why."""
    found: dict[str, Candidate] = {}
    results = []
    for key in dict.fromkeys(cell.fit.key for cell in cells):
        own = [cell for cell in cells if cell.fit.key == key]
        if not store.has_model(key) and all(store.read(cell.key) for cell in own):
            continue
        try:
            found[key] = load_candidate(own[0].fit, store, _dataset(own[0].fit.data, settings).schema, device)
        except Exception as error:
            status, reason = classify(error)
            results += [_write(store, cell, settings, started, status=status, reason=reason, error=_error(error)) for cell in own]
    return found, results


def load_candidate(fit: FitSpec, store: Store, schema: Schema, device: torch.device) -> Candidate:
    """A fitted method from its saved weights, ready to predict."""
    tensors = store.load_model(fit.key)
    method = registry.method_class(fit.method)(**fit.params)
    method.model = method.build(schema)
    method.model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")})
    thresholds = {name.removeprefix("thresholds."): value.numpy() for name, value in tensors.items() if name.startswith("thresholds.")}
    return _candidate(fit, method, thresholds, device)


def _candidate(fit: FitSpec, method: Any, thresholds: Mapping[str, np.ndarray], device: torch.device) -> Candidate:
    from bench.evaluation import Candidate

    method.model.to(device).eval().requires_grad_(False)
    logits = registry.entry("methods", fit.method).constants.get("SCORES", "logits") == "logits"
    return Candidate(fit.key, method.predict, logits, thresholds or None)


def _write_outcome(
    store: Store, cell: CellSpec, settings: Settings, started: float, outcome: Outcome, extra: Mapping[str, np.ndarray]
) -> CellResult:
    if outcome.summary is None:
        assert outcome.error is not None
        status, reason = classify(outcome.error)
        return _write(store, cell, settings, started, status=status, reason=reason, error=_error(outcome.error))
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
        **{name: facts[name] for name in ("n_labeled", "n_unlabeled", "label_index_hash", "fit_seconds", "peak_rss_mb", "peak_vram_mb")},
    }
    return _write(store, cell, settings, started, status="ok", reason="", **fields)


def _write(store: Store, cell: CellSpec, settings: Settings, started: float, **fields: Any) -> CellResult:
    earlier = store.read(cell.key)
    record = {**_blank_record(cell, settings, started), **fields, "attempt": (earlier["attempt"] if earlier else 0) + 1}
    store.write(record)
    seconds = time.time() - started
    if fields["status"] == "ok":  # a corrupted cell is evaluated beside others: only its own part counts
        seconds = fields["eval_seconds"] + (0.0 if cell.severity else fields["fit_seconds"])
    return CellResult(cell.key, fields["status"], fields["reason"], seconds)


def _blank_record(cell: CellSpec, settings: Settings, started: float) -> Record:
    """Every field of a record, those that are only known after success as None."""
    fit, data, finished = cell.fit, cell.fit.data, time.time()
    constants = registry.entry("methods", fit.method).constants
    record: Record = {
        "schema_version": SCHEMA_VERSION,
        "key": cell.key,
        "fit_key": fit.key,
        "protocol_id": cell.protocol_id,
        "paper": constants.get("PAPER", ""),
        "method": fit.method,
        "row": cell.row,
        "params": dict(fit.params),
        "split": cell.split,
        "corruption": cell.corruption,
        "severity": cell.severity,
        "preset": cell.preset,
        "error": None,
        "metrics": {},
        "per_attribute": {},
        "started": started,
        "finished": finished,
        "host": socket.gethostname(),
        "device": settings.device,
        "launcher": settings.launcher,
        "slurm_job_id": slurm_job_id() if settings.launcher == "slurm" else None,
        "git_sha": git_sha(),
        "env": environment(settings.threads) | {"source_hash": fit.source_hash, "backend": cell.backend},
    }
    record |= {"dataset": cell.dataset, "source": cell.source, "data_hash": _data_hash(cell)}
    record |= {"label_fraction": data.label_fraction, "seed": data.seed}
    unknown = ("n_labeled", "n_unlabeled", "label_index_hash", "per_class_path", "predictions_path", "fit_seconds", "eval_seconds")
    return record | dict.fromkeys((*unknown, "images_per_second", "peak_rss_mb", "peak_vram_mb"))


def _data_hash(cell: CellSpec) -> str:
    """What a record calls its data: of a transfer, both data sets."""
    own = cell.fit.data.data_hash
    return digest([own, cell.target_hash]) if cell.target else own


def _error(error: BaseException | None) -> Mapping[str, str] | None:
    if error is None:
        return None
    return {"type": type(error).__name__, "message": str(error), "traceback": "".join(traceback.format_exception(error))}
