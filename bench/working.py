"""What a worker needs beside a stage: settings, a prepared process, and the data sets that it has opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench import registry
from bench.protocol import UNKNOWN, BadDataError, DataOptions, Dataset, Examples
from bench.spec import DataSpec

if TYPE_CHECKING:
    import torch


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


def device_of(settings: Settings) -> torch.device:
    import torch

    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if settings.device == "auto" else settings.device
    return torch.device(wanted)


def dataset_of(data: DataSpec, settings: Settings) -> Dataset:
    return planned(data.dataset, data.data_hash, settings)


def planned(name: str, data_hash: str, settings: Settings) -> Dataset:
    """A data set, which must be what it was when the sweep was planned."""
    dataset = open_dataset(name, settings.data_options)
    if dataset.data_hash != data_hash:
        raise ValueError(f"{name}: its files changed since the sweep was planned; run again")
    return dataset


def check_measurable(name: str, split: str, examples: Examples) -> None:
    """Raises BadDataError where no image of a split is left, because all are damaged, or none of those left has a label."""
    advice = f"'python -m bench doctor {name}' lists what is damaged"
    if not len(examples):
        raise BadDataError(f"{name}: no {split} image is left to measure on; {advice}")
    if all((labels == UNKNOWN).all() for labels in examples.labels.values()):
        raise BadDataError(f"{name}: none of the {len(examples)} {split} images left has a label; {advice}")
