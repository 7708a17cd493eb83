"""The kinds of models that can be configured, and the functions that make each kind: anew, or from its file.

Both the configuration (`model.kind`) and model.json name the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
from torch import Tensor

from rainshaft.config.sections import Model
from rainshaft.errors import UserError
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE, build_cvae, restore_cvae
from rainshaft.models.dense import DenseRain, restore_dense
from rainshaft.models.interface import Generator
from rainshaft.models.noise import seeded


@dataclass(frozen=True)
class Kind:
    """How the networks of a kind are made."""

    build: Callable[[Model, xr.Dataset], list[Generator]]
    """makes networks with fresh weights, from the configuration and the normalisation of the dataset"""
    restore: Callable[[dict[str, Any], dict[str, Tensor]], Generator]
    """makes one network, from its architecture in model.json and its weights"""


KINDS = {RainCVAE.kind: Kind(build_cvae, restore_cvae)}
"""Name of each kind, as in `model.kind`, to how it is made."""

PARTS = {DenseRain.kind: restore_dense}
"""Name of each kind of network that is only a part of a model, to how it is made from its file."""


def build_model(settings: Model, normalisation: xr.Dataset, seed: int) -> Chain:
    """Make the networks of a dataset with fresh weights, which are a function of the seed."""
    with seeded(seed):
        return Chain(KINDS[settings.kind].build(settings, normalisation))


def restore_model(sizes: Sequence[tuple[str, dict[str, Any]]], weights: dict[str, Tensor]) -> Chain:
    """Make the networks from the weights of the chain.

    Parameters
    ----------
    sizes
        The kind of each network, and its architecture as plain JSON types.

    Raises
    ------
    UserError
        If there is no such kind of model.
    """
    restore = {**PARTS, **{name: kind.restore for name, kind in KINDS.items()}}
    networks = []
    for number, (kind, architecture) in enumerate(sizes):
        if kind not in restore:
            raise UserError(
                f"model.json: found a network of kind {kind!r}, expected {' or '.join(restore)}; use the version of "
                "rainshaft that made it, which model.json names"
            )
        prefix = f"networks.{number}."
        mine = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        networks.append(restore[kind](architecture, mine))
    return Chain(networks)
