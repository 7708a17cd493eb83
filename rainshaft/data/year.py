"""The days of one year of one variable, from any number of raw files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import WHOLE, Grid, Indices, Window
from rainshaft.data.places import compare
from rainshaft.data.rawfile import DailyFile, OpenFiles
from rainshaft.data.sources import InputError, Source, fault

ONE_CHUNK = 1e9  # bytes; more than a day has


@dataclass(frozen=True)
class VariableYear:
    """The days of one year of one variable, each once and in order, from any number of files."""

    source: Source
    parts: Sequence[tuple[DailyFile, Indices]]
    """files and the indices of their days"""
    window: Window = WHOLE
    """the cells that are read, in canonical order"""

    @property
    def first(self) -> DailyFile:
        """The file with the first day; the others have its grid, units and calendar."""
        return self.parts[0][0]

    @property
    def grid(self) -> Grid:
        """Grid of the files."""
        return self.first.grid

    @property
    def units(self) -> str:
        """Canonical units."""
        return self.first.conversion.units

    @property
    def raw_units(self) -> str:
        """Units in the first file."""
        return self.first.conversion.raw_units

    @property
    def notes(self) -> list[str]:
        """Sentences about what was changed, each once."""
        return list(dict.fromkeys(note for raw, _ in self.parts for note in raw.notes))

    @property
    def window_size(self) -> int:
        """Number of cells that are read."""
        (ys, xs), (height, width) = self.window, self.grid.shape
        return len(range(height)[ys]) * len(range(width)[xs])

    @property
    def days(self) -> NDArray[np.int64]:
        """Dates as numbers yyyymmdd, file by file."""
        return np.concatenate([raw.dates.days[times] for raw, times in self.parts])

    def lazy(self, chunk_bytes: float) -> xr.DataArray:
        """Give the year as a dask array (time, lat, lon) in canonical units, one stamp a day at 00:00."""
        data = xr.concat([raw.lazy(times, chunk_bytes, self.window) for raw, times in self.parts], "time")
        order = np.argsort(self.days, kind="stable")
        if (np.diff(order) != 1).any():
            data = data.isel(time=order)
        dates: NDArray[Any] = np.concatenate([raw.dates.stamps.values[times] for raw, times in self.parts])
        return data.assign_coords(time=dates[order])

    def date(self, index: int) -> str:
        """Give a day of the year as YYYY-MM-DD."""
        return _iso(int(np.sort(self.days)[index]))

    def fault(self, index: int | None, found: str, expected: str, cure: str) -> InputError:
        """Give an error about the file which holds a day (None: the first file)."""
        holders = [self.first]
        if index is not None:
            day = np.sort(self.days)[index]
            holders = [raw for raw, times in self.parts if day in raw.dates.days[times]]
        return holders[0].header.fault(found, expected, cure)

    def require_grid_of(self, other: VariableYear) -> None:
        """Raise an InputError unless both have equal cells in one place."""
        if not self.grid.same(other.grid):
            expected = f"the grid of {other.first.header.path}, {other.grid.size}"
            raise self.fault(None, self.grid.size, expected, "use files on one grid")
        places = compare(self.grid, other.grid, str(other.first.header.path))
        if places.differs:
            raise self.fault(None, places.found, places.expected, "use files on one grid, or correct the false ones")

    def require_calendar_of(self, rain: VariableYear) -> None:
        """Raise an InputError unless both have one calendar."""
        mine, wanted = self.first.dates.calendar, rain.first.dates.calendar
        if mine != wanted:
            cure = "bring both to one calendar (for example with xarray's convert_calendar)"
            raise self.fault(None, f"calendar {mine}", f"{wanted} as the rain has", cure)

    def find_unreadable(self) -> None:
        """Raise an InputError for the first file and day that cannot be read, if there is one."""
        for raw, times in self.parts:
            for time in times:
                try:
                    raw.lazy(np.array([time]), ONE_CHUNK, self.window).compute()
                except (RuntimeError, OSError) as error:
                    raise raw.unreadable(f" from {_iso(int(raw.dates.days[time]))} on", error) from None


def read_year(source: Source, paths: list[Path], year: int, centre: float | None, files: OpenFiles) -> VariableYear:
    """Find every day of a year in the files, from their headers alone.

    Parameters
    ----------
    source
        The variable.
    paths
        Files that may hold days of the year.
    year
        The year.
    centre
        Longitude about which longitudes are counted; None to choose.
    files
        Keeps the files open.

    Raises
    ------
    InputError
        If a day is missing or there twice, or the files do not fit each other.
    """
    raws = [files.daily(source, path, centre) for path in paths]
    chosen = [(raw, np.flatnonzero(raw.dates.days // 10000 == year)) for raw in raws]
    chosen = sorted((c for c in chosen if len(c[1])), key=lambda c: int(c[0].dates.days[c[1]].min()))
    if not chosen:
        days = np.concatenate([raw.dates.days for raw in raws])
        span = f"{_iso(int(days.min()))} to {_iso(int(days.max()))}" if len(days) else "no day"
        raise fault(paths[0], source.variable, span, f"days of {year}", f"correct years, or {source.files_key}")
    parts = [(raw, times[np.argsort(raw.dates.days[times], kind="stable")]) for raw, times in chosen]
    record = VariableYear(source, parts)
    for raw, times in parts[1:]:
        _require_fit(VariableYear(source, [(raw, times)]), record)
    _require_each_day_once(record)
    _require_all_days(record, year)
    return record


def _require_fit(part: VariableYear, whole: VariableYear) -> None:
    """Refuse a file that has another calendar, other units or another grid than the first one."""
    mine, wanted = part.first.dates.calendar, whole.first.dates.calendar
    if mine != wanted:
        raise part.fault(None, f"calendar {mine}", wanted, "bring all files to one calendar")
    if part.units != whole.units:
        raise part.fault(None, f"units {part.units!r}", repr(whole.units), "bring all files to one unit")
    part.require_grid_of(whole)


def _require_each_day_once(record: VariableYear) -> None:
    days, counts = np.unique(record.days, return_counts=True)
    if not (counts > 1).any():
        return
    first = int(days[counts > 1][0])
    holders = [raw.header for raw, times in record.parts if first in raw.dates.days[times]]
    also = f", also in {holders[1].path}" if holders[1:] else ""
    is_hourly = (counts > 1).mean() > 0.5
    raise holders[0].fault(
        f"{counts[counts > 1][0]} stamps on {_iso(first)}{also}",
        "one value a day",
        "make daily values of the data" if is_hourly else f"remove one, or narrow {record.source.files_key}",
    )


def _require_all_days(record: VariableYear, year: int) -> None:
    calendar = record.first.dates.calendar
    wanted = _days_of(year, calendar)
    missing = np.setdiff1d(wanted, record.days)
    if len(missing):
        hint = "; a record without leap days needs calendar `noleap`" if list(missing) == [year * 10000 + 229] else ""
        raise record.fault(
            None,
            f"{len(record.days)} days of {year}, {len(missing)} missing, the first {_iso(int(missing[0]))}",
            f"all {len(wanted)} days of the {calendar} calendar",
            f"complete the files, or leave {year} out of years{hint}",
        )


def _days_of(year: int, calendar: str) -> NDArray[np.int64]:
    dates = xr.date_range(f"{year}-01-01", f"{year + 1}-01-01", inclusive="left", calendar=calendar, use_cftime=True)
    return np.array([d.year * 10000 + d.month * 100 + d.day for d in dates])


def _iso(day: int) -> str:
    return f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"
