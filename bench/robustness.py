"""What corruptions cost: mCE and its relatives, from the errors of each condition.

errors: (corruption, severity) -> error in [0, 1], such as 1 - accuracy@1 or 1 - recall@3, with severities from 1 up; clean: the
error at severity 0. The reference is another method of the same sweep, where Hendrycks & Dietterich (2019) took AlexNet on ImageNet,
so that a figure stands only beside others with the same reference; its name belongs into the table. A figure that is undefined,
as where the reference makes no errors, is NaN. What is not there is refused: a mean over fewer corruptions is another figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Errors = Mapping[tuple[str, int], float]
_NAN = math.nan


class MissingConditionError(ValueError):
    """Two methods were not judged under the same conditions; the text names one that is missing."""


def corruption_errors(errors: Errors, reference: Errors) -> dict[str, float]:
    """CE_c = Σ_s E_{s,c} / Σ_s E_ref{s,c} of each corruption; the reference itself has 1. Raises MissingConditionError."""
    _same_conditions(errors, reference)
    return {name: _ratio(sum(errors[each] for each in all_), sum(reference[each] for each in all_)) for name, all_ in _groups(errors)}


def relative_corruption_errors(errors: Errors, clean: float, reference: Errors, reference_clean: float) -> dict[str, float]:
    """Σ_s (E_{s,c} - E_clean) / Σ_s (E_ref{s,c} - E_ref_clean) of each corruption. NaN where the reference loses nothing to it, or
    gains: the quotient would flip its sign. Raises MissingConditionError."""
    _same_conditions(errors, reference)
    return {
        name: _ratio(sum(errors[each] - clean for each in all_), sum(reference[each] - reference_clean for each in all_))
        for name, all_ in _groups(errors)
    }


def mean_corruption_error(errors: Errors, reference: Errors, names: Sequence[str] | None = None) -> float:
    """mCE: the mean of corruption_errors over names, or over all corruptions that there are. As a share: print it times 100 to set
    it beside the paper's. Raises MissingConditionError also for a name without errors."""
    return _mean(corruption_errors(_chosen(errors, names), _chosen(reference, names)))


def relative_mean_corruption_error(
    errors: Errors, clean: float, reference: Errors, reference_clean: float, names: Sequence[str] | None = None
) -> float:
    """The mean of relative_corruption_errors over names, or over all; NaN if any of them is. Raises as mean_corruption_error."""
    return _mean(relative_corruption_errors(_chosen(errors, names), clean, _chosen(reference, names), reference_clean))


def mean_drops(errors: Errors, clean: float) -> dict[int, float]:
    """severity -> mean over corruptions of E_{s,c} - E_clean, in points of the metric: 0.1 is ten points lost."""
    return {severity: _average([errors[each] - clean for each in all_]) for severity, all_ in _groups(errors, place=1)}


def relative_drops(errors: Errors, clean: float) -> dict[int, float]:
    """severity -> the share of the clean score 1 - E_clean that is lost, on the mean over corruptions. NaN where there was none."""
    return {severity: _ratio(drop, 1.0 - clean) for severity, drop in mean_drops(errors, clean).items()}


def rank_changes(errors: Mapping[str, Errors], clean: Mapping[str, float]) -> dict[int, dict[str, float]]:
    """severity -> method -> places lost: its rank by mean error at the severity, less its rank by clean error.

    Plain differences say which method falls and how far; rank_agreement says how much order is left. The best method has rank 1,
    and equal errors share the mean of their places. errors, clean: by method. Raises MissingConditionError."""
    before = dict(zip(clean, _ranks(list(clean.values())), strict=True))
    found = {}
    for severity, means in _mean_errors(errors, clean).items():
        after = dict(zip(means, _ranks(list(means.values())), strict=True))
        found[severity] = {name: after[name] - before[name] for name in clean}
    return found


def rank_agreement(errors: Mapping[str, Errors], clean: Mapping[str, float]) -> dict[int, float]:
    """severity -> Kendall's tau-b between clean errors and mean errors at the severity, over methods: 1 where the order stays,
    -1 where it is reversed, NaN where all are equal on one side. Raises MissingConditionError."""
    return {
        severity: _kendall(list(clean.values()), [means[name] for name in clean]) for severity, means in _mean_errors(errors, clean).items()
    }


def _mean_errors(errors: Mapping[str, Errors], clean: Mapping[str, float]) -> dict[int, dict[str, float]]:
    """severity -> method -> mean error over corruptions; every method under the same conditions."""
    for name in sorted(errors.keys() ^ clean.keys()):
        raise MissingConditionError(f"{name}: no {'clean error' if name in errors else 'errors under corruptions'}")
    found: dict[int, dict[str, float]] = {}
    first = next(iter(errors.values()), {})
    for name in clean:
        _same_conditions(errors[name], first)
        for severity, all_ in _groups(errors[name], place=1):
            found.setdefault(severity, {})[name] = _average([errors[name][each] for each in all_])
    return found


def _groups(errors: Errors, place: int = 0) -> list[tuple]:
    """(value, conditions) of each corruption (place 0), in the order in which they come, or of each severity (1), ascending."""
    found: dict[str | int, list[tuple[str, int]]] = {}
    for condition in errors:
        found.setdefault(condition[place], []).append(condition)
    return sorted(found.items()) if place else list(found.items())


def _chosen(errors: Errors, names: Sequence[str] | None) -> Errors:
    if names is None:
        return errors
    for name in names:
        if all(name != corruption for corruption, _ in errors):
            raise MissingConditionError(f"no errors under {name}; there are {', '.join(sorted({each for each, _ in errors})) or 'none'}")
    return {condition: value for condition, value in errors.items() if condition[0] in set(names)}


def _same_conditions(errors: Errors, reference: Errors) -> None:
    for name, severity in sorted(errors.keys() ^ reference.keys()):
        side = "the first" if (name, severity) in reference else "the second"
        raise MissingConditionError(f"{name} at severity {severity}: {side} of two methods has no error there")


def _ratio(top: float, bottom: float) -> float:
    return top / bottom if bottom > 0 else _NAN


def _mean(figures: Mapping[str, float]) -> float:
    return _average(list(figures.values()))


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else _NAN  # exact, so that equal errors tie in whatever order they come


def _ranks(values: Sequence[float]) -> list[float]:
    """1 for the smallest; equal values share the mean of their places."""
    return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2 for value in values]


def _kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """tau-b: (concordant - discordant) / sqrt(pairs untied in first * pairs untied in second)."""
    pairs = [(_sign(first[i] - first[j]), _sign(second[i] - second[j])) for i in range(len(first)) for j in range(i)]
    untied = sum(a != 0 for a, _ in pairs) * sum(b != 0 for _, b in pairs)
    return sum(a * b for a, b in pairs) / untied**0.5 if untied else _NAN


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
