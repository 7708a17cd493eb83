"""What training and evaluation need to know of a record: split, normalisation, thresholds, kinds of days.

In: the canonical fields of all years (`prepare`). Out: one small dataset, `normalisation.nc`. Rain in mm/day, distances in
km. All numbers come from the training days; only the split and the category are given for every day. Days stream
through memory in slabs, so a record may be of any length.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.config.sections import Split
from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.conventions import SPLITS, TRAIN, UNUSED, WET_DAY_MM
from rainshaft.data.fields import DAILY, Fields
from rainshaft.errors import UserError

COARSE_CATEGORIES = ("heavy", "moderate", "dry")
COAST_SCALE = 50.0  # km; how far inland the network can tell the coast from the interior
SLAB_VALUES = 4_000_000  # values (fine cells, context) times days in memory at once: some 100 MB with all that follows

Slab = NDArray[np.float32]


# -------------------------------------------------------------------------------------------- split


def split_days(time: Any, split: Split) -> NDArray[np.str_]:
    """Say for each day whether it is for training, validation or test.

    Parameters
    ----------
    time
        Days as datetime64 or cftime: an array, an index or a DataArray.
    split
        By whole years, or by blocks of `block_days` days counted from the first day and dealt out in turn.

    Returns
    -------
    `train`, `validation`, `test` or, for years that the split does not name, `unused` (day).
    """
    index = _index(time)
    if split.by == "blocks":
        block = np.asarray((index - index.min()).days) // split.block_days
        return np.array(split.cycle)[block % len(split.cycle)]
    part_of = {year: part for part in SPLITS for year in getattr(split, part)}
    return np.array([part_of.get(int(year), UNUSED) for year in index.year], dtype="<U10")


def _index(time: Any) -> pd.Index:
    """The days as an index with `year` and differences, whatever the calendar."""
    return xr.Dataset(coords={"time": ("time", np.asarray(time))}).indexes["time"]


def _require_days(part: NDArray[np.str_], index: pd.Index, split: Split) -> None:
    for name in SPLITS:
        if not (part == name).any():
            key = "split.cycle" if split.by == "blocks" else f"split.{name}"
            raise UserError(
                f"{key}: found no {name} day in the {len(index)} days from {index.min():%Y-%m-%d} to "
                f"{index.max():%Y-%m-%d}, expected at least one; "
                + ("use a shorter block_days" if split.by == "blocks" else "name a year that has data")
            )


# --------------------------------------------------------------------------------------- normalisation


def fit_normalisation(paths: Sequence[Path], dataset: NormalisationSettings) -> xr.Dataset:
    """Fit normalisation and thresholds to the training days, and sort all days into categories.

    Parameters
    ----------
    paths
        Canonical fields, one file a year, in the order that the days shall have.
    dataset
        Its split and the settings of the categories.

    Returns
    -------
    Content of `normalisation.nc`. The rain channel has `channel_mean` 0 and as `channel_std` the standard deviation of
    log1p(mm/day): dry stays exactly zero. Context has a mean for each cell and one standard deviation of the anomalies
    from it a channel. Cells are valid when they are valid in every year.

    Raises
    ------
    UserError
        A part of the split without a day, no rain to learn from, or years on different grids.
    """
    with Fields(paths) as fields:
        return _fit(_AllYears(fields), dataset)


def _fit(record: _AllYears, dataset: NormalisationSettings) -> xr.Dataset:
    """The content of `normalisation.nc`."""
    if not record.valid.any():
        raise UserError("rain.files: no cell has rain in every year; leave out the years with most gaps")
    split = split_days(record.time, dataset.split)
    _require_days(split, _index(record.time), dataset.split)
    moments, extent, digest = _pass_over(record, split)
    training = split == TRAIN
    # The percentile of the maxima of a desert is next to nothing; what is not wet cannot be heavy.
    percentiles = [dataset.heavy_percentile, dataset.extreme_percentile]
    heavy, extreme = (max(float(p), WET_DAY_MM) for p in np.percentile(extent.highest[training], percentiles))
    category = _categories(record, heavy, extreme, dataset)
    coarse_category = _coarse_categories(extent, training, dataset)
    digest.update_days(split, coarse_category)
    channel_mean, channel_std = moments.of_channels(record.rain_channel_index)
    context_mean, context_std = moments.of_context()
    static = _static_maps(record.ground)
    mm_day = {"units": "mm/day"}
    return xr.Dataset(
        {
            "channel_mean": ("channel", channel_mean, {"long_name": "mean over training days; 0 for the rain channel"}),
            "channel_std": (
                "channel",
                channel_std,
                {"long_name": "standard deviation over training days; of log1p(mm/day) for the rain channel"},
            ),
            "context_mean": (
                ("context_channel", "v", "u"),
                context_mean,
                {"long_name": "mean over training days of each cell"},
            ),
            "context_std": (
                "context_channel",
                context_std,
                {"long_name": "standard deviation of the anomalies from context_mean over training days and cells"},
            ),
            "static_maps": (("static", "lat", "lon"), np.stack(list(static.values())) if static else record.no_maps()),
            "valid": (("lat", "lon"), record.valid.astype("i1"), {"long_name": "1 where every year has rain"}),
            "rain_mean": ((), moments.rain_mean, mm_day | {"long_name": "mean rain of the training days"}),
            "rain_log_std": (
                (),
                moments.rain_log_std,
                {"long_name": "standard deviation of log1p(mm/day) of the rain"},
            ),
            "p99_wet": ((), moments.p99_wet, mm_day | {"long_name": "99th percentile of values >= 1 mm/day"}),
            "heavy_threshold": ((), heavy, mm_day | {"long_name": f"P{percentiles[0]:g} of daily maxima, at least 1"}),
            "extreme_threshold": (
                (),
                extreme,
                mm_day | {"long_name": f"P{percentiles[1]:g} of daily maxima, at least 1"},
            ),
        },
        {
            "time": ("time", record.time.values, record.time.attrs),
            "split": ("time", split),
            "category": ("time", category),
            "coarse_category": ("time", coarse_category),
            "channel": record.ground.channel,
            "context_channel": record.ground.context_channel,
            "v": record.ground.v,
            "u": record.ground.u,
            "static": ("static", np.array(list(static), dtype="<U16")),
            "lat": record.ground.lat,
            "lon": record.ground.lon,
        },
        {
            "title": "Normalisation of the training days",
            "factor": int(record.ground.attrs["factor"]),
            "rain_channel": record.ground.attrs["rain_channel"],
            "data_fingerprint": digest.hexdigest(),
        },
    )


@dataclass(frozen=True)
class _Extent:
    """Of every day the highest rain, and the highest coarse rain and the share of coarse cells that it wets."""

    highest: NDArray[np.float64]
    coarse_highest: NDArray[np.float64]
    coarse_wet: NDArray[np.float64]


def _pass_over(record: _AllYears, split: NDArray[np.str_]) -> tuple[_Moments, _Extent, _Digest]:
    """One pass over the fields: moments of the training days, extent of the rain of every day, digest of the data."""
    index = _index(record.time)
    moments = _Moments()
    highest = np.empty(len(index))
    coarse_highest, coarse_wet = np.full(len(index), np.nan), np.full(len(index), np.nan)
    digest = _Digest(record)
    factor = int(record.ground.attrs["factor"])
    rows, columns = (size // factor for size in record.valid.shape)
    observed = record.valid.reshape(rows, factor, columns, factor).any((1, 3))  # coarse cells with some observed rain
    for days, rain, predictors, context in _slabs(record):
        digest.update(rain, predictors, context)
        cells = rain[:, record.valid]
        highest[days] = cells.max(axis=1)
        if record.rain_channel_index is not None:
            coarse = predictors[:, record.rain_channel_index, observed]
            coarse_highest[days], coarse_wet[days] = coarse.max(axis=1), (coarse >= WET_DAY_MM).mean(axis=1)
        training = split[days] == TRAIN
        if training.any():
            moments.update(cells[training], predictors[training], context[training], record.rain_channel_index)
    if not np.isfinite(highest).all():
        day = index[int(np.argmin(np.isfinite(highest)))]
        raise UserError(f"{day:%Y-%m-%d}: rain is missing in a valid cell; prepare the fields of that year again")
    if not moments.intensity.any():
        raise UserError(
            f"split.train: the {int((split == TRAIN).sum())} training days have no cell with {WET_DAY_MM:g} mm/day or more "
            f"(highest value: {highest[split == TRAIN].max():g} mm/day), expected rain; check rain.units, or name "
            "other years"
        )
    return moments, _Extent(highest, coarse_highest, coarse_wet), digest


@dataclass(frozen=True)
class _AllYears:
    """All years together, their fields still on disk."""

    fields: Fields

    @property
    def ground(self) -> xr.Dataset:
        """Maps and axes."""
        return self.fields.ground

    @property
    def time(self) -> xr.DataArray:
        """All days."""
        return self.fields.time

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Cells with rain in every year."""
        return self.fields.valid

    @property
    def rain_channel_index(self) -> int | None:
        """Which channel is coarse rain."""
        name = self.ground.attrs["rain_channel"]
        return list(self.ground.channel.values).index(name) if name else None

    def no_maps(self) -> NDArray[np.float32]:
        """An empty stack of maps."""
        return np.empty((0, *self.valid.shape), "f4")


