"""Histograms of rain intensity. They stand for all values of a long record, which do not fit in memory.

Input: rain in mm/day. Output: counts in fixed bins that are 0.5 % wide, and quantiles, sums and distances of
distributions from these counts. The counts of two records add up to the counts of both. All values below 0.05 mm/day
are in one bin, which counts as dry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Counts = NDArray[np.integer] | NDArray[np.floating]
"""values in each bin (len(EDGES) - 1); weighted counts need not be whole numbers"""

RATIO = 1.005
_LOWEST, _HIGHEST = -600, 1525  # powers of RATIO: 0.050 and 2009 mm/day, above the world record of a day (1825 mm)
EDGES = np.concatenate([[0.0], RATIO ** np.arange(_LOWEST, _HIGHEST + 1.0)])
"""edges of the bins, mm/day; the last bin also takes all that is above it"""


def histogram(rain: Array) -> NDArray[np.int64]:
    """Count values per bin.

    Parameters
    ----------
    rain
        Rain of any shape, mm/day, without NaN.

    Returns
    -------
    Number of values in each bin (len(EDGES) - 1).
    """
    wet = rain[rain >= EDGES[1]]
    index = np.log(wet, dtype=np.float64)
    index *= 1 / np.log(RATIO)
    index += 1 - _LOWEST
    inside = np.minimum(index, len(EDGES) - 2, out=index).astype(np.int64)
    counts = np.bincount(inside, minlength=len(EDGES) - 1)
    counts[0] += rain.size - wet.size
    return counts


def cumulative(counts: Counts) -> Array:
    """Give the share of the values below each edge, from 0 to 1 (len(EDGES)); NaN without values."""
    below = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    return below / below[-1] if below[-1] > 0 else np.full_like(below, np.nan)


def quantile(counts: Counts, share: float | Array) -> Array:
    """Give the rain below which a share (< 1) of the values lies, mm/day; exactly 0 where that is in the dry bin."""
    below = cumulative(counts)
    value = np.interp(share, below, EDGES)
    return np.where(np.asarray(share) <= below[1], 0.0, value)


def total_above(counts: Counts, threshold: float) -> float:
    """Give the sum of the values above a threshold, mm/day; the dry bin adds nothing."""
    centres = 0.5 * (EDGES[:-1] + EDGES[1:])
    centres[0] = 0.0
    below = np.concatenate([[0.0], np.cumsum(counts * centres)])
    return float(below[-1] - np.interp(threshold, EDGES, below))


def ks_above(first: Counts, second: Counts, threshold: float) -> float:
    """Give the Kolmogorov-Smirnov distance of the values above a threshold, mm/day.

    It is the largest gap between their cumulative distributions. It is 1 where only one of the two has such values, and
    NaN where neither has.
    """
    threshold = max(threshold, EDGES[1])
    inside = threshold < EDGES

    def beyond(counts: Counts) -> Array | None:
        below = cumulative(counts)
        at = np.interp(threshold, EDGES, below)
        return (below[inside] - at) / (1 - at) if at < 1 - 1e-12 else None

    a, b = beyond(first), beyond(second)
    if a is None or b is None:
        return float("nan") if a is None and b is None else 1.0
    return float(np.abs(a - b).max())
