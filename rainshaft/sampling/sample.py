"""Draw members from a trained model: from the prior (downscaling) or the posterior (variations of observed days).

Input: weights, canonical fields, normalisation. Output: an ensemble file, rain in mm/day, (time, member, lat, lon).
The noise of a member is a function of (seed, date, member): the same members come out whatever the batch size and
whichever other days are drawn. A large domain is drawn in tiles that overlap by the reach of the network, with the
noise of the whole, so that nothing shows where they meet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.slices import SampleSettings
from rainshaft.data.conventions import TEST, VALIDATION, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble
from rainshaft.models.chain import Chain
from rainshaft.sampling.draw import draw

log = logging.getLogger("rainshaft")

VALIDATION_DAYS = 90  # at most, spread evenly: enough to match a wet fraction to 1 %


def choose_days(normalisation: xr.Dataset, wanted: str) -> np.ndarray:
    """Which days to draw: all test days, some validation days for `pixel_threshold: auto`, and those wanted.

    Parameters
    ----------
    wanted
        `heavy_only`, `split:NAME` or `file:PATH` with one date (YYYY-MM-DD) a line

    Returns
    -------
    chosen
        True for each chosen day of `normalisation.time`

    Raises
    ------
    UserError
        If the file is not there, or names a date that the dataset does not have.
    """
    split, category = normalisation.split.values, normalisation.category.values
    validation = np.flatnonzero(split == VALIDATION)
    few = np.linspace(0, len(validation) - 1, min(len(validation), VALIDATION_DAYS)).round().astype(int)
    chosen = split == TEST
    chosen[validation[few]] = True
    if wanted == "heavy_only":
        return chosen | is_heavy(category.astype(str))
    if wanted.startswith("split:"):
        return chosen | (split == wanted.removeprefix("split:"))
    path = Path(wanted.removeprefix("file:"))
    if not path.exists():
        raise UserError(f"sampling.days: found {wanted!r}, but there is no file {path}; write one date a line in it")
    dates = path.read_text().split()
    known = normalisation.time.dt.strftime("%Y-%m-%d").values
    if missing := sorted(set(dates) - set(known)):
        raise UserError(
            f"{path}: {len(missing)} of {len(dates)} dates are not in the dataset, the first is {missing[0]!r}; "
            f"expected YYYY-MM-DD from {known[0]} to {known[-1]}"
        )
    return chosen | np.isin(known, dates)


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
    """Draw K members of every chosen day and stream them to an ensemble file, or those of one shard of the days.

    Parameters
    ----------
    settings
        the frozen `sample` slice: seed, members, days, temperature, batch_size, tile; where an experiment draws from the
        posterior also posterior_scales and min_threshold
    paths
        canonical fields of all years
    attributes
        provenance for the file
    shard, shards
        draw part `shard` (from 1) of `shards`; a shard is whole batches, so that it has the bits of the whole

    Raises
    ------
    UserError
        If there are more shards than batches.
    """
    chosen = normalisation.isel(time=choose_days(normalisation, settings.days))
    valid, dropped = normalisation.valid.values.astype(bool), []
    with Fields(paths) as fields:
        batches = list(fields.batches(dates_of(chosen).tolist(), settings.batch_size))
        if len(batches) < shards:
            raise UserError(
                f"sampling.shards: found {shards}, but {chosen.sizes['time']} days are only {len(batches)} batches of "
                f"sampling.batch_size {settings.batch_size}; write at most {len(batches)} shards"
            )
        batches = [batches[i] for i in np.array_split(np.arange(len(batches)), shards)[shard - 1]]
        chosen = chosen.isel(time=np.isin(dates_of(chosen), np.concatenate(batches)))

        def members() -> Iterator[np.ndarray]:
            for dates in batches:
                days = fields.read(dates)
                rain = draw(model, days, normalisation, mode, settings, days_since_1850(days.time))
                rain[..., ~valid] = np.nan
                if mode == "posterior" and settings.min_threshold:
                    lost = lost_mass(rain[..., valid], days.pr.values[:, valid], settings.min_threshold)
                    rain[lost] = np.nan
                    dropped.append(lost.sum())
                yield from rain

        write_ensemble(path, chosen, settings.members, members(), {"mode": mode, **attributes})
    log.info("%d days, %d members each, from the %s", chosen.sizes["time"], settings.members, mode)
    if dropped:
        share = settings.min_threshold
        log.info("%d members dropped: less than %g of the observed mass (min_threshold)", sum(dropped), share)


def days_since_1850(time: xr.DataArray) -> list[int]:
    """Days since 1850-01-01 in the calendar of the record."""
    start = xr.date_range("1850-01-01", periods=1, calendar=time.dt.calendar, use_cftime=time.dtype == object)[0]
    return [(t - start).days for t in time.to_index()]


def lost_mass(rain_tmN: np.ndarray, observed_tN: np.ndarray, share: float) -> np.ndarray:
    """Members (time, member) with less than this share of the observed mass, over N valid cells."""
    return rain_tmN.sum(-1) < share * observed_tN.sum(-1)[:, None]
