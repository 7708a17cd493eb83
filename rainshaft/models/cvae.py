"""The conditional VAE: coarse climate fields in, fine rain fields out, in mm/day.

A hierarchy of latent maps, one a scale, from the coarse grid to the fine one (Sonderby et al. 2016, "Ladder
variational autoencoders"; Child 2021, "Very deep VAEs"), fully convolutional, so that it works on any domain. It may
begin on a grid coarser yet, so that members differ over larger areas.
Dry is exactly 0 in every space the network works in: rain is log1p(mm/day) over a scale, never minus a mean,
and the output is ReLU(b + r (1 + b)) with b the bilinear coarse rain and r the network, or without coarse rain
ReLU((1 + r / 3)^3 - 1), since the cube root of rain is nearly Gaussian (Stidd 1953, "Cube-root-normal precipitation
distributions").

Shapes: B day, M member, C channel, S static map, H W fine grid, y x coarse grid; H = factor y, W = factor x;
K context channel, v u the grid of the context.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rainshaft.refinements import refinements

LOG_VARIANCE_RANGE = (-6.0, 3.0)
LEAST_SHARE_OF_MASS = 0.02  # of a coarse cell that the network itself must place; see conserve_cells
NEAR_RAIN = 0.2  # mm/day; likewise
BLOCK_REACH = 2  # cells on each side that a Block sees
CONTEXT_CHANNELS = 8, 16  # of the convolutions of a ContextEncoder
CONTEXT_WIDTH = 8  # numbers that it makes of a day; few, because a record has only some thousand days
LARGEST = 1e6  # mm/day, a stand-in for infinity


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network; kept beside the weights.

    `channels` and `statics` name the inputs, `rain_channel` the one that is coarse rain ("" for none); `context` names
    those that describe the day as a whole, on a grid of their own. `interpolate`: the decoder's state goes from scales
    coarser than the coarse grid to the next by interpolation, so that their edges do not show, and not by repetition.
    """

    channels: tuple[str, ...]
    statics: tuple[str, ...]
    rain_channel: str
    factor: int
    width: int
    d_z: tuple[int, ...]
    prior: str
    conserve: str
    context: tuple[str, ...] = ()
    coarser_scales: int = 0
    interpolate: bool = False

    def to_dict(self) -> dict:
        """As plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict) -> Architecture:
        """From what `to_dict` gave."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})

    @property
    def steps(self) -> tuple[int, ...]:
        """The refinement from each scale to the next: halvings of the coarse grid, then the factor as primes."""
        return (2,) * self.coarser_scales + refinements(self.factor)

    @property
    def scales(self) -> int:
        """How many scales there are, from the coarsest grid to the fine one."""
        return len(self.steps) + 1

    @property
    def block(self) -> int:
        """Coarse cells along the side of a cell of the coarsest scale."""
        return 2**self.coarser_scales

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the features at each scale: twice as many up to half way, where cells are few."""
        wide = self.coarser_scales + (self.scales - self.coarser_scales + 1) // 2
        return tuple(self.width * (2 if level < wide else 1) for level in range(self.scales))

    @property
    def latent_channels(self) -> tuple[int, ...]:
        """Channels of the latent map at each scale, coarse to fine; the last of `d_z` holds for all further ones."""
        return tuple(self.d_z[min(level, len(self.d_z) - 1)] for level in range(self.scales))

    def interpolates(self, level: int) -> bool:
        """Whether the decoder's state goes from this scale to the next by interpolation."""
        return self.interpolate and level < self.coarser_scales

    @property
    def reach(self) -> int:
        """How many cells of the coarsest scale away the inputs of a fine cell may lie, at most: the halo of a tile."""
        cells = 1  # of the scale at hand; the last convolution
        for level, step in zip(range(self.scales)[::-1], (1, *self.steps[::-1]), strict=True):  # through the decoder
            up = cells // step + 1 if self.interpolates(level) else math.ceil(cells / step)
            cells = up + BLOCK_REACH
        for step in (1, *self.steps):  # and through the features of x to the fine one
            cells = cells * step + BLOCK_REACH
        cells = math.ceil(cells / self.factor) + (self.factor > 1)  # the bilinear interpolation
        return math.ceil(cells / self.block)

    def latent_shapes(self, rows: int, columns: int) -> list[tuple[int, int, int]]:
        """Shape (C, h, w) of the latent map at each scale for a coarse domain of rows x columns, coarse to fine."""
        shapes, rows, columns = [], math.ceil(rows / self.block), math.ceil(columns / self.block)
        for channels, step in zip(self.latent_channels, (*self.steps, 1), strict=True):
            shapes.append((channels, rows, columns))
            rows, columns = rows * step, columns * step
        return shapes


