"""Commands and options. Parsing comes first and imports nothing heavy; each command is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

OK, FAILED, USAGE, REGRESSION, INTERRUPTED = 0, 1, 2, 3, 130  # exit codes
_RANGE = re.compile(r"(\d+)-(\d+)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    options.argv = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin: beside other work a report takes twenty times as long
    module = importlib.import_module(f"bench.{options.module}")
    from bench.places import check_store
    from bench.registry import UnknownNameError
    from bench.spec import UsageError
    from bench.store import StoreError, UnwritableError

    try:
        _expand(options)
        if "store" in options:
            check_store(options.store)
        code: int = module.command(options)
    except (UnknownNameError, UsageError) as error:
        print(f"bench {options.command}: {error}", file=sys.stderr)
        return USAGE
    except UnwritableError as error:
        print(f"bench {options.command}: {error}; mend that and type the same command again", file=sys.stderr)
        return FAILED
    except StoreError as error:
        print(f"bench {options.command}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return code


def _expand(options: argparse.Namespace) -> None:
    """Puts the home folder for ~ in every path: a shell does so in `--store ~/x` only, not in `--store=~/x` or a variable. Raises
    UsageError."""
    from bench.places import expanded

    for name, value in list(vars(options).items()):
        if isinstance(value, Path):
            setattr(options, name, expanded(value))
        elif isinstance(value, list):
            setattr(options, name, [expanded(each) if isinstance(each, Path) else each for each in value])


def is_typed(options: argparse.Namespace, word: str) -> bool:
    """Whether an option stands in the command as it was typed, whatever its value."""
    return any(typed.partition("=")[0] == word for typed in options.argv)


def numbers(text: str) -> list[float]:
    """0.25,1 -> [0.25, 1.0]"""
    return [float(part) for part in text.split(",")]


def integers(text: str) -> list[int]:
    """0-2,5 -> [0, 1, 2, 5]"""
    found: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match and int(match[1]) > int(match[2]):
            raise argparse.ArgumentTypeError(f"{part!r} given, a range from the lower to the higher number such as 0-2 expected")
        found += range(int(match[1]), int(match[2]) + 1) if match else [int(part)]
    return found


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} given, a whole number of at least 1 expected")
    return int(text)


def at_least_none(text: str) -> int:
    """A whole number of at least 0."""
    return 0 if text.strip() == "0" else count(text)


def seconds(text: str) -> float:
    """90, 90s, 15m or 2h, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} given, a time such as 90s, 15m or 2h expected")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class _Parser(argparse.ArgumentParser):
    """Says which option or command was probably meant, and takes no abbreviations, which a later option could break."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        import difflib

        wrong = re.search(r"(?:unrecognized arguments: |invalid choice: ')([\w-]+)", message)
        if wrong:
            near = difflib.get_close_matches(wrong[1], set(_words(self)) - {wrong[1]}, n=1)  # another command may know it
            message += f"; did you mean {near[0]!r}?" if near else ""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Every option and choice that a parser and its commands understand."""
    found: list[str] = []
    for action in parser._actions:
        found += [*action.option_strings, *(str(choice) for choice in action.choices or ())]
        if isinstance(action, argparse._SubParsersAction):
            found += [word for command in action.choices.values() for word in _words(command)]
    return found


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m bench", description="Benchmark harness for attribute prediction with few labels.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for add in (_add_run, _add_plan, _add_report, _add_claims, _add_status, _add_list, _add_doctor, _add_check, _add_merge):
        add(commands)
    for add in (_add_data_command, _add_clean, _add_export, _add_predict):
        add(commands)
    return parser


