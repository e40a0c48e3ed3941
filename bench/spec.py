"""What is run, frozen: fits, teachers and cells, their content keys, and hyper-parameters checked against the source text.

A key holds what a result depends on and nothing else: no path, host, launcher, worker count, time limit or order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from bench import registry
from bench.declared import convert
from bench.protocol import PROTOCOL_VERSION
from bench.seeding import digest

CLEAN = "none"  # the corruption of severity 0
POOL_PARAM = "pool_dataset"  # the hyper-parameter that names a data set whose images join the pool


class UsageError(ValueError):
    """Something typed that cannot be run; the text says what to type instead."""


@dataclass(frozen=True)
class DataSpec:
    """What a method gets to see: a data set's content, the share of its labels, the pool's multiple and the seed, and whose images else."""

    dataset: str
    source: str
    data_hash: str
    image_size: int
    label_fraction: float
    unlabeled: float
    seed: int
    pool: str = ""  # another data set whose images join the pool
    pool_hash: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """What counts in keys: contents and no names, but for the names of data sets that are not there and so have no content."""
        fields = {name: value for name, value in asdict(self).items() if name != "source"}
        if self.data_hash:
            del fields["dataset"]
        if self.pool_hash or not self.pool:
            del fields["pool"]
        if not self.pool:
            del fields["pool_hash"]
        return fields


@dataclass(frozen=True)
class TeacherSpec:
    """A network trained before a method's own fit; rows that agree on these fields share it."""

    method: str
    teacher: str
    params: Mapping[str, Any]
    data: DataSpec
    source_hash: str

    @cached_property
    def key(self) -> str:
        return _key("teacher", self.method, self.source_hash, self.data, teacher=self.teacher, params=dict(self.params))


@dataclass(frozen=True)
class FitSpec:
    """One trained method. params: all hyper-parameters, resolved."""

    method: str
    params: Mapping[str, Any]
    data: DataSpec
    source_hash: str

    @cached_property
    def key(self) -> str:
        params = {name: value for name, value in self.params.items() if name != POOL_PARAM}  # a name; pool_hash says what it holds
        return _key("fit", self.method, self.source_hash, self.data, params=params)

    def teacher(self, teacher: str) -> TeacherSpec:
        """The spec of one of its teachers: only the parameters of TEACHER_PARAMS, and no pool of another data set."""
        constants = registry.entry("methods", self.method).constants
        params = {name: self.params[name] for name in constants.get("TEACHER_PARAMS", ())}
        return TeacherSpec(self.method, teacher, params, replace(self.data, pool="", pool_hash=""), self.source_hash)


@dataclass(frozen=True)
class CellSpec:
    """One result: a fit, seen on a split under a corruption. row: the paper's name for the variant, with what --set changed.
    target: another data set whose split it is, judged over the classes that the two share; target_hash: its data_hash."""

    fit: FitSpec
    row: str
    preset: str
    corruption: str = CLEAN
    severity: int = 0
    split: str = "test"
    backend: str = "native"
    target: str = ""
    target_source: str = ""
    target_hash: str = ""

    @cached_property
    def key(self) -> str:
        fields = {
            "row": self.row,
            "corruption": self.corruption,
            "severity": self.severity,
            "split": self.split,
            "backend": self.backend if self.severity else "",
        }
        if self.target:
            fields["target"] = self.target_hash or self.target  # the name of one that is not there
        return digest({"kind": "cell", "fit": self.fit.key, **fields, "protocol": PROTOCOL_VERSION})

    @property
    def label(self) -> str:
        """The method as people write it: mtss/student, supervised, supervised[width=8]."""
        separator = "/" if self.row and not self.row.startswith("[") else ""
        return f"{self.fit.method}{separator}{self.row}"

    @property
    def dataset(self) -> str:
        """The data set's name on records and tables: deepfashion, or deepfashion->darn for a transfer."""
        return f"{self.fit.data.dataset}->{self.target}" if self.target else self.fit.data.dataset

    @property
    def source(self) -> str:
        """real, or synthetic where any of its data sets is."""
        return "synthetic" if "synthetic" in (self.fit.data.source, self.target_source) else self.fit.data.source

    @property
    def datasets(self) -> tuple[str, ...]:
        """Every data set that must be there."""
        return tuple(name for name in (self.fit.data.dataset, self.fit.data.pool, self.target) if name)

    @property
    def protocol_id(self) -> str:
        """Results with different protocol ids never share a column."""
        data = self.fit.data
        return f"v{PROTOCOL_VERSION}/{self.dataset}/{self.split}/{data.image_size}px/{self.backend}/pool={data.unlabeled:g}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> CellSpec:
        fit = value["fit"]
        spec = FitSpec(fit["method"], fit["params"], DataSpec(**fit["data"]), fit["source_hash"])
        return CellSpec(spec, **{name: item for name, item in value.items() if name != "fit"})


def _key(kind: str, method: str, source_hash: str, data: DataSpec, **fields: Any) -> str:
    return digest({"kind": kind, "method": method, "source": source_hash, "data": data.identity, "protocol": PROTOCOL_VERSION, **fields})


def resolve_params(method: str, row: str, preset: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A row's hyper-parameters: defaults, then the preset, then the row, then what --set says. Raises UsageError."""
    found = registry.entry("methods", method)
    params = {name: parameter.default for name, parameter in found.parameters.items()}
    presets = found.constants.get("PRESETS", {})
    rows = found.constants.get("ROWS", {})
    for layer in (presets.get(preset, {}), rows.get(row, {}), presets.get(f"{preset}/{row}", {}), overrides):
        for name, value in layer.items():
            params[name] = check_value(method, name, value)
    return params


def check_value(method: str, name: str, value: Any) -> Any:
    """The value in the type that the method's source declares. Raises UsageError with the nearest name or the expected type."""
    parameters = registry.entry("methods", method).parameters
    if name not in parameters:
        raise UsageError(registry.unknown(f"hyper-parameter of {method}", name, sorted(parameters), f"list methods {method}"))
    annotation = parameters[name].annotation
    matched, converted = convert(value, annotation)
    if not matched:
        raise UsageError(f"{method}.{name}: {value!r} given, {annotation} expected")
    return converted


def parse_set(items: list[str]) -> dict[str, dict[str, Any]]:
    """`mtss.gamma=0.5` items -> method -> name -> value, checked. Raises UsageError."""
    found: dict[str, dict[str, Any]] = {}
    for item in items:
        target, equals, text = item.partition("=")
        method, dot, name = target.partition(".")
        if not (equals and dot and name):
            raise UsageError(f"--set {item!r} given, METHOD.NAME=VALUE expected, for example --set mtss.gamma=0.5")
        registry.entry("methods", method)
        found.setdefault(method, {})[name] = check_value(method, name, _parse_value(text))
    return found


def row_label(row: str, overrides: Mapping[str, Any]) -> str:
    """A row's name with what --set changed in brackets."""
    changed = ",".join(f"{name}={_plain(value)}" for name, value in sorted(overrides.items()))
    return f"{row}[{changed}]" if changed else row


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None if text == "None" else {"True": True, "False": False}.get(text, text)
