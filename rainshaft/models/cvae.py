"""The conditional VAE: coarse climate fields in, fine rain fields out, in mm/day.

The network has one latent map at each scale, from the coarse grid to the fine one (Sonderby et al. 2016, "Ladder
variational autoencoders"; Child 2021, "Very deep VAEs"). It is fully convolutional, so it works on any domain. The
latent maps may begin on a grid that is coarser than the coarse one, so that members differ over larger areas.

Dry is exactly 0 in every space in which the network works. Rain goes in as log1p(mm/day), divided by a scale. No mean
is subtracted. With coarse rain the output is ReLU(b + r (1 + b)), where b is the bilinear coarse rain and r is what the
network gives. Without coarse rain it is ReLU((1 + r / 3)^3 - 1), because the cube root of rain is nearly
Gaussian (Stidd 1953, "Cube-root-normal precipitation distributions").

Shapes: B day, M member, C channel, S static map, H W fine grid, y x coarse grid; H = factor y, W = factor x;
K context channel, v u the grid of the context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
import xarray as xr
from torch import Tensor, nn

from rainshaft.config.sections import Model
from rainshaft.data.patches import Batch, require_rain
from rainshaft.models.dense import DenseRain, build_dense
from rainshaft.models.grids import bilinear, block_mean, block_sum, repeat_cells
from rainshaft.models.interface import KL, POSTERIOR, PRIOR, Architecture, Generator
from rainshaft.models.noise import POSTERIOR_NOISE, PRIOR_NOISE, BatchNoise, Shape
from rainshaft.refinements import refinements

LOG_VARIANCE_RANGE = (-6.0, 3.0)
LEAST_SHARE_OF_MASS = 0.02  # of a coarse cell; `conserve_cells` says what it is for
NEAR_RAIN = 0.2  # of 1 mm/day + coarse rain; `conserve_cells` says what it is for
SMOOTHINGS = 3  # of the factors of `conserve_cells`
LEAST_RAIN, LARGEST_LOG_RATIO = 1e-6, 3.0  # mm/day, and a factor of 20; they keep logarithms finite
BLOCK_REACH = 2  # cells on each side that a Block sees
CONTEXT_CHANNELS = 8, 16  # channels of the two convolutions of a ContextEncoder
CONTEXT_WIDTH = 8  # numbers that describe a day; few, because a record has only some thousand days
LARGEST = 1e6  # mm/day, a stand-in for infinity
COARSE_RAIN = "coarse rain"  # the only predictor of the second network of a chain


@dataclass(frozen=True)
class CVAEArchitecture(Architecture):
    """The sizes of the network. See `Model` in the configuration for those that a user sets."""

    width: int
    d_z: tuple[int, ...]
    prior: str
    conserve: str
    context: tuple[str, ...] = ()
    """names of the predictors that describe the day as a whole, on a grid of their own"""
    coarser_scales: int = 0
    unit: float = 1.0
    """mm/day that the network takes for 1, so that it can refine a drizzle and a monsoon alike"""
    interpolate: bool = False
    """The decoder's state goes from a scale coarser than the coarse grid to the next by interpolation, not by
    repetition. So the edges of its large cells do not show."""
    smoothings: int = 0
    """how often the factors of `conserve_cells` are interpolated before each cell is scaled by itself"""

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
        """Channels of the features at each scale: twice as many on the coarser half, where cells are few."""
        wide = self.coarser_scales + (self.scales - self.coarser_scales + 1) // 2
        return tuple(self.width * (2 if level < wide else 1) for level in range(self.scales))

    @property
    def latent_channels(self) -> tuple[int, ...]:
        """Channels of the latent map at each scale, coarse to fine. The last of `d_z` holds for all finer scales."""
        return tuple(self.d_z[min(level, len(self.d_z) - 1)] for level in range(self.scales))

    def interpolates(self, level: int) -> bool:
        """Tell whether the decoder's state goes from this scale to the next by interpolation."""
        return self.interpolate and level < self.coarser_scales

    @property
    def reach(self) -> int:
        """How far away the inputs of a fine cell may lie, in cells of the coarsest scale: the halo of a tile."""
        # Counted on the grid of the current scale. The last convolution sees one, and an interpolated factor of
        # `conserve_cells` sees the next coarse cell.
        cells = 1 + self.smoothings * self.factor
        for level, step in zip(range(self.scales)[::-1], (1, *self.steps[::-1]), strict=True):  # through the decoder
            up = cells // step + 1 if self.interpolates(level) else math.ceil(cells / step)
            cells = up + BLOCK_REACH
        for step in (1, *self.steps):  # and through the features of x back to the fine grid
            cells = cells * step + BLOCK_REACH
        cells = math.ceil(cells / self.factor) + (self.factor > 1)  # the bilinear interpolation
        return math.ceil(cells / self.block)

    def latent_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give the shape (C, h, w) of the latent map at each scale, coarse to fine, for a coarse domain."""
        shapes, rows, columns = [], math.ceil(rows / self.block), math.ceil(columns / self.block)
        for channels, step in zip(self.latent_channels, (*self.steps, 1), strict=True):
            shapes.append((channels, rows, columns))
            rows, columns = rows * step, columns * step
        return shapes


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each cell (Ba et al. 2016). No cell sees another, so tiles agree at seams."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, h_BCHW: Tensor) -> Tensor:
        h_BHWC = F.layer_norm(h_BCHW.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias)
        return h_BHWC.permute(0, 3, 1, 2)


class SharedConv(nn.Module):
    """One convolution over several inputs, with its own weights for each.

    An input has either one field for each day (B) or one for each member (B M). The result equals a
    convolution of all inputs stacked. But an input with one field a day is convolved once, and its members share the
    result.
    """

    def __init__(self, channels: int, inputs: list[int], size: int):
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Conv2d(i, channels, size, padding=size // 2, bias=n == 0) for n, i in enumerate(inputs)
        )

    def forward(self, days: int, *inputs: Tensor) -> Tensor:
        parts = [conv(h).unflatten(0, (days, -1)) for conv, h in zip(self.parts, inputs, strict=True)]
        return sum(parts[1:], parts[0]).flatten(0, 1)


class Block(nn.Module):
    """Two 3 x 3 convolutions, with a norm after the first."""

    def __init__(self, channels: int, *inputs: int):
        super().__init__()
        self.first = SharedConv(channels, list(inputs), 3)
        self.norm = ChannelNorm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, days: int, *inputs: Tensor) -> Tensor:
        return F.silu(self.second(F.silu(self.norm(self.first(days, *inputs)))))


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
            h = block(len(h), F.avg_pool2d(h, self.steps[level - 1]) if level else h)
            features.append(h)
        return features[::-1]


class ContextEncoder(nn.Module):
    """The large-scale weather of a day as a few numbers.

    The last layer is dense over the whole map, because what an area of low pressure means for the rain depends on
    where it lies. There is no dropout. It would need noise with a key, so that a resumed training ends with the weights
    of an undisturbed one.
    """

    mean: Tensor
    std: Tensor

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
    """What the members of a day share."""

    features: list[Tensor]
    """of the predictors, at every scale"""
    rain_B1yx: Tensor | None
    """the coarse rain in the unit of the network, where the predictors have it"""
    smooth_B1HW: Tensor
    """bilinear interpolation of the coarse rain; 0 where there is none"""
    valid_B1HW: Tensor


class RainCVAE(Generator):
    """p(y | x) as a hierarchy of latent maps z_l: prior p(z_l | z_<l, x), posterior q(z_l | z_<l, x, y).

    The decoder adds to a state that goes from scale to scale (Child 2021, section 3). Without this path the coarse
    latents hardly reach the output, and the network leaves all uncertainty to the finest ones.

    The means and standard deviations of the predictors are buffers, so they are in the file of the weights. The static
    maps and the valid cells are not: they are in normalisation.nc.
    """

    kind = "cvae"
    architecture: CVAEArchitecture
    channel_mean: Tensor
    channel_std: Tensor
    rain_log_std: Tensor

    def __init__(
        self,
        architecture: CVAEArchitecture,
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
        self.prior.requires_grad_(a.prior == "learned")  # the standard prior does not use these weights
        self.out = nn.Conv2d(widths[-1], 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # so that the first forecast is the bilinear one
        # Without coarse rain the first forecast is an even drizzle. It must not be 0, where ReLU has no gradient.
        assert self.out.bias is not None  # by its type a convolution may have no bias
        nn.init.constant_(self.out.bias, 0.0 if a.rain_channel else rain_log_std)
        self.context_encoder = None
        if a.context:
            assert context_mean_Kvu is not None, "a context needs its mean"
            assert context_std_K is not None, "a context needs its standard deviation"
            self.context_encoder = ContextEncoder(context_mean_Kvu, context_std_K)

    def leave_posterior(self) -> None:
        """Give the posterior and the features of the observed rain no gradient."""
        self.posterior.requires_grad_(False)
        self.y_pyramid.requires_grad_(False)

    @torch.no_grad()
    def begin_posterior_as_prior(self) -> None:
        """Let the posterior be the prior, blind to the observed rain, where only the prior has been trained.

        Otherwise the divergence of an untrained posterior would soon spoil the prior.
        """
        for prior, posterior in zip(self.prior, self.posterior, strict=True):
            of_predictors, of_observation, *of_below = cast("SharedConv", posterior).parts
            for mine, theirs in zip([of_predictors, *of_below], cast("SharedConv", prior).parts, strict=True):
                mine.load_state_dict(theirs.state_dict())
            for parameter in of_observation.parameters():
                nn.init.zeros_(parameter)

    # ----------------------------------------------------------------------------------- the interface

    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Draw members of the posterior and of the prior, as many as are asked for."""
        shapes, given = self.noise_shapes(*batch.coarse_BCyx.shape[-2:]), self._given(batch)
        drawn = {}
        if posterior_members:
            observed = self._observed(batch)
            variations, kl = self(given, noise.normal(POSTERIOR_NOISE, shapes, posterior_members), observed)
            drawn = {POSTERIOR: variations, KL: torch.stack(kl)}
        if prior_members:
            drawn[PRIOR] = self(given, noise.normal(PRIOR_NOISE, shapes, prior_members))[0]
        return drawn

    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Draw members: 0 where rain is not valid."""
        observed = self._observed(batch)[:observed_scales] if observed_scales else None
        return self(self._given(batch), noise, observed, temperature)[0]

    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give the shapes of the latent maps, coarse to fine."""
        return self.architecture.latent_shapes(rows, columns)

    @property
    def halo(self) -> int:
        """The reach of the network."""
        return self.architecture.reach

    @property
    def block(self) -> int:
        """Coarse cells along the side of a cell of the coarsest scale."""
        return self.architecture.block

    @property
    def scales(self) -> int:
        """How many latent maps there are."""
        return self.architecture.scales

    # ------------------------------------------------------------------------------------- the network

    def _given(self, batch: Batch) -> Given:
        return self.encode_predictors(batch.coarse_BCyx, batch.statics_BSHW, batch.valid_B1HW, batch.context_BKvu)

    def _observed(self, batch: Batch) -> list[Tensor]:
        rain_B1HW = require_rain(batch.rain_B1HW, "the posterior")
        return self.encode_observation(batch.coarse_BCyx, batch.statics_BSHW, rain_B1HW, batch.context_BKvu)

    def encode_predictors(
        self, coarse_BCyx: Tensor, statics_BSHW: Tensor, valid_B1HW: Tensor, context_BKvu: Tensor | None = None
    ) -> Given:
        """Make what the members of these days share.

        Parameters
        ----------
        coarse_BCyx
            Predictors in their physical units; the rain channel in mm/day.
        statics_BSHW
            Static maps, of order 1.
        valid_B1HW
            1 where rain is observed, 0 elsewhere.
        context_BKvu
            The whole fields of the context in their physical units, where the architecture has them.
        """
        coarse_BCyx = self._in_unit(coarse_BCyx)
        rain, smooth = None, torch.zeros_like(valid_B1HW)
        if self.architecture.rain_channel:
            i = self.architecture.channels.index(self.architecture.rain_channel)
            rain = coarse_BCyx[:, i : i + 1]
            smooth = bilinear(rain, self.architecture.factor)
        features = self.x_pyramid(self._whole_blocks(self._inputs(coarse_BCyx, statics_BSHW, context_BKvu)))
        return Given(features, rain, smooth, valid_B1HW)

    def encode_observation(
        self, coarse_BCyx: Tensor, statics_BSHW: Tensor, rain_B1HW: Tensor, context_BKvu: Tensor | None = None
    ) -> list[Tensor]:
        """Make the features of predictors and observed rain together, at every scale, for the posterior.

        The rain is in mm/day, and 0 where it is not valid.
        """
        y = torch.log1p(rain_B1HW / self.architecture.unit) / self.rain_log_std
        inputs = torch.cat([self._inputs(self._in_unit(coarse_BCyx), statics_BSHW, context_BKvu), y], 1)
        return self.y_pyramid(self._whole_blocks(inputs))

    def _in_unit(self, coarse_BCyx: Tensor) -> Tensor:
        """Count the coarse rain in the unit of the network."""
        a = self.architecture
        if a.unit == 1 or not a.rain_channel:
            return coarse_BCyx
        i = a.channels.index(a.rain_channel)
        return torch.cat([coarse_BCyx[:, :i], coarse_BCyx[:, i : i + 1] / a.unit, coarse_BCyx[:, i + 1 :]], 1)

    def _whole_blocks(self, fine_BCHW: Tensor) -> Tensor:
        """Extend fine fields to the next whole cell of the coarsest scale; the values at the edge are repeated."""
        block = self.architecture.block * self.architecture.factor
        rows, columns = (-extent % block for extent in fine_BCHW.shape[-2:])
        return F.pad(fine_BCHW, (0, columns, 0, rows), mode="replicate") if rows or columns else fine_BCHW

    def _inputs(self, coarse_BCyx: Tensor, statics_BSHW: Tensor, context_BKvu: Tensor | None) -> Tensor:
        """Stack normalised predictors on the fine grid, static maps, and the numbers of the context on every cell."""
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
    ) -> tuple[Tensor, list[Tensor]]:
        """Draw members.

        Parameters
        ----------
        given
            From `encode_predictors`, for B days.
        noise
            Standard normal, (B M, C, h, w) at each scale, coarse to fine. The members of a day stand together.
        observed
            From `encode_observation`, all of it or the coarsest scales alone. These scales are drawn from the posterior
            and the finer ones from the prior. Without `observed`, all scales are drawn from the prior.
        temperature
            Factor on the standard deviation of the latents.

        Returns
        -------
        rain
            (B, M, H, W) in mm/day.
        kl
            KL(q || p) in nats, mean over days and members, at each scale that is drawn from the posterior.
        """
        days = len(given.smooth_B1HW)
        members = len(noise[0]) // days
        below: list[Tensor] = []
        kl = []
        for level, fx in enumerate(given.features):
            prior = self._gaussian(self.prior[level](days, fx, *below))
            if self.architecture.prior == "standard":
                prior = torch.zeros_like(prior[0]), torch.zeros_like(prior[1])
            mean, log_variance = prior
            if observed is not None and level < len(observed):
                mean, log_variance = self._gaussian(self.posterior[level](days, fx, observed[level], *below))
                kl.append(gaussian_kl((mean, log_variance), prior).sum((1, 2, 3)).mean())
            z = sample_latent(mean, log_variance, noise[level], temperature)
            h = self.inject[level](days, z, *below)
            h = h + self.decode[level](days, fx, h)
            if level < len(self.architecture.steps):
                finer = bilinear if self.architecture.interpolates(level) else repeat_cells
                below = [finer(h, self.architecture.steps[level])]
        r = self.out(h).float().view(days, members, *h.shape[-2:])
        rows, columns = given.valid_B1HW.shape[-2:]
        return self._rain(r[..., :rows, :columns], given), kl

    @staticmethod
    def _gaussian(head: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = head.float().chunk(2, 1)
        return mean, log_variance.clamp(*LOG_VARIANCE_RANGE)

    def _rain(self, r_BMHW: Tensor, given: Given) -> Tensor:
        """Turn the network's output into mm/day."""
        b = given.smooth_B1HW
        # Without coarse rain nothing tells the scale. The cube of Gaussian latents has the heavy tail of rain. Their
        # exponential has it too, but it turns a little too much spread into days with far too much rain.
        potential = b + r_BMHW * (1 + b) if given.rain_B1yx is not None else (1 + r_BMHW / 3) ** 3 - 1
        potential = potential.masked_fill(given.valid_B1HW == 0, -math.inf)
        rain = F.relu(potential)
        if self.architecture.conserve == "cells":
            assert given.rain_B1yx is not None  # the configuration refuses `cells` without coarse rain
            a = self.architecture
            rain = conserve_cells(rain, potential, given.rain_B1yx, given.valid_B1HW, a.factor, a.smoothings)
        return rain if self.architecture.unit == 1 else rain * self.architecture.unit


def build_cvae(settings: Model, normalisation: xr.Dataset) -> list[Generator]:
    """Make the networks of a dataset with fresh weights. There are two with `conserve: drawn`, and else one."""
    log_std = float(normalisation.rain_log_std)
    channels = _tensors(normalisation, "channel_mean", "channel_std")
    context = _tensors(normalisation, "context_mean", "context_std")
    whole = CVAEArchitecture(
        channels=tuple(normalisation.channel.values.tolist()),
        statics=tuple(normalisation.static.values.tolist()),
        rain_channel=normalisation.attrs["rain_channel"],
        factor=int(normalisation.attrs["factor"]),
        width=settings.width,
        d_z=settings.d_z,
        prior=settings.prior,
        conserve=settings.conserve,
        context=tuple(normalisation.context_channel.values.tolist()),
        coarser_scales=settings.coarser_scales,
        smoothings=SMOOTHINGS if settings.conserve != "none" else 0,
    )
    if settings.conserve != "drawn":
        return [RainCVAE(whole, *channels, log_std, *context)]
    fine = replace(
        whole, channels=(COARSE_RAIN,), rain_channel=COARSE_RAIN, conserve="cells", context=(), coarser_scales=0
    )
    mean, std = torch.zeros(1), torch.full((1,), log_std)  # a channel of rain has the mean 0, so that dry is 0
    return [_coarse(settings, whole, normalisation), RainCVAE(fine, mean, std, log_std)]


def _coarse(settings: Model, whole: CVAEArchitecture, normalisation: xr.Dataset) -> Generator:
    """Make the network that draws the coarse rain."""
    if settings.coarse == DenseRain.kind:
        return build_dense(normalisation, settings.analogs)
    # The next network adds the detail, so the states of this one may be interpolated. One network alone is sharper with
    # repeated states.
    architecture = replace(whole, factor=1, conserve="none", interpolate=True, smoothings=0)
    channels = _tensors(normalisation, "channel_mean", "channel_std")
    context = _tensors(normalisation, "context_mean", "context_std")
    return RainCVAE(architecture, *channels, float(normalisation.rain_log_std), *context)


def restore_cvae(architecture: dict[str, Any], weights: dict[str, Tensor]) -> Generator:
    """Make a network from its sizes in model.json and its weights."""
    moments = weights["channel_mean"].ravel(), weights["channel_std"].ravel(), 1.0
    context = weights.get("context_encoder.mean"), weights.get("context_encoder.std")
    network = RainCVAE(CVAEArchitecture.from_dict(architecture), *moments, *context)
    network.load_state_dict(weights)
    return network


def _tensors(normalisation: xr.Dataset, first: str, second: str) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(normalisation[first].values), torch.from_numpy(normalisation[second].values)


def sample_latent(mean: Tensor, log_variance: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """Draw the latents of members (B M, C, h, w) from Gaussians and standard normal noise (B M, C, h, w).

    At the coarsest scale all members of a day share one Gaussian (B, C, h, w). At the finer scales each member has its
    own (B M, C, h, w), because it depends on what was drawn before.
    """
    noise_BMChw = noise.unflatten(0, (len(mean), -1))
    return (mean[:, None] + temperature * torch.exp(0.5 * log_variance)[:, None] * noise_BMChw).flatten(0, 1)


def conserve_cells(
    rain_BMHW: Tensor,
    potential_BMHW: Tensor,
    coarse_B1yx: Tensor,
    valid_B1HW: Tensor,
    factor: int,
    smoothings: int,
) -> Tensor:
    """Scale the fine rain so that its mean over the valid cells of each coarse cell is the coarse rain.

    Zeros stay zeros, and a dry coarse cell is dry throughout. Two things need care.

    A wet coarse cell may be left (almost) empty by the network, with less than LEAST_SHARE_OF_MASS of its rain. There
    that share is first laid on the fine cells that were nearest to rain. These are the cells whose potential, the
    output before the ReLU, is within NEAR_RAIN (1 + coarse rain) of the highest in the coarse cell. So the mass always
    falls somewhere, and no factor is huge. The network works in the same unit, 1 + coarse rain. So the gradient of an
    empty cell is no larger than that of others.

    Where each cell has a factor of its own, the edges of the cells show. So the rain is first scaled by factors that
    are interpolated between the centres of the wet cells, as often as `smoothings` says. The last factors, of each
    cell by itself, are then near 1.
    """

    def mean(fine: Tensor) -> Tensor:
        return block_mean(fine, valid_B1HW, factor)

    lacking = F.relu(LEAST_SHARE_OF_MASS * coarse_B1yx - mean(rain_BMHW))
    highest = repeat_cells(F.max_pool2d(potential_BMHW, factor), factor).clamp(min=-LARGEST)  # not -inf
    near = F.relu(potential_BMHW - highest + NEAR_RAIN * (1 + repeat_cells(coarse_B1yx, factor)))
    rain_BMHW = rain_BMHW + near * repeat_cells(lacking / mean(near).clamp(min=1e-6), factor)
    if smoothings:
        wet_B1yx = ((coarse_B1yx > 0) & (block_sum(valid_B1HW, factor) > 0)).to(coarse_B1yx.dtype)
        weight_B1HW = bilinear(wet_B1yx, factor).clamp(min=1e-6)
    for _ in range(smoothings):
        log_ratio = torch.log((coarse_B1yx + LEAST_RAIN) / (mean(rain_BMHW) + LEAST_RAIN)) * wet_B1yx
        log_ratio = log_ratio.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
        rain_BMHW = rain_BMHW * torch.exp(bilinear(log_ratio, factor) / weight_B1HW)
    ratio = coarse_B1yx / mean(rain_BMHW).clamp(min=1e-6)
    return rain_BMHW * repeat_cells(ratio, factor)


def gaussian_kl(q: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> Tensor:
    """KL(q || p) of diagonal Gaussians given as (mean, log variance), element by element, in nats."""
    (mean_q, log_q), (mean_p, log_p) = q, p
    return 0.5 * (log_p - log_q + (log_q.exp() + (mean_q - mean_p) ** 2) / log_p.exp() - 1)
