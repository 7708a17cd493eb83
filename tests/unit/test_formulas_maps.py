"""Maps of the climate, against the whole record at once."""

from __future__ import annotations

import numpy as np
import pytest

from rainshaft.evaluation.formulas.maps import ClimateMaps, LargestValues


@pytest.mark.parametrize("days", [1, 5, 100, 101, 777])
def test_maps_are_those_of_the_record(days):
    rng = np.random.default_rng(days)
    members, truth = rng.gamma(0.4, 9, (days, 4, 30)).astype("f4"), rng.gamma(0.4, 9, (days, 30)).astype("f4")
    maps = ClimateMaps(days, 4, 30, members_of_percentile=4)
    for m, y in zip(members, truth, strict=True):
        maps.add(m, y)
    found = maps.result()
    pooled = members.reshape(-1, 30)
    for side, rain in (("observed", truth), ("samples", pooled)):
        assert found[f"mean_{side}"] == pytest.approx(rain.mean(0), rel=1e-5)
        assert found[f"wet_frequency_{side}"] == pytest.approx((rain >= 1).mean(0))
        assert found[f"p99_{side}"] == pytest.approx(np.quantile(rain.astype(float), 0.99, axis=0), rel=1e-5)


def test_missing_days_cells_and_members():
    rng = np.random.default_rng(0)
    members, truth = rng.gamma(0.4, 9, (300, 3, 20)), rng.gamma(0.4, 9, (300, 20))
    truth[rng.random(truth.shape) < 0.2] = np.nan
    truth[:, 0] = np.nan
    members[::7, 1] = np.nan
    maps = ClimateMaps(400, 3, 20, members_of_percentile=3)  # fewer days than were expected
    for m, y in zip(members, truth, strict=True):
        maps.add(m, y)
    found = maps.result()
    members[np.broadcast_to(np.isnan(truth)[:, None], members.shape)] = np.nan
    pooled = members.reshape(-1, 20)
    for side, rain in (("observed", truth), ("samples", pooled)):
        assert found[f"mean_{side}"][1:] == pytest.approx(np.nanmean(rain[:, 1:], 0))
        assert found[f"p99_{side}"][1:] == pytest.approx(np.nanquantile(rain[:, 1:], 0.99, axis=0), rel=1e-6)
        wet = (rain[:, 1:] >= 1).sum(0) / np.isfinite(rain[:, 1:]).sum(0)
        assert found[f"wet_frequency_{side}"][1:] == pytest.approx(wet)
    assert all(np.isnan(values[0]) for values in found.values())


def test_a_part_of_the_members_is_enough_for_the_percentile():
    rng = np.random.default_rng(1)
    members, truth = rng.gamma(0.4, 9, (2000, 6, 50)), rng.gamma(0.4, 9, (2000, 50))
    some, all_of_them = (ClimateMaps(2000, 6, 50, members_of_percentile=k) for k in (2, 6))
    for m, y in zip(members, truth, strict=True):
        some.add(m, y)
        all_of_them.add(m, y)
    a, b = some.result(), all_of_them.result()
    assert (a["mean_samples"] == b["mean_samples"]).all()
    expected = np.quantile(members[:, :2].reshape(-1, 50), 0.99, axis=0)
    assert a["p99_samples"] == pytest.approx(expected, rel=1e-5)
    assert a["p99_samples"].mean() == pytest.approx(b["p99_samples"].mean(), rel=0.03)


def test_memory_does_not_hold_the_record_and_more_values_than_said_are_refused():
    largest = LargestValues(10_000, 5, 0.99)
    assert largest._values.shape[0] < 2 * 10_000 * 0.011
    few = LargestValues(100, 2, 0.99)
    few.add(np.random.default_rng(2).random((400, 2)))
    with pytest.raises(ValueError, match="more than were expected"):
        few.quantile()
