"""The general networks that refine rain by a factor: one network, or several in a chain.

Input: coarse rain of many steps, and the factor. Output: networks that count this rain in the right unit.
Shapes: T step, B M day and member, y x coarse grid.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rainshaft.data.patches import NO_SEASON, Batch
from rainshaft.general.info import WEIGHTS, factors
from rainshaft.general.store import read_weights
from rainshaft.general.unit import unit_of
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE
from rainshaft.models.device import placed
from rainshaft.refinements import chained

SHOWN = 24  # steps that are drawn to know the rain on the grid between two networks of a chain
SEED = 0  # of these draws
WINDOW = 64  # coarse cells along a side of what is drawn

Rain = NDArray[np.float32]


def general_chain(
    coarse_Tyx: Rain, observed_yx: NDArray[np.bool_], factor: int, device: torch.device, folder: Path = WEIGHTS
) -> Chain:
    """Give the networks that refine this rain.

    Parameters
    ----------
    coarse_Tyx
        Coarse rain of many steps, mm/day; it tells the unit of the networks.
    observed_yx
        True for the coarse cells with rain.
    factor
        A factor for which there is a network, or a product of such factors.
    folder
        The networks, see `rainshaft.general.store`.

    Raises
    ------
    UserError
        If the factor cannot be reached, there is no rain at all, or the folder cannot be used.
    """
    networks: list[RainCVAE] = []
    rain, observed = coarse_Tyx, observed_yx
    steps = chained(factor, factors(folder))
    for number, step in enumerate(steps):
        networks.append(network_for(unit_of(rain, observed), step, folder))
        if number < len(steps) - 1:
            rain, observed = refined(networks[-1], rain, observed)
    return placed(Chain(networks), device).eval()


def network_for(unit: float, factor: int, folder: Path = WEIGHTS) -> RainCVAE:
    """Give the network of a factor, which counts rain in this unit."""
    weights = read_weights(factor, folder)
    architecture = replace(weights.architecture, unit=unit)
    network = RainCVAE(architecture, torch.zeros(1), torch.ones(1), 1.0)
    network.load_state_dict(weights.tensors)
    return network


@torch.no_grad()
def refined(network: RainCVAE, coarse_Tyx: Rain, observed_yx: NDArray[np.bool_]) -> tuple[Rain, NDArray[np.bool_]]:
    """Draw one member of some steps with rain, to know what the rain is like on the next grid.

    Of a large domain a window around the wettest cell is enough.
    """
    wettest = np.unravel_index(coarse_Tyx.sum(0).argmax(), observed_yx.shape)
    window = tuple(
        slice(start := max(0, min(int(at) - WINDOW // 2, size - WINDOW)), start + WINDOW)
        for at, size in zip(wettest, observed_yx.shape, strict=True)
    )
    coarse_Tyx, observed_yx = coarse_Tyx[:, *window], observed_yx[window]
    wet = np.flatnonzero(coarse_Tyx.any((1, 2)))
    chosen = wet[np.unique(np.linspace(0, len(wet) - 1, min(SHOWN, len(wet))).round().astype(int))]
    factor = network.architecture.factor
    observed = np.kron(observed_yx, np.ones((factor, factor), bool))
    generator = torch.Generator().manual_seed(SEED)
    drawn = []
    for step in chosen:
        coarse = torch.from_numpy(coarse_Tyx[step].astype("f4"))[None, None]
        noise = [torch.randn(1, *shape, generator=generator) for shape in network.noise_shapes(*coarse.shape[-2:])]
        valid = torch.from_numpy(observed.astype("f4"))[None, None]
        batch = Batch(coarse, torch.zeros(1, 0, *observed.shape), None, valid, torch.zeros(1, 0, 0, 0), NO_SEASON)
        drawn.append(network.members(batch, noise)[0, 0].numpy())
    return np.stack(drawn), observed
