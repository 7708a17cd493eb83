"""What the values of raw files may be.

Input: fields and maps in canonical units, still on the disk. Output: which cells are valid, the maps of the ground, and
sentences about what was changed. Values that cannot be true are refused, with the likely cause.
"""

from __future__ import annotations

from collections.abc import Sequence

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import Grid
from rainshaft.data.rawfile import StaticMap
from rainshaft.data.year import VariableYear

TINY_NEGATIVE = -0.1  # mm/day; packing and spectral models leave such values  # ASSUME
MOST_RAIN = 2000.0  # mm/day; the highest daily total ever measured is 1825 mm  # ASSUME
LEAST_RAIN = 1.0  # mm/day; a year in which no cell reaches this has wrong units, or no rain to learn from  # ASSUME
TEMPERATURES = (100.0, 400.0)  # K; outside of this the units are wrong  # ASSUME
NO_VALUE = 1e15  # larger numbers are fill values that the file does not declare  # ASSUME
HIGHEST_GROUND = 12000.0  # m; higher than any mountain  # ASSUME
USUAL_NO_VALUE = -9999.0  # m; files mark missing elevations with it  # ASSUME


def read_content(records: Sequence[tuple[VariableYear, xr.DataArray]]) -> dict[str, xr.Dataset]:
    """Read all data once, and keep counts and extremes.

    Parameters
    ----------
    records
        Each variable with its data (time, lat, lon); the rain comes first.

    Returns
    -------
    By the key of the variable, for each day: `finite`, the number of values; `negative`, the number below 0; `low` and
    `high`, the extremes. `days_with_value` says for each cell (lat, lon) on how many days it has one.

    Raises
    ------
    InputError
        If data cannot be read.
    """

    def summary(data: xr.DataArray) -> xr.Dataset:
        days = {"finite": _is_finite(data).sum(("lat", "lon")), "negative": (data < 0).sum(("lat", "lon"))}
        days |= {"low": data.min(("lat", "lon")), "high": data.max(("lat", "lon"))}
        return xr.Dataset(days | {"days_with_value": _is_finite(data).sum("time")})

    asked = {record.source.key: summary(data) for record, data in records}
    try:
        (content,) = dask.compute(asked)
    except (RuntimeError, OSError):
        for record, _ in records:
            record.find_unreadable()
        raise
    return content


def _is_finite(data: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(np.isfinite, data, dask="allowed")


# ------------------------------------------------------------------------------------------------ values


def check_values(record: VariableYear, content: xr.Dataset) -> list[str]:
    """Refuse values that cannot be true. Give sentences about what is changed.

    Raises
    ------
    InputError
        If a value cannot be true.
    """
    _require_numbers(record, content)
    if record.source.quantity == "rain":
        return _check_rain(record, content)
    if record.source.quantity == "temperature":
        _check_temperature(record, content)
    return []


def _require_numbers(record: VariableYear, content: xr.Dataset) -> None:
    largest = np.fmax(np.abs(content["low"].values), np.abs(content["high"].values))
    if (largest > NO_VALUE).any():
        first = int((largest > NO_VALUE).argmax())
        found = f"{largest[first]:g} on {record.date(first)}"
        raise record.fault(first, found, "numbers", "declare the fill value as _FillValue")


def _check_rain(record: VariableYear, content: xr.Dataset) -> list[str]:
    low, high = content["low"].values, content["high"].values
    lowest, highest = int(np.nanargmin(low)), int(np.nanargmax(high))
    if low[lowest] <= TINY_NEGATIVE:
        raise record.fault(
            lowest,
            f"{low[lowest]:g} mm/day on {record.date(lowest)}",
            "no negative rain",
            "correct the data; if it marks missing values, declare it as _FillValue",
        )
    if high[highest] > MOST_RAIN:
        found = f"{high[highest]:g} mm/day on {record.date(highest)}"
        raise record.fault(highest, found, f"at most {MOST_RAIN:g} mm/day", _check_units(record))
    if high[highest] < LEAST_RAIN:
        found = f"no value over {high[highest]:g} mm/day in the whole year"
        raise record.fault(highest, found, f"rain of {LEAST_RAIN:g} mm/day somewhere", _check_units(record))
    negative = int(content["negative"].sum())
    note = f"{negative} values between {TINY_NEGATIVE} and 0 mm/day set to 0."
    return [record.source.note(note)] if negative else []


def _check_temperature(record: VariableYear, content: xr.Dataset) -> None:
    low, high = content["low"].values, content["high"].values
    cold, hot = int(np.nanargmin(low)), int(np.nanargmax(high))
    for day, value in ((cold, low[cold]), (hot, high[hot])):
        if not TEMPERATURES[0] <= value <= TEMPERATURES[1]:
            found, expected = f"{value:g} K on {record.date(day)}", "{:g} to {:g} K".format(*TEMPERATURES)
            raise record.fault(day, found, expected, _check_units(record))


def _check_units(record: VariableYear) -> str:
    return f"check its units {record.raw_units!r}" if record.raw_units else "check its units"


# ------------------------------------------------------------------------------------------------ maps


def read_elevation(raw: StaticMap, grid: Grid) -> tuple[NDArray[np.float64], list[str]]:
    """Read the height of the ground in m (lat, lon), and give sentences about what is changed.

    Raises
    ------
    InputError
        If the map cannot be read, or has heights that no ground has.
    """
    data = raw.read(grid)
    missing = int(np.isnan(data).sum())
    data = np.nan_to_num(data)  # ASSUME cells without a value are sea
    if np.abs(data).max() > HIGHEST_GROUND or (data == USUAL_NO_VALUE).any():
        found = f"{data[np.unravel_index(np.abs(data).argmax(), data.shape)]:g} m"
        raise raw.header.fault(found, "heights of the ground in m", "check its units and fill value")
    return data, [raw.header.source.note(f"{missing} cells without a value set to 0 m.")] if missing else []


def read_land(raw: StaticMap, grid: Grid) -> tuple[NDArray[np.bool_], list[str]]:
    """Read which cells are land (lat, lon), and give sentences about what is changed.

    Raises
    ------
    InputError
        If the map cannot be read, or is neither a share nor a percentage.
    """
    data = raw.read(grid)
    low, high = np.nanmin(data), np.nanmax(data)
    percent = raw.conversion.raw_units.strip() in ("%", "percent") or high > 1.5
    if low < 0 or high > (100.5 if percent else 1.5):
        raise raw.header.fault(f"values from {low:g} to {high:g}", "0 to 1 or 0 to 100 %", "correct them")
    share = np.nan_to_num(data / 100 if percent else data)
    notes = [raw.header.source.note("percent; cells with more than 50 % count as land.")] if percent else []
    return share > 0.5, notes
