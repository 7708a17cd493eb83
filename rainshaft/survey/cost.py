"""What an experiment will cost on this machine: steps, memory and rough time.

A few patches of random numbers, of the size of the real ones, go through the networks of the experiment. Their time is
measured, and the memory of their activations is counted. On a CPU it is the time of one core, without the time in which
other programs have it. So a busy machine gives the result of an idle one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rainshaft.config.sections import Experiment, Train
from rainshaft.config.slices import DrawSettings, TrainSettings
from rainshaft.data.conventions import COARSE_CATEGORIES, TEST, TRAIN, VALIDATION
from rainshaft.data.patches import VALIDATION_PATCHES, Days, Patches, days_of, steps_of, training_batch
from rainshaft.models.chain import Chain
from rainshaft.models.dense import DenseRain
from rainshaft.models.device import choose_device, placed
from rainshaft.models.kinds import build_model
from rainshaft.models.noise import BatchNoise
from rainshaft.sampling.draw import draw
from rainshaft.training.objective import Objective

MEASURED_PATCHES = 8  # few, so that this takes seconds
MEASURED_CELLS = 128  # along a side of the domain from which members are drawn for the measurement
COPIES_OF_WEIGHTS = 6  # weights, gradients, two moments of the optimiser, the average, and the best ones
VALIDATION_SHARE = 0.4  # of the time of a training step: no gradients are needed
HEAVY_SHARE = 0.2  # of all days  # ASSUME
ALIVE_MAPS = 6  # of the finest scale while members are drawn  # ASSUME


@dataclass(frozen=True)
class Sizes:
    """How large the fields of a dataset are."""

    fine: tuple[int, int]
    factor: int
    channels: tuple[str, ...]
    rain_channel: str
    context: tuple[str, ...]
    context_shape: tuple[int, int]
    statics: int

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of coarse cells."""
        return self.fine[0] // self.factor, self.fine[1] // self.factor

    @property
    def values_a_day(self) -> int:
        """Numbers that one day has in memory."""
        coarse = len(self.channels) * math.prod(self.coarse)
        return math.prod(self.fine) + coarse + len(self.context) * math.prod(self.context_shape)


@dataclass(frozen=True)
class Cost:
    """What one experiment will cost."""

    networks: tuple[str, ...]
    """a sentence for each network"""
    drawn_days: int
    training_seconds: float
    drawing_seconds: float
    training_bytes: float
    drawing_bytes: float


def cost_of(experiment: Experiment, sizes: Sizes, days: dict[str, int]) -> Cost:
    """Measure a few patches and count up.

    Parameters
    ----------
    days
        How many days each part of the split has.
    """
    with one_thread():
        return _cost_of(experiment, sizes, days)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread. With more, its threads wait for each other on a busy machine, for minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cost_of(experiment: Experiment, sizes: Sizes, days: dict[str, int]) -> Cost:
    normalisation = _normalisation(sizes, days[TRAIN])
    train = experiment.train.model_copy(update={"gpus": 1})
    settings = TrainSettings(seed=1, model=experiment.model, loss=experiment.loss, train=train)
    chain = build_model(settings.model, normalisation, 1)
    random = days_of(_random_days(sizes, 2), normalisation)
    few = Days(**{**vars(random), "categories": {kind: np.arange(2) for kind in COARSE_CATEGORIES}})
    seconds, activations, words = 0.0, 0.0, []
    for name, network, part in zip(chain.names, chain.networks, chain.parts(few), strict=True):
        own = network.training_settings(settings, part)
        batch_size, measured = own.train.batch_size, own.train.model_copy(update={"batch_size": MEASURED_PATCHES})
        epochs = train.coarse_epochs if name == "coarse" else train.epochs
        patches = Patches.of(part, measured)
        objective = Objective(network, own.loss, normalisation, 1.0, train.amp)
        patch_seconds, patch_bytes = _measure(objective, part, patches, measured)
        per_day = math.prod(part.domain) / (patches.rows * patches.columns)
        least = min(network.least_steps(days[TRAIN]), own.train.steps_per_epoch)
        steps = max(least, steps_of(days[TRAIN] * per_day, own.train))
        validated = min(days[VALIDATION], VALIDATION_PATCHES)
        work = steps * batch_size + VALIDATION_SHARE * validated
        seconds += epochs * work * patch_seconds
        activations = max(activations, patch_bytes * batch_size)
        words.append(
            f"{name}: {_parameters(network)} parameters, {epochs} epochs of {steps} batches of "
            f"{batch_size} patches of {patches.rows} x {patches.columns} coarse cells"
        )
    drawn_days = _drawn_days(experiment.sampling.days, days)
    one = _member_seconds(chain, sizes, normalisation, experiment)
    members = drawn_days * experiment.sampling.members * len(experiment.sampling.modes)
    held = 4.0 * sizes.values_a_day * (days[TRAIN] + days[VALIDATION])
    tile = min(math.prod(sizes.fine), experiment.sampling.tile**2)
    alive = experiment.sampling.members * tile * experiment.model.width * ALIVE_MAPS
    return Cost(
        networks=tuple(words),
        drawn_days=drawn_days,
        training_seconds=seconds,
        drawing_seconds=members * one,
        training_bytes=held + activations + 4.0 * COPIES_OF_WEIGHTS * _parameters(chain),
        drawing_bytes=4.0 * alive,
    )


