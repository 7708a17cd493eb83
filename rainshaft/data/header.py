"""One variable of one raw file that is open: what the file says, before anything is made of it.

Input: the path of a netCDF file and the name of a variable. Output: the decoded variable, its data still on the disk.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from rainshaft.data.netcdf3 import netcdf3_size
from rainshaft.data.sources import InputError, Location, Source, fault


@dataclass(frozen=True)
class Header:
    """One variable of one file that is open."""

    source: Source
    path: Location
    file: xr.Dataset
    """all variables of the file"""
    data: xr.DataArray
    """the variable, in the order and the units of the file"""

    def fault(self, found: str, expected: str, cure: str) -> InputError:
        """Give an error about this file."""
        return fault(self.path, self.source.variable, found, expected, cure)


@contextmanager
def open_header(source: Source, path: Location) -> Iterator[Header]:
    """Open a file. It stays open after the block, unless the block raises an error.

    Raises
    ------
    InputError
        If the file cannot be opened, or has no such variable of numbers.
    """
    file = _open_dataset(source, path)
    try:
        yield _find_variable(source, path, file)
    except BaseException:
        file.close()
        raise


def _find_variable(source: Source, path: Location, file: xr.Dataset) -> Header:
    variable, cure = source.variable, f"correct {source.key}.variable"
    if variable not in file.variables:
        present = ", ".join(str(v) for v in file.data_vars) or "none"
        raise fault(path, variable, f"the variables {present}", "a variable of this name", cure)
    data = file[variable]
    if data.dtype.kind not in ("fiub" if source.quantity == "land" else "fiu"):
        raise fault(path, variable, f"values of type {data.dtype}", "numbers", cure)
    return Header(source, path, file, data)


def _open_dataset(source: Source, path: Location) -> xr.Dataset:
    try:
        _require_whole(source, Path(path))
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
        expected, cure = "a netCDF file by the CF conventions", "correct its attributes"
        raise fault(path, source.variable, found, expected, cure) from None


def _require_whole(source: Source, path: Path) -> None:
    """Refuse a classic netCDF file that is cut short, which the netCDF library would read without a word."""
    needed, size = netcdf3_size(path), path.stat().st_size
    if needed is not None and size < needed:
        expected = f"{needed} bytes by its header"
        raise fault(path, source.variable, f"{size} bytes", expected, "the file is cut short; copy it again")


def _absolute_days(stamps: xr.DataArray) -> xr.DataArray:
    """Days since 1850 for days that are written as numbers like 20200131.5, as CDO does."""
    calendar = stamps.attrs.get("calendar", "standard")
    whole = np.floor(stamps.values + 1e-6).astype(int)
    units = "days since 1850-01-01"
    dates = [cftime.datetime(d // 10000, d // 100 % 100, d % 100, calendar=calendar) for d in whole]
    days = cftime.date2num(dates, units, calendar) + (stamps.values - whole)
    return stamps.copy(data=days).assign_attrs(units=units)
