"""Which raw files a dataset names: patterns of the configuration to paths, and what is wrong with them.

A raw file is a file, a folder that is a zarr store, or an address such as `s3://bucket/rain.zarr`.

This module is imported while the workflow is parsed. So it imports no heavy library, and of a file it looks at no more
than the name, the size and the time.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rainshaft.config.sections import DailyFiles, DayOf, PredictorFiles, channel_name
from rainshaft.config.slices import PrepareSettings
from rainshaft.errors import UserError

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class InMemory:
    """Data that lie in no file, for example what a notebook has made."""

    dataset: xr.Dataset
    name: str = "the dataset in memory"
    """what messages call it"""

    def __str__(self) -> str:
        return self.name


Location = Path | str | InMemory
"""the path of a file or of a zarr store, an address as text, or data in memory"""

ZARR_FILES = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
"""files of a zarr store that describe it; all others hold values"""

DATE_PARTS = {"{year}": 4, "{month}": 2, "{day}": 2}
"""what stands for a part of the date in a pattern -> its digits"""

WRONG_PATTERN = "correct the pattern or put the files there"


class InputError(UserError):
    """A raw file cannot be used. The message has one line a fault: file, variable, found, expected, what to do."""


def fault(path: Location, variable: str, found: str, expected: str, cure: str) -> InputError:
    """Give an error about a raw file; all such messages have this form."""
    return InputError(f"{path}, variable {variable}: found {found}, expected {expected}; {cure}")


@dataclass(frozen=True)
class Source:
    """One variable of the raw files, as the configuration names it."""

    key: str
    """its key in the configuration"""
    name: str
    """what sentences call it"""
    patterns: tuple[str, ...]
    variable: str
    quantity: Literal["rain", "temperature", "other", "elevation", "land"]
    units: str | None = None
    """units that the configuration states"""
    level: float | None = None
    """which level to take where there are several"""
    day: DayOf = field(default_factory=DayOf)
    """to which day a record belongs"""
    label: str = ""
    """name of the channel in the results"""
    context: bool = False
    """whether the field stays whole, on its own grid"""
    lag: int = 0
    """how many days before a day its record lies"""
    realization: int | Literal["all"] | None = None
    """which member to take of an ensemble, counted from 0, or all; None where a file must not have several"""
    members_dim: str | None = None
    """the dimension that counts the members, where its name does not say so"""

    @property
    def static(self) -> bool:
        """Whether it does not change with time."""
        return self.quantity in ("elevation", "land")

    @property
    def id(self) -> str:
        """What tells it from all other sources of a dataset."""
        return channel_name(self.key, self.lag)

    @property
    def files_label(self) -> str:
        """What users call its files, whatever the lag."""
        return self.label.removesuffix(channel_name("", self.lag))

    @property
    def files_key(self) -> str:
        """Key of the patterns in the configuration."""
        return f"{self.key}.{'file' if self.static else 'files'}"

    def note(self, text: str) -> str:
        """Give a sentence about what was done with this variable."""
        return f"{self.name[:1].upper()}{self.name[1:]}: {text}"


def source_files(dataset: PrepareSettings, years: Iterable[int]) -> list[Location]:
    """Every raw file that the dataset names for these years, sorted, each once. An address is a text, not a `Path`.

    Parameters
    ----------
    dataset
        Names the files.
    years
        The years that `{year}` stands for.

    Raises
    ------
    InputError
        One line for each pattern that no file matches and each environment variable that is not set.
    """
    faults = Faults()
    found: set[Location] = set()
    for source in sources_of(dataset):
        for year in years:
            with faults.collect():
                found.update(files_of(source, year))
    faults.throw()
    return sorted(found, key=str)


def file_stamps(locations: Iterable[Location]) -> list[list[str | int]]:
    """Give what changes when a raw file is replaced, also by an older one: its path, its bytes and its time.

    Parameters
    ----------
    locations
        Files, zarr stores and addresses.

    Returns
    -------
    list of list
        `[path, bytes, mtime in ns]` for each of them. A zarr store has the bytes of the files that describe it and the
        newest of their times, since the others may be millions. An address has `[address]`, since to ask for more
        would need the network.
    """
    return [_stamp(location) for location in locations]


def _stamp(location: Location) -> list[str | int]:
    if not isinstance(location, Path):
        return [str(location)]
    files = _describing_files(location) if location.is_dir() else [location]
    stats = [file.stat() for file in files]
    return [str(location), sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def _describing_files(store: Path) -> list[Path]:
    """The files that describe a zarr store. It lists no folder of an array, because that may hold millions of files."""
    files = [store / name for name in ZARR_FILES if (store / name).is_file()]
    if not _is_zarr_array(store):
        for folder in sorted(child for child in store.iterdir() if child.is_dir()):
            files += _describing_files(folder)
    return files


def _is_zarr_array(folder: Path) -> bool:
    if (folder / ".zarray").is_file():
        return True
    try:
        return json.loads((folder / "zarr.json").read_text(encoding="utf-8")).get("node_type") == "array"
    except (OSError, ValueError, AttributeError):
        return False


def sources_of(dataset: PrepareSettings) -> list[Source]:
    """Rain, predictors, elevation and land, in this order."""
    sources = [_daily(dataset.rain, "rain", "rain", "rain")]
    if dataset.predictors != "coarsened":
        for i, files in enumerate(dataset.predictors):
            sources += predictor_sources(files, f"predictors.{i}")
    if dataset.elevation:
        sources.append(
            Source("elevation", "elevation", (dataset.elevation.file,), dataset.elevation.variable, "elevation")
        )
    if dataset.land:
        sources.append(Source("land", "land", (dataset.land.file,), dataset.land.variable, "land"))
    return sources


def predictor_sources(files: PredictorFiles, key: str) -> list[Source]:
    """The sources of a predictor, one for each lag; it stands under this key in the configuration."""
    found = []
    for lag, label in zip(files.lags, files.channels, strict=True):
        days = f" of {lag} {'day' if lag == 1 else 'days'} before" if lag else ""
        source = _daily(files, key, f"predictor {files.label}{days}", files.quantity)
        found.append(replace(source, label=label, context=files.context, lag=lag))
    return found


def predictor_source(files: PredictorFiles, key: str) -> Source:
    """The source of a predictor of the day itself."""
    (source,) = predictor_sources(files, key)
    return source


def _daily(files: DailyFiles, key: str, name: str, quantity: Literal["rain", "temperature", "other"]) -> Source:
    """The source of a variable that changes from day to day."""
    day = files.day if isinstance(files.day, DayOf) else DayOf(stamps=files.day)
    return Source(
        key,
        name,
        files.files,
        files.variable,
        quantity,
        units=files.units,
        level=files.level,
        day=day,
    )


def ensemble_source(files: DailyFiles, key: str, members_dim: str | None) -> Source:
    """The source of an ensemble of rain, which stands under this key in the configuration."""
    day = files.day if isinstance(files.day, DayOf) else DayOf(stamps=files.day)
    return Source(
        key,
        "the ensemble",
        files.files,
        files.variable,
        "rain",
        units=files.units,
        level=files.level,
        day=day,
        realization="all",
        members_dim=members_dim,
    )


def ensemble_files(source: Source, years: Iterable[int]) -> list[Location]:
    """The files of an ensemble, sorted. A pattern with `{year}` need not match in each of the years.

    Raises
    ------
    InputError
        If a pattern matches no file in any year, or an environment variable is not set.
    """
    faults = Faults()
    found: set[Location] = set()
    for pattern in source.patterns:
        here: set[Location] = set()
        errors: list[InputError] = []
        for year in years:
            try:
                here.update(files_of(replace(source, patterns=(pattern,)), year))
            except InputError as error:
                errors.append(error)
        with faults.collect():
            if not here:
                raise errors[0]
        found |= here
    faults.throw()
    return sorted(found, key=str)


def files_of(source: Source, year: int) -> list[Location]:
    """The raw files of one variable for one year, sorted. An address is passed on as it is, a text.

    With a lag, the days before the year count, too. So the files of the year before are among them if they are there.
    Whether an address is there, nobody knows, so none is added.

    Raises
    ------
    InputError
        If no file matches a pattern, or an environment variable is not set.
    """
    found = _matches(source, year)
    if source.lag:
        with suppress(InputError):  # the record begins with this year
            found |= {earlier for earlier in _matches(source, year - 1) if not isinstance(earlier, str)}
    return sorted(found, key=str)


def _matches(source: Source, year: int) -> set[Location]:
    """The files that the patterns match with this year."""
    found: set[Location] = set()
    for pattern in source.patterns:
        expanded = _expand(pattern, source.files_key).replace("{year}", str(year))
        matches = [expanded] if is_address(expanded) else _matching(expanded)
        if not matches:
            digits = " with two digits for each of {month} and {day}" if re.search("{month}|{day}", expanded) else ""
            is_folder = Path(expanded).is_dir()
            raise InputError(
                f"{source.files_key}: found {'a folder' if is_folder else 'no file'} for {pattern!r} "
                f"(looked for {expanded}{digits}), expected at least one file; "
                + (
                    f"add the names of its files, for example {expanded.rstrip('/')}/*.nc"
                    if is_folder
                    else WRONG_PATTERN
                )
            )
        found.update(match if is_address(match) else Path(match) for match in matches)
    return found


def is_address(name: str) -> bool:
    """Whether it names a place in the network or in memory, as `s3://bucket/rain.zarr` does, and no file."""
    return "://" in name


def _matching(pattern: str) -> list[str]:
    """The files and zarr stores that a pattern matches. Only `*`, `**` and `?` are wild, since names may hold `[`."""
    if _is_raw(pattern):
        return [pattern]
    wild = pattern.replace("[", "[[]").replace("{month}", "[0-9][0-9]").replace("{day}", "[0-9][0-9]")
    return [match for match in glob.glob(wild, recursive=True) if _is_raw(match)]


def _is_raw(name: str) -> bool:
    """Whether a file or a zarr store has this name."""
    return os.path.isfile(name) or any(os.path.isfile(os.path.join(name, file)) for file in ZARR_FILES)


def date_in_name(source: Source, location: Location) -> date | None:
    """Give the date that the name of a raw file states where its pattern has `{year}`, `{month}` and `{day}`.

    The result is None if no pattern of the source with all three matches the name.

    Raises
    ------
    InputError
        If the name states a date that does not exist.
    """
    for pattern in source.patterns:
        if not all(part in pattern for part in DATE_PARTS):
            continue
        expanded = _expand(pattern, source.files_key)
        named = expanded if is_address(expanded) else str(Path(expanded))
        if match := re.fullmatch(_expression(named), str(location)):
            year, month, day = (int(match[part]) for part in ("year", "month", "day"))
            try:
                return date(year, month, day)
            except ValueError:
                found = f"the date {year:04d}-{month:02d}-{day:02d} in its name"
                cure = f"correct {source.files_key}: {pattern!r} says where the date stands"
                raise fault(location, source.variable, found, "a date of the calendar", cure) from None
    return None


def _expression(pattern: str) -> str:
    """The regular expression of a pattern. A part of the date that stands in it twice must be equal in both places."""
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    seen: set[str] = set()
    words = []
    for word in re.split(r"(\{year\}|\{month\}|\{day\}|\*\*/|\*\*|\*|\?)", pattern):
        if word in DATE_PARTS:
            name = word.strip("{}")
            words.append(f"(?P={name})" if word in seen else rf"(?P<{name}>\d{{{DATE_PARTS[word]}}})")
            seen.add(word)
        else:
            words.append(wild.get(word, re.escape(word)))
    return "".join(words)


def _expand(pattern: str, key: str) -> str:
    """The pattern with `$VAR`, `${VAR}` and `~` filled in."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in os.environ:
            return os.environ[name]
        if name == "RAINSHAFT_DATA":
            return str(Path("data").absolute())
        raise InputError(
            f"{key}: found ${name} in {pattern!r}, expected an environment variable of that name; "
            f"set it (export {name}=/path/to/data) or write the path itself"
        )

    return os.path.expanduser(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, pattern))


@dataclass
class Faults:
    """Gathers faults, so that a user sees all of them at once."""

    lines: dict[str, None] = field(default_factory=dict)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep the fault that the block raises, and go on after the block."""
        try:
            yield
        except InputError as error:
            self.lines.update(dict.fromkeys(str(error).split("\n")))

    def throw(self) -> None:
        """Raise one error with all faults, if there are any."""
        if self.lines:
            raise InputError("\n".join(self.lines))
