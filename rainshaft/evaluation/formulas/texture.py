"""The texture of rain fields: gradients and power spectra.

Pure functions of arrays; rain in mm/day.

Shapes: H W fine grid.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from rainshaft.evaluation.formulas import Array, BoolArray


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
