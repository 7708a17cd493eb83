"""The keys of the configuration: each with its default, range, unit and meaning, in one place.

The texts below the keys are what users read in `config/README.md` and in their editor. A message that a check raises
begins with the key that is at fault.
"""

from __future__ import annotations

import itertools
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    model_validator,
)

from rainshaft.errors import nearest

WINDS = ("u", "v", "u10", "v10", "ua", "va", "uas", "vas")  # names of wind components in ERA5 and CMIP

RESERVED_NAMES = (
    "data",
    "comparison",
    "applications",
    "logs",
    "benchmarks",
)  # folders that the workflow makes beside the experiments

ANEW, GENERAL = "anew", "general"  # words that stand in the place of a folder of weights
MOST_YEARS_OF_A_CLIMATE = 40  # a longer run has a trend that matters  # ASSUME
NAME = r"^[a-z0-9]+(?:-[a-z0-9]+)*$"
DAYS = r"^(heavy_only|split:(train|validation|test)|file:.+)$"
CLOCK = r"^-?([01]\d|2[0-3]):[0-5]\d$"
DATE = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
FORMS = {
    NAME: "a name of lower-case letters, digits and single hyphens, for example `my-run`",
    CLOCK: "a time between `-23:59` and `23:59`, in quotes",
    DATE: "a date such as 2001-12-31",
    DAYS: "`heavy_only`, `split:train`, `split:validation`, `split:test` or `file:PATH`",
}
"""pattern of a text -> what it asks for, in words"""

Name = Annotated[str, Field(pattern=NAME)]


def _iso_date(value: object) -> object:
    """Give a date of YAML as text, so that dates with and without quotes are alike."""
    return value.isoformat() if isinstance(value, date) else value


Date = Annotated[str, Field(pattern=DATE), BeforeValidator(_iso_date)]

Period = tuple[Date, Date]
"""the first and the last date of a part of the record, both included"""

Number = StrictFloat  # takes 2 and 2.0, and makes both 2.0; it refuses "2" and true


