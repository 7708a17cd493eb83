"""Draw members of a few days from a trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from rainshaft.config.slices import DrawSettings
from rainshaft.data.patches import Batch, Days, days_of, require_rain
from rainshaft.errors import UserError
from rainshaft.models.chain import Chain
from rainshaft.models.interface import Generator

Rain = NDArray[np.float32]

DAYS_AT_ONCE = 8  # are read together; members do not depend on it
STRATA, CLOSE = 1, 1e-7  # key of the order of the ranges; how near to 0 and 1 a uniform number may come
LEAST_MEMORY = 1e-3  # days with a smaller share in the noise of a later day are left out

Field = TypeVar("Field", Tensor, Rain)


@torch.no_grad()
def draw(
    model: Chain,
    days: xr.Dataset,
    maps: xr.Dataset,
    mode: str,
    settings: DrawSettings,
    dates: Sequence[int],
    first_member: int = 0,
) -> Rain:
    """Draw members of a few days, tile by tile. A tile gives what the whole domain would give, up to rounding.

    Parameters
    ----------
    days
        Canonical fields of the days. For the prior they may lack the rain, `pr`.
    maps
        The normalisation, for the static maps and the valid cells.
    mode
        `prior` or `posterior`; the posterior sees the observed rain.
    settings
        Seed, members, temperature and side of the tiles; for the posterior also `posterior_scales`.
    dates
        Days since 1850-01-01, keys of the noise.
    first_member
        The number of the first member, the other key of the noise.

    Returns
    -------
    Rain (time, member, lat, lon) in mm/day. It has no meaning where rain is not valid.

    Raises
    ------
    UserError
        If the posterior is asked for, and the model has none or the rain is not there.
    """
    every = days_of(days, maps)
    seen = _scales_of_networks(model, settings) if mode == "posterior" else [0] * len(model.networks)
    members = range(first_member, first_member + settings.members)
    # A day is drawn alone. Several days at once would change the rounding, and so the members, with the days beside it.
    return np.concatenate(
        [_draw_day(model, every[i : i + 1], mode, settings, date, members, seen) for i, date in enumerate(dates)]
    )


def _draw_day(
    model: Chain, day: Days, mode: str, settings: DrawSettings, date: int, members: range, seen: Sequence[int]
) -> Rain:
    """Draw members of one day (1, member, lat, lon)."""
    parts = model.parts(day)
    # before the first network draws, nobody knows the coarse rain of the others, but their grids are known
    domains = [(part.valid_HW.shape[0] // part.factor, part.valid_HW.shape[1] // part.factor) for part in parts]
    noise = [
        [torch.from_numpy(maps) for maps in network]
        for network in day_noise(model, settings.seed, date, members, domains, settings.memory)
    ]
    count, tile, temperature = len(members), settings.tile, settings.temperature
    first = model.networks[0]
    if mode == "posterior" and not first.scales and len(parts) > 1:
        # A first network without a posterior cannot draw variations of the observed coarse rain, so that stays.
        rain = np.repeat(require_rain(parts[0].rain_THW, "the posterior")[:, None].numpy(), count, axis=1)
    else:
        rain = draw_part(first, parts[0], noise[0], count, tile, temperature, seen[0])
    for number in range(1, len(parts)):
        # The coarse rain of each member is that of a day of its own, of which the next network draws one member.
        members_first = rain.swapaxes(0, 1) if number == 1 else rain
        given = replace(
            parts[number].repeated(count), coarse_TCyx=torch.from_numpy(np.ascontiguousarray(members_first))
        )
        rain = draw_part(model.networks[number], given, noise[number], 1, tile, temperature, seen[number])
    return rain if len(parts) == 1 else rain.swapaxes(0, 1)


def posterior_scales(model: Chain, settings: DrawSettings) -> int:
    """Say how many scales of the model, coarse to fine, see the observed day: `posterior_scales` as a number.

    Raises
    ------
    UserError
        If the model has no posterior.
    """
    if not sum(model.scales):
        raise UserError(
            f"sampling.mode: found `posterior`, but a model of kind {model.kind!r} has no posterior; write `prior`"
        )
    wanted = settings.posterior_scales
    return sum(model.scales) if wanted == "all" else wanted


def _scales_of_networks(model: Chain, settings: DrawSettings) -> list[int]:
    """Share out the scales that see the observed day. The scales of the coarse rain come first."""
    rest, found = posterior_scales(model, settings), []
    for scales in model.scales:
        found.append(rest)
        rest = max(0, rest - scales)
    return found


# ------------------------------------------------------------------------------------------- noise


def day_noise(
    model: Chain, seed: int, date: int, members: range, domains: Sequence[tuple[int, int]], memory: float = 0.0
) -> list[list[Rain]]:
    """Make the noise of a day: for every network, and for each of its maps, an array (member, C, h, w).

    It is a function of (seed, date, member), so any day can be drawn without those before it.

    Parameters
    ----------
    date
        Days since 1850-01-01; below 0 before that day.
    members
        The numbers of the members.
    domains
        Rows and columns of the coarse grid of each network.
    memory
        Correlation of the coarsest map of the first network with that of the day before, from 0 to below 1. The other
        maps have no memory, because smaller patterns are elsewhere on the next day.
    """
    streams = _streams(seed, date, members)
    noise = [
        [
            np.stack([rng.standard_normal(shape, dtype="f4") for rng in streams])
            for shape in network.noise_shapes(*domain)
        ]
        for network, domain in zip(model.networks, domains, strict=True)
    ]
    if memory and noise[0]:
        noise[0][0] = _remembering(noise[0][0], seed, date, members, memory)
    if strata := model.networks[0].strata:
        noise[0][0][:, -1, 0, 0] = _stratified(noise[0][0][:, -1, 0, 0], seed, date, members, strata)
    return noise


def _stratified(normal: Rain, seed: int, date: int, members: range, strata: int) -> Rain:
    """Move standard normal numbers of the members, so that each of some in a row falls into another range.

    The ranges are equally probable, and their order is random. So each number by itself is still standard normal.
    """
    order = {
        block: np.random.default_rng((seed, date % 2**32, block, STRATA)).permutation(strata)
        for block in {member // strata for member in members}
    }
    place = torch.tensor([int(order[member // strata][member % strata]) for member in members])
    uniform = (place + torch.special.ndtr(torch.from_numpy(normal).double())) / strata
    return np.asarray(torch.special.ndtri(uniform.clamp(CLOSE, 1 - CLOSE)), dtype="f4")


def _streams(seed: int, date: int, members: range) -> list[np.random.Generator]:
    """Give the random numbers of the members of a day."""
    key = date % 2**32  # a key must not be negative, and a record may begin before 1850
    return [np.random.default_rng((seed, key, member)) for member in members]


def _remembering(noise: Rain, seed: int, date: int, members: range, memory: float) -> Rain:
    """Give the first map of noise a memory of the days before.

    The noise of a day is w_t. This makes an autoregressive process of order 1 from it, written as a sum over the past:
    e_t = memory e_{t-1} + sqrt(1 - memory^2) w_t = sqrt(1 - memory^2) sum_k memory^k w_{t-k}. The sum ends where
    memory^k < LEAST_MEMORY, and is scaled to variance 1. So each single day is distributed as without a memory.
    """
    weights = memory ** np.arange(math.ceil(math.log(LEAST_MEMORY, memory)))
    total = weights[0] * noise
    for k, weight in enumerate(weights[1:], start=1):
        past = _streams(seed, date - k, members)
        total += weight * np.stack([rng.standard_normal(noise.shape[1:], dtype="f4") for rng in past])
    return (total / np.sqrt(np.sum(weights**2))).astype(np.float32)


# ------------------------------------------------------------------------------------------- tiles


@dataclass(frozen=True)
class Tile:
    """A part of the domain as (rows, columns) of blocks: the wanted blocks, and all blocks on which they depend."""

    wanted: tuple[slice, slice]
    with_halo: tuple[slice, slice]

    @property
    def trimmed(self) -> tuple[slice, slice]:
        """The wanted blocks, counted from the corner of the tile with its halo."""
        rows, columns = (
            slice(w.start - h.start, w.stop - h.start) for w, h in zip(self.wanted, self.with_halo, strict=True)
        )
        return rows, columns


def tiles(rows: int, columns: int, side: int, halo: int) -> list[Tile]:
    """Cut a domain into even tiles of at most `side` blocks, with a halo that ends at the edge of the domain."""

    def along(blocks: int) -> list[tuple[slice, slice]]:
        edges = np.linspace(0, blocks, math.ceil(blocks / side) + 1).round().astype(int).tolist()
        return [(slice(a, b), slice(max(0, a - halo), min(blocks, b + halo))) for a, b in pairwise(edges)]

    return [Tile((i, j), (i_halo, j_halo)) for i, i_halo in along(rows) for j, j_halo in along(columns)]


@torch.no_grad()
def draw_part(
    network: Generator,
    days: Days,
    noise: list[Tensor],
    members: int,
    tile: int,
    temperature: float = 1.0,
    observed_scales: int = 0,
) -> Rain:
    """Draw members (time, member, lat, lon) from one network of a model, tile by tile.

    Parameters
    ----------
    days
        What this network sees of the days, from `Chain.parts`.
    noise, temperature, observed_scales
        As in `Generator.members`. The noise is that of the whole domain.
    tile
        Side of a tile in cells of the fine grid, rounded down to whole blocks.
    """
    rows, columns = (math.ceil(cells / network.block) for cells in days.domain)
    fine = network.block * days.factor
    rain_tmHW = np.empty((len(days), members, *days.valid_HW.shape), "f4")
    for part in tiles(rows, columns, max(1, tile // fine), network.halo):
        batch = _batch(days, part, network, observed_scales > 0)
        z = [_blocks(maps, part.with_halo, maps.shape[-2] // rows).to(network.device) for maps in noise]
        rain = network.members(batch, z, temperature, observed_scales)
        _blocks(rain_tmHW, part.wanted, fine)[:] = _blocks(rain, part.trimmed, fine).cpu().numpy()
    return rain_tmHW


def _batch(days: Days, tile: Tile, network: Generator, with_rain: bool) -> Batch:
    """Cut a tile with its halo out of all days."""
    fine, device, count = network.block * days.factor, network.device, len(days)
    statics, valid = (_blocks(maps, tile.with_halo, fine).to(device) for maps in (days.statics_SHW, days.valid_HW))
    rain = None
    if with_rain:
        rain = _blocks(require_rain(days.rain_THW, "the posterior")[:, None], tile.with_halo, fine).to(device)
    return Batch(
        coarse_BCyx=_blocks(days.coarse_TCyx, tile.with_halo, network.block).to(device),
        statics_BSHW=statics.expand(count, -1, -1, -1),
        rain_B1HW=rain,
        valid_B1HW=valid.expand(count, 1, -1, -1),
        context_BKvu=days.context_TKvu.to(device),
        season_B2=days.season_T2.to(device),
    )


def _blocks(field: Field, blocks: tuple[slice, slice], size: int) -> Field:
    """Give the part of a field (..., h, w) that lies in these blocks of size x size of its own cells."""
    rows, columns = (slice(s.start * size, s.stop * size) for s in blocks)
    return field[..., rows, columns]
