"""Which raw files a dataset names: patterns of the configuration to paths, and what is wrong with them.

This module is imported while the workflow is parsed: it imports no heavy library and opens no file.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rainshaft.config.sections import DailyFiles, DayOf
from rainshaft.config.slices import PrepareSettings
from rainshaft.errors import UserError


class InputError(UserError):
    """A raw file cannot be used. The message has one line a fault: file, variable, found, expected, what to do."""


def fault(path: Path, variable: str, found: str, expected: str, cure: str) -> InputError:
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

    @property
    def static(self) -> bool:
        """Whether it does not change with time."""
        return self.quantity in ("elevation", "land")

    @property
    def files_key(self) -> str:
        """Key of the patterns in the configuration."""
        return f"{self.key}.{'file' if self.static else 'files'}"

    def note(self, text: str) -> str:
        """Give a sentence about what was done with this variable."""
        return f"{self.name[:1].upper()}{self.name[1:]}: {text}"


def source_files(dataset: PrepareSettings, years: Iterable[int]) -> list[Path]:
    """Every raw file that the dataset names for these years, sorted, each once.

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
    found: set[Path] = set()
    for source in sources_of(dataset):
        for year in years:
            with faults.collect():
                found.update(files_of(source, year))
    faults.throw()
    return sorted(found)


def sources_of(dataset: PrepareSettings) -> list[Source]:
    """Rain, predictors, elevation and land, in this order."""
    sources = [_daily(dataset.rain, "rain", "rain", "rain")]
    if dataset.predictors != "coarsened":
        for i, p in enumerate(dataset.predictors):
            sources.append(_daily(p, f"predictors.{i}", f"predictor {p.label}", p.quantity, p.label, p.context))
    if dataset.elevation:
        sources.append(
            Source("elevation", "elevation", (dataset.elevation.file,), dataset.elevation.variable, "elevation")
        )
    if dataset.land:
        sources.append(Source("land", "land", (dataset.land.file,), dataset.land.variable, "land"))
    return sources


def _daily(
    files: DailyFiles,
    key: str,
    name: str,
    quantity: Literal["rain", "temperature", "other"],
    label: str = "",
    context: bool = False,
) -> Source:
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
        label=label,
        context=context,
    )


def files_of(source: Source, year: int) -> list[Path]:
    """The files of one variable for one year, sorted."""
    found: set[Path] = set()
    for pattern in source.patterns:
        expanded = _expand(pattern, source.files_key).replace("{year}", str(year))
        if Path(expanded).is_file():
            matches = [expanded]
        else:
            matches = [m for m in glob.glob(expanded, recursive=True) if Path(m).is_file()]
        if not matches:
            raise InputError(
                f"{source.files_key}: found no file for {pattern!r} (looked for {expanded}), expected at least one; "
                "correct the pattern or put the files there"
            )
        found.update(map(Path, matches))
    return sorted(found)


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
