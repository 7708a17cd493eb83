"""Members from the general networks for a dataset that they have never seen, to score them beside trained models.

Input: the coarse rain among the canonical fields. Output: an ensemble file, rain in mm/day, (time, member, lat, lon).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import xarray as xr

from rainshaft.config.slices import RefineSettings, SampleSettings
from rainshaft.data.conventions import TEST
from rainshaft.data.fields import Fields
from rainshaft.general.chain import general_chain
from rainshaft.general.info import WEIGHTS, cited, read_info
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE
from rainshaft.models.device import choose_device, placed
from rainshaft.models.start import start_from
from rainshaft.sampling.sample import sample

log = logging.getLogger("rainshaft")

SLAB_VALUES = 4_000_000  # fine cells times days in memory at once


def refine(
    settings: RefineSettings,
    paths: Sequence[Path],
    normalisation: xr.Dataset,
    path: Path,
    attributes: dict[str, Any],
) -> None:
    """Draw members of all validation days and all test days.

    Parameters
    ----------
    paths
        Canonical fields of all years. The coarse rain of all days tells the networks how large rain is here.
    normalisation
        Normalisation of the dataset, for the days, the valid cells and the static maps; the latter are not used.
    path
        The ensemble file to write.
    attributes
        Provenance for the file.

    Raises
    ------
    UserError
        If the networks cannot be used, or there is no rain at all.
    """
    with Fields(paths) as fields:
        channel, factor = fields.rain_channel_index, fields.factor
        assert channel is not None  # the configuration refuses a dataset without coarse rain
        coarse = np.concatenate([predictors[:, channel] for _, _, predictors, _ in fields.slabs(SLAB_VALUES)])
        rows, columns = (size // factor for size in fields.valid.shape)
        observed = np.asarray(fields.valid.reshape(rows, factor, columns, factor).any((1, 3)))
    folder = Path(settings.weights) if settings.weights else WEIGHTS
    chain = general_chain(coarse, observed, factor, choose_device(settings.device), folder)
    log.info("general networks for the factor %s", " x ".join(map(str, chain.factors)))
    sample(
        _with_channels(chain, normalisation),
        SampleSettings(
            seed=settings.seed,
            members=settings.members,
            tile=settings.tile,
            device=settings.device,
            temperature=1.0,
            days=f"split:{TEST}",
        ),
        "prior",
        paths,
        normalisation.isel(static=slice(0)),
        path,
        {
            **attributes,
            **cited(read_info(folder), chain.factors),
            "rain_units": [float(cast("RainCVAE", network).architecture.unit) for network in chain.networks],
            "pixel_threshold": 0.0,
            "seed": settings.seed,
        },
    )


def _with_channels(chain: Chain, normalisation: xr.Dataset) -> Chain:
    """Give the first network the predictors of the dataset, of which it sees the coarse rain alone."""
    first, *others = chain.networks
    assert isinstance(first, RainCVAE)
    channels = tuple(normalisation.channel.values.tolist())
    own = replace(first.architecture, channels=channels, rain_channel=normalisation.attrs["rain_channel"])
    mean, std = torch.zeros(len(channels)), torch.ones(len(channels))
    network = RainCVAE(own, mean, std, 1.0)
    start_from(network, first.state_dict(), first.architecture, first.architecture.unit)
    return placed(Chain([network, *others]), first.device).eval()
