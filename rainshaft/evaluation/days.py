"""The quantities of each day, and how those of many days are put together.

Input: members, truth and valid cells of some days. Output: a dataset with a row for each day. The days may come in
parts, so that a record of any length can be scored. Rain in mm/day.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import DRY
from rainshaft.data.fields import dates_of
from rainshaft.errors import UserError
from rainshaft.evaluation import catalogue
from rainshaft.evaluation.scores import Array, BoolArray

MAPS = ("wettest_observed", "wettest_samples")


def score_days(
    members: xr.DataArray, truth: xr.DataArray, valid: xr.DataArray, factor: int, settings: Evaluation, seed: int = 1
) -> xr.Dataset:
    """Compute what each day adds to the scores: the quantities of the catalogue.

    Parameters
    ----------
    members
        (time, member, lat, lon), mm/day. A member that is NaN at every valid cell of a day was dropped.
    truth
        (time, lat, lon), mm/day. Where it is NaN, the day is scored without the cell. A coordinate `category`
        on `time` tells the dry days.
    valid
        (lat, lon), true at the cells to score. The values at the other cells do not matter.
    factor
        Cells along the side of a coarse cell. The first coarse cell begins at the first cell.
    settings
        Thresholds and scales.
    seed
        Breaks the ties of the rank histogram. The ties of a day do not depend on the other days.

    Returns
    -------
    The quantities with a `time` dimension, and two maps of the wettest day of each cell. For `merge` and `summarise`. A
    day takes no part where fewer than 2 members of an ensemble are left: all its quantities but `members` are NaN.

    Raises
    ------
    UserError
        A member has NaN at some valid cells of a day but not at all of them.
    """
    inside = valid.values.astype(bool)
    size = members.sizes["member"]
    category = _category(members, truth)
    day_of = partial(catalogue.Day, ensemble_size=size, factor=factor, settings=settings)
    wettest = _WettestDays(size, inside.shape)
    days = []
    for t, date in enumerate(dates_of(members).tolist()):
        m, y = members.isel(time=t).values, truth.isel(time=t).values
        cells = inside & np.isfinite(y)
        kept = _members_left(m, cells, date)
        rng = np.random.default_rng([seed, int(date.replace("-", ""))])
        if kept.sum() >= min(2, size) and cells.any():
            days.append(_quantities(day_of(m[kept], y, cells, bool(category[t] == DRY), rng)))
            wettest.add(m, y, cells, kept)
        else:
            shapes = _quantities(day_of(np.zeros_like(m), np.zeros_like(y), inside, True, rng))
            days.append({name: np.full(np.shape(value), np.nan) for name, value in shapes.items()})
            days[-1]["members"] = kept.sum()
    columns = {name: np.stack([day[name] for day in days]) for name in days[0]}
    variables = {name: (("time", *catalogue.DIMS.get(name, ())), values) for name, values in columns.items()}
    coords = {"time": members["time"].variable, "category": ("time", category.astype(object))}
    return xr.Dataset(variables | wettest.maps, coords=coords, attrs={"members": size})


def _quantities(day: catalogue.Day) -> dict[str, Any]:
    return {name: value for quantities in catalogue.QUANTITIES for name, value in quantities(day).items()}


class _WettestDays:
    """Collects the largest rain of any day at each cell: of the truth, and of each member by itself."""

    def __init__(self, size: int, shape: tuple[int, ...]):
        self.observed = np.full(shape, np.nan, np.float32)
        self.samples = np.full((size, *shape), np.nan, np.float32)

    def add(self, members: Array, truth: Array, cells: BoolArray, kept: BoolArray) -> None:
        """Take in one day, with the members that are left."""
        self.observed = np.fmax(self.observed, np.where(cells, truth, np.nan))
        self.samples[kept] = np.fmax(self.samples[kept], np.where(cells, members[kept], np.nan))

    @property
    def maps(self) -> dict[str, Any]:
        """Give the variables of the dataset."""
        values = (("lat", "lon"), self.observed), (("member", "lat", "lon"), self.samples)
        return dict(zip(MAPS, values, strict=True))


def _category(*sources: xr.DataArray) -> NDArray[np.str_]:
    """Take the category of each day from the first source that has one."""
    for source in sources:
        if "category" in source.coords:
            return source["category"].values.astype(str)
    return np.full(sources[0].sizes["time"], "", dtype=str)


def _members_left(members: Array, cells: BoolArray, date: str) -> BoolArray:
    """Tell which members were not dropped (M,)."""
    finite = np.isfinite(members[:, cells])
    kept = np.asarray(finite.any(axis=1))
    if broken := np.flatnonzero(kept & ~finite.all(axis=1)).tolist():
        raise UserError(
            f"{date}, member {broken[0]}: {int((~finite[broken[0]]).sum())} of {int(cells.sum())} valid cells are NaN "
            "or infinite; expected a value at every valid cell, or NaN at all of them for a member that was dropped"
        )
    return kept


def merge(parts: Iterable[xr.Dataset]) -> xr.Dataset:
    """Join the results of `score_days` for different days. The parts may come one at a time."""
    times: list[xr.Dataset] = []
    maps: dict[str, xr.DataArray] = {}
    for part in parts:
        times.append(part.drop_vars(MAPS))
        for name in MAPS:
            maps[name] = xr.apply_ufunc(np.fmax, maps[name], part[name]) if name in maps else part[name]
    joined = xr.concat(times, dim="time", data_vars="all", combine_attrs="override").sortby("time")
    return joined.assign(maps)
