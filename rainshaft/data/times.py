"""The days of a raw file: the date of each time stamp, and the calendar that counts them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.header import Header


@dataclass(frozen=True)
class Dates:
    """The dates of the time stamps of a file, in its order."""

    stamps: xr.DataArray
    """00:00 of each date"""
    days: NDArray[np.int64]
    """dates as numbers yyyymmdd"""
    calendar: str
    notes: tuple[str, ...]


def with_time_axis(header: Header, roles: dict[str, str]) -> tuple[Header, dict[str, str]]:
    """Make an axis of a time that is a scalar, which a file of one day often has.

    Parameters
    ----------
    roles
        T, Y or X for each axis.

    Raises
    ------
    InputError
        If no scalar, or more than one, is a time.
    """
    scalars = [
        str(name)
        for name, variable in header.file.variables.items()
        if variable.dtype.kind in "MO" and variable.size == 1 and "bound" not in str(name)
    ]
    if len(scalars) != 1:
        raise header.fault(
            f"dimensions {', '.join(map(str, header.data.dims))} and no axis of time",
            "a time axis with units like `days since 1950-01-01`",
            "add it",
        )
    (name,) = scalars
    stamp = header.file[name].reset_coords(drop=True).squeeze()
    data = header.data.drop_vars(name, errors="ignore").expand_dims({name: [stamp.values[()]]})
    return replace(header, data=data), {**roles, name: "T"}


def dates_of(header: Header, axis: str) -> Dates:
    """Find the date of each time stamp on an axis.

    Raises
    ------
    InputError
        If the stamps are no times.
    """
    stamps = header.data[axis]
    calendar = _calendar(stamps)
    if calendar is None:
        found = f"a time axis {axis} with units {stamps.attrs.get('units', stamps.encoding.get('units'))!r}"
        raise header.fault(found, "units like `days since 1950-01-01`", "correct the attribute")
    notes = []
    exact = stamps.dt.round("s")  # days as floats miss midnight by a hair
    if (starts := _starts_of_days(header.file, stamps)) is not None:
        notes.append("stamps at the end of the day counted to the day before, by their bounds.")
        exact = starts
    dates = exact.dt.floor("D")
    hours = sorted({f"{h:02d}:{m:02d}" for h, m in zip(exact.dt.hour.values, exact.dt.minute.values, strict=True)})
    if hours != ["00:00"]:
        shown = hours[0] if len(hours) == 1 else f"{len(hours)} different hours"
        notes.append(f"stamps at {shown} taken as dates.")
    days = (dates.dt.year * 10000 + dates.dt.month * 100 + dates.dt.day).values.astype("int64")
    return Dates(dates, days, calendar, tuple(map(header.source.note, notes)))


def _calendar(stamps: xr.DataArray) -> str | None:
    """The calendar of the stamps; None if they are no times."""
    if stamps.dtype.kind not in "MO" or stamps.isnull().any():
        return None
    try:
        return "standard" if stamps.dtype.kind == "M" else str(stamps.dt.calendar)
    except (AttributeError, TypeError):
        return None


def _starts_of_days(ds: xr.Dataset, stamps: xr.DataArray) -> xr.DataArray | None:
    """The start of each day where every stamp stands at the end of a day by its bounds; None elsewhere."""
    bounds = stamps.attrs.get("bounds", stamps.encoding.get("bounds"))
    if bounds not in ds.variables or ds[bounds].dtype.kind != stamps.dtype.kind or ds[bounds].shape != (stamps.size, 2):
        return None
    exact = stamps.dt.round("s")
    start, end = (ds[bounds][:, i].dt.round("s") for i in (0, 1))
    is_a_day = (end.values - start.values) == np.timedelta64(1, "D")
    is_end = exact.values == end.values
    is_midnight = exact.values == exact.dt.floor("D").values
    return exact.copy(data=start.values) if np.all(is_a_day) and np.all(is_end) and np.all(is_midnight) else None
