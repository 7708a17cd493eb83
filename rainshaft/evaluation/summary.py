"""From the quantities of the days to scores with intervals.

Input: the dataset of `days`. Output: a block of `scores.json`. Rain in mm/day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation import catalogue
from rainshaft.evaluation.days import MAPS
from rainshaft.evaluation.scores import Array


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
    `days`, `days_left_out` (fewer than 2 members left), `observed`, `samples` and `scores`. Each score has its value
    and its 90 % interval, None where it cannot be computed. None when no day is left.
    """
    used = days.isel(time=np.flatnonzero(np.isfinite(days["cells"].values)))
    count = used.sizes["time"]
    if count == 0:
        return None
    record = _resampled(used, int(days.attrs["members"]), settings.bootstrap, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {name: formula(record) for name, formula in catalogue.formulas(settings).items()}
    return {
        "days": count,
        "days_left_out": days.sizes["time"] - count,
        "observed": _climate(record.observed, used, "observed"),
        "samples": _climate(record.samples, used, "samples"),
        "scores": {name: _interval(values) for name, values in scores.items()},
    }


def _resampled(days: xr.Dataset, members: int, resamplings: int, seed: int) -> catalogue.Record:
    """Sum the quantities over the days, and over random draws of as many days."""
    count = days.sizes["time"]
    # ASSUME the days are independent. Spells of wet days make the true intervals somewhat wider.
    draws = np.random.default_rng([seed, count]).multinomial(count, np.full(count, 1 / count), size=resamplings)
    weights = np.vstack([np.ones(count), draws])  # the first row is the record itself
    totals: dict[str, Array] = {}
    means: dict[str, Array] = {}
    for name in sorted({str(name) for name in days.data_vars} - set(MAPS)):
        values = days[name].values.astype(np.float64)
        known = np.isfinite(values)
        totals[name] = np.tensordot(weights, np.where(known, values, 0), axes=1)
        if values.ndim == 1:
            with np.errstate(invalid="ignore", divide="ignore"):
                means[name] = totals[name] / (weights @ known)
    return catalogue.Record(totals, means, members)


def _climate(values: dict[str, Array], days: xr.Dataset, side: str) -> dict[str, float | None]:
    """Describe the rain of one side over the whole record."""
    found = {name: _number(value[0]) for name, value in values.items()}
    found["max"] = _number(days[f"max_{side}"].values.max())
    wettest = days[f"wettest_{side}"].values
    found["rx1day"] = _number(wettest[np.isfinite(wettest)].mean())  # each cell's wettest day, mean over the cells
    return found


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _interval(rows: Array) -> dict[str, float | None]:
    """Take the value of the record (first row) and the 5th and 95th percentile of the resamplings (other rows)."""
    draws = rows[1:][np.isfinite(rows[1:])]
    if not np.isfinite(rows[0]) or not draws.size:
        return {"value": _number(rows[0]), "low": None, "high": None}
    # Distances (KS, RALSD, rank histogram) grow when days are resampled, so all draws may lie above the value.
    low, high = np.percentile(draws, [5, 95])
    return {"value": float(rows[0]), "low": float(min(low, rows[0])), "high": float(max(high, rows[0]))}
