"""From sums over days to scores with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.days import MAPS
from rainshaft.evaluation.scores import Array, spectral_distance

GIVEN_DOMAIN_MEAN = 0.01  # of the mean rain; with a smaller error the coarse rain gives it, but for rounding

QUANTILES = {"p95": 0.95, "p99": 0.99, "p999": 0.999}


def summarise(days: xr.Dataset, settings: Evaluation, seed: int = 1) -> dict[str, Any] | None:
    """Make the block of `scores.json` for these days: observed values, those of the samples, and the scores.

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
    rainy = np.where(histogram.EDGES[:-1] >= WET_DAY_MM, totals["intensity_observed"], 0)
    very_wet = _each(lambda c: float(histogram.quantile(c, 0.95)) if c.any() else np.nan, rainy)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "wet_fraction": totals[f"wet_{side}"] / totals["cells"],
            "wet_fraction_1mm": totals[f"wet_1mm_{side}"] / totals["cells"],
            "mean": totals[f"sum_{side}"] / totals["cells"],
            "sdii": totals[f"rainy_sum_{side}"] / totals[f"rainy_{side}"],
            "mean_gradient": totals[f"gradient_{side}"] / totals["gradient_pairs"],
            "r95p": _each(histogram.total_above, counts, very_wet)
            / _each(lambda c: histogram.total_above(c, 0), counts),
        } | {
            name: _each(lambda c, s=share: float(histogram.quantile(c, s)), counts) for name, share in QUANTILES.items()
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
            histogram.ks_above, totals["intensity_observed"], totals["intensity_samples"], observed["p95"]
        )
        for name in QUANTILES:
            scores[f"{name}_ratio"] = samples[name] / observed[name]
        scores["ralsd_db"] = _each(spectral_distance, totals["spectrum_samples"], totals["spectrum_observed"])
        fss = 1 - totals["fss_error"] / totals["fss_reference"]
    for i, threshold in enumerate(settings.fss_thresholds):
        for j, scale in enumerate(settings.fss_scales):
            scores[f"fss_{threshold:g}mm_{scale}"] = fss[:, i, j]
    return scores
