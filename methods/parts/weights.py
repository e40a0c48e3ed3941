"""Where a pretrained network's weights are looked for, and what to do where there are none."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from methods.parts.backbone import Backbone
from methods.parts.small import SMALL, make_backbone

VARIABLE = "BENCH_WEIGHTS"
_DEFAULT = "~/.cache/bench/weights"


def weights_path(name: str) -> Path:
    """The file that a network's weights are looked for in: <folder>/<timm's name>.safetensors, the folder from the environment variable
    BENCH_WEIGHTS, or ~/.cache/bench/weights."""
    return Path(os.environ.get(VARIABLE) or _DEFAULT).expanduser() / f"{name}.safetensors"


def load_backbone(name: str, *, pretrained: bool = False, weights_file: str = "", image_size: int = 224, shrink: int = 1) -> Backbone:
    """A Backbone as parts.small.make_backbone's. With pretrained its weights come from weights_file if given, else from weights_path(name)
    where that is a file, else from timm's hub. Raises FileNotFoundError, in one line that says where to put them, where there are none."""
    found = weights_file
    if pretrained and not found and name not in SMALL and weights_path(name).is_file():
        found = str(weights_path(name))
    try:
        with _quiet_hub():
            return make_backbone(
                name, pretrained=pretrained, weights_file=found if pretrained else "", image_size=image_size, shrink=shrink
            )
    except FileNotFoundError as error:
        if weights_file:
            raise
        raise FileNotFoundError(
            f"backbone {name!r}: no pretrained weights are on this machine, and none can be downloaded; put timm's safetensors file at "
            f"{weights_path(name)}, or name it by weights_file"
        ) from error


def backbone_of(method: Any, *, pretrained: bool = False) -> Backbone:
    """load_backbone with a method's own backbone, weights_file, image_size and shrink."""
    return load_backbone(
        method.backbone, pretrained=pretrained, weights_file=method.weights_file, image_size=method.image_size, shrink=method.shrink
    )


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """The hub's client tells each attempt of each file; what is raised in the end says it all."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # by level: the client sets up loggers of its own when it is first imported, which may be here
    try:
        yield
    finally:
        logging.disable(before)
