"""Raw netCDF files to canonical fields, one file a year; every change of the input is said in words.

Input: the files that a `Dataset` names, in whatever units, order, calendar and packing people have them.
Output: the fields file of a year (`prepare_year`). It has rain in mm/day, temperatures in K, north first, west first,
one stamp a day at 00:00. Coarse predictors lie on blocks of `factor` x `factor` cells of the rain, predictors that are
context on the grid that they share. Distances to the coast are in km.

`sources` finds the files, `rawfile` and `year` read one variable, `regrid` relates the grids, `checks` looks at the
values.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.slices import PrepareSettings
from rainshaft.data.checks import check_values, lone_values, range_of, read_content, read_elevation, read_land
from rainshaft.data.fields import Fields
from rainshaft.data.gaps import Mask, complete_days, joined_days, mask_of
from rainshaft.data.pairing import origin_of, require_pairs
from rainshaft.data.places import UNKNOWN, compare
from rainshaft.data.rawfile import OpenFiles, StaticMap
from rainshaft.data.regrid import Coarse, Mapping, coarse_grid, coast_distance, map_to_coarse, nearest_filled
from rainshaft.data.sources import Faults, files_of, sources_of
from rainshaft.data.times import STANDARD, calendar_year, iso
from rainshaft.data.year import Days, VariableYear, read_year
from rainshaft.files import atomic, write_netcdf

MEMORY_CHUNK_BYTES = 16e6  # of one variable in memory for each thread; it decides how many days are read at once
STAMPS_ELSEWHERE = (
    "ERA5-Land at 00 UTC, CESM and WRF stamp the end. If the files do it otherwise, write `day: start` or `day: end` "
    "beside `files`."
)

Predictor = tuple[VariableYear, Mapping]
"""a coarse predictor, and how it gets to the coarse grid"""
Ranges = dict[str, dict[str, float | str]]
"""name of a variable to what `range_of` says of it"""
ChannelAxis = tuple[str, NDArray[np.float64], dict[str, Any]]


def check_sources(dataset: PrepareSettings, years: Sequence[int]) -> list[str]:
    """Check the headers of all raw files of a dataset before any job; no bulk data is read.

    This looks at files, variables, units, days, calendars and grids of these years.

    Returns
    -------
    Sentences: how many days take part, and what the files do not tell and is assumed.

    Raises
    ------
    InputError
        One line for each fault.
    """
    faults = Faults()
    first: YearPlan | None = None
    days: list[Days] = []
    rainy = 0
    doubts: dict[str, dict[str, None]] = {}
    with OpenFiles() as files:
        for year in years:
            with faults.collect():
                plan = plan_year(dataset, year, files)
                first = first or plan
                days.append(plan.rain.days)
                rainy += plan.days_with_rain
                plan.rain.require_grid_of(first.rain)
                for record, before in zip(plan.context, first.context, strict=True):
                    record.require_grid_of(before)
                for record in plan.records:
                    for doubt in record.timing.doubts if len(plan.records) > 1 else ():
                        doubts.setdefault(doubt, {})[record.source.name] = None
    faults.throw()
    sentences = [f"{', '.join(names)}: {doubt} {STAMPS_ELSEWHERE}" for doubt, names in doubts.items()]
    return [_span(np.concatenate(days), rainy), *sentences]


def _span(days: Days, rainy: int) -> str:
    """Say how many days take part."""
    words = f"{len(days)} days from {iso(days.min())} to {iso(days.max())} take part"
    return f"{words}; {rainy - len(days)} other days with rain lack a predictor" if rainy > len(days) else words


def prepare_year(dataset: PrepareSettings, year: int, path: Path) -> None:
    """Write the canonical fields of one year; the file is whole or absent.

    Memory holds a few days at a time, whatever the length of the record. So the input is read twice: once to check it
    and once to write it.

    Parameters
    ----------
    dataset
        Names the files and the factor.
    year
        The year; no other day is read.
    path
        The netCDF file to write.

    Raises
    ------
    UserError
        One line for each fault of the input. Among them are predictors that are not those of their days.
    """
    with OpenFiles() as files:
        plan = plan_year(dataset, year, files)
        with atomic(path) as temporary:
            write_netcdf(_fields(dataset, year, plan), temporary)
            with Fields([temporary]) as fields:
                require_pairs(fields)


# ------------------------------------------------------------------------------------------ headers of a year


@dataclass(frozen=True)
class YearPlan:
    """What the headers say about one year: which days there are, and how each variable gets to the coarse grid."""

    rain: VariableYear
    coarse: Coarse
    predictors: list[Predictor]
    context: list[VariableYear]
    """predictors that stay whole, all on one grid"""
    maps: dict[str, StaticMap]
    """`elevation` and `land`, where there are files"""
    notes: list[str]
    """sentences about changes of the input"""
    days_with_rain: int
    """how many days the files of the rain have; fewer may take part"""

    @property
    def records(self) -> list[VariableYear]:
        """The rain and every predictor, all with equal days."""
        return [self.rain, *(record for record, _ in self.predictors), *self.context]

    def only(self, days: Days) -> YearPlan:
        """Keep some of the days."""
        return replace(
            self,
            rain=self.rain.only(days),
            predictors=[(record.only(days), mapping) for record, mapping in self.predictors],
            context=[record.only(days) for record in self.context],
        )


def plan_year(dataset: PrepareSettings, year: int, files: OpenFiles) -> YearPlan:
    """Open all files of a year and relate them to each other; no bulk data is read.

    Raises
    ------
    InputError
        One line for each fault.
    """
    rain, others, maps = _headers(dataset, year, files)
    days, lost = joined_days(rain, others)
    predictors = [record for record in others if not record.source.context]
    context = [record for record in others if record.source.context]
    coarse = coarse_grid(rain, predictors, dataset.factor)
    notes = [*rain.notes, *coarse.notes, *lost]
    mapped = []
    faults = Faults()
    for record in predictors:
        with faults.collect():
            mapping = map_to_coarse(record, coarse)
            mapped.append((replace(record, window=mapping.window), mapping))
            notes += [*record.notes, mapping.note]
    for record in context:
        with faults.collect():
            record.require_grid_of(context[0])
            notes += [*record.notes, _context_note(record)]
    faults.throw()
    for raw in maps.values():
        notes += raw.notes
        if not compare(raw.grid, rain.grid, "the rain").is_known:
            notes.append(raw.header.source.note(UNKNOWN))
    if others:  # without other variables there is nothing that a day could be compared with
        notes += [record.source.note(doubt) for record in (rain, *others) for doubt in record.timing.doubts]
    if dataset.predictors == "coarsened":
        blocks = f"blocks of {dataset.factor} x {dataset.factor} cells"
        notes.append(f"Predictor pr made from the rain: means over {blocks}.")
    return YearPlan(rain, coarse, mapped, context, maps, notes, len(rain.days)).only(days)


def _headers(
    dataset: PrepareSettings, year: int, files: OpenFiles
) -> tuple[VariableYear, list[VariableYear], dict[str, StaticMap]]:
    """Read the headers of the rain, of the predictors and of the maps."""
    rain: VariableYear | None = None
    others: list[VariableYear] = []
    maps: dict[str, StaticMap] = {}
    faults = Faults()
    for source in sources_of(dataset):  # the rain comes first
        centre = rain.grid.centre if rain else None
        with faults.collect():
            paths = files_of(source, year)
            if source.static:
                maps[source.key] = files.map(source, paths[0], centre)
                if rain:
                    maps[source.key].window_on(rain.grid)
            elif source.key == "rain":
                rain = read_year(source, paths, year, centre, files)
            else:
                others.append(read_year(source, paths, year, centre, files))
    faults.throw()
    assert rain is not None  # without the rain there is a fault
    return rain, others, maps


def _context_note(record: VariableYear) -> str:
    """Say how large the field of a context predictor is."""
    rows, columns = record.grid.shape
    return record.source.note(f"used as context, {rows} x {columns} cells of {record.grid.resolution}.")


# ------------------------------------------------------------------------------------------ content of a year


@dataclass(frozen=True)
class _Ground:
    """What does not change with time (lat, lon)."""

    elevation: NDArray[np.float64]
    """m"""
    land: NDArray[np.bool_]
    coast_distance: NDArray[np.float64]
    """km"""
    notes: list[str]


def _fields(dataset: PrepareSettings, year: int, plan: YearPlan) -> xr.Dataset:
    """Check the content of a year and lay out its fields, rain and predictors still on the disk."""
    checked = _check(plan)
    plan, mask, empty = checked.plan, checked.mask, checked.empty
    ground = _ground(plan, mask)
    rain = plan.rain.lazy(MEMORY_CHUNK_BYTES)
    rain = rain.assign_coords(time=days_as_written(plan.rain, year))
    predictors = [record.lazy(MEMORY_CHUNK_BYTES) for record, _ in plan.predictors]
    context = [record.lazy(MEMORY_CHUNK_BYTES) for record in plan.context]

    rows, columns = plan.coarse.crop
    valid = xr.DataArray(mask.valid[rows, columns], dims=("lat", "lon"))
    observed = _observed(mask.valid[rows, columns], dataset.factor)
    pr = rain.isel(lat=rows, lon=columns).clip(min=0).where(valid)
    if dataset.predictors == "coarsened":
        channels, rain_channel = [("pr", "mm/day")], "pr"
        coarse = [_block_means(pr, observed, plan.coarse)]
    else:
        channels = [(record.source.label, record.units) for record, _ in plan.predictors]
        rain_channel = next((r.source.label for r, _ in plan.predictors if r.source.quantity == "rain"), "")
        coarse = [
            mapping.of_record(record, data, empty[record.source.id], observed)
            for (record, mapping), data in zip(plan.predictors, predictors, strict=True)
        ]
    fields = xr.Dataset(
        {
            "pr": pr.astype("float32"),
            "predictors": stacked(coarse, ("channel", "y", "x"), plan.coarse.grid.shape, pr["time"]),
            "channel_units": ("channel", np.array([units for _, units in channels], dtype=str)),
            "context": _context_fields(plan.context, context, empty, pr["time"]),
            "context_units": ("context_channel", np.array([r.units for r in plan.context], dtype=str)),
            "valid": valid.astype("int8"),
            "elevation": (("lat", "lon"), ground.elevation[rows, columns].astype("float32")),
            "land": (("lat", "lon"), ground.land[rows, columns].astype("float32")),
            "coast_distance": (("lat", "lon"), ground.coast_distance[rows, columns].astype("float32")),
        },
        coords={
            "channel": np.array([name for name, _ in channels], dtype=str),
            "context_channel": np.array([r.source.label for r in plan.context], dtype=str),
            **plan.coarse.coordinates,
            **_context_axes(plan.context),
        },
        attrs={
            "title": f"canonical fields of {year}",
            "factor": dataset.factor,
            "rain_channel": rain_channel,
            "grid_kind": plan.rain.grid.kind,
            "sources": json.dumps([asdict(origin_of(record.source)) for record in plan.records]),
            "values": json.dumps(checked.ranges),
            "ingest": json.dumps(
                list(dict.fromkeys([*plan.notes, *checked.notes, *ground.notes, *_filled_notes(plan, empty, observed)]))
            ),
        },
    )
    return _describe(fields, plan.rain)


@dataclass(frozen=True)
class _Checked:
    """What the values of a year say, once they were all read."""

    plan: YearPlan
    """with the days that take part"""
    mask: Mask
    empty: dict[str, NDArray[np.bool_]]
    """by the key of the variable, the cells that do not belong to it"""
    notes: list[str]
    ranges: Ranges


def _check(plan: YearPlan) -> _Checked:
    """Read all data once and refuse what cannot be true."""
    records = [(record, record.lazy(MEMORY_CHUNK_BYTES)) for record in plan.records]
    content = read_content(records)
    days, empty, notes = complete_days(records, content)  # without any value there is no more to say
    faults = Faults()
    ranges = {}
    for record, data in records:
        with faults.collect():
            record.require_equal_copies()
            notes += check_values(record, data, content[record.source.id])
            ranges[record.source.name] = range_of(record, content[record.source.id])
    faults.throw()
    notes += lone_values(*records[0], content["rain"])
    plan = plan.only(days)
    mask = mask_of(plan.rain, plan.rain.lazy(MEMORY_CHUNK_BYTES), content["rain"])
    return _Checked(plan, mask, empty, [*notes, *mask.notes], ranges)


def days_as_written(record: VariableYear, year: int) -> NDArray[Any]:
    """The days of a variable as they are written: 00:00 of each date, or the start of each step, in its calendar."""
    calendar = record.first.records.calendar
    if record.gathered:
        _, dates, written = calendar_year(year, "standard" if calendar in STANDARD else calendar)
        return np.asarray(written[np.searchsorted(dates, record.days)])
    starts = [cftime.datetime.strptime(str(day), "%Y%m%d%H%M", calendar=calendar) for day in record.days]
    if calendar in STANDARD:
        return np.array([start.isoformat() for start in starts], dtype="datetime64[ns]")
    return np.array(starts)


def _ground(plan: YearPlan, mask: Mask) -> _Ground:
    """Maps of the ground. Without a file for land, land is where rain is observed and the ground is above sea level."""
    grid, notes = plan.rain.grid, []
    elevation = np.zeros(grid.shape)
    land = mask.observed  # ASSUME rain without values is over the sea
    if "elevation" in plan.maps:
        elevation, changes = read_elevation(plan.maps["elevation"], grid)
        land = land & (elevation > 0)  # ASSUME no land below sea level
        notes += changes
    if "land" in plan.maps:
        land, changes = read_land(plan.maps["land"], grid)
        notes += changes
    return _Ground(elevation, land, coast_distance(land, grid), notes)


def _observed(valid: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """True for the coarse cells (y, x) in which some cell is valid."""
    rows, columns = (size // factor for size in valid.shape)
    return np.asarray(valid.reshape(rows, factor, columns, factor).any((1, 3)))


def _block_means(pr: xr.DataArray, observed: NDArray[np.bool_], coarse: Coarse) -> xr.DataArray:
    """The coarse rain of a perfect-model set-up: means over the valid cells of each block.

    A block without valid cells takes the rain of the nearest block that has some, so that interpolation at the coast
    does not take rain away.
    """
    blocks = pr.coarsen(lat=coarse.factor, lon=coarse.factor).mean().rename(lat="y", lon="x")
    blocks = blocks.drop_vars(["y", "x"], errors="ignore")
    return nearest_filled(blocks, ~observed, coarse.grid) if observed.any() else blocks.fillna(0)


def _context_fields(
    context: list[VariableYear], fields: list[xr.DataArray], empty: dict[str, NDArray[np.bool_]], time: xr.DataArray
) -> xr.DataArray:
    """The predictors that are context, whole: time, context_channel, v, u."""
    shape = context[0].grid.shape if context else (0, 0)
    whole = [
        nearest_filled(data, empty[record.source.id], record.grid).rename(lat="v", lon="u")
        for record, data in zip(context, fields, strict=True)
    ]
    return stacked(whole, ("context_channel", "v", "u"), shape, time)


def _filled_notes(plan: YearPlan, empty: dict[str, NDArray[np.bool_]], observed: NDArray[np.bool_]) -> list[str]:
    """Sentences about cells that take the values of the nearest cell that has some."""
    words = "{} of {} {} never have a value and take that of the nearest one that has."
    notes = []
    for record in (*(record for record, _ in plan.predictors), *plan.context):
        cells = empty[record.source.id]
        if cells.any():
            notes.append(record.source.note(words.format(int(cells.sum()), cells.size, "cells")))
    if not plan.predictors and not plan.context and not observed.all():
        count = words.format(int((~observed).sum()), observed.size, "coarse cells")
        notes.append(f"Predictor pr made from the rain: {count}")
    return notes


def _context_axes(context: list[VariableYear]) -> dict[str, ChannelAxis]:
    """The axes of the context with their attributes: v from north to south, u from west to east."""
    if not context:
        return {name: (name, np.empty(0), {}) for name in ("v", "u")}
    grid, words = context[0].grid, "centres of the cells of the context along {}"
    axes = (("v", grid.y, grid.y_attrs), ("u", grid.x, grid.x_attrs))
    return {name: (name, axis, {**attrs, "long_name": words.format(name)}) for name, axis, attrs in axes}


def stacked(
    fields: Sequence[xr.DataArray], dims: tuple[str, str, str], shape: tuple[int, int], time: xr.DataArray
) -> xr.DataArray:
    """Stack fields as channels: (time, *dims), where the first of `dims` is the channel. There may be no field."""
    if not fields:
        return xr.DataArray(np.empty((len(time), 0, *shape), "f4"), {"time": time}, ("time", *dims))
    fields = [field.assign_coords(time=time) for field in fields]
    stacked = xr.concat(fields, dims[0], join="exact", coords="minimal", compat="override")
    return stacked.transpose("time", *dims).astype("float32").chunk({dims[0]: -1})


def _describe(fields: xr.Dataset, rain: VariableYear) -> xr.Dataset:
    """Add CF attributes and the map projection, if there is one."""
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
