"""What training and evaluation need to know of a record: split, normalisation, thresholds, kinds of days.

Input: the canonical fields of all years, from `prepare`. Output: one small dataset, `normalisation.nc`. Rain is in
mm/day, distances in km. All numbers come from the training days; only the split and the categories are given for every
day. Days stream through memory in slabs, so a record may be of any length.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.categories import Thresholds, categories, coarse_categories
from rainshaft.data.conventions import SPLITS, TRAIN, UNUSED, WET_DAY_MM
from rainshaft.data.digest import Digest
from rainshaft.data.fields import Fields
from rainshaft.data.moments import Moments
from rainshaft.data.pairing import Pairs
from rainshaft.data.split import require_days, split_days
from rainshaft.errors import UserError

log = logging.getLogger("rainshaft")

COAST_SCALE = 50.0  # km; how far inland the network can tell the coast from the interior
SLAB_VALUES = 4_000_000  # values (fine cells, context) times days in memory at once: some 100 MB with all that follows


def fit_normalisation(paths: Sequence[Path], settings: NormalisationSettings) -> xr.Dataset:
    """Fit normalisation and thresholds to the training days, and sort all days into categories.

    Parameters
    ----------
    paths
        Canonical fields, one file a year, in the order that the days shall have.
    settings
        The split, and what makes a day heavy or dry.

    Returns
    -------
    Content of `normalisation.nc`. The rain channel has `channel_mean` 0 and as `channel_std` the standard deviation of
    log1p(mm/day), so that dry stays exactly zero. Each channel of the context has a mean for each cell, and one
    standard deviation of the anomalies from it. Cells are valid when they are valid in every year. Sentences about
    predictors that look odd are in the attribute `notes`.

    Raises
    ------
    UserError
        If a part of the split has no day, there is no rain to learn from, the years lie on different grids, or
        predictors are not those of the days.
    """
    with Fields(paths) as fields:
        if not fields.valid.any():
            raise UserError("rain.files: no cell has rain in every year; leave out the years with most gaps")
        split = split_days(fields.time, settings.split)
        require_days(split, fields.dates, settings.split)
        training = split == TRAIN
        _log_split(split, fields.dates)
        moments, maxima, digest, notes = _pass_over(fields, training)
        thresholds = Thresholds.fit(maxima.rain[training], settings)
        category = _categories(fields, thresholds, settings)
        coarse_category = coarse_categories(maxima.coarse, maxima.coarse_wet, training, settings)
        digest.update_labels(split, coarse_category)
        ground, static = fields.ground, _static_maps(fields.ground)
        maps = np.array([*static.values()], "f4").reshape(len(static), *fields.valid.shape)
        labels = {"split": split, "category": category, "coarse_category": coarse_category}
        return xr.Dataset(
            {
                **_of_predictors(moments),
                "static_maps": (("static", "lat", "lon"), maps),
                "valid": (("lat", "lon"), fields.valid.astype("i1"), {"long_name": "1 where every year has rain"}),
                **_of_rain(moments),
                **_of_thresholds(thresholds, settings),
            },
            {
                "time": ("time", fields.time.values, fields.time.attrs),
                **{name: ("time", label) for name, label in labels.items()},
                **{name: ground[name] for name in ("channel", "context_channel", "v", "u", "lat", "lon")},
                "static": ("static", np.array(list(static), dtype="<U16")),
            },
            {
                "title": "Normalisation of the training days",
                "factor": fields.factor,
                "rain_channel": fields.rain_channel,
                "data_fingerprint": digest.hexdigest(),
                "notes": json.dumps(notes),
            },
        )


def ingest_of(paths: Sequence[Path], normalisation: xr.Dataset) -> dict[str, Any]:
    """Say what was changed on the way in, what looks odd, and which values there are.

    Parameters
    ----------
    paths
        Canonical fields, one file a year.
    normalisation
        What `fit_normalisation` made of them.

    Returns
    -------
    Content of `ingest.json`: sentences for each year and for `all years`, and in `values`, for each year and for all
    years, of each variable the units, the extremes, the number of values and the share that is missing.
    """
    notes: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for path in paths:
        with xr.open_dataset(path) as year:
            notes[path.stem] = json.loads(year.attrs["ingest"])
            values[path.stem] = json.loads(year.attrs["values"])
    years = [*values.values()]
    values["all years"] = {name: _join([year[name] for year in years]) for name in years[0]}
    return {**notes, "all years": json.loads(normalisation.attrs["notes"]), "values": values}


def _join(ranges: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the ranges of a variable over years."""
    count = sum(one["values"] for one in ranges)
    return {
        "units": ranges[0]["units"],
        "min": min(one["min"] for one in ranges),
        "max": max(one["max"] for one in ranges),
        "values": count,
        "missing": round(sum(one["missing"] * one["values"] for one in ranges) / count, 4),
    }


# ------------------------------------------------------------------------------------------ reading the fields


@dataclass(frozen=True)
class _Maxima:
    """The highest rain of every day, and what its coarse rain is like; NaN where there is no coarse rain."""

    rain: NDArray[np.float64]
    """highest rain of the valid cells, mm/day (day)"""
    coarse: NDArray[np.float64]
    """highest coarse rain, mm/day (day)"""
    coarse_wet: NDArray[np.float64]
    """share of the coarse cells with 1 mm/day or more (day)"""


def _log_split(split: NDArray[np.str_], dates: Sequence[str]) -> None:
    """Say how many days each part has, and from when to when."""
    for part in (*SPLITS, UNUSED):
        its = [date for date, its_part in zip(dates, split, strict=True) if its_part == part]
        if its:
            log.info("%s: %d days from %s to %s", part, len(its), min(its), max(its))


