"""Sequences of days: sums of several days, spells of wet and dry days, and how alike two days in a row are.

The days come one at a time, in their order. At most a few of them are held in memory. A sequence ends where a day is
missing, so a split into blocks of days leaves only the sequences inside the blocks. Rain in mm/day.

Shapes: M members, N cells.
"""

from __future__ import annotations

import datetime
from collections import deque
from typing import Any

import numpy as np

from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.formulas.ensemble import fair_crps, spread_and_error

SUM_DAYS = 5  # of a multi-day sum, as in the index Rx5day of ETCCDI
LONGEST = 60  # days; longer spells are counted with those of this length
DRY_SPELL, WET_SPELL = 0, 1

_DAY = datetime.timedelta(days=1)


class Sequence:
    """Collects what sequences of days add to the scores.

    The k-th members of two days are taken as one sequence, as whoever drives a model with them would.

    Parameters
    ----------
    members
        Number of members M.
    cells
        Number of cells N.
    """

    def __init__(self, members: int, cells: int):
        self._held: deque[tuple[Array, Array]] = deque(maxlen=SUM_DAYS)
        self._last: Any = None
        # row 0 is the truth, the others are the members
        self._wet = np.zeros((members + 1, cells), bool)
        self._length = np.zeros((members + 1, cells), np.int32)

    def add(self, members: Array, truth: Array, date: Any) -> dict[str, Array]:
        """Take in the next day.

        Parameters
        ----------
        members
            (M, N); NaN where a cell or a member has no value on this day.
        truth
            (N,); NaN where it is missing.
        date
            Of this day: a numpy.datetime64, or a date of any calendar of cftime.

        Returns
        -------
        What this day adds, to be summed over the days. The values of the members are means over the members.

        `sum_crps`, `sum_variance`, `sum_squared_error` and `sum_cells`
            of the rain of the five days up to this one: the fair CRPS, the variance and the squared error of
            `ensemble.spread_and_error`, summed over the cells where all five days are known. The CRPS in mm, the
            others in mm^2. 0 where fewer days, or fewer than two members of an ensemble, are there.
        `spells_observed` and `spells_samples`
            (2, 60): spells that ended before this day, dry and wet, by their length in days from 1 on.
        `pairs_observed` and `pairs_samples`
            (2, 2): cells by whether the day before was wet, and whether this day is.
        `moments_observed` and `moments_samples`
            (6,): number of cells, and sums of x, y, x^2, y^2 and x y, where x is the rain of the day before and y of
            this day, for `lag_correlation`.

        Raises
        ------
        ValueError
            If the days are not in their order.
        """
        if self._last is not None and not date > self._last:
            raise ValueError(f"the days must ascend, found {date} after {self._last}")
        spells = self._cut() if self._last is not None and not _follows(self._last, date) else _no_spells()
        self._last = date
        self._held.append((members, truth))
        every = np.concatenate([truth[None], members])
        return self._sums() | _of_sides(spells + self._spells(every), "spells") | self._of_two_days()

    def end(self) -> dict[str, Array]:
        """End the last spells, after the last day. The result has the `spells` of `add`."""
        return _of_sides(self._cut(), "spells")

    def _cut(self) -> Array:
        """Forget the days so far, and count the spells that ran. Nobody knows how long they would have been."""
        found = _count(self._length, self._wet, self._length > 0)
        self._length[:] = 0
        self._held.clear()
        return found

    def _spells(self, every: Array) -> Array:
        """Go on with the spells of each cell, and count those that end: (M + 1, 2, LONGEST)."""
        known, wet = np.isfinite(every), every >= WET_DAY_MM
        ended = (self._length > 0) & (~known | (wet != self._wet))
        found = _count(self._length, self._wet, ended)
        self._length[ended] = 0
        self._length += known
        self._wet = wet
        return found

    def _sums(self) -> dict[str, Array]:
        nothing = dict.fromkeys(("sum_crps", "sum_variance", "sum_squared_error", "sum_cells"), np.float64(0))
        if len(self._held) < SUM_DAYS:
            return nothing
        members, truth = (np.sum(days, axis=0, dtype=np.float64) for days in zip(*self._held, strict=True))
        kept = np.isfinite(members).any(axis=1)
        known = np.isfinite(truth) & np.isfinite(members[kept]).all(axis=0)
        if kept.sum() < min(2, len(members)) or not known.any():
            return nothing
        m, y = members[kept][:, known], truth[known]
        variance, error = spread_and_error(m, y)
        sums = (fair_crps(m, y).sum(), variance.sum(), error.sum(), known.sum())
        return dict(zip(nothing, map(np.float64, sums), strict=True))

    def _of_two_days(self) -> dict[str, Array]:
        pairs, moments = np.zeros((len(self._wet), 2, 2)), np.zeros((len(self._wet), 6))
        if len(self._held) > 1:
            before, now = (np.concatenate([y[None], m]) for m, y in list(self._held)[-2:])
            known = np.isfinite(before) & np.isfinite(now)
            x, y = np.where(known, before, 0), np.where(known, now, 0)
            code = 2 * (x >= WET_DAY_MM) + (y >= WET_DAY_MM)
            pairs[:] = [np.bincount(row[k], minlength=4).reshape(2, 2) for row, k in zip(code, known, strict=True)]
            sums = [known.sum(axis=1), x.sum(axis=1, dtype=np.float64), y.sum(axis=1, dtype=np.float64)]
            products = [np.einsum("mn,mn->m", a, b, dtype=np.float64) for a, b in ((x, x), (y, y), (x, y))]
            moments[:] = np.stack(sums + products, axis=1)
        return _of_sides(pairs, "pairs") | _of_sides(moments, "moments")


