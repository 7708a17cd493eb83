"""Synthetic heavy days for the training set of another model: the members, their predictors, and a manifest.

Input: an ensemble file and the canonical fields. Output: a CF netCDF of the heavy training days with every member that
was kept, the coarse predictors that belong to them, and a JSON file that says where each came from. Validation and test
days are never part of it, so that the other model may be judged on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.dataset import valid_every_year
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble, write_json

PREDICTORS = {  # prefix in the export: variable, its channels and their units in the fields
    "coarse": ("predictors", "channel", "channel_units"),
    "context": ("context", "context_channel", "context_units"),
}


def export(ensemble: Path, fields: Sequence[Path], path: Path, manifest: Path) -> None:
    """Write the heavy training days of an ensemble with their predictors, a day in memory at a time.

    Parameters
    ----------
    ensemble
        netCDF with pr(time, member, lat, lon) in mm/day; a member that is NaN throughout was dropped and stays so
    fields
        canonical fields of all its days
    path
        the netCDF to write: the rain, `coarse_{predictor}`(time, y, x) and `context_{predictor}`(time, v, u), these in
        the units of the fields
    manifest
        the JSON file to write: for each day its category, the observed and the synthetic mean rain in mm/day and the
        members kept; the attributes of the ensemble; the SHA-256 of the netCDF

    Raises
    ------
    UserError
        If the ensemble has no heavy training day.
    """
    with xr.open_dataset(ensemble) as opened:
        category = opened.category.values.astype(str)
        wanted = np.char.startswith(category, "heavy") & (opened.split.values.astype(str) == "train")
        if not wanted.any():
            raise UserError(
                f"{ensemble}: found no heavy day of the training split; expected some: draw them with "
                "`sampling.days: heavy_only` or `split:train`"
            )
        days = opened.isel(time=np.flatnonzero(wanted))
        known = _known(fields, days.time.values)
        rows: list[dict[str, Any]] = []

        def members() -> Iterator[np.ndarray]:
            for i, date in enumerate(days.time.dt.strftime("%Y-%m-%d").values.tolist()):
                rain = days.pr[i].values
                kept = np.flatnonzero(np.isfinite(rain).any((1, 2)))
                rows.append(
                    {
                        "date": date,
                        "category": str(days.category.values[i]),
                        "members": kept.tolist(),
                        "observed_mean": float(known.observed_mean[i]),
                        "synthetic_means": [round(float(np.nanmean(rain[k])), 4) for k in kept],
                    }
                )
                yield rain

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


def _known(fields: Sequence[Path], times: np.ndarray) -> xr.Dataset:
    """Of these days, from the canonical fields: the predictors, and the observed mean rain."""
    parts = []
    with ExitStack() as stack:
        years = [stack.enter_context(xr.open_dataset(file)) for file in fields]
        valid = valid_every_year(years)
        for year in years:
            mine = year.sel(time=times[np.isin(times, year.time.values)])
            part = {"observed_mean": mine.pr.where(valid).mean(("lat", "lon"))}
            for prefix, (field, channel, its_units) in PREDICTORS.items():
                for name, units in zip(mine[channel].values, mine[its_units].values, strict=True):
                    part[f"{prefix}_{name}"] = mine[field].sel({channel: name}, drop=True).assign_attrs(units=units)
            parts.append(xr.Dataset(part).load())
    return xr.concat(parts, "time").drop_vars(["lat", "lon"], errors="ignore")
