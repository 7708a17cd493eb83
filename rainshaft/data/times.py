"""When the records of raw files are, and to which day each of them belongs.

The day of a record is the day in which the middle of its bounds lies. Where a file has no bounds, its stamps, the
distance between them and what is known of the variable have to tell.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.header import Header
from rainshaft.data.units import is_amount

Numbers = NDArray[np.float64]
"""days since EPOCH, in the calendar of the file"""
Method = Literal["sum", "mean", "maximum", "minimum"]

EPOCH = "days since 1850-01-01"
STANDARD = (
    "standard",
    "gregorian",
    "proleptic_gregorian",
    "julian",
)  # calendars whose dates since 1583 have one meaning
SECOND = 1 / 86400
DAILY = 0.1  # of a day; records whose length differs less from a day are daily  # ASSUME
FIRST_TIME = 10**9  # a number that is larger is no date yyyymmdd but a time yyyymmddhhmm
OUTSIDE = 0.01  # of a record; a stamp that lies farther outside its bounds contradicts them  # ASSUME


@dataclass(frozen=True)
class Records:
    """When the records of one file are, as the file says it."""

    header: Header
    stamps: Numbers
    calendar: str
    bounds: tuple[Numbers, Numbers] | None
    """start and end of each record"""
    interval: float | None
    """length of a record in days, where an attribute tells it"""


@dataclass(frozen=True)
class Timing:
    """What all files of a variable together say about their records."""

    length: float
    """length of a record in days"""
    middles: Sequence[Numbers]
    """middle of each record of each file; NaN for a record of no length"""
    method: Method
    """what makes a day of several records"""
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    """what the files do not tell, and what was assumed; without the name of the variable"""

    @property
    def a_day(self) -> int:
        """How many records make a day."""
        return max(1, round(1 / self.length))

    def later(self, days: int) -> Timing:
        """Count each record for so many days later."""
        return replace(self, middles=[middles + days for middles in self.middles]) if days else self


# ------------------------------------------------------------------------------------------------ one file


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
    if len(scalars) > 1:  # a forecast also has the time of its start
        scalars = [name for name in scalars if header.file[name].attrs.get("standard_name") == "time"] or scalars
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


def records_of(header: Header, axis: str) -> Records:
    """Read when the records of a file are.

    Raises
    ------
    InputError
        If the stamps are no times, or lie outside their own bounds.
    """
    stamps = header.data[axis]
    calendar = _calendar(stamps)
    if calendar is None:
        found = f"a time axis {axis} with units {stamps.attrs.get('units', stamps.encoding.get('units'))!r}"
        raise header.fault(found, "units like `days since 1950-01-01`", "correct the attribute")
    numbers = _numbers(stamps, calendar)
    bounds = _bounds(header, axis, calendar)
    if bounds is not None and header.source.day.stamps == "auto":
        _require_stamps_in_bounds(header, numbers, bounds)
    return Records(header, numbers, calendar, bounds, _interval(header))


def _calendar(stamps: xr.DataArray) -> str | None:
    """The calendar of the stamps; None if they are no times."""
    if stamps.dtype.kind not in "MO" or stamps.isnull().any():
        return None
    try:
        return "standard" if stamps.dtype.kind == "M" else str(stamps.dt.calendar)
    except (AttributeError, TypeError):
        return None


def _numbers(times: xr.DataArray, calendar: str) -> Numbers:
    """Times as days since EPOCH, to the second: days as floats miss midnight by a hair."""
    if times.dtype.kind == "M":
        days = (times.values - np.datetime64("1850-01-01", "ns")) / np.timedelta64(1, "D")
    else:
        days = np.asarray(cftime.date2num(times.values, EPOCH, calendar), dtype="float64")
    return np.round(days / SECOND) * SECOND


def _bounds(header: Header, axis: str, calendar: str) -> tuple[Numbers, Numbers] | None:
    """Start and end of each record; None if the file has no bounds that can be read."""
    if axis not in header.file.variables:
        return None
    stamps = header.file[axis]
    name = stamps.attrs.get("bounds", stamps.encoding.get("bounds"))
    if name not in header.file.variables:
        return None
    bounds = header.file[name]
    if bounds.ndim == 1 and stamps.ndim == 0:
        bounds = bounds.expand_dims(axis)
    if bounds.ndim == 2 and bounds.dims[1] == axis:
        bounds = bounds.transpose()
    if bounds.shape != (stamps.size, 2):
        return None
    if bounds.dtype.kind in "fiu":  # their own units are lacking or wrong, so those of the stamps count
        decoded = _decoded(bounds, stamps, calendar)
        if decoded is None:
            return None
        bounds = decoded
    if bounds.dtype.kind != stamps.dtype.kind or bounds.isnull().any():
        return None
    start, end = _numbers(bounds[:, 0], calendar), _numbers(bounds[:, 1], calendar)
    return (start, end) if np.all(start <= end) else None


def _decoded(bounds: xr.DataArray, stamps: xr.DataArray, calendar: str) -> xr.DataArray | None:
    """Bounds in the units and the calendar of the time axis; None if it has no units."""
    units = stamps.encoding.get("units")
    if not units:
        return None
    attributes = {"units": units, "calendar": stamps.encoding.get("calendar", calendar)}
    plain = xr.Dataset({"bounds": (bounds.dims, bounds.values, attributes)})
    return xr.decode_cf(plain, decode_timedelta=False)["bounds"]


def _require_stamps_in_bounds(header: Header, stamps: Numbers, bounds: tuple[Numbers, Numbers]) -> None:
    start, end = bounds
    room = OUTSIDE * (end - start) + SECOND
    wrong = (stamps < start - room) | (stamps > end + room)
    if wrong.any():
        first = int(wrong.argmax())
        raise header.fault(
            f"a stamp {_days_apart(stamps[first], start[first], end[first])} its bounds",
            "stamps within their bounds",
            f"correct the bounds, or let the stamps count: {header.source.key}.day: start",
        )


def _days_apart(stamp: float, start: float, end: float) -> str:
    return f"{start - stamp:g} days before" if stamp < start else f"{stamp - end:g} days after"


def _interval(header: Header) -> float | None:
    """Length of a record in days by `cell_methods`, such as `time: sum (interval: 1 hr)`; None where it is not told."""
    match = re.search(r"time:.*?interval:\s*(\d+(?:\.\d+)?)\s*([a-z]+)", str(header.data.attrs.get("cell_methods", "")))
    units = {"h": 1 / 24, "m": 1 / 1440, "d": 1.0, "s": SECOND}
    return float(match[1]) * units[match[2][0]] if match and match[2][0] in units else None


# ------------------------------------------------------------------------------------------------ all files


def timing_of(files: Sequence[Records]) -> Timing:
    """Find out how long a record is, and where its middle lies.

    Parameters
    ----------
    files
        The records of all files of a variable, since one file may hold a single record.

    Raises
    ------
    InputError
        If the records are neither days nor equal parts of a day.
    """
    header = files[0].header
    source, rule = header.source, header.source.day
    method = _method(header)
    notes: list[str] = []
    doubts: list[str] = []
    bounded = [file.bounds for file in files if file.bounds is not None]
    if rule.stamps == "auto" and len(bounded) == len(files):
        lengths = np.concatenate([end - start for start, end in bounded])
        if not lengths.any():
            raise header.fault(
                "bounds that have no length", "records of a day or less", f"write {source.key}.day: start"
            )
        length = _length(header, float(np.median(lengths[lengths > 0])), "by its bounds")
        middles = [np.where(end > start, (start + end) / 2, np.nan) for start, end in bounded]
        if empty := int((lengths == 0).sum()):
            notes.append(f"{empty} record(s) of no length left out.")
        if length == 1 and any((np.floor(m) < np.floor(f.stamps)).any() for m, f in zip(middles, files, strict=True)):
            notes.append("stamps at the end of the day counted to the day before, by their bounds.")
    else:
        length = _length(header, _spacing(files), "by the distance of its stamps")
        side = rule.stamps if rule.stamps != "auto" else _usual_side(header, method, length)
        if length == 1:
            middles = [np.floor(file.stamps) + (0.5 if side != "end" else -0.5) for file in files]
            doubts += _doubts_of_days(files) if rule.stamps == "auto" else []
        else:
            shift = {"start": 0.5, "middle": 0.0, "end": -0.5}[side]
            middles = [file.stamps + shift * length for file in files]
            if rule.stamps == "auto":
                doubts.append(f"stamps without bounds are taken for the {side} of their records.")
        if rule.stamps == "end":
            notes.append("stamps counted as the end of their records, as the configuration says.")
    if length == 1:
        notes += _notes_on_hours(files)
        if rule.starts != "00:00":
            raise header.fault(
                "records of a day",
                "records of less than a day, which `starts` gathers",
                f"remove {source.key}.day.starts",
            )
    else:
        words = {"sum": "summed", "mean": "averaged", "maximum": "the highest taken", "minimum": "the lowest taken"}
        notes.append(f"{round(1 / length)} records a day, {words[method]} for days from {rule.starts}.")
    offset = _offset(rule.starts)
    middles = [middle - offset for middle in middles]
    return Timing(length, middles, method, tuple(map(source.note, notes)), tuple(doubts))


def _method(header: Header) -> Method:
    """What makes a day of several records of this variable."""
    methods = str(header.data.attrs.get("cell_methods", ""))
    step_type = str(header.data.attrs.get("GRIB_stepType", ""))
    of_time = re.search(r"time:\s*(\w+)", methods)
    stated = (
        of_time[1] if of_time else {"accum": "sum", "avg": "mean", "max": "maximum", "min": "minimum"}.get(step_type)
    )
    if header.source.quantity == "rain":
        return "sum" if is_amount(header) else "mean"
    if stated in ("sum", "maximum", "minimum"):
        return stated  # type: ignore[return-value]  # one of the three
    return "mean"


def _spacing(files: Sequence[Records]) -> float:
    """The usual distance of the stamps of all files in days, or the length that an attribute tells."""
    stamps = np.unique(np.concatenate([file.stamps for file in files]))
    if len(stamps) > 1:
        return float(np.median(np.diff(stamps)))
    if files[0].interval is not None:
        return files[0].interval
    raise files[0].header.fault(
        "one record without bounds",
        "more records, or bounds, that say how long a record is",
        f"name all files of the record in {files[0].header.source.files_key}, or add bounds to the time axis",
    )


def _length(header: Header, days: float, by: str) -> float:
    """The length of a record: a day, or a whole part of a day."""
    if abs(days - 1) < DAILY:
        return 1.0
    parts = round(1 / days) if days > 0 else 0
    if parts >= 2 and abs(parts * days - 1) < DAILY:
        return 1 / parts
    words = f"{days:.3g} days" if days > 1 else f"{24 * days:.3g} hours"
    raise header.fault(
        f"records of {words} ({by})",
        "records of a day, or of an equal part of a day",
        "use the daily version of these data, or make days of them first",
    )


def _usual_side(header: Header, method: Method, length: float) -> Literal["start", "middle", "end"]:
    """Where a stamp without bounds usually stands in its record."""
    if length == 1:
        return "start"
    is_accumulated = header.data.attrs.get("GRIB_stepType") in ("accum", "avg", "max", "min")
    return "end" if is_accumulated or method == "sum" else "middle"


def _doubts_of_days(files: Sequence[Records]) -> list[str]:
    """Say what cannot be known of daily records that are stamped at 00:00 without bounds."""
    stamps = np.concatenate([file.stamps for file in files])
    if (stamps != np.floor(stamps)).any():
        return []
    return ["stamps at 00:00 without bounds are taken for the start of their day."]


def _notes_on_hours(files: Sequence[Records]) -> list[str]:
    """Say that daily stamps at another hour than 00:00 were taken as dates."""
    seconds = np.unique(np.concatenate([np.round((f.stamps - np.floor(f.stamps)) / SECOND).astype(int) for f in files]))
    if list(seconds) == [0]:
        return []
    clock = f"{seconds[0] // 3600:02d}:{seconds[0] // 60 % 60:02d}"
    return [f"stamps at {clock if len(seconds) == 1 else f'{len(seconds)} different hours'} taken as dates."]


def _offset(clock: str) -> float:
    """A time of the day as a part of a day: `-21:00` is -0.875."""
    hours, minutes = clock.lstrip("-").split(":")
    return (-1 if clock.startswith("-") else 1) * (int(hours) / 24 + int(minutes) / 1440)


# ------------------------------------------------------------------------------------------------ calendars


@functools.cache
def calendar_year(year: int, calendar: str) -> tuple[int, NDArray[np.int64], Any]:
    """Give the days of a year.

    Returns
    -------
    The number of its first day since EPOCH, all dates as numbers yyyymmdd, and all dates as they are written:
    datetime64 for the standard calendar, and the type of the calendar for others.
    """
    dates = xr.date_range(f"{year}-01-01", f"{year + 1}-01-01", inclusive="left", calendar=calendar, use_cftime=True)
    days = np.array([d.year * 10000 + d.month * 100 + d.day for d in dates], dtype=np.int64)
    first = int(cftime.date2num(dates[0], EPOCH, calendar))
    if calendar in STANDARD:
        written = np.array([iso(day) for day in days], dtype="datetime64[ns]")
    else:
        written = np.asarray(dates.values)
    return first, days, written


def iso(day: int) -> str:
    """Write a date yyyymmdd as YYYY-MM-DD, and a time yyyymmddhhmm as YYYY-MM-DD hh:mm."""
    if day >= FIRST_TIME:
        return f"{iso(day // 10000)} {day // 100 % 100:02d}:{day % 100:02d}"
    return f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
