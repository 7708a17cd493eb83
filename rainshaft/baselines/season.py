"""The training days of the season of a scored day, from which analogs and climatology choose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import SCORED
from rainshaft.data.conventions import TRAIN
from rainshaft.errors import UserError

if TYPE_CHECKING:
    import xarray as xr

SEASON = 45  # ASSUME a season is the 45 days before and after a day of the year: three months, as is usual


def of_season(time: xr.DataArray, split: NDArray[np.str_], members: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Find for each scored day the training days of its season.

    The season is `SEASON` days before and after in the day of the year. It goes on over the turn of the year. Where it
    has fewer than `members` training days, all training days take part.

    Parameters
    ----------
    time
        Days of any calendar (T,).
    split
        `train`, `validation`, `test` or `unused` (T,). Days of validation and test are scored.
    members
        Number of days that will be chosen.

    Yields
    ------
    The place of the scored day in `time`, and the places of the training days.

    Raises
    ------
    UserError
        There are fewer than `members` training days.
    """
    day, length = time.dt.dayofyear.values, time.dt.days_in_year.values
    train = np.flatnonzero(split == TRAIN)
    if len(train) < members:
        raise UserError(
            f"baselines.members: found {members}, but the record has only {len(train)} training days, and each member "
            "of analogs or climatology is another of these days; write fewer, train on more days, or take analogs and "
            "climatology out of baselines.names"
        )
    for i in np.flatnonzero(np.isin(split, SCORED)):
        apart = np.abs(day[train] - day[i])
        circle = np.where(day[train] > day[i], length[train], length[i])  # days of the year that ends between the two
        season = train[np.minimum(apart, circle - apart) <= SEASON]
        yield int(i), season if len(season) >= members else train
