"""The days from which baselines make their ensembles.

Shapes: h w the coarse grid, H W the fine grid (factor times as large), M members.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.baselines.interface import Array
from rainshaft.data.conventions import TEST, TRAIN
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError


class Days:
    """The days of the canonical fields, one at a time; those of a split in the order of the normalisation."""

    def __init__(self, fields: Fields, normalisation: xr.Dataset):
        self.fields, self.normalisation = fields, normalisation
        self.valid = normalisation["valid"].values.astype(bool)
        self.factor = fields.factor
        self.split = normalisation["split"].values.astype(str)
        self.time = normalisation["time"]
        self.dates = dates_of(normalisation)

    def coarse(self, split: str) -> Iterator[tuple[int, Array]]:
        """Date as a number YYYYMMDD, and coarse rain (h, w), for each day of a split."""
        for date in self._of(split):
            day = self.fields.read([date])
            values = day["predictors"][0].sel(channel=self.fields.rain_channel).values.astype(np.float64)
            if not np.isfinite(values).all():
                raise UserError(
                    f"the coarse rain of {date} has NaN; expected a value everywhere; prepare its year again"
                )
            yield int(date.replace("-", "")), values

    def truth(self, split: str) -> Iterator[Array]:
        """Observed rain at the valid cells (N,), for each day of a split."""
        for date in self._of(split):
            values = self.fields.rain([date])[0, self.valid]
            yield values[np.isfinite(values)]

    def observed(self, chosen: Iterator[NDArray[np.intp]]) -> Iterator[Array]:
        """Observed rain (M, H, W) of the training days chosen for each test day, by their places in `time`."""
        self._of(TRAIN)  # all of them are there
        for places in chosen:
            yield self.fields.rain(self.dates[places].tolist())

    def context(self) -> Array:
        """Context of training and test days over its standard deviation (T, F); zeros for the other days."""
        std, mean = self.normalisation["context_std"], self.normalisation["context_mean"]
        spread = std.broadcast_like(mean).values.astype(np.float32)
        scaled = np.zeros((len(self.dates), spread.size), np.float32)
        for part in (TRAIN, TEST):
            for place, date in zip(np.flatnonzero(self.split == part), self._of(part), strict=True):
                scaled[place] = (self.fields.read([date])["context"][0].values / spread).ravel()
        return scaled

    def _of(self, split: str) -> list[str]:
        """The dates of a split; a UserError where the fields lack one of them."""
        dates = self.dates[self.split == split].tolist()
        self.fields.require(dates, f"{split} days of the split")
        return dates
