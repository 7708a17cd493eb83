"""What the verdict says of ensembles that are made to be right, and of ensembles that are made to be wrong."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from ensembles import scored

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.verdict import judge

DAYS, MEMBERS = 90, 10
SETTINGS = Evaluation(bootstrap=100, fss_thresholds=(10.0,), fss_scales=(5,))


def whole_days(seed, size=16, memory=0.7, members=MEMBERS):
    """Truth and members are whole days of one climate: some dry, a few heavy, alike from one day to the next."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal((DAYS, members + 1))
    for day in range(1, DAYS):
        level[day] = memory * level[day - 1] + np.sqrt(1 - memory**2) * level[day]
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal((DAYS, members + 1, size, size)), (0, 0, 1.5, 1.5))
    fields = 0.9 * level[..., None, None] + noise / noise.std()
    rain = np.where(fields > 0.3, 4 * np.exp(1.0 * (fields - 0.3)) - 4, 0).astype("f4")
    return rain[:, 1:], rain[:, 0]


def verdict_on(members, truth):
    found = scored(members, truth, settings=SETTINGS)
    checks = judge({"name": "x", "mode": "prior", "validation": found.blocks}, [])["checks"]
    return {check["check"]: check["passed"] for check in checks}


def note_on(members, truth):
    found = scored(members, truth, settings=SETTINGS)
    return judge({"name": "x", "mode": "prior", "validation": found.blocks}, [])["note"]


def passes(seed):
    return all(passed is not False for passed in verdict_on(*whole_days(seed)).values())


def test_a_calibrated_ensemble_of_whole_days_passes():
    assert sum(passes(seed) for seed in range(4)) >= 3


def test_whole_days_without_skill_are_said_to_have_none(informed):
    assert "nothing to do with the rain of their days" in note_on(*whole_days(0))
    assert not note_on(*informed)


@pytest.mark.slow
def test_a_calibrated_ensemble_of_whole_days_passes_in_nine_of_ten_draws():
    assert sum(passes(seed) for seed in range(60)) >= 54


@pytest.fixture(scope="module")
def informed():
    """A calibrated ensemble with predictors that tell the day: members share most of the truth's field."""
    rng = np.random.default_rng(5)
    level = rng.standard_normal((DAYS, 1))
    for day in range(1, DAYS):
        level[day] = 0.7 * level[day - 1] + np.sqrt(1 - 0.49) * level[day]
    noise = rng.standard_normal((DAYS, MEMBERS + 1, 24, 24)) + rng.standard_normal((DAYS, 1, 24, 24))
    noise = scipy.ndimage.gaussian_filter(noise, (0, 0, 1.0, 1.0))
    fields = 0.6 * level[..., None, None] + noise / noise.std()
    rain = np.where(fields > 0.3, 6 * (np.exp(0.8 * (fields - 0.3)) - 1), 0).astype("f4")
    return rain[:, 1:], rain[:, 0]


def test_an_informed_calibrated_ensemble_passes(informed):
    assert all(passed is not False for passed in verdict_on(*informed).values())


def drizzle(members):
    return members + np.float32(0.3)


def over_confident(members):
    mean = members.mean(1, keepdims=True)
    return mean + 0.4 * (members - mean)


def too_wide(members):
    mean = members.mean(1, keepdims=True)
    return np.maximum(mean + 2.0 * (members - mean), 0)


def too_smooth(members):
    return scipy.ndimage.gaussian_filter(members, (0, 0, 2.0, 2.0))


def mass_losing(members):
    return 0.7 * members


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (drizzle, "wet fraction minus that of the truth"),
        (over_confident, "spread / skill"),
        (too_wide, "spread / skill"),
        (too_smooth, "gradient ratio"),
        (mass_losing, "mass bias"),
    ],
)
def test_a_wrong_ensemble_is_named(informed, fault, check):
    members, truth = informed
    assert verdict_on(fault(members), truth)[check] is False
