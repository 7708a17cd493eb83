"""How the records of a user lie to the rain that is to be made: in size, in place and in time.

Input: records that `find` found. Output: numbers and reasons that the configuration is made of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import Axis, Grid, step
from rainshaft.data.units import length_in
from rainshaft.survey.find import Record

KM_A_DEGREE = 111.2

WINDOW_DAYS = 30
WINDOWS = 12
MOST_VALUES = 2e7  # of one record to read for the comparison of days

Values = NDArray[np.float64]


def cell_km(grid: Grid) -> tuple[float, float]:
    """Size of a cell along y and x, in km."""
    if grid.kind == "projected":
        scale = length_in(grid.y_attrs.get("units", "m"), "km")
        return grid.steps[0] * scale, grid.steps[1] * scale
    along_x = KM_A_DEGREE * np.cos(np.radians(np.abs(grid.y).mean()))
    return grid.steps[0] * KM_A_DEGREE, grid.steps[1] * float(along_x)


def cell_area(grid: Grid) -> float:
    """Area of a cell in km2."""
    y, x = cell_km(grid)
    return y * x


def side_km(grid: Grid) -> tuple[float, float]:
    """Height and width of a domain, in km."""
    y, x = cell_km(grid)
    return y * grid.shape[0], x * grid.shape[1]


def ratio(coarse: Grid, fine: Grid) -> float:
    """How many times larger a cell is, along a side."""
    return float(np.sqrt(cell_area(coarse) / cell_area(fine)))


def turned(grid: Grid, centre: float | None) -> Axis:
    """The axis x of a grid, with longitudes counted about a centre."""
    if grid.kind != "latitude/longitude" or centre is None:
        return grid.x
    if grid.shape[1] * grid.steps[1] > 359:  # the whole circle
        return np.asarray(np.sort(grid.x - 360 * np.floor((grid.x - centre + 180) / 360)))
    return np.asarray(grid.x + 360 * np.round((centre - grid.x.mean()) / 360))


def covers(grid: Grid, fine: Grid) -> bool:
    """Whether a grid reaches to the edges of another one of its kind, or nearly so."""
    for axis, target in ((grid.y, fine.y), (turned(grid, fine.centre), fine.x)):
        spare = step(axis) / 2
        if axis.max() + spare < target.max() - step(target) or axis.min() - spare > target.min() + step(target):
            return False
    return True


def overlaps(grid: Grid, fine: Grid) -> bool:
    """Whether two grids of one kind have a place in common."""
    pairs = ((grid.y, fine.y), (turned(grid, fine.centre), fine.x))
    return all(axis.max() >= target.min() and axis.min() <= target.max() for axis, target in pairs)


def window_over(grid: Grid, fine: Grid) -> tuple[slice, slice]:
    """The cells of a grid over another one; all of them where the two are of different kinds."""
    if grid.kind != fine.kind:
        return slice(None), slice(None)
    window = []
    for axis, target in ((grid.y, fine.y), (turned(grid, fine.centre), fine.x)):
        reach = step(axis) / 2 + 1e-6
        inside = np.flatnonzero((axis >= target.min() - reach) & (axis <= target.max() + reach))
        window.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return window[0], window[1]


# -------------------------------------------------------------------------------------- the weather of the day


def few_days(days: NDArray[np.int64], count: int = 3) -> NDArray[np.int64]:
    """Some pairs of days spread over a record. A single record would not tell how long it is."""
    starts = np.linspace(0, max(0, len(days) - 2), count).astype(int)
    return np.unique(days[np.concatenate([starts, np.minimum(starts + 1, len(days) - 1)])])


def windows_of(days: NDArray[np.int64], cells: int) -> list[NDArray[np.int64]]:
    """Runs of days spread over a record, fewer where the fields are large."""
    count = int(min(WINDOWS, max(2, MOST_VALUES / (cells * WINDOW_DAYS))))
    size = max(1, min(WINDOW_DAYS, len(days) // count))
    starts = np.linspace(0, len(days) - size, count).astype(int)
    return [days[start : start + size] for start in starts]


def daily_means(record: Record, fine: Grid, windows: Sequence[NDArray[np.int64]]) -> Values:
    """Means over the domain of the rain (window, day); the logarithm of rain, since few days have most of it."""
    data = record.daily(np.concatenate(windows), window_over(record.grid, fine))
    if record.kind == "rain":
        data = xr.apply_ufunc(np.log1p, data.clip(min=0))
    means = data.mean(("lat", "lon"))
    return np.stack([means.reindex(time=window).values.astype("float64") for window in windows])


def correlation_of_changes(one: Values, other: Values) -> float:
    """The correlation of changes from day to day, at the lag of -1, 0 or 1 days where it is strongest.

    Changes leave the season out, which any two records of one place share. A lag is no fault here: `check` and the
    preparation look at it.

    Parameters
    ----------
    one, other
        Values for runs of days (window, day).
    """
    a, b = np.diff(one, axis=1), np.diff(other, axis=1)
    found = []
    for lag in (-1, 0, 1):
        here, there = a[:, 1:-1].ravel(), b[:, 1 + lag : b.shape[1] - 1 + lag].ravel()
        valid = np.isfinite(here) & np.isfinite(there)
        if valid.sum() > 10 and here[valid].std() > 0 and there[valid].std() > 0:
            found.append(float(np.corrcoef(here[valid], there[valid])[0, 1]))
    return max(found, key=abs, default=float("nan"))


def chance(count: int) -> float:
    """A correlation that so many days reach by chance next to never, at any of three lags."""
    return max(0.15, 3.0 / float(np.sqrt(count)))
