"""Indices of daily rain, of each cell, member and year.

Input: a yearly file of members, of predictors (their coarse rain), or canonical fields (observed rain); rain in mm/day.
Output: a dataset of indices. xclim computes them. It follows the definitions of ETCCDI.

A year may be incomplete: some records hold winters only, and some miss a day. So the mean, the wet days and the
percentiles are those of the days that are there. A spell of dry or wet days ends at a missing day, because nobody knows
what fell on it, and at both ends of the calendar year.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.errors import UserError
from rainshaft.files import RAIN_ATTRIBUTES

log = logging.getLogger("rainshaft")

READ_VALUES = 64_000_000  # daily values to read at once. A file is read a few times rather than held in memory
WORK_VALUES = 4_000_000  # daily values to work on at once. xclim makes several copies of them
CARRIED = ("model", "grid_kind")  # attributes of a file of members that its indices keep

RAIN_RATE = RAIN_ATTRIBUTES["standard_name"]
SPELL = "spell_length_of_days_with_lwe_thickness_of_precipitation_amount_{}_threshold"


@dataclass(frozen=True)
class Index:
    """What an index is, and how it is shown."""

    label: str
    """its name in tables and figures"""
    long_name: str
    units: str
    relative: bool
    """whether a change is given in per cent of the earlier value, rather than as a difference"""
    digits: int
    """decimals in a table"""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """further attributes by the CF conventions"""


INDICES: dict[str, Index] = {
    "mean": Index(
        "mean rain", "mean rain", "mm/day", True, 2, {"standard_name": RAIN_RATE, "cell_methods": "time: mean"}
    ),
    "wet_days": Index("wet days", f"share of days with {WET_DAY_MM:g} mm or more", "%", False, 1),
    "sdii": Index(
        "wet-day rain (SDII)",
        f"mean rain of the days with {WET_DAY_MM:g} mm or more",
        "mm/day",
        True,
        1,
        {"standard_name": RAIN_RATE, "cell_methods": f"time: mean (comment: days with {WET_DAY_MM:g} mm or more)"},
    ),
    "rx1day": Index(
        "wettest day (Rx1day)",
        "rain of the wettest day",
        "mm/day",
        True,
        1,
        {"standard_name": RAIN_RATE, "cell_methods": "time: maximum"},
    ),
    "p98": Index("P98 of all days", "98th percentile of all days", "mm/day", True, 1, {"standard_name": RAIN_RATE}),
    "p999": Index(
        "P99.9 of all days", "99.9th percentile of all days", "mm/day", True, 1, {"standard_name": RAIN_RATE}
    ),
    "cdd": Index(
        "longest dry spell (CDD)",
        f"longest run of days with less than {WET_DAY_MM:g} mm",
        "day",
        False,
        1,
        {"standard_name": SPELL.format("below"), "cell_methods": "time: maximum"},
    ),
    "cwd": Index(
        "longest wet spell (CWD)",
        f"longest run of days with {WET_DAY_MM:g} mm or more",
        "day",
        False,
        1,
        {"standard_name": SPELL.format("above"), "cell_methods": "time: maximum"},
    ),
}

QUANTILES = {"p98": 0.98, "p999": 0.999}


# ------------------------------------------------------------------------------------------ of one year


def indices_of_year(rain_file: str | Path) -> xr.Dataset:
    """Compute the indices of one year of members.

    Parameters
    ----------
    rain_file
        pr(time, member, lat, lon) in mm/day, days of one calendar year in any calendar, NaN where the model has no
        valid cell. It may have the coordinate realization(member).

    Returns
    -------
    The variables of `INDICES` (member, lat, lon), NaN at cells that miss rain on any day of the file, and days(month).

    Raises
    ------
    UserError
        If there is no such rain, or the days are not those of one year, each once.
    """
    with xr.open_dataset(rain_file) as file:
        rain = _variable(file, "pr", ("time", "member", "lat", "lon"), rain_file)
        _require_units(rain.attrs.get("units"), rain_file)
        return indices_of_rain(rain, rain_file, {name: file.attrs[name] for name in CARRIED if name in file.attrs})


def indices_of_observed_year(fields_file: str | Path, valid: xr.DataArray) -> xr.Dataset:
    """Compute the indices of one year of observed rain, as `indices_of_year` does for members.

    Parameters
    ----------
    fields_file
        Canonical fields with pr(time, lat, lon) in mm/day.
    valid
        True for the cells (lat, lon) that take part, such as those of a model.

    Returns
    -------
    As of `indices_of_year`, with one member.
    """
    with xr.open_dataset(fields_file) as file:
        rain = _variable(file, "pr", ("time", "lat", "lon"), fields_file)
        _require_units(rain.attrs.get("units"), fields_file)
        return indices_of_rain(
            rain.where(xr.DataArray(valid.values, dims=("lat", "lon"))),
            fields_file,
            {"grid_kind": file.attrs["grid_kind"]},
        )


def indices_of_coarse_year(predictors_file: str | Path) -> xr.Dataset:
    """Compute the indices of one year of the coarse rain that an application starts from.

    Parameters
    ----------
    predictors_file
        predictors(time, realization, channel, y, x), of which the attribute `rain_channel` names the channel of rain.

    Returns
    -------
    As of `indices_of_year`, on the coarse cells. Each realization is a member.

    Raises
    ------
    UserError
        If no channel is rain, or the days are not those of one year, each once.
    """
    with xr.open_dataset(predictors_file) as file:
        if not (name := file.attrs["rain_channel"]):
            raise UserError(
                f"{predictors_file}: found no channel of rain among {', '.join(map(str, file['channel'].values))}, "
                "expected one; indices of the coarse input need coarse rain among the predictors"
            )
        channel = list(file["channel"].values).index(name)
        _require_units(str(file["channel_units"].values[channel]), predictors_file)
        every = _variable(file, "predictors", ("time", "realization", "channel", "y", "x"), predictors_file)
        rain = every.isel(channel=channel, drop=True).rename(realization="member", y="lat", x="lon")
        number = np.arange(rain.sizes["member"], dtype="i4")
        rain = rain.assign_coords(member=number, realization=("member", number))
        return indices_of_rain(rain, predictors_file, {})


def _variable(file: xr.Dataset, name: str, dims: tuple[str, ...], path: str | Path) -> xr.DataArray:
    """Take a variable with these dimensions, without reading it."""
    if name not in file or set(file[name].dims) != set(dims):
        found = f"{name}({', '.join(map(str, file[name].dims))})" if name in file else f"no {name}"
        raise UserError(f"{path}: found {found}, expected {name}({', '.join(dims)}); give a file of that kind")
    return file[name].transpose(*dims)


def _require_units(units: str | None, path: str | Path) -> None:
    """Raise a UserError unless rain is in mm/day, in which the threshold of a wet day is."""
    if units != RAIN_ATTRIBUTES["units"]:
        raise UserError(
            f"{path}: found rain in {units or 'no units'}, expected {RAIN_ATTRIBUTES['units']}; give a file that "
            "rainshaft has written"
        )


def indices_of_rain(rain: xr.DataArray, path: str | Path, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Compute the indices of one year of rain, such as a year of an ensemble whose truth has the same year.

    Parameters
    ----------
    rain
        (time, member, lat, lon) or (time, lat, lon), mm/day, days of one calendar year. It need not be in memory: it is
        read a few rows of cells at a time.
    path
        Where it comes from, for messages.
    attributes
        Of the result.

    Returns
    -------
    As of `indices_of_year`.
    """
    days, year = _calendar_year(rain["time"], path)
    rain = rain.assign_coords(time=rain["time"].dt.floor("D"))
    a_row = max(1, rain.size // rain.sizes["lat"])
    parts, incomplete = [], 0
    for rows in _slices(rain.sizes["lat"], READ_VALUES // a_row):
        block = rain.isel(lat=rows).load()
        if "member" not in block.dims:
            block = block.expand_dims(member=np.zeros(1, "i4"), axis=1)
        for some in _slices(block.sizes["lat"], WORK_VALUES // a_row):
            values = block.isel(lat=some)
            there = values.notnull()
            incomplete += int((there.any("time") & ~there.all("time")).sum())
            parts.append(_of_cells(values, days).where(there.all("time")))
    found = xr.concat(parts, "lat") if len(parts) > 1 else parts[0]
    if incomplete:
        log.warning(
            f"{path}: {incomplete} series of a cell and member miss rain on some days but not on all; their indices of "
            f"{year} are left empty, because they would be those of other days than at the other cells"
        )
    found = found.assign_coords({axis: rain[axis] for axis in ("lat", "lon")})
    return _described(found, rain["time"], year, days.size, attributes)


def _slices(size: int, step: int) -> Iterator[slice]:
    step = max(1, step)
    return (slice(start, start + step) for start in range(0, size, step))


def _calendar_year(time: xr.DataArray, path: str | Path) -> tuple[xr.DataArray, int]:
    """Give every day of the calendar year that these days belong to, and the year."""
    dates = time.dt.strftime("%Y-%m-%d").values
    years = np.unique(time.dt.year.values).tolist()
    if len(years) != 1:
        raise UserError(f"{path}: found days of {len(years)} years ({years}), expected one year in a file")
    if len(set(dates)) < len(dates):
        raise UserError(
            f"{path}: found {len(dates)} entries for {len(set(dates))} days, expected one for each day; make it again"
        )
    (year,) = years
    days = xr.date_range(
        f"{year:04d}-01-01",
        f"{year + 1:04d}-01-01",
        freq="D",
        inclusive="left",
        calendar=time.dt.calendar,
        use_cftime=time.dtype == object,
    )
    return xr.DataArray(days, dims="time", coords={"time": days}), year


def _of_cells(rain: xr.DataArray, whole_year: xr.DataArray) -> xr.Dataset:
    """Compute the indices of rain (time, member, lat, lon). A cell without rain on all days has any values.

    xclim takes the time between two entries for the length of a day. It takes two entries in a row for neighbours,
    too, even when weeks lie between. So the missing days are put in as NaN, which xclim counts neither as wet nor as
    dry.
    """
    from xclim import indices as xclim  # late, because it takes seconds

    threshold = f"{WET_DAY_MM} mm/day"
    padded = rain.drop_attrs(deep=False).reindex(time=whole_year).assign_attrs(units="mm/day")
    of_year = {
        "mean": xclim.precip_average(padded),
        "wet_days": 100 / rain.sizes["time"] * xclim.wetdays(padded, thresh=threshold),
        "sdii": xclim.daily_pr_intensity(padded, thresh=threshold),
        "rx1day": xclim.max_1day_precipitation_amount(padded),
        "cdd": xclim.maximum_consecutive_dry_days(padded, thresh=threshold),
        "cwd": xclim.maximum_consecutive_wet_days(padded, thresh=threshold),
    }
    found = {name: values.isel(time=0, drop=True) for name, values in of_year.items()}
    levels = rain.quantile(list(QUANTILES.values()), "time", skipna=False)
    found |= {name: levels.isel(quantile=i, drop=True) for i, name in enumerate(QUANTILES)}
    return xr.Dataset({name: found[name].astype(np.float32) for name in INDICES})


def _described(
    found: xr.Dataset, time: xr.DataArray, year: int, days_of_year: int, attributes: Mapping[str, Any]
) -> xr.Dataset:
    """Add what a reader of the file needs to know."""
    import xclim

    found = found.drop_vars([str(name) for name in found.coords if name not in ("member", "realization", "lat", "lon")])
    found = found.transpose("member", "lat", "lon")
    if "realization" not in found.coords:
        found = found.assign_coords(realization=("member", np.zeros(found.sizes["member"], "i4")))
    found["realization"].attrs = {"long_name": "realization of the input that the member belongs to"}
    for name in INDICES:
        found[name].attrs = attributes_of(name)
    dates = time.dt.strftime("%Y-%m-%d").values
    by_month = np.bincount(time.dt.month.values, minlength=13)[1:].astype("i4")
    found = found.assign_coords(
        year=((), np.int32(year), {"long_name": "calendar year"}),
        month=("month", np.arange(1, 13, dtype="i4"), {"long_name": "month of the year"}),
        threshold=(
            (),
            np.float32(WET_DAY_MM),
            {"standard_name": "lwe_thickness_of_precipitation_amount", "long_name": "rain of a wet day", "units": "mm"},
        ),
    )
    found["days"] = ("month", by_month, {"long_name": "days with rain in the file", "units": "1"})
    missing = days_of_year - len(dates)
    found.attrs = {
        "title": f"Indices of daily rain in {year}",
        "references": f"ETCCDI, as computed by xclim {xclim.__version__}",
        **attributes,
        "year": year,
        "days": len(dates),
        "first_day": str(min(dates)),
        "last_day": str(max(dates)),
        "calendar": str(time.dt.calendar),
        "comment": (
            f"{len(dates)} of the {days_of_year} days of the year are there. "
            + ("The missing days take no part. " if missing else "")
            + "A spell ends at a missing day and at both ends of the year."
        ),
    }
    return found


def attributes_of(name: str) -> dict[str, str]:
    """Give the CF attributes of an index."""
    index = INDICES[name]
    return {"long_name": index.long_name, "units": index.units, **index.attributes}
