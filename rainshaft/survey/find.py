"""What is in a user's files: each variable with its kind, its units, its grid and its days.

Input: paths of files, folders and patterns. Output: records, each of them a variable of files that belong together, and
what was left out with the reason. Names, units and axes are read by the functions that `prepare` uses, so `init` and a
run agree on what a file says.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.axes import Grid
from rainshaft.data.conventions import RAIN_NAMES
from rainshaft.data.formats import variables_of
from rainshaft.data.header import Header, open_header
from rainshaft.data.rawfile import OpenFiles, open_map, open_timed
from rainshaft.data.sources import InputError, Location, Source
from rainshaft.data.times import Records, calendar_year, iso, timing_of
from rainshaft.data.units import conversion
from rainshaft.data.year import Days, read_year

Kind = Literal["rain", "temperature", "wind", "other", "elevation", "land"]

SUFFIXES = (
    ".nc",
    ".nc4",
    ".cdf",
    ".h5",
    ".hdf5",
    ".he5",
    ".grib",
    ".grb",
    ".grib2",
    ".grb2",
    ".tif",
    ".tiff",
    ".bil",
    ".zarr",
)
"""endings of the files that are taken from a folder"""

RAIN_WORDS = re.compile(r"precipitation|rainfall|\brain\b", re.IGNORECASE)
PART_OF_RAIN = re.compile(
    r"convective|large.?scale|snow|probab|quality|error|flag|count|uncert|number|duration|hours|percentile",
    re.IGNORECASE,
)
"""words of variables that are only a part of the rain, or something about it"""
TEMPERATURE_NAMES = re.compile(r"^(tas|ta\d*|t2m|2t|tmp|temp\w*|tm[mi]n|tm[ma]x|tmin|tmax|tg|tn|tx|t)$", re.IGNORECASE)
WIND_NAMES = re.compile(r"^(10)?[uv](a|as|10|10m|wnd|wind|gr[dr]\w*|\d+)?$", re.IGNORECASE)
WIND_WORDS = re.compile(r"(eastward|northward|zonal|meridional|[uvxy][ _-]component)", re.IGNORECASE)
ELEVATION_NAMES = re.compile(r"^(orog|elev\w*|topo\w*|dem|hgt|alt\w*|height|hsurf|zsurf|z)$", re.IGNORECASE)
ELEVATION_WORDS = re.compile(r"surface_altitude|altitude|elevation|orography|topography|digital", re.IGNORECASE)
LAND_NAMES = re.compile(r"^(sftlf|lsm|land\w*|mask|sea_mask|fr_land|xland)$", re.IGNORECASE)
LAND_WORDS = re.compile(r"land_area_fraction|land_binary_mask|land.?sea", re.IGNORECASE)
LEVELS = re.compile(r"lev|isobaric|pressure|height|depth|^p$", re.IGNORECASE)

FREE_RUNNING = re.compile(
    r"(?<![a-z])(hist|historical|rcp\d\d|ssp\d\d\d?|cmip[56]|picontrol|amip|r\d+i\d+p\d+(?:f\d+)?)(?![a-z])",
    re.IGNORECASE,
)
"""words in names of files of climate models that make weather of their own"""

HALF_A_SECOND = 0.5 / 86400  # of a day
CHUNK_BYTES = 1e8

USUAL_LEVELS = (850.0, 500.0, 700.0)  # hPa; levels whose maps say most about rain  # ASSUME


@dataclass(frozen=True)
class Piece:
    """One variable of one file."""

    path: Path
    variable: str
    kind: Kind
    title: str
    """what the file calls it in words"""
    short: str
    """standard name of the file, where it is one word, else empty"""
    units: str
    """units that the file states"""
    assumed: str | None
    """units by the look of the values, where the file states none"""
    level: float | None
    """level that must be chosen among several"""
    at_level: float | None
    """level of the variable, chosen or the only one"""
    grid: Grid
    records: Records | None
    """when its records are; None for a map"""
    days: Days
    """dates as numbers yyyymmdd, each once; none for a map"""

    @property
    def quantity(self) -> Literal["rain", "temperature", "other", "elevation", "land"]:
        """What the configuration calls its kind."""
        return "other" if self.kind == "wind" else self.kind

    @property
    def source(self) -> Source:
        """What opens it."""
        return _source(self.variable, self.quantity, self.assumed, self.level)


@dataclass(frozen=True)
class Record:
    """One variable of files that belong together."""

    pieces: tuple[Piece, ...]
    days: Days
    """dates of all files, sorted, each once"""

    @property
    def first(self) -> Piece:
        """The piece with the first day; all have its kind, grid and units."""
        return self.pieces[0]

    @property
    def variable(self) -> str:
        """Its name in the files."""
        return self.first.variable

    @property
    def kind(self) -> Kind:
        """What it is."""
        return self.first.kind

    @property
    def grid(self) -> Grid:
        """Where it is."""
        return self.first.grid

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files."""
        return tuple(dict.fromkeys(piece.path for piece in self.pieces))

    @property
    def span(self) -> str:
        """First and last day in words."""
        return f"{iso(self.days[0])} to {iso(self.days[-1])}"

    @property
    def where(self) -> str:
        """Its files in words."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return f"{self.files[0].name}{more}"

    @property
    def size(self) -> str:
        """Its cells in words."""
        unit = "degrees" if self.grid.kind != "projected" else self.grid.y_attrs.get("units", "m")
        return f"{self.grid.shape[0]} x {self.grid.shape[1]} cells of {self.grid.resolution} {unit}"

    @property
    def free_running(self) -> str:
        """The word in its names that tells of a climate model with weather of its own; empty if there is none."""
        found = FREE_RUNNING.search(f"{self.files[0].name} {self.first.title}")
        return found[0] if found else ""

    def daily(self, days: Days, window: tuple[slice, slice]) -> xr.DataArray:
        """Read some days (time, lat, lon) in canonical units; `time` has their dates yyyymmdd.

        A day that is not complete in the files is left out.

        Raises
        ------
        InputError
            If none of the days can be read.
        """
        read: list[xr.DataArray] = []
        problem: InputError | None = None
        for year in np.unique(days // 10000):
            wanted = days[days // 10000 == year]
            paths: list[Location] = [piece.path for piece in self.pieces if np.isin(piece.days, wanted).any()]
            with OpenFiles() as files:
                try:
                    record = read_year(self.first.source, paths, int(year), None, files)
                    if np.isin(record.days, wanted).any():
                        read.append(replace(record.only(wanted), window=window).lazy(CHUNK_BYTES).load())
                except InputError as error:
                    problem = error
        if problem and not read:
            raise problem
        return xr.concat(read, "time")


@dataclass(frozen=True)
class LeftOut:
    """Something that the configuration does not use."""

    where: str
    """a file, or files"""
    variable: str
    """empty for all of the file"""
    reason: str

    def __str__(self) -> str:
        return f"{self.where}{f', variable {self.variable}' if self.variable else ''}: {self.reason}"


def expand(words: Iterable[str]) -> list[Path]:
    """Every file that a user names, sorted, each once.

    Parameters
    ----------
    words
        Paths of files, of folders, whose files are taken with those of folders inside them, and patterns with `*`.

    Raises
    ------
    InputError
        One line for each word that names no file.
    """
    found: set[Path] = set()
    faults = []
    for word in words:
        path = Path(word).expanduser().absolute()
        if path.is_dir() and path.suffix != ".zarr":
            matches = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and _is_input(p)]
        elif path.exists():
            matches = [path]
        else:
            matches = [Path(m) for m in glob.glob(str(path), recursive=True)]
        if not matches:
            kinds = f" (files that end in {', '.join(SUFFIXES)})" if path.is_dir() else ""
            faults.append(f"{word}: found no such file{kinds}, expected files, folders or patterns; correct the path")
        found.update(matches)
    if faults:
        raise InputError("\n".join(faults))
    return sorted(found)


def _is_input(path: Path) -> bool:
    """Tell a file, or a zarr store, from what lies inside a zarr store."""
    inside = any(parent.suffix == ".zarr" for parent in path.parents)
    return not inside and (path.is_file() or path.suffix == ".zarr")


def find(paths: Iterable[Path]) -> tuple[list[Record], list[LeftOut]]:
    """Look at the headers of files.

    Returns
    -------
    The records and what no record can be made of.
    """
    families: dict[tuple[Any, ...], list[Piece]] = defaultdict(list)
    left_out: dict[LeftOut, None] = {}
    for path in paths:
        for found in pieces_of(path):
            if isinstance(found, LeftOut):
                left_out[found] = None
            else:
                stem = re.sub(r"[\W_\d]*\d[\W_\d]*", "#", str(path))
                families[stem, found.variable, found.level, found.kind].append(found)
    records: list[Record] = []
    for family in families.values():
        first = family[0]
        try:
            found_here = _records(family)
        except InputError as error:
            left_out[LeftOut(first.path.name, first.variable, str(error).partition(": ")[2])] = None
            continue
        for record in found_here:
            if record.days.size or record.first.records is None:
                records.append(record)
            else:
                left_out[LeftOut(record.where, record.variable, "no day of it has all its records")] = None
    return records, list(left_out)


def _records(family: list[Piece]) -> list[Record]:
    """Join files that differ in their numbers only. Files with the same stamps differ by more than the time."""
    family = _dated(family)
    stamps = np.concatenate([piece.records.stamps for piece in family if piece.records is not None] or [np.empty(0)])
    if len(family) > 1 and (len(np.unique(stamps)) < 0.9 * len(stamps) or not stamps.size):
        by_stem: dict[str, list[Piece]] = defaultdict(list)
        for piece in family:
            by_stem[re.sub(r"(1[5-9]|2[0-2])\d\d([-_.]?\d\d){0,2}", "#", str(piece.path))].append(piece)
        if len(by_stem) > 1:
            return [record for part in by_stem.values() for record in _records(part)]
    by_grid: list[list[Piece]] = []
    for piece in sorted(family, key=lambda piece: int(piece.days[0]) if piece.days.size else 0):
        like = next((its for its in by_grid if its[0].grid.same(piece.grid)), None)
        if like is None:
            by_grid.append([piece])
        else:
            like.append(piece)
    return [Record(tuple(its), np.unique(np.concatenate([piece.days for piece in its]))) for its in by_grid]


def _dated(family: list[Piece]) -> list[Piece]:
    """Find the days of each file, which only all files together tell.

    Raises
    ------
    InputError
        If the records are neither days nor equal parts of a day.
    """
    records = [piece.records for piece in family if piece.records is not None]
    if not records:
        return family
    timing = timing_of(records)
    dates = [_dates(middles, one.calendar) for middles, one in zip(timing.middles, records, strict=True)]
    days, counts = np.unique(np.concatenate(dates), return_counts=True)
    complete = days[counts >= timing.a_day]
    return [replace(piece, days=np.intersect1d(own, complete)) for piece, own in zip(family, dates, strict=True)]


def _dates(middles: NDArray[np.float64], calendar: str) -> Days:
    """The date yyyymmdd of each record, in order."""
    day = np.sort(np.floor(middles[np.isfinite(middles)] + HALF_A_SECOND)).astype(int)
    found, year = [np.empty(0, "int64")], 1850 + int(day[0] // 366) if len(day) else 0
    while len(day):
        first, dates, _ = calendar_year(year, calendar)
        inside = (day >= first) & (day < first + len(dates))
        found.append(dates[day[inside] - first])
        day, year = day[day >= first + len(dates)], year + 1
    return np.concatenate(found)


# ------------------------------------------------------------------------------------------ one file


def pieces_of(path: Path) -> Iterator[Piece | LeftOut]:
    """Every variable of a file that is a field, or the reason why it cannot be used."""
    try:
        names = _fields_in(path)
    except InputError as error:
        yield LeftOut(path.name, "", str(error).partition(": ")[2])
        return
    if not names:
        yield LeftOut(path.name, "", "no variable of it lies on axes of latitude and longitude, or y and x")
    for name in names:
        try:
            yield from _pieces(path, name)
        except InputError as error:
            yield LeftOut(path.name, name, str(error).partition(": ")[2])


def _fields_in(path: Path) -> list[str]:
    """The variables of a file that have two or more dimensions and are no coordinates of others."""
    variables = variables_of(path)
    helpers: set[str] = set()
    for variable in variables.values():
        for key in ("bounds", "climatology", "coordinates", "grid_mapping", "ancillary_variables"):
            helpers.update(str(variable.attrs.get(key, "")).split())
    fields = []
    for name, variable in variables.items():
        words = f"{variable.attrs.get('standard_name', '')} {variable.attrs.get('units', '')}".lower()
        is_place = re.search(r"latitude|longitude|degrees?_?(north|east|n|e)\b", words)
        is_place = is_place or re.match(r"^x?(lat|lon)(itude|gitude|g)?s?$", name.rpartition("/")[2], re.IGNORECASE)
        # a variable is left out where a dimension is `nv` or `bnds`: it says where cells begin and end
        is_bounds = re.search(r"bnds|bounds|vertices|vertex|\bnv\b", f"{name} {' '.join(map(str, variable.dims))}")
        if variable.ndim >= 2 and variable.dtype.kind in "fiub" and not (is_place or is_bounds):
            fields.append(name)
    return [name for name in fields if name not in helpers]


def _pieces(path: Path, name: str) -> Iterator[Piece]:
    """The pieces of a variable: one for each level."""
    header = _header(path, name)
    with header.file:
        attributes = {key: str(value) for key, value in header.data.attrs.items()}
        has_time = any(header.file[d].dtype.kind in "MO" for d in header.data.dims if d in header.file.variables)
        has_time = has_time or any(v.dtype.kind in "MO" for v in header.file.coords.values())
        kind, assumed = _kind(header, attributes, has_time)
        levels, at_level = _levels(header)
    title = attributes.get("long_name") or attributes.get("standard_name") or name
    short = attributes.get("standard_name", "")
    for level in levels:
        piece = Piece(
            path,
            name,
            kind,
            title,
            short if re.fullmatch(r"[a-z][a-z0-9]*", short) else "",
            attributes.get("units", "").strip(),
            assumed,
            level,
            at_level if level is None else level,
            Grid("projected", np.empty(0), np.empty(0)),
            None,
            np.empty(0, "int64"),
        )
        if kind in ("elevation", "land"):
            raw = open_map(piece.source, path, None)
            with raw.header.file:
                yield replace(piece, grid=raw.grid)
        else:
            timed = open_timed(piece.source, path, None)
            with timed.header.file:
                yield replace(piece, grid=timed.grid, records=timed.records)


def _header(path: Path, name: str) -> Header:
    """Open a variable that may be a map without dates. The file stays open.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        with open_header(_source(name), path) as header:
            return header
    except InputError:
        with open_header(_source(name, "land"), path) as header:
            if any(header.file[dim].dtype.kind in "MO" for dim in header.data.dims if dim in header.file.variables):
                raise
            return header


