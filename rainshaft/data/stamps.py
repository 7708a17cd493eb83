"""Time axes as people have them, brought to the form of the CF conventions, so that xarray decodes them.

Input: a dataset that is not decoded. Output: the same dataset, whose time variables have numbers, `units` like
`days since 1950-01-01` and a `calendar` that xarray knows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import cftime
import numpy as np
import xarray as xr

CALENDARS = {
    "": "standard",
    "none": "standard",
    "standard": "standard",
    "gregorian": "standard",
    "proleptic_gregorian": "proleptic_gregorian",
    "gregorian_proleptic": "proleptic_gregorian",
    "noleap": "noleap",
    "no_leap": "noleap",
    "365_day": "noleap",
    "365": "noleap",
    "all_leap": "all_leap",
    "366_day": "all_leap",
    "360_day": "360_day",
    "360": "360_day",
    "julian": "julian",
}
"""calendar of a file, in small letters -> its name in CF"""

TIME_NAMES = ("time", "t", "day", "days", "date", "dates", "valid_time", "times", "datetime", "xtime")
"""names of axes of time, in small letters"""

SINCE = re.compile(r"\s*([a-z]+)\s+since\s+(.*\S)\s*", re.IGNORECASE)
EPOCH = re.compile(r"([-+]?\d{1,6})-(\d{1,2})-(\d{1,2})(?!\d)(.*)")
DATE_TEXT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:[T_ ]?(\d\d):?(\d\d)?(?::?(\d\d))?(?:\.\d*)?)?\s*(?:Z|UTC)?")

COMMON_YEARS = range(1901, 2100)  # in these years the Julian calendar has the leap days of the standard one


class UnclearTimeError(ValueError):
    """A time variable cannot be decoded without doubt: what was found, what was expected, what to do."""

    def __init__(self, found: str, expected: str, cure: str) -> None:
        super().__init__(found, expected, cure)
        self.found, self.expected, self.cure = found, expected, cure


@dataclass(frozen=True)
class Stamps:
    """A dataset whose times can be decoded."""

    file: xr.Dataset
    notes: tuple[str, ...]
    """sentences about times that were read in an unusual way"""


def with_cf_times(file: xr.Dataset, dims: Collection[Any]) -> Stamps:
    """Bring the time variables of a file to CF.

    Parameters
    ----------
    file
        The file, not decoded.
    dims
        The dimensions of the variable that is asked for, empty for one that does not change with time. The time on
        these must be clear. Any other time that is unclear is left out.

    Raises
    ------
    UnclearTimeError
        If the time of the variable cannot be decoded without doubt.
    """
    notes: list[str] = []
    unclear: UnclearTimeError | None = None
    file = _with_times_of_texts(file, dims, notes)
    bounds = _bounds_of_times(file)
    for name in [str(v) for v in file.variables if v not in bounds.values()]:
        try:
            if (changed := _cf_time(name, file[name].variable, name in dims, notes)) is not None:
                _require_decodable(name, changed)
                file = file.assign({name: changed})
        except UnclearTimeError as error:
            if name in dims:
                raise
            if dims and file[name].size == 1 and name.lower() in TIME_NAMES:
                unclear = error
            file = file.drop_vars(name)
    if unclear and not any(_is_cf_time(file[v].attrs) for v in file.variables if v in dims or file[v].size == 1):
        raise unclear
    for name, its_bounds in bounds.items():
        if name in file.variables:
            file = _with_decodable_bounds(file, name, its_bounds)
    return Stamps(file, tuple(dict.fromkeys(notes)))


def _require_decodable(name: str, variable: xr.Variable) -> None:
    """Raise an UnclearTimeError if xarray cannot decode a time."""
    try:
        xr.conventions.decode_cf_variable(name, variable, decode_timedelta=False)
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:
        raise _undecodable(name, variable.attrs, error) from None


def _is_cf_time(attributes: dict[Any, Any]) -> bool:
    return SINCE.fullmatch(str(attributes.get("units", ""))) is not None


def _undecodable(name: str, attributes: dict[Any, Any], error: Exception) -> UnclearTimeError:
    stated = ", ".join(f"{key} {attributes[key]!r}" for key in ("units", "calendar") if key in attributes)
    reason = " ".join(str(error).split("\n")[0].split())[:100]
    return UnclearTimeError(
        f"the time {name} with {stated or 'no units'} that cannot be decoded ({reason})",
        "units like 'days since 1950-01-01'",
        "correct the attribute: " + _set_attribute(name, "units", "days since YYYY-MM-DD"),
    )


def _set_attribute(name: str, key: str, value: str) -> str:
    return f"`ncatted -a {key},{name},o,c,'{value}' FILE`"


def _cf_time(name: str, variable: xr.Variable, is_axis: bool, notes: list[str]) -> xr.Variable | None:
    """The variable with attributes of CF; None if it is no time.

    Raises
    ------
    UnclearTimeError
        If it is a time, and cannot be decoded without doubt.
    """
    if variable.dtype.kind not in "iuf":
        return None
    units = str(variable.attrs.get("units", "")).strip()
    if since := SINCE.fullmatch(units):
        return _since(name, variable, since[1].lower(), since[2], notes if is_axis else [])
    if re.fullmatch(r"julian[ _]days?", units, re.IGNORECASE):
        days = variable.astype("float64") - 2400000.5  # a Julian day begins at noon
        notes.append(f"{name} counted in Julian days.")
        return _as_time(days, "days since 1858-11-17", "standard", variable.attrs)
    if re.match(r"(day as )?(%Y%m%d|yyyymmdd)", units, re.IGNORECASE):
        return _numbered_dates(name, variable)
    if is_axis and _is_named_time(name, variable.attrs):
        if not units and _look_like_dates(variable):
            notes.append(f"{name} states no units; its numbers read as dates YYYYMMDD.")
            return _numbered_dates(name, variable)
        raise UnclearTimeError(
            f"the time {name} with " + (f"units {units!r}" if units else "no units"),
            "units like 'days since 1950-01-01'",
            "write the attribute: " + _set_attribute(name, "units", "days since YYYY-MM-DD"),
        )
    return None


def _is_named_time(name: str, attributes: dict[Any, Any]) -> bool:
    stated = (str(attributes.get("standard_name", "")), str(attributes.get("axis", "")))
    return stated[0] == "time" or stated[1].upper() == "T" or name.lower() in TIME_NAMES


def _as_time(variable: xr.Variable, units: str, calendar: str, attributes: dict[Any, Any]) -> xr.Variable:
    kept = {key: value for key, value in attributes.items() if key not in ("units", "calendar")}
    return xr.Variable(variable.dims, variable.data, {**kept, "units": units, "calendar": calendar})


def _since(name: str, variable: xr.Variable, unit: str, epoch: str, notes: list[str]) -> xr.Variable:
    """A time that counts from an epoch."""
    attributes = variable.attrs
    if unit.rstrip("s") in ("month", "year", "season", "decade", "pentad", "week"):
        raise UnclearTimeError(
            f"the time {name} that counts {unit} ({attributes['units']!r})",
            "days; such data are no daily values",
            "use daily data; if they are daily, correct the attribute: "
            + _set_attribute(name, "units", "days since YYYY-MM-DD"),
        )
    calendar = _calendar(name, attributes)
    day = _epoch(name, str(attributes["units"]), epoch)
    if day[0] == 0 and calendar in ("standard", "julian"):
        raise _year_zero(name, variable, unit)
    year, month, day_of_month, rest = day
    sign, digits = ("-" if year < 0 else ""), f"{abs(year):04d}"
    units = f"{unit} since {sign}{digits}-{month:02d}-{day_of_month:02d}{rest}"
    if calendar == "julian" and year in COMMON_YEARS and _ends_in_common_years(variable, units):
        notes.append("calendar julian read as standard; both have the same days from 1901 to 2099.")
        calendar = "standard"
    changed = variable.copy(deep=False)
    changed.attrs = {**attributes, "units": units, "calendar": calendar}
    return changed


def _calendar(name: str, attributes: dict[Any, Any]) -> str:
    stated = str(attributes.get("calendar", attributes.get("calendar_type", "")))
    if (known := CALENDARS.get(stated.strip().lower())) is None:
        names = ", ".join(dict.fromkeys(CALENDARS.values()))
        raise UnclearTimeError(
            f"the time {name} with calendar {stated!r}",
            f"one of {names}",
            "correct the attribute: " + _set_attribute(name, "calendar", "standard"),
        )
    return known


def _epoch(name: str, units: str, epoch: str) -> tuple[int, int, int, str]:
    """Year, month, day and time of the day from which a time counts."""
    dashes = re.sub(r"^(\d{4})(\d\d)(\d\d)(?!\d)", r"\1-\2-\3", epoch)
    dashes = re.sub(r"^(\d{4})(-\d{1,2})?$", lambda m: f"{m[1]}{m[2] or '-01'}-01", dashes)
    match = EPOCH.fullmatch(dashes)
    if match is None:
        raise UnclearTimeError(
            f"the time {name} with units {units!r}",
            "a date like 1950-01-31 after `since`, since other orders of day and month are ambiguous",
            "correct the attribute: " + _set_attribute(name, "units", "days since YYYY-MM-DD"),
        )
    return int(match[1]), int(match[2]), int(match[3]), match[4]


def _ends_in_common_years(variable: xr.Variable, units: str) -> bool:
    values = np.asarray(variable.values, "float64")
    values = values[np.isfinite(values)]
    if not values.size:
        return True
    ends = cftime.num2date([values.min(), values.max()], units, "julian")
    return all(end.year in COMMON_YEARS for end in ends)


def _year_zero(name: str, variable: xr.Variable, unit: str) -> UnclearTimeError:
    """The error about an epoch in the year 0, which programs read in three ways that differ by up to two days."""
    command = _set_attribute(name, "calendar", "proleptic_gregorian")
    cure = f"if it counts by the calendar of today, say so: {command}"
    first = float(np.ravel(variable.values)[0]) if variable.size else np.nan
    example = ""
    if unit.startswith("day") and 0 < first < 4e6:
        iso, matlab = (
            cftime.num2date(first - shift, "days since 0000-01-01", "proleptic_gregorian").strftime("%Y-%m-%d")
            for shift in (0, 1)
        )
        example = f"; its first stamp is {iso}, or {matlab} if it is a `datenum` of MATLAB"
        other = _set_attribute(name, "units", "days since -0001-12-31")
        cure = f"if {iso} is right, say so: {command}; if {matlab} is right, also write {other}"
    return UnclearTimeError(
        f"the time {name} with units {variable.attrs['units']!r}{example}",
        "an epoch that every program reads in one way; the calendars of dates have no year 0",
        cure,
    )


def _look_like_dates(variable: xr.Variable) -> bool:
    values = np.asarray(variable.values)
    whole = values.size > 0 and bool(np.all(np.isfinite(values)) and np.all(values == np.floor(values)))
    return whole and bool(np.all((values >= 15830101) & (values <= 29991231)))


def _numbered_dates(name: str, variable: xr.Variable) -> xr.Variable:
    """Days since 1850 for days that are written as numbers like 20200131.5, as CDO does."""
    calendar, units = _calendar(name, variable.attrs), "days since 1850-01-01"
    numbers = np.asarray(variable.values, "float64")
    whole = np.floor(np.ravel(numbers) + 1e-6).astype(int)
    try:
        dates = [cftime.datetime(d // 10000, d // 100 % 100, d % 100, calendar=calendar) for d in whole]
    except ValueError as error:
        raise _undecodable(name, variable.attrs, error) from None
    days = cftime.date2num(dates, units, calendar) + (np.ravel(numbers) - whole) if len(dates) else np.empty(0)
    return _as_time(xr.Variable(variable.dims, days.reshape(numbers.shape)), units, calendar, variable.attrs)


def _with_times_of_texts(file: xr.Dataset, dims: Collection[Any], notes: list[str]) -> xr.Dataset:
    """Make a time axis of dates that are written as texts, as WRF does in `Times`."""
    for name in [str(v) for v in file.variables]:
        variable = file[name].variable
        if name.lower() not in TIME_NAMES or not variable.dims or variable.dims[0] not in dims:
            continue
        axis = str(variable.dims[0])
        if (axis in file.variables and axis != name) or (texts := _texts(variable)) is None:
            continue
        matches = [DATE_TEXT.fullmatch(text.strip("\x00 ")) for text in texts]
        if not matches or any(match is None for match in matches):
            raise UnclearTimeError(
                f"the time {name} of texts such as {texts[0] if texts else ''!r}",
                "dates such as 2001-12-31 or 2001-12-31_06:00:00",
                "replace it by numbers with units like 'days since 1950-01-01'",
            )
        try:
            stamps = [_seconds(match) for match in matches if match]
        except ValueError as error:
            raise _undecodable(name, {"units": texts[0]}, error) from None
        notes.append(f"dates read from the texts of {name}.")
        attributes = {"standard_name": "time", "units": "seconds since 1970-01-01", "calendar": "standard"}
        file = file.drop_vars(name).assign_coords({axis: (axis, np.array(stamps, "int64"), attributes)})
    return file


def _texts(variable: xr.Variable) -> list[str] | None:
    """The texts of a variable, one for each entry of its first dimension; None if it has no texts."""
    if variable.dtype.kind == "S" and variable.ndim == 2:  # characters
        rows = np.ascontiguousarray(variable.values)
        return [b"".join(row.tolist()).decode("latin-1") for row in rows]
    if variable.ndim == 1 and variable.dtype.kind in "SUOT":
        return [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in variable.values.tolist()]
    return None


def _seconds(match: re.Match[str]) -> int:
    """Seconds since 1970 of a date."""
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    stamp = np.datetime64(f"{year:04d}-{month:02d}-{day:02d}T00:00:00", "s").astype("int64")
    return int(stamp) + 3600 * hour + 60 * minute + second


def _bounds_of_times(file: xr.Dataset) -> dict[str, str]:
    """The bounds of each variable that may be a time: those that it names, else those whose own name says so."""
    found = {}
    for name in map(str, file.variables):
        attributes = file[name].attrs
        stated = attributes.get("bounds") or attributes.get("climatology")
        guessed = (f"{name}_bnds", f"{name}_bounds", f"{name}_bound") if _is_named_time(name, attributes) else ()
        for bounds in (str(stated or ""), *guessed):
            if bounds in file.variables and name not in found:
                found[name] = bounds
    return found


def _with_decodable_bounds(file: xr.Dataset, name: str, bounds: str) -> xr.Dataset:
    """Give bounds the units and calendar of their axis where they state none, and put their dimension last."""
    attributes, variable, dims = file[name].attrs, file[bounds].variable, file[name].dims
    if not _is_cf_time(attributes):
        return file
    if variable.dtype.kind not in "iuf" or variable.ndim != len(dims) + 1 or not set(dims) < set(variable.dims):
        return file
    (pair,) = (dim for dim in variable.dims if dim not in dims)
    variable = variable.transpose(*dims, pair)
    stated = variable.attrs
    own = {"units": stated["units"]} if _is_cf_time(stated) else {"units": attributes["units"]}
    own["calendar"] = stated.get("calendar", attributes["calendar"])
    variable.attrs = {**stated, **own}
    try:
        if (changed := _cf_time(bounds, variable, False, [])) is None:
            return file
        _require_decodable(bounds, changed)
    except UnclearTimeError:
        return file.drop_vars(bounds)
    file = file.assign({bounds: changed})
    if "climatology" not in attributes:
        file[name].attrs["bounds"] = bounds
    return file
