"""Records, models and predictions on disk. Every file appears whole or not at all: a temporary name, then os.replace."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.protocol import POSITIVE, AttributeType, Schema

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

    records/<key[:2]>/<key>.json, models/<fit_key>/, predictions/<key[:2]>/<key>.safetensors, splits/<data_hash>-<split>.safetensors,
    checkpoints/<stage key>/."""

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
        write_whole(self.record_path(record["key"]), _json(record))

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
        from safetensors.torch import save

        folder = self.model_path(key)
        write_whole(folder / _WEIGHTS, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
        write_whole(folder / _COMPLETE, _json(facts))

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
        from safetensors.numpy import save

        path = self.root / kind / key[:2] / f"{key}.safetensors"
        write_whole(path, save({name: values.copy() for name, values in arrays.items()}))  # only whole, contiguous memory is written
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

    def save_split(self, data_hash: str, split: str, schema: Schema, labels: Mapping[str, np.ndarray]) -> None:
        """Keeps once what a split's images carry: type -> int8 (N, C), of which the positives are kept."""
        import numpy as np
        from safetensors.numpy import save

        path = self._split_path(data_hash, split)
        if path.exists():
            return
        packed = {name: np.packbits(np.asarray(values) == POSITIVE, axis=1) for name, values in labels.items()}
        types = [{"name": kind.name, "classes": kind.classes, "exclusive": kind.exclusive} for kind in schema]
        write_whole(path, save(packed, metadata={"schema": json.dumps(types)}))

    def load_split(self, data_hash: str, split: str) -> tuple[Schema, dict[str, np.ndarray]]:
        """The schema and type -> bool (N, C), whether an image carries a class. Raises FileNotFoundError where it is not there."""
        import numpy as np
        from safetensors import safe_open

        with safe_open(self._split_path(data_hash, split), framework="numpy") as file:
            types = json.loads(file.metadata()["schema"])
            schema = Schema(tuple(AttributeType(each["name"], tuple(each["classes"]), each["exclusive"]) for each in types))
            packed = {kind.name: file.get_tensor(kind.name) for kind in schema}
        counts = {kind.name: len(kind.classes) for kind in schema}
        return schema, {name: np.unpackbits(values, axis=1, count=counts[name]).astype(bool) for name, values in packed.items()}

    def _split_path(self, data_hash: str, split: str) -> Path:
        return self.root / "splits" / f"{data_hash}-{split}.safetensors"

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


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file of these bytes in the place of any earlier one; a reader sees the one or the other."""
    handle, temporary = _new_file(path)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside the given one that takes its place when the block ends without an error."""
    handle, temporary = _new_file(path)
    os.close(handle)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_file(beside: Path) -> tuple[int, Path]:
    """An open, empty file of an unused name in the folder of a path; the folder is made where it is not there."""
    temporary = beside.with_name(f".tmp-{secrets.token_hex(8)}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    try:
        return os.open(temporary, flags, 0o666), temporary
    except FileNotFoundError:
        beside.parent.mkdir(parents=True, exist_ok=True)
        return os.open(temporary, flags, 0o666), temporary
