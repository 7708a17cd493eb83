"""A small deterministic U-Net (Ronneberger et al. 2015): coarse fields in, one fine field of rain out.

Shapes: B day or patch, C channel, S static map, H W fine grid, y x coarse grid, N valid fine cells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.networks.fit import fit
from rainshaft.baselines.networks.record import Record
from rainshaft.histogram import Array
from rainshaft.models.grids import bilinear
from rainshaft.models.noise import seeded

WIDTHS = 16, 32, 48  # channels at each scale; each is half as fine as the one before
PATCH, BATCH = 64, 8  # side of a patch in fine cells, and patches of a step
STEPS, EVERY = 600, 50
LR, WEIGHT_DECAY = 3e-3, 0.01
VALIDATION_DAYS = 32  # at most, spread evenly


class UNet(nn.Module):
    """A network that gives one map of the size of its input, which may be any."""

    def __init__(self, inputs: int):
        super().__init__()
        self.down = nn.ModuleList(
            _convolutions(before, after) for before, after in zip((inputs, *WIDTHS), WIDTHS, strict=False)
        )
        self.up = nn.ModuleList(
            _convolutions(below + beside, beside) for below, beside in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(WIDTHS[0], 1, 1)
        nn.init.zeros_(self.last.weight)

    def forward(self, fields_BCHW: Tensor) -> Tensor:
        """Give one map (B, H, W) of any size."""
        beside: list[Tensor] = []
        values = fields_BCHW
        for number, convolutions in enumerate(self.down):
            values = convolutions(max_pool2d(values, 2, ceil_mode=True) if number else values)
            beside.append(values)
        beside.pop()
        for convolutions in self.up:
            finer = beside.pop()
            values = convolutions(torch.cat([interpolate(values, finer.shape[-2:], mode="nearest"), finer], 1))
        found: Tensor = self.last(values)[:, 0]
        return found


def _convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate"),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, padding_mode="replicate"),
        nn.ReLU(),
    )


class Fitted:
    """The network of a dataset, fitted to its training days. The seed gives its first weights and its batches."""

    def __init__(self, days: DaysBySplit, seed: int):
        self.record = record = Record.of(days)
        self.factor = days.factor
        self.statics_SHW = torch.from_numpy(days.static_maps)
        self.valid_HW = torch.from_numpy(days.valid)
        height, width = (min(size, max(PATCH, days.factor)) for size in days.valid.shape)
        with seeded(seed):
            self.network = UNet(record.coarse_TCyx.shape[1] + len(self.statics_SHW))

        def loss_of_step(step: int) -> Tensor:
            rng = np.random.default_rng([seed, step])
            chosen = rng.choice(record.training, BATCH)
            row, column = (
                int(rng.integers(size - n + 1)) for size, n in zip(days.valid.shape, (height, width), strict=True)
            )
            return self._loss(chosen, np.s_[row : row + height, column : column + width])

        def validation_loss() -> float:
            number = min(VALIDATION_DAYS, len(record.validation))
            some = record.validation[np.linspace(0, len(record.validation) - 1, number).round().astype(int)]
            return float(np.mean([float(self._loss(day, np.s_[:, :])) for day in some.reshape(-1, 1)]))

        fit(self.network, loss_of_step, validation_loss, STEPS, EVERY, LR, WEIGHT_DECAY)

    def _loss(self, chosen: NDArray[np.intp], part: tuple[slice, slice]) -> Tensor:
        """Give the mean squared error of log1p of the rain, over the valid cells of a part of some of the R days."""
        truth = torch.zeros(len(chosen), *self.valid_HW.shape)
        truth[:, self.valid_HW] = self.record.rain_RN[chosen].float()
        valid = self.valid_HW[part]
        error = self._logarithm(self.record.places[chosen], part) - torch.log1p(truth[:, *part])
        return error[:, valid].square().sum() / max(1, len(chosen) * int(valid.sum()))

    def _logarithm(self, places: NDArray[np.intp], part: tuple[slice, slice]) -> Tensor:
        """Give log1p of the rain of some days, on a part of the fine grid; it may be below 0."""
        coarse = bilinear(self.record.coarse_TCyx[places], self.factor)[..., *part]
        statics = self.statics_SHW[:, *part].expand(len(places), -1, -1, -1)
        found: Tensor = self.network(torch.cat([coarse, statics], 1))
        return found

    @torch.no_grad()
    def rain(self, place: int) -> Array:
        """Give the rain of a day (H, W), mm/day."""
        found: Array = torch.expm1(self._logarithm(np.array([place]), np.s_[:, :]).clamp(min=0))[0].numpy()
        return found
