"""The noise floor: it equals scoring each member as the truth of the others."""

from __future__ import annotations

import numpy as np
import pytest
from ensembles import FACTOR, SETTINGS, exchangeable, scored

from rainshaft.evaluation.days import quantities_of
from rainshaft.evaluation.floor import floor_quantities_of
from rainshaft.evaluation.quantities import Day

RANDOM = {"rank_histogram", "rank_histogram_all"}  # ties are broken at random


@pytest.mark.parametrize("masked", [False, True])
def test_all_turns_at_once_are_the_turns_one_by_one(masked):
    members, truth = (one[0].copy() for one in exchangeable(days=1, members=5, height=16, width=20))
    members[2] = 0  # a dry member
    cells = np.random.default_rng(1).random(truth.shape) > 0.3 if masked else np.ones(truth.shape, bool)
    found = floor_quantities_of(Day(members, truth, cells, False, np.random.default_rng(0), 5, FACTOR, SETTINGS))
    for turn in range(5):
        others = np.delete(members, turn, axis=0)
        day = Day(others, members[turn], cells, False, np.random.default_rng(0), 4, FACTOR, SETTINGS)
        one = quantities_of(day)
        assert {"fair_crps", "variance", "spectrum_samples", "intensity_observed"} < set(found)
        for name, values in found.items():
            if name in RANDOM:
                assert values[turn].sum() == one[name].sum()
                if name == "rank_histogram":  # only dry cells tie, so the ranks of wet ones are known
                    wet = members[turn, cells] > SETTINGS.wet_threshold
                    ranks = (others[:, cells] < members[turn, cells]).sum(0)[wet]
                    assert (values[turn] >= np.bincount(ranks, minlength=5)).all()
            else:
                np.testing.assert_allclose(values[turn], one[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_the_floor_of_a_calibrated_ensemble_is_its_score():
    entries = scored(*exchangeable()).blocks["all_days"]["scores"]
    for name in ("spread_skill", "gradient_ratio", "fair_crps", "mass_bias", "lsd_db", "ralsd_db", "reliability_index"):
        floor = entries[name]["floor"]
        assert floor["low"] <= floor["value"] <= floor["high"]
        if name in ("spread_skill", "gradient_ratio", "fair_crps", "mass_bias"):
            assert floor["high"] - floor["low"] < 0.15 * max(1, floor["value"]), "sixty days know it well"
        assert floor["low"] - 0.1 <= entries[name]["value"] <= floor["high"] + 0.1, name


def test_every_score_of_single_days_and_of_all_rain_has_a_floor():
    entries = scored(*exchangeable()).blocks["all_days"]["scores"]
    without = {key for key, entry in entries.items() if "floor" not in entry and "observed" not in entry}
    kinds = ("sum5_", "sal_", "twcrps_", "brier_", "roc_", "fss_", "spread_skill_from_", "rank_slope_from_")
    assert {key for key in without if not key.startswith(kinds)} == {"diversity", "variogram_score", "max_ratio"}
    assert {"axis_ratio_ratio", "elongation_ratio", "lsd_db"} <= set(entries) - without


def test_two_members_have_no_floor():
    members, truth = exchangeable(days=4, members=2, height=12, width=12)
    assert "floor" not in scored(members, truth).blocks["all_days"]["scores"]["fair_crps"]
