"""The files that a one-machine Slurm reads: controller, accounting, fake GPUs. Texts only; nothing is started here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MAX_ARRAY_SIZE = 1001
LOW_PARTITION_GRACE_SECONDS = 20


@dataclass(frozen=True)
class Layout:
    """Where a cluster lives and how large it pretends to be. ports: by the name of the daemon. memory_mb: of one node."""

    folder: Path
    host: str
    address: str
    user: str
    ports: dict[str, int] = field(default_factory=dict)
    num_nodes: int = 3
    cpus: int = 4
    gpus: int = 2
    memory_mb: int = 32000
    first_job_id: int = 1
    password: str = ""

    @property
    def nodes(self) -> list[str]:
        return [f"n{index}" for index in range(self.num_nodes)]

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"


def slurm_conf(layout: Layout) -> str:
    """slurm.conf. Two partitions: main, and low, whose jobs make way for those of main and are requeued."""
    lines = [
        "ClusterName=devcluster",
        f"SlurmctldHost={layout.host}({layout.address})",
        f"SlurmctldPort={layout.ports['slurmctld']}",
        f"SlurmUser={layout.user}",
        f"SlurmdUser={layout.user}",
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
        "AuthType=auth/munge",
        f"AuthInfo=socket={layout.folder}/munge.socket,cred_expire=5",  # the default of 120 s delays what is requeued
        "CredType=cred/munge",
        f"StateSaveLocation={layout.folder}/state",
        f"SlurmdSpoolDir={layout.folder}/spool-%n",
        f"SlurmctldPidFile={layout.folder}/slurmctld.pid",
        f"SlurmdPidFile={layout.folder}/slurmd-%n.pid",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "MpiDefault=none",
        "SwitchType=switch/none",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=2",
        "JobAcctGatherParams=OverMemoryKill",
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={layout.host}",
        f"AccountingStoragePort={layout.ports['slurmdbd']}",
        f"AccountingStoragePass={layout.folder}/munge.socket",
        "AccountingStorageTRES=gres/gpu",
        "GresTypes=gpu",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory",
        "DefMemPerCPU=500",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=batch_sched_delay=1,bf_interval=2,sched_min_interval=0",
        "SlurmctldParameters=preempt_send_user_signal",
        "SlurmdParameters=config_overrides",  # a node may claim more cores than the machine has
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "ReturnToService=2",
        "KillWait=5",
        "SlurmdTimeout=20",
        "InactiveLimit=0",
        "MinJobAge=300",
        f"FirstJobId={layout.first_job_id}",
        f"MaxArraySize={MAX_ARRAY_SIZE}",
        "MaxJobCount=20000",
    ]
    for name in layout.nodes:
        size = f"CPUs={layout.cpus} RealMemory={layout.memory_mb} Gres=gpu:{layout.gpus} State=UNKNOWN"
        lines.append(f"NodeName={name} NodeHostname={layout.host} NodeAddr={layout.address} Port={layout.ports[name]} {size}")
    nodes = ",".join(layout.nodes)
    lines += [
        f"PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP PriorityTier=10",
        f"PartitionName=low Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE "
        f"GraceTime={LOW_PARTITION_GRACE_SECONDS}",
    ]
    return "\n".join(lines) + "\n"


def gres_conf(layout: Layout) -> str:
    """GPUs that can be counted and not used: Slurm wants a character device behind each, and takes links to /dev/null."""
    return f"AutoDetect=off\nName=gpu File={layout.folder}/fakegpu[0-{layout.gpus - 1}]\n" if layout.gpus else ""


def slurmdbd_conf(layout: Layout) -> str:
    """slurmdbd.conf; holds the password of the private database, and slurmdbd insists on mode 0600."""
    return f"""AuthType=auth/munge
AuthInfo=socket={layout.folder}/munge.socket
DbdHost={layout.host}
DbdAddr={layout.address}
DbdPort={layout.ports["slurmdbd"]}
SlurmUser={layout.user}
PidFile={layout.folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={layout.ports["mariadbd"]}
StorageUser=slurm
StoragePass={layout.password}
StorageLoc=slurm_acct_db
"""


def database_sql(layout: Layout) -> str:
    """What the database does when it starts."""
    return (
        f"CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '{layout.password}';\n"
        "CREATE DATABASE IF NOT EXISTS slurm_acct_db;\n"
        "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n"
    )


def munged(layout: Layout) -> list[str]:
    """The command of the authentication daemon, with a key and a socket of its own."""
    names = {
        "key-file": "munge.key",
        "socket": "munge.socket",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
        "seed-file": "munge.seed",
    }
    return ["munged", "--foreground", "--force", *(f"--{option}={layout.folder / name}" for option, name in names.items())]


def mariadbd(layout: Layout) -> list[str]:
    """The command of the private database: loopback, its own folder, small."""
    folder = layout.folder
    options = {
        "datadir": folder / "db",
        "socket": folder / "db.socket",
        "pid-file": folder / "mariadbd.pid",
        "bind-address": "127.0.0.1",
        "port": layout.ports["mariadbd"],
        "init-file": folder / "database.sql",
        "innodb-buffer-pool-size": "64M",
        "innodb-log-file-size": "16M",
        "innodb-flush-log-at-trx-commit": 0,
        "user": layout.user,
    }
    return ["mariadbd", "--no-defaults", "--skip-log-bin", *(f"--{name}={value}" for name, value in options.items())]
