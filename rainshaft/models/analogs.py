"""Analogs as a part of a network: the coarse rain of training days with alike weather, for a share of the members.

A network and analogs err in different ways: the network smooths what it has seen seldom, and an analog is a day that
was. So a mixture of both has a lower CRPS than each of them.

Each member is an analog with a certain probability, by itself. Those of one day should be different days of the pool:
ten members that are each drawn from ten days would often be the same day, and differ too little. So the numbers that
choose are stratified when members are drawn (`Generator.strata`). Members stay exchangeable.

Shapes: B day, M member, T training day, P component of the weather, G coarse cell, K analog of the pool.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

POOL = 10  # nearest days among which members choose, as in the baseline
SEASON_DAYS, YEAR = 45, 365.25  # a day of the pool is at most so many days of the year away
SAME_DAY = 1e-4  # a training day that is nearer than this, on the same day of the year, is the day itself
SAME_DATE = 5e-5  # 1 - cosine of the angle between two days of the year; of neighbouring days it is 1.5e-4
CHOICES = 2  # random numbers that a member needs: whether it is an analog, and which one


class Analogs(nn.Module):
    """The coarse rain and the weather of the training days.

    Parameters
    ----------
    days, components, cells
        How many there are.
    of_one_season
        Whether a day of the pool must be of the season of the day. Weather without rain brings other rain in another
        season.
    share
        The probability that a member is an analog.
    """

    weather_TP: Tensor
    season_T2: Tensor
    rain_TG: Tensor

    def __init__(self, days: int, components: int, cells: int, of_one_season: bool, share: float):
        super().__init__()
        self.of_one_season, self.share = of_one_season, share
        self.register_buffer("weather_TP", torch.zeros(days, components))
        self.register_buffer("season_T2", torch.zeros(days, 2))
        self.register_buffer("rain_TG", torch.zeros(days, cells))

    @torch.no_grad()
    def learn(self, weather_TP: Tensor, season_T2: Tensor, rain_TG: Tensor) -> None:
        """Keep the training days."""
        self.weather_TP.copy_(weather_TP)
        self.season_T2.copy_(season_T2)
        self.rain_TG.copy_(rain_TG)

    def pool(self, weather_BP: Tensor, season_B2: Tensor) -> Tensor:
        """Find the training days whose weather is nearest (B, K); a training day is no analog of itself.

        There are at least two training days.
        """
        distance_BT = torch.cdist(weather_BP, self.weather_TP, compute_mode="donot_use_mm_for_euclid_dist")
        # Dry days have equal coarse rain, so the weather alone does not tell the day itself.
        cosine_BT = season_B2 @ self.season_T2.T
        left_out_BT = (distance_BT < SAME_DAY) & (cosine_BT > 1 - SAME_DATE)
        if self.of_one_season:
            other_season_BT = cosine_BT < math.cos(2 * math.pi * SEASON_DAYS / YEAR)
            enough_B1 = (~(left_out_BT | other_season_BT)).sum(1, keepdim=True) >= POOL
            left_out_BT = left_out_BT | (other_season_BT & enough_B1)
        distance_BT = distance_BT.masked_fill(left_out_BT, math.inf)
        return distance_BT.topk(min(POOL, distance_BT.shape[1] - 1), largest=False).indices

    def mixed(self, rain_BMG: Tensor, weather_BP: Tensor, season_B2: Tensor, normal_BM2: Tensor) -> Tensor:
        """Put the rain of an analog in the place of some members.

        Parameters
        ----------
        normal_BM2
            Standard normal numbers that choose.
        """
        whether_BM, which_BM = torch.special.ndtr(normal_BM2).unbind(2)
        pool_BK = self.pool(weather_BP, season_B2)
        place_BM = (which_BM * pool_BK.shape[1]).long().clamp(max=pool_BK.shape[1] - 1)
        found_BMG = self.rain_TG[pool_BK.gather(1, place_BM)]
        return torch.where((whether_BM < self.share)[..., None], found_BMG, rain_BMG)
