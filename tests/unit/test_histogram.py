"""Histograms of rain: counts of all values, and what is read off them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from rainshaft import histogram


def test_histogram_keeps_every_value_and_quantiles_are_close():
    x = np.random.default_rng(9).lognormal(1, 2, 100_000).astype("f4")
    x[:50_000] = 0
    counts = histogram.histogram(x)
    assert counts.sum() == x.size
    assert counts == pytest.approx(np.histogram(np.minimum(x, 2009), histogram.EDGES)[0], abs=5)
    assert histogram.quantile(counts, 0.3) == 0
    for share in (0.8, 0.95, 0.999):
        assert histogram.quantile(counts, share) == pytest.approx(np.quantile(x, share), rel=0.005)
    assert histogram.histogram(np.array([1e6]))[-1] == 1


def test_ks_above_threshold_agrees_with_scipy():
    rng = np.random.default_rng(10)
    a, b = rng.gamma(0.5, 10, 40_000), rng.gamma(0.5, 14, 40_000)
    at = float(np.quantile(a, 0.95))
    ours = histogram.ks_above(histogram.histogram(a), histogram.histogram(b), at)
    assert ours == pytest.approx(ks_2samp(a[a > at], b[b > at]).statistic, abs=0.005)
    assert histogram.ks_above(histogram.histogram(a), histogram.histogram(np.zeros(9)), at) == 1
