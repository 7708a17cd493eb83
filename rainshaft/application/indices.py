"""Indices of daily rain: of each cell, member and year, their means over the years, and a table of area means.

Inputs: yearly files of members, of predictors (their coarse rain), or canonical fields (observed rain); rain in mm/day.
Outputs: a dataset of each year, a summary over the years, and rows for a table. xclim computes the indices. It follows
the definitions of ETCCDI.

A year may be incomplete: some records hold winters only, and some miss a day. So the mean, the wet days and the
percentiles are those of the days that are there. A spell of dry or wet days ends at a missing day, because nobody knows
what fell on it, and at both ends of the calendar year. A year whose days are not those of most years is left out of
the means over the years: the wettest day of one month is no match for that of a whole year.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import WET_DAY_MM, same_axis
from rainshaft.errors import UserError
from rainshaft.files import RAIN_ATTRIBUTES

log = logging.getLogger("rainshaft")

Source = str | Path | xr.Dataset
Row = dict[str, Any]

READ_VALUES = 64_000_000  # daily values to read at once. A file is read a few times rather than held in memory
WORK_VALUES = 4_000_000  # daily values to work on at once. xclim makes several copies of them
SAME_DAYS = 0.9  # records with this overlap of their days by month cover one season  # ASSUME
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
        return _of_year(rain, rain_file, {name: file.attrs[name] for name in CARRIED if name in file.attrs})


def indices_of_observed_year(fields_file: str | Path) -> xr.Dataset:
    """Compute the indices of one year of observed rain, as `indices_of_year` does for members.

    Parameters
    ----------
    fields_file
        Canonical fields with pr(time, lat, lon) in mm/day.

    Returns
    -------
    As of `indices_of_year`, with one member.
    """
    with xr.open_dataset(fields_file) as file:
        rain = _variable(file, "pr", ("time", "lat", "lon"), fields_file)
        _require_units(rain.attrs.get("units"), fields_file)
        return _of_year(rain, fields_file, {"grid_kind": file.attrs["grid_kind"]})


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
        return _of_year(rain, predictors_file, {})


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


def _of_year(rain: xr.DataArray, path: str | Path, attributes: Mapping[str, Any]) -> xr.Dataset:
    """Compute the indices of rain (time, member, lat, lon), which is read a few rows of cells at a time."""
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


# ------------------------------------------------------------------------------------ over the years


@contextmanager
def opened(source: Source) -> Iterator[xr.Dataset]:
    """Give the dataset itself, or open the file, read it lazily and close it afterwards."""
    if isinstance(source, xr.Dataset):
        yield source
    else:
        with xr.open_dataset(source) as dataset:
            yield dataset


def summary_of(yearly: Sequence[Source], like: xr.Dataset | None = None) -> xr.Dataset:
    """Average the indices of the years.

    Parameters
    ----------
    yearly
        The indices of each year, as datasets or files, of one record.
    like
        A summary whose valid cells the area means shall be over, so that both can be compared. Its grid is the same,
        or its cells lie in those of this record, a whole number along each side. Without it, the area means are over
        all valid cells.

    Returns
    -------
    For each index NAME of `INDICES`:

    - `NAME` (member, lat, lon): mean over the years. The SDII is a mean over the years that have a wet day.
    - `NAME_year_std` (lat, lon): standard deviation of the values of single years and members about the mean of the
        member. NaN with a single year.
    - `NAME_of_year` (year, member): area mean of each year.

    Also `weight` (lat, lon), the weight of each cell in the area means, and `days` (year, month). A cell is valid if
    it is in all years and members. Attributes: `days`, `calendar`, `years_left_out`.

    Raises
    ------
    UserError
        If the years do not belong together, a year is there twice, or no cell is valid in all of them.
    """
    years = _in_order(yearly)
    days = np.stack([year.days for year in years])
    used = [overlap(of_year, usual_days(days)) >= SAME_DAYS for of_year in days]
    if left_out := [year for year, is_used in zip(years, used, strict=True) if not is_used]:
        named = ", ".join(f"{year.year} ({year.days.sum()} days)" for year in left_out)
        log.warning(
            f"{named}: left out of the means over the years, because most years have other days "
            f"({usual_days(days).sum()} of them)"
        )
    kept = [year for year, is_used in zip(years, used, strict=True) if is_used]
    if not kept:
        raise UserError(
            f"indices of {years[0].year} to {years[-1].year}: found years whose days lie in different months, expected "
            "most years to have the same season; average the indices of one season at a time"
        )
    valid = _valid_cells(kept)
    with opened(kept[0].source) as first:
        found = first[["lat", "lon", "member", "realization", "threshold", "month"]].drop_vars("year").load()
        carried = {name: first.attrs[name] for name in (*CARRIED, "references", "calendar") if name in first.attrs}
    found = found.assign_coords(year=("year", [year.year for year in kept], {"long_name": "calendar year"}))
    found["weight"] = _area_weights(valid) if like is None else _weights_of(like, valid)
    for name, index in INDICES.items():
        maps, std, of_year = _over_years(kept, name, valid, found["weight"])
        found[name] = maps.assign_attrs(
            {k: v for k, v in attributes_of(name).items() if k != "cell_methods"}
            | {"long_name": f"{index.long_name}, mean over the years"}
        )
        found[f"{name}_year_std"] = std.assign_attrs(
            long_name=f"{index.long_name}, standard deviation from year to year", units=index.units
        )
        found[f"{name}_of_year"] = of_year.assign_attrs(long_name=f"{index.long_name}, area mean", units=index.units)
    found["days"] = (("year", "month"), days[used], {"long_name": "days with rain", "units": "1"})
    found.attrs = {
        "title": "Indices of daily rain, means over the years",
        **carried,
        "first_day": kept[0].first_day,
        "last_day": kept[-1].last_day,
        "days": int(days[used].sum()),
        "years_left_out": ", ".join(str(year.year) for year in left_out),
    }
    return found


@dataclass(frozen=True)
class _Year:
    """The indices of one year, and what decides whether it takes part."""

    source: Source
    year: int
    days: NDArray[np.int64]
    """(month,)"""
    first_day: str
    last_day: str


def _in_order(yearly: Sequence[Source]) -> list[_Year]:
    """Look at the years, and require that they are of one record."""
    if not yearly:
        raise UserError("indices: found no year, expected one or more")
    years, reference = [], None
    for source in yearly:
        with opened(source) as dataset:
            years.append(
                _Year(
                    source,
                    int(dataset["year"]),
                    dataset["days"].values.astype(np.int64),
                    dataset.attrs["first_day"],
                    dataset.attrs["last_day"],
                )
            )
            head = dataset[["lat", "lon", "member", "realization"]].load().assign_attrs(dataset.attrs)
        reference = reference or (years[0], head)
        if differs := _difference(reference[1], head):
            raise UserError(
                f"indices of {years[-1].year}: found {differs[1]}, expected {differs[0]} as in {reference[0].year}; "
                "make the years of one application with one model, one input and one number of members"
            )
    years.sort(key=lambda year: year.year)
    for one, other in itertools.pairwise(years):
        if one.year == other.year:
            raise UserError(f"indices: found {one.year} twice, expected each year once; give one file a year")
    return years


def _difference(mine: xr.Dataset, other: xr.Dataset) -> tuple[str, str] | None:
    """Say in what two years differ that cannot be averaged."""
    if not (same_axis(mine["lat"].values, other["lat"].values) and same_axis(mine["lon"].values, other["lon"].values)):
        return "the grid " + grid_in_words(mine), "the grid " + grid_in_words(other)
    if mine["realization"].values.tolist() != other["realization"].values.tolist():
        return f"members of the realizations {_listed(mine)}", f"members of the realizations {_listed(other)}"
    for name in ("calendar", "model"):
        if mine.attrs.get(name) != other.attrs.get(name):
            return f"{name} {mine.attrs.get(name, '(none)')}", f"{name} {other.attrs.get(name, '(none)')}"
    return None


def _listed(dataset: xr.Dataset) -> str:
    return " ".join(map(str, dataset["realization"].values.tolist()))


def grid_in_words(dataset: xr.Dataset) -> str:
    """Say how many cells a grid has and where it lies."""
    lat, lon = dataset["lat"].values, dataset["lon"].values
    return f"of {lat.size} x {lon.size} cells, lat {lat[0]:g} to {lat[-1]:g}, lon {lon[0]:g} to {lon[-1]:g}"


def usual_days(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the number of days that most years have in each month, from those of each year (year, month)."""
    return np.quantile(days, 0.5, axis=0, method="higher").astype(np.int64)


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Give the share of days by month (month,) that two records have in common: 1 if they cover one season."""
    return float(np.minimum(one, other).sum() / max(1, np.maximum(one, other).sum()))


def _valid_cells(years: Sequence[_Year]) -> xr.DataArray:
    """Find the cells that every year and member has (lat, lon)."""
    valid: xr.DataArray | None = None
    differ = 0
    for year in years:
        with opened(year.source) as dataset:
            here = dataset["mean"].reset_coords(drop=True).notnull().all("member")
            here = here.assign_coords(lat=here["lat"] if valid is None else valid["lat"])
            here = here.assign_coords(lon=here["lon"] if valid is None else valid["lon"])
        differ = max(differ, 0 if valid is None else int((here != valid).sum()))
        valid = here if valid is None else valid & here
    assert valid is not None
    if not valid.any():
        raise UserError(
            f"indices of {years[0].year} to {years[-1].year}: found no cell with rain in every year and member, "
            "expected some; look at the years one by one for a member or a day that is empty"
        )
    if differ:
        log.warning(
            f"indices of {years[0].year} to {years[-1].year}: not every year has rain at the same cells; "
            f"{int(valid.sum())} cells that all years have take part"
        )
    return valid


def _area_weights(valid: xr.DataArray) -> xr.DataArray:
    """Weigh each valid cell by its area, in units of that of a cell at the equator; other cells have 0."""
    units = str(valid["lat"].attrs.get("units", ""))
    if not units:
        raise UserError("indices: found a lat without units, expected degrees or a length, to know the areas of cells")
    # ASSUME cells of a projected grid are equally large
    area = np.cos(np.deg2rad(valid["lat"])) if units.startswith("deg") else xr.ones_like(valid["lat"])
    return (valid * area).assign_attrs(long_name="weight in area means", units="1").astype(np.float64)


def _weights_of(like: xr.Dataset, valid: xr.DataArray) -> xr.DataArray:
    """Weigh each cell by the valid cells of another summary that lie in it."""
    weights = None
    if all(like.sizes[name] % valid.sizes[name] == 0 for name in ("lat", "lon")):
        weights = like["weight"].coarsen({name: like.sizes[name] // valid.sizes[name] for name in ("lat", "lon")}).sum()
    if weights is None or not all(same_axis(weights[name].values, valid[name].values) for name in ("lat", "lon")):
        raise UserError(
            f"indices: found the grid {grid_in_words(valid.to_dataset(name='valid'))}, expected one whose cells hold a "
            f"whole number of those of the grid {grid_in_words(like)}; compare records of one region"
        )
    weights = weights.assign_coords(lat=valid["lat"], lon=valid["lon"])
    if missed := float(weights.where(~valid).sum() / weights.sum()):
        log.warning(
            f"indices: {missed:.1%} of the area to compare has no rain in this record; its area means are over the rest"
        )
    return weights.where(valid, 0).assign_attrs(long_name="weight in area means", units="1")


def area_mean(values: xr.DataArray, weight: xr.DataArray) -> xr.DataArray:
    """Average over the cells (..., lat, lon) that have a value, by their weights."""
    known = values.notnull() & (weight > 0)
    total = weight.where(known).sum(("lat", "lon"))
    return (values * weight).where(known).sum(("lat", "lon"), dtype=np.float64) / total.where(total > 0)


def _over_years(
    years: Sequence[_Year], name: str, valid: xr.DataArray, weight: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Average one index over the years, which are read one by one.

    Returns the means (member, lat, lon), the standard deviation from year to year (lat, lon) and the area mean of each
    year (year, member).
    """
    shape = (1, *valid.shape)
    count, mean, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    of_year = []
    for year in years:
        with opened(year.source) as dataset:
            here = dataset[name].drop_vars(["year", "threshold"]).transpose("member", "lat", "lon").load()
        here = here.assign_coords(lat=valid["lat"], lon=valid["lon"]).where(valid)
        of_year.append(area_mean(here, weight))
        known = here.notnull().values
        count = count + known
        # the update of Welford (1962), which does not lose digits as a sum of squares does
        step = np.where(known, here.values - mean, 0.0)
        mean = mean + step / np.maximum(count, 1)
        squares = squares + step * np.where(known, here.values - mean, 0.0)
    maps = here.copy(data=np.where(count > 0, mean, np.nan).astype(np.float32))
    freedom = np.maximum(count - 1, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        std = np.sqrt(squares.sum(axis=0) / np.where(freedom > 0, freedom, np.nan)).astype(np.float32)
    return maps, valid.copy(data=std), xr.concat(of_year, "year").transpose("year", "member")


# -------------------------------------------------------------------------------------------- the table


def of_season(summaries: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Keep the records that cover the season of the first one: indices of other months would not compare."""
    (_, first), *_ = summaries.items()
    season = usual_days(first["days"].values)
    found = {}
    for name, summary in summaries.items():
        if overlap(usual_days(summary["days"].values), season) >= SAME_DAYS:
            found[name] = summary
        else:
            log.warning(f"{name}: left out of the table, because it has other months than the application")
    return found


def table_of(summaries: Mapping[str, xr.Dataset]) -> list[Row]:
    """Lay the area means of several records side by side.

    Parameters
    ----------
    summaries
        Name to summary, such as `coarse input`, `downscaled`, `observed`. All should be over one area.

    Returns
    -------
    For each index and record one row, which can be written as JSON: `index`, `label`, `units`, `name`, `mean` (over
    years and members), `member_std` and `realization_std` (sample standard deviations of the means over the years:
    between members, and between the means of the realizations), `year_std` (from year to year), `years`, `days`,
    `cells` and `members`. A value that cannot be computed is None.
    """
    return [
        {"index": name, "label": index.label, "units": index.units, "name": record}
        | statistics_of(summary[f"{name}_of_year"])
        | {"days": int(summary.attrs["days"]), "cells": int((summary["weight"] > 0).sum())}
        for name, index in INDICES.items()
        for record, summary in summaries.items()
    ]


def statistics_of(of_year: xr.DataArray) -> Row:
    """Describe the area means (year, member) of one index."""
    of_member = of_year.mean("year")
    of_realization = of_member.groupby("realization").mean()
    freedom = of_year.sizes["year"] - 1
    year_std = float(np.sqrt(of_year.var("year", ddof=1).mean())) if freedom else np.nan
    return {
        "mean": number(of_member.mean()),
        "member_std": number(of_member.std(ddof=1)) if of_member.size > 1 else None,
        "realization_std": number(of_realization.std(ddof=1)) if of_realization.size > 1 else None,
        "year_std": number(year_std),
        "years": of_year.sizes["year"],
        "members": of_year.sizes["member"],
    }


def number(value: Any) -> float | None:
    """Give a number for JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None


def markdown(rows: Sequence[Row]) -> str:
    """Write the rows of `table_of` as a Markdown table, with the records side by side."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    found = {(row["index"], row["name"]): row for row in rows}
    lines = ["| index | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for key in dict.fromkeys(row["index"] for row in rows):
        cells = [_cell(found[key, name], INDICES[key].digits) for name in names]
        lines.append(f"| {INDICES[key].label} ({INDICES[key].units}) | " + " | ".join(cells) + " |")
    first = [found[rows[0]["index"], name] for name in names]
    records = "; ".join(
        f"{row['name']}: {row['years']} years, {row['days']} days, {row['members']} members, {row['cells']} cells"
        for row in first
    )
    notes = [f"Area means over the years. {records}."]
    if any(row["member_std"] is not None for row in first):
        notes.append("±: standard deviation between the members of their means over the years.")
    if any(row["realization_std"] is not None for row in first):
        notes.append("In brackets: standard deviation between the realizations of the input.")
    if len({row["cells"] for row in first}) > 1:
        notes.append("Larger cells average the rain over more area. So they have more wet days and weaker extremes.")
    return "\n".join([*lines, "", *notes]) + "\n"


def _cell(row: Row, digits: int) -> str:
    """Write a mean and its spreads."""
    if row["mean"] is None:
        return "–"
    text = f"{row['mean']:.{digits}f}"
    if row["member_std"] is not None:
        text += f" ± {row['member_std']:.{digits}f}"
    if row["realization_std"] is not None:
        text += f" [{row['realization_std']:.{digits}f}]"
    return text
