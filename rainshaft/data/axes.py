"""Which axis of a raw file is which, and the grid that they make."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import cf_xarray  # noqa: F401  registers the accessor `.cf`
import numpy as np
import pint
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.header import Header
from rainshaft.data.units import length_in

Axis = NDArray[np.float64]
Indices = NDArray[np.integer]
Window = tuple[slice, slice]
Kind = Literal["latitude/longitude", "rotated", "projected"]

WHOLE: Window = (slice(None), slice(None))

SAME_GRID = 0.05  # of a cell: coordinates closer than this are equal; single precision stays well below  # ASSUME
LENGTH_STEP = 100  # axes without units whose steps are as large as this are lengths in m  # ASSUME


@dataclass(frozen=True)
class Grid:
    """Axes in canonical order: y from north to south, x from west to east."""

    kind: Kind
    y: Axis
    x: Axis
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
    def resolution(self) -> str:
        """Size of a cell in words."""
        return "{:g} x {:g}".format(*np.round(self.steps, 6))

    @property
    def extent(self) -> str:
        """Outer edges in words."""
        (dy, dx), form = self.steps, "{} {:g} to {:g}, {} {:g} to {:g}"
        names = ("latitude", "longitude") if self.kind == "latitude/longitude" else ("y", "x")
        y, x = (self.y[-1] - dy / 2, self.y[0] + dy / 2), (self.x[0] - dx / 2, self.x[-1] + dx / 2)
        return form.format(names[0], *np.round(y, 6), names[1], *np.round(x, 6))

    @property
    def size(self) -> str:
        """Cells and outer edges in words."""
        return f"{self.shape[0]} x {self.shape[1]} cells ({self.extent})"

    def same(self, other: Grid) -> bool:
        """Whether both grids have equal cells."""
        return (
            (self.kind, self.shape) == (other.kind, other.shape)
            and bool(np.all(np.abs(self.y - other.y) <= SAME_GRID * other.steps[0]))
            and bool(np.all(np.abs(self.x - other.x) <= SAME_GRID * other.steps[1]))
        )

    def window_of(self, part: Grid) -> Window | None:
        """Find the cells of another grid in this one. The result is None if this grid does not have them."""
        if self.kind != part.kind:
            return None
        window = []
        for mine, wanted in ((self.y, part.y), (self.x, part.x)):
            start = int(np.abs(mine - wanted[0]).argmin())
            here = mine[start : start + len(wanted)]
            if len(here) != len(wanted) or np.abs(here - wanted).max() > SAME_GRID * step(wanted):
                return None
            window.append(slice(start, start + len(wanted)))
        return window[0], window[1]


@dataclass(frozen=True)
class Placement:
    """The grid of a file, and how its data get into canonical order."""

    grid: Grid
    order: tuple[Indices, Indices]
    """indices along y and x that bring the data of the file into canonical order"""
    notes: tuple[str, ...]


def step(axis: Axis) -> float:
    """Mean distance of the cells of an axis."""
    return abs(float(axis[-1] - axis[0])) / (len(axis) - 1)


def as_slice(indices: Indices) -> slice | Indices:
    """Turn indices that follow each other into a slice, because that is much faster to read."""
    steps = np.diff(indices)
    if len(indices) == 0 or (len(steps) and (steps != steps[0]).any()) or (len(steps) and abs(steps[0]) != 1):
        return indices
    by = int(steps[0]) if len(steps) else 1
    stop = int(indices[-1]) + by
    return slice(int(indices[0]), None if stop < 0 else stop, by)


# --------------------------------------------------------------------------------------- what an axis is


def axis_roles(header: Header) -> dict[str, str]:
    """T, Y or X for each dimension that is an axis: by its CF attributes, else by its name."""
    ds, dims = header.file, header.data.dims
    known = {"latitude": "Y", "longitude": "X", "time": "T", "X": "X", "Y": "Y", "T": "T"}
    roles: dict[str, str] = {}
    for name, kinds in _cf_kinds(ds[d] for d in dims if d in ds.variables and ds[d].dims == (d,)).items():
        role = next((known[kind] for kind in kinds if kind in known), None)
        role = role or next((r for word, r in (("northing", "Y"), ("easting", "X")) if word in name.lower()), None)
        if role and role not in roles.values():
            roles[name] = role
    return roles


def _cf_kinds(axes: Iterable[xr.DataArray]) -> dict[str, tuple[str, ...]]:
    """What CF calls each axis: latitude, longitude, time, X, Y, Z, T."""
    times, others = [], []
    for axis in axes:
        if axis.dtype.kind == "M" or (axis.dtype.kind == "O" and axis.size):
            times.append(str(axis.name))
        else:
            others.append((str(axis.name), tuple((key, str(value)) for key, value in axis.attrs.items())))
    return {name: ("time", "T") for name in times} | _cf_kinds_by_attributes(tuple(others))


@functools.cache
def _cf_kinds_by_attributes(axes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> dict[str, tuple[str, ...]]:
    """What CF calls each axis, by its attributes, else by its name.

    The result is kept, because a record may be thousands of files with equal axes.
    """

    def kinds(names: xr.Dataset) -> dict[str, tuple[str, ...]]:
        found = [*names.cf.coordinates.items(), *names.cf.axes.items()]
        return {name: tuple(kind for kind, members in found if name in members) for name, _ in axes}

    stated = xr.Dataset(coords={name: (name, [0.0], dict(attributes)) for name, attributes in axes})
    by_attributes, by_name = kinds(stated), kinds(stated.cf.guess_coord_axis())
    return {name: by_attributes[name] or by_name[name] for name, _ in axes}


# --------------------------------------------------------------------------------------- the grid of a file


def place(header: Header, y_name: str, x_name: str, centre: float | None) -> Placement:
    """Find the grid of a file.

    Parameters
    ----------
    y_name, x_name
        The dimensions along latitude and longitude, or along y and x.
    centre
        Longitude about which longitudes are counted; None to choose.

    Raises
    ------
    InputError
        If the axes are no regular grid, or nothing says of which kind they are.
    """
    y, x = header.file[y_name], header.file[x_name]
    kind = _kind(header, y, x)
    values_y, values_x = _values(header, y), _values(header, x)
    notes = []
    if kind == "latitude/longitude":
        if np.abs(values_y).max() > 90.001:
            found = f"latitudes from {values_y.min():g} to {values_y.max():g}"
            raise header.fault(found, "-90 to 90", f"correct the axis {y_name}")
        before, values_x = values_x, _turned(values_x, centre)
        if not np.array_equal(values_x, before):
            after = np.sort(values_x)
            notes.append(f"longitudes {before[0]:g} to {before[-1]:g} counted as {after[0]:g} to {after[-1]:g}.")
    order_y, order_x = np.argsort(-values_y, kind="stable"), np.argsort(values_x, kind="stable")
    if order_y[0] > order_y[-1]:
        notes.append("rows turned to run from north to south.")
    if order_x[0] > order_x[-1] and np.all(np.diff(order_x) < 0):
        notes.append("columns turned to run from west to east.")
    values_y, values_x = values_y[order_y], values_x[order_x]
    _require_even_steps(header, y_name, values_y)
    _require_even_steps(header, x_name, values_x)
    grid = Grid(kind, values_y, values_x, *_attributes(kind, y, x), _crs(header))
    return Placement(grid, (order_y, order_x), tuple(map(header.source.note, notes)))


def _kind(header: Header, y: xr.DataArray, x: xr.DataArray) -> Kind:
    kinds = _cf_kinds([y, x])
    if "latitude" in kinds[str(y.name)] and "longitude" in kinds[str(x.name)]:
        return "latitude/longitude"
    units = y.attrs.get("units", "")
    if y.attrs.get("standard_name") == "grid_latitude" or str(units).startswith("degree"):
        return "rotated"
    try:
        length_in(units or "m", "km")
        known = bool(units) or step(y.values.astype("float64")) >= LENGTH_STEP
    except (pint.PintError, ValueError):
        known = False
    if not known:
        raise header.fault(
            f"axes {y.name}, {x.name} with units {units!r}",
            "degrees_north and degrees_east, degrees, m or km",
            "set the attribute units of the axes",
        )
    return "projected"


def _values(header: Header, axis: xr.DataArray) -> Axis:
    values = axis.values.astype("float64")
    if len(values) < 2 or not np.isfinite(values).all():
        found = f"an axis {axis.name} of {len(values)} finite value(s)"
        raise header.fault(found, "two or more cells along each axis", "use a larger domain")
    return values


def _turned(x: Axis, centre: float | None) -> Axis:
    """Add whole circles, so that longitudes lie about `centre`.

    Without a centre they lie in -180..180, or in 0..360 if only that keeps the domain in one piece.
    """

    def about(middle: float) -> Axis:
        return x - 360 * np.floor((x - middle + 180) / 360)

    if centre is not None:
        return about(centre)
    west, east = about(0.0), about(180.0)
    return east if np.ptp(east) < np.ptp(west) - 1e-6 else west


def _require_even_steps(header: Header, name: str, values: Axis) -> None:
    steps = np.abs(np.diff(values))
    if steps.min() <= 0.5 * steps.mean() or steps.max() >= 1.5 * steps.mean():
        raise header.fault(
            f"steps from {steps.min():g} to {steps.max():g} along {name}",
            "even steps",
            "look for rows that are missing or there twice, or put the data on a regular grid",
        )


def _attributes(kind: Kind, y: xr.DataArray, x: xr.DataArray) -> tuple[dict[str, Any], dict[str, Any]]:
    """CF attributes of the axes. Where the kind of grid does not fix them, the file gives them."""
    if kind == "latitude/longitude":
        return (
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
        )
    keep = ("standard_name", "long_name", "units")
    y_attrs, x_attrs = ({key: axis.attrs[key] for key in keep if key in axis.attrs} for axis in (y, x))
    if kind == "projected":
        y_attrs = {"standard_name": "projection_y_coordinate", "units": "m", **y_attrs}
        x_attrs = {"standard_name": "projection_x_coordinate", "units": "m", **x_attrs}
    return {**y_attrs, "axis": "Y"}, {**x_attrs, "axis": "X"}


def _crs(header: Header) -> xr.DataArray | None:
    data = header.data
    mapping = data.attrs.get("grid_mapping", data.encoding.get("grid_mapping", ""))
    return xr.DataArray(np.int32(0), attrs=header.file[mapping].attrs) if mapping in header.file.variables else None
