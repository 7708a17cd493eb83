"""What each day adds to the scores.

Input: the members and the truth of one day. Output: numbers and small arrays by name. Those of many days are summed,
see `record`, and the scores of `catalogue` are made of the sums. A new quantity is a function in `QUANTITIES`.

Rain in mm/day. A *wet cell* has more than `evaluation.wet_threshold`. A *wet day* of a cell has 1 mm/day or more
(ETCCDI).

Shapes: M members, N valid cells of a day, H W fine grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.scores import (
    Array,
    BoolArray,
    correlations,
    cosine_distance,
    fair_crps,
    fair_energy_score,
    fractions_errors,
    gradient_sum,
    radial_spectrum,
    ranks_of_truth,
)

LEAST_STD = 1e-6  # mm/day; a field that varies less is even


@dataclass(frozen=True)
class Day:
    """One day to score: the members that are left, the truth, and what the quantities need to know."""

    members: Array
    """(M, H, W); NaN only where `cells` is false"""
    truth: Array
    """(H, W); NaN only where `cells` is false"""
    cells: BoolArray
    """(H, W): true at the cells to score"""
    is_dry: bool
    """whether its category is `dry`"""
    rng: np.random.Generator
    """breaks ties"""
    ensemble_size: int
    """members of the ensemble; more than M where some were dropped on this day"""
    factor: int
    """fine cells along the side of a coarse cell"""
    settings: Evaluation

    @cached_property
    def members_MHW(self) -> Array:
        """The members with 0 at the cells that are not scored."""
        return np.where(self.cells, self.members, 0)  # ASSUME a cell that is not valid is dry, for the spectra only

    @cached_property
    def truth_HW(self) -> Array:
        """The truth with 0 at the cells that are not scored."""
        return np.where(self.cells, self.truth, 0)

    @cached_property
    def members_MN(self) -> Array:
        """The members at the cells to score, in double precision."""
        return self.members_MHW[:, self.cells].astype(np.float64)

    @cached_property
    def truth_N(self) -> Array:
        """The truth at the cells to score, in double precision."""
        return self.truth_HW[self.cells].astype(np.float64)

    @property
    def has_pairs(self) -> bool:
        """Tell whether two members are left to compare."""
        return len(self.members) > 1


def _counts(day: Day) -> dict[str, Any]:
    return {"members": len(day.members), "cells": day.truth_N.size}


def _correlations(day: Day) -> dict[str, Any]:
    """Correlate members, ensemble mean and truth in space."""
    names = ("correlation_member_truth", "correlation_member_member", "correlation_mean_truth", "calibration_gap")
    # ASSUME the spatial correlation with a dry or even field says nothing. Such days take no part in it.
    if day.is_dry or day.truth_N.std() <= LEAST_STD:
        return dict.fromkeys(names, np.nan)
    count = len(day.members_MN)
    table = correlations(np.vstack([day.members_MN, day.members_MN.mean(axis=0), day.truth_N]))
    with_truth = table[:count, -1].mean()
    with_another = table[:count, :count][np.triu_indices(count, 1)].mean() if day.has_pairs else np.nan
    return dict(zip(names, (with_truth, with_another, table[count, -1], with_truth - with_another), strict=True))


def _errors_and_spread(day: Day) -> dict[str, Any]:
    """Measure the errors of the ensemble and the differences of its members, at the cells and of the domain mean.

    The variance is multiplied by (M + 1) / M. Then it equals the squared error in a calibrated ensemble of any size
    (Fortin et al. 2014).
    """
    m, y, count = day.members_MN, day.truth_N, len(day.members_MN)
    mean = m.mean(axis=0)
    return {
        "fair_crps": fair_crps(m, y).mean(),
        "energy_score": fair_energy_score(m, y),
        "variance": m.var(axis=0, ddof=1).sum() * (count + 1) / count if day.has_pairs else np.nan,
        "squared_error": ((mean - y) ** 2).sum(),
        "domain_crps": fair_crps(m.mean(axis=1, keepdims=True), y.mean(keepdims=True))[0],
        "domain_variance": m.mean(axis=1).var(ddof=1) * (count + 1) / count if day.has_pairs else np.nan,
        "domain_squared_error": (mean.mean() - y.mean()) ** 2,
        "diversity": cosine_distance(m) if day.has_pairs else np.nan,
    }


def _ranks(day: Day) -> dict[str, Any]:
    """Count the ranks of the truth among the members, over wet cells and over all."""
    bins = day.ensemble_size + 1
    if len(day.members) < day.ensemble_size:  # fewer members have other ranks, which cannot be added to the others
        unknown = np.full(bins, np.nan)
        return {"rank_histogram": unknown, "rank_histogram_all": unknown}
    rank = ranks_of_truth(day.members_MN, day.truth_N, day.rng)
    wet = np.maximum(day.members_MN.max(axis=0), day.truth_N) > day.settings.wet_threshold
    return {
        "rank_histogram": np.bincount(rank[wet], minlength=bins),
        "rank_histogram_all": np.bincount(rank, minlength=bins),
    }


def _rain(day: Day) -> dict[str, Any]:
    """Sum and count the rain over the cells.

    The values of the samples are means over the members. So a day has the weight of one day, however many members are
    left.
    """
    found: dict[str, Any] = {}
    for side, rain, share in (("observed", day.truth_N, 1), ("samples", day.members_MN, len(day.members_MN))):
        on_wet_day = rain >= WET_DAY_MM
        found[f"sum_{side}"] = rain.sum() / share
        found[f"wet_cells_{side}"] = (rain > day.settings.wet_threshold).sum() / share
        found[f"cells_above_1mm_{side}"] = (rain > 1).sum() / share
        found[f"wet_days_{side}"] = on_wet_day.sum() / share
        found[f"wet_day_sum_{side}"] = rain.sum(where=on_wet_day) / share
    return found


def _intensity(day: Day) -> dict[str, Any]:
    """Count the values of rain in the bins of `histogram`; those of the samples are means over the members."""
    return {
        "intensity_observed": histogram.histogram(day.truth_N).astype(np.float32),
        "intensity_samples": (histogram.histogram(day.members_MN) / len(day.members_MN)).astype(np.float32),
    }


def _largest(day: Day) -> dict[str, Any]:
    """Take the largest rain of the truth and of each member."""
    largest = np.full(day.ensemble_size, np.nan)
    largest[: len(day.members)] = day.members_MN.max(axis=1)
    return {"max_observed": day.truth_N.max(), "max_members": largest}


def _texture(day: Day) -> dict[str, Any]:
    """Sum the differences of neighbours, also across the edges of coarse cells, and take the power spectra."""
    gradient_observed, pairs = gradient_sum(day.truth_HW, day.cells)
    return {
        "gradient_observed": gradient_observed,
        "gradient_pairs": pairs,
        "gradient_samples": gradient_sum(day.members_MHW, day.cells)[0].mean(),
        "edge_gradient_observed": gradient_sum(day.truth_HW, day.cells, day.factor)[0],
        "edge_gradient_samples": gradient_sum(day.members_MHW, day.cells, day.factor)[0].mean(),
        "spectrum_observed": radial_spectrum(day.truth_HW),
        "spectrum_samples": radial_spectrum(day.members_MHW).mean(axis=0),
    }


def _neighbourhoods(day: Day) -> dict[str, Any]:
    """Compute the two sums of the fractions skill score."""
    settings = day.settings
    names = ("fss_error", "fss_reference")
    sums = fractions_errors(day.members_MHW, day.truth_HW, day.cells, settings.fss_thresholds, settings.fss_scales)
    return dict(zip(names, sums, strict=True))


QUANTITIES: tuple[Callable[[Day], dict[str, Any]], ...] = (
    _counts,
    _correlations,
    _errors_and_spread,
    _ranks,
    _rain,
    _intensity,
    _largest,
    _texture,
    _neighbourhoods,
)
"""Functions that give quantities of a day by name. A quantity is NaN where the day takes no part in it."""

UNDER_A_THRESHOLD = (_counts, _errors_and_spread, _rain, _neighbourhoods)
"""Those of them that show what a pixel threshold does; they are taken once for each threshold."""

DIMS: dict[str, tuple[str, ...]] = {
    "rank_histogram": ("rank",),
    "rank_histogram_all": ("rank",),
    "max_members": ("member",),
    "intensity_observed": ("bin",),
    "intensity_samples": ("bin",),
    "spectrum_observed": ("wavenumber",),
    "spectrum_samples": ("wavenumber",),
    "fss_error": ("threshold", "scale"),
    "fss_reference": ("threshold", "scale"),
}
"""The dimensions of the quantities that are arrays."""

LARGEST = ("max_observed", "max_members")
"""Quantities of which the largest counts, and not the sum."""
