"""The configuration: the one place for keys, defaults, ranges, units and descriptions.

Input: the YAML file that the user edits, as a plain dictionary. Output: frozen models, or one
`ConfigError` with a line for each thing that is wrong. `config/schema.json` and `config/README.md`
are generated from here (`python -m rainshaft.config`).
"""

from __future__ import annotations

import difflib
import json
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    model_validator,
)

from rainshaft.errors import UserError
from rainshaft.scales import refinements

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"
WINDS = ("u", "v", "u10", "v10", "ua", "va", "uas", "vas")  # as ERA5 and CMIP call the components
RESERVED_NAMES = ("data", "comparison", "logs", "benchmarks")

Name = Annotated[str, Field(pattern=f"^{SLUG}$")]
Number = StrictFloat  # takes 2 and 2.0, and makes both 2.0; "2" and true are no numbers


class ConfigError(UserError):
    """The configuration cannot be used; the message has one line for each fault."""


class Section(BaseModel):
    """A section of the configuration: no unknown keys, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


# ----------------------------------------------------------------------------------------- datasets


class RainFiles(Section):
    """The observed rain on the fine grid: what the model learns to make."""

    files: tuple[str, ...] = Field(min_length=1)
    """netCDF files; `*` matches any text, `{year}` stands for the year, `$VAR` for an environment variable"""
    variable: str
    """name of the rain variable in them"""
    units: str | None = None
    """units to assume where the file states none, for example `mm/day`"""


class PredictorFiles(Section):
    """One coarse predictor."""

    files: tuple[str, ...] = Field(min_length=1)
    """netCDF files; `*`, `{year}` and `$VAR` as in `rain.files`"""
    variable: str
    """name of the variable in them; also the name of the predictor"""
    quantity: Literal["rain", "temperature", "other"] = "other"
    """`rain` is converted to mm/day and becomes the coarse rain that the model refines; `temperature` to K"""
    units: str | None = None
    """units to assume where the file states none"""
    context: StrictBool = False
    """give the network the whole field, on its own grid of any kind, as the large-scale weather of the day, instead of
    its values over the target; one grid for all such predictors"""

    @model_validator(mode="after")
    def _rain_is_no_context(self) -> PredictorFiles:
        if self.context and self.quantity == "rain":
            raise ValueError(
                "found `quantity: rain` with `context: true`, but coarse rain is refined cell by cell; remove "
                "`context`, or write `quantity: other` for rain that only describes the weather"
            )
        return self


class StaticFile(Section):
    """A map that does not change with time."""

    file: str
    """netCDF file on the grid of the rain; `$VAR` stands for an environment variable"""
    variable: str
    """name of the variable in it"""


class Synthetic(Section):
    """Makes the raw files of this dataset from a seed, for the demo and the tests."""

    seed: StrictInt = Field(1, ge=0)
    """same seed, same files"""
    height: StrictInt = Field(64, ge=16)
    """rows of the fine grid"""
    width: StrictInt = Field(64, ge=16)
    """columns of the fine grid"""


class Split(Section):
    """Which days are for training, validation and test."""

    by: Literal["years", "blocks"] = "years"
    """`years`: whole years; `blocks`: runs of `block_days` days, dealt out in turn (for short records)"""
    train: tuple[StrictInt, ...] = ()
    """years to learn from, with `by: years`"""
    validation: tuple[StrictInt, ...] = ()
    """years to choose by (early stopping, `pixel_threshold: auto`), with `by: years`"""
    test: tuple[StrictInt, ...] = ()
    """years for the scores, with `by: years`"""
    block_days: StrictInt = Field(10, ge=1)
    """length of a block, with `by: blocks`"""
    cycle: tuple[Literal["train", "validation", "test"], ...] = (
        "train",
        "validation",
        "train",
        "test",
        "train",
        "train",
        "train",
        "test",
    )
    """what the blocks are for, in turn, with `by: blocks`"""

    @model_validator(mode="after")
    def _each_part_has_days(self) -> Split:
        if self.by == "blocks":
            missing = [part for part in ("train", "validation", "test") if part not in self.cycle]
            if missing:
                raise ValueError(f"cycle has no {' and no '.join(missing)} block")
            return self
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for part, years in parts.items():
            if not years:
                raise ValueError(f"{part} names no year")
        seen: dict[int, str] = {}
        for part, years in parts.items():
            for year in years:
                if seen.setdefault(year, part) != part:
                    raise ValueError(f"year {year} is in {seen[year]} and in {part}")
        return self


class Dataset(Section):
    """One record of rain with its predictors."""

    description: str = ""
    """a few words that stand below the table of the comparison"""
    years: tuple[StrictInt, ...] = Field(min_length=1)
    """the years to prepare; each is one job"""
    factor: StrictInt = Field(ge=2, le=64)
    """fine cells along one side of a coarse cell; any integer"""
    rain: RainFiles
    predictors: Literal["coarsened"] | tuple[PredictorFiles, ...] = "coarsened"
    """`coarsened`: block means of the fine rain (perfect-model set-up), or a list of files"""
    elevation: StaticFile | None = None
    """height of the ground in m"""
    land: StaticFile | None = None
    """1 or 100 % on land, 0 on sea; without it, land is where rain is observed and elevation, if given, is above 0 m"""
    split: Split
    heavy_percentile: Number = Field(90, gt=0, lt=100)
    """percentile of the daily maxima from which a cell is heavy; training tells heavy days by the coarse rain in the
    same way"""
    heavy_min_cells: StrictInt = Field(20, ge=1)
    """heavy cells that make a day heavy"""
    extreme_percentile: Number = Field(99, gt=0, lt=100)
    """percentile of the daily maxima over which a single cell makes a day heavy"""
    coast_km: Number = Field(30, gt=0)
    """a heavy day is coastal when its heavy cells lie nearer to the coast than this on average, km"""
    dry_wet_fraction: Number = Field(0.05, ge=0, le=1)
    """a day is dry when less than this share of the cells has 1 mm/day or more; training counts the coarse cells"""
    synthetic: Synthetic | None = None
    """make the raw files from a seed instead of reading the user's"""

    @model_validator(mode="after")
    def _years_and_predictors_fit(self) -> Dataset:
        if self.split.by == "years":
            used = {*self.split.train, *self.split.validation, *self.split.test}
            if unknown := sorted(used - set(self.years)):
                raise ValueError(f"split names {unknown}, not in years {list(self.years)}")
        if len(set(self.years)) != len(self.years):
            raise ValueError("years names a year twice")
        if self.predictors != "coarsened":
            if not self.predictors:
                raise ValueError("predictors is empty; name files or write `coarsened`")
            names = [p.variable for p in self.predictors]
            if len(set(names)) != len(names):
                raise ValueError(f"predictors names a variable twice: {names}")
            if sum(p.quantity == "rain" for p in self.predictors) > 1:
                raise ValueError("predictors has more than one with `quantity: rain`")
        return self

    @property
    def has_coarse_rain(self) -> bool:
        """Whether one of the predictors is coarse rain."""
        return self.predictors == "coarsened" or any(p.quantity == "rain" for p in self.predictors)

    @property
    def has_context(self) -> bool:
        """Whether one of the predictors is context."""
        return self.predictors != "coarsened" and any(p.context for p in self.predictors)