def _add(commands: argparse._SubParsersAction, name: str, module: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(module=module)
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    default = Path(os.environ.get("BENCH_STORE") or "results/store")
    parser.add_argument("--store", type=Path, default=default, metavar="DIR", help="where records live (default %(default)s)")


def _add_places(parser: argparse.ArgumentParser) -> None:
    cache = Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "bench")
    root = Path(os.environ.get("BENCH_DATA") or Path.home() / ".cache" / "bench" / "data")
    parser.add_argument("--data-root", type=Path, default=root, metavar="DIR", help="holds one folder a data set (default %(default)s)")
    parser.add_argument("--cache", type=Path, default=cache, metavar="DIR", help="decoded pixels and stand-ins (default %(default)s)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    _add_places(parser)
    parser.add_argument(
        "--data", choices=("auto", "real", "synthetic"), default="auto", help="auto renders a stand-in for a data set that is absent"
    )
    parser.add_argument("--on-bad-data", choices=("error", "skip"), default="error", help="damaged images and lines (default %(default)s)")
    parser.add_argument("--preset", choices=("tiny", "paper"), help="sizes; tiny without a CUDA device, must be named with one")


def _add_run(commands: argparse._SubParsersAction) -> None:
    run = _add(commands, "run", "run", "Run a sweep; typed again, it goes on where it stopped.")
    _add_sweep(run)
    run.add_argument("--dry-run", action="store_true", help="list the cells, what is cached and the predicted time; jobs with --profile")
    run.add_argument("--follow", action="store_true", help="stay and watch the jobs (slurm launcher)")
    run.add_argument("--hold", action="store_true", help="submit jobs that wait for `scontrol release` (slurm launcher)")


def _add_plan(commands: argparse._SubParsersAction) -> None:
    plan = _add(commands, "plan", "forecast", "A sweep's graph, cost and makespan; --simulate looks past one machine.")
    _add_sweep(plan)
    plan.add_argument("--simulate", action="store_true", help="compare ways of bundling on a simulated cluster")
    plan.add_argument("--gpus", type=int, default=256, metavar="N", help="of the simulated cluster (default %(default)s)")
    plan.add_argument("--cells", type=int, metavar="N", help="simulate a made-up sweep of this size instead of the one described")
    plan.add_argument("--failure-rate", type=float, default=0.001, metavar="P", help="node failures a GPU-hour (default %(default)s)")
    plan.add_argument("--preemption-rate", type=float, default=0.02, metavar="P", help="preemptions a GPU-hour (default %(default)s)")
    plan.add_argument("--out", type=Path, metavar="FILE", help="write the comparison as SVG")
    plan.set_defaults(dry_run=True, follow=False, hold=False)


def _add_sweep(run: argparse.ArgumentParser) -> None:
    run.add_argument("--methods", default="all", metavar="LIST", help="all, NAME, NAME/ROW, NAME/*, !NAME, joined by commas")
    run.add_argument("--datasets", metavar="LIST", help="names, or folder:PATH (default deepfashion,darn; none with --transfer)")
    run.add_argument("--transfer", default="", metavar="LIST", help="TRAINED:TESTED pairs, such as deepfashion:darn")
    run.add_argument("--table", default="", metavar="LIST", help="exactly what these tables of the papers need: mtss-1, mtss-*, all")
    run.add_argument("--label-fractions", type=numbers, default=[0.25, 1.0], metavar="LIST", help="shares in (0, 1] (default 0.25,1)")
    run.add_argument("--unlabeled", type=numbers, default=[1.0], metavar="LIST", help="multiples of the unlabelled pool (default 1)")
    run.add_argument("--corruptions", default="gaussian_noise,motion_blur,jpeg_compression", metavar="LIST", help="names, or all")
    run.add_argument("--severities", type=integers, default=[0, 3, 5], metavar="LIST", help="0 is clean; 0-5 or 0,3,5 (default 0,3,5)")
    run.add_argument("--seeds", type=integers, default=[0], metavar="LIST", help="0-2 or 0,1 (default 0)")
    launchers = ("process", "inline", "slurm")
    run.add_argument("--launcher", choices=launchers, default="process", help="where stages run (default %(default)s)")
    run.add_argument("--profile", default="", metavar="FILE", help="the cluster, as TOML; or the name of one in slurm/profiles")
    run.add_argument("--jobs", type=count, metavar="N", help="worker processes (default: one a CUDA device, else one a core)")
    run.add_argument(
        "--threads", type=count, default=1, metavar="N", help="threads a worker; results depend on it to the last bit (default 1)"
    )
    run.add_argument("--timeout", type=seconds, metavar="TIME", help="hard limit a stage, such as 2h (process and slurm)")
    run.add_argument("--only", choices=("failed", "missing", "stale"), help="leave every other cell alone")
    run.add_argument("--set", action="append", default=[], metavar="METHOD.NAME=VALUE", help="change a hyper-parameter; may be repeated")
    run.add_argument("--corruption-backend", choices=("native", "reference"), default="native", help="who corrupts (default %(default)s)")
    run.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default %(default)s")
    _add_store(run)
    _add_data(run)


def _add_report(commands: argparse._SubParsersAction) -> None:
    report = _add(commands, "report", "report", "Write the tables and the page.")
    report.add_argument("--out", type=Path, default=Path("results/report"), metavar="DIR", help="default %(default)s")
    report.add_argument(
        "--gallery", type=at_least_none, default=0, metavar="N", help="show N test photos of each data set on the page (default none)"
    )
    report.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="instead say what moved from A to B beyond noise; folders of stores, or git commits"
    )
    _add_store(report)
    _add_places(report)


