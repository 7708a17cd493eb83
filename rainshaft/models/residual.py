"""A small deterministic network: coarse fields in, one fine rain field out, in mm/day.

It follows SRDRN (Wang et al. 2021, doi:10.1029/2020WR029308): residual blocks on the coarse grid, then one upsampling
convolution for each step to the fine grid. It sees the predictors and the static maps, but no context. The trial of
synthetic days trains it.

Shapes: B day or patch, C channel, S static map, H W fine grid, y x coarse grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor, nn

from rainshaft.data.patches import Batch
from rainshaft.models.grids import bilinear
from rainshaft.models.interface import PRIOR, Architecture, Generator
from rainshaft.models.noise import BatchNoise, Shape
from rainshaft.refinements import refinements


@dataclass(frozen=True)
class ResidualArchitecture(Architecture):
    """The sizes of the network."""

    width: int
    """channels of its layers"""
    blocks: int
    """residual blocks"""


class ResidualNet(Generator):
    """A network that draws one field for each day: an ensemble of one member without noise.

    The batch norm makes it see the other patches of a batch while it is trained. What it draws after `eval()` depends
    on each day alone.
    """

    kind = "residual"
    architecture: ResidualArchitecture
    mean: Tensor
    std: Tensor

    def __init__(self, architecture: ResidualArchitecture, channel_mean: Tensor, channel_std: Tensor):
        super().__init__()
        self.architecture = a = architecture
        self.rain = a.channels.index(a.rain_channel)
        self.register_buffer("mean", channel_mean.float().view(1, -1, 1, 1))
        self.register_buffer("std", channel_std.float().view(1, -1, 1, 1))

        def convolution(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(inputs, a.width, 3, padding=1), nn.BatchNorm2d(a.width), nn.PReLU())

        self.head = convolution(len(a.channels))
        self.blocks = nn.ModuleList(nn.Sequential(convolution(a.width), convolution(a.width)) for _ in range(a.blocks))
        self.upsample = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=float(step)), convolution(a.width)) for step in refinements(a.factor)
        )
        self.out = nn.Conv2d(a.width + len(a.statics), 1, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)  # so that the first forecast is the bilinear one

    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Give the one field as the prior. There is no posterior, and the numbers of members do not matter."""
        return {PRIOR: self(batch.coarse_BCyx, batch.statics_BSHW)}

    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Give the one member of each day."""
        return self(batch.coarse_BCyx, batch.statics_BSHW)

    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give an empty list, because the network is deterministic."""
        return []

    @property
    def halo(self) -> int:
        """The reach of the network in coarse cells: each 3 x 3 convolution sees one cell of its grid further."""
        cells = 1  # counted on the fine grid; the last convolution sees one
        for step in reversed(refinements(self.architecture.factor)):
            cells = math.ceil((cells + 1) / step)
        return cells + 2 * self.architecture.blocks + 1

    def forward(self, coarse_BCyx: Tensor, statics_BSHW: Tensor) -> Tensor:
        """Rain (B, 1, H, W) from predictors in their physical units and the static maps."""
        rain = coarse_BCyx[:, self.rain : self.rain + 1]
        logs = coarse_BCyx.clone()
        logs[:, self.rain] = torch.log1p(rain[:, 0])
        h = self.head((logs - self.mean) / self.std)
        for block in self.blocks:
            h = h + block(h)
        for up in self.upsample:
            h = up(h)
        smooth = bilinear(rain, self.architecture.factor)
        return F.relu(smooth + (1 + smooth) * self.out(torch.cat([h, statics_BSHW], 1)))


def build_residual(normalisation: xr.Dataset, width: int, blocks: int) -> ResidualNet:
    """Make the network of a dataset with fresh weights."""
    architecture = ResidualArchitecture(
        channels=tuple(normalisation.channel.values.tolist()),
        statics=tuple(normalisation.static.values.tolist()),
        rain_channel=normalisation.attrs["rain_channel"],
        factor=int(normalisation.attrs["factor"]),
        width=width,
        blocks=blocks,
    )
    mean, std = (torch.from_numpy(normalisation[name].values) for name in ("channel_mean", "channel_std"))
    return ResidualNet(architecture, mean, std)
