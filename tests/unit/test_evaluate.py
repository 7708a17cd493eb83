"""Scoring files: days in chunks, members that were dropped, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from ensembles import FACTOR, SETTINGS, block, exchangeable, scored, value
from fields import make_fields

from rainshaft.errors import UserError
from rainshaft.evaluation import evaluate as evaluation
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.files import write_json, write_netcdf


def test_dropped_members():
    members, truth = exchangeable(days=6, members=4, height=14, width=14)
    fewer = members.copy()
    fewer[2, 1] = np.nan  # this member is left out of the day
    fewer[4, :3] = np.nan  # one member left: the day is left out
    found = scored(fewer, truth)
    whole, by_day = found.blocks["all_days"], found.by_day
    assert (whole["days"], whole["days_left_out"]) == (5, 1)
    alone = scored(members[2:3, [0, 2, 3]], truth[2:3], start="2001-01-03")
    for name in ("fair_crps", "variance", "diversity", "gradient_samples"):
        assert by_day[name].values[2] == alone.by_day[name].values[0]
    assert np.isnan(by_day["fair_crps"].values[4])
    # the ranks among fewer members cannot be added to the others
    assert found.sums["rank_histogram_all"].sum() == 4 * 14 * 14
    assert whole["scores"]["mean"]["observed"] == pytest.approx(np.delete(truth, 4, 0).mean(), rel=1e-6)
    assert scored(fewer[4:5], truth[4:5]).blocks == {}


def test_member_with_some_nan_is_refused():
    members, truth = exchangeable(days=2, members=3, height=10, width=10)
    members[1, 2, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"2001-01-02, member 2: 1 of 100 valid cells"):
        block(members, truth)


def write_fields(folder, truth, times, valid=None):
    """Canonical fields, a file a year, and their paths in no useful order."""
    years = times.year.values if hasattr(times.year, "values") else np.asarray(times.year)
    paths = []
    for year in sorted(set(years.tolist()), reverse=True):
        here = years == year
        calendar = getattr(times, "calendar", "standard")
        start = times[here][0].strftime("%Y-%m-%d")
        path = folder / f"{year}.nc"
        paths.append(make_fields(path, truth[here], start, factor=FACTOR, calendar=calendar, valid=valid))
    return paths


def write_ensemble(path, members, times, split, category, fields):
    with xr.open_dataset(fields) as source:
        axes = {name: source[name].load() for name in ("lat", "lon")}
    coords = {"time": times, **axes, "split": ("time", split), "category": ("time", category)}
    dims = ("time", "member", "lat", "lon")
    write_netcdf(xr.Dataset({"pr": (dims, members)}, coords=coords, attrs={"mode": "prior"}), path)
    return path


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_evaluate_files_in_chunks_of_any_size(tmp_path, monkeypatch, calendar):
    rng = np.random.default_rng(11)
    members, truth = exchangeable(days=20, members=3, height=16, width=20)
    valid = rng.random((16, 20)) > 0.2
    truth[:, ~valid] = np.nan
    times = xr.date_range("1999-12-22", periods=20, calendar=calendar, use_cftime=calendar != "standard")
    fields = write_fields(tmp_path, truth, times, valid)
    split = np.array(["test"] * 20, object)
    split[[3, 4, 11]] = "train"
    split[[0, 1, 2, 8, 9]] = "validation"
    category = np.array(["heavy-coast", "moderate", "dry", "heavy-interior", "moderate"] * 4, object)
    broken = members.copy()
    broken[3] = 1e3  # not a test day: must not matter
    path = write_ensemble(tmp_path / "e.nc", broken, times, split, category, fields[0])

    scores, found = evaluate([path], fields, SETTINGS, name="x", dataset="d")
    monkeypatch.setattr(evaluation, "MEMBERS_BYTES", 1)
    again, found_again = evaluate([path], fields, SETTINGS, name="x", dataset="d")
    assert scores == again
    xr.testing.assert_identical(found, found_again)
    write_json(scores, tmp_path / "scores.json")
    write_netcdf(found, tmp_path / "scores_by_day.nc")

    assert (scores["mode"], scores["members"], scores["name"]) == ("prior", 3, "x")
    for part in ("validation", "test"):
        days = split == part
        heavy = days & np.char.startswith(category.astype(str), "heavy")
        blocks = scores[part]
        assert (blocks["all_days"]["days"], blocks["heavy_days"]["days"]) == (days.sum(), heavy.sum())
        for kind, chosen in (("all_days", days), ("heavy_days", heavy)):
            expected = np.abs(members[chosen].astype("f8") - truth[chosen][:, None])[..., valid].mean()
            pairs = [
                np.abs(members[chosen, i] - members[chosen, j])[..., valid].mean() for i, j in ((0, 1), (0, 2), (1, 2))
            ]
            assert value(blocks[kind], "fair_crps") == pytest.approx(expected - 0.5 * np.mean(pairs), rel=1e-5)
    test = split == "test"
    with xr.open_dataset(tmp_path / "scores_by_day.nc") as stored:
        assert stored["fair_crps"].dims == ("time",)
        assert stored["split"].values.astype(str).tolist() == [s for s in split if s != "train"]
        assert stored["rank_histogram"].dims == ("part", "rank")
        assert stored["fss"].dims == ("part", "threshold", "scale")
        assert stored["intensity_observed"].sel(part="test").sum() == pytest.approx(test.sum() * valid.sum())
        resampled = stored["resampled"].sel(part="test", kind="all_days", score="fair_crps")
        assert float(resampled[0]) == pytest.approx(value(scores["test"]["all_days"], "fair_crps"), rel=1e-6)
        centre = np.deg2rad(30 - 0.05 * 7.5)  # cells of 0.05 degrees
        assert stored["wavelength_km"].values[-1] == pytest.approx(2 * 0.05 * 111.195 * np.cos(centre) ** 0.5, rel=1e-6)


def test_the_folds_of_a_cross_validation_are_scored_together(tmp_path):
    members, truth = exchangeable(days=12, members=3, height=16, width=20)
    times = pd.date_range("2001-01-01", periods=12)
    fields = write_fields(tmp_path, truth, times)
    category = np.array(["moderate"] * 12, object)
    splits = [np.array(["test", "validation", "train"] * 4, object), np.array(["train", "train", "test"] * 4, object)]
    paths = []
    for number, split in enumerate(splits):
        broken = members.copy()
        broken[split == "train"] = 1e3  # must not matter
        paths.append(write_ensemble(tmp_path / f"{number}.nc", broken, times, split, category, fields[0]))
    pooled, _ = evaluate(paths, fields, SETTINGS)
    whole = np.array(["test", "validation", "test"] * 4, object)
    one = write_ensemble(tmp_path / "one.nc", members, times, whole, category, fields[0])
    alone, _ = evaluate([one], fields, SETTINGS)
    assert pooled["test"] == alone["test"]
    assert pooled["validation"] == alone["validation"]
    with pytest.raises(UserError, match="is in two folds"):
        evaluate([paths[0], paths[0]], fields, SETTINGS)


def test_evaluate_names_what_is_missing(tmp_path):
    members, truth = exchangeable(days=6, members=2, height=12, width=12)
    times = pd.date_range("2000-12-30", periods=6)
    fields = write_fields(tmp_path, truth, times)
    category = np.array(["moderate"] * 6, object)
    split = np.array(["test"] * 6, object)
    path = write_ensemble(tmp_path / "e.nc", members, times, split, category, fields[0])
    with pytest.raises(UserError, match=r"test days: 2 days are not in the fields .*2000-12-30"):
        evaluate([path], fields[:1], SETTINGS)
    found = evaluate([path], fields, SETTINGS)[0]
    assert found["validation"] is None
    assert "heavy_days" not in found["test"]
    path = write_ensemble(tmp_path / "e.nc", members, times, np.array(["train"] * 6, object), category, fields[0])
    with pytest.raises(UserError, match="no day with `split` = test"):
        evaluate([path], fields, SETTINGS)
    (tmp_path / "other").mkdir()
    other = write_fields(tmp_path / "other", np.zeros((6, 12, 16), "f4"), times)
    path = write_ensemble(tmp_path / "e.nc", members, times, split, category, fields[0])
    with pytest.raises(UserError, match="lon has 12 cells"):
        evaluate([path], other, SETTINGS)


def test_360_day_calendar_has_a_30th_of_february(tmp_path):
    members, truth = exchangeable(days=2, members=2, height=12, width=12)
    times = xr.date_range("2000-02-29", periods=2, calendar="360_day", use_cftime=True)
    fields = write_fields(tmp_path, truth, times)
    test, category = np.array(["test"] * 2, object), np.array(["moderate"] * 2, object)
    path = write_ensemble(tmp_path / "e.nc", members, times, test, category, fields[0])
    _, by_day = evaluate([path], fields, SETTINGS)
    assert by_day["time"].dt.strftime("%m-%d").values.tolist() == ["02-29", "02-30"]
