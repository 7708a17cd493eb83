"""The mix of records from which general networks learn: real rain, coarsened and added up in several ways.

Input: public records of fine rain. Output: batches of patches in the unit of the networks. Each record is seen on
several grids and with several steps, so that a network learns how rain looks at many lengths and not of one place.
Shapes: T step, H W fine grid, y x coarse grid.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from rainshaft.data.patches import NO_SEASON, Batch, Days, require_rain
from rainshaft.errors import UserError
from rainshaft.general.unit import unit_of
from rainshaft.models.grids import block_mean
from rainshaft.training.general.settings import RecordFiles

LEAST_COARSE_CELLS = 3  # along each side of a domain from which a network can learn
BLOCK, CYCLE = 10, 8  # runs of 10 steps; one of eight runs is for validation
TRIES = 8  # to find a patch with rain; a dry one teaches nothing, because dry stays dry by construction
JITTER = 0.25  # standard deviation of the logarithm of the random factor on the rain of a patch
VALIDATION_PATCHES = 4  # of each variation


@dataclass(frozen=True)
class Variation:
    """A record on one grid and with one step, in the unit of the networks."""

    train: Days
    validation: Days
    weight: float
    coarse_km: float
    """side of a coarse cell"""
    hours: float
    """length of a step"""


def variations(name: str, files: RecordFiles, factor: int) -> list[Variation]:
    """Read a record, and make its variations for a factor: those whose domain has enough coarse cells.

    Raises
    ------
    UserError
        If the file or the variable is not there.
    """
    rain_THW = read(name, files)
    observed_HW = np.asarray(np.isfinite(rain_THW).all(0))
    found = []
    for steps, size in itertools.product(files.add_up, files.coarsen):
        rain = coarsened(added_up(rain_THW, steps), size)
        valid = np.asarray(coarsened(observed_HW[None].astype("f4"), size)[0] == 1)
        rows, columns = (extent // factor for extent in valid.shape)
        if min(rows, columns) < LEAST_COARSE_CELLS:
            continue
        rain, valid = rain[:, : rows * factor, : columns * factor], valid[: rows * factor, : columns * factor]
        mean = np.nansum(np.square(rain, dtype="f8")) / np.nansum(rain, dtype="f8")
        for share in files.dry_below:
            drier = np.where(rain < share * mean, np.float32(0), rain)
            found.append(
                Variation(
                    *_days(drier, valid, factor),
                    weight=files.weight,
                    coarse_km=files.cell_km * size * factor,
                    hours=files.hours * steps,
                )
            )
    return [replace(one, weight=one.weight / len(found)) for one in found]


def read(name: str, files: RecordFiles) -> NDArray[np.float32]:
    """Read the rain of a record (T, H, W); NaN where it is missing."""
    path = Path(os.path.expandvars(files.file))
    if not path.is_file():
        raise UserError(
            f"records.{name}.file: found no file {path}, expected the public record; get it, or set RAINSHAFT_DATA"
        )
    with xr.open_dataset(path) as file:
        if files.variable not in file:
            raise UserError(
                f"{path}: found the variables {', '.join(map(str, file.data_vars))}, expected {files.variable}; "
                f"correct records.{name}.variable"
            )
        return file[files.variable].values.astype("f4")


def coarsened(rain_THW: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Take means over blocks of size x size cells, and leave out what is beyond the last whole block."""
    rows, columns = (extent // size for extent in rain_THW.shape[1:])
    cut = rain_THW[:, : rows * size, : columns * size]
    return cut.reshape(len(cut), rows, size, columns, size).mean((2, 4), dtype="f4")


def added_up(rain_THW: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Add up runs of steps, which overlap by half."""
    if steps == 1:
        return rain_THW
    total = np.cumsum(np.concatenate([np.zeros_like(rain_THW[:1]), rain_THW]), 0, dtype="f8")
    starts = np.arange(0, len(rain_THW) - steps + 1, steps // 2 or 1)
    return (total[starts + steps] - total[starts]).astype("f4")


def _days(rain: NDArray[np.float32], valid: NDArray[np.bool_], factor: int) -> tuple[Days, Days]:
    """Give the training steps and the validation steps with rain, in the unit of the networks."""
    rain_THW = torch.from_numpy(np.where(valid, rain, np.float32(0)))
    valid_HW = torch.from_numpy(valid.astype("f4"))
    coarse_TCyx = block_mean(rain_THW[:, None], valid_HW[None, None], factor)
    observed = np.asarray(valid.reshape(len(valid) // factor, factor, -1, factor).any((1, 3)))
    of_validation = (np.arange(len(rain)) // BLOCK) % CYCLE == 1
    unit = unit_of(coarse_TCyx[~of_validation, 0].numpy(), observed)

    def days(part: NDArray[np.bool_]) -> Days:
        chosen = torch.from_numpy(part & (coarse_TCyx.amax((1, 2, 3)).numpy() > 0))
        coarse = coarse_TCyx[chosen] / unit
        statics, context = torch.zeros(0, *valid.shape), torch.zeros(len(coarse), 0, 0, 0)
        return Days(
            rain_THW[chosen] / unit, coarse, context, NO_SEASON.expand(len(coarse), -1), statics, valid_HW, factor
        )

    return days(~of_validation), days(of_validation)


Shape = tuple[int, int]
"""rows and columns of a patch in coarse cells"""

Patch = dict[str, Tensor]
"""the fields of a `Batch` for one patch"""


def cut(days: Days, shape: Shape, rng: np.random.Generator) -> Patch:
    """Cut a patch at a random place of a random step, with rain if a few trials find some."""
    f, (rows, columns) = days.factor, shape
    for _ in range(TRIES):
        day = int(rng.integers(len(days)))
        i, j = (int(rng.integers(extent - side + 1)) for extent, side in zip(days.domain, shape, strict=True))
        coarse = days.coarse_TCyx[day, :, i : i + rows, j : j + columns]
        if coarse.any():
            break
    fine = slice(i * f, (i + rows) * f), slice(j * f, (j + columns) * f)
    return {
        "coarse_BCyx": coarse,
        "rain_B1HW": require_rain(days.rain_THW, "training")[day][None, *fine],
        "valid_B1HW": days.valid_HW[None, *fine],
        "statics_BSHW": days.statics_SHW[:, *fine],
    }


def turned(patch: Patch, rng: np.random.Generator, scale: float) -> Patch:
    """Multiply the rain of a patch, and mirror and transpose it at random: no direction is special everywhere."""
    axes = [axis for axis in (-2, -1) if rng.random() < 0.5]
    is_square = patch["coarse_BCyx"].shape[-2] == patch["coarse_BCyx"].shape[-1]
    transposed = is_square and rng.random() < 0.5
    found = {}
    for name, values in patch.items():
        values = values * scale if name in ("coarse_BCyx", "rain_B1HW") else values
        values = values.flip(axes) if axes else values
        found[name] = values.transpose(-2, -1) if transposed else values
    return found


def stacked(patches: Sequence[Patch], device: torch.device) -> Batch:
    """Make a batch of patches of one shape."""
    fields = {name: torch.stack([patch[name] for patch in patches]).to(device) for name in patches[0]}
    count = len(patches)
    context = torch.zeros(count, 0, 0, 0, device=device)
    return Batch(**fields, context_BKvu=context, season_B2=NO_SEASON.to(device).expand(count, -1))


def _weights(entries: Sequence[Variation] | Sequence[float]) -> NDArray[np.float64]:
    """Give the shares of variations or of numbers, whose sum is 1."""
    values = np.array([one.weight if isinstance(one, Variation) else one for one in entries], dtype="f8")
    return values / values.sum()


class Mix:
    """Batches from several variations. All patches of a batch have one shape.

    Each shape is drawn equally often, so that small domains with coarse cells of their own count. The weights of the
    variations act within a shape.

    Parameters
    ----------
    patch
        Side of a patch in fine cells. It is rounded down to coarse cells and to the domain of a variation.
    """

    def __init__(self, variations: Sequence[Variation], patch: int, batch_size: int, steps_per_epoch: int):
        self.variations, self.batch_size, self.steps_per_epoch = list(variations), batch_size, steps_per_epoch
        self.groups: dict[Shape, list[Variation]] = {}
        for one in variations:
            side = max(1, patch // one.train.factor)
            rows, columns = (min(side, extent) for extent in one.train.domain)
            self.groups.setdefault((rows, columns), []).append(one)
        self.valid_share = float(
            np.average([float(one.train.valid_HW.mean()) for one in variations], weights=_weights(variations))
        )

    def training(self, seed: int, step: int, device: torch.device, share: slice = slice(None)) -> Batch:
        """Cut this share of the batch of a step: patches with rain, turned, mirrored and scaled at random."""
        rng = np.random.default_rng((seed, step))
        groups = list(self.groups.items())
        shape, group = groups[rng.choice(len(groups), p=np.full(len(groups), 1 / len(groups)))]
        chosen = rng.choice(len(group), self.batch_size, p=_weights(group))
        patches = [
            turned(cut(group[i].train, shape, rng), rng, scale=float(np.exp(JITTER * rng.standard_normal())))
            for i in chosen
        ]
        return stacked(patches[share], device)

    def validation(self, device: torch.device) -> Iterator[Batch]:
        """Cut the patches of the validation, as many of each variation. They are equal in every epoch."""
        rng = np.random.default_rng(0)
        for shape, group in self.groups.items():
            for one in (one for one in group if len(one.validation)):
                yield stacked([cut(one.validation, shape, rng) for _ in range(VALIDATION_PATCHES)], device)

    def __str__(self) -> str:
        shapes = ", ".join(f"{rows} x {columns}" for rows, columns in self.groups)
        return (
            f"{len(self.variations)} variations of records, {self.steps_per_epoch} steps an epoch of {self.batch_size} "
            f"patches of {shapes} coarse cells"
        )
