"""Job files: what a submission hands to its workers, as JSON in a folder that only its user can read.

STORE/slurm/<submission>/   submission.json: settings, profile, code, arrays; array-<n>.jsonl: a bundle a line; array-<n>.id: its job id;
                            logs/: what submitit and the workers write"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.bundles import JobArray
from bench.spec import CellSpec, DataSpec, FitSpec, TeacherSpec, UsageError
from bench.stages import Settings, Stage
from bench.store import write_whole


@dataclass(frozen=True)
class Submission:
    """One submission of a sweep. facts: submission.json as it was written, before anything was submitted."""

    folder: Path
    facts: dict[str, Any]

    @property
    def settings(self) -> Settings:
        known = {each.name for each in fields(Settings)}
        return Settings(**{name: value for name, value in self.facts["settings"].items() if name in known})

    @property
    def written(self) -> float:
        found: float = self.facts["written"]
        return found

    @property
    def num_arrays(self) -> int:
        return len(self.facts["arrays"])

    def name(self, array: int) -> str:
        """The job name of an array, which no other array of any submission has."""
        return f"bench-{self.folder.name}-{array}"

    def job_id(self, array: int) -> str:
        """Empty while nobody has noted it."""
        with suppress(OSError):
            return (self.folder / f"array-{array}.id").read_text().strip()
        return ""

    def note_job_id(self, array: int, job_id: str) -> None:
        if self.job_id(array) != job_id:
            write_whole(self.folder / f"array-{array}.id", job_id.encode())

    def settle(self) -> None:
        """Notes that none of its jobs will do anything any more."""
        (self.folder / "settled").touch()

    @property
    def settled(self) -> bool:
        return (self.folder / "settled").exists()

    def bundles(self, array: int) -> Iterator[dict[str, Any]]:
        """The lines of an array: keys of cells and affected cells, their attempts on record, and the stages as JSON."""
        with suppress(FileNotFoundError), (self.folder / f"array-{array}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def stages(self, array: int, element: int) -> list[Stage]:
        """The stages of one bundle. Raises ValueError where there is no such element."""
        for index, line in enumerate(self.bundles(array)):
            if index == element:
                return stages_from_json(line)
        raise ValueError(f"{self.folder}/array-{array}.jsonl: no line {element + 1}")


def create(
    store: Path, arrays: Sequence[JobArray], settings: Settings, *, attempts: Mapping[str, int] | None = None, **facts: Any
) -> Submission:
    """Writes the job files of a submission, and nothing is submitted yet. attempts: cell key -> attempt on record by now."""
    root = store / "slurm"
    make_private(root)
    folder = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    (folder / "logs").mkdir(mode=0o700)
    for number, array in enumerate(arrays):
        lines = (json.dumps(bundle_to_json(bundle.stages, attempts), separators=(",", ":")) + "\n" for bundle in array.bundles)
        _private(folder / f"array-{number}.jsonl", "".join(lines))
    summary = [{"kind": array.kind, "elements": len(array.bundles), "minutes": array.walltime_minutes} for array in arrays]
    found = {"settings": asdict(settings), "written": time.time(), "arrays": summary, **facts}
    _private(folder / "submission.json", json.dumps(found, indent=1))
    return Submission(folder, found)


def make_private(folder: Path) -> None:
    """Makes a folder that only its user can read. Raises UsageError where it is there and is another user's."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        folder.chmod(0o700)
    except PermissionError:
        mend = "take a --store of your own, and join the two with python -m bench merge"
        raise UsageError(f"{folder} is another user's, who alone submits from this store; {mend}") from None


def read(folder: Path) -> Submission:
    """Raises FileNotFoundError or ValueError where the folder holds no submission."""
    return Submission(folder, json.loads((folder / "submission.json").read_bytes()))


def submissions(store: Path) -> list[Submission]:
    """All of a store, oldest first; a folder whose writing was cut short counts as none."""
    found = []
    for folder in sorted((store / "slurm").glob("*-*")):
        with suppress(OSError, ValueError):
            found.append(read(folder))
    return sorted(found, key=lambda each: each.written)


def _private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)


def bundle_to_json(stages: Sequence[Stage], attempts: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Stages as JSON, each fit and each teacher once; the attempt on record of each cell that has one."""
    fits: dict[str, int] = {}
    specs: list[dict[str, Any]] = []

    def number(spec: FitSpec | TeacherSpec) -> int:
        if spec.key not in fits:
            fits[spec.key] = len(specs)
            specs.append({**asdict(spec), "params": dict(spec.params)})
        return fits[spec.key]

    rows = [_stage_to_json(stage, number) for stage in stages]
    cells, affects = ([cell.key for stage in stages for cell in getattr(stage, name)] for name in ("cells", "affects"))
    return {
        "cells": cells,
        "affects": affects,
        "attempts": {key: attempts[key] for key in (*cells, *affects) if key in attempts} if attempts else {},
        "stages": rows,
        "specs": specs,
    }


def _stage_to_json(stage: Stage, number: Callable[[FitSpec | TeacherSpec], int]) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": stage.kind, "key": stage.key, "needs": stage.needs}
    for name in ("cells", "affects"):
        found[name] = [{**_own_fields(cell), "fit": number(cell.fit)} for cell in getattr(stage, name)]
    for name in ("teacher", "fit"):
        spec = getattr(stage, name)
        found[name] = None if spec is None else number(spec)
    return found


def _own_fields(cell: CellSpec) -> dict[str, Any]:
    """What is not as it usually is."""
    names = [each for each in fields(CellSpec) if each.name != "fit"]
    return {each.name: getattr(cell, each.name) for each in names if getattr(cell, each.name) != each.default}


def stages_from_json(value: dict[str, Any]) -> list[Stage]:
    """What bundle_to_json was given."""
    specs = [_spec(each) for each in value["specs"]]

    def cells(rows: list[dict[str, Any]]) -> list[CellSpec]:
        return [CellSpec(**{**row, "fit": specs[row["fit"]]}) for row in rows]

    def spec(number: int | None) -> Any:
        return None if number is None else specs[number]

    return [
        Stage(
            row["kind"],
            row["key"],
            tuple(row["needs"]),
            cells(row["cells"]),
            cells(row["affects"]),
            teacher=spec(row["teacher"]),
            fit=spec(row["fit"]),
        )
        for row in value["stages"]
    ]


def _spec(value: dict[str, Any]) -> FitSpec | TeacherSpec:
    kind = TeacherSpec if "teacher" in value else FitSpec
    return kind(**{**value, "params": value["params"], "data": DataSpec(**value["data"])})