def _slabs(record: _AllYears) -> Iterator[tuple[slice, Slab, Slab, Slab]]:
    """Go through the record a few days at a time: their place in the record, rain, predictors and context."""
    a_day = record.valid.size + math.prod(record.ground.sizes[name] for name in ("context_channel", "v", "u"))
    first = 0
    for dates in record.fields.batches(record.fields.dates, max(1, SLAB_VALUES // a_day)):
        slab = record.fields.read(dates)
        yield slice(first, first + len(dates)), *(slab[name].values for name in DAILY)
        first += len(dates)


class _Moments:
    """Sums over the training days."""

    def __init__(self) -> None:
        self.rain = np.zeros(3)  # values, sum of log1p and of its square; the rain itself is summed apart
        self.rain_sum = 0.0
        self.intensity = np.zeros(len(histogram.EDGES) - 1, dtype=np.int64)
        self.channels: Any = 0.0
        self.context: Any = 0.0

    def update(self, rain: Slab, predictors: Slab, context: Slab, rain_channel: int | None) -> None:
        """Add days: rain (day, valid cell), predictors (day, channel, y, x), context (day, channel, v, u)."""
        log_rain = np.log1p(rain)
        self.rain += _sums(log_rain[None], axis=(1, 2))[:, 0]
        self.rain_sum += rain.sum(dtype=np.float64)
        self.intensity += histogram.histogram(rain[rain >= WET_DAY_MM])
        if rain_channel is not None:
            predictors = predictors.copy()
            predictors[:, rain_channel] = np.log1p(predictors[:, rain_channel].clip(min=0))
        self.channels = self.channels + _sums(predictors, axis=(0, 2, 3))
        self.context = self.context + _sums(context, axis=(0,))

    @property
    def rain_mean(self) -> float:
        """Mean rain, mm/day."""
        return float(self.rain_sum / self.rain[0])

    @property
    def rain_log_std(self) -> float:
        """Standard deviation of log1p(mm/day)."""
        return float(_std(*self.rain))

    @property
    def p99_wet(self) -> float:
        """99th percentile of the values of 1 mm/day or more."""
        return float(histogram.quantile(self.intensity, 0.99))

    def of_channels(self, rain_channel: int | None) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Mean and standard deviation of each channel."""
        count, total, _ = self.channels
        mean, std = total / count, _std(*self.channels)
        if rain_channel is not None:
            mean[rain_channel] = 0.0
        return mean, np.where(std > 1e-6 * np.abs(mean), std, 1.0)  # a constant predictor becomes 0

    def of_context(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Mean of each channel and cell (channel, v, u), and standard deviation of the anomalies (channel,)."""
        count, total, _ = self.context
        mean, cells = total / count, max(1, math.prod(total.shape[1:]))
        std = np.sqrt(np.square(_std(*self.context)).sum((1, 2)) / cells)
        largest = np.abs(mean).max((1, 2), initial=0)
        return mean, np.where(std > 1e-6 * largest, std, 1.0)


def _sums(values: NDArray[np.float32], axis: tuple[int, ...]) -> NDArray[np.float64]:
    """Number of values, their sum and the sum of their squares."""
    wide = values.astype(np.float64)
    total = wide.sum(axis=axis)
    count = float(math.prod(values.shape[i] for i in axis))
    return np.stack([np.full_like(total, count), total, np.square(wide).sum(axis=axis)])


def _std(count: Any, total: Any, squares: Any) -> Any:
    return np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))


