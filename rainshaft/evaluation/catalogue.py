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
from rainshaft.evaluation.record import Record, each
from rainshaft.evaluation.scores import Array, spectral_distance

Formula = Callable[[Record], Array]
Block = Mapping[str, Any]
"""The scores of some days in `scores.json`, for example of all validation days."""

# share of the mean rain: where the error of the domain mean is smaller, the coarse rain gives this mean up to rounding
GIVEN_DOMAIN_MEAN = 0.01

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


def _rank_histogram_deviation(record: Record) -> Array:
    ranks = record.totals["rank_histogram"]
    return np.abs(ranks / ranks.mean(axis=1, keepdims=True) - 1).max(axis=1)


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


def _ralsd_db(record: Record) -> Array:
    return each(spectral_distance, record.totals["spectrum_samples"], record.totals["spectrum_observed"])


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

    def band(self, block: Block) -> tuple[float, float, float] | None:
        """Give the lowest good value, the ideal and the highest good value, in the unit of `scores.json`."""
        if self.good is None or self.ideal is None:
            return None
        low, high = self.good
        found = self.found(block)
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
        "r mean–truth",
        "Spatial correlation of the ensemble mean with the truth. High is good.",
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
        "wet > 1 mm %",
        "Share of cells with more than 1 mm/day. The observed share is good.",
        observed=partial(_observed, "wet_fraction_1mm"),
        unit="%",
        factor=100,
        digits=1,
    ),
    Score(
        "wet_difference_1mm",
        partial(_difference, "wet_fraction_1mm"),
        "wet > 1 mm, points off",
        "Share of cells with more than 1 mm/day minus the observed share, in points. 0 is good.",
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
        "rank_histogram_deviation",
        partial(_of_ensemble, _rank_histogram_deviation),
        "ranks off",
        "Largest deviation of the rank histogram from flat, relative to flat. 0 is calibrated.",
    ),
    Score(
        "diversity",
        partial(_mean, "diversity"),
        "diversity",
        "Mean cosine distance of two members. At 0 all members are alike. The right diversity is the one that keeps "
        "spread/skill at 1.",
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
        "ralsd_db",
        _ralsd_db,
        "RALSD dB",
        "Distance of the power spectrum to the observed one. Low is good.",
        unit="dB",
        ideal=0.0,
        good=(0.0, 1.5),  # the mean power at a scale is within a factor of 1.4
        label="RALSD",
        aim="of the power spectrum; low is good",
        console="RALSD",
    ),
    Score("energy_score", partial(_mean, "energy_score"), unit="mm/day"),
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

FSS = Score(
    "fss_{threshold:g}mm_{scale}",
    _max_ratio,  # `scores_of` fills in its own formula
    "FSS {threshold:g} mm",
    "Fractions skill score at {threshold:g} mm/day in windows of {scale} x {scale} cells. 1 is perfect.",
    ideal=1.0,
)


def scores_of(settings: Evaluation) -> tuple[Score, ...]:
    """List every score for these settings: `SCORES`, and the fractions skill score at each threshold and scale.

    Of the fractions skill scores, the one with the threshold nearest to 10 mm/day at the middle scale has a column.
    """
    shown = shown_fss(settings)
    fractions = []
    for i, threshold in enumerate(settings.fss_thresholds):
        for j, scale in enumerate(settings.fss_scales):
            words = {"threshold": threshold, "scale": scale}
            fractions.append(
                replace(
                    FSS,
                    key=FSS.key.format(**words),
                    formula=partial(_fss, i, j),
                    heading=FSS.heading.format(**words) if (threshold, scale) == shown else "",
                    meaning=FSS.meaning.format(**words),
                )
            )
    fixed = (replace(s, heading=s.heading.format(wet_threshold=settings.wet_threshold)) for s in SCORES)
    return (*fixed, *fractions)


def shown_fss(settings: Evaluation) -> tuple[float, int] | None:
    """Give the threshold in mm/day and the scale of the fractions skill score that the tables show."""
    if not (settings.fss_thresholds and settings.fss_scales):
        return None
    threshold = min(settings.fss_thresholds, key=lambda rain: abs(rain - 10))
    return threshold, sorted(settings.fss_scales)[len(settings.fss_scales) // 2]


def score_of(key: str) -> Score:
    """Find a score by its key."""
    return next(score for score in SCORES if score.key == key)
