"""Raw netCDF files to canonical fields, one file a year; every change of the input is said in words.

Input: the files that a `Dataset` names, in whatever units, order, calendar and packing people have them.
Output: the fields file of a year (`prepare_year`): rain in mm/day, temperatures in K, north first, west first,
one stamp a day at 00:00, coarse predictors on blocks of `factor` x `factor` cells of the rain, predictors that are
context whole on the grid they share, coast distance in km.

`sources` finds the files, `rawfiles` reads one, `grids` relates the grids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr

from rainshaft.config.slices import PrepareSettings
from rainshaft.data.rawfile import Raw, open_raw
from rainshaft.data.regrid import Coarse, Mapping, coarse_grid, coast_distance, map_to_coarse
from rainshaft.data.sources import Faults, files_of, sources_of
from rainshaft.data.year import VariableYear, read_year
from rainshaft.files import write_netcdf

CHUNK_BYTES = 16e6  # of one variable in memory at a time and thread; sets the days in a chunk
TINY_NEGATIVE = -0.1  # mm/day; packing and spectral models leave such values  # ASSUME
MOST_RAIN = 2000.0  # mm/day; the highest daily total ever measured is 1825 mm  # ASSUME
LEAST_RAIN = 1.0  # mm/day; a year in which no cell reaches this has wrong units, or no rain to learn from  # ASSUME
MOST_GAPS = 0.2  # share of the cells with rain that may miss some days  # ASSUME
TEMPERATURES = (100.0, 400.0)  # K; outside of this the units are wrong  # ASSUME
NO_VALUE = 1e15  # larger numbers are fill values that the file does not declare  # ASSUME


def check_sources(dataset: PrepareSettings, years: Sequence[int]) -> None:
    """Check the headers of all raw files of a dataset before any job; no bulk data is read.

    Files, variables, units, days, calendars and grids of these years.

    Raises
    ------
    InputError
        One line for each fault.
    """
    faults = Faults()
    first: _Plan | None = None
    with _opened_files() as opened:
        for year in years:
            with faults.collect():
                plan = _plan(dataset, year, opened)
                first = first or plan
                plan.rain.require_grid_of(first.rain)
                for record, before in zip(plan.context, first.context, strict=True):
                    record.require_grid_of(before)
    faults.throw()


def prepare_year(dataset: PrepareSettings, year: int, path: Path) -> None:
    """Write the canonical fields of one year; the file is whole or absent.

    Memory holds a few chunks of days at a time, whatever the length of the record; the input is read twice, once
    to check it and once to write it.

    Parameters
    ----------
    dataset
        The dataset.
    year
        The year; no other day is read.
    path
        The netCDF file to write.

    Raises
    ------
    InputError
        One line for each fault of the input.
    """
    with _opened_files() as opened:
        plan = _plan(dataset, year, opened)
        write_netcdf(_fields(dataset, year, plan), path)


# ------------------------------------------------------------------------------------------ headers of a year


Opened = dict[tuple[Path, str], "Raw"]


@contextmanager
def _opened_files() -> Iterator[Opened]:
    """Files by path and key, each opened once, all closed at the end."""
    opened: Opened = {}
    try:
        yield opened
    finally:
        for raw in opened.values():
            raw.file.close()


@dataclass
class _Plan:
    """What the headers say about one year: where each variable lies and how it gets to the coarse grid."""

    rain: VariableYear
    coarse: Coarse
    predictors: list[tuple[VariableYear, Mapping]]
    context: list[VariableYear]
    """predictors that stay whole, all on one grid"""
    elevation: Raw | None
    land: Raw | None
    channels: list[tuple[str, str]]
    """name and units"""
    rain_channel: str
    notes: dict[str, None]
    """sentences about changes of the input, each once, in order"""


def _plan(dataset: PrepareSettings, year: int, opened: Opened) -> _Plan:
    """Open all files of a year and relate them to each other; `opened` keeps headers for the next year."""
    faults = Faults()
    records: dict[str, VariableYear] = {}
    static: dict[str, Raw] = {}
    centre = None
    for source in sources_of(dataset):
        with faults.collect():
            files = files_of(source, year)
            if source.static:
                if (files[0], source.key) not in opened:
                    opened[files[0], source.key] = open_raw(source, files[0], centre)
                static[source.key] = opened[files[0], source.key]
                static[source.key].require_place_on(records["rain"].grid if "rain" in records else None)
            else:
                records[source.key] = read_year(source, files, year, centre, opened)
        if "rain" in records and centre is None:
            centre = records["rain"].grid.centre
    if "rain" in records:
        for record in list(records.values())[1:]:
            with faults.collect():
                record.require_calendar_of(records["rain"])
    faults.throw()

    rain, *others = records.values()
    predictors = [record for record in others if not record.source.context]
    context = [record for record in others if record.source.context]
    coarse = coarse_grid(rain, predictors, dataset.factor)
    notes = dict.fromkeys([*rain.notes, *coarse.notes])
    mapped = []
    for record in predictors:
        with faults.collect():
            mapping = map_to_coarse(record, rain, coarse)
            mapped.append((replace(record, window=mapping.window), mapping))
            notes |= dict.fromkeys([*record.notes, mapping.note])
    for record in context:
        with faults.collect():
            record.require_grid_of(context[0])
            notes |= dict.fromkeys([*record.notes, _context_note(record)])
    faults.throw()
    for raw in static.values():
        notes |= dict.fromkeys(raw.notes)
    if dataset.predictors == "coarsened":
        channels, rain_channel = [("pr", "mm/day")], "pr"
        notes[f"Predictor pr made from the rain: means over blocks of {dataset.factor} x {dataset.factor} cells."] = (
            None
        )
    else:
        channels = [(record.source.variable, record.units) for record in predictors]
        rain_channel = next((r.source.variable for r in predictors if r.source.quantity == "rain"), "")
    elevation, land = static.get("elevation"), static.get("land")
    return _Plan(rain, coarse, mapped, context, elevation, land, channels, rain_channel, notes)


def _context_note(record: VariableYear) -> str:
    """How large the field is."""
    cells, steps = "{} x {}".format(*record.grid.shape), "{:g} x {:g}".format(*np.round(record.grid.steps, 6))
    return f"{_upper(record.source.name)}: used as context, {cells} cells of {steps}."


# ------------------------------------------------------------------------------------------ content of a year


def _fields(dataset: PrepareSettings, year: int, plan: _Plan) -> xr.Dataset:
    """Check the content of a year and lay out its fields, rain and predictors still on the disk."""
    rain = plan.rain.lazy(CHUNK_BYTES)
    predictors = [(record, mapping, record.lazy(CHUNK_BYTES)) for record, mapping in plan.predictors]
    context = [(record, record.lazy(CHUNK_BYTES)) for record in plan.context]
    others = [*((record, data) for record, _, data in predictors), *context]
    content = _read_content(plan.rain, rain, others)

    faults = Faults()
    valid, observed = None, None
    with faults.collect():
        valid, observed = _mask(plan.rain, content["rain"], plan.notes)
    faults.throw()  # of rain without any value there is no more to say
    for record in [plan.rain, *(record for record, _ in others)]:
        with faults.collect():
            _check_values(record, content[record.source.key], plan.notes)
    faults.throw()

    elevation = plan.elevation.values(plan.rain.grid, plan.notes) if plan.elevation else np.zeros(valid.shape)
    land = _land(plan, elevation, observed)
    distance = coast_distance(land, plan.rain.grid)

    crop = plan.coarse.crop
    window = {"lat": crop[0], "lon": crop[1]}
    pr = rain.isel(window).clip(min=0).where(xr.DataArray(valid[crop], dims=("lat", "lon")))
    fields = xr.Dataset(
        {
            "pr": pr.astype("float32"),
            "predictors": _coarse_fields(dataset, plan, predictors, pr),
            "channel_units": ("channel", np.array([units for _, units in plan.channels], dtype=str)),
            "context": _context_fields(context, pr),
            "context_units": ("context_channel", np.array([r.units for r in plan.context], dtype=str)),
            "valid": (("lat", "lon"), valid[crop].astype("int8")),
            "elevation": (("lat", "lon"), elevation[crop].astype("float32")),
            "land": (("lat", "lon"), land[crop].astype("float32")),
            "coast_distance": (("lat", "lon"), distance[crop].astype("float32")),
        },
        coords={
            "channel": np.array([name for name, _ in plan.channels], dtype=str),
            "context_channel": np.array([r.source.variable for r in plan.context], dtype=str),
            **plan.coarse.coordinates,
            **_context_axes(plan.context),
        },
        attrs={
            "title": f"canonical fields of {year}",
            "factor": dataset.factor,
            "rain_channel": plan.rain_channel,
            "grid_kind": plan.rain.grid.kind,
        },
    )
    fields.attrs["ingest"] = json.dumps(list(plan.notes))
    return _describe(fields, plan.rain)


def _read_content(
    rain: VariableYear, data_of_rain: xr.DataArray, others: list[tuple[VariableYear, xr.DataArray]]
) -> dict[str, xr.Dataset]:
    """Read all data once and keep counts and extremes, by day and, for rain, by cell."""

    def summary(data: xr.DataArray) -> xr.Dataset:
        days = {"finite": np.isfinite(data).sum(("lat", "lon")), "negative": (data < 0).sum(("lat", "lon"))}
        return xr.Dataset(days | {"low": data.min(("lat", "lon")), "high": data.max(("lat", "lon"))})

    asked = {"rain": summary(data_of_rain).assign(days_with_rain=np.isfinite(data_of_rain).sum("time"))}
    asked |= {record.source.key: summary(data) for record, data in others}
    try:
        (content,) = dask.compute(asked)
    except (RuntimeError, OSError):
        for record in [rain, *(record for record, _ in others)]:
            record.find_unreadable()
        raise
    return content


def _mask(rain: VariableYear, content: xr.Dataset, notes: dict[str, None]) -> tuple[np.ndarray, np.ndarray]:
    """Cells with rain on all days, and cells with rain on any day."""
    days = content.sizes["time"]
    empty = content["finite"].values == 0
    if empty.any():
        raise rain.fault(
            int(empty.argmax()),
            f"no value at all on {empty.sum()} day(s), the first is {rain.date(int(empty.argmax()))}",
            "rain on every day of the year",
            "fill or leave out the year",
        )
    count = content["days_with_rain"].values
    valid, observed = count == days, count > 0
    gaps = int((observed & ~valid).sum())
    if gaps > MOST_GAPS * observed.sum():
        cell = next(zip(*(observed & ~valid).nonzero(), strict=True))
        raise rain.fault(
            None,
            f"{gaps} of {observed.sum()} cells miss some days (the first, row {cell[0]} column {cell[1]}, has "
            f"{count[cell]} of {days})",
            f"at most {MOST_GAPS:.0%} of the cells with gaps",
            "fill the gaps or leave out the year",
        )
    if gaps:
        notes[f"Rain: {gaps} of {observed.sum()} cells miss some days and count as not valid."] = None
    if not observed.all():
        notes[f"Rain: {int((~observed).sum())} of {observed.size} cells never have a value and count as not valid."] = (
            None
        )
    return valid, observed


def _check_values(record: VariableYear, content: xr.Dataset, notes: dict[str, None]) -> None:
    """Refuse values that cannot be, with the likely cause."""
    source = record.source
    low, high = content["low"].values, content["high"].values
    units = f"its units {record.raw_units!r}" if record.raw_units else "its units"
    if source.key != "rain":
        cells = record.window_size
        lacking = content["finite"].values < cells
        if lacking.any():
            first = int(lacking.argmax())
            raise record.fault(
                first,
                f"missing values on {lacking.sum()} day(s), the first is {record.date(first)} with "
                f"{cells - int(content['finite'].values[first])} of {cells} cells",
                "a value in every cell of the domain",
                "fill them or leave the predictor out",
            )
    absolute = np.fmax(np.abs(low), np.abs(high))
    if (absolute > NO_VALUE).any():
        first = int((absolute > NO_VALUE).argmax())
        raise record.fault(
            first, f"{absolute[first]:g} on {record.date(first)}", "numbers", "declare the fill value as _FillValue"
        )
    if source.quantity == "rain":
        lowest, highest = int(np.nanargmin(low)), int(np.nanargmax(high))
        if low[lowest] <= TINY_NEGATIVE:
            raise record.fault(
                lowest,
                f"{low[lowest]:g} mm/day on {record.date(lowest)}",
                "no negative rain",
                "correct the data; if it marks missing values, declare it as _FillValue",
            )
        if high[highest] > MOST_RAIN:
            raise record.fault(
                highest,
                f"{high[highest]:g} mm/day on {record.date(highest)}",
                f"at most {MOST_RAIN:g} mm/day",
                f"check {units}",
            )
        if high[highest] < LEAST_RAIN:
            raise record.fault(
                highest,
                f"no value over {high[highest]:g} mm/day in the whole year",
                f"rain of {LEAST_RAIN:g} mm/day somewhere",
                f"check {units}",
            )
        if negative := int(content["negative"].sum()):
            notes[f"{_upper(source.name)}: {negative} values between {TINY_NEGATIVE} and 0 mm/day set to 0."] = None
    if source.quantity == "temperature":
        cold, hot = int(np.nanargmin(low)), int(np.nanargmax(high))
        for day, value in ((cold, low[cold]), (hot, high[hot])):
            if not TEMPERATURES[0] <= value <= TEMPERATURES[1]:
                raise record.fault(
                    day,
                    f"{value:g} K on {record.date(day)}",
                    "{:g} to {:g} K".format(*TEMPERATURES),
                    f"check {units}",
                )


def _land(plan: _Plan, elevation: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """True on land: from its file, else above sea level and where rain is observed."""
    if plan.land:
        return np.nan_to_num(plan.land.values(plan.rain.grid, plan.notes)) > 0.5
    land = np.ones(observed.shape, bool)
    if plan.elevation:
        land &= elevation > 0  # ASSUME no land below sea level
    return land & observed  # ASSUME rain without values is over the sea


def _coarse_fields(
    dataset: PrepareSettings,
    plan: _Plan,
    predictors: list[tuple[VariableYear, Mapping, xr.DataArray]],
    pr: xr.DataArray,
) -> xr.DataArray:
    """The predictors on the coarse grid: time, channel, y, x."""
    if dataset.predictors == "coarsened":
        blocks = pr.coarsen(lat=dataset.factor, lon=dataset.factor).mean().fillna(0)
        channels = [blocks.rename(lat="y", lon="x").drop_vars(["y", "x"], errors="ignore")]
    else:
        channels = []
        for record, mapping, data in predictors:
            data = data.clip(min=0) if record.source.quantity == "rain" else data
            channels.append(mapping.apply(data))
    return _stacked(channels, ("channel", "y", "x"), (len(plan.coarse.y), len(plan.coarse.x)), pr["time"])


def _context_fields(context: list[tuple[VariableYear, xr.DataArray]], pr: xr.DataArray) -> xr.DataArray:
    """The predictors that are context, whole: time, context_channel, v, u."""
    shape = context[0][0].grid.shape if context else (0, 0)
    whole = [data.rename(lat="v", lon="u") for _, data in context]
    return _stacked(whole, ("context_channel", "v", "u"), shape, pr["time"])


def _context_axes(context: list[VariableYear]) -> dict[str, tuple[str, np.ndarray, dict[str, Any]]]:
    """The axes of the context with their attributes: v from north to south, u from west to east."""
    if not context:
        return {name: (name, np.empty(0), {}) for name in ("v", "u")}
    grid, words = context[0].grid, "centres of the cells of the context along {}"
    axes = (("v", grid.y, grid.y_attrs), ("u", grid.x, grid.x_attrs))
    return {name: (name, axis, {**attrs, "long_name": words.format(name)}) for name, axis, attrs in axes}


def _stacked(
    fields: list[xr.DataArray], dims: tuple[str, str, str], shape: tuple[int, int], time: xr.DataArray
) -> xr.DataArray:
    """The fields as channels: (time, *dims), the first of `dims` the channel. No field makes no channel."""
    if not fields:
        return xr.DataArray(np.empty((len(time), 0, *shape), "f4"), {"time": time}, ("time", *dims))
    fields = [field.assign_coords(time=time) for field in fields]
    stacked = xr.concat(fields, dims[0], join="exact", coords="minimal", compat="override")
    return stacked.transpose("time", *dims).astype("float32").chunk({dims[0]: -1})


def _describe(fields: xr.Dataset, rain: VariableYear) -> xr.Dataset:
    """Add CF attributes and the map projection, if any."""
    attributes = {
        "pr": {"standard_name": "lwe_precipitation_rate", "long_name": "daily rain", "units": "mm/day"},
        "predictors": {"long_name": "coarse predictors; units in channel_units"},
        "channel": {"long_name": "predictor"},
        "channel_units": {"long_name": "units of the predictor"},
        "context": {"long_name": "predictors on their own grid, the large-scale weather; units in context_units"},
        "context_channel": {"long_name": "predictor that is context"},
        "context_units": {"long_name": "units of the predictor that is context"},
        "valid": {"long_name": "rain on every day of the year", "units": "1"},
        "elevation": {"standard_name": "surface_altitude", "long_name": "elevation", "units": "m"},
        "land": {"standard_name": "land_binary_mask", "long_name": "1 on land, 0 on sea", "units": "1"},
        "coast_distance": {"long_name": "distance to the nearest cell of the other kind, land or sea", "units": "km"},
        "time": {"standard_name": "time", "long_name": "date", "axis": "T"},
    }
    attributes["pr"]["cell_methods"] = "time: mean"
    for name, values in attributes.items():
        fields[name].attrs = values
    if rain.grid.crs is not None:
        fields["crs"] = rain.grid.crs
        for name in ("pr", "valid", "elevation", "land", "coast_distance"):
            fields[name].attrs["grid_mapping"] = "crs"
    return fields


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
