"""Small canonical fields, built by hand, and their normalisation, for the tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import numpy as np
import xarray as xr

from rainshaft.config.sections import Dataset, Section
from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.normalisation import fit_normalisation
from rainshaft.data.pairing import Origin
from rainshaft.files import write_netcdf

Settings = TypeVar("Settings", bound=Section)

RAIN = Origin("rain", "rain", "rain", day_is_stated=False)


def slice_of(dataset: Dataset, settings: type[Settings]) -> Settings:
    """What one stage reads of a dataset."""
    return settings(**dataset.model_dump(mode="json", include=set(settings.model_fields)))


def showers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Rain in mm/day, two cells of five dry and a long tail, each cell by itself."""
    return np.maximum(rng.gamma(0.6, 12, shape) - 4, 0)


def normalisation_of(*paths: Path, **keys: object) -> xr.Dataset:
    """The normalisation of fields with factor 2, split in blocks of five days; `keys` of the dataset on top."""
    dataset = {
        "years": tuple(int(path.stem) for path in paths),
        "factor": 2,
        "rain": {"files": ["x"], "variable": "pr"},
        "split": {"by": "blocks", "block_days": 5, "cycle": ["train", "validation", "train", "test"]},
    }
    return fit_normalisation(list(paths), slice_of(Dataset(**dataset | keys), NormalisationSettings))


def make_fields(
    path: Path,
    rain: np.ndarray,
    start: str = "2001-01-01",
    *,
    factor: int = 2,
    calendar: str = "standard",
    temperature: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    coast_distance: np.ndarray | None = None,
    elevation: np.ndarray | None = None,
    context: dict[str, np.ndarray] | None = None,
    coarse: bool = True,
    sources: Sequence[Origin] = (),
) -> Path:
    """Write canonical fields of consecutive days, with the channels pr (block means of the rain) and tas.

    `rain` is (day, row, column) in mm/day, row 0 the north; `temperature` (day, y, x) in K, by default from the day's
    number. `valid`, `coast_distance` (km) and `elevation` (m) are maps; by default all valid, no coast, flat land.
    `context` has a (day, v, u) for each name, row 0 the north; by default there is none. `coarse=False` leaves no
    channel. `sources` says where the rain and each predictor come from; by default they are made from the rain.
    """
    days, height, width = rain.shape
    maps = (height, width)
    valid = np.ones(maps, "i1") if valid is None else valid.astype("i1")
    blocks = rain.reshape(days, height // factor, factor, width // factor, factor).mean((2, 4))
    if temperature is None:
        temperature = np.broadcast_to(285 + np.arange(days)[:, None, None] % 10, blocks.shape)
    predictors = np.stack([blocks, temperature], 1)
    whole = np.stack(list(context.values()), 1) if context else np.empty((days, 0, 0, 0))
    names, units = (["pr", "tas"], ["mm/day", "K"]) if coarse else (np.empty(0, str), np.empty(0, str))
    lat, lon = 30 - 0.05 * np.arange(height), 10 + 0.05 * np.arange(width)
    fields = xr.Dataset(
        {
            "pr": (("time", "lat", "lon"), np.where(valid == 1, rain, np.nan).astype("f4"), {"units": "mm/day"}),
            "predictors": (("time", "channel", "y", "x"), predictors[:, : len(names)].astype("f4")),
            "channel_units": ("channel", units),
            "context": (("time", "context_channel", "v", "u"), whole.astype("f4")),
            "context_units": ("context_channel", np.array(["Pa"] * whole.shape[1], dtype=str)),
            "valid": (("lat", "lon"), valid),
            "elevation": (("lat", "lon"), np.zeros(maps, "f4") if elevation is None else elevation.astype("f4")),
            "land": (("lat", "lon"), np.ones(maps, "f4")),
            "coast_distance": (
                ("lat", "lon"),
                np.full(maps, np.nan, "f4") if coast_distance is None else coast_distance.astype("f4"),
            ),
        },
        {
            "time": xr.date_range(start, periods=days, calendar=calendar, use_cftime=calendar != "standard"),
            "channel": names,
            "context_channel": np.array(list(context or {}), dtype=str),
            "lat": ("lat", lat, {"standard_name": "latitude", "units": "degrees_north"}),
            "lon": ("lon", lon, {"standard_name": "longitude", "units": "degrees_east"}),
            "y": lat.reshape(-1, factor).mean(1),
            "x": lon.reshape(-1, factor).mean(1),
            "v": 55 - 2.5 * np.arange(whole.shape[2]),
            "u": -15 + 2.5 * np.arange(whole.shape[3]),
        },
        {
            "factor": factor,
            "rain_channel": "pr" if coarse else "",
            "grid_kind": "latitude/longitude",
            "sources": json.dumps([asdict(origin) for origin in sources or [RAIN]]),
            "ingest": "[]",
        },
    )
    write_netcdf(fields, path)
    return path
