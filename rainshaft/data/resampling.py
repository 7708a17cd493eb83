"""Blocks of days and their resamples, by which a comparison of rain and predictors says how sure it is.

Input: numbers of days. Output: the block of each day, and how often each block is drawn in each resample.

Weather persists for days. So days are drawn together in blocks: the block bootstrap of Künsch (1989), with blocks that
do not overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_DAYS = 10  # weather persists for less, so blocks of it are independent of each other
RESAMPLES = 500


def blocks_of(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the blocks of days (day), which ascend, from 0 on; a block without days has no number."""
    return np.unique((days - days[0]) // BLOCK_DAYS, return_inverse=True)[1]


def sums_of_blocks(values: NDArray[np.float64], block: NDArray[np.int64]) -> NDArray[np.float64]:
    """Add values (day, ...) up for each block (block, ...)."""
    sums = np.zeros((block.max() + 1, *values.shape[1:]))
    np.add.at(sums, block, values)
    return sums


def resamples(blocks: int) -> NDArray[np.int64]:
    """How often each block is drawn in each resample (resample, block)."""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES)
