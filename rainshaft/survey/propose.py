"""A configuration that runs, from what was found in a user's files, with the reason of each choice.

Input: the records of `find`. Output: the text of a configuration in YAML. Nothing is asked: what cannot be used is left
out, and a comment says why.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainshaft.config.sections import NAME, RESERVED_NAMES, WINDS, Dataset, Train
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.axes import WHOLE
from rainshaft.data.prepare import check_sources
from rainshaft.data.sources import InputError
from rainshaft.survey.find import LeftOut, Record
from rainshaft.survey.paths import patterns_of, shown_path
from rainshaft.survey.relate import (
    cell_area,
    chance,
    correlation_of_changes,
    covers,
    daily_means,
    few_days,
    overlaps,
    ratio,
    side_km,
    window_over,
    windows_of,
)

USUAL_FACTOR = 8
SMALLEST_RATIO = 4  # coarse cells that are fewer fine cells wide leave the model little to do
LIKE_THE_RAIN = 1.5  # times the size of a fine cell: up to here a field is as fine as the rain
COARSE_CELLS = 4  # along each side, if the domain has room for them
CELLS_INSIDE = 3  # of a predictor over the rain, along a side; with fewer it is a map of the weather around it
LARGEST_CONTEXT = 64 * 64  # cells; more would cost more than the rain itself
SHORT_YEAR = 0.1  # of the days of a usual year: years with fewer are left out
NO_NAMES = ("raw", "input", "inputs", "files", "netcdf", "nc", "tmp", "home", "rain", "downloads")  # of folders
LEAST_DAYS = 40  # days with rain and a predictor, to tell whether they are of the same weather
LEAST_CELLS = 4  # along each side of the rain, for two coarse cells of two
SAME_PERIOD = 0.8  # of the days of the predictor that has most of them in common with the rain
EXACT = 0.02  # of the standard deviation: coarse rain closer than this is the mean of the fine rain  # ASSUME
LEAST_STEPS = 700  # of a training; a short record needs more epochs  # ASSUME
MOST_EPOCHS = 24
CELLS_OF_WEATHER = 8  # coarse cells along the shorter side, where weather maps alone tell the rain
PATCH_CELLS, BATCH = 64 * 64, 16  # the defaults of the training
WORK_A_TRAINING = 1.5e8  # fine cells times days in all epochs: about half an hour on two CPU cores  # ASSUME


@dataclass
class Predictor:
    """A record that becomes a predictor."""

    record: Record
    context: bool
    quantity: str
    why: str
    name: str | None = None
    """its name in the results, where the name of its variable does not tell it from others"""

    @property
    def label(self) -> str:
        """Its name in the results."""
        return self.name or self.record.variable


@dataclass
class Proposal:
    """The choices for one dataset."""

    rain: Record
    name: str
    predictors: list[Predictor]
    """none for predictors that are block means of the rain"""
    days: NDArray[np.int64]
    """days with rain and with every predictor"""
    factor: int = USUAL_FACTOR
    factor_why: str = ""
    elevation: Record | None = None
    land: Record | None = None
    split: dict[str, Any] = field(default_factory=dict)
    split_why: str = ""
    years: list[int] = field(default_factory=list)
    years_why: str = ""
    exact: bool = False
    """whether the coarse rain is the mean of the fine rain"""
    epochs: int | None = None
    """None for the default"""
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def coarse_shape(self) -> tuple[int, int]:
        """Rows and columns of coarse cells."""
        return self.rain.grid.shape[0] // self.factor, self.rain.grid.shape[1] // self.factor

    @property
    def has_context(self) -> bool:
        """Whether a predictor is context."""
        return any(p.context for p in self.predictors)

    @property
    def winds(self) -> list[str]:
        """Predictors with a direction."""
        return [p.label for p in self.predictors if p.record.kind == "wind" or p.record.variable in WINDS]

    @property
    def conserve(self) -> str:
        """What suits the coarse rain."""
        return "drawn" if self.predictors and not self.exact else "cells"

    @property
    def is_weather(self) -> bool:
        """Whether the predictors tell the weather alone, and none is rain."""
        return bool(self.predictors) and not any(p.quantity == "rain" for p in self.predictors)

    @property
    def coarser_scales(self) -> int:
        """As many as leave about 2 x 2 cells at the coarsest scale."""
        return min(6, max(0, int(math.log2(min(self.coarse_shape) / 2))))

    def dataset(self) -> dict[str, Any]:
        """The dataset as the configuration writes it."""
        content: dict[str, Any] = {"years": self.years, "factor": self.factor, "rain": files_entry(self.rain)}
        content["predictors"] = [predictor_entry(p) for p in self.predictors] or "coarsened"
        for key, record in (("elevation", self.elevation), ("land", self.land)):
            if record:
                content[key] = {"file": shown_path(record.files[0]), "variable": record.variable}
        return content | {"split": self.split}


def files_entry(record: Record) -> dict[str, Any]:
    """Give a record as the configuration names files."""
    entry: dict[str, Any] = {"files": patterns_of(record), "variable": record.variable}
    if record.first.level is not None:
        entry["level"] = record.first.level
    if record.first.assumed:
        entry["units"] = record.first.assumed
    return entry


def predictor_entry(predictor: Predictor) -> dict[str, Any]:
    """Give a predictor as the configuration names it."""
    entry = files_entry(predictor.record)
    if predictor.name:
        entry["name"] = predictor.name
    if predictor.quantity != "other":
        entry["quantity"] = predictor.quantity
    if predictor.context:
        entry["context"] = True
    return entry


def propose(records: Sequence[Record], left_out: Sequence[LeftOut]) -> Proposal:
    """Choose the rain, the predictors and the settings.

    Raises
    ------
    InputError
        If no file has rain.
    """
    rain = choose_rain(records, left_out)
    proposal = Proposal(rain, name_of(rain), [], rain.days, left_out=list(left_out))
    others = [record for record in records if record is not rain]
    daily = [record for record in others if record.kind not in ("elevation", "land")]
    _choose_predictors(proposal, daily)
    _choose_names(proposal)
    _choose_factor(proposal)
    _choose_maps(proposal, [record for record in others if record.kind in ("elevation", "land")])
    _choose_days(proposal)
    _try_predictors(proposal)
    _choose_exactness(proposal)
    _choose_epochs(proposal)
    return proposal


# ------------------------------------------------------------------------------------------ the rain


def choose_rain(records: Sequence[Record], left_out: Sequence[LeftOut]) -> Record:
    """Take the rain on the finest grid; that of a climate model only where there is no other.

    Raises
    ------
    InputError
        If no file has rain, or only on a grid that is too small.
    """
    rains = [record for record in records if record.kind == "rain"]
    if not rains:
        found = ", ".join(dict.fromkeys(record.variable for record in records)) or "none that can be read"
        reasons = "".join(f"\n{item}" for item in left_out)
        raise InputError(
            f"found the variables {found}, expected one with daily rain (by its name, its standard_name and its "
            f"units); name the files that have it, or write a configuration by hand{reasons}"
        )
    large = [record for record in rains if min(record.grid.shape) >= LEAST_CELLS]
    if not large:
        sizes = ", ".join(f"{record.grid.size} in {record.where}" for record in rains)
        raise InputError(
            f"found rain on {sizes}, expected at least {LEAST_CELLS} x {LEAST_CELLS} cells, which make up 2 x 2 coarse "
            "cells; use a larger domain"
        )
    observed = [record for record in large if not record.free_running] or large
    finest = min(cell_area(record.grid) for record in observed)
    alike = [record for record in observed if cell_area(record.grid) < LIKE_THE_RAIN * finest]
    return max(alike, key=lambda record: (len(record.days), -cell_area(record.grid)))


def name_of(rain: Record) -> str:
    """A name for the dataset, from the name of the folder or of the file with the rain."""
    path = rain.files[0]
    for word in (path.parent.name, re.sub(r"\d{4,}", "", path.stem)):
        name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")
        if re.search("[a-z]", name) and name not in (*RESERVED_NAMES, *NO_NAMES) and re.fullmatch(NAME, name):
            return name
    return "rain"


# ------------------------------------------------------------------------------------------ the predictors


def _choose_predictors(proposal: Proposal, daily: list[Record]) -> None:
    """Take the records that are of the same days and of the same place."""
    rain, kept = proposal.rain, []
    most = max((len(np.intersect1d(r.days, rain.days)) for r in daily), default=0)
    for record in daily:
        shared = np.intersect1d(record.days, rain.days)
        if not len(shared):
            reason = f"it has {record.span}, and the rain has {rain.span}; no day is in both"
        elif len(shared) < SAME_PERIOD * min(most, len(rain.days)):
            reason = f"it has only {len(shared)} of the {len(rain.days)} days of the rain ({record.span})"
        elif record.grid.kind == rain.grid.kind and not overlaps(record.grid, rain.grid):
            reason = f"it is another place: {record.grid.extent}, and the rain is at {rain.grid.extent}"
        else:
            kept.append(record)
            continue
        proposal.left_out.append(_left(record, reason))
    correlations = _correlations(proposal.rain, kept)
    kept = _of_these_days(proposal, kept, correlations)
    _choose_roles(proposal, kept, correlations)


def _correlations(rain: Record, records: list[Record]) -> dict[int, float]:
    """Correlation of the changes from day to day with those of the rain, by record."""
    found = {}
    for record in records:
        shared = np.intersect1d(record.days, rain.days)
        if len(shared) < LEAST_DAYS:
            continue
        windows = windows_of(shared, max(math.prod(record.grid.shape), math.prod(rain.grid.shape)))
        means = (daily_means(one, rain.grid, windows) for one in (rain, record))
        found[id(record)] = correlation_of_changes(*means)
    return found


def _of_these_days(proposal: Proposal, records: list[Record], correlations: dict[int, float]) -> list[Record]:
    """Leave out what has weather of its own: a climate model that runs freely."""
    limit = chance(len(np.concatenate(windows_of(proposal.rain.days, math.prod(proposal.rain.grid.shape)))))
    families: dict[tuple[Path, ...], list[Record]] = defaultdict(list)
    for record in records:
        families[record.files].append(record)
    kept = []
    for family in families.values():
        known = [abs(correlations[id(r)]) for r in family if id(r) in correlations]
        suspect = any(r.kind == "rain" or r.free_running for r in family)
        is_free = suspect and bool(known) and max(known) < limit
        for record in family:
            r = correlations.get(id(record))
            if not is_free and (record.kind != "rain" or r is None or r >= limit):
                kept.append(record)
                continue
            word = f" (its name says {record.free_running})" if record.free_running else ""
            found = f"at most {max(known):.2f}" if is_free else f"{r:.2f}"
            reason = (
                "it is not the weather of these days: the correlation of its changes from day to day with those of "
                f"the rain is {found}. A climate model that runs freely is like that{word}"
            )
            proposal.left_out.append(_left(record, reason))
    return kept


def _choose_roles(proposal: Proposal, records: list[Record], correlations: dict[int, float]) -> None:
    """Decide for each record whether it is taken over the rain or as the weather around it."""
    rain = proposal.rain
    over: list[Predictor] = []
    around: list[Predictor] = []
    for record in records:
        times = ratio(record.grid, rain.grid)
        if times < 1 / LIKE_THE_RAIN:
            proposal.left_out.append(_left(record, "its cells are smaller than those of the rain"))
        elif reason := _why_around(record, rain):
            around.append(Predictor(record, True, "temperature" if record.kind == "temperature" else "other", reason))
        elif record.grid.kind != rain.grid.kind or not covers(record.grid, rain.grid):
            proposal.left_out.append(_left(record, _why_not_over(record, rain)))
        elif reason := _missing(record, rain):
            proposal.left_out.append(_left(record, reason))
        else:
            why = f"{record.first.title}: {record.size}"
            over.append(Predictor(record, False, record.first.quantity, why))
    over = _one_coarse_rain(proposal, over, correlations)
    around = _one_grid(proposal, around)
    fine = [p for p in over if ratio(p.record.grid, rain.grid) < LIKE_THE_RAIN]
    if fine and not any(p.quantity == "rain" for p in over) and len(fine) == len(over):
        over = _beside_the_rain_itself(proposal, over)
    proposal.predictors = over + around


def _why_around(record: Record, rain: Record) -> str:
    """Why a record is taken whole, as the weather around the rain; empty if it is not."""
    cells = math.prod(record.grid.shape)
    inside = min(a / b for a, b in zip(side_km(rain.grid), _steps_km(record), strict=True))
    if cells > LARGEST_CONTEXT or min(record.grid.shape) < 3:
        return ""
    size = f"{record.first.title}: {record.size}"
    if record.grid.kind != rain.grid.kind:
        return f"{size}; its axes are {record.grid.kind} and those of the rain {rain.grid.kind}, so it is taken whole"
    if inside < CELLS_INSIDE:
        return f"{size}; only {inside:.1f} of them lie along a side of the rain, so the field around it says more"
    return ""


def _steps_km(record: Record) -> tuple[float, float]:
    height, width = side_km(record.grid)
    return height / record.grid.shape[0], width / record.grid.shape[1]


def _why_not_over(record: Record, rain: Record) -> str:
    if record.grid.kind != rain.grid.kind:
        cells = math.prod(record.grid.shape)
        return (
            f"its axes are {record.grid.kind}, those of the rain are {rain.grid.kind}, and {cells} cells are too many "
            "to take whole; put it on the axes of the rain, or cut it out"
        )
    return f"it does not cover the rain: {record.grid.extent}, and the rain is at {rain.grid.extent}"


def _missing(record: Record, rain: Record) -> str:
    """Say that values are missing over the rain; empty if none are."""
    # ASSUME five days tell which cells never have a value
    data = record.daily(few_days(record.days), window_over(record.grid, rain.grid))
    share = float(np.isnan(data.values).mean())
    return f"{share:.0%} of its values over the rain are missing, and predictors may miss none" if share > 0 else ""


def _one_coarse_rain(proposal: Proposal, over: list[Predictor], correlations: dict[int, float]) -> list[Predictor]:
    """Keep the coarse rain that goes best with the rain, because the model refines one."""
    rains = [p for p in over if p.quantity == "rain"]
    if len(rains) < 2:
        return over
    best = max(rains, key=lambda p: correlations.get(id(p.record), 0.0))
    for other in rains:
        if other is not best:
            reason = "the model refines one coarse rain, and another one goes better with the rain"
            proposal.left_out.append(_left(other.record, reason))
    return [p for p in over if p.quantity != "rain" or p is best]


def _one_grid(proposal: Proposal, around: list[Predictor]) -> list[Predictor]:
    """Keep the context predictors of the grid that most of them have."""
    if not around:
        return []
    grids = [[p for p in around if p.record.grid.same(one.record.grid)] for one in around]
    most = max(grids, key=len)
    for p in around:
        if p not in most:
            reason = f"all context predictors share one grid, and {len(most)} others lie on {most[0].record.grid.size}"
            proposal.left_out.append(_left(p.record, reason))
    return most


def _beside_the_rain_itself(proposal: Proposal, over: list[Predictor]) -> list[Predictor]:
    """With fields as fine as the rain there is no coarse rain, so the rain itself is averaged to coarse cells."""
    rain = proposal.rain
    if _missing(rain, rain):
        for p in over:
            reason = (
                "it is as fine as the rain. Beside it the rain itself would be the coarse rain, but it has missing "
                "values, and predictors may miss none"
            )
            proposal.left_out.append(_left(p.record, reason))
        return []
    proposal.exact = True
    why = "the rain itself, averaged to coarse cells (a perfect-model set-up), as no coarser rain was given"
    return [Predictor(rain, False, "rain", why), *over]


def _choose_names(proposal: Proposal) -> None:
    """Give predictors with one variable names of their own: by level, by a word of the file, or by a number."""
    by_variable: dict[str, list[Predictor]] = defaultdict(list)
    for predictor in proposal.predictors:
        by_variable[predictor.record.variable].append(predictor)
    for variable, alike in by_variable.items():
        if len(alike) < 2:
            continue
        words = [set(re.split(r"[\W_]+", p.record.files[0].stem)) for p in alike]
        shared = set.intersection(*words)
        short = variable.rpartition("/")[2]
        options = [
            [f"{short}{p.record.first.at_level:g}" for p in alike if p.record.first.at_level is not None],
            [p.record.first.short for p in alike if p.record.first.short],
            [_own_word(own - shared) for own in words],
            [f"{short}-{number}" for number in range(1, len(alike) + 1)],
        ]
        names = next(n for n in options if len(set(n)) == len(alike) and all(n))
        for predictor, name in zip(alike, names, strict=True):
            predictor.name = name


def _own_word(words: set[str]) -> str:
    """The first word with letters."""
    return next((word for word in sorted(words) if re.search(r"[A-Za-z]", word)), "")


def _try_predictors(proposal: Proposal) -> None:
    """Let the checks of a run look at each predictor, and leave out those that it would refuse."""
    year = max(proposal.years, key=lambda y: int((proposal.days // 10000 == y).sum()))
    if proposal.predictors and not _faults(proposal, [], year):
        kept = []
        for predictor in proposal.predictors:
            faults = _faults(proposal, [predictor], year)
            if faults:
                proposal.left_out.append(_left(predictor.record, faults.split("\n")[0].partition(": ")[2]))
            else:
                kept.append(predictor)
        proposal.predictors = kept


def _faults(proposal: Proposal, predictors: list[Predictor], year: int) -> str:
    content = proposal.dataset() | {"predictors": [predictor_entry(p) for p in predictors] or "coarsened"}
    content["split"] = {"by": "blocks"}
    dataset = Dataset.model_validate(content).model_dump()
    try:
        settings = PrepareSettings.model_validate({key: dataset[key] for key in PrepareSettings.model_fields})
        check_sources(settings, [year])
    except InputError as error:
        return str(error)
    return ""


def _choose_exactness(proposal: Proposal) -> None:
    """Coarse rain that is the mean of the fine rain needs no drawing."""
    for p in proposal.predictors:
        height, width = (n * proposal.factor for n in p.record.grid.shape)
        if p.quantity != "rain" or p.record is proposal.rain or (height, width) != proposal.rain.grid.shape:
            continue
        days = few_days(np.intersect1d(p.record.days, proposal.rain.days), 10)
        coarse = p.record.daily(days, WHOLE).values
        fine = proposal.rain.daily(days, WHOLE).coarsen(lat=proposal.factor, lon=proposal.factor).mean().values
        proposal.exact = bool(np.nanstd(coarse - fine) < EXACT * np.nanstd(fine))


# ------------------------------------------------------------------------------------------ factor, maps, days


def _choose_factor(proposal: Proposal) -> None:
    """Take the ratio of the grids, else 8, or what fits a small domain."""
    fine, least = proposal.rain.grid, min(proposal.rain.grid.shape)
    over = [p for p in proposal.predictors if not p.context and ratio(p.record.grid, fine) >= LIKE_THE_RAIN]
    rain = [p for p in over if p.quantity == "rain"]
    other = "Any whole number from 2 to 64 can be written."
    if not over and proposal.is_weather and proposal.has_context:
        proposal.factor = min(64, max(2, 2 ** int(math.log2(max(1, least // CELLS_OF_WEATHER)))))
        proposal.factor_why = (
            "There is no coarse field over the rain. So the factor sets the cells for which the first network draws "
            f"rain: {least // proposal.factor} along the shorter side. {other}"
        )
        return
    if over:
        times = round(min(ratio(p.record.grid, fine) for p in rain or over))
        proposal.factor = times
        proposal.factor_why = f"A cell of the predictors is about {times} cells of the rain wide. {other}"
        if times < SMALLEST_RATIO:
            proposal.factor = times * math.ceil(6 / times) if times > 2 else USUAL_FACTOR
            proposal.factor_why = (
                f"The cells of the predictors are only {times} cells of the rain wide, and such fields are mostly "
                f"smooth below several cells. So they are averaged to {proposal.factor}. {times} is the other choice."
            )
    else:
        proposal.factor_why = f"Nothing says how coarse the predictors are, so this is the usual choice. {other}"
    fits = max(2, min(64, least // (2 if over else COARSE_CELLS)))
    if proposal.factor > fits:
        proposal.factor = fits
        proposal.factor_why = f"The rain has {fine.shape[0]} x {fine.shape[1]} cells, too few for larger ones. {other}"


def _choose_maps(proposal: Proposal, maps: list[Record]) -> None:
    """Take the elevation and the land that lie on the grid of the rain."""
    for record in maps:
        taken = proposal.elevation if record.kind == "elevation" else proposal.land
        if record.grid.window_of(proposal.rain.grid) is None:
            proposal.left_out.append(_left(record, f"it is not on the grid of the rain: {record.grid.size}"))
        elif taken:
            proposal.left_out.append(_left(record, f"another file has the {record.kind}"))
        elif record.kind == "elevation":
            proposal.elevation = record
        else:
            proposal.land = record


def _choose_days(proposal: Proposal) -> None:
    """Choose the years, and which are for training, validation and test."""
    days = proposal.rain.days
    for predictor in proposal.predictors:
        days = np.intersect1d(days, predictor.record.days)
    begins = first_month(days)
    own = days // 10000 + ((days // 100 % 100 >= begins) & (begins > 1))  # the year of the split
    counts = {int(year): int((own == year).sum()) for year in np.unique(own)}
    usual = float(np.median(list(counts.values())))
    short = [year for year, count in counts.items() if count < SHORT_YEAR * usual]
    kept = [year for year in counts if year not in short]
    proposal.days = days[np.isin(own, kept)]
    proposal.years = [int(year) for year in np.unique(proposal.days // 10000)]
    proposal.years_why = f"{len(proposal.days)} days have rain"
    proposal.years_why += " and every predictor." if proposal.predictors else "."
    for year in short:
        plural = "day" if counts[year] == 1 else "days"
        proposal.years_why += f" {year} is left out, because it has only {counts[year]} {plural}."
    incomplete = [year for year in kept if counts[year] < 0.98 * max(usual, 359)]
    if begins == 1 and incomplete and usual >= 350:
        proposal.years_why += f" Not complete: {', '.join(map(str, incomplete))}."
    _choose_split(proposal, kept, begins)


def first_month(days: NDArray[np.int64]) -> int:
    """The month in which a year of the split begins: 12 for winters, 1 for whole years and for summers."""
    months = {int(month) for month in np.unique(days // 100 % 100)}
    if not {12, 1} <= months or len(months) > 10:
        return 1
    month = 12
    while month - 1 in months:
        month -= 1
    return month


def _choose_split(proposal: Proposal, years: list[int], begins: int) -> None:
    if len(years) < 5:
        length = 10 if len(proposal.days) >= 160 else max(1, len(proposal.days) // 16)
        proposal.split = {"by": "blocks", "block_days": length}
        proposal.split_why = (
            f"{'One year is' if len(years) == 1 else f'{len(years)} years are'} too short for whole years in each "
            "part, so runs of days are dealt out in turn. With five years or more, `by: years` is the honest choice."
        )
        return
    last = max(1, round(0.15 * len(years)))
    train, validation, test = years[: -2 * last], years[-2 * last : -last], years[-last:]
    proposal.split = {"by": "years", "train": train, "validation": validation, "test": test}
    proposal.split_why = "About 70, 15 and 15 % of the years in the order of time; the last ones test the model."
    if begins > 1:
        proposal.split["year_begins"] = begins
        proposal.split_why += (
            f" A season that spans the new year is kept together: a year begins with month {begins}, and has the "
            "number of the year in which it ends."
        )


def _choose_epochs(proposal: Proposal) -> None:
    """Take enough steps to learn, and keep a first training to about half an hour."""
    share = 0.7 if proposal.split["by"] == "years" else 0.625
    days, cells = share * len(proposal.days), math.prod(proposal.rain.grid.shape)
    steps = days * max(1.0, cells / PATCH_CELLS) / BATCH  # an epoch
    wanted = max(Train().epochs, min(MOST_EPOCHS, math.ceil(LEAST_STEPS / steps)))
    epochs = max(2, min(wanted, int(WORK_A_TRAINING / (days * cells))))
    proposal.epochs = epochs if epochs != Train().epochs else None


def _left(record: Record, reason: str) -> LeftOut:
    return LeftOut(record.where, record.variable, reason)
