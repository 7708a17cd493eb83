"""Bilinear interpolation of the coarse rain, then quantile mapping to the observed rain, by cell and month.

A cell has some 90 training days a year in three months, which is too few for a curve of its own. So each
distribution is filled up with values of others (as a Dirichlet prior does): that of a cell and month with `CELL_PRIOR`
values of all cells in these months, and that of all cells with `SEASON_PRIOR` values for each cell of the whole year.
With a long record, little of this is left.

The priors were chosen on the validation days of one year. The mean absolute error in mm/day, for ERA5 rain and for
means of CHIRPS: one curve for all cells and days 2.927 and 0.838; one for three months 2.861 and 0.850; by cell and
month with 3 values of the whole year 3.260 and 0.905; by cell and three months with these priors 2.863 and 0.841.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.data.conventions import TRAIN
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit

EDGES = np.concatenate([[0.0], 1.1 ** np.arange(-31.0, 81.0)])
"""edges of the bins, mm/day: 0, and 10 % wide from 0.05 to 2000"""
BINS = len(EDGES) - 1
CELL_PRIOR = 300.0  # values of all cells
SEASON_PRIOR = 30.0  # values of the whole year, for each cell
MOST_UNITS = 2**15  # cells, or square blocks of cells in a larger domain, with a curve of their own; 700 MB


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Interpolate and map the coarse rain of each scored day. It is one member; `members` and `seed` play no part."""
    mapping = Mapping(days)
    months = days.time.dt.month.values[days.places(*SCORED)]
    for month, (_, coarse) in zip(months.tolist(), days.coarse_rain(*SCORED), strict=True):
        rain = np.zeros((1, *days.valid.shape), np.float32)
        rain[0, days.valid] = mapping(bilinear(coarse, days.factor)[days.valid], month)
        yield rain


class Mapping:
    """The curves of all cells and months, fitted to the training days."""

    def __init__(self, days: DaysBySplit):
        side = int(np.ceil(np.sqrt(days.valid.size / MOST_UNITS)))
        row, column = (np.arange(size) // side for size in days.valid.shape)
        _, self.unit = np.unique((row[:, None] * (column[-1] + 1) + column)[days.valid], return_inverse=True)
        """the unit of each valid cell (N,)"""
        shape = (12, self.unit.max() + 1, BINS)
        self.counts = np.zeros(shape, np.uint32), np.zeros(shape, np.uint32)
        """values of the interpolated and of the observed rain in each bin, by month and unit"""
        self.curves: dict[int, NDArray[np.float32]] = {}
        months = days.time.dt.month.values[days.places(TRAIN)]
        for month, day in zip(months.tolist(), days.of(TRAIN), strict=True):
            smooth = bilinear(day.coarse[days.rain_channel], days.factor)[days.valid]
            for counts, rain in zip(self.counts, (smooth, day.rain), strict=True):
                np.add.at(counts[month - 1], (self.unit, bin_of(rain)), 1)

    def __call__(self, rain: Array, month: int) -> Array:
        """Map the rain at the valid cells (N,) of a day of a month, mm/day."""
        if month not in self.curves:
            self.curves[month] = quantile_transfer(*(self.distribution(counts, month) for counts in self.counts))
        low = bin_of(rain)
        share = (rain - EDGES[low]) / (EDGES[low + 1] - EDGES[low])
        curves = self.curves[month]
        return curves[self.unit, low] * (1 - share) + curves[self.unit, low + 1] * share

    def distribution(self, counts: NDArray[np.uint32], month: int) -> Array:
        """Give the filled up counts of each unit (U, BINS) in the three months around a month."""
        of_units = sum(counts[(month - 1 + shift) % 12].astype(np.float64) for shift in (-1, 0, 1))
        year = counts.sum((0, 1), dtype=np.float64)
        of_season = of_units.mean(0) + SEASON_PRIOR * year / year.sum()
        return of_units + CELL_PRIOR * of_season / of_season.sum()


def bin_of(rain: Array) -> NDArray[np.intp]:
    """Find the bin of each value; the last one also takes all that is above it."""
    return np.clip(np.searchsorted(EDGES, rain, side="right") - 1, 0, BINS - 1)


def quantile_transfer(source: Array, target: Array) -> NDArray[np.float32]:
    """Map each edge of the bins to the value at its quantile in the target (Panofsky and Brier 1968).

    As many values are dry as in the target. If more values are 0 in the source, all of them stay dry. Values above the
    largest one of the source are multiplied by the factor that the largest one gets.

    Parameters
    ----------
    source, target
        Counts in the bins, for each of U units (U, BINS).

    Returns
    -------
    (U, BINS + 1), mm/day.
    """
    mapped = np.zeros((len(source), BINS + 1), np.float32)
    for unit, (below_source, below_target) in enumerate(zip(below(source), below(target), strict=True)):
        curve = np.interp(below_source, below_target, EDGES)
        curve[below_source <= below_target[1]] = 0
        top_source, top_target = (EDGES[np.searchsorted(b, 1 - 1e-12)] for b in (below_source, below_target))
        mapped[unit] = np.where(top_source > EDGES, curve, top_target * EDGES / top_source)
    return mapped


def below(counts: Array) -> Array:
    """Give the share of the values below each edge, from 0 to 1 (U, BINS + 1)."""
    summed = np.cumsum(counts, axis=1)
    return np.pad(summed / summed[:, -1:], ((0, 0), (1, 0)))


METHOD = Method(
    source="bilinear interpolation, then quantile mapping by cell and month to the rain of the training days",
    make=make,
    needs="coarse rain",
    is_ensemble=False,
)