# -------------------------------------------------------------------------------------- experiments


class Model(Section):
    """The conditional VAE."""

    width: StrictInt = Field(16, ge=4, le=512)
    """channels at the fine scale; the coarser scales have twice as many"""
    d_z: tuple[Annotated[StrictInt, Field(ge=1)], ...] = Field((4, 2, 2, 1), min_length=1)
    """channels of the latent maps of a network, from its coarsest scale to the finest; the last one holds for all
    further scales, and numbers beyond the finest for none"""
    coarser_scales: StrictInt = Field(0, ge=0, le=6)
    """how many scales begin the hierarchy on grids coarser than the coarse one, each by 2, so that members differ over
    larger areas; with `conserve: drawn` as many as leave some 2 x 2 cells on the coarsest"""
    prior: Literal["learned", "standard"] = "learned"
    """`learned`: p(z|x) is a network; `standard`: N(0, I)"""
    conserve: Literal["cells", "drawn", "none"] = "cells"
    """`cells`: each coarse cell keeps the mass of the coarse rain exactly, but for the little rain that
    `sampling.pixel_threshold` then takes away; `drawn` where the coarse rain is biased: a network of its own draws it
    anew, and this is kept; `none` where there is no coarse rain: no mass is kept"""


class Loss(Section):
    """Weights of the loss. Terms are over the mean rain of training days, L_crps_log over the std of log1p(rain)."""

    scale: Number = Field(10.0, gt=0)
    """rain at which a cell has a weight of 1 in L_rec, mm/day"""
    w_min: Number = Field(1.0, ge=0)
    """least weight of a cell in L_rec"""
    w_max: Number = Field(1.0, gt=0)
    """largest weight of a cell in L_rec; with w_min = w_max = 1 all count alike"""
    tail_boost: Number = Field(1.0, ge=1)
    """factor on the weight of cells at or above P99 of the wet training values of the fine rain"""
    lambda_rec: Number = Field(1.0, ge=0)
    """weight of L_rec, the intensity-weighted CRPS of members drawn from the posterior"""
    lambda_mass: Number = Field(0.0, ge=0)
    """weight of L_mass, the squared bias of all rain in a batch; what is kept has none"""
    lambda_grad: Number = Field(0.2, ge=0)
    """weight of L_grad, the gradient loss (Mathieu et al. 2016)"""
    beta_kl: Number = Field(1.0, ge=0)
    """weight of L_kl, the KL divergence per valid cell"""
    warmup_epochs: Number = Field(2, ge=0)
    """epochs over which beta_kl grows from 0 to its value"""
    lambda_crps: Number = Field(1.0, ge=0)
    """weight of the CRPS of members drawn from the prior"""
    crps_alpha: Number = Field(1.0, ge=0, le=1)
    """1 is the fair CRPS; below it is almost fair (Lang et al. 2024, alpha): members differ less and are smoother, and
    the ranks of the observation less flat"""
    crps_pool: Number = Field(0.3, ge=0)
    """weight of the same score on block means, within lambda_crps"""
    pool_sizes: tuple[Annotated[StrictInt, Field(ge=2)], ...] = Field((2, 4, 8), min_length=1)
    """sides of these blocks, ascending, in fine cells, or in coarse ones for the coarse rain of `conserve: drawn`; the
    scores of all sizes are summed, and blocks larger than the patch are left out"""
    crps_grad: Number = Field(2.0, ge=0)
    """weight of the same score on differences of neighbours, within lambda_crps"""
    crps_log: Number = Field(1.0, ge=0)
    """weight of the same score on log1p(mm/day), within lambda_crps: where it rains lightly, and where not at all"""
    crps_spectrum: Number = Field(0.1, ge=0)
    """weight of the same score on the spectrum of the gradient, within lambda_crps"""
    members: StrictInt = Field(2, ge=1, le=16)
    """members drawn from the prior for the CRPS and L_mass; with 1 they are the MAE and the plain square"""
    posterior_members: StrictInt = Field(2, ge=1, le=16)
    """members drawn from the posterior for L_rec and L_grad; with 1 L_rec is the MAE, least for smooth members"""

    @model_validator(mode="after")
    def _values_fit(self) -> Loss:
        if self.w_min > self.w_max:
            raise ValueError(f"w_min {self.w_min} is above w_max {self.w_max}")
        if list(self.pool_sizes) != sorted(set(self.pool_sizes)):
            raise ValueError(f"pool_sizes: found {list(self.pool_sizes)}, expected ascending sizes, each once")
        return self


