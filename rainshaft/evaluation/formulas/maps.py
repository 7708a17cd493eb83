"""Maps of the climate of each cell: mean rain, wet frequency and a high percentile, of the truth and of the members.

The days come one at a time, in any order. Rain in mm/day.

Shapes: M members, N cells.
"""

from __future__ import annotations

import numpy as np

from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array

PERCENTILE = 0.99
MAPS = ("mean", "wet_frequency", "p99")


class LargestValues:
    """Keeps the largest values of each cell, and so their exact high quantiles, without the other values.

    Parameters
    ----------
    values
        The most values that a cell can get.
    cells
        Number of cells N.
    share
        The lowest quantile that will be asked for.
    """

    def __init__(self, values: int, cells: int, share: float):
        self._share = share
        # of n values, the quantile lies between the ranks floor((n - 1) share) and the next, both from 0
        self._kept = values - int((values - 1) * share)
        # twice as many are held, so that the others are thrown away once in a while
        self._values = np.full((cells, 2 * self._kept), -np.inf, np.float32)
        self._filled = 0
        self._count = np.zeros(cells, np.int64)

    def add(self, values: Array) -> None:
        """Take in values (K, N); NaN is none."""
        known = np.isfinite(values)
        self._count += np.count_nonzero(known, axis=0)
        values = np.where(known, values, -np.inf)
        while len(values):
            if self._filled == self._values.shape[1]:
                self._values.partition(self._kept, axis=1)  # the largest are in the second half
                self._values[:, : self._kept] = self._values[:, self._kept :]
                self._values[:, self._kept :] = -np.inf
                self._filled = self._kept
            some = values[: self._values.shape[1] - self._filled]
            self._values[:, self._filled : self._filled + len(some)] = some.T
            self._filled += len(some)
            values = values[len(some) :]

    def quantile(self) -> Array:
        """Give the quantile of all values of each cell (N,), interpolated as numpy does; NaN without values.

        Raises
        ------
        ValueError
            If a cell got more values than was said.
        """
        ascending = np.sort(self._values, axis=1).astype(np.float64)
        place = np.maximum(self._count - 1, 0) * self._share
        lower = np.floor(place)
        from_top = np.maximum(self._count - lower.astype(int), 1)
        if from_top.max(initial=0) > self._kept:
            raise ValueError(f"found {self._count.max()} values of a cell, more than were expected")
        below, above = (
            np.take_along_axis(ascending, at[:, None], 1)[:, 0] for at in (-from_top, -np.maximum(from_top - 1, 1))
        )
        known = self._count > 0
        value = np.subtract(above, below, out=np.zeros(known.shape), where=known)
        return np.where(known, below + (place - lower) * value, np.nan)


class ClimateMaps:
    """Collects the maps of `MAPS` day by day.

    The percentile is exact: the largest values of each cell are kept. That is 1 % of the values, twice: for 40 years,
    11 MB for each member and 10 000 cells. So not all members need to take part in it.

    Parameters
    ----------
    days
        The most days that will come.
    members
        Number of members M.
    cells
        Number of cells N.
    members_of_percentile
        How many members, from the first on, take part in the percentile of the members. They are alike, so the others
        would make it smoother, and no other.
    """

    def __init__(self, days: int, members: int, cells: int, members_of_percentile: int):
        self._some = min(members, members_of_percentile)
        # row 0 is the truth, row 1 all members
        self._days = np.zeros((2, cells))
        self._sum = np.zeros((2, cells))
        self._wet = np.zeros((2, cells))
        self._largest = [LargestValues(days * size, cells, PERCENTILE) for size in (1, self._some)]

    def add(self, members: Array, truth: Array) -> None:
        """Take in a day: members (M, N) and truth (N,), NaN where there is no value, or a member was dropped.

        A cell whose truth is missing takes no part on this day.
        """
        members = np.where(np.isfinite(truth), members, np.nan)
        for i, rain in enumerate((truth[None], members)):
            known = np.isfinite(rain)
            self._days[i] += known.sum(axis=0)
            self._sum[i] += rain.sum(axis=0, where=known, dtype=np.float64)
            self._wet[i] += np.count_nonzero(rain >= WET_DAY_MM, axis=0)
            self._largest[i].add(rain[: self._some])

    def result(self) -> dict[str, Array]:
        """Give each map of `MAPS` for both sides, such as `mean_observed` and `mean_samples`, each (N,).

        The mean is in mm/day. The wet frequency is the share of the days with 1 mm or more. NaN at cells without a day.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            of_both = (
                self._sum / self._days,
                self._wet / self._days,
                np.stack([part.quantile() for part in self._largest]),
            )
        return {
            f"{name}_{side}": values[i]
            for name, values in zip(MAPS, of_both, strict=True)
            for i, side in enumerate(("observed", "samples"))
        }
