"""Do members of successive days belong together? Observed sequences against those of the members.

    python benchmarks/sequences.py RESULTS/EXPERIMENT/synth/prior.nc RESULTS/data/DATASET

Each day of an ensemble is drawn on its own, so only the predictors carry what rain remembers of the day before. This
compares runs of test days that follow each other without a gap. *Members* is the mean over the members, each taken as a
sequence. *Shuffled* are members whose numbers are permuted anew on each day. What they have in common with the
members comes from the predictors alone. So members differ from shuffled ones only where their noise has a memory.

Intervals hold 90 % of the resamplings of blocks of ten days. A block is drawn for all columns at once, so differences
are told from the same weather. The rows:

- *lag 1, cells* and *lag 1, area*: correlation of rain with that of the day before, as log1p(mm/day), over all pairs
  of days: at each cell (then the mean over the cells), and of the mean over the area. The logarithm keeps single storms
  from deciding. Unlike a rank it is the same function for members and truth.
- *rank, lag 1*: correlation of the rank of the truth among the members, as a normal score, with that of the day before.
  For calibrated members without noise that remembers it is 0. *Lag 3* tells a memory, which dies away, from an error of
  the model in one season, which stays. The rank of a member is that among the others.
- *spell, mean*: length of spells at a cell in days. A day is wet from 1 mm. It is (wet days) / (wet days before a dry
  day), which holds for any stationary sequence, whether its ends are seen or not.
- *spell > n*: share of the spells that last longer than n days, after Kaplan and Meier (1958,
  doi:10.1080/01621459.1958.10501452). A spell that a run of days cuts off at its end counts as long as it is seen. One
  that was there when the run began is left out.
- *fair CRPS* and *spread/skill* of running sums judge members and truth together: low is good, and 1.
- *n days, variance* and *P99*: of running sums over n days at the cells, and of the mean over the area. *Growth* is the
  variance over n times that of single days: 1 if days were independent, so an error of single days does not show in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri

from rainshaft.data.conventions import TEST, WET_DAY_MM
from rainshaft.data.fields import Fields, dates_of
from rainshaft.evaluation.formulas.ensemble import fair_crps
from rainshaft.histogram import histogram, quantile
from rainshaft.sampling.sample import days_since_1850

BLOCK_DAYS, RESAMPLINGS = 10, 200
SUMS = (1, 3, 5)  # days
LONGER = {"wet": (1, 3, 5), "dry": (1, 3, 7)}  # days
AGES = 30  # days up to which a spell is followed
STEP = 0.1  # mm/day; means over the area that differ by less count as equal when they are ranked
RANK_LAGS = (1, 3)

Array = NDArray[np.floating]
Blocks = dict[str, Array]
"""what each block of days adds to sums over the record; the first axis counts blocks"""


class Runs:
    """Runs of days that follow each other, cut into blocks."""

    def __init__(self, dates: NDArray[np.integer]):
        starts = np.flatnonzero(np.diff(dates, prepend=dates[0] - 2) != 1)
        self.run = np.searchsorted(starts, np.arange(len(dates)), side="right") - 1
        place = np.arange(len(dates)) - starts[self.run]
        _, self.block = np.unique(np.stack([self.run, place // BLOCK_DAYS]), axis=1, return_inverse=True)
        self.blocks = int(self.block.max()) + 1

    def __len__(self) -> int:
        return len(self.run)

    def first_days(self, lag: int) -> NDArray[np.integer]:
        """Give the days whose run goes on for `lag` days."""
        first = np.arange(len(self) - lag)
        return first[self.run[first] == self.run[first + lag]]

    def total(self, days: NDArray[np.integer], values: Array) -> Array:
        """Sum the values (day, ...) of these days over each block."""
        belongs = self.block[days] == np.arange(self.blocks)[:, None]
        return np.tensordot(belongs.astype(np.float64), values, 1)


def pair_sums(name: str, x_TN: Array, runs: Runs, lag: int = 1) -> Blocks:
    """Give the moments of pairs of days."""
    first = runs.first_days(lag)
    x, y = x_TN[first].astype(np.float64), x_TN[first + lag].astype(np.float64)
    products = {"n": np.ones(len(first)), "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return {f"{name} {key}": runs.total(first, value) for key, value in products.items()}


def correlation(sums: Blocks, name: str) -> float:
    """Correlation from the moments of pairs, mean over the cells; cells that never vary take no part."""
    n, x, y, xx, yy, xy = (sums[f"{name} {key}"] for key in ("n", "x", "y", "xx", "yy", "xy"))
    vx, vy, cov = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2, xy / n - x * y / n**2
    varies = (vx > 1e-9) & (vy > 1e-9)
    return float((cov[varies] / np.sqrt(vx * vy)[varies]).mean()) if varies.any() else np.nan


def spell_sums(wet_TN: NDArray[np.bool_], runs: Runs) -> Blocks:
    """Count days at risk and ends of spells."""
    first = runs.first_days(1)
    now, then = wet_TN[first], wet_TN[first + 1]
    counts: Blocks = {}
    for name, state in (("wet", now), ("dry", ~now)):
        counts[f"{name} days"] = runs.total(first, state.sum(1))
        counts[f"{name} ends"] = runs.total(first, (state & (now != then)).sum(1))
        counts[f"{name} at risk"], counts[f"{name} ended"] = np.zeros((2, runs.blocks, AGES + 1))
    age = np.zeros(wet_TN.shape[1], int)  # of the spell at each cell; 0 where its start was not seen
    for i in range(len(runs) - 1):
        goes_on = runs.run[i] == runs.run[i + 1]
        if i == 0 or runs.run[i] != runs.run[i - 1]:
            age[:] = 0
        changes = wet_TN[i] != wet_TN[i + 1]
        if goes_on:
            for name, state in (("wet", wet_TN[i]), ("dry", ~wet_TN[i])):
                seen = state & (age > 0) & (age <= AGES)
                counts[f"{name} at risk"][runs.block[i]] += np.bincount(age[seen], minlength=AGES + 1)
                counts[f"{name} ended"][runs.block[i]] += np.bincount(age[seen & changes], minlength=AGES + 1)
            age = np.where(changes, 1, np.where(age > 0, age + 1, 0))
    return counts


def survival(sums: Blocks, name: str, days: int) -> float:
    """Share of spells that last longer than some days."""
    at_risk, ended = (sums[f"{name} {key}"][1 : days + 1] for key in ("at risk", "ended"))
    return float(np.prod(1 - ended / at_risk))


def window_sums(name: str, rain_TN: Array, runs: Runs, days: int) -> Blocks:
    """Give the moments and the histogram of running sums."""
    first = runs.first_days(days - 1)
    total = sum(rain_TN[first + i].astype(np.float64) for i in range(days))
    moments = {"n": np.ones(len(first)), "s": total, "ss": total**2}
    found = {f"{name} {days} {key}": runs.total(first, value) for key, value in moments.items()}
    blocks = [histogram(total[runs.block[first] == block].ravel()) for block in range(runs.blocks)]
    return found | {f"{name} {days} histogram": np.stack(blocks)}


def variance(sums: Blocks, name: str, days: int) -> float:
    """Variance of running sums, mean over the cells."""
    n, s, ss = (sums[f"{name} {days} {key}"] for key in ("n", "s", "ss"))
    return float((ss / n - (s / n) ** 2).mean())


def mean_crps(sums: Blocks, name: str, days: int) -> float:
    """Mean fair CRPS of running sums; NaN for the truth."""
    n, total = (sums.get(f"{name} {days} ensemble {key}", np.nan) for key in ("n", "crps"))
    return float(total / n)


def spread_skill(sums: Blocks, name: str, days: int) -> float:
    """Spread of running sums divided by the error of their mean; NaN for the truth."""
    spread, error = (sums.get(f"{name} {days} ensemble {key}", np.nan) for key in ("spread", "error"))
    return float(np.sqrt(spread / error))


def normal_scores(values_TMN: Array, rng: np.random.Generator) -> Array:
    """Rank each value among those of its day and cell, with ties broken at random, as a normal score."""
    count = values_TMN.shape[1]
    order = np.lexsort((rng.random(values_TMN.shape), values_TMN), axis=1)
    return ndtri((np.argsort(order, axis=1) + 0.5) / count).astype("f4")


def ensemble_sums(name: str, truth_TN: Array, members_TMN: Array, runs: Runs, days: int) -> Blocks:
    """Sum scores, squared errors and spread of running sums."""
    first = runs.first_days(days - 1)
    scores, errors, spreads = np.zeros((3, len(first)))
    for t, day in enumerate(first):
        members, truth = (x[day : day + days].sum(0, dtype=np.float64) for x in (members_TMN, truth_TN))
        scores[t] = fair_crps(members, truth).mean()
        errors[t] = ((members.mean(0) - truth) ** 2).mean()
        spreads[t] = members.var(0, ddof=1).mean() * (1 + 1 / len(members))  # of a member about the mean of others
    sums = {"n": np.ones(len(first)), "crps": scores, "error": errors, "spread": spreads}
    return {f"{name} {days} ensemble {key}": runs.total(first, value) for key, value in sums.items()}


def sequence_sums(rain_TN: Array, runs: Runs) -> Blocks:
    """Sum all that the statistics of one sequence need."""
    area_T1 = rain_TN.mean(1, keepdims=True)
    found = pair_sums("cells", np.log1p(rain_TN), runs) | pair_sums("area", np.log1p(area_T1), runs)
    found |= spell_sums(rain_TN >= WET_DAY_MM, runs)
    for days in SUMS:
        found |= window_sums("cells", rain_TN, runs, days) | window_sums("area", area_T1, runs, days)
    return found


def rank_sums(scores_TN: Array, area_T1: Array, runs: Runs) -> Blocks:
    """Sum what the correlation of ranks needs."""
    found: Blocks = {}
    for lag in RANK_LAGS:
        found |= pair_sums(f"rank cells {lag}", scores_TN, runs, lag)
        found |= pair_sums(f"rank area {lag}", area_T1, runs, lag)
    return found


def rows() -> dict[str, tuple[Callable[[Blocks], float], int]]:
    """Give each row of the table: how it is made from the sums, and its digits."""
    table: dict[str, tuple[Callable[[Blocks], float], int]] = {
        "lag 1, cells": (lambda s: correlation(s, "cells"), 3),
        "lag 1, area": (lambda s: correlation(s, "area"), 3),
    }
    for where in ("cells", "area"):
        for lag in RANK_LAGS:
            table[f"rank, lag {lag}, {where}"] = (lambda s, w=where, g=lag: correlation(s, f"rank {w} {g}"), 3)
    for kind, ages in LONGER.items():
        table[f"{kind} spell, mean (days)"] = (lambda s, k=kind: float(s[f"{k} days"] / s[f"{k} ends"]), 2)
        for age in ages:
            table[f"{kind} spell > {age} (%)"] = (lambda s, k=kind, a=age: 100 * survival(s, k, a), 1)
    for days in SUMS:
        for where in ("cells", "area"):
            table[f"{days} days, variance, {where} (mm²)"] = (lambda s, w=where, d=days: variance(s, w, d), 1)
            if days > 1:
                table[f"{days} days, growth, {where}"] = (
                    lambda s, w=where, d=days: variance(s, w, d) / variance(s, w, 1) / d,
                    2,
                )
            table[f"{days} days, P99, {where} (mm)"] = (
                lambda s, w=where, d=days: float(quantile(s[f"{w} {d} histogram"], 0.99)),
                1,
            )
            table[f"{days} days, fair CRPS, {where} (mm)"] = (lambda s, w=where, d=days: mean_crps(s, w, d), 3)
            table[f"{days} days, spread/skill, {where}"] = (lambda s, w=where, d=days: spread_skill(s, w, d), 2)
    return table


def resample(sequences: list[Blocks], blocks: int) -> Array:
    """Give the statistics, mean over the sequences: (1 + resamplings, row). The first is that of the record."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLINGS)
    weights = np.vstack([np.ones(blocks), draws])
    results = np.zeros((len(weights), len(rows())))
    for sums in sequences:
        for i, weight in enumerate(weights):
            of_draw = {name: np.tensordot(weight, values, 1) for name, values in sums.items()}
            results[i] += [formula(of_draw) for formula, _ in rows().values()]
    return results / len(sequences)


