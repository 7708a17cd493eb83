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


def build_model(settings: Model, normalisation: xr.Dataset, seed: int) -> Chain:
    """Make the networks of a dataset with fresh weights, which are a function of the seed."""
    with seeded(seed):
        return Chain(KINDS[settings.kind].build(settings, normalisation))


def restore_model(kind: str, architectures: Sequence[dict[str, Any]], weights: dict[str, Tensor]) -> Chain:
    """Make the networks from their architectures as plain JSON types and the weights of the chain.

    Raises
    ------
    UserError
        If there is no such kind of model.
    """
    if kind not in KINDS:
        raise UserError(
            f"model.json: found a model of kind {kind!r}, expected {' or '.join(KINDS)}; use the version of rainshaft "
            "that made it, which model.json names"
        )
    networks = []
    for number, architecture in enumerate(architectures):
        prefix = f"networks.{number}."
        mine = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        networks.append(KINDS[kind].restore(architecture, mine))
    return Chain(networks)