def _pass_over(fields: Fields, training: NDArray[np.bool_]) -> tuple[Moments, _Maxima, Digest, list[str]]:
    """Go once over the fields: moments of the training days, maxima of every day, digest of the data, notes."""
    channel = fields.rain_channel_index
    moments, digest, pairs = Moments(channel), Digest(fields), Pairs(fields)
    maxima = _Maxima(*(np.full(len(training), np.nan) for _ in range(3)))
    observed = _observed_coarse_cells(fields)
    for days, rain, predictors, context in fields.slabs(SLAB_VALUES):
        digest.update(rain, predictors, context)
        pairs.update(rain, predictors, context)
        cells = rain[:, fields.valid]
        maxima.rain[days] = cells.max(axis=1)
        if channel is not None:
            coarse = predictors[:, channel, observed]
            maxima.coarse[days], maxima.coarse_wet[days] = coarse.max(axis=1), (coarse >= WET_DAY_MM).mean(axis=1)
        learn = training[days]
        if learn.any():
            moments.update(cells[learn], predictors[learn], context[learn])
    _require_rain(fields, moments, maxima.rain, training)
    return moments, maxima, digest, pairs.require()


def _observed_coarse_cells(fields: Fields) -> NDArray[np.bool_]:
    """True for the coarse cells (y, x) in which some cell is valid."""
    rows, columns = (size // fields.factor for size in fields.valid.shape)
    blocks = fields.valid.reshape(rows, fields.factor, columns, fields.factor)
    return np.asarray(blocks.any((1, 3)))


def _require_rain(fields: Fields, moments: Moments, highest: NDArray[np.float64], training: NDArray[np.bool_]) -> None:
    if not np.isfinite(highest).all():
        date = fields.dates[int(np.argmin(np.isfinite(highest)))]
        raise UserError(f"{date}: rain is missing in a valid cell; prepare the fields of that year again")
    if not moments.intensity.any():
        raise UserError(
            f"split.train: the {training.sum()} training days have no cell with {WET_DAY_MM:g} mm/day or more "
            f"(highest value: {highest[training].max():g} mm/day), expected rain; check rain.units, or name other years"
        )


def _categories(fields: Fields, thresholds: Thresholds, settings: NormalisationSettings) -> NDArray[np.str_]:
    """The category of every day by its observed rain, on a second pass over the fields."""
    coast = fields.ground.coast_distance.values[fields.valid].astype(np.float64)
    category = np.empty(len(fields.dates), dtype="<U14")
    for days, rain, *_ in fields.slabs(SLAB_VALUES):
        category[days] = categories(rain[:, fields.valid], coast, thresholds, settings)
    return category


def _static_maps(ground: xr.Dataset) -> dict[str, NDArray[np.float32]]:
    """Maps for the network (lat, lon), of order 1. A map without variation says nothing and is left out.

    Context is equal for all cells, so beside it the network is told where a cell lies: a west wind brings rain to other
    cells than an east wind does.
    """
    elevation = ground.elevation.values.astype(np.float64)
    maps = {"land": ground.land.values, "coast": np.exp(-ground.coast_distance.values / COAST_SCALE)}
    if elevation.std() > 0:
        maps = {"elevation": (elevation - elevation.mean()) / elevation.std(), **maps}
    if ground.sizes["context_channel"]:
        north, east = (np.linspace(-1, 1, size) for size in elevation.shape)
        maps |= dict(zip(("north", "east"), np.meshgrid(-north, east, indexing="ij"), strict=True))
    return {name: values.astype("f4") for name, values in maps.items() if np.ptp(values) > 0}


# ------------------------------------------------------------------------------------------ laying out the result

Variables = dict[str, xr.Variable]


def _of_predictors(moments: Moments) -> Variables:
    channel_mean, channel_std = moments.of_channels()
    context_mean, context_std = moments.of_context()
    cells = ("context_channel", "v", "u")
    return {
        "channel_mean": _variable("channel", channel_mean, "mean over training days; 0 for the rain channel"),
        "channel_std": _variable(
            "channel",
            channel_std,
            "standard deviation over training days; of log1p(mm/day) for the rain channel",
        ),
        "context_mean": _variable(cells, context_mean, "mean over training days of each cell"),
        "context_std": _variable(
            "context_channel",
            context_std,
            "standard deviation of the anomalies from context_mean over training days and cells",
        ),
    }


def _of_rain(moments: Moments) -> Variables:
    return {
        "rain_mean": _variable((), moments.rain_mean, "mean rain of the training days", "mm/day"),
        "rain_log_std": _variable((), moments.rain_log_std, "standard deviation of log1p(mm/day) of the rain"),
        "p99_wet": _variable((), moments.p99_wet, "99th percentile of values >= 1 mm/day", "mm/day"),
    }


def _of_thresholds(thresholds: Thresholds, settings: NormalisationSettings) -> Variables:
    words = "P{:g} of daily maxima, at least 1"
    heavy, extreme = words.format(settings.heavy_percentile), words.format(settings.extreme_percentile)
    return {
        "heavy_threshold": _variable((), thresholds.heavy, heavy, "mm/day"),
        "extreme_threshold": _variable((), thresholds.extreme, extreme, "mm/day"),
    }


def _variable(
    dims: str | tuple[str, ...], values: NDArray[np.float64] | float, meaning: str, units: str = ""
) -> xr.Variable:
    return xr.Variable(dims, values, {**({"units": units} if units else {}), "long_name": meaning})
