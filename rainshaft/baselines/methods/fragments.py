"""Fragments: each coarse cell takes the pattern of a training cell that had alike coarse rain around it.

The method of fragments shares out an amount by the shares that were observed on a similar occasion (Svanidze 1964; Pui
et al. 2012). It is mostly used for the hours of a day. Here it is used for the fine cells of a coarse cell. Nothing is
trained. The pool and the weight of the centre are those of a first trial on CHIRPS. Where the coarse rain is not the
mean of the fine rain, the patterns are looked up by the coarse rain of their day, too. From ERA5 this gave 2.19 mm/day
on validation days, and 2.50 with the mean of the observed rain instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rainshaft.baselines.interface import SCORED, Method
from rainshaft.data.conventions import TRAIN
from rainshaft.errors import UserError
from rainshaft.histogram import Array

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from rainshaft.baselines.days import DaysBySplit

POOL = 10  # nearest patterns among which members choose
CENTRE = 2.0  # the coarse cell itself counts as much as this many of its neighbours
LEAST_RAIN = 0.02  # mm/day; observed rain of a coarse cell with a pattern that is more than rounding
LEAST_SHARE = 0.5  # of a coarse cell that must be valid to give a pattern  # ASSUME the rest rains like its mean
MOST_CELLS = 200_000  # training cells that are kept; a longer record is thinned
MOST_VALUES = 2**26  # fine cells in all patterns that are kept, 256 MB
FLIPS = (np.s_[:, :], np.s_[:, ::-1], np.s_[::-1, :], np.s_[::-1, ::-1])


def make(days: DaysBySplit, members: int, seed: int) -> Iterator[Array]:
    """Draw the members of each scored day."""
    library = Library.of(days, seed)
    shares = in_blocks(days.valid, days.factor)
    for date, coarse in days.coarse_rain(*SCORED):
        yield library.draw(coarse, shares, members, np.random.default_rng([seed, date]))


def in_blocks(fine: NDArray[Any], factor: int) -> NDArray[Any]:
    """Cut a fine field (H, W) into the fine cells of each coarse cell (h, w, factor, factor)."""
    rows, columns = (size // factor for size in fine.shape)
    return fine.reshape(rows, factor, columns, factor).swapaxes(1, 2)


def from_blocks(blocks: Array) -> Array:
    """Put the fine cells of coarse cells (..., h, w, factor, factor) together to fields (..., H, W)."""
    *lead, rows, columns, factor, _ = blocks.shape
    return blocks.swapaxes(-3, -2).reshape(*lead, rows * factor, columns * factor)


def neighbourhoods(coarse: Array) -> Array:
    """Give log1p of the coarse rain in the 3 x 3 cells around each cell (h, w, 3, 3). Edges are repeated outwards."""
    padded = np.pad(np.log1p(coarse), 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).copy()
    around[..., 1, 1] *= CENTRE
    return around


@dataclass(frozen=True)
class Library:
    """The patterns of training cells, and a search tree of the coarse rain around them."""

    patterns: NDArray[np.float32]
    """rain over its mean in the coarse cell (P, factor, factor)"""
    tree: cKDTree
    """4 P entries: the neighbourhoods of the patterns, then the same in each of the other `FLIPS`"""

    @classmethod
    def of(cls, days: DaysBySplit, seed: int) -> Library:
        """Collect the patterns of the training days.

        A record with more coarse cells than `MOST_CELLS` is thinned at random, alike in all its parts.

        Raises
        ------
        UserError
            No training cell has rain.
        """
        from scipy.spatial import cKDTree

        valid = in_blocks(days.valid, days.factor)
        share = valid.mean((2, 3))
        usable = share >= min(LEAST_SHARE, float(share.max()))
        training = len(days.places(TRAIN))
        most = min(MOST_CELLS, MOST_VALUES // days.factor**2)
        kept = min(1.0, most / (training * usable.sum()))
        rng = np.random.default_rng(seed)
        found, around = [], []
        fine = np.full(days.valid.shape, np.nan, np.float32)
        for day in days.of(TRAIN):
            fine[days.valid] = day.rain
            blocks = in_blocks(fine, days.factor)[usable]
            mean = np.nanmean(blocks, (1, 2))
            wet = (mean > LEAST_RAIN) & (rng.random(mean.size) < kept)
            found.append(np.nan_to_num(blocks[wet] / mean[wet, None, None], nan=1.0))
            around.append(neighbourhoods(day.coarse[days.rain_channel])[usable][wet])
        patterns, neighbours = np.concatenate(found), np.concatenate(around)
        if not len(patterns):
            raise UserError(
                f"baselines.names: found `fragments`, but no coarse cell of the {training} training days has more than "
                f"{LEAST_RAIN:g} mm/day; train on more days, or take `fragments` out"
            )
        flipped = np.concatenate([neighbours[:, *flip] for flip in FLIPS])
        return cls(patterns, cKDTree(flipped.reshape(-1, 9)))

    def draw(self, coarse: Array, valid: Array, members: int, rng: np.random.Generator) -> Array:
        """Draw the members of a day.

        Each wet coarse cell takes `members` of the `POOL` nearest patterns, or of the `members` nearest where there are
        more members than that. So the skill does not depend on the number of members. Neighbouring cells choose apart
        from each other.

        Parameters
        ----------
        coarse
            Coarse rain (h, w), mm/day. The mean over the valid fine cells of each coarse cell is just this.
        valid
            The valid fine cells of each coarse cell (h, w, factor, factor).

        Returns
        -------
        (M, H, W) in mm/day; 0 where no cell is valid.
        """
        rows, columns = np.nonzero((coarse > 0) & valid.any((2, 3)))
        rain = np.zeros((members, *valid.shape), np.float32)
        if rows.size:
            pool = min(max(POOL, members), self.tree.n)
            _, nearest = self.tree.query(neighbourhoods(coarse)[rows, columns].reshape(-1, 9), range(1, pool + 1))
            chosen = rng.permuted(nearest, axis=1)[:, np.arange(members) % pool]
            for m in range(members):
                rain[m, rows, columns] = self._scaled(chosen[:, m], coarse[rows, columns], valid[rows, columns])
        return from_blocks(rain)

    def _scaled(self, chosen: NDArray[np.intp], amount: Array, valid: Array) -> Array:
        """Give these entries of the tree (n,) the mean rain `amount` (n,) over the valid cells (n, factor, factor)."""
        flip, place = np.divmod(chosen, len(self.patterns))
        pattern = self.patterns[place]
        for number, how in enumerate(FLIPS):
            pattern[flip == number] = pattern[flip == number][:, *how]
        pattern *= valid
        # A pattern may be dry in all cells that are valid here. Then the rain is even.
        pattern = np.where(pattern.any((1, 2), keepdims=True), pattern, valid)
        return pattern * (amount * valid.sum((1, 2)) / pattern.sum((1, 2), dtype=np.float64))[:, None, None]


METHOD = Method(
    source="fragments: observed patterns of coarse cells with the nearest coarse rain around them, scaled to the mass",
    make=make,
    needs="coarse rain",
    is_ensemble=True,
)
