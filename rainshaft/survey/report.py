"""`rainshaft check`: what a run will do with each file, variable and year, what it will cost, and all problems at once.

Input: a configuration. It reads the headers of all files and the values of a few days. Output: lines of text, and the
problems.
"""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from rainshaft.application.checks import check_application
from rainshaft.baselines import table as baselines
from rainshaft.config.load import ConfigError, check_files, load
from rainshaft.config.sections import Config, Dataset
from rainshaft.config.slices import PrepareSettings
from rainshaft.data.conventions import SPLITS
from rainshaft.data.prepare import YearPlan, days_as_written, plan_year
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import InputError
from rainshaft.data.split import require_days, split_days
from rainshaft.data.year import VariableYear
from rainshaft.errors import UserError
from rainshaft.sampling.adopt import check_ensemble
from rainshaft.survey.cost import Cost, Sizes, cost_of

SAMPLED_YEARS = 3
SAMPLED_DAYS = 8  # of each of these years
DOUBTFUL_RATIO = 3.0  # between the means of coarse and fine rain
TIMES_SMALLER = 3  # members on the disk than in memory; the more dry cells, the more  # ASSUME
METHODS = {"nest": "means over whole cells", "linear": "interpolation", "conservative": "means by area"}
USUAL_MISTAKES = {24.0: "hourly means taken for daily sums", 1000.0: "m for mm", 86400.0: "per second for per day"}


@dataclass
class Report:
    """What is said, and what is wrong."""

    lines: list[str] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)

    def add_problems(self, error: Exception) -> None:
        """Keep the lines of an error, each once."""
        self.problems.update(dict.fromkeys(str(error).split("\n")))


def check(path: Path) -> Report:
    """Look at a configuration and at all files that it names.

    Raises
    ------
    UserError
        If the configuration cannot be read as YAML.
    """
    report = Report()
    raw = _read(path)
    config = None
    try:
        config = load(raw, baselines.names())
        datasets = {name: entry for name, entry in config.datasets.items() if config.record_of(name) == name}
    except ConfigError as error:
        report.add_problems(error)
        datasets = _sound_datasets(raw)
    for name, dataset in datasets.items():
        if dataset.synthetic:
            report.lines += [f"dataset {name}: made from a seed; there is nothing to check", ""]
        else:
            _check_dataset(report, name, dataset, config)
    if config:
        for name in config.adopted:
            _check_ensemble(report, name, config)
        for name in config.applications:
            _check_application(report, name, config)
    return report


def _read(path: Path) -> dict[str, Any]:
    check_files([path])
    content: dict[str, Any] = yaml.safe_load(path.read_bytes())
    return content


def _sound_datasets(raw: dict[str, Any]) -> dict[str, Dataset]:
    """The datasets without faults of a configuration that has faults, so that their files are looked at too."""
    sound = {}
    entries = raw.get("datasets")
    for name, entry in (entries if isinstance(entries, dict) else {}).items():
        try:
            sound[str(name)] = Dataset.model_validate(entry)
        except ValidationError:
            continue  # `load` has named its faults
    return sound


# ------------------------------------------------------------------------------------------ a dataset


@dataclass(frozen=True)
class Survey:
    """What the headers of all years of a dataset say."""

    plans: dict[int, YearPlan]
    """by year, those that can be used"""

    @property
    def first(self) -> YearPlan:
        """The plan of the first year."""
        return next(iter(self.plans.values()))

    def records(self) -> list[list[VariableYear]]:
        """Each variable with its years: rain, predictors, context."""
        by_year = [plan.records for plan in self.plans.values()]
        return [list(years) for years in zip(*by_year, strict=True)]


def _check_dataset(report: Report, name: str, dataset: Dataset, config: Config | None) -> None:
    settings = PrepareSettings(**dataset.model_dump(include=set(PrepareSettings.model_fields)))
    with OpenFiles() as files:
        plans: dict[int, YearPlan] = {}
        for year in dataset.years:
            try:
                plan = plan_year(settings, year, files)
                if plans:
                    _require_grids(plan, next(iter(plans.values())))
                plans[year] = plan
            except InputError as error:
                report.add_problems(error)
        report.lines += [f"dataset {name}: {len(plans)} of {len(dataset.years)} years can be prepared", ""]
        if not plans:
            return
        survey = Survey(plans)
        report.lines += [*_variables(survey), "", *_years(survey), ""]
        report.lines += [*_sample(report, survey), ""]
        counts = _split(report, survey, dataset)
        report.lines += ["changed on the way in:", *_notes(survey), ""]
        sizes = _sizes(survey, dataset)
    if config and all(counts.values()):
        for family, names in config.families.items():
            folds = config.folds_of(names[0])
            experiment = config.trained.get(folds[0])
            if experiment is not None and config.record_of(experiment.dataset) == name:
                report.lines += [*_cost(family, len(names) * len(folds), cost_of(experiment, sizes, counts)), ""]


