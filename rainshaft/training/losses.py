"""The loss: a table of terms.

Each term is a function over the valid cells, in mm/day. L_mass is in (mm/day)^2.

The loss is the sum of all terms in `TERMS`. Each is divided by its normaliser and multiplied by its weight. The data
terms are divided by the mean rain of the training days (L_mass by its square), so that a weight means as much in a dry
climate as in a wet one.

Where several processes share a batch, `across` is the mean over them (`Group.mean`). With it in every denominator, the
mean of a term over the processes is the term of the whole batch.

Shapes: B day, M member, H W fine grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rainshaft.config.sections import Loss
from rainshaft.models.interface import KL, POSTERIOR, PRIOR

Across = Callable[[Tensor], Tensor]

LEAST_POWER = 1e-8  # (mm/day)^2; the square root has no finite gradient at 0


def alone(value: Tensor) -> Tensor:
    """Take the mean over one process."""
    return value


def masked_mean(values: Tensor, mask: Tensor, across: Across = alone) -> Tensor:
    """Mean over the cells, weighted by the mask, which is broadcast to the values."""
    mask = mask.expand_as(values)
    return (values * mask).sum() / across(mask.sum()).clamp(min=1e-6)  # shares of large blocks may sum to less than 1


def intensity_weight(
    y_B1HW: Tensor, valid_B1HW: Tensor, scale: float, w_min: float, w_max: float, tail_boost: float, p99: float
) -> Tensor:
    """Weights of the cells in L_rec, (B, 1, H, W); y, scale and p99 in mm/day.

    w = clip(y / scale, w_min, w_max), times tail_boost where y >= p99; 0 where not valid. With the weights in the place
    of a mask, the mean of a score s is sum(w s) / sum(w).
    """
    return (y_B1HW / scale).clamp(w_min, w_max) * torch.where(y_B1HW >= p99, tail_boost, 1.0) * valid_B1HW


def mass_loss(y_B1HW: Tensor, members_BMHW: Tensor, valid_B1HW: Tensor, across: Across = alone) -> Tensor:
    """Bias of the rain of a batch, squared, (mm/day)^2: the mean of b_m b_n over pairs of members.

    b_m is the mean over the batch of (member m - y). With one member the term is b^2. Three choices need a reason:

    1. The bias of the batch, not the error of each day. Absolute errors of days are least for the median day, and the
       median day is too dry.
    2. The square, not |b|. |b| is least at the median of the batches, and their rain is skewed, too.
    3. Pairs of members, not the mean member. The square of the mean member is least where all members are alike. The
       mean over pairs is fair (Ferro 2014).
    """
    m = members_BMHW.shape[1]
    error_M = ((members_BMHW - y_B1HW) * valid_B1HW).sum((0, 2, 3)) / across(valid_B1HW.sum()).clamp(min=1)
    bias_M = across(error_M)
    return bias_M[0] ** 2 if m == 1 else (bias_M.sum() ** 2 - (bias_M**2).sum()) / (m * (m - 1))


def gradient_loss(y_B1HW: Tensor, members_BMHW: Tensor, valid_B1HW: Tensor, across: Across = alone) -> Tensor:
    """Image gradient difference loss with alpha = 1 (Mathieu et al. 2016, eq. 6), mm/day a cell.

    It is mean ||D_x y| - |D_x y^|| + mean ||D_y y| - |D_y y^||, and the mean over the members y^. A pair of neighbours
    counts where both are valid.
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
    """Almost-fair CRPS (Lang et al. 2024, eq. 4), mean over the cells weighted by the mask.

    With one member it is the mean absolute error.

    afCRPS = mean_m |x_m - y| - (1 - (1 - alpha) / M) / (2 M (M - 1)) sum_{m, n} |x_m - x_n|
    """
    m = members_BMHW.shape[1]
    score = (members_BMHW - y_B1HW).abs().mean(1, keepdim=True)
    if m > 1:
        # The sum over pairs comes from the ranks: sum_{i<j} |x_i - x_j| = sum_k (2 k - m - 1) x_(k).
        ranks = torch.arange(1, m + 1, device=score.device, dtype=score.dtype)
        factors = (2 * ranks - m - 1).view(1, m, 1, 1)
        pairs = (members_BMHW.sort(dim=1).values * factors).sum(1, keepdim=True)
        score = score - (1 - (1 - alpha) / m) * pairs / (m * (m - 1))
    return masked_mean(score, mask_B1HW, across)


