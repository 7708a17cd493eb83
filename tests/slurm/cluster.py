"""A Slurm cluster on this one machine, for tests: real slurmctld and slurmd, with GPUs that are device nodes.

Node c1 is in partition `short`, which is the default. Node g1 with a GPU is in `gpu`. All is in one folder, except
the link /etc/slurm/slurm.conf, where the job steps look. Needs root and Debian's packages slurmctld, slurmd,
slurm-client and munge; with accounting also slurmdbd and mariadb-server.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PORT = 17170  # of slurmctld; slurmdbd, the database and the nodes follow
CONFIG = Path("/etc/slurm/slurm.conf")
IMPATIENT = (sys.executable, str(Path(__file__).parent / "impatient.py"))
THROUGH_SLURM = (  # arguments of Snakemake, after the targets; one processor here, since other tests run meanwhile
    "--profile=profiles/slurm",
    "--slurm-init-seconds-before-status-checks=1",
    "--set-threads",
    "train_model=1",
    "sample_fields=1",
    "trace_tradeoff=1",
)
GPUS, CPUS = 1, 2  # of a node: one training at a time, since two side by side are many times slower
NEEDED = ("slurmctld", "slurmd", "squeue", "munged")
NEEDED_FOR_ACCOUNTING = ("slurmdbd", "mariadbd")


def missing(accounting: bool = False) -> str:
    """Why there can be no cluster here, in words; empty if there can."""
    if not os.environ.get("RAINSHAFT_TEST_SLURM"):
        return "RAINSHAFT_TEST_SLURM is not set: no Slurm cluster is brought up on this machine"
    wanted = NEEDED + (NEEDED_FOR_ACCOUNTING if accounting else ())
    if lacking := [name for name in wanted if not shutil.which(name)]:
        return f"Slurm is not installed: {', '.join(lacking)} not found"
    if os.geteuid() != 0:
        return "a Slurm cluster for tests needs root"
    if CONFIG.exists() and not CONFIG.is_symlink():
        return f"{CONFIG} is that of a real cluster"
    return ""


def wait_for(condition: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait until the condition holds; what it waited for is part of the error."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what or condition}"
        time.sleep(0.1)


def run(*command: str, check: bool = True) -> str:
    """What a command prints."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


