"""Scores of an ensemble of rain fields against the truth, on xarray; pure maths inside.

Inputs: members (time, member, lat, lon) and truth (time, lat, lon), rain in mm/day, and the map of valid cells.
Outputs: `score_days` gives what each day adds to the scores, `merge` joins days, `summarise` makes the block of
`statistics.json` from them with 90 % intervals, `evaluate` does all of it for files, a few days in memory at a time.
Every score is a function of per-day quantities, so that a year at a time gives the scores of the record.

Shapes: T days, K members, H W the grid, N valid cells, B resamplings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist, pdist

from rainshaft import intensity
from rainshaft.config import Evaluation
from rainshaft.dataset import valid_every_year
from rainshaft.errors import UserError

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

HEAVY_RAIN_DAY = 1.0  # mm/day: a wet day of the climate indices (ETCCDI)
CHUNK_BYTES = 2**25  # members held in memory at a time
EARTH_KM_PER_DEGREE = 111.195
GIVEN_DOMAIN_MEAN = 0.01  # of the mean rain; with a smaller error the coarse rain gives it, but for rounding
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
QUANTILES = {"p95": 0.95, "p99": 0.99, "p999": 0.999}


# ------------------------------------------------------------------------------------- formulas of a day


def correlations(fields: Array) -> Array:
    """Pearson correlation of every pair of fields over their cells.

    Parameters
    ----------
    fields
        (F, N).

    Returns
    -------
    (F, F); 0 where one of the two is constant.
    """
    anomaly = fields - fields.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(anomaly, axis=1, keepdims=True)
    constant = norm <= 1e-9 * np.linalg.norm(fields, axis=1, keepdims=True)
    unit = np.divide(anomaly, norm, out=np.zeros_like(anomaly), where=~constant)
    return unit @ unit.T


def fair_crps(members: Array, truth: Array) -> Array:
    """Fair CRPS at each cell (Ferro 2014), mm/day; the absolute error of one member.

    E|X - y| - 1/2 E|X - X'| with X' another member, in the form of probability weighted moments.

    Parameters
    ----------
    members
        (K, N).
    truth
        (N,).
    """
    if len(members) == 1:
        return np.abs(members[0] - truth)
    import scoringrules  # late: only the scores need it

    return scoringrules.crps_ensemble(truth, members, m_axis=0, estimator="pwm", backend="numpy")


def fair_energy_score(members: Array, truth: Array) -> float:
    """Fair energy score of the whole field (Gneiting and Raftery 2007) over the root of its cells, mm/day.

    E||X - y|| - 1/2 E||X - X'||; the norm of the error for one member.

    Parameters
    ----------
    members
        (K, N).
    truth
        (N,).
    """
    error = cdist(members, truth[None]).mean()
    spread = pdist(members).mean() if len(members) > 1 else 0.0
    return float(error - 0.5 * spread) / np.sqrt(truth.size)


def cosine_distance(members: Array) -> float:
    """Mean pairwise cosine distance of members (K, N); a dry member is at distance 1 from a wet one.

    NaN when all members are dry.
    """
    norm = np.linalg.norm(members, axis=1, keepdims=True)
    if not norm.any():
        return float("nan")
    unit = np.divide(members, norm, out=np.zeros_like(members), where=norm > 0)
    similarity = (unit @ unit.T)[np.triu_indices(len(members), 1)]
    both_dry = ((norm == 0) & (norm == 0).T)[np.triu_indices(len(members), 1)]
    return float(np.where(both_dry, 0.0, 1 - similarity).mean())


def ranks_of_truth(members: Array, truth: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many members are below the truth at each cell; ties, dry cells above all, are broken at random.

    Parameters
    ----------
    members
        (K, N).
    truth
        (N,).
    rng
        Breaks the ties.
    """
    ties = (members == truth).sum(axis=0)
    return (members < truth).sum(axis=0) + rng.integers(0, ties + 1)


def gradient_sum(fields: Array, cells: Mask, block: int = 1) -> tuple[Array, int]:
    """Sum of |differences of neighbours| along both axes, over pairs of valid cells, and the count of pairs.

    Parameters
    ----------
    fields
        (..., H, W) without NaN.
    cells
        (H, W).
    block
        Only pairs across the edges of blocks of block x block cells.
    """
    total, pairs = np.zeros(fields.shape[:-2]), 0
    for rows, valid in ((fields, cells), (fields.swapaxes(-2, -1), cells.T)):
        lower, upper = slice(block - 1, -1, block), slice(block, None, block)
        both = valid[lower] & valid[upper]
        step = np.abs(rows[..., upper, :] - rows[..., lower, :])
        total = total + step.sum(axis=(-2, -1), where=both, dtype=np.float64)
        pairs += int(both.sum())
    return total, pairs