class Section(BaseModel):
    """A section of the configuration. It refuses unknown keys, converts no types, and cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DayOf(Section):
    """These keys say when a day begins, for records that are not those of days from 00:00 to 24:00."""

    starts: str = Field("00:00", pattern=CLOCK)
    """Records of less than a day are gathered to days that begin at this time, in the time of the file. A day has the
    date of its 00:00: `03:00` begins three hours after it, and `-21:00` begins 21 hours before it and ends at 03:00 of
    its date, as days of rain gauges often do."""
    stamps: Literal["auto", "start", "end"] = "auto"
    """A stamp stands at this side of its record, as in `day` below. `auto` asks the bounds of the file."""


class DailyFiles(Section):
    """These files hold a variable that changes from day to day."""

    files: tuple[str, ...] = Field(min_length=1)
    """These files hold the variable: netCDF, zarr, GRIB or GeoTIFF. `*` matches any text, `{year}` stands for the year,
    and `$VAR` stands for an environment variable. Where the files have no dates but their names do, `{year}`, `{month}`
    and `{day}` in the pattern say where."""
    variable: str
    """The variable has this name in the files. Where it lies in a group, its path works, too."""
    level: Number | None = None
    """This level is taken where the variable has several, for example `500`. It has the units of the file."""
    units: str | None = None
    """These units are assumed where a file states none, for example `mm/day`."""
    day: Literal["auto", "start", "end"] | DayOf = "auto"
    """This says to which day a record belongs. `auto` takes the day in which the middle of its bounds lies, and the
    date of its stamp where it has no bounds. `start` and `end` say that a stamp stands at the start or end of its
    record, whatever the bounds say: with `end`, a daily record stamped on the second is that of the first."""


class RainFiles(DailyFiles):
    """These files hold the observed rain on the fine grid, which the model learns to make."""


def channel_name(label: str, lag: int) -> str:
    """Name a predictor of some days before."""
    return f"{label}_lag{lag}" if lag else label


class PredictorFiles(DailyFiles):
    """These files hold one coarse predictor."""

    name: str | None = Field(None, min_length=1)
    """This is the name of the predictor in the results. Without it, that is the name of the variable."""
    quantity: Literal["rain", "temperature", "other"] = "other"
    """`rain` is converted to mm/day and becomes the coarse rain that the model refines. `temperature` is converted to
    K. `other` is taken as it is."""
    context: StrictBool = False
    """`true` gives the network the whole field, as the large-scale weather of the day. The field stays on its own grid
    and may reach far beyond the rain. All context predictors of a dataset share one grid. `false` gives the network
    only the values over the area of the rain."""
    lags: tuple[Annotated[StrictInt, Field(ge=0, le=10)], ...] = Field((0,), min_length=1)
    """The network sees the predictor of so many days before. `[0, 1]` gives it that of the day and that of the day
    before, each as a predictor of its own. This helps where the day of the rain begins before that of the predictors,
    or where the weather of a day lasts into the next. Days without a day before are left out."""

    @property
    def label(self) -> str:
        """Its name in the results."""
        return self.name or self.variable.rpartition("/")[2]  # without the groups

    @property
    def channels(self) -> tuple[str, ...]:
        """The name in the results for each of its lags."""
        return tuple(channel_name(self.label, lag) for lag in self.lags)

    @model_validator(mode="after")
    def _rain_is_no_context(self) -> PredictorFiles:
        if self.context and self.quantity == "rain":
            raise ValueError(
                "context: found true with `quantity: rain`, but the model refines coarse rain cell by cell; remove "
                "`context`, or write `quantity: other` for rain that only describes the weather"
            )
        return self

    @model_validator(mode="after")
    def _lags_fit(self) -> PredictorFiles:
        if len(set(self.lags)) < len(self.lags):
            raise ValueError(f"lags: found {list(self.lags)}, expected each lag once; remove one")
        if self.quantity == "rain" and self.lags != (0,):
            raise ValueError(
                f"lags: found {list(self.lags)} with `quantity: rain`, but the model refines the coarse rain of the "
                "day itself; remove `lags`. To show it the rain of the day before, add these files once more with "
                "`quantity: other`, `lags: [1]` and another `name`"
            )
        return self


class StaticFile(Section):
    """The file holds a map that does not change with time."""

    file: str
    """This netCDF file holds the map on the grid of the rain. `$VAR` stands for an environment variable."""
    variable: str
    """The map has this name in the file."""


class Synthetic(Section):
    """The raw files of the dataset are made from a seed, for the demo and the tests."""

    seed: StrictInt = Field(1, ge=0)
    """One seed always gives one set of files."""
    height: StrictInt = Field(64, ge=16)
    """The fine grid has this many rows."""
    width: StrictInt = Field(64, ge=16)
    """The fine grid has this many columns."""


class Split(Section):
    """The split says which days train the model, which days choose its weights, and which days score it."""

    by: Literal["years", "blocks", "dates"] = "years"
    """`years` splits by whole years. `blocks` deals out runs of `block_days` days in turn, which suits short
    records. `dates` splits by the first and the last date of each part."""
    train: tuple[StrictInt | Period, ...] = ()
    """The model learns from these years, with `by: years`, or from these periods, with `by: dates`. A period is
    `[first date, last date]`, for example `[2001-12-01, 2009-02-28]`."""
    validation: tuple[StrictInt | Period, ...] = ()
    """Early stopping, `pixel_threshold: auto` and the verdict use these years or periods."""
    test: tuple[StrictInt | Period, ...] = ()
    """Scores to report are taken on these years or periods."""
    year_begins: StrictInt = Field(1, ge=1, le=12)
    """A year of the split begins with this month, with `by: years`, and has the number of the calendar year in which it
    ends. With 12, the winter from December 1982 to February 1983 belongs to 1983. With 10, it is the hydrological
    year."""
    block_days: StrictInt = Field(10, ge=1)
    """A block has this many days, with `by: blocks`."""
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
    """Blocks are used for these parts in turn, and then from the start again, with `by: blocks`."""
    folds: StrictInt = Field(1, ge=1, le=20)
    """Short records are scored by cross-validation, with `by: blocks`: with 4, every experiment is trained 4 times,
    each time with another quarter of the blocks as test days, and the scores of all folds are pooled. Then every day is
    a test day once. The folds replace `cycle`."""

    @model_validator(mode="after")
    def _folds_fit(self) -> Split:
        if self.folds > 1 and self.by != "blocks":
            raise ValueError(f"folds: found {self.folds} with `by: {self.by}`, expected `by: blocks`; write it")
        if self.folds == 2:
            raise ValueError("folds: found 2, which leave too few training days; write 3 or more, or 1 for none")
        if self.folds > 1 and "cycle" in self.model_fields_set:
            raise ValueError(f"cycle: found one beside `folds: {self.folds}`, which replaces it; remove one of them")
        return self

    def fold(self, number: int) -> Split:
        """Give the split of a fold, from 0 on.

        Of twice as many blocks as there are folds, two are for test and one for validation, and the next fold takes the
        next ones. With 4 folds the shares are those of the default `cycle`.
        """
        count = 2 * self.folds
        cycle = ["train"] * count
        cycle[number] = cycle[number + self.folds] = "test"
        cycle[(number + 1) % count] = "validation"
        return self.model_copy(update={"folds": 1, "cycle": tuple(cycle)})

    @model_validator(mode="after")
    def _each_part_has_days(self) -> Split:
        if self.by == "blocks":
            missing = [part for part in ("train", "validation", "test") if part not in self.cycle]
            if missing:
                raise ValueError(
                    f"cycle: found no {' and no '.join(missing)} block, expected at least one block for each of train, "
                    f"validation and test; add {' and '.join(missing)}"
                )
            return self
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        kind, example = ("year", "a list of years") if self.by == "years" else ("period", "[[2001-01-01, 2008-12-31]]")
        for part, entries in parts.items():
            if not entries:
                raise ValueError(f"{part}: found no {kind}, expected at least one; write {example}")
            for entry in entries:
                if isinstance(entry, int) != (self.by == "years"):
                    shown = entry if isinstance(entry, int) else list(entry)
                    raise ValueError(f"{part}: found {shown} with `by: {self.by}`, expected a {kind}; write {example}")
                if not isinstance(entry, int) and entry[0] > entry[1]:
                    raise ValueError(f"{part}: found {list(entry)}, expected the earlier date first; exchange them")
        self._require_no_shared_days(parts)
        return self

    def _require_no_shared_days(self, parts: dict[str, tuple[int | Period, ...]]) -> None:
        """Refuse a year or a day that is in two parts."""
        spans = [
            (*((entry, entry) if isinstance(entry, int) else entry), part)
            for part, entries in parts.items()
            for entry in entries
        ]
        for (_, end, earlier), (start, _, later) in itertools.pairwise(sorted(spans, key=lambda span: span[:2])):
            if start <= end and earlier != later:
                raise ValueError(
                    f"{later}: found {start}, which is also in {earlier}, but the parts must not share days; remove it "
                    "from one of them"
                )


class Dataset(Section):
    """A dataset is a record of observed rain with its predictors."""

    description: str = ""
    """These words explain the dataset below the table of the comparison."""
    citation: str = ""
    """Whom to cite for the data. It stands in the card of each model that was trained on them, and in each file of rain
    that such a model has made."""
    licence: str = ""
    """The licence of the data. It stands beside the citation."""
    years: tuple[StrictInt, ...] = Field(min_length=1)
    """These years are prepared. Each one is a job."""
    factor: StrictInt = Field(ge=2, le=64)
    """A coarse cell is this many fine cells wide and high."""
    rain: RainFiles
    predictors: Literal["coarsened"] | tuple[PredictorFiles, ...] = "coarsened"
    """`coarsened` takes block means of the fine rain as the only predictor (a perfect-model set-up). A list names
    files."""
    elevation: StaticFile | None = None
    """This map gives the height of the ground in m."""
    land: StaticFile | None = None
    """This map is 1 (or 100 %) on land and 0 on sea. Without it, a cell is land where rain is observed and where the
    elevation, if given, is above 0 m."""
    split: Split
    heavy_percentile: Number = Field(90, gt=0, lt=100)
    """A cell is heavy when its rain reaches this percentile of the daily maxima of the training days, and at least
    1 mm/day. Training batches judge a day by its highest coarse rain instead, with this percentile of the daily maxima
    of the coarse rain."""
    heavy_min_cells: StrictInt = Field(20, ge=1)
    """A day is heavy when at least this many cells are heavy."""
    extreme_percentile: Number = Field(99, gt=0, lt=100)
    """A day is also heavy when a single cell reaches this percentile of the daily maxima."""
    coast_km: Number = Field(30, gt=0)
    """A heavy day is coastal when its heavy cells are on average nearer to the coast than this, in km."""
    dry_wet_fraction: Number = Field(0.05, ge=0, le=1)
    """A day is dry when less than this share of its cells has 1 mm/day or more. Training batches count coarse cells."""
    synthetic: Synthetic | None = None
    """This section makes the raw files from a seed. Leave it out to read files of your own."""

    @model_validator(mode="after")
    def _years_fit(self) -> Dataset:
        _require_each_year_once(self.years)
        if self.split.by == "years":
            used = {*self.split.train, *self.split.validation, *self.split.test}
            begun = {year + 1 for year in self.years} if self.split.year_begins > 1 else set()
            if unknown := sorted(used - set(self.years) - begun):
                raise ValueError(
                    f"split: found {unknown}, expected years among {list(self.years)}; add them to `years`, or remove "
                    "them from the split"
                )
        return self

    @model_validator(mode="after")
    def _predictors_fit(self) -> Dataset:
        if self.predictors == "coarsened":
            return self
        if not self.predictors:
            raise ValueError("predictors: found an empty list; name files, or write `coarsened`")
        labels, names = [p.label for p in self.predictors], [name for p in self.predictors for name in p.channels]
        if len(set(labels)) != len(labels) or len(set(names)) != len(names):
            raise ValueError(
                f"predictors: found the names {names}, expected each name once; give a predictor another `name`, for "
                "example `name: z500`"
            )
        if self.synthetic is not None and (lagged := [p.label for p in self.predictors if p.lags != (0,)]):
            raise ValueError(
                f"predictors: found `lags` of {', '.join(lagged)}, but a synthetic day has no rain of the day before; "
                "remove them"
            )
        if (count := sum(p.quantity == "rain" for p in self.predictors)) > 1:
            raise ValueError(
                f"predictors: found {count} with `quantity: rain`, expected at most one; write `quantity: other` for "
                "the others"
            )
        return self

    @property
    def has_coarse_rain(self) -> bool:
        """Whether one of the predictors is coarse rain."""
        return self.predictors == "coarsened" or any(p.quantity == "rain" for p in self.predictors)

    @property
    def has_coarse_predictors(self) -> bool:
        """Whether one of the predictors lies on the coarse grid, and is not context."""
        return self.predictors == "coarsened" or any(not p.context for p in self.predictors)


DENSE_BATCH = 128
"""days in a batch of the dense network, whatever `train.batch_size`"""


class Model(Section):
    """These keys set the size and the structure of the conditional VAE."""

    kind: Literal["cvae"] = "cvae"
    """This is the kind of model. `cvae` is the conditional VAE, the only kind that a configuration can choose today."""
    width: StrictInt = Field(16, ge=4, le=512)
    """The network has this many channels at the finer half of its scales. It has twice as many at the coarser half."""
    d_z: tuple[Annotated[StrictInt, Field(ge=1)], ...] = Field((4, 2, 2, 1), min_length=1)
    """These are the numbers of latent channels at the scales of a network, from the coarsest to the finest. The last
    number holds for all further scales. Numbers beyond the finest scale are ignored."""
    coarser_scales: StrictInt = Field(0, ge=0, le=6)
    """The network gets this many extra scales that are coarser than the coarse grid. Each one has half as many cells
    along a side as the next finer one. They let members differ over larger areas. With `conserve: drawn`, choose as
    many as leave about 2 x 2 cells at the coarsest scale."""
    coarse: Literal["dense", "convolutional"] = "convolutional"
    """This kind of network draws the coarse rain, with `conserve: drawn`. `dense` sees the weather of the whole domain,
    as its leading patterns, and the season. Each coarse cell has weights of its own. `convolutional` sees the
    predictors around a coarse cell, and has equal weights everywhere."""
    analogs: Number = Field(0.4, ge=0, le=1)
    """With `coarse: dense`, this share of the members takes the coarse rain of a training day with alike weather. 0
    suits a climate that the training days do not have, since no analog can rain more than they did."""
    prior: Literal["learned", "standard"] = "learned"
    """`learned` predicts the distribution of the latents from the predictors. `standard` takes N(0, 1) for every
    day."""
    conserve: Literal["cells", "drawn", "none"] = "cells"
    """`cells` keeps the coarse rain: the members have exactly its mean in each coarse cell, before
    `sampling.pixel_threshold` removes a little. `drawn` suits biased coarse rain: a first network draws new coarse
    rain, and the second network keeps that. `none` keeps no mean. Without coarse rain, write `none` or `drawn`."""


class Loss(Section):
    """These keys weigh the terms of the loss.

    A term in mm/day is divided by the mean rain of the training days, so that one weight suits wet and dry regions.
    L_mass is divided by the square of that mean, and L_crps_log by the standard deviation of log1p(rain).
    """

    scale: Number = Field(10.0, gt=0)
    """A cell with this much observed rain, in mm/day, has weight 1 in L_rec. The weight is proportional to the rain,
    between `w_min` and `w_max`."""
    w_min: Number = Field(1.0, ge=0)
    """No cell weighs less than this in L_rec."""
    w_max: Number = Field(1.0, gt=0)
    """No cell weighs more than this in L_rec, before `tail_boost`. With `w_min` and `w_max` at 1, all cells weigh
    1."""
    tail_boost: Number = Field(1.0, ge=1)
    """The weight in L_rec is multiplied by this where the observed rain reaches its 99th percentile (of the training
    values of 1 mm/day or more)."""
    lambda_rec: Number = Field(1.0, ge=0)
    """This is the weight of L_rec, the intensity-weighted CRPS of members drawn from the posterior."""
    lambda_mass: Number = Field(0.0, ge=0)
    """This is the weight of L_mass, the squared bias of the mean rain of a batch. Use it with `model.conserve: drawn`
    or `none`. With `cells` the network cannot change its mean, so the term has no effect."""
    lambda_grad: Number = Field(0.2, ge=0)
    """This is the weight of L_grad, the error of the absolute differences between neighbouring cells (Mathieu et al.
    2016)."""
    beta_kl: Number = Field(1.0, ge=0)
    """This is the weight of L_kl, the KL divergence of the posterior from the prior for each valid cell."""
    warmup_epochs: Number = Field(2, ge=0)
    """`beta_kl` grows from 0 to its value over this many epochs."""
    lambda_crps: Number = Field(1.0, ge=0)
    """This is the weight of the CRPS of members drawn from the prior. With 0, all terms whose names begin with L_crps
    are left out."""
    crps_alpha: Number = Field(1.0, ge=0, le=1)
    """1 gives the fair CRPS. A smaller value gives the almost fair CRPS (Lang et al. 2024, alpha): members become more
    alike and smoother, and the rank histogram becomes less flat."""
    crps_pool: Number = Field(0.3, ge=0)
    """This is the weight of the CRPS of block means. It is multiplied by `lambda_crps`."""
    pool_sizes: tuple[Annotated[StrictInt, Field(ge=2)], ...] = Field((2, 4, 8), min_length=1)
    """These are the sides of the blocks in ascending order. They count fine cells, or coarse cells in the network that
    draws coarse rain (`conserve: drawn`). The scores of all sizes are added. Blocks that are larger than the patch are
    left out."""
    crps_grad: Number = Field(2.0, ge=0)
    """This is the weight of the CRPS of differences between neighbouring cells. It is multiplied by `lambda_crps`."""
    crps_log: Number = Field(1.0, ge=0)
    """This is the weight of the CRPS of log1p(mm/day), to which light rain and dry cells add more. It is multiplied by
    `lambda_crps`."""
    crps_spectrum: Number = Field(0.1, ge=0)
    """This is the weight of the CRPS of the spectrum of the gradient. It is multiplied by `lambda_crps`."""
    members: StrictInt = Field(2, ge=1, le=16)
    """This many members are drawn from the prior for the CRPS and L_mass. With 1 member the CRPS becomes the absolute
    error and L_mass the squared bias."""
    posterior_members: StrictInt = Field(2, ge=0, le=16)
    """This many members are drawn from the posterior for L_rec and L_grad. With 1 member L_rec becomes the absolute
    error, which favours smooth members. With 0 there is no posterior: a step takes about half the time, and only
    `sampling.mode: prior` can be drawn."""

    @model_validator(mode="after")
    def _values_fit(self) -> Loss:
        if self.w_min > self.w_max:
            raise ValueError(f"w_min: found {self.w_min}, expected at most w_max, which is {self.w_max}; change one")
        if list(self.pool_sizes) != sorted(set(self.pool_sizes)):
            raise ValueError(
                f"pool_sizes: found {list(self.pool_sizes)}, expected ascending sizes; write "
                f"{sorted(set(self.pool_sizes))}"
            )
        return self


class Train(Section):
    """These keys control the training."""

    epochs: StrictInt = Field(12, ge=1)
    """Training takes at most this many epochs. An epoch draws as many patches as cover all training days once, or as
    `steps_per_epoch` allows."""
    steps_per_epoch: StrictInt = Field(100, ge=1)
    """An epoch has at most this many steps. A longer record or a larger domain then takes no longer, and an epoch sees
    only a part of its days. 100 steps cover 1600 days of a domain that is one patch, or 400 days of four patches. Give
    more where the loss still falls at the end."""
    coarse_epochs: StrictInt = Field(24, ge=1)
    """The network that draws the coarse rain takes at most this many epochs, with `conserve: drawn`. It learns from
    whole days, which are few, so too many epochs overfit."""
    batch_size: StrictInt = Field(16, ge=1)
    """A training step uses this many patches."""
    patch: StrictInt = Field(64, ge=8)
    """A patch is a square with this side. The side counts fine cells, and is rounded down to whole coarse cells and to
    the domain. It counts coarse cells in the network that draws the coarse rain, whose patch is mostly the whole
    domain."""
    lr: Number = Field(8e-3, gt=0, le=1)
    """This is the highest learning rate of Muon and of AdamW. It falls along a cosine during the training."""
    lr_warmup_epochs: Number = Field(1, ge=0)
    """The learning rate grows from 0 over this many epochs."""
    weight_decay: Number = Field(0.01, ge=0)
    """This is the weight decay of Muon and of AdamW."""
    ema: Number = Field(0.98, ge=0, lt=1)
    """The weights are averaged over the steps with this decay per step. The averaged weights are validated and kept.
    With 0 the last weights are validated and kept."""
    grad_clip: Number = Field(1.0, gt=0)
    """A gradient with a larger norm is scaled down to this norm."""
    amp: StrictBool = True
    """`true` computes in bfloat16 on a GPU (autocast). A CPU always computes in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU if there is one, and otherwise the CPU."""
    gpus: StrictInt = Field(1, ge=1, le=64)
    """This many GPUs of one node train a model together (DistributedDataParallel). Each takes a share of the batch, so
    `batch_size` must be a multiple of `gpus`. Results change by rounding only, so a new value trains nothing anew."""
    min_heavy_fraction: Number = Field(0.1, ge=0, le=1)
    """At least this share of a batch comes from days with heavy coarse rain. Without coarse rain, all days are drawn
    equally often."""
    max_dry_fraction: Number = Field(0.1, ge=0, le=1)
    """At most this share of a batch comes from days with dry coarse rain. Any value above 0 gives at least one
    patch."""
    start: str = ANEW
    """The training starts from these weights. `anew` draws them at random. `general` takes the general network for the
    factor of the dataset, which comes with the package and has seen rain of other places. The name of a folder takes
    the weights of the model in it, for example `results/EXPERIMENT/model`, or of the general networks in it. The sizes
    of the network (`model`) must be those of the weights; the general networks have the default sizes."""
    flips: StrictBool = True
    """`true` mirrors patches at random in both directions, together with the static maps and the context. Write `false`
    where a predictor has a direction, for example a component of the wind, because mirroring does not turn it."""
    early_stopping_patience: StrictInt = Field(10, ge=1)
    """Training stops after this many epochs without a better `early_stopping_metric`. Patience is given for `epochs`.
    It is scaled to `coarse_epochs` for the network that draws the coarse rain. A dense one trains to its end."""
    early_stopping_metric: Literal["val_loss", "val_L_rec", "val_L_crps", "val_L_grad"] = "val_loss"
    """The weights of the epoch with the lowest value in this column of train_log.csv are kept. Of a dense network the
    last weights are kept."""

    @model_validator(mode="after")
    def _gpus_share_the_batch(self) -> Train:
        if self.batch_size % self.gpus:
            raise ValueError(
                f"gpus: found {self.gpus}, expected a number that divides batch_size, which is {self.batch_size}; "
                "change one of them"
            )
        return self


class Sampling(Section):
    """These keys say what is drawn from the trained model, and which cells are set to 0."""

    mode: Literal["prior", "posterior", "both"] = "both"
    """`prior` draws members from the predictors alone, to downscale. `posterior` draws variations of observed days, to
    augment training data. `both` draws both."""
    members: StrictInt = Field(10, ge=2)
    """This many members are drawn for each day."""
    days: str = Field("heavy_only", pattern=DAYS)
    """All validation days and all test days are drawn. In addition, `heavy_only` draws all heavy days.
    `split:train`, `split:validation` or `split:test` draws all days of that part. `file:PATH` draws the dates in a
    file, which has one date (YYYY-MM-DD) on each line."""
    min_threshold: Number = Field(0.0, ge=0, le=1)
    """A member of the posterior is dropped when it has less than this share of the observed rain of its day."""
    temperature: Number = Field(1.0, gt=0, le=2)
    """The standard deviation of the latents is multiplied by this. Members are more alike below 1 and more varied above
    1."""
    memory: Number = Field(0.0, ge=0, le=0.99)
    """This is the correlation of the coarsest latent noise of a member with that of the day before. With 0 only the
    predictors link successive days. Where they leave the rain of a whole day uncertain, members then have spells that
    are too short and sums over several days that differ too little. Single days are distributed as before. With
    `coarse: dense` the noise of its layers has the memory, and the noise of its cells has none."""
    posterior_scales: Annotated[StrictInt, Field(ge=1)] | Literal["all"] = "all"
    """In posterior mode, this many of the coarsest scales see the observed day. The finer scales are drawn from the
    prior, so a smaller number gives more varied members. The number of scales is one more than the number of prime
    factors of `factor`, for example 4 for 8 = 2 x 2 x 2. `model.coarser_scales` come on top, and `conserve: drawn` adds
    one more. With `coarse: dense` neither does, and the observed coarse rain is kept."""
    pixel_threshold: Number | Literal["auto"] = 0.1
    """Cells with less rain than this, in mm/day, are set to 0. `auto` takes the value with which the members are wet as
    often as the observations on validation days."""
    tile: StrictInt = Field(512, ge=8)
    """A large domain is drawn in square tiles with this side. The side counts fine cells, or coarse cells in the
    network that draws the coarse rain (`conserve: drawn`). It is rounded down to whole cells of the coarsest scale.
    Smaller tiles take less memory and more time. They change members by rounding only."""
    shards: StrictInt = Field(1, ge=1, le=1000)
    """This many jobs share the days. Each can use a GPU of its own. The members do not depend on it."""

    @model_validator(mode="after")
    def _threshold_is_not_negative(self) -> Sampling:
        if self.pixel_threshold != "auto" and self.pixel_threshold < 0:
            raise ValueError(f"pixel_threshold: found {self.pixel_threshold}, expected 0 or more or 'auto'")
        return self

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes to draw."""
        return ("prior", "posterior") if self.mode == "both" else (self.mode,)


