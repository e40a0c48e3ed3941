"""torchvision beside a torch without its compiled operators: the CUDA wheel of the one next to a CPU-only build of the other."""

from __future__ import annotations

import importlib
import sys

_MISSING = "operator torchvision::nms does not exist"
_SCHEMAS = {  # as torchvision declares them; without a kernel, so that only calling them fails
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def fix_torchvision() -> bool:
    """Imports torchvision, where that fails for want of its operators after declaring them; call it before timm is imported.

    Returns whether it had to. Models, transforms and timm then work; torchvision.ops and torchvision.io do not. Raises whatever
    else goes wrong with the import."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
    else:
        return False
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "timm")]:
        del sys.modules[name]  # half imported
    for name, schema in _SCHEMAS.items():
        torch.library.define(name, schema)
    importlib.import_module("torchvision")
    return True


def fix_torchvision_before_timm() -> None:
    """Puts fix_torchvision off to the first import of timm, so that a process that never needs it saves its seconds."""
    if "timm" not in sys.modules and not any(isinstance(finder, _BeforeTimm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTimm())


class _BeforeTimm:
    """An import finder that finds nothing: it runs the fix when timm is asked for, and goes."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "timm":
            sys.meta_path.remove(self)
            fix_torchvision()
