"""One raw netCDF file, understood: which axis is which, which days it holds, what its units are.

Input: a file as people have it. Output: `Raw`, a header with the data still on the disk, and `Record`, the days of
one year from any number of files, as a lazy array (time, lat, lon) in canonical units, north first, west first.
"""

from __future__ import annotations

import functools
import re
import struct
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import cf_xarray  # noqa: F401  registers the accessor `.cf`
import numpy as np
import pint
import xarray as xr

from rainshaft.netcdf3 import netcdf3_size
from rainshaft.sources import InputError, Source, fault
from rainshaft.units import conversion, length_in

Window = tuple[slice, slice]
WHOLE: Window = (slice(None), slice(None))
SAME_GRID = 0.05  # of a cell: coordinates closer than this are the same; single precision stays well below  # ASSUME


# ------------------------------------------------------------------------------------------ grids of files


@dataclass(frozen=True)
class Grid:
    """Axes in canonical order: y from north to south, x from west to east."""

    kind: Literal["latitude/longitude", "rotated", "projected"]
    y: np.ndarray
    x: np.ndarray
    y_attrs: dict[str, Any] = field(default_factory=dict)
    x_attrs: dict[str, Any] = field(default_factory=dict)
    crs: xr.DataArray | None = None
    """the grid mapping variable of the file"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)

    @property
    def centre(self) -> float | None:
        """Middle longitude, for files that count longitudes from elsewhere; None for other axes."""
        return float(self.x.mean()) if self.kind == "latitude/longitude" else None

    @property
    def steps(self) -> tuple[float, float]:
        """Size of a cell along y and x, positive."""
        return step(self.y), step(self.x)

    @property
    def extent(self) -> str:
        """Outer edges in words."""
        (dy, dx), form = self.steps, "{} {:g} to {:g}, {} {:g} to {:g}"
        names = ("latitude", "longitude") if self.kind == "latitude/longitude" else ("y", "x")
        y, x = (self.y[-1] - dy / 2, self.y[0] + dy / 2), (self.x[0] - dx / 2, self.x[-1] + dx / 2)
        return form.format(names[0], *np.round(y, 6), names[1], *np.round(x, 6))

    def same(self, other: Grid) -> bool:
        """Whether both have the same cells."""
        return (
            (self.kind, self.shape) == (other.kind, other.shape)
            and bool(np.all(np.abs(self.y - other.y) <= SAME_GRID * other.steps[0]))
            and bool(np.all(np.abs(self.x - other.x) <= SAME_GRID * other.steps[1]))
        )


def step(axis: np.ndarray) -> float:
    """Mean distance of the cells of an axis."""
    return abs(float(axis[-1] - axis[0])) / (len(axis) - 1)


# ------------------------------------------------------------------------------------------ one file


@dataclass(frozen=True)
class Raw:
    """The header of one variable in one file; `data` is still on the disk, in the file's order and units."""

    source: Source
    path: Path
    file: xr.Dataset
    """open until it is closed"""
    data: xr.DataArray
    dims: tuple[str, ...]
    """names in the file of time, y, x (static: y, x)"""
    order: tuple[np.ndarray, np.ndarray]
    """indices along y and x that bring the file into canonical order"""
    grid: Grid
    raw_units: str
    units: str
    slope: float
    offset: float
    notes: tuple[str, ...]
    dates: xr.DataArray | None = None
    days: np.ndarray | None = None
    """dates as numbers yyyymmdd"""
    calendar: str = ""

    def lazy(self, times: np.ndarray | None, chunk_bytes: float, window: Window = WHOLE) -> xr.DataArray:
        """The chosen days and cells in canonical order and units, as a dask array in chunks of days."""
        picks: dict[str, Any] = {d: _as_slice(o[w]) for d, o, w in zip(self.dims[-2:], self.order, window, strict=True)}
        if times is not None:
            picks[self.dims[0]] = _as_slice(times)
        data = self.data.isel(picks)
        cells = data.sizes[self.dims[-2]] * data.sizes[self.dims[-1]]
        chunks = {d: -1 for d in data.dims}
        if times is not None:
            chunks[self.dims[0]] = max(1, int(chunk_bytes / (8 * cells)))
        data = data.chunk(chunks).transpose(*self.dims)
        data = (data * self.slope + self.offset).astype("float32")
        names = ("lat", "lon") if times is None else ("time", "lat", "lon")
        return xr.DataArray(data.data, dims=names)

    def require_place_on(self, grid: Grid | None) -> None:
        """Raise unless this map has a value for each cell of the rain."""
        if grid is not None and self._place(grid) is None:
            raise fault(
                self.path,
                self.source.variable,
                f"{self.grid.shape[0]} x {self.grid.shape[1]} cells ({self.grid.extent})",
                f"the grid of the rain, {grid.shape[0]} x {grid.shape[1]} cells ({grid.extent})",
                "put it on that grid",
            )

    def values(self, grid: Grid, notes: dict[str, None]) -> np.ndarray:
        """A static map on the grid of the rain: elevation in m, or the share of land."""
        window = self._place(grid) or WHOLE
        try:
            data = self.lazy(None, 1e9, window).values.astype("float64")
        except (RuntimeError, OSError) as error:
            raise _unreadable(self, "", error) from None
        variable, quantity = self.source.variable, self.source.quantity
        if quantity == "elevation":
            missing = int(np.isnan(data).sum())
            if missing:
                notes[f"Elevation: {missing} cells without a value set to 0 m."] = None  # ASSUME they are sea
            data = np.nan_to_num(data)
            if np.abs(data).max() > 12000 or (data == -9999).any():  # ASSUME no ground there: a usual mark of no value
                found = f"{data[np.unravel_index(np.abs(data).argmax(), data.shape)]:g} m"
                raise fault(self.path, variable, found, "heights of the ground in m", "check its units and fill value")
            return data
        low, high = np.nanmin(data), np.nanmax(data)
        percent = self.raw_units.strip() in ("%", "percent") or high > 1.5
        if low < 0 or high > (100.5 if percent else 1.5):
            raise fault(self.path, variable, f"values from {low:g} to {high:g}", "0 to 1 or 0 to 100 %", "correct them")
        if percent:
            notes["Land: percent; cells with more than 50 % count as land."] = None
        return data / 100 if percent else data

    def _place(self, grid: Grid) -> Window | None:
        """Where in this map the cells of the rain are."""
        if self.grid.kind != grid.kind:
            return None
        window = []
        for mine, wanted in ((self.grid.y, grid.y), (self.grid.x, grid.x)):
            start = int(np.abs(mine - wanted[0]).argmin())
            part = mine[start : start + len(wanted)]
            if len(part) != len(wanted) or np.abs(part - wanted).max() > SAME_GRID * step(wanted):
                return None
            window.append(slice(start, start + len(wanted)))
        return window[0], window[1]


