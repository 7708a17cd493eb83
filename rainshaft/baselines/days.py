"""The days from which baselines make their ensembles.

Rain in mm/day. Shapes: h w the coarse grid, H W the fine grid (factor times as large), M members, N valid fine cells, T
days of the normalisation, F values of the context.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import TEST, TRAIN
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.histogram import Array


class DaysBySplit:
    """The days of the canonical fields by their split, read one at a time.

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
        self.fields, self.normalisation = fields, normalisation
        self.valid = normalisation["valid"].values.astype(bool)
        self.factor = fields.factor
        self.split = normalisation["split"].values.astype(str)
        self.time = normalisation["time"]
        self.dates = dates_of(normalisation)

    def coarse(self, split: str) -> Iterator[tuple[int, Array]]:
        """Give the date as a number YYYYMMDD and the coarse rain (h, w) of each day of a split."""
        for date in self._dates(split):
            day = self.fields.read([date])
            values = day["predictors"][0].sel(channel=self.fields.rain_channel).values.astype(np.float64)
            if not np.isfinite(values).all():
                raise UserError(
                    f"the coarse rain of {date} has NaN; expected a value everywhere; prepare its year again"
                )
            yield int(date.replace("-", "")), values

    def truth(self, split: str) -> Iterator[Array]:
        """Give the observed rain at the valid cells (N,) of each day of a split."""
        for date in self._dates(split):
            values = self.fields.rain([date])[0, self.valid]
            yield values[np.isfinite(values)]

    def observed(self, chosen: Iterator[NDArray[np.intp]]) -> Iterator[Array]:
        """Give the observed rain (M, H, W) of the training days chosen for each test day, by their places in `time`."""
        self._dates(TRAIN)  # so that a missing day is found before the first is read
        for places in chosen:
            yield self.fields.rain(self.dates[places].tolist())

    def context(self) -> Array:
        """Give the context of training and test days over its standard deviation (T, F), and 0 for the other days."""
        std, mean = self.normalisation["context_std"], self.normalisation["context_mean"]
        spread = std.broadcast_like(mean).values.astype(np.float32)
        scaled = np.zeros((len(self.dates), spread.size), np.float32)
        for part in (TRAIN, TEST):
            for place, date in zip(np.flatnonzero(self.split == part), self._dates(part), strict=True):
                scaled[place] = (self.fields.read([date])["context"][0].values / spread).ravel()
        return scaled

    def _dates(self, split: str) -> list[str]:
        dates = self.dates[self.split == split].tolist()
        self.fields.require(dates, f"{split} days of the split")
        return dates
