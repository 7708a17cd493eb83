"""Trained models on disk: weights as safetensors, and beside them model.json, which says what they are.

Static maps and valid cells are in normalisation.nc of the dataset. So a model is used with these three files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from rainshaft.errors import UserError
from rainshaft.files import atomic, write_json
from rainshaft.models.chain import Chain
from rainshaft.models.device import placed
from rainshaft.models.interface import Architecture
from rainshaft.models.kinds import restore_model


@dataclass(frozen=True)
class TrainedNetwork:
    """One network of a chain after its training."""

    name: str
    kind: str
    architecture: Architecture
    weights: dict[str, Tensor]
    parameters: int
    """how many numbers were trained"""
    epochs: int
    steps: int
    best_epoch: int


def save_model(networks: Sequence[TrainedNetwork], facts: dict[str, Any], weights_path: Path, info_path: Path) -> None:
    """Write a trained model. model.json comes last and names the hash of the weights.

    Parameters
    ----------
    networks
        The networks of the chain. The last one gives the kind of the model.
    facts
        More entries for model.json: versions, device, data.
    """
    weights = {f"networks.{n}.{name}": w for n, network in enumerate(networks) for name, w in network.weights.items()}
    with atomic(weights_path) as temporary:
        save_file({name: value.contiguous().cpu() for name, value in weights.items()}, temporary)
    info = {
        "kind": networks[-1].kind,
        "networks": [
            {
                "name": network.name,
                "kind": network.kind,
                "architecture": network.architecture.to_dict(),
                "epochs": network.epochs,
                "steps": network.steps,
                "best_epoch": network.best_epoch,
            }
            for network in networks
        ],
        "weights_sha256": hashlib.sha256(weights_path.read_bytes()).hexdigest(),
        "parameters": sum(network.parameters for network in networks),
    }
    write_json(info | facts, info_path)


def load_model(weights_path: Path, info_path: Path, device: torch.device) -> Chain:
    """Read a trained model.

    Raises
    ------
    UserError
        If the weights are not those that model.json names, or the kind of the model is not known.
    """
    info, content = json.loads(info_path.read_text(encoding="utf-8")), weights_path.read_bytes()
    if hashlib.sha256(content).hexdigest() != info["weights_sha256"]:
        raise UserError(f"{weights_path}: the weights are not those that {info_path} names (SHA-256); train again")
    # models of before have networks of one kind
    sizes = [(network.get("kind", info["kind"]), network["architecture"]) for network in info["networks"]]
    return placed(restore_model(sizes, load_tensors(content)), device).eval()
