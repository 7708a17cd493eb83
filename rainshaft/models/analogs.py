"""Analogs as a part of a network: the coarse rain of training days with alike weather, for a share of the members.

A network and analogs err in different ways: the network smooths what it has seen seldom, and an analog is a day that
was. So a mixture of both has a lower CRPS than each of them. The share is the one with the lowest CRPS of the mixture
on the validation days.

Each member is an analog with a probability of that share, by itself. So members of a day stay exchangeable.

Shapes: B day, M member, T training day, P component of the weather, G coarse cell, K analog of the pool.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

POOL = 10  # nearest days among which members choose, as in the baseline
SEASON_DAYS, YEAR = 45, 365.25  # a day of the pool is at most so many days of the year away
SAME_DAY = 1e-4  # a training day that is nearer than this is the day itself
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
    """

    weather_TP: Tensor
    season_T2: Tensor
    rain_TG: Tensor
    share: Tensor

    def __init__(self, days: int, components: int, cells: int, of_one_season: bool):
        super().__init__()
        self.of_one_season = of_one_season
        self.register_buffer("weather_TP", torch.zeros(days, components))
        self.register_buffer("season_T2", torch.zeros(days, 2))
        self.register_buffer("rain_TG", torch.zeros(days, cells))
        self.register_buffer("share", torch.zeros(()))

    @torch.no_grad()
    def learn(self, weather_TP: Tensor, season_T2: Tensor, rain_TG: Tensor) -> None:
        """Keep the training days."""
        self.weather_TP.copy_(weather_TP)
        self.season_T2.copy_(season_T2)
        self.rain_TG.copy_(rain_TG)

    def pool(self, weather_BP: Tensor, season_B2: Tensor) -> Tensor:
        """Find the training days whose weather is nearest (B, K); a training day is no analog of itself."""
        distance_BT = torch.cdist(weather_BP, self.weather_TP, compute_mode="donot_use_mm_for_euclid_dist")
        left_out_BT = distance_BT < SAME_DAY
        if self.of_one_season:
            other_season_BT = season_B2 @ self.season_T2.T < math.cos(2 * math.pi * SEASON_DAYS / YEAR)
            enough_B1 = (~(left_out_BT | other_season_BT)).sum(1, keepdim=True) >= POOL
            left_out_BT = left_out_BT | (other_season_BT & enough_B1)
        distance_BT = distance_BT.masked_fill(left_out_BT, math.inf)
        return distance_BT.topk(min(POOL, distance_BT.shape[1]), largest=False).indices

    def mixed(self, rain_BMG: Tensor, weather_BP: Tensor, season_B2: Tensor, normal_BM2: Tensor) -> Tensor:
        """Put the rain of an analog in the place of some members.

        Parameters
        ----------
        normal_BM2
            Standard normal numbers that choose.
        """
        if not self.share:
            return rain_BMG
        whether_BM, which_BM = torch.special.ndtr(normal_BM2).unbind(2)
        pool_BK = self.pool(weather_BP, season_B2)
        place_BM = (which_BM * pool_BK.shape[1]).long().clamp(max=pool_BK.shape[1] - 1)
        found_BMG = self.rain_TG[pool_BK.gather(1, place_BM)]
        return torch.where((whether_BM < self.share)[..., None], found_BMG, rain_BMG)


class BestShare:
    """Finds the share of analogs with the lowest CRPS.

    The CRPS of an ensemble is E|X - y| - E|X - X'| / 2 (Gneiting and Raftery 2007, doi:10.1198/016214506000001437, eq.
    21). For a mixture it is a quadratic function of the share, so a few sums over days tell where it is lowest.
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(5, dtype=torch.float64)

    def add(self, drawn_BMG: Tensor, analogs_BKG: Tensor, observed_BG: Tensor, weights_BG: Tensor) -> None:
        """Add days: members of the network, all days of the pool, and the observed rain."""

        def mean(distance_BNG: Tensor) -> Tensor:
            return (distance_BNG.mean(1) * weights_BG).sum().double().cpu()

        def between(one_BNG: Tensor, other_BNG: Tensor) -> Tensor:
            return torch.stack([mean((one_BNG - other_BNG[:, [i]]).abs()) for i in range(other_BNG.shape[1])]).mean()

        members = drawn_BMG.shape[1]
        self._sums += torch.stack(
            [
                mean((drawn_BMG - observed_BG[:, None]).abs()),
                mean((analogs_BKG - observed_BG[:, None]).abs()),
                # a member has no distance from itself, but two draws of the network never are one
                between(drawn_BMG, drawn_BMG) * members / (members - 1),
                between(analogs_BKG, analogs_BKG),  # two draws from the pool may be one
                between(drawn_BMG, analogs_BKG),
            ]
        )

    @property
    def share(self) -> float:
        """The best share; 0 where all is dry."""
        drawn, analogs, within_drawn, within_analogs, between = self._sums.tolist()
        curvature = 2 * between - within_drawn - within_analogs
        slope = analogs - drawn + within_drawn - between  # of the CRPS at a share of 0
        if curvature <= 0:
            return float(slope + curvature / 2 < 0)
        return min(1.0, max(0.0, -slope / curvature))
