"""Score ensemble files against the canonical fields.

Inputs: ensembles and the canonical fields, as files. Outputs: the contents of `scores.json` and `scores_by_day.nc`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import TEST, VALIDATION
from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.units import length_in
from rainshaft.errors import UserError
from rainshaft.evaluation.days import Setting
from rainshaft.evaluation.formulas.sequences import LONGEST
from rainshaft.evaluation.formulas.texture import DIRECTIONS, LAGS, wavenumbers
from rainshaft.evaluation.quantities import DIMS, LARGEST, class_edges
from rainshaft.evaluation.scoring import RETURN_YEARS, OneDay, Part, Scored, digest_of, score
from rainshaft.files import small_caches

# of members in memory at a time; the arrays that reading makes on the way take several times as much
MEMBERS_BYTES = 2**23
TRUTH_DAYS = 64  # of observed rain in memory at a time, when its area mean is taken
PARTS = (VALIDATION, TEST)
CURVES = tuple(name for name in DIMS if name not in LARGEST)

# EARTH_RADIUS_KM gives 111.19493. The rounded value stays, since another one would change all known wavelengths.
EARTH_KM_PER_DEGREE = 111.195

LONG_NAMES = {
    "rank_histogram": "rank of the truth among the members, over cells where the truth or a member is wet",
    "rank_histogram_all": "rank of the truth among the members, over all valid cells, ties broken at random",
    "intensity_observed": "number of observed values in each bin; the first bin counts as dry",
    "intensity_samples": "number of values of the samples in each bin, mean over the members",
    "spectrum_observed": "radially averaged power of the observed rain, sum over the days",
    "spectrum_samples": "radially averaged power of the members, mean over the members, sum over the days",
    "fair_crps": "fair CRPS, mean over the valid cells",
    "domain_crps": "fair CRPS of the mean over the valid cells",
    "energy_score": "fair energy score over the square root of the number of cells",
    "variogram_score": "fair variogram score of order 0.5",
    "pool_crps": "fair CRPS of the means over blocks across coarse cells",
    "ralsd_db": "radially averaged log spectral distance of the members from the truth, mean over the members",
    "elongation_observed": "logarithm of the axis ratio of the observed storms of the day",
    "elongation_samples": "logarithm of the axis ratio of the storms of the day, mean over the members",
    "covariance_observed": "spatial covariance of the observed rain of a day, sum over the days",
    "covariance_samples": "spatial covariance of the members of a day, mean over the members, sum over the days",
    "covariance_known": "number of days that have a lag",
    "events": "cells by the number of members and by whether the truth reaches the threshold",
    "twcrps": "fair CRPS of the rain beyond the threshold, sum over cells and days",
    "class_ranks": "rank of the truth among the members in each class of intensity",
    "class_variance": "variance of the members times (M + 1) / M, sum over the cells of the class",
    "class_squared_error": "squared error of the mean of the members, sum over the cells of the class",
    "spells_observed": "observed spells, dry and wet, by their length",
    "spells_samples": "spells of the members, dry and wet, by their length, mean over the members",
    "pairs_observed": "observed cells by whether the day before and the day are wet",
    "pairs_samples": "cells of the members by whether the day before and the day are wet, mean over the members",
    "moments_observed": "sums of 1, x, y, x^2, y^2 and xy of the observed rain x of a day and y of the next",
    "moments_samples": "the same of the members, mean over the members",
    **{
        f"map_{name}_{side}": f"{words} of the {'observed rain' if side == 'observed' else 'members'}"
        for side in ("observed", "samples")
        for name, words in {
            "mean": "mean rain",
            "wet_frequency": "share of days with 1 mm or more",
            "p99": "99th percentile of all days",
            "level": f"return level of {RETURN_YEARS} years, from annual maxima",
        }.items()
    },
}
"""Variables of `scores_by_day.nc` that are described in it."""

RAIN = ("fair_crps", "domain_crps", "energy_score", "mean_observed", "mean_samples", "max_observed")
"""Variables of `scores_by_day.nc` in mm/day."""


def evaluate(
    ensembles: Sequence[str | Path],
    paths: Sequence[str | Path],
    settings: Evaluation,
    *,
    name: str = "",
    mode: str = "",
    dataset: str = "",
    seed: int = 1,
) -> tuple[dict[str, Any], xr.Dataset]:
    """Score ensemble files on their validation days and, apart, on their test days, a few days in memory at a time.

    Parameters
    ----------
    ensembles
        netCDF with pr(time, member, lat, lon) in mm/day and the coordinates `split` and `category` on time. Several
        files are the folds of a cross-validation: each gives its own validation and test days.
    paths
        Canonical fields on the grid of the ensembles, in any order. They must hold all these days.
    settings
        Thresholds, scales and the number of resamples.
    name, mode, dataset
        Written into the result. Without `mode` it is taken from the attributes of the first ensemble.
    seed
        Breaks ties in the rank histogram and draws the resamples.

    Returns
    -------
    scores
        For `scores.json`: under `validation` and `test` a block for all days and for kinds of days.
    by_day
        For `scores_by_day.nc`: the values of each day, the curves for the figures, and the scores in each resample.

    Raises
    ------
    UserError
        There is no test day, a day is in two folds, the fields lack a day, or they are on another grid.
    """
    with ExitStack() as stack:
        stack.enter_context(small_caches())
        fields = stack.enter_context(Fields(paths))
        opened = [stack.enter_context(xr.open_dataset(path)) for path in ensembles]
        rain = [one["pr"].transpose("time", "member", "lat", "lon") for one in opened]
        for path, one in zip(ensembles, rain, strict=True):
            _check_grid(path, one, fields)
        setting = Setting(rain[0].sizes["member"], fields.valid, fields.factor, settings, seed)
        content: dict[str, Any] = {
            "name": name,
            "mode": mode or opened[0].attrs.get("mode", ""),
            "dataset": dataset,
            "members": setting.size,
            "settings": settings.model_dump(mode="json", include=set(Evaluation.model_fields)),
        }
        by_part = {}
        for split in PARTS:
            days = days_of_split(opened, split)
            if not days:
                content[split] = None
                continue
            fields.require([date for date, *_ in days], f"{ensembles[0]}, {split} days")
            part = part_of([date for date, *_ in days], [category for _, category, *_ in days], fields)
            scored = score(read_days(ensembles, rain, days, fields), part, setting)
            content[split] = content_of(part, scored)
            by_part[split] = part, scored
        if content[TEST] is None:
            raise UserError(f"{ensembles[0]}: no day with `split` = test; scores are reported on test days")
        return content, by_day_of(by_part, settings, fields)


Place = tuple[str, str, int, int]
"""the date and the category of a day, the ensemble that holds it, and its place in the time of this ensemble"""


def days_of_split(opened: Sequence[xr.Dataset], split: str) -> list[Place]:
    """Find the days of a split over all ensembles, in the order of time."""
    days: list[Place] = []
    for number, one in enumerate(opened):
        chosen = np.flatnonzero(one["split"].values.astype(str) == split)
        dates, category = dates_of(one)[chosen].tolist(), one["category"].values[chosen].astype(str).tolist()
        days += zip(dates, category, [number] * len(chosen), chosen.tolist(), strict=True)
    days.sort()
    for (date, *_), (following, *_) in itertools.pairwise(days):
        if date == following:
            raise UserError(f"the {split} day {date} is in two folds; expected each day in one of them")
    return days


def part_of(dates: Sequence[str], category: Sequence[str], fields: Fields) -> Part:
    """Take the observed area rain of these days."""
    means: list[NDArray[np.floating]] = []
    for start in range(0, len(dates), TRUTH_DAYS):
        rain = fields.rain(dates[start : start + TRUTH_DAYS])[:, fields.valid]
        with np.errstate(invalid="ignore"):
            means.append(np.nansum(rain, axis=1, dtype=np.float64) / np.maximum(1, np.isfinite(rain).sum(axis=1)))
    return Part(np.array(dates), np.array(category), np.concatenate(means), fields.times(dates).values)


def content_of(part: Part, scored: Scored) -> dict[str, Any]:
    """Give what `scores.json` says of a part."""
    return scored.blocks | {
        "first_day": str(part.dates[0]),
        "last_day": str(part.dates[-1]),
        "digest": digest_of(part.dates),
    }


def read_days(
    ensembles: Sequence[str | Path], rain: Sequence[xr.DataArray], days: Sequence[Place], fields: Fields
) -> Iterator[OneDay]:
    """Read day after day, as many at a time as fit into memory."""
    length = max(1, MEMBERS_BYTES // (4 * rain[0][0].size))
    start = 0
    while start < len(days):
        number, stop = days[start][2], start + 1
        while stop < len(days) and stop - start < length and days[stop][2] == number:
            stop += 1
        chunk = days[start:stop]
        truth = fields.rain([date for date, *_ in chunk])
        done = 0
        for run in _runs(np.array([day[3] for day in chunk])):  # one run at a time, so that none is held twice
            members = rain[number][run].values
            yield from zip(members, truth[done : done + len(members)], strict=True)
            done += len(members)
            del members
        start = stop


def _check_grid(ensemble: str | Path, pr: xr.DataArray, fields: Fields) -> None:
    for axis in ("lat", "lon"):
        ours, theirs = pr[axis].values, fields.ground[axis].values
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-6, atol=1e-6):
            raise UserError(
                f"{ensemble}: {axis} has {ours.size} cells from {ours[0]:g} to {ours[-1]:g}, the fields "
                f"{fields.paths[0]} have {theirs.size} from {theirs[0]:g} to {theirs[-1]:g}; make the ensemble on the "
                "grid of the fields"
            )


def _runs(index: NDArray[np.int64]) -> Iterator[slice]:
    """Cut indices into slices of consecutive ones, which netCDF reads at once."""
    for run in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1):
        yield slice(int(run[0]), int(run[-1]) + 1)


def by_day_of(by_part: dict[str, tuple[Part, Scored]], settings: Evaluation, fields: Fields) -> xr.Dataset:
    """Make the dataset of `scores_by_day.nc`: the values of each day, curves over the days, and the resamples."""
    height, width = fields.valid.shape
    wavenumber = wavenumbers(height, width)
    days, curves, resampled, maps = [], [], [], []
    for split, (part, scored) in by_part.items():
        days.append(
            scored.by_day.assign_coords(
                time=fields.times(part.dates.tolist()), split=("time", [split] * len(part.dates))
            )
        )
        curves.append(xr.Dataset({name: (DIMS[name], scored.sums[name]) for name in CURVES}).expand_dims(part=[split]))
        resampled.append(scored.resampled.expand_dims(part=[split]))
        maps.append(scored.maps.expand_dims(part=[split]))
    made = xr.concat(days, "time").sortby("time")
    made = made.merge(xr.concat(curves, "part")).merge(xr.concat(maps, "part", data_vars="all"))
    made["resampled"] = xr.concat(resampled, "part", join="outer")
    made["fss"] = 1 - made["fss_error"] / made["fss_reference"].where(made["fss_reference"] > 0)
    made = made.drop_vars(["fss_error", "fss_reference"])
    made["mean_observed"] = made["sum_observed"] / made["cells"]
    made["mean_samples"] = made["sum_samples"] / made["cells"]
    made["intensity_edges"] = (
        "edge",
        histogram.EDGES,
        {"long_name": "edges of the bins of intensity", "units": "mm day-1"},
    )
    made["wavelength_km"] = ("wavenumber", _cell_km(fields) / wavenumber, {"units": "km"})
    made["fss"].attrs |= {"long_name": "fractions skill score of the ensemble", "units": "1"}
    made["resampled"].attrs["long_name"] = (
        "scores of the record, of its resamples, and of the record without each of its parts"
    )
    made = made.assign_coords(
        wavenumber=("wavenumber", wavenumber, {"long_name": "wavenumber", "units": "cycles per cell"}),
        rank=("rank", np.arange(made.sizes["rank"]), {"long_name": "members below the truth"}),
        threshold=("threshold", np.array(settings.fss_thresholds, float), {"units": "mm day-1"}),
        scale=("scale", np.array(settings.fss_scales), {"long_name": "side of the window", "units": "cells"}),
        direction=("direction", np.array(DIRECTIONS), {"long_name": "from the x axis, up", "units": "degree"}),
        lag=("lag", np.array(LAGS), {"long_name": "steps between two cells", "units": "cells"}),
        class_edge=("class", np.array([0.0, *class_edges(settings)]), {"units": "mm day-1"}),
        days_of_spell=(
            "days_of_spell",
            np.arange(1, LONGEST + 1),
            {"long_name": "length of the spell", "units": "day"},
        ),
        lat=fields.ground["lat"],
        lon=fields.ground["lon"],
    )
    made.attrs = {"Conventions": "CF-1.11", "title": "scores by day, and curves over the days"}
    for name, words in LONG_NAMES.items():
        if name in made:  # a return level needs many years
            made[name].attrs["long_name"] = words
    for name in RAIN:
        made[name].attrs["units"] = "mm day-1"
    return made


def _cell_km(fields: Fields) -> float:
    """Take the side of a fine cell in km: the geometric mean of height and width."""
    lat = fields.ground["lat"]
    step = {axis: float(np.abs(np.diff(fields.ground[axis].values)).mean()) for axis in ("lat", "lon")}
    if fields.grid_kind == "projected":
        scale = length_in(lat.attrs.get("units", "m"), "km")
    else:
        step["lon"] *= np.cos(np.deg2rad(float(lat.values.mean())))
        scale = EARTH_KM_PER_DEGREE
    return float(np.sqrt(step["lat"] * step["lon"])) * scale
