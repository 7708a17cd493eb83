"""What the pixel threshold does to the scores of the validation days.

Input: the members before the threshold, and the canonical fields. Output: a table with a row for each threshold. The
members are read twice: to find the value that `auto` takes, and to score them under all thresholds. None is drawn
again. Rain in mm/day.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from rainshaft.config.sections import Evaluation
from rainshaft.data.conventions import VALIDATION
from rainshaft.data.fields import Fields
from rainshaft.evaluation.catalogue import Score, scores_of, shown_fss
from rainshaft.evaluation.days import Setting, day_of, quantities_of, stacked
from rainshaft.evaluation.evaluate import days_of_split, part_of, read_days
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.quantities import UNDER_A_THRESHOLD
from rainshaft.evaluation.record import Sums
from rainshaft.evaluation.resampling import Resamples, Rows
from rainshaft.evaluation.scoring import DAYS_AT_ONCE, scores_in_rows
from rainshaft.files import small_caches
from rainshaft.sampling.threshold import above, matching_threshold

log = logging.getLogger("rainshaft")

TRIED = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)  # mm/day
CRPS, CRPS_CHANGE = "fair_crps", "crps_change"
TRACED = ("wet_fraction", "wet_difference", "wet_difference_1mm", "mass_bias", CRPS, "spread_skill")
"""Scores in the table. The fractions skill scores of `fss_of` and the change of the CRPS stand beside them."""


def trace(
    samples: Sequence[str | Path],
    paths: Sequence[str | Path],
    settings: Evaluation,
    pixel_threshold: float | Literal["auto"],
    *,
    seed: int = 1,
) -> pd.DataFrame:
    """Score the members under each of many thresholds, a few days in memory at a time.

    Parameters
    ----------
    samples
        The shards of the ensemble before the threshold, in any order.
    paths
        Canonical fields of all years.
    settings
        What `evaluate` takes.
    pixel_threshold
        The threshold that was chosen. It is a row of the table, and so is the value that `auto` takes.
    seed
        Draws the resamples, as in `evaluate`.

    Returns
    -------
    A row for each threshold in rising order. The columns are `threshold` in mm/day; `chosen` and `auto`, true in one
    row each; and the scores of all validation days with the ends `*_low` and `*_high` of their 90 % intervals, in the
    units of `comparison/table.csv`:

    - those of `TRACED`
    - `crps_change`: the fair CRPS against that without a threshold, in %, with an interval from paired resamples
    - `fss_{rain}mm_{scale}`: fractions skill scores, see `fss_of`

    There is no row where no validation day has members left.

    Raises
    ------
    UserError
        The fields lack a day, or a member has NaN at some valid cells of a day but not at all of them.
    """
    settings = settings.model_copy(update=fss_of(settings))
    scores = [score for score in scores_of(settings) if score.key in TRACED or score.key.startswith("fss_")]
    with ExitStack() as stack:
        stack.enter_context(small_caches())
        shards = [stack.enter_context(xr.open_dataset(path)) for path in samples]
        days = days_of_split(shards, VALIDATION)
        if not days:
            return _table([], scores)
        # before the fields are opened here: netCDF can crash where a file is open twice
        auto = matching_threshold(shards, [Path(path) for path in paths], settings.wet_threshold)
        chosen = auto if pixel_threshold == "auto" else float(pixel_threshold)
        fields = stack.enter_context(Fields(paths))
        part = part_of([date for date, *_ in days], [category for _, category, *_ in days], fields)
        resamples = Resamples.of(part.rain, part.months, settings.bootstrap, seed)
        sums = {threshold: Sums(resamples.weights) for threshold in sorted({*TRIED, auto, chosen})}
        rain = [shard["pr"].transpose("time", "member", "lat", "lon") for shard in shards]
        setting = Setting(rain[0].sizes["member"], fields.valid, fields.factor, settings, seed)
        numbered = enumerate(read_days(samples, rain, days, fields))
        while chunk := list(islice(numbered, DAYS_AT_ONCE)):
            for threshold, each in sums.items():
                places, found = [], []
                for place, (members, truth) in chunk:
                    day = day_of(*days[place][:2], above(members, threshold), truth, setting)
                    if day is not None:
                        places.append(place)
                        found.append(quantities_of(day, UNDER_A_THRESHOLD))
                if found:
                    each.add(np.array(places), stacked(found))
    log.info("%d validation days; pixel_threshold is %.3g mm/day, auto takes %.3g", len(days), chosen, auto)
    table: list[dict[str, float | bool | None]] = []
    without: Array | None = None
    for threshold, each in sums.items():
        if each.is_empty:
            continue
        rows = scores_in_rows(each.record(setting.size), settings, is_partial=True)
        row: dict[str, float | bool | None] = {"threshold": threshold}
        row |= {"chosen": threshold == chosen, "auto": threshold == auto}
        for score in scores:
            row |= _columns(score.key, rows[score.key], score.factor, resamples)
        without = rows[CRPS] if without is None else without  # the first threshold is 0
        row |= _columns(CRPS_CHANGE, rows[CRPS] / without - 1, 100, resamples)
        table.append(row)
    return _table(table, scores)


def fss_of(settings: Evaluation) -> dict[str, tuple[float, ...]]:
    """Choose the fractions skill scores: that of the wet cells, and that of the heavy rain that the tables show.

    A pixel threshold cannot change the second one unless it is as high. It says so.
    """
    shown = shown_fss(settings)
    if shown is None:
        return {"fss_thresholds": (), "fss_scales": ()}
    threshold, scale = shown
    return {"fss_thresholds": tuple(sorted({settings.wet_threshold, threshold})), "fss_scales": (scale,)}


def _columns(key: str, rows: Rows, factor: float, resamples: Resamples) -> dict[str, float | bool | None]:
    """Name a score and the ends of its interval."""
    ends = {"value": key, "low": f"{key}_low", "high": f"{key}_high"}
    interval = resamples.interval(rows)
    return {ends[name]: None if value is None else factor * value for name, value in interval.items()}


def _table(rows: Sequence[dict[str, float | bool | None]], scores: Sequence[Score]) -> pd.DataFrame:
    """Lay the rows out; the columns do not depend on whether there are any."""
    keys = [*(score.key for score in scores), CRPS_CHANGE]
    columns = [name for key in keys for name in (key, f"{key}_low", f"{key}_high")]
    return pd.DataFrame(rows, columns=["threshold", "chosen", "auto", *columns])
