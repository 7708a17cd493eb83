"""Analogs: observed rain of the training days whose weather was most alike, in the season of the test day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import Method
from rainshaft.baselines.season import of_season
from rainshaft.histogram import Array

if TYPE_CHECKING:
    import xarray as xr

    from rainshaft.baselines.days import DaysBySplit


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Take the observed rain of the days that are most alike. Nothing is random, so the seed plays no part."""
    return days.observed(analogs_of_season(days.context(), days.time, days.split, members))


def analogs_of_season(
    context: Array, time: xr.DataArray, split: NDArray[np.str_], members: int
) -> Iterator[NDArray[np.intp]]:
    """Choose for each test day the training days of its season whose context is nearest (Zorita and von Storch 1999).

    Parameters
    ----------
    context
        (T, F), each field over its standard deviation. Distances are Euclidean.
    time, split, members
        As in `of_season`.

    Yields
    ------
    The places of the days in `time` (M,), the nearest first.
    """
    for i, season in of_season(time, split, members):
        distance = np.linalg.norm(context[season] - context[i], axis=1)
        yield season[np.argsort(distance, kind="stable")[:members]]


METHOD = Method(
    source="observed rain of the training days of the season with the nearest context (Zorita and von Storch 1999)",
    make=make,
    needs="context",
    is_ensemble=True,
)
