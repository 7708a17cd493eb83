"""Climatology: observed rain of random training days, in the season of the scored day."""

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
    """Take the observed rain of different random days for each scored day."""
    return days.observed(draw_of_season(days.time, days.split, members, seed))


def draw_of_season(time: xr.DataArray, split: NDArray[np.str_], members: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Draw for each scored day different training days of its season.

    Parameters
    ----------
    time, split, members
        As in `of_season`.
    seed
        The draw for a day depends on the seed, the date and the training days alone. A draw of more days begins with
        the days of a draw of fewer.

    Yields
    ------
    The places of the days in `time` (M,), in random order.
    """
    dates = time.dt.strftime("%Y%m%d").values.astype(int)
    for i, season in of_season(time, split, members):
        yield np.random.default_rng([seed, dates[i]]).permutation(season)[:members]


METHOD = Method(
    source="observed rain of random training days of the same season",
    make=make,
    needs="nothing",
    is_ensemble=True,
)
