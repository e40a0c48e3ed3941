"""Speed ratios of the core kernels to their peers: what tests/kernels measured, and the floors that are committed.

floors: results/kernels.json, by kernel: what it is, its peer, the goal, the ratio that was measured when the floor was set, and the
floor, a margin below. measured: by kernel its ratio and the milliseconds behind it. A ratio says how many times as fast as the peer;
larger is better. There are two forms of measuring: short, among the ordinary tests, and full, at the sizes of the goals; the same
floors hold for both."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.spec import UsageError
from bench.store import write_whole

FLOORS = Path("results/kernels.json")
MEASURED = Path("results/kernels-measured.json")  # unless BENCH_KERNELS_OUT names another file


def read_floors(path: Path = FLOORS) -> dict[str, dict[str, Any]]:
    """kernel -> its floor and what belongs to it. Raises UsageError where the file is damaged, FileNotFoundError where it is absent."""
    kernels: dict[str, dict[str, Any]] = _read(path)["kernels"]
    for name, facts in kernels.items():
        if not isinstance(facts, dict) or not isinstance(facts.get("floor"), int | float):
            raise UsageError(f"{path}: {name}: a floor is expected, a number")
    return kernels


def write_measured(path: Path, form: str, kernels: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the ratios of one session, with the machine that they were measured on."""
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "system": platform.machine()}
    content = {"form": form, "machine": machine, "kernels": {name: dict(kernels[name]) for name in sorted(kernels)}}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def compare(measured: Path, floors: Path = FLOORS) -> tuple[int, list[str]]:
    """How many kernels stand in both files, and what is wrong: a ratio below its floor, or a kernel that was not measured.
    Raises UsageError where a file is damaged, FileNotFoundError where it is absent."""
    found = _read(measured)["kernels"]
    compared, wrong = 0, []
    for name, facts in read_floors(floors).items():
        if name not in found:
            wrong.append(f"{name}: not measured; its floor is {facts['floor']:g}")
            continue
        compared += 1
        problem = below(name, _ratio(measured, name, found[name]), facts["floor"])
        wrong += [problem] if problem else []
    return compared, wrong


def below(name: str, ratio: float, floor: float) -> str:
    """What to say of a ratio under its floor, NaN included; empty for any other."""
    return "" if ratio >= floor else f"{name}: {ratio:.3g} times its peer, below the floor of {floor:g}"


def measured_path() -> Path:
    """Where a session writes its ratios."""
    return Path(os.environ.get("BENCH_KERNELS_OUT") or MEASURED)


def _ratio(path: Path, name: str, facts: Any) -> float:
    if not isinstance(facts, dict) or not isinstance(facts.get("ratio"), int | float):
        raise UsageError(f"{path}: {name}: a ratio is expected, a number")
    return float(facts["ratio"])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("kernels"), dict):
        raise UsageError(f'{path}: no kernels; expected {{"kernels": {{name: ...}}}}')
    return content
