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
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array, BoolArray
from rainshaft.evaluation.formulas.ensemble import (
    correlations,
    cosine_distance,
    fair_crps,
    fair_energy_score,
    fair_variogram_score,
    intensity_class,
    pool_means,
    ranks_by_class,
    ranks_of_truth,
    spread_and_error,
    sums_by_class,
    threshold_weighted_crps,
)
from rainshaft.evaluation.formulas.events import event_counts, fractions_errors
from rainshaft.evaluation.formulas.objects import Storms, sal, storms
from rainshaft.evaluation.formulas.texture import (
    correlation_radii,
    directional_covariances,
    ellipse,
    gradient_sum,
    hann_window,
    radial_spectrum,
    ralsd,
)

LEAST_MEAN = 0.05  # mm/day of area rain, about 0.002 mm/h: a day with less has no spectrum

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

    @cached_property
    def sorted_MN(self) -> Array:
        """The members in ascending order at each cell, which several scores share."""
        return np.sort(self.members_MN, axis=0)

    @cached_property
    def spread_and_error(self) -> tuple[Array, Array]:
        """Variance of the members and squared error of their mean at each cell, see `ensemble.spread_and_error`."""
        return spread_and_error(self.members_MN, self.truth_N)

    @cached_property
    def ranks_N(self) -> NDArray[np.int64]:
        """The rank of the truth at each cell, with ties broken at random."""
        return ranks_of_truth(self.members_MN, self.truth_N, self.rng)

    @cached_property
    def fields_FHW(self) -> Array:
        """The truth and then the members, with 0 at the cells that are not scored."""
        return np.concatenate([self.truth_HW[None], self.members_MHW])

    @property
    def is_complete(self) -> bool:
        """Tell whether no member was dropped. Counts by the number of members add up on such days alone."""
        return len(self.members) == self.ensemble_size

    @property
    def has_pairs(self) -> bool:
        """Tell whether two members are left to compare."""
        return len(self.members) > 1


def class_edges(settings: Evaluation) -> tuple[float, ...]:
    """Give the edges of the classes of intensity: the thresholds of events in ascending order, mm/day."""
    return tuple(sorted(settings.fss_thresholds))


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
    """Measure the errors of the ensemble and the differences of its members, at the cells and of the domain mean."""
    m, y = day.members_MN, day.truth_N
    variance, error = day.spread_and_error
    m_domain, y_domain = m.mean(axis=1, keepdims=True), y.mean(keepdims=True)
    domain_variance, domain_error = spread_and_error(m_domain, y_domain)
    return {
        "fair_crps": fair_crps(day.sorted_MN, y, is_sorted=True).mean(),
        "energy_score": fair_energy_score(m, y),
        "variance": variance.sum(),
        "squared_error": error.sum(),
        "domain_crps": fair_crps(m_domain, y_domain)[0],
        "domain_variance": domain_variance[0],
        "domain_squared_error": domain_error[0],
        "diversity": cosine_distance(m) if day.has_pairs else np.nan,
    }


def _ranks(day: Day) -> dict[str, Any]:
    """Count the ranks of the truth among the members, over wet cells and over all."""
    bins = day.ensemble_size + 1
    if not day.is_complete:  # fewer members have other ranks, which cannot be added to the others
        unknown = np.full(bins, np.nan)
        return {"rank_histogram": unknown, "rank_histogram_all": unknown}
    rank = day.ranks_N
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
    """Take the largest rain of the truth and of each member, on days that have all members."""
    if not day.is_complete:  # nobody knows which members are left
        return {"max_observed": np.nan, "max_members": np.full(day.ensemble_size, np.nan)}
    return {"max_observed": day.truth_N.max(), "max_members": day.members_MN.max(axis=1)}


def _texture(day: Day) -> dict[str, Any]:
    """Sum the differences of neighbours, also across the edges of coarse cells, and take the power spectra."""
    gradient_observed, pairs = gradient_sum(day.truth_HW, day.cells)
    return {
        "gradient_observed": gradient_observed,
        "gradient_pairs": pairs,
        "gradient_samples": gradient_sum(day.members_MHW, day.cells)[0].mean(),
        "edge_gradient_observed": gradient_sum(day.truth_HW, day.cells, day.factor)[0],
        "edge_gradient_samples": gradient_sum(day.members_MHW, day.cells, day.factor)[0].mean(),
    }


def _spectra(day: Day) -> dict[str, Any]:
    """Take the power spectra, and the distance of those of the members from that of the truth."""
    observed, *samples = radial_spectrum(day.fields_FHW, hann_window(day.cells))
    # ASSUME a field with next to no rain has no texture. The paper leaves out the images below this mean, too.
    is_wet = day.truth_N.mean() >= LEAST_MEAN
    return {
        "spectrum_observed": observed,
        "spectrum_samples": np.mean(samples, axis=0),
        "ralsd_db": ralsd(np.array(samples), observed) if is_wet else np.nan,
    }


