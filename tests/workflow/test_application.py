"""The workflow draws rain with a trained model for days that nobody observed: with its own, or with a model folder."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import rainshaft

APPLICATIONS = """
applications:
  again:
    experiment: calibrated
    years: [2002]
    members: 3
    shards: 2
    zarr: true
  later: {experiment: calibrated, years: [2002], members: 2, change_from: again}
  adjusted:
    experiment: calibrated
    years: [2002]
    members: 2
    adjust: quantile
    reference:
      years: [2001, 2002]
      predictors:
        - {files: ["results/data/tiny/raw/pr_day_coarse_{year}.nc"], variable: pr, quantity: rain}
        - {files: ["results/data/tiny/raw/tas_day_coarse_{year}.nc"], variable: tas, quantity: temperature}
"""
MADE = [  # the other files of the applications would only take time
    f"results/applications/{path}"
    for path in ("again/rain.zarr", "again/table.md", "later/change.md", "adjusted/rain/2002.nc")
]
ELSEWHERE = """
results: results
applications:
  elsewhere:
    model: travelled
    years: [2002]
    members: 3
    predictors:
      - {files: ["results/data/tiny/raw/pr_day_coarse_{year}.nc"], variable: pr}
      - {files: ["results/data/tiny/raw/tas_day_coarse_{year}.nc"], variable: tas}
  anywhere:
    model: general
    factor: 6
    years: [2002]
    members: 2
    predictors:
      - {files: ["results/data/tiny/raw/pr_day_coarse_{year}.nc"], variable: pr}
