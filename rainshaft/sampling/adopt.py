"""Adopt an ensemble that another model made: bring it to the form of the ensembles that are drawn here.

Input: files of members as people have them, the canonical fields and the normalisation of their dataset. Output: an
ensemble file, rain in mm/day, and sentences about what was changed and what looks odd. A few days are in memory at a
time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.sections import Config, Dataset
from rainshaft.config.slices import AdoptSettings, PrepareSettings
from rainshaft.data.axes import Grid
from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.data.domain import fine_grid
from rainshaft.data.ensemble import (
    RawEnsemble,
    numbers_of,
    open_ensemble,
)
from rainshaft.data.fields import Fields, Values, dates_of
from rainshaft.data.likeness import Likeness, cleaned
from rainshaft.data.pairing import origin_of
from rainshaft.data.prepare import days_as_written, plan_year
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import Source, ensemble_files, ensemble_source
from rainshaft.data.split import split_days
from rainshaft.data.times import iso
from rainshaft.data.year import Days
from rainshaft.errors import UserError
from rainshaft.files import small_caches, write_ensemble

NO_VALIDATION = (
    "no validation day is in the files, so the members cannot be judged; their scores are those of test days"
)


def adopt(
    settings: AdoptSettings,
    key: str,
    paths: Sequence[Path],
    normalisation: xr.Dataset,
    path: Path,
    attributes: dict[str, Any],
) -> list[str]:
    """Write the members of all test days, and of the validation days that are there, as an ensemble file.

    Parameters
    ----------
    settings
        Names the files and the variable.
    key
        Where they stand in the configuration, for messages.
    paths
        Canonical fields of all years.
    normalisation
        Normalisation of the dataset. It tells which days are for validation and for test.
    path
        The file to write. It is whole or absent.
    attributes
        Provenance for the file.

    Returns
    -------
    Sentences about what was changed, what was left out, and what looks odd.

    Raises
    ------
    UserError
        If a file cannot be used, a test day is missing, or the values cannot be those of this rain: they are NaN,
        negative or of another size, belong to other days or another place, or members are copies of each other.
    """
    source = ensemble_source(settings, key, settings.members_dim)
    with small_caches(), Fields(paths) as fields, OpenFiles() as files:
        split, days = normalisation["split"].values.astype(str), numbers_of(dates_of(normalisation))
        years = sorted(set((days // 10000).tolist()))
        wanted = days[np.isin(split, (VALIDATION, TEST))]
        found = open_ensemble(source, ensemble_files(source, years), wanted, fine_grid(fields.ground), files)
        notes = require_days(source, found, days, split)
        found.require_equal_copies()
        chosen = normalisation.isel(time=np.flatnonzero(np.isin(days, found.days) & np.isin(split, (VALIDATION, TEST))))
        dates = dates_of(chosen).tolist()
        required = [date for date, part in zip(dates, chosen["split"].values, strict=True) if part == TEST]
        likeness = Likeness(origin_of(source), fields, dates, required, found.members)
        odd: list[str] = []

        def members() -> Iterator[Values]:
            for rain in cleaned(found, numbers_of(dates), likeness):
                yield from rain
            odd.extend(likeness.require())  # before the file is in place

        write_ensemble(path, chosen, found.members, members(), {"mode": "prior", **attributes})
    return [*found.notes, *notes, *odd]


def require_days(source: Source, ensemble: RawEnsemble, days: Days, split: np.ndarray) -> list[str]:
    """Say which validation days the ensemble lacks. Raise a UserError if it lacks a test day.

    Parameters
    ----------
    days, split
        Every day of the dataset as a number yyyymmdd, and what it is for.
    """
    if missing := missing_test_days(source, ensemble, days, split):
        raise UserError(
            f"{missing}; expected all of them, because all experiments are scored on the same days; complete the files"
        )
    of_validation = days[split == VALIDATION]
    lacking = np.setdiff1d(of_validation, ensemble.days)
    if len(lacking) == len(of_validation):
        return [source.note(f"{NO_VALIDATION}.")]
    if len(lacking):
        return [source.note(f"{len(lacking)} of {len(of_validation)} validation days are not there.")]
    return []


def missing_test_days(source: Source, ensemble: RawEnsemble, days: Days, split: np.ndarray) -> str:
    """Say which test days an ensemble lacks; empty if it lacks none. Arguments as in `require_days`."""
    of_test = days[split == TEST]
    missing = np.setdiff1d(of_test, ensemble.days)
    if not len(missing):
        return ""
    count = f"found {len(of_test) - len(missing)} of {len(of_test)} test days"
    return f"{source.files_key}: {count}; {len(missing)} are missing, the first {iso(int(missing[0]))}"


# ------------------------------------------------------------------------------------------ before any work


def check_ensemble(config: Config, name: str) -> list[str]:
    """Look at the headers of the files of an experiment with `source: files`, before any job.

    Returns
    -------
    Sentences: how many members and days there are, and what was changed and assumed. Where the dataset is made from a
    seed, its grid and its days are not known yet. Then only the files themselves are looked at.

    Raises
    ------
    UserError
        One line for each fault.
    """
    entry = config.adopted[name]
    dataset = config.datasets[entry.dataset]
    source = ensemble_source(entry, f"experiments.{name}", entry.members_dim)
    paths = ensemble_files(source, dataset.years)
    with OpenFiles() as files:
        if dataset.synthetic:
            raws = [files.timed(source, path, None) for path in paths]
            members = max(raw.header.realizations for raw in raws)
            return [f"{len(paths)} files of up to {members} members; grid and days are compared when the rain is made"]
        grid, days, split = _of_headers(dataset, files)
        found = open_ensemble(source, paths, days[np.isin(split, (VALIDATION, TEST))], grid, files)
        if missing := missing_test_days(source, found, days, split):  # only the values tell which days take part
            notes = [f"{missing}. The run will stop there, unless the rain of these days has gaps."]
        else:
            notes = require_days(source, found, days, split)
        count = f"{found.members} members on {len(found.days)} validation and test days in {len(paths)} files"
        return [count, *found.notes, *notes]


def _of_headers(dataset: Dataset, files: OpenFiles) -> tuple[Grid, Days, np.ndarray]:
    """The fine grid, the days and the split of a dataset as the headers of its files have them."""
    settings = PrepareSettings(**dataset.model_dump(include=set(PrepareSettings.model_fields)))
    plans = {year: plan_year(settings, year, files) for year in sorted(dataset.years)}
    first = next(iter(plans.values()))
    stamps = np.concatenate([days_as_written(plan.rain, year) for year, plan in plans.items()])
    days = np.concatenate([plan.rain.days for plan in plans.values()])
    return first.rain.grid.part(first.coarse.crop), days, split_days(stamps, dataset.split)
