"""What each day adds to the scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.errors import UserError
from rainshaft.evaluation.scores import (
    Array,
    Mask,
    correlations,
    cosine_distance,
    fair_crps,
    fair_energy_score,
    fractions_errors,
    gradient_sum,
    radial_spectrum,
    ranks_of_truth,
)

MAPS = ("wettest_observed", "wettest_samples")

DIMS = {
    "rank_histogram": ("rank",),
    "rank_histogram_all": ("rank",),
    "intensity_observed": ("bin",),
    "intensity_samples": ("bin",),
    "spectrum_observed": ("wavenumber",),
    "spectrum_samples": ("wavenumber",),
    "fss_error": ("threshold", "scale"),
    "fss_reference": ("threshold", "scale"),
}


def _score_day(
    members: Array,
    truth: Array,
    cells: Mask,
    dry: bool,
    K: int,
    factor: int,
    settings: Evaluation,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Compute what one day adds to the scores: members (k <= K, H, W), truth (H, W), NaN only outside `cells`."""
    members, truth = np.where(cells, members, 0), np.where(cells, truth, 0)  # ASSUME not valid is dry, for spectra only
    m, y = members[:, cells].astype(np.float64), truth[cells].astype(np.float64)
    k, mean, several = len(m), m.mean(axis=0), len(m) > 1
    day: dict[str, Any] = {"members": k, "cells": y.size}

    # ASSUME the spatial correlation with a dry or even field says nothing: such days take no part in it
    if dry or y.std() <= 1e-6:
        day |= dict.fromkeys(
            ("correlation_member_truth", "correlation_member_member", "correlation_mean_truth"), np.nan
        )
    else:
        table = correlations(np.vstack([m, mean, y]))
        day["correlation_member_truth"] = table[:k, -1].mean()
        day["correlation_mean_truth"] = table[k, -1]
        day["correlation_member_member"] = table[:k, :k][np.triu_indices(k, 1)].mean() if several else np.nan
    day["calibration_gap"] = day["correlation_member_truth"] - day["correlation_member_member"]

    day["fair_crps"] = fair_crps(m, y).mean()
    day["energy_score"] = fair_energy_score(m, y)
    day["variance"] = m.var(axis=0, ddof=1).sum() * (k + 1) / k if several else np.nan
    day["squared_error"] = ((mean - y) ** 2).sum()
    day["domain_crps"] = fair_crps(m.mean(axis=1, keepdims=True), y.mean(keepdims=True))[0]
    day["domain_variance"] = m.mean(axis=1).var(ddof=1) * (k + 1) / k if several else np.nan
    day["domain_squared_error"] = (mean.mean() - y.mean()) ** 2
    day["diversity"] = cosine_distance(m) if several else np.nan

    day["rank_histogram"] = day["rank_histogram_all"] = np.full(K + 1, np.nan)
    if k == K:  # the bins of a day with dropped members are not those of the others
        rank = ranks_of_truth(m, y, rng)
        wet = np.maximum(m.max(axis=0), y) > settings.wet_threshold
        day["rank_histogram_all"] = np.bincount(rank, minlength=K + 1)
        day["rank_histogram"] = np.bincount(rank[wet], minlength=K + 1)

    # Sums over the valid cells; of the samples, the mean over the members, so that a day counts the same
    # however many members it has.
    for name, rain, share in (("observed", y, 1), ("samples", m, k)):
        rainy = rain >= WET_DAY_MM
        day[f"sum_{name}"] = rain.sum() / share
        day[f"wet_{name}"] = (rain > settings.wet_threshold).sum() / share
        day[f"wet_1mm_{name}"] = (rain > 1).sum() / share
        day[f"rainy_{name}"] = rainy.sum() / share
        day[f"rainy_sum_{name}"] = rain.sum(where=rainy) / share
        day[f"max_{name}"] = rain.max()
        day[f"intensity_{name}"] = (histogram.histogram(rain) / share).astype(np.float32)

    day["gradient_observed"], day["gradient_pairs"] = gradient_sum(truth, cells)
    day["gradient_samples"] = gradient_sum(members, cells)[0].mean()
    day["edge_gradient_observed"] = gradient_sum(truth, cells, factor)[0]
    day["edge_gradient_samples"] = gradient_sum(members, cells, factor)[0].mean()
    day["spectrum_observed"] = radial_spectrum(truth)
    day["spectrum_samples"] = radial_spectrum(members).mean(axis=0)
    day["fss_error"], day["fss_reference"] = fractions_errors(
        members, truth, cells, settings.fss_thresholds, settings.fss_scales
    )
    return day


