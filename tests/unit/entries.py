"""Ensembles for the comparison: contents of `scores.json` with resampled scores that belong to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.rows import Comparison, Entry

DRAWS, PARTS_OF_RECORD = 40, 8
OBSERVED = {"wet_fraction": 0.25, "wet_fraction_1mm": 0.2}


def entry(
    name: str,
    mode: str = "prior",
    dataset: str = "demo",
    crps: float = 1.0,
    noise: float = 0.01,
    kinds: tuple[str, ...] = ("all_days",),
    parts: tuple[str, ...] = ("validation", "test"),
    days: int = 40,
    **scores: float | None,
) -> Entry:
    """An ensemble. `noise` is how much its scores differ in the resamples from those of all other ensembles.

    All ensembles share the weather of the resamples, which moves their scores by a third.
    """
    values = {"fair_crps": crps, "spread_skill": 0.9, "mass_bias": -0.125, "wet_fraction": 0.5, "wet_fraction_1mm": 0.3}
    values |= {"wet_difference": 0.25, "wet_difference_1mm": 0.1} | scores
    rng = np.random.default_rng(abs(hash_of(name)))
    weather = np.concatenate([[0], np.random.default_rng(0).normal(0, 0.2, DRAWS + PARTS_OF_RECORD)])
    own = np.concatenate([[0], rng.normal(0, noise, DRAWS + PARTS_OF_RECORD)])
    table = np.empty((len(parts), len(kinds), len(values), 1 + DRAWS + PARTS_OF_RECORD))
    content: dict[str, Any] = {
        "name": name,
        "mode": mode,
        "dataset": dataset,
        "members": 4,
        "settings": Evaluation().model_dump(mode="json"),
        "validation": None,
        "test": None,
    }
    for i, part in enumerate(parts):
        content[part] = {"first_day": "2001-01-01", "last_day": "2001-12-31", "digest": "abc"}
        for j, kind in enumerate(kinds):
            found = {}
            for k, (key, value) in enumerate(values.items()):
                table[i, j, k] = np.nan if value is None else value * np.exp(weather + own)
                found[key] = {"value": value, "low": None, "high": None}
                if value is not None:
                    found[key] |= {"low": value - 0.1, "high": value + 0.1}
                if key in OBSERVED:
                    found[key]["observed"] = OBSERVED[key]
            content[part][kind] = {
                "digest": f"{days} days",
                "days": days,
                "days_left_out": 0,
                "days_in_all": days,
                "resamples": DRAWS,
                "resamples_digest": f"{days} days",
                "rows": 1 + DRAWS + PARTS_OF_RECORD,
                "run_of_days": days / PARTS_OF_RECORD,
                "share_of_run": 1 / PARTS_OF_RECORD,
                "scores": found,
            }
    coords = {"part": list(parts), "kind": list(kinds), "score": list(values)}
    return Entry(content, xr.DataArray(table, coords, ("part", "kind", "score", "row")))


def hash_of(name: str) -> int:
    """A number for a name, the same in every process."""
    return sum(ord(letter) * 31**i for i, letter in enumerate(name)) % 2**31


def comparison(*entries: Entry, families: dict[str, tuple[str, ...]] | None = None) -> Comparison:
    return Comparison(entries, families or {})
