"""The weights of the general networks, one file for each factor."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors

from rainshaft.errors import UserError
from rainshaft.general.info import INFO, WEIGHTS, read_info
from rainshaft.models.cvae import CVAEArchitecture


@dataclass(frozen=True)
class GeneralWeights:
    """A general network that was read."""

    architecture: CVAEArchitecture
    tensors: dict[str, torch.Tensor]


def read_weights(factor: int, folder: Path = WEIGHTS) -> GeneralWeights:
    """Read the network of a factor.

    Raises
    ------
    UserError
        If there is none, or its file is damaged.
    """
    networks = read_info(folder)["networks"]
    if str(factor) not in networks:
        raise UserError(
            f"factor: found {factor}, expected one for which there is a general network: {', '.join(sorted(networks))}"
        )
    described = networks[str(factor)]
    path = folder / described["file"]
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != described["sha256"]:
        raise UserError(
            f"{path}: found other bytes than {INFO} names (SHA-256), expected the file as it was written; the folder "
            "is damaged: copy it again, or install rainshaft again"
        )
    return GeneralWeights(CVAEArchitecture.from_dict(described["architecture"]), load_tensors(content))
