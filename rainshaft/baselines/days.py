"""The days from which baselines make their ensembles.

Rain in mm/day. Shapes: h w the coarse grid, H W the fine grid (factor times as large), M members, N valid fine cells, T
days of the normalisation, C channels of the predictors on the coarse grid, K v u channels and grid of the context.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import TRAIN
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.histogram import Array

VALUES_AT_ONCE = 2**22  # values of fine rain in memory at a time


@dataclass(frozen=True)
class Day:
    """All that a record has of one day."""

    date: int
    """YYYYMMDD"""
    rain: Array
    """observed rain at the valid cells (N,)"""
    coarse: Array
    """predictors on the coarse grid (C, h, w), the rain channel in mm/day"""
    context: Array
    """fields of the weather around it (K, v, u)"""


class DaysBySplit:
    """The days of the canonical fields by their split, a few in memory at a time.

    Parameters
    ----------
    fields
        Canonical fields of all years.
    normalisation
        Normalisation of the dataset. It gives the days, their order and their split.

    Notes
    -----
    Every method raises a `UserError` where the fields lack a day that it needs.
    """

    def __init__(self, fields: Fields, normalisation: xr.Dataset):
        self.fields = fields
        self.valid = normalisation["valid"].values.astype(bool)
        """true at the fine cells that take part (H, W)"""
        self.static_maps = normalisation["static_maps"].values.astype(np.float32)
        """what the networks know of the ground (S, H, W), of order 1"""
        self.factor = fields.factor
        self.rain_channel = fields.rain_channel_index
        self.coarse_shape = tuple(fields.ground.sizes[name] for name in ("channel", "y", "x"))
        """(C, h, w)"""
        self.split = normalisation["split"].values.astype(str)
        self.time = normalisation["time"]
        self.dates = dates_of(normalisation)

    def places(self, *splits: str) -> NDArray[np.intp]:
        """Find the days of some splits by their places in `time`, in the order of the record."""
        places = np.flatnonzero(np.isin(self.split, splits))
        self.fields.require(self.dates[places].tolist(), f"{' and '.join(splits)} days of the split")
        return places

    def of(self, *splits: str) -> Iterator[Day]:
        """Give the days of some splits, in the order of the record."""
        dates = self.dates[self.places(*splits)].tolist()
        length = max(1, VALUES_AT_ONCE // self.valid.size)
        for start in range(0, len(dates), length):
            yield from self._read(dates[start : start + length])

    def _read(self, dates: Sequence[str]) -> Iterator[Day]:
        block = self.fields.read(dates)
        for date, rain, coarse, context in zip(
            dates, block["pr"].values, block["predictors"].values, block["context"].values, strict=True
        ):
            if not (np.isfinite(coarse).all() and np.isfinite(context).all()):
                raise UserError(f"a predictor of {date} has NaN; expected a value everywhere; prepare its year again")
            yield Day(int(date.replace("-", "")), rain[self.valid], coarse.astype(np.float64), context)

    def coarse_rain(self, *splits: str) -> Iterator[tuple[int, Array]]:
        """Give the date as a number YYYYMMDD and the coarse rain (h, w) of each day of some splits."""
        for day in self.of(*splits):
            yield day.date, day.coarse[self.rain_channel]

    def observed(self, chosen: Iterator[NDArray[np.intp]]) -> Iterator[Array]:
        """Give the observed rain (M, H, W) of the days chosen for each scored day, by their places in `time`."""
        self.places(TRAIN)  # so that a missing day is found before the first is read
        for places in chosen:
            yield self.fields.rain(self.dates[places].tolist())
