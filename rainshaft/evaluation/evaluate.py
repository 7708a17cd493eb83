"""Score an ensemble file against the canonical fields.

Inputs: an ensemble and the canonical fields, as files. Outputs: the contents of `scores.json` and `scores_by_day.nc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import TEST, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.units import length_in
from rainshaft.errors import UserError
from rainshaft.evaluation.catalogue import DIMS
from rainshaft.evaluation.days import MAPS, merge, score_days
from rainshaft.evaluation.scores import wavenumbers
from rainshaft.evaluation.summary import summarise

MEMBERS_BYTES = 2**25  # members in memory at a time

# EARTH_RADIUS_KM gives 111.19493. The rounded value stays, since another one would change all known wavelengths.
EARTH_KM_PER_DEGREE = 111.195

LONG_NAMES = {
    "rank_histogram": "rank of the truth among the members, over cells where the truth or a member is wet",
    "rank_histogram_all": "rank of the truth among the members, over all valid cells, ties broken at random",
    "intensity_observed": "number of observed values in each bin; the first bin counts as dry",
    "intensity_samples": "number of values of the samples in each bin, mean over the members",
    "spectrum_observed": "radially averaged power of the observed rain, mean over the days",
    "spectrum_samples": "radially averaged power of the members, mean over members and days",
    "fair_crps": "fair CRPS, mean over the valid cells",
    "domain_crps": "fair CRPS of the mean over the valid cells",
    "energy_score": "fair energy score over the square root of the number of cells",
}
"""Variables of `scores_by_day.nc` that are described in it."""

RAIN = ("fair_crps", "domain_crps", "energy_score", "mean_observed", "mean_samples", "max_observed", "max_samples")
"""Variables of `scores_by_day.nc` in mm/day."""


def evaluate(
    ensemble: str | Path,
    paths: Sequence[str | Path],
    settings: Evaluation,
    *,
    name: str = "",
    mode: str = "",
    dataset: str = "",
    seed: int = 1,
) -> tuple[dict[str, Any], xr.Dataset]:
    """Score an ensemble file on its test days, a few days in memory at a time.

    Parameters
    ----------
    ensemble
        netCDF with pr(time, member, lat, lon) in mm/day and the coordinates `split` and `category` on time.
    paths
        Canonical fields on the grid of the ensemble, in any order. They must hold all test days.
    settings
        Thresholds, scales and the number of resamplings.
    name, mode, dataset
        Written into the result. Without `mode` it is taken from the attributes of the ensemble.
    seed
        Breaks ties in the rank histogram and draws the resamplings.

    Returns
    -------
    scores
        For `scores.json`.
    by_day
        For `scores_by_day.nc`: the scores of each day, and the curves for the figures.

    Raises
    ------
    UserError
        There is no test day, the fields lack one, or they are on another grid.
    """
    with xr.open_dataset(ensemble) as opened, Fields(paths) as fields:
        pr = opened["pr"].transpose("time", "member", "lat", "lon")
        test = np.flatnonzero(opened["split"].values.astype(str) == TEST)
        _check(ensemble, pr, test, fields)
        heavy = is_heavy(opened["category"].values[test])
        # The heavy days and the others are scored apart and joined to all days. So no day is scored twice.
        groups = [
            merge(_scored(ensemble, pr, days, fields, settings, seed))
            for days in (test[heavy], test[~heavy])
            if days.size
        ]
        all_days = merge(groups) if len(groups) > 1 else groups[0]
        scores = {
            "name": name,
            "mode": mode or opened.attrs.get("mode", ""),
            "dataset": dataset,
            "members": pr.sizes["member"],
            "wet_threshold": settings.wet_threshold,
            "all_days": summarise(all_days, settings, seed),
            "heavy_days": summarise(groups[0], settings, seed) if heavy.any() else None,
        }
        return scores, by_day_of(all_days, settings, fields)


def _scored(
    ensemble: str | Path,
    pr: xr.DataArray,
    days: NDArray[np.int64],
    fields: Fields,
    settings: Evaluation,
    seed: int,
) -> Iterator[xr.Dataset]:
    """Score some days of the ensemble, as many at a time as fit into memory."""
    valid = xr.DataArray(fields.valid, dims=("lat", "lon"))
    length = max(1, MEMBERS_BYTES // (4 * pr[0].size))
    for start in range(0, len(days), length):
        members = _members(pr, days[start : start + length])
        rain = fields.rain(dates_of(members).tolist())
        truth = xr.DataArray(rain, dims=("time", "lat", "lon"), coords={"time": members["time"]})
        try:
            yield score_days(members, truth, valid, fields.factor, settings, seed)
        except UserError as error:
            raise UserError(f"{ensemble}: {error}") from None


def _check(ensemble: str | Path, pr: xr.DataArray, test: NDArray[np.int64], fields: Fields) -> None:
    if not test.size:
        raise UserError(f"{ensemble}: no day with `split` = test; scores are taken on test days only")
    fields.require(dates_of(pr)[test], f"{ensemble}, test days")
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


def _members(pr: xr.DataArray, days: NDArray[np.int64]) -> xr.DataArray:
    values = np.concatenate([pr[run].values for run in _runs(days)])
    coords = {name: ("time", pr[name].values[days]) for name in ("time", "category")}
    return xr.DataArray(values, dims=pr.dims, coords=coords)


def by_day_of(days: xr.Dataset, settings: Evaluation, fields: Fields) -> xr.Dataset:
    """Make the dataset of `scores_by_day.nc`: scores of each day, and curves pooled over the days."""
    height, width = days["wettest_observed"].shape
    wavenumber = wavenumbers(height, width)
    pooled = days.drop_vars(MAPS)[list(DIMS)].sum("time")
    spectra = {name: days[name].mean("time") for name in ("spectrum_observed", "spectrum_samples")}
    fss = 1 - pooled["fss_error"] / pooled["fss_reference"].where(pooled["fss_reference"] > 0)
    cells = days["cells"]
    made = xr.Dataset(
        {name: days[name] for name in days.data_vars if name not in DIMS and days[name].dims == ("time",)}
        | {name: pooled[name] for name in DIMS if name not in spectra and not name.startswith("fss")}
        | spectra
        | {
            "mean_observed": days["sum_observed"] / cells,
            "mean_samples": days["sum_samples"] / cells,
            "intensity_edges": (
                "edge",
                histogram.EDGES,
                {"long_name": "edges of the bins of intensity", "units": "mm day-1"},
            ),
            "wavelength_km": ("wavenumber", _cell_km(fields) / wavenumber, {"units": "km"}),
            "fss": fss.assign_attrs(long_name="fractions skill score of the ensemble", units="1"),
        },
        coords={
            "time": days["time"],
            "category": days["category"],
            "wavenumber": ("wavenumber", wavenumber, {"long_name": "wavenumber", "units": "cycles per cell"}),
            "rank": ("rank", np.arange(days.sizes["rank"]), {"long_name": "members below the truth"}),
            "threshold": ("threshold", np.array(settings.fss_thresholds, float), {"units": "mm day-1"}),
            "scale": ("scale", np.array(settings.fss_scales), {"long_name": "side of the window", "units": "cells"}),
        },
        attrs={"Conventions": "CF-1.11", "title": "scores by day, and curves pooled over the days"},
    )
    for name, words in LONG_NAMES.items():
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
