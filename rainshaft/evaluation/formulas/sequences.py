"""Sequences of days: sums of several days, spells of wet and dry days, and how alike two days in a row are.

The days come one at a time, in their order. At most a few of them are held in memory. A sequence ends where a day is
missing, so a split into blocks of days leaves only the sequences inside the blocks. Rain in mm/day.

Shapes: M members, N cells.
"""

from __future__ import annotations

import datetime
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array, BoolArray
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
        # row 0 is the truth, the others are the members
        self._held: deque[_Day] = deque(maxlen=SUM_DAYS)
        self._last: Any = None
        self._length = np.zeros((members + 1, cells), np.int64)
        self._wet = np.zeros((members + 1, cells), bool)  # the spell that runs

    def add(self, members: Array, truth: Array, date: Any) -> dict[str, Any]:
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

        `sum5_crps`, `sum5_variance`, `sum5_squared_error` and `sum5_cells`
            of the rain of the five days up to this one: the fair CRPS, the variance and the squared error of
            `ensemble.spread_and_error`, summed over the cells where all five days are known. The CRPS in mm, the
            others in mm^2. NaN where fewer days, or fewer than two members of an ensemble, are there.
        `spells_observed` and `spells_samples`
            (2, 60): spells that ended before this day, dry and wet, by their length in days from 1 on.
        `pairs_observed` and `pairs_samples`
            (2, 2): cells by whether the day before was wet, and whether this day is.
        `moments_observed` and `moments_samples`
            (6,): number of cells, and sums of x, y, x^2, y^2 and x y, where x is the rain of the day before and y of
            this day, for `lag1_correlation`.

        Raises
        ------
        ValueError
            If the days are not in their order.
        """
        if self._last is not None and not date > self._last:
            raise ValueError(f"the days must ascend, found {date} after {self._last}")
        spells = self._cut() if self._last is not None and not _follows(self._last, date) else _no_spells()
        self._last = date
        self._held.append(_Day.of(np.concatenate([truth[None], members])))
        return self._sums() | _of_sides(spells + self._spells(), "spells") | self._of_two_days()

    def end(self) -> dict[str, Array]:
        """End the last spells, after the last day. The result has the `spells` of `add`."""
        return _of_sides(self._cut(), "spells")

    def _cut(self) -> NDArray[np.int64]:
        """Forget the days so far, and count the spells that ran. Nobody knows how long they would have been."""
        found = _count(self._length, self._wet, self._length > 0)
        self._length[:] = 0
        self._held.clear()
        return found

    def _spells(self) -> NDArray[np.int64]:
        """Go on with the spells of each cell, and count those that end: (M + 1, 2, LONGEST)."""
        day = self._held[-1]
        ended = day.wet != self._wet
        if not day.is_whole:
            ended |= ~day.known
        found = _count(self._length, self._wet, ended)
        self._length[ended] = 0
        self._length += day.known
        self._wet = day.wet
        return found

    def _sums(self) -> dict[str, Any]:
        nothing = dict.fromkeys(("sum5_crps", "sum5_variance", "sum5_squared_error", "sum5_cells"), np.float64(np.nan))
        if len(self._held) < SUM_DAYS:
            return nothing
        rain = np.sum([day.rain for day in self._held], axis=0)
        m, y = rain[1:], rain[0]
        if not all(day.is_whole for day in self._held):
            known = np.logical_and.reduce([day.known for day in self._held])
            kept = known[1:].any(axis=1)
            cells = known[0] & known[1:][kept].all(axis=0)
            if kept.sum() < min(2, len(m)) or not cells.any():
                return nothing
            m, y = m[kept][:, cells], y[cells]
        variance, error = spread_and_error(m, y)
        sums = (fair_crps(m, y).sum(), variance.sum(), error.sum(), y.size)
        return dict(zip(nothing, (np.float64(value) for value in sums), strict=True))

    def _of_two_days(self) -> dict[str, Array]:
        sides = len(self._length)
        pairs, moments = np.zeros((sides, 2, 2)), np.zeros((sides, 6))
        if len(self._held) > 1:
            before, now = list(self._held)[-2:]
            if not (before.is_whole and now.is_whole):
                both = before.known & now.known
                before, now = before.at(both), now.at(both)
            count = np.count_nonzero(before.known & now.known, axis=1)
            wet = [np.count_nonzero(cells, axis=1) for cells in (before.wet, now.wet, before.wet & now.wet)]
            pairs[:, 0] = np.stack([count - wet[0] - wet[1] + wet[2], wet[1] - wet[2]], axis=1)
            pairs[:, 1] = np.stack([wet[0] - wet[2], wet[2]], axis=1)
            x, y = before.rain, now.rain
            products = [np.einsum("mn,mn->m", a, b) for a, b in ((x, x), (y, y), (x, y))]
            moments[:] = np.stack([count, x.sum(axis=1), y.sum(axis=1), *products], axis=1)
        return _of_sides(pairs, "pairs") | _of_sides(moments, "moments")


@dataclass(frozen=True)
class _Day:
    """A day of the truth, in row 0, and of the members: each (M + 1, N)."""

    rain: Array
    """0 where it is not known"""
    known: BoolArray
    wet: BoolArray
    is_whole: bool
    """whether all is known"""

    @classmethod
    def of(cls, rain: Array) -> _Day:
        """Take rain with NaN where it is not known."""
        known = np.isfinite(rain)
        whole = bool(known.all())
        rain = rain.astype(np.float64) if whole else np.where(known, rain, 0.0)
        return cls(rain, known, rain >= WET_DAY_MM, whole)

    def at(self, cells: BoolArray) -> _Day:
        """Forget what is known elsewhere."""
        return _Day(np.where(cells, self.rain, 0), self.known & cells, self.wet & cells, False)


def _follows(earlier: Any, later: Any) -> bool:
    """Tell whether a date is the day after another."""
    step = later - earlier
    return bool(step == (np.timedelta64(1, "D") if isinstance(step, np.timedelta64) else _DAY))


def _no_spells() -> NDArray[np.int64]:
    return np.zeros((2, LONGEST), np.int64)


def _count(length: NDArray[np.int64], wet: BoolArray, ended: BoolArray) -> NDArray[np.int64]:
    """Count spells by kind and length for the truth and for each member (M + 1, 2, LONGEST)."""
    place = np.flatnonzero(ended)
    days = length.ravel()[place]
    kind = 2 * (place // length.shape[1]) + wet.ravel()[place]
    # a length of 0 is no spell: it goes to a bin of its own
    bins = np.minimum(days, LONGEST) + (LONGEST + 1) * kind
    found = np.bincount(bins, minlength=2 * (LONGEST + 1) * len(length)).reshape(-1, 2, LONGEST + 1)
    return found[:, :, 1:]


def _of_sides(values: NDArray[Any], name: str) -> dict[str, Array]:
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


def lag1_correlation(moments: Array) -> Array:
    """Give the correlation of the rain of a day with that of the day before, from moments (..., 6) of `Sequence.add`.

    It is that of all cells and pairs of days together. So a part of it says that some cells are wetter than others. It
    serves to compare members with the truth, which both have this part.
    """
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    covariance, spread = n * xy - x * y, (n * xx - x**2) * (n * yy - y**2)
    return np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.full(n.shape, np.nan), where=spread > 0)
