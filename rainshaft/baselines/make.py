"""Make the ensemble file of a baseline.

Input: canonical fields and the normalisation of the dataset. Output: an ensemble file of the validation days and
the test days, rain in mm/day. Decisions are made on the first, and the others are for the report. The file has the form
of the ensembles of models, so that both are scored in one way. Days are made one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from rainshaft import __version__
from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.interface import SCORED, Method
from rainshaft.data.fields import Fields
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble


def make_baseline(
    name: str,
    method: Method,
    fields: Sequence[Path],
    normalisation: xr.Dataset,
    path: Path,
    members: int,
    seed: int,
    config_fingerprint: str,
) -> None:
    """Write the ensemble file of a baseline for all validation days and test days.

    Parameters
    ----------
    name, method
        The baseline and its name, as in `baselines.table`.
    fields
        Canonical fields of all years.
    normalisation
        Normalisation of the dataset. It tells which days are for training and for test.
    path
        The file to write.
    members
        Members a day, if the baseline is an ensemble. Other baselines have one.
    seed
        Seed of what is drawn. A member depends on the seed, the date and its number alone.
    config_fingerprint
        Written into the file.

    Raises
    ------
    UserError
        The dataset lacks what the baseline needs, the fields lack a day, or there are fewer training days than members
        to choose from them.
    """
    has = {
        "coarse rain": bool(normalisation.attrs["rain_channel"]),
        "coarse predictors": bool(normalisation.sizes["channel"]),
        "nothing": True,
    }
    if not has[method.needs]:
        key = {"coarse rain": "quantity: rain", "coarse predictors": "context: false"}[method.needs]
        raise UserError(
            f"baselines.names: found `{name}`, which needs {method.needs}, and the dataset has none; give one of "
            f"its predictors `{key}`, or take `{name}` out of baselines.names"
        )
    with Fields(fields) as opened:
        days = DaysBySplit(opened, normalisation)
        scored = normalisation.isel(time=days.places(*SCORED))
        rain = method.make(days, members, seed)
        masked = (np.where(days.valid, fine, np.nan).astype(np.float32) for fine in rain)
        attributes = {
            "source": f"rainshaft baseline: {method.source}",
            "mode": "baseline",
            "seed": seed,
            "config_fingerprint": config_fingerprint,
            "rainshaft_version": __version__,
        }
        write_ensemble(path, scored, members if method.is_ensemble else 1, masked, attributes)