class Experiment(Section):
    """An experiment is a model to train. It names its dataset and the keys that differ from the top level."""

    source: Literal["training"] = "training"
    """The members come from a model that is trained here. With `source: files` they come from files that another model
    made, and with `source: general` from the general networks of the package. The other keys are then those of the
    next tables."""
    dataset: Name
    """The model learns from this entry of `datasets`."""
    description: str = ""
    """These words explain the experiment below the table of the comparison."""
    seed: StrictInt = Field(1, ge=0)
    """This is the seed of training and sampling. Without it, the `seed` at the top level is used."""
    model: Model = Model()
    loss: Loss = Loss()
    train: Train = Train()
    sampling: Sampling = Sampling()

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes to draw."""
        return self.sampling.modes


class EnsembleFiles(DailyFiles):
    """An experiment with `source: files` takes its members from files that another model made.

    Nothing is trained. Its members are scored, judged and drawn in figures as those of other experiments are.
    """

    source: Literal["files"]
    """The members come from files."""
    dataset: Name
    """The members are compared with the rain of this entry of `datasets`. They must be on its fine grid."""
    description: str = ""
    """These words explain the experiment below the table of the comparison."""
    members_dim: str | None = None
    """This dimension of the files counts the members. It is needed where its name does not say so, as `member`,
    `realization` or `number` do. Files without such a dimension hold one member each if their days are the same, and
    the years of one member if not."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes of its members. Nobody knows what another model has seen, so they count as drawn from a prior."""
        return ("prior",)


