"""Bilinear interpolation of the coarse rain, then quantile mapping to the observed rain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rainshaft import histogram
from rainshaft.baselines.interface import Array, Method
from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.data.conventions import TEST, TRAIN

if TYPE_CHECKING:
    from rainshaft.baselines.days import Days


def make(days: Days, members: int, seed: int) -> Iterator[Array]:
    """Interpolate and map the coarse rain of each test day: one member, whatever `members` and `seed`."""
    transfer = fit_quantile_mapping(days)
    for _, coarse in days.coarse(TEST):
        yield np.interp(bilinear(coarse, days.factor)[None], histogram.EDGES, transfer)


def fit_quantile_mapping(days: Days) -> Array:
    """Fit empirical quantile mapping from bilinear to observed rain, on the training days, all valid cells pooled.

    Returns
    -------
    The mapped value at each of `histogram.EDGES`, mm/day, to interpolate between.
    """
    smooth = np.zeros(len(histogram.EDGES) - 1)
    truth = np.zeros_like(smooth)
    for _, coarse in days.coarse(TRAIN):
        smooth += histogram.histogram(bilinear(coarse, days.factor)[days.valid])
    for rain in days.truth(TRAIN):
        truth += histogram.histogram(rain)
    return quantile_transfer(smooth, truth)


def quantile_transfer(source: Array, target: Array) -> Array:
    """Map each edge of the bins to the target's value at the same quantile (Panofsky and Brier 1968).

    As many cells stay dry as in the target, or all that are 0 in the source if those are more. Above the largest
    value of the source the correction is its factor there.

    Parameters
    ----------
    source, target
        Counts in the bins of `intensity`.
    """
    top_source, top_target = (histogram.EDGES[np.flatnonzero(counts).max() + 1] for counts in (source, target))
    mapped = histogram.quantile(target, histogram.cumulative(source))
    return np.where(top_source > histogram.EDGES, mapped, top_target * histogram.EDGES / top_source)


METHOD = Method(
    source="bilinear interpolation, then quantile mapping to the rain of the training days",
    make=make,
    needs="coarse rain",
    is_ensemble=False,
)
