"""The device that a model lives on."""

from __future__ import annotations

import torch

from rainshaft.errors import UserError


class TrainingError(UserError):
    """The training cannot go on."""


def choose_device(name: str, rank: int = 0) -> torch.device:
    """`auto` is a GPU if there is one; each process of a group has its own.

    Raises
    ------
    TrainingError
        If `cuda` is asked for and there is none, or there are fewer GPUs than processes.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("train.device: found `cuda`, but PyTorch sees no GPU here; write `auto`, or use a GPU node")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    if rank >= torch.cuda.device_count():
        raise TrainingError(f"train.gpus: found more than the {torch.cuda.device_count()} GPUs here; write fewer")
    return torch.device("cuda", rank)
