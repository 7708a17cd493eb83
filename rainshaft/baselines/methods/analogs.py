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

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.baselines.season import of_season
from rainshaft.data.conventions import TRAIN
from rainshaft.data.moments import CONSTANT
from rainshaft.histogram import Array

if TYPE_CHECKING:
    import xarray as xr

    from rainshaft.baselines.days import Day, DaysBySplit

POOL = 10  # nearest days among which members choose
RAIN_WEIGHT = 16.0  # coarse rain counts as much as this many other fields
GRADIENT_WEIGHT = 3.0  # the gradients of a field count as much as this many fields
MOST_CELLS = 1024  # of a field; a larger one is averaged over blocks  # ASSUME the weather of a day shows in these


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Take the observed rain of days that are most alike."""
    return days.observed(analogs(features(days), days.time, days.split, members, seed, days.rain_channel is None))


def features(days: DaysBySplit) -> Array:
    """Give the days as points that lie near each other where the predictors of two days are alike.

    Each field is taken about the mean of each cell in the training days. It is divided by its standard deviation, and
    by the root of its number of cells, so that all fields count alike. But coarse rain, as log1p, has `RAIN_WEIGHT`.
    Where no field is coarse rain, the differences of neighbouring cells count, too, as in the score of Teweles and
    Wobus (1954).

    Returns
    -------
    (T, F), 0 for days that take no part. It takes 4 F bytes a day.
    """
    splits = (TRAIN, *SCORED)
    read = [_fields_of(day, days.rain_channel) for day in days.of(*splits)]
    take_part, train = days.places(*splits), days.split == TRAIN
    columns = []
    for number in range(len(read[0])):
        field = np.zeros((len(days.split), *read[0][number].shape), np.float32)
        field[take_part] = [fields[number] for fields in read]
        if days.rain_channel is None:
            shares = (1.0, GRADIENT_WEIGHT / 2, GRADIENT_WEIGHT / 2)
            parts = zip(shares, (field, np.diff(field, axis=1), np.diff(field, axis=2)), strict=True)
        else:
            parts = zip((RAIN_WEIGHT if number == days.rain_channel else 1.0,), (field,), strict=True)
        columns += [_standardised(part, train, weight) for weight, part in parts if part.size]
    points = np.concatenate(columns, axis=1)
    points[~np.isin(days.split, splits)] = 0
    return points


def _fields_of(day: Day, rain_channel: int | None) -> list[Array]:
    """Give the fields of a day, rain as log1p, each with `MOST_CELLS` at most."""
    coarse = day.coarse.copy()
    if rain_channel is not None:
        coarse[rain_channel] = np.log1p(coarse[rain_channel])
    return [_fewer_cells(field).astype(np.float32) for field in (*coarse, *day.context)]


def _fewer_cells(field: Array) -> Array:
    """Average a field (h, w) over square blocks so that it has at most `MOST_CELLS`. What is over at the end goes."""
    side = math.ceil(math.sqrt(field.size / MOST_CELLS))
    rows, columns = (max(1, size // side) for size in field.shape)
    side_of = field.shape[0] // rows, field.shape[1] // columns
    cut = field[: rows * side_of[0], : columns * side_of[1]]
    return cut.reshape(rows, side_of[0], columns, side_of[1]).mean((1, 3))


def _standardised(field: Array, train: NDArray[np.bool_], weight: float) -> Array:
    """Scale a field (T, h, w) so that the squared distance of two training days is 2 `weight` in the mean."""
    mean = field[train].mean(0, dtype=np.float64)
    anomaly = (field - mean).astype(np.float32)
    spread = np.sqrt(np.square(anomaly[train]).mean(dtype=np.float64))
    varies = spread > CONSTANT * np.abs(mean).max()
    scale = np.sqrt(weight / field[0].size) / spread if varies else 0.0
    return (anomaly * np.float32(scale)).reshape(len(field), -1)


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
