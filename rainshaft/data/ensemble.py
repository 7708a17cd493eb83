"""Ensembles of rain that another program wrote, on a known grid, a few days at a time.

Input: files as people have them: with a dimension of members or without one, a file for each year, for each member or
for both, in any order of dimensions, units, calendar and direction of the axes. Output: the members of any days in
mm/day, north first and west first, on the grid of the rain that they belong to. Days are matched by date. Nothing is
put on another grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.axes import Grid
from rainshaft.data.rawfile import OpenFiles, TimedFile
from rainshaft.data.sources import Faults, Location, Source, fault
from rainshaft.data.times import iso, timing_of
from rainshaft.data.year import ONE_CHUNK, Days, VariableYear, read_year, years_of

SHARED = 0.5  # of the records of a file; two files with more in common hold different members  # ASSUME


def numbers_of(dates: Sequence[str] | np.ndarray) -> Days:
    """Give dates YYYY-MM-DD as numbers yyyymmdd."""
    return np.array([int(str(date).replace("-", "")) for date in dates], dtype=np.int64)


@dataclass(frozen=True)
class Group:
    """Files that hold the days of the same members, one file after the other."""

    years: dict[int, VariableYear]
    members: int

    @property
    def days(self) -> Days:
        """The days, in order."""
        return np.unique(np.concatenate([record.days for record in self.years.values()]))

    @property
    def first(self) -> TimedFile:
        """The file with the first day."""
        return next(iter(self.years.values())).first

    @property
    def cells(self) -> int:
        """How many cells are read."""
        return next(iter(self.years.values())).window_size

    def read(self, days: Days) -> NDArray[np.float32]:
        """Read the members (day, member, lat, lon) of days that are here, in order."""
        parts = []
        for year in np.unique(days // 10000):
            record = self.years[int(year)].only(days[days // 10000 == year])
            try:
                values = record.lazy(ONE_CHUNK).values
            except (RuntimeError, OSError):
                record.find_unreadable()
                raise
            parts.append(values[:, None] if values.ndim == 3 else values)
        return np.concatenate(parts)


@dataclass(frozen=True)
class RawEnsemble:
    """The members of an ensemble, which are still on the disk."""

    source: Source
    groups: Sequence[Group]
    """each with other members of the same days"""
    days: Days
    """the days, in order"""

    @property
    def members(self) -> int:
        """How many members a day has."""
        return sum(group.members for group in self.groups)

    @property
    def notes(self) -> list[str]:
        """Sentences about what was changed and assumed, each once."""
        records = [record for group in self.groups for record in group.years.values()]
        notes = [note for record in records for note in record.notes]
        notes += [self.source.note(doubt) for record in records for doubt in record.timing.doubts]
        if len(self.groups) > 1:
            count = f"{len(self.groups)} files or rows of files have the same days, so each holds members of its own."
            notes.append(self.source.note(count))
        return list(dict.fromkeys(notes))

    def read(self, days: Days) -> NDArray[np.float32]:
        """Read the members of days that are here, in order: (day, member, lat, lon) in mm/day.

        Raises
        ------
        InputError
            If data cannot be read.
        """
        return np.concatenate([group.read(days) for group in self.groups], axis=1)

    def require_equal_copies(self) -> None:
        """Raise an InputError if a record is there twice with different values; this reads both."""
        for group in self.groups:
            for record in group.years.values():
                record.require_equal_copies()


def open_ensemble(source: Source, paths: Sequence[Location], wanted: Days, grid: Grid, files: OpenFiles) -> RawEnsemble:
    """Find the members of these days in the files, from their headers alone.

    Parameters
    ----------
    source
        From `sources.ensemble_source`.
    paths
        Its files, from `sources.ensemble_files`.
    wanted
        Dates as numbers yyyymmdd. All other days are left alone.
    grid
        The grid of the rain. The files must have its cells; they may have more.
    files
        Keeps the files open.

    Raises
    ------
    InputError
        If a file cannot be read or understood, has not these cells or none of these days, or the files do not make one
        ensemble.
    """
    raws = _opened(source, paths, grid, files)
    groups = []
    for mine in _groups(raws):
        group = _group(source, [raw.header.path for raw in mine], wanted, grid, files)
        if group is not None:
            groups.append(group)
    if not groups:
        first, last = iso(int(wanted.min())), iso(int(wanted.max()))
        raise fault(
            paths[0],
            source.variable,
            f"none of the {len(wanted)} days that are asked for; the files have {_span(source, paths, grid, files)}",
            f"days between {first} and {last}",
            f"correct {source.files_key}, or the calendar of the files",
        )
    days = groups[0].days
    for group in groups[1:]:
        _require_days(group, groups[0])
    return RawEnsemble(source, groups, days)


def _opened(source: Source, paths: Sequence[Location], grid: Grid, files: OpenFiles) -> list[TimedFile]:
    """Open all files, and say all that is wrong with them at once."""
    faults = Faults()
    raws = []
    for path in paths:
        with faults.collect():
            raw = files.timed(source, path, grid.centre)
            raw.window_on(grid)
            raws.append(raw)
    faults.throw()
    return raws


def _groups(raws: Sequence[TimedFile]) -> list[list[TimedFile]]:
    """Sort the files into groups. Files of one group follow each other in time, and those of several share their days.

    A file joins the first group with which it shares few records, in the order of the names. So the files may be one a
    year, one a member, or one for each year of each member.
    """
    timing = timing_of([raw.records for raw in raws])
    groups: list[tuple[list[TimedFile], set[int]]] = []
    for raw, middles in zip(raws, timing.middles, strict=True):
        known = middles[np.isfinite(middles)]
        stamps = set(np.round(known * 86400).astype(np.int64).tolist())
        for members, taken in groups:
            if len(stamps & taken) <= SHARED * len(stamps):
                members.append(raw)
                taken |= stamps
                break
        else:
            groups.append(([raw], stamps))
    return [members for members, _ in groups]


def _group(source: Source, paths: Sequence[Location], wanted: Days, grid: Grid, files: OpenFiles) -> Group | None:
    """The wanted days of one group of files; None if it has none of them."""
    years = sorted(set((wanted // 10000).tolist()) & set(years_of(source, paths, grid.centre, files)))
    found: dict[int, VariableYear] = {}
    for year in years:
        record = read_year(source, paths, year, grid.centre, files)
        here = np.intersect1d(record.days, wanted)
        if len(here):
            found[year] = replace(record.only(here), window=record.first.window_on(grid))
    if not found:
        return None
    parts = [part.raw for record in found.values() for part in record.parts]
    members = parts[0].header.realizations
    for raw in parts[1:]:
        if raw.header.realizations != members:
            raise raw.header.fault(
                f"{raw.header.realizations} members",
                f"{members} as in {parts[0].header.path}",
                "use files with equal numbers of members",
            )
    return Group(found, members)


def _require_days(group: Group, first: Group) -> None:
    """Refuse members of other days than those of the first ones."""
    lacking, more = np.setdiff1d(first.days, group.days), np.setdiff1d(group.days, first.days)
    if not len(lacking) and not len(more):
        return
    holder, other = (group, first) if len(lacking) else (first, group)
    missing = lacking if len(lacking) else more
    raise holder.first.header.fault(
        f"{len(holder.days)} of the days, without {len(missing)} of those of {other.first.header.path}, the first "
        f"{iso(int(missing[0]))}",
        "equal days in all members: files that share days hold different members",
        "complete the files; or write them so that no day is in two files, if they hold the same members",
    )


def _span(source: Source, paths: Sequence[Location], grid: Grid, files: OpenFiles) -> str:
    years = years_of(source, paths, grid.centre, files)
    return f"records of {years[0]} to {years[-1]}" if years else "no record at all"
