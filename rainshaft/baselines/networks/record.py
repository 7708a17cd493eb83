"""What the networks of baselines are trained on: coarse fields of all days, and the rain of those to learn from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.interface import SCORED
from rainshaft.data.conventions import TRAIN, VALIDATION
from rainshaft.data.moments import CONSTANT

MOST_VALUES = 2**28  # of rain in memory, 512 MB; a longer record gives evenly fewer days to learn from


@dataclass(frozen=True)
class Record:
    """Days in memory. T days of the normalisation, R days with rain, N valid fine cells, C channels."""

    coarse_TCyx: Tensor
    """predictors on the coarse grid, rain as log1p, each channel with mean 0 and variance 1 in the training days"""
    rain_RN: Tensor
    """observed rain, mm/day, in half precision"""
    places: NDArray[np.intp]
    """places of the R days in the normalisation"""
    training: NDArray[np.intp]
    """which of the R days are for training"""
    validation: NDArray[np.intp]
    """which of the R days are for validation"""

    @classmethod
    def of(cls, days: DaysBySplit) -> Record:
        """Read the days, a few at a time. The rain of test days is left out."""
        training, validation = days.places(TRAIN), days.places(VALIDATION)
        cells = int(days.valid.sum())
        places = np.union1d(training[:: math.ceil(len(training) * cells / MOST_VALUES)], validation)
        row = dict(zip(places.tolist(), range(len(places)), strict=True))
        rain = torch.zeros(len(places), cells, dtype=torch.float16)
        coarse = np.zeros((len(days.split), *days.coarse_shape), np.float32)
        for place, day in zip(days.places(TRAIN, *SCORED).tolist(), days.of(TRAIN, *SCORED), strict=True):
            coarse[place] = day.coarse
            if place in row:
                rain[row[place]] = torch.from_numpy(day.rain)
        if days.rain_channel is not None:
            coarse[:, days.rain_channel] = np.log1p(coarse[:, days.rain_channel])
        mean, std = (function(coarse[training], (0, 2, 3), keepdims=True) for function in (np.mean, np.std))
        coarse -= mean
        coarse /= np.where(std > CONSTANT * np.abs(mean), std, np.inf)
        part = days.split[places]
        return cls(
            coarse_TCyx=torch.from_numpy(coarse),
            rain_RN=rain,
            places=places,
            training=np.flatnonzero(part == TRAIN),
            validation=np.flatnonzero(part == VALIDATION),
        )
