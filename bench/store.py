"""Records, models and predictions on disk. Every file appears whole or not at all: a temporary name, then os.replace."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SCHEMA_VERSION = 1
STATUSES = ("ok", "failed", "timeout", "oom", "killed", "no_data", "interrupted")
FIELDS = (
    *("schema_version", "key", "fit_key", "protocol_id", "paper", "method", "row", "params", "dataset", "source", "data_hash"),
    *("split", "label_fraction", "n_labeled", "n_unlabeled", "label_index_hash", "corruption", "severity", "seed", "preset"),
    *("status", "reason", "error", "attempt", "metrics", "per_attribute", "per_class_path", "predictions_path"),
    *("fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "peak_vram_mb", "started", "finished"),
    *("host", "device", "launcher", "slurm_job_id", "git_sha", "env"),
)
_COMPLETE = "complete.json"  # written last into a model's folder: without it the folder does not count
_WEIGHTS = "model.safetensors"

Record = dict[str, Any]


class Store:
    """One folder of results.

    records/<key[:2]>/<key>.json, models/<fit_key>/, predictions/<key[:2]>/<key>.safetensors, checkpoints/<stage key>/."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def record_path(self, key: str) -> Path:
        return self.root / "records" / key[:2] / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """The record of a key; None where there is none. A damaged one is set aside as *.damaged and counts as none."""
        return self._load(self.record_path(key))

    def write(self, record: Record) -> None:
        """Writes a record in place of any earlier one of its key. Raises ValueError where a field is missing or unknown."""
        if set(record) != set(FIELDS):
            raise ValueError(f"record {record.get('key')}: fields {sorted(set(record) ^ set(FIELDS))} missing or unknown")
        text = json.dumps(record, allow_nan=False, separators=(",", ":"))
        with replacing(self.record_path(record["key"])) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def records(self) -> Iterator[Record]:
        """All records that can be read, in the order of their keys."""
        for path in sorted((self.root / "records").glob("??/*.json")):
            record = self._load(path)
            if record is not None:
                yield record

    def _load(self, path: Path) -> Record | None:
        try:
            record = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            record = None
        if not isinstance(record, dict) or record.get("key") != path.stem:
            with suppress(OSError):
                os.replace(path, path.with_suffix(".damaged"))
            return None
        return upgrade(record)

    def model_path(self, key: str) -> Path:
        return self.root / "models" / key

    def has_model(self, key: str) -> bool:
        return (self.model_path(key) / _COMPLETE).is_file()

    def model_facts(self, key: str) -> dict[str, Any]:
        """What save_model was told beside the weights."""
        facts: dict[str, Any] = json.loads((self.model_path(key) / _COMPLETE).read_bytes())
        return facts

    def save_model(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Weights as safetensors, then the completion marker with JSON facts. tensors may share no memory."""
        from safetensors.torch import save_file

        folder = self.model_path(key)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / _WEIGHTS) as temporary:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
        with replacing(folder / _COMPLETE) as temporary:
            temporary.write_text(json.dumps(facts, allow_nan=False), encoding="utf-8")

    def load_model(self, key: str) -> dict[str, Tensor]:
        """Raises FileNotFoundError without the completion marker, ValueError where the file is damaged (its marker is then removed)."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.model_path(key)
        if not self.has_model(key):
            raise FileNotFoundError(f"{folder}: no complete model")
        try:
            return load_file(folder / _WEIGHTS)
        except (SafetensorError, FileNotFoundError) as error:
            (folder / _COMPLETE).unlink(missing_ok=True)
            raise ValueError(f"{folder / _WEIGHTS}: damaged ({error}); run again to rebuild it") from error

    def save_arrays(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Writes arrays beside the records, as safetensors; returns the path relative to the store."""
        from safetensors.numpy import save_file

        path = self.root / kind / key[:2] / f"{key}.safetensors"
        with replacing(path) as temporary:
            save_file({name: values.copy() for name, values in arrays.items()}, temporary)  # only whole, contiguous memory is written
        return path.relative_to(self.root).as_posix()

    def save_json(self, kind: str, key: str, value: object) -> str:
        """Writes a JSON document beside the records; returns the path relative to the store."""
        path = self.root / kind / key[:2] / f"{key}.json"
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value, allow_nan=False, separators=(",", ":")), encoding="utf-8")
        return path.relative_to(self.root).as_posix()

    def load_arrays(self, relative: str) -> dict[str, np.ndarray]:
        """What save_arrays wrote. Raises ValueError where the file is damaged, FileNotFoundError where it is not there."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found: dict[str, np.ndarray] = load_file(self.root / relative)
        except SafetensorError as error:
            raise ValueError(f"{self.root / relative}: damaged ({error}); run the cell again") from error
        return found

    def checkpoint_dir(self, key: str) -> Path:
        return self.root / "checkpoints" / key

    def drop_checkpoints(self, key: str) -> None:
        shutil.rmtree(self.checkpoint_dir(key), ignore_errors=True)


def upgrade(record: Record) -> Record:
    """A record of an older schema_version in today's form. Raises ValueError for one from the future."""
    version = record.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ValueError(f"record {record.get('key')}: schema_version {version}, at most {SCHEMA_VERSION} expected; update the harness")
    return record


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside the given one that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
