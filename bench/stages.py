"""What a stage does: train a teacher, train a method, evaluate. run_stage is the one callable that every launcher runs."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.environment import environment, git_sha, peak_rss_mb, peak_vram_mb, reset_peaks
from bench.plan import Stage
from bench.protocol import DataOptions, Dataset, NoDataError, Schema, TrainingData
from bench.seeding import derive_seed
from bench.spec import CellSpec, DataSpec, FitSpec
from bench.store import SCHEMA_VERSION, Record, Store

if TYPE_CHECKING:
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
        prepare_process(settings.threads)
        reset_peaks()
        if stage.kind == "teacher":
            _run_teacher(stage, settings, store, progress)
            cells = []
        elif stage.kind == "fit":
            cells = _run_fit(stage, settings, store, progress, started)
        else:
            cells = _evaluate(stage.cells, settings, store, started)
    except Exception as error:
        status, reason = classify(error)
        cells = record_failure(stage, settings, status, reason, error=error, started=started)
        return StageResult(status, reason, time.time() - started, cells)
    return StageResult("ok", "", time.time() - started, cells)


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
    dataset = open_dataset(data.dataset, settings.data_options)
    if dataset.data_hash != data.data_hash:
        raise ValueError(f"{data.dataset}: its files changed since the sweep was planned; run again")
    return dataset


def _training_data(dataset: Dataset, data: DataSpec) -> TrainingData:
    return dataset.training(image_size=data.image_size, label_fraction=data.label_fraction, unlabeled=data.unlabeled, seed=data.seed)


def _training_run(key: str, seed: int, settings: Settings, store: Store, progress: Progress | None) -> TrainingRun:
    from bench.training import TrainingRun

    return TrainingRun(
        seed=seed,
        device=_device(settings),
        checkpoint_dir=store.checkpoint_dir(key),
        checkpoint_seconds=settings.checkpoint_seconds,
        on_progress=progress,
    )


def _run_teacher(stage: Stage, settings: Settings, store: Store, progress: Progress | None) -> None:
    spec, started = stage.teacher, time.time()
    assert spec is not None
    if store.has_model(spec.key):
        return
    dataset = _dataset(spec.data, settings)
    method = registry.method_class(spec.method)(**spec.params)
    run = _training_run(spec.key, derive_seed("teacher", spec.method, spec.teacher, spec.data.seed), settings, store, progress)
    module = method.fit_teacher(spec.teacher, _training_data(dataset, spec.data), run)
    store.save_model(spec.key, _state(module), {"teacher": spec.teacher, **_fit_facts(dataset, spec.data, run, started)})
    store.drop_checkpoints(spec.key)


def _run_fit(stage: Stage, settings: Settings, store: Store, progress: Progress | None, started: float) -> list[CellResult]:
    fit = stage.fit
    assert fit is not None
    if not store.has_model(fit.key):
        _train(fit, settings, store, progress)
    return _evaluate(stage.cells, settings, store, started)


def _train(fit: FitSpec, settings: Settings, store: Store, progress: Progress | None) -> None:
    method = registry.method_class(fit.method)(**fit.params)
    dataset, started = _dataset(fit.data, settings), time.time()
    run = _training_run(fit.key, derive_seed("fit", fit.method, fit.data.seed), settings, store, progress)
    teachers = {name: _load_teacher(fit, name, method, dataset.schema, store, run.device) for name in method.teachers(dataset.schema)}
    data = _training_data(dataset, fit.data)
    method.fit(data, teachers, run)
    facts = _fit_facts(dataset, fit.data, run, started)
    facts |= {"n_labeled": len(data.labeled), "n_unlabeled": len(data.unlabeled)}
    thresholds = _validation_thresholds(method, data, run.device)
    tensors = {f"model.{name}": tensor for name, tensor in _state(method.model).items()}
    store.save_model(fit.key, tensors | {f"thresholds.{name}": tensor for name, tensor in thresholds.items()}, facts)
    store.drop_checkpoints(fit.key)


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
        "logged": dict(run.logged),
    }


def _validation_thresholds(method: Any, data: TrainingData, device: torch.device) -> dict[str, Tensor]:
    """The threshold of each class of the multi-label types with the best F2 on validation."""
    import torch

    from bench.evaluation import predict_all
    from bench.metrics import best_thresholds

    multi = [attribute_type.name for attribute_type in data.schema if not attribute_type.exclusive]
    if not multi or not len(data.validation):
        return {}
    method.model.to(device).eval()
    scores = predict_all(method.predict, data.validation, device)
    return {name: torch.from_numpy(best_thresholds(scores[name], data.validation.labels[name])) for name in multi}


def _evaluate(cells: list[CellSpec], settings: Settings, store: Store, started: float) -> list[CellResult]:
    """Shows each condition once to all fits that need it, and writes their records."""
    from bench.evaluation import evaluate

    if not cells:
        return []
    device, corrupt = _device(settings), registry.load_part("datasets.corruptions").corrupt
    candidates, results = _load_candidates(cells, settings, store, device, started)
    conditions = dict.fromkeys((cell.corruption, cell.severity) for cell in cells)
    for corruption, severity in conditions:
        chosen = [cell for cell in cells if (cell.corruption, cell.severity) == (corruption, severity) and cell.fit.key in candidates]
        if not chosen:
            continue
        data = chosen[0].fit.data
        dataset = _dataset(data, settings)
        examples = dataset.examples(chosen[0].split, image_size=data.image_size)
        shown = {cell.fit.key: candidates[cell.fit.key] for cell in chosen}
        outcomes = evaluate(list(shown.values()), examples, dataset.schema, corruption, severity, corrupt=corrupt, device=device)
        by_key = {outcome.key: outcome for outcome in outcomes}
        results += [_write_outcome(store, cell, settings, started, by_key[cell.fit.key]) for cell in chosen]
    return results


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
    from bench.evaluation import Candidate

    tensors = store.load_model(fit.key)
    method = registry.method_class(fit.method)(**fit.params)
    method.model = method.build(schema)
    method.model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")})
    method.model.to(device).eval().requires_grad_(False)
    thresholds = {name.removeprefix("thresholds."): value.numpy() for name, value in tensors.items() if name.startswith("thresholds.")}
    logits = registry.entry("methods", fit.method).constants.get("SCORES", "logits") == "logits"
    return Candidate(fit.key, method.predict, logits, thresholds or None)


def _write_outcome(store: Store, cell: CellSpec, settings: Settings, started: float, outcome: Outcome) -> CellResult:
    if outcome.summary is None:
        assert outcome.error is not None
        status, reason = classify(outcome.error)
        return _write(store, cell, settings, started, status=status, reason=reason, error=_error(outcome.error))
    summary, facts = outcome.summary, store.model_facts(cell.fit.key)
    fields = {
        "metrics": summary.metrics,
        "per_attribute": summary.per_attribute,
        "per_class_path": store.save_json("per_class", cell.key, summary.per_class),
        "predictions_path": store.save_arrays("predictions", cell.key, summary.arrays),
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
        "slurm_job_id": None,
        "git_sha": git_sha(),
        "env": environment(settings.threads) | {"source_hash": fit.source_hash, "backend": cell.backend},
    }
    record |= {name: value for name, value in asdict(data).items() if name not in ("image_size", "unlabeled")}
    unknown = ("n_labeled", "n_unlabeled", "label_index_hash", "per_class_path", "predictions_path", "fit_seconds", "eval_seconds")
    return record | dict.fromkeys((*unknown, "images_per_second", "peak_rss_mb", "peak_vram_mb"))


def _error(error: BaseException | None) -> Mapping[str, str] | None:
    if error is None:
        return None
    return {"type": type(error).__name__, "message": str(error), "traceback": "".join(traceback.format_exception(error))}
