"""Draw members from a trained model: from the prior (downscaling) or the posterior (variations of observed days).

Input: weights, canonical fields, statistics. Output: an ensemble file, rain in mm/day, (time, member, lat, lon).
The noise of a member is a function of (seed, date, member): the same members come out whatever the batch size and
whichever other days are drawn. A large domain is drawn in tiles that overlap by the reach of the network, with the
noise of the whole, so that nothing shows where they meet.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rainshaft.batches import Record
from rainshaft.chain import Chain
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble
from rainshaft.model import RainCVAE

log = logging.getLogger("rainshaft")

VALIDATION_DAYS = 90  # at most, spread evenly: enough to match a wet fraction to 1 %


def choose_days(statistics: xr.Dataset, wanted: str) -> np.ndarray:
    """Which days to draw: all test days, some validation days for `pixel_threshold: auto`, and those wanted.

    Parameters
    ----------
    wanted
        `heavy_only`, `split:NAME` or `file:PATH` with one date (YYYY-MM-DD) a line

    Returns
    -------
    chosen
        True for each chosen day of `statistics.time`

    Raises
    ------
    UserError
        If the file is not there, or names a date that the dataset does not have.
    """
    split, category = statistics.split.values, statistics.category.values
    validation = np.flatnonzero(split == "validation")
    few = np.linspace(0, len(validation) - 1, min(len(validation), VALIDATION_DAYS)).round().astype(int)
    chosen = split == "test"
    chosen[validation[few]] = True
    if wanted == "heavy_only":
        return chosen | np.char.startswith(category.astype(str), "heavy")
    if wanted.startswith("split:"):
        return chosen | (split == wanted.removeprefix("split:"))
    path = Path(wanted.removeprefix("file:"))
    if not path.exists():
        raise UserError(f"sampling.days: found {wanted!r}, but there is no file {path}; write one date a line in it")
    dates = path.read_text().split()
    known = statistics.time.dt.strftime("%Y-%m-%d").values
    if missing := sorted(set(dates) - set(known)):
        raise UserError(
            f"{path}: {len(missing)} of {len(dates)} dates are not in the dataset, the first is {missing[0]!r}; "
            f"expected YYYY-MM-DD from {known[0]} to {known[-1]}"
        )
    return chosen | np.isin(known, dates)


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
    model: Chain, days: xr.Dataset, maps: xr.Dataset, mode: str, settings: dict[str, Any], dates: Sequence[int]
) -> np.ndarray:
    """Members of a few days, tile by tile: what a tile gives is what the whole domain would give, but for rounding.

    Parameters
    ----------
    days
        canonical fields of the days
    maps
        statistics, for the static maps and the valid mask
    mode
        `prior` or `posterior`; the posterior sees the observed rain
    settings
        `seed`, `K`, `temperature`, `tile`; for the posterior `posterior_scales` too, a number or `all`
    dates
        days since 1850-01-01, the keys of the noise

    Returns
    -------
    rain
        (time, member, lat, lon) in mm/day, 0 where not valid
    """
    records = model.records(_record(days, maps))
    each = [day_noise(model, settings["seed"], d, settings["K"], *records[0].domain) for d in dates]
    noise = [
        [torch.from_numpy(np.concatenate(scale)) for scale in zip(*network, strict=True)]
        for network in zip(*each, strict=True)
    ]
    seen = posterior_scales(model, settings) if mode == "posterior" else 0
    rain_tmHW = _draw_tiles(model.networks[0], records[0], noise[0], settings["K"], seen, settings)
    if len(records) == 1:
        return rain_tmHW
    seen = max(0, seen - model.scales[0])

    def of_member(m: int) -> np.ndarray:
        """The fine rain of one member of every day, from a coarse rain of its own."""
        fields = replace(records[1], coarse_TCyx=torch.from_numpy(rain_tmHW[:, m : m + 1]))
        return _draw_tiles(model.networks[1], fields, [z[m :: settings["K"]] for z in noise[1]], 1, seen, settings)

    return np.concatenate([of_member(m) for m in range(settings["K"])], axis=1)


def _record(days: xr.Dataset, maps: xr.Dataset) -> Record:
    """The days with all that a network is given."""
    statics, valid = (torch.from_numpy(maps[name].values.astype("f4")) for name in ("static_maps", "valid"))
    rain = torch.where(valid == 1, torch.from_numpy(days.pr.values), 0.0)
    predictors, context = (torch.from_numpy(days[name].values) for name in ("predictors", "context"))
    return Record(rain, predictors, context, statics, valid, int(maps.attrs["factor"]), {})


def _draw_tiles(
    network: RainCVAE, record: Record, noise: list[Tensor], members: int, seen: int, settings: dict[str, Any]
) -> np.ndarray:
    """Members (time, member, lat, lon) of one network, whose `seen` coarsest scales see the observed rain."""
    device, a = network.rain_log_std.device, network.architecture
    count, (rows, columns) = len(record), record.domain
    rain_tmHW = np.empty((count, members, rows * a.factor, columns * a.factor), "f4")
    context = record.context_TKvu.to(device)
    fine = a.block * a.factor
    # tiles are whole cells of the coarsest scale
    domain = (math.ceil(cells / a.block) for cells in (rows, columns))
    for tile in tiles(*domain, max(1, settings["tile"] // fine), a.reach):

        def cut(field: Tensor, size: int, tile: Tile = tile) -> Tensor:
            return _cells(field, tile.with_halo, size).to(device)

        x = cut(record.coarse_TCyx, a.block), cut(record.statics_SHW, fine).expand(count, -1, -1, -1)
        observed = network.observed(*x, cut(record.rain_THW[:, None], fine), context)[:seen] if seen else None
        given = network.given(*x, cut(record.valid_HW, fine).expand(count, 1, -1, -1), context)
        sizes = np.cumprod((1, *a.steps)).tolist()
        z = [cut(n, size) for n, size in zip(noise, sizes, strict=True)]
        rain, _ = network(given, z, observed, settings["temperature"])
        _cells(rain_tmHW, tile.wanted, fine)[:] = _cells(rain, tile.trimmed, fine).cpu().numpy()
    return rain_tmHW


def posterior_scales(model: Chain, settings: dict[str, Any]) -> int:
    """How many scales, coarse to fine, see the observed day: `posterior_scales` as a number."""
    wanted = settings["posterior_scales"]
    return sum(model.scales) if wanted == "all" else wanted


def _cells(field: Any, cells: tuple[slice, slice], size: int) -> Any:
    """The part of an array or tensor (..., h, w) that lies in these cells of size x size of its own."""
    rows, columns = (slice(s.start * size, s.stop * size) for s in cells)
    return field[..., rows, columns]


def sample(
    model: Chain,
    settings: dict[str, Any],
    mode: str,
    fields: Sequence[Path],
    statistics: xr.Dataset,
    path: Path,
    attributes: dict[str, Any],
    shard: int = 1,
    shards: int = 1,
) -> None:
    """Draw K members of every chosen day and stream them to an ensemble file, or those of one shard of the days.

    Parameters
    ----------
    settings
        the frozen `sample` slice: seed, K, days, temperature, batch_size, tile; where an experiment draws from the
        posterior also posterior_scales and min_threshold
    attributes
        provenance for the file
    shard, shards
        draw part `shard` (from 1) of `shards`; a shard is whole batches, so that it has the bits of the whole

    Raises
    ------
    UserError
        If there are more shards than batches.
    """
    chosen = statistics.isel(time=choose_days(statistics, settings["days"]))
    batches = day_batches(fields, chosen.time.values, settings["batch_size"])
    if len(batches) < shards:
        raise UserError(
            f"sampling.shards: found {shards}, but {chosen.sizes['time']} days are only {len(batches)} batches of "
            f"sampling.batch_size {settings['batch_size']}; write at most {len(batches)} shards"
        )
    batches = [batches[i] for i in np.array_split(np.arange(len(batches)), shards)[shard - 1]]
    chosen = chosen.sel(time=np.concatenate([days for _, days in batches]))
    dropped = []

    def members() -> Iterator[np.ndarray]:
        valid = statistics.valid.values.astype(bool)
        for file, times in batches:
            with xr.open_dataset(file) as year:
                days = year.sel(time=times).load()
            rain = draw(model, days, statistics, mode, settings, days_since_1850(days.time))
            rain[..., ~valid] = np.nan
            if mode == "posterior" and settings["min_threshold"]:
                lost = lost_mass(rain[..., valid], days.pr.values[:, valid], settings["min_threshold"])
                rain[lost] = np.nan
                dropped.append(lost.sum())
            yield from rain

    write_ensemble(path, chosen, settings["K"], members(), {"mode": mode, **attributes})
    log.info("%d days, %d members each, from the %s", chosen.sizes["time"], settings["K"], mode)
    if dropped:
        share = settings["min_threshold"]
        log.info("%d members dropped: less than %g of the observed mass (min_threshold)", sum(dropped), share)


def day_batches(fields: Sequence[Path], wanted: np.ndarray, size: int) -> list[tuple[Path, np.ndarray]]:
    """The wanted days in time order, a few at a time, with the file they are in."""
    batches = []
    for path in fields:
        with xr.open_dataset(path) as year:
            days = year.time.values[np.isin(year.time.values, wanted)]
        batches += [(path, days[start : start + size]) for start in range(0, len(days), size)]
    return batches


def days_since_1850(time: xr.DataArray) -> list[int]:
    """Days since 1850-01-01 in the calendar of the record."""
    start = xr.date_range("1850-01-01", periods=1, calendar=time.dt.calendar, use_cftime=time.dtype == object)[0]
    return [(t - start).days for t in time.to_index()]


def lost_mass(rain_tmN: np.ndarray, observed_tN: np.ndarray, share: float) -> np.ndarray:
    """Members (time, member) with less than this share of the observed mass, over N valid cells."""
    return rain_tmN.sum(-1) < share * observed_tN.sum(-1)[:, None]
