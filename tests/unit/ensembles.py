"""Small ensembles with a known truth, and their scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.ndimage

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.days import Setting
from rainshaft.evaluation.scoring import Part, Scored, score

FACTOR = 4
SETTINGS = Evaluation(fss_thresholds=(1.0, 10.0), fss_scales=(1, 5), bootstrap=20)


def rain(rng, *shape, smooth=2):
    """Rain-like fields: smooth, log-normal, exactly dry in places."""
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), (0,) * (len(shape) - 2) + (smooth, smooth))
    return np.maximum(8 * np.exp(noise / noise.std()) - 6, 0).astype("f4")


def exchangeable(days=60, members=8, height=24, width=30, seed=3):
    """Draw truth and members from one distribution around a common signal."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((days, members + 1, height, width)) + rng.standard_normal((days, 1, height, width))
    noise = scipy.ndimage.gaussian_filter(noise, (0, 0, 1.0, 1.0))
    fields = np.maximum(8 * np.exp(0.6 * noise / noise.std()) - 7, 0).astype("f4")
    return fields[:, 1:], fields[:, 0]


def scored(members, truth, valid=None, category=None, start="2001-01-01", settings=SETTINGS, seed=1) -> Scored:
    """Score arrays: members (T, M, H, W) and truth (T, H, W)."""
    members, truth = np.asarray(members, "f4"), np.asarray(truth, "f4")
    valid = np.ones(truth.shape[1:], bool) if valid is None else np.asarray(valid, bool)
    times = pd.date_range(start, periods=len(truth))
    dates = times.strftime("%Y-%m-%d").to_numpy(str)
    category = np.array(["moderate"] * len(truth) if category is None else category)
    rain = np.array([np.nanmean(day[valid]) if np.isfinite(day[valid]).any() else 0.0 for day in truth])
    setting = Setting(members.shape[1], valid, FACTOR, settings, seed)
    return score(zip(members, truth, strict=True), Part(dates, category, rain, times.to_numpy()), setting)


def block(members, truth, valid=None, category=None, settings=SETTINGS):
    """The block of all days in `scores.json`."""
    return scored(members, truth, valid, category, settings=settings).blocks["all_days"]


def value(found, name):
    return found["scores"][name]["value"]
