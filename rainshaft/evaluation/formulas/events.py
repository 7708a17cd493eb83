"""Events, which are rain of a threshold or more: where they are, and how probable the members make them.

Pure functions of arrays; rain in mm/day.

Shapes: M members, H W fine grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from rainshaft.evaluation.formulas import Array, BoolArray


def neighbourhood_fractions(probability: Array, cells: BoolArray, scale: int) -> Array:
    """Average a field (H, W) over the valid cells of the square window around each valid cell; 0 at other cells."""
    inside = uniform_filter(np.where(cells, probability, 0.0), scale, mode="constant")
    share = uniform_filter(cells.astype(np.float64), scale, mode="constant")
    return np.divide(inside, share, out=np.zeros_like(inside), where=cells)


def fractions_errors(
    members: Array, truth: Array, cells: BoolArray, thresholds: Sequence[float], scales: Sequence[int]
) -> tuple[Array, Array]:
    """Compute the two sums of the fractions skill score, FSS = 1 - error / reference (Roberts and Lean 2008).

    The forecast is the neighbourhood ensemble probability (Schwartz et al. 2010): the fraction of the window that
    reaches the threshold, averaged over the members. A window may reach beyond the domain or over cells that are not
    valid. It averages the valid cells in it.

    Parameters
    ----------
    members
        (M, H, W) without NaN.
    truth
        (H, W) without NaN.
    cells
        (H, W), the valid cells.
    thresholds, scales
        Rain in mm/day, and sides of the windows in cells.

    Returns
    -------
    error, reference
        (thresholds, scales): sums of (P - O)^2 and of P^2 + O^2 over the valid cells.
    """
    error = np.empty((len(thresholds), len(scales)))
    reference = np.empty_like(error)
    for i, threshold in enumerate(thresholds):
        probability, observed = (members >= threshold).mean(axis=0), (truth >= threshold).astype(np.float64)
        for j, scale in enumerate(scales):
            p = neighbourhood_fractions(probability, cells, scale)
            o = neighbourhood_fractions(observed, cells, scale)
            error[i, j], reference[i, j] = ((p - o) ** 2).sum(), (p**2 + o**2).sum()
    return error, reference
