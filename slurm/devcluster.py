"""A real Slurm on one machine, for tests: `python -m slurm.devcluster start|stop|status`.

Controller, several virtual nodes, munge and accounting run on loopback ports from a folder of their own; GPUs can be counted, not used.
Debian's packages: slurm-wlm munge slurmdbd mariadb-server. Neither systemd nor root is needed; nothing outside the folder is written."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slurm import _devconfig
from slurm._devconfig import Layout

PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch", "srun", "sacct")
PACKAGES = "apt-get install -y --no-install-recommends slurm-wlm munge slurmdbd mariadb-server"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class ClusterError(RuntimeError):
    """The cluster could not be started; the text says which daemon and what it wrote last."""


def missing_programs() -> list[str]:
    """What of Slurm is not installed here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_SEARCHED) is None]


def default_folder() -> Path:
    """Short, since the path of a socket may have 107 characters."""
    return Path(tempfile.gettempdir()) / f"devcluster-{os.getuid()}"


class DevCluster:
    """One cluster in one folder. nodes: virtual nodes, each of `cpus` cores and `gpus` fake GPUs."""

    def __init__(self, folder: Path, *, num_nodes: int = 3, cpus: int = 4, gpus: int = 2, memory_mb: int = 32000) -> None:
        self.folder = folder.resolve()
        self._children: list[subprocess.Popen] = []  # kept, so that nobody is told that they still run
        self._size = {"num_nodes": num_nodes, "cpus": cpus, "gpus": gpus, "memory_mb": memory_mb}

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to speak with this cluster and no other."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _SEARCHED}

    def start(self) -> None:
        """Starts whatever of the cluster does not run yet, and returns when all nodes are idle. Raises ClusterError."""
        missing = missing_programs()
        if missing:
            raise ClusterError(f"{', '.join(missing)} not installed; {PACKAGES}")
        layout = self._layout()
        self._daemon("munged", _devconfig.munged(layout))
        self._wait("munged", lambda: (self.folder / "munge.socket").exists())
        self._daemon("mariadbd", _devconfig.mariadbd(layout))
        self._wait("mariadbd", lambda: _answers("127.0.0.1", layout.ports["mariadbd"]))
        self._daemon("slurmdbd", ["slurmdbd", "-D"])
        self._wait("slurmdbd", lambda: _answers(layout.address, layout.ports["slurmdbd"]))
        self._daemon("slurmctld", ["slurmctld", "-D", "-f", str(layout.conf)])
        self._wait("slurmctld", lambda: _answers(layout.address, layout.ports["slurmctld"]))
        for name in layout.nodes:
            self.start_node(name)
        self._wait("slurmd", self._all_up)
        self._wait("slurmdbd", self._accounted)

    def start_node(self, name: str) -> None:
        """Starts the daemon of one node, unless it runs."""
        self._daemon(f"slurmd-{name}", ["slurmd", "-D", "-N", name, "-f", str(self.folder / "slurm.conf")])

    def kill_node(self, name: str) -> None:
        """Kills the daemon of one node with SIGKILL, as a crash would; its jobs' processes live on until Slurm looks after them."""
        self._end(f"slurmd-{name}", signal.SIGKILL)

    def stop(self) -> None:
        """Ends every daemon and job of this cluster and removes its folder."""
        if not self.folder.is_dir():
            return
        for name in reversed(list(self._daemons())):
            if name != "munged":
                self._signal(name, signal.SIGTERM if name == "mariadbd" else signal.SIGKILL)
        self._end_jobs()
        for name in reversed(list(self._daemons())):
            self._end(name, signal.SIGTERM)
        for process in self._children:
            process.poll()
        shutil.rmtree(self.folder, ignore_errors=True)

    def running(self) -> dict[str, bool]:
        """Whether each daemon runs, by its name."""
        return {name: _alive(daemon) for name, daemon in self._daemons().items()}

    def ask(self, *words: str, timeout: float = 20) -> str:
        """What a Slurm command prints. Raises CalledProcessError."""
        done = subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=timeout, check=True)
        return done.stdout

    def _all_up(self) -> bool:
        with suppress(subprocess.SubprocessError):
            states = self.ask("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()
            if any(state.startswith(("inval", "drain", "down")) for state in states):
                nodes = ",".join(self._layout().nodes)
                self.ask("scontrol", "update", f"nodename={nodes}", "state=resume")
            return len(states) == self._layout().num_nodes and all(state in ("idle", "mixed", "allocated") for state in states)
        return False

    def _accounted(self) -> bool:
        with suppress(subprocess.SubprocessError):
            return "devcluster" in self.ask("sacctmgr", "-n", "-P", "show", "cluster", "format=cluster,controlhost")
        return False

    def _layout(self) -> Layout:
        """The cluster's layout, written to its folder at the first call."""
        path = self.folder / "layout.json"
        if path.exists():
            found = json.loads(path.read_text())
            return Layout(**{**found, "folder": self.folder})
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        host = socket.gethostname()
        try:
            address = socket.gethostbyname(host)
        except OSError:
            address = "127.0.0.1"
        names = ["slurmctld", "slurmdbd", "mariadbd", *(f"n{index}" for index in range(self._size["num_nodes"]))]
        layout = Layout(
            folder=self.folder,
            host=host,
            address=address,
            user=getpass.getuser(),
            ports=dict(zip(names, _free_ports(address, len(names)), strict=True)),
            first_job_id=int(time.time()) % 10**7 + 1,  # job ids of an earlier cluster in the same job folder would show its results
            password=secrets.token_hex(16),
            **self._size,
        )
        _write_files(layout)
        path.write_text(json.dumps({**asdict(layout), "folder": str(self.folder)}))
        return layout

    def _daemons(self) -> dict[str, dict[str, Any]]:
        with suppress(OSError, ValueError):
            found: dict[str, dict[str, Any]] = json.loads((self.folder / "daemons.json").read_text())
            return found
        return {}

    def _daemon(self, name: str, command: list[str]) -> None:
        """Starts a daemon in a session of its own, unless it runs, and notes its process."""
        daemons = self._daemons()
        if name in daemons and _alive(daemons[name]):
            return
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
        with (self.folder / f"{name}.out").open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**environment, **self.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._children.append(process)
        daemons[name] = {"pid": process.pid, "started": _started(process.pid), "program": command[0]}
        (self.folder / "daemons.json").write_text(json.dumps(daemons))

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            died = [each for each, runs in self.running().items() if not runs]
            if died or time.monotonic() > deadline:
                raise ClusterError(f"{', '.join(died) or name} did not come up:\n{self._last_lines(died[0] if died else name)}")
            time.sleep(0.05)

    def _last_lines(self, name: str) -> str:
        paths = sorted(self.folder.glob(f"{name}*.out"))
        return "\n".join(paths[0].read_text(errors="replace").splitlines()[-10:]) if paths else ""

    def _signal(self, name: str, number: signal.Signals) -> None:
        daemon = self._daemons().get(name)
        if daemon is not None and _alive(daemon):
            os.kill(daemon["pid"], number)

    def _end(self, name: str, number: signal.Signals) -> None:
        """Ends one daemon, with SIGKILL where it takes too long."""
        daemon = self._daemons().get(name)
        if daemon is None:
            return
        self._signal(name, number)
        if not _gone(daemon):
            self._signal(name, signal.SIGKILL)
            _gone(daemon)

    def _end_jobs(self) -> None:
        """Kills what is left of this cluster's jobs, found by the configuration in their environment."""
        for _ in range(3):  # a job may start a process while they are read
            for folder in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    variables = (folder / "environ").read_bytes().split(b"\0")
                    is_step = (folder / "comm").read_text().startswith("slurmstepd")
                    is_job = is_step or any(each.startswith(b"SLURM_JOB_ID=") for each in variables)
                    if is_job and f"SLURM_CONF={self.folder / 'slurm.conf'}".encode() in variables and int(folder.name) != os.getpid():
                        os.kill(int(folder.name), signal.SIGKILL)


def _write_files(layout: Layout) -> None:
    folder = layout.folder
    (folder / "state").mkdir(exist_ok=True)
    for index in range(layout.gpus):
        with suppress(FileExistsError):
            (folder / f"fakegpu{index}").symlink_to("/dev/null")
    for name, text in {
        "slurm.conf": _devconfig.slurm_conf(layout),
        "gres.conf": _devconfig.gres_conf(layout),
        "slurmdbd.conf": _devconfig.slurmdbd_conf(layout),
        "database.sql": _devconfig.database_sql(layout),
        "cgroup.conf": "",
    }.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    installer = ["mariadb-install-db", "--no-defaults", f"--datadir={folder / 'db'}", "--skip-test-db", f"--user={layout.user}"]
    done = subprocess.run(
        [*installer, "--auth-root-authentication-method=normal"],
        env={**os.environ, "PATH": _SEARCHED},
        capture_output=True,
        text=True,
        timeout=_START_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"mariadb-install-db: {(done.stderr or done.stdout).strip()[-400:]}")


def _free_ports(address: str, count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((address, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _started(pid: int) -> str:
    """When a process began, in ticks since boot: with the pid, its identity. Empty where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _alive(daemon: dict[str, Any]) -> bool:
    with suppress(ChildProcessError):  # a daemon that we started ourselves stays a zombie until it is asked after
        os.waitpid(daemon["pid"], os.WNOHANG)
    if _started(daemon["pid"]) != daemon["started"]:
        return False
    with suppress(OSError):
        return Path(f"/proc/{daemon['pid']}/comm").read_text().strip() == daemon["program"][:15]
    return False


def _gone(daemon: dict[str, Any]) -> bool:
    deadline = time.monotonic() + _STOP_SECONDS
    while _alive(daemon):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def main(argv: list[str] | None = None) -> int:
    """start prints what to export; stop leaves nothing; status exits with 1 unless all of it runs."""
    parser = argparse.ArgumentParser(prog="python -m slurm.devcluster", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("start", "stop", "status"))
    parser.add_argument("--dir", type=Path, default=default_folder(), help="default %(default)s")
    parser.add_argument("--nodes", type=int, default=3, help="virtual nodes, of a new cluster (default %(default)s)")
    parser.add_argument("--cpus", type=int, default=4, help="cores a node pretends to have (default %(default)s)")
    parser.add_argument("--gpus", type=int, default=2, help="fake GPUs a node (default %(default)s)")
    options = parser.parse_args(argv)
    cluster = DevCluster(options.dir, num_nodes=options.nodes, cpus=options.cpus, gpus=options.gpus)
    if options.action == "stop":
        cluster.stop()
        return 0
    if options.action == "start":
        try:
            cluster.start()
        except ClusterError as error:
            print(f"devcluster: {error}", file=sys.stderr)
            return 1
        print("".join(f"export {name}={value}\n" for name, value in cluster.environment.items()), end="")
        return 0
    running = cluster.running()
    for name, runs in running.items():
        print(f"{name:14} {'runs' if runs else 'does not run'}")
    if not running:
        print(f"no cluster in {options.dir}; python -m slurm.devcluster start")
    return 0 if running and all(running.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