def _follows(earlier: Any, later: Any) -> bool:
    """Tell whether a date is the day after another."""
    step = later - earlier
    return bool(step == (np.timedelta64(1, "D") if isinstance(step, np.timedelta64) else _DAY))


def _no_spells() -> Array:
    return np.zeros((2, LONGEST))


def _count(length: Array, wet: Array, ended: Array) -> Array:
    """Count spells by kind and length for the truth and for each member (M + 1, 2, LONGEST)."""
    side, cell = np.nonzero(ended)
    bins = np.minimum(length[side, cell], LONGEST) - 1 + LONGEST * (wet[side, cell] + 2 * side)
    return np.bincount(bins, minlength=2 * LONGEST * len(length)).reshape(-1, 2, LONGEST)


def _of_sides(values: Array, name: str) -> dict[str, Array]:
    """Name the values of the truth, and the mean of those of the members."""
    return {f"{name}_observed": values[0].astype(np.float64), f"{name}_samples": values[1:].mean(axis=0)}


def mean_spell(spells: Array) -> Array:
    """Give the mean length of spells from their counts (..., LONGEST), in days; NaN without spells."""
    count = spells.sum(axis=-1)
    days = spells @ np.arange(1, spells.shape[-1] + 1)
    return np.divide(days, count, out=np.full(np.shape(count), np.nan), where=count > 0)


def long_spells(spells: Array, length: int) -> Array:
    """Give the share of the days in spells that are in spells of `length` days or more; NaN without spells.

    Parameters
    ----------
    spells
        (..., LONGEST), counts by length.
    """
    days = spells * np.arange(1, spells.shape[-1] + 1)
    total = days.sum(axis=-1)
    return np.divide(days[..., length - 1 :].sum(axis=-1), total, out=np.full(total.shape, np.nan), where=total > 0)


def wet_after(pairs: Array) -> tuple[Array, Array]:
    """Give the probabilities that a day is wet after a dry day, and after a wet one, from pairs (..., 2, 2)."""
    total = pairs.sum(axis=-1)
    share = np.divide(pairs[..., 1], total, out=np.full(total.shape, np.nan), where=total > 0)
    return share[..., 0], share[..., 1]


def lag_correlation(moments: Array) -> Array:
    """Give the correlation of the rain of a day with that of the day before, from moments (..., 6) of `Sequence.add`.

    It is that of all cells and pairs of days together. So a part of it says that some cells are wetter than others. It
    serves to compare members with the truth, which both have this part.
    """
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    covariance, spread = n * xy - x * y, (n * xx - x**2) * (n * yy - y**2)
    return np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.full(n.shape, np.nan), where=spread > 0)