def columns(truth_TN: Array, members_TMN: Array, runs: Runs) -> tuple[Array, Array, Array]:
    """Give the statistics of the truth, the members and the shuffled members, as `resample` does."""
    rng = np.random.default_rng(1)
    shuffled_TMN = np.stack([day[rng.permutation(len(day))] for day in members_TMN])

    def sums_of(rain_TMN: Array) -> list[Blocks]:
        area_TM1 = np.round(rain_TMN.mean(2, keepdims=True) / STEP)  # where the coarse rain gives it, all are equal
        scores, area = normal_scores(rain_TMN, rng), normal_scores(area_TM1, rng)
        return [
            sequence_sums(rain_TMN[:, m], runs) | rank_sums(scores[:, m], area[:, m], runs)
            for m in range(rain_TMN.shape[1])
        ]

    def scores_of(rain_TMN: Array) -> Blocks:
        found: Blocks = {}
        for days in SUMS:
            found |= ensemble_sums("cells", truth_TN, rain_TMN, runs, days)
            found |= ensemble_sums("area", truth_TN.mean(1, keepdims=True), rain_TMN.mean(2, keepdims=True), runs, days)
        return found

    def of_ensemble(rain_TMN: Array) -> Array:
        scores = scores_of(rain_TMN)
        return resample([sums | scores for sums in sums_of(rain_TMN)], runs.blocks)

    with_truth = np.concatenate([truth_TN[:, None], members_TMN], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = resample(sums_of(with_truth)[:1], runs.blocks)
        return observed, of_ensemble(members_TMN), of_ensemble(shuffled_TMN)


def interval(draws: Array, digits: int) -> str:
    """Give the interval that holds 90 % of the resamplings, in words."""
    known = draws[np.isfinite(draws)]
    if not known.size:
        return "–"
    low, high = np.percentile(known, [5, 95])
    return f"{low:+.{digits}f} to {high:+.{digits}f}"


def table(observed: Array, members: Array, shuffled: Array) -> str:
    """Give the table as Markdown."""
    lines = ["| | observed | members | less observed, 90 % | shuffled | members less shuffled, 90 % |"]
    lines.append("| --- |" + " ---: |" * 5)
    for i, (name, (_, digits)) in enumerate(rows().items()):
        values = [f"{v[0, i]:.{digits}f}" if np.isfinite(v[0, i]) else "–" for v in (observed, members, shuffled)]
        intervals = [interval((members - other)[1:, i], digits) for other in (observed, shuffled)]
        lines.append(f"| {name} | {values[0]} | {values[1]} | {intervals[0]} | {values[2]} | {intervals[1]} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    ensemble, prepared = Path(sys.argv[1]), Path(sys.argv[2])
    with Fields(sorted((prepared / "fields").glob("*.nc"))) as fields, xr.open_dataset(ensemble) as samples:
        test = samples.isel(time=samples.split.values == TEST).sortby("time")
        dates = dates_of(test).tolist()
        fields.require(dates, str(ensemble))
        truth_TN, members_TMN = fields.rain(dates)[:, fields.valid], test.pr.values[..., fields.valid]
        runs = Runs(np.asarray(days_since_1850(test.time)))
    assert np.isfinite(truth_TN).all(), "the fields have no rain at a valid cell"
    assert np.isfinite(members_TMN).all(), "members of the prior have rain at each valid cell"
    cells, count = truth_TN.shape[1], members_TMN.shape[1]
    print(
        f"{ensemble}: {len(runs)} test days in {runs.run[-1] + 1} runs, {runs.blocks} blocks, {count} members, {cells} "
        "cells\n"
    )
    print(table(*columns(truth_TN, members_TMN, runs)))


if __name__ == "__main__":
    main()
