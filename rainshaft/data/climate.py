"""The climate of predictors: how their values are distributed in each calendar month and cell.

Inputs: yearly files of predictors, either the canonical fields of a dataset or the predictors of an application.
Output: one dataset with mean, standard deviation, extremes and quantiles by month and cell, in the units of the
channels. It says in which climate a model was trained. So predictors of another climate can be brought to it, and
values beyond it can be found. A month, a channel and some rows are in memory at once, so a record may be of any length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import same_axis
from rainshaft.data.fields import dates_of
from rainshaft.errors import UserError
from rainshaft.files import DISK_CHUNK_BYTES

Values = NDArray[np.float32]

MONTHS = range(1, 13)
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

LEVELS = np.round(np.concatenate([[0, 0.005, 0.01, 0.02], np.arange(0.05, 0.951, 0.05), [0.98, 0.99, 0.995, 1]]), 3)
"""Levels of the quantiles. They are dense at both ends, because there the quantiles of rain and of heat are far apart.
A month of 30 years has 900 days, so 0.995 is the highest level with more than a few days above it. There are only 27
levels, so that the table of 5 channels on 75 x 175 cells has 85 MB."""

BLOCK_VALUES = 16_000_000  # values in memory at once: 64 MB, and the statistics hold two more arrays of this size


@dataclass(frozen=True)
class Kind:
    """Predictors or context: what their variables and dimensions are called in a file."""

    name: str
    prefix: str
    """of the variables of a climate"""
    channel: str
    y: str
    x: str

    @property
    def units(self) -> str:
        """Variable with the units of each channel."""
        return f"{self.prefix or 'channel_'}units"

    @property
    def cells(self) -> tuple[str, str, str]:
        """Dimensions without time."""
        return self.channel, self.y, self.x


PREDICTORS = Kind("predictors", "", "channel", "y", "x")
CONTEXT = Kind("context", "context_", "context_channel", "v", "u")
KINDS = (PREDICTORS, CONTEXT)


def climate_of(paths: Sequence[str | Path], dates: Collection[str] | None = None) -> xr.Dataset:
    """Describe the distribution of predictors and context by calendar month, channel and cell.

    Parameters
    ----------
    paths
        Yearly files: canonical fields, or predictors of an application. All values of the dimension `realization` of
        an application are pooled.
    dates
        The days (YYYY-MM-DD) that count, for example those of the split `train`; by default all.

    Returns
    -------
    For predictors `mean`, `std`, `minimum` and `maximum` (month, channel, y, x) and `quantiles`
    (quantile, month, channel, y, x), in the units of `channel_units`. The same for the context, with the prefix
    `context_`. `days` (month) counts the days. A month without days has NaN and 0 days. The quantiles are interpolated
    between the sorted values (type 7 of Hyndman and Fan 1996, doi:10.1080/00031305.1996.10473566).

    Raises
    ------
    UserError
        If there is no day, the files differ in cells or channels, or a value is missing.
    """
    with ExitStack() as stack:
        years = [stack.enter_context(_Year(path, dates)) for path in paths]
        days = np.array([sum(len(year.places(month)) for year in years) for month in MONTHS])
        if not days.sum():
            asked = "none of the days asked for" if years else "no file"
            raise UserError(f"climate of predictors: found {asked} in {len(years)} files, expected at least one day")
        first = years[0].header
        for year in years[1:]:
            require_same_cells(year.header, first, str(year.path), str(years[0].path))
        variables: dict[str, xr.Variable] = {}
        for kind in KINDS:
            variables |= _statistics(kind, years)
            variables[kind.units] = first[kind.units].variable
        everyday = sorted(date for year in years for date in year.dates)
        return xr.Dataset(
            {**variables, "days": ("month", days, {"long_name": "days that the climate is made of"})},
            {
                "month": ("month", np.array(MONTHS), {"long_name": "calendar month"}),
                "quantile": ("quantile", LEVELS, {"long_name": "share of the values below"}),
                **{name: first[name] for kind in KINDS for name in kind.cells},
            },
            {
                "title": "Climate of predictors by calendar month",
                "rain_channel": first.attrs["rain_channel"],
                "grid_kind": first.attrs.get("grid_kind", ""),
                "first_date": everyday[0],
                "last_date": everyday[-1],
                "number_of_days": len(everyday),
                "calendar": first.attrs["calendar"],
            },
        )


def require_same_cells(one: xr.Dataset, other: xr.Dataset, name: str, other_name: str) -> None:
    """Raise a UserError unless two datasets have the same channels, units and cells; the names are for the message."""
    for kind in KINDS:
        for key in (kind.channel, kind.units):
            found, expected = one[key].values.tolist(), other[key].values.tolist()
            if found != expected:
                raise UserError(
                    f"{name}: found {key} {found}, expected {expected} as in {other_name}; both must be made for the "
                    "same model"
                )
        for axis in (kind.y, kind.x):
            if not same_axis(one[axis].values, other[axis].values):
                raise UserError(
                    f"{name}: axis {axis} differs from that in {other_name}, expected the same cells; both must be "
                    "made for the same model"
                )


def month_blocks(data: xr.Dataset) -> Iterator[tuple[int, NDArray[np.int_]]]:
    """Give each month that has days, and the places of its days along `time`."""
    months = data["time"].dt.month.values
    for month in np.unique(months):
        yield int(month), np.flatnonzero(months == month)


class _Year:
    """One yearly file, open for reading values of a month."""

    def __init__(self, path: str | Path, dates: Collection[str] | None) -> None:
        self.path = Path(path)
        with xr.open_dataset(path) as year:
            self.header = year.drop_dims("time").load()
            self.header.attrs["calendar"] = year["time"].dt.calendar
            every = dates_of(year)
            wanted = np.full(len(every), True) if dates is None else np.isin(every, list(dates))
            self.dates: list[str] = every[wanted].tolist()
            self._months = np.where(wanted, year["time"].dt.month.values, 0)
        # Without xarray, because each of its open files would keep up to 64 MB of chunks
        self._file = netCDF4.Dataset(path)
        for kind in KINDS:
            self._file[kind.name].set_auto_mask(False)
            self._file[kind.name].set_var_chunk_cache(DISK_CHUNK_BYTES)

    def __enter__(self) -> _Year:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def places(self, month: int) -> NDArray[np.int_]:
        """Places of the days of a month along time."""
        return np.flatnonzero(self._months == month)

    def values(self, kind: Kind, month: int) -> int:
        """Number of values that a cell has in a month."""
        variable = self._file[kind.name]
        realizations = variable.shape[1] if "realization" in variable.dimensions else 1
        return len(self.places(month)) * realizations

    def read(self, kind: Kind, month: int, channel: int, rows: slice) -> Values:
        """Read a month of a channel (value, cell); the days of all realizations."""
        places = self.places(month)
        columns = self.header.sizes[kind.x]
        if not len(places):
            return np.empty((0, (rows.stop - rows.start) * columns), "f4")
        span = slice(places[0], places[-1] + 1)
        read = self._file[kind.name][span, ..., channel, rows, :][places - places[0]]
        if not np.isfinite(read).all():
            raise UserError(
                f"{self.path}: found missing values of {self.header[kind.channel].values[channel]} in "
                f"{MONTH_NAMES[month - 1]}, expected a value in each cell on each day; make this file again"
            )
        return read.reshape(-1, read.shape[-2] * columns)


def _statistics(kind: Kind, years: Sequence[_Year]) -> dict[str, xr.Variable]:
    """Go through months, channels and rows, few values at a time."""
    channels, height, width = (years[0].header.sizes[name] for name in kind.cells)
    shape = (len(MONTHS), channels, height, width)
    names = ("mean", "std", "minimum", "maximum")
    found: dict[str, Any] = {name: np.full(shape, np.nan, "f4") for name in names}
    quantiles = np.full((len(LEVELS), *shape), np.nan, "f4")
    for i, month in enumerate(MONTHS):
        count = sum(year.values(kind, month) for year in years)
        if not count or 0 in shape:
            continue
        step = max(1, BLOCK_VALUES // (count * width))
        for channel in range(channels):
            for start in range(0, height, step):
                rows = slice(start, min(start + step, height))
                values = np.concatenate([year.read(kind, month, channel, rows) for year in years])
                here = (i, channel, rows)
                cells = (rows.stop - start, width)
                found["mean"][here] = values.mean(axis=0, dtype=np.float64).reshape(cells)
                found["std"][here] = values.std(axis=0, dtype=np.float64).reshape(cells)
                found["minimum"][here] = values.min(axis=0).reshape(cells)
                found["maximum"][here] = values.max(axis=0).reshape(cells)
                table = np.quantile(values, LEVELS, axis=0, overwrite_input=True)
                quantiles[:, *here] = table.reshape(-1, *cells)
    long_names = ("mean", "standard deviation", "lowest value", "highest value")
    of_kind = {
        f"{kind.prefix}{name}": xr.Variable(("month", *kind.cells), found[name], {"long_name": long_name})
        for name, long_name in zip(names, long_names, strict=True)
    }
    dims = ("quantile", "month", *kind.cells)
    return {**of_kind, f"{kind.prefix}quantiles": xr.Variable(dims, quantiles, {"long_name": "quantiles"})}