def _shapes(day: Day) -> dict[str, Any]:
    """Measure how long storms are, and in which direction: of all days together, and of this day."""
    covariance = directional_covariances(day.fields_FHW, day.cells)
    found = {
        "covariance_observed": covariance[0],
        "covariance_samples": covariance[1:].mean(axis=0),
        "covariance_known": np.isfinite(covariance[0]).astype(np.float64),  # where the truth has gaps, not all lags are
    }
    elongation = np.log(ellipse(correlation_radii(covariance))[0])
    known = np.isfinite(elongation[1:])
    # the shapes of both sides are taken on the same days
    if day.is_dry or not np.isfinite(elongation[0]) or not known.any():
        return found | {"elongation_observed": np.nan, "elongation_samples": np.nan}
    return found | {"elongation_observed": elongation[0], "elongation_samples": elongation[1:][known].mean()}


def _of_classes(day: Day) -> dict[str, Any]:
    """Sum spread, error and ranks over the cells of each class of intensity."""
    edges = class_edges(day.settings)
    count, bins = len(edges) + 1, day.ensemble_size + 1
    classes = intensity_class(day.members_MN, day.truth_N, edges)
    variance, error = (sums_by_class(values, classes, count) for values in day.spread_and_error)
    ranks = ranks_by_class(day.ranks_N, classes, count, bins) if day.is_complete else np.full((count, bins), np.nan)
    return {"class_variance": variance, "class_squared_error": error, "class_ranks": ranks}


def _of_pools(day: Day) -> dict[str, Any]:
    """Score the means over blocks as large as a coarse cell, each of which lies across four coarse cells."""
    pools = pool_means(day.fields_FHW, day.cells, day.factor, day.factor // 2)
    if not pools.size:
        return dict.fromkeys(("pool_crps", "pool_variance", "pool_squared_error"), np.nan)
    variance, error = spread_and_error(pools[1:], pools[0])
    crps = fair_crps(pools[1:], pools[0])
    return {"pool_crps": crps.mean(), "pool_variance": variance.sum(), "pool_squared_error": error.sum()}


def _events(day: Day) -> dict[str, Any]:
    """Count the events at each threshold, and sum the CRPS beyond it."""
    thresholds = day.settings.fss_thresholds
    crps = [threshold_weighted_crps(day.sorted_MN, day.truth_N, t, is_sorted=True).sum() for t in thresholds]
    unknown = np.full((len(thresholds), day.ensemble_size + 1, 2), np.nan)
    counts = event_counts(day.members_MN, day.truth_N, thresholds) if day.is_complete else unknown
    return {"twcrps": np.array(crps), "events": counts}


def _dependence(day: Day) -> dict[str, Any]:
    return {"variogram_score": fair_variogram_score(day.members_MHW, day.truth_HW, day.cells)}


def _objects(day: Day) -> dict[str, Any]:
    """Compare structure, amplitude and location of the storms, as means over the members that have some."""
    found = storms(day.fields_FHW, day.cells)
    observed, samples = (Storms(*(v[i] for v in vars(found).values())) for i in (np.s_[:1], np.s_[1:]))
    parts = sal(samples, observed, day.cells)
    known = np.isfinite(parts[0])
    names = ("sal_structure", "sal_amplitude", "sal_location")
    return {name: part[known].mean() if known.any() else np.nan for name, part in zip(names, parts, strict=True)}


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
    _spectra,
    _shapes,
    _of_classes,
    _of_pools,
    _events,
    _dependence,
    _objects,
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
    "covariance_observed": ("direction", "lag"),
    "covariance_samples": ("direction", "lag"),
    "covariance_known": ("direction", "lag"),
    "class_variance": ("class",),
    "class_squared_error": ("class",),
    "class_ranks": ("class", "rank"),
    "twcrps": ("threshold",),
    "events": ("threshold", "rank", "event"),
    "fss_error": ("threshold", "scale"),
    "fss_reference": ("threshold", "scale"),
    "spells_observed": ("spell", "days_of_spell"),
    "spells_samples": ("spell", "days_of_spell"),
    "pairs_observed": ("before", "after"),
    "pairs_samples": ("before", "after"),
    "moments_observed": ("moment",),
    "moments_samples": ("moment",),
}
"""The dimensions of the quantities that are arrays."""

LARGEST = ("max_observed", "max_members")
"""Quantities of which the largest counts, and not the sum."""
