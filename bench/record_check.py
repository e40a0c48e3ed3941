"""Whether a record, or the note of a sweep, is what its readers rely on: whoever reads a store may take every field as it is."""

from __future__ import annotations

from typing import Any

STATUSES = ("ok", "failed", "timeout", "oom", "killed", "no_data", "interrupted")
_TEXT, _WHOLE, _NUMBER, _TABLE, _NONE = (str,), (int,), (int, float), (dict,), (type(None),)
_SAID = {_TEXT: "text", _WHOLE: "a whole number", _NUMBER: "a number", _TABLE: "an object"}
_NEEDED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("key", "fit_key", "protocol_id", "method", "row", "dataset", "source", "data_hash", "corruption", "preset"), _TEXT),
    **dict.fromkeys(("status", "reason"), _TEXT),
    **dict.fromkeys(("schema_version", "severity", "seed"), _WHOLE),
    **dict.fromkeys(("label_fraction", "started", "finished"), _NUMBER),
    **dict.fromkeys(("params", "metrics", "per_attribute", "env"), _TABLE),
}
_OPTIONAL: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("paper", "split", "label_index_hash", "per_class_path", "predictions_path", "host", "device", "launcher"), _TEXT),
    **dict.fromkeys(("slurm_job_id", "git_sha"), _TEXT),
    **dict.fromkeys(("n_labeled", "n_unlabeled", "attempt"), _WHOLE),
    **dict.fromkeys(("fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "peak_vram_mb"), _NUMBER),
    "error": _TABLE,
}
_LARGEST = 1e15  # no time, size or count is above it
_KINDS = [*((name, kinds, kinds) for name, kinds in _NEEDED.items()), *((name, kinds + _NONE, kinds) for name, kinds in _OPTIONAL.items())]
_NUMBERS = [name for name, _, kinds in _KINDS if kinds in (_WHOLE, _NUMBER)]


def fault(record: dict[str, Any]) -> str:
    """What is wrong with the fields of a record, or an empty text."""
    for name, kinds, said in _KINDS:
        if name not in record:
            return f"{name} is missing"
        if type(record[name]) not in kinds:  # exactly: true is no number
            return f"{name} is {shown(record[name])}; {_SAID[said]} expected"
    for name in _NUMBERS:
        if record[name] is not None and not abs(record[name]) < _LARGEST:
            return f"{name} is {shown(record[name])}; a number below {_LARGEST:g} expected"
    return _range_fault(record) or _metrics_fault(record) or _path_fault(record) or _text_fault(record)


def sweep_fault(sweep: Any) -> str:
    """What is wrong with the note of a sweep that was typed, or an empty text."""
    if not isinstance(sweep, dict):
        return "an object with argv and keys expected"
    for name in ("argv", "keys"):
        if not isinstance(sweep.get(name), list) or not all(isinstance(each, str) for each in sweep[name]):
            return f"{name} is {shown(sweep.get(name))}; a list of texts expected"
    if any("/" in key or "\0" in key or not key for key in sweep["keys"]):
        return "keys holds what is no key"
    return _text_fault({str(place): text for place, text in enumerate([*sweep["argv"], *sweep["keys"]])})


def _range_fault(record: dict[str, Any]) -> str:
    for name, known in (("status", STATUSES), ("source", ("real", "synthetic"))):
        if record[name] not in known:
            return f"{name} is {shown(record[name])}; one of {', '.join(known)} expected"
    if not 0 < record["label_fraction"] <= 1:
        return f"label_fraction is {shown(record['label_fraction'])}; more than 0 and at most 1 expected"
    if not 0 <= record["severity"] <= 5:
        return f"severity is {shown(record['severity'])}; 0 to 5 expected"
    return ""


def _metrics_fault(record: dict[str, Any]) -> str:
    for where, table in [("metrics", record["metrics"]), *record["per_attribute"].items()]:
        if type(table) is not dict:
            return f"per_attribute.{where} is {shown(table)}; an object expected"
        for name, value in table.items():
            if value is not None and (type(value) not in _NUMBER or not abs(value) < _LARGEST):
                return f"{where}.{name} is {shown(value)}; a number expected"
    return ""


def _path_fault(record: dict[str, Any]) -> str:
    if record["status"] == "ok" and record["predictions_path"] is None:
        return "predictions_path is null, although the cell is ok"
    for name in ("predictions_path", "per_class_path"):
        path = record[name]
        if path is not None and (not path or path[0] == "/" or "\0" in path or ".." in path.split("/")):
            return f"{name} is {shown(path)}; a path inside the store expected"
    return ""


def _text_fault(record: dict[str, Any]) -> str:
    for name, value in record.items():
        if type(value) is str:
            try:
                value.encode()
            except UnicodeEncodeError:
                return f"{name} is {shown(value)}, which holds half a character"
    return ""


def shown(value: object) -> str:
    """A value as messages have it, cut to 60 characters."""
    text = repr(value) if not isinstance(value, int) or abs(value) < _LARGEST else "a number with more than 15 digits"
    return text if len(text) <= 60 else f"{text[:60]}..."
