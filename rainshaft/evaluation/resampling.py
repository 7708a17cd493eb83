"""Resamples of days, and the intervals that follow from them.

Input: the observed rain of each day. Output: how often each day counts in each resample, and the 90 % interval of a
score from its values in the resamples.

Weather persists, so a record of days tells less than as many independent days. Four steps take account of it:

1. The days are drawn in runs of random length (stationary bootstrap, Politis and Romano 1994). The mean length follows
   from the autocorrelation of the observed area rain (Politis and White 2004). It does not depend on the ensemble, so
   all ensembles are scored on the same resamples, and the differences of two of them are resampled, too.
2. Each season is resampled by itself, so a resample has as many days of each as the record. Without this, the change
   from the dry to the wet season would count as chance, and intervals would be twice as wide.
3. A resample of few runs varies too little. The interval is widened by the critical value that belongs to the share of
   a run in its season (Kiefer and Vogelsang 2005).
4. A few wet days decide most scores. The interval is widened by the quantile of Student's t with as many degrees of
   freedom as there are parts of the record that matter, from the kurtosis of their influence (Satterthwaite 1946). The
   parts do not respect the seasons, so a short wet season makes the interval too wide, by up to about 40 %.

`benchmarks/intervals.py` measures how often the intervals hold the true value.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

Rows = NDArray[np.floating]
"""values of a score: of the record, in each resample, and without each of its parts (1 + resamples + parts)"""

TAIL = 0.05  # outside the interval on either side
RUNS = 3.0  # ASSUME runs of three times the length of Politis and White: see docs/evidence
LONGEST = 4  # a run is at most one of so many parts of its season
LEAST_DAYS = 8  # fewer days tell nothing of their own uncertainty
SEASONS = ("DJF", "MAM", "JJA", "SON")
LEAST_OF_SEASON = 40  # with fewer, seasons are resampled together  # ASSUME
LEAST_PARTS, MOST_PARTS = 4, 60  # more parts tell no more of how many matter, and take memory
NORMAL = float(ndtri(1 - TAIL))  # scipy.special, since scipy.stats loads slowly


@dataclass(frozen=True)
class Resamples:
    """How often each day counts."""

    weights: NDArray[np.uint8]
    """(1 + resamples + parts, days): the record, its resamples, and the record without each of its parts"""
    draws: int
    """number of resamples; 0 where there are too few days"""
    run: float
    """mean length of a run of days"""
    share: float
    """mean length of a run over the days of its season"""

    @classmethod
    def of(cls, rain: NDArray[np.floating], months: NDArray[np.integer], draws: int, seed: int) -> Resamples:
        """Draw the resamples of a record.

        Parameters
        ----------
        rain
            Observed area rain of each day in the order of time (days,), mm/day.
        months
            The month of each day (days,), from 1.
        draws
            Number of resamples.
        seed
            The resamples depend on it, the rain and the months alone.
        """
        days = len(rain)
        record = np.ones((1, days), np.uint8)
        if days < LEAST_DAYS:
            return cls(record, 0, float("nan"), float("nan"))
        from arch.bootstrap import StationaryBootstrap  # late: it loads slowly

        rng = np.random.default_rng([seed, days])
        counts = np.zeros((draws, days), np.uint8)
        seasons = seasons_of(months)
        runs = [mean_run(rain[season]) for season in seasons]
        for season, mean in zip(seasons, runs, strict=True):
            length: Any = mean  # its type says int, but the mean length of a run need not be whole
            drawn = StationaryBootstrap(length, np.arange(len(season)), seed=rng).bootstrap(draws)
            for row, (places, _) in zip(counts, drawn, strict=True):
                row[season] = np.minimum(np.bincount(places[0], minlength=len(season)), 255)
        run = float(np.average(runs, weights=[len(season) for season in seasons]))
        parts = int(np.clip(round(days / run), LEAST_PARTS, MOST_PARTS))
        part = np.arange(days) * parts // days
        without = (part[None] != np.arange(parts)[:, None]).astype(np.uint8)
        return cls(np.concatenate([record, counts, without]), draws, run, sum(runs) / days)

    @property
    def digest(self) -> str:
        """A word that two ensembles share only where their days were resampled alike."""
        return hashlib.blake2b(self.weights.tobytes(), digest_size=8).hexdigest()

    def interval(self, rows: Rows) -> dict[str, float | None]:
        """Give the `value` of a score and its 90 % interval, from the score in each row of `weights`."""
        return interval(rows, self.draws, self.share)


def season_of(months: NDArray[np.integer]) -> NDArray[np.integer]:
    """Give the place in `SEASONS` of months, which count from 1."""
    return months % 12 // 3


def seasons_of(months: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Divide days into those of seasons that are resampled by themselves.

    Four seasons (DJF, MAM, JJA, SON), or else two halves of the year, or else all days together: as many as leave 40
    days in each that has any.

    Parameters
    ----------
    months
        The month of each day (days,), from 1.

    Returns
    -------
    The places of the days of each season.
    """
    season = season_of(months)
    for key in (season, season // 2):
        found = [np.flatnonzero(key == one) for one in np.unique(key)]
        if min(map(len, found)) >= LEAST_OF_SEASON:
            return found
    return [np.arange(len(months))]


def interval(rows: Rows, draws: int, share: float) -> dict[str, float | None]:
    """Give the `value` of the record and the ends `low` and `high` of its 90 % interval, None where unknown.

    Parameters
    ----------
    rows
        The score, or the difference of two scores on the same days, in each row of `Resamples.weights`.
    draws
        How many of the rows are resamples.
    share
        Mean length of a run over the days of its season.
    """
    value, drawn, without = rows[0], rows[1 : 1 + draws], rows[1 + draws :]
    drawn, without = drawn[np.isfinite(drawn)], without[np.isfinite(without)]
    if not np.isfinite(value):
        return {"value": None, "low": None, "high": None}
    if len(drawn) < 2 or len(without) < LEAST_PARTS:
        return {"value": float(value), "low": None, "high": None}
    # A score that is always positive keeps an interval that is positive.
    positive = value > 0 and drawn.min() > 0
    centre, moved = (np.log(value), np.log(drawn)) if positive else (value, drawn)
    ends = np.quantile(moved, [TAIL, 1 - TAIL])
    low, high = centre + _critical(share) * _student(without) * (ends - centre)
    if positive:
        low, high = np.exp([low, high])
    # Distances grow when days are resampled, so all resamples may lie above the value.
    return {"value": float(value), "low": float(min(low, value)), "high": float(max(high, value))}


def _critical(share: float) -> float:
    """The critical value over that of the normal distribution (Kiefer and Vogelsang 2005, Table 1, Bartlett, 95 %).

    Runs of random length weigh lags like a Bartlett kernel that reaches twice as far as their mean length.
    """
    b = min(1.0, 2 * share)
    return (1.6449 + 2.1859 * b + 0.3142 * b**2 - 0.3427 * b**3) / NORMAL


def mean_run(rain: NDArray[np.floating]) -> float:
    """Find the mean length of a run of days: `RUNS` times that of Politis and White (2004, corrected 2009)."""
    from arch.bootstrap import optimal_block_length

    longest = len(rain) / LONGEST
    if np.ptp(rain) <= 1e-9 * max(1.0, float(np.abs(rain).max())):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = optimal_block_length(pd.Series(rain))["stationary"].iloc[0]
    return float(np.clip(RUNS * found, 1.0, max(1.0, longest))) if np.isfinite(found) else max(1.0, longest)


def _student(without: NDArray[np.floating]) -> float:
    """The quantile of Student's t over that of the normal distribution, for the parts that matter.

    The variance of a sum of k parts has 2 k / (kurtosis - 1) degrees of freedom.
    """
    influence = without.mean() - without
    squares = (influence**2).sum()
    if squares <= 0:
        return 1.0
    count = len(influence)
    kurtosis = count * (influence**4).sum() / squares**2
    freedom = max(2.0, 2 * count / max(kurtosis - 1, 1e-9))
    return float(stdtrit(freedom, 1 - TAIL)) / NORMAL


def spread_of_trainings(values: NDArray[np.floating], draws: int, seed: int) -> NDArray[np.floating]:
    """Draw how far the mean over a few trainings may lie from that over many (draws,).

    Student's t with one degree of freedom less than there are trainings, times the standard error of their mean.
    """
    count = len(values)
    error = values.std(ddof=1) / np.sqrt(count)
    return error * np.random.default_rng([seed, count]).standard_t(count - 1, draws)
