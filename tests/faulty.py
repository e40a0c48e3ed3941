"""What the tests of faults share: a sweep of trivial cells, typed as a user would or called in this process, and what it left behind."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from planted import PLAIN, bench, command, environment

from bench import cli
from bench.store import Store

# Notes each fit in a file, waits for a file where one is asked for, and hangs where it is told to.
GATED = PLAIN.replace("class Plain", "class Gated").replace(
    "    def fit(self, data, teachers, run):\n",
    """    def fit(self, data, teachers, run):
        import os, pathlib, time

        here = pathlib.Path(__file__).parent
        with open(here / "fits", "a") as file:
            file.write(f"{run.seed} {os.getpid()} {os.getppid()}\\n")
        while (here / "stuck").exists():
            time.sleep(0.05)
        time.sleep(0.02)
""",
)


def words(place, *more, store="store", methods="plain"):
    """A command line: one catalogue, clean images, seed 0, unless it says something else."""
    given = [*map(str, more)]
    base = ["run", "--datasets", f"folder:{place / 'photos'}", "--label-fractions", "1", "--store", str(place / store)]
    base += ["--cache", str(place / "cache")]
    for name, value in (("--methods", methods), ("--severities", "0")):
        base += [] if name in given else [name, value]
    return base + given


def run_here(place, *more, launcher="inline", **others):
    """Runs a sweep in this process and returns its exit code."""
    return cli.main([*words(place, *more, **others), "--launcher", launcher])


def run(place, *more, **others):
    """Runs a sweep in a process of its own, on worker processes."""
    return bench(*words(place, *more, **others), cwd=place, plugins=place / "plugins")


def start(place, *more, **others):
    """A sweep under way, with its workers in a session of its own; stderr is a pipe."""
    return subprocess.Popen(
        command(*words(place, *more, **others)),
        cwd=place,
        env=environment(place, place / "plugins"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def records(place, store="store"):
    """Key -> record. Each file under records/ that is called one is read whole; any that is torn fails the test."""
    found = {path.stem: json.loads(path.read_bytes()) for path in (place / store / "records").rglob("*.json")}
    assert {record["key"] for record in Store(place / store).records()} == set(found)
    assert list((place / store).rglob("*.damaged")) == []
    return found


def until(true, seconds=60):
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def session(leader):
    """Process ids of a session, less those that only wait to be asked after."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(folder.name))
    return found


@contextmanager
def mounted(folder, *options):
    """A file system in memory with these mount options; skips where nobody may mount one."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        message = f"cannot mount a file system here: {done.stderr.strip()}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder, *options):
    subprocess.run(["mount", "-o", ",".join(["remount", *options]), str(folder)], check=True)
