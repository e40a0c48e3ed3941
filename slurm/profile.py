"""What a user says of a cluster: a TOML file of flat keys, checked."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench import toml_files
from bench.bundles import Limits
from bench.spec import UsageError

PROFILES = Path(__file__).resolve().parent / "profiles"
_SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|credential)\w*\s*=")
_LARGEST = 10**9  # of any number; nan and inf are none
_KINDS = {"str": str, "int": int, "float": (int, float), "bool": bool, "tuple[str, ...]": list}


@dataclass(frozen=True)
class Profile:
    """A cluster as its user sees it; docs/cluster.md explains each key. Empty text and 0 leave a thing to the cluster's default."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    exclude: str = ""
    gpus_per_node: int = 0
    workers: int = 1  # processes of a job; each gets one of its GPUs
    cpus_per_worker: int = 2
    memory_gb: float = 8.0  # of a worker, where nothing like it has run
    min_memory_gb: float = 1.0
    max_memory_gb: float = 1024.0
    memory_factor: float = 1.5
    bundle_minutes: float = 20.0
    max_stages: int = 200
    max_running: int = 0
    min_walltime_minutes: int = 20  # submitit takes a preemption in the last ten for a timeout
    max_walltime_minutes: int = 1440
    unmeasured_walltime_minutes: int = 240
    walltime_factor: float = 2.0
    signal_seconds: int = 120  # before the walltime ends
    grace_seconds: float = 30.0  # for the step or the batch that is being worked on
    max_timeouts: int = 5
    lease_seconds: float = 60.0
    startup_seconds: float = 60.0
    setup: tuple[str, ...] = ()

    def limits(self, max_array: int) -> Limits:
        """What bundling needs to know."""
        return Limits(
            bundle_seconds=self.bundle_minutes * 60,
            max_stages=self.max_stages,
            workers=self.workers,
            max_array=max_array,
            max_running=self.max_running,
            startup_seconds=self.startup_seconds,
            walltime_factor=self.walltime_factor,
            min_minutes=self.min_walltime_minutes,
            max_minutes=self.max_walltime_minutes,
            unmeasured_minutes=self.unmeasured_walltime_minutes,
            memory_factor=self.memory_factor,
            default_mb=self.memory_gb * 1000,
            min_mb=self.min_memory_gb * 1000,
            max_mb=self.max_memory_gb * 1000,
        )


def load(name: str) -> Profile:
    """A profile from a path, or one of slurm/profiles by its name; the defaults where the name is empty. Raises UsageError."""
    if not name:
        return Profile()
    if "\0" in name:
        raise UsageError(f"profile {name!r} holds a zero byte; a path expected")
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise UsageError(f"profile {name!r}: no such user; a path to a TOML file expected") from None
    if not path.suffix and not path.exists():
        path = PROFILES / f"{name}.toml"
    try:
        return _checked(path, toml_files.read(path))
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.toml")))
        raise UsageError(f"no profile {name!r}; a path to a TOML file or one of {known} expected") from None


def _checked(path: Path, found: dict[str, Any]) -> Profile:
    kinds = {each.name: str(each.type) for each in fields(Profile)}
    for key, value in found.items():
        if key not in kinds:
            near = difflib.get_close_matches(key, kinds, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{path}: unknown key {key!r}; {hint}valid keys are {', '.join(kinds)}")
        if not isinstance(value, _KINDS[kinds[key]]) or (isinstance(value, bool) and kinds[key] != "bool"):  # type: ignore[arg-type]
            raise UsageError(f"{path}: {key} is {value!r}; {_kind_text(kinds[key])} expected")
        if isinstance(value, int | float) and not abs(value) <= _LARGEST:
            raise UsageError(f"{path}: {key} is out of range; at most {_LARGEST} expected")
    setup = found.get("setup", [])
    if any(not isinstance(line, str) for line in setup):
        raise UsageError(f"{path}: setup is {setup!r}; a list of shell lines expected")
    _refuse_secrets(path, found)
    profile = Profile(**{**found, "setup": tuple(setup)})
    _check_ranges(path, profile)
    return profile


def _kind_text(kind: str) -> str:
    return {"str": "text", "int": "a whole number", "float": "a number", "tuple[str, ...]": "a list of shell lines"}.get(kind, kind)


def _refuse_secrets(path: Path, found: dict[str, Any]) -> None:
    texts = [*found.get("setup", []), *(value for value in found.values() if isinstance(value, str))]
    for text in texts:
        if _SECRET.search(text):
            raise UsageError(
                f"{path}: {text.partition('=')[0]}=... looks like a secret, and profiles end up in job files; export it instead"
            )
        if "\n" in text:
            raise UsageError(f"{path}: a line break in {text!r}; one line expected")


def _check_ranges(path: Path, profile: Profile) -> None:
    positive = ("workers", "cpus_per_worker", "memory_gb", "bundle_minutes", "max_stages", "min_walltime_minutes", "signal_seconds")
    for name in (*positive, "walltime_factor", "memory_factor", "lease_seconds", "grace_seconds"):
        if not getattr(profile, name) > 0:
            raise UsageError(f"{path}: {name} is {getattr(profile, name)}; more than 0 expected")
    for name in ("gpus_per_node", "max_running", "max_timeouts", "startup_seconds", "min_memory_gb"):
        if getattr(profile, name) < 0:
            raise UsageError(f"{path}: {name} is {getattr(profile, name)}; 0 or more expected")
    for low, high in (("min_walltime_minutes", "max_walltime_minutes"), ("min_memory_gb", "max_memory_gb")):
        if getattr(profile, low) > getattr(profile, high):
            raise UsageError(f"{path}: {low} is {getattr(profile, low)}, above {high} {getattr(profile, high)}")
    if profile.signal_seconds >= profile.min_walltime_minutes * 60:
        text = f"signal_seconds is {profile.signal_seconds}; less than the shortest walltime ({profile.min_walltime_minutes} min) expected"
        raise UsageError(f"{path}: {text}")
    if profile.gpus_per_node and profile.workers % profile.gpus_per_node:
        raise UsageError(f"{path}: {profile.workers} workers for {profile.gpus_per_node} GPUs; a multiple expected")
