"""What can happen to a training on Slurm, and to the Snakemake that sent it, on a cluster without accounting."""

import hashlib
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cluster import IMPATIENT, THROUGH_SLURM, kill, missing, processes_of, run, wait_for

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.slow]

WEIGHTS = "results/calibrated/model.safetensors"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def trained(cluster, finished, tmp_path):
    """A project with one training of many epochs, run through the profile without a disturbance."""
    project = replace(finished.copy(tmp_path / "project"), snakemake=IMPATIENT)
    config = yaml.safe_load((project.folder / "tiny.yaml").read_text(encoding="utf-8"))
    config["train"] |= {"device": "auto", "epochs": 16}
    config["experiments"] = {"calibrated": {"dataset": "tiny"}}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    project.run(WEIGHTS, *THROUGH_SLURM)
    return project


class Training:
    """The training of a project as it goes on in the cluster."""

    def __init__(self, project, cluster):
        self.project, self.cluster, self.first_job = project, cluster, cluster.newest
        self.log = project.results / "logs/train_model/calibrated.log"

    def start(self):
        return self.project.start(WEIGHTS, *THROUGH_SLURM)

    @property
    def step(self):
        """The step of the newest checkpoint."""
        names = [path.name for path in self.project.results.glob("calibrated/checkpoints/*/step-*.pt")]
        return max((int(name.split("-")[1]) for name in names), default=0)

    def going_on(self):
        """Wait until the training has gone on and saved again, and stop it there. Return the number of its job."""
        resumed = 0
        if self.step:
            wait_for(lambda: "resuming at step" in self.words(), 90, f"a new try; {self.tail()}")
            resumed = int(re.search(r"resuming at step (\d+)", self.words())[1])
        wait_for(lambda: self.step > resumed, 90, f"a checkpoint after step {resumed}; {self.tail()}")
        self.log.unlink()  # so that the words of the next try are its own
        (job,) = self.cluster.jobs("RUNNING", after=self.first_job)
        os.kill(python_of(job["JobId"]), signal.SIGSTOP)  # Slurm wakes it before it sends another signal
        return job["JobId"]

    def words(self):
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def tail(self):
        log = self.project.folder / "started.log"
        return log.read_text(encoding="utf-8")[-1500:] if log.exists() else ""


def python_of(job):
    """The process of a job that trains."""
    (python,) = [p for p in processes_of(job) if b".train_model.py" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return python


def test_a_training_goes_on_after_whatever_happens_to_its_job_or_to_snakemake(cluster, trained):
    project = trained
    undisturbed = sha256(project.folder / WEIGHTS)
    shutil.rmtree(project.results / "calibrated/checkpoints")
    (project.folder / WEIGHTS).unlink()
    training = Training(project, cluster)

    first = training.start()
    run("scancel", training.going_on())
    kill(python_of(training.going_on()))
    job = training.going_on()
    run("scontrol", "update", f"JobId={job}", "TimeLimit=1")  # less than the notice of 120 s
    lost = training.going_on()
    cluster.node_down("g1")
    cluster.node_up("g1")
    run("scontrol", "update", "NodeName=g1", "State=RESUME", check=False)
    assert training.going_on() == lost, "Slurm starts the job of a lost node again"

    second = project.run(WEIGHTS, *THROUGH_SLURM, expect=1)
    assert "Another run works in this folder: process " in second
    assert f"process {first.pid} on" in second
    assert "rule train_model" not in second

    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) != 0
    wait_for(lambda: not cluster.jobs("RUNNING", after=training.first_job), 30, "the end of the job")

    killed = training.start()
    left = training.going_on()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert [job["JobId"] for job in cluster.jobs("RUNNING")] == [left]

    assert "Cancelled 1 jobs that an earlier run had left" in project.run(WEIGHTS, *THROUGH_SLURM)
    assert sha256(project.folder / WEIGHTS) == undisturbed
    assert not cluster.jobs("RUNNING")
    assert project.planned(WEIGHTS, *THROUGH_SLURM).rules == set()
    assert not list(project.results.rglob("*.pt.*.part"))
    words = [
        path.read_text(encoding="utf-8") for path in (project.results / "logs/slurm/rule_train_model").rglob("*.log")
    ]
    ends = sum("stopped by a signal at step" in text for text in words)
    assert ends == 4, "scancel, the time limit, Ctrl-C and the last run, which cancels what was left"
