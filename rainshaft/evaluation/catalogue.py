"""Every score: what each day adds to it, its formula, how it is shown, and which values are good.

A new score is an addition to this file:

1. `QUANTITIES`: what each day adds, if the quantities below do not suffice.
2. `FORMULAS`: the score from the sums and means of these quantities. It is in `scores.json` then.
3. `SCORES`: its column in the tables and, where wanted, its place in the terminal and in the figure, and its band of
   good values. The verdict and the figure share the band.

To judge it in the verdict takes one thing more: a check with its advice in `evaluation.verdict`.

Formulas and words stand apart for a reason: the jobs that compute scores shall not run again when a heading changes.

Rain in mm/day. A *wet cell* has more than `evaluation.wet_threshold`. A *wet day* of a cell has 1 mm/day or more
(ETCCDI).

Shapes: M members, N valid cells of a day, H W fine grid, B resamplings of the days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

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
    spectral_distance,
)

# ---------------------------------------------------------------------------- 1. what each day adds


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
    if day.is_dry or day.truth_N.std() <= 1e-6:
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
        found[f"max_{side}"] = rain.max()
        found[f"intensity_{side}"] = (histogram.histogram(rain) / share).astype(np.float32)
    return found


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
    _texture,
    _neighbourhoods,
)
"""Functions that give quantities of a day by name. A quantity is NaN where the day takes no part in it."""

DIMS: dict[str, tuple[str, ...]] = {
    "rank_histogram": ("rank",),
    "rank_histogram_all": ("rank",),
    "intensity_observed": ("bin",),
    "intensity_samples": ("bin",),
    "spectrum_observed": ("wavenumber",),
    "spectrum_samples": ("wavenumber",),
    "fss_error": ("threshold", "scale"),
    "fss_reference": ("threshold", "scale"),
}
"""The dimensions of the quantities that are arrays."""


# ------------------------------------------------------------------ 2. the scores from all days


# share of the mean rain: where the error of the domain mean is smaller, the coarse rain gives this mean up to rounding
GIVEN_DOMAIN_MEAN = 0.01

QUANTILES = {"p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True)
class Record:
    """The quantities of a record summed over its days: the record first, then B resamplings of its days."""

    totals: Mapping[str, Array]
    """sums over the days (B + 1, ...); a day on which a quantity is NaN adds nothing"""
    means: Mapping[str, Array]
    """means over the days on which a quantity is known (B + 1,)"""
    members: int

    @cached_property
    def observed(self) -> dict[str, Array]:
        """The climate of the observed rain, each value (B + 1,)."""
        return climate(self.totals, "observed")

    @cached_property
    def samples(self) -> dict[str, Array]:
        """The climate of the members, each value (B + 1,)."""
        return climate(self.totals, "samples")


def climate(totals: Mapping[str, Array], side: str) -> dict[str, Array]:
    """Describe the rain of one side, `observed` or `samples`: how often, how much, how sharp; each value (B + 1,)."""
    counts = totals[f"intensity_{side}"]
    # R95p: the share of the rain above the P95 of the observed wet days
    observed = np.where(histogram.EDGES[:-1] >= WET_DAY_MM, totals["intensity_observed"], 0)
    very_wet = _each(lambda c: float(histogram.quantile(c, 0.95)) if c.any() else np.nan, observed)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: dict[str, Array] = {
            "wet_fraction": totals[f"wet_cells_{side}"] / totals["cells"],
            "wet_fraction_1mm": totals[f"cells_above_1mm_{side}"] / totals["cells"],
            "mean": totals[f"sum_{side}"] / totals["cells"],
            "sdii": totals[f"wet_day_sum_{side}"] / totals[f"wet_days_{side}"],
            "mean_gradient": totals[f"gradient_{side}"] / totals["gradient_pairs"],
            "r95p": _each(histogram.total_above, counts, very_wet)
            / _each(lambda c: histogram.total_above(c, 0), counts),
        }
    for name, share in QUANTILES.items():
        found[name] = _each(lambda c, s=share: float(histogram.quantile(c, s)), counts)
    return found


def _each(function: Callable[..., float], *rows: Array) -> Array:
    return np.array([function(*row) for row in zip(*rows, strict=True)])


def _mean_over_days(name: str, record: Record) -> Array:
    return record.means[name]


def _ratio(name: str, record: Record) -> Array:
    return record.samples[name] / record.observed[name]


def _spread_skill(record: Record) -> Array:
    return np.sqrt(record.totals["variance"] / record.totals["squared_error"])


def _domain_spread_skill(record: Record) -> Array:
    """Compare spread and error of the domain mean; NaN where the coarse rain gives this mean."""
    given = np.sqrt(record.means["domain_squared_error"]) < GIVEN_DOMAIN_MEAN * record.observed["mean"]
    ratio = np.sqrt(record.totals["domain_variance"] / record.totals["domain_squared_error"])
    return np.where(given, np.nan, ratio)


def _rank_histogram_deviation(record: Record) -> Array:
    ranks = record.totals["rank_histogram"]
    return np.abs(ranks / ranks.mean(axis=1, keepdims=True) - 1).max(axis=1)


def _of_ensemble(formula: Formula, record: Record) -> Array:
    """Apply a formula that needs several members; NaN for a method with one."""
    return formula(record) if record.members > 1 else np.full(len(record.totals["cells"]), np.nan)


def _mass_bias(record: Record) -> Array:
    return record.totals["sum_samples"] / record.totals["sum_observed"] - 1


def _wet_fraction_bias_1mm(record: Record) -> Array:
    return record.samples["wet_fraction_1mm"] - record.observed["wet_fraction_1mm"]


def _gradient_ratio(record: Record) -> Array:
    return record.totals["gradient_samples"] / record.totals["gradient_observed"]


def _edge_ratio(record: Record) -> Array:
    samples, observed = (
        record.totals[f"edge_gradient_{side}"] / record.totals[f"gradient_{side}"] for side in ("samples", "observed")
    )
    return samples / observed


def _ks_above_p95(record: Record) -> Array:
    totals = record.totals
    return _each(histogram.ks_above, totals["intensity_observed"], totals["intensity_samples"], record.observed["p95"])


def _ralsd_db(record: Record) -> Array:
    return _each(spectral_distance, record.totals["spectrum_samples"], record.totals["spectrum_observed"])


def _fss(threshold: int, scale: int, record: Record) -> Array:
    """Give the fractions skill score at a threshold and a scale, which are named by their places in the settings."""
    error, reference = (record.totals[name][:, threshold, scale] for name in ("fss_error", "fss_reference"))
    return 1 - error / reference


Formula = Callable[[Record], Array]

FORMULAS: dict[str, Formula] = {
    "correlation_member_truth": partial(_mean_over_days, "correlation_member_truth"),
    "correlation_member_member": partial(_mean_over_days, "correlation_member_member"),
    "correlation_mean_truth": partial(_mean_over_days, "correlation_mean_truth"),
    "calibration_gap": partial(_mean_over_days, "calibration_gap"),
    "fair_crps": partial(_mean_over_days, "fair_crps"),
    "domain_crps": partial(_mean_over_days, "domain_crps"),
    "energy_score": partial(_mean_over_days, "energy_score"),
    "diversity": partial(_mean_over_days, "diversity"),
    "spread_skill": partial(_of_ensemble, _spread_skill),
    "domain_spread_skill": partial(_of_ensemble, _domain_spread_skill),
    "rank_histogram_deviation": partial(_of_ensemble, _rank_histogram_deviation),
    "mass_bias": _mass_bias,
    "wet_fraction_bias_1mm": _wet_fraction_bias_1mm,
    "gradient_ratio": _gradient_ratio,
    "edge_ratio": _edge_ratio,
    "ks_above_p95": _ks_above_p95,
    "ralsd_db": _ralsd_db,
    "p95_ratio": partial(_ratio, "p95"),
    "p99_ratio": partial(_ratio, "p99"),
    "p999_ratio": partial(_ratio, "p999"),
}
"""Key in `scores.json` to the formula. The fractions skill scores depend on the settings: `formulas` adds them."""


def formulas(settings: Evaluation) -> dict[str, Formula]:
    """List every score: those of `FORMULAS`, and the fractions skill score at each threshold and scale."""
    fractions = {
        f"fss_{threshold:g}mm_{scale}": partial(_fss, i, j)
        for i, threshold in enumerate(settings.fss_thresholds)
        for j, scale in enumerate(settings.fss_scales)
    }
    return FORMULAS | fractions


# ------------------------------------------------------------- 3. how scores are shown and judged

Block = Mapping[str, Any]
"""The content of `all_days` or `heavy_days` in `scores.json`."""


@dataclass(frozen=True)
class Score:
    """One column of the tables, and all that is said about it elsewhere."""

    key: str
    """column of `table.csv`"""
    heading: str
    """column of `table.md`; `{wet_threshold}` is filled in"""
    meaning: str
    """what it is, and which values are good; for users, below the table"""
    source: Literal["score", "samples", "samples - observed", "change"] = "score"
    """where its value is: among the scores, among the values of the members, the difference of these to the observed
    values, or the change of the fair CRPS against a baseline"""
    name: str = ""
    """what it is called there, or the baseline; `key` if empty"""
    unit: str = ""
    factor: float = 1.0
    """from the unit in `scores.json` to `unit`"""
    digits: int = 2
    signed: bool = False
    """whether it is shown with a plus where it is above 0"""
    ideal: float | Literal["observed"] | None = None
    good: tuple[float, float] | None = None
    """band of good values in the unit of `scores.json`; measured from the observed value where that is the ideal"""
    label: str = ""
    """its name in the figure and in the verdict; `heading` if empty"""
    aim: str = ""
    """a few words in the figure on what is good; without them, the score has no panel there"""
    beside: str = ""
    """key of a second score in its panel, drawn as open circles"""
    console: str = ""
    """a short heading for the terminal; without it, the score is not shown there"""

    @property
    def title(self) -> str:
        """Its name in the figure and in the verdict, without the unit."""
        return self.label or self.heading

    def found(self, block: Block) -> dict[str, float | None]:
        """Take its `value`, `low` and `high` from a block, in the unit of `scores.json`; None where there is none."""
        nothing: dict[str, float | None] = {"value": None, "low": None, "high": None}
        name = self.name or self.key
        if self.source == "score":
            return nothing | (block["scores"].get(name) or {})
        if self.source == "change":  # against another row of the table, which knows it
            return nothing
        value = block["samples"].get(name)
        if self.source == "samples - observed":
            observed = block["observed"].get(name)
            value = None if value is None or observed is None else value - observed
        return nothing | {"value": value}

    def band(self, block: Block) -> tuple[float, float, float] | None:
        """Give the lowest good value, the ideal and the highest good value, in the unit of `scores.json`."""
        if self.good is None or self.ideal is None:
            return None
        low, high = self.good
        if self.ideal == "observed":  # of fractions, which lie between 0 and 1
            observed = block["observed"][self.name or self.key]
            return max(0.0, observed + low), observed, min(1.0, observed + high)
        return low, self.ideal, high


RATIO = (0.9, 1.1)  # of extremes and gradients: what a user of the tail would still accept

SCORES: tuple[Score, ...] = (
    Score(
        "fair_crps",
        "fair CRPS",
        "Error of the ensemble as a whole. Low is good.",
        unit="mm/day",
        aim="low is good",
        console="CRPS",
    ),
    Score(
        "crps_change",
        "vs bilinear %",
        "Fair CRPS compared with that of bilinear interpolation. Below 0 is better than bilinear.",
        source="change",
        name="bilinear",
        unit="%",
        digits=0,
        signed=True,
        console="vs bil %",
    ),
    Score(
        "crps_change_rainfarm",
        "vs RainFARM %",
        "Fair CRPS compared with that of RainFARM. Below 0 is better than RainFARM.",
        source="change",
        name="rainfarm",
        unit="%",
        digits=0,
        signed=True,
    ),
    Score(
        "crps_change_climatology",
        "vs climatology %",
        "Fair CRPS compared with that of observed days of the same season. A model at or above 0 tells no more than "
        "the season does.",
        source="change",
        name="climatology",
        unit="%",
        digits=0,
        signed=True,
    ),
    Score(
        "correlation_member_truth",
        "r member–truth",
        "Spatial correlation of a member with the truth.",
        label="correlation with the truth",
        aim="○ with another member: equal is good",
        beside="correlation_member_member",
        console="r m-truth",
    ),
    Score(
        "correlation_member_member",
        "r member–member",
        "Spatial correlation of two members. In a calibrated ensemble it equals r member–truth. It is higher where "
        "members are too alike.",
        console="r m-m",
    ),
    Score(
        "calibration_gap",
        "gap",
        "r member–truth minus r member–member, day by day. 0 is calibrated. Below 0 the members are too alike.",
        signed=True,
        ideal=0.0,
        good=(-0.05, 0.05),  # the gap of an exchangeable ensemble is 0; this is about the noise of a hundred days
        label="calibration gap",
    ),
    Score(
        "correlation_mean_truth",
        "r mean–truth",
        "Spatial correlation of the ensemble mean with the truth. High is good.",
    ),
    Score(
        "wet_fraction",
        "wet > {wet_threshold:g} mm %",
        "Share of wet cells. The observed share is good.",
        source="samples",
        unit="%",
        factor=100,
        digits=1,
        ideal="observed",
        good=(-0.03, 0.03),  # the wet fraction of a year's resampled days varies by about 3 points
        label="wet fraction",
        aim="shaded: the truth ± 3 points",
        console="wet %",
    ),
    Score(
        "wet_difference",
        "wet, points off",
        "Share of wet cells minus the observed share, in points. 0 is good.",
        source="samples - observed",
        name="wet_fraction",
        unit="points",
        factor=100,
        digits=1,
        signed=True,
    ),
    Score(
        "wet_fraction_1mm",
        "wet > 1 mm %",
        "Share of cells with more than 1 mm/day. The observed share is good.",
        source="samples",
        unit="%",
        factor=100,
        digits=1,
    ),
    Score(
        "wet_difference_1mm",
        "wet > 1 mm, points off",
        "Share of cells with more than 1 mm/day minus the observed share, in points. 0 is good.",
        source="samples - observed",
        name="wet_fraction_1mm",
        unit="points",
        factor=100,
        digits=1,
        signed=True,
    ),
    Score(
        "mass_bias",
        "mass bias %",
        "Total rain compared with the observed total. 0 is good.",
        unit="%",
        factor=100,
        digits=1,
        ideal=0.0,
        good=(-0.05, 0.05),  # about the uncertainty of gridded observations of area rain
        label="mass bias",
        aim="0 is good",
        console="bias %",
    ),
    Score(
        "spread_skill",
        "spread/skill",
        "Spread of the members divided by the error of their mean. 1 is calibrated. Below 1 the members are too alike.",
        ideal=1.0,
        good=(0.9, 1.1),  # 1 in a calibrated ensemble (Fortin et al. 2014)
        label="spread / skill",
        aim="1 is calibrated",
        console="spr/skill",
    ),
    Score(
        "domain_crps",
        "domain CRPS",
        "Fair CRPS of the mean over the domain. Low is good.",
        unit="mm/day",
    ),
    Score(
        "domain_spread_skill",
        "domain spread/skill",
        "Spread/skill of the mean over the domain. 1 where whole days differ as they should. Not defined where the "
        "coarse rain gives this mean.",
        ideal=1.0,
        good=(0.7, 1.4),  # wider than that of cells: with one number a day, a hundred days tell it less well
        label="spread / skill of the domain mean",
    ),
    Score(
        "rank_histogram_deviation",
        "ranks off",
        "Largest deviation of the rank histogram from flat, relative to flat. 0 is calibrated.",
    ),
    Score(
        "diversity",
        "diversity",
        "Mean cosine distance of two members. At 0 all members are alike. The right diversity is the one that keeps "
        "spread/skill at 1.",
    ),
    Score(
        "gradient_ratio",
        "gradient ratio",
        "Differences of neighbouring cells compared with the observed ones. 1 is as sharp as the truth.",
        ideal=1.0,
        good=RATIO,
        aim="1 is as sharp as the truth",
        console="gradient",
    ),
    Score(
        "edge_ratio",
        "edge ratio",
        "Share of these differences that lies at the edges of coarse cells, compared with the observed share. At 1 the "
        "coarse cells cannot be seen.",
    ),
    Score(
        "p99_ratio",
        "P99 ratio",
        "99th percentile of the rain compared with the observed one. 1 is good.",
        ideal=1.0,
        good=RATIO,
    ),
    Score(
        "p999_ratio",
        "P99.9 ratio",
        "99.9th percentile of the rain compared with the observed one. 1 is good.",
        ideal=1.0,
        good=RATIO,
        aim="1 is as extreme as the truth",
        console="P99.9",
    ),
    Score(
        "ralsd_db",
        "RALSD dB",
        "Distance of the power spectrum to the observed one. Low is good.",
        unit="dB",
        ideal=0.0,
        good=(0.0, 1.5),  # the mean power at a scale is within a factor of 1.4
        label="RALSD",
        aim="of the power spectrum; low is good",
        console="RALSD",
    ),
)
"""The columns of the tables in their order. `FSS` follows them."""

FSS = Score(
    "fss",
    "FSS {threshold:g} mm",
    "Fractions skill score at {threshold:g} mm/day in windows of {scale} x {scale} cells. 1 is perfect.",
)
"""The last column. The table fills in threshold and scale."""


def score_of(key: str) -> Score:
    """Find a score by its key."""
    return next(score for score in SCORES if score.key == key)
