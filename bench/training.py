"""The only training loop. Every step is a pure function of weights, optimiser state, hooks' state and its number, so that a run which
was stopped anywhere goes on bit for bit (at the same number of threads)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import checkpoint, registry
from bench.optimizing import autocast_type, learning_rate_factor, make_optimizer
from bench.protocol import POSITIVE, Batches, Examples, Hook, Recipe
from bench.seeding import derive_seed

_PROGRESS_SECONDS = 0.1
_CUDA_CHECK_STEPS = 50  # reading a loss waits for the device, so on CUDA losses are read in groups


class TrainingStopped(Exception):
    """Training was asked to stop; its state is saved and the same command goes on from there."""


class NonFiniteLossError(ArithmeticError):
    """A loss was infinite or not a number."""


class TrainingRun:
    """bench.protocol.Run on one device.

    checkpoint_dir: where phases keep their state, None for nowhere. checkpoint_seconds: wall time between two saves, 0 for every step.
    on_progress(phase, step, num_steps): called at most ten times a second. stop(): asked after each step; True saves and raises
    TrainingStopped. hidden_labels(): type -> int8 (N, C) of the unlabelled pool, for audit. history: phase -> what train returned.
    seconds_before: what processes that were stopped had spent on the phases that went on from their state."""

    def __init__(
        self,
        *,
        seed: int,
        device: torch.device,
        checkpoint_dir: Path | None = None,
        checkpoint_seconds: float = 30.0,
        on_progress: Callable[[str, int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
        hidden_labels: Callable[[], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        self.seed = seed
        self.device = device
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_seconds = checkpoint_seconds
        self.on_progress = on_progress
        self.stop = stop
        self.hidden_labels = hidden_labels
        self.logged: dict[str, float] = {}
        self.history: dict[str, list[dict[str, float]]] = {}
        self.seconds_before = 0.0
        self._began = time.monotonic()
        self._phases: set[str] = set()

    @property
    def seconds(self) -> float:
        """Spent on this run so far, by this process and those before it whose work is kept."""
        return self.seconds_before + time.monotonic() - self._began

    def train(
        self,
        name: str,
        module: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        batches: Batches,
        recipe: Recipe,
        *,
        hooks: Sequence[Hook] = (),
        validate: Callable[[], float] | None = None,
        validate_every_epochs: int = 1,
    ) -> list[dict[str, float]]:
        """Trains module in place; see bench.protocol.Run. Raises NonFiniteLossError, and TrainingStopped where stop() says so."""
        if name in self._phases:
            raise ValueError(f"phase {name!r} was trained already in this stage; give each phase a name of its own")
        self._phases.add(name)
        self.history[name] = _Phase(self, name, module, loss, batches, recipe, hooks, validate, validate_every_epochs).run()
        return self.history[name]

    def rng(self, *parts: str | int) -> np.random.Generator:
        """A generator that depends on the run's seed and the named parts alone."""
        return np.random.Generator(np.random.PCG64(derive_seed(self.seed, *parts)))

    def score(self, predict: Callable[[Tensor], dict[str, Tensor]], examples: Examples, metric: str) -> float:
        """recall@k, f1@k, accuracy@k, map or f2 (at each class's best threshold) over examples, pooled over all types that they carry
        labels of; NaN where undefined. Raises ValueError for another metric."""
        from bench.evaluation import predict_all

        scores = predict_all(predict, examples, self.device)
        return _pooled([(scores[name], np.asarray(labels)) for name, labels in examples.labels.items()], metric)

    def thresholds(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Those of bench.thresholds. Raises ValueError if the shapes differ or a score is NaN."""
        from bench.thresholds import best_thresholds

        return best_thresholds(scores, labels)

    def log(self, **values: float) -> None:
        """Keeps figures beside the model; a later value replaces an earlier one of the same name."""
        self.logged.update({name: float(value) for name, value in values.items()})

    def audit(self, name: str, labels: Mapping[str, np.ndarray]) -> None:
        """Logs, for each type given, the share of the pool with a pseudo-label (`<name>/<type>/coverage`) and the share of these that is
        positive among those with a known label (`.../accuracy`); nothing where no label is hidden."""
        if self.hidden_labels is None:
            return
        hidden = self.hidden_labels()
        for kind, pseudo in labels.items():
            truth = hidden[kind]
            if len(pseudo) != len(truth):
                raise ValueError(f"audit {name!r}: {len(pseudo)} pseudo-labels of type {kind!r} for a pool of {len(truth)}")
            known = (truth == POSITIVE).any(axis=1)
            checked = np.flatnonzero((pseudo >= 0) & known)
            if known.any():
                self.log(**{f"{name}/{kind}/coverage": float((pseudo >= 0).mean())})
            if len(checked):
                self.log(**{f"{name}/{kind}/accuracy": float((truth[checked, pseudo[checked]] == POSITIVE).mean())})

    @property
    def corruptions(self) -> Sequence[str]:
        """The 15 of Hendrycks & Dietterich (2019)."""
        names: Sequence[str] = registry.load_part("datasets.corruptions").NAMES
        return names

    def corrupt(self, images: np.ndarray, name: str, severity: int, keys: np.ndarray) -> np.ndarray:
        """See bench.protocol.Run."""
        corrupted: np.ndarray = registry.load_part("datasets.corruptions").corrupt(images, name, severity, keys)
        return corrupted


class _Phase:
    """One call of train(): a module on its way through a recipe."""

    def __init__(
        self,
        owner: TrainingRun,
        name: str,
        module: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        batches: Batches,
        recipe: Recipe,
        hooks: Sequence[Hook],
        validate: Callable[[], float] | None,
        validate_every_epochs: int,
    ) -> None:
        self.owner, self.name, self.module, self.loss, self.batches, self.recipe = owner, name, module, loss, batches, recipe
        self.hooks, self.validate, self.validate_every_epochs = hooks, validate, validate_every_epochs
        self.modules = [module.to(owner.device), *(hook.state.to(owner.device) for hook in hooks)]
        self.autocast = autocast_type(recipe.precision, owner.device)
        self.scaler = torch.amp.GradScaler(owner.device.type) if self.autocast == torch.float16 else None
        self.optimizer = make_optimizer(module, recipe, fused=self.scaler is None)
        self.parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self.peaks = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.first_plan = self._plan(0)
        self.epoch_steps = len(self.first_plan)
        if recipe.epochs < 1 or self.epoch_steps < 1:
            raise ValueError(f"phase {name!r}: {recipe.epochs} epochs of {self.epoch_steps} steps; expected at least one of each")
        self.num_steps = recipe.epochs * self.epoch_steps
        self.step = 0  # steps done
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None
        self.losses = torch.zeros(self.epoch_steps, device=owner.device)  # of the current epoch
        on_cuda = owner.device.type == "cuda"
        self.check_steps = _CUDA_CHECK_STEPS if on_cuda else 1
        self.saved_at = self.told_at = time.monotonic()

    def run(self) -> list[dict[str, float]]:
        if not self._load("done"):
            self._load("ckpt")
            self.module.train()
            for epoch in range(self.step // self.epoch_steps, self.recipe.epochs):
                self._epoch(epoch)
            if self.best is not None:
                self._restore(self.best["modules"])
            self._save("done")
            self._remove("ckpt")
        self.module.eval()
        return self.history

    def _epoch(self, epoch: int) -> None:
        plan = self._plan(epoch) if epoch else self.first_plan
        if len(plan) != self.epoch_steps:
            raise ValueError(f"phase {self.name!r}: epoch {epoch} has {len(plan)} steps, the first had {self.epoch_steps}; keep them equal")
        for batch in self._loaded(plan[self.step - epoch * self.epoch_steps :]):
            self._train_step(batch)
            if self.step % self.epoch_steps == 0:
                self._end_epoch(epoch)
            self._tell()
            if self.step < self.num_steps:
                self._checkpoint()

    def _train_step(self, batch: Any) -> None:
        self.step += 1
        factor = learning_rate_factor(self.recipe, self.step, self.epoch_steps, self.num_steps)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * factor
        _seed_torch(derive_seed(self.owner.seed, self.name, self.step), self.owner.device)
        self.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            loss = self.loss(self.module, batch)
        self._update(loss)
        for hook in self.hooks:
            hook.after_step(self.module, self.step, self.num_steps)
        self.losses[(self.step - 1) % self.epoch_steps] = loss.detach()
        if self.step % self.check_steps == 0:
            self._check_losses()

    def _update(self, loss: Tensor) -> None:
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        if self.scaler is None:
            self.optimizer.step()
            return
        self.scaler.step(self.optimizer)  # left out where a gradient overflowed
        self.scaler.update()

    def _end_epoch(self, epoch: int) -> None:
        self._check_losses()
        row = {"loss": self.losses.double().mean().item(), "learning_rate": float(self.optimizer.param_groups[0]["lr"])}
        if self.validate is not None and ((epoch + 1) % self.validate_every_epochs == 0 or epoch + 1 == self.recipe.epochs):
            row["validation"] = self._validation_score(self.validate)
        self.history.append(row)

    def _validation_score(self, validate: Callable[[], float]) -> float:
        self.module.eval()
        with torch.inference_mode():
            value = float(validate())
        self.module.train()
        if self.best is None or value > self.best["value"] or math.isnan(self.best["value"]):  # ties keep the earlier epoch
            states = [{key: tensor.detach().clone() for key, tensor in module.state_dict().items()} for module in self.modules]
            self.best = {"value": value, "modules": states}
        return value

    def _check_losses(self) -> None:
        done = (self.step - 1) % self.epoch_steps + 1
        finite = torch.isfinite(self.losses[:done])
        if not bool(finite.all()):
            index = int((~finite).nonzero()[0])
            step, rate = self.step - done + index + 1, self.optimizer.param_groups[0]["lr"]
            raise NonFiniteLossError(
                f"phase {self.name!r}: loss is {self.losses[index].item()} at step {step} of {self.num_steps} "
                f"(learning rate {rate:.3g}); a lower learning_rate or clip_norm may help"
            )

    def _checkpoint(self) -> None:
        stopping = self.owner.stop is not None and self.owner.stop()
        if stopping or time.monotonic() - self.saved_at >= self.owner.checkpoint_seconds:
            self._save("ckpt")
            self.saved_at = time.monotonic()
        if stopping:
            raise TrainingStopped(f"phase {self.name!r} stopped after step {self.step} of {self.num_steps}")

    def _save(self, suffix: str) -> None:
        if self.owner.checkpoint_dir is None:
            return
        self._check_losses()
        state = {"identity": self._identity(), "step": self.step, "history": self.history, "seconds": self.owner.seconds}
        state["modules"] = [module.state_dict() for module in self.modules]
        if suffix == "ckpt":
            state |= {"optimizer": self.optimizer.state_dict(), "losses": self.losses, "best": self.best}
            state |= {} if self.scaler is None else {"scaler": self.scaler.state_dict()}
        checkpoint.save(checkpoint.checkpoint_path(self.owner.checkpoint_dir, self.name, suffix), state)

    def _load(self, suffix: str) -> bool:
        if self.owner.checkpoint_dir is None:
            return False
        path = checkpoint.checkpoint_path(self.owner.checkpoint_dir, self.name, suffix)
        state = checkpoint.load(path, self._identity(), self.owner.device)
        if state is None:
            return False
        self._restore(state["modules"])
        self.step, self.history = state["step"], state["history"]
        self.owner.seconds_before = max(self.owner.seconds_before, state.get("seconds", 0.0))
        if suffix == "ckpt":
            self.optimizer.load_state_dict(state["optimizer"])
            self.losses, self.best = state["losses"], state["best"]
            if self.scaler is not None:
                self.scaler.load_state_dict(state["scaler"])
        return True

    def _remove(self, suffix: str) -> None:
        if self.owner.checkpoint_dir is not None:
            checkpoint.checkpoint_path(self.owner.checkpoint_dir, self.name, suffix).unlink(missing_ok=True)

    def _restore(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        for module, state in zip(self.modules, states, strict=True):
            module.load_state_dict(state)

    def _identity(self) -> str:
        recipe = {field.name: getattr(self.recipe, field.name) for field in dataclasses.fields(self.recipe) if field.name != "param_groups"}
        facts = {"phase": self.name, "seed": self.owner.seed, "num_steps": self.num_steps, "recipe": recipe}
        return checkpoint.identity(facts, self.modules)

    def _plan(self, epoch: int) -> Sequence[Any]:
        return self.batches.epoch(self.owner.rng(self.name, "epoch", epoch))

    def _loaded(self, plan: Sequence[Any]) -> Iterator[Any]:
        """The batches of a plan on the device; on CUDA the next one is loaded while the present one is trained on."""
        on_cuda = self.owner.device.type == "cuda"
        batches = prefetched(plan, self._load_pinned) if on_cuda else map(self.batches.load, plan)
        return (_mapped(batch, lambda tensor: tensor.to(self.owner.device, non_blocking=True)) for batch in batches)

    def _load_pinned(self, entry: Any) -> Any:
        return _mapped(self.batches.load(entry), Tensor.pin_memory)

    def _precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.autocast is None else torch.autocast(self.owner.device.type, self.autocast)

    def _tell(self) -> None:
        now = time.monotonic()
        if self.owner.on_progress is not None and (now - self.told_at >= _PROGRESS_SECONDS or self.step == self.num_steps):
            self.told_at = now
            self.owner.on_progress(self.name, self.step, self.num_steps)


def prefetched(plan: Sequence[Any], load: Callable[[Any], Any]) -> Iterator[Any]:
    """load of each entry in turn; a thread loads the next one while the caller works on the present one."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Any]] = []
        for entry in plan:
            waiting.append(pool.submit(load, entry))
            if len(waiting) > 1:
                yield waiting.pop(0).result()
        yield from (future.result() for future in waiting)


def _pooled(pairs: Sequence[tuple[np.ndarray, np.ndarray]], metric: str) -> float:
    """A metric of (scores, labels) pairs, one a type."""
    from bench import classwise, ranking

    name, _, k = metric.partition("@")
    by_rank = {"recall": ranking.recall, "f1": ranking.f1, "accuracy": ranking.accuracy}
    if name in by_rank and k.isdecimal() and int(k) > 0:
        return by_rank[name]([ranking.rank(scores, labels) for scores, labels in pairs], int(k))
    if metric == "map":
        return classwise.mean(np.concatenate([classwise.average_precisions(scores, labels) for scores, labels in pairs]))
    if metric == "f2":
        decisions = [(labels, classwise.decide(scores, classwise.best_thresholds(scores, labels))) for scores, labels in pairs]
        return classwise.mean(np.concatenate([classwise.f_betas(labels, decided, beta=2.0) for labels, decided in decisions]))
    raise ValueError(f"metric {metric!r}; expected recall@k, f1@k or accuracy@k with k >= 1, map or f2")


def _seed_torch(seed: int, device: torch.device) -> None:
    torch.default_generator.manual_seed(seed)  # torch.manual_seed visits every back end: 100 us a step
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _mapped(batch: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A batch with the function applied to each tensor in its tuples, lists and dicts."""
    if isinstance(batch, Tensor):
        return function(batch)
    if isinstance(batch, Mapping):
        return {key: _mapped(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_mapped(value, function) for value in batch))
    if isinstance(batch, tuple | list):
        return type(batch)(_mapped(value, function) for value in batch)
    return batch
