"""Which axis of a raw file is which, and the grid that they make."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cf_xarray  # noqa: F401  registers the accessor `.cf`
import numpy as np
import pint
import xarray as xr

from rainshaft.data.sources import Source, fault
from rainshaft.data.units import length_in

Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

SAME_GRID = 0.05  # of a cell: coordinates closer than this are the same; single precision stays well below  # ASSUME


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


def axis_roles(ds: xr.Dataset, data: xr.DataArray) -> dict[str, str]:
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


def grid_of(
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


def as_slice(indices: np.ndarray) -> slice | np.ndarray:
    """A slice where the indices are evenly spaced: much faster to read."""
    steps = np.diff(indices)
    if len(indices) == 0 or (len(steps) and (steps != steps[0]).any()) or (len(steps) and abs(steps[0]) != 1):
        return indices
    by = int(steps[0]) if len(steps) else 1
    stop = int(indices[-1]) + by
    return slice(int(indices[0]), None if stop < 0 else stop, by)
