"""The word `rainshaft evaluate` of the shell: scores of any ensemble of rain against observed rain, without a workflow.

Input: files with the members and files with the observed rain, on one grid. Output: a table for the terminal and, where
a folder is named, the files that the workflow writes of an experiment. Both are read as the workflow reads them, and
all days that both have are scored together.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from rainshaft.config.sections import DailyFiles, Evaluation, RainFiles
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.conventions import DRY, RAIN_NAMES, WET_DAY_MM
from rainshaft.data.domain import fine_grid
from rainshaft.data.ensemble import numbers_of, open_ensemble
from rainshaft.data.fields import Fields
from rainshaft.data.formats import variables_of
from rainshaft.data.likeness import Likeness, cleaned
from rainshaft.data.pairing import origin_of
from rainshaft.data.prepare import prepare_year
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import Location, Source, ensemble_files, ensemble_source, sources_of
from rainshaft.data.times import iso
from rainshaft.data.year import years_of
from rainshaft.errors import UserError
from rainshaft.evaluation import table
from rainshaft.evaluation.days import Setting
from rainshaft.evaluation.evaluate import TRUTH_DAYS, by_day_of, content_of, part_of
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.evaluation.scoring import OneDay, score
from rainshaft.evaluation.table import ALL
from rainshaft.files import atomic, small_caches, write_json, write_netcdf

DRY_WET_FRACTION = 0.05  # a day is dry when fewer of its cells have 1 mm/day; as `dry_wet_fraction` of a dataset


@dataclass(frozen=True)
class Rain:
    """Files of rain, as the shell names them."""

    files: str
    """a file, a zarr store, an address, or a pattern"""
    variable: str | None = None
    units: str | None = None
    day: Literal["auto", "start", "end"] = "auto"


@dataclass(frozen=True)
class Evaluated:
    """What is shown in the terminal."""

    table: str
    notes: list[str]


def evaluate_files(
    ensemble: Rain, truth: Rain, output: Path | None = None, factor: int = 1, members_dim: str | None = None
) -> Evaluated:
    """Score all days that an ensemble and the observed rain have in common.

    The observed rain is prepared in a temporary folder, as the rain of a dataset is. Members are read a few days at a
    time and once.

    Parameters
    ----------
    output
        A folder for `scores.json`, `scores_by_day.nc` and `table.md`. Files of these names are replaced.
    factor
        Fine cells along the side of a coarse cell, for the score of the edges of coarse cells. With 1 there are none.
    members_dim
        The dimension of the members, where its name does not say so.

    Raises
    ------
    UserError
        If files cannot be used, do not fit each other, or cannot be what they say.
    """
    try:
        found = _evaluate(ensemble, truth, output, factor, members_dim)
        return replace(found, notes=[_in_words_of_the_shell(note, ensemble, truth) for note in found.notes])
    except UserError as error:
        raise UserError(_in_words_of_the_shell(str(error), ensemble, truth)) from None


def _evaluate(ensemble: Rain, truth: Rain, output: Path | None, factor: int, members_dim: str | None) -> Evaluated:
    settings = Evaluation()
    with small_caches(), tempfile.TemporaryDirectory() as folder, OpenFiles() as files:
        source = ensemble_source(_daily(ensemble, "ensemble"), "ensemble", members_dim)
        paths = _files(source)
        prepared = _prepared(truth, factor, set(years_of(source, paths, None, files)), Path(folder), files)
        with Fields(prepared) as fields:
            found = open_ensemble(source, paths, numbers_of(fields.dates), fine_grid(fields.ground), files)
            found.require_equal_copies()
            dates = [iso(day) for day in found.days.tolist()]
            likeness = Likeness(origin_of(source), fields, dates, dates, found.members)
            part = part_of(dates, _categories(dates, fields), fields)
            setting = Setting(found.members, fields.valid, fields.factor, settings)
            scored = score(_days(cleaned(found, found.days, likeness), dates, fields), part, setting)
            notes = [*found.notes, *likeness.require()]
            by_day = by_day_of({ALL: (part, scored)}, settings, fields)
    content = {
        "name": _name(ensemble),
        "mode": "files",
        "dataset": _name(truth),
        "members": found.members,
        "settings": settings.model_dump(mode="json"),
        ALL: content_of(part, scored),
    }
    comparison = Comparison([Entry(content, by_day["resampled"])], {})
    if output is not None:
        write_json(content, output / "scores.json")
        write_netcdf(by_day, output / "scores_by_day.nc")
        with atomic(output / "table.md") as temporary:
            temporary.write_text(table.markdown(comparison, {}, {}), encoding="utf-8")
    count = f"{len(dates)} days from {dates[0]} to {dates[-1]}, {found.members} members"
    return Evaluated(f"{count}\n\n{table.console(comparison)}", notes)


def _days(batches: Iterable[np.ndarray], dates: Sequence[str], fields: Fields) -> Iterator[OneDay]:
    """Give the members and the truth of day after day, from members (day, member, lat, lon) of a few days at a time."""
    done = 0
    for members in batches:
        yield from zip(members, fields.rain(dates[done : done + len(members)]), strict=True)
        done += len(members)


def _categories(dates: Sequence[str], fields: Fields) -> list[str]:
    """Tell which days are dry."""
    found: list[str] = []
    for start in range(0, len(dates), TRUTH_DAYS):
        rain = fields.rain(dates[start : start + TRUTH_DAYS])[:, fields.valid]
        wet = (rain >= WET_DAY_MM).mean(axis=1)
        found += np.where(wet < DRY_WET_FRACTION, DRY, "").tolist()
    return found


# ------------------------------------------------------------------------------------------ files


def _name(rain: Rain) -> str:
    """What the table calls these files: their name, without what stands for any text."""
    stem = Path(rain.files).stem
    return re.sub(r"[\W_]*(\{\w+\}|[*?]+)[\W_]*", "", stem) or stem


def _daily(rain: Rain, key: str) -> DailyFiles:
    """What a configuration would say of these files."""
    variable = rain.variable or _variable_of(rain, key)
    return DailyFiles(files=(rain.files,), variable=variable, units=rain.units, day=rain.day)


def _variable_of(rain: Rain, key: str) -> str:
    """The name of the rain in files that nobody named."""
    nameless = Source(key, "the rain", (rain.files,), "", "rain")
    path = _files(nameless)[0]
    if not isinstance(path, Path):
        raise UserError(f"{path}: found no name of a variable, expected one; state {key}.variable")
    held = [name for name, values in variables_of(path).items() if values.ndim >= 2 and "bounds" not in name]
    short = {name.rpartition("/")[2].lower(): name for name in held}
    if known := [short[name] for name in RAIN_NAMES if name in short]:
        return known[0]
    fields = [name for name, values in variables_of(path).items() if values.ndim >= 3]
    if len(fields) == 1:
        return fields[0]
    raise UserError(
        f"{path}: found the variables {', '.join(held) or 'none'}, expected one with a name of rain, such as pr; state "
        f"which one it is as {key}.variable"
    )


def _files(source: Source) -> list[Location]:
    """The files of a source of unknown years."""
    patterns = tuple(pattern.replace("{year}", "*") for pattern in source.patterns)
    return ensemble_files(replace(source, patterns=patterns), [0])


def _prepared(truth: Rain, factor: int, years: set[int], folder: Path, files: OpenFiles) -> list[Path]:
    """Prepare the observed rain of the years of the ensemble, and give the canonical fields."""
    daily = _daily(truth, "rain")
    settings = PrepareSettings(
        factor=factor, rain=RainFiles(**daily.model_dump()), predictors="coarsened", elevation=None, land=None
    )
    (source,) = sources_of(settings)
    paths = _files(source)
    own = set(years_of(source, paths, None, files))
    if not own & years:
        raise UserError(
            f"{truth.files}: found rain of {_span(own)}, expected days of the ensemble, which has {_span(years)}"
        )
    prepared = []
    for year in sorted(own & years):
        prepared.append(folder / f"{year}.nc")
        prepare_year(settings, year, prepared[-1])
    return prepared


def _span(years: set[int]) -> str:
    return f"{min(years)} to {max(years)}" if years else "no day"


def _in_words_of_the_shell(text: str, ensemble: Rain, truth: Rain) -> str:
    """Name files and options as the shell does, where a message names keys of a configuration."""
    for key, prefix, rain in (("ensemble", "", ensemble), ("rain", "truth-", truth)):
        text = re.sub(rf"\b{key}\.files \(the (ensemble|observed rain)\)", rain.files, text)
        text = re.sub(rf"\b{key}\.files\b", rain.files, text)

        def option(match: re.Match[str], prefix: str = prefix) -> str:
            return " ".join([f"--{prefix}{match[1].replace('_', '-')}", *filter(None, match.groups()[1:])])

        text = re.sub(rf"`{key}\.(units|day|variable|members_dim): ([^`]+)`", lambda m: f"`{option(m)}`", text)
        text = re.sub(rf"\b{key}\.(members_dim): (\w+)", option, text)
        text = re.sub(rf"\b{key}\.(units|day|variable|members_dim)\b", option, text)
    return text