def open_raw(source: Source, path: Path, centre: float | None) -> Raw:
    """Read the header of a file.

    Parameters
    ----------
    source
        What the configuration says of the variable.
    path
        The file.
    centre
        Longitude about which longitudes are counted; None to choose.

    Raises
    ------
    InputError
        If the file cannot be read or understood.
    """
    ds = _open_dataset(source, path)
    try:
        return _understand(source, path, ds, centre)
    except BaseException:
        ds.close()
        raise


def _understand(source: Source, path: Path, ds: xr.Dataset, centre: float | None) -> Raw:
    """Find the variable, its axes, units and days in an open file."""
    variable = source.variable
    if variable not in ds.variables:
        present = ", ".join(str(v) for v in ds.data_vars) or "none"
        raise fault(
            path, variable, f"the variables {present}", "a variable of this name", f"correct {source.key}.variable"
        )
    data, notes = ds[variable], []
    if data.dtype.kind not in ("fiub" if source.quantity == "land" else "fiu"):
        raise fault(path, variable, f"values of type {data.dtype}", "numbers", f"correct {source.key}.variable")

    roles = _roles(ds, data)
    for dim in [d for d in data.dims if d not in roles or (source.static and roles[d] == "T")]:
        if data.sizes[dim] > 1:
            raise fault(
                path,
                variable,
                f"a dimension {dim} of length {data.sizes[dim]} that is no axis of time, latitude or longitude"
                if dim not in roles
                else f"{data.sizes[dim]} times",
                "time, latitude and longitude" if not source.static else "one map that does not change with time",
                "select one entry of it first; if it is an axis, give it a coordinate with standard_name and units",
            )
        data = data.isel({dim: 0}, drop=True)
        notes.append(f"{source.name}: dimension {dim} of length 1 dropped.")
    if not source.static and "T" not in [roles.get(d) for d in data.dims]:
        data, roles = _with_time_dimension(source, path, ds, data, roles)
    dims = {roles[d]: str(d) for d in data.dims if d in roles}
    missing = [word for role, word in (("Y", "latitude (or y)"), ("X", "longitude (or x)")) if role not in dims]
    if missing or len(dims) != data.ndim:
        raise fault(
            path,
            variable,
            f"dimensions {', '.join(map(str, data.dims))} without one for {' and '.join(missing) or 'each axis'}",
            "one axis each for latitude and longitude with a coordinate variable of one dimension",
            "add them, or put the data on a regular grid first",
        )

    grid, order = _grid(source, path, ds, data, dims, centre, notes)
    raw_units, units, slope, offset = conversion(source, path, data, notes)
    if data.encoding.get("dtype") == np.dtype("float64"):
        notes.append(f"{source.name}: double precision stored as single precision.")
    order_of_dims = (dims["Y"], dims["X"]) if source.static else (dims["T"], dims["Y"], dims["X"])
    if tuple(data.dims) != order_of_dims:
        notes.append(f"{source.name}: dimensions {', '.join(map(str, data.dims))} put into the order time, y, x.")
    raw = Raw(source, path, ds, data, order_of_dims, order, grid, raw_units, units, slope, offset, ())
    if not source.static:
        dates, calendar = _dates(source, path, ds, data[dims["T"]], notes)
        days = (dates.dt.year * 10000 + dates.dt.month * 100 + dates.dt.day).values.astype("int64")
        raw = replace(raw, dates=dates, days=days, calendar=calendar)
    return replace(raw, notes=tuple(note[:1].upper() + note[1:] for note in notes))


