"""The noise floor: what the quantities of a day would be if each of its members in turn were the truth.

The members of a calibrated ensemble and its truth are draws of one distribution. So a member that takes the place of
the truth shows what the scores of an ensemble without any fault would be, on as many days and with as much noise.

The quantities are those of `quantities`, for all members at once. Much of it follows from sums over pairs of members,
so all turns together cost about as much as the scores themselves.

Shapes: M members, each of which takes its turn; N valid cells of a day, H W fine grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform

from rainshaft import histogram
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.formulas.ensemble import correlations, pool_means
from rainshaft.evaluation.formulas.texture import (
    correlation_radii,
    directional_covariances,
    ellipse,
    gradient_sum,
    hann_window,
    radial_spectrum,
    ralsd,
)
from rainshaft.evaluation.quantities import LEAST_MEAN, LEAST_STD, Day

LEAST_MEMBERS = 3  # for one to be the truth of the others


def floor_quantities_of(day: Day) -> dict[str, Array]:
    """Compute the quantities of a day with each member as the truth (M, ...).

    The day must have `LEAST_MEMBERS` members or more. Quantities that no floor is known of are left out.
    """
    parts = (_counts, _correlations, _errors_and_spread, _ranks, _rain, _texture, _spectra, _shapes)
    return {name: values for part in parts for name, values in part(day).items()}


def _counts(day: Day) -> dict[str, Any]:
    count, cells = day.members_MN.shape
    return {"members": np.full(count, count - 1.0), "cells": np.full(count, float(cells))}


def _among_others(pairs: Array) -> tuple[Array, Array]:
    """Average a symmetric table of pairs with 0 on its diagonal (M, M): each with the others, and the others (M,)."""
    count = len(pairs)
    with_others = pairs.sum(axis=1)
    of_others = (pairs.sum() / 2 - with_others) / ((count - 1) * (count - 2) / 2)
    return with_others / (count - 1), of_others


def _correlations(day: Day) -> dict[str, Array]:
    m = day.members_MN
    count = len(m)
    table = correlations(m)
    np.fill_diagonal(table, 0)
    with_truth, with_another = _among_others(table)
    others = (m.sum(axis=0) - m) / (count - 1)
    with_mean = np.array([correlations(np.stack(pair))[0, 1] for pair in zip(others, m, strict=True)])
    known = np.where(day.is_dry | (m.std(axis=1) <= LEAST_STD), np.nan, 1.0)
    return {
        "correlation_member_truth": known * with_truth,
        "correlation_member_member": known * with_another,
        "correlation_mean_truth": known * with_mean,
        "calibration_gap": known * (with_truth - with_another),
    }


def _errors_and_spread(day: Day) -> dict[str, Array]:
    m = day.members_MN
    count, cells = m.shape
    sides = {"": m, "domain_": m.mean(axis=1, keepdims=True)}
    pools = pool_means(day.members_MHW, day.cells, day.factor, day.factor // 2)
    sides |= {"pool_": pools} if pools.size else {}
    found = {}
    for prefix, values in sides.items():
        error, spread = _among_others(squareform(pdist(values / values.shape[1], "cityblock")))
        found[f"{prefix or 'fair_'}crps"] = error - 0.5 * spread
    error, spread = _among_others(squareform(pdist(m)))
    found["energy_score"] = (error - 0.5 * spread) / np.sqrt(cells)
    for prefix, values in sides.items():
        squares = ((values - values.mean(axis=0)) ** 2).sum(axis=1)
        # without a member, the squares around the mean fall by M / (M - 1) times its own
        left = squares.sum() - count / (count - 1) * squares
        found[f"{prefix}variance"] = left / (count - 2) * count / (count - 1)
        found[f"{prefix}squared_error"] = (count / (count - 1)) ** 2 * squares
    return found


def _ranks(day: Day) -> dict[str, Array]:
    m = day.members_MN
    count = len(m)
    wet = m.max(axis=0) > day.settings.wet_threshold
    found: dict[str, list[Any]] = {"rank_histogram": [], "rank_histogram_all": []}
    for one in m:
        rank = (m < one).sum(axis=0) + day.rng.integers(0, (m == one).sum(axis=0))
        found["rank_histogram"].append(np.bincount(rank[wet], minlength=count))
        found["rank_histogram_all"].append(np.bincount(rank, minlength=count))
    return {name: np.array(rows) for name, rows in found.items()}


def _rain(day: Day) -> dict[str, Array]:
    m = day.members_MN
    on_wet_day = m >= WET_DAY_MM
    own = {
        "sum": m.sum(axis=1),
        "wet_cells": (m > day.settings.wet_threshold).sum(axis=1),
        "cells_above_1mm": (m > 1).sum(axis=1),
        "wet_days": on_wet_day.sum(axis=1),
        "wet_day_sum": m.sum(axis=1, where=on_wet_day),
        "intensity": np.array([histogram.histogram(one) for one in m]),
    }
    return _sides(own)


def _texture(day: Day) -> dict[str, Array]:
    gradient, pairs = gradient_sum(day.members_MHW, day.cells)
    own = {
        "gradient": gradient,
        "edge_gradient": gradient_sum(day.members_MHW, day.cells, day.factor)[0],
    }
    return _sides(own) | {"gradient_pairs": np.full(len(gradient), float(pairs))}


def _spectra(day: Day) -> dict[str, Array]:
    power = radial_spectrum(day.members_MHW, hann_window(day.cells))
    is_wet = day.members_MN.mean(axis=1) >= LEAST_MEAN
    distances = [ralsd(np.delete(power, i, axis=0), one) if is_wet[i] else np.nan for i, one in enumerate(power)]
    return _sides({"spectrum": power}) | {"ralsd_db": np.array(distances)}


def _shapes(day: Day) -> dict[str, Array]:
    covariance = directional_covariances(day.members_MHW, day.cells)
    elongation = np.log(ellipse(correlation_radii(covariance))[0])
    known = np.isfinite(elongation)
    if day.is_dry or known.sum() < LEAST_MEMBERS:
        elongation = np.full(len(known), np.nan)
    others = (np.where(known, elongation, 0).sum() - elongation) / max(1, known.sum() - 1)
    own = {"elongation_observed": elongation, "elongation_samples": others}
    known_lags = np.isfinite(covariance).astype(np.float64)
    return _sides({"covariance": covariance}) | own | {"covariance_known": known_lags}


def _sides(own: dict[str, Array]) -> dict[str, Array]:
    """Take each member's own value as the observed one, and the mean over the others as that of the samples."""
    found = {}
    for name, values in own.items():
        found[f"{name}_observed"] = values
        found[f"{name}_samples"] = (values.sum(axis=0) - values) / (len(values) - 1)
    return found
