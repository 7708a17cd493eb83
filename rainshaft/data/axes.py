"""Which axis of a raw file is which, and the grid that they make."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import cf_xarray  # noqa: F401  registers the accessor `.cf`
import numpy as np
import pint
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data import mappings
from rainshaft.data.conventions import EARTH_RADIUS_KM, SAME_GRID
from rainshaft.data.header import Header
from rainshaft.data.mappings import Kind
from rainshaft.data.sphere import Points, km_between, latitude_longitude, unit_vectors
from rainshaft.data.units import length_in

Axis = NDArray[np.float64]
Indices = NDArray[np.integer]
Window = tuple[slice, slice]

WHOLE: Window = (slice(None), slice(None))

LENGTH_STEP = 100  # axes without units whose steps are as large as this are lengths in m  # ASSUME
KM_PER_DEGREE = float(np.radians(1)) * EARTH_RADIUS_KM
SEGMENTS = 4  # pieces of a row over which the spacing is taken, since positions are often rounded


@dataclass(frozen=True)
class Positions:
    """Latitude and longitude of each cell (y, x), still on the disk."""

    header: Header
    lat: xr.DataArray
    lon: xr.DataArray

    @property
    def names(self) -> str:
        """The variables of the file."""
        return f"{self.lat.name}, {self.lon.name}"

    def part(self, rows: slice | Indices, columns: slice | Indices) -> Positions:
        """Choose rows and columns."""
        lat, lon = (values[rows][:, columns] for values in (self.lat, self.lon))
        return Positions(self.header, lat, lon)

    def read(self) -> tuple[Axis, Axis]:
        """Latitudes and longitudes in degrees (y, x); NaN where a cell has none.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        try:
            lat, lon = (np.asarray(values.values, dtype="float64") for values in (self.lat, self.lon))
        except (RuntimeError, OSError) as error:
            found = f"{self.names} that cannot be read ({error})"
            raise self.header.fault(found, "data as written", "the file is damaged; copy it again") from None
        if str(self.lat.attrs.get("units", "")).lower().startswith("rad"):
            lat, lon = np.degrees(lat), np.degrees(lon)
        is_place = (np.abs(lat) <= 90.001) & (np.abs(lon) <= 720)
        return np.where(is_place, lat, np.nan), np.where(is_place, lon, np.nan)


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
    positions: Positions | None = None
    """true latitudes and longitudes of the cells, where the file has them"""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.y), len(self.x)

    @property
    def centre(self) -> float | None:
        """Middle longitude, for files that count longitudes from elsewhere; None where no longitudes are known."""
        if self.kind == "latitude/longitude":
            return float(self.x.mean())
        rows, columns = (slice(None, None, max(1, size // 16)) for size in self.shape)  # some of the cells will do
        points = self.part((rows, columns)).true_points()
        return None if points is None else float(latitude_longitude(np.nanmean(points, axis=(0, 1)))[1])

    @property
    def metres(self) -> float:
        """Metres in one unit of projected axes; 1 for axes in degrees."""
        return length_in(self.y_attrs.get("units", "m"), "m") if self.kind == "projected" else 1.0

    @property
    def cell_km(self) -> float:
        """The longer side of a cell in km."""
        if self.kind == "projected":
            return max(self.steps) * self.metres / 1000
        return max(self.steps[0], self.steps[1] * self._shrinking) * KM_PER_DEGREE

    @property
    def _shrinking(self) -> float:
        """How much shorter a degree of longitude is than a degree of latitude, in the middle of the grid."""
        return float(np.cos(np.radians(self.y.mean())))

    def true_points(self) -> Points | None:
        """Where the centres of the cells lie in truth, as unit vectors (y, x, 3); None if nothing says so.

        The latitudes and longitudes that a file gives cell by cell count before its grid mapping.
        """
        if self.kind == "latitude/longitude":
            return unit_vectors(*np.meshgrid(self.y, self.x, indexing="ij"))
        if self.positions is not None:
            return unit_vectors(*self.positions.read())
        if self.crs is None:
            return None
        return mappings.true_points(self.crs.attrs, *np.meshgrid(self.y, self.x, indexing="ij"), self.metres)

    def part(self, window: Window) -> Grid:
        """The cells of a window."""
        rows, columns = window
        positions = self.positions.part(rows, columns) if self.positions is not None else None
        return replace(self, y=self.y[rows], x=self.x[columns], positions=positions)

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
        """Whether both grids have equal axes. `places.compare` tells whether these are of one place."""
        return self.shape == other.shape and self.window_of(other) is not None

    def window_of(self, part: Grid) -> Window | None:
        """Find the cells of another grid in this one. The result is None if this grid does not have them."""
        if self.kind != part.kind:
            return None
        window = []
        scale = part.metres / self.metres
        for mine, wanted in ((self.y, part.y * scale), (self.x, part.x * scale)):
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
    """T, Y or X for each dimension that is an axis.

    The CF attributes of an axis say what it is, else its name, else the latitudes and longitudes of the cells.
    """
    ds, dims = header.file, header.data.dims
    known = {"latitude": "Y", "longitude": "X", "time": "T", "X": "X", "Y": "Y", "T": "T"}
    roles: dict[str, str] = {}
    for name, kinds in _cf_kinds(ds[d] for d in dims if d in ds.variables and ds[d].dims == (d,)).items():
        role = next((known[kind] for kind in kinds if kind in known), None)
        role = role or next((r for word, r in (("northing", "Y"), ("easting", "X")) if word in name.lower()), None)
        if role and role not in roles.values():
            roles[name] = role
    if not {"Y", "X"} & set(roles.values()):
        roles |= _roles_by_positions(header, [str(d) for d in dims if d not in roles])
    return roles


def _roles_by_positions(header: Header, dims: list[str]) -> dict[str, str]:
    """Y and X for two dimensions without axes: Y is the one along which the latitude changes more."""
    for i, first in enumerate(dims):
        for second in dims[i + 1 :]:
            found = _positions(header, first, second)
            if found is not None:
                lat, _ = found.read()
                middle = lat.shape[0] // 2, lat.shape[1] // 2
                along_first = np.ptp(lat[:, middle[1]]) / max(1, lat.shape[0] - 1)
                along_second = np.ptp(lat[middle[0]]) / max(1, lat.shape[1] - 1)
                order = (first, second) if along_first >= along_second else (second, first)
                return dict(zip(order, "YX", strict=True))
    return {}


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
    found = _axes_of(header, y_name, x_name)
    kind, values_y, values_x = found.kind, found.y, found.x
    notes = [*found.notes]
    if kind == "latitude/longitude" and np.abs(values_y).max() > 90.001:
        words = f"latitudes from {values_y.min():g} to {values_y.max():g}"
        raise header.fault(words, "-90 to 90", f"correct the axis {y_name}")
    if kind != "projected":
        before, values_x = values_x, _turned(values_x, centre if kind == "latitude/longitude" else None)
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
    positions = found.positions.part(as_slice(order_y), as_slice(order_x)) if found.positions is not None else None
    crs = None if found.mapping is None else xr.DataArray(np.int32(0), attrs=found.mapping)
    grid = Grid(kind, values_y, values_x, found.y_attrs, found.x_attrs, crs, positions)
    return Placement(grid, (order_y, order_x), tuple(map(header.source.note, notes)))


@dataclass(frozen=True)
class _Axes:
    """The axes of a file in its own order, and all that it says of their place."""

    kind: Kind
    y: Axis
    x: Axis
    y_attrs: dict[str, Any]
    x_attrs: dict[str, Any]
    mapping: dict[str, Any] | None
    """attributes of the grid mapping"""
    positions: Positions | None
    notes: tuple[str, ...] = ()


def _axes_of(header: Header, y_name: str, x_name: str) -> _Axes:
    y, x = (_axis(header, name) for name in (y_name, x_name))
    mapping, is_named, notes = _mapping(header, y_name, x_name)
    positions = _positions(header, y_name, x_name)
    if positions is not None and _only_counts(y) and _only_counts(x):
        return _axes_by_positions(header, y_name, positions)
    values_y, values_x = _values(header, y), _values(header, x)
    kind = _kind(header, y, x, (mapping, is_named), positions is not None)
    if kind == "latitude/longitude" and positions is not None:
        _require_true(header, Grid(kind, values_y, values_x), positions)
        positions = None
    if mapping is not None and (mapped := mappings.kind_of(mapping)) not in (kind, None):
        notes, mapping = [f"its grid mapping is one of {mapped} axes and was left out."] if is_named else [], None
    attributes = _attributes(header, kind, y, x)
    return _Axes(kind, values_y, values_x, *attributes, mapping, positions, tuple(notes))


def _axis(header: Header, name: str) -> xr.DataArray:
    """The coordinates of a dimension; where it has none, its cells are counted."""
    ds = header.file
    if name in ds.variables and ds[name].dims == (name,):
        return ds[name]
    return xr.DataArray(np.arange(ds.sizes[name]), dims=name, name=name)


def _mapping(header: Header, y_name: str, x_name: str) -> tuple[dict[str, Any] | None, bool, list[str]]:
    """Attributes of the grid mapping of a variable, whether the variable names it, and sentences about it.

    CF allows `crs`, and `crs: x y` where there are several mappings. Some tools leave the attribute out, then the only
    mapping of the file counts.
    """
    ds, data = header.file, header.data
    stated = str(data.attrs.get("grid_mapping", data.encoding.get("grid_mapping", "")))
    coordinates: dict[str, list[str]] = {}
    for word in stated.replace(":", ": ").split():
        if word.endswith(":") or ":" not in stated:
            coordinates[word.rstrip(":")] = []
        elif coordinates:
            coordinates[list(coordinates)[-1]].append(word)
    names = sorted(coordinates, key=lambda name: not {y_name, x_name} & set(coordinates[name]))
    for name in names:
        if name in ds.variables:
            return dict(ds[name].attrs), True, []
    if stated:
        return None, False, [f"the file has no variable {stated}, which the attribute grid_mapping names."]
    found = [str(name) for name in ds.variables if _is_mapping(ds[name])]
    if len(found) == 1:
        return dict(ds[found[0]].attrs), False, [f"grid mapping {found[0]} taken, the only one of the file."]
    return None, False, []


def _is_mapping(variable: xr.DataArray) -> bool:
    return variable.size <= 1 and bool({"grid_mapping_name", "crs_wkt", "spatial_ref"} & set(variable.attrs))


def _positions(header: Header, y_name: str, x_name: str) -> Positions | None:
    """Latitude and longitude of each cell; None where the file does not have them."""
    ds, data = header.file, header.data
    named = str(data.encoding.get("coordinates", data.attrs.get("coordinates", ""))).split()
    cells = {}
    for name in sorted(map(str, ds.variables), key=lambda name: name not in named):
        values = ds[name]
        more = [d for d in values.dims if d not in (y_name, x_name)]
        is_map = len(values.dims) - len(more) == 2 and (not more or more == [values.dims[0]])
        if name != data.name and is_map and values.dtype.kind in "fiu":
            cells[name] = values.isel({d: 0 for d in more}, drop=True)  # ASSUME that a grid does not move
    kinds = _cf_kinds(xr.DataArray(0.0, name=name, attrs=values.attrs) for name, values in cells.items())
    found = []
    for wanted in ("latitude", "longitude"):
        matching = [name for name in cells if wanted in kinds[name]]
        if not matching:
            return None
        found.append(cells[matching[0]].transpose(y_name, x_name))
    return Positions(header, *found)


# --------------------------------------------------------------------------------------- kinds of axes


def _kind(
    header: Header,
    y: xr.DataArray,
    x: xr.DataArray,
    named_mapping: tuple[dict[str, Any] | None, bool],
    has_positions: bool,
) -> Kind:
    """What the axes are: by their standard names, else by the grid mapping, else by their names and units.

    A grid mapping that the variable does not name may be left from another grid, so it counts last.
    """
    mapping, is_named = named_mapping
    pairs: dict[tuple[str, str], Kind] = {
        ("latitude", "longitude"): "latitude/longitude",
        ("grid_latitude", "grid_longitude"): "rotated",
        ("projection_y_coordinate", "projection_x_coordinate"): "projected",
    }
    stated = pairs.get((str(y.attrs.get("standard_name")), str(x.attrs.get("standard_name"))))
    mapped = mappings.kind_of(mapping) if mapping else None
    is_other = is_named and mapped in ("rotated", "projected")
    if stated == "latitude/longitude" and is_other and not has_positions:
        raise header.fault(
            f"axes {y.name}, {x.name} that are latitude and longitude, and a grid mapping of {mapped} axes "
            f"({mappings.words(mapping or {})})",
            "axes and grid mapping of one kind",
            "remove the attribute grid_mapping if the latitudes and longitudes are true, else correct the "
            "standard_name of the axes",
        )
    if stated:
        return stated
    if mapped and is_other:
        return mapped
    if _names_rotated(y, "lat") and _names_rotated(x, "lon"):
        return "rotated"
    kinds, units = _cf_kinds([y, x]), str(y.attrs.get("units", ""))
    if "latitude" in kinds[str(y.name)] and "longitude" in kinds[str(x.name)]:
        return "latitude/longitude"
    if mapped and (not units or units.startswith("degree")):
        return mapped
    if units.startswith("degree"):
        return "rotated"
    if not (units and _is_length(units)) and (units or step(y.values.astype("float64")) < LENGTH_STEP):
        raise header.fault(
            f"axes {y.name}, {x.name} with units {units!r}",
            "degrees_north and degrees_east, degrees, m or km",
            "set the attribute units of the axes",
        )
    return "projected"


def _names_rotated(axis: xr.DataArray, word: str) -> bool:
    is_name = re.fullmatch(rf"(r|rot_?|rotated_?|grid_?){word}(itude)?", str(axis.name).lower())
    return bool(is_name) or "rotated" in str(axis.attrs.get("long_name", "")).lower()


def _is_length(units: str) -> bool:
    try:
        length_in(units, "km")
    except (pint.PintError, ValueError, TypeError, AttributeError, AssertionError):
        return False
    return True


def _only_counts(axis: xr.DataArray) -> bool:
    """Whether an axis only counts cells. So does a dimension without coordinates."""
    if axis.attrs.get("units") or axis.attrs.get("standard_name") or axis.dtype.kind not in "iuf":
        return False
    return any(np.array_equal(axis.values, np.arange(start, start + axis.size)) for start in (0, 1))


def _axes_by_positions(header: Header, y_name: str, positions: Positions) -> _Axes:
    """Make axes for a grid that has none, from the latitudes and longitudes of its cells.

    Where they do not change along rows and columns, they are the axes. Else the axes are distances from the first cell
    in km, which is enough for whatever stays on this grid.
    """
    lat, lon = positions.read()
    if min(lat.shape) < 2 or not (np.isfinite(lat).all() and np.isfinite(lon).all()):
        found = (
            f"{lat.shape[0]} x {lat.shape[1]} cells, {int((~np.isfinite(lat * lon)).sum())} of them without position"
        )
        expected = "two or more cells along each side, each with latitude and longitude"
        raise header.fault(found, expected, f"give the dimension {y_name} and its partner coordinates")
    lon = np.degrees(np.unwrap(np.unwrap(np.radians(lon), axis=1), axis=0))
    if np.ptp(lat, axis=1).max() <= SAME_GRID * step(lat[:, 0]) and np.ptp(lon, axis=0).max() <= SAME_GRID * step(
        lon[0]
    ):
        attributes = _attributes(header, "latitude/longitude", positions.lat, positions.lon)
        note = f"axes taken from {positions.names}."
        return _Axes("latitude/longitude", lat[:, 0], lon[0], *attributes, None, None, (note,))
    points = unit_vectors(lat, lon)
    spacings = [_spacing(header, np.moveaxis(points, along, 0)) for along in (0, 1)]
    sizes = [float(spacing.mean()) for spacing in spacings]
    north, east = np.sign(lat[-1].mean() - lat[0].mean()), np.sign(lon[:, -1].mean() - lon[:, 0].mean())
    axes = [sign * size * np.arange(n) for sign, size, n in zip((north, east), sizes, lat.shape, strict=True)]
    y_attrs, x_attrs = (
        {"standard_name": f"projection_{name}_coordinate", "units": "km", "axis": name.upper()} for name in ("y", "x")
    )
    y_km, x_km = (f"{spacing.min():.3g} to {spacing.max():.3g}" for spacing in spacings)
    note = (
        f"no axes in the file; by {positions.names} its cells are {y_km} km high and {x_km} km wide, so the axes count "
        "mean km from the first cell."
    )
    return _Axes("projected", axes[0], axes[1], y_attrs, x_attrs, None, positions, (note,))


def _spacing(header: Header, points: Points) -> Axis:
    """Distances in km of cells along the first dimension, in parts of the first, the middle and the last line.

    They vary a little with the scale of the projection.
    """
    ends = np.unique(np.linspace(0, len(points) - 1, SEGMENTS + 1).astype(int))
    lines = points[ends][:, [0, points.shape[1] // 2, -1]]
    spacing = km_between(lines[1:], lines[:-1]) / np.diff(ends)[:, None]
    if spacing.min() <= 0.5 * spacing.mean() or spacing.max() >= 1.5 * spacing.mean():
        raise header.fault(
            f"no axes, and cells {spacing.min():.3g} to {spacing.max():.3g} km apart by their latitudes and longitudes",
            "axes, or cells that are about evenly apart",
            "give the dimensions coordinates (standard_name projection_y_coordinate and projection_x_coordinate), "
            "or put the data on a regular grid",
        )
    return spacing


def _require_true(header: Header, grid: Grid, positions: Positions) -> None:
    """Refuse axes of latitude and longitude that are not those of the cells."""
    lat, lon = positions.read()
    apart = km_between(unit_vectors(*np.meshgrid(grid.y, grid.x, indexing="ij")), unit_vectors(lat, lon))
    if np.nanmax(apart, initial=0) > grid.cell_km / 2:
        row, column = np.unravel_index(np.nanargmax(apart), apart.shape)
        raise header.fault(
            f"axes that place a cell at latitude {grid.y[row]:g}, longitude {grid.x[column]:g}, and "
            f"{positions.names} that place it at {lat[row, column]:g}, {lon[row, column]:g}",
            f"one place, or at most {grid.cell_km / 2:.3g} km between them",
            "if the axes are those of a rotated pole or of a projection, correct their standard_name and units; "
            "else remove the false coordinates",
        )


def _values(header: Header, axis: xr.DataArray) -> Axis:
    values = axis.values.astype("float64")
    if str(axis.attrs.get("units", "")).lower().startswith("rad"):
        values = np.degrees(values)
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


def _attributes(header: Header, kind: Kind, y: xr.DataArray, x: xr.DataArray) -> tuple[dict[str, Any], dict[str, Any]]:
    """CF attributes of the axes. Where the kind of grid does not fix them, the file gives them."""
    if kind == "latitude/longitude":
        return (
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
        )
    keep = ("standard_name", "long_name", "units")
    y_attrs, x_attrs = ({key: axis.attrs[key] for key in keep if key in axis.attrs} for axis in (y, x))
    if kind == "projected":
        y_attrs = {**y_attrs, "standard_name": "projection_y_coordinate", "units": _length_units(header, y)}
        x_attrs = {**x_attrs, "standard_name": "projection_x_coordinate", "units": _length_units(header, x)}
    else:
        y_attrs = {**y_attrs, "standard_name": "grid_latitude", "units": "degrees"}
        x_attrs = {**x_attrs, "standard_name": "grid_longitude", "units": "degrees"}
    return {**y_attrs, "axis": "Y"}, {**x_attrs, "axis": "X"}


def _length_units(header: Header, axis: xr.DataArray) -> str:
    """Units of a projected axis. Some files state degrees where the numbers can only be m."""
    units = str(axis.attrs.get("units", ""))
    if units and _is_length(units):
        return units
    if step(_values(header, axis)) < LENGTH_STEP:
        raise header.fault(
            f"an axis {axis.name} of a projection with units {units!r}", "m or km", "correct its attribute units"
        )
    return "m"
