"""The quantities of many days, summed over the days of a record and over its resamples.

Input: quantities of day after day. Output: a `Record`, from which the formulas of `catalogue` make scores. The sums
need no more memory for a long record than for a short one.

Shapes: R rows of `resampling.Resamples`, T days.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.data.conventions import WET_DAY_MM
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.quantities import LARGEST

QUANTILES = {"p95": 0.95, "p99": 0.99, "p999": 0.999}


class Sums:
    """Sums of quantities over the days of a record, each row with its own weights of the days.

    Parameters
    ----------
    weights
        (R, T), how often a day counts in a row.
    """

    def __init__(self, weights: NDArray[np.uint8]):
        self._weights = weights
        self._totals: dict[str, Array] = {}
        self._known: dict[str, Array] = {}
        self._largest: dict[str, list[tuple[NDArray[np.intp], Array]]] = {}

    def add(self, places: NDArray[np.intp], quantities: Mapping[str, Array]) -> None:
        """Add days.

        Parameters
        ----------
        places
            The places of the days in the record (days,).
        quantities
            (days, ...); a quantity is NaN on a day that takes no part in it.
        """
        chosen = self._weights[:, places].any(axis=0)
        if not chosen.any():
            return
        places = places[chosen]
        weights = self._weights[:, places].astype(np.float64)
        for name, given in quantities.items():
            values = np.asarray(given)[chosen].astype(np.float64)
            if name in LARGEST:
                self._largest.setdefault(name, []).append((places, values.astype(np.float32)))
                continue
            known = np.isfinite(values)
            total = np.tensordot(weights, np.where(known, values, 0), axes=1)
            self._totals[name] = self._totals.get(name, 0) + total
            if values.ndim == 1:
                self._known[name] = self._known.get(name, 0) + weights @ known

    @property
    def is_empty(self) -> bool:
        """Whether no day was added."""
        return not self._totals

    def record(self, members: int) -> Record:
        """Close the sums."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = {name: self._totals[name] / known for name, known in self._known.items()}
        largest = {name: self._largest_of(parts) for name, parts in self._largest.items()}
        return Record(self._totals, means, largest, members)

    def _largest_of(self, parts: list[tuple[NDArray[np.intp], Array]]) -> Array:
        places = np.concatenate([place for place, _ in parts])
        values = np.where(np.isnan(both := np.concatenate([value for _, value in parts])), -np.inf, both)
        rows = [values[row > 0].max(axis=0, initial=-np.inf) for row in self._weights[:, places]]
        return np.where(np.isneginf(found := np.array(rows, np.float64)), np.nan, found)


@dataclass(frozen=True)
class Record:
    """The quantities of a record summed over its days: in each row with other weights of the days."""

    totals: Mapping[str, Array]
    """sums over the days (R, ...); a day on which a quantity is NaN adds nothing"""
    means: Mapping[str, Array]
    """means over the days on which a quantity is known (R,)"""
    largest: Mapping[str, Array]
    """the largest of the days (R, ...), for the quantities of which it counts"""
    members: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.totals["cells"])

    @cached_property
    def observed(self) -> dict[str, Array]:
        """The climate of the observed rain, each value (R,)."""
        return climate(self.totals, "observed")

    @cached_property
    def samples(self) -> dict[str, Array]:
        """The climate of the members, each value (R,)."""
        return climate(self.totals, "samples")


def climate(totals: Mapping[str, Array], side: str) -> dict[str, Array]:
    """Describe the rain of one side, `observed` or `samples`: how often, how much, how sharp; each value (R,).

    What follows from quantities that are not there is left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found: dict[str, Array] = {
            "wet_fraction": totals[f"wet_cells_{side}"] / totals["cells"],
            "wet_fraction_1mm": totals[f"cells_above_1mm_{side}"] / totals["cells"],
            "mean": totals[f"sum_{side}"] / totals["cells"],
            "mean_of_wet_days": totals[f"wet_day_sum_{side}"] / totals[f"wet_days_{side}"],
        }
        if "gradient_pairs" in totals:
            found["mean_gradient"] = totals[f"gradient_{side}"] / totals["gradient_pairs"]
    if "intensity_observed" in totals:
        found |= _intensities(totals[f"intensity_{side}"], totals["intensity_observed"])
    return found


def _intensities(counts: Array, observed: Array) -> dict[str, Array]:
    """Take quantiles from a histogram, and the share of the rain above the P95 of the observed wet values (R,)."""
    wet = np.where(histogram.EDGES[:-1] >= WET_DAY_MM, observed, 0)
    very_wet = each(lambda c: float(histogram.quantile(c, 0.95)) if c.any() else np.nan, wet)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = each(lambda c: histogram.total_above(c, 0), counts)
        found: dict[str, Array] = {"very_wet_share": each(histogram.total_above, counts, very_wet) / total}
    for name, share in QUANTILES.items():
        found[name] = each(lambda c, s=share: float(histogram.quantile(c, s)), counts)
    return found


def each(function: Callable[..., Any], *rows: Array) -> Array:
    """Apply a function to row after row (R,)."""
    return np.array([function(*row) for row in zip(*rows, strict=True)])