def _open_dataset(source: Source, path: Path) -> xr.Dataset:
    try:
        needed = netcdf3_size(path)
        if needed is not None and path.stat().st_size < needed:
            found = f"{path.stat().st_size} bytes"
            raise fault(
                path, source.variable, found, f"{needed} bytes by its header", "the file is cut short; copy it again"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            raw = xr.open_dataset(path, engine="netcdf4", decode_cf=False, cache=False)
            for name in raw.variables:
                if re.match(r"day as %Y%m%d", str(raw[name].attrs.get("units", ""))):
                    raw = raw.assign_coords({name: _absolute_days(raw[name])})
            return xr.decode_cf(raw, decode_timedelta=False)
    except InputError:
        raise
    except FileNotFoundError:
        cure = f"correct {source.files_key} or put the file there"
        raise fault(path, source.variable, "no such file", "a netCDF file", cure) from None
    except (OSError, RuntimeError, struct.error) as error:
        cure = "it is cut short or no netCDF file; copy it again"
        raise fault(path, source.variable, f"a file that cannot be opened ({error})", "a netCDF file", cure) from None
    except (ValueError, KeyError, OverflowError) as error:
        found = f"a header that cannot be decoded ({str(error).splitlines()[0]})"
        raise fault(
            path, source.variable, found, "a netCDF file by the CF conventions", "correct its attributes"
        ) from None


def _absolute_days(stamps: xr.DataArray) -> xr.DataArray:
    """Days written as numbers like 20200131.5, as CDO does, as days since 1850."""
    import cftime

    calendar = stamps.attrs.get("calendar", "standard")
    whole = np.floor(stamps.values + 1e-6).astype(int)
    units = "days since 1850-01-01"
    dates = [cftime.datetime(d // 10000, d // 100 % 100, d % 100, calendar=calendar) for d in whole]
    days = cftime.date2num(dates, units, calendar) + (stamps.values - whole)
    return stamps.copy(data=days).assign_attrs(units=units)


def _roles(ds: xr.Dataset, data: xr.DataArray) -> dict[str, str]:
    """T, Y or X for each dimension that is an axis: by CF attributes, else by its name."""
    known = {"latitude": "Y", "longitude": "X", "time": "T", "X": "X", "Y": "Y", "T": "T"}
    roles: dict[str, str] = {}
    for name, kinds in _cf_kinds([ds[d] for d in data.dims if d in ds.variables and ds[d].dims == (d,)]).items():
        role = next((known[kind] for kind in kinds if kind in known), None)
        role = role or next((r for word, r in (("northing", "Y"), ("easting", "X")) if word in name.lower()), None)
        if role and role not in roles.values():
            roles[name] = role
    return roles


def _cf_kinds(axes: list[xr.DataArray]) -> dict[str, tuple[str, ...]]:
    """What CF calls each axis: latitude, longitude, time, X, Y, Z, T."""

    def attributes(axis: xr.DataArray) -> tuple[tuple[str, str], ...]:
        return tuple((key, str(value)) for key, value in axis.attrs.items())

    times = [str(a.name) for a in axes if a.dtype.kind == "M" or (a.dtype.kind == "O" and a.size)]
    others = tuple((str(a.name), attributes(a)) for a in axes if str(a.name) not in times)
    return {name: ("time", "T") for name in times} | _cf_kinds_by_attributes(others)


@functools.cache
def _cf_kinds_by_attributes(axes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> dict[str, tuple[str, ...]]:
    """By attributes, else by the name; kept, because a record may be thousands of files with the same axes."""

    def kinds(names: xr.Dataset) -> dict[str, tuple[str, ...]]:
        found = [*names.cf.coordinates.items(), *names.cf.axes.items()]
        return {name: tuple(kind for kind, members in found if name in members) for name, _ in axes}

    stated = xr.Dataset(coords={name: (name, [0.0], dict(attributes)) for name, attributes in axes})
    by_attributes, by_name = kinds(stated), kinds(stated.cf.guess_coord_axis())
    return {name: by_attributes[name] or by_name[name] for name, _ in axes}


def _with_time_dimension(
    source: Source, path: Path, ds: xr.Dataset, data: xr.DataArray, roles: dict[str, str]
) -> tuple[xr.DataArray, dict[str, str]]:
    """A file of one day often has its time as a scalar."""
    scalars = [n for n, v in ds.variables.items() if v.dtype.kind in "MO" and v.size == 1 and "bound" not in str(n)]
    if len(scalars) != 1:
        raise fault(
            path,
            source.variable,
            f"dimensions {', '.join(map(str, data.dims))} and no axis of time",
            "a time axis with units like `days since 1950-01-01`",
            "add it",
        )
    name = str(scalars[0])
    stamp = ds[name].reset_coords(drop=True).squeeze()
    return data.drop_vars(name, errors="ignore").expand_dims({name: [stamp.values[()]]}), {**roles, name: "T"}


# ------------------------------------------------------------------------------------------ axes


def _grid(
    source: Source,
    path: Path,
    ds: xr.Dataset,
    data: xr.DataArray,
    dims: dict[str, str],
    centre: float | None,
    notes: list[str],
) -> tuple[Grid, tuple[np.ndarray, np.ndarray]]:
    """Axes in canonical order, and the indices that bring the data there."""
    y, x = ds[dims["Y"]], ds[dims["X"]]
    kind = _kind(source, path, y, x)
    axes = {}
    for name, coordinate in (("y", y), ("x", x)):
        values = coordinate.values.astype("float64")
        if len(values) < 2 or not np.isfinite(values).all():
            found = f"an axis {coordinate.name} of {len(values)} finite value(s)"
            raise fault(path, source.variable, found, "two or more cells along each axis", "use a larger domain")
        axes[name] = values
    if kind == "latitude/longitude":
        if np.abs(axes["y"]).max() > 90.001:
            found = f"latitudes from {axes['y'].min():g} to {axes['y'].max():g}"
            raise fault(path, source.variable, found, "-90 to 90", f"correct the axis {y.name}")
        turned = _turned(axes["x"], centre)
        if not np.array_equal(turned, axes["x"]):
            before, after = axes["x"], np.sort(turned)
            notes.append(
                f"{source.name}: longitudes {before[0]:g} to {before[-1]:g} counted as {after[0]:g} to {after[-1]:g}."
            )
        axes["x"] = turned
    order_y, order_x = np.argsort(-axes["y"], kind="stable"), np.argsort(axes["x"], kind="stable")
    if order_y[0] > order_y[-1]:
        notes.append(f"{source.name}: rows turned to run from north to south.")
    if order_x[0] > order_x[-1] and np.all(np.diff(order_x) < 0):
        notes.append(f"{source.name}: columns turned to run from west to east.")
    axes = {"y": axes["y"][order_y], "x": axes["x"][order_x]}
    for coordinate, values in ((y, axes["y"]), (x, axes["x"])):
        steps = np.abs(np.diff(values))
        if steps.min() <= 0.5 * steps.mean() or steps.max() >= 1.5 * steps.mean():
            raise fault(
                path,
                source.variable,
                f"steps from {steps.min():g} to {steps.max():g} along {coordinate.name}",
                "even steps",
                "look for rows that are missing or there twice, or put the data on a regular grid",
            )
    keep = ("standard_name", "long_name", "units")
    attrs = [{k: c.attrs[k] for k in keep if k in c.attrs} for c in (y, x)]
    if kind == "latitude/longitude":
        attrs = [
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north"},
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east"},
        ]
    if kind == "projected":
        for attributes, name in zip(attrs, ("projection_y_coordinate", "projection_x_coordinate"), strict=True):
            attributes.setdefault("standard_name", name)
            attributes.setdefault("units", "m")
    mapping = data.attrs.get("grid_mapping", data.encoding.get("grid_mapping", ""))
    crs = None
    if mapping in ds.variables:
        crs = xr.DataArray(np.int32(0), attrs=ds[mapping].attrs)
    y_attrs, x_attrs = {**attrs[0], "axis": "Y"}, {**attrs[1], "axis": "X"}
    return Grid(kind, axes["y"], axes["x"], y_attrs, x_attrs, crs), (order_y, order_x)


def _kind(
    source: Source, path: Path, y: xr.DataArray, x: xr.DataArray
) -> Literal["latitude/longitude", "rotated", "projected"]:
    kinds = _cf_kinds([y, x])
    if "latitude" in kinds[str(y.name)] and "longitude" in kinds[str(x.name)]:
        return "latitude/longitude"
    units = y.attrs.get("units", "")
    if y.attrs.get("standard_name") == "grid_latitude" or str(units).startswith("degree"):
        return "rotated"
    try:
        length_in(units or "m", "km")
        known = bool(units) or step(y.values.astype("float64")) >= 100
    except (pint.PintError, ValueError):
        known = False
    if not known:
        raise fault(
            path,
            source.variable,
            f"axes {y.name}, {x.name} with units {units!r}",
            "degrees_north and degrees_east, degrees, m or km",
            "set the attribute units of the axes",
        )
    return "projected"  # ASSUME m where axes with steps of 100 or more state no units


def _turned(x: np.ndarray, centre: float | None) -> np.ndarray:
    """Longitudes plus whole circles: about `centre`, else so that the domain is in one piece, -180..180 if it can."""

    def about(middle: float) -> np.ndarray:
        return x - 360 * np.floor((x - middle + 180) / 360)

    if centre is not None:
        return about(centre)
    west, east = about(0.0), about(180.0)
    return east if np.ptp(east) < np.ptp(west) - 1e-6 else west


def _as_slice(indices: np.ndarray) -> slice | np.ndarray:
    """A slice where the indices are evenly spaced: much faster to read."""
    steps = np.diff(indices)
    if len(indices) == 0 or (len(steps) and (steps != steps[0]).any()) or (len(steps) and abs(steps[0]) != 1):
        return indices
    by = int(steps[0]) if len(steps) else 1
    stop = int(indices[-1]) + by
    return slice(int(indices[0]), None if stop < 0 else stop, by)


# ------------------------------------------------------------------------------------------ days


def _dates(
    source: Source, path: Path, ds: xr.Dataset, stamps: xr.DataArray, notes: list[str]
) -> tuple[xr.DataArray, str]:
    """Date of each stamp, and the calendar."""
    calendar = None
    if stamps.dtype.kind in "MO" and not stamps.isnull().any():
        try:
            calendar = "standard" if stamps.dtype.kind == "M" else stamps.dt.calendar
        except (AttributeError, TypeError):
            calendar = None
    if calendar is None:
        found = f"a time axis {stamps.name} with units {stamps.attrs.get('units', stamps.encoding.get('units'))!r}"
        raise fault(path, source.variable, found, "units like `days since 1950-01-01`", "correct the attribute")
    exact = stamps.dt.round("s")  # days as floats miss midnight by a hair
    bounds = stamps.attrs.get("bounds", stamps.encoding.get("bounds"))
    if bounds in ds.variables and ds[bounds].dtype.kind == stamps.dtype.kind and ds[bounds].shape == (stamps.size, 2):
        start, end = (ds[bounds][:, i].dt.round("s") for i in (0, 1))
        a_day = (end.values - start.values) == np.timedelta64(1, "D")
        if np.all(a_day) and np.all(exact.values == end.values) and np.all(exact.values == exact.dt.floor("D").values):
            notes.append(f"{source.name}: stamps at the end of the day counted to the day before, by their bounds.")
            exact = exact.copy(data=start.values)
    dates = exact.dt.floor("D")
    hours = sorted({f"{h:02d}:{m:02d}" for h, m in zip(exact.dt.hour.values, exact.dt.minute.values, strict=True)})
    if hours != ["00:00"]:
        shown = hours[0] if len(hours) == 1 else f"{len(hours)} different hours"
        notes.append(f"{source.name}: stamps at {shown} taken as dates.")
    return dates, calendar


@dataclass(frozen=True)
class Record:
    """The days of one year of one variable, each once, in order, from any number of files."""

    source: Source
    year: int
    parts: list[tuple[Raw, np.ndarray]]
    """files and the indices of their days"""
    window: Window = WHOLE
    """the cells that are read, in canonical order"""

    @property
    def grid(self) -> Grid:
        """Grid of the files."""
        return self.parts[0][0].grid

    @property
    def units(self) -> str:
        """Canonical units."""
        return self.parts[0][0].units

    @property
    def raw_units(self) -> str:
        """Units in the first file."""
        return self.parts[0][0].raw_units

    @property
    def notes(self) -> list[str]:
        """Sentences about what was changed."""
        return list(dict.fromkeys(note for raw, _ in self.parts for note in raw.notes))

    @property
    def window_size(self) -> int:
        """Cells that are read."""
        (ys, xs), (height, width) = self.window, self.grid.shape
        return len(range(height)[ys]) * len(range(width)[xs])

    def lazy(self, chunk_bytes: float) -> xr.DataArray:
        """The year as a dask array (time, lat, lon) in canonical units, one stamp a day at 00:00."""
        data = xr.concat([raw.lazy(times, chunk_bytes, self.window) for raw, times in self.parts], "time")
        order = np.argsort(self._days, kind="stable")
        if (np.diff(order) != 1).any():
            data = data.isel(time=order)
        dates = np.concatenate([raw.dates.values[times] for raw, times in self.parts])[order]
        return data.assign_coords(time=dates)

    def date(self, index: int) -> str:
        """A day of the year in words."""
        return _iso(int(np.sort(self._days)[index]))

    def fault(self, index: int | None, found: str, expected: str, cure: str) -> InputError:
        """A message that names the file which holds a day (None: the first file)."""
        day = None if index is None else np.sort(self._days)[index]
        holders = [raw.path for raw, times in self.parts if day is not None and day in raw.days[times]]
        return fault((holders or [self.parts[0][0].path])[0], self.source.variable, found, expected, cure)

    def require_grid_of(self, other: Record) -> None:
        """Raise unless both records have the same cells."""
        if not self.grid.same(other.grid):
            raise self.fault(
                None,
                f"{self.grid.shape[0]} x {self.grid.shape[1]} cells ({self.grid.extent})",
                f"the grid of {other.parts[0][0].path}, {other.grid.shape[0]} x {other.grid.shape[1]} cells "
                f"({other.grid.extent})",
                "use files on one grid",
            )

    def require_calendar_of(self, rain: Record) -> None:
        """Raise unless both count days alike."""
        mine, wanted = self.parts[0][0].calendar, rain.parts[0][0].calendar
        if mine != wanted:
            cure = "bring both to one calendar (for example with xarray's convert_calendar)"
            raise self.fault(None, f"calendar {mine}", f"{wanted} as the rain has", cure)

    def find_unreadable(self) -> None:
        """Raise for the first file and days that cannot be read, if there are any."""
        for raw, times in self.parts:
            for time in times:
                try:
                    raw.lazy(np.array([time]), 1e9, self.window).compute()
                except (RuntimeError, OSError) as error:
                    raise _unreadable(raw, f" from {_iso(int(raw.days[time]))} on", error) from None

    @property
    def _days(self) -> np.ndarray:
        return np.concatenate([raw.days[times] for raw, times in self.parts])


def read_year(
    source: Source, paths: list[Path], year: int, centre: float | None, opened: dict[tuple[Path, str], Raw]
) -> Record:
    """Find every day of a year in the files; headers in `opened` are not read again.

    Raises
    ------
    InputError
        If a day is missing or there twice, or the files do not fit each other.
    """
    raws = []
    for path in paths:
        if (path, source.key) not in opened:
            opened[path, source.key] = open_raw(source, path, centre)
        raws.append(opened[path, source.key])
    chosen = [(raw, np.flatnonzero(raw.days // 10000 == year)) for raw in raws]
    chosen = sorted((c for c in chosen if len(c[1])), key=lambda c: int(c[0].days[c[1]].min()))
    files_key, variable = source.files_key, source.variable
    if not chosen:
        days = np.concatenate([raw.days for raw in raws])
        span = f"{_iso(int(days.min()))} to {_iso(int(days.max()))}" if len(days) else "no day"
        raise fault(paths[0], variable, span, f"days of {year}", f"correct years, or {files_key}")
    record = Record(source, year, [(raw, times[np.argsort(raw.days[times], kind="stable")]) for raw, times in chosen])
    calendar = chosen[0][0].calendar
    for raw, _ in chosen[1:]:
        if raw.calendar != calendar:
            raise fault(raw.path, variable, f"calendar {raw.calendar}", calendar, "bring all files to one calendar")
        if raw.units != record.units:
            raise fault(raw.path, variable, f"units {raw.units!r}", repr(record.units), "bring all files to one unit")
        Record(source, year, [(raw, np.array([0]))]).require_grid_of(record)
    days, counts = np.unique(record._days, return_counts=True)
    if (counts > 1).any():
        first = int(days[counts > 1][0])
        holders = [str(raw.path) for raw, times in chosen if first in raw.days[times]]
        raise fault(
            Path(holders[0]),
            variable,
            f"{counts[counts > 1][0]} stamps on {_iso(first)}" + (f", also in {holders[1]}" if holders[1:] else ""),
            "one value a day",
            "make daily values of the data" if (counts > 1).mean() > 0.5 else f"remove one, or narrow {files_key}",
        )
    wanted = _days_of(year, calendar)
    missing = np.setdiff1d(wanted, days)
    if len(missing):
        hint = "; a record without leap days needs calendar `noleap`" if list(missing) == [year * 10000 + 229] else ""
        raise fault(
            chosen[0][0].path,
            variable,
            f"{len(days)} days of {year}, {len(missing)} missing, the first {_iso(int(missing[0]))}",
            f"all {len(wanted)} days of the {calendar} calendar",
            f"complete the files, or leave {year} out of years{hint}",
        )
    return record


def _days_of(year: int, calendar: str) -> np.ndarray:
    dates = xr.date_range(f"{year}-01-01", f"{year + 1}-01-01", inclusive="left", calendar=calendar, use_cftime=True)
    return np.array([d.year * 10000 + d.month * 100 + d.day for d in dates])


def _iso(day: int) -> str:
    return f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def _unreadable(raw: Raw, where: str, error: Exception) -> InputError:
    found = f"data that cannot be read{where} ({error})"
    return fault(raw.path, raw.source.variable, found, "data as written", "the file is damaged; copy it again")
