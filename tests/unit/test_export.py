"""Synthetic heavy days for other models."""

import hashlib
import json

import numpy as np
import pytest
import xarray as xr
from fields import make_fields

from rainshaft.augmentation.export import export
from rainshaft.errors import UserError
from rainshaft.files import write_ensemble

SPLITS = ["train", "train", "test", "validation", "train", "train"]
CATEGORIES = ["heavy-interior", "dry", "heavy-interior", "heavy-coast", "moderate", "heavy-coast"]


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.5, 10, (6, 4, 6)).astype("f4")
    valid = np.ones((4, 6))
    valid[0, 0] = 0
    fields = [
        make_fields(tmp_path / "a.nc", rain[:3], valid=valid),
        make_fields(tmp_path / "b.nc", rain[3:], "2001-01-04", valid=valid),
    ]
    days = xr.concat([xr.load_dataset(path)[["time", "lat", "lon"]] for path in fields], "time")
    days = days.assign_coords(split=("time", np.array(SPLITS, object)), category=("time", np.array(CATEGORIES, object)))
    members = np.where(valid, rain[:, None] * np.array([1, 1.5, 0.5])[:, None, None], np.nan).astype("f4")
    members[5, 1] = np.nan  # a member that was dropped
    write_ensemble(tmp_path / "posterior.nc", days, 3, members, {"mode": "posterior", "pixel_threshold": 0.1})
    return tmp_path, fields, members, rain


def test_only_heavy_training_days_leave_with_their_members_and_predictors(files):
    folder, fields, members, rain = files
    export(folder / "posterior.nc", fields, folder / "out.nc", folder / "out.json")
    with xr.open_dataset(folder / "out.nc") as made:
        assert made.time.dt.day.values.tolist() == [1, 6]
        np.testing.assert_allclose(made.pr, members[[0, 5]])
        np.testing.assert_allclose(made.coarse_pr, rain[[0, 5]].reshape(2, 2, 2, 3, 2).mean((2, 4)), rtol=1e-6)
        np.testing.assert_allclose(made.coarse_tas[:, 0, 0], [285, 287])  # the sixth day is the third of its file
        assert (made.coarse_pr.units, made.coarse_tas.units, made.pr.units) == ("mm/day", "K", "mm/day")
        assert made.attrs["mode"] == "posterior"


def test_context_leaves_whole_with_its_units(files):
    folder, *_, rain = files
    pressure = np.random.default_rng(1).normal(1e5, 500, (6, 5, 7)).astype("f4")
    fields = [make_fields(folder / "c.nc", rain, context={"msl": pressure}, coarse=False)]
    export(folder / "posterior.nc", fields, folder / "out.nc", folder / "out.json")
    with xr.open_dataset(folder / "out.nc") as made:
        assert set(made.data_vars) == {"pr", "context_msl", "time_bnds"}
        np.testing.assert_array_equal(made.context_msl, pressure[[0, 5]])
        assert made.context_msl.dims == ("time", "v", "u")
        assert made.context_msl.units == "Pa"
        assert made.v[0] == 55


def test_the_manifest_says_where_each_field_comes_from(files):
    folder, fields, members, _ = files
    export(folder / "posterior.nc", fields, folder / "out.nc", folder / "out.json")
    manifest = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256((folder / "out.nc").read_bytes()).hexdigest()
    assert manifest["fields"] == 5
    first, last = manifest["days"]
    assert (first["date"], first["category"], first["members"]) == ("2001-01-01", "heavy-interior", [0, 1, 2])
    assert (last["date"], last["category"], last["members"]) == ("2001-01-06", "heavy-coast", [0, 2])
    assert last["synthetic_means"] == pytest.approx([np.nanmean(members[5, k]) for k in (0, 2)], abs=1e-4)
    assert first["observed_mean"] == pytest.approx(np.nanmean(members[0, 0]), rel=1e-5)
    assert manifest["made_by"]["pixel_threshold"] == 0.1


def test_without_a_heavy_training_day_there_is_an_error_and_no_file(files):
    folder, fields, _, _ = files
    with xr.open_dataset(folder / "posterior.nc") as opened:
        few = opened.isel(time=[2, 3]).load()
    few.to_netcdf(folder / "few.nc")
    with pytest.raises(UserError, match="no heavy day of the training split"):
        export(folder / "few.nc", fields, folder / "out.nc", folder / "out.json")
    assert not (folder / "out.nc").exists()
