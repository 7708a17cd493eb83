"""A diffusion model as a peer of an experiment, trained for a given time: a small CorrDiff.

    python benchmarks/diffusion.py CONFIG EXPERIMENT SECONDS FOLDER

As in CorrDiff (Mardani et al. 2023, arXiv:2309.15214), a U-Net learns the mean of the fine rain given the predictors,
and a diffusion model draws what is left over. The diffusion model is EDM (Karras et al. 2022, "Elucidating the design
space of diffusion-based generative models"): its preconditioning, weights, noise levels and Heun sampler. Both networks
work on a power or a logarithm of the rain.

The peer gets what the experiment gets: its data, patches, flips, batches, seed, members and pixel threshold. SECONDS is
the CPU time of its training, over all threads, and the learning rate falls along it. The workflow has that of an
experiment as `cpu_time` in RESULTS/benchmarks/train_model/EXPERIMENT.jsonl. The data must be there
(`snakemake RESULTS/data/DATASET/normalisation.nc`). Drawing members takes longer than a short training.

It writes to FOLDER the members of all validation and test days:

- `raw.nc`: as the networks draw them.
- `mass.nc`: scaled to the coarse rain, as with `conserve: cells`. Only where the experiment has `conserve: cells`.
- `log.json`: losses, steps, parameters, and CPU seconds of training and drawing.

An ensemble is scored as an experiment with `source: files`. The settings below were chosen on validation days.

Shapes: B day or patch, M member, C channel, S static map, H W fine grid, y x coarse grid; H = factor y, W = factor x.
"""

from __future__ import annotations

import itertools
import logging
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from rainshaft import __version__
from rainshaft.baselines import table
from rainshaft.config.load import check_files, load
from rainshaft.config.sections import Experiment, Train
from rainshaft.config.slices import ThresholdSettings, experiment_slice
from rainshaft.data.conventions import TEST, TRAIN, VALIDATION
from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.patches import (
    Batch,
    Days,
    Patches,
    days_of,
    load_days,
    require_rain,
    training_batch,
    validation_batches,
)
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble, write_json
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import CONTEXT_WIDTH, ChannelNorm, ContextEncoder, conserve_cells
from rainshaft.models.device import placed
from rainshaft.models.grids import bilinear, repeat_cells
from rainshaft.models.interface import PRIOR, Architecture, Generator
from rainshaft.models.noise import PRIOR_NOISE, BatchNoise, Shape, seeded
from rainshaft.sampling.draw import day_noise
from rainshaft.sampling.sample import days_since_1850
from rainshaft.sampling.threshold import apply_threshold
from rainshaft.training.optimiser import Optimiser

log = logging.getLogger("rainshaft")

ERROR = "error"  # of each patch: what a training minimises
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    """What was chosen on validation days, and what EDM takes as its defaults."""

    width: int = 16
    """channels on the fine grid; twice as many on the coarser ones"""
    space: str = "cube root"
    """what the networks see of the rain: a key of `SPACES`"""
    lr: float = 6e-3
    """highest learning rate of Muon and of AdamW"""
    mean_share: float = 0.25
    """share of the time in which the mean is learned"""
    sigma_mean: float = -0.5
    """mean of ln(sigma) in training: -1.2 in EDM, whose data have a standard deviation of 0.5; here it is 1"""
    sigma_std: float = 1.2
    """standard deviation of ln(sigma) in training"""
    steps: int = 18
    """of the sampler; each but the last evaluates the network twice"""


DEFAULTS = Settings()


SPACES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "log": (torch.log1p, torch.expm1),
    "square root": (torch.sqrt, lambda v: v * v.abs()),
    "cube root": (lambda rain: rain ** (1 / 3), lambda v: v**3),
}
"""From rain of 0 mm/day or more to what the networks see, and back. Values below 0 come back as values below 0."""

# ------------------------------------------------------------------------------------------- networks

