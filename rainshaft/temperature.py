"""What the temperature of the posterior trades: nearness of its members to the observed day against their diversity.

Input: a trained model, canonical fields, statistics. Output: a table, one row for each split, mode and temperature:
distances in mm/day, correlation, diversity, mass and realism of members of heavy days. Training days are the ones that
augmentation uses; validation days, from which the network has not learnt, show whether the posterior generalises. The
members are those of `sample` at the same temperature, before the pixel threshold.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.spatial.distance import pdist

from rainshaft.errors import UserError
from rainshaft.files import atomic
from rainshaft.metrics import correlations, cosine_distance, gradient_sum
from rainshaft.model import RainCVAE
from rainshaft.sample import day_batches, days_since_1850, draw, lost_mass

log = logging.getLogger("rainshaft")

TEMPERATURES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
# A few days and members, since every one is drawn at each temperature: half a minute for 128 x 128 cells on one core.
# The same noise at every temperature keeps the curves smooth all the same.
DAYS = 12
MEMBERS = 4
SPLITS = ("train", "validation")
MIN_THRESHOLDS = (0.5, 0.7, 0.9)  # values of `sampling.min_threshold` to try


def heavy_days(statistics: xr.Dataset, split: str) -> np.ndarray:
    """Places in `statistics.time` of up to `DAYS` heavy days of a split, spread evenly over the heavy days it has."""
    heavy = np.char.startswith(statistics.category.values.astype(str), "heavy")
    found = np.flatnonzero(heavy & (statistics.split.values.astype(str) == split))
    return found[np.linspace(0, len(found) - 1, min(len(found), DAYS)).round().astype(int)]


def trace(
    model: RainCVAE, settings: dict[str, Any], fields: Sequence[Path], statistics: xr.Dataset, path: Path
) -> None:
    """Draw members of heavy days at each temperature, a few days at a time, and write what they are like.

    Parameters
    ----------
    settings
        the frozen `temperature` slice: seed, temperature, batch_size, tile, wet_threshold
    fields
        canonical fields of all years
    path
        the CSV to write. `split`; `mode`, `posterior` at every temperature and `prior` at 1; `temperature`; `chosen`,
        true for the posterior at `sampling.temperature`; the number of `days`; and, means over these days:
        `distance_to_truth`, mean absolute difference of a member and the observed day, mm/day;
        `distance_of_members`, the same of two members; `correlation_member_truth`; `diversity`, cosine distance of two
        members; `mass_ratio`, member over truth; `dropped_at_X`, the share of members that `min_threshold` X would
        drop; `wet_fraction` of the members and `wet_fraction_observed`; `gradient_ratio`, members over truth

    Raises
    ------
    UserError
        If neither split has a heavy day.
    """
    chosen = statistics.isel(time=np.concatenate([heavy_days(statistics, split) for split in SPLITS]))
    if not chosen.sizes["time"]:
        raise UserError(
            "statistics.nc: found no heavy day of the training or validation split; expected some: lower "
            "`heavy_percentile`, `heavy_min_cells` or `extreme_percentile` of the dataset"
        )
    temperatures = sorted({*TEMPERATURES, settings["temperature"]})
    draws = [("posterior", temperature) for temperature in temperatures] + [("prior", 1.0)]
    valid, rows = statistics.valid.values.astype(bool), []
    for file, times in day_batches(fields, chosen.time.values, settings["batch_size"]):
        with xr.open_dataset(file) as year:
            days = year.sel(time=times).load()
        splits = chosen.split.sel(time=times).values.astype(str)
        for mode, temperature in draws:
            wanted = settings | {"K": MEMBERS, "temperature": temperature}
            rain = draw(model, days, statistics, mode, wanted, days_since_1850(days.time))
            for split, members, truth in zip(splits, rain, days.pr.values, strict=True):
                cells = valid & np.isfinite(truth)
                row = {"split": split, "mode": mode, "temperature": temperature}
                row["chosen"] = mode == "posterior" and temperature == settings["temperature"]
                rows.append(row | _measure(members, truth, cells, settings["wet_threshold"]))
    kinds = pd.DataFrame(rows).groupby(["split", "mode", "temperature", "chosen"])
    table = kinds.mean()
    table.insert(0, "days", kinds.size())
    table["gradient_ratio"] = table.pop("gradient") / table.pop("gradient_observed")  # of sums, as in the evaluation
    with atomic(path) as temporary:
        table.to_csv(temporary, float_format="%.6g")
    log.info("%d heavy days, %d members each, at %d temperatures", chosen.sizes["time"], MEMBERS, len(temperatures))


def _measure(members: np.ndarray, truth: np.ndarray, cells: np.ndarray, wet_threshold: float) -> dict[str, float]:
    """What the members (member, lat, lon) of one day are like beside the truth (lat, lon)."""
    members, truth = np.where(cells, members, 0), np.where(cells, truth, 0)
    m, y = members[:, cells].astype("f8"), truth[cells].astype("f8")
    dropped = {f"dropped_at_{share}": lost_mass(members[None], truth[None], share).mean() for share in MIN_THRESHOLDS}
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