def score_days(
    members: xr.DataArray, truth: xr.DataArray, valid: xr.DataArray, factor: int, settings: Evaluation, seed: int = 1
) -> xr.Dataset:
    """Compute what each day adds to the scores.

    Parameters
    ----------
    members
        (time, member, lat, lon), mm/day. A member that is NaN at every valid cell of a day was dropped.
    truth
        (time, lat, lon), mm/day. Where it is NaN, the day is scored without the cell. A coordinate `category`
        on `time` tells the dry days.
    valid
        (lat, lon), true at the cells to score; what stands at other cells does not matter.
    factor
        Cells along the side of a coarse cell; the first one begins at the first cell.
    settings
        Thresholds and scales.
    seed
        Breaks the ties of the rank histogram; a day's ties do not depend on the other days.

    Returns
    -------
    Values, sums and histograms with a `time` dimension, NaN on days with fewer than 2 members left (of an
    ensemble), and two maps of the wettest day of each cell. For `merge` and `summarise`.

    Raises
    ------
    UserError
        A member has NaN at some valid cells of a day but not at all.
    """
    inside = valid.values.astype(bool)
    K = members.sizes["member"]
    dates = members.indexes["time"].strftime("%Y-%m-%d")
    dry = _category(members, truth) == "dry"
    wettest_y = np.full(inside.shape, np.nan, np.float32)
    wettest_m = np.full((K, *inside.shape), np.nan, np.float32)
    days = []
    for t, date in enumerate(dates):
        m, y = members.isel(time=t).values, truth.isel(time=t).values
        cells = inside & np.isfinite(y)
        kept = _members_left(m, cells, date)
        rng = np.random.default_rng([seed, int(date.replace("-", ""))])
        if kept.sum() >= min(2, K) and cells.any():
            days.append(_score_day(m[kept], y, cells, bool(dry[t]), K, factor, settings, rng))
            wettest_y = np.fmax(wettest_y, np.where(cells, y, np.nan))
            wettest_m[kept] = np.fmax(wettest_m[kept], np.where(cells, m[kept], np.nan))
        else:
            shape = _score_day(np.zeros_like(m), np.zeros_like(y), inside, True, K, factor, settings, rng)
            days.append({name: np.full(np.shape(value), np.nan) for name, value in shape.items()})
            days[-1]["members"] = kept.sum()
    columns = {name: np.stack([day[name] for day in days]) for name in days[0]}
    variables = {name: (("time", *DIMS.get(name, ())), values) for name, values in columns.items()}
    variables |= {"wettest_observed": (("lat", "lon"), wettest_y)}
    variables |= {"wettest_samples": (("member", "lat", "lon"), wettest_m)}
    coords = {"time": members["time"].variable, "category": ("time", _category(members, truth).astype(object))}
    return xr.Dataset(variables, coords=coords, attrs={"members": K})


def _category(*sources: xr.DataArray) -> NDArray[Any]:
    for source in sources:
        if "category" in source.coords:
            return source["category"].values.astype(str)
    return np.full(sources[0].sizes["time"], "", dtype=str)


def _members_left(members: Array, cells: Mask, date: str) -> Mask:
    """Tell which members were not dropped (K,)."""
    finite = np.isfinite(members[:, cells])
    kept = finite.any(axis=1)
    if broken := np.flatnonzero(kept & ~finite.all(axis=1)).tolist():
        raise UserError(
            f"{date}, member {broken[0]}: {int((~finite[broken[0]]).sum())} of {int(cells.sum())} valid cells are NaN "
            "or infinite; expected a value at every valid cell, or NaN at all of them for a member that was dropped"
        )
    return kept


def merge(parts: Iterable[xr.Dataset]) -> xr.Dataset:
    """Join the results of `score_days` for different days; the parts may come one at a time."""
    times, maps = [], {}
    for part in parts:
        times.append(part.drop_vars(MAPS))
        for name in MAPS:
            maps[name] = np.fmax(maps[name], part[name]) if name in maps else part[name]
    joined = xr.concat(times, dim="time", data_vars="all", combine_attrs="override").sortby("time")
    return joined.assign(maps)
