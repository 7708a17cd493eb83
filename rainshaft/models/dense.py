"""A network that draws the coarse rain of a whole domain from the weather of the day.

Where no predictor is true rain, the rain of a coarse cell depends on the weather around it, and on where it lies. A
convolution has equal weights everywhere, so it must learn the effect of the place from maps. This network is dense:
each coarse cell has weights of its own. The weather comes in as its leading empirical orthogonal functions, because a
record has only some thousand days. Noise comes in at each layer, and at each cell, where it is partly smooth, since
neighbours err alike. The network has no latent maps and no posterior: it learns from a proper score of its members
alone. Such a network is called an engression (Shen and Meinshausen 2025, doi:10.1093/jrsssb/qkae108). Some members
take the coarse rain of a training day with alike weather instead (`models.analogs`).

Shapes: B day, M member, C channel, y x coarse grid, K context channel, v u the grid of the context, N values of all
fields of a day, P empirical orthogonal functions, F features, G coarse cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import DENSE_BATCH
from rainshaft.config.slices import TrainSettings
from rainshaft.data.conventions import TRAIN
from rainshaft.data.moments import CONSTANT
from rainshaft.data.patches import Batch, Days, require_rain
from rainshaft.models.analogs import CHOICES, POOL, Analogs
from rainshaft.models.eofs import weather_patterns
from rainshaft.models.interface import PRIOR, Architecture, Generator
from rainshaft.models.noise import PRIOR_NOISE, BatchNoise, Shape

GRADIENT_WEIGHT = 3.0  # of the gradients of a field, where no predictor is rain; as in the baseline of analogs
EOFS, DAYS_PER_EOF = 40, 20  # at most so many; the network sees not more than one for so many training days
FIRST_STD = 2.0  # standard deviation of the first component; the others keep their share of it
LEAST_STD = 0.1  # of a value, as a share of its field's: where it hardly ever rained, one wet day must not be huge
MOST_BEYOND = 1.5  # components are cut at so many times their highest value in training; nothing was learned beyond
FEATURES, LAYERS = 128, 2
NOISE = 16  # random numbers that each layer gets
CELL_NOISE = 0.35  # standard deviation of each noise of a cell before the training, in the space of the cube root
WIDTH, REACH = 1.5, 4  # of the smooth noise: standard deviation of its kernel and cells on each side, in coarse cells
OUTPUT_SHARE = 0.3  # of the usual first weights of the last layer, so that a training begins near the climate
CLIMATE_SHARE = 0.3  # of the mean rain, where a training begins; noise before the ReLU adds to it
MEMBERS, LR, WEIGHT_DECAY = 8, 2e-3, 0.05
MOST_GRADIENT = 0.2  # weight of L_crps_grad at most, and of L_crps_spectrum 0
STEPS_OF_THREE_YEARS = 25  # in an epoch; so the 24 epochs of the default are 600 steps
LEAST_STEPS, THREE_YEARS = 10, 1096
SEASON = 2  # numbers that say where in the year a day lies


@dataclass(frozen=True)
class DenseArchitecture(Architecture):
    """The sizes of the network. The factor is 1: it draws rain on the grid of the predictors."""

    rows: int
    """of the coarse grid"""
    columns: int
    values: int
    """N, of all fields of a day"""
    eofs: int
    """patterns by which analogs are found"""
    seen: int
    """how many of them, the leading ones, the network sees"""
    context: tuple[str, ...] = ()
    """names of the predictors on a grid of their own"""
    analog_days: int = 0
    """training days among which members may choose an analog"""
    analog_share: float = 0.0
    """probability that a member is an analog"""


class DenseRain(Generator):
    """p(c | x) for all coarse cells of a domain at once; c is the mean rain of a coarse cell, mm/day.

    What it needs to know of the predictors comes from the training days: see `learn_inputs`.
    """

    kind = "dense"
    # One validation year finds a best epoch long before the learning rate has fallen. Over years that were left out in
    # turn, the last weights are 1 to 2 % better.
    keeps_last = True
    strata = POOL  # so that the analogs among the members are different days
    architecture: DenseArchitecture
    mean_N: Tensor
    std_N: Tensor
    eofs_NP: Tensor
    most_P: Tensor
    kernel: Tensor
    kernel_norm_yx: Tensor

    def __init__(self, architecture: DenseArchitecture):
        super().__init__()
        self.architecture = a = architecture
        self.register_buffer("mean_N", torch.zeros(a.values))
        self.register_buffer("std_N", torch.ones(a.values))
        self.register_buffer("eofs_NP", torch.zeros(a.values, a.eofs))
        self.register_buffer("most_P", torch.zeros(a.eofs))
        cells = a.rows * a.columns
        kernel = torch.exp(-0.5 * (torch.arange(-REACH, REACH + 1) / WIDTH) ** 2)
        self.register_buffer("kernel", kernel, persistent=False)
        # of the sum over the cells that lie in the domain, so that the noise has variance 1 at its edges, too
        ones = torch.ones(1, 1, a.rows, a.columns)
        self.register_buffer("kernel_norm_yx", _along_both(ones, kernel**2)[0, 0].sqrt(), persistent=False)
        self.layers = nn.ModuleList(
            nn.Linear((FEATURES if level else a.seen + SEASON) + NOISE, FEATURES) for level in range(LAYERS)
        )
        self.out = nn.Linear(FEATURES + NOISE, cells)
        self.linear = nn.Linear(a.seen + SEASON, cells, bias=False)
        self.spread = nn.Linear(FEATURES, 2 * cells)  # of the noise of the cells, single and smooth
        self.climate = nn.Parameter(torch.zeros(cells))
        self.analogs = None
        if a.analog_share:
            self.analogs = Analogs(a.analog_days, a.eofs, cells, not a.rain_channel, a.analog_share)
        with torch.no_grad():
            self.out.weight.mul_(OUTPUT_SHARE)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.spread.weight)
            nn.init.constant_(self.spread.bias, math.log(math.expm1(CELL_NOISE)))  # softplus gives CELL_NOISE

    @torch.no_grad()
    def learn_inputs(self, days: Days) -> None:
        """Learn the climate of rain and predictors from the training days, and the leading patterns of the weather."""
        rain_TG = require_rain(days.rain_THW, "training").cpu().flatten(1)
        self.climate.copy_(3 * ((rain_TG.mean(0) * CLIMATE_SHARE + 1) ** (1 / 3) - 1))
        found_TN = self._fields(days.coarse_TCyx.cpu(), days.context_TKvu.cpu())
        self.mean_N.copy_(found_TN.mean(0))
        std_N = found_TN.std(0)
        changes_N = std_N > CONSTANT * self.mean_N.abs()
        std_N = torch.maximum(std_N, LEAST_STD * _of_fields(std_N, days))
        self.std_N.copy_(torch.where(changes_N, std_N, math.inf))  # what never changes tells nothing
        if not changes_N.any():
            if self.analogs is not None:  # then all days are alike, and the season alone tells
                self.analogs.learn(self.analogs.weather_TP, days.season_T2.cpu(), rain_TG)
            return
        anomalies_TN = (found_TN - self.mean_N) / self.std_N
        maps = [part.numpy() for part in _as_maps(anomalies_TN, days)]
        gradient_weight = 0.0 if self.architecture.rain_channel else GRADIENT_WEIGHT
        eofs_NP = torch.from_numpy(weather_patterns(maps, self.architecture.eofs, gradient_weight))
        first_std = (anomalies_TN @ eofs_NP[:, 0]).std()
        self.eofs_NP.copy_(eofs_NP * (FIRST_STD / first_std))
        components_TP = anomalies_TN @ self.eofs_NP
        self.most_P.copy_(MOST_BEYOND * components_TP.abs().amax(0))
        if self.analogs is not None:
            self.analogs.learn(components_TP, days.season_T2.cpu(), rain_TG)

    # ----------------------------------------------------------------------------------- the interface

    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Draw members of the prior; there is no posterior."""
        shapes = self.noise_shapes(*batch.coarse_BCyx.shape[-2:])
        return {PRIOR: self._drawn(batch, noise.normal(PRIOR_NOISE, shapes, prior_members), 1.0)}

    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Draw members (B, M, y, x) in mm/day."""
        rain_BMyx = self._drawn(batch, noise, temperature)
        if self.analogs is None:
            return rain_BMyx
        chance_BM2 = noise[0].unflatten(0, (len(rain_BMyx), -1)).flatten(2)[..., -CHOICES:]
        mixed_BMG = self.analogs.mixed(rain_BMyx.flatten(2), self._components(batch), batch.season_B2, chance_BM2)
        return mixed_BMG.view_as(rain_BMyx)

    def _drawn(self, batch: Batch, noise: list[Tensor], temperature: float) -> Tensor:
        """Draw members (B, M, y, x) of the network itself."""
        a = self.architecture
        days = len(batch.coarse_BCyx)
        of_layers, of_cells = (temperature * maps.unflatten(0, (days, -1)) for maps in noise)
        of_layers_BMF = of_layers.flatten(2)[..., : NOISE * (LAYERS + 1)]
        single, smooth = of_cells[..., : a.rows, : a.columns].unbind(2)
        smooth = _along_both(smooth.flatten(0, 1)[:, None], self.kernel)[:, 0] / self.kernel_norm_yx
        of_cells_BMG = torch.cat([single.flatten(2), smooth.unflatten(0, (days, -1)).flatten(2)], 2)
        weather_BP = torch.cat([self._components(batch)[:, : a.seen], batch.season_B2], 1)
        h_BMF = weather_BP[:, None].expand(-1, of_layers_BMF.shape[1], -1)
        parts = of_layers_BMF.split(NOISE, 2)
        for level, (layer, part) in enumerate(zip(self.layers, parts[:-1], strict=True)):
            grown = F.silu(layer(torch.cat([h_BMF, part], 2)))
            h_BMF = h_BMF + grown if level else grown
        r_BMG = self.climate + self.linear(weather_BP)[:, None] + self.out(torch.cat([h_BMF, parts[-1]], 2))
        r_BMG = r_BMG + sum((F.softplus(self.spread(h_BMF)) * of_cells_BMG).chunk(2, 2))
        rain_BMyx = F.relu((1 + r_BMG / 3) ** 3 - 1).unflatten(2, (a.rows, a.columns))
        return rain_BMyx * (batch.valid_B1HW > 0)

    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give the shapes of the noise of the layers and choices, and of the cells on a square around the domain."""
        return [(NOISE * (LAYERS + 1) + CHOICES, 1, 1), (2, self.block, self.block)]

    @property
    def halo(self) -> int:
        """Nothing: the whole domain is one block."""
        return 0

    @property
    def block(self) -> int:
        """The longer side of the domain, so that it is one block."""
        return max(self.architecture.rows, self.architecture.columns)

    def least_steps(self, days: int) -> int:
        """Give a record of less than three years fewer steps, since it is soon overfitted.

        600 steps were best for records of three and of eight years, and 240 for 226 days.
        """
        return max(LEAST_STEPS, round(STEPS_OF_THREE_YEARS * math.sqrt(min(1.0, days / THREE_YEARS))))

    def training_settings(self, given: TrainSettings, days: Days) -> TrainSettings:
        """Train on whole days that are not mirrored, with many in a batch, since a step costs little.

        With few days in a batch, the spread of the mean over the domain comes out too wide. Scores of differences and
        of the spectrum weigh less than for fine cells. With their full weights the tail comes out too light.
        """
        patches = {"patch": max(days.domain), "flips": False, "batch_size": DENSE_BATCH}
        train = given.train.model_copy(update={**patches, "lr": LR, "weight_decay": WEIGHT_DECAY})
        loss = given.loss.model_copy(
            update={"members": MEMBERS, "crps_grad": min(MOST_GRADIENT, given.loss.crps_grad), "crps_spectrum": 0.0}
        )
        return given.model_copy(update={"train": train, "loss": loss})

    # ------------------------------------------------------------------------------------- the network

    def _components(self, batch: Batch) -> Tensor:
        """Give the components of the weather of the days (B, P)."""
        fields_BN = self._fields(batch.coarse_BCyx, batch.context_BKvu)
        return ((fields_BN - self.mean_N) / self.std_N @ self.eofs_NP).clamp(-self.most_P, self.most_P)

    def _fields(self, coarse_BCyx: Tensor, context_BKvu: Tensor) -> Tensor:
        """Give all fields of the days as rows (B, N), coarse rain as log1p."""
        if self.architecture.rain_channel:
            i = self.architecture.channels.index(self.architecture.rain_channel)
            rain = torch.log1p(coarse_BCyx[:, i : i + 1])
            coarse_BCyx = torch.cat([coarse_BCyx[:, :i], rain, coarse_BCyx[:, i + 1 :]], 1)
        return torch.cat([coarse_BCyx.flatten(1), context_BKvu.flatten(1)], 1)


