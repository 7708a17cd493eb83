"""The reader of canonical days: every field of a dataset, by date, over its yearly files.

Input: the files that `prepare` writes, one a year. Output: the fields of any days, rain in mm/day, north first and west
first. Days are named by their date (YYYY-MM-DD) in the calendar of the record. So an ensemble and the fields belong
together by date, whatever the hour or the type of their time stamps.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rainshaft.data.conventions import same_axis
from rainshaft.errors import UserError
from rainshaft.files import DISK_CHUNK_BYTES, small_caches

DAILY = ("pr", "predictors", "context")  # the variables with a value for each day
FACTS = ("factor", "rain_channel", "grid_kind")  # attributes of each file
AXES = ("lat", "lon", "y", "x", "v", "u")
CHANNELS = ("channel", "channel_units", "context_channel", "context_units")

Values = NDArray[np.float32]


def dates_of(time: xr.DataArray | xr.Dataset) -> NDArray[np.str_]:
    """Give the date (YYYY-MM-DD) of each day of something with a `time` axis, in any calendar."""
    return time["time"].dt.strftime("%Y-%m-%d").values.astype(np.str_)


class Fields:
    """The canonical fields of a dataset, open for reading.

    Parameters
    ----------
    paths
        One file a year, in the order that the days shall have.

    Raises
    ------
    UserError
        If there is no file, or the files do not share one grid and one set of predictors.
    """

    def __init__(self, paths: Sequence[str | Path]):
        if not paths:
            raise UserError("years: found no fields, expected at least one year")
        self.paths = [Path(path) for path in paths]
        with small_caches(DISK_CHUNK_BYTES):
            self.years = [xr.open_dataset(path) for path in self.paths]
        self._rain: dict[int, Any] = {}
        try:
            self._require_one_grid()
        except BaseException:
            self.close()
            raise
        self.years = [self.years[0], *map(self._on_first_axes, self.years[1:])]
        days = np.concatenate([year.time.values for year in self.years])
        self.time = xr.DataArray(days, dims="time", attrs=self.years[0].time.attrs)
        """every day, in the order of the files"""
        self._places = {
            str(date): (file, i) for file, year in enumerate(self.years) for i, date in enumerate(dates_of(year))
        }
        self.factor = int(self.years[0].attrs["factor"])
        """fine cells along one side of a coarse cell"""
        self.rain_channel = str(self.years[0].attrs["rain_channel"])
        """name of the predictor that is coarse rain; empty where there is none"""
        if len(self._places) < len(days):  # a day of two files would be read from the second one
            self.close()
            dates = np.concatenate([dates_of(year) for year in self.years])
            found, counts = np.unique(dates, return_counts=True)
            raise UserError(
                f"{self.paths[0]} and the other years: found {counts.max()} entries for {found[counts.argmax()]}, "
                "expected one for each day; prepare these years again"
            )

    def _require_one_grid(self) -> None:
        for path, year in zip(self.paths, self.years, strict=True):
            for name in FACTS:
                if year.attrs.get(name) is None or year.attrs[name] != self.years[0].attrs.get(name):
                    raise UserError(
                        f"{path}: found {name} {year.attrs.get(name, '(missing)')}, expected one value in all years "
                        f"({self.paths[0]} has {self.years[0].attrs.get(name, '(missing)')}); prepare these years again"
                    )
        for path, year in zip(self.paths, self.years, strict=True):
            for name in (*AXES, *CHANNELS):
                same = same_axis if name in AXES else np.array_equal
                if not same(year[name].values, self.years[0][name].values):
                    raise UserError(
                        f"{path}: {name} differs from that in {self.paths[0]}, expected one grid and one set of "
                        "predictors for all years; look at the raw files of that year"
                    )

    def _on_first_axes(self, year: xr.Dataset) -> xr.Dataset:
        """Give a year the axes of the first one, which may differ by the rounding of single precision."""
        moved = year.assign_coords({name: self.years[0][name] for name in AXES})
        moved.set_close(year.close)
        return moved

    def __enter__(self) -> Fields:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for year in self.years:
            year.close()
        for rain in self._rain.values():
            rain.group().close()
        self._rain = {}

    @property
    def dates(self) -> list[str]:
        """The date of every day, in the order of the files."""
        return list(self._places)

    @functools.cached_property
    def valid(self) -> NDArray[np.bool_]:
        """True where every year has rain (lat, lon): a cell that misses a day of one year takes no part at all."""
        return functools.reduce(operator.and_, (year["valid"].values == 1 for year in self.years))

    @functools.cached_property
    def ground(self) -> xr.Dataset:
        """What does not change with time: axes, elevation, land.

        Where no file tells the land, a year without rain in some part takes that part for sea. So this is the year
        with the most land.
        """
        return max((year.drop_dims("time").load() for year in self.years), key=lambda year: float(year.land.sum()))

    @property
    def grid_kind(self) -> str:
        """`latitude/longitude`, `rotated` or `projected`."""
        return str(self.years[0].attrs["grid_kind"])

    @property
    def rain_channel_index(self) -> int | None:
        """Which channel of the predictors is coarse rain; None where there is none."""
        return list(self.ground.channel.values).index(self.rain_channel) if self.rain_channel else None

    def times(self, dates: Sequence[str]) -> xr.DataArray:
        """Give the time stamps of these days, in this order."""
        number = {date: n for n, date in enumerate(self.dates)}
        return self.time[[number[date] for date in dates]]

    def require(self, dates: Iterable[str], what: str) -> None:
        """Raise a UserError unless all these days are here; `what` says in words whose days they are."""
        if missing := [date for date in dates if date not in self._places]:
            names = f"{self.paths[0]} to {self.paths[-1]}" if len(self.paths) > 1 else str(self.paths[0])
            raise UserError(f"{what}: {len(missing)} days are not in the fields ({names}); the first is {missing[0]}")

    def read(self, dates: Sequence[str]) -> xr.Dataset:
        """Read all fields of these days, in this order, into memory."""
        parts = []
        for file, days in itertools.groupby(dates, key=lambda date: self._places[date][0]):
            parts.append(self.years[file].isel(time=[self._places[date][1] for date in days]).load())
        if len(parts) == 1:
            return parts[0]
        return xr.concat(parts, "time", data_vars=list(DAILY), coords="minimal", compat="override", join="override")

    def rain(self, dates: Sequence[str]) -> Values:
        """Read the observed rain of these days, in this order: (day, lat, lon) in mm/day, NaN where there is none."""
        places = [self._places[date] for date in dates]
        runs: list[tuple[int, int, int]] = []  # file, first, stop: days that lie together are read at once
        for file, i in places:
            if runs and runs[-1][0] == file and runs[-1][2] == i:
                runs[-1] = file, runs[-1][1], i + 1
            else:
                runs.append((file, i, i + 1))
        return np.concatenate([self._rain_of(file)[start:stop] for file, start, stop in runs])

    def batches(self, dates: Sequence[str], size: int) -> Iterator[list[str]]:
        """Go through days in the order of the files, at most `size` at a time, all of one file."""
        wanted = set(dates)
        for year in self.years:
            here = [str(date) for date in dates_of(year) if date in wanted]
            yield from (here[start : start + size] for start in range(0, len(here), size))

    def slabs(self, values: int) -> Iterator[tuple[slice, Values, Values, Values]]:
        """Go through all days, few at a time, so that a long record needs no more memory than a short one.

        Parameters
        ----------
        values
            Fine cells and values of context to hold at once; a slab has at least one day.

        Yields
        ------
        Place of the days in the record, rain (day, lat, lon), predictors (day, channel, y, x) and context
        (day, context_channel, v, u).
        """
        a_day = self.valid.size + math.prod(self.ground.sizes[name] for name in ("context_channel", "v", "u"))
        first = 0
        for dates in self.batches(self.dates, max(1, values // a_day)):
            slab = self.read(dates)
            place = slice(first, first + len(dates))
            yield place, slab["pr"].values, slab["predictors"].values, slab["context"].values
            first += len(dates)

    def _rain_of(self, file: int) -> Any:
        """The rain of one file without xarray, which takes long for single days here and there."""
        if file not in self._rain:
            with small_caches(DISK_CHUNK_BYTES):
                self._rain[file] = netCDF4.Dataset(self.paths[file])["pr"]
            self._rain[file].set_auto_mask(False)
        return self._rain[file]
