"""Rain for days that nobody observed: members of a trained model, drawn from predictors alone.

Input: the canonical predictors of some days, and a trained model. Output: members in mm/day on its fine grid. Members
are drawn as in `rainshaft.sampling.sample`, by the same keys of the noise. So a day has equal members wherever they are
drawn: in the workflow, in Python or from the shell, in any chunks.

Where the input has several realizations, each gets as many members. They stand together, and no two share their noise.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.slices import DrawSettings
from rainshaft.data.domain import Domain
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble
from rainshaft.models.chain import Chain
from rainshaft.sampling.draw import DAYS_AT_ONCE, Rain, draw
from rainshaft.sampling.sample import days_since_1850
from rainshaft.sampling.threshold import write_above

log = logging.getLogger("rainshaft")


def draw_days(model: Chain, domain: Domain, days: xr.Dataset, settings: DrawSettings) -> Rain:
    """Draw members of a few days.

    Parameters
    ----------
    days
        Canonical predictors (time, realization, channel, y, x) and context of the days.

    Returns
    -------
    Rain (time, member, lat, lon) in mm/day, NaN where the model has no valid cell.
    """
    dates = days_since_1850(days.time, domain.hours)
    parts = [
        draw(
            model,
            days.isel(realization=number),
            domain.content,
            "prior",
            settings,
            dates,
            first_member=number * settings.members,
        )
        for number in range(days.sizes["realization"])
    ]
    rain = np.concatenate(parts, axis=1)
    rain[..., ~domain.valid] = np.nan
    return rain


def downscale_year(
    model: Chain,
    domain: Domain,
    predictors: Path,
    settings: DrawSettings,
    path: Path,
    attributes: dict[str, Any],
    shard: int = 1,
    shards: int = 1,
) -> None:
    """Draw the members of a year, or of one shard of its days, and stream them to an ensemble file.

    Parameters
    ----------
    predictors
        Canonical predictors of the year.
    attributes
        Provenance for the file.
    shard, shards
        Draw part `shard` (from 1) of `shards`.

    Raises
    ------
    UserError
        If there are more shards than days.
    """
    with xr.open_dataset(predictors) as year:
        if year.sizes["time"] < shards:
            raise UserError(
                f"shards: found {shards}, but {predictors} has {year.sizes['time']} days; write at most so many shards"
            )
        chosen = year.isel(time=np.array_split(np.arange(year.sizes["time"]), shards)[shard - 1])
        members = settings.members * year.sizes["realization"]
        write_ensemble(
            path,
            coordinates(domain, chosen, settings),
            members,
            _rain(model, domain, chosen, settings),
            attributes,
            hours=domain.hours,
        )
        log.info("%d days, %d members each", chosen.sizes["time"], members)


def finish_year(samples: Sequence[Path], card: Path, path: Path, attributes: Mapping[str, str]) -> None:
    """Write the rain of a year that users take away: without rain below the pixel threshold of the model.

    Parameters
    ----------
    samples
        The shards of the year, in the order of their days.
    card
        The card of the model. It knows the threshold, and whom to cite.
    path
        The file to write.
    attributes
        Provenance of the predictors. `citation`, whom to cite for them, is joined with that of the model.
    """
    described = json.loads(card.read_text(encoding="utf-8"))
    of_predictors = dict(attributes)
    cited = " ".join(text for text in (described["citation"], of_predictors.pop("citation")) if text)
    of_model = {"model": described["name"], "references": cited, "license": described["licence"]}
    with ExitStack() as stack:
        shards = [stack.enter_context(xr.open_dataset(file)) for file in samples]
        write_above(shards, float(described["sampling"]["pixel_threshold"]), path, of_model | of_predictors)


def coordinates(domain: Domain, days: xr.Dataset, settings: DrawSettings) -> xr.Dataset:
    """Give the coordinates of the rain of some days: days, fine cells, and to which realization a member belongs."""
    belongs = np.repeat(days.realization.values, settings.members)
    found = xr.Dataset(coords={"time": days.time, "lat": domain.content.lat, "lon": domain.content.lon})
    words = {"long_name": "realization of the input to which a member belongs", "units": "1"}
    found = found.assign_coords(realization=("member", belongs, words))
    return found.assign(crs=domain.content.crs) if "crs" in domain.content else found


def _rain(model: Chain, domain: Domain, days: xr.Dataset, settings: DrawSettings) -> Iterator[Rain]:
    for start in range(0, days.sizes["time"], DAYS_AT_ONCE):
        yield from draw_days(model, domain, days.isel(time=slice(start, start + DAYS_AT_ONCE)).load(), settings)
