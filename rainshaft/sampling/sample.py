"""Draw an ensemble from a trained model: from the prior (downscaling) or the posterior (variations of observed days).

Input: weights, canonical fields, normalisation. Output: an ensemble file, rain in mm/day, (time, member, lat, lon).

The noise of a member is a function of (seed, date, member), and each day is drawn alone. So the members do not depend
on which other days are drawn. A large domain is drawn in tiles that overlap by the reach of the network, with the noise
of the whole domain, so nothing shows where they meet.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.slices import SampleSettings
from rainshaft.data.conventions import TEST, VALIDATION, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.files import DAY_HOURS, write_ensemble
from rainshaft.models.chain import Chain
from rainshaft.sampling.draw import DAYS_AT_ONCE, Rain, draw

log = logging.getLogger("rainshaft")


def sample(
    model: Chain,
    settings: SampleSettings,
    mode: str,
    paths: Sequence[Path],
    normalisation: xr.Dataset,
    path: Path,
    attributes: dict[str, Any],
    shard: int = 1,
    shards: int = 1,
) -> None:
    """Draw the members of every chosen day, or of one shard of these days, and stream them to an ensemble file.

    Parameters
    ----------
    mode
        `prior` or `posterior`; the prior needs no observed rain.
    paths
        Canonical fields of all years.
    attributes
        Provenance for the file.
    shard, shards
        Draw part `shard` (from 1) of `shards`. Its members equal those of an ensemble that is drawn at once, bit for
        bit.

    Raises
    ------
    UserError
        If there are more shards than days, the chosen days cannot be found, or the posterior lacks the rain.
    """
    chosen = normalisation.isel(time=choose_days(normalisation, settings.days))
    dropped: list[int] = []
    with Fields(paths) as fields:
        dates = _shard(list(itertools.chain(*fields.batches(dates_of(chosen).tolist(), DAYS_AT_ONCE))), shard, shards)
        batches = list(fields.batches(dates, DAYS_AT_ONCE))
        chosen = chosen.isel(time=np.isin(dates_of(chosen), dates))
        members = _members(model, settings, mode, fields, batches, normalisation, dropped)
        write_ensemble(path, chosen, settings.members, members, {"mode": mode, **attributes})
    log.info("%d days, %d members each, from the %s", chosen.sizes["time"], settings.members, mode)
    if dropped:
        share = settings.min_threshold
        log.info("%d members dropped: less than %g of the observed mass (min_threshold)", sum(dropped), share)


def choose_days(normalisation: xr.Dataset, wanted: str) -> NDArray[np.bool_]:
    """Choose the days to draw: all validation days, on which settings are judged, all test days, and those wanted.

    Parameters
    ----------
    wanted
        `heavy_only`, `split:NAME` or `file:PATH` with one date (YYYY-MM-DD) a line.

    Returns
    -------
    True for each chosen day of `normalisation.time`.

    Raises
    ------
    UserError
        If the file is not there, or names a date that the dataset does not have.
    """
    split, category = normalisation.split.values, normalisation.category.values
    chosen = np.isin(split, (VALIDATION, TEST))
    if wanted == "heavy_only":
        return chosen | is_heavy(category)
    if wanted.startswith("split:"):
        return chosen | (split == wanted.removeprefix("split:"))
    path = Path(wanted.removeprefix("file:"))
    if not path.exists():
        raise UserError(f"sampling.days: found {wanted!r}, but there is no file {path}; write one date a line in it")
    dates, known = path.read_text(encoding="utf-8").split(), dates_of(normalisation)
    if missing := sorted(set(dates) - set(known)):
        raise UserError(
            f"{path}: {len(missing)} of {len(dates)} dates are not in the dataset, the first is {missing[0]!r}; "
            f"expected YYYY-MM-DD from {known[0]} to {known[-1]}"
        )
    return chosen | np.isin(known, dates)


def _shard(dates: list[str], shard: int, shards: int) -> list[str]:
    """Give the days of one shard."""
    if len(dates) < shards:
        raise UserError(
            f"sampling.shards: found {shards}, but there are only {len(dates)} days; write at most {len(dates)} shards"
        )
    return [dates[i] for i in np.array_split(np.arange(len(dates)), shards)[shard - 1]]


def _members(
    model: Chain,
    settings: SampleSettings,
    mode: str,
    fields: Fields,
    batches: list[list[str]],
    normalisation: xr.Dataset,
    dropped: list[int],
) -> Iterator[Rain]:
    """Draw the members of day after day. Add to `dropped` how many members of a batch had too little mass."""
    valid = normalisation.valid.values.astype(bool)
    for dates in batches:
        days = fields.read(dates)
        rain = draw(model, days, normalisation, mode, settings, days_since_1850(days.time))
        rain[..., ~valid] = np.nan
        if mode == "posterior" and settings.min_threshold:
            lost = lost_mass(rain[..., valid], days.pr.values[:, valid], settings.min_threshold)
            rain[lost] = np.nan
            dropped.append(int(lost.sum()))
        yield from rain


def days_since_1850(time: xr.DataArray, hours: float = DAY_HOURS) -> list[int]:
    """Count the days since 1850-01-01 in the calendar of the record, or the steps where these have other `hours`."""
    start = xr.date_range("1850-01-01", periods=1, calendar=time.dt.calendar, use_cftime=time.dtype == object)[0]
    return [(t - start) // timedelta(hours=hours) for t in time.to_index()]


def lost_mass(rain_tmN: NDArray[np.floating], observed_tN: NDArray[np.floating], share: float) -> NDArray[np.bool_]:
    """Tell which members (time, member) have less than this share of the observed mass, over N valid cells."""
    return rain_tmN.sum(-1) < share * observed_tN.sum(-1)[:, None]