def _require_grids(plan: YearPlan, first: YearPlan) -> None:
    """Refuse a year on another grid than the first one."""
    plan.rain.require_grid_of(first.rain)
    for record, before in zip(plan.context, first.context, strict=True):
        record.require_grid_of(before)


def _variables(survey: Survey) -> list[str]:
    """A line for each variable: its files, its grid and what becomes of it."""
    rows: list[Sequence[str]] = [("variable", "files", "cells", "becomes")]
    mappings = [mapping for _, mapping in survey.first.predictors]
    for i, years in enumerate(survey.records()):
        record = years[0]
        files = {part.raw.header.path for year in years for part in year.parts}
        becomes = _target(survey) if i == 0 else "context, its whole field"
        if 0 < i <= len(mappings):
            becomes = f"coarse cells, by {METHODS[mappings[i - 1].method]}"
        height, width = record.grid.shape
        what = f"{record.source.name} ({record.source.variable})"
        rows.append((what, str(len(files)), f"{height} x {width}", becomes))
    return table(rows)


def _target(survey: Survey) -> str:
    rows, columns = (crop.stop - crop.start for crop in survey.first.coarse.crop)
    coarse = survey.first.coarse
    return f"{rows} x {columns} fine cells in {len(coarse.y)} x {len(coarse.x)} coarse ones"


def _years(survey: Survey) -> list[str]:
    """The days of each year, years with equal numbers together."""
    runs: list[tuple[int, int, str]] = []
    for year, plan in survey.plans.items():
        used = len(plan.rain.days)
        words = f"{used} days" + (f" of {plan.days_with_rain} with rain" if used < plan.days_with_rain else "")
        if runs and runs[-1][1] == year - 1 and runs[-1][2] == words:
            runs[-1] = (runs[-1][0], year, words)
        else:
            runs.append((year, year, words))
    shown = [f"{a if a == b else f'{a} to {b}'}: {words}" for a, b, words in runs]
    return textwrap.wrap("years: " + ", ".join(shown), 110, subsequent_indent="  ")


def _notes(survey: Survey) -> Iterator[str]:
    """What is changed of the input, once for all variables and years with equal words."""
    together: dict[str, dict[str, None]] = {}
    for plan in survey.plans.values():
        for note in plan.notes:
            name, _, text = note.rpartition(": ") if note.count(": ") == 1 else ("", "", note)
            together.setdefault(text, {})[name] = None
    for text, names in together.items():
        shown = ", ".join(names).replace("Predictor", "predictor")
        whole = f"{shown[:1].upper()}{shown[1:]}: {text}" if shown else text
        yield from textwrap.wrap(whole, 110, initial_indent="  ", subsequent_indent="    ")
    if not together:
        yield "  nothing"


def _split(report: Report, survey: Survey, dataset: Dataset) -> dict[str, int]:
    """How many days each part of the split has."""
    stamps = np.concatenate([days_as_written(plan.rain, year) for year, plan in survey.plans.items()])
    days = np.concatenate([plan.rain.days for plan in survey.plans.values()])
    part = split_days(stamps, dataset.split)
    dates = [f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}" for day in days]
    try:
        require_days(part, dates, dataset.split)
    except UserError as error:
        report.add_problems(error)
    counted = Counter(part.tolist())
    counts = {name: counted[name] for name in SPLITS}
    unused = counted.total() - sum(counts.values())
    words = ", ".join(f"{name} {count} days ({count / len(part):.0%})" for name, count in counts.items())
    report.lines += [f"split: {words}" + (f", {unused} days unused" if unused else ""), ""]
    return counts


# ------------------------------------------------------------------------------------------ an ensemble, an application


def _check_ensemble(report: Report, name: str, config: Config) -> None:
    """Look at the files of an experiment whose members another model made."""
    try:
        sentences = check_ensemble(config, name)
    except UserError as error:
        report.add_problems(error)
        return
    report.lines += [f"experiment {name}, members from files, nothing is trained:", *_wrapped(sentences), ""]


def _wrapped(sentences: Iterable[str]) -> list[str]:
    return [
        line for text in sentences for line in textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="    ")
    ]


def _check_application(report: Report, name: str, config: Config) -> None:
    """Look at the files of an application, and relate them to the grid of its model where the model is there."""
    application = config.applications[name]
    try:
        domain, sentences = check_application(config, name)
    except UserError as error:
        report.add_problems(error)
        return
    if domain is not None:
        values = len(application.years) * 365 * application.members * domain.valid.size
        rain = size(4 * values / TIMES_SMALLER)
        sentences.append(f"{application.members} members a day, at most some {rain} for each realization of the input")
    report.lines += [f"application {name}:", *_wrapped(sentences), ""]


