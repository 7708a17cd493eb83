"""What an application reads: from which files, of which years, and where they stand in the configuration.

An application has one or two *runs*: `predictors`, from which rain is drawn, and `reference`, with which `adjust`
compares them.

This module runs while Snakemake reads the workflow, so it imports no heavy library.
"""

from __future__ import annotations

from rainshaft.config.sections import Application, Config, Dataset, Reference

Run = Application | Reference


def runs_of(config: Config, application: str) -> dict[str, Run]:
    """Give the runs of an application by name: `predictors`, and `reference` if it has one."""
    entry = config.applications[application]
    return {"predictors": entry} | ({"reference": entry.reference} if entry.reference else {})


def dataset_of(config: Config, application: str) -> Dataset | None:
    """Give the dataset that the model of an application is trained on; None where the model is a folder."""
    experiment = config.model_of(application)
    return None if experiment is None else config.datasets[config.trained[experiment].dataset]


def made_from_seed(config: Config, application: str, run: str) -> str | None:
    """Give the synthetic dataset whose files a run reads; None where it reads files of the user."""
    dataset, experiment = dataset_of(config, application), config.model_of(application)
    if dataset is None or experiment is None or dataset.synthetic is None:
        return None
    is_own = runs_of(config, application)[run].predictors == dataset.predictors
    return config.record_of(config.trained[experiment].dataset) if is_own else None


def key_of_run(config: Config, application: str, run: str) -> str:
    """Say where the files of a run stand in the configuration, for messages."""
    dataset, experiment = dataset_of(config, application), config.model_of(application)
    own = runs_of(config, application)[run].predictors
    if dataset is not None and experiment is not None and own == dataset.predictors:
        return f"datasets.{config.record_of(config.trained[experiment].dataset)}.predictors"
    return f"applications.{application}.{'' if run == 'predictors' else 'reference.'}predictors"


def training_years(dataset: Dataset) -> list[int]:
    """Give the years of the training days, or of the whole record where the split is not by years."""
    if dataset.split.by == "years":
        return [year for year in dataset.split.train if isinstance(year, int)]
    return list(dataset.years)