class ChannelNorm(nn.Module):
    """Layer norm over channels, cell by cell: no cell sees another, so tiles agree at their seams (Ba et al. 2016)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, h_BCHW: Tensor) -> Tensor:
        h_BHWC = F.layer_norm(h_BCHW.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias)
        return h_BHWC.permute(0, 3, 1, 2)


class SharedConv(nn.Module):
    """One convolution over several inputs, with weights of its own for each.

    Inputs of B days are shared by the M members of a day in inputs of B M: their part is computed once a day. It is
    the convolution of all inputs stacked, without the stacking.
    """

    def __init__(self, channels: int, inputs: list[int], size: int):
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Conv2d(i, channels, size, padding=size // 2, bias=n == 0) for n, i in enumerate(inputs)
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        days = min(len(h) for h in inputs)
        parts = [conv(h).unflatten(0, (days, -1)) for conv, h in zip(self.parts, inputs, strict=True)]
        return sum(parts[1:], parts[0]).flatten(0, 1)


class Block(nn.Module):
    """Two 3 x 3 convolutions, with a norm after the first."""

    def __init__(self, channels: int, *inputs: int):
        super().__init__()
        self.first = SharedConv(channels, list(inputs), 3)
        self.norm = ChannelNorm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, *inputs: Tensor) -> Tensor:
        return F.silu(self.second(F.silu(self.norm(self.first(*inputs)))))


class Pyramid(nn.Module):
    """Features at every scale, coarse to fine."""

    def __init__(self, inputs: int, widths: tuple[int, ...], steps: tuple[int, ...]):
        super().__init__()
        self.steps = steps[::-1]
        fine_first = widths[::-1]
        self.blocks = nn.ModuleList(Block(w, i) for i, w in zip([inputs, *fine_first[:-1]], fine_first, strict=True))

    def forward(self, h: Tensor) -> list[Tensor]:
        features = []
        for level, block in enumerate(self.blocks):
            h = block(F.avg_pool2d(h, self.steps[level - 1]) if level else h)
            features.append(h)
        return features[::-1]


class ContextEncoder(nn.Module):
    """The large-scale weather of a day as a few numbers.

    Its last layer is dense over the whole map: what a low means for the rain depends on where it lies. There is no
    dropout, which would need noise of its own for a resumed training to end with the same weights.
    """

    def __init__(self, mean_Kvu: Tensor, std_K: Tensor):
        super().__init__()
        self.register_buffer("mean", mean_Kvu.float())
        self.register_buffer("std", std_K.float().view(-1, 1, 1))
        channels, rows, columns = self.mean.shape
        first, second = CONTEXT_CHANNELS
        cells = math.ceil(rows / 2) * math.ceil(columns / 2)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(second * cells, CONTEXT_WIDTH),
        )

    def forward(self, context_BKvu: Tensor) -> Tensor:
        return self.layers((context_BKvu - self.mean) / self.std)


@dataclass
class Given:
    """What the members of a day share: features of x at every scale, and its coarse rain."""

    features: list[Tensor]
    rain_B1yx: Tensor | None
    smooth_B1HW: Tensor
    valid_B1HW: Tensor


class RainCVAE(nn.Module):
    """p(y | x) as a hierarchy of latent maps z_l: prior p(z_l | z_<l, x), posterior q(z_l | z_<l, x, y).

    The decoder adds to a state that goes from scale to scale (Child 2021, section 3): without this path the coarse
    latents hardly reach the output, and the network leaves all uncertainty to the finest ones.
    The normalisation of the training days are part of the module (buffers), so the weights file says it all.
    """

    def __init__(
        self,
        architecture: Architecture,
        channel_mean: Tensor,
        channel_std: Tensor,
        rain_log_std: float,
        context_mean_Kvu: Tensor | None = None,
        context_std_K: Tensor | None = None,
    ):
        super().__init__()
        self.architecture = a = architecture
        self.register_buffer("channel_mean", channel_mean.float().view(1, -1, 1, 1))
        self.register_buffer("channel_std", channel_std.float().view(1, -1, 1, 1))
        self.register_buffer("rain_log_std", torch.tensor(float(rain_log_std)))
        widths = a.widths
        inputs = len(a.channels) + len(a.statics) + (CONTEXT_WIDTH if a.context else 0)
        self.x_pyramid = Pyramid(inputs, widths, a.steps)
        self.y_pyramid = Pyramid(inputs + 1, widths, a.steps)
        self.prior, self.posterior = nn.ModuleList(), nn.ModuleList()
        self.inject, self.decode = nn.ModuleList(), nn.ModuleList()
        for level, (width, z) in enumerate(zip(widths, a.latent_channels, strict=True)):
            below = [widths[level - 1]] if level else []  # z_<l reaches this scale through the decoder's state
            self.prior.append(SharedConv(2 * z, [width, *below], 1))
            self.posterior.append(SharedConv(2 * z, [width, width, *below], 1))
            self.inject.append(SharedConv(width, [z, *below], 1))
            self.decode.append(Block(width, width, width))
        self.out = nn.Conv2d(widths[-1], 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # the first forecast is the bilinear one
        # without coarse rain it is the same drizzle everywhere: the gradient of ReLU is 0 where its input is 0
        nn.init.constant_(self.out.bias, 0.0 if a.rain_channel else rain_log_std)
        self.context_encoder = ContextEncoder(context_mean_Kvu, context_std_K) if a.context else None

    def given(
        self, coarse_BCyx: Tensor, statics_BSHW: Tensor, valid_B1HW: Tensor, context_BKvu: Tensor | None = None
    ) -> Given:
        """What the members of these days share.

        Parameters
        ----------
        coarse_BCyx
            predictors in their physical units; the rain channel in mm/day
        statics_BSHW
            static maps, ready for the network
        valid_B1HW
            1 where rain is observed, 0 elsewhere
        context_BKvu
            the whole fields of `context` in their physical units, where the architecture has them
        """
        rain, smooth = None, torch.zeros_like(valid_B1HW)
        if self.architecture.rain_channel:
            i = self.architecture.channels.index(self.architecture.rain_channel)
            rain = coarse_BCyx[:, i : i + 1]
            smooth = bilinear(rain, self.architecture.factor)
        features = self.x_pyramid(self._whole_blocks(self._inputs(coarse_BCyx, statics_BSHW, context_BKvu)))
        return Given(features, rain, smooth, valid_B1HW)

    def observed(
        self, coarse_BCyx: Tensor, statics_BSHW: Tensor, rain_B1HW: Tensor, context_BKvu: Tensor | None = None
    ) -> list[Tensor]:
        """Features of x and the observed rain (mm/day, 0 where not valid) together, for the posterior."""
        y = torch.log1p(rain_B1HW) / self.rain_log_std
        inputs = torch.cat([self._inputs(coarse_BCyx, statics_BSHW, context_BKvu), y], 1)
        return self.y_pyramid(self._whole_blocks(inputs))

    def _whole_blocks(self, fine_BCHW: Tensor) -> Tensor:
        """Fine fields up to the next whole cell of the coarsest scale; what is at the edge is held constant."""
        block = self.architecture.block * self.architecture.factor
        rows, columns = (-extent % block for extent in fine_BCHW.shape[-2:])
        return F.pad(fine_BCHW, (0, columns, 0, rows), mode="replicate") if rows or columns else fine_BCHW

    def _inputs(self, coarse_BCyx: Tensor, statics_BSHW: Tensor, context_BKvu: Tensor | None) -> Tensor:
        """Predictors on the fine grid, normalised, static maps, and the numbers of the context on every cell."""
        fine = bilinear(coarse_BCyx, self.architecture.factor)
        if self.architecture.rain_channel:
            i = self.architecture.channels.index(self.architecture.rain_channel)
            fine = torch.cat([fine[:, :i], torch.log1p(fine[:, i : i + 1]), fine[:, i + 1 :]], 1)
        inputs = [(fine - self.channel_mean) / self.channel_std, statics_BSHW]
        if self.context_encoder is not None:
            inputs.append(self.context_encoder(context_BKvu)[:, :, None, None].expand(-1, -1, *fine.shape[-2:]))
        return torch.cat(inputs, 1)

    def forward(
        self, given: Given, noise: list[Tensor], observed: list[Tensor] | None = None, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """Draw members.

        Parameters
        ----------
        given
            from `given`, for B days
        noise
            standard normal, (B M, C, h, w) at each scale, coarse to fine; the members of a day stand together
        observed
            from `observed`, all of it or the coarsest scales alone: these are drawn from the posterior, and the finer
            ones from the prior; without it all are drawn from the prior
        temperature
            factor on the standard deviation of the latents

        Returns
        -------
        rain
            (B, M, H, W) in mm/day
        kl
            KL(q || p) at each scale of the posterior in nats, mean over days and members, (scales,); None for the prior
        """
        days = len(given.smooth_B1HW)
        members = len(noise[0]) // days
        below: list[Tensor] = []
        kls = []
        for level, fx in enumerate(given.features):
            prior = self._gaussian(self.prior[level](fx, *below))
            if self.architecture.prior == "standard":
                prior = torch.zeros_like(prior[0]), torch.zeros_like(prior[1])
            mean, log_variance = prior
            if observed is not None and level < len(observed):
                mean, log_variance = self._gaussian(self.posterior[level](fx, observed[level], *below))
                kls.append(gaussian_kl((mean, log_variance), prior).sum((1, 2, 3)).mean())
            z = draw(mean, log_variance, noise[level], temperature)
            h = self.inject[level](z, *below)
            h = h + self.decode[level](fx, h)
            if level < len(self.architecture.steps):
                finer = bilinear if self.architecture.interpolates(level) else repeat_cells
                below = [finer(h, self.architecture.steps[level])]
        r = self.out(h).float().view(days, members, *h.shape[-2:])
        rows, columns = given.valid_B1HW.shape[-2:]
        rain = self._rain(r[..., :rows, :columns], given)
        return rain, torch.stack(kls) if kls else None

    @staticmethod
    def _gaussian(head: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = head.float().chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)

    def _rain(self, r_BMHW: Tensor, given: Given) -> Tensor:
        """From the network's output to mm/day."""
        b = given.smooth_B1HW
        # Without coarse rain nothing tells the scale. The cube of Gaussian latents has the heavy tail of rain; their
        # exponential has it too, but turns a little too much spread into days with far too much rain.
        potential = b + r_BMHW * (1 + b) if given.rain_B1yx is not None else (1 + r_BMHW / 3) ** 3 - 1
        potential = potential.masked_fill(given.valid_B1HW == 0, -math.inf)
        rain = F.relu(potential)
        if self.architecture.conserve == "cells":
            assert given.rain_B1yx is not None  # the config sees to it
            rain = conserve_cells(rain, potential, given.rain_B1yx, given.valid_B1HW, self.architecture.factor)
        return rain


