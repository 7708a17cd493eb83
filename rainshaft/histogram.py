"""Histograms of rain intensity: what stands in for all values of a long record when they do not fit in memory.

Inputs: rain in mm/day. Outputs: counts in fixed bins 0.5 % wide, and quantiles, means and distances read off them.
Counts of two records add up to the counts of both. Everything below 0.05 mm/day is one bin that counts as dry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

RATIO = 1.005
_LOWEST, _HIGHEST = -600, 1525  # powers of RATIO: 0.050 and 2009 mm/day, above the world record of a day (1825 mm)
EDGES = np.concatenate([[0.0], RATIO ** np.arange(_LOWEST, _HIGHEST + 1.0)])
"""Edges of the bins, mm/day; the last bin also takes all that is above it."""


def histogram(rain: Array) -> NDArray[np.int64]:
    """Count values per bin.

    Parameters
    ----------
    rain
        Rain of any shape, mm/day, without NaN.

    Returns
    -------
    Counts (len(EDGES) - 1).
    """
    wet = rain[rain >= EDGES[1]]
    index = np.log(wet, dtype=np.float64)
    index *= 1 / np.log(RATIO)
    index += 1 - _LOWEST
    inside = np.minimum(index, len(EDGES) - 2, out=index).astype(np.int64)
    counts = np.bincount(inside, minlength=len(EDGES) - 1)
    counts[0] += rain.size - wet.size
    return counts


def cumulative(counts: Array) -> Array:
    """Share of the values below each edge, from 0 to 1."""
    below = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    return below / below[-1] if below[-1] > 0 else np.full_like(below, np.nan)


def quantile(counts: Array, share: float | Array) -> Array:
    """Rain below which a share (< 1) of the values lies, mm/day; exactly 0 where that is in the dry bin."""
    below = cumulative(counts)
    value = np.interp(share, below, EDGES)
    return np.where(np.asarray(share) <= below[1], 0.0, value)


def total_above(counts: Array, threshold: float) -> float:
    """Sum of the values above a threshold, mm/day; the dry bin adds nothing."""
    centres = 0.5 * (EDGES[:-1] + EDGES[1:])
    centres[0] = 0.0
    below = np.concatenate([[0.0], np.cumsum(counts * centres)])
    return float(below[-1] - np.interp(threshold, EDGES, below))


def ks_above(first: Array, second: Array, threshold: float) -> float:
    """Kolmogorov-Smirnov distance of the values above a threshold: the largest gap of their distributions.

    1 where just one of the two has such values, NaN where neither has.
    """
    threshold = max(threshold, EDGES[1])
    inside = threshold < EDGES

    def beyond(counts: Array) -> Array | None:
        below = cumulative(counts)
        at = np.interp(threshold, EDGES, below)
        return (below[inside] - at) / (1 - at) if at < 1 - 1e-12 else None

    a, b = beyond(first), beyond(second)
    if a is None or b is None:
        return float("nan") if a is None and b is None else 1.0
    return float(np.abs(a - b).max())
