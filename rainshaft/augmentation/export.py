"""Synthetic heavy days for the training set of another model: the members, their predictors, and a manifest.

Input: an ensemble file and the canonical fields. Output: a CF netCDF of the heavy training days with every member that
was kept and the predictors of these days, and a JSON file that says where each came from. Validation and test days are
never part of it, so that the other model may be judged on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import TRAIN, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble, write_json

PREDICTORS = {  # prefix in the export: variable, its channels and their units in the fields
    "coarse": ("predictors", "channel", "channel_units"),
    "context": ("context", "context_channel", "context_units"),
}


def export(ensemble: Path, paths: Sequence[Path], path: Path, manifest: Path) -> None:
    """Write the heavy training days of an ensemble with their predictors, a day in memory at a time.

    Parameters
    ----------
    ensemble
        netCDF with pr(time, member, lat, lon) in mm/day. A member that is NaN throughout was dropped and stays so.
    paths
        Canonical fields of all its days.
    path
        The netCDF to write: the rain, `coarse_{predictor}`(time, y, x) and `context_{predictor}`(time, v, u) in the
        units of the fields.
    manifest
        The JSON file to write. For each day it has the category, the observed and the synthetic mean rain in mm/day,
        and which members were kept. It also has the attributes of the ensemble and the SHA-256 of the netCDF.

    Raises
    ------
    UserError
        If the ensemble has no heavy training day.
    """
    with xr.open_dataset(ensemble) as opened:
        wanted = is_heavy(opened.category.values) & (opened.split.values.astype(str) == TRAIN)
        if not wanted.any():
            raise UserError(
                f"{ensemble}: found no heavy day of the training split; expected some: draw them with "
                "`sampling.days: heavy_only` or `split:train`"
            )
        days = opened.isel(time=np.flatnonzero(wanted))
        known = _known(paths, days)
        rows: list[dict[str, Any]] = []

        def members() -> Iterator[NDArray[np.floating]]:
            for i in range(days.sizes["time"]):
                day = days.isel(time=i).load()
                rows.append(_row(day, float(known.observed_mean[i])))
                yield day.pr.values

        attributes = {**opened.attrs, "title": "synthetic heavy days with their coarse predictors"}
        count = opened.sizes["member"]
        write_ensemble(path, days.drop_vars("pr"), count, members(), attributes, known.drop_vars("observed_mean"))
    content = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "made_by": {
            name: value.item() if isinstance(value, np.generic) else value for name, value in opened.attrs.items()
        },
        "fields": sum(len(row["members"]) for row in rows),
        "days": rows,
    }
    write_json(content, manifest)


def _row(day: xr.Dataset, observed_mean: float) -> dict[str, Any]:
    """Say in the manifest where the fields of one day come from."""
    rain = day.pr.values
    kept = np.flatnonzero(np.isfinite(rain).any((1, 2)))
    return {
        "date": day.time.dt.strftime("%Y-%m-%d").item(),
        "category": str(day.category.values),
        "members": kept.tolist(),
        "observed_mean": observed_mean,
        "synthetic_means": [round(float(np.nanmean(rain[k])), 4) for k in kept],
    }


def _known(paths: Sequence[Path], days: xr.Dataset) -> xr.Dataset:
    """Read the predictors and the observed mean rain of these days from the canonical fields."""
    with Fields(paths) as fields:
        known = fields.read(dates_of(days).tolist())
        valid = xr.DataArray(fields.valid, dims=("lat", "lon"))
    part = {"observed_mean": known.pr.where(valid).mean(("lat", "lon"))}
    for prefix, (field, channel, its_units) in PREDICTORS.items():
        for name, units in zip(known[channel].values, known[its_units].values, strict=True):
            part[f"{prefix}_{name}"] = known[field].sel({channel: name}, drop=True).assign_attrs(units=units)
    return xr.Dataset(part).drop_vars(["lat", "lon"], errors="ignore")
