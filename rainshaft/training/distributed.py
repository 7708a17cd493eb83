"""Several processes that train one model together, one a GPU: how they share a batch, average, start and end.

Each process computes its share of the batch. The denominators of the loss are means over the processes. Then the mean
of the loss over the processes is the loss of the whole batch. The number of processes changes results by rounding
alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from rainshaft.errors import STOPPED, Interrupted, UserError


@dataclass(frozen=True)
class Group:
    """The processes of one training, as one of them sees it."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and the log."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Choose the patches of this process out of `count`, which is a multiple of the size."""
        part = count // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def mean(self, value: Tensor) -> Tensor:
        """Average over the processes. The gradient is that of one process; DistributedDataParallel averages it."""
        if self.size == 1:
            return value
        mean = value.detach().clone()
        dist.all_reduce(mean)
        mean /= self.size
        return value + (mean - value.detach()) if value.requires_grad else mean

    def any(self, here: bool, device: torch.device) -> bool:
        """Tell whether something holds in any of the processes."""
        return here if self.size == 1 else bool(self.mean(torch.tensor(float(here), device=device)) > 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the group of a process that `launch` started; `device` is that of the configuration."""
    on_gpus = device != "cpu" and torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    dist.init_process_group("nccl" if on_gpus else "gloo")
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def launch(size: int, *command: str) -> None:
    """Run a Python command in `size` processes of this machine through the launcher of torchrun, and wait for them.

    Raises
    ------
    Interrupted
        If a signal ended them.
    UserError
        If one of them failed; it has said why.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGTERM,SIGINT,SIGUSR1"
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=size,
        run_id="rainshaft",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    stopped = Interrupted("stopped by a signal: the same command goes on from the last checkpoint")
    try:
        elastic_launch(settings, sys.executable)(*command)
    except SignalException:
        raise stopped from None
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if any(code == STOPPED or code < 0 for code in codes.values()):
            raise stopped from None
        raise UserError(f"training process {min(codes)} of {size} failed, see above") from None
