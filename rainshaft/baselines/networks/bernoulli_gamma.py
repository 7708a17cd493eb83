"""A network that gives each cell its own distribution of rain: dry with some probability, else gamma (Cannon 2008).

Shapes: B days, N valid fine cells, n some of them, P principal components, C channels on the coarse grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.networks.fit import fit
from rainshaft.baselines.networks.record import Record
from rainshaft.baselines.predictors import points, principal_components
from rainshaft.data.conventions import TRAIN
from rainshaft.histogram import Array
from rainshaft.models.noise import seeded

WET = 0.1  # mm/day; below it a cell counts as dry
COMPONENTS, DAYS_PER_COMPONENT = 30, 20  # so many at most, and not more than one for 20 training days
HIDDEN, LOCAL = 32, 16  # values that the weather of a day has, and neurons for the coarse fields at a cell
DAYS, CELLS = 48, 512  # of a batch
STEPS, EVERY = 1000, 50
LR, WEIGHT_DECAY = 3e-3, 0.03
SHAPE = 0.7  # of the gamma distribution at the start of the training


class BernoulliGamma(nn.Module):
    """The probability of rain, and shape and scale of its gamma distribution, for each cell of a day.

    Each of the three is a function of the coarse fields at the cell, which is one for all cells, and of the weather of
    the day, with weights of each cell.
    """

    def __init__(self, components: int, channels: int, wet_fraction: Tensor, wet_mean: Tensor):
        super().__init__()
        self.weather = nn.Sequential(nn.Linear(components, HIDDEN), nn.Tanh())
        self.of_cell = nn.Parameter(torch.zeros(len(wet_fraction), 3, HIDDEN))
        self.base = nn.Parameter(
            torch.stack([torch.logit(wet_fraction), torch.full_like(wet_mean, np.log(SHAPE)), torch.log(wet_mean)], 1)
        )
        self.local = nn.Sequential(nn.Linear(channels, LOCAL), nn.Tanh(), nn.Linear(LOCAL, 3))

    def forward(self, weather_BP: Tensor, local_BnC: Tensor, cells_n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give the logit of the probability of rain, shape, and mean of wet cells in mm/day, each (B, n)."""
        of_day = torch.einsum("bh,nkh->bnk", self.weather(weather_BP), self.of_cell[cells_n])
        logit, shape, mean = (self.base[cells_n] + of_day + self.local(local_BnC)).unbind(-1)
        return logit, torch.exp(shape.clamp(-3, 3)), torch.exp(mean.clamp(-5, 7))


def loss_of(parameters: tuple[Tensor, Tensor, Tensor], rain: Tensor) -> Tensor:
    """Give the mean negative log likelihood of rain (B, n), mm/day."""
    logit, shape, mean = parameters
    wet = rain > WET
    amount = torch.where(wet, rain, 1.0)
    gamma = torch.distributions.Gamma(shape, shape / mean).log_prob(amount)
    return (nn.functional.binary_cross_entropy_with_logits(logit, wet.float(), reduction="none") - gamma * wet).mean()


@dataclass(frozen=True)
class Corners:
    """Bilinear interpolation of coarse fields to single fine cells, as in `methods.bilinear`."""

    places_N4: Tensor
    """the coarse cells around each fine cell, as places in the flat field"""
    weights_N4: Tensor

    @classmethod
    def of(cls, valid: Array, factor: int) -> Corners:
        """Find the corners of the valid fine cells (H, W)."""

        def along(size: int) -> tuple[Array, Array]:
            centre = np.clip((np.arange(size) + 0.5) / factor - 0.5, 0, size // factor - 1)
            first = np.minimum(np.floor(centre), max(size // factor - 2, 0)).astype(int)
            return np.stack([first, np.minimum(first + 1, size // factor - 1)], 1), centre - first

        (rows, down), (columns, right) = (along(size) for size in valid.shape)
        i, j = np.nonzero(valid)
        places = rows[i][:, :, None] * (valid.shape[1] // factor) + columns[j][:, None, :]
        weights = np.stack([1 - down[i], down[i]], 1)[:, :, None] * np.stack([1 - right[j], right[j]], 1)[:, None, :]
        return cls(torch.from_numpy(places.reshape(-1, 4)), torch.from_numpy(weights.reshape(-1, 4)).float())

    def interpolated(self, coarse_BpC: Tensor, cells_n: Tensor) -> Tensor:
        """Give coarse fields, whose cells stand in one row, at some of the fine cells (B, n, C)."""
        places, weights = self.places_N4[cells_n], self.weights_N4[cells_n]
        return (coarse_BpC[:, places] * weights[..., None]).sum(2)


class Fitted:
    """The network of a dataset, fitted to its training days. The seed gives its first weights and its batches."""

    def __init__(self, days: DaysBySplit, seed: int):
        train = days.split == TRAIN
        number = max(1, min(COMPONENTS, int(train.sum()) // DAYS_PER_COMPONENT))
        weather = principal_components(points(days, rain_weight=1.0, gradient_weight=0.0), train, number)
        record = Record.of(days)
        self.weather_TP = torch.from_numpy(weather)
        self.coarse_TpC = record.coarse_TCyx.flatten(2).transpose(1, 2).contiguous()
        self.corners = Corners.of(days.valid, days.factor)
        self.cells = torch.arange(record.rain_RN.shape[1])
        with seeded(seed):
            self.network = BernoulliGamma(weather.shape[1], self.coarse_TpC.shape[2], *climate_of(record))

        def loss_at(chosen: NDArray[np.intp], cells: Tensor) -> Tensor:
            parameters = self._parameters(record.places[chosen], cells)
            return loss_of(parameters, record.rain_RN[chosen][:, cells].float())

        def loss_of_step(step: int) -> Tensor:
            rng = np.random.default_rng([seed, step])
            cells = torch.from_numpy(rng.choice(len(self.cells), min(CELLS, len(self.cells)), replace=False))
            return loss_at(rng.choice(record.training, DAYS), cells)

        def validation_loss() -> float:
            return float(loss_at(record.validation, self.cells[:: math.ceil(len(self.cells) / CELLS)]))

        fit(self.network, loss_of_step, validation_loss, STEPS, EVERY, LR, WEIGHT_DECAY)

    def _parameters(self, places: NDArray[np.intp], cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        local = self.corners.interpolated(self.coarse_TpC[places], cells)
        found: tuple[Tensor, Tensor, Tensor] = self.network(self.weather_TP[places], local, cells)
        return found

    @torch.no_grad()
    def parameters(self, place: int) -> tuple[Array, Array, Array]:
        """Give probability of rain, shape, and mean of the wet days in mm/day of each valid cell (N,) on a day."""
        logit, shape, mean = self._parameters(np.array([place]), self.cells)
        return torch.sigmoid(logit)[0].numpy(), shape[0].numpy(), mean[0].numpy()


def climate_of(record: Record) -> tuple[Tensor, Tensor]:
    """Give the share of wet days, and the mean of wet days in mm/day, of each cell (N,), from the training days."""
    wet_days, amount = torch.zeros(record.rain_RN.shape[1]), torch.zeros(record.rain_RN.shape[1])
    for rain in record.rain_RN[record.training]:
        wet_days += rain > WET
        amount += torch.where(rain > WET, rain, 0.0)
    # one more wet day of 1 mm and one more dry day, so that no share is 0 or 1
    return (wet_days + 1) / (len(record.training) + 2), (amount + 1) / (wet_days + 1)
