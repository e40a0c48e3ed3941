"""Slurm's commands as scripts of our own, one of which refuses a part of a sweep."""

import sys

import pytest
from planted import TAUGHT, bench, catalogue, plant

SBATCH = """#!{python}
import os, pathlib, re, sys

here = pathlib.Path(__file__).parent
jobs = (here / "jobs").read_text().splitlines()
if len(jobs) >= int((here / "limit").read_text()):
    sys.exit("sbatch: error: QOSMaxSubmitJobPerUserLimit")
text = pathlib.Path(sys.argv[-1]).read_text()
name, needs = (re.search(rf"--{{word}}=(\\S+)", text) for word in ("job-name", "dependency"))
state, needed = ("PENDING", needs[1]) if needs else ("RUNNING", "")
number = 1000 + len(jobs)
(here / "jobs").write_text("\\n".join([*jobs, f"{{number}}|N/A|{{state}}|{{name[1]}}|None|{{needed}}", ""]))
print(f"Submitted batch job {{number}}")
"""
OTHERS = {
    "squeue": 'cut -d\'|\' -f1-5 "$(dirname "$0")/jobs"',
    "sacct": "exit 0",
    "srun": "exit 0",
    "scontrol": "echo 'MaxArraySize = 1001'",
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with the commands; `jobs` in it is the queue, `limit` how many jobs it takes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "jobs").write_text("")
    (folder / "sbatch").write_text(SBATCH.format(python=sys.executable))
    for name, line in OTHERS.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def test_what_was_submitted_before_a_refusal_is_not_submitted_again(tmp_path, slurm):
    """The limit of a user's jobs is met after the teachers."""
    catalogue(tmp_path / "photos")
    plant(tmp_path / "plugins", taught=TAUGHT)
    words = ("run", "--methods", "taught", "--datasets", f"folder:{tmp_path / 'photos'}", "--label-fractions", "1", "--severities", "0")

    def run(limit):
        (slurm / "limit").write_text(str(limit))
        done = bench(*words, "--launcher", "slurm", cwd=tmp_path, plugins=tmp_path / "plugins")
        return done.returncode, done.stderr, [line.split("|")[5] for line in (slurm / "jobs").read_text().splitlines()]

    code, said, jobs = run(1)
    assert (code, jobs) == (1, [""])
    assert "sbatch: error: QOSMaxSubmitJobPerUserLimit; 1 of 2 arrays were submitted before that; the same command submits the rest" in said
    code, said, jobs = run(2)
    assert (code, jobs) == (0, ["", "afterok:1000"])
    code, said, jobs = run(9)
    assert (code, len(jobs)) == (0, 2)
    assert "nothing to submit, 1 queued" in said
    (slurm / "jobs").write_text("")


def test_a_refusal_of_everything_is_a_usage_error(tmp_path, slurm):
    catalogue(tmp_path / "photos")
    plant(tmp_path / "plugins", taught=TAUGHT)
    (slurm / "limit").write_text("0")
    words = ("--datasets", f"folder:{tmp_path / 'photos'}", "--label-fractions", "1", "--severities", "0", "--launcher", "slurm")
    done = bench("run", "--methods", "taught", *words, cwd=tmp_path, plugins=tmp_path / "plugins")
    assert (done.returncode, "sbatch refused array 0" in done.stderr) == (2, True)
    assert not list((tmp_path / "results/store/slurm").glob("*-*"))
