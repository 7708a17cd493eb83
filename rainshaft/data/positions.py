"""Tell whether coarse rain stands where the fine rain stands.

Input: canonical fields with coarse rain. Output: sentences about coarse rain that is mirrored or moved.

The place of a value comes from the axes of its file. But values can stand in another order than their axes say, for
example after a script turned an array upside down. Then amounts and days are right, and nothing else looks wrong. So
the maps of coarse rain are compared with the averaged maps of fine rain of the same days: as they are, mirrored, and
moved by a few cells. The mean of each cell and the mean of each day are taken off first, because a wet mountain and a
rainy day say nothing about the place of a single storm.

ASSUME Mirrored coarse rain is a mistake, so it is refused. The rain of a model may lie beside the observed rain, for
example before a mountain instead of behind it. So rain that looks moved is only noted. On real records (ERA5 and CHIRPS
over central India, NCEP and E-OBS over Iberia, gridMET over Oregon), no mirror image was closer to the rain than the
map itself, and no moved map was closer by more than 0.02 in correlation.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.fields import Fields, Values
from rainshaft.data.resampling import blocks_of, resamples, sums_of_blocks

MAP_VALUES = 2_000_000  # values of coarse rain that are kept, which are enough to tell
LEAST_DAYS, LEAST_CELLS = 50, 6
REACH = 3  # cells by which coarse rain is moved to each side
GAIN = 0.05  # in correlation, which another position must have at least
DEVIATIONS = 4.0  # and it must be so many standard deviations of the gain

Numbers = NDArray[np.float64]
Move = Callable[[Numbers], Numbers]


@dataclass(frozen=True)
class Position:
    """Another position of the coarse rain, at which it is closer to the fine rain."""

    words: str
    """how the coarse rain of the file stands"""
    is_mirrored: bool
    correlation: float
    """with the fine rain at this position"""
    as_it_is: float
    """the correlation without a change"""
    deviation: float
    """standard deviation of the difference of both"""

    def is_better_by(self, least: float) -> bool:
        """Whether the coarse rain surely belongs there, with at least so much more correlation."""
        gain = self.correlation - self.as_it_is
        return gain > least and gain > DEVIATIONS * self.deviation


class Positions:
    """Maps of coarse and of fine rain of the same days and cells, gathered while the fields stream by.

    Parameters
    ----------
    fields
        The canonical fields.
    days
        How many days will be added, if not all.
    factor
        Fine cells along the side of a cell of the maps, if they are not the coarse cells of the fields.
    gain
        In correlation, which another position must have at least.
    """

    def __init__(self, fields: Fields, days: int | None = None, factor: int | None = None, gain: float = GAIN):
        factor = fields.factor if factor is None else factor
        rows, columns = (size // factor for size in fields.valid.shape)
        self._blocks = (rows, factor, columns, factor)
        self._cells = fields.valid.reshape(self._blocks).sum((1, 3))
        self._cell, self._gain = ("coarse cell" if factor > 1 else "cell"), gain
        count = len(fields.time) if days is None else days
        self._step = max(1, -(-count // max(LEAST_DAYS, MAP_VALUES // (rows * columns))))
        self._seen = 0
        self._coarse: list[Values] = []
        self._fine: list[Values] = []

    def update(self, rain: Values, coarse: Values) -> None:
        """Add the next days: rain (day, lat, lon) with NaN where it takes no part, coarse rain (day, y, x)."""
        kept = slice(-self._seen % self._step, None, self._step)
        self._seen += len(rain)
        sums = np.nan_to_num(rain[kept]).reshape(-1, *self._blocks).sum((2, 4))
        self._fine.append(sums / np.maximum(self._cells, 1))
        self._coarse.append(coarse[kept].copy())  # a view would keep the maps that are left out, too

    def best(self, days: NDArray[np.int64]) -> Position | None:
        """Give the best other position, if one is surely better. `days` are the numbers of all days that were added."""
        days = days[:: self._step]
        order = np.argsort(days, kind="stable")
        coarse, fine = (np.concatenate(maps)[order].astype("f8") for maps in (self._coarse, self._fine))
        valid = (self._cells > 0) & np.isfinite(coarse).all(0)
        if len(days) < LEAST_DAYS or valid.sum() < LEAST_CELLS:
            return None
        coarse, fine = (_anomalies(np.where(valid, maps, 0)) for maps in (coarse, fine))
        weights = resamples(1 + (block := blocks_of(days[order])).max())
        found = []
        rows, columns = valid.shape
        for words, is_mirrored, move in _moves(rows, columns, self._cell):
            moved = move(np.where(valid, coarse, np.nan))
            there = valid & np.isfinite(moved[0])
            if there.sum() < max(LEAST_CELLS, valid.sum() / 2):
                continue
            sums = sums_of_blocks(_products(moved[:, there], coarse[:, there], fine[:, there]), block)
            correlation, as_it_is = _correlations(sums.sum(0))
            resampled = _correlations(weights @ sums)
            deviation = float((resampled[0] - resampled[1]).std())
            found.append(Position(words, is_mirrored, float(correlation), float(as_it_is), deviation))
        better = [position for position in found if position.is_better_by(self._gain)]
        return max(better, key=lambda position: position.correlation - position.as_it_is, default=None)


def _anomalies(rain: Numbers) -> Numbers:
    """Bring rain (day, y, x) nearer to a normal distribution, and take the mean of each cell off."""
    logarithm = np.log1p(rain.clip(min=0))
    return logarithm - logarithm.mean(0)


def _moves(rows: int, columns: int, cell: str) -> Iterator[tuple[str, bool, Move]]:
    """Give words, whether it is a mirror image, and the function that brings maps (day, y, x) to where they belong."""
    yield "upside down, with north and south exchanged", True, lambda maps: maps[:, ::-1]
    yield "mirrored, with west and east exchanged", True, lambda maps: maps[:, :, ::-1]
    yield "turned by 180 degrees", True, lambda maps: maps[:, ::-1, ::-1]
    if rows == columns:
        yield "with rows and columns exchanged", True, lambda maps: maps.swapaxes(1, 2)
    for down, right in itertools.product(range(-REACH, REACH + 1), repeat=2):
        if (down or right) and abs(down) < rows and abs(right) < columns:
            sides = (_side(down, cell, "south", "north"), _side(right, cell, "east", "west"))
            words = f"{' and '.join(filter(None, sides))} of its place"
            yield words, False, functools.partial(_moved, down=down, right=right)


def _side(cells: int, cell: str, forward: str, backward: str) -> str:
    """Say on which side rain lies that must be moved by so many cells; its file has it on the other side."""
    return f"{abs(cells)} {cell}{'s' * (abs(cells) > 1)} {backward if cells > 0 else forward}" if cells else ""


def _moved(maps: Numbers, down: int, right: int) -> Numbers:
    """Move maps (day, y, x) by whole cells, with NaN where nothing comes in."""
    padded = np.pad(maps, ((0, 0), (REACH, REACH), (REACH, REACH)), constant_values=np.nan)
    rows, columns = maps.shape[1:]
    return padded[:, REACH - down : REACH - down + rows, REACH - right : REACH - right + columns]


def _products(moved: Numbers, as_it_is: Numbers, fine: Numbers) -> Numbers:
    """Give sums of products of the maps (day, cell) of each day (day, 5), without the mean of each day."""
    a, b, c = (maps - maps.mean(1, keepdims=True) for maps in (moved, as_it_is, fine))
    return np.stack([(x * y).sum(1) for x, y in ((a, c), (a, a), (b, c), (b, b), (c, c))], axis=1)


def _correlations(sums: Numbers) -> tuple[Numbers, Numbers]:
    """Correlation with the fine rain of the moved maps and of the maps as they are, from sums of `_products`."""
    ac, aa, bc, bb, cc = np.moveaxis(sums, -1, 0)
    tiny = np.finfo("f8").tiny
    return ac / np.sqrt(np.maximum(aa * cc, tiny)), bc / np.sqrt(np.maximum(bb * cc, tiny))
