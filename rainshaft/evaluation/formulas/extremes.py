"""Extremes: annual maxima, and the rain of a return period from a generalised extreme value distribution (GEV).

Pure functions of arrays, and a collector that takes the days one at a time. Rain in mm/day.

Shapes: M members, N cells, Y years.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gamma

from rainshaft.evaluation.formulas import Array

LEAST_YEARS = 10  # with fewer, the shape of a distribution of extremes is not known at all  # ASSUME
LEAST_DAYS = 0.9  # of a year: with fewer, its maximum may be missing  # ASSUME


class AnnualMaxima:
    """Collects the wettest day of each year at each cell, of the truth and of each member.

    Parameters
    ----------
    members
        Number of members M.
    cells
        Number of cells N.
    """

    def __init__(self, members: int, cells: int):
        self._shape = (members + 1, cells)
        self._maxima: dict[int, Array] = {}
        self._days: dict[int, Array] = {}

    def add(self, members: Array, truth: Array, year: int) -> None:
        """Take in a day of a year: members (M, N) and truth (N,), NaN where there is no value."""
        largest = self._maxima.setdefault(year, np.full(self._shape, np.nan, np.float32))
        days = self._days.setdefault(year, np.zeros(self._shape, np.int16))
        for row, rain in ((slice(0, 1), truth[None]), (slice(1, None), members)):
            np.fmax(largest[row], rain, out=largest[row])
            days[row] += np.isfinite(rain)

    def result(self, days_of_year: int) -> tuple[Array, Array]:
        """Give the maxima of the years with 90 % of their days or more.

        Parameters
        ----------
        days_of_year
            Days of a year of the calendar, or of the season that the record has of each year.

        Returns
        -------
        truth
            (Y, N), mm/day; NaN at cells that miss days.
        members
            (Y, M, N).
        """
        enough = LEAST_DAYS * days_of_year
        years = [
            np.where(self._days[year] >= enough, largest, np.nan) for year, largest in sorted(self._maxima.items())
        ]
        whole = [year for year in years if np.isfinite(year).any()]
        every = np.stack(whole) if whole else np.empty((0, *self._shape), np.float32)
        return every[:, 0], every[:, 1:]


def l_moments(values: Array) -> tuple[Array, Array, Array]:
    """Give the first two sample L-moments and the L-skewness, by unbiased probability weighted moments (Hosking 1990).

    Parameters
    ----------
    values
        (Y, ...), at least 3. NaN is passed on.

    Returns
    -------
    mean, l_scale, l_skewness
        (...).
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=0)  # NaN comes last, and makes the sums NaN
    n = len(ordered)
    rank = np.arange(n).reshape(-1, *[1] * (ordered.ndim - 1))
    b0 = ordered.mean(axis=0)
    b1 = (rank * ordered).sum(axis=0) / (n * (n - 1))
    b2 = (rank * (rank - 1) * ordered).sum(axis=0) / (n * (n - 1) * (n - 2))
    l_scale, third = 2 * b1 - b0, 6 * b2 - 6 * b1 + b0
    skewness = np.divide(third, l_scale, out=np.full(np.shape(l_scale), np.nan), where=l_scale > 0)
    return b0, l_scale, skewness


def gev_of_l_moments(mean: Array, l_scale: Array, l_skewness: Array) -> tuple[Array, Array, Array]:
    """Fit a generalised extreme value distribution to L-moments (Hosking, Wallis and Wood 1985; Hosking 1990).

    The shape follows from the approximation of Hosking et al., which three steps of Newton refine.

    Returns
    -------
    location, scale, shape
        As in `scipy.stats.genextreme`, where the shape has the sign of Hosking: it is negative for a heavy tail. NaN
        where the L-scale is 0, as for a cell that is always dry, or the L-skewness is not between -1 and 1.
    """
    valid = (l_scale > 0) & (np.abs(l_skewness) < 1)
    skewness = np.where(valid, l_skewness, np.nan)
    c = 2 / (3 + skewness) - np.log(2) / np.log(3)
    k = 7.8590 * c + 2.9554 * c**2
    for _ in range(3):
        step = 1e-5
        slope = (_l_skewness(k + step) - _l_skewness(k - step)) / (2 * step)
        k = np.clip(k - (_l_skewness(k) - skewness) / slope, -0.99, 10)
    k = np.where(np.abs(k) < 1e-6, 1e-6, k)  # the limit, which is the Gumbel distribution, by a value beside it
    scale = l_scale * k / ((1 - 2**-k) * gamma(1 + k))
    location = mean - scale * (1 - gamma(1 + k)) / k
    return location, scale, k


def _l_skewness(shape: Array) -> Array:
    """Give the L-skewness of a generalised extreme value distribution with this shape."""
    k = np.where(np.abs(shape) < 1e-6, 1e-6, shape)
    return 2 * (1 - 3**-k) / (1 - 2**-k) - 3


def gev_level(location: Array, scale: Array, shape: Array, years: float) -> Array:
    """Give the value that is exceeded once in `years` on average, which is the quantile 1 - 1/years."""
    return location + scale * (1 - (-np.log(1 - 1 / years)) ** shape) / shape


def return_levels(maxima: Array, years: float) -> Array:
    """Give the rain of a return period at each cell, from annual maxima.

    Parameters
    ----------
    maxima
        (Y, ...), mm/day.
    years
        The return period, more than 1.

    Returns
    -------
    (...), mm/day. NaN at fewer than 10 years, and where a year is missing.
    """
    if len(maxima) < LEAST_YEARS:
        return np.full(maxima.shape[1:], np.nan)
    return gev_level(*gev_of_l_moments(*l_moments(maxima)), years)
