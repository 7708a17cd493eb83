"""Small predictors of an application, built by hand, for the tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rainshaft.files import write_netcdf

UNITS = {"pr": "mm/day", "tas": "K", "hus": "kg kg-1", "hur": "%", "msl": "Pa"}


def predictors_of(
    channels: dict[str, np.ndarray],
    context: dict[str, np.ndarray] | None = None,
    start: str = "2081-01-01",
    calendar: str = "standard",
) -> xr.Dataset:
    """Give predictors of consecutive days.

    Each of `channels` is (day, realization, y, x), row 0 the north, and each of `context` (day, realization, v, u).
    """
    context = context or {}
    one = next(iter((channels | context).values()))
    days, realizations = one.shape[:2]
    inner = np.stack([*channels.values()], 2) if channels else np.empty((days, realizations, 0, 0, 0))
    outer = np.stack([*context.values()], 2) if context else np.empty((days, realizations, 0, 0, 0))
    names, around = np.array([*channels], str), np.array([*context], str)
    return xr.Dataset(
        {
            "predictors": (("time", "realization", "channel", "y", "x"), inner.astype("f4")),
            "channel_units": ("channel", np.array([UNITS[name] for name in channels], str)),
            "context": (("time", "realization", "context_channel", "v", "u"), outer.astype("f4")),
            "context_units": ("context_channel", np.array([UNITS[name] for name in context], str)),
        },
        {
            "time": xr.date_range(start, periods=days, calendar=calendar, use_cftime=calendar != "standard"),
            "realization": np.arange(realizations),
            "channel": names,
            "context_channel": around,
            "y": 45 - 0.5 * np.arange(inner.shape[3]),
            "x": 5 + 0.5 * np.arange(inner.shape[4]),
            "v": 55 - 2.5 * np.arange(outer.shape[3]),
            "u": -15 + 2.5 * np.arange(outer.shape[4]),
        },
        {"rain_channel": "pr" if "pr" in channels else ""},
    )


def make_predictors(path: Path, days: int = 90, realizations: int = 1, seed: int = 0, **keys: Any) -> Path:
    """Write predictors pr and tas with the context msl, from a random generator."""
    rng = np.random.default_rng(seed)
    shape = (days, realizations, 2, 3)
    channels = {"pr": rng.gamma(0.7, 5, shape), "tas": rng.normal(285, 4, shape)}
    write_netcdf(predictors_of(channels, {"msl": rng.normal(1e5, 600, (days, realizations, 3, 2))}, **keys), path)
    return path
