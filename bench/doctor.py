"""The `doctor` command: what is missing, truncated or wrong in a data set, before anything is queued."""

from __future__ import annotations

import argparse
from dataclasses import replace

from bench import registry
from bench.cli import FAILED, OK
from bench.outcomes import classify
from bench.protocol import BadDataError, DataOptions, NoDataError
from bench.run import check_dataset_name, choose_preset

_SHOWN = 50  # problems printed a data set; the rest is counted


def command(options: argparse.Namespace) -> int:
    """Checks each data set's real files and prints its problems. Exit code 1 where there is one; a data set whose own file is broken costs
    no other its check."""
    preset = choose_preset(options.preset or "tiny")
    data = DataOptions(options.data_root, options.cache, "real", preset, options.on_bad_data)
    part, worst = registry.load_part("datasets._open"), OK
    for name in options.datasets or [each for each in registry.names("datasets") if each != "folder"]:
        check_dataset_name(name)
        try:
            problems = [str(problem) for problem in part.check(name, data)]
            notes = [*part.absent(name, data), *_notes(name, data)]
        except Exception as error:  # of this data set alone
            problems, notes = [classify(error)[1]], []
        for problem in problems[:_SHOWN]:
            print(f"{name}: {problem}")
        if len(problems) > _SHOWN:
            print(f"{name}: and {len(problems) - _SHOWN} more")
        for note in notes:
            print(f"{name}: {note}")
        print(f"{name}: {'ok' if not problems else f'{len(problems)} problems'}")
        worst = FAILED if problems else worst
    return worst


def _notes(name: str, options: DataOptions) -> list[str]:
    """What is no fault; nothing of a data set that cannot be opened at all."""
    try:
        opened = registry.load_part("datasets._open").open_dataset(name, replace(options, on_bad_data="skip"))
        found: list[str] = registry.load_part("datasets._notes").notes(opened)
    except (NoDataError, BadDataError, OSError):
        return []
    return found
