"""One variable of one raw file, understood: its grid, its units and its records. The data are still on the disk.

Input: a netCDF file as people have it. Output: the data in canonical order (north first, west first) and units, read
when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import WHOLE, Grid, Indices, Placement, Window, as_slice, axis_roles, place
from rainshaft.data.header import Header, open_header
from rainshaft.data.places import compare
from rainshaft.data.sources import InputError, Location, Source
from rainshaft.data.times import Records, records_of, with_time_axis
from rainshaft.data.units import Conversion, conversion


@dataclass(frozen=True)
class RawFile:
    """A variable of a file, without the days."""

    header: Header
    dims: tuple[str, ...]
    """names in the file of time (if it has any), of the members (where all are taken), of y and of x"""
    placement: Placement
    conversion: Conversion
    notes: tuple[str, ...]
    """sentences about what is changed"""

    @property
    def grid(self) -> Grid:
        """Its grid in canonical order."""
        return self.placement.grid

    def window_on(self, grid: Grid) -> Window:
        """Find the cells of the rain in this file.

        Raises
        ------
        InputError
            If it does not have them.
        """
        window = self.grid.window_of(grid)
        places = compare(self.grid, grid, "the rain")
        if self.grid.kind == grid.kind and window is None:
            raise self.header.fault(self.grid.size, f"the grid of the rain, {grid.size}", "put it on that grid")
        if window is None or places.differs:
            raise self.header.fault(places.found, places.expected, "put it on the grid of the rain")
        return window

    def unreadable(self, where: str, error: Exception) -> InputError:
        """Give an error about data that cannot be read; `where` says from which day on."""
        found = f"data that cannot be read{where} ({error})"
        return self.header.fault(found, "data as written", "the file is damaged; copy it again")

    def _picks(self, window: Window) -> dict[str, Any]:
        """The cells of a window, for `isel` in the order of the file."""
        orders = zip(self.dims[-2:], self.placement.order, window, strict=True)
        return {dim: as_slice(order[part]) for dim, order, part in orders}

    def _canonical(self, data: xr.DataArray, chunks: dict[str, int]) -> Any:
        """Data of the file as a dask array in canonical order and units; dimensions without a size are one chunk."""
        whole = {str(dim): -1 for dim in data.dims}
        data = data.chunk(whole | chunks).transpose(*self.dims)
        return (data * self.conversion.slope + self.conversion.offset).astype("float32").data


@dataclass(frozen=True)
class StaticMap(RawFile):
    """A variable that does not change with time."""

    def read(self, grid: Grid) -> NDArray[np.float64]:
        """Read the values in the cells of the rain (lat, lon).

        Raises
        ------
        InputError
            If it does not have these cells, or the file is damaged.
        """
        data = self.header.data.isel(self._picks(self.window_on(grid)))
        try:
            return np.asarray(self._canonical(data, {}).compute(), dtype="float64")
        except (RuntimeError, OSError) as error:
            raise self.unreadable("", error) from None


@dataclass(frozen=True)
class TimedFile(RawFile):
    """A variable with records, each of a day or of a part of a day."""

    records: Records

    def lazy(self, times: Indices, chunk_bytes: float, window: Window = WHOLE) -> xr.DataArray:
        """Give the chosen records and cells as a dask array in chunks of records.

        Its dimensions are time, lat, lon, or time, member, lat, lon where all members are taken.
        """
        time, *members, _, _ = self.dims
        data = self.header.data.isel({**self._picks(window), time: as_slice(times)})
        a_record = data.size // max(1, data.sizes[time])
        size = max(1, int(chunk_bytes / (8 * a_record)))
        names = ("time", *("member" for _ in members), "lat", "lon")
        return xr.DataArray(self._canonical(data, {time: size}), dims=names)


class OpenFiles:
    """Raw files that stay open until the end of a block. Each is opened once, since it may hold several years."""

    def __init__(self) -> None:
        self._timed: dict[tuple[Location, str, int | str | None], TimedFile] = {}
        self._maps: dict[tuple[Location, str], StaticMap] = {}

    def timed(self, source: Source, path: Location, centre: float | None) -> TimedFile:
        """Open a file with records, or give the one that is open; arguments and errors as in `open_timed`."""
        key = path, source.id, source.realization
        if key not in self._timed:
            self._timed[key] = open_timed(source, path, centre)
        return self._timed[key]

    def map(self, source: Source, path: Location, centre: float | None) -> StaticMap:
        """Open a file with a map, or give the one that is open; arguments and errors as in `open_map`."""
        key = path, source.key
        if key not in self._maps:
            self._maps[key] = open_map(source, path, centre)
        return self._maps[key]

    def __enter__(self) -> OpenFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for raw in (*self._timed.values(), *self._maps.values()):
            raw.header.file.close()


def open_map(source: Source, path: Location, centre: float | None) -> StaticMap:
    """Read the header of a variable that does not change with time.

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
    with open_header(source, path) as header:
        return StaticMap(*_understand(header, centre))


