"""What the knobs of the posterior trade: nearness of its members to the observed day against their diversity.

The knobs are the temperature and the number of scales that see the observed day. Input: a trained model, canonical
fields, normalisation. Output: a table, one row for each split, temperature and number of scales: distances in mm/day,
correlation, diversity, mass and realism of members of heavy days. Training days are the ones that augmentation uses;
validation days, from which the network has not learnt, show whether the posterior generalises. The members are those
of `sample` with the same settings, before the pixel threshold.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.spatial.distance import pdist

from rainshaft.config.slices import DrawSettings, TradeoffSettings
from rainshaft.data.conventions import TRAIN, VALIDATION, is_heavy
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.evaluation.scores import correlations, cosine_distance, gradient_sum
from rainshaft.files import atomic
from rainshaft.models.chain import Chain
from rainshaft.sampling.draw import draw, posterior_scales
from rainshaft.sampling.sample import days_since_1850, lost_mass

log = logging.getLogger("rainshaft")

TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
# A few days and members, since every one is drawn with each setting: half a minute for 128 x 128 cells on one core.
# The same noise with every setting keeps the curves smooth all the same.
DAYS = 12
MEMBERS = 4
SPLITS = (TRAIN, VALIDATION)
MIN_THRESHOLDS = (0.5, 0.7, 0.9)  # values of `sampling.min_threshold` to try


def heavy_days(normalisation: xr.Dataset, split: str) -> np.ndarray:
    """Places in `normalisation.time` of up to `DAYS` heavy days of a split, spread evenly over all that it has."""
    heavy = is_heavy(normalisation.category.values.astype(str))
    found = np.flatnonzero(heavy & (normalisation.split.values.astype(str) == split))
    return found[np.linspace(0, len(found) - 1, min(len(found), DAYS)).round().astype(int)]


def trace(
    model: Chain, settings: TradeoffSettings, paths: Sequence[Path], normalisation: xr.Dataset, path: Path
) -> None:
    """Draw members of heavy days with each setting, a few days at a time, and write what they are like.

    Parameters
    ----------
    settings
        the frozen `tradeoff` slice: seed, temperature, posterior_scales, batch_size, tile, wet_threshold
    paths
        canonical fields of all years
    path
        the CSV to write: the posterior with all scales at every temperature, and at `sampling.temperature` with every
        number of scales, down to the prior, which has 0. `split`; `mode`; `temperature`; `scales`, how many see the
        observed day; `chosen`, true for the posterior of `sampling`; the number of `days`; and, means over these days:
        `distance_to_truth`, mean absolute difference of a member and the observed day, mm/day;
        `distance_of_members`, the same of two members; `correlation_member_truth`; `diversity`, cosine distance of two
        members; `mass_ratio`, member over truth; `dropped_at_X`, the share of members that `min_threshold` X would
        drop; `wet_fraction` of the members and `wet_fraction_observed`; `gradient_ratio`, members over truth

    Raises
    ------
    UserError
        If neither split has a heavy day.
    """
    chosen = normalisation.isel(time=np.concatenate([heavy_days(normalisation, split) for split in SPLITS]))
    if not chosen.sizes["time"]:
        raise UserError(
            "normalisation.nc: found no heavy day of the training or validation split; expected some: lower "
            "`heavy_percentile`, `heavy_min_cells` or `extreme_percentile` of the dataset"
        )
    drawing = DrawSettings(**settings.model_dump(exclude={"wet_threshold"}), members=MEMBERS)
    every, own = sum(model.scales), settings.temperature
    draws = {(t, every) for t in (*TEMPERATURES, own)} | {(own, scales) for scales in range(every)}
    wished = own, posterior_scales(model, drawing)
    valid, rows = normalisation.valid.values.astype(bool), []
    split_of = dict(zip(dates_of(chosen).tolist(), chosen.split.values.astype(str), strict=True))
    with Fields(paths) as fields:
        for dates in fields.batches(list(split_of), settings.batch_size):
            days = fields.read(dates)
            for temperature, scales in draws:
                mode = "posterior" if scales else "prior"
                wanted = drawing.model_copy(update={"temperature": temperature, "posterior_scales": scales})
                rain = draw(model, days, normalisation, mode, wanted, days_since_1850(days.time))
                for date, members, truth in zip(dates, rain, days.pr.values, strict=True):
                    row = {"split": split_of[date], "mode": mode, "temperature": temperature, "scales": scales}
                    row["chosen"] = (temperature, scales) == wished
                    rows.append(row | _measure(members, truth, valid, settings.wet_threshold))
    kinds = pd.DataFrame(rows).groupby(["split", "mode", "temperature", "scales", "chosen"])
    table = kinds.mean()
    table.insert(0, "days", kinds.size())
    table["gradient_ratio"] = table.pop("gradient") / table.pop("gradient_observed")  # of sums, as in the evaluation
    with atomic(path) as temporary:
        table.to_csv(temporary, float_format="%.6g")
    log.info("%d heavy days, %d members each, with %d settings", chosen.sizes["time"], MEMBERS, len(draws))


def _measure(members: np.ndarray, truth: np.ndarray, cells: np.ndarray, wet_threshold: float) -> dict[str, float]:
    """What the members (member, lat, lon) of one day are like beside the truth (lat, lon)."""
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
