"""The keys of the configuration: defaults, ranges, units and descriptions, each in one place."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StrictBool, StrictFloat, StrictInt, model_validator

from rainshaft.errors import nearest

SLUG = r"[a-z0-9]+(?:-[a-z0-9]+)*"

WINDS = ("u", "v", "u10", "v10", "ua", "va", "uas", "vas")  # as ERA5 and CMIP call the components

RESERVED_NAMES = ("data", "comparison", "logs", "benchmarks")

Name = Annotated[str, Field(pattern=f"^{SLUG}$")]

Number = StrictFloat  # takes 2 and 2.0, and makes both 2.0; "2" and true are no numbers


class Section(BaseModel):
    """A section of the configuration: no unknown keys, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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


class Model(Section):
    """The model: a conditional VAE."""

    kind: Literal["cvae"] = "cvae"
    """what kind of model it is; `cvae` is the conditional VAE"""
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
    members: StrictInt = Field(10, ge=2)
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


class Baselines(Section):
    """What a user would pick instead, scored beside the experiments."""

    names: tuple[Name, ...] = ("bilinear", "quantile-mapping", "rainfarm", "analogs", "climatology")
    """`climatology`, observed rain of random training days of the same season, is what is known without predictors;
    `analogs`, that of the training days of the season whose context is most alike, is left out where no predictor is
    context; the others refine coarse rain and are left out where no predictor is rain. `rainfarm` needs pysteps and is
    left out, with a word, where it is not installed"""
    members: StrictInt = Field(10, ge=2)
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
            if experiment.dataset not in self.datasets:
                raise ValueError(
                    f"experiments.{name}.dataset: no dataset is called {experiment.dataset!r}"
                    + nearest(experiment.dataset, self.datasets)
                )
        return self