def _parameters(network: torch.nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def _drawn_days(wanted: str, days: dict[str, int]) -> int:
    """How many days are drawn: those of validation and test, and those that are wanted."""
    always = days[VALIDATION] + days[TEST]
    match wanted:
        case "split:test" | "split:validation":
            return always
        case "split:train":
            return always + days[TRAIN]
    return always + round(HEAVY_SHARE * days[TRAIN])


def _clock(device: torch.device) -> float:
    """Seconds of this process on a CPU, and of the clock on a GPU, once it has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.monotonic()
    return time.process_time()


def _measure(objective: Objective, days: Days, patches: Patches, train: Train) -> tuple[float, float]:
    """Seconds and bytes of activations for one patch of a training step, without the step of the optimiser."""
    kept: dict[int, int] = {}
    device = choose_device(train.device)
    network = placed(objective.network, device)

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def step(number: int) -> None:
        batch = training_batch(days, patches, train, 1, number, device)
        terms = objective(batch, BatchNoise(1, number, MEASURED_PATCHES, device))
        objective.total(terms, 1.0).backward()
        network.zero_grad()

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        step(0)  # the first step is slower than the others, so it is not timed
    started = _clock(device)
    step(1)
    return (_clock(device) - started) / MEASURED_PATCHES, sum(kept.values()) / MEASURED_PATCHES


def _member_seconds(chain: Chain, sizes: Sizes, normalisation: xr.Dataset, experiment: Experiment) -> float:
    """Seconds for one member of one day, from a part of the domain."""
    side = max(2, MEASURED_CELLS // sizes.factor)
    if isinstance(chain.networks[0], DenseRain):
        side = max(sizes.coarse)  # it knows no part of the domain
    rows, columns = (min(side, cells) for cells in sizes.coarse)
    part = _random_days(sizes, 2).isel(y=slice(rows), x=slice(columns))
    fine = {"lat": slice(rows * sizes.factor), "lon": slice(columns * sizes.factor)}
    device = experiment.train.device
    settings = DrawSettings(seed=1, members=2, temperature=1.0, tile=4096, device=device)
    started = _clock(chain.networks[0].device)
    draw(chain.eval(), part.isel(fine).drop_vars("pr"), normalisation.isel(fine), "prior", settings, [1, 2])
    share = rows * columns / math.prod(sizes.coarse)
    return (_clock(chain.networks[0].device) - started) / (2 * 2) / share


# ------------------------------------------------------------------------------------------ random fields


def _normalisation(sizes: Sizes, training_days: int) -> xr.Dataset:
    """A normalisation of the right sizes."""
    (height, width), channels, context = sizes.fine, len(sizes.channels), len(sizes.context)
    numbers: dict[str, Any] = {"rain_mean": 2.0, "rain_log_std": 1.0, "p99_wet": 30.0}
    return xr.Dataset(
        {
            "channel_mean": ("channel", np.zeros(channels, "f4")),
            "channel_std": ("channel", np.ones(channels, "f4")),
            "context_mean": (("context_channel", "v", "u"), np.zeros((context, *sizes.context_shape), "f4")),
            "context_std": ("context_channel", np.ones(context, "f4")),
            "static_maps": (("static", "lat", "lon"), np.zeros((sizes.statics, height, width), "f4")),
            "valid": (("lat", "lon"), np.ones((height, width), "i1")),
            "split": ("time", np.full(training_days, TRAIN)),
            **numbers,
        },
        {
            "channel": ("channel", np.array(sizes.channels, str)),
            "context_channel": ("context_channel", np.array(sizes.context, str)),
            "static": ("static", np.array([f"map-{i}" for i in range(sizes.statics)], str)),
        },
        {"rain_channel": sizes.rain_channel, "factor": sizes.factor},
    )


def _random_days(sizes: Sizes, count: int) -> xr.Dataset:
    rng = np.random.default_rng(0)

    def rain(*shape: int) -> Any:
        return rng.gamma(0.5, 8, shape).astype("f4")

    return xr.Dataset(
        {
            "pr": (("time", "lat", "lon"), rain(count, *sizes.fine)),
            "predictors": (("time", "channel", "y", "x"), rain(count, len(sizes.channels), *sizes.coarse)),
            "context": (
                ("time", "context_channel", "v", "u"),
                rain(count, len(sizes.context), *sizes.context_shape),
            ),
        },
        {"time": np.arange(count).astype("M8[D]").astype("M8[ns]")},
    )