class Cluster:
    """Starts in `start`, ends in `stop`; one at a time on a machine."""

    def __init__(self, folder: Path, accounting: bool = False):
        self.folder = folder
        self.accounting = accounting
        self.nodes = {"c1": PORT + 11, "g1": PORT + 12}
        self.daemons: list[subprocess.Popen] = []

    # ------------------------------------------------------------------------------------------ up and down

    def start(self) -> None:
        """Start the daemons and wait until both nodes are idle."""
        for name in ("etc", "log", "state", "spool", "munge", "db"):
            (self.folder / name).mkdir(parents=True, mode=0o755)
        (self.folder / "munge").chmod(0o700)
        self._munge()
        self._write_config()
        if self.accounting:
            self._database()
        self._daemon("slurmctld", "-D", "-f", str(self.config))
        wait_for(lambda: "is UP" in run("scontrol", "ping", check=False), 20, "slurmctld")
        for node in self.nodes:
            self.node_up(node)
        wait_for(lambda: self.node_states() == {"idle"}, 30, "idle nodes")

    def stop(self) -> None:
        """End the daemons and whatever jobs they still run."""
        run("scancel", "--user=root", check=False)
        time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
        subprocess.run(["pkill", "-KILL", "-f", f"slurmstepd.*|.*{self.folder}/spool"], check=False)
        if CONFIG.is_symlink():
            CONFIG.unlink()

    @property
    def config(self) -> Path:
        return self.folder / "etc/slurm.conf"

    def _daemon(self, *command: str) -> subprocess.Popen:
        log = open(self.folder / "log" / f"{Path(command[0]).name}-{len(self.daemons)}.out", "w", encoding="utf-8")  # noqa: SIM115
        daemon = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.daemons.append(daemon)
        return daemon

    def _munge(self) -> None:
        folder, socket_ = self.folder / "munge", self.folder / "log/munge.socket"
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o600)
        files = {"key-file": "key", "seed-file": "seed", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={folder / name}" for option, name in files.items()]
        self._daemon("munged", "--foreground", "--force", f"--socket={socket_}", *options)
        wait_for(socket_.is_socket, 10, "munged")

    def _write_config(self) -> None:
        devices = self.folder / "dev"
        devices.mkdir()
        for i in range(GPUS):  # device nodes: with plain files CUDA_VISIBLE_DEVICES stays unset in the jobs
            os.mknod(devices / f"nvidia{i}", 0o20666, os.makedev(1, 3))
        host, log = socket.gethostname().split(".")[0], self.folder / "log"
        lines = [
            "ClusterName=test",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={PORT}",
            "SlurmUser=root",
            "SlurmdUser=root",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
            "AuthType=auth/munge",
            "CredType=cred/munge",
            # how long a job that was started again must wait, too
            f"AuthInfo=socket={log / 'munge.socket'},cred_expire=5",
            f"StateSaveLocation={self.folder / 'state'}",
            f"SlurmctldPidFile={log / 'slurmctld.pid'}",
            f"SlurmctldLogFile={log / 'slurmctld.log'}",
            f"SlurmdSpoolDir={self.folder / 'spool'}/%n",
            f"SlurmdPidFile={log / 'slurmd-%n.pid'}",
            f"SlurmdLogFile={log / 'slurmd-%n.log'}",
            "SlurmdParameters=config_overrides",  # the sizes below, whatever the machine has
            "ReturnToService=2",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SwitchType=switch/none",
            "MpiDefault=none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            "GresTypes=gpu",
            "SchedulerType=sched/backfill",
            "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0",
            "PriorityType=priority/basic",
            "EnforcePartLimits=ALL",
            "JobRequeue=1",
            "MinJobAge=3600",  # the controller's record of ended jobs is what the tests read
            "KillWait=5",
            "SlurmctldTimeout=10",
            "SlurmdTimeout=10",
            *self._accounting_config(),
            "PartitionName=short Nodes=c1 Default=YES MaxTime=1-00:00:00 DefaultTime=10",
            "PartitionName=gpu Nodes=g1 MaxTime=1-00:00:00 DefaultTime=10",
        ]
        for node, port in self.nodes.items():
            gpus = f" Gres=gpu:fake:{GPUS}" if node == "g1" else ""
            address = f"NodeHostname=localhost NodeAddr=127.0.0.1 Port={port}"
            lines.append(f"NodeName={node} {address} CPUs={CPUS} RealMemory=64000{gpus}")
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.folder / "etc/gres.conf").write_text(
            f"AutoDetect=off\nNodeName=g1 Name=gpu Type=fake File={devices}/nvidia[0-{GPUS - 1}]\n", encoding="utf-8"
        )
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        CONFIG.unlink(missing_ok=True)
        CONFIG.symlink_to(self.config)

    def _accounting_config(self) -> list[str]:
        if not self.accounting:
            return ["AccountingStorageType=accounting_storage/none", "JobAcctGatherType=jobacct_gather/none"]
        return [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=localhost",
            f"AccountingStoragePort={PORT + 1}",
            f"AccountingStoragePass={self.folder / 'log/munge.socket'}",
            "AccountingStorageTRES=gres/gpu",
            "AccountingStoreFlags=job_comment",
            "JobAcctGatherType=jobacct_gather/linux",
        ]

    def _database(self) -> None:
        data, log = self.folder / "db", self.folder / "log"
        socket_ = data / "socket"
        shutil.chown(data, "mysql", "mysql")
        for parent in data.parents:  # the database is no root: it must be able to come here
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
        run("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-test-db")
        options = [f"--datadir={data}", f"--socket={socket_}", f"--port={PORT + 2}", "--bind-address=127.0.0.1"]
        self._daemon("mariadbd", "--no-defaults", "--user=mysql", "--innodb-flush-log-at-trx-commit=0", *options)

        def sql(text: str) -> str:
            return run("mariadb", "--no-defaults", "-uroot", f"-S{socket_}", "-e", text)

        wait_for(socket_.is_socket, 30, "mariadbd")
        sql("create database slurm_acct_db")
        for host in ("localhost", "127.0.0.1"):
            sql(f"create user slurm@'{host}' identified by 'slurm'")
            sql(f"grant all on slurm_acct_db.* to slurm@'{host}'")
        settings = {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={log / 'munge.socket'}",
            "DbdHost": "localhost",
            "DbdAddr": "127.0.0.1",
            "DbdPort": PORT + 1,
            "SlurmUser": "root",
            "LogFile": log / "slurmdbd.log",
            "PidFile": log / "slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": PORT + 2,
            "StorageUser": "slurm",
            "StoragePass": "slurm",
            "StorageLoc": "slurm_acct_db",
        }
        file = self.folder / "etc/slurmdbd.conf"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")
        file.chmod(0o600)
        self._daemon("env", f"SLURM_CONF={self.config}", "slurmdbd", "-D")
        wait_for(lambda: "Cluster" in run("sacctmgr", "show", "cluster", check=False), 30, "slurmdbd")
        run("sacctmgr", "-i", "add", "cluster", "test", check=False)
        run("sacctmgr", "-i", "add", "account", "lab", "cluster=test")
        run("sacctmgr", "-i", "add", "user", "root", "account=lab", "cluster=test")

    # ------------------------------------------------------------------------------------------ nodes

    def node_up(self, node: str) -> None:
        """Start a node, also after `node_down`."""
        self._daemon("slurmd", "-D", "-f", str(self.config), "-N", node)

    def node_down(self, node: str) -> None:
        """Take a node away at once, like a power cut. Its daemon and all that runs on it end."""
        for daemon in self.daemons:
            if daemon.args[0] == "slurmd" and daemon.args[-1] == node and daemon.poll() is None:
                daemon.kill()
                daemon.wait()
        for job in self.jobs("RUNNING"):
            if job["NodeList"] == node:
                for process in processes_of(job["JobId"]):
                    kill(process)
        run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def node_states(self) -> set[str]:
        return set(run("sinfo", "-h", "-N", "-o", "%t", check=False).split())

    # ------------------------------------------------------------------------------------------ jobs

    def jobs(self, state: str = "", after: int = 0) -> list[dict[str, str]]:
        """The controller's record of jobs with a number above `after`, ended ones too: `scontrol show job`."""
        records = [
            dict(re.findall(r"(\S+?)=(\S*)", line))
            for line in run("scontrol", "show", "job", "-d", "-o", check=False).splitlines()
            if line.startswith("JobId=")
        ]
        return [job for job in records if state in job["JobState"] and int(job["JobId"]) > after]

    @property
    def newest(self) -> int:
        """The highest number of a job so far."""
        return max((int(job["JobId"]) for job in self.jobs()), default=0)


def rule_of(job: dict[str, str]) -> str:
    """The rule of a job, or its group, from the comment that Snakemake gave it."""
    name = re.sub(r"^rule_|_wildcards_.*$", "", job["Comment"])
    return next((group for group in ("prepare", "baselines", "judge") if name.startswith(f"{group}_")), name)


def processes_of(job_id: str) -> list[int]:
    """The processes of a job, found by their environment, with the launcher of its steps (slurmstepd)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"SLURM_JOB_ID={job_id}\0".encode() in environment or f"slurmstepd: [{job_id}.".encode() in command:
            found.append(int(folder.name))
    return found


def kill(process: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