def wavenumbers(height: int, width: int) -> Array:
    """Centres of the rings of `radial_spectrum`, cycles per cell, up to the Nyquist wavenumber."""
    shortest = min(height, width)
    return np.arange(1, shortest // 2 + 1) / shortest


def radial_spectrum(fields: Array) -> Array:
    """Power spectrum averaged over rings of equal wavenumber in cycles per cell.

    A ring is one cycle per shorter side of the domain wide, so that the rings are the same physical
    scales along both axes of a domain that is not square.

    Parameters
    ----------
    fields
        (..., H, W) without NaN.

    Returns
    -------
    Power (..., min(H, W) // 2), at `wavenumbers(H, W)`.
    """
    # ASSUME cells are as high as they are wide, and the jump across the edges of the domain, which is not
    # periodic, leaks the same power into samples and truth.
    height, width = fields.shape[-2:]
    shortest = min(height, width)
    wavenumber = np.hypot(scipy.fft.fftfreq(height)[:, None], scipy.fft.fftfreq(width))
    ring = np.rint(wavenumber * shortest).astype(int).ravel()
    power = np.abs(scipy.fft.fft2(fields)) ** 2 / (height * width)
    flat = power.reshape(-1, height * width)
    sums = np.stack([np.bincount(ring, row) for row in flat]) / np.bincount(ring)
    return sums[:, 1 : shortest // 2 + 1].reshape(*fields.shape[:-2], -1)


def neighbourhood_fractions(probability: Array, cells: Mask, scale: int) -> Array:
    """Mean of a field (H, W) over the valid cells of the square window around each cell; 0 at cells not valid."""
    inside = uniform_filter(np.where(cells, probability, 0.0), scale, mode="constant")
    share = uniform_filter(cells.astype(np.float64), scale, mode="constant")
    return np.divide(inside, share, out=np.zeros_like(inside), where=cells)


def fractions_errors(
    members: Array, truth: Array, cells: Mask, thresholds: Sequence[float], scales: Sequence[int]
) -> tuple[Array, Array]:
    """Compute the two sums of the fractions skill score, FSS = 1 - error / reference (Roberts and Lean 2008).

    The forecast is the neighbourhood ensemble probability (Schwartz et al. 2010): the exceeding fraction of
    the window, averaged over the members. Windows reach over the edge of the domain and over cells that are
    not valid, and average what is valid in them.

    Parameters
    ----------
    members
        (K, H, W) without NaN.
    truth
        (H, W) without NaN.
    cells
        (H, W), the valid cells.
    thresholds, scales
        In mm/day and in cells.

    Returns
    -------
    error, reference
        (thresholds, scales): sum of (P - O)^2 and of P^2 + O^2 over valid cells.
    """
    error = np.empty((len(thresholds), len(scales)))
    reference = np.empty_like(error)
    for i, threshold in enumerate(thresholds):
        probability, observed = (members >= threshold).mean(axis=0), (truth >= threshold).astype(np.float64)
        for j, scale in enumerate(scales):
            p = neighbourhood_fractions(probability, cells, scale)
            o = neighbourhood_fractions(observed, cells, scale)
            error[i, j], reference[i, j] = ((p - o) ** 2).sum(), (p**2 + o**2).sum()
    return error, reference


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
        rainy = rain >= HEAVY_RAIN_DAY
        day[f"sum_{name}"] = rain.sum() / share
        day[f"wet_{name}"] = (rain > settings.wet_threshold).sum() / share
        day[f"wet_1mm_{name}"] = (rain > 1).sum() / share
        day[f"rainy_{name}"] = rainy.sum() / share
        day[f"rainy_sum_{name}"] = rain.sum(where=rainy) / share
        day[f"max_{name}"] = rain.max()
        day[f"intensity_{name}"] = (intensity.histogram(rain) / share).astype(np.float32)

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


# ------------------------------------------------------------------------------------------- many days


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


def summarise(days: xr.Dataset, settings: Evaluation, seed: int = 1) -> dict[str, Any] | None:
    """Make the block of `statistics.json` for these days: observed values, those of the samples, and the scores.

    Parameters
    ----------
    days
        From `score_days` or `merge`.
    settings
        Number of resamplings, thresholds and scales.
    seed
        Draws the resamplings.

    Returns
    -------
    `days`, `days_left_out` (fewer than 2 members left), `observed`, `samples` and `scores`; each score with its
    value and its 90 % interval, None where it cannot be computed. None when no day is left.
    """
    K = int(days.attrs["members"])
    used = days.isel(time=np.flatnonzero(np.isfinite(days["cells"].values)))
    count = used.sizes["time"]
    if count == 0:
        return None
    # ASSUME the days are independent: spells of wet days make the true intervals somewhat wider
    draws = np.random.default_rng([seed, count]).multinomial(count, np.full(count, 1 / count), size=settings.bootstrap)
    weights = np.vstack([np.ones(count), draws])  # the first row is the record itself
    totals, means = {}, {}
    for name in set(used.data_vars) - set(MAPS):
        values = used[name].values.astype(np.float64)
        known = np.isfinite(values)
        totals[name] = np.tensordot(weights, np.where(known, values, 0), axes=1)
        if values.ndim == 1:
            with np.errstate(invalid="ignore", divide="ignore"):
                means[name] = totals[name] / (weights @ known)
    observed, samples = ({key: _number(v[0]) for key, v in _climate(totals, side).items()} for side in _SIDES)
    for side, block in zip(_SIDES, (observed, samples), strict=True):
        block["max"] = _number(used[f"max_{side}"].values.max())
        wettest = used[f"wettest_{side}"].values  # the mean over cells of each cell's wettest day (Rx1day)
        block["rx1day"] = _number(wettest[np.isfinite(wettest)].mean())
    scores = _scores(totals, means, K, settings)
    return {
        "days": count,
        "days_left_out": days.sizes["time"] - count,
        "observed": observed,
        "samples": samples,
        "scores": {name: _interval(values) for name, values in scores.items()},
    }


_SIDES = ("observed", "samples")


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(rows: Array) -> dict[str, float | None]:
    """Value of the record (first row) and the 5th and 95th percentile of the resamplings (the others)."""
    draws = rows[1:][np.isfinite(rows[1:])]
    if not np.isfinite(rows[0]) or not draws.size:
        return {"value": _number(rows[0]), "low": None, "high": None}
    # Distances (KS, RALSD, rank histogram) grow under resampling, so that all draws may lie above the value.
    low, high = np.percentile(draws, [5, 95])
    return {"value": float(rows[0]), "low": float(min(low, rows[0])), "high": float(max(high, rows[0]))}


def _each(function: Callable[..., float], *rows: Array) -> Array:
    return np.array([function(*row) for row in zip(*rows, strict=True)])


def _climate(totals: Mapping[str, Array], side: str) -> dict[str, Array]:
    """Compute observed values or those of the samples, one for each resampling (B + 1,)."""
    counts = totals[f"intensity_{side}"]
    # R95p: the share of the rain that falls on cell-days above the P95 of the observed wet cell-days
    rainy = np.where(intensity.EDGES[:-1] >= HEAVY_RAIN_DAY, totals["intensity_observed"], 0)
    very_wet = _each(lambda c: float(intensity.quantile(c, 0.95)) if c.any() else np.nan, rainy)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "wet_fraction": totals[f"wet_{side}"] / totals["cells"],
            "wet_fraction_1mm": totals[f"wet_1mm_{side}"] / totals["cells"],
            "mean": totals[f"sum_{side}"] / totals["cells"],
            "sdii": totals[f"rainy_sum_{side}"] / totals[f"rainy_{side}"],
            "mean_gradient": totals[f"gradient_{side}"] / totals["gradient_pairs"],
            "r95p": _each(intensity.total_above, counts, very_wet)
            / _each(lambda c: intensity.total_above(c, 0), counts),
        } | {
            name: _each(lambda c, s=share: float(intensity.quantile(c, s)), counts) for name, share in QUANTILES.items()
        }


def _scores(totals: Mapping[str, Array], means: Mapping[str, Array], K: int, settings: Evaluation) -> dict[str, Array]:
    """Compute every score, one value for each resampling (B + 1,)."""
    observed, samples = _climate(totals, "observed"), _climate(totals, "samples")
    ranks = totals["rank_histogram"]
    per_day = ("correlation_member_truth", "correlation_member_member", "correlation_mean_truth", "calibration_gap")
    per_day += ("fair_crps", "domain_crps", "energy_score", "diversity")
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {name: means[name] for name in per_day}
        if K > 1:
            scores["spread_skill"] = np.sqrt(totals["variance"] / totals["squared_error"])
            scores["rank_histogram_deviation"] = np.abs(ranks / ranks.mean(axis=1, keepdims=True) - 1).max(axis=1)
            given = np.sqrt(means["domain_squared_error"]) < GIVEN_DOMAIN_MEAN * observed["mean"]
            ratio = np.sqrt(totals["domain_variance"] / totals["domain_squared_error"])
            scores["domain_spread_skill"] = np.where(given, np.nan, ratio)
        else:
            names = "spread_skill", "rank_histogram_deviation", "domain_spread_skill"
            scores |= dict.fromkeys(names, np.full(len(ranks), np.nan))
        scores["mass_bias"] = totals["sum_samples"] / totals["sum_observed"] - 1
        scores["wet_fraction_bias_1mm"] = samples["wet_fraction_1mm"] - observed["wet_fraction_1mm"]
        scores["gradient_ratio"] = totals["gradient_samples"] / totals["gradient_observed"]
        at_edges = [totals[f"edge_gradient_{side}"] / totals[f"gradient_{side}"] for side in ("samples", "observed")]
        scores["edge_ratio"] = at_edges[0] / at_edges[1]
        scores["ks_above_p95"] = _each(
            intensity.ks_above, totals["intensity_observed"], totals["intensity_samples"], observed["p95"]
        )
        for name in QUANTILES:
            scores[f"{name}_ratio"] = samples[name] / observed[name]
        scores["ralsd_db"] = _each(spectral_distance, totals["spectrum_samples"], totals["spectrum_observed"])
        fss = 1 - totals["fss_error"] / totals["fss_reference"]
    for i, threshold in enumerate(settings.fss_thresholds):
        for j, scale in enumerate(settings.fss_scales):
            scores[f"fss_{threshold:g}mm_{scale}"] = fss[:, i, j]
    return scores


def spectral_distance(power: Array, observed: Array) -> float:
    """Radially averaged log spectral distance, dB (Harris et al. 2001): root mean square of 10 log10(P / P_obs).

    Wavenumbers without observed power are left out; where only the observed has power the distance is 100 dB.
    """
    known = observed > 0
    if not known.any():
        return float("nan")
    ratio = np.maximum(power[known] / observed[known], 1e-10)
    return float(np.sqrt(np.mean((10 * np.log10(ratio)) ** 2)))


# ----------------------------------------------------------------------------------------------- files


def evaluate(
    ensemble: str | Path,
    fields: Sequence[str | Path],
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
    fields
        Canonical fields of the same grid, in any order; they must hold all test days.
    settings
        Thresholds, scales and the number of resamplings.
    name, mode, dataset
        Written into the result; without `mode` it is taken from the attributes of the ensemble.
    seed
        Of the ties of the rank histogram and of the resamplings.

    Returns
    -------
    statistics
        For `statistics.json`.
    scores
        For `scores.nc`: the scores of each day, and the curves for the figures.

    Raises
    ------
    UserError
        No test day, a test day that the fields do not hold, or another grid.
    """
    sources = [xr.open_dataset(path) for path in fields]
    try:
        with xr.open_dataset(ensemble) as opened:
            pr, where = opened["pr"].transpose("time", "member", "lat", "lon"), _find_days(sources)
            test = np.flatnonzero(opened["split"].values.astype(str) == "test")
            _check(ensemble, pr, test, sources, where, fields)
            valid, factor = valid_every_year(sources), sources[0].sizes["lat"] // sources[0].sizes["y"]
            category = opened["category"].values.astype(str)
            is_heavy = np.char.startswith(category[test], "heavy")

            def scored(days: NDArray[np.int64]) -> Iterator[xr.Dataset]:
                for chunk in _chunks(days, pr):
                    members, truth = _members(pr, chunk), _truth(pr, chunk, sources, where)
                    try:
                        yield score_days(members, truth, valid, factor, settings, seed)
                    except UserError as error:
                        raise UserError(f"{ensemble}: {error}") from None

            # Heavy days and the others apart: both together are all days, and none is scored twice.
            groups = [merge(scored(days)) for days in (test[is_heavy], test[~is_heavy]) if days.size]
            heavy_days = groups[0] if is_heavy.any() else None
            all_days = merge(groups) if len(groups) > 1 else groups[0]
            statistics = {
                "name": name,
                "mode": mode or opened.attrs.get("mode", ""),
                "dataset": dataset,
                "members": pr.sizes["member"],
                "wet_threshold": settings.wet_threshold,
                "all_days": summarise(all_days, settings, seed),
                "heavy_days": None if heavy_days is None else summarise(heavy_days, settings, seed),
            }
            return statistics, _for_figures(all_days, settings, sources[0])
    finally:
        for source in sources:
            source.close()


def _dates(source: xr.Dataset | xr.DataArray) -> list[str]:
    return list(source.indexes["time"].strftime("%Y-%m-%d"))


def _find_days(sources: Sequence[xr.Dataset]) -> dict[str, tuple[int, int]]:
    """Date -> file and index of the day in it."""
    return {date: (file, i) for file, source in enumerate(sources) for i, date in enumerate(_dates(source))}


def _check(
    ensemble: str | Path,
    pr: xr.DataArray,
    test: NDArray[np.int64],
    sources: Sequence[xr.Dataset],
    where: Mapping[str, tuple[int, int]],
    fields: Sequence[str | Path],
) -> None:
    if not test.size:
        raise UserError(f"{ensemble}: no day with `split` = test; scores are taken on test days only")
    dates = _dates(pr)
    if missing := [dates[i] for i in test if dates[i] not in where]:
        names = ", ".join(str(path) for path in fields)
        raise UserError(f"{ensemble}: {len(missing)} test days are not in the fields ({names}); first: {missing[0]}")
    for axis in ("lat", "lon"):
        ours, theirs = pr[axis].values, sources[0][axis].values
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-6, atol=1e-6):
            raise UserError(
                f"{ensemble}: {axis} has {ours.size} cells from {ours[0]:g} to {ours[-1]:g}, the fields {fields[0]} "
                f"have {theirs.size} from {theirs[0]:g} to {theirs[-1]:g}; make the ensemble on the grid of the fields"
            )


def _chunks(days: NDArray[np.int64], pr: xr.DataArray) -> Iterator[NDArray[np.int64]]:
    length = max(1, CHUNK_BYTES // (4 * pr[0].size))
    yield from (days[i : i + length] for i in range(0, len(days), length))


def _runs(index: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of consecutive indices: netCDF reads those at once."""
    for run in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1):
        yield slice(int(run[0]), int(run[-1]) + 1)


def _members(pr: xr.DataArray, days: NDArray[np.int64]) -> xr.DataArray:
    values = np.concatenate([pr[run].values for run in _runs(days)])
    coords = {name: ("time", pr[name].values[days]) for name in ("time", "category")}
    return xr.DataArray(values, dims=pr.dims, coords=coords)


def _truth(
    pr: xr.DataArray, days: NDArray[np.int64], sources: Sequence[xr.Dataset], where: Mapping[str, tuple[int, int]]
) -> xr.DataArray:
    """Read the observed rain of these days, joined by date."""
    dates = _dates(pr)
    places = np.array([where[dates[i]] for i in days])
    breaks = np.flatnonzero((np.diff(places[:, 0]) != 0) | (np.diff(places[:, 1]) != 1)) + 1
    parts = []
    for run in np.split(places, breaks):
        rain = sources[run[0, 0]]["pr"].transpose("time", "lat", "lon")
        parts.append(rain[int(run[0, 1]) : int(run[-1, 1]) + 1].values)
    return xr.DataArray(np.concatenate(parts), dims=("time", "lat", "lon"), coords={"time": pr["time"].values[days]})


def _for_figures(days: xr.Dataset, settings: Evaluation, fields: xr.Dataset) -> xr.Dataset:
    """Make the dataset of scores.nc: scores of each day, and curves pooled over the days."""
    height, width = days["wettest_observed"].shape
    wavenumber = wavenumbers(height, width)
    pooled = days.drop_vars(MAPS)[[name for name in DIMS]].sum("time")
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
                intensity.EDGES,
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
    for name, words in _WORDS.items():
        made[name].attrs["long_name"] = words
    rain = ("mean_observed", "mean_samples", "max_observed", "max_samples")
    for name in ("fair_crps", "domain_crps", "energy_score", *rain):
        made[name].attrs["units"] = "mm day-1"
    return made


_WORDS = {
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


def _cell_km(fields: xr.Dataset) -> float:
    """Side of a fine cell in km: the geometric mean of height and width."""
    step = {axis: float(np.abs(np.diff(fields[axis].values)).mean()) for axis in ("lat", "lon")}
    units = str(fields["lat"].attrs.get("units", "degrees_north"))
    if units.startswith("degree"):
        step["lon"] *= np.cos(np.deg2rad(float(fields["lat"].values.mean())))
        scale = EARTH_KM_PER_DEGREE
    else:
        scale = 1.0 if units in ("km", "kilometre", "kilometer") else 1e-3
    return float(np.sqrt(step["lat"] * step["lon"])) * scale
