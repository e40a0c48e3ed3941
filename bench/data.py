"""The `data` command: renders a stand-in, makes a catalogue of photos and a table, shows what is in a data set."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench import registry
from bench.cli import FAILED, OK
from bench.outcomes import classify
from bench.protocol import BadDataError, DataOptions, NoDataError
from bench.run import check_dataset_name, choose_preset
from bench.spec import UsageError
from bench.store import replacing

_SHOWN = 50  # problems that are printed; the rest is counted


def command(options: argparse.Namespace) -> int:
    """Runs one action. Exit code 1 where a data set or a table is at fault."""
    actions = {"render": _render, "import": _import, "show": _show}
    return actions[options.action](options)


def _render(options: argparse.Namespace) -> int:
    check_dataset_name(options.dataset)
    data = DataOptions(options.data_root, options.cache, "synthetic", options.preset)
    try:
        root = registry.load_part("datasets._open").render(options.dataset, data, options.out)
    except (FileExistsError, ValueError) as error:
        raise UsageError(str(error)) from error
    print(f"{options.dataset} ({options.preset}, synthetic): {root}")
    return OK


def _import(options: argparse.Namespace) -> int:
    for path, there in ((options.photos, options.photos.is_dir()), (options.table, options.table.is_file())):
        if not there:
            raise UsageError(f"{path}: no such {'folder' if path is options.photos else 'file'}")
    problems = registry.load_part("datasets._schema").Problems()
    columns = [name.strip() for name in (options.columns or "").split(",") if name.strip()]
    part = registry.load_part("datasets._catalogue")
    try:
        annotations = part.import_catalogue(
            options.photos,
            options.table,
            options.out,
            problems,
            file_column=options.file_column,
            columns=columns,
            group=options.group_column,
            link=options.link,
            skip=options.on_bad_data == "skip",
        )
    except part.NoColumnError as error:
        raise UsageError(f"{options.table}: {error}") from error
    except BadDataError:
        _show_problems(problems)
        advice = "" if problems.ended else ", or leave these rows out with --on-bad-data skip"
        print(f"nothing was written; mend {options.table}{advice}", file=sys.stderr)
        return FAILED
    except OSError as error:
        advice = "; --link needs both on one file system" if options.link and not isinstance(error, FileExistsError) else ""
        raise UsageError(f"{error}{advice}") from error
    _show_problems(problems)
    _say_notes(annotations.ignored, problems.notes)
    summary = registry.load_part("datasets._show").summarize(annotations) | {"left_out": problems.count, "path": str(options.out)}
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        print(f"{options.out}: {_text(summary)}\nnext: python -m bench run --datasets folder:{options.out}")
    return OK


def _show(options: argparse.Namespace) -> int:
    check_dataset_name(options.dataset)
    if options.count < 1:
        raise UsageError(f"--count {options.count} given, 1 or more expected")
    if options.out and options.out.suffix.lower() != ".png":
        raise UsageError(f"--out {options.out} given, a name that ends in .png expected")
    preset = choose_preset(options.preset or "tiny")
    data = DataOptions(options.data_root, options.cache, options.data, preset, options.on_bad_data)
    try:
        opened = registry.load_part("datasets._open").open_dataset(options.dataset, data)
    except Exception as error:  # its files, its own code, or a cache that cannot be written
        told = isinstance(error, NoDataError | BadDataError | OSError)
        print(f"bench data: {error if told else classify(error)[1]}", file=sys.stderr)
        return FAILED
    part, faults = registry.load_part("datasets._show"), []
    summary = {"name": opened.name, "source": opened.source} | part.summarize(opened.annotations, options.split or "")
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        print(f"{opened.name} ({opened.source}): {_text(summary)}")
    _say_notes(opened.annotations.ignored, opened.notes)
    if options.out:
        sheet, faults = part.contact_sheet(opened, options.split or "", options.count)
        with replacing(options.out) as path:
            sheet.save(path, "PNG")
        print(f"{options.out}: {min(options.count, summary['images'])} photos", file=sys.stderr)
    for fault in faults:
        print(fault, file=sys.stderr)
    return FAILED if faults else OK


def _show_problems(problems: Any) -> None:
    for problem in problems.found[:_SHOWN]:
        print(problem, file=sys.stderr)
    if problems.count > _SHOWN:
        print(f"and {problems.count - _SHOWN} more", file=sys.stderr)


def _say_notes(ignored: Sequence[str], notes: Sequence[str]) -> None:
    for note in (*registry.load_part("datasets._notes").left_out(ignored), *notes):
        print(note, file=sys.stderr)


def _text(summary: Mapping[str, Any]) -> str:
    """A summary as a line of counts and a table of types."""
    from tabulate import tabulate

    splits = ", ".join(f"{count} {name}" for name, count in summary["splits"].items())
    parts = [f"{summary['images']} images ({splits or 'none'})", *([f"{summary['left_out']} left out"] if summary.get("left_out") else [])]
    lines = [
        [
            kind["name"],
            kind["classes"],
            "one" if kind["exclusive"] else "any number",
            f"{100 * kind['labeled'] / max(1, summary['images']):.1f} %",
            f"{kind['labels_per_image']:.2f}",
            ", ".join(f"{name} {count}" for name, count in kind["most_frequent"]),
        ]
        for kind in summary["types"]
    ]
    headers = ["type", "classes", "an image has", "labelled", "labels an image", "most frequent"]
    return f"{'; '.join(parts)}\n{tabulate(lines, headers=headers, disable_numparse=True)}"