def open_timed(source: Source, path: Location, centre: float | None) -> TimedFile:
    """Read the header of a variable with records; arguments and errors as in `open_map`."""
    with open_header(source, path) as header:
        header, dims, placement, units, notes = _understand(header, centre)
        return TimedFile(header, dims, placement, units, notes, records_of(header, dims[0]))


def _understand(
    header: Header, centre: float | None
) -> tuple[Header, tuple[str, ...], Placement, Conversion, tuple[str, ...]]:
    """Find the axes, the grid and the units: what a `RawFile` is made of."""
    roles = axis_roles(header)
    if header.members_dim:
        roles[header.members_dim] = "M"
    header, dropped = _without_other_dimensions(header, roles)
    if not header.source.static and "T" not in [roles.get(str(d)) for d in header.data.dims]:
        header, roles = with_time_axis(header, roles)
    dims = _dimensions(header, roles)
    placement, units = place(header, dims[-2], dims[-1], centre), conversion(header)
    notes = []
    if header.data.encoding.get("dtype") == np.dtype("float64"):
        notes.append("double precision stored as single precision.")
    if header.data.dims != dims:
        order = "time, member, y, x" if header.members_dim else "time, y, x"
        notes.append(f"dimensions {', '.join(map(str, header.data.dims))} put into the order {order}.")
    all_notes = (*header.notes, *dropped, *placement.notes, *units.notes, *map(header.source.note, notes))
    return header, dims, placement, units, all_notes


def _without_other_dimensions(header: Header, roles: dict[str, str]) -> tuple[Header, list[str]]:
    """Drop dimensions of length 1 that are no axis that we need."""
    data, source, notes = header.data, header.source, []
    takes_all = source.realization == "all"
    for dim in map(str, header.data.dims):
        if dim in roles and not (source.static and roles[dim] == "T"):
            continue
        if data.sizes[dim] > 1:
            raise header.fault(
                f"{data.sizes[dim]} times"
                if dim in roles
                else f"a dimension {dim} of length {data.sizes[dim]} that is no axis of time, latitude or longitude",
                "one map that does not change with time" if source.static else "time, latitude and longitude",
                "select one entry of it first; if it is an axis, give it a coordinate with standard_name and units"
                + (f"; if it counts the members, write {source.key}.members_dim: {dim}" if takes_all else ""),
            )
        data = data.isel({dim: 0}, drop=True)
        notes.append(source.note(f"dimension {dim} of length 1 dropped."))
    return replace(header, data=data), notes


def _dimensions(header: Header, roles: dict[str, str]) -> tuple[str, ...]:
    """The dimensions in canonical order: time, y, x, or y, x for a map; the members come after the time."""
    dims = {roles[str(d)]: str(d) for d in header.data.dims if str(d) in roles}
    missing = [word for role, word in (("Y", "latitude (or y)"), ("X", "longitude (or x)")) if role not in dims]
    if missing or len(dims) != header.data.ndim:
        names = ", ".join(map(str, header.data.dims))
        raise header.fault(
            f"dimensions {names} without one for {' and '.join(missing) or 'each axis'}",
            "one axis each for latitude and longitude with a coordinate variable of one dimension",
            "add them, or put the data on a regular grid first",
        )
    return tuple(dims[role] for role in ("YX" if header.source.static else "TMYX") if role in dims)