# ------------------------------------------------------------------------------------------ values of a few days


def _sample(report: Report, survey: Survey) -> list[str]:
    """Least, mean and highest value of a few days of each variable, in canonical units."""
    chosen = np.array(list(survey.plans))[np.linspace(0, len(survey.plans) - 1, SAMPLED_YEARS).round().astype(int)]
    plans = [survey.plans[int(year)] for year in np.unique(chosen)]
    rows: list[Sequence[str]] = [("a sample of values", "units", "least", "mean", "highest", "missing")]
    means: dict[str, float] = {}
    for i, record in enumerate(plans[0].records):
        try:
            values = np.concatenate([_few_days(plan.records[i], plan.rain.days) for plan in plans])
        except (RuntimeError, OSError) as error:
            report.add_problems(record.first.unreadable("", error))
            continue
        finite = values[np.isfinite(values)]
        if not finite.size:
            rows.append((record.source.name, record.units, "-", "-", "-", "100%"))
            continue
        means[record.source.key] = float(finite.mean())
        numbers = (f"{number:.4g}" for number in (finite.min(), finite.mean(), finite.max()))
        rows.append((record.source.name, record.units, *numbers, f"{1 - finite.size / values.size:.0%}"))
    return [*table(rows), *_doubts(survey, means)]


def _few_days(record: VariableYear, days: NDArray[np.int64]) -> NDArray[np.float32]:
    wanted = np.unique(np.linspace(0, len(days) - 1, SAMPLED_DAYS).round().astype(int))
    return np.asarray(record.lazy(1e6).isel(time=wanted).values).ravel()


def _doubts(survey: Survey, means: dict[str, float]) -> Iterator[str]:
    """Say what looks wrong: rain of an impossible amount, and coarse rain of another size than the fine rain."""
    for record in survey.first.records:
        source = record.source
        if source.quantity != "rain" or source.key == "rain" or source.key not in means or not means.get("rain"):
            continue
        ratio = means[source.key] / means["rain"]
        yield f"{source.name} has {ratio:.2f} times the mean of the rain on these days"
        if not 1 / DOUBTFUL_RATIO < ratio < DOUBTFUL_RATIO:
            nearest = min(USUAL_MISTAKES, key=lambda size: abs(np.log(max(ratio, 1 / ratio) / size)))
            yield (
                f"  DOUBT: that is far from 1. A factor of {nearest:g} comes from {USUAL_MISTAKES[nearest]}; look at "
                f"the units {record.raw_units!r} of {source.name}"
            )


# ------------------------------------------------------------------------------------------ cost


def _sizes(survey: Survey, dataset: Dataset) -> Sizes:
    plan = survey.first
    rows, columns = (crop.stop - crop.start for crop in plan.coarse.crop)
    coarsened = dataset.predictors == "coarsened"
    channels = ["pr"] if coarsened else [record.source.label for record, _ in plan.predictors]
    rain = "pr" if coarsened else next((r.source.label for r, _ in plan.predictors if r.source.quantity == "rain"), "")
    return Sizes(
        fine=(rows, columns),
        factor=dataset.factor,
        channels=tuple(channels),
        rain_channel=rain,
        context=tuple(record.source.label for record in plan.context),
        context_shape=plan.context[0].grid.shape if plan.context else (0, 0),
        statics=len(plan.maps),
    )


def _cost(name: str, replicates: int, cost: Cost) -> list[str]:
    times = f", {replicates} times with other seeds" if replicates > 1 else ""
    return [
        f"experiment {name}{times}, roughly, on {_device()}:",
        *(f"  {words}" for words in cost.networks),
        f"  {cost.drawn_days} days are drawn",
        f"  training  {duration(cost.training_seconds):>10}  {size(cost.training_bytes)} of memory",
        f"  drawing   {duration(cost.drawing_seconds):>10}  {size(cost.drawing_bytes)} of memory",
        "  preparing, scoring and figures come on top, mostly minutes",
    ]


def _device() -> str:
    """What the time was measured on, in words."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}"
    return f"one core of this machine, which has {os.cpu_count()}; several are somewhat faster"


def duration(seconds: float) -> str:
    """Give a time in words, rounded as a rough number deserves."""
    if seconds < 90:
        return f"{max(1, round(seconds, -1 if seconds > 10 else 0)):.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def size(count: float) -> str:
    """Give a number of bytes in words."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the columns of a table."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def problems_of(report: Report) -> Iterable[str]:
    """The problems as lines."""
    count = len(report.problems)
    yield f"{count} problem{'' if count == 1 else 's'}{':' if count else ''}"
    yield from (f"- {line}" for line in report.problems)