"""


@pytest.fixture(scope="module")
def applied(finished, tmp_path_factory):
    """A project with an application of its own model, and one of a folder that was copied, without any dataset."""
    project = finished.copy(tmp_path_factory.mktemp("applied") / "project")
    with open(project.folder / "tiny.yaml", "a", encoding="utf-8") as file:
        file.write(APPLICATIONS)
    project.run(*MADE)
    shutil.copytree(project.results / "calibrated/model", project.folder / "travelled")
    (project.folder / "elsewhere.yaml").write_text(ELSEWHERE, encoding="utf-8")
    replace(project, configfile="elsewhere.yaml").run(
        "results/applications/elsewhere/rain/2002.nc", "results/applications/anywhere/rain/2002.nc"
    )
    return project


def test_the_general_networks_draw_without_any_training(applied):
    folder = applied.results / "applications/anywhere"
    rain = xr.load_dataset(folder / "rain/2002.nc")
    coarse = xr.open_dataset(applied.results / "data/tiny/raw/pr_day_coarse_2002.nc")
    assert (rain.sizes["time"], rain.sizes["member"], rain.sizes["lat"]) == (365, 2, 6 * coarse.sizes["lat"])
    predictors = xr.load_dataset(folder / "predictors/2002.nc").predictors
    means = rain.pr.isel(member=1).coarsen(lat=6, lon=6).mean()
    np.testing.assert_allclose(means, predictors[:, 0, 0], rtol=1e-3, atol=1e-3)
    assert "Deutscher Wetterdienst" in rain.attrs["references"]
    model = rainshaft.load_model(folder / "model")
    assert model.chain.factors == (3, 2)
    again = model.downscale(coarse.isel(time=slice(3)), members=2)
    np.testing.assert_array_equal(again.pr, rain.pr[:3])
    assert "They were not trained on rain of this place" in (folder / "model/README.md").read_text(encoding="utf-8")


def test_an_application_draws_the_members_of_the_experiment(applied):
    synth = xr.load_dataset(applied.results / "calibrated/synth/prior.nc")
    with xr.open_dataset(applied.results / "applications/again/rain/2002.nc") as rain:
        assert rain.sizes["time"] == 365
        drawn = synth.sel(time=synth.time.dt.year == 2002)
        assert drawn.sizes["time"] > 90
        np.testing.assert_array_equal(rain.pr.sel(time=drawn.time).values, drawn.pr.values)
        assert rain.attrs["pixel_threshold"] == synth.attrs["pixel_threshold"]
        assert rain.attrs["model_sha256"] == synth.attrs["model_sha256"]
        assert rain.attrs["input_files"] == "synthetic"
        with xr.open_zarr(applied.results / "applications/again/rain.zarr") as store:
            xr.testing.assert_equal(store.pr.load(), rain.pr.load())
            assert store.attrs["model_sha256"] == rain.attrs["model_sha256"]


def test_a_folder_that_travelled_draws_the_same_without_a_dataset(applied):
    mine, other = (applied.results / f"applications/{name}/rain/2002.nc" for name in ("again", "elsewhere"))
    xr.testing.assert_equal(xr.load_dataset(mine).pr, xr.load_dataset(other).pr)
    model = rainshaft.load_model(applied.folder / "travelled", "cpu")
    assert "tiny" in model.card["dataset"]["name"]


def test_predictors_are_adjusted_to_the_climate_of_the_training(applied):
    folder = applied.results / "applications/adjusted"
    before, after = (xr.load_dataset(folder / f"{name}/2002.nc") for name in ("predictors", "adjusted"))
    error = xr.load_dataset(folder / "climate/reference.nc")["mean"]
    error = (error - xr.load_dataset(applied.results / "calibrated/model/climate.nc")["mean"]).sel(channel="tas")
    assert abs(error).max() > 0.3  # K; the training has a part of the days of the reference
    shift = (
        (before.predictors - after.predictors).sel(channel="tas").groupby("time.month").mean(["time", "realization"])
    )
    np.testing.assert_allclose(shift, error, atol=0.15)
    with xr.open_dataset(folder / "rain/2002.nc") as rain:
        assert rain.attrs["adjustment"].startswith("quantile, to the climate of the training days; reference run of 20")


def test_indices_and_changes_are_tabulated_and_drawn(applied):
    folder = applied.results / "applications"
    table = (folder / "again/table.md").read_text(encoding="utf-8")
    assert "| downscaled | coarse input | observed |" in table
    with (
        xr.open_dataset(folder / "again/rain/2002.nc") as rain,
        xr.open_dataset(folder / "again/indices/2002.nc") as year,
    ):
        np.testing.assert_allclose(year["mean"], rain.pr.mean("time"), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(year["rx1day"], rain.pr.max("time"), rtol=1e-5)
    change = (folder / "later/change.md").read_text(encoding="utf-8")
    assert change.startswith("# later, change from again")
    for name in ("change_maps.png", "change_of_area.png"):
        assert (folder / f"later/{name}").stat().st_size > 5000


def test_an_edit_reruns_what_it_touches(applied, tmp_path):
    assert applied.planned(*MADE).rules == set()
    edits = {
        "shards: 2\n    zarr": ("shards: 1\n    zarr", {"downscale_year", "finish_year"}),
        "adjust: quantile": ("adjust: delta", {"adjust_predictors", "downscale_year", "finish_year"}),
        "pixel_threshold: auto": ("pixel_threshold: 0.3", {"finish_year"}),
    }
    for number, (old, (new, expected)) in enumerate(edits.items()):
        project = applied.copy(tmp_path / str(number))
        project.edit("tiny.yaml", old, new)
        rules = project.planned(*MADE).rules
        mine = {"prepare_application", "adjust_predictors", "downscale_year", "finish_year", "train_model"}
        assert rules & mine == expected
    project = applied.copy(tmp_path / "year")
    project.edit("tiny.yaml", "years: [2002]\n    members: 3", "years: [2001, 2002]\n    members: 3")
    drawn = {message for message in project.planned(*MADE).messages if message.startswith("Downscaling")}
    assert drawn == {f"Downscaling 2001 of again, part {i}-of-2" for i in (1, 2)}, "no old year is drawn anew"


def test_a_damaged_folder_ends_in_one_message_before_any_job(applied, tmp_path):
    project = applied.copy(tmp_path / "project")
    (project.folder / "travelled/domain.nc").write_bytes(b"x")
    output = replace(project, configfile="elsewhere.yaml").run(expect=1)
    assert "applications.elsewhere.model cannot be used" in output
    assert "domain.nc: found other bytes" in output
