"""The predictors of the days as points, in which days with alike predictors lie near each other.

Shapes: T days of the normalisation, h w any grid, F values of a point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.days import Day, DaysBySplit
from rainshaft.baselines.interface import SCORED
from rainshaft.data.conventions import TRAIN
from rainshaft.data.moments import CONSTANT
from rainshaft.histogram import Array
from rainshaft.models.eofs import leading_eofs

MOST_CELLS = 1024  # of a field; a larger one is averaged over blocks  # ASSUME the weather of a day shows in these


def points(days: DaysBySplit, rain_weight: float, gradient_weight: float) -> Array:
    """Give the predictors and the context of each day as a point.

    Each field is taken about the mean of each cell in the training days. It is divided by its standard deviation, and
    by the root of its number of cells, so that all fields count alike.

    Parameters
    ----------
    rain_weight
        Coarse rain, as log1p, counts as much as this many fields.
    gradient_weight
        The differences of neighbouring cells of a field count as much as this many fields.

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
        columns.append(_standardised(field, train, rain_weight if number == days.rain_channel else 1.0))
        if gradient_weight:
            gradients = np.diff(field, axis=1), np.diff(field, axis=2)
            columns += [_standardised(part, train, gradient_weight / 2) for part in gradients if part.size]
    found = np.concatenate(columns, axis=1)
    found[~np.isin(days.split, splits)] = 0
    return found


def _fields_of(day: Day, rain_channel: int | None) -> Sequence[Array]:
    """Give the fields of a day, rain as log1p, each with `MOST_CELLS` at most."""
    coarse = day.coarse.copy()
    if rain_channel is not None:
        coarse[rain_channel] = np.log1p(coarse[rain_channel])
    return [_fewer_cells(field).astype(np.float32) for field in (*coarse, *day.context)]


def _fewer_cells(field: Array) -> Array:
    """Average a field (h, w) over square blocks so that it has at most `MOST_CELLS`. What is over at the end goes."""
    side = math.ceil(math.sqrt(field.size / MOST_CELLS))
    rows, columns = (max(1, size // side) for size in field.shape)
    height, width = field.shape[0] // rows, field.shape[1] // columns
    cut = field[: rows * height, : columns * width]
    return cut.reshape(rows, height, columns, width).mean((1, 3))


def _standardised(field: Array, train: NDArray[np.bool_], weight: float) -> Array:
    """Scale a field (T, h, w) so that the squared distance of two training days is 2 `weight` in the mean."""
    mean = field[train].mean(0, dtype=np.float64)
    anomaly = (field - mean).astype(np.float32)
    spread = np.sqrt(np.square(anomaly[train]).mean(dtype=np.float64))
    scale = np.sqrt(weight / field[0].size) / spread if spread > CONSTANT * np.abs(mean).max() else 0.0
    return (anomaly * np.float32(scale)).reshape(len(field), -1)


def principal_components(found: Array, train: NDArray[np.bool_], most: int) -> Array:
    """Give the principal components of the training days, for all days.

    Parameters
    ----------
    found
        From `points`.
    train
        Which days are for training (T,).
    most
        As many components are given, or fewer where there are fewer days or values.

    Returns
    -------
    (T, P), those with most variance first. The first has variance 1 in the training days, and the others keep
    their share of it.
    """
    components = found @ leading_eofs(found[train], most)
    return components / max(float(components[train, 0].std()), 1e-12)