class Train(Section):
    """The training loop."""

    epochs: StrictInt = Field(12, ge=1)
    """most epochs; an epoch draws as many patches as tile the training days once"""
    coarse_epochs: StrictInt = Field(24, ge=1)
    """most epochs of the network that draws the coarse rain, with `conserve: drawn`; it sees whole days, which are few,
    so that too many epochs overfit"""
    batch_size: StrictInt = Field(16, ge=1)
    """patches a step"""
    patch: StrictInt = Field(64, ge=8)
    """side of the square patches in fine cells, rounded down to whole coarse cells and to the domain; for the coarse
    rain of `conserve: drawn` in coarse cells, mostly the whole domain"""
    lr: Number = Field(8e-3, gt=0, le=1)
    """highest learning rate (Muon and AdamW, cosine decay)"""
    lr_warmup_epochs: Number = Field(1, ge=0)
    """epochs over which the learning rate grows from 0"""
    weight_decay: Number = Field(0.01, ge=0)
    """weight decay of both"""
    ema: Number = Field(0.98, ge=0, lt=1)
    """decay, a step, of the moving average of the weights that is validated and kept; 0: the last weights themselves"""
    grad_clip: Number = Field(1.0, gt=0)
    """largest norm of the gradient"""
    amp: StrictBool = True
    """bfloat16 autocast on a GPU; a CPU always computes in float32"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: a GPU if there is one"""
    gpus: StrictInt = Field(1, ge=1, le=64)
    """GPUs of one node that train a model together (DistributedDataParallel), a share of the batch each; the result is
    the same but for rounding, so an edit trains nothing anew"""
    min_heavy_fraction: Number = Field(0.1, ge=0, le=1)
    """least share of a batch drawn from days with heavy coarse rain; without coarse rain all days count alike"""
    max_dry_fraction: Number = Field(0.1, ge=0, le=1)
    """largest share of a batch drawn from days whose coarse rain is dry; above 0 it is at least one patch"""
    flips: StrictBool = True
    """mirror patches in both directions at random, the static maps and the context with them; not where a predictor has
    a direction, such as a component of the wind, which stays as it was"""
    early_stopping_patience: StrictInt = Field(10, ge=1)
    """epochs without a better early_stopping_metric after which training stops; for the coarse rain the same share of
    its epochs"""
    early_stopping_metric: Literal["val_loss", "val_L_rec", "val_L_crps", "val_L_grad"] = "val_loss"
    """column of train_log.csv whose lowest value marks the best weights"""

    @model_validator(mode="after")
    def _gpus_share_the_batch(self) -> Train:
        if self.batch_size % self.gpus:
            raise ValueError(f"batch_size {self.batch_size} does not divide by gpus {self.gpus}")
        return self


