"""Files that are whole or absent, and the netCDF files that the library writes.

A file is written under a temporary name, brought to the disk (fsync) and then renamed. So a job that is killed leaves
the old file or none.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rainshaft.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

DISK_CHUNK_BYTES = 1_000_000  # of a chunk of a netCDF file, before compression; sets the days in a chunk
CACHE_BYTES = 4_000_000  # of each file; the chunks of another program may be larger than ours
DAYS_AT_ONCE = 16  # of an ensemble in memory, when it is copied
DAY_HOURS = 24.0
PROBE_BYTES = 1_000_000  # written to find out whether a disk is full
ENSEMBLE_LABELS = ("split", "category", "realization")  # what a day or a member may have beside its number
RAIN_ATTRIBUTES = {
    "standard_name": "lwe_precipitation_rate",
    "long_name": "daily precipitation",
    "units": "mm/day",
    "cell_methods": "time: mean",
}


def rain_attributes(hours: float = DAY_HOURS) -> dict[str, str]:
    """Describe the rain of steps of this length."""
    return RAIN_ATTRIBUTES if hours == DAY_HOURS else RAIN_ATTRIBUTES | {"long_name": f"precipitation of {hours:g} h"}


@contextmanager
def small_caches(size: int = CACHE_BYTES) -> Iterator[None]:
    """Let netCDF keep so many bytes of each file that is opened in the block, not 64 MB: there may be many files."""
    import netCDF4

    before = int(netCDF4.get_chunk_cache()[0])
    netCDF4.set_chunk_cache(size)
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(before)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it replaces `path`, on an error it is removed.

    What a killed job left of an earlier try is removed first. Only one job at a time may write a path.

    Raises
    ------
    UserError
        If the disk or the quota is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):  # a job that was killed left it
        left.unlink(missing_ok=True)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except Exception as error:
        if reason := _no_room(path.parent):
            raise UserError(
                f"{path}: could not be written: {reason}. Make room, then run the same command again"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _no_room(folder: Path) -> str:
    """Say in words that a disk or quota is full; empty if there is room.

    netCDF and PyTorch hide the reason behind an error of their own (`HDF error`). So we try to write a little more.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return os.strerror(error.errno)
    return ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON with sorted keys, so that equal content makes an equal file."""
    with atomic(path) as temporary:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def netcdf_encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Give the encoding for CF netCDF4.

    Data are compressed and have checksums, coordinates have no fill value, and time is in float64 days, or in minutes
    where there are times of the day.
    """
    encoding: dict[str, dict[str, Any]] = {}
    units = time_units([dataset[name].variable for name in ("time", "time_bnds") if name in dataset.variables])
    for name, variable in dataset.variables.items():
        if name in ("time", "time_bnds"):
            encoding[name] = {"dtype": "float64", "units": units, "_FillValue": None}
        elif variable.dtype.kind == "f" and name in dataset.data_vars:
            encoding[str(name)] = {"dtype": "float32", "_FillValue": float("nan")}
            if variable.ndim:
                encoding[str(name)] |= {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
            if variable.ndim > 1 and variable.dims[0] == "time":  # training and scores read whole days
                days = min(variable.shape[0], max(1, DISK_CHUNK_BYTES // (4 * max(1, variable[0].size))))
                encoding[str(name)]["chunksizes"] = (days, *variable.shape[1:])
        elif variable.dtype.kind in "fiu":
            encoding[str(name)] = {"_FillValue": None}
    return encoding


def time_units(times: Iterable[xr.Variable]) -> str:
    """Give units in which all these times are whole numbers, so that no reader sees 00:59:59.99."""
    import xarray as xr

    clocks = [xr.DataArray(time).dt for time in times if time.dtype.kind in "MO"]
    has_clock = any(bool((clock.hour + clock.minute).any()) for clock in clocks)
    return f"{'minutes' if has_clock else 'days'} since 1850-01-01"


def write_netcdf(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset as CF netCDF4. Dask arrays are computed chunk by chunk."""
    dataset = dataset.drop_encoding()
    dataset.attrs = {"Conventions": "CF-1.11", **dataset.attrs}
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, engine="netcdf4", encoding=netcdf_encoding(dataset))


def member_axis(members: int) -> xr.Variable:
    """Give the coordinate that numbers the members of an ensemble."""
    import numpy as np
    import xarray as xr

    return xr.Variable("member", np.arange(members, dtype="i4"), {"standard_name": "realization", "units": "1"})


def write_ensemble(
    path: str | Path,
    days: xr.Dataset,
    members: int,
    fields: Iterable[np.ndarray],
    attributes: dict[str, Any],
    beside: xr.Dataset | None = None,
    hours: float = DAY_HOURS,
) -> None:
    """Write an ensemble of rain fields day by day, without holding it in memory.

    Parameters
    ----------
    path
        The file to write.
    days
        Has the coordinates `time`, `lat` and `lon`. Those of `split`, `category` and `realization` that it has are
        written, too, and its grid mapping `crs`.
    members
        Members of a day.
    fields
        The members of one day after the other (member, lat, lon) in mm/day, NaN where a cell is not valid.
    attributes
        Global attributes.
    beside
        Variables to write beside the rain; they are held in memory.
    hours
        Length of a step. The time of a day is its 00:00 in the bounds; that of a shorter step is its start.
    """
    import netCDF4
    import numpy as np
    import xarray as xr

    axes, labels = ("time", "lat", "lon"), [name for name in ENSEMBLE_LABELS if name in days.variables]
    if "realization" in labels and len(np.unique(days["realization"].values)) == 1:
        labels.remove("realization")  # all members belong to it
    coordinates = {**{name: days[name] for name in (*axes, *labels)}, "member": member_axis(members)}
    header = xr.Dataset(coords=coordinates).reset_coords(labels)  # else they become an attribute of the file
    begins: Any = (header["time"].dt.floor("D") if hours == DAY_HOURS else header["time"]).to_index()
    header["time_bnds"] = ("time", "bnds"), np.stack([begins, begins + timedelta(hours=hours)], axis=1)
    header["time"].attrs["bounds"] = "time_bnds"
    if header["time"].dtype != object:  # only a calendar of the real world can have leap seconds
        header["time"].attrs["units_metadata"] = "leap_seconds: unknown"
    if "crs" in days.variables:
        header["crs"] = days["crs"]
    if beside is not None:
        header = header.merge(beside)
    header.attrs = {"Conventions": "CF-1.11", **{name: value for name, value in attributes.items() if value != ""}}
    header = header.drop_encoding()
    shape = (header.sizes["time"], members, header.sizes["lat"], header.sizes["lon"])
    with atomic(path) as temporary:
        header.to_netcdf(temporary, engine="netcdf4", encoding=netcdf_encoding(header))
        with netCDF4.Dataset(temporary, "a") as file:
            rain = file.createVariable(
                "pr",
                "f4",
                ("time", "member", "lat", "lon"),
                compression="zlib",
                complevel=1,
                fletcher32=True,
                chunksizes=(1, *shape[1:]),
                fill_value=np.float32("nan"),
            )
            rain.setncatts(rain_attributes(hours) | ({"coordinates": " ".join(labels)} if labels else {}))
            if "crs" in header:
                rain.setncattr("grid_mapping", "crs")
            written = 0
            for written, field in enumerate(fields, start=1):
                rain[written - 1] = field
            if written != shape[0]:
                raise RuntimeError(f"{path}: {written} fields for {shape[0]} days")


def write_zarr(parts: Iterable[xr.Dataset], path: str | Path, attributes: Mapping[str, Any]) -> None:
    """Write an ensemble as a zarr store, one part of its days after the other; the store is whole or absent.

    Parameters
    ----------
    parts
        Rain `pr` (time, member, lat, lon), in the order of its days. Lazy rain is computed a few days at a time.
    path
        The store to write, a folder. One that is there is replaced.
    attributes
        Of the whole store.
    """
    import dask

    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for number, part in enumerate(parts):
            days = part.drop_encoding().drop_vars("pr").load().drop_attrs(deep=False).assign_attrs(attributes)
            days["pr"] = part["pr"].drop_encoding().chunk(time=DAYS_AT_ONCE)
            # format 2, because all tools read it
            how: Any = {"append_dim": "time"} if number else {"zarr_format": 2, "encoding": _zarr_encoding(days)}
            with dask.config.set(scheduler="single-threaded"):  # a network that draws them uses all cores itself
                days.to_zarr(temporary, consolidated=True, **how)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _zarr_encoding(ensemble: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Give a chunk to each day, since a later part may start on any day."""
    encoding: dict[str, dict[str, Any]] = {"pr": {"chunks": (1, *ensemble["pr"].shape[1:])}}
    found = [name for name in ("time", "time_bnds") if name in ensemble.variables]
    units = time_units([ensemble[name].variable for name in found])
    return encoding | {name: {"units": units, "dtype": "float64"} for name in found}
