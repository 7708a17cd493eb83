"""Training and validation batches: patches of days, drawn by category, the same for the same seed and step.

Input: the canonical fields and the normalisation of a dataset. Output: tensors in the units of the fields (rain in
mm/day, 0 where not valid; the model normalises). Shapes: B patch, C channel, S static map, H W fine, y x coarse,
K context channel, v u the grid of the context, which is whole in every patch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rainshaft.config.sections import Train
from rainshaft.data.conventions import COARSE_CATEGORIES
from rainshaft.data.fields import Fields, dates_of

SHARE_OF_DEVICE = 0.5  # of the free device memory that the data may take
VALIDATION_PATCHES = 128  # at most: enough for a steady mean, few enough for a short epoch


@dataclass(frozen=True)
class Batch:
    """What one step sees."""

    coarse_BCyx: Tensor
    statics_BSHW: Tensor
    rain_B1HW: Tensor
    valid_B1HW: Tensor
    context_BKvu: Tensor


@dataclass(frozen=True)
class Days:
    """All days of one split, on the device where they fit, and the maps that they share.

    `days` holds the indices of the days of each category of the coarse rain: heavy, moderate, dry.
    """

    rain_THW: Tensor
    coarse_TCyx: Tensor
    context_TKvu: Tensor
    statics_SHW: Tensor
    valid_HW: Tensor
    factor: int
    days: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.rain_THW)

    @property
    def domain(self) -> tuple[int, int]:
        """Rows and columns of the coarse grid."""
        return self.coarse_TCyx.shape[-2], self.coarse_TCyx.shape[-1]


def load_days(paths: Sequence[Path], normalisation: xr.Dataset, split: str, device: torch.device) -> Days:
    """Read the days of one split, a year at a time, and put them on the device if they fit."""
    part = normalisation.split.values == split
    valid = normalisation.valid.values == 1
    rain, coarse, context = [], [], []
    with Fields(paths) as fields:
        dates = dates_of(normalisation)[part].tolist()
        fields.require(dates, f"{split} days of the split")
        for year in fields.batches(dates, len(dates)):
            days = fields.read(year)
            rain.append(torch.from_numpy(np.where(valid, days.pr.values, np.float32(0))))
            coarse.append(torch.from_numpy(days.predictors.values))
            context.append(torch.from_numpy(days.context.values))
    category = normalisation.coarse_category.values[part]
    days_of = {kind: np.flatnonzero(category == kind) for kind in COARSE_CATEGORIES}
    tensors = [torch.cat(rain), torch.cat(coarse), torch.cat(context)]
    if fits(sum(t.nbytes for t in tensors), device):
        tensors = [t.to(device) for t in tensors]
    maps = [torch.from_numpy(normalisation[name].values.astype("f4")).to(device) for name in ("static_maps", "valid")]
    return Days(*tensors, *maps, int(normalisation.attrs["factor"]), days_of)


def fits(size: int, device: torch.device) -> bool:
    """Whether data of this size, in bytes, may live on the device."""
    if device.type == "cpu":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size < SHARE_OF_DEVICE * free


@dataclass(frozen=True)
class Patches:
    """How patches are cut: side in coarse cells, patches a batch and steps an epoch."""

    rows: int
    columns: int
    batch_size: int
    steps_per_epoch: int

    @classmethod
    def of(cls, record: Days, settings: Train) -> Patches:
        """Square patches of `settings.patch` fine cells, rounded down to coarse cells and to the domain."""
        side = max(1, settings.patch // record.factor)
        rows, columns = (min(side, extent) for extent in record.domain)
        tiles = (record.domain[0] * record.domain[1]) / (rows * columns)
        return cls(rows, columns, settings.batch_size, max(1, round(len(record) * tiles / settings.batch_size)))


def training_batch(
    record: Days,
    patches: Patches,
    settings: Train,
    seed: int,
    step: int,
    device: torch.device,
    share: slice = slice(None),
) -> Batch:
    """The batch of one step: a function of the seed and the step alone, so that a resumed run repeats nothing.

    Of the whole batch only the patches in `share` are cut: each of several processes takes its own.

    Days are drawn by category, so that a batch has at least `min_heavy_fraction` of heavy and at most
    `max_dry_fraction` of dry ones; where the record has no day of a category, the others take its place. The category
    is that of the coarse rain: choosing days by what was observed would change p(y | x).
    """
    rng = np.random.default_rng((seed, step))
    days = np.concatenate(
        [rng.choice(record.days[kind], count) for kind, count in category_counts(record, settings).items() if count]
    )
    return _cut(record, _places(record, patches, days, rng, settings.flips)[share], device)


def category_counts(record: Days, settings: Train) -> dict[str, int]:
    """How many patches of a batch come from heavy, moderate and dry days."""
    size, total = settings.batch_size, len(record)
    share = {kind: len(days) / total for kind, days in record.days.items()}
    heavy = math.ceil(size * max(share["heavy"], settings.min_heavy_fraction)) if share["heavy"] else 0
    dry = math.floor(size * min(share["dry"], settings.max_dry_fraction))
    dry = max(dry, 1) if share["dry"] and settings.max_dry_fraction else 0  # none would unlearn what a dry day is
    dry = min(dry, size - heavy)
    moderate = size - heavy - dry
    if not share["moderate"]:
        heavy, dry, moderate = (size - dry, dry, 0) if share["heavy"] else (0, size, 0)
    return {"heavy": heavy, "moderate": moderate, "dry": dry}


def validation_batches(record: Days, patches: Patches, device: torch.device) -> Iterator[Batch]:
    """The same patches every epoch: days spread evenly over the split, every category as often as it occurs."""
    count = min(len(record), VALIDATION_PATCHES)
    days = np.linspace(0, len(record) - 1, count).round().astype(int)
    rng = np.random.default_rng(0)
    for start in range(0, count, patches.batch_size):
        part = days[start : start + patches.batch_size]
        yield _cut(record, _places(record, patches, part, rng, flips=False), device)


@dataclass(frozen=True)
class _Place:
    """Where a patch is cut: its day, its coarse cells, and the axes along which it is mirrored."""

    day: int
    rows: slice
    columns: slice
    axes: tuple[int, ...]


def _places(record: Days, patches: Patches, days: np.ndarray, rng: np.random.Generator, flips: bool) -> list[_Place]:
    """A random place on each day, on coarse cells, mirrored at random if asked."""
    places = []
    for day in days.tolist():
        i = int(rng.integers(record.domain[0] - patches.rows + 1))
        j = int(rng.integers(record.domain[1] - patches.columns + 1))
        axes = tuple(axis for axis in (-2, -1) if flips and rng.random() < 0.5)
        places.append(_Place(day, slice(i, i + patches.rows), slice(j, j + patches.columns), axes))
    return places


def _cut(record: Days, places: Sequence[_Place], device: torch.device) -> Batch:
    """The patches at these places."""
    f, columns = record.factor, {name: [] for name in Batch.__dataclass_fields__}
    for place in places:
        coarse = place.rows, place.columns
        fine = tuple(slice(s.start * f, s.stop * f) for s in coarse)
        patch = {
            "coarse_BCyx": record.coarse_TCyx[place.day][:, *coarse],
            "statics_BSHW": record.statics_SHW[:, *fine],
            "rain_B1HW": record.rain_THW[place.day][None, *fine],
            "valid_B1HW": record.valid_HW[None, *fine],
            "context_BKvu": record.context_TKvu[place.day],
        }
        for name, values in patch.items():
            columns[name].append(values.flip(place.axes) if place.axes else values)
    return Batch(**{name: torch.stack(values).to(device, non_blocking=True) for name, values in columns.items()})