class Sampling(Section):
    """What is drawn from the trained model, and the pixel threshold."""

    mode: Literal["prior", "posterior", "both"] = "both"
    """`prior`: members from the coarse fields alone; `posterior`: variations of an observed day"""
    K: StrictInt = Field(10, ge=2)
    """members a day"""
    days: str = Field("heavy_only", pattern=r"^(heavy_only|split:(train|validation|test)|file:.+)$")
    """days to draw besides the test days: `heavy_only`, `split:NAME`, or `file:PATH` with one date a line"""
    min_threshold: Number = Field(0.0, ge=0, le=1)
    """posterior members with less than this share of the observed mass are dropped"""
    temperature: Number = Field(1.0, gt=0, le=2)
    """factor on the standard deviation of the latents"""
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"] = "all"
    """in posterior mode, how many of the scales, coarse to fine, see the observed day; the finer ones are drawn from
    the prior: fewer give more varied members. There is one more than `factor` has primes: 4 for 8 = 2 x 2 x 2; before
    them `model.coarser_scales`, and with `conserve: drawn` the one of the coarse rain"""
    pixel_threshold: Number | Literal["auto"] = 0.1
    """cells below this are set to 0, mm/day; `auto`: match the observed wet fraction of the validation days"""
    batch_size: StrictInt = Field(8, ge=1)
    """days a batch; the members do not depend on it"""
    tile: StrictInt = Field(512, ge=8)
    """side of the tiles in which a large domain is drawn, fine cells (coarse ones for the coarse rain of `conserve:
    drawn`), rounded down to whole cells of the coarsest scale; smaller ones take less memory and more time, and give
    the same members but for rounding"""
    shards: StrictInt = Field(1, ge=1, le=1000)
    """jobs that share the days, each with a GPU of its own; the members do not depend on it"""

    @model_validator(mode="after")
    def _threshold_is_not_negative(self) -> Sampling:
        if self.pixel_threshold != "auto" and self.pixel_threshold < 0:
            raise ValueError(f"pixel_threshold {self.pixel_threshold} is negative")
        return self

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes to draw."""
        return ("prior", "posterior") if self.mode == "both" else (self.mode,)


class Experiment(Section):
    """One model: a dataset, and what differs from the defaults."""

    dataset: Name
    """key of `datasets`"""
    description: str = ""
    """a few words that stand below the table of the comparison"""
    seed: StrictInt = Field(1, ge=0)
    """seed of training and sampling; that of the file if not given"""
    model: Model = Model()
    loss: Loss = Loss()
    train: Train = Train()
    sampling: Sampling = Sampling()


# ------------------------------------------------------------------------- evaluation and the whole


class Baselines(Section):
    """What a user would pick instead, scored beside the experiments."""

    names: tuple[Literal["bilinear", "quantile-mapping", "rainfarm", "analogs", "climatology"], ...] = (
        "bilinear",
        "quantile-mapping",
        "rainfarm",
        "analogs",
        "climatology",
    )
    """`climatology`, observed rain of random training days of the same season, is what is known without predictors;
    `analogs`, that of the training days of the season whose context is most alike, is left out where no predictor is
    context; the others refine coarse rain and are left out where no predictor is rain. `rainfarm` needs pysteps and is
    left out, with a word, where it is not installed"""
    K: StrictInt = Field(10, ge=2)
    """members a day of those that make an ensemble"""


class Augmentation(Section):
    """The trial of synthetic days as training data: a small deterministic network, with them and without."""

    seeds: StrictInt = Field(3, ge=2, le=20)
    """networks of each kind"""
    steps: StrictInt = Field(600, ge=1)
    """batches of 16 patches that each network sees"""
    width: StrictInt = Field(32, ge=4, le=256)
    """channels of its layers"""
    blocks: StrictInt = Field(4, ge=1, le=32)
    """residual blocks"""


class Evaluation(Section):
    """The scores. One set for all experiments, so that they can be compared."""

    wet_threshold: Number = Field(0.1, gt=0)
    """rain above which a cell is wet, mm/day"""
    fss_thresholds: tuple[Number, ...] = (1.0, 10.0, 50.0)
    """thresholds of the fractions skill score, mm/day"""
    fss_scales: tuple[StrictInt, ...] = (1, 5, 17)
    """windows of the fractions skill score, fine cells"""
    bootstrap: StrictInt = Field(200, ge=10)
    """resamplings of the days for the intervals"""


class Plots(Section):
    """The figures."""

    days: StrictInt = Field(3, ge=1, le=12)
    """days in the sample maps"""
    members: StrictInt = Field(3, ge=1, le=8)
    """members in the sample maps"""
    dpi: StrictInt = Field(130, ge=50, le=600)
    """resolution of the figures"""


class Config(Section):
    """The whole file."""

    results: str = "results"
    """folder for all that the workflow writes"""
    seed: StrictInt = Field(1, ge=0)
    """seed of training, sampling and baselines"""
    replicates: StrictInt = Field(1, ge=1, le=20)
    """how often each experiment is trained and sampled, with the seeds `seed`, `seed + 1`, ...; with more than 1,
    experiment `NAME` becomes `NAME-s1`, `NAME-s2`, ..., and the comparison shows means over them"""
    model: Model = Model()
    loss: Loss = Loss()
    train: Train = Train()
    sampling: Sampling = Sampling()
    datasets: dict[Name, Dataset] = Field(min_length=1)
    experiments: dict[Name, Experiment] = Field(min_length=1)
    baselines: Baselines = Baselines()
    augmentation: Augmentation = Augmentation()
    evaluation: Evaluation = Evaluation()
    plots: Plots = Plots()
    _families: dict[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """The experiments of the file, and the replicates of each: its own name alone where there is one."""
        return self._families or {name: (name,) for name in self.experiments}

    @model_validator(mode="after")
    def _names_fit(self) -> Config:
        for name, experiment in self.experiments.items():
            if name in RESERVED_NAMES:
                raise ValueError(f"experiments.{name}: the name is taken by a folder of the results; choose another")
            if name in Baselines().names:
                raise ValueError(f"experiments.{name}: the name is that of a baseline; choose another")
            if experiment.dataset not in self.datasets:
                raise ValueError(
                    f"experiments.{name}.dataset: no dataset is called {experiment.dataset!r}"
                    + _nearest(experiment.dataset, self.datasets)
                )
        return self


# ------------------------------------------------------------------------------------------ loading

SHARED_SECTIONS = ("model", "loss", "train", "sampling")


def load(raw: dict[str, Any]) -> Config:
    """Check a configuration and fill in the defaults.

    Parameters
    ----------
    raw
        The YAML file as a dictionary. The top-level sections `model`, `loss`, `train` and `sampling`, and `seed`, are
        the defaults of every experiment.

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
    _require_mass_to_conserve(config)
    _require_scales(config)
    _require_no_flipped_winds(config)
    _require_stopping_metric(config)
    return _replicated(config)


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
        raise ConfigError("\n".join(_lines(error.errors()))) from None


