"""Storms as objects: structure, amplitude and location.

Pure functions of arrays; rain in mm/day.

Shapes: F fields, M members, H W fine grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from rainshaft.evaluation.formulas import Array, BoolArray

WET_MM = 0.1  # mm/day; heavy rain is measured among wetter cells alone (Wernli et al. 2009)
RIM = 1 / 15  # of heavy rain: the rain at the rim of an object (Wernli et al. 2008)
HEAVY = 0.95  # quantile of the wet cells that is heavy rain (Wernli et al. 2009)


@dataclass(frozen=True)
class Storms:
    """What SAL compares of a field. Each value is (F,)."""

    mean: Array
    """mean rain of the valid cells, mm/day"""
    row: Array
    """centre of mass, in cells; NaN for a dry field"""
    column: Array
    volume: Array
    """mean scaled volume of the objects, in cells: their rain over their maximum, weighted by their rain"""
    scatter: Array
    """mean distance of the objects from the centre of mass, weighted by their rain, in cells"""


def storms(fields: Array, cells: BoolArray) -> Storms:
    """Find the objects of each field and measure them (Wernli et al. 2008).

    An object is a set of cells that touch by their sides and have at least 1/15 of the 95th percentile of the wet cells
    of the field (Wernli et al. 2009).

    Parameters
    ----------
    fields
        (F, H, W) without NaN.
    cells
        (H, W), the valid cells.

    Returns
    -------
    NaN stands for what a field without objects has not.
    """
    rain = np.where(cells, fields, 0).astype(np.float64)
    count = int(np.count_nonzero(cells))
    return Storms(*np.array([_storms(field, count) for field in rain]).T)


def _storms(field: Array, cells: int) -> tuple[float, ...]:
    down, across = field.sum(axis=1), field.sum(axis=0)
    total = down.sum()
    wet = field[field > WET_MM]
    if not wet.size:
        return total / cells, np.nan, np.nan, np.nan, np.nan
    row, column = (side @ np.arange(side.size) / total for side in (down, across))
    objects, count = label(field >= RIM * np.quantile(wet, HEAVY))
    place = np.flatnonzero(objects)
    number, inside = objects.ravel()[place] - 1, field.ravel()[place]
    rows, columns = np.divmod(place, field.shape[1])
    mass = np.bincount(number, inside, count)
    largest = np.zeros(count)
    np.maximum.at(largest, number, inside)
    distance = np.hypot(
        np.bincount(number, inside * rows, count) / mass - row,
        np.bincount(number, inside * columns, count) / mass - column,
    )
    return total / cells, row, column, (mass**2 / largest).sum() / mass.sum(), (mass * distance).sum() / mass.sum()


def sal(forecast: Storms, observed: Storms, cells: BoolArray) -> tuple[Array, Array, Array]:
    """Compare the storms of two fields by structure, amplitude and location (Wernli et al. 2008).

    Parameters
    ----------
    forecast, observed
        Of `storms`, with shapes that go together, such as (M,) and (1,).
    cells
        (H, W), the valid cells, one at least. Distances are measured against the diagonal of the rectangle around them.

    Returns
    -------
    structure
        -2 to 2: positive where objects are too large or too flat.
    amplitude
        -2 to 2: positive where there is too much rain.
    location
        0 to 2: distance of the centres of mass, and difference of how far the objects are scattered.
        All are 0 for equal fields. NaN where one of the two fields has no objects.
    """
    rows, columns = np.nonzero(cells)
    diagonal = np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1)
    structure = _relative(forecast.volume, observed.volume)
    amplitude = np.where(np.isfinite(structure), _relative(forecast.mean, observed.mean), np.nan)
    apart = np.hypot(forecast.row - observed.row, forecast.column - observed.column)
    location = (apart + 2 * np.abs(forecast.scatter - observed.scatter)) / diagonal
    return structure, amplitude, location


def _relative(forecast: Array, observed: Array) -> Array:
    """Give the difference over the mean of the two; NaN where both are 0."""
    total = np.asarray(forecast + observed, np.float64)
    return np.divide(2 * (forecast - observed), total, out=np.full(total.shape, np.nan), where=total != 0)
