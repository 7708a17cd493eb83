"""The one table of scores: key, formula, unit, ideal, band of good values, and all words about it.

`scores.json`, the tables, the figures and the verdict follow from it. A new score is an entry in `SCORES`; if the
quantities of `quantities` do not suffice, it is a function there, too. To judge a score in the verdict takes one thing
more: a check with its advice in `evaluation.verdict`.

Rain in mm/day. R rows: the record, its resamples, and the record without each of its parts, see `resampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from rainshaft import histogram
from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.formulas.ensemble import rank_chi_square, reliability_index
from rainshaft.evaluation.formulas.events import brier_decomposition, brier_score, brier_skill, roc_area
from rainshaft.evaluation.formulas.sequences import (
    DRY_SPELL,
    WET_SPELL,
    lag1_correlation,
    long_spells,
    mean_spell,
    wet_after,
)
from rainshaft.evaluation.formulas.texture import correlation_radii, ellipse, lag_correlations, log_spectral_distance
from rainshaft.evaluation.quantities import class_edges
from rainshaft.evaluation.record import Record, each

Formula = Callable[[Record], Array]
Block = Mapping[str, Any]
"""The scores of some days in `scores.json`, for example of all validation days."""

# share of the mean rain: where the error of the domain mean is smaller, the coarse rain gives this mean up to rounding
GIVEN_DOMAIN_MEAN = 0.01

LONG_SPELL = 5  # days

# ----------------------------------------------------------------------------------------- formulas


def _mean(name: str, record: Record) -> Array:
    return record.means[name]


def _observed(name: str, record: Record) -> Array:
    return record.observed[name]


def _samples(name: str, record: Record) -> Array:
    return record.samples[name]


def _difference(name: str, record: Record) -> Array:
    return record.samples[name] - record.observed[name]


def _ratio(name: str, record: Record) -> Array:
    return record.samples[name] / record.observed[name]


def _of_ensemble(formula: Formula, record: Record) -> Array:
    """Apply a formula that needs several members; NaN for a method with one."""
    return formula(record) if record.members > 1 else np.full(record.rows, np.nan)


def _spread_skill(record: Record) -> Array:
    return np.sqrt(record.totals["variance"] / record.totals["squared_error"])


def _domain_spread_skill(record: Record) -> Array:
    """Compare spread and error of the domain mean; NaN where the coarse rain gives this mean."""
    given = np.sqrt(record.means["domain_squared_error"]) < GIVEN_DOMAIN_MEAN * record.observed["mean"]
    ratio = np.sqrt(record.totals["domain_variance"] / record.totals["domain_squared_error"])
    return np.where(given, np.nan, ratio)


def _reliability_index(record: Record) -> Array:
    return reliability_index(record.totals["rank_histogram"])


def _rank_chi_square(part: int, record: Record) -> Array:
    return rank_chi_square(record.totals["rank_histogram"])[part]


def _spread_skill_of(name: str, record: Record) -> Array:
    return np.sqrt(record.totals[f"{name}_variance"] / record.totals[f"{name}_squared_error"])


def _spread_skill_of_class(place: int, record: Record) -> Array:
    return _spread_skill_of("class", record)[:, place]


def _rank_slope_of_class(place: int, record: Record) -> Array:
    return rank_chi_square(record.totals["class_ranks"][:, place])[1]


def _sum5_crps(record: Record) -> Array:
    return record.totals["sum5_crps"] / record.totals["sum5_cells"]


def _twcrps(place: int, record: Record) -> Array:
    return record.totals["twcrps"][:, place] / record.totals["cells"]


def _of_events(formula: Callable[[Array], Array], place: int, record: Record) -> Array:
    """Apply a formula to the counts of events at a threshold, which is named by its place in the settings."""
    return formula(record.totals["events"][:, place])


def _covariance(side: str, record: Record) -> Array:
    """Average the covariances over the days that have a lag; a lag that no day has is not known."""
    days = record.totals["covariance_known"]
    return np.where(days > 0, record.totals[f"covariance_{side}"] / np.maximum(days, 1), np.nan)


def _shape(part: int, side: str, record: Record) -> Array:
    """Give the axis ratio (0) or the angle (1) of the correlation of all days together."""
    return ellipse(correlation_radii(_covariance(side, record)))[part]


def _lag_correlation(axis: int, side: str, record: Record) -> Array:
    """Give the correlation at 3 cells along x (0) or y (1)."""
    return lag_correlations(_covariance(side, record), 3)[axis]


def _shape_ratio(record: Record) -> Array:
    return _shape(0, "samples", record) / _shape(0, "observed", record)


def _elongation(side: str, record: Record) -> Array:
    return np.exp(record.means[f"elongation_{side}"])


def _elongation_ratio(record: Record) -> Array:
    return _elongation("samples", record) / _elongation("observed", record)


def _mean_spell(kind: int, side: str, record: Record) -> Array:
    return mean_spell(record.totals[f"spells_{side}"][:, kind])


def _long_spells(kind: int, side: str, record: Record) -> Array:
    return long_spells(record.totals[f"spells_{side}"][:, kind], LONG_SPELL)


def _wet_after_wet(side: str, record: Record) -> Array:
    return wet_after(record.totals[f"pairs_{side}"])[1]


def _lag1(side: str, record: Record) -> Array:
    return lag1_correlation(record.totals[f"moments_{side}"])


def _mass_bias(record: Record) -> Array:
    return record.totals["sum_samples"] / record.totals["sum_observed"] - 1


def _gradient_ratio(record: Record) -> Array:
    return record.totals["gradient_samples"] / record.totals["gradient_observed"]


def _edge_ratio(record: Record) -> Array:
    samples, observed = (
        record.totals[f"edge_gradient_{side}"] / record.totals[f"gradient_{side}"] for side in ("samples", "observed")
    )
    return samples / observed


def _ks_above_p95(record: Record) -> Array:
    totals = record.totals
    return each(histogram.ks_above, totals["intensity_observed"], totals["intensity_samples"], record.observed["p95"])


def _lsd_db(record: Record) -> Array:
    return log_spectral_distance(record.totals["spectrum_samples"], record.totals["spectrum_observed"])


def _max_samples(record: Record) -> Array:
    """Take the largest rain of each member, and the mean of it over the members: fair to their number."""
    with np.errstate(invalid="ignore"):
        return np.nanmean(record.largest["max_members"], axis=1)


def _max_observed(record: Record) -> Array:
    return record.largest["max_observed"]


def _max_ratio(record: Record) -> Array:
    return _max_samples(record) / _max_observed(record)


def _fss(threshold: int, scale: int, record: Record) -> Array:
    """Give the fractions skill score at a threshold and a scale, which are named by their places in the settings."""
    error, reference = (record.totals[name][:, threshold, scale] for name in ("fss_error", "fss_reference"))
    return 1 - error / reference


# ------------------------------------------------------------------------------------------ the table


@dataclass(frozen=True)
class Score:
    """One score, and all that is said about it."""

    key: str
    """its name in `scores.json` and its column in `table.csv`"""
    formula: Formula
    """takes the record; gives the score in each of its rows"""
    heading: str = ""
    """column of `table.md`; `{wet_threshold}` is filled in. Without it, the score has no column there."""
    meaning: str = ""
    """what it is, and which values are good; for users, below the table"""
    observed: Formula | None = None
    """the same of the observed rain, where it has one"""
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
        return self.label or self.heading or self.key

    def found(self, block: Block) -> dict[str, Any]:
        """Take its `value`, `low` and `high` from a block, in the unit of `scores.json`; None where there is none."""
        return {"value": None, "low": None, "high": None} | (block["scores"].get(self.key) or {})

    def band(self, found: Mapping[str, Any]) -> tuple[float, float, float] | None:
        """Give the lowest good value, the ideal and the highest good value, in the unit of `scores.json`.

        Parameters
        ----------
        found
            The entry of the score, with what was `observed` and the noise `floor` where they are known.
        """
        if self.good is None or self.ideal is None:
            return None
        low, high = self.good
        if self.ideal == "observed":  # of fractions, which lie between 0 and 1
            observed = found.get("observed")
            if observed is None:
                return None
            return max(0.0, observed + low), observed, min(1.0, observed + high)
        if floor := found.get("floor"):  # what perfect members reach is good, too
            low, high = min(low, floor["low"]), max(high, floor["high"])
        return low, self.ideal, high


RATIO = (0.9, 1.1)  # of extremes and gradients: what a user of the tail would still accept

SCORES: tuple[Score, ...] = (
    Score(
        "fair_crps",
        partial(_mean, "fair_crps"),
        "fair CRPS",
        "Error of the ensemble as a whole. Low is good.",
        unit="mm/day",
        aim="low is good",
        console="CRPS",
    ),
    Score(
        "correlation_member_truth",
        partial(_mean, "correlation_member_truth"),
        "r member–truth",
        "Spatial correlation of a member with the truth.",
        label="correlation with the truth",
        aim="○ with another member: equal is good",
        beside="correlation_member_member",
        console="r m-truth",
    ),
    Score(
        "correlation_member_member",
        partial(_mean, "correlation_member_member"),
        "r member–member",
        "Spatial correlation of two members. In a calibrated ensemble it equals r member–truth. It is higher where "
        "members are too alike.",
        console="r m-m",
    ),
    Score(
        "calibration_gap",
        partial(_mean, "calibration_gap"),
        "gap",
        "r member–truth minus r member–member, day by day. 0 is calibrated. Below 0 the members are too alike.",
        signed=True,
        ideal=0.0,
        good=(-0.05, 0.05),  # the gap of an exchangeable ensemble is 0; this is about the noise of a hundred days
        label="calibration gap",
    ),
    Score(
        "correlation_mean_truth",
        partial(_mean, "correlation_mean_truth"),
        meaning="Spatial correlation of the ensemble mean with the truth. High is good.",
        label="correlation of the mean with the truth",
    ),
    Score(
        "wet_fraction",
        partial(_samples, "wet_fraction"),
        "wet > {wet_threshold:g} mm %",
        "Share of wet cells. The observed share is good.",
        observed=partial(_observed, "wet_fraction"),
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
        partial(_difference, "wet_fraction"),
        "wet, points off",
        "Share of wet cells minus the observed share, in points. 0 is good.",
        unit="points",
        factor=100,
        digits=1,
        signed=True,
        ideal=0.0,
        good=(-0.03, 0.03),
        label="wet fraction minus that of the truth",
    ),
    Score(
        "wet_fraction_1mm",
        partial(_samples, "wet_fraction_1mm"),
        meaning="Share of cells with more than 1 mm/day. The observed share is good.",
        label="share of cells with more than 1 mm",
        observed=partial(_observed, "wet_fraction_1mm"),
        unit="%",
        factor=100,
        digits=1,
    ),
    Score(
        "wet_difference_1mm",
        partial(_difference, "wet_fraction_1mm"),
        meaning="Share of cells with more than 1 mm/day minus the observed share, in points. 0 is good.",
        label="share of cells with more than 1 mm, points off",
        unit="points",
        factor=100,
        digits=1,
        signed=True,
    ),
    Score(
        "mass_bias",
        _mass_bias,
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
        partial(_of_ensemble, _spread_skill),
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
        partial(_mean, "domain_crps"),
        "domain CRPS",
        "Fair CRPS of the mean over the domain. Low is good.",
        unit="mm/day",
    ),
    Score(
        "domain_spread_skill",
        partial(_of_ensemble, _domain_spread_skill),
        "domain spread/skill",
        "Spread/skill of the mean over the domain. 1 where whole days differ as they should. Not defined where the "
        "coarse rain gives this mean.",
        ideal=1.0,
        good=(0.7, 1.4),  # wider than that of cells: with one number a day, a hundred days tell it less well
        label="spread / skill of the domain mean",
    ),
    Score(
        "pool_spread_skill",
        partial(_of_ensemble, partial(_spread_skill_of, "pool")),
        "pool spread/skill",
        "Spread/skill of the means over blocks that lie across four coarse cells each. 1 where members differ as they "
        "should from one coarse cell to the next.",
        ideal=1.0,
        label="spread / skill across coarse cells",
    ),
    Score(
        "sum5_spread_skill",
        partial(_of_ensemble, partial(_spread_skill_of, "sum5")),
        "5-day spread/skill",
        "Spread/skill of the rain of five days in a row. Below 1 where members of one day know nothing of the day "
        "before. Not defined where the days are scattered.",
        ideal=1.0,
        label="spread / skill of 5-day sums",
    ),
    Score(
        "reliability_index",
        partial(_of_ensemble, _reliability_index),
        "reliability index",
        "Sum of the deviations of the rank histogram from flat (Delle Monache et al. 2006). 0 is calibrated.",
        ideal=0.0,
        label="reliability index of the ranks",
    ),
    Score(
        "diversity",
        partial(_mean, "diversity"),
        meaning="Mean cosine distance of two members. At 0 all members are alike. The right diversity is the one that "
        "keeps spread/skill at 1.",
    ),
    Score(
        "gradient_ratio",
        _gradient_ratio,
        "gradient ratio",
        "Differences of neighbouring cells compared with the observed ones. 1 is as sharp as the truth.",
        ideal=1.0,
        good=RATIO,
        aim="1 is as sharp as the truth",
        console="gradient",
    ),
    Score(
        "edge_ratio",
        _edge_ratio,
        "edge ratio",
        "Share of these differences that lies at the edges of coarse cells, compared with the observed share. At 1 the "
        "coarse cells cannot be seen.",
    ),
    Score(
        "p99_ratio",
        partial(_ratio, "p99"),
        "P99 ratio",
        "99th percentile of the rain compared with the observed one. 1 is good.",
        ideal=1.0,
        good=RATIO,
    ),
    Score(
        "p999_ratio",
        partial(_ratio, "p999"),
        "P99.9 ratio",
        "99.9th percentile of the rain compared with the observed one. 1 is good.",
        ideal=1.0,
        good=RATIO,
        aim="1 is as extreme as the truth",
        console="P99.9",
    ),
    Score(
        "elongation_ratio",
        _elongation_ratio,
        "elongation ratio",
        "How long storms of single days are for their width, compared with the observed ones. Below 1 they are too "
        "round.",
        ideal=1.0,
        label="elongation of storms",
    ),
    Score(
        "lsd_db",
        _lsd_db,
        "LSD dB",
        "Log spectral distance of the mean power spectrum to the observed one. Low is good.",
        unit="dB",
        ideal=0.0,
        good=(0.0, 1.5),  # the mean power at a scale is within a factor of 1.4
        label="log spectral distance",
        aim="of the mean power spectrum; low is good",
        console="LSD",
    ),
    Score(
        "energy_score",
        partial(_mean, "energy_score"),
        "energy score",
        "CRPS of the whole field at once. Low is good.",
        unit="mm/day",
    ),
    Score(
        "variogram_score",
        partial(_mean, "variogram_score"),
        "variogram score",
        "Error of the ensemble in how much pairs of cells differ. Low is good.",
        unit="mm/day",
        digits=3,
    ),
    Score("ralsd_db", partial(_mean, "ralsd_db"), unit="dB", ideal=0.0, label="RALSD"),
    Score("rank_chi_square", partial(_of_ensemble, partial(_rank_chi_square, 0)), ideal=0.0),
    Score("rank_slope", partial(_of_ensemble, partial(_rank_chi_square, 1)), ideal=0.0),
    Score("rank_convexity", partial(_of_ensemble, partial(_rank_chi_square, 2)), ideal=0.0),
    Score("pool_crps", partial(_mean, "pool_crps"), unit="mm/day"),
    Score("sum5_crps", _sum5_crps, unit="mm"),
    Score("axis_ratio_ratio", _shape_ratio, ideal=1.0),
    Score("sal_structure", partial(_mean, "sal_structure"), ideal=0.0),
    Score("sal_amplitude", partial(_mean, "sal_amplitude"), ideal=0.0),
    Score("sal_location", partial(_mean, "sal_location"), ideal=0.0),
    *(
        Score(name, partial(formula, "samples"), observed=partial(formula, "observed"), unit=unit, ideal="observed")
        for name, formula, unit in (
            ("axis_ratio", partial(_shape, 0), "1"),
            ("axis_angle", partial(_shape, 1), "degree"),
            ("elongation", _elongation, "1"),
            ("correlation_3_cells_x", partial(_lag_correlation, 0), "1"),
            ("correlation_3_cells_y", partial(_lag_correlation, 1), "1"),
            ("dry_spell", partial(_mean_spell, DRY_SPELL), "day"),
            ("wet_spell", partial(_mean_spell, WET_SPELL), "day"),
            ("long_dry_spells", partial(_long_spells, DRY_SPELL), "1"),
            ("long_wet_spells", partial(_long_spells, WET_SPELL), "1"),
            ("wet_after_wet", _wet_after_wet, "1"),
            ("lag1_correlation", _lag1, "1"),
        )
    ),
    Score("p95_ratio", partial(_ratio, "p95"), ideal=1.0),
    Score("max_ratio", _max_ratio, ideal=1.0),
    Score("ks_above_p95", _ks_above_p95, ideal=0.0),
    *(
        Score(name, partial(_samples, name), observed=partial(_observed, name), unit=unit, ideal="observed")
        for name, unit in {
            "mean": "mm/day",
            "mean_of_wet_days": "mm/day",
            "very_wet_share": "1",
            "mean_gradient": "mm/day",
            "p95": "mm/day",
            "p99": "mm/day",
            "p999": "mm/day",
        }.items()
    ),
    Score("max", _max_samples, observed=_max_observed, unit="mm/day", ideal="observed"),
)
"""All scores but those that depend on the settings, which `scores_of` adds. Those with a heading are the columns of
`table.md`, in this order."""


def scores_of(settings: Evaluation) -> tuple[Score, ...]:
    """List every score for these settings: `SCORES`, and the fractions skill score at each threshold and scale.

    Of the fractions skill scores, the one with the threshold nearest to 10 mm/day at the middle scale has a column.
    """
    shown = shown_fss(settings)
    fractions = [
        Score(
            f"fss_{threshold:g}mm_{scale}",
            partial(_fss, i, j),
            f"FSS {threshold:g} mm" if (threshold, scale) == shown else "",
            f"Fractions skill score at {threshold:g} mm/day in windows of {scale} x {scale} cells. 1 is perfect.",
            ideal=1.0,
        )
        for i, threshold in enumerate(settings.fss_thresholds)
        for j, scale in enumerate(settings.fss_scales)
    ]
    events = [
        one
        for i, threshold in enumerate(settings.fss_thresholds)
        for one in _scores_of_event(i, f"{threshold:g}", is_shown=shown is not None and threshold == shown[0])
    ]
    fixed = (replace(s, heading=s.heading.format(wet_threshold=settings.wet_threshold)) for s in SCORES)
    return (*fixed, *events, *_scores_of_classes(settings), *fractions)


def _scores_of_event(place: int, rain: str, is_shown: bool) -> tuple[Score, ...]:
    """List the scores of rain of at least `rain` mm/day."""
    weighted = Score(
        f"twcrps_{rain}mm",
        partial(_twcrps, place),
        f"twCRPS {rain} mm",
        f"Fair CRPS of the rain beyond {rain} mm/day. All rain below counts as equal. Low is good.",
        unit="mm/day",
        digits=3,
    )
    skill = Score(
        f"brier_skill_{rain}mm",
        partial(_of_events, brier_skill, place),
        f"Brier skill {rain} mm",
        f"Skill of the probability of {rain} mm/day or more against its observed frequency. 1 is perfect, 0 is none.",
        ideal=1.0,
    )
    parts: tuple[Callable[[Array], Array], ...]
    parts = (brier_score, *(partial(_part_of_brier, part) for part in range(3)), roc_area)
    names = ("brier", "brier_reliability", "brier_resolution", "brier_uncertainty", "roc_area")
    further = (
        Score(f"{name}_{rain}mm", partial(_of_events, formula, place))
        for name, formula in zip(names, parts, strict=True)
    )
    columns = (weighted, skill) if is_shown else (replace(one, heading="") for one in (weighted, skill))
    return (*columns, *further)


def _part_of_brier(part: int, counts: Array) -> Array:
    return brier_decomposition(counts)[part]


def _scores_of_classes(settings: Evaluation) -> list[Score]:
    """List spread/skill and slope of the ranks in each class of intensity, named by its lower edge in mm/day."""
    found = []
    for place, edge in enumerate((0.0, *class_edges(settings))):
        spread, slope = partial(_spread_skill_of_class, place), partial(_rank_slope_of_class, place)
        found.append(Score(f"spread_skill_from_{edge:g}mm", partial(_of_ensemble, spread), ideal=1.0))
        found.append(Score(f"rank_slope_from_{edge:g}mm", partial(_of_ensemble, slope), ideal=0.0))
    return found


def shown_fss(settings: Evaluation) -> tuple[float, int] | None:
    """Give the threshold in mm/day and the scale of the fractions skill score that the tables show."""
    if not (settings.fss_thresholds and settings.fss_scales):
        return None
    threshold = min(settings.fss_thresholds, key=lambda rain: abs(rain - 10))
    return threshold, sorted(settings.fss_scales)[len(settings.fss_scales) // 2]


def score_of(key: str) -> Score:
    """Find a score by its key."""
    return next(score for score in SCORES if score.key == key)
