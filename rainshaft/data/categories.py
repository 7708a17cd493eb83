"""Kinds of days: heavy, moderate and dry, by the rain that was observed and by the coarse rain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.conventions import WET_DAY_MM

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """Rain from which a cell is heavy and from which it is extreme, mm/day."""

    heavy: float
    extreme: float

    @classmethod
    def fit(cls, highest: Values, settings: NormalisationSettings) -> Thresholds:
        """Take percentiles of the highest rain of each training day (day), mm/day.

        They are at least 1 mm/day: in a desert the percentiles are next to nothing, and what is not wet is not heavy.
        """
        percentiles = np.percentile(highest, [settings.heavy_percentile, settings.extreme_percentile])
        heavy, extreme = (max(float(p), WET_DAY_MM) for p in percentiles)
        return cls(heavy, extreme)


def categories(
    rain: NDArray[np.float32], coast_distance: Values, thresholds: Thresholds, settings: NormalisationSettings
) -> NDArray[np.str_]:
    """Sort days into heavy-coast, heavy-interior, moderate and dry.

    A day is heavy when `heavy_min_cells` cells are heavy or one is extreme. A heavy day is coastal when its heavy cells
    lie within `coast_km` of the coast on average. A day is dry when few cells have 1 mm/day or more.

    Parameters
    ----------
    rain
        Rain of the valid cells, mm/day (day, cell).
    coast_distance
        Their distance to the coast, km (cell); NaN where there is no coast.
    """
    is_heavy = rain >= min(thresholds.heavy, thresholds.extreme)
    count = is_heavy.sum(axis=1)
    many = (rain >= thresholds.heavy).sum(axis=1) >= settings.heavy_min_cells
    heavy_day = many | (rain >= thresholds.extreme).any(axis=1)
    coastal = is_heavy @ coast_distance / np.maximum(count, 1) < settings.coast_km  # NaN is not, so interior
    dry = (rain >= WET_DAY_MM).mean(axis=1) < settings.dry_wet_fraction
    return np.select([heavy_day & coastal, heavy_day, dry], ["heavy-coast", "heavy-interior", "dry"], "moderate")


def coarse_categories(
    highest: Values, wet: Values, training: NDArray[np.bool_], settings: NormalisationSettings
) -> NDArray[np.str_]:
    """Sort days into heavy, moderate and dry by their coarse rain alone; without coarse rain all are moderate.

    Training draws its days by this category. A choice by the observed rain would change p(y | x).

    Parameters
    ----------
    highest
        Highest coarse rain of each day, mm/day (day); NaN where there is no coarse rain.
    wet
        Share of the coarse cells with 1 mm/day or more (day).
    training
        Which days are for training (day).
    """
    heavy = max(float(np.percentile(highest[training], settings.heavy_percentile)), WET_DAY_MM)
    kinds = [highest >= heavy, wet < settings.dry_wet_fraction]  # NaN is neither
    return np.select(kinds, ["heavy", "dry"], "moderate")
