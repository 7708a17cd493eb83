"""The texture of rain fields: gradients, power spectra, and the shape of storms.

Pure functions of arrays; rain in mm/day.

Shapes: F fields, M members, H W fine grid.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from rainshaft.evaluation.formulas import Array, BoolArray

TAPER = 8  # cells over which the window falls to 0 towards cells that are not valid  # ASSUME


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


def hann_window(cells: BoolArray) -> Array:
    """Give a window that falls to 0 at the edges of the domain, so that these edges add no power to a spectrum.

    Parameters
    ----------
    cells
        (H, W), the valid cells.

    Returns
    -------
    (H, W): the product of a Hann window along each side of the rectangle around the valid cells. Where cells in it are
    not valid, it also falls to 0 towards them, as half a Hann window over `TAPER` cells.
    """
    return _window(np.packbits(cells).tobytes(), *cells.shape).copy()


@lru_cache(maxsize=8)  # most days of a record have the same valid cells
def _window(packed: bytes, height: int, width: int) -> Array:
    size = height * width
    cells = np.unpackbits(np.frombuffer(packed, np.uint8), count=size).reshape(height, width).astype(bool)
    window = np.zeros(cells.shape)
    if not cells.any():
        return window
    box = tuple(slice(found.min(), found.max() + 1) for found in np.nonzero(cells))
    inside = cells[box]
    window[box] = np.outer(*(np.hanning(size) for size in inside.shape))
    if not inside.all():
        near = np.minimum(distance_transform_edt(inside) / TAPER, 1)
        window[box] *= np.sin(0.5 * np.pi * near) ** 2
    return window


def radial_spectrum(fields: Array, window: Array | None = None) -> Array:
    """Power spectrum, averaged over rings of equal wavenumber in cycles per cell.

    A ring is as wide as one cycle per shorter side of the domain. So a ring stands for one physical scale along both
    axes, whether the domain is square or not.

    Without a window, the jump between opposite edges of the domain adds power at all wavenumbers. It hides what fields
    lack: a smooth field has the power of its jump.

    Parameters
    ----------
    fields
        (..., H, W) without NaN.
    window
        (H, W), such as that of `hann_window`. Then the mean of each field under the window is taken away first, and the
        power is divided by the mean square of the window.

    Returns
    -------
    Power (..., min(H, W) // 2), at `wavenumbers(H, W)`.
    """
    # ASSUME cells are as high as they are wide
    height, width = fields.shape[-2:]
    loss = 1.0
    if window is not None:
        loss = float(np.mean(window**2)) or float("nan")
        total = window.sum() or float("nan")
        narrow = window.astype(fields.dtype)
        mean = (np.einsum("...ij,ij->...", fields, window) / total).astype(fields.dtype)
        fields = (fields - mean[..., None, None]) * narrow
    ring, share = _rings(height, width)
    transform = scipy.fft.rfft2(fields).reshape(-1, ring.size)
    power = transform.real**2 + transform.imag**2
    rings = min(height, width) // 2
    sums = np.stack([np.bincount(ring, row * share, minlength=rings + 1)[1 : rings + 1] for row in power])
    count = np.bincount(ring, share, minlength=rings + 1)[1 : rings + 1]
    return (sums / count / (height * width * loss)).reshape(*fields.shape[:-2], -1)


@lru_cache(maxsize=8)
def _rings(height: int, width: int) -> tuple[NDArray[np.int64], Array]:
    """Give the ring of each coefficient of `rfft2`, and how many coefficients of `fft2` it stands for."""
    wavenumber = np.hypot(scipy.fft.fftfreq(height)[:, None], scipy.fft.rfftfreq(width))
    ring = np.rint(wavenumber * min(height, width)).astype(int)
    share = np.full(ring.shape, 2.0)
    share[:, 0] = 1
    if width % 2 == 0:
        share[:, -1] = 1
    return ring.ravel(), share.ravel()


def log_spectral_distance(power: Array, observed: Array) -> Array:
    """Root mean square over the wavenumbers of the logarithm of the ratio of two spectra, dB.

    Parameters
    ----------
    power, observed
        (..., wavenumber), of `radial_spectrum`.

    Returns
    -------
    (...): 0 is equal. Wavenumbers without observed power are left out. Where only the observation has power, the ratio
    is taken as 1e-10: such a wavenumber counts with 100 dB. NaN without any observed power.
    """
    known = observed > 0
    ratio = np.divide(power, observed, out=np.ones(np.broadcast_shapes(power.shape, observed.shape)), where=known)
    squares = (10 * np.log10(np.maximum(ratio, 1e-10))) ** 2
    count = np.broadcast_to(known, squares.shape).sum(axis=-1)
    mean = np.divide(squares.sum(axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)
    return np.sqrt(mean)


def ralsd(power: Array, observed: Array) -> float:
    """Radially averaged log spectral distance of one day, dB (L. Harris et al. 2022, doi:10.1029/2022MS003120).

    The distance of the spectrum of each member from that of the truth, averaged over the members. The score is the mean
    over the days.

    The spectrum of a single day is noisy, since a ring has few waves. So two fields of one climate are a few dB apart,
    and the RALSD of a perfect ensemble is not 0. It compares methods. `log_spectral_distance` of the spectra averaged
    over members and days, whose noise is small, tells whether the climate has the right texture.

    Parameters
    ----------
    power
        (M, wavenumber), of the members.
    observed
        (wavenumber).

    Returns
    -------
    The distance. As in the code of the paper, dry fields have none: members without power are left out. NaN where none
    is left, or the truth has no power.
    """
    wet = power.any(axis=-1)
    return float(log_spectral_distance(power[wet], observed).mean()) if wet.any() else float("nan")


DIRECTIONS = (0, 45, 90, 135)
"""Degrees from the x axis to where the pairs of `directional_covariances` point; up is positive."""

LAGS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Steps between the cells of these pairs; a step along a diagonal is the root of 2 cells long."""

HALF = 0.5  # the correlation at the rim of a storm: lower ones are noisy, and higher ones span few cells  # ASSUME


def directional_covariances(fields: Array, cells: BoolArray) -> Array:
    """Mean product of the anomalies of two cells, by their distance and direction, (mm/day)^2.

    Anomalies are those from the mean of the field over its valid cells. The products of days and members can be
    averaged. Then a day counts as much as its rain varies in space.

    Parameters
    ----------
    fields
        (F, H, W) without NaN.
    cells
        (H, W), the valid cells.

    Returns
    -------
    (F, 4, len(LAGS)): by `DIRECTIONS` and `LAGS`; the first lag has the variance. NaN at lags of more than a third of
    the shorter side of the domain, and where fewer than a tenth of the cells have a partner.
    """
    inside = cells.astype(fields.dtype)
    mean = np.einsum("fij,ij->f", fields, inside) / max(np.count_nonzero(cells), 1)
    anomaly = (fields - mean.astype(fields.dtype)[:, None, None]) * inside
    return _products(anomaly) / _pairs(np.packbits(cells).tobytes(), *cells.shape)


def _products(fields: Array) -> Array:
    """Sum the products of fields (F, H, W) with themselves at every direction and lag (F, 4, len(LAGS))."""
    height, width = fields.shape[-2:]
    found = np.full((len(fields), len(DIRECTIONS), len(LAGS)), np.nan)
    for i, (down, right) in enumerate(((0, 1), (-1, 1), (1, 0), (1, 1))):  # row 0 is up
        upward = fields[:, ::-1] if down < 0 else fields
        for j, lag in enumerate(lag for lag in LAGS if lag <= min(height, width) // 3):
            rows, columns = abs(down) * lag, right * lag
            here, there = upward[:, : height - rows, : width - columns], upward[:, rows:, columns:]
            found[:, i, j] = np.einsum("fij,fij->f", here, there)
    return found


@lru_cache(maxsize=8)
def _pairs(packed: bytes, height: int, width: int) -> Array:
    """Count the pairs of valid cells (4, len(LAGS)); NaN where they are few."""
    cells = np.unpackbits(np.frombuffer(packed, np.uint8), count=height * width).reshape(1, height, width)
    pairs = np.rint(_products(cells.astype(np.float64))[0])
    return np.where(pairs >= 0.1 * pairs[:, :1], pairs, np.nan)


def lag_correlations(covariance: Array, lag: int) -> tuple[Array, Array]:
    """Take the correlation at `lag` cells along x and along y from `directional_covariances` (..., 4, len(LAGS)).

    Returns
    -------
    along_x, along_y
        (...). Along x are the neighbours in a row. NaN for constant fields.
    """
    correlation = _correlation(covariance)[..., LAGS.index(lag)]
    return correlation[..., DIRECTIONS.index(0)], correlation[..., DIRECTIONS.index(90)]


def _correlation(covariance: Array) -> Array:
    variance = covariance[..., :1]
    return np.divide(covariance, variance, out=np.full(covariance.shape, np.nan), where=variance > 0)


def correlation_radii(covariance: Array) -> Array:
    """Give the distance at which the correlation has fallen to one half, in each direction.

    Parameters
    ----------
    covariance
        (..., 4, len(LAGS)), of `directional_covariances`, or averages of it.

    Returns
    -------
    (..., 4), in cells, in the directions of `DIRECTIONS`. NaN where the correlation does not fall to one half.
    """
    correlation = _correlation(covariance)
    known = np.isfinite(correlation)
    below = known & (correlation <= HALF)
    first = below.argmax(axis=-1)
    # between two lags, the correlation is exp(-(distance / scale)^power): so are Gaussian and exponential ones
    decay = -np.log(np.clip(np.where(known, correlation, 1), 0.01, 1 - 1e-9))
    at = np.stack([np.maximum(first - 1, 1), np.maximum(first, 2)], axis=-1)
    lower, upper = np.moveaxis(np.take_along_axis(decay, at, -1), -1, 0)
    steps = np.array(LAGS, float)[at]
    power = np.log(upper / lower) / np.log(steps[..., 1] / steps[..., 0])
    power = np.where((first > 1) & (power > 0), power, 1)  # before the first lag it is exponential
    radius = steps[..., 0] * (-np.log(HALF) / lower) ** (1 / power)
    step = np.where(np.array(DIRECTIONS) % 90, np.sqrt(2), 1)
    return np.where(below.any(axis=-1), radius * step, np.nan)


def ellipse(radii: Array) -> tuple[Array, Array]:
    """Fit an ellipse to the distances at which the correlation has fallen to one half.

    An ellipse has 1 / r^2 = s + q cos(2 direction) + u sin(2 direction). So the four directions of `DIRECTIONS` give it
    by least squares. Where the correlation depends on an elliptic distance, it is exact, whatever the correlation falls
    off like.

    Parameters
    ----------
    radii
        (..., 4), of `correlation_radii`.

    Returns
    -------
    axis_ratio
        (...): the longer axis over the shorter. 1 is round. NaN where a radius is, or where no ellipse fits.
    angle
        (...): direction of the longer axis in degrees from the x axis, up is positive, from -90 to 90. Where row 0 is
        the north, 0 is from west to east and 45 from south-west to north-east. It means nothing for round storms.
    """
    curvature = 1 / radii**2
    s = curvature.mean(axis=-1)
    q, u = (curvature[..., 0] - curvature[..., 2]) / 2, (curvature[..., 1] - curvature[..., 3]) / 2
    stretch = np.hypot(q, u)
    ratio = np.sqrt(np.divide(s + stretch, s - stretch, out=np.full(s.shape, np.nan), where=s > stretch))
    return ratio, np.rad2deg(0.5 * np.arctan2(-u, -q))