LEVELS = 3  # of the U-Net, each half as fine as the one before
EMBEDDING = 64  # numbers that describe a noise level
DEEPEST = 2 ** (LEVELS - 1)  # fine cells along a cell of the coarsest level


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the noise level scales and shifts what is between them."""

    def __init__(self, inputs: int, channels: int, embedding: int):
        super().__init__()
        self.norm_1, self.first = ChannelNorm(inputs), nn.Conv2d(inputs, channels, 3, padding=1)
        self.norm_2, self.second = ChannelNorm(channels), nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels) if embedding else None
        self.shortcut = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()

    def forward(self, h: Tensor, embedding: Tensor | None) -> Tensor:
        r = self.norm_2(self.first(F.silu(self.norm_1(h))))
        if self.modulation is not None:
            scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, 1)
            r = r * (1 + scale) + shift
        return self.shortcut(h) + self.second(F.silu(r))


class UNet(nn.Module):
    """A U-Net from fine maps to one fine map. The norm is over channels, so a patch is seen as a whole domain is."""

    def __init__(self, inputs: int, width: int, embedding: int = 0):
        super().__init__()
        widths = [width, *[2 * width] * (LEVELS - 1)]
        self.head = nn.Conv2d(inputs, width, 3, padding=1)
        self.down, self.smaller = nn.ModuleList(), nn.ModuleList()
        self.up, self.larger = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(widths):
            self.down.append(ResidualBlock(channels, channels, embedding))
            if level < LEVELS - 1:
                self.smaller.append(nn.Conv2d(channels, widths[level + 1], 3, stride=2, padding=1))
                self.larger.append(nn.Conv2d(widths[level + 1], channels, 1))
                self.up.append(ResidualBlock(2 * channels, channels, embedding))
        self.middle = ResidualBlock(widths[-1], widths[-1], embedding)
        self.norm, self.out = ChannelNorm(width), nn.Conv2d(width, 1, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)
        self.embed = nn.Sequential(nn.Linear(EMBEDDING, embedding), nn.SiLU()) if embedding else None

    def forward(self, maps_BCHW: Tensor, noise_level_B: Tensor | None = None) -> Tensor:
        """Give (B, 1, H, W)."""
        rows, columns = maps_BCHW.shape[-2:]
        h = F.pad(maps_BCHW, (0, -columns % DEEPEST, 0, -rows % DEEPEST), mode="replicate")
        embedding = None if noise_level_B is None or self.embed is None else self.embed(waves(noise_level_B))
        h = self.head(h.contiguous(memory_format=torch.channels_last))
        kept = []
        for level, block in enumerate(self.down):
            h = block(h, embedding)
            if level < LEVELS - 1:
                kept.append(h)
                h = self.smaller[level](h)
        h = self.middle(h, embedding)
        for level in reversed(range(LEVELS - 1)):
            h = repeat_cells(self.larger[level](h), 2)
            h = self.up[level](torch.cat([h, kept[level]], 1), embedding)
        return self.out(F.silu(self.norm(h)))[..., :rows, :columns]


def waves(level_B: Tensor) -> Tensor:
    """Describe noise levels by sines and cosines (B, EMBEDDING)."""
    frequencies = torch.logspace(-1, 1.5, EMBEDDING // 2)
    phase = level_B[:, None] * frequencies
    return torch.cat([phase.sin(), phase.cos()], 1)


# ------------------------------------------------------------------------------------------- generators


@dataclass(frozen=True)
class PeerArchitecture(Architecture):
    """The sizes of the networks."""

    width: int
    space: str
    context: tuple[str, ...]


class Regression(Generator):
    """The mean of the transformed rain given the predictors: an ensemble of one member without noise."""

    kind = "regression"
    architecture: PeerArchitecture
    channel_mean: Tensor
    channel_std: Tensor
    rain_std: Tensor

    def __init__(self, architecture: PeerArchitecture, normalisation: xr.Dataset, rain_std: float):
        super().__init__()
        self.architecture = a = architecture
        self.rain = a.channels.index(a.rain_channel) if a.rain_channel else None
        mean, std = (torch.from_numpy(normalisation[name].values) for name in ("channel_mean", "channel_std"))
        self.register_buffer("channel_mean", mean.float().view(1, -1, 1, 1))
        self.register_buffer("channel_std", std.float().view(1, -1, 1, 1))
        self.register_buffer("rain_std", torch.tensor(rain_std))
        self.context_encoder = None
        if a.context:
            context = (torch.from_numpy(normalisation[name].values) for name in ("context_mean", "context_std"))
            self.context_encoder = ContextEncoder(*context)
        self.net = UNet(self.conditions, a.width)

    @property
    def conditions(self) -> int:
        """How many maps say what is known of a day."""
        a = self.architecture
        return len(a.channels) + len(a.statics) + 2 * (self.rain is not None) + CONTEXT_WIDTH * bool(a.context)

    def conditions_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give what is known of a day (B, C, H, W), and a first guess of the transformed rain (B, 1, H, W)."""
        factor = self.architecture.factor
        fine = bilinear(batch.coarse_BCyx, factor)
        guess, more = torch.zeros_like(batch.valid_B1HW), []
        if self.rain is not None:
            rain = batch.coarse_BCyx[:, self.rain : self.rain + 1]
            guess = self.transformed(bilinear(rain, factor))
            more = [guess, self.transformed(repeat_cells(rain, factor))]
            fine = fine.clone()
            fine[:, self.rain] = torch.log1p(fine[:, self.rain])
        maps = [(fine - self.channel_mean) / self.channel_std, batch.statics_BSHW, *more]
        if self.context_encoder is not None:
            numbers = self.context_encoder(batch.context_BKvu)
            maps.append(numbers[:, :, None, None].expand(-1, -1, *fine.shape[-2:]))
        return torch.cat(maps, 1), guess

    def transformed(self, rain: Tensor) -> Tensor:
        """From mm/day to what the networks see, of order 1; 0 stays 0."""
        return SPACES[self.architecture.space][0](rain) / self.rain_std

    def potential(self, transformed: Tensor) -> Tensor:
        """Back to mm/day; what is below 0 is dry."""
        return SPACES[self.architecture.space][1](transformed * self.rain_std)

    def mean(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the mean of the transformed rain (B, 1, H, W), and what is known of the day."""
        conditions, guess = self.conditions_of(batch)
        return guess + self.net(conditions), conditions

    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Give the mean as the one member, and the squared error of each patch."""
        mean, _ = self.mean(batch)
        truth = self.transformed(require_rain(batch.rain_B1HW, "training"))
        return {PRIOR: F.relu(self.potential(mean)), ERROR: mean_over_cells((mean - truth) ** 2, batch)}

    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Give the one member of each day."""
        return F.relu(self.potential(self.mean(batch)[0]))

    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give an empty list, because the network is deterministic."""
        return []

    @property
    def halo(self) -> int:
        """Coarse cells that one pass through the U-Net may see."""
        return math.ceil(16 * DEEPEST / self.architecture.factor) + 1


class Diffusion(Generator):
    """EDM on the difference of the transformed rain from its mean.

    The difference is divided by its standard deviation, so sigma_data is 1 (Karras et al. 2022, table 1).
    """

    kind = "diffusion"
    architecture: PeerArchitecture
    residual_std: Tensor

    def __init__(self, regression: Regression, residual_std: float, settings: Settings):
        super().__init__()
        self.architecture = regression.architecture
        self.settings = settings
        self.regression = regression.requires_grad_(False)
        self.register_buffer("residual_std", torch.tensor(residual_std))
        self.net = UNet(regression.conditions + 2, self.architecture.width, embedding=4 * self.architecture.width)

    def denoised(self, x_BHW: Tensor, sigma_B: Tensor, conditions_BCHW: Tensor) -> Tensor:
        """Estimate the residual x_0 from x = x_0 + sigma noise: D of eq. 7, with sigma_data = 1."""
        sigma = sigma_B.view(-1, 1, 1, 1)
        scale = torch.sqrt(1 + sigma**2)  # 1 / c_in
        f = self.net(torch.cat([x_BHW / scale, conditions_BCHW], 1), sigma_B.log() / 4)
        return x_BHW / scale**2 + f * sigma / scale

    def known(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give what is known of a day, which now has the mean, and the mean."""
        with torch.no_grad():
            mean, conditions = self.regression.mean(batch)
        return torch.cat([conditions, mean], 1), mean

    def draw_in_training(
        self, batch: Batch, noise: BatchNoise, posterior_members: int, prior_members: int
    ) -> dict[str, Tensor]:
        """Give the weighted squared error of the denoised residual of each patch (eq. 8, and table 1). No members."""
        conditions, mean = self.known(batch)
        truth = self.regression.transformed(require_rain(batch.rain_B1HW, "training"))
        residual = (truth - mean) / self.residual_std
        level, field = noise.normal(PRIOR_NOISE, [(1, 1, 1), (1, *mean.shape[-2:])], 1)
        sigma = torch.exp(self.settings.sigma_mean + self.settings.sigma_std * level)
        denoised = self.denoised(residual + sigma * field, sigma.flatten(), conditions)
        weight = (1 + sigma**2) / sigma**2
        return {ERROR: mean_over_cells(weight * (denoised - residual) ** 2, batch)}

    def potential(self, batch: Batch, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw members (B, M, H, W) in mm/day; what is below 0 is dry. The noise is (B M, 1, H, W)."""
        conditions, mean = self.known(batch)
        members = len(noise) // len(mean)
        conditions, mean = (maps.repeat_interleave(members, 0) for maps in (conditions, mean))

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return self.denoised(x, torch.full((len(x),), sigma), conditions)

        residual = heun(denoise, temperature * noise, noise_levels(self.settings.steps))
        return self.regression.potential(mean + self.residual_std * residual)[:, 0].unflatten(0, (-1, members))

    def members(self, batch: Batch, noise: list[Tensor], temperature: float = 1.0, observed_scales: int = 0) -> Tensor:
        """Draw members as the networks give them, not scaled to the coarse rain."""
        return F.relu(self.potential(batch, noise[0], temperature))

    def noise_shapes(self, rows: int, columns: int) -> list[Shape]:
        """Give the shape of the fine grid: the sampler starts from noise, and adds none."""
        return [(1, rows * self.architecture.factor, columns * self.architecture.factor)]

    @property
    def halo(self) -> int:
        """Coarse cells that all passes through the U-Net may see."""
        return 2 * self.settings.steps * self.regression.halo


def mean_over_cells(field_B1HW: Tensor, batch: Batch) -> Tensor:
    """Mean over the valid cells of each patch (B,)."""
    valid = batch.valid_B1HW
    return (field_B1HW * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp(min=1)


def noise_levels(steps: int, lowest: float = 0.02, highest: float = 20.0, rho: float = 7.0) -> list[float]:
    """Give the noise levels of the sampler, from the highest to 0 (Karras et al. 2022, eq. 5).

    For data of standard deviation 1 the limits would be 0.004 and 160 there. Over that range, 18 steps make the members
    of a Gaussian differ by 5 % too much, and over this one by 2 %.
    """
    ends = highest ** (1 / rho), lowest ** (1 / rho)
    return [(ends[0] + i / (steps - 1) * (ends[1] - ends[0])) ** rho for i in range(steps)] + [0.0]


def heun(denoise: Callable[[Tensor, float], Tensor], noise: Tensor, levels: list[float]) -> Tensor:
    """Solve the probability flow by Heun's method, without new noise (Karras et al. 2022, algorithm 1).

    Parameters
    ----------
    denoise
        Gives the expected data for noisy data and their noise level.
    noise
        Standard normal, of the shape of the data.
    levels
        Noise levels, falling to 0.
    """
    x = levels[0] * noise
    for here, there in itertools.pairwise(levels):
        slope = (x - denoise(x, here)) / here
        ahead = x + (there - here) * slope
        if there:
            slope = (slope + (ahead - denoise(ahead, there)) / there) / 2
            ahead = x + (there - here) * slope
        x = ahead
    return x


def build_regression(normalisation: xr.Dataset, days: Days, settings: Settings) -> Regression:
    """Make the network of the mean with fresh weights, and measure the transformed rain of the training days."""
    architecture = PeerArchitecture(
        channels=tuple(normalisation.channel.values.tolist()),
        statics=tuple(normalisation.static.values.tolist()),
        rain_channel=normalisation.attrs["rain_channel"],
        factor=int(normalisation.attrs["factor"]),
        width=settings.width,
        space=settings.space,
        context=tuple(normalisation.context_channel.values.tolist()),
    )
    rain = require_rain(days.rain_THW, "training")[:, days.valid_HW == 1]
    return Regression(architecture, normalisation, float(SPACES[settings.space][0](rain).std()))


# ------------------------------------------------------------------------------------------- training

LEAST_LEARNING_RATE = 0.02  # share of the highest rate, at the end
WARM_UP = 0.05  # share of the time in which the learning rate grows
CHECKS = 12  # times that the averaged weights are validated; the best are kept
AVERAGED = 10.0  # exponent of the average of the weights: the last tenth of the steps counts most


@dataclass(frozen=True)
class Data:
    """What a training sees."""

    train: Days
    validation: Days
    settings: Train
    seed: int

    @property
    def patches(self) -> Patches:
        """How patches are cut."""
        return Patches.of(self.train, self.settings)


def fit(network: Generator, data: Data, lr: float, seconds: float) -> dict[str, Any]:
    """Minimise the error of a network for some CPU seconds, and keep the best of its averaged weights.

    The average is that of Karras et al. 2024 ("Analyzing and improving the training dynamics of diffusion models",
    eq. 9), which suits trainings of any length.

    Returns
    -------
    The number of steps, the CPU seconds, and the errors of training and validation at each check.
    """
    network = placed(network, CPU)
    averaged = AveragedModel(
        network, avg_fn=lambda mean, new, n: mean + (new - mean) * (1 - (1 - 1 / (n + 1)) ** (AVERAGED + 1))
    )
    optimiser = Optimiser(network, lr, data.settings.weight_decay)
    started, step = time.process_time(), 0
    errors: list[float] = []
    checks: list[dict[str, float]] = []
    best, best_error = network.state_dict(), math.inf
    while (used := (time.process_time() - started) / seconds) < 1 or not checks:
        falling = LEAST_LEARNING_RATE + (1 - LEAST_LEARNING_RATE) * 0.5 * (1 + math.cos(math.pi * min(1, used)))
        optimiser.set_lr(lr * falling * min(1, used / WARM_UP))
        batch = training_batch(data.train, data.patches, data.settings, data.seed, step, CPU)
        noise = BatchNoise(data.seed, step, data.settings.batch_size, CPU)
        error = network.draw_in_training(batch, noise, 0, 1)[ERROR].mean()
        if not error.isfinite():
            raise UserError(f"the error of the {network.kind} became {error.item()} at step {step}; lower Settings.lr")
        optimiser.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_(network.parameters(), data.settings.grad_clip)
        optimiser.step()
        averaged.update_parameters(network)
        errors.append(error.item())
        step += 1
        if (time.process_time() - started) / seconds >= (len(checks) + 1) / CHECKS:
            found = validate(cast("Generator", averaged.module), data)
            checks.append({"step": step, "train": float(np.mean(errors)), "validation": found})
            log.info("%s: step %d, error %.4f|%.4f", network.kind, step, checks[-1]["train"], found)
            errors = []
            if found < best_error:
                best, best_error = {name: v.clone() for name, v in averaged.module.state_dict().items()}, found
    network.load_state_dict(best)
    return {"steps": step, "cpu_seconds": round(time.process_time() - started, 1), "checks": checks}


@torch.no_grad()
def validate(network: Generator, data: Data) -> float:
    """Give the mean error over the validation patches, with equal noise each time."""
    errors = []
    for number, batch in enumerate(validation_batches(data.validation, data.patches, CPU)):
        noise = BatchNoise(data.seed, number, len(batch.valid_B1HW), CPU, validation=True)
        errors.append(network.draw_in_training(batch, noise, 0, 1)[ERROR])
    return float(torch.cat(errors).mean())


def residual_std(regression: Regression, data: Data) -> float:
    """Measure the standard deviation of what the mean leaves over, on the validation patches."""
    return math.sqrt(validate(regression, data))


def train_peer(
    normalisation: xr.Dataset, data: Data, seconds: float, settings: Settings
) -> tuple[Diffusion, dict[str, Any]]:
    """Train the mean, then the diffusion model. Give it with the log of both."""
    with seeded(data.seed):
        regression = build_regression(normalisation, data.train, settings)
    history = {"mean": fit(regression, data, settings.lr, settings.mean_share * seconds)}
    with seeded(data.seed):
        network = Diffusion(regression, residual_std(regression, data), settings)
    history["residual"] = fit(network, data, settings.lr, (1 - settings.mean_share) * seconds)
    return network.eval(), history


# ------------------------------------------------------------------------------------------- members


@torch.no_grad()
def draw_days(
    network: Diffusion, fields: Fields, days: xr.Dataset, normalisation: xr.Dataset, seed: int, members: int
) -> Iterator[NDArray[np.float32]]:
    """Draw members of day after day (member, lat, lon) in mm/day; what is below 0 is dry.

    The noise of a member is a function of (seed, date, member), as that of an experiment.
    """
    chain = Chain([network])
    for date, number in zip(dates_of(days).tolist(), days_since_1850(days.time), strict=True):
        batch = batch_of(days_of(fields.read([date]), normalisation))
        ((noise,),) = day_noise(chain, seed, number, range(members), [tuple(batch.coarse_BCyx.shape[-2:])])
        yield network.potential(batch, torch.from_numpy(noise))[0].numpy()


def batch_of(days: Days) -> Batch:
    """Give whole days as a batch, without their rain."""
    count = len(days)
    statics, valid = days.statics_SHW.expand(count, -1, -1, -1), days.valid_HW.expand(count, 1, -1, -1)
    return Batch(days.coarse_TCyx, statics, None, valid, days.context_TKvu, days.season_T2)


def scaled(
    potential_MHW: NDArray[np.float32], coarse_yx: NDArray[np.float32], valid_HW: NDArray[Any], factor: int
) -> NDArray[np.float32]:
    """Scale members to the coarse rain in mm/day, as with `conserve: cells`; NaN where a cell is not valid."""
    valid = torch.from_numpy(valid_HW == 1)
    potential = torch.from_numpy(potential_MHW)[None].masked_fill(~valid, -math.inf)
    rain = conserve_cells(
        F.relu(potential), potential, torch.from_numpy(coarse_yx)[None, None], valid.float()[None, None], factor, 0
    )
    return rain[0].masked_fill(~valid, math.nan).numpy()


def write_members(
    network: Diffusion,
    fields: Fields,
    normalisation: xr.Dataset,
    experiment: Experiment,
    thresholds: ThresholdSettings,
    folder: Path,
) -> float:
    """Write the members of all validation and test days, below the pixel threshold 0. Give the CPU seconds of drawing.

    Each day is drawn once, into a file of what the networks give, and the ensembles are made from that file.
    """
    days = normalisation.isel(time=np.isin(normalisation.split.values, (VALIDATION, TEST)))
    members, seed, valid = experiment.sampling.members, experiment.seed, normalisation.valid.values
    how = {"raw": lambda potential, _: np.maximum(potential, 0)}
    if experiment.model.conserve == "cells":
        rain = fields.rain_channel_index
        how["mass"] = lambda potential, given: scaled(potential, given[rain], valid, fields.factor)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        started = time.process_time()
        drawn = draw_days(network, fields, days, normalisation, seed, members)
        write_ensemble(scratch / "drawn.nc", days, members, (np.where(valid, p, np.nan) for p in drawn), {})
        seconds = time.process_time() - started
        for kind, rain_of in how.items():
            with xr.open_dataset(scratch / "drawn.nc") as potential:
                rain_of_days = (
                    rain_of(potential.pr[i].values, fields.read([date]).predictors.values[0])
                    for i, date in enumerate(dates_of(days).tolist())
                )
                attributes = {
                    "source": f"rainshaft {__version__}, diffusion model, {kind}",
                    "mode": "prior",
                    "seed": seed,
                }
                write_ensemble(scratch / f"{kind}.nc", days, members, rain_of_days, attributes)
            apply_threshold([scratch / f"{kind}.nc"], thresholds, fields.paths, folder / f"{kind}.nc")
    return seconds


def run(config_path: Path, name: str, seconds: float, folder: Path, settings: Settings = DEFAULTS) -> None:
    """Train the peer of an experiment for some CPU seconds, and write its members and its log.

    Raises
    ------
    UserError
        If the time is no time, there is no such experiment, or its data are not there.
    """
    if not 0 < seconds < math.inf:
        raise UserError(f"SECONDS: found {seconds:g}, expected the CPU time of the training, for example 200")
    check_files([config_path])
    config = load(yaml.safe_load(config_path.read_text(encoding="utf-8")), table.names())
    if name not in config.experiments:
        raise UserError(f"{config_path}: found no experiment {name!r}, expected one of {', '.join(config.experiments)}")
    experiment = config.experiments[name]
    prepared = Path(config.results) / "data" / experiment.dataset
    if not (prepared / "normalisation.nc").exists():
        raise UserError(
            f"{prepared}: found no normalisation.nc, expected the prepared data; run "
            f"`snakemake --cores all {prepared}/normalisation.nc --configfile {config_path}`"
        )
    normalisation, paths = xr.load_dataset(prepared / "normalisation.nc"), sorted((prepared / "fields").glob("*.nc"))
    train, validation = (load_days(paths, normalisation, split, CPU) for split in (TRAIN, VALIDATION))
    data = Data(train, validation, experiment.train, experiment.seed)
    thresholds = ThresholdSettings(**experiment_slice(config, name, "threshold"))
    folder.mkdir(parents=True, exist_ok=True)
    network, facts = train_peer(normalisation, data, seconds, settings)
    with Fields(paths) as fields:
        drawing = write_members(network, fields, normalisation, experiment, thresholds, folder)
    facts["drawing_cpu_seconds"] = round(drawing, 1)
    facts["parameters"] = sum(value.numel() for value in network.parameters())
    write_json(facts | {"settings": asdict(settings), "budget_cpu_seconds": seconds}, folder / "log.json")


def main() -> None:
    """Run with the arguments of the shell."""
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    config_path, name, seconds, folder = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run(Path(config_path), name, float(seconds), Path(folder))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