def _kind(header: Header, attributes: dict[str, str], has_time: bool) -> tuple[Kind, str | None]:
    """What a variable is by its name, its words and its units, and the units to assume where the file states none."""
    name, units = str(header.data.name).rpartition("/")[2], attributes.get("units", "").strip()
    standard, title = attributes.get("standard_name", ""), attributes.get("long_name", "")
    words = f"{standard} {title}"
    is_map = not has_time or header.data.ndim == 2
    if is_map and (LAND_NAMES.match(name) or LAND_WORDS.search(words)):
        return "land", None
    is_high = bool(ELEVATION_NAMES.match(name) or ELEVATION_WORDS.search(words))
    if is_map and is_high and (not units or _converts(header, "elevation")):
        return "elevation", None
    if WIND_NAMES.match(name) or WIND_WORDS.search(words):
        return "wind", None
    if is_rain(name, words) and not units:
        return "rain", _look_of_rain(header)
    if is_rain(name, words) and _converts(header, "rain"):
        return "rain", None
    if units and _converts(header, "temperature"):
        return "temperature", None
    if not units and TEMPERATURE_NAMES.match(name):
        return "temperature", "K" if _sample_mean(header) > 150 else "degC"
    return "other", None


def is_rain(name: str, words: str) -> bool:
    """Whether a variable is rain by its name, or by its standard name and long name."""
    if PART_OF_RAIN.search(f"{name} {words}"):
        return False
    first = re.split(r"[\W_]+", name.lower())[0]
    return name.lower() in RAIN_NAMES or first in RAIN_NAMES or bool(RAIN_WORDS.search(f"{name} {words}"))


