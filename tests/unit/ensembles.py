"""Small ensembles with a known truth, and their scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.ndimage
import xarray as xr

from rainshaft.config.sections import Evaluation
from rainshaft.evaluation.days import score_days
from rainshaft.evaluation.summary import summarise

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


def arrays(members, truth, valid=None, category=None, start="2001-01-01"):
    members, truth = np.asarray(members, "f4"), np.asarray(truth, "f4")
    time = pd.date_range(start, periods=len(truth))
    coords = {"time": time}
    if category is not None:
        coords["category"] = ("time", np.asarray(category))
    valid = np.ones(truth.shape[1:]) if valid is None else valid
    return (
        xr.DataArray(members, dims=("time", "member", "lat", "lon"), coords=coords),
        xr.DataArray(truth, dims=("time", "lat", "lon"), coords=coords),
        xr.DataArray(valid, dims=("lat", "lon")),
    )


def block(members, truth, valid=None, category=None, settings=SETTINGS):
    return summarise(score_days(*arrays(members, truth, valid, category), FACTOR, settings), settings)


def value(found, name):
    return found["scores"][name]["value"]
