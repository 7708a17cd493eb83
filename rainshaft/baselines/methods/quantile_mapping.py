"""Bilinear interpolation of the coarse rain, then quantile mapping to the observed rain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rainshaft import histogram
from rainshaft.baselines.interface import SCORED, Method
from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.data.conventions import TRAIN
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from rainshaft.baselines.days import DaysBySplit


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Interpolate and map the coarse rain of each scored day. It is one member; `members` and `seed` play no part."""
    transfer = fit_quantile_mapping(days)
    for _, coarse in days.coarse_rain(*SCORED):
        yield np.interp(bilinear(coarse, days.factor)[None], histogram.EDGES, transfer)


def fit_quantile_mapping(days: DaysBySplit) -> Array:
    """Fit empirical quantile mapping from bilinear to observed rain, on the training days and all valid cells together.

    Returns
    -------
    The mapped value at each of `histogram.EDGES`, mm/day. Between the edges it is interpolated.
    """
    smooth = np.zeros(len(histogram.EDGES) - 1)
    truth = np.zeros_like(smooth)
    for day in days.of(TRAIN):
        smooth += histogram.histogram(bilinear(day.coarse[days.rain_channel], days.factor)[days.valid])
        truth += histogram.histogram(day.rain)
    return quantile_transfer(smooth, truth)


def quantile_transfer(source: Array, target: Array) -> Array:
    """Map each edge of the bins to the value at its quantile in the target (Panofsky and Brier 1968).

    As many cells are dry as in the target. If more cells are 0 in the source, all of them stay dry. Values above the
    largest one of the source are multiplied by the factor that the largest one gets.

    Parameters
    ----------
    source, target
        Counts in the bins of `histogram`.
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
