"""How often the 90 % intervals of the scores hold the true value, for rain with the memory of daily weather.

    python benchmarks/intervals.py [DRAWS [DAYS...]]

Each draw is a record of truth and members from one climate (default 200 draws of 90, 180 and 365 days). There is a
climate without seasons, and one with a wet season, in which records of less than a year have their days in blocks of
ten over the whole year. The level of a day follows a first-order autoregression, partly common to truth and members.
Rain is dry at about half of the cells, and a few days bring most of it. So the daily CRPS has the autocorrelation that
is printed; that of daily rain over central India is 0.7. Truth and members are exchangeable, so the true values are
known: 1 for ratios, 0 for differences. That of the CRPS is the mean over a very long record.
"""

from __future__ import annotations

import sys

import numpy as np

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.days import Setting
from rainshaft.evaluation.formulas.ensemble import fair_crps
from rainshaft.evaluation.scoring import ALL_DAYS, Part, score

MEMBERS, SIDE = 10, 8
MEMORY = 0.8  # of the level of a day
SHARED = 0.6  # of its variance is common to truth and members
SEASONS = {"no seasons": 0.0, "a wet season": 1.0}  # how far the level changes over the year
YEAR, BLOCK = 365, 10
TRUE = {"spread_skill": 1.0, "mass_bias": 0.0, "p99_ratio": 1.0, "wet_difference": 0.0}
SETTINGS = Evaluation(bootstrap=300, fss_thresholds=(), fss_scales=())


def autoregression(rng: np.random.Generator, days: int, memory: float, *shape: int) -> np.ndarray:
    """Draw a stationary first-order autoregression of variance 1 (days, ...)."""
    found = rng.standard_normal((days, *shape))
    for day in range(1, days):
        found[day] = memory * found[day - 1] + np.sqrt(1 - memory**2) * found[day]
    return found


def record(rng: np.random.Generator, days: int, season: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw members (days, M, SIDE, SIDE) and truth (days, SIDE, SIDE) of days in sequence, mm/day."""
    shared, own = autoregression(rng, days, MEMORY, 1), autoregression(rng, days, MEMORY, MEMBERS + 1)
    level = np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own
    cells = autoregression(rng, days, 0.3, MEMBERS + 1, SIDE, SIDE)
    wetter = season * (-np.cos(2 * np.pi * np.arange(days) / YEAR) - 0.5)
    signal = 0.9 * level[..., None, None] + cells + wetter[:, None, None, None]
    rain = np.where(signal > 0.3, 3 * np.exp(1.1 * (signal - 0.3)) - 3, 0).astype(np.float32)
    return rain[:, 1:], rain[:, 0]


def chosen(days: int, season: float) -> np.ndarray:
    """Choose the days of a record: in sequence, or in blocks over a year that has seasons."""
    if not season or days >= YEAR:
        return np.arange(days)
    step = YEAR * BLOCK // days
    blocks = [np.arange(first, first + BLOCK) for first in range(0, YEAR - BLOCK, step)]
    return np.concatenate(blocks)[:days]


def true_crps(season: float, years: int = 60) -> float:
    """Take the mean of the fair CRPS over a very long record."""
    rng, found = np.random.default_rng(1), []
    for _ in range(years // 5):
        members, truth = record(rng, 5 * YEAR, season)
        flat = members.transpose(1, 0, 2, 3).reshape(MEMBERS, -1).astype(float)
        found.append(fair_crps(flat, truth.ravel().astype(float)).mean())
    return float(np.mean(found))


def coverage(days: int, draws: int, season: float, true: dict[str, float]) -> tuple[dict[str, float], float]:
    """Count how often the intervals hold the true values, and average the lag-1 autocorrelation of the CRPS."""
    places = chosen(days, season)
    dates = (np.datetime64("2001-01-01") + places).astype(str)
    hits: dict[str, list[bool]] = {name: [] for name in true}
    memory = []
    for draw in range(draws):
        members, truth = (one[places] for one in record(np.random.default_rng([days, draw]), places[-1] + 1, season))
        part = Part(
            dates, np.array(["moderate"] * len(places)), truth.mean((1, 2), dtype=float), dates.astype("datetime64[ns]")
        )
        found = score(
            zip(members, truth, strict=True), part, Setting(MEMBERS, np.ones((SIDE, SIDE), bool), 4, SETTINGS)
        )
        for name, value in true.items():
            entry = found.blocks[ALL_DAYS]["scores"][name]
            hits[name].append(entry["low"] <= value <= entry["high"])
        crps = found.by_day["fair_crps"].values
        memory.append(np.corrcoef(crps[1:], crps[:-1])[0, 1])
    return {name: float(np.mean(found)) for name, found in hits.items()}, float(np.mean(memory))


def main(draws: int = 200, *lengths: int) -> None:
    """Print a row for each climate and length of the record."""
    print("| climate | days | lag-1 of daily CRPS | fair_crps | " + " | ".join(TRUE) + " |")
    print("| --- | ---: | ---: |" + " ---: |" * (1 + len(TRUE)))
    for words, season in SEASONS.items():
        true = {"fair_crps": true_crps(season)} | TRUE
        for days in lengths or (90, 180, 365):
            found, memory = coverage(days, draws, season, true)
            shares = " | ".join(f"{100 * share:.0f} %" for share in found.values())
            print(f"| {words} | {days} | {memory:.2f} | {shares} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
