"""One variable of one raw file that is open: what the file says, before anything is made of it.

Input: a file, a zarr store or an address, and the name of a variable. Output: the decoded variable, its data still on
the disk. It is one field for each time: the entries of `expver` are combined, one level is chosen, and a file without
dates gets the date that its name states.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from rainshaft.data.formats import Raw, open_raw
from rainshaft.data.sources import InputError, Location, Source, date_in_name, fault
from rainshaft.data.stamps import UnclearTimeError, with_cf_times

MEMORY_CHUNK_BYTES = 16e6  # of a variable that must be computed from others when it is read

LEVEL_NAMES = frozenset(
    [
        "level",
        "levels",
        "lev",
        "plev",
        "pressure",
        "pressure_level",
        "pres",
        "isobaric",
        "isobaricinhpa",
        "isobaricinpa",
        "hybrid",
        "model_level",
        "height",
        "heightaboveground",
        "depth",
        "altitude",
        "alt",
        "depthbelowland",
        "depthbelowlandlayer",
        "bottom_top",
        "soil_layers_stag",
        "sigma",
        "z",
    ]
)
"""names of axes of levels, in small letters"""

LEVEL_STANDARD_NAMES = frozenset(
    [
        "air_pressure",
        "height",
        "altitude",
        "depth",
        "model_level_number",
        "geopotential_height",
        "air_potential_temperature",
    ]
)

PRESSURE_UNITS = frozenset(["pa", "pascal", "hpa", "hectopascal", "mb", "mbar", "millibar", "millibars"])

SAME_LEVEL = 1e-3  # relative; single precision stays well below

MEMBER_NAMES = frozenset(
    [
        "number",
        "member",
        "members",
        "member_id",
        "realization",
        "realisation",
        "ensemble",
        "ensemble_member",
        "ens",
        "ens_member",
        "ensemble_id",
        "ensemble_number",
        "mem",
        "perturbationnumber",
        "realization_id",
        "sample",
        "samples",
        "draw",
    ]
)
"""names of axes of ensembles, in small letters"""

FINAL, EARLY = 1, 5  # values of expver: ERA5, and ERA5T, which is its early release


@dataclass(frozen=True)
class Header:
    """One variable of one file that is open."""

    source: Source
    path: Location
    file: xr.Dataset
    """all variables of the file"""
    data: xr.DataArray
    """the variable, in the order and the units of the file"""
    notes: tuple[str, ...] = ()
    """sentences about what was done to read it"""
    realizations: int = 1
    """how many members of an ensemble the file has"""
    members_dim: str = ""
    """the dimension that counts them, where all are taken"""

    def fault(self, found: str, expected: str, cure: str) -> InputError:
        """Give an error about this file."""
        return fault(self.path, self.source.variable, found, expected, cure)

    def noting(self, text: str) -> Header:
        """Add a note."""
        return replace(self, notes=(*self.notes, self.source.note(text)))


@contextmanager
def open_header(source: Source, path: Location) -> Iterator[Header]:
    """Open a file. It stays open after the block, unless the block raises an error.

    Raises
    ------
    InputError
        If the file cannot be opened, has no such variable of numbers, or it is not clear which field of it is meant.
    """
    raw = open_raw(source, path)
    try:
        header = _decoded(source, path, raw)
        for step in (_with_named_axes, _with_axes_of_maps, _one_release, _one_level, _one_member, _dated):
            header = step(header)
        header.file.set_close(raw.file.close)  # a dataset that was changed no longer knows how to close its file
        yield header
    except BaseException:
        raw.file.close()
        raise


def _decoded(source: Source, path: Location, raw: Raw) -> Header:
    """Apply the attributes of the file."""
    variable = raw.file.variables[raw.name]
    try:
        stamps = with_cf_times(raw.file, () if source.static else variable.dims)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            file = xr.decode_cf(stamps.file, decode_timedelta=False)
    except UnclearTimeError as error:
        raise fault(path, source.variable, error.found, error.expected, error.cure) from None
    except Exception as error:  # attributes may be wrong in any way, and each way raises something else
        reason = " ".join(str(error).split("\n")[0].split())
        found = f"a header that cannot be decoded ({reason})"
        expected, cure = "a file by the CF conventions", "correct its attributes"
        raise fault(path, source.variable, found, expected, cure) from None
    file.set_close(raw.file.close)
    data = file[raw.name]
    if data.dtype.kind not in ("fiub" if source.quantity == "land" else "fiu"):
        found, cure = f"values of type {data.dtype}", f"correct {source.key}.variable"
        raise fault(path, source.variable, found, "numbers", cure)
    header = Header(source, path, file, data)
    for note in (*raw.notes, *stamps.notes):
        header = header.noting(note)
    return header


# ------------------------------------------------------------------------------------------ axes by other names


def _with_named_axes(header: Header) -> Header:
    """Give a dimension the coordinate that lies on it under another name, if there is only one for it."""
    for dim in map(str, header.data.dims):
        if dim in header.file.variables:
            continue
        found: dict[str, list[str]] = {}
        for name in map(str, header.file.variables):
            if header.file[name].dims == (dim,) and (kind := _kind_of_axis(header.file[name])):
                found.setdefault(kind, []).append(name)
        if len(found) == 1 and len(names := next(iter(found.values()))) == 1:
            (kind,) = found
            axis = header.file[names[0]].variable
            attributes = {**axis.attrs} if kind == "time" else {"standard_name": kind, **axis.attrs}
            axis = xr.Variable((dim,), axis.data, attributes, axis.encoding)
            header = _with_coordinates(header, {dim: axis})
    return header


def _kind_of_axis(variable: xr.DataArray) -> str:
    """`time`, `latitude` or `longitude`; an empty text for anything else."""
    if variable.dtype.kind in "MO":
        name = str(variable.name).lower()
        is_other = "bound" in name or "ref" in name or variable.attrs.get("standard_name", "time") != "time"
        return "time" if variable.size and not is_other else ""
    return _kind_of_map(variable)


def _kind_of_map(variable: xr.DataArray) -> str:
    """`latitude` or `longitude` by the attributes or the name; an empty text for anything else."""
    if variable.dtype.kind != "f":
        return ""
    stated, units = str(variable.attrs.get("standard_name", "")), str(variable.attrs.get("units", "")).lower()
    name = str(variable.name).lower()
    for kind, letter, words in (
        ("latitude", "n", ("lat", "latitude", "xlat", "nav_lat")),
        ("longitude", "e", ("lon", "long", "longitude", "xlong", "nav_lon")),
    ):
        if stated:
            if stated == kind:
                return kind
        elif units in (f"degrees_{letter}", f"degree_{letter}", f"degrees{letter}", f"degree{letter}") or (
            name in words and (not units or units.startswith("deg"))
        ):
            return kind
    return ""


def _with_coordinates(header: Header, axes: dict[str, xr.Variable]) -> Header:
    """Give dimensions of the variable and of the file coordinates."""
    data = header.data.assign_coords(axes)
    file = header.file.assign_coords(axes)
    return replace(header, file=file, data=data)


def _with_axes_of_maps(header: Header) -> Header:
    """Make axes of maps of latitude and longitude whose rows and columns are constant, where there are no other axes.

    Raises
    ------
    InputError
        If it is raw output of WRF on a projected grid, which has no axes.
    """
    bare = [str(dim) for dim in header.data.dims if dim not in header.file.variables]
    if len(bare) >= 2:
        maps = [header.file[v] for v in header.file.variables if set(header.file[v].dims) < set(header.data.dims)]
        maps = [_without_time(v) for v in maps]
        lats = [v for v in maps if v.ndim == 2 and _kind_of_map(v) == "latitude"]
        lons = [v for v in maps if v.ndim == 2 and _kind_of_map(v) == "longitude"]
        if len(lats) == len(lons) == 1 and set(lats[0].dims) == set(lons[0].dims) <= set(bare):
            for y in lats[0].dims:
                (x,) = (dim for dim in lats[0].dims if dim != y)
                lat, lon = _axis_of_map(lats[0], str(y)), _axis_of_map(lons[0], str(x))
                if lat is not None and lon is not None:
                    header = _with_coordinates(header, {str(y): lat, str(x): lon})
                    return header.noting(f"axes taken from {lats[0].name} and {lons[0].name}.")
    if {"south_north", "west_east"} <= set(bare):
        raise header.fault(
            "raw output of WRF: its dimensions south_north and west_east have no coordinates",
            "axes in m or in degrees",
            "give it axes, for example with xwrf (`xarray.open_dataset(FILE).xwrf.postprocess().swap_dims(...)`) or "
            "salem (`salem.open_wrf_dataset`), and write it as netCDF",
        )
    return header


def _without_time(variable: xr.DataArray) -> xr.DataArray:
    """A map; the first of maps that WRF repeats for each time."""
    return variable.isel({variable.dims[0]: 0}) if variable.ndim == 3 else variable


def _axis_of_map(values: xr.DataArray, dim: str) -> xr.Variable | None:
    """The axis along a dimension, if the map does not change along the other one; None if it does."""
    array = values.transpose(dim, ...).values.astype("float64")
    if array.shape[0] < 2 or not np.isfinite(array).all():
        return None
    cell = np.abs(np.diff(array[:, 0])).min()
    if np.ptp(array, axis=1).max() > 0.01 * cell:  # ASSUME a grid that is turned by less has the axes of its edge
        return None
    attributes = {"standard_name": _kind_of_map(values), "units": "degrees_north"}
    attributes["units"] = "degrees_north" if attributes["standard_name"] == "latitude" else "degrees_east"
    return xr.Variable((dim,), array.mean(1), attributes)


# ------------------------------------------------------------------------------------------ one field for each time


def _one_release(header: Header) -> Header:
    """Combine ERA5 and ERA5T where a file has both: the final values, and the early ones where there are no final."""
    if "expver" not in header.data.coords and "expver" not in header.data.dims:
        return header
    data = header.data
    numbers = [_release(value) for value in np.ravel(data["expver"].values).tolist()]
    if "expver" not in data.dims:
        if EARLY in numbers and data["expver"].ndim:
            header = header.noting(f"{numbers.count(EARLY)} of {len(numbers)} records are of the early release, ERA5T.")
        return replace(header, data=header.data.drop_vars("expver"))
    if data.sizes["expver"] == 1:
        return header
    if sorted(numbers) != [FINAL, EARLY]:
        raise header.fault(
            f"a dimension expver with the entries {', '.join(map(str, np.ravel(data['expver'].values)))}",
            f"{FINAL} (ERA5) and {EARLY} (ERA5T)",
            "write a file with one value for each time",
        )
    chunks = _chunks(data.isel(expver=0, drop=True))
    final, early = (data.isel(expver=numbers.index(number), drop=True).chunk(chunks) for number in (FINAL, EARLY))
    combined = final.where(final.notnull(), early).assign_attrs(data.attrs)
    combined.encoding = data.encoding
    note = "expver combined: the values of ERA5, and those of ERA5T where ERA5 has none."
    return replace(header, data=combined).noting(note)


def _release(value: object) -> int:
    """An entry of expver as a number; -1 if it is none."""
    try:
        return int(value.decode() if isinstance(value, bytes) else str(value))
    except ValueError:
        return -1


def _chunks(data: xr.DataArray) -> dict[str, int]:
    """Whole maps, and so many times that they fit into memory."""
    first, *rest = map(str, data.dims)
    size = 8 * int(np.prod([data.sizes[dim] for dim in rest], dtype=np.int64)) or 1
    return {first: max(1, int(MEMORY_CHUNK_BYTES / size)), **dict.fromkeys(rest, -1)}


def _one_level(header: Header) -> Header:
    """Choose the level that the configuration names.

    Raises
    ------
    InputError
        If there are several and none is named, or the one that is named is not there.
    """
    source, data = header.source, header.data
    dims = [dim for dim in map(str, data.dims) if _is_level(dim, data)]
    if len(dims) > 1:
        raise header.fault(
            f"several axes of levels: {', '.join(dims)}", "one", "select an entry of all but one of them first"
        )
    if not dims:
        return _require_scalar_level(header)
    (dim,) = dims
    if dim not in data.coords:
        if data.sizes[dim] == 1 and source.level is None:
            return header
        raise header.fault(
            f"a dimension {dim} of {data.sizes[dim]} levels without values",
            "a coordinate that says which level is which",
            "add it, or select one level first",
        )
    axis = data[dim]
    if source.level is None:
        if axis.size == 1:
            return header
        raise header.fault(
            f"{axis.size} levels: {_levels(axis)}",
            "one",
            f"write {source.key}.level, for example `level: {float(axis.values[0]):g}`",
        )
    index = int(np.abs(axis.values.astype("float64") - source.level).argmin())
    if not _same_level(float(axis.values[index]), source.level):
        raise header.fault(f"the levels {_levels(axis)}", f"level {source.level:g}", _level_cure(header, axis))
    chosen = data.isel({dim: index}, drop=True)
    note = f"level {_levels(axis[index : index + 1])} of {dim} taken."
    return replace(header, data=chosen).noting(note)


def _require_scalar_level(header: Header) -> Header:
    """Refuse a file whose only level is another one than that of the configuration, or that states none."""
    wanted = header.source.level
    if wanted is None:
        return header
    scalars = [v for v in header.data.coords.values() if v.ndim == 0 and _is_level(str(v.name), header.data)]
    scalars = [v for v in scalars if v.dtype.kind in "iuf"]
    if not scalars:
        dims = ", ".join(map(str, header.data.dims))
        cure = f"remove {header.source.key}.level if the file has only this level"
        raise header.fault(f"the dimensions {dims} and no level", f"level {wanted:g}", cure)
    if not any(_same_level(float(v), wanted) for v in scalars):
        level = scalars[0].expand_dims(str(scalars[0].name))
        raise header.fault(f"the level {_levels(level)}", f"level {wanted:g}", _level_cure(header, level))
    return header


def _is_level(name: str, data: xr.DataArray) -> bool:
    """Whether a dimension or coordinate counts levels: by its attributes, else by its name."""
    attributes = data.coords[name].attrs if name in data.coords else {}
    units = str(attributes.get("units", "")).lower()
    return (
        str(attributes.get("axis", "")).upper() == "Z"
        or str(attributes.get("positive", "")).lower() in ("up", "down")
        or str(attributes.get("standard_name", "")).startswith(("atmosphere_", "ocean_"))
        or attributes.get("standard_name") in LEVEL_STANDARD_NAMES
        or units in PRESSURE_UNITS
        or name.lower() in LEVEL_NAMES
    )


def _levels(axis: xr.DataArray) -> str:
    """The levels of an axis in words."""
    words = [f"{float(value):g}" for value in np.ravel(axis.values)]
    shown = ", ".join(words if len(words) <= 40 else [*words[:20], "...", *words[-20:]])
    return f"{shown} {axis.attrs.get('units', '')}".strip()


def _same_level(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= SAME_LEVEL * max(abs(wanted), 1e-6)


def _level_cure(header: Header, axis: xr.DataArray) -> str:
    """What to write for a level that is not there; it may be there in another unit of pressure."""
    key, wanted = f"{header.source.key}.level", header.source.level or 0.0
    for factor in (100.0, 0.01):
        if any(_same_level(float(value), factor * wanted) for value in np.ravel(axis.values)):
            units = axis.attrs.get("units", "Pa" if factor > 1 else "hPa")
            return f"the axis {axis.name} counts in {units}: write `level: {factor * wanted:g}` as {key}"
    return f"write one of these as {key}, in the units of the axis"


def _one_member(header: Header) -> Header:
    """Take the members of an ensemble that the source names. Where it names none, refuse several members."""
    data, wanted = header.data, header.source.realization
    if wanted == "all":
        return _all_members(header)
    for dim in map(str, data.dims):
        is_member = _counts_members(data, dim)
        if is_member and wanted is not None:
            count = data.sizes[dim]
            if count > 1 and wanted >= count:
                raise header.fault(f"{count} members ({dim})", f"more than {wanted}", "use files with equal ensembles")
            return replace(header, data=data.isel({dim: min(wanted, count - 1)}, drop=True), realizations=count)
        if is_member and data.sizes[dim] > 1:
            listed = f": {', '.join(map(str, data[dim].values[:10]))}" if dim in data.coords else ""
            more = ", ..." if listed and data.sizes[dim] > 10 else ""
            raise header.fault(
                f"an ensemble, a dimension {dim} of length {data.sizes[dim]}{listed}{more}",
                "one field for each time",
                f"write one member into a file of its own, for example with `ncks -d {dim},0 FILE NEW.nc`",
            )
    return header


def _counts_members(data: xr.DataArray, dim: str) -> bool:
    """Whether a dimension counts the members of an ensemble: by its name, or by its attributes."""
    attributes = data.coords[dim].attrs if dim in data.coords else {}
    return dim.lower() in MEMBER_NAMES or attributes.get("standard_name") == "realization"


def _all_members(header: Header) -> Header:
    """Find the dimension that counts the members, if there is one, and take its names off: numbers will do."""
    data, stated = header.data, header.source.members_dim
    if stated is not None and stated not in data.dims:
        names, key = ", ".join(map(str, data.dims)), f"{header.source.key}.members_dim"
        raise header.fault(f"the dimensions {names}", f"{stated} among them, as {key} says", f"correct {key}")
    dims = [stated] if stated else [dim for dim in map(str, data.dims) if _counts_members(data, dim)]
    if len(dims) > 1:
        raise header.fault(
            f"the dimensions {' and '.join(dims)}, which both may count members",
            "one of them",
            "stack them to one dimension first (`xarray.DataArray.stack`)",
        )
    if not dims:
        return header
    (dim,) = dims
    others = [name for name, values in header.file.variables.items() if dim in values.dims and name != data.name]
    data = data.drop_vars([name for name in data.coords if dim in data[name].dims])
    return replace(header, file=header.file.drop_vars(others), data=data, realizations=data.sizes[dim], members_dim=dim)


def _dated(header: Header) -> Header:
    """Give a map without any time the date that the name of its file states.

    Raises
    ------
    InputError
        If it has no time, and its name is not said to have a date.
    """
    data, source = header.data, header.source
    if source.static or any(data[d].dtype.kind in "MO" for d in data.dims if d in data.coords):
        return header
    # It is one map. Without chunks, xarray would read it to add a dimension, and a record may be thousands of maps.
    header = replace(header, data=data.chunk())
    if any(_kind_of_axis(header.file[v]) == "time" and header.file[v].size == 1 for v in header.file.variables):
        return header
    if (day := date_in_name(source, header.path)) is None:
        dims = ", ".join(map(str, data.dims))
        raise header.fault(
            f"the dimensions {dims} and no dates",
            "a time axis with units like `days since 1950-01-01`",
            f"add it; or, if the name of each file has its date, write {{year}}{{month}}{{day}} in {source.files_key} "
            "where it stands",
        )
    axis = next((str(dim) for dim in data.dims if str(dim).lower() == "time" and data.sizes[dim] == 1), None)
    if axis is None:
        axis = next(name for name in ("time", "date_in_name") if name not in header.file.variables)
        header = replace(header, data=header.data.expand_dims(axis))
    # A date alone is that of a whole day. The bounds say so, since one stamp does not tell how long its record is.
    start = np.array([day], "datetime64[ns]")
    bounds = xr.Variable((axis, "bounds_of_date"), np.stack([start, start + np.timedelta64(1, "D")], axis=1))
    stamp = xr.Variable((axis,), start, {"standard_name": "time", "bounds": "bounds_of_date"})
    dated = _with_coordinates(header, {axis: stamp}).noting("dates taken from the names of the files.")
    return replace(dated, file=dated.file.assign(bounds_of_date=bounds))