def _add_claims(commands: argparse._SubParsersAction) -> None:
    claims = _add(commands, "claims", "claims", "Judge the papers' claims on a store's records.")
    claims.add_argument("--json", action="store_true", help="print JSON")
    _add_store(claims)


def _add_status(commands: argparse._SubParsersAction) -> None:
    status = _add(commands, "status", "status", "Where the sweeps of a store stand.")
    status.add_argument("--json", action="store_true", help="print JSON")
    _add_store(status)


def _add_list(commands: argparse._SubParsersAction) -> None:
    listing = _add(commands, "list", "listing", "What there is to choose from.")
    listing.add_argument("kind", choices=("methods", "datasets", "corruptions", "tables"))
    listing.add_argument("name", nargs="?", help="a method or data set, for its details")
    listing.add_argument("--json", action="store_true", help="print JSON")


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = _add(commands, "doctor", "doctor", "Check data sets before anything is queued.")
    doctor.add_argument("datasets", nargs="*", metavar="DATASET", help="names, or folder:PATH (default: all)")
    _add_data(doctor)


def _add_check(commands: argparse._SubParsersAction) -> None:
    text = "Compare metrics, kernels and tables with what they were; exit 3 on a regression, or with nothing to compare."
    check = _add(commands, "check", "gate", text)
    check.add_argument(
        "--baseline",
        type=Path,
        default=Path("results/reference"),
        metavar="DIR",
        help="what metrics are compared with (default %(default)s)",
    )
    measured = Path(os.environ.get("BENCH_KERNELS_OUT") or "results/kernels-measured.json")
    check.add_argument("--metrics", action="store_true", help="only compare the metrics of the store")
    check.add_argument(
        "--kernels", nargs="?", type=Path, const=measured, metavar="FILE", help=f"only compare speed ratios with their floors ({measured})"
    )
    check.add_argument("--tables", action="store_true", help="only compare the tables of a committed store")
    check.add_argument("--update", action="store_true", help="put the store's cells into the baseline instead")
    _add_store(check)


def _add_merge(commands: argparse._SubParsersAction) -> None:
    merge = _add(commands, "merge", "merge", "Join stores into the one of --store; exit 1 where results contradict each other.")
    merge.add_argument("stores", nargs="+", type=Path, metavar="STORE", help="read, never changed")
    merge.add_argument("--models", action="store_true", help="copy trained models too (default: records, predictions and labels)")
    _add_store(merge)


