"""The days of one year of one variable, from any number of raw files.

A year may be incomplete. A day is there when its records are: one for daily data, and all parts of the day for others.
Records of less than a day are gathered to days, or stay as they are where somebody asks for steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import WHOLE, Grid, Indices, Window
from rainshaft.data.places import compare
from rainshaft.data.rawfile import OpenFiles, TimedFile
from rainshaft.data.sources import InputError, Location, Source, fault
from rainshaft.data.times import EPOCH, Timing, calendar_year, iso, timing_of

ONE_CHUNK = 1e9  # bytes; more than a day has

Days = NDArray[np.int64]
"""dates as numbers yyyymmdd; where the steps are shorter than a day, the starts of the steps as yyyymmddhhmm"""
MINUTES = 1440  # of a day


@dataclass(frozen=True)
class Part:
    """The records of a year in one file."""

    raw: TimedFile
    times: Indices
    """where they are on the time axis of the file"""
    days: Days
    """the day of each"""
    middles: NDArray[np.float64]
    """when each is, to tell records of one day apart"""

    def chosen(self, chosen: NDArray[np.bool_] | Indices) -> Part:
        """Keep some of the records."""
        return Part(self.raw, self.times[chosen], self.days[chosen], self.middles[chosen])


@dataclass(frozen=True)
class VariableYear:
    """The days of one year of one variable, each once and in order, from any number of files."""

    source: Source
    parts: Sequence[Part]
    """records of complete days"""
    timing: Timing
    repeated: Sequence[tuple[Part, Part]] = ()
    """records that are there twice, each with its copy; they must be equal"""
    lost: tuple[str, ...] = ()
    """sentences about days that are left out"""
    window: Window = WHOLE
    """the cells that are read, in canonical order"""
    gathered: bool = True
    """whether the records of a day are gathered to that day; else each is a step of its own"""

    @property
    def first(self) -> TimedFile:
        """The file with the first day; the others have its grid, units and calendar."""
        return self.parts[0].raw

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
        of_files = [note for part in self.parts for note in part.raw.notes]
        if not self.gathered:
            of_files = [note.replace("as daily totals, that is mm/day", "as totals of each step") for note in of_files]
        copies = sum(len(part.days) for part, _ in self.repeated)
        again = [self.source.note(f"{copies} record(s) are in the files twice, with equal values.")] if copies else []
        return list(dict.fromkeys([*of_files, *self.timing.notes, *again, *self.lost]))

    @property
    def window_size(self) -> int:
        """Number of cells that are read."""
        (ys, xs), (height, width) = self.window, self.grid.shape
        return len(range(height)[ys]) * len(range(width)[xs])

    @property
    def days(self) -> Days:
        """The days, in order."""
        return np.unique(np.concatenate([part.days for part in self.parts]))

    @property
    def span(self) -> str:
        """How many days there are, and the first and the last of them, in words."""
        counted = f", which count {self.source.lag} day(s) later" if self.source.lag else ""
        return f"{len(self.days)} days from {self.date(0)} to {self.date(-1)}{counted}"

    def only(self, days: Days) -> VariableYear:
        """Keep some of the days. At least one of them must be here."""
        parts = [part.chosen(np.isin(part.days, days)) for part in self.parts]
        repeated = [
            (part.chosen(kept), copy.chosen(kept))
            for part, copy in self.repeated
            if (kept := np.isin(part.days, days)).any()
        ]
        return replace(self, parts=[part for part in parts if len(part.days)], repeated=repeated)

    def lazy(self, chunk_bytes: float) -> xr.DataArray:
        """Give the days as a dask array in canonical units; `time` has their dates yyyymmdd.

        Its dimensions are time, lat, lon, or time, member, lat, lon where all members are taken.
        """
        data = xr.concat([part.raw.lazy(part.times, chunk_bytes, self.window) for part in self.parts], "time")
        order = np.lexsort(
            (np.concatenate([part.middles for part in self.parts]), np.concatenate([part.days for part in self.parts]))
        )
        if (np.diff(order) != 1).any():
            data = data.isel(time=order)
        if not self.gathered:  # the conversion took each amount for that of a day
            data = data * np.float32(self.timing.a_day) if self.timing.method == "sum" else data
        elif self.timing.a_day > 1:
            # of amounts, the conversion took each for that of a day, so their sum is that of the day
            records = data.coarsen(time=self.timing.a_day).construct(time=("time", "record"))
            gather = {"sum": records.sum, "mean": records.mean, "maximum": records.max, "minimum": records.min}
            data = gather[self.timing.method]("record", skipna=False)
        return data.assign_coords(time=self.days)

    def date(self, index: int) -> str:
        """Give the day on which a record of the files lies, which is earlier with a lag, as YYYY-MM-DD."""
        day = int(self.days[index])
        if not self.source.lag:
            return iso(day)
        holder = next(part for part in self.parts if day in part.days)
        middle = holder.middles[(holder.days == day).argmax()] - self.source.lag
        return str(cftime.num2date(middle, EPOCH, holder.raw.records.calendar).strftime("%Y-%m-%d"))

    def fault(self, index: int | None, found: str, expected: str, cure: str) -> InputError:
        """Give an error about the file which holds a day (None: the first file)."""
        holders = [self.first]
        if index is not None:
            holders = [part.raw for part in self.parts if self.days[index] in part.days]
        return holders[0].header.fault(found, expected, cure)

    def require_grid_of(self, other: VariableYear) -> None:
        """Raise an InputError unless both have equal cells in one place."""
        if not self.grid.same(other.grid):
            expected = f"the grid of {other.first.header.path}, {other.grid.size}"
            raise self.fault(None, self.grid.size, expected, "use files on one grid")
        places = compare(self.grid, other.grid, str(other.first.header.path))
        if places.differs:
            raise self.fault(None, places.found, places.expected, "use files on one grid, or correct the false ones")

    def require_equal_copies(self) -> None:
        """Raise an InputError if a record is there twice with different values; this reads both."""
        for part, copy in self.repeated:
            one, other = (p.raw.lazy(p.times, ONE_CHUNK, self.window).values for p in (part, copy))
            differs = ~np.isclose(one, other, equal_nan=True).all(axis=tuple(range(1, one.ndim)))
            if differs.any():
                date, path = iso(int(part.days[differs.argmax()])), part.raw.header.path
                raise copy.raw.header.fault(
                    f"two records with different values for {date}"
                    if copy.raw.header.path == path
                    else f"other values for {date} than in {path}",
                    "equal values where a day is there twice",
                    f"remove one of them, or narrow {self.source.files_key}",
                )

    def find_unreadable(self) -> None:
        """Raise an InputError for the first file and day that cannot be read, if there is one."""
        for part in self.parts:
            for time, day in zip(part.times, part.days, strict=True):
                try:
                    part.raw.lazy(np.array([time]), ONE_CHUNK, self.window).compute()
                except (RuntimeError, OSError) as error:
                    raise part.raw.unreadable(f" from {iso(int(day))} on", error) from None


def read_year(
    source: Source,
    paths: Sequence[Location],
    year: int,
    centre: float | None,
    files: OpenFiles,
    gathered: bool = True,
) -> VariableYear:
    """Find the days of a year in the files, from their headers alone.

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
    gathered
        False leaves records of less than a day as they are. Then rain is a rate, whatever the length of a record.

    Raises
    ------
    InputError
        If there is no complete day, or the files do not fit each other.
    """
    raws = [files.timed(source, path, centre) for path in paths]
    timing = timing_of([raw.records for raw in raws]).later(source.lag)
    parts = [_part(raw, middles, year) for raw, middles in zip(raws, timing.middles, strict=True)]
    parts = sorted((p for p in parts if len(p.days)), key=lambda part: (part.middles.min(), str(part.raw.header.path)))
    if not parts:
        before = f" or of the {source.lag} days before it, for `lags`" if source.lag else ""
        expected, cure = f"days of {year}{before}", f"correct years, or {source.files_key}"
        raise fault(paths[0], source.variable, _span(timing, raws), expected, cure)
    for part in parts[1:]:
        _require_fit(part.raw, parts[0].raw)
    parts, repeated = _each_once(parts)
    if not gathered and timing.a_day > 1:
        parts = [_named(part, timing.length) for part in parts]
        repeated = [(_named(part, timing.length), _named(copy, timing.length)) for part, copy in repeated]
        timing = replace(timing, notes=tuple(note for note in timing.notes if "records a day" not in note))
        return VariableYear(source, parts, timing, repeated, gathered=False)
    complete, lost = _complete_days(source, parts, timing)
    if not len(complete):
        most = max(
            sum(int((part.days == day).sum()) for part in parts) for part in parts for day in np.unique(part.days)
        )
        raise parts[0].raw.header.fault(
            f"at most {most} records on a day of {year}", f"{timing.a_day} records on each day", "complete the files"
        )
    return VariableYear(source, parts, timing, repeated, tuple(lost)).only(complete)


def years_of(source: Source, paths: Sequence[Location], centre: float | None, files: OpenFiles) -> list[int]:
    """Find the years of which the files have records; arguments and errors as in `read_year`."""
    raws = [files.timed(source, path, centre) for path in paths]
    timing = timing_of([raw.records for raw in raws]).later(source.lag)
    found: set[int] = set()
    for raw, middles in zip(raws, timing.middles, strict=True):
        known = middles[np.isfinite(middles)]
        found.update(date.year for date in cftime.num2date(known, EPOCH, raw.records.calendar))
    return sorted(found)


def _part(raw: TimedFile, middles: NDArray[np.float64], year: int) -> Part:
    """The records of a file that lie in a year, in order."""
    first, dates, _ = calendar_year(year, raw.records.calendar)
    day = np.floor(middles + 0.5 / 86400) - first
    times = np.flatnonzero((day >= 0) & (day < len(dates)))  # not those of no length, whose middle is NaN
    times = times[np.argsort(middles[times], kind="stable")]
    return Part(raw, times, dates[day[times].astype(int)], middles[times])


def _named(part: Part, length: float) -> Part:
    """Name each record by the time at which it starts, to the minute."""
    starts = np.round((part.middles - length / 2) * MINUTES) / MINUTES
    dates = cftime.num2date(starts, EPOCH, part.raw.records.calendar)
    names = [int(f"{d.year:04d}{d.month:02d}{d.day:02d}{d.hour:02d}{d.minute:02d}") for d in map(_to_minute, dates)]
    return replace(part, days=np.array(names, dtype=np.int64))


def _to_minute(time: Any) -> Any:
    """Round a time to the minute: fractions of a day are not exact."""
    return time + timedelta(seconds=30) if time.second or time.microsecond else time


def _span(timing: Timing, raws: Sequence[TimedFile]) -> str:
    """The first and the last year of the records, in words."""
    years = [
        1850 + int(np.floor(middles[np.isfinite(middles)][i] / 365.2425))
        for middles in timing.middles
        if np.isfinite(middles).any()
        for i in (0, -1)
    ]
    return f"records from about {min(years)} to {max(years)}" if years else f"no record in {len(raws)} file(s)"


def _require_fit(raw: TimedFile, first: TimedFile) -> None:
    """Refuse a file that has another calendar, other units or another grid than the first one."""
    mine, wanted = raw.records.calendar, first.records.calendar
    if mine != wanted:
        raise raw.header.fault(
            f"calendar {mine}", f"{wanted} as in {first.header.path}", "bring all files to one calendar"
        )
    if raw.conversion.units != first.conversion.units:
        expected = f"{first.conversion.units!r} as in {first.header.path}"
        raise raw.header.fault(f"units {raw.conversion.units!r}", expected, "bring all files to one unit")
    if not raw.grid.same(first.grid):
        expected = f"the grid of {first.header.path}, {first.grid.size}"
        raise raw.header.fault(raw.grid.size, expected, "use files on one grid")


def _each_once(parts: Sequence[Part]) -> tuple[list[Part], list[tuple[Part, Part]]]:
    """Take each record once. Records that are there again are given with those that they repeat."""
    owners = np.repeat(np.arange(len(parts)), [len(part.days) for part in parts])
    places = np.concatenate([np.arange(len(part.days)) for part in parts])
    seconds = np.round(np.concatenate([part.middles for part in parts]) * 86400).astype(np.int64)
    _, first, group = np.unique(seconds, return_index=True, return_inverse=True)
    again = np.setdiff1d(np.arange(len(seconds)), first)
    if not len(again):
        return list(parts), []
    kept = [part.chosen(places[first][owners[first] == i]) for i, part in enumerate(parts)]
    pairs = sorted((owners[first[group[i]]], owners[i], places[first[group[i]]], places[i]) for i in again)
    repeated = []
    for (one, other), group_of in itertools.groupby(pairs, key=lambda pair: pair[:2]):
        where = np.array([pair[2:] for pair in group_of])
        repeated.append((parts[one].chosen(where[:, 0]), parts[other].chosen(where[:, 1])))
    return [part for part in kept if len(part.days)], repeated


def _complete_days(source: Source, parts: Sequence[Part], timing: Timing) -> tuple[Days, list[str]]:
    """The days that have all their records, and a sentence about those that have not."""
    days, counts = np.unique(np.concatenate([part.days for part in parts]), return_counts=True)
    wrong = counts != timing.a_day
    if (counts > timing.a_day).any():
        first = int(days[counts > timing.a_day][0])
        holders = [part.raw.header for part in parts if first in part.days]
        also = f", also in {holders[1].path}" if holders[1:] else ""
        raise holders[0].fault(
            f"{counts[counts > timing.a_day][0]} stamps on {iso(first)}{also}",
            f"{timing.a_day} a day, as on other days",
            f"remove what is too much, or narrow {source.files_key}",
        )
    if not wrong.any():
        return days, []
    first = int(days[wrong][0])
    found = f"{wrong.sum()} day(s) without all their {timing.a_day} records, the first {iso(first)}"
    return days[~wrong], [source.note(f"{found}; these days are left out.")]
