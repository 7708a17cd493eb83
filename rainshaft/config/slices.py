"""What each stage of the workflow reads of the configuration.

A stage gets the keys of its class and no others. So an edit of another key cannot change its results, and the stage
need not run again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt

from rainshaft.config.sections import (
    Config,
    DailyFiles,
    Evaluation,
    Loss,
    Model,
    Number,
    Plots,
    PredictorFiles,
    RainFiles,
    Section,
    Split,
    StaticFile,
    Synthetic,
    Train,
)


class RawSettings(Section):
    """What the raw files of a synthetic dataset depend on."""

    synthetic: Synthetic
    years: tuple[int, ...]
    factor: int


class PrepareSettings(Section):
    """What the canonical fields of a dataset depend on."""

    factor: int
    rain: RainFiles
    predictors: Literal["coarsened"] | tuple[PredictorFiles, ...]
    elevation: StaticFile | None
    land: StaticFile | None


class NormalisationSettings(Section):
    """What the normalisation of a dataset depends on: the split, and what makes a day heavy or dry."""

    years: tuple[int, ...]
    split: Split
    heavy_percentile: Number
    heavy_min_cells: int
    extreme_percentile: Number
    coast_km: Number
    dry_wet_fraction: Number


class BaselineSettings(Section):
    """What the ensembles of baselines depend on."""

    members: int
    seed: int


class TrainSettings(Section):
    """What the weights of an experiment depend on."""

    seed: int
    model: Model
    loss: Loss
    train: Train


class DrawSettings(Section):
    """How members are drawn from a trained model."""

    seed: int
    members: int = Field(ge=1)
    temperature: Number
    tile: int
    """This is the side of a tile in fine cells."""
    device: Literal["auto", "cpu", "cuda"]
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"] = "all"
    """Only the posterior uses it."""
    memory: Number = 0.0


class SampleSettings(DrawSettings):
    """What the members of an experiment depend on."""

    days: str
    min_threshold: Number = 0.0
    """Only the posterior uses it."""


class RefineSettings(Section):
    """What the members of an experiment with `source: general` depend on."""

    seed: int
    members: int
    tile: int
    device: Literal["auto", "cpu", "cuda"]
    weights: str
    """The networks are in this folder; empty for those of the package."""


class ThresholdSettings(Section):
    """What decides which cells of the members of an experiment are set to 0."""

    pixel_threshold: Number | Literal["auto"]
    wet_threshold: Number | None
    """Only `pixel_threshold: auto` uses it. For a number it is None."""


class AdoptSettings(DailyFiles):
    """What an ensemble that another model made depends on."""

    members_dim: str | None


class TradeoffSettings(Section):
    """What the trade-off of the posterior of an experiment depends on."""

    seed: int
    temperature: Number
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"]
    tile: int
    device: Literal["auto", "cpu", "cuda"]
    wet_threshold: Number


class TrialSettings(Section):
    """What the networks of the augmentation trial depend on."""

    steps: int
    width: int
    blocks: int
    flips: bool


class PredictorSettings(Section):
    """What the predictors of an application, or of its reference, depend on."""

    predictors: tuple[PredictorFiles, ...]


class PlaceSettings(PredictorSettings):
    """What the general networks of an application depend on."""

    years: tuple[int, ...]
    factor: int


class AdjustSettings(Section):
    """How the predictors of an application are brought to the climate of the training days."""

    adjust: Literal["delta", "quantile"]


class RangeSettings(Section):
    """What is done with an application whose predictors lie beyond the range of the training days."""

    out_of_range: Literal["refuse", "accept"]


class EvaluateSettings(Evaluation):
    """What the scores depend on. Experiments and baselines share it, so that they can be compared."""

    seed: int


def dataset_slice(config: Config, name: str, stage: str) -> dict[str, Any]:
    """Give what one stage of a dataset reads, as plain JSON types."""
    dataset = config.datasets[name]
    match stage:
        case "raw":
            return _picked(RawSettings, dataset)
        case "prepare":
            return _picked(PrepareSettings, dataset)
        case "normalisation":
            return _picked(NormalisationSettings, dataset)
        case "baselines":
            return _picked(BaselineSettings, config.baselines, seed=config.seed)
    return _shared_slice(config, stage)


def experiment_slice(config: Config, name: str, stage: str) -> dict[str, Any]:
    """Give what one stage of an experiment reads, as plain JSON types."""
    if stage == "adopt":
        return _picked(AdoptSettings, config.adopted[name])
    if stage == "refine":
        return _picked(RefineSettings, config.general[name], tile=config.sampling.tile, device=config.train.device)
    if name not in config.trained:  # members from files, or folds that are scored together
        return _shared_slice(config, stage)
    experiment = config.trained[name]
    sampling, train, seed = experiment.sampling, experiment.train, experiment.seed
    match stage:
        case "train":
            # without `gpus`, which changes results by rounding only, so that an edit of it trains nothing anew
            return _picked(TrainSettings, experiment, train=train.model_dump(mode="json", exclude={"gpus"}))
        case "sample":
            drawn = _picked(SampleSettings, sampling, seed=seed, device=train.device)
            unused = {"posterior_scales", "min_threshold"} if sampling.mode == "prior" else set()
            return {key: value for key, value in drawn.items() if key not in unused}
        case "threshold":
            wet = config.evaluation.wet_threshold if sampling.pixel_threshold == "auto" else None
            return _picked(ThresholdSettings, sampling, wet_threshold=wet)
        case "tradeoff":
            wet = config.evaluation.wet_threshold
            return _picked(TradeoffSettings, sampling, seed=seed, device=train.device, wet_threshold=wet)
        case "trial":
            return _picked(TrialSettings, config.augmentation, flips=train.flips)
    return _shared_slice(config, stage)


def application_slice(config: Config, name: str, stage: str, temperature: float, memory: float) -> dict[str, Any]:
    """Give what one stage of an application reads, as plain JSON types. Temperature and memory are its model's."""
    application = config.applications[name]
    match stage:
        case "predictors":
            return _picked(PredictorSettings, application)
        case "place":
            return _picked(PlaceSettings, application)
        case "reference":
            assert application.reference is not None  # only an application with a reference has this stage
            return _picked(PredictorSettings, application.reference)
        case "adjust":
            return _picked(AdjustSettings, application)
        case "range":
            return _picked(RangeSettings, application)
        case "draw":
            experiment = config.model_of(name)
            seed = config.seed if experiment is None else config.trained[experiment].seed
            return {
                "seed": seed if application.seed is None else application.seed,
                "members": application.members,
                "temperature": temperature,
                "memory": memory,
                "tile": config.sampling.tile,
                "device": config.train.device,
            }
    return _shared_slice(config, stage)


def _shared_slice(config: Config, stage: str) -> dict[str, Any]:
    """Give what a stage reads that treats all experiments and baselines alike."""
    match stage:
        case "evaluate":
            return _picked(EvaluateSettings, config.evaluation, seed=config.seed)
        case "plot":
            return _picked(Plots, config.plots)
    raise ValueError(f"no stage is called {stage!r}")


def _picked(settings: type[Section], section: Section, **elsewhere: Any) -> dict[str, Any]:
    """Take the keys of a slice from a section, and those that stand elsewhere from the arguments."""
    return section.model_dump(mode="json", include=set(settings.model_fields)) | elsewhere