def _add_data_command(commands: argparse._SubParsersAction) -> None:
    data = _add(commands, "data", "data", "Render a stand-in, import a catalogue, look at a data set.")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=_Parser)
    render = _add(actions, "render", "data", "Render a data set's stand-in in its official layout.")
    render.add_argument("dataset", metavar="DATASET")
    render.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: where run looks for it, under --cache)")
    render.add_argument("--preset", choices=("tiny", "paper"), default="tiny", help="how many photos, of what size (default %(default)s)")
    _add_places(render)
    imported = _add(actions, "import", "data", "Make a catalogue for folder:DIR of photos and a table that lies or looks otherwise.")
    imported.add_argument("photos", type=Path, metavar="PHOTOS", help="the folder to which the table's paths are relative")
    imported.add_argument("table", type=Path, metavar="TABLE", help="CSV or TSV in UTF-8: a column an attribute type")
    imported.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    imported.add_argument("--file-column", default="file_name", metavar="NAME", help="names the photo (default %(default)s)")
    imported.add_argument("--columns", metavar="LIST", help="attribute types to take (default: all columns whose values repeat)")
    imported.add_argument("--group-column", default="", metavar="NAME", help="photos that share its value stay in one split")
    imported.add_argument("--link", action="store_true", help="hard links instead of copies")
    imported.add_argument("--on-bad-data", choices=("error", "skip"), default="error", help="damaged rows and photos (default %(default)s)")
    imported.add_argument("--json", action="store_true", help="print JSON")
    show = _add(actions, "show", "data", "What is in a data set, and photos of it with their labels.")
    show.add_argument("dataset", metavar="DATASET", help="a name, or folder:PATH")
    show.add_argument("--split", choices=("train", "val", "test", "unlabeled"), help="this split alone (default: all)")
    show.add_argument("--out", type=Path, metavar="FILE.png", help="write a sheet of photos with their labels")
    show.add_argument("--count", type=int, default=24, metavar="N", help="photos on it (default %(default)s)")
    show.add_argument("--json", action="store_true", help="print JSON")
    _add_data(show)


def _add_clean(commands: argparse._SubParsersAction) -> None:
    clean = _add(
        commands, "clean", "clean", "Say what nothing in a store needs, and with --yes delete it; leftovers, and what is named here."
    )
    clean.add_argument("--failed", action="store_true", help="records that are not ok")
    clean.add_argument("--stale", action="store_true", help="records of methods whose source has changed since, or that are gone")
    clean.add_argument("--models", action="store_true", help="trained models that no ok record needs")
    clean.add_argument(
        "--older-than", type=seconds, default=86400.0, metavar="TIME", help="spares younger models and unfinished files (default 24h)"
    )
    clean.add_argument("--yes", action="store_true", help="delete")
    _add_store(clean)


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = _add(commands, "export", "export", "Write a trained model as ONNX, checked against the original, with its classes.")
    export.add_argument("selector", metavar="MODEL", help="METHOD, METHOD/ROW, or the first digits of a fit's key")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets model.onnx and classes.json")
    _add_choice(export)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    predict = _add(commands, "predict", "predict", "Name the attributes of photos.")
    predict.add_argument("model", metavar="MODEL", help="an exported folder or model.onnx; or METHOD/ROW or a fit's key, from the store")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", help="JPEG, PNG, WebP, BMP or GIF")
    predict.add_argument("--top", type=int, metavar="K", help="classes a type (default: 3, and all above threshold where several may hold)")
    predict.add_argument("--json", action="store_true", help="print JSON")
    _add_choice(predict)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """What tells the trained models of a store apart."""
    parser.add_argument("--dataset", metavar="NAME", help="what it was trained on")
    parser.add_argument("--label-fraction", type=float, metavar="SHARE", help="share of the labels")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--preset", choices=("tiny", "paper"))
    _add_store(parser)
