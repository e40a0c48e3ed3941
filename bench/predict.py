"""The `predict` command: attributes of somebody's photos, from an exported model (without torch) or a trained one of a store."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench import registry
from bench.cli import FAILED, OK
from bench.spec import UsageError
from bench.store import Store

MODEL, CLASSES = "model.onnx", "classes.json"
_TOP = 3  # classes of an exclusive type that are shown, unless told
_BATCH = 32


class PhotoError(Exception):
    """A photo that cannot be used; the text says why."""


class Model(Protocol):
    """What answers: about is what classes.json says, scores is uint8 (B, 3, S, S) -> type -> float32 (B, classes)."""

    about: dict[str, Any]

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]: ...


def command(options: argparse.Namespace) -> int:
    """Prints a table or JSON. Exit code 1 where a photo could not be read; the others are answered."""
    if options.top is not None and options.top < 1:
        raise UsageError(f"--top {options.top} given, 1 or more expected")
    model = open_model(options)
    if model.about["source"] == "synthetic":
        print(f"{model.about['model']} was trained on a rendered stand-in of {model.about['dataset']} (synthetic)", file=sys.stderr)
    answers, unreadable = [], []
    for photo, found in predict(model, options.photos):
        if isinstance(found, PhotoError):
            print(f"bench predict: {photo}: {found}", file=sys.stderr)
            unreadable.append({"photo": photo, "reason": str(found)})
        else:
            types = {kind["name"]: answer(found[kind["name"]], kind, model.about["scores"], options.top) for kind in model.about["types"]}
            answers.append({"photo": photo, "types": types})
    if options.json:
        head = {name: model.about[name] for name in ("model", "dataset", "source", "fit_key")}
        unit = _unit(model.about["scores"])
        print(json.dumps({"model": head, "score": unit, "photos": answers, "unreadable": unreadable}, indent=1, ensure_ascii=False))
    elif answers:
        print(_table(answers, _unit(model.about["scores"])))
    return FAILED if unreadable else OK


def open_model(options: argparse.Namespace) -> Model:
    """An exported folder, its model.onnx, or a model of the store. Raises UsageError or UnknownNameError."""
    path = Path(options.model)
    if path.suffix == ".onnx" or path.is_dir():
        return open_exported(path)
    import torch

    from bench import trained

    store = Store(options.store)
    record = trained.find(options.model, store, trained.wanted(options))
    return TorchModel(trained.load(record, store, torch.device("cuda" if torch.cuda.is_available() else "cpu")))


def open_exported(path: Path) -> OnnxModel:
    """The exported model of a folder or a model.onnx. Raises UsageError where files are missing or belong to different models."""
    need_extra("onnxruntime")
    folder = path if path.is_dir() else path.parent
    file = path / MODEL if path.is_dir() else path
    for needed in (file, folder / CLASSES):
        if not needed.is_file():
            raise UsageError(f"{needed} is missing; python -m bench export MODEL --out {folder} writes it")
    try:
        about = json.loads((folder / CLASSES).read_bytes())
        found = about["format"], about["fit_key"]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{folder / CLASSES} is damaged ({type(error).__name__}: {error}); export the model again") from error
    if found[0] != 1:
        raise UsageError(f"{folder / CLASSES}: format {found[0]}, expected 1; update the harness")
    model = OnnxModel(file, about)
    if model.fit_key != found[1]:
        raise UsageError(f"{file} and {folder / CLASSES} belong to different models; export the model again")
    return model


class OnnxModel:
    """A model under onnxruntime, on the CPU."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no base of their own
            raise UsageError(f"{path} cannot be opened by onnxruntime: {str(error).splitlines()[0]}") from error
        self.about = about

    @property
    def fit_key(self) -> str:
        """The key that the model itself carries, or nothing."""
        carried = self._session.get_modelmeta().custom_metadata_map.get("bench", "{}")
        return str(json.loads(carried).get("fit_key", ""))

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        found = self._session.run(self.about["outputs"], {self.about["input"]["name"]: images})
        return {kind["name"]: values for kind, values in zip(self.about["types"], found, strict=True)}


class TorchModel:
    """A model of a store, under torch."""

    def __init__(self, trained: Any) -> None:
        self.about, self._trained = trained.about, trained

    def scores(self, images: np.ndarray) -> dict[str, np.ndarray]:
        from bench.trained import scores

        return scores(self._trained, images)


