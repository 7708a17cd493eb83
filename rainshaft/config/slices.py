"""What each stage of the workflow reads of the configuration.

A stage gets these keys and no others. So an edit of another key cannot change its results, and need not run it again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt

from rainshaft.config.sections import (
    Config,
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
    """Of a synthetic dataset: what its raw files depend on."""

    synthetic: Synthetic
    years: tuple[int, ...]
    factor: int


class PrepareSettings(Section):
    """Of a dataset: what its canonical fields depend on."""

    factor: int
    rain: RainFiles
    predictors: Literal["coarsened"] | tuple[PredictorFiles, ...]
    elevation: StaticFile | None
    land: StaticFile | None


class NormalisationSettings(Section):
    """Of a dataset: which days are for what, and which days are heavy or dry."""

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
    """Of an experiment: what its weights depend on."""

    seed: int
    model: Model
    loss: Loss
    train: Train


class DrawSettings(Section):
    """How members are drawn from a trained model."""

    seed: int
    members: int = Field(ge=1)
    temperature: Number
    batch_size: int
    """days a batch"""
    tile: int
    """side of a tile, fine cells"""
    device: Literal["auto", "cpu", "cuda"]
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"] = "all"
    """of the posterior alone"""


class SampleSettings(DrawSettings):
    """Of an experiment: what its members depend on."""

    days: str
    min_threshold: Number = 0.0
    """of the posterior alone"""


class ThresholdSettings(Section):
    """Of an experiment: what is set to 0 in its members."""

    pixel_threshold: Number | Literal["auto"]
    wet_threshold: Number | None
    """for `auto`, else None"""


class TradeoffSettings(Section):
    """Of an experiment: what the trade-off of its posterior depends on."""

    seed: int
    temperature: Number
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"]
    batch_size: int
    tile: int
    device: Literal["auto", "cpu", "cuda"]
    wet_threshold: Number


class TrialSettings(Section):
    """What the networks of the augmentation trial depend on."""

    steps: int
    width: int
    blocks: int
    flips: bool


class EvaluateSettings(Evaluation):
    """What scores depend on; one for all, so that experiments and baselines can be compared."""

    seed: int


def dataset_slice(config: Config, name: str, stage: str) -> dict[str, Any]:
    """Give what one stage of a dataset reads, as plain JSON types."""
    dataset = config.datasets[name]
    slices: dict[str, tuple[type[Section], list[Section]]] = {
        "raw": (RawSettings, [dataset]),
        "prepare": (PrepareSettings, [dataset]),
        "normalisation": (NormalisationSettings, [dataset]),
        "baselines": (BaselineSettings, [config.baselines, config]),
        "evaluate": (EvaluateSettings, [config.evaluation, config]),
        "plot": (Plots, [config.plots]),
    }
    return _picked(*slices[stage])


def experiment_slice(config: Config, name: str, stage: str) -> dict[str, Any]:
    """Give what one stage of an experiment reads, as plain JSON types."""
    experiment = config.experiments[name]
    sampling, train, evaluation = experiment.sampling, experiment.train, config.evaluation
    slices: dict[str, tuple[type[Section], list[Section]]] = {
        "train": (TrainSettings, [experiment]),
        "sample": (SampleSettings, [sampling, train, experiment]),
        "threshold": (ThresholdSettings, [sampling, evaluation]),
        "tradeoff": (TradeoffSettings, [sampling, train, evaluation, experiment]),
        "trial": (TrialSettings, [config.augmentation, train]),
        "evaluate": (EvaluateSettings, [evaluation, config]),
        "plot": (Plots, [config.plots]),
    }
    content = _picked(*slices[stage])
    if stage == "train":
        del content["train"]["gpus"]  # it changes rounding alone, so an edit of it trains nothing anew
    if stage == "sample" and sampling.mode == "prior":
        del content["posterior_scales"], content["min_threshold"]
    if stage == "threshold" and sampling.pixel_threshold != "auto":
        content["wet_threshold"] = None
    return content


def _picked(settings: type[Section], sources: list[Section]) -> dict[str, Any]:
    """The keys of a slice, each from the first source that has it."""
    picked = {}
    for key in settings.model_fields:
        source = next(source for source in sources if key in type(source).model_fields)
        picked[key] = source.model_dump(mode="json", include={key})[key]
    return picked
