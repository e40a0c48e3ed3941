"""Sweeps on a real controller with three virtual nodes: whatever happens to a job costs its own cells only, and typing again mends it."""

import getpass
import json
import os
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from planted import PLAIN, ROOT, TAUGHT, UNLUCKY, bench, catalogue, command, environment, plant

from bench.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

VOLATILE = {"attempt", "fit_seconds", "eval_seconds", "images_per_second", "peak_rss_mb", "started", "finished", "host", "launcher"}
VOLATILE |= {"slurm_job_id"}
PROFILE = """
partition = "main"
bundle_minutes = 10.0
max_stages = 25
memory_gb = 1.4
min_memory_gb = 1.4
memory_factor = 1.0
max_memory_gb = 1.4
cpus_per_worker = 1
unmeasured_walltime_minutes = 10
lease_seconds = 4.0
grace_seconds = 5.0
"""
HASTY = PROFILE.replace("_minutes = 10\n", "_minutes = 1\nmin_walltime_minutes = 1\nmax_walltime_minutes = 1\n")
HASTY += "signal_seconds = 50\nmax_timeouts = 20\n"
SLEEPY = PLAIN.replace("class Plain", "class Sleepy").replace(
    "    def fit(self, data, teachers, run):\n",
    """    def fit(self, data, teachers, run):
        import pathlib, time

        if pathlib.Path(__file__).with_name("asleep").exists():
            time.sleep(600)
""",
)
STEADY = PLAIN.replace("class Plain", "class Steady").replace(
    "    def fit(self, data, teachers, run):\n",
    """    def fit(self, data, teachers, run):
        import pathlib, time
        from bench.protocol import Recipe

        paces = {"slowly": 0.15, "crawling": 0.6}
        pace = max(seconds * pathlib.Path(__file__).with_name(name).exists() for name, seconds in paces.items())

        def loss(module, batch):
            time.sleep(pace)
            return (module(batch) - torch.randn(8, 1)).square().mean()

        class Steps:
            def epoch(self, rng):
                return [rng.normal(size=(8, 3)) for _ in range(260)]

            def load(self, entry):
                return torch.from_numpy(entry).float()

        linear = nn.Linear(3, 1)
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        run.train("steady", linear, loss, Steps(), Recipe(epochs=1, learning_rate=0.1))
        self.shift = linear.weight.detach().sum().item() + linear.bias.item()
""",
)


