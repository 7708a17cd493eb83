"""Formulas that compare the members of one day with its truth.

Pure functions of arrays; rain in mm/day. `catalogue` says which scores are made of them.

Shapes: F fields, M members, N cells, H W fine grid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import cdist, pdist

Array = NDArray[np.floating]
BoolArray = NDArray[np.bool_]


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


def fair_crps(members: Array, truth: Array) -> Array:
    """Fair CRPS at each cell (Ferro 2014), mm/day. With one member it is the absolute error.

    E|X - y| - 1/2 E|X - X'| with X' another member, in the form of probability weighted moments. Fair means that its
    expectation does not depend on the number of members.

    Parameters
    ----------
    members
        (M, N).
    truth
        (N,).
    """
    if len(members) == 1:
        return np.abs(members[0] - truth)
    import scoringrules  # late: the trade-off uses this module without it

    return scoringrules.crps_ensemble(truth, members, m_axis=0, estimator="pwm", backend="numpy")


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


def gradient_sum(fields: Array, cells: BoolArray, block: int = 1) -> tuple[Array, int]:
    """Sum the absolute differences of neighbours along both axes, over pairs of valid cells.

    Parameters
    ----------
    fields
        (..., H, W) without NaN.
    cells
        (H, W).
    block
        Take only the pairs across the edges of blocks of block x block cells.

    Returns
    -------
    The sum for each field, in mm/day, and the number of pairs.
    """
    total, pairs = np.zeros(fields.shape[:-2]), 0
    for rows, valid in ((fields, cells), (fields.swapaxes(-2, -1), cells.T)):
        lower, upper = slice(block - 1, -1, block), slice(block, None, block)
        both = valid[lower] & valid[upper]
        step = np.abs(rows[..., upper, :] - rows[..., lower, :])
        total = total + step.sum(axis=(-2, -1), where=both, dtype=np.float64)
        pairs += int(both.sum())
    return total, pairs


def wavenumbers(height: int, width: int) -> Array:
    """Give the centres of the rings of `radial_spectrum` in cycles per cell, up to the Nyquist wavenumber."""
    shortest = min(height, width)
    return np.arange(1, shortest // 2 + 1) / shortest


def radial_spectrum(fields: Array) -> Array:
    """Power spectrum, averaged over rings of equal wavenumber in cycles per cell.

    A ring is as wide as one cycle per shorter side of the domain. So a ring stands for one physical scale along both
    axes, whether the domain is square or not.

    Parameters
    ----------
    fields
        (..., H, W) without NaN.

    Returns
    -------
    Power (..., min(H, W) // 2), at `wavenumbers(H, W)`.
    """
    # ASSUME cells are as high as they are wide. The domain is not periodic, and the jump across its edges adds power:
    # it adds as much to the members as to the truth.
    height, width = fields.shape[-2:]
    shortest = min(height, width)
    wavenumber = np.hypot(scipy.fft.fftfreq(height)[:, None], scipy.fft.fftfreq(width))
    ring = np.rint(wavenumber * shortest).astype(int).ravel()
    power = np.abs(scipy.fft.fft2(fields)) ** 2 / (height * width)
    flat = power.reshape(-1, height * width)
    sums = np.stack([np.bincount(ring, row) for row in flat]) / np.bincount(ring)
    return sums[:, 1 : shortest // 2 + 1].reshape(*fields.shape[:-2], -1)


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


def spectral_distance(power: Array, observed: Array) -> float:
    """Radially averaged log spectral distance, dB (Harris et al. 2001): root mean square of 10 log10(P / P_obs).

    Wavenumbers without observed power are left out. Where only the observation has power, the ratio is taken as
    1e-10: such a wavenumber counts with 100 dB.
    """
    known = observed > 0
    if not known.any():
        return float("nan")
    ratio = np.maximum(power[known] / observed[known], 1e-10)
    return float(np.sqrt(np.mean((10 * np.log10(ratio)) ** 2)))
