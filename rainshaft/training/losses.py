"""The loss: every term one function, over valid cells, in mm/day; L_mass in its square.

    L = lambda_rec L_rec + lambda_mass L_mass + lambda_grad L_grad + beta L_kl
        + lambda_crps (L_crps + crps_pool L_crps_pool + crps_grad L_crps_grad + crps_log L_crps_log
                     + crps_spectrum L_crps_spectrum)

L_rec and L_grad judge members from the posterior, the CRPS terms members from the prior; so does L_mass with these.
The data terms are divided by the mean rain of the training days (L_mass by its square), so that weights mean the same
everywhere.

Where several processes share a batch, `across` is the mean over them (`Group.mean`): with it in every denominator, the
mean over the processes of a term is the term of the whole batch.

Shapes: B day, M member, H W fine grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Across = Callable[[Tensor], Tensor]

LEAST_POWER = 1e-8  # (mm/day)^2; the square root has no gradient at 0


@dataclass(frozen=True)
class Term:
    """A term of the loss."""

    name: str
    label: str


TERMS = (
    Term("L_rec", "score of the posterior"),
    Term("L_mass", "squared bias of the mass"),
    Term("L_grad", "gradient loss"),
    Term("L_kl", "posterior against prior"),
    Term("L_crps", "ensemble score of the prior"),
    Term("L_crps_pool", "CRPS of block means"),
    Term("L_crps_grad", "CRPS of differences"),
    Term("L_crps_log", "CRPS of log1p(rain)"),
    Term("L_crps_spectrum", "CRPS of the spectrum"),
)


def alone(value: Tensor) -> Tensor:
    """The mean over one process."""
    return value


def masked_mean(values: Tensor, mask: Tensor, across: Across = alone) -> Tensor:
    """Mean over the cells, weighted by the mask, which is broadcast against values."""
    mask = mask.expand_as(values)
    return (values * mask).sum() / across(mask.sum()).clamp(min=1e-6)  # shares of large blocks may sum to less than 1


def intensity_weight(
    y_B1HW: Tensor, valid_B1HW: Tensor, scale: float, w_min: float, w_max: float, tail_boost: float, p99: float
) -> Tensor:
    """Weights of the cells in L_rec, (B, 1, H, W); y, scale and p99 in mm/day.

    w = clip(y / scale, w_min, w_max), times tail_boost where y >= p99; 0 where not valid. In place of a mask they make
    the weighted mean of a score, sum(w s) / sum(w).
    """
    return (y_B1HW / scale).clamp(w_min, w_max) * torch.where(y_B1HW >= p99, tail_boost, 1.0) * valid_B1HW


def mass_loss(y_B1HW: Tensor, members_BMHW: Tensor, valid_B1HW: Tensor, across: Across = alone) -> Tensor:
    """L_mass = mean of b_m b_n over pairs of members, with b_m the batch's mean of (member m - y), (mm/day)^2.

    The bias of the batch, not the error of each day: least absolute errors of days are those of the median day, which
    is too dry. The square, for |b| is least at the median of the batches, whose rain is as skewed. Of pairs, for the
    square of the mean member is least where all members are alike; that of pairs is fair (Ferro 2014). b^2 for M = 1.
    """
    m = members_BMHW.shape[1]
    error_M = ((members_BMHW - y_B1HW) * valid_B1HW).sum((0, 2, 3)) / across(valid_B1HW.sum()).clamp(min=1)
    bias_M = across(error_M)
    return bias_M[0] ** 2 if m == 1 else (bias_M.sum() ** 2 - (bias_M**2).sum()) / (m * (m - 1))


def gradient_loss(y_B1HW: Tensor, members_BMHW: Tensor, valid_B1HW: Tensor, across: Across = alone) -> Tensor:
    """L_grad = mean ||D_x y| - |D_x y^|| + mean ||D_y y| - |D_y y^||, mm/day a cell, mean over the members y^.

    Image gradient difference loss with alpha = 1 (Mathieu et al. 2016, eq. 6). A pair of neighbours counts
    where both are valid.
    """
    terms = []
    for axis in (-1, -2):
        d_true, d_hat = y_B1HW.diff(dim=axis).abs(), members_BMHW.diff(dim=axis).abs()
        terms.append(masked_mean((d_hat - d_true).abs(), _pairs(valid_B1HW, axis), across))
    return terms[0] + terms[1]


def _pairs(valid: Tensor, axis: int) -> Tensor:
    """1 where a cell and its neighbour along the axis are both valid."""
    size = valid.shape[axis]
    return valid.narrow(axis, 1, size - 1) * valid.narrow(axis, 0, size - 1)


def almost_fair_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, mask_B1HW: Tensor, alpha: float, across: Across = alone
) -> Tensor:
    """Almost-fair CRPS (Lang et al. 2024, eq. 4), mean over the cells weighted by the mask; for M = 1 the MAE.

    afCRPS = mean_m |x_m - y| - (1 - (1 - alpha) / M) / (2 M (M - 1)) sum_{m, n} |x_m - x_n|
    """
    m = members_BMHW.shape[1]
    score = (members_BMHW - y_B1HW).abs().mean(1, keepdim=True)
    if m > 1:
        # sum over pairs from the ranks: sum_{i<j} |x_i - x_j| = sum_k (2 k - m - 1) x_(k)
        ranks = torch.arange(1, m + 1, device=score.device, dtype=score.dtype)
        factors = (2 * ranks - m - 1).view(1, m, 1, 1)
        pairs = (members_BMHW.sort(dim=1).values * factors).sum(1, keepdim=True)
        score = score - (1 - (1 - alpha) / m) * pairs / (m * (m - 1))
    return masked_mean(score, mask_B1HW, across)


def pooled_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, sizes: Sequence[int], across: Across = alone
) -> Tensor:
    """L_crps_pool: the same on means over blocks of size x size cells, summed over the sizes that the patch holds.

    A block counts by its valid cells; what is beyond the last whole block of a patch does not count.
    """
    total = torch.zeros((), device=y_B1HW.device)
    for size in sizes:
        if min(y_B1HW.shape[-2:]) < size:
            continue
        share = F.avg_pool2d(valid_B1HW, size)
        members = F.avg_pool2d(members_BMHW * valid_B1HW, size) / share.clamp(min=1e-6)
        truth = F.avg_pool2d(y_B1HW * valid_B1HW, size) / share.clamp(min=1e-6)
        total = total + almost_fair_crps(members, truth, share, alpha, across)
    return total


def gradient_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, across: Across = alone
) -> Tensor:
    """L_crps_grad: the same on signed differences of neighbours, mean of both axes: a proper score of gradients."""
    scores = [
        almost_fair_crps(members_BMHW.diff(dim=a), y_B1HW.diff(dim=a), _pairs(valid_B1HW, a), alpha, across)
        for a in (-1, -2)
    ]
    return (scores[0] + scores[1]) / 2


def log_crps(members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, across: Across = alone) -> Tensor:
    """L_crps_log: the same on log1p(mm/day), a proper score too; light rain and dry cells count for more."""
    return almost_fair_crps(torch.log1p(members_BMHW), torch.log1p(y_B1HW), valid_B1HW, alpha, across)


def spectral_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, across: Across = alone
) -> Tensor:
    """L_crps_spectrum: the same on the spectrum of the gradient, a proper score too; mean over its rings.

    That is 2 pi k sqrt(P(k)), mm/day a cell, with P the power of a patch averaged over rings of equal wavenumber k
    (`metrics.radial_spectrum`): it varies little with k, so that no scale outweighs the others. A Hann window keeps the
    jump between opposite edges out. A patch counts by what is valid in it.
    """
    height, width = y_B1HW.shape[-2:]
    hann = torch.hann_window(height)[:, None] * torch.hann_window(width)
    window_B1HW = hann.to(y_B1HW.device) * valid_B1HW
    share_B111 = (window_B1HW**2).mean((-2, -1), keepdim=True) / (hann**2).mean()
    rings_FR, k_R = (part.to(y_B1HW.device) for part in _rings(height, width))

    def spectrum(fields: Tensor) -> Tensor:
        power = torch.fft.rfft2(fields * window_B1HW).abs() ** 2 / (height * width * (hann**2).mean())
        power = power.flatten(-2) @ rings_FR / share_B111[..., 0].clamp(min=1e-6)
        return 2 * math.pi * k_R * (power + LEAST_POWER).sqrt()

    members_BMR1, y_B1R1 = spectrum(members_BMHW)[..., None], spectrum(y_B1HW)[..., None]
    return almost_fair_crps(members_BMR1, y_B1R1, share_B111, alpha, across)


def _rings(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Weights of the wavenumbers of `rfft2` in the mean of each ring (F, R); the k of the rings in cycles a cell."""
    shortest = min(height, width)
    wavenumber = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    ring_F1 = (wavenumber * shortest).round().flatten()[:, None]
    index_R = torch.arange(1, shortest // 2 + 1)
    twice = torch.full((height, width // 2 + 1), 2.0)  # of a wavenumber and its negative rfft2 has one
    twice[:, 0] = 1.0
    if width % 2 == 0:
        twice[:, -1] = 1.0
    rings_FR = (ring_F1 == index_R) * twice.flatten()[:, None]
    return rings_FR / rings_FR.sum(0), index_R / shortest
