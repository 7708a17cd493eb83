"""The check of an application before any work: its model, its reference, and the headers of its files.

Input: a configuration and the name of an application. Output: sentences about what will be used, or errors in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import xarray as xr

from rainshaft.application.adjust import require_period
from rainshaft.application.predictors import Input, sources_of
from rainshaft.config.applications import Run, dataset_of, key_of_run, made_from_seed, runs_of, training_years
from rainshaft.config.sections import GENERAL, Config
from rainshaft.data.domain import Domain, domain_around
from rainshaft.data.rawfile import OpenFiles
from rainshaft.data.sources import Faults, files_of, predictor_source, predictor_sources
from rainshaft.files import DAY_HOURS
from rainshaft.models import folder as model_folder


def check_application(config: Config, name: str) -> tuple[Domain | None, list[str]]:
    """Look at an application.

    Returns
    -------
    The domain of its model, if the model is there, and sentences. Files are related to the grid of the model only where
    it is there. The model of an experiment that now learns from other predictors will be made anew, so it does not
    count.

    Raises
    ------
    UserError
        One line for each fault.
    """
    folder = config.applications[name].model
    if folder is not None and folder != GENERAL:
        model_folder.require_whole(Path(folder))
    domain = _domain(config, name)
    faults = Faults()
    sentences: list[str] = []
    for part, run in runs_of(config, name).items():
        about = "reference: " if part == "reference" else ""
        with faults.collect():
            if part == "reference":
                require_period(run.years, _years_of_training(config, name), f"applications.{name}.reference.years")
            if made_from_seed(config, name, part):
                sentences.append(f"{about}predictors are made from a seed")
            else:
                found = _check_files(run, key_of_run(config, name, part), domain)
                sentences += [about + sentence for sentence in _together(found)]
    faults.throw()
    return domain, sentences


def _together(sentences: Iterable[str]) -> Iterator[str]:
    """Say once what holds for several predictors."""
    predictors: dict[str, list[str]] = {}
    for sentence in sentences:
        name, found, text = sentence.removeprefix("Predictor ").partition(": ")
        if found and sentence.startswith("Predictor "):
            predictors.setdefault(text, []).append(name)
        else:
            yield sentence
    for text, names in predictors.items():
        yield f"{', '.join(names)}: {text}"


def _check_files(run: Run, key: str, domain: Domain | None) -> list[str]:
    """Look at the headers of the files of a run, or only whether they are there."""
    if domain is not None:
        with OpenFiles() as files:
            return Input(domain, sources_of(domain, run.predictors, key), files).check(sorted(run.years))
    faults = Faults()
    for i, predictor in enumerate(run.predictors):
        with faults.collect():
            for source in predictor_sources(predictor, f"{key}.{i}"):
                for year in run.years:
                    files_of(source, year)
    faults.throw()
    return [f"files of {len(run.years)} years are there; they are looked into when the model is there"]


def _domain(config: Config, name: str) -> Domain | None:
    """The domain of the model of an application, if it is there and of the predictors of today."""
    folder = config.applications[name].model
    if folder == GENERAL:
        return _domain_of_rain(config, name)
    path = Path(folder or f"{config.results}/{config.model_of(name)}/model") / model_folder.DOMAIN
    if not path.exists():
        return None
    domain = Domain(xr.load_dataset(path))
    dataset = dataset_of(config, name)
    if dataset is not None and dataset.predictors != "coarsened":
        channels = sorted(channel.name for channel in domain.channels)
        if channels != sorted(name for predictor in dataset.predictors for name in predictor.channels):
            return None
    return domain


def _domain_of_rain(config: Config, name: str) -> Domain:
    """The domain of general networks: that of the coarse rain."""
    application = config.applications[name]
    assert application.factor is not None  # the section refuses `general` without it
    rain = application.predictors[0].model_copy(update={"quantity": "rain"})
    source = replace(predictor_source(rain, f"{key_of_run(config, name, 'predictors')}.0"), realization=0)
    with OpenFiles() as files:
        grid = files.timed(source, files_of(source, min(application.years))[0], None).grid
        return Domain(domain_around(grid, source.label, application.factor, DAY_HOURS))


def _years_of_training(config: Config, name: str) -> list[int]:
    """The years of the training days of the model of an application."""
    if (dataset := dataset_of(config, name)) is not None:
        return training_years(dataset)
    card = Path(str(config.applications[name].model)) / model_folder.CARD
    days = json.loads(card.read_text(encoding="utf-8"))["dataset"]["days"]["train"]
    return [int(days[end][:4]) for end in ("first", "last")]