class Place:
    """A working folder with a catalogue, planted methods and profiles; commands typed in it speak with the cluster."""

    def __init__(self, folder, cluster):
        self.folder, self.cluster, self.plugins = folder, cluster, folder / "plugins"
        catalogue(folder / "photos")
        plant(self.plugins, plain=PLAIN, unlucky=UNLUCKY, taught=TAUGHT, sleepy=SLEEPY, steady=STEADY)
        (folder / "dev.toml").write_text(PROFILE)
        (folder / "hasty.toml").write_text(HASTY)
        (folder / "once.toml").write_text(HASTY.replace("max_timeouts = 20", "max_timeouts = 0"))
        (folder / "low.toml").write_text(PROFILE.replace('"main"', '"low"') + 'exclude = "n0,n1"\n')

    def flag(self, name, there=True):
        path = self.plugins / "methods" / name
        path.touch() if there else path.unlink()

    def words(self, *words, profile="dev"):
        base = ("run", "--datasets", f"folder:{self.folder / 'photos'}", "--label-fractions", "1")
        return (*base, *map(str, words), *(("--launcher", "slurm", "--profile", f"{profile}.toml") if profile else ()))

    def run(self, *words, profile="dev"):
        return bench(*self.words(*words, profile=profile), cwd=self.folder, plugins=self.plugins)

    def start(self, *words, profile="dev"):
        arguments = command(*self.words(*words, profile=profile))
        return subprocess.Popen(
            arguments,
            cwd=self.folder,
            env=environment(self.folder, self.plugins),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def status(self, *words):
        return json.loads(bench("status", "--json", *words, cwd=self.folder, plugins=self.plugins).stdout)[-1]

    def records(self, store="results/store"):
        return {record["key"]: record for record in Store(self.folder / store).records()}

    def queue(self):
        """Elements that were submitted here and wait or run: (job, element, state)."""
        lines = self.cluster.ask("squeue", "-h", "--array", "-o", "%F %K %T %Z").splitlines()
        return [tuple(found[:3]) for line in lines if (found := line.split())[3] == str(self.folder)]

    def cancel(self):
        """Ends what is left."""
        for job in {job for job, *_ in self.queue()}:
            self.cluster.ask("scancel", job)
        self.settle(60)

    def settle(self, seconds=120):
        """Waits until the queue is empty."""
        self.until(lambda: not self.queue(), seconds)

    def until(self, true, seconds=60):
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, (self.queue(), self.logs())
            time.sleep(0.3)

    def logs(self, store="results/store"):
        return "\n".join(path.read_text()[-3000:] for path in (self.folder / store / "slurm").rglob("*_log.*"))

    def weights(self, store="results/store"):
        return {path.parent.name: path.read_bytes() for path in (self.folder / store / "models").glob("*/model.safetensors")}


@pytest.fixture
def place(tmp_path, patient, monkeypatch):
    for name, value in patient.cluster.environment.items():
        monkeypatch.setenv(name, value)
    found = Place(tmp_path, patient.cluster)
    yield found
    found.cancel()


@pytest.fixture(scope="module")
def patient(cluster, tmp_path_factory):
    """Slow jobs, looked at by later tests: one gets a minute and takes more, one may do so only once, one has to make way on its node."""
    words = ("--methods", "steady", "--seeds", "0", "--severities", "0")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        found = Place(tmp_path_factory.mktemp("patient"), cluster)
        assert found.run(*words, "--store", "undisturbed", "--launcher", "inline", profile="").returncode == 0
        found.flag("slowly")
        assert found.run(*words, "--store", "late", profile="hasty").returncode == 0
        assert found.run(*words, "--store", "over", profile="once").returncode == 0
        assert found.run(*words, "--store", "low", profile="low").returncode == 0
        found.until(lambda: "bundle 0_0" in found.logs("low"), 30)
        time.sleep(5)  # into its training
        urgent = ["--partition=main", "--nodelist=n2", "--cpus-per-task=4", "--mem=100", "--time=1", "--wrap=sleep 1"]
        cluster.ask("sbatch", "--output=/dev/null", *urgent)
        yield found
        found.cancel()


def kill_worker(job, element):
    """Kills the job's own process, as a system without memory would."""
    marks = {f"SLURM_ARRAY_JOB_ID={job}".encode(), f"SLURM_ARRAY_TASK_ID={element}".encode()}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"submitit.core._submit" in words and b"python" in words[0] and marks <= set((folder / "environ").read_bytes().split(b"\0")):
                os.kill(int(folder.name), signal.SIGKILL)
                return
    pytest.fail(f"no worker of {job}_{element}")


def stable(records):
    return {key: {name: value for name, value in record.items() if name not in VOLATILE} for key, record in records.items()}


def test_a_sweep_is_the_same_inline_in_processes_and_on_the_cluster(place):
    words = ("--methods", "plain,taught,floor", "--seeds", "0-1", "--severities", "0,3", "--corruptions", "jpeg_compression")
    done = place.run(*words, "--store", "c")
    assert done.returncode == 0, done.stderr
    assert "submitted 12 cells in" in done.stderr
    assert place.run(*words, "--store", "a", "--launcher", "inline", profile="").returncode == 1
    assert place.run(*words, "--store", "b", "--jobs", "1", profile="").returncode == 1
    place.settle()
    first, second, third = place.records("a"), place.records("b"), place.records("c")
    assert len(first) == 12
    assert stable(first) == stable(second)
    assert stable(first) == stable(third)
    assert {record["launcher"] for record in third.values()} == {"slurm"}
    assert all(record["slurm_job_id"] for record in third.values())
    failed = {record["reason"] for record in third.values() if record["status"] == "failed"}
    assert failed == {"skipped: teacher failed (taught:bad: RuntimeError: cannot teach)"}
    ids = ",".join(path.read_text() for path in (place.folder / "c/slurm").rglob("array-*.id"))
    states = place.cluster.ask("sacct", "-X", "-n", "-P", "-o", "State,NodeList", "-j", ids).splitlines()
    assert states.count("CANCELLED|None assigned") == 2  # taught's fits, which afterok keeps from starting


def test_300_cells_survive_a_raise_a_kill_an_scancel_and_a_lost_daemon(place):
    place.flag("asleep")
    words = ("--methods", "plain,unlucky,sleepy", "--seeds", "0-99", "--severities", "0")
    done = place.run(*words)
    assert "submitted 300 cells in 12 jobs of 1 arrays" in done.stderr, done.stderr
    place.until(lambda: place.logs().count("bundle 0_") == 12)  # a daemon that dies while it starts a job takes the job along
    place.cluster.kill_node("n1")
    try:
        counts = place.status()["counts"]
        assert sum(counts.values()) == 300
        assert set(counts) <= {"queued", "running", "ok", "failed", "killed"}
        again = place.run(*words, "--only", "missing")
        assert "nothing to submit" in again.stderr, again.stderr
        time.sleep(2)
    finally:
        place.cluster.start_node("n1")
    place.until(lambda: len([r for r in place.records().values() if r["method"] in ("plain", "unlucky")]) >= 200, 120)
    found = place.records()
    by_status = {
        status: {(r["method"], r["seed"], r["reason"]) for r in found.values() if r["status"] == status} for status in ("failed", "killed")
    }
    assert by_status["failed"] == {("unlucky", 3, "RuntimeError: three is unlucky")}
    assert by_status["killed"] == {("unlucky", 7, "the worker died of SIGKILL")}

    place.until(lambda: len(place.queue()) == 4, 20)  # bundles of sleepy
    asleep = place.queue()
    place.cluster.ask("scancel", f"{asleep[0][0]}_{asleep[0][1]}")
    kill_worker(*asleep[1][:2])
    place.until(lambda: len(place.queue()) == 2, 30)
    place.until(lambda: "running" in (counts := place.status()["counts"]) and counts["running"] == 50, 30)
    lost = {(each["status"], each["reason"].partition(" on ")[0]) for each in place.status()["under_way"]}
    assert ("interrupted", f"cancelled by {getpass.getuser()}") in lost
    assert ("killed", "the job died of SIGKILL") in lost

    place.flag("asleep", False)
    place.flag("mended")
    for _, number, *_ in asleep[2:]:
        place.cluster.ask("scancel", f"{asleep[0][0]}_{number}")
    place.until(lambda: not place.queue(), 30)
    before = {key: record["finished"] for key, record in place.records().items() if record["status"] == "ok"}
    done = place.run(*words)
    assert f"submitted {300 - len(before)} cells" in done.stderr, done.stderr
    place.settle()
    after = place.records()
    assert len(after) == 300
    assert {record["status"] for record in after.values()} == {"ok"}, place.logs()
    assert {key: after[key]["finished"] for key in before} == before
    done = place.run(*words)
    assert done.returncode == 0
    assert "300 cells: 300 ok" in done.stderr
    done = bench("report", "--out", "out", cwd=place.folder, plugins=place.plugins)
    assert done.returncode == 0, done.stderr


def test_a_submitter_killed_at_once_loses_nothing(place):
    words = ("--methods", "plain", "--seeds", "0-39", "--severities", "0,3", "--corruptions", "jpeg_compression")
    driver = place.start(*words, "--follow")
    for line in driver.stderr:
        if line.startswith("submitted"):
            break
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    driver.stderr.close()
    for path in (place.folder / "results/store/slurm").rglob("array-*.id"):
        path.unlink()  # as if it had died before it noted them
    assert "nothing to submit" in place.run(*words).stderr
    place.settle()
    assert place.status()["counts"] == {"ok": 80}
    assert bench("report", "--out", "out", cwd=place.folder, plugins=place.plugins).returncode == 0
    assert {record["attempt"] for record in place.records().values()} == {1}


def test_follow_watches_to_the_end_and_exits_like_any_run(place):
    done = place.run("--methods", "plain,unlucky", "--seeds", "2-3", "--severities", "0", "--follow")
    assert done.returncode == 1
    assert "4 cells: 3 ok, 1 failed" in done.stderr
    assert "[4/4]" in done.stderr
    assert "\x1b" not in done.stderr


def test_5000_cells_keep_to_the_controllers_array_size_and_are_never_submitted_twice(place):
    profile = PROFILE.replace("max_stages = 25", "max_stages = 1") + "max_running = 100\n"
    (place.folder / "one.toml").write_text(profile)
    words = ("--methods", "plain", "--seeds", "0-4999", "--severities", "0")
    done = place.run(*words, "--hold", profile="one")  # held: they wait in the queue of the real controller and never run
    assert "submitted 5000 cells in 5000 jobs of 5 arrays" in done.stderr, done.stderr
    elements = [(job, int(number)) for job, number, _ in place.queue()]
    assert len(elements) == len(set(elements)) == 5000
    assert max(number for _, number in elements) == 1000
    assert len({job for job, _ in elements}) == 5
    folder = next((place.folder / "results/store/slurm").glob("*-*"))
    keys = [key for path in folder.glob("*.jsonl") for line in path.read_text().splitlines() for key in json.loads(line)["cells"]]
    assert len(keys) == len(set(keys)) == 5000
    assert "nothing to submit, 5000 queued" in place.run(*words, profile="one").stderr
    assert place.status()["counts"] == {"queued": 5000}


def test_a_job_with_stale_code_or_a_foreign_package_refuses_with_a_clear_line(place):
    words = ("--methods", "plain", "--seeds", "0", "--severities", "0")
    place.run(*words, "--hold")
    plant(place.plugins, plain=PLAIN.replace("shift: float = 0.0", "shift: float = 2.0"))
    for job in {job for job, *_ in place.queue()}:
        place.cluster.ask("scontrol", "release", job)
    place.settle()
    [record] = place.records().values()
    assert record["status"] == "failed"
    assert record["reason"] == "the source of plain has changed since the sweep was planned; type the command again"


def test_job_folders_are_private_and_hold_no_secret(place, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "hunter2-very-secret")
    assert place.run("--methods", "plain", "--severities", "0").returncode == 0
    place.settle()
    root = place.folder / "results/store/slurm"
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    assert len(folders) >= 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sh" for path in files)
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_job_over_its_memory_and_one_with_gpus(place):
    plant(place.plugins, hungry=PLAIN.replace("class Plain", "class Hungry").replace(
        "    def fit(self, data, teachers, run):\n",
        """    def fit(self, data, teachers, run):
        import time

        full = bytearray(2000 * 2**20)
        time.sleep(30)
""",
    ))  # fmt: skip
    gpus = PLAIN.replace("class Plain", "class Seer").replace(
        "    def fit(self, data, teachers, run):\n",
        """    def fit(self, data, teachers, run):
        import os

        raise RuntimeError("sees " + os.environ["CUDA_VISIBLE_DEVICES"])
""",
    )
    plant(place.plugins, seer=gpus)
    (place.folder / "gpu.toml").write_text(PROFILE + "gpus_per_node = 1\n")
    assert place.run("--methods", "hungry", "--severities", "0").returncode == 0
    seen = ("--methods", "seer", "--severities", "0", "--device", "cpu", "--preset", "tiny", "--store", "gpu")
    assert place.run(*seen, profile="gpu").returncode == 0
    place.settle()
    place.until(lambda: [state["status"] for state in place.status()["under_way"]] == ["oom"], 30)  # accounting hears of memory last
    [state] = place.status()["under_way"]
    assert state["cells"] == 1
    assert "more than the 1400 MB that the job asked for" in state["reason"]
    [record] = place.records("gpu").values()
    assert record["reason"] in ("RuntimeError: sees 0", "RuntimeError: sees 1")


def test_the_cluster_starts_twice_as_once_and_knows_its_daemons(cluster):
    before = json.loads((cluster.folder / "daemons.json").read_text())
    began = time.monotonic()
    cluster.start()
    assert time.monotonic() - began < 20
    assert json.loads((cluster.folder / "daemons.json").read_text()) == before
    assert all(cluster.running().values())
    assert len(cluster.running()) == 7
    done = subprocess.run(
        [*command()[:2], "slurm.devcluster", "status", "--dir", str(cluster.folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("runs") == 7
    assert Path(cluster.folder / "slurmdbd.conf").stat().st_mode & 0o077 == 0


def test_a_job_out_of_time_for_the_last_time_says_so(patient):
    patient.until(lambda: patient.records("over"), 100)
    [record] = patient.records("over").values()
    assert record["status"] == "timeout"
    assert record["reason"] == "out of time: Job not requeued because: timed-out too many times."


def test_a_node_given_up_for_dead_does_no_harm_when_it_was_not(place):
    words = ("--methods", "steady", "--seeds", "1", "--severities", "0")
    assert place.run(*words, "--store", "undisturbed", "--launcher", "inline", profile="").returncode == 0
    place.flag("crawling")
    place.run(*words)
    place.until(lambda: "bundle 0_0" in place.logs(), 30)
    time.sleep(5)  # into its training
    [node] = {
        line.split()[1] for line in place.cluster.ask("squeue", "-h", "-o", "%Z %N").splitlines() if line.startswith(str(place.folder))
    }
    place.flag("crawling", False)
    place.cluster.kill_node(node)  # its job lives on, and Slurm starts it again elsewhere
    try:
        place.until(lambda: place.logs().count("bundle 0_0") == 2, 90)
        place.settle()
    finally:
        place.cluster.start()
    [record] = place.records().values()
    assert (record["status"], record["attempt"]) == ("ok", 1)
    assert place.weights() == place.weights("undisturbed")
    place.until(lambda: "took over" in place.logs(), 20)


def test_jobs_that_ran_out_of_time_or_made_way_went_on_to_the_same_weights(patient):
    patient.settle(150)
    for store in ("late", "low"):
        [record] = patient.records(store).values()
        assert record["status"] == "ok", (record["reason"], patient.logs(store))
        assert patient.weights(store) == patient.weights("undisturbed")
        logs = patient.logs(store)
        assert "SIGUSR2 after" in logs, logs
        assert "stopped after step" in logs, logs
        assert logs.count("bundle 0_0:") >= 2, logs
