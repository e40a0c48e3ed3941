"""The `export` command: a trained model as ONNX, checked against the original before it appears, with its classes beside it."""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import registry
from bench.cli import FAILED, OK
from bench.predict import CLASSES, MODEL, OnnxModel, need_extra, read_photo, stack
from bench.spec import UsageError
from bench.store import Store, replacing, write_whole
from bench.trained import Trained, find, load, scores, wanted

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4  # the largest absolute difference between a score of the original and of the export
_NUM_PICTURES = 24  # rendered ones of the parity check, and as many of random pixels
_MAX_BYTES = 2**31 - 2**24  # of a protobuf, with room for the graph
_BATCHES = (1, 7, 16)  # its batch sizes, none of them the one that was traced


class ExportError(Exception):
    """A model that cannot be exported, or whose export answers differently."""


def command(options: argparse.Namespace) -> int:
    """Writes model.onnx and classes.json into --out. Exit code 1 where the method cannot be exported or parity fails."""
    need_extra("onnx", "onnxscript", "onnxruntime")
    if options.out.exists() and not options.out.is_dir():
        raise UsageError(f"--out {options.out} is a file; name a folder")
    import torch

    store = Store(options.store)
    trained = load(find(options.selector, store, wanted(options)), store, torch.device("cpu"))
    started = time.perf_counter()
    try:
        about = export(trained, options.out)
    except ExportError as error:
        print(f"bench export: {error}", file=sys.stderr)
        return FAILED
    parity, seconds = about["parity"], time.perf_counter() - started
    size_mb = (options.out / MODEL).stat().st_size / 2**20
    print(f"{options.out / MODEL}: {about['model']} of {about['dataset']} ({about['source']}), {size_mb:.1f} MB, {seconds:.1f} s")
    print(f"parity: {parity['max_abs_difference']:.1e} over {parity['pictures']} pictures (at most {TOLERANCE:.0e})")
    return OK


def export(trained: Trained, out: Path) -> dict[str, Any]:
    """Writes both files and returns what classes.json says. The model carries its fit_key too, so that two that do not belong together
    are noticed. Raises ExportError, and then leaves an earlier export as it was."""
    names = [f"scores/{kind.name}" for kind in trained.schema]
    about = {**trained.about, "masked": "-inf: never ranked", "outputs": names}
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / MODEL) as path:
        write_onnx(trained, path, {"bench": json.dumps({name: about[name] for name in ("fit_key", "model", "input", "normalization")})})
        worst, count = _parity(trained, path, about)
        if not worst <= TOLERANCE:
            raise ExportError(f"{trained.label}: parity failed: scores differ by {worst:.1e}, at most {TOLERANCE:.0e} allowed")
        about["parity"] = {"max_abs_difference": worst, "tolerance": TOLERANCE, "pictures": count}
    write_whole(out / CLASSES, (json.dumps(about, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode())
    return about


def write_onnx(trained: Trained, path: Path, metadata: dict[str, str]) -> None:
    """uint8 (batch, 3, S, S) -> one output a type, float32 (batch, classes). Raises ExportError in one line."""
    import torch

    size = trained.image_size
    num_bytes = sum(tensor.nbytes for tensor in trained.method.model.state_dict().values())
    if num_bytes > _MAX_BYTES:
        raise ExportError(f"{trained.label} cannot be exported: {num_bytes / 2**30:.1f} GiB of weights, one ONNX file holds 2")
    example = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        with _quiet():
            program = torch.onnx.export(
                _wrap(trained),
                (example,),
                dynamo=True,
                input_names=["images"],
                output_names=[f"scores/{kind.name}" for kind in trained.schema],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
            assert program is not None
            for node in program.model.graph.all_nodes():
                node.metadata_props.clear()  # stack traces, with the paths of this machine
            program.model.metadata_props.update(metadata)
            program.save(path, external_data=False)
    except Exception as error:  # whatever a method does that the exporter cannot follow
        cause = error.__cause__ or error  # the exporter's own speaks of its steps
        reason = (str(cause).strip() or "no reason given").splitlines()[0]
        raise ExportError(f"{trained.label} cannot be exported: {type(cause).__name__}: {reason}") from error


def _parity(trained: Trained, path: Path, about: dict[str, Any]) -> tuple[float, int]:
    try:
        return parity(trained, OnnxModel(path, about))
    except Exception as error:  # onnxruntime's have no base of their own
        reason = " ".join(str(error).split())
        raise ExportError(f"{trained.label} cannot be exported: onnxruntime does not run it: {reason}") from error


def parity(trained: Trained, exported: OnnxModel) -> tuple[float, int]:
    """The largest absolute difference between scores of both, inf where one has -inf and the other has not, and the number of pictures."""
    size = trained.image_size
    noise = np.random.default_rng(0).integers(0, 256, (_NUM_PICTURES, 3, size, size), dtype=np.uint8)
    pictures, worst, start = np.concatenate([noise, _rendered(size)]), 0.0, 0
    for count in (*_BATCHES, len(pictures) - sum(_BATCHES)):
        images, start = pictures[start : start + count], start + count
        ours, theirs = scores(trained, images), exported.scores(images)
        worst = max(worst, *(difference(ours[name], theirs[name]) for name in ours))
    return worst, len(pictures)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """The largest absolute difference of two arrays; equal infinities do not differ, and NaN or another shape differ by inf."""
    if first.shape != second.shape:
        return float("inf")
    with np.errstate(invalid="ignore"):
        gap = np.where(first == second, 0.0, np.abs(first - second))
    return float(np.nan_to_num(gap, nan=np.inf, posinf=np.inf).max(initial=0.0))


def _wrap(trained: Trained) -> nn.Module:
    import torch

    class Scores(torch.nn.Module):
        """A method's predict as a module with one output a type, in the schema's order."""

        def __init__(self) -> None:
            super().__init__()
            self.model = trained.method.model

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = trained.method.predict(images)
            return tuple(found[kind.name].float() for kind in trained.schema)

    return Scores().eval()


def _rendered(image_size: int) -> np.ndarray:
    """uint8 (N, 3, S, S): photos of procedural garments, read as any photo is."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        renderer = registry.load_part("datasets.runway")
        renderer.render(root, "catalogue", num={"test": _NUM_PICTURES}, long_side=max(64, image_size), seed=0)
        return stack([read_photo(path, image_size) for path in sorted(root.rglob("*.jpg"))])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notices to its own developers, and the graphs that it prints when it fails."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