def _categories(record: _AllYears, heavy: float, extreme: float, dataset: NormalisationSettings) -> NDArray[np.str_]:
    """Sort days into heavy-coast, heavy-interior, moderate and dry.

    A day is heavy when `heavy_min_cells` cells reach the threshold `heavy` or one reaches `extreme`, and coastal when
    its heavy cells lie within `coast_km` of the coast on average; dry when few cells have 1 mm/day.
    """
    coast = record.ground.coast_distance.values[record.valid].astype(np.float64)
    category = np.empty(len(record.time), dtype="<U14")
    for days, rain, *_ in _slabs(record):
        cells = rain[:, record.valid]
        is_heavy = cells >= min(heavy, extreme)
        count = is_heavy.sum(axis=1)
        heavy_day = ((cells >= heavy).sum(axis=1) >= dataset.heavy_min_cells) | (cells >= extreme).any(axis=1)
        coastal = is_heavy @ coast / np.maximum(count, 1) < dataset.coast_km  # without a coast NaN, so interior
        dry = (cells >= WET_DAY_MM).mean(axis=1) < dataset.dry_wet_fraction
        category[days] = np.select(
            [heavy_day & coastal, heavy_day, dry], ["heavy-coast", "heavy-interior", "dry"], "moderate"
        )
    return category


