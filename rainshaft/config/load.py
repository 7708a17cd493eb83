"""From the dictionary of a YAML file to the checked configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rainshaft.config.messages import fault_lines
from rainshaft.config.sections import DENSE_BATCH, GENERAL, WINDS, Application, Config, Experiment, Model
from rainshaft.config.yamlfile import faults_of
from rainshaft.errors import UserError, nearest
from rainshaft.refinements import GENERAL_FACTORS, chained, refinements


class ConfigError(UserError):
    """The configuration cannot be used. The message has one line for each fault."""


def check_files(paths: Iterable[str | Path]) -> None:
    """Refuse configuration files from which YAML would read something else than their text seems to say.

    Raises
    ------
    ConfigError
        For each fault a line that names the file and its line.
    """
    if lines := [line for path in paths for line in faults_of(Path(path))]:
        raise ConfigError("\n".join(lines))


SHARED_SECTIONS = ("model", "loss", "train", "sampling")


def load(raw: dict[str, Any], baselines: Sequence[str]) -> Config:
    """Check a configuration and fill in the defaults.

    Parameters
    ----------
    raw
        The YAML file as a dictionary. Its sections `model`, `loss`, `train` and `sampling` and its `seed` are defaults
        for every experiment. A key that an experiment writes itself replaces the default.
    baselines
        The names of all baselines that exist.

    Returns
    -------
    The configuration. With `replicates` above 1, it holds every experiment several times, see `Config.families`.

    Raises
    ------
    ConfigError
        For each fault a line that names the key, what was found and what is expected.
    """
    _validate(raw)  # as it stands, so that a fault in a shared section is named once and not in every experiment
    experiments = raw.get("experiments", {})
    merged = dict(raw, experiments={name: _with_defaults(raw, entry) for name, entry in experiments.items()})
    config = _validate(merged)
    _require_plain_results(config)
    _require_known_baselines(config, baselines)
    # Only the merged experiments tell whether keys of different sections fit together.
    _require_mass_to_conserve(config)
    _require_dense(config)
    _require_scales(config)
    _require_no_flipped_winds(config)
    _require_stopping_metric(config)
    _require_posterior(config)
    _require_start(config)
    _require_refinable(config)
    _require_known_models(config)
    return _folded(_replicated(_with_predictors(config)))


def _require_plain_results(config: Config) -> None:
    """Refuse a folder for the results whose name Snakemake, netCDF or a shell would read as something else."""
    found = config.results
    if not re.fullmatch(r"[^-~[\s{}<>$\\](?:[^{}<>$\\\x00-\x1f]*[^\s{}<>$\\])?", found):
        raise ConfigError(
            f"results: found {found!r}, expected the path of a folder without any of {{ }} < > $ \\ in it, without a "
            "space at its ends, and without -, ~ or [ at its beginning; write the whole path"
        )


def _require_known_baselines(config: Config, baselines: Sequence[str]) -> None:
    """Refuse a baseline that does not exist, and an experiment that has the name of a baseline."""
    for name in config.baselines.names:
        if name not in baselines:
            expected = f"expected names among {', '.join(baselines)}"
            raise ConfigError(f"baselines.names: found {name!r}, {expected}{nearest(name, baselines)}")
    for name in config.experiments:
        if name in baselines:
            raise ConfigError(f"experiments.{name}: a baseline has this name; choose another name")


def _require_mass_to_conserve(config: Config) -> None:
    """Refuse to keep coarse rain that does not exist, and to draw coarse rain that is known exactly."""
    for name, experiment in config.trained.items():
        key, dataset = f"experiments.{name}.model.conserve", config.datasets[experiment.dataset]
        if experiment.model.conserve == "drawn" and dataset.predictors == "coarsened":
            raise ConfigError(
                f"{key}: found `drawn`, but dataset {experiment.dataset!r} has `predictors: coarsened`, so its coarse "
                "rain is exactly the mean of the fine rain and needs no drawing; write `cells`"
            )
        if experiment.model.conserve == "cells" and not dataset.has_coarse_rain:
            raise ConfigError(
                f"{key}: found `cells`, which needs coarse rain, but dataset {experiment.dataset!r} has no predictor "
                "with `quantity: rain`; write `drawn`"
            )


def _require_dense(config: Config) -> None:
    """Refuse keys that a dense network cannot follow."""
    for name, experiment in config.trained.items():
        model, key = experiment.model, f"experiments.{name}"
        if model.coarse != "dense":
            if model.analogs and "analogs" in model.model_fields_set:
                raise ConfigError(
                    f"{key}.model.analogs: found {model.analogs:g} with `coarse: {model.coarse}`, but only members of "
                    "a dense network can be analogs; write `coarse: dense`, or remove `analogs`"
                )
            continue
        if model.conserve != "drawn":
            raise ConfigError(
                f"{key}.model.coarse: found `dense` with `conserve: {model.conserve}`, but only with `conserve: drawn` "
                "a network draws the coarse rain; write `conserve: drawn`, or remove `coarse`"
            )
        if model.coarser_scales:
            raise ConfigError(
                f"{key}.model.coarser_scales: found {model.coarser_scales} with `coarse: dense`, which has no scales; "
                "remove it, or write `coarse: convolutional`"
            )
        if DENSE_BATCH % experiment.train.gpus:
            raise ConfigError(
                f"{key}.train.gpus: found {experiment.train.gpus}, but the {DENSE_BATCH} days in a batch of the dense "
                "network must be shared evenly; write a power of 2"
            )


def _require_scales(config: Config) -> None:
    """Refuse more posterior scales than the network has."""
    for name, experiment in config.trained.items():
        wanted, factor = experiment.sampling.posterior_scales, config.datasets[experiment.dataset].factor
        model = experiment.model
        scales = len(refinements(factor)) + 1
        if model.conserve != "drawn":
            scales += model.coarser_scales
        elif model.coarse == "convolutional":
            scales += model.coarser_scales + 1
        if wanted != "all" and wanted > scales:
            raise ConfigError(
                f"experiments.{name}.sampling.posterior_scales: found {wanted}, but with factor {factor} of dataset "
                f"{experiment.dataset!r} the network has {scales} scales; write {scales} or less, or `all`"
            )


def _require_no_flipped_winds(config: Config) -> None:
    """Refuse to mirror a component of the wind, because its sign would then be wrong."""
    for name, experiment in config.trained.items():
        predictors = config.datasets[experiment.dataset].predictors
        winds = [] if predictors == "coarsened" else [p.variable for p in predictors if p.variable in WINDS]
        if winds and experiment.train.flips:
            raise ConfigError(
                f"experiments.{name}.train.flips: found true, but predictor {winds[0]} of dataset "
                f"{experiment.dataset!r} is a component of the wind, which would point the wrong way in a mirrored "
                "patch; write `flips: false`"
            )


def _require_stopping_metric(config: Config) -> None:
    """Refuse to choose weights by a term that the loss does not have."""
    for name, experiment in config.trained.items():
        if experiment.train.early_stopping_metric == "val_L_crps" and not experiment.loss.lambda_crps:
            raise ConfigError(
                f"experiments.{name}.train.early_stopping_metric: found `val_L_crps`, but the loss has no such term "
                "when loss.lambda_crps is 0; write `val_loss`, or give lambda_crps a weight"
            )


def _require_posterior(config: Config) -> None:
    """Refuse to draw, or to choose weights by, a posterior that a network does not have."""
    for name, experiment in config.trained.items():
        is_trained = experiment.loss.posterior_members > 0
        if is_trained and experiment.model.coarse != "dense":
            continue
        key, without = f"experiments.{name}", "`model.coarse: dense`" if is_trained else "`posterior_members: 0`"
        if "posterior" in experiment.sampling.modes and not is_trained:
            raise ConfigError(
                f"{key}.sampling.mode: found `{experiment.sampling.mode}`, but `loss.posterior_members: 0` trains no "
                "posterior; write `mode: prior`, or give posterior_members a number"
            )
        if not experiment.loss.lambda_crps:
            raise ConfigError(
                f"{key}.loss.lambda_crps: found 0 with {without}, so there is nothing to learn from; give "
                "lambda_crps a number above 0"
            )
        if experiment.train.early_stopping_metric in ("val_L_rec", "val_L_grad"):
            raise ConfigError(
                f"{key}.train.early_stopping_metric: found `{experiment.train.early_stopping_metric}`, but with "
                f"{without} a network has no posterior, and so no such term; write `val_loss`"
            )


def _require_start(config: Config) -> None:
    """Refuse to start from general networks that do not fit, and from a model that would itself start from this one."""
    for name, experiment in config.trained.items():
        if Path(experiment.train.start) == Path(config.results) / name / "model":
            raise ConfigError(
                f"experiments.{name}.train.start: found {experiment.train.start}, the model of this very experiment; "
                "copy it to another folder, and name that"
            )
        if experiment.train.start != GENERAL:
            continue
        key, dataset = f"experiments.{name}.train.start", config.datasets[experiment.dataset]
        if experiment.model.conserve == "none":
            raise ConfigError(
                f"{key}: found `general`, but the general networks keep the coarse rain and this model does not "
                "(`conserve: none`); write `anew`"
            )
        if dataset.factor not in GENERAL_FACTORS:
            raise ConfigError(
                f"{key}: found `general`, but dataset {experiment.dataset!r} has the factor {dataset.factor}, and "
                f"there are general networks for {', '.join(map(str, GENERAL_FACTORS))}; write `anew`"
            )
        if experiment.model.conserve == "cells" and experiment.model.coarser_scales:
            raise ConfigError(
                f"experiments.{name}.model.coarser_scales: found {experiment.model.coarser_scales} with "
                "`start: general`, expected 0, as the general networks have; remove it, or write `start: anew`"
            )
        for size in ("width", "d_z", "prior"):
            default = Model.model_fields[size].default
            if getattr(experiment.model, size) != default:
                raise ConfigError(
                    f"experiments.{name}.model.{size}: found {getattr(experiment.model, size)} with `start: general`, "
                    f"expected {default}, as the general networks have; remove it, or write `start: anew`"
                )


def _require_refinable(config: Config) -> None:
    """Refuse general networks where there is no coarse rain, or for a factor that they cannot reach."""
    for name, experiment in config.general.items():
        key, dataset = f"experiments.{name}", config.datasets[experiment.dataset]
        if not dataset.has_coarse_rain:
            raise ConfigError(
                f"{key}.source: found `general`, but the general networks refine coarse rain, and dataset "
                f"{experiment.dataset!r} has no predictor with `quantity: rain`; train a model on it"
            )
        try:
            chained(dataset.factor, GENERAL_FACTORS)
        except UserError as error:
            raise ConfigError(f"{key}.dataset: {experiment.dataset!r} has a {error}") from None


def _require_known_models(config: Config) -> None:
    """Refuse an application of a model that is not there, or that lacks a predictor of its model."""
    for name, application in config.applications.items():
        key, others = f"applications.{name}", [other for other in config.applications if other != name]
        if (base := application.change_from) is not None and base not in others:
            known = nearest(base, others) or f"; the others are {', '.join(others) or 'none'}"
            raise ConfigError(f"{key}.change_from: no other application is called {base!r}{known}")
        if base is not None:
            models = [(one.experiment, one.model, one.factor) for one in (application, config.applications[base])]
            if models[0] != models[1]:
                mine, other = (experiment or f"{folder}{f' x {n}' if n else ''}" for experiment, folder, n in models)
                raise ConfigError(
                    f"{key}.change_from: found {base!r}, which uses the model {other}, expected an application of the "
                    f"model {mine}; the change would be that of the models"
                )
            adjusted = [(one.adjust, one.reference) for one in (application, config.applications[base])]
            if adjusted[0] != adjusted[1]:
                raise ConfigError(
                    f"{key}.change_from: found {base!r} with `adjust: {adjusted[1][0]}`, expected the `adjust` and the "
                    f"`reference` of {name!r}, `adjust: {adjusted[0][0]}`; the change would be that of the adjustment"
                )
        if application.experiment is None:
            if not application.predictors:
                raise ConfigError(f"{key}.predictors: found none, expected the files of the predictors; add them")
            if application.model == GENERAL:
                _require_one_rain(key, application)
            continue
        if refined := config.general.get(application.experiment or ""):
            raise ConfigError(
                f"{key}.experiment: found {application.experiment!r}, which has `source: general`; write "
                f"`model: general` and `factor: {config.datasets[refined.dataset].factor}`"
            )
        if application.experiment in config.adopted:
            raise ConfigError(
                f"{key}.experiment: found {application.experiment!r}, whose members come from files, expected an "
                "experiment that trains a model; only a model can draw other days"
            )
        if application.experiment not in config.experiments:
            known = nearest(application.experiment, config.trained)
            known = known or f"; the experiments are {', '.join(config.trained) or 'none'}"
            raise ConfigError(f"{key}.experiment: no experiment is called {application.experiment!r}{known}")
        dataset = config.datasets[config.experiments[application.experiment].dataset]
        if not application.predictors and dataset.predictors == "coarsened":
            raise ConfigError(
                f"{key}.predictors: found none, and the dataset {config.experiments[application.experiment].dataset!r} "
                "has `predictors: coarsened`, which needs observed rain; add the files of coarse rain"
            )
        needed = ["pr"] if dataset.predictors == "coarsened" else [p.label for p in dataset.predictors]
        runs = {"predictors": application.predictors} if application.predictors else {}
        if application.reference is not None:
            runs["reference.predictors"] = application.reference.predictors
        for part, predictors in runs.items():
            found = [p.label for p in predictors]
            if sorted(found) != sorted(needed):
                raise ConfigError(
                    f"{key}.{part}: found {', '.join(found)}, expected the predictors of the model, each once: "
                    f"{', '.join(needed)}. Write `name` beside a variable that your files call otherwise"
                )


def _require_one_rain(key: str, application: Application) -> None:
    """Refuse what the general networks cannot refine."""
    if (count := len(application.predictors)) != 1:
        raise ConfigError(
            f"{key}.predictors: found {count} with `model: general`, expected one, the coarse rain; remove the others"
        )
    if (lags := application.predictors[0].lags) != (0,):
        raise ConfigError(
            f"{key}.predictors.0.lags: found {list(lags)} with `model: general`, which sees the coarse rain of the day "
            "itself; remove the key"
        )
    assert application.factor is not None  # the section refuses an application without it
    try:
        chained(application.factor, GENERAL_FACTORS)
    except UserError as error:
        raise ConfigError(f"{key}.{error}") from None


def _with_defaults(raw: dict[str, Any], experiment: dict[str, Any]) -> dict[str, Any]:
    """Give an experiment the shared sections and the seed of the file, except for what it writes itself.

    One whose members come from files has no use for them.
    """
    if experiment.get("source") == "files":
        return experiment
    if experiment.get("source") == "general":
        return {**({"seed": raw["seed"]} if "seed" in raw else {}), **experiment}
    shared = {section: {**raw.get(section, {}), **experiment.get(section, {})} for section in SHARED_SECTIONS}
    seed = {"seed": raw["seed"]} if "seed" in raw else {}
    return {**seed, **experiment, **shared}


def _with_predictors(config: Config) -> Config:
    """Give an application without predictors those of the dataset of its experiment."""
    applications = {}
    for name, application in config.applications.items():
        if not application.predictors and application.experiment is not None:
            own = config.datasets[config.experiments[application.experiment].dataset].predictors
            application = application.model_copy(update={"predictors": own})
        applications[name] = application
    return config.model_copy(update={"applications": applications})


def _replicated(config: Config) -> Config:
    """Repeat each training as often as `replicates` says, each time with another name and seed."""
    if config.replicates == 1:
        return config
    numbers = range(1, config.replicates + 1)
    families = {
        name: tuple(f"{name}-s{number}" for number in numbers) if name in config.trained else (name,)
        for name in config.experiments
    }
    taken = [
        (name, family) for family, names in families.items() for name in names if name in families and name != family
    ]
    if taken:
        lines = [f"experiments.{name}: a replicate of {family!r} has this name; rename it" for name, family in taken]
        raise ConfigError("\n".join(lines))
    experiments = {
        name: entry.model_copy(update={"seed": entry.seed + i}) if isinstance(entry, Experiment) else entry
        for family, entry in config.experiments.items()
        for i, name in enumerate(families[family])
    }
    whole = config.model_copy(update={"experiments": experiments})
    whole._families = families
    return whole


def _folded(config: Config) -> Config:
    """Give each fold of a dataset a split of its own, and each experiment on it a training for each fold."""
    records, folds = {}, {}
    datasets = dict(config.datasets)
    for name, dataset in config.datasets.items():
        for number in range(dataset.split.folds if dataset.split.folds > 1 else 0):
            fold = f"{name}-f{number + 1}"
            if fold in config.datasets:
                raise ConfigError(f"datasets.{fold}: a fold of {name!r} has this name; rename it")
            datasets[fold] = dataset.model_copy(update={"split": dataset.split.fold(number)})
            records[fold] = name
    for name, entry in config.experiments.items():
        count = config.datasets[entry.dataset].split.folds
        if count == 1:
            continue
        if not isinstance(entry, Experiment):
            raise ConfigError(
                f"experiments.{name}.dataset: found {entry.dataset!r}, which has `split.folds: {count}`, but members "
                f"with `source: {entry.source}` have no folds; give them a dataset with `folds: 1`"
            )
        names = {f"{name}-f{n}": f"{entry.dataset}-f{n}" for n in range(1, count + 1)}
        if taken := sorted(set(names) & set(config.experiments)):
            raise ConfigError(f"experiments.{taken[0]}: a fold of {name!r} has this name; rename it")
        folds[name] = {fold: entry.model_copy(update={"dataset": dataset}) for fold, dataset in names.items()}
    if not records:
        return config
    whole = config.model_copy(update={"datasets": datasets})
    whole._families, whole._folds, whole._records = config._families, folds, records
    return whole


def _validate(raw: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(fault_lines(error.errors()))) from None
