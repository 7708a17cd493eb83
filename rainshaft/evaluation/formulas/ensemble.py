"""Members against the truth at the cells of a day: errors, spread and ranks.

Pure functions of arrays; rain in mm/day.

Shapes: F fields, M members, N cells, H W fine grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from rainshaft.evaluation.formulas import Array, BoolArray


def correlations(fields: Array) -> Array:
    """Pearson correlation of every pair of fields over their cells.

    Parameters
    ----------
    fields
        (F, N).

    Returns
    -------
    (F, F); 0 where one of the two is constant.
    """
    anomaly = fields - fields.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(anomaly, axis=1, keepdims=True)
    constant = norm <= 1e-9 * np.linalg.norm(fields, axis=1, keepdims=True)
    unit = np.divide(anomaly, norm, out=np.zeros_like(anomaly), where=~constant)
    return unit @ unit.T


def fair_crps(members: Array, truth: Array, *, is_sorted: bool = False) -> Array:
    """Fair CRPS at each cell (Ferro 2014), mm/day. With one member it is the absolute error.

    E|X - y| - 1/2 E|X - X'| with X' another member, in the form of probability weighted moments. Fair means that its
    expectation does not depend on the number of members.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    is_sorted
        Whether the members ascend at each cell. Sorting takes most of the time, so several scores share it.
    """
    count = len(members)
    ordered = members if is_sorted else np.sort(members, axis=0)
    error = np.abs(ordered - truth).mean(axis=0)
    weight = (2 * np.arange(count) - count + 1) / max(1, count * (count - 1))
    return error - weight.astype(ordered.dtype) @ ordered


def threshold_weighted_crps(members: Array, truth: Array, threshold: float, *, is_sorted: bool = False) -> Array:
    """Fair CRPS of rain beyond a threshold at each cell, mm/day.

    It is the CRPS of max(x, threshold), so that all rain up to the threshold counts as equal (Gneiting and Ranjan 2011;
    Allen et al. 2023). It is proper. To score only the days of heavy observed rain would not be (Lerch et al. 2017).

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    threshold
        mm/day.
    is_sorted
        Whether the members ascend at each cell.
    """
    above = (members[-1] if is_sorted else members.max(axis=0)) > threshold
    above |= truth > threshold
    found = np.zeros(truth.shape, np.result_type(members, truth))  # elsewhere all are equal
    m, y = np.maximum(members[:, above], threshold), np.maximum(truth[above], threshold)
    found[above] = fair_crps(m, y, is_sorted=is_sorted)
    return found


def spread_and_error(members: Array, truth: Array) -> tuple[Array, Array]:
    """Variance of the members and squared error of their mean at each cell, (mm/day)^2.

    The variance is multiplied by (M + 1) / M. Then the two are equal on average in a calibrated ensemble of any size
    (Fortin et al. 2014). Spread/skill is the root of the ratio of their sums.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).

    Returns
    -------
    Two arrays (N,). The variance of a single member is NaN.
    """
    count = len(members)
    mean = members.mean(axis=0, dtype=np.float64)
    error = (mean - truth) ** 2
    if count == 1:
        return np.full_like(error, np.nan), error
    variance = np.einsum("mn,mn->n", deviation := members - mean, deviation) / (count - 1)
    return variance * (count + 1) / count, error


def fair_energy_score(members: Array, truth: Array) -> float:
    """Fair energy score of the whole field (Gneiting and Raftery 2007), mm/day. With one member: the norm of the error.

    E||X - y|| - 1/2 E||X - X'||, divided by the square root of the number of cells.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    """
    error = cdist(members, truth[None]).mean()
    spread = pdist(members).mean() if len(members) > 1 else 0.0
    return float(error - 0.5 * spread) / np.sqrt(truth.size)


def cosine_distance(members: Array) -> float:
    """Mean cosine distance over all pairs of members (M, N).

    A dry member is at distance 1 from a wet one, and at distance 0 from another dry one. NaN when all are dry.
    """
    norm = np.linalg.norm(members, axis=1, keepdims=True)
    if not norm.any():
        return float("nan")
    unit = np.divide(members, norm, out=np.zeros_like(members), where=norm > 0)
    similarity = (unit @ unit.T)[np.triu_indices(len(members), 1)]
    both_dry = ((norm == 0) & (norm == 0).T)[np.triu_indices(len(members), 1)]
    return float(np.where(both_dry, 0.0, 1 - similarity).mean())


VARIOGRAM_LAGS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (0, 4), (4, 0), (4, 4), (4, -4), (0, 8), (8, 0))
"""Displacements (rows, columns) of the pairs of the variogram score, in cells."""


def fair_variogram_score(members: Array, truth: Array, cells: BoolArray) -> float:
    """Fair variogram score of order 0.5 (Scheuerer and Hamill 2015), mm/day a pair. It sees how cells go together.

    Over pairs of cells i and j, the mean of w (E|X_i - X_j|^0.5 - |y_i - y_j|^0.5)^2, less w s^2 / M, where s^2 is the
    variance of |X_i - X_j|^0.5 over the members. So its expectation does not depend on the number of members.

    The weight w is one over the distance, as in the paper, for the pairs at the displacements of `VARIOGRAM_LAGS`. It
    is 0 for all other pairs. Any such choice leaves the score proper. The cost is that of twelve fields for each
    member, where all pairs would cost that of as many fields as there are cells.

    Parameters
    ----------
    members
        (M, H, W) without NaN.
    truth
        (H, W) without NaN.
    cells
        (H, W), the valid cells.

    Returns
    -------
    The score; NaN where no pair of cells is valid.
    """
    count, (height, width) = len(members), cells.shape
    flat, observed, valid = members.reshape(count, -1), truth.ravel(), cells.ravel()
    total, weights = 0.0, 0.0
    for down, right in VARIOGRAM_LAGS:
        if down >= height or abs(right) >= width:
            continue
        step = down * width + right  # between the two cells of a pair, where rows follow each other
        column = np.arange(width) + right
        pairs = valid[:-step] & valid[step:] & np.resize((column >= 0) & (column < width), valid.size - step)
        difference = np.abs(flat[:, step:] - flat[:, :-step])
        power = difference.mean(axis=0)  # of the roots, which the next line takes
        mean = np.sqrt(difference, out=difference).mean(axis=0)
        score = (mean - np.sqrt(np.abs(observed[step:] - observed[:-step]))) ** 2
        if count > 1:
            score -= np.maximum(power - mean**2, 0) / (count - 1)
        weight = 1 / np.hypot(down, right)
        total += weight * score[pairs].sum(dtype=np.float64)
        weights += weight * np.count_nonzero(pairs)
    return float(total / weights) if weights else float("nan")