def _coarse_categories(
    extent: _Extent, training: NDArray[np.bool_], dataset: NormalisationSettings
) -> NDArray[np.str_]:
    """Sort days into heavy, moderate and dry by their coarse rain alone; all are moderate where there is none.

    Training draws days by it: a choice by what was observed would change p(y | x).
    """
    heavy = max(float(np.percentile(extent.coarse_highest[training], dataset.heavy_percentile)), WET_DAY_MM)
    kinds = [extent.coarse_highest >= heavy, extent.coarse_wet < dataset.dry_wet_fraction]  # NaN is neither
    return np.select(kinds, ["heavy", "dry"], "moderate")


def _static_maps(ground: xr.Dataset) -> dict[str, NDArray[np.float32]]:
    """Maps for the network, of order 1; a map without variation says nothing and is left out.

    Context is the same for every cell, so beside it the place is told: a west wind brings rain to other cells than an
    east wind does.
    """
    elevation = ground.elevation.values.astype(np.float64)
    maps = {"land": ground.land.values, "coast": np.exp(-ground.coast_distance.values / COAST_SCALE)}
    if elevation.std() > 0:
        maps = {"elevation": (elevation - elevation.mean()) / elevation.std(), **maps}
    if ground.sizes["context_channel"]:
        north, east = (np.linspace(-1, 1, size) for size in elevation.shape)
        maps |= dict(zip(("north", "east"), np.meshgrid(-north, east, indexing="ij"), strict=True))
    return {name: values.astype("f4") for name, values in maps.items() if np.ptp(values) > 0}


class _Digest:
    """SHA-256 of all fields and the labels of their days, blind to how they are cut into files and written."""

    def __init__(self, record: _AllYears) -> None:
        self.fields, self.rest = [hashlib.sha256() for _ in DAILY], hashlib.sha256()
        ground = record.ground
        for name in ("elevation", "land", "coast_distance", "lat", "lon", "y", "x", "v", "u"):
            self.rest.update(_bytes(ground[name].values))
        self.rest.update(_bytes(record.valid))
        words = [str(day)[:10] for day in record.time] + [*map(str, ground.channel.values), str(ground.attrs["factor"])]
        words += [f"context {name}" for name in ground.context_channel.values]
        self.rest.update("\n".join(words).encode())

    def update(self, *fields: Slab) -> None:
        """Add days of every one of `DAILY`."""
        for digest, values in zip(self.fields, fields, strict=True):
            digest.update(_bytes(values))

    def update_days(self, *labels: NDArray[np.str_]) -> None:
        """Add what each day is for and how it is drawn: the same fields, dealt out otherwise, train another model."""
        for label in labels:
            self.rest.update("\n".join(label.tolist()).encode())

    def hexdigest(self) -> str:
        """One digest for all."""
        return hashlib.sha256(b"".join(part.digest() for part in (*self.fields, self.rest))).hexdigest()


def _bytes(values: NDArray[Any]) -> bytes:
    """Bytes of an array as float32 on any machine, with one bit pattern for NaN."""
    plain = np.array(values, dtype="<f4")
    plain[np.isnan(plain)] = np.nan
    return plain.tobytes()