def _converts(header: Header, quantity: Literal["rain", "temperature", "elevation"]) -> bool:
    try:
        conversion(replace(header, source=replace(header.source, quantity=quantity)))
    except InputError:
        return False
    return True


def _look_of_rain(header: Header) -> str:
    """Units of rain by the size of its values, where nobody states them."""
    mean = _sample_mean(header)  # ASSUME no record has a mean of less than 0.05 mm/day
    return "mm/day" if mean > 0.05 else "m/day" if mean > 2e-4 else "kg m-2 s-1"


def _sample_mean(header: Header) -> float:
    """Mean of some records spread over a file."""
    first = header.data.dims[0]
    size = header.data.sizes[first]
    return float(header.data.isel({first: slice(None, None, max(1, size // 20))}).mean())


def _levels(header: Header) -> tuple[Sequence[float | None], float | None]:
    """The levels to choose one of, or None, and the level of a variable that has just one."""
    for name in [*map(str, header.data.dims), *map(str, header.data.coords)]:
        if name not in header.file.variables or header.file[name].ndim > 1:
            continue
        axis = header.file[name]
        is_level = axis.attrs.get("axis") == "Z" or "positive" in axis.attrs or LEVELS.search(name)
        if not is_level or axis.dtype.kind not in "fiu":
            continue
        values = np.atleast_1d(axis.values).astype("float64")
        if name not in header.data.dims or len(values) == 1:
            return [None], float(values[0])
        scale = 100.0 if str(axis.attrs.get("units", "")) == "Pa" else 1.0
        usual = [v * scale for v in USUAL_LEVELS if v * scale in values]
        return usual or list(values[:3]), None
    return [None], None


def _source(
    variable: str,
    quantity: Literal["rain", "temperature", "other", "elevation", "land"] = "other",
    units: str | None = None,
    level: float | None = None,
) -> Source:
    """What opens a variable of a file that no configuration names yet."""
    return Source(variable, variable, (), variable, quantity, units=units, level=level)
