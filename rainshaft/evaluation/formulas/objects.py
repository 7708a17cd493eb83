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
    found = [_storms(field, rain) for field, rain in zip(np.where(cells, fields, 0), fields[:, cells], strict=True)]
    return Storms(*np.array(found).T)


def _storms(field: Array, rain: Array) -> tuple[float, ...]:
    total = field.sum(dtype=np.float64)
    mean = total / max(rain.size, 1)
    wet = rain[rain > WET_MM]
    if not wet.size:
        return mean, np.nan, np.nan, np.nan, np.nan
    centre = [field.sum(axis=1 - i, dtype=np.float64) @ np.arange(size) / total for i, size in enumerate(field.shape)]
    objects, count = label(field >= RIM * np.quantile(wet, HEAVY))
    rows, columns = np.nonzero(objects)
    number, inside = objects[rows, columns] - 1, field[rows, columns].astype(np.float64)
    mass = np.bincount(number, inside, count)
    largest = np.zeros(count)
    np.maximum.at(largest, number, inside)
    distance = np.hypot(
        *(
            np.bincount(number, inside * at, count) / mass - middle
            for at, middle in zip((rows, columns), centre, strict=True)
        )
    )
    return mean, *centre, (mass**2 / largest).sum() / mass.sum(), (mass * distance).sum() / mass.sum()


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
    diagonal = np.hypot(*(np.ptp(at) + 1 for at in np.nonzero(cells)))
    structure = _relative(forecast.volume, observed.volume)
    amplitude = np.where(np.isfinite(structure), _relative(forecast.mean, observed.mean), np.nan)
    apart = np.hypot(forecast.row - observed.row, forecast.column - observed.column)
    location = (apart + 2 * np.abs(forecast.scatter - observed.scatter)) / diagonal
    return structure, amplitude, location


def _relative(forecast: Array, observed: Array) -> Array:
    """Give the difference over the mean of the two; NaN where both are 0."""
    total = np.asarray(forecast + observed, np.float64)
    return np.divide(2 * (forecast - observed), total, out=np.full(total.shape, np.nan), where=total != 0)