def predict(model: Model, photos: Sequence[str]) -> Iterator[tuple[str, dict[str, np.ndarray] | PhotoError]]:
    """Each photo with its scores, type -> float32 (classes,), or with what is wrong with it; in their order."""
    for start in range(0, len(photos), _BATCH):
        names = photos[start : start + _BATCH]
        read = [_try(photo, model.about["image_size"]) for photo in names]
        images = [each for each in read if not isinstance(each, PhotoError)]
        found = model.scores(stack(images)) if images else {}
        row = 0
        for name, each in zip(names, read, strict=True):
            if isinstance(each, PhotoError):
                yield name, each
            else:
                yield name, {kind: values[row] for kind, values in found.items()}
                row += 1


def read_photo(path: Path, image_size: int) -> np.ndarray:
    """uint8 (S, S, 3), RGB: upright and squashed, to the byte what training sees of an image without a box. Raises PhotoError."""
    decode, files = registry.load_part("datasets._decode"), registry.load_part("datasets._files")
    try:
        if path.exists() and not path.is_file():
            raise PhotoError("is not a file")
        if path.stat().st_size > files.MAX_BYTES:
            raise PhotoError(f"holds {path.stat().st_size} bytes, more than the {files.MAX_BYTES} that an image may have")
        pixels: np.ndarray = decode.crop_and_resize(decode.decode(path.read_bytes(), path.name), None, image_size)
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    except files.ImageError as error:
        raise PhotoError(str(error)) from error
    return pixels


def _try(photo: str, image_size: int) -> np.ndarray | PhotoError:
    try:
        return read_photo(Path(photo), image_size)
    except PhotoError as error:
        return error


def stack(photos: Sequence[np.ndarray]) -> np.ndarray:
    """Photos (S, S, 3) as one batch (N, 3, S, S)."""
    return np.ascontiguousarray(np.stack(photos).transpose(0, 3, 1, 2))


def answer(scores: np.ndarray, kind: Mapping[str, Any], unit: str, top: int | None = None) -> list[dict[str, Any]]:
    """The classes of one type that a photo is said to have, best first: {class, score, above_threshold}.

    scores: float32 (classes,). kind: name, classes, exclusive and thresholds of the type. unit: "logits", which become probabilities, or
    "similarity". Of an exclusive type, and of one without thresholds, the top classes (3 unless told; above_threshold None). Of another,
    all classes at or above their threshold, at most top if told; where there is none, the best one with above_threshold False. Classes
    at -inf are never named."""
    values = scores if unit == "similarity" else _softmax(scores) if kind["exclusive"] else _sigmoid(scores)
    order = [int(place) for place in np.argsort(-scores, kind="stable") if scores[place] > -np.inf]
    thresholds = None if kind["exclusive"] else kind["thresholds"]
    if thresholds is None:
        return [_entry(kind, values, place, None) for place in order[: top or _TOP]]
    limits = np.array([np.inf if value is None else value for value in thresholds], dtype=np.float32)
    above = [place for place in order if scores[place] >= limits[place]]
    return [_entry(kind, values, place, True) for place in above[:top]] or [_entry(kind, values, place, False) for place in order[:1]]


def need_extra(*modules: str) -> None:
    """Raises UsageError, with what to type, where a package of the extra `export` is not installed."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"{name} is not installed ({error}); pip install -e '.[export]' brings it") from error


def _entry(kind: Mapping[str, Any], values: np.ndarray, place: int, above: bool | None) -> dict[str, Any]:
    return {"class": kind["classes"][place], "score": round(float(values[place]), 6), "above_threshold": above}


def _softmax(logits: np.ndarray) -> np.ndarray:
    if not np.isfinite(logits.max(initial=-np.inf)):
        return np.zeros_like(logits)
    powers: np.ndarray = np.exp(logits - logits.max())
    powers /= powers.sum()
    return powers


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    halves: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * logits)  # 1 / (1 + exp(-x)) without overflow
    return halves


def _unit(scores: str) -> str:
    return "probability" if scores == "logits" else "cosine"


def _table(answers: Sequence[Mapping[str, Any]], unit: str) -> str:
    from tabulate import tabulate

    rows = []
    for each in answers:
        for place, (kind, found) in enumerate(each["types"].items()):
            words = [f"{item['class']} {item['score']:.2f}" for item in found]
            mark = " (below its threshold)" if any(item["above_threshold"] is False for item in found) else ""
            rows.append(["" if place else each["photo"], kind, ", ".join(words) + mark])
    return tabulate(rows, headers=["photo", "type", f"classes ({unit})"], tablefmt="simple", disable_numparse=True)
