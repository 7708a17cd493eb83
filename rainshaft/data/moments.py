"""Means and standard deviations of the training days, from sums that add up over any number of days."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainshaft import histogram
from rainshaft.data.conventions import WET_DAY_MM

Values = NDArray[np.float32]
Sums = NDArray[np.float64]
"""number of values, their sum and the sum of their squares, along the first axis"""

CONSTANT = 1e-6  # a standard deviation below this share of the mean is rounding: the predictor does not change


class Moments:
    """Sums over the training days.

    Parameters
    ----------
    rain_channel
        Which channel of the predictors is coarse rain; None where there is none.
    """

    def __init__(self, rain_channel: int | None) -> None:
        self.rain_channel = rain_channel
        self.log_rain: Sums = np.zeros(3)
        self.rain_sum = 0.0
        self.intensity = np.zeros(len(histogram.EDGES) - 1, dtype=np.int64)
        """counts of the wet values, in the bins of `histogram`"""
        self.channels: Sums = np.zeros(())
        self.context: Sums = np.zeros(())

    def update(self, rain: Values, predictors: Values, context: Values) -> None:
        """Add days: rain (day, valid cell), predictors (day, channel, y, x), context (day, channel, v, u)."""
        log_rain = np.log1p(rain)
        self.log_rain += _sums(log_rain[None], axis=(1, 2))[:, 0]
        self.rain_sum += rain.sum(dtype=np.float64)
        self.intensity += histogram.histogram(rain[rain >= WET_DAY_MM])
        if self.rain_channel is not None:
            predictors = predictors.copy()
            predictors[:, self.rain_channel] = np.log1p(predictors[:, self.rain_channel].clip(min=0))
        self.channels = self.channels + _sums(predictors, axis=(0, 2, 3))
        self.context = self.context + _sums(context, axis=(0,))

    @property
    def rain_mean(self) -> float:
        """Mean rain, mm/day."""
        return float(self.rain_sum / self.log_rain[0])

    @property
    def rain_log_std(self) -> float:
        """Standard deviation of log1p(mm/day)."""
        return float(_std(*self.log_rain))

    @property
    def p99_wet(self) -> float:
        """99th percentile of the values of 1 mm/day or more, mm/day."""
        return float(histogram.quantile(self.intensity, 0.99))

    def of_channels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each channel; a constant one has 1, so that normalisation makes it 0."""
        count, total, _ = self.channels
        mean, std = total / count, _std(*self.channels)
        if self.rain_channel is not None:
            mean[self.rain_channel] = 0.0
        return mean, np.where(std > CONSTANT * np.abs(mean), std, 1.0)

    def of_context(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean of each channel and cell (channel, v, u), and standard deviation of the anomalies (channel,)."""
        count, total, _ = self.context
        mean, cells = total / count, max(1, math.prod(total.shape[1:]))
        std = np.sqrt(np.square(_std(*self.context)).sum((1, 2)) / cells)
        largest = np.abs(mean).max((1, 2), initial=0)
        return mean, np.where(std > CONSTANT * largest, std, 1.0)


def _sums(values: Values, axis: tuple[int, ...]) -> Sums:
    wide = values.astype(np.float64)
    total = wide.sum(axis=axis)
    count = float(math.prod(values.shape[i] for i in axis))
    return np.stack([np.full_like(total, count), total, np.square(wide).sum(axis=axis)])


def _std(count: Any, total: Any, squares: Any) -> Any:
    return np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
