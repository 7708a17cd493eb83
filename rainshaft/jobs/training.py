"""The training as a job of the workflow: it is done once, by one or several processes, and its results are copied.

The checkpoint folder is `checkpoints/{fingerprint}`, where the fingerprint stands for configuration, data and code. The
workflow does not know it as an output. So it survives failed jobs, retries and edits, and keeps every finished model.

As a program, this module is one of the processes that the job starts when it trains on several GPUs.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import xarray as xr

from rainshaft.config.slices import TrainSettings
from rainshaft.files import atomic
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice
from rainshaft.training.checkpoints import Checkpoints
from rainshaft.training.distributed import Group, joined, launch
from rainshaft.training.run import finished_files, train

log = logging.getLogger("rainshaft")


@dataclass(frozen=True)
class Task:
    """The files of one training, as paths: what a process needs to take part in it."""

    config: str
    """the frozen `train` slice"""
    normalisation: str
    fields: list[str]
    checkpoints: str
    """folder of this very training"""
    train_log: str
    """CSV, written anew after every epoch"""

    @property
    def settings(self) -> TrainSettings:
        """The content of the frozen slice."""
        return read_slice(self.config, TrainSettings)

    def take_part(self, group: Group) -> None:
        """Train as one of a group of processes."""
        fields = [Path(path) for path in self.fields]
        normalisation = xr.load_dataset(self.normalisation)
        train(self.settings, fields, normalisation, Path(self.checkpoints), Path(self.train_log), group)


def train_once(task: Task, weights: Path, info: Path, processes: int, log_path: Path, threads: int) -> None:
    """Train a model, or take it from its checkpoint folder if this training has been done before.

    Parameters
    ----------
    weights, info
        Where the results go: the best weights as safetensors, and model.json.
    processes
        How many train together on this machine, one a GPU. It changes the result by rounding alone.
    log_path, threads
        Log and number of threads of the job. The processes write to this log and share these threads.

    Raises
    ------
    UserError
        If the loss is not finite, or a device is not there.
    Interrupted
        If a signal ended it, after a checkpoint.
    """
    folder = Path(task.checkpoints)
    finished = finished_files(folder)
    with Checkpoints(folder).alone():
        if all(path.exists() for path in finished):
            log.info("this very model has been trained before: taken from %s", folder)
        elif processes == 1:
            task.take_part(Group())
        else:
            own_threads = max(1, threads // processes)
            launch(processes, "-m", __name__, json.dumps(asdict(task)), str(log_path), str(own_threads))
        for source, target in zip(finished, (weights, info, Path(task.train_log)), strict=True):
            with atomic(target) as temporary:
                shutil.copyfile(source, temporary)


if __name__ == "__main__":
    task_json, job_log, threads_here = sys.argv[1:]
    with job(job_log, int(threads_here), part_of_another=True):
        shared = Task(**json.loads(task_json))
        with joined(shared.settings.train.device) as this_group:
            shared.take_part(this_group)
