"""The days of one year of one variable, from any number of raw files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from rainshaft.data.axes import WHOLE, Grid, Window
from rainshaft.data.rawfile import Raw, open_raw, unreadable
from rainshaft.data.sources import InputError, Source, fault


@dataclass(frozen=True)
class VariableYear:
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

    def require_grid_of(self, other: VariableYear) -> None:
        """Raise unless both records have the same cells."""
        if not self.grid.same(other.grid):
            raise self.fault(
                None,
                f"{self.grid.shape[0]} x {self.grid.shape[1]} cells ({self.grid.extent})",
                f"the grid of {other.parts[0][0].path}, {other.grid.shape[0]} x {other.grid.shape[1]} cells "
                f"({other.grid.extent})",
                "use files on one grid",
            )

    def require_calendar_of(self, rain: VariableYear) -> None:
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
                    raise unreadable(raw, f" from {_iso(int(raw.days[time]))} on", error) from None

    @property
    def _days(self) -> np.ndarray:
        return np.concatenate([raw.days[times] for raw, times in self.parts])


def read_year(
    source: Source, paths: list[Path], year: int, centre: float | None, opened: dict[tuple[Path, str], Raw]
) -> VariableYear:
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
    record = VariableYear(
        source, year, [(raw, times[np.argsort(raw.days[times], kind="stable")]) for raw, times in chosen]
    )
    calendar = chosen[0][0].calendar
    for raw, _ in chosen[1:]:
        if raw.calendar != calendar:
            raise fault(raw.path, variable, f"calendar {raw.calendar}", calendar, "bring all files to one calendar")
        if raw.units != record.units:
            raise fault(raw.path, variable, f"units {raw.units!r}", repr(record.units), "bring all files to one unit")
        VariableYear(source, year, [(raw, np.array([0]))]).require_grid_of(record)
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
