"""Analogs: observed rain of the training days whose predictors were most alike.

Coarse rain says how much rain there is, in any season. Without it, the fields say what the weather is like, and the
same weather brings other rain in another season. So there are two ways to measure how alike two days are. They were
chosen by the fair CRPS (mm/day) of 10 members on days that are not for testing. For ERA5 these were three folds of
blocks of ten days, for weather maps and NCEP three years of which each was left out in turn, and for synthetic rain the
validation days.

======================= ========== ============= ================= ========
way                     ERA5 rain  synthetic,    weather maps,     NCEP,
                                   rain and 5    Balearic Islands  India
======================= ========== ============= ================= ========
season, no gradients    1.695      1.786         1.486             2.185
year, no gradients      1.686 (a)  1.672 (b)     1.500             2.183
season, gradients       (one       1.808         1.413 (c)         2.174
year, gradients         field)     1.728         1.429             2.168
======================= ========== ============= ================= ========

(a) With the square root of the rain instead of log1p 1.691. (b) With the rain as one of six equal fields 1.826. (c)
With gradients that weigh a third as much 1.432. The nearest 20 instead of 10 days cost 1 to 3 %.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import Method
from rainshaft.baselines.season import of_season
from rainshaft.data.conventions import TRAIN
from rainshaft.histogram import Array

if TYPE_CHECKING:
    import xarray as xr

    from rainshaft.baselines.days import DaysBySplit

POOL = 10  # nearest days among which members choose
RAIN_WEIGHT = 16.0  # coarse rain counts as much as this many other fields
GRADIENT_WEIGHT = 3.0  # the gradients of a field count as much as this many (after Teweles and Wobus 1954)


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Take the observed rain of days that are most alike."""
    from rainshaft.baselines.predictors import points

    without_rain = days.rain_channel is None
    found = points(days, RAIN_WEIGHT, GRADIENT_WEIGHT if without_rain else 0)
    return days.observed(analogs(found, days.time, days.split, members, seed, without_rain))


def analogs(
    points: Array, time: xr.DataArray, split: NDArray[np.str_], members: int, seed: int, of_one_season: bool
) -> Iterator[NDArray[np.intp]]:
    """Choose for each scored day among the training days that are nearest (Zorita and von Storch 1999).

    The members are drawn from the `POOL` nearest days, or from the `members` nearest where there are more
    members than that. So the skill does not depend on the number of members, up to `POOL`.

    Parameters
    ----------
    points
        (T, F). Distances are Euclidean.
    time, split, members
        As in `of_season`.
    seed
        The draw for a day depends on the seed, the date and the training days alone.
    of_one_season
        Whether a day must be of the season of the scored day.

    Yields
    ------
    The places of the days in `time` (M,), in random order.
    """
    train = np.flatnonzero(split == TRAIN)
    training = points[train]
    squares = np.square(training).sum(1)
    dates = time.dt.strftime("%Y%m%d").values.astype(int)
    for i, season in of_season(time, split, members):
        distance = squares - 2 * (training @ points[i])  # but for a term that is equal for all
        candidates = np.flatnonzero(np.isin(train, season)) if of_one_season else np.arange(len(train))
        nearest = train[candidates[np.argsort(distance[candidates], kind="stable")[: max(POOL, members)]]]
        yield np.random.default_rng([seed, dates[i]]).permutation(nearest)[:members]


METHOD = Method(
    source="observed rain of the training days with the nearest predictors (Zorita and von Storch 1999)",
    make=make,
    needs="nothing",
    is_ensemble=True,
)
