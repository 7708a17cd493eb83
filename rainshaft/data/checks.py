"""What the values of raw files may be.

Input: fields and maps in canonical units, still on the disk. Output: which cells are valid, the maps of the ground, and
sentences about what was changed. Values that cannot be true are refused, with the likely cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import Grid
from rainshaft.data.rawfile import RawFile, StaticMap
from rainshaft.data.units import factor_between
from rainshaft.data.year import VariableYear

TINY_NEGATIVE = -0.1  # mm/day; packing and spectral models leave such values  # ASSUME
MOST_RAIN = 2000.0  # mm/day; the highest daily total ever measured is 1825 mm  # ASSUME
INTENSITY = 0.525  # the highest rate of rain grows with this power of the steps in a day (Jennings 1950)
LEAST_RAIN = 1.0  # mm/day; a year in which no cell reaches this has wrong units, or no rain to learn from  # ASSUME
TEMPERATURES = (100.0, 400.0)  # K; outside of this the units are wrong  # ASSUME
NO_VALUE = 1e15  # larger numbers are fill values that the file does not declare  # ASSUME
HIGHEST_GROUND = 12000.0  # m; higher than any mountain  # ASSUME
LEAST_STEP = 0.05  # mm; smaller falls of a running sum come from packing  # ASSUME
LEAST_RISES = 10  # days on which rain rises somewhere; fewer do not tell a running sum from rain  # ASSUME
MOST_FALLS = (
    0.25  # falls for each rise: rain falls about as often as it rises, a running sum at a restart only  # ASSUME
)
LONE_RAIN = 150.0  # mm/day; a cell with more, and
LONE_FACTOR = 3.0  # so many times the rain of each neighbour, is an error more often than not  # ASSUME
LONE_NEIGHBOURS = 3  # at least so many neighbours must have a value
MOST_LONE = 5  # more lone values in a year are the texture of this rain, and no errors  # ASSUME

MARKS = (
    *(-9999.0, -999.0, -99.0, -9999.9, -999.9, -99.9, -99999.0, -999999.0, -32768.0, -32767.0, -8888.0),
    *(9999.0, 999.0, 9999.9, 999.9, 99999.0, 999999.0, 32767.0, 65535.0),
)
"""numbers that files write where there is no value, in the units of the file; larger ones are found by `NO_VALUE`"""
MARK_CURE = "it marks missing values: declare it as _FillValue (for example with ncatted of NCO)"

LIMITS = {
    "relative_humidity": ("percent", -50.0, 250.0),
    "specific_humidity": ("kg/kg", -0.1, 1.0),
    "air_pressure": ("Pa", 1e-9, 2e5),
    "air_pressure_at_mean_sea_level": ("Pa", 5e4, 1.5e5),
    "surface_air_pressure": ("Pa", 1e4, 1.5e5),
}
"""standard name -> units, lowest and highest value that can be; wide enough for any model and any planet like ours"""


def read_content(records: Sequence[tuple[VariableYear, xr.DataArray]]) -> dict[str, xr.Dataset]:
    """Read all data once, and keep counts and extremes.

    Parameters
    ----------
    records
        Each variable with its data (time, lat, lon); the rain comes first.

    Returns
    -------
    By the key of the variable, for each day: `finite`, the number of values; `negative`, the number below 0; `low` and
    `high`, the extremes. `days_with_value` says for each cell (lat, lon) on how many days it has one. Coarse and fine
    rain have `rises` and `falls`, the number of days on which it is more or less somewhere than on the day before.

    Raises
    ------
    InputError
        If data cannot be read.
    """

    def summary(data: xr.DataArray) -> xr.Dataset:
        days = {"finite": _is_finite(data).sum(("lat", "lon")), "negative": (data < 0).sum(("lat", "lon"))}
        days |= {"low": data.min(("lat", "lon")), "high": data.max(("lat", "lon"))}
        return xr.Dataset(days | {"days_with_value": _is_finite(data).sum("time")})

    def steps(data: xr.DataArray) -> dict[str, xr.DataArray]:
        change = data.diff("time")
        return {
            name: (sign * change > LEAST_STEP).any(("lat", "lon")).sum() for name, sign in (("rises", 1), ("falls", -1))
        }

    asked = {record.source.id: summary(data) for record, data in records}
    for record, data in records:
        if record.source.quantity == "rain":
            asked[record.source.id] = asked[record.source.id].assign(steps(data))
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


def check_values(record: VariableYear, data: xr.DataArray, content: xr.Dataset) -> list[str]:
    """Refuse values that cannot be true. Give sentences about what is changed.

    Parameters
    ----------
    record
        The variable.
    data
        Its data (time, lat, lon), still on the disk. They are read again only where an extreme looks odd.
    content
        What `read_content` says of it.

    Raises
    ------
    InputError
        If a value cannot be true.
    """
    _require_numbers(record, content)
    _require_no_marks(record, data, content)
    if record.source.quantity == "rain":
        return _check_rain(record, content)
    if record.source.quantity == "temperature":
        _require_within(record, content, *TEMPERATURES)
    _require_within_limits(record, content)
    return []


def range_of(record: VariableYear, content: xr.Dataset) -> dict[str, float | str]:
    """Give the units, the lowest and the highest value, the number of values, and the share that is missing."""
    count = record.window_size * content.sizes["time"]
    return {
        "units": record.units,
        "min": float(f"{float(content['low'].min()):.6g}"),
        "max": float(f"{float(content['high'].max()):.6g}"),
        "values": count,
        "missing": round(1 - int(content["finite"].sum()) / count, 4),
    }


def _require_numbers(record: VariableYear, content: xr.Dataset) -> None:
    largest = np.fmax(np.abs(content["low"].values), np.abs(content["high"].values))
    if (largest > NO_VALUE).any():
        first = int((largest > NO_VALUE).argmax())
        found = f"{largest[first]:g} on {record.date(first)}"
        raise record.fault(first, found, "numbers", "declare the fill value as _FillValue")


def _require_no_marks(record: VariableYear, data: xr.DataArray, content: xr.Dataset) -> None:
    """Refuse numbers that stand where there is no value. They are looked for only where an extreme is such a number."""
    extremes = float(content["low"].min()), float(content["high"].max())
    for mark in _marks_among(extremes, record.first):
        is_mark = _equals(data, mark.canonical)
        others = data.where(~is_mark)
        count, low, high = dask.compute(is_mark.sum(("lat", "lon")), others.min(), others.max())
        if mark.is_far_from(float(low), float(high)):
            days = np.flatnonzero(count.values)
            first = int(days[0])
            found = (
                f"{mark.text} {int(count.sum())} times on {len(days)} day(s), the first is {record.date(first)}, while "
                f"all other values lie from {float(low):g} to {float(high):g} {record.units}"
            )
            raise record.fault(first, found, "values, or NaN where there is none", MARK_CURE)


@dataclass(frozen=True)
class _Mark:
    """A number that may stand where there is no value."""

    text: str
    """the number as the file has it"""
    canonical: float
    """the number in canonical units"""
    distance: float
    """no value that is nearer to it, in canonical units; NaN: half of the range of the other values"""

    def is_far_from(self, low: float, high: float) -> bool:
        """Whether it lies far outside of the range of all other values. A pressure of 999 hPa does not."""
        if np.isnan(low):
            return True
        gap = max(low - self.canonical, self.canonical - high)
        return gap > (0.5 * (high - low) if np.isnan(self.distance) else self.distance)


def _marks_among(extremes: Sequence[float], raw: RawFile) -> list[_Mark]:
    """Find the marks of no value that equal an extreme."""
    slope, offset = raw.conversion.slope, raw.conversion.offset
    marks = [_Mark(f"{mark:g}", slope * mark + offset, 0.5 * abs(slope * mark)) for mark in MARKS]
    encoding = raw.header.data.encoding
    packed = np.dtype(encoding.get("dtype", "f4"))
    if packed.kind in "iu" and packed.itemsize < 8:
        scale, add = (
            float(np.ravel(encoding.get(key, default))[0]) for key, default in (("scale_factor", 1), ("add_offset", 0))
        )
        limits = np.iinfo(packed)
        for mark in {-9999, -999, -99, limits.min, limits.min + 1, limits.max, limits.max - 1}:
            value = slope * (mark * scale + add) + offset
            marks.append(_Mark(f"{mark} (packed)", value, np.nan))
    return [mark for mark in marks if any(_equals(value, mark.canonical) for value in extremes)]


def _equals(data: Any, value: float) -> Any:
    """Whether data in single precision are a number."""
    return abs(data - value) <= 1e-6 * abs(value)


def _require_within(record: VariableYear, content: xr.Dataset, lowest: float, highest: float) -> None:
    low, high = content["low"].values, content["high"].values
    for day, value in ((int(np.nanargmin(low)), np.nanmin(low)), (int(np.nanargmax(high)), np.nanmax(high))):
        if not lowest <= value <= highest:
            found, expected = (
                f"{value:g} {record.units} on {record.date(day)}",
                f"{lowest:g} to {highest:g} {record.units}",
            )
            raise record.fault(day, found, expected, _check_units(record))


def _require_within_limits(record: VariableYear, content: xr.Dataset) -> None:
    """Refuse values that no air has, where the file says by a standard name what it holds."""
    limits = LIMITS.get(str(record.first.header.data.attrs.get("standard_name")))
    if limits and (factor := factor_between(limits[0], record.units)):
        _require_within(record, content, limits[1] * factor, limits[2] * factor)


def _check_rain(record: VariableYear, content: xr.Dataset) -> list[str]:
    low, high = content["low"].values, content["high"].values
    lowest, highest = int(np.nanargmin(low)), int(np.nanargmax(high))
    _require_no_running_sum(record, content)
    # a rate over an hour may be higher than one over a day, and so may its noise
    steps = 1 if record.gathered else record.timing.a_day
    most = MOST_RAIN * steps**INTENSITY
    if low[lowest] <= TINY_NEGATIVE * steps:
        raise record.fault(
            lowest,
            f"{low[lowest]:g} mm/day on {record.date(lowest)}",
            "no negative rain",
            "correct the data; if it marks missing values, declare it as _FillValue",
        )
    if high[highest] > most:
        found = f"{high[highest]:g} mm/day on {record.date(highest)}"
        raise record.fault(highest, found, f"at most {most:g} mm/day", _check_units(record))
    if high[highest] < LEAST_RAIN:
        found = f"no value over {high[highest]:g} mm/day in the whole year"
        raise record.fault(highest, found, f"rain of {LEAST_RAIN:g} mm/day somewhere", _check_units(record))
    negative = int(content["negative"].sum())
    note = f"{negative} values between {TINY_NEGATIVE} and 0 mm/day set to 0."
    return [record.source.note(note)] if negative else []


def _require_no_running_sum(record: VariableYear, content: xr.Dataset) -> None:
    """Refuse rain that hardly ever falls from one day to the next: it is a sum since some start."""
    rises, falls = int(content["rises"]), int(content["falls"])
    if rises >= LEAST_RISES and falls < MOST_FALLS * rises:
        raise record.fault(
            None,
            f"values that rise from one day to the next on {rises} of {content.sizes['time']} days and fall on {falls}",
            "the rain of each day",
            "this is a running sum, as of a model since its start: write the differences of its records (with xarray: "
            ".diff('time', label='lower'), which gives the rain of the day that begins with the stamp)",
        )


def _check_units(record: VariableYear) -> str:
    return f"check its units {record.raw_units!r}" if record.raw_units else "check its units"


def lone_values(rain: VariableYear, data: xr.DataArray, content: xr.Dataset) -> list[str]:
    """Name cells with so much more rain than each of their neighbours that a gauge or a number is likely to be wrong.

    Nothing is changed. Only days with much rain are read again.
    """
    days = np.flatnonzero(content["high"].values >= LONE_RAIN)
    found = []
    for day in days:
        values = data.isel(time=day).values
        around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, constant_values=np.nan), (3, 3)).copy()
        around[:, :, 1, 1] = np.nan
        around = around.reshape(*values.shape, 9)
        enough = np.isfinite(around).sum(-1) >= LONE_NEIGHBOURS
        largest = np.fmax.reduce(around, axis=-1)
        for row, column in np.argwhere(enough & (values >= LONE_RAIN) & (values >= LONE_FACTOR * largest)):
            found.append((float(values[row, column]), float(largest[row, column]), day, row, column))
    if len(found) > MOST_LONE:
        return []
    grid = rain.grid
    notes = [
        f"{value:g} mm/day on {rain.date(int(day))} in one cell at {grid.y[row]:.8g}, {grid.x[column]:.8g} (row {row}, "
        f"column {column} from the north-west), while no neighbour has more than {largest:g} mm/day. It is kept; look "
        "at it."
        for value, largest, day, row, column in sorted(found, reverse=True)
    ]
    return list(map(rain.source.note, notes))


# ------------------------------------------------------------------------------------------------ maps


def read_elevation(raw: StaticMap, grid: Grid) -> tuple[NDArray[np.float64], list[str]]:
    """Read the height of the ground in m (lat, lon), and give sentences about what is changed.

    Raises
    ------
    InputError
        If the map cannot be read, or has heights that no ground has.
    """
    data = raw.read(grid)
    _require_map_without_marks(raw, data)
    missing = int(np.isnan(data).sum())
    data = np.nan_to_num(data)  # ASSUME cells without a value are sea
    if np.abs(data).max() > HIGHEST_GROUND:
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
    _require_map_without_marks(raw, data)
    low, high = np.nanmin(data), np.nanmax(data)
    percent = raw.conversion.raw_units.strip() in ("%", "percent") or high > 1.5
    if low < 0 or high > (100.5 if percent else 1.5):
        raise raw.header.fault(f"values from {low:g} to {high:g}", "0 to 1 or 0 to 100 %", "correct them")
    share = np.nan_to_num(data / 100 if percent else data)
    notes = [raw.header.source.note("percent; cells with more than 50 % count as land.")] if percent else []
    return share > 0.5, notes


def _require_map_without_marks(raw: StaticMap, data: NDArray[np.float64]) -> None:
    """Refuse numbers that stand where there is no value."""
    if np.isnan(data).all():
        raise raw.header.fault("no value at all", "values in the cells of the rain", "check the map")
    for mark in _marks_among((np.nanmin(data), np.nanmax(data)), raw):
        is_mark = _equals(data, mark.canonical)
        others = data[~is_mark & np.isfinite(data)]
        low, high = (others.min(), others.max()) if others.size else (np.nan, np.nan)
        if mark.is_far_from(low, high):
            found = f"{mark.text} in {int(is_mark.sum())} cells, while all other values lie from {low:g} to {high:g}"
            raise raw.header.fault(found, "values, or NaN where there is none", MARK_CURE)