class GeneralExperiment(Section):
    """An experiment with `source: general` draws its members with the general networks that come with the package.

    Nothing is trained. The networks refine the coarse rain of the dataset, which they have never seen. Their members
    are scored, judged and drawn in figures as those of other experiments are.
    """

    source: Literal["general"]
    """The members come from the general networks."""
    dataset: Name
    """The coarse rain of this entry of `datasets` is refined. One of its predictors must be coarse rain, and its factor
    must be one for which there is a general network (2, 3, 4, 5, 8), or a product of these."""
    description: str = ""
    """These words explain the experiment below the table of the comparison."""
    seed: StrictInt = Field(1, ge=0)
    """This is the seed of the members. Without it, the `seed` at the top level is used."""
    members: StrictInt = Field(10, ge=2)
    """This many members are drawn for each validation day and each test day."""
    weights: str = ""
    """The networks in this folder are used instead of those of the package, for example networks that have not seen a
    record on which they shall be tested."""

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes of its members."""
        return ("prior",)


def _kind_of_experiment(value: object) -> object:
    """Give the name of the class of an entry of `experiments`, or what it says of its source if that is unknown."""
    source = value.get("source", "training") if isinstance(value, dict) else getattr(value, "source", "training")
    return KINDS_OF_SOURCES.get(str(source), str(source))


KINDS_OF_SOURCES = {"training": "Experiment", "files": "EnsembleFiles", "general": "GeneralExperiment"}
"""`source` of an experiment -> its class"""

AnyExperiment = Annotated[
    Annotated[Experiment, Tag("Experiment")]
    | Annotated[EnsembleFiles, Tag("EnsembleFiles")]
    | Annotated[GeneralExperiment, Tag("GeneralExperiment")],
    Discriminator(_kind_of_experiment),
]
"""an entry of `experiments`"""


class Baselines(Section):
    """Baselines are simple methods that are scored beside the experiments."""

    names: tuple[Name, ...] = (
        "bilinear",
        "quantile-mapping",
        "unet",
        "rainfarm",
        "fragments",
        "analogs",
        "bernoulli-gamma",
        "climatology",
    )
    """These baselines are scored. The default is all of them, so that the strongest simple method is in the table
    whatever the dataset. `climatology` takes the observed rain of random training days of the season, so it shows what
    is known without predictors. `analogs` takes the observed rain of the training days whose predictors are most
    similar. `bernoulli-gamma` is a small network for the rain of each cell by itself. `unet` is a small deterministic
    network; it needs a predictor without `context: true`. `bilinear`, `quantile-mapping`, `rainfarm` and `fragments`
    refine coarse rain, so they need coarse rain. `rainfarm` also needs the package pysteps. A baseline is left out
    where something that it needs is missing."""
    members: StrictInt = Field(10, ge=2)
    """A baseline that makes an ensemble has this many members."""


class Augmentation(Section):
    """The trial of augmentation trains small deterministic networks with and without synthetic days."""

    seeds: StrictInt = Field(3, ge=2, le=20)
    """This many networks are trained with synthetic days, and as many without, each with its own seed."""
    steps: StrictInt = Field(600, ge=1)
    """Each network sees this many batches of 16 patches."""
    width: StrictInt = Field(32, ge=4, le=256)
    """The layers of a network have this many channels."""
    blocks: StrictInt = Field(4, ge=1, le=32)
    """A network has this many residual blocks."""


class Evaluation(Section):
    """These keys define the scores. All experiments share them, so that they can be compared."""

    wet_threshold: Number = Field(0.1, gt=0)
    """A cell is wet when it has more rain than this, in mm/day."""
    fss_thresholds: tuple[Number, ...] = (1.0, 10.0, 50.0)
    """The scores of events (fractions skill, Brier, twCRPS) look at rain of at least these amounts, in mm/day. They
    also part the classes of intensity."""
    fss_scales: tuple[StrictInt, ...] = (1, 5, 17)
    """The fractions skill score looks at square windows with these sides, in fine cells."""
    bootstrap: StrictInt = Field(500, ge=10)
    """The days are resampled this many times, in spells, to find the intervals of the scores."""


class Plots(Section):
    """These keys shape the figures."""

    days: StrictInt = Field(3, ge=1, le=12)
    """The sample maps show this many days."""
    members: StrictInt = Field(3, ge=1, le=8)
    """The sample maps show this many members."""
    dpi: StrictInt = Field(130, ge=50, le=600)
    """The figures have this many dots per inch."""


def _require_each_year_once(years: tuple[int, ...]) -> None:
    if len(set(years)) != len(years):
        raise ValueError(f"years: found a year twice in {list(years)}; write each year once")


def _require_years_of_a_climate(years: tuple[int, ...]) -> None:
    """Refuse a period with a trend: all its years count as one climate."""
    _require_each_year_once(years)
    if (span := max(years) - min(years) + 1) > MOST_YEARS_OF_A_CLIMATE:
        raise ValueError(
            f"years: found {span} years from {min(years)} to {max(years)}, expected at most {MOST_YEARS_OF_A_CLIMATE}: "
            "`adjust` takes all of them for one climate, and their trend for weather; take a period of some 30 years. "
            "For a century, make one application for each period"
        )


class Reference(Section):
    """The reference is the run of the same climate model over the period of the training, or one near it."""

    years: tuple[StrictInt, ...] = Field(min_length=1)
    """The climate of these years is compared with that of the training days. Thirty years are usual."""
    predictors: tuple[PredictorFiles, ...] = Field(min_length=1)
    """These files hold the predictors of that run, as in `predictors` of the application."""

    @model_validator(mode="after")
    def _years_fit(self) -> Reference:
        _require_years_of_a_climate(self.years)
        return self


class Application(Section):
    """An application draws rain with a trained model for days that nobody observed."""

    description: str = ""
    """These words explain the application in its table."""
    experiment: Name | None = None
    """The model of this experiment is used. With replicates, it is that of the first one."""
    model: str | None = None
    """The model in this folder is used instead. It may have been trained elsewhere. `general` takes the general
    networks that come with the package: they refine the coarse rain of any place by `factor`."""
    factor: StrictInt | None = Field(None, ge=2, le=64)
    """With `model: general`, the rain is refined by this factor: 2, 3, 4, 5, 8, or a product of these."""
    years: tuple[StrictInt, ...] = Field(min_length=1)
    """Rain is drawn for these years. Each one is a job. A year may be incomplete, and its calendar is kept."""
    predictors: tuple[PredictorFiles, ...] = ()
    """These files hold the predictors of the model, under the names that the model knows. What they are (`quantity`,
    `context`, `lags`) is known to the model. They may have an ensemble dimension; each of its realizations gets members
    of its own. Without this key, they are those of the dataset of the experiment, for example in years without rain."""
    members: StrictInt = Field(10, ge=1)
    """This many members are drawn for each day, and for each realization of the input."""
    seed: StrictInt | None = Field(None, ge=0)
    """This is the seed of the members. Without it, the seed of the experiment is used."""
    adjust: Literal["none", "delta", "quantile"] = "none"
    """A climate model has a climate of its own, which the trained model takes for weather. `quantile` brings each
    quantile of each cell and month to the climate of the training days, and keeps the change from the `reference`.
    `delta` does so for the means alone. `none` is the default, because an adjustment needs a reference run, and because
    predictors from the source of the training, such as a later year of the same reanalysis, need no adjustment."""
    reference: Reference | None = None
    """`adjust` compares this run with the training days."""
    out_of_range: Literal["refuse", "accept"] = "refuse"
    """Where too many values of a predictor lie beyond the range of the training days, `refuse` stops before anything is
    drawn. `accept` goes on, and a table and a map say where they lie."""
    change_from: Name | None = None
    """The indices are compared with those of this application, for example of a historical run with the same model."""
    shards: StrictInt = Field(1, ge=1, le=366)
    """This many jobs share the days of a year. The members do not depend on it."""
    zarr: StrictBool = False
    """The rain of all years is written into one zarr store, too. This needs the package zarr:
    `pip install "rainshaft[zarr]"`."""
    citation: str = ""
    """Whom to cite for these predictors. It stands in each file of rain, beside the citation of the model."""

    @model_validator(mode="after")
    def _keys_fit(self) -> Application:
        if (self.experiment is None) == (self.model is None):
            found = "both" if self.model else "neither"
            raise ValueError(f"model: found {found} of `experiment` and `model`, expected one of them; write one")
        if self.model == GENERAL and self.factor is None:
            raise ValueError("factor: found none with `model: general`, expected by how much to refine; write one")
        if self.model != GENERAL and self.factor is not None:
            raise ValueError(f"factor: found {self.factor}, but a trained model knows its factor; remove it")
        if self.model == GENERAL and self.adjust != "none":
            raise ValueError(
                f"adjust: found `{self.adjust}` with `model: general`, but the general networks have no climate to "
                "which rain could be adjusted; remove it, or train a model of your own"
            )
        if self.adjust != "none" and self.reference is None:
            raise ValueError(
                f"reference: found none with `adjust: {self.adjust}`, expected years and predictors of the same "
                "climate model over the period of the training; add them"
            )
        if self.adjust == "none" and self.reference is not None:
            raise ValueError("adjust: found `none` with a reference; write `adjust: quantile`, or remove `reference`")
        _require_each_year_once(self.years)
        if self.adjust == "quantile":
            _require_years_of_a_climate(self.years)
        return self


class Config(Section):
    """A configuration describes datasets and the experiments on them."""

    results: str = "results"
    """The workflow writes everything into this folder."""
    seed: StrictInt = Field(1, ge=0)
    """This is the seed of training, sampling and baselines."""
    replicates: StrictInt = Field(1, ge=1, le=20)
    """Each experiment is trained and sampled this many times, with the seeds `seed`, `seed + 1`, and so on. With more
    than 1, experiment `NAME` becomes `NAME-s1`, `NAME-s2`, and so on, and the comparison shows means over them."""
    datasets: dict[Name, Dataset] = {}
    """Each entry is a record of observed rain with its predictors. Its key is a name that you choose."""
    experiments: dict[Name, AnyExperiment] = {}
    """Each entry is a model to train, an ensemble that another model made (`source: files`), or one that the general
    networks make (`source: general`). Its key is a name that you choose."""
    applications: dict[Name, Application] = {}
    """Each entry draws rain with a trained model where nobody observed it. Its key is a name that you choose."""
    model: Model = Model()
    loss: Loss = Loss()
    train: Train = Train()
    sampling: Sampling = Sampling()
    baselines: Baselines = Baselines()
    augmentation: Augmentation = Augmentation()
    evaluation: Evaluation = Evaluation()
    plots: Plots = Plots()
    _families: dict[str, tuple[str, ...]] = PrivateAttr(default_factory=dict)
    _folds: dict[str, dict[str, Experiment]] = PrivateAttr(default_factory=dict)
    _records: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """The experiments of the file, each with its replicates. Without replicates, that is its own name."""
        return self._families or {name: (name,) for name in self.experiments}

    @property
    def trained(self) -> dict[str, Experiment]:
        """What is trained: the experiments that train a model, or each of their folds."""
        found: dict[str, Experiment] = {}
        for name, entry in self.experiments.items():
            if isinstance(entry, Experiment):
                found |= self._folds.get(name) or {name: entry}
        return found

    def folds_of(self, name: str) -> tuple[str, ...]:
        """Give the trainings whose members are scored together as this experiment; without folds, itself."""
        return tuple(self._folds.get(name) or (name,))

    def scored_as(self, training: str) -> str:
        """Give the experiment under whose name the members of a training are scored."""
        return next((name for name, folds in self._folds.items() if training in folds), training)

    def folds_of_dataset(self, name: str) -> tuple[str, ...]:
        """Give the datasets that split the record of this dataset into folds; without folds, itself."""
        return tuple(fold for fold, record in self._records.items() if record == name) or (name,)

    def record_of(self, dataset: str) -> str:
        """Give the dataset whose canonical fields a fold shares; without folds, itself."""
        return self._records.get(dataset, dataset)

    @property
    def adopted(self) -> dict[str, EnsembleFiles]:
        """The experiments whose members come from files."""
        return {name: entry for name, entry in self.experiments.items() if isinstance(entry, EnsembleFiles)}

    @property
    def general(self) -> dict[str, GeneralExperiment]:
        """The experiments whose members come from the general networks."""
        return {name: entry for name, entry in self.experiments.items() if isinstance(entry, GeneralExperiment)}

    @model_validator(mode="after")
    def _names_fit(self) -> Config:
        if not self.experiments and not self.applications:
            raise ValueError(
                "experiments: found none, expected a dataset and an experiment on it, or `applications` of a model "
                "that was trained before; add them"
            )
        for name, experiment in self.experiments.items():
            if name in RESERVED_NAMES:
                raise ValueError(f"experiments.{name}: the results have a folder of this name; choose another name")
            if experiment.dataset not in self.datasets:
                raise ValueError(
                    f"experiments.{name}.dataset: no dataset is called {experiment.dataset!r}"
                    + (nearest(experiment.dataset, self.datasets) or f"; the datasets are {', '.join(self.datasets)}")
                )
        return self

    def model_of(self, application: str) -> str | None:
        """Give the experiment whose model an application uses; None where it uses a folder."""
        wanted = self.applications[application].experiment
        return None if wanted is None else self.folds_of(self.families.get(wanted, (wanted,))[0])[0]