def _as_maps(values_TN: Tensor, days: Days) -> list[Tensor]:
    """Lay out all values of days as the fields on the coarse grid and those on the grid of the context."""
    maps, first = [], 0
    for given in (days.coarse_TCyx, days.context_TKvu):
        size = given[0].numel()
        maps.append(values_TN[:, first : first + size].unflatten(1, given.shape[1:]))
        first += size
    return maps


def _of_fields(std_N: Tensor, days: Days) -> Tensor:
    """Give each value the root mean square of the standard deviations of its field."""
    maps = _as_maps(std_N[None], days)
    return torch.cat([m.square().mean((-2, -1), keepdim=True).sqrt().expand_as(m).flatten() for m in maps])


def _along_both(maps_B1yx: Tensor, kernel: Tensor) -> Tensor:
    """Sum over the neighbours along rows and columns, weighted by a kernel; there is nothing beyond the edges."""
    reach = len(kernel) // 2
    rows = F.conv2d(maps_B1yx, kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))


def build_dense(normalisation: xr.Dataset, analog_share: float) -> DenseRain:
    """Make the network of a dataset with fresh weights. It must still learn its inputs."""
    channels = tuple(normalisation.channel.values.tolist())
    context = tuple(normalisation.context_channel.values.tolist())
    factor = int(normalisation.attrs["factor"])
    rows, columns = (size // factor for size in normalisation.valid.shape)
    values = len(channels) * rows * columns + normalisation.context_mean.size
    training_days = int((normalisation.split == TRAIN).sum())
    eofs = max(1, min(EOFS, training_days - 1, values - 1))
    architecture = DenseArchitecture(
        channels=channels,
        statics=(),
        rain_channel=normalisation.attrs["rain_channel"],
        factor=1,
        rows=rows,
        columns=columns,
        values=values,
        eofs=eofs,
        seen=max(1, min(eofs, training_days // DAYS_PER_EOF)),
        context=context,
        analog_days=training_days if analog_share else 0,
        analog_share=analog_share,
    )
    return DenseRain(architecture)


def restore_dense(architecture: dict[str, Any], weights: dict[str, Tensor]) -> DenseRain:
    """Make a network from its sizes in model.json and its weights."""
    network = DenseRain(DenseArchitecture.from_dict(architecture))
    network.load_state_dict(weights)
    return network
