"""From the coarse grid to the fine one and back.

Shapes: B day, C channel, H W fine grid, y x coarse grid with H = factor y and W = factor x.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

LEAST_SHARE = 1e-6  # below it there is no valid cell


def bilinear(coarse_BCyx: Tensor, factor: int) -> Tensor:
    """Interpolate to the fine grid, (B, C, factor y, factor x); beyond the outer centres the edge is constant."""
    if not coarse_BCyx.shape[1]:  # PyTorch refuses to interpolate no channel
        return coarse_BCyx.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    return F.interpolate(coarse_BCyx, scale_factor=float(factor), mode="bilinear", align_corners=False)


def block_mean(fine_BCHW: Tensor, valid_B1HW: Tensor, factor: int) -> Tensor:
    """Mean over the valid cells of each coarse cell, (B, C, y, x). It is 0 in a coarse cell without a valid cell.

    Between two networks of a chain, a cell is valid by a share, which is then its weight.
    """
    return block_sum(fine_BCHW * valid_B1HW, factor) / block_sum(valid_B1HW, factor).clamp(min=LEAST_SHARE)


def block_sum(fine_BCHW: Tensor, factor: int) -> Tensor:
    """Sum over each coarse cell, (B, C, y, x)."""
    return F.avg_pool2d(fine_BCHW, factor, divisor_override=1)


def repeat_cells(coarse_BCyx: Tensor, factor: int) -> Tensor:
    """Each coarse value on all its fine cells, (B, C, factor y, factor x)."""
    return F.interpolate(coarse_BCyx, scale_factor=float(factor), mode="nearest")
