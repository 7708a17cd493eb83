"""From the dictionary of a YAML file to the checked configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from rainshaft.config.messages import fault_lines
from rainshaft.config.sections import WINDS, Config
from rainshaft.errors import UserError, nearest
from rainshaft.refinements import refinements


class ConfigError(UserError):
    """The configuration cannot be used; the message has one line for each fault."""


SHARED_SECTIONS = ("model", "loss", "train", "sampling")


def load(raw: dict[str, Any], baselines: Sequence[str]) -> Config:
    """Check a configuration and fill in the defaults.

    Parameters
    ----------
    raw
        The YAML file as a dictionary. The top-level sections `model`, `loss`, `train` and `sampling`, and `seed`, are
        the defaults of every experiment.
    baselines
        The names of all baselines that there are.

    Returns
    -------
    The configuration; with `replicates` above 1, each experiment stands in it as often, see `Config.families`.

    Raises
    ------
    ConfigError
        One line for each fault: the key, what was found, what is expected.
    """
    _validate(raw)  # first as it stands, so that a fault in a shared section is named once, where it is
    merged = dict(raw, experiments={name: _with_defaults(raw, entry) for name, entry in raw["experiments"].items()})
    config = _validate(merged)
    _require_known_baselines(config, baselines)
    _require_mass_to_conserve(config)
    _require_scales(config)
    _require_no_flipped_winds(config)
    _require_stopping_metric(config)
    return _replicated(config)


def _require_known_baselines(config: Config, baselines: Sequence[str]) -> None:
    """Refuse a baseline that does not exist, and an experiment with the name of one."""
    for name in config.baselines.names:
        if name not in baselines:
            raise ConfigError(
                f"baselines.names: found {name!r}, expected names among {', '.join(baselines)}{nearest(name, baselines)}"
            )
    for name in config.experiments:
        if name in baselines:
            raise ConfigError(f"experiments.{name}: the name is that of a baseline; choose another")


def _require_mass_to_conserve(config: Config) -> None:
    """Refuse to keep coarse rain that is not there, or to draw what is true; only the merged experiments tell."""
    for name, experiment in config.experiments.items():
        if experiment.model.conserve == "drawn" and config.datasets[experiment.dataset].predictors == "coarsened":
            raise ConfigError(
                f"experiments.{name}.model.conserve: found `drawn`, but the coarse rain of dataset "
                f"{experiment.dataset!r} is true, the mean of the fine rain (`predictors: coarsened`); write `cells`"
            )
        if experiment.model.conserve == "cells" and not config.datasets[experiment.dataset].has_coarse_rain:
            raise ConfigError(
                f"experiments.{name}.model.conserve: `cells` needs coarse rain, and no predictor of dataset "
                f"{experiment.dataset!r} has `quantity: rain`; write `none`"
            )


def _require_stopping_metric(config: Config) -> None:
    """Refuse to choose weights by a term that the loss does not have; only the merged experiments tell."""
    for name, experiment in config.experiments.items():
        if experiment.train.early_stopping_metric == "val_L_crps" and not experiment.loss.lambda_crps:
            raise ConfigError(
                f"experiments.{name}.train.early_stopping_metric: found `val_L_crps`, but with loss.lambda_crps 0 "
                "there is no such term; write `val_loss`, or give lambda_crps a weight"
            )


def _require_no_flipped_winds(config: Config) -> None:
    """Refuse to mirror the components of a vector, whose sign would then be wrong; only the merged experiments tell."""
    for name, experiment in config.experiments.items():
        predictors = config.datasets[experiment.dataset].predictors
        winds = [] if predictors == "coarsened" else [p.variable for p in predictors if p.variable in WINDS]
        if winds and experiment.train.flips:
            raise ConfigError(
                f"experiments.{name}.train.flips: found true, but predictor {winds[0]} of dataset "
                f"{experiment.dataset!r} is a component of the wind, which a mirrored patch would turn round; write "
                "`flips: false`"
            )


def _require_scales(config: Config) -> None:
    """Refuse more posterior scales than the network of the dataset has; only the merged experiments tell."""
    for name, experiment in config.experiments.items():
        wanted, factor = experiment.sampling.posterior_scales, config.datasets[experiment.dataset].factor
        model = experiment.model
        scales = model.coarser_scales + (model.conserve == "drawn") + len(refinements(factor)) + 1
        if wanted != "all" and wanted > scales:
            raise ConfigError(
                f"experiments.{name}.sampling.posterior_scales: found {wanted}, but with factor {factor} of dataset "
                f"{experiment.dataset!r} the network has {scales} scales; write {scales} or less, or `all`"
            )


def _with_defaults(raw: dict[str, Any], experiment: dict[str, Any]) -> dict[str, Any]:
    """The experiment with the file's shared sections and seed under its own."""
    shared = {s: {**(raw.get(s) or {}), **experiment.get(s, {})} for s in SHARED_SECTIONS}
    seed = {"seed": raw["seed"]} if "seed" in raw else {}
    return {**seed, **experiment, **shared}


def _replicated(config: Config) -> Config:
    """Each experiment as often as `replicates` says, with a name and a seed of its own."""
    if config.replicates == 1:
        return config
    numbers = range(1, config.replicates + 1)
    families = {name: tuple(f"{name}-s{number}" for number in numbers) for name in config.experiments}
    taken = [(name, family) for family, names in families.items() for name in names if name in families]
    if taken:
        lines = [
            f"experiments.{name}: the name is taken by a replicate of {family!r}; rename it" for name, family in taken
        ]
        raise ConfigError("\n".join(lines))
    experiments = {
        name: config.experiments[family].model_copy(update={"seed": config.experiments[family].seed + i})
        for family, names in families.items()
        for i, name in enumerate(names)
    }
    whole = config.model_copy(update={"experiments": experiments})
    whole._families = families
    return whole


def _validate(raw: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(fault_lines(error.errors()))) from None