def pool_means(fields: Array, cells: BoolArray, side: int, offset: int) -> Array:
    """Average fields over square pools of cells.

    Pools that are offset by half a coarse cell cross the edges of coarse cells. So they show what pools inside coarse
    cells cannot, where the coarse rain gives the mean.

    Parameters
    ----------
    fields
        (F, H, W) without NaN.
    cells
        (H, W), the valid cells. A pool averages its valid cells. It is left out where fewer than half are valid.
    side
        Side of a pool in cells.
    offset
        Rows and columns before the first pool.

    Returns
    -------
    (F, P) for P pools.
    """
    rows, columns = ((size - offset) // side for size in cells.shape)
    inside = (..., slice(offset, offset + rows * side), slice(offset, offset + columns * side))

    def sums(values: Array) -> Array:
        blocks = values[inside].reshape(len(values), rows, side, columns, side)
        return blocks.sum(axis=(2, 4), dtype=np.float64).reshape(len(values), -1)

    valid = sums(cells[None].astype(np.float64))[0]
    kept = valid >= 0.5 * side**2
    return sums(np.where(cells, fields, 0))[:, kept] / valid[kept]


def ranks_of_truth(members: Array, truth: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Count the members below the truth at each cell. Ties, which are mostly dry cells, are broken at random.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    rng
        Breaks the ties.
    """
    ties = (members == truth).sum(axis=0)
    return (members < truth).sum(axis=0) + rng.integers(0, ties + 1)


def intensity_class(members: Array, truth: Array, edges: Sequence[float]) -> NDArray[np.int64]:
    """Sort the cells into classes by the mean of all members and the truth together.

    ASSUME this mean stands for the forecast intensity. The truth counts in it as one more member. Classes by the truth
    alone would make a calibrated ensemble look too dry on heavy days (Lerch et al. 2017). Classes by the mean of the
    members alone would make it look too wet there, because a mean is high by chance, too (Siegert et al. 2012). Truth
    and members are alike in the mean of all. So a calibrated ensemble is calibrated in each of these classes.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    edges
        Ascending, in mm/day. Class 0 is below the first, and the last class reaches the last or is above it.

    Returns
    -------
    Class of each cell (N,), from 0 to len(edges).
    """
    mean = (members.sum(axis=0, dtype=np.float64) + truth) / (len(members) + 1)
    return np.digitize(mean, edges).astype(np.int64)


def sums_by_class(values: Array, classes: NDArray[np.int64], count: int) -> Array:
    """Sum values (N,) over the cells of each of `count` classes."""
    return np.asarray(np.bincount(classes, values, minlength=count), np.float64)


def ranks_by_class(ranks: NDArray[np.int64], classes: NDArray[np.int64], count: int, bins: int) -> NDArray[np.int64]:
    """Count the ranks (N,) in each class: (count, bins), where bins is one more than there are members."""
    return np.bincount(classes * bins + ranks, minlength=count * bins).reshape(count, bins)


def reliability_index(ranks: Array) -> Array:
    """Give the sum over the bins of the distances of a rank histogram from flat (Delle Monache et al. 2006).

    Parameters
    ----------
    ranks
        (..., M + 1), cases of each rank.

    Returns
    -------
    (...): 0 is flat, and 2 M / (M + 1) where all cases have one rank. NaN without cases.
    """
    return np.abs(_shares(ranks) - 1 / ranks.shape[-1]).sum(axis=-1)


def rank_chi_square(ranks: Array) -> tuple[Array, Array, Array]:
    """Split the chi-square distance of a rank histogram from flat (Jolliffe and Primo 2008), for each case.

    Chi-square over the number of cases does not grow with the cases, so long records compare with short ones. Each of
    its parts is the square of a contrast. The contrasts have signs that say what is wrong.

    Parameters
    ----------
    ranks
        (..., M + 1), cases of each rank.

    Returns
    -------
    chi_square
        (...): chi-square over the number of cases n. A calibrated ensemble has M / n where the cases are independent,
        and more where they are not, as the cells of a day.
    slope
        (...): the linear contrast. It is positive where the truth is often above the members, which are then too dry.
    convexity
        (...): the quadratic contrast. It is positive for a U, where members are too alike, and negative for a hump.
    """
    bins = ranks.shape[-1]
    shares = _shares(ranks)
    place = np.linspace(-1, 1, bins)
    curve = place**2 - np.mean(place**2)
    chi_square = bins * ((shares - 1 / bins) ** 2).sum(axis=-1)
    slope, convexity = (
        np.sqrt(bins) * shares @ (contrast / norm) if (norm := np.linalg.norm(contrast)) > 1e-9 else 0 * chi_square
        for contrast in (place, curve)
    )
    return chi_square, slope, convexity


def _shares(counts: Array) -> Array:
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
