"""What the two knobs of the posterior trade: members near to the observed day against members that differ.

The knobs are the temperature and the number of scales that see the observed day. Input: a trained model, canonical
fields, normalisation. Output: a table with one row for each split, temperature and number of scales. It has distances
in mm/day, correlation, diversity, mass and realism of members of heavy days. Training days are those that augmentation
uses. Validation days show whether the posterior generalises, because the network has not learned from them. The members
are those that `sample` would draw with these settings, before the pixel threshold.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from rainshaft.config.slices import DrawSettings, TradeoffSettings
from rainshaft.data.conventions import TRAIN, VALIDATION, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.evaluation.formulas import Array
from rainshaft.evaluation.formulas.ensemble import correlations, cosine_distance
from rainshaft.evaluation.formulas.texture import gradient_sum
from rainshaft.files import atomic
from rainshaft.models.chain import Chain
from rainshaft.sampling.draw import DAYS_AT_ONCE, draw, posterior_scales
from rainshaft.sampling.sample import days_since_1850, lost_mass

log = logging.getLogger("rainshaft")

TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
# The days and members are few, because each is drawn with every setting. For 128 x 128 cells this takes half a minute
# on one core. The curves are smooth even so, because all settings share their noise.
DAYS = 12
MEMBERS = 4
SPLITS = (TRAIN, VALIDATION)
MIN_THRESHOLDS = (0.5, 0.7, 0.9)  # values of `sampling.min_threshold` to try


def heavy_days(normalisation: xr.Dataset, split: str) -> NDArray[np.integer]:
    """Find up to `DAYS` heavy days of a split, as indices of `normalisation.time`, spread evenly over all of them."""
    heavy = is_heavy(normalisation.category.values)
    found = np.flatnonzero(heavy & (normalisation.split.values.astype(str) == split))
    return found[np.linspace(0, len(found) - 1, min(len(found), DAYS)).round().astype(int)]


def trace(
    model: Chain, settings: TradeoffSettings, paths: Sequence[Path], normalisation: xr.Dataset, path: Path
) -> None:
    """Draw members of heavy days with each setting, a few days at a time, and write what they are like.

    Parameters
    ----------
    paths
        Canonical fields of all years.
    path
        The CSV to write. It has the posterior with all scales at every temperature of `TEMPERATURES`. At
        `sampling.temperature` it also has every smaller number of scales, down to 0, which is the prior.

    Notes
    -----
    The columns are `split`, `mode`, `temperature`; `scales`, how many see the observed day; `chosen`, true for the
    posterior of `sampling`; the number of `days`; and these means over the days:

    - `distance_to_truth`: mean absolute difference of a member and the observed day, mm/day
    - `distance_of_members`: mean absolute difference of two members, mm/day
    - `correlation_member_truth`
    - `diversity`: cosine distance of two members
    - `mass_ratio`: member over truth
    - `dropped_at_X`: share of the members that `min_threshold` X would drop
    - `wet_fraction` of the members and `wet_fraction_observed`
    - `gradient_ratio`: members over truth

    Raises
    ------
    UserError
        If neither split has a heavy day, or the model has no posterior.
    """
    chosen = normalisation.isel(time=np.concatenate([heavy_days(normalisation, split) for split in SPLITS]))
    if not chosen.sizes["time"]:
        raise UserError(
            "normalisation.nc: found no heavy day of the training or validation split; expected some: lower "
            "`heavy_percentile`, `heavy_min_cells` or `extreme_percentile` of the dataset"
        )
    drawing = DrawSettings(**settings.model_dump(exclude={"wet_threshold"}), members=MEMBERS)
    tried, wished = _settings_to_try(model, drawing)
    valid = normalisation.valid.values.astype(bool)
    rows: list[dict[str, Any]] = []
    split_of = dict(zip(dates_of(chosen).tolist(), chosen.split.values.astype(str), strict=True))
    with Fields(paths) as fields:
        for dates in fields.batches(list(split_of), DAYS_AT_ONCE):
            days = fields.read(dates)
            for temperature, scales in tried:
                mode = "posterior" if scales else "prior"
                wanted = drawing.model_copy(update={"temperature": temperature, "posterior_scales": scales})
                rain = draw(model, days, normalisation, mode, wanted, days_since_1850(days.time))
                for date, members, truth in zip(dates, rain, days.pr.values, strict=True):
                    row = {"split": split_of[date], "mode": mode, "temperature": temperature, "scales": scales}
                    row["chosen"] = (temperature, scales) == wished
                    rows.append(row | _measure(members, truth, valid, settings.wet_threshold))
    with atomic(path) as temporary:
        _means(rows).to_csv(temporary, float_format="%.6g", encoding="utf-8")
    log.info("%d heavy days, %d members each, with %d settings", chosen.sizes["time"], MEMBERS, len(tried))


def _settings_to_try(model: Chain, drawing: DrawSettings) -> tuple[set[tuple[float, int]], tuple[float, int]]:
    """List the (temperature, scales) to try, and name the one that the user has chosen."""
    every, own = sum(model.scales), drawing.temperature
    tried = {(t, every) for t in (*TEMPERATURES, own)} | {(own, scales) for scales in range(every)}
    return tried, (own, posterior_scales(model, drawing))


def _means(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Average over the days of each setting."""
    settings = pd.DataFrame(rows).groupby(["split", "mode", "temperature", "scales", "chosen"])
    table = settings.mean()
    table.insert(0, "days", settings.size())
    table["gradient_ratio"] = table.pop("gradient") / table.pop("gradient_observed")  # of sums, as in the evaluation
    return table


def _measure(members: Array, truth: Array, cells: NDArray[np.bool_], wet_threshold: float) -> dict[str, float]:
    """Compare the members (member, lat, lon) of one day with the truth (lat, lon) over the valid cells."""
    members, truth = np.where(cells, members, 0), np.where(cells, truth, 0)
    m, y = members[:, cells].astype("f8"), truth[cells].astype("f8")
    dropped = {f"dropped_at_{share}": lost_mass(m[None], y[None], share).mean() for share in MIN_THRESHOLDS}
    return {
        "distance_to_truth": np.abs(m - y).mean(),
        "distance_of_members": pdist(m, "cityblock").mean() / y.size,
        "correlation_member_truth": correlations(np.vstack([m, y]))[:-1, -1].mean(),
        "diversity": cosine_distance(m),
        "mass_ratio": m.sum(axis=1).mean() / y.sum(),
        **dropped,
        "wet_fraction": (m > wet_threshold).mean(),
        "wet_fraction_observed": (y > wet_threshold).mean(),
        "gradient": gradient_sum(members, cells)[0].mean(),
        "gradient_observed": gradient_sum(truth, cells)[0],
    }
