"""Draw members of a few days from a trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rainshaft.config.slices import DrawSettings
from rainshaft.data.patches import Days
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE


def day_noise(model: Chain, seed: int, date: int, members: int, rows: int, columns: int) -> list[list[np.ndarray]]:
    """Noise of a day for every network, (member, C, h, w) at each scale; `date` is days since 1850-01-01."""
    streams = [np.random.default_rng((seed, date, member)) for member in range(members)]
    return [
        [np.stack([rng.standard_normal(shape, dtype="f4") for rng in streams]) for shape in shapes]
        for shapes in model.latent_shapes(rows, columns)
    ]


@dataclass(frozen=True)
class Tile:
    """A part of the domain as (rows, columns) of cells: those wanted, and with the halo that they depend on."""

    wanted: tuple[slice, slice]
    with_halo: tuple[slice, slice]

    @property
    def trimmed(self) -> tuple[slice, slice]:
        """The wanted cells, counted from the corner of those with the halo."""
        pairs = zip(self.wanted, self.with_halo, strict=True)
        return tuple(slice(w.start - h.start, w.stop - h.start) for w, h in pairs)


def tiles(rows: int, columns: int, side: int, halo: int) -> list[Tile]:
    """Cut a domain into even tiles of at most `side` cells, with a halo that ends at the edge of the domain."""

    def along(cells: int) -> list[tuple[slice, slice]]:
        edges = np.linspace(0, cells, math.ceil(cells / side) + 1).round().astype(int).tolist()
        return [(slice(a, b), slice(max(0, a - halo), min(cells, b + halo))) for a, b in pairwise(edges)]

    return [Tile(*zip(i, j, strict=True)) for i in along(rows) for j in along(columns)]


@torch.no_grad()
def draw(
    model: Chain, days: xr.Dataset, maps: xr.Dataset, mode: str, settings: DrawSettings, dates: Sequence[int]
) -> np.ndarray:
    """Members of a few days, tile by tile: what a tile gives is what the whole domain would give, but for rounding.

    Parameters
    ----------
    days
        canonical fields of the days
    maps
        normalisation, for the static maps and the valid mask
    mode
        `prior` or `posterior`; the posterior sees the observed rain
    settings
        `seed`, `members`, `temperature`, `tile`; for the posterior `posterior_scales` too, a number or `all`
    dates
        days since 1850-01-01, the keys of the noise

    Returns
    -------
    rain
        (time, member, lat, lon) in mm/day, 0 where not valid
    """
    records = model.records(_record(days, maps))
    each = [day_noise(model, settings.seed, d, settings.members, *records[0].domain) for d in dates]
    noise = [
        [torch.from_numpy(np.concatenate(scale)) for scale in zip(*network, strict=True)]
        for network in zip(*each, strict=True)
    ]
    seen = posterior_scales(model, settings) if mode == "posterior" else 0
    rain_tmHW = _draw_tiles(model.networks[0], records[0], noise[0], settings.members, seen, settings)
    if len(records) == 1:
        return rain_tmHW
    seen = max(0, seen - model.scales[0])

    def of_member(m: int) -> np.ndarray:
        """The fine rain of one member of every day, from a coarse rain of its own."""
        fields = replace(records[1], coarse_TCyx=torch.from_numpy(rain_tmHW[:, m : m + 1]))
        return _draw_tiles(model.networks[1], fields, [z[m :: settings.members] for z in noise[1]], 1, seen, settings)

    return np.concatenate([of_member(m) for m in range(settings.members)], axis=1)


def _record(days: xr.Dataset, maps: xr.Dataset) -> Days:
    """The days with all that a network is given."""
    statics, valid = (torch.from_numpy(maps[name].values.astype("f4")) for name in ("static_maps", "valid"))
    rain = torch.where(valid == 1, torch.from_numpy(days.pr.values), 0.0)
    predictors, context = (torch.from_numpy(days[name].values) for name in ("predictors", "context"))
    return Days(rain, predictors, context, statics, valid, int(maps.attrs["factor"]), {})


def _draw_tiles(
    network: RainCVAE, record: Days, noise: list[Tensor], members: int, seen: int, settings: DrawSettings
) -> np.ndarray:
    """Members (time, member, lat, lon) of one network, whose `seen` coarsest scales see the observed rain."""
    device, a = network.rain_log_std.device, network.architecture
    count, (rows, columns) = len(record), record.domain
    rain_tmHW = np.empty((count, members, rows * a.factor, columns * a.factor), "f4")
    context = record.context_TKvu.to(device)
    fine = a.block * a.factor
    # tiles are whole cells of the coarsest scale
    domain = (math.ceil(cells / a.block) for cells in (rows, columns))
    for tile in tiles(*domain, max(1, settings.tile // fine), a.reach):

        def cut(field: Tensor, size: int, tile: Tile = tile) -> Tensor:
            return _cells(field, tile.with_halo, size).to(device)

        x = cut(record.coarse_TCyx, a.block), cut(record.statics_SHW, fine).expand(count, -1, -1, -1)
        observed = network.observed(*x, cut(record.rain_THW[:, None], fine), context)[:seen] if seen else None
        given = network.given(*x, cut(record.valid_HW, fine).expand(count, 1, -1, -1), context)
        sizes = np.cumprod((1, *a.steps)).tolist()
        z = [cut(n, size) for n, size in zip(noise, sizes, strict=True)]
        rain, _ = network(given, z, observed, settings.temperature)
        _cells(rain_tmHW, tile.wanted, fine)[:] = _cells(rain, tile.trimmed, fine).cpu().numpy()
    return rain_tmHW


def posterior_scales(model: Chain, settings: DrawSettings) -> int:
    """How many scales, coarse to fine, see the observed day: `posterior_scales` as a number."""
    wanted = settings.posterior_scales
    return sum(model.scales) if wanted == "all" else wanted


def _cells(field: Any, cells: tuple[slice, slice], size: int) -> Any:
    """The part of an array or tensor (..., h, w) that lies in these cells of size x size of its own."""
    rows, columns = (slice(s.start * size, s.stop * size) for s in cells)
    return field[..., rows, columns]
