"""Files that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it replaces `path`, on an error it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON with sorted keys, so that equal content is an equal file."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def netcdf_encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Encoding for CF netCDF4: compressed and checksummed data, no fill value on coordinates, float64 days as time."""
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        if name == "time":
            encoding["time"] = {"dtype": "float64", "units": "days since 1850-01-01", "_FillValue": None}
        elif variable.dtype.kind == "f" and name in dataset.data_vars:
            encoding[str(name)] = {"dtype": "float32", "_FillValue": float("nan")}
            if variable.ndim:
                encoding[str(name)] |= {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
        elif variable.dtype.kind in "fiu":
            encoding[str(name)] = {"_FillValue": None}
    return encoding


def write_netcdf(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a dataset as CF netCDF4; dask arrays are computed chunk by chunk."""
    dataset = dataset.drop_encoding()
    dataset.attrs = {"Conventions": "CF-1.11", **dataset.attrs}
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, engine="netcdf4", encoding=netcdf_encoding(dataset))
