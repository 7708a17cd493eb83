"""One variable of one raw file, understood."""

from __future__ import annotations

import re
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.data.axes import SAME_GRID, WHOLE, Grid, Window, as_slice, axis_roles, grid_of, step
from rainshaft.data.netcdf3 import netcdf3_size
from rainshaft.data.sources import InputError, Source, fault
from rainshaft.data.units import conversion


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
        picks: dict[str, Any] = {d: as_slice(o[w]) for d, o, w in zip(self.dims[-2:], self.order, window, strict=True)}
        if times is not None:
            picks[self.dims[0]] = as_slice(times)
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
            raise unreadable(self, "", error) from None
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

    roles = axis_roles(ds, data)
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

    grid, order = grid_of(source, path, ds, data, dims, centre, notes)
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


def unreadable(raw: Raw, where: str, error: Exception) -> InputError:
    """A message on data that cannot be read; `where` says from which day on."""
    found = f"data that cannot be read{where} ({error})"
    return fault(raw.path, raw.source.variable, found, "data as written", "the file is damaged; copy it again")