def _lines(faults: list[Any]) -> list[str]:
    """The faults in the user's words, one line a key; a key of several types is a fault once, not once a type."""
    found: dict[str, list[Any]] = {}
    for fault in faults:
        where = ".".join(str(key) for key in fault["loc"] if not _is_union_branch(key))
        found.setdefault(where, []).append(fault)
    lines = []
    for where, here in found.items():
        inside = any(other.startswith(f"{where}.") for other in found)
        if where and inside and all(fault["type"] == "literal_error" for fault in here):
            continue  # `predictors` may be a word or a list: the fault is inside the list
        lines.append(_line(where, here))
    return lines


def _line(where: str, faults: list[Any]) -> str:
    """One key and all that pydantic says against it, in one line."""
    first = faults[0]
    kind, context = first["type"], first.get("ctx", {})
    if where.endswith(".[key]"):
        where = where.removesuffix(".[key]")
        return f"{where}: a name is lower-case letters, digits and single hyphens, for example `my-run`"
    if kind == "extra_forbidden":
        return f"{where}: unknown key{_nearest(where.split('.')[-1], _keys_beside(first['loc'])) or '; remove it'}"
    if kind == "missing":
        return f"{where}: missing; it has no default"
    if kind == "value_error":
        return f"{where}: {context['error']}" if where else str(context["error"])
    expected = dict.fromkeys(_expected(fault) for fault in faults)
    return f"{where}: found {first['input']!r}, expected {' or '.join(expected)}"