def draw(mean: Tensor, log_variance: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """A Gaussian of each day (B, C, h, w) and standard normal noise of its members (B M, C, h, w): the members' z.

    At the coarsest scale the Gaussian is one for all members of a day; above it each member has its own (M = 1 here).
    """
    noise_BMChw = noise.unflatten(0, (len(mean), -1))
    return (mean[:, None] + temperature * torch.exp(0.5 * log_variance)[:, None] * noise_BMChw).flatten(0, 1)


def bilinear(coarse_BCyx: Tensor, factor: int) -> Tensor:
    """Bilinear interpolation to the fine grid, (B, C, factor y, factor x); the edge is held constant."""
    if not coarse_BCyx.shape[1]:  # which PyTorch refuses
        return coarse_BCyx.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    return F.interpolate(coarse_BCyx, scale_factor=float(factor), mode="bilinear", align_corners=False)


def block_mean(fine_BCHW: Tensor, valid_B1HW: Tensor, factor: int) -> Tensor:
    """Mean over the valid cells of each coarse cell of what is 0 elsewhere, (B, C, y, x); 0 where there is none."""
    return block_sum(fine_BCHW, factor) / block_sum(valid_B1HW, factor).clamp(min=1)


def block_sum(fine_BCHW: Tensor, factor: int) -> Tensor:
    """Sum over each coarse cell, (B, C, y, x)."""
    return F.avg_pool2d(fine_BCHW, factor, divisor_override=1)


def conserve_cells(
    rain_BMHW: Tensor, potential_BMHW: Tensor, coarse_B1yx: Tensor, valid_B1HW: Tensor, factor: int
) -> Tensor:
    """Scale the fine rain so that its mean over the valid cells of each coarse cell is the coarse rain.

    Zeros stay zeros, and a dry coarse cell is dry throughout. Only where the network leaves a wet coarse cell
    (almost) empty, with less than LEAST_SHARE_OF_MASS of its rain, that share falls first on the fine cells that
    were nearest to rain: those whose potential, the output before the ReLU, is within NEAR_RAIN of the highest in
    the coarse cell. So the mass always falls somewhere, and the factor stays below 1 / LEAST_SHARE_OF_MASS.
    """

    def mean(fine: Tensor) -> Tensor:
        return block_mean(fine, valid_B1HW, factor)

    lacking = F.relu(LEAST_SHARE_OF_MASS * coarse_B1yx - mean(rain_BMHW))
    highest = repeat_cells(F.max_pool2d(potential_BMHW, factor), factor).clamp(min=-LARGEST)  # -inf: none valid
    near = F.relu(potential_BMHW - highest + NEAR_RAIN)
    rain_BMHW = rain_BMHW + near * repeat_cells(lacking / mean(near).clamp(min=1e-6), factor)
    ratio = coarse_B1yx / mean(rain_BMHW).clamp(min=1e-6)
    return rain_BMHW * repeat_cells(ratio, factor)


def repeat_cells(coarse_BCyx: Tensor, factor: int) -> Tensor:
    """Each coarse value on all its fine cells, (B, C, factor y, factor x)."""
    return F.interpolate(coarse_BCyx, scale_factor=float(factor), mode="nearest")


def gaussian_kl(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    """KL(q || p) of diagonal Gaussians given as (mean, log variance), element by element, in nats."""
    (mean_q, log_q), (mean_p, log_p) = q, p
    return 0.5 * (log_p - log_q + (log_q.exp() + (mean_q - mean_p) ** 2) / log_p.exp() - 1)
