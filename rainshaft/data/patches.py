"""Training and validation batches: patches of days, drawn by category, from the seed and the step alone.

Input: the canonical fields and the normalisation of a dataset. Output: tensors in the units of the fields, with rain in
mm/day and 0 where it is not valid. The networks normalise them. Shapes: T day, B patch, C channel, S static map, H W
fine grid, y x coarse grid, K context channel, v u the grid of the context. Every patch has the whole context.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from rainshaft.config.sections import Train
from rainshaft.data.conventions import COARSE_CATEGORIES
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError

MONTHS = 12
NO_SEASON = torch.zeros(1, 2)
"""stands for the season of a day whose date nobody knows"""
SHARE_OF_DEVICE = 0.5  # of the free device memory that the data may take
VALIDATION_PATCHES = 128  # at most: enough for a steady mean, few enough for a short epoch


@dataclass(frozen=True)
class Batch:
    """Patches of days, or parts of whole days: what a network sees at once."""

    coarse_BCyx: Tensor
    """predictors in their physical units; the rain channel in mm/day"""
    statics_BSHW: Tensor
    """static maps, of order 1"""
    rain_B1HW: Tensor | None
    """observed rain; None where a network draws without it"""
    valid_B1HW: Tensor
    """1 where rain is observed, 0 elsewhere; for coarse rain the share of a coarse cell where rain is observed"""
    context_BKvu: Tensor
    """fields of the context in their physical units"""
    season_B2: Tensor
    """where in the year the days lie, see `season`"""


@dataclass(frozen=True)
class Days:
    """Some days and the maps that they share, on the device where they fit."""

    rain_THW: Tensor | None
    """observed rain, 0 where it is not valid; None where nobody observed it"""
    coarse_TCyx: Tensor
    context_TKvu: Tensor
    season_T2: Tensor
    statics_SHW: Tensor
    valid_HW: Tensor
    factor: int
    categories: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    """the indices of the days of each category of the coarse rain: heavy, moderate, dry"""

    def __len__(self) -> int:
        return len(self.coarse_TCyx)

    def __getitem__(self, part: slice) -> Days:
        """Give some of the days, without their categories."""
        return replace(
            self,
            rain_THW=None if self.rain_THW is None else self.rain_THW[part],
            coarse_TCyx=self.coarse_TCyx[part],
            context_TKvu=self.context_TKvu[part],
            season_T2=self.season_T2[part],
            categories={},
        )

    def repeated(self, count: int) -> Days:
        """Give one day several times, without its category."""
        return replace(
            self,
            rain_THW=None if self.rain_THW is None else self.rain_THW.expand(count, -1, -1),
            coarse_TCyx=self.coarse_TCyx.expand(count, -1, -1, -1),
            context_TKvu=self.context_TKvu.expand(count, -1, -1, -1),
            season_T2=self.season_T2.expand(count, -1),
            categories={},
        )

    @property
    def domain(self) -> tuple[int, int]:
        """Rows and columns of the coarse grid."""
        return self.coarse_TCyx.shape[-2], self.coarse_TCyx.shape[-1]


def require_rain(rain: Tensor | None, purpose: str) -> Tensor:
    """Give the observed rain.

    Raises
    ------
    UserError
        If there is none; `purpose` says in words what needs it.
    """
    if rain is None:
        raise UserError(
            f"{purpose} needs the observed rain of the days, and these have none (`pr` in the fields); only members of "
            "the prior can be drawn without it"
        )
    return rain


def days_of(fields: xr.Dataset, normalisation: xr.Dataset) -> Days:
    """Turn canonical days into tensors for the networks.

    Parameters
    ----------
    fields
        Canonical fields of the days; they may lack the rain, `pr`.
    normalisation
        Normalisation of the dataset. It has the static maps, the valid cells and the factor.
    """
    statics, valid = (torch.from_numpy(normalisation[name].values.astype("f4")) for name in ("static_maps", "valid"))
    rain = torch.where(valid == 1, torch.from_numpy(fields["pr"].values), 0.0) if "pr" in fields else None
    predictors, context = (torch.from_numpy(fields[name].values) for name in ("predictors", "context"))
    return Days(rain, predictors, context, season(fields["time"]), statics, valid, int(normalisation.attrs["factor"]))


def season(time: xr.DataArray) -> Tensor:
    """Say where in the year some days of any calendar lie (T, 2): cosine and sine of an angle that starts with it."""
    day = (time.dt.day - 0.5) / time.dt.days_in_month
    angle = 2 * math.pi / MONTHS * torch.from_numpy((time.dt.month - 1 + day).values.astype("f4"))
    return torch.stack([angle.cos(), angle.sin()], 1)


def load_days(paths: Sequence[Path], normalisation: xr.Dataset, split: str, device: torch.device) -> Days:
    """Read the days of one split, a year at a time, and put them on the device if they fit.

    Raises
    ------
    UserError
        If a day of the split is not in the fields, or has no observed rain.
    """
    part = normalisation.split.values == split
    dates = dates_of(normalisation)[part].tolist()
    with Fields(paths) as fields:
        fields.require(dates, f"{split} days of the split")
        years = [days_of(fields.read(year), normalisation) for year in fields.batches(dates, len(dates))]
    rain = torch.cat([require_rain(year.rain_THW, f"the {split} split") for year in years])
    coarse, context = torch.cat([year.coarse_TCyx for year in years]), torch.cat([year.context_TKvu for year in years])
    of_season = torch.cat([year.season_T2 for year in years]).to(device)
    statics, valid = years[0].statics_SHW.to(device), years[0].valid_HW.to(device)
    if fits(rain.nbytes + coarse.nbytes + context.nbytes, device):
        rain, coarse, context = rain.to(device), coarse.to(device), context.to(device)
    category = normalisation.coarse_category.values[part]
    categories = {kind: np.flatnonzero(category == kind) for kind in COARSE_CATEGORIES}
    return Days(rain, coarse, context, of_season, statics, valid, years[0].factor, categories)


def fits(size: int, device: torch.device) -> bool:
    """Tell whether data of this size, in bytes, may live on the device."""
    if device.type == "cpu":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size < SHARE_OF_DEVICE * free


@dataclass(frozen=True)
class Patches:
    """How patches are cut: their size in coarse cells, how many make a batch, and how many batches make an epoch."""

    rows: int
    columns: int
    batch_size: int
    steps_per_epoch: int

    @classmethod
    def of(cls, days: Days, settings: Train) -> Patches:
        """Square patches of `settings.patch` fine cells, rounded down to coarse cells and to the domain."""
        side = max(1, settings.patch // days.factor)
        rows, columns = (min(side, extent) for extent in days.domain)
        tiles = (days.domain[0] * days.domain[1]) / (rows * columns)
        return cls(rows, columns, settings.batch_size, steps_of(len(days) * tiles, settings))


def steps_of(patches: float, settings: Train) -> int:
    """Count the steps of an epoch, where so many patches cover all training days once."""
    return max(1, min(settings.steps_per_epoch, round(patches / settings.batch_size)))


class BatchSource(Protocol):
    """Where the batches of a training come from: one dataset, or a mix of records."""

    @property
    def steps_per_epoch(self) -> int:
        """How many batches make an epoch."""

    @property
    def batch_size(self) -> int:
        """Patches of a batch."""

    @property
    def valid_share(self) -> float:
        """Share of the cells where rain is observed."""

    def training(self, seed: int, step: int, device: torch.device, share: slice) -> Batch:
        """Cut this share of the batch of a step. It depends on the seed and the step alone."""

    def validation(self, device: torch.device) -> Iterator[Batch]:
        """Cut the patches of the validation, which are equal in every epoch."""

    def __str__(self) -> str:
        """Say in the log what there is to learn from."""


class PatchesOfDays:
    """The batches of one dataset.

    Parameters
    ----------
    days, validation_days
        The training days and the validation days.
    least_steps
        An epoch has at least so many batches, also where fewer would cover all days.
    """

    def __init__(self, days: Days, validation_days: Days, settings: Train, least_steps: int = 1):
        self.days, self.validation_days, self.settings = days, validation_days, settings
        self.patches = Patches.of(days, settings)
        self.steps_per_epoch = max(min(least_steps, settings.steps_per_epoch), self.patches.steps_per_epoch)
        self.batch_size = settings.batch_size
        self.valid_share = float(days.valid_HW.mean())

    def training(self, seed: int, step: int, device: torch.device, share: slice = slice(None)) -> Batch:
        """Cut this share of the batch of a step, as `training_batch` says."""
        return training_batch(self.days, self.patches, self.settings, seed, step, device, share)

    def validation(self, device: torch.device) -> Iterator[Batch]:
        """Cut the patches of the validation."""
        return validation_batches(self.validation_days, self.patches, device)

    def __str__(self) -> str:
        return (
            f"{len(self.days)} days, {self.steps_per_epoch} steps an epoch of {self.batch_size} patches of "
            f"{self.patches.rows} x {self.patches.columns} coarse cells"
        )


def training_batch(
    days: Days,
    patches: Patches,
    settings: Train,
    seed: int,
    step: int,
    device: torch.device,
    share: slice = slice(None),
) -> Batch:
    """Cut the batch of one step.

    It depends on the seed and the step alone, so that a resumed training sees what an undisturbed one sees.

    Days are drawn by category. A batch has at least `min_heavy_fraction` of heavy days and at most `max_dry_fraction`
    of dry ones. Where there is no day of a category, the others take its place. The category is that of the coarse
    rain: a choice of days by what was observed would change p(y | x).

    Parameters
    ----------
    share
        Which patches of the whole batch to cut. Each of several processes takes its own.
    """
    rng = np.random.default_rng((seed, step))
    counts = category_counts(days, settings)
    drawn = np.concatenate([rng.choice(days.categories[kind], count) for kind, count in counts.items() if count])
    return _cut(days, _places(days, patches, drawn, rng, settings.flips)[share], device)


def category_counts(days: Days, settings: Train) -> dict[str, int]:
    """Count how many patches of a batch come from heavy, moderate and dry days."""
    size, total = settings.batch_size, len(days)
    share = {kind: len(indices) / total for kind, indices in days.categories.items()}
    heavy = math.ceil(size * max(share["heavy"], settings.min_heavy_fraction)) if share["heavy"] else 0
    dry = math.floor(size * min(share["dry"], settings.max_dry_fraction))
    # With no dry patch at all, the network would unlearn what a dry day is.
    dry = max(dry, 1) if share["dry"] and settings.max_dry_fraction else 0
    dry = min(dry, size - heavy)
    moderate = size - heavy - dry
    if not share["moderate"]:
        heavy, dry, moderate = (size - dry, dry, 0) if share["heavy"] else (0, size, 0)
    return {"heavy": heavy, "moderate": moderate, "dry": dry}


def validation_batches(days: Days, patches: Patches, device: torch.device) -> Iterator[Batch]:
    """Cut the patches of the validation, which are equal in every epoch.

    The days are spread evenly over the split, so every category is as frequent as in the split.
    """
    count = min(len(days), VALIDATION_PATCHES)
    chosen = np.linspace(0, len(days) - 1, count).round().astype(int)
    rng = np.random.default_rng(0)
    for start in range(0, count, patches.batch_size):
        part = chosen[start : start + patches.batch_size]
        yield _cut(days, _places(days, patches, part, rng, flips=False), device)


@dataclass(frozen=True)
class _Place:
    """Where a patch is cut: its day, its coarse cells, and the axes along which it is mirrored."""

    day: int
    rows: slice
    columns: slice
    axes: tuple[int, ...]


def _places(
    days: Days, patches: Patches, chosen: NDArray[np.integer], rng: np.random.Generator, flips: bool
) -> list[_Place]:
    """Choose a place on each day at random, on whole coarse cells. With `flips`, also mirror at random."""
    places = []
    for day in chosen.tolist():
        i = int(rng.integers(days.domain[0] - patches.rows + 1))
        j = int(rng.integers(days.domain[1] - patches.columns + 1))
        axes = tuple(axis for axis in (-2, -1) if flips and rng.random() < 0.5)
        places.append(_Place(day, slice(i, i + patches.rows), slice(j, j + patches.columns), axes))
    return places


def _cut(days: Days, places: Sequence[_Place], device: torch.device) -> Batch:
    """Cut the patches at these places."""
    f, rain_THW = days.factor, require_rain(days.rain_THW, "training")
    columns: dict[str, list[Tensor]] = {name: [] for name in Batch.__dataclass_fields__}
    for place in places:
        coarse = place.rows, place.columns
        fine = tuple(slice(s.start * f, s.stop * f) for s in coarse)
        patch = {
            "coarse_BCyx": days.coarse_TCyx[place.day][:, *coarse],
            "statics_BSHW": days.statics_SHW[:, *fine],
            "rain_B1HW": rain_THW[place.day][None, *fine],
            "valid_B1HW": days.valid_HW[None, *fine],
            "context_BKvu": days.context_TKvu[place.day],
        }
        for name, values in patch.items():
            columns[name].append(values.flip(place.axes) if place.axes else values)
        columns["season_B2"].append(days.season_T2[place.day])
    return Batch(**{name: torch.stack(values).to(device, non_blocking=True) for name, values in columns.items()})
