"""Records, models and predictions on disk. Every file appears whole or not at all: a temporary name, then os.replace."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.protocol import POSITIVE, AttributeType, Schema
from bench.record_check import fault, sweep_fault

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

SCHEMA_VERSION = 1
FIELDS = (
    *("schema_version", "key", "fit_key", "protocol_id", "paper", "method", "row", "params", "dataset", "source", "data_hash"),
    *("split", "label_fraction", "n_labeled", "n_unlabeled", "label_index_hash", "corruption", "severity", "seed", "preset"),
    *("status", "reason", "error", "attempt", "metrics", "per_attribute", "per_class_path", "predictions_path"),
    *("fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "peak_vram_mb", "started", "finished"),
    *("host", "device", "launcher", "slurm_job_id", "git_sha", "env"),
)
_COMPLETE = "complete.json"  # written last into a model's folder: without it the folder does not count
_WEIGHTS = "model.safetensors"
MODEL_FILES = (_WEIGHTS, _COMPLETE)  # in the order in which they are written

_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
logger = logging.getLogger(__name__)

Record = dict[str, Any]


class StoreError(ValueError):
    """A file of a store that cannot be used; the text names it and says what to do."""


class UnwritableError(OSError):
    """The disk takes no more: it is full, over quota or read-only. Nothing half-written is left."""


class Store:
    """One folder of results.

    records/<key[:2]>/<key>.json, models/<fit_key>/, predictions/<key[:2]>/<key>.safetensors, splits/<data_hash>-<split>.safetensors,
    checkpoints/<stage key>/."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def record_path(self, key: str) -> Path:
        return self.root / "records" / key[:2] / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """The record of a key; None where there is none. A damaged one is named, set aside as *.damaged and counts as none. Raises
        StoreError for one that a later harness wrote."""
        return self._load(self.record_path(key))

    def look_again(self, keys: Iterable[str]) -> None:
        """Lists the folders of these records: a client of NFS believes for up to a minute that a file is not there, unless it does."""
        for folder in (self.root / "records", *sorted({self.record_path(key).parent for key in keys})):
            with suppress(OSError):
                os.listdir(folder)

    def write(self, record: Record) -> None:
        """Writes a record in place of any earlier one of its key. Raises ValueError where a field is missing or unknown."""
        if set(record) != set(FIELDS):
            raise ValueError(f"record {record.get('key')}: fields {sorted(set(record) ^ set(FIELDS))} missing or unknown")
        write_whole(self.record_path(record["key"]), _json(record))

    def records(self) -> Iterator[Record]:
        """All records that can be read, in the order of their keys."""
        for path in [Path(entry.path) for entry in self.record_files()]:  # listed first: what is damaged is renamed
            record = self._load(path)
            if record is not None:
                yield record

    def survey(self) -> tuple[dict[str, Record], list[str]]:
        """All records by key, and what is wrong with those that cannot be used: one text each. Nothing is set aside or changed."""
        found: dict[str, Record] = {}
        faults: list[str] = []
        for path in [Path(entry.path) for entry in self.record_files()]:
            try:
                record = read_record(path)
            except DamagedRecordError as error:
                faults.append(f"{path}: {error}")
                continue
            except StoreError as error:
                faults.append(str(error))
                continue
            if record is not None:
                found[path.stem] = record
        return found, faults

    def record_files(self) -> Iterator[os.DirEntry[str]]:
        """The files of all records, in the order of their keys. Folders that this user may not read are counted in one line."""
        num_refused = 0
        for folder in sorted((self.root / "records").glob("??")):
            try:
                with os.scandir(folder) as found:
                    own = sorted((entry for entry in found if entry.name.endswith(".json")), key=lambda entry: entry.name)
            except PermissionError:
                num_refused += 1
            except _NO_FILE:
                continue
            else:
                yield from own
        if num_refused:
            _tell_refused(self.root / "records", num_refused)

    def _load(self, path: Path) -> Record | None:
        try:
            return read_record(path)
        except DamagedRecordError as error:
            logger.warning(f"{path}: damaged ({error}), counts as missing; {_set_aside(path)}")
            return None

    def sweeps(self) -> list[dict[str, Any]]:
        """The sweeps that were typed, oldest first: argv, and the keys of their cells. Damaged notes are named and set aside."""
        paths = sorted((self.root / "sweeps").glob("*.json"), key=lambda each: (each.stat().st_mtime, each.name))
        found = []
        for path in paths:
            sweep = _parse(path.read_bytes())
            if wrong := sweep_fault(sweep):
                logger.warning(f"{path}: damaged ({wrong}), counts as missing; {_set_aside(path)}")
            else:
                found.append(sweep)
        return found

    def model_path(self, key: str) -> Path:
        return self.root / "models" / key

    def has_model(self, key: str) -> bool:
        """Whether there is a model with its marker. One that has lost bytes since is set aside and counts as none. Raises StoreError where
        that cannot be read."""
        folder = self.model_path(key)
        if not (folder / _COMPLETE).is_file():
            return False
        if _is_whole(folder / _WEIGHTS):
            return True
        logger.warning(f"{folder / _WEIGHTS}: damaged, counts as missing; {self._discard_model(key)}")
        return False

    def _discard_model(self, key: str) -> str:
        folder = self.model_path(key)
        with suppress(OSError):
            (folder / _COMPLETE).unlink()
        return _set_aside(folder / _WEIGHTS)

    def model_facts(self, key: str) -> dict[str, Any]:
        """What save_model was told beside the weights. Raises StoreError where that is damaged (the model then counts as incomplete)."""
        path = self.model_path(key) / _COMPLETE
        with _reading(path):
            facts = _parse(path.read_bytes())
        if not isinstance(facts, dict):
            path.unlink(missing_ok=True)
            raise StoreError(f"{path}: damaged; run again to rebuild the model")
        return facts

    def save_model(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Weights as safetensors, then the completion marker with JSON facts. tensors may share no memory."""
        from safetensors.torch import save

        folder = self.model_path(key)
        write_whole(folder / _WEIGHTS, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))
        write_whole(folder / _COMPLETE, _json(facts))

    def load_model(self, key: str) -> dict[str, Tensor]:
        """Raises FileNotFoundError without the completion marker, StoreError where the file is damaged (it is set aside then) or cannot be
        read."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.model_path(key)
        if not (folder / _COMPLETE).is_file():
            raise FileNotFoundError(f"{folder}: no complete model")
        try:
            with _opening(folder / _WEIGHTS):
                return load_file(folder / _WEIGHTS)
        except (SafetensorError, FileNotFoundError) as error:
            raise StoreError(f"{folder / _WEIGHTS}: damaged ({error}); {self._discard_model(key)}; run again to rebuild it") from error

    def save_arrays(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Writes arrays beside the records, as safetensors; returns the path relative to the store."""
        from safetensors.numpy import save

        path = self.root / arrays_path(kind, key)
        write_whole(path, save({name: values.copy() for name, values in arrays.items()}))  # only whole, contiguous memory is written
        return arrays_path(kind, key)

    def load_arrays(self, relative: str) -> dict[str, np.ndarray]:
        """What save_arrays wrote, with the counts of an evaluation. Raises StoreError where the file is damaged (it is set aside then), not
        there or cannot be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.root / relative
        try:
            with _opening(path):
                found: dict[str, np.ndarray] = load_file(path)
        except FileNotFoundError as error:
            raise StoreError(f"{path}: lost; type the run command again to rebuild it") from error
        except (SafetensorError, *_NO_FILE) as error:
            raise StoreError(f"{path}: damaged ({error}); {_set_aside(path)}; type the run command again to rebuild it") from error
        if not _counts_fit(found):
            expected = "hits and num_predictions (N, T, K) and num_positives (N, T) expected"
            raise StoreError(f"{path}: damaged ({expected}); {_set_aside(path)}; type the run command again to rebuild it")
        return found

    def has_figures(self, record: Record) -> bool:
        """Whether the arrays of a record are there, if it is to have any. A file that has lost bytes since is set aside and counts as
        missing."""
        return record["status"] != "ok" or self._has_file(self.root / record["predictions_path"])

    def has_split(self, data_hash: str, split: str) -> bool:
        """Whether what save_split wrote is there. A file that has lost bytes since is set aside and counts as missing."""
        return self._has_file(self._split_path(data_hash, split))

    def _has_file(self, path: Path) -> bool:
        if _is_whole(path):
            return True
        if path.exists():
            logger.warning(f"{path}: damaged, counts as missing; {_set_aside(path)}")
        return False

    def save_split(self, data_hash: str, split: str, schema: Schema, labels: Mapping[str, np.ndarray]) -> None:
        """Keeps once what a split's images carry: type -> int8 (N, C), of which the positives are kept."""
        import numpy as np
        from safetensors.numpy import save

        if self.has_split(data_hash, split):
            return
        packed = {name: np.packbits(np.asarray(values) == POSITIVE, axis=1) for name, values in labels.items()}
        types = [{"name": kind.name, "classes": kind.classes, "exclusive": kind.exclusive} for kind in schema]
        write_whole(self._split_path(data_hash, split), save(packed, metadata={"schema": json.dumps(types)}))

    def load_split(self, data_hash: str, split: str) -> tuple[Schema, dict[str, np.ndarray]]:
        """The schema and type -> bool (N, C), whether an image carries a class. Raises FileNotFoundError where it is not there, which it
        is not either once it has been found too short, and StoreError where it is damaged in another way."""
        import numpy as np
        from safetensors import SafetensorError, safe_open

        path = self._split_path(data_hash, split)
        if not self.has_split(data_hash, split):
            raise FileNotFoundError(f"{path}: not there; type the run command again to rebuild it")
        try:
            with _opening(path), safe_open(path, framework="numpy") as file:
                types = json.loads(file.metadata()["schema"])
                schema = Schema(tuple(AttributeType(each["name"], tuple(each["classes"]), each["exclusive"]) for each in types))
                packed = {kind.name: file.get_tensor(kind.name) for kind in schema}
        except StoreError:
            raise
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path}: damaged ({error}); {_set_aside(path)}; type the run command again to rebuild it") from error
        counts = {kind.name: len(kind.classes) for kind in schema}
        return schema, {name: np.unpackbits(values, axis=1, count=counts[name]).astype(bool) for name, values in packed.items()}

    def _split_path(self, data_hash: str, split: str) -> Path:
        return self.root / "splits" / f"{data_hash}-{split}.safetensors"

    def checkpoint_dir(self, key: str) -> Path:
        return self.root / "checkpoints" / key

    def drop_checkpoints(self, key: str) -> None:
        shutil.rmtree(self.checkpoint_dir(key), ignore_errors=True)


def arrays_path(kind: str, key: str) -> str:
    """Where save_arrays puts a key's arrays, relative to the store."""
    return f"{kind}/{key[:2]}/{key}.safetensors"


@cache
def _tell_refused(folder: Path, count: int) -> None:
    """Says so once a process."""
    logger.warning(f"{folder}: {count} of its folders may not be read by this user; the records in them are left out")


class DamagedRecordError(StoreError):
    """A record's file that holds something else."""


def read_record(path: Path) -> Record | None:
    """The record in a file, in today's form; None where there is no file. Raises DamagedRecordError where it holds something else,
    StoreError where it cannot be read or a later harness wrote it."""
    try:
        with _reading(path):
            record = _parse(path.read_bytes())
    except FileNotFoundError:
        return None
    if not isinstance(record, dict) or record.get("key") != path.stem:
        raise DamagedRecordError("is no record of this name")
    try:
        record = upgrade(record)
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from error
    if wrong := fault(record):
        raise DamagedRecordError(wrong)
    return record


def upgrade(record: Record) -> Record:
    """A record of an older schema_version in today's form. Raises ValueError for one from the future."""
    version = record.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(f"record {record.get('key')}: schema_version {version}, at most {SCHEMA_VERSION} expected; update the harness")
    return record


def _counts_fit(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether the counts that every figure rests on are there and belong together."""
    hits, positives, predictions = (arrays.get(name) for name in ("hits", "num_positives", "num_predictions"))
    if hits is None or positives is None or predictions is None:
        return False
    return hits.ndim == 3 and hits.shape == predictions.shape and hits.shape[:2] == positives.shape


def _parse(data: bytes) -> Any:
    """What JSON holds, with no NaN in it; None for what is no JSON."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file of these bytes in the place of any earlier one; a reader sees the one or the other."""
    with _telling(path), _temporary(path) as (handle, temporary):
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)


def _is_whole(path: Path) -> bool:
    """Whether a file of safetensors is as long as its head says: 20 us, where reading it takes as long as it is large. Raises StoreError
    where it cannot be read, which is no damage."""
    try:
        with _reading(path), open(path, "rb") as file:
            size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
            if length > size:
                return False
            head = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in head.items() if name != "__metadata__"]
            return bool(size == file.tell() + max(ends, default=0))
    except StoreError:
        raise
    except (*_NO_FILE, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns the errors of a disk or a system that gives no answer for now into StoreError; those of _NO_FILE go through."""
    try:
        yield
    except _NO_FILE:
        raise
    except (OSError, MemoryError) as error:
        raise StoreError(f"{path}: cannot be read: {getattr(error, 'strerror', '') or str(error) or 'out of memory'}") from error


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """_reading for safetensors, which says of whatever it cannot open that it is not there."""
    with _reading(path):
        with open(path, "rb"):
            pass
        yield


def _set_aside(path: Path) -> str:
    """Renames a damaged file and says so."""
    aside = path.with_suffix(".damaged")
    try:
        os.replace(path, aside)
    except OSError as error:
        return f"it cannot be set aside ({error.strerror})"
    return f"set aside as {aside.name}"


def _json(value: object) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside the given one that takes its place when the block ends without an error."""
    with _telling(path), _temporary(path) as (handle, temporary):
        os.close(handle)
        yield temporary
        os.replace(temporary, path)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turns the errors of a disk that takes no more into UnwritableError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or isinstance(error, UnwritableError):
            raise
        raise UnwritableError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[int, Path]]:
    """A new, empty file beside a path, open and with its name; it is gone where the block fails."""
    handle, temporary = _new_file(path)
    try:
        yield handle, temporary
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