def pooled_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, sizes: Sequence[int], across: Across = alone
) -> Tensor:
    """Almost-fair CRPS of means over blocks of size x size cells, summed over the sizes that fit into a patch.

    A block counts by its valid cells. Cells beyond the last whole block of a patch do not count.
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
    """Almost-fair CRPS of the signed differences of neighbours, mean of both axes: a proper score of gradients."""
    scores = [
        almost_fair_crps(members_BMHW.diff(dim=a), y_B1HW.diff(dim=a), _pairs(valid_B1HW, a), alpha, across)
        for a in (-1, -2)
    ]
    return (scores[0] + scores[1]) / 2


def log_crps(members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, across: Across = alone) -> Tensor:
    """Almost-fair CRPS of log1p(mm/day). It is a proper score in which light rain and dry cells count for more."""
    return almost_fair_crps(torch.log1p(members_BMHW), torch.log1p(y_B1HW), valid_B1HW, alpha, across)


def spectral_crps(
    members_BMHW: Tensor, y_B1HW: Tensor, valid_B1HW: Tensor, alpha: float, across: Across = alone
) -> Tensor:
    """Almost-fair CRPS of the spectrum of the gradient, mean over its rings: a proper score of the texture.

    The spectrum is 2 pi k sqrt(P(k)), mm/day a cell. P is the power of a patch, averaged over rings of equal wavenumber
    k (`evaluation.formulas.texture.radial_spectrum`). It varies little with k, so no scale outweighs the others. A Hann
    window keeps the jump between opposite edges out. A patch counts by its valid cells.
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
    """Weights of the wavenumbers of `rfft2` in the mean of each ring (F, R), and k of the rings in cycles a cell."""
    shortest = min(height, width)
    wavenumber = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width))
    ring_F1 = (wavenumber * shortest).round().flatten()[:, None]
    index_R = torch.arange(1, shortest // 2 + 1)
    twice = torch.full((height, width // 2 + 1), 2.0)  # rfft2 keeps one of a wavenumber and its negative
    twice[:, 0] = 1.0
    if width % 2 == 0:
        twice[:, -1] = 1.0
    rings_FR = (ring_F1 == index_R) * twice.flatten()[:, None]
    return rings_FR / rings_FR.sum(0), index_R / shortest


# ------------------------------------------------------------------------------------ the table of terms


@dataclass(frozen=True)
class Truth:
    """What the terms compare members with, and what they need to know of the training days."""

    rain_B1HW: Tensor
    """observed rain, mm/day; 0 where it is not valid"""
    valid_B1HW: Tensor
    across: Across
    loss: Loss
    mean_rain: float
    """mean rain of the training days, mm/day"""
    log_std: float
    """standard deviation of log1p(rain) of the training days"""
    p99: float
    """99th percentile of the wet values of the training days, mm/day"""
    valid_share: float
    """share of the cells of the domain that are valid"""


def _rec(members: Tensor, truth: Truth) -> Tensor:
    """Score members of the posterior at the cells, weighted by intensity."""
    w, y, valid = truth.loss, truth.rain_B1HW, truth.valid_B1HW
    weight = intensity_weight(y, valid, w.scale, w.w_min, w.w_max, w.tail_boost, truth.p99)
    return almost_fair_crps(members, y, weight, w.crps_alpha, truth.across)


def _mass(members: Tensor, truth: Truth) -> Tensor:
    """Square the bias of all rain in the batch."""
    return mass_loss(truth.rain_B1HW, members, truth.valid_B1HW, truth.across)


def _grad(members: Tensor, truth: Truth) -> Tensor:
    """Compare the gradients of members of the posterior with the observed ones."""
    return gradient_loss(truth.rain_B1HW, members, truth.valid_B1HW, truth.across)


def _kl(divergence: Tensor, truth: Truth) -> Tensor:
    """Sum the divergence of the posterior from the prior over the scales."""
    return divergence.sum()


def _crps(members: Tensor, truth: Truth) -> Tensor:
    """Score members of the prior at the cells."""
    return almost_fair_crps(members, truth.rain_B1HW, truth.valid_B1HW, truth.loss.crps_alpha, truth.across)


def _pool(members: Tensor, truth: Truth) -> Tensor:
    """Score block means of the members."""
    w = truth.loss
    return pooled_crps(members, truth.rain_B1HW, truth.valid_B1HW, w.crps_alpha, w.pool_sizes, truth.across)


def _crps_grad(members: Tensor, truth: Truth) -> Tensor:
    """Score differences of neighbouring cells."""
    return gradient_crps(members, truth.rain_B1HW, truth.valid_B1HW, truth.loss.crps_alpha, truth.across)


def _log(members: Tensor, truth: Truth) -> Tensor:
    """Score log1p of the rain."""
    return log_crps(members, truth.rain_B1HW, truth.valid_B1HW, truth.loss.crps_alpha, truth.across)


def _spectrum(members: Tensor, truth: Truth) -> Tensor:
    """Score the spectrum of the gradient."""
    return spectral_crps(members, truth.rain_B1HW, truth.valid_B1HW, truth.loss.crps_alpha, truth.across)


def _mean_rain(truth: Truth) -> float:
    return truth.mean_rain


def _valid_cells(truth: Truth) -> float:
    """Give the average number of valid cells in a patch.

    Divided by all cells, the KL would be almost free where most cells have no data. We use the
    average over the domain because a single patch may have no valid cell.
    """
    return truth.valid_share * math.prod(truth.rain_B1HW.shape[-2:])


@dataclass(frozen=True)
class Term:
    """A term of the loss. It takes part if the network drew something that the term judges."""

    name: str
    """its column in the training log, after `train_` and `val_`"""
    judges: tuple[str, ...]
    """keys in the result of `Generator.draw_in_training`; the term judges the first one that is there"""
    value: Callable[[Tensor, Truth], Tensor]
    """(what it judges, truth) -> value"""
    weight: Callable[[Loss, float], float]
    """(loss, beta) -> weight, where beta is the weight of the KL after its warm-up"""
    normaliser: Callable[[Truth], float] = _mean_rain


TERMS = (
    Term("L_rec", (POSTERIOR,), _rec, lambda w, beta: w.lambda_rec),
    Term("L_mass", (PRIOR, POSTERIOR), _mass, lambda w, beta: w.lambda_mass, lambda truth: truth.mean_rain**2),
    Term("L_grad", (POSTERIOR,), _grad, lambda w, beta: w.lambda_grad),
    Term("L_kl", (KL,), _kl, lambda w, beta: beta, _valid_cells),
    Term("L_crps", (PRIOR,), _crps, lambda w, beta: w.lambda_crps),
    Term("L_crps_pool", (PRIOR,), _pool, lambda w, beta: w.lambda_crps * w.crps_pool),
    Term("L_crps_grad", (PRIOR,), _crps_grad, lambda w, beta: w.lambda_crps * w.crps_grad),
    Term("L_crps_log", (PRIOR,), _log, lambda w, beta: w.lambda_crps * w.crps_log, lambda truth: truth.log_std),
    Term("L_crps_spectrum", (PRIOR,), _spectrum, lambda w, beta: w.lambda_crps * w.crps_spectrum),
)
"""Every term of the loss."""

LABELS = {
    "L_rec": "score of the posterior",
    "L_mass": "squared bias of the mass",
    "L_grad": "gradient loss",
    "L_kl": "posterior against prior",
    "L_crps": "ensemble score of the prior",
    "L_crps_pool": "ensemble score of block means",
    "L_crps_grad": "ensemble score of differences",
    "L_crps_log": "ensemble score of log1p(rain)",
    "L_crps_spectrum": "ensemble score of the spectrum",
}
"""What figures call the terms. The words stand apart from the terms, so that other words train nothing anew."""