def _expected(fault: Any) -> str:
    """What pydantic wanted, in words."""
    context = fault.get("ctx", {})
    words = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "a text",
        "tuple_type": "a list",
        "dict_type": "a section with keys",
        "model_type": "a section with keys",
        "too_short": f"at least {context.get('min_length')} entry",
        "literal_error": context.get("expected"),
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"{context.get('le')} or less",
        "string_pattern_mismatch": f"text like {context.get('pattern')}",
    }
    return words.get(fault["type"]) or fault["msg"]


def _is_union_branch(key: int | str) -> bool:
    """Whether pydantic put the name of a type, not a key of the user, into the location."""
    return isinstance(key, str) and (key in ("float", "constrained-int") or ("[" in key and key != "[key]"))


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys that exist where an unknown one was found."""
    model: Any = Config
    for key in location[:-1]:
        if _is_union_branch(key):
            continue
        inner = _models_in(model.model_fields[key].annotation) if key in getattr(model, "model_fields", {}) else []
        model = inner[0] if inner else model  # a list index or a user's name stays at the model found before
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[Section]]:
    """Every section that a type annotation holds, in order."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    match = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {match[0]}?" if match else ""


# --------------------------------------------------------------------------------- generated documents


def schema_json() -> str:
    """JSON schema of the configuration, for editors that check YAML as it is typed."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def reference() -> str:
    """Every key with its default, range and meaning, as Markdown."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from `rainshaft/config.py`; do not edit. The top-level sections `model`, `loss`, `train` and",
        "`sampling`, and `seed`, are the defaults of every experiment; an entry of `experiments` overrides the keys it",
        "names.",
    ]
    sections = {"": Config, "datasets.NAME": Dataset, "datasets.NAME.rain": RainFiles}
    sections |= {"datasets.NAME.predictors[]": PredictorFiles, "datasets.NAME.elevation, .land": StaticFile}
    sections |= {"datasets.NAME.split": Split, "datasets.NAME.synthetic": Synthetic, "experiments.NAME": Experiment}
    sections |= {"model": Model, "loss": Loss, "train": Train, "sampling": Sampling}
    sections |= {"baselines": Baselines, "augmentation": Augmentation, "evaluation": Evaluation, "plots": Plots}
    for title, model in sections.items():
        lines += ["", f"## `{title}`" if title else "## Top level", "", model.__doc__ or "", ""]
        lines += ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        for key, field in model.model_fields.items():
            meaning = (field.description or f"see `{key}` below").replace("\n", " ").replace("|", "\\|")
            lines.append(f"| `{key}` | {_default(field)} | {_allowed(model, key)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{json.dumps(field.default)}`"


def _allowed(model: type[Section], key: str) -> str:
    """The type and the range of a key, read off its JSON schema."""
    schema = model.model_json_schema()["properties"][key]

    def words(part: dict[str, Any]) -> str:
        if "anyOf" in part:
            return " or ".join(dict.fromkeys(words(p) for p in part["anyOf"]))
        if "const" in part:
            return f"`{part['const']}`"
        if "enum" in part:
            return ", ".join(f"`{e}`" for e in part["enum"])
        if "pattern" in part:
            return "`" + part["pattern"].replace("|", "\\|") + "`"
        if part.get("type") == "array":
            return f"list of {words(part.get('items', {}))}"
        names = {
            "integer": "whole number",
            "number": "number",
            "string": "text",
            "boolean": "true, false",
            "null": "nothing",
        }
        bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
        limits = [f"{sign} {part[bound]:g}" for bound, sign in bounds.items() if bound in part]
        return " ".join([names.get(part.get("type", ""), "section"), *limits])

    return words(schema)


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent.parent / "config"
    (folder / "schema.json").write_text(schema_json())
    (folder / "README.md").write_text(reference())
