"""Predictors of days before: in the fields, in the domain of a model, and for days that nobody observed."""

import numpy as np
import pytest
import xarray as xr
from fields import normalisation_of
from pydantic import ValidationError
from rawmakers import FACTOR, YEAR, check_sources, coarse_file, rain_file, refused, settings
from test_application import PREDICTORS, coarse_rain, in_one_dataset, trained

import rainshaft
from rainshaft.application.predictors import sources_of
from rainshaft.config.sections import Dataset, PredictorFiles
from rainshaft.data.domain import Domain, domain_of
from rainshaft.data.prepare import prepare_year
from rainshaft.errors import UserError

LAGS = {"lags": [0, 1]}


def fields_of(configured, folder, year=YEAR):
    path = folder / f"{year}.nc"
    prepare_year(configured, year, path)
    return path, xr.load_dataset(path)


def test_a_lag_gives_the_predictor_of_the_day_before(tmp_path):
    configured = settings(tmp_path, rain_file(), {"tas": (coarse_file(), {"quantity": "temperature", **LAGS})})
    _, fields = fields_of(configured, tmp_path)
    assert list(fields.channel.values) == ["tas", "tas_lag1"]
    assert fields.sizes["time"] == 364, "the first day has no day before"
    assert str(fields.time.values[0])[:10] == "2001-01-02"
    of_day, of_day_before = fields.predictors.transpose("channel", ...).values
    assert np.array_equal(of_day_before[1:], of_day[:-1])
    assert (
        "Predictor tas of 1 day before: 1 day(s) of the rain are not there, the first 2001-01-01."
        in (fields.attrs["ingest"])
    )


def test_the_day_before_the_first_lies_in_the_file_of_the_year_before(tmp_path):
    configured = settings(tmp_path, rain_file(), {"tas": (coarse_file(), {"quantity": "temperature", **LAGS})})
    whole = xr.load_dataset(tmp_path / "tas.nc")
    before = whole.isel(time=slice(300, None)).assign_coords(time=whole.time.values[300:] - np.timedelta64(365, "D"))
    (entry,) = configured.predictors
    entry = entry.model_copy(update={"files": (str(tmp_path / "tas_{year}.nc"),)})
    whole.to_netcdf(tmp_path / "tas_2001.nc")
    before.to_netcdf(tmp_path / "tas_2000.nc")
    _, fields = fields_of(configured.model_copy(update={"predictors": (entry,)}), tmp_path)
    assert fields.sizes["time"] == 365
    first = fields.predictors.sel(channel="tas_lag1").values[0]
    assert np.allclose(first, before.tas.isel(time=-1).values[:, :], atol=1e-3)


def test_context_may_have_lags(tmp_path):
    configured = settings(tmp_path, rain_file(), {"tas": (coarse_file(), {"context": True, **LAGS})})
    path, fields = fields_of(configured, tmp_path)
    assert list(fields.context_channel.values) == ["tas", "tas_lag1"]
    assert np.array_equal(fields.context.values[1:, 1], fields.context.values[:-1, 0])
    domain = Domain(domain_of([path], normalisation_of(path, factor=FACTOR)))
    assert [(one.label, one.lag, one.context) for one in domain.channels] == [("tas", 0, True), ("tas", 1, True)]


def test_rain_of_the_day_before_is_no_fault_of_the_dates(tmp_path):
    """The predictor of the day before may tell less than that of the day; it is not refused for it."""
    rain = rain_file()
    entry = {"quantity": "rain"}
    before = {"variable": "tp", "name": "before", "lags": [1]}
    configured = settings(tmp_path, rain, {"tp": (coarse_rain(), entry)})
    (today,) = configured.predictors
    lagged = today.model_copy(update={**before, "quantity": "other", "lags": (1,)})
    _, fields = fields_of(configured.model_copy(update={"predictors": (today, lagged)}), tmp_path)
    assert list(fields.channel.values) == ["tp", "before_lag1"]
    assert fields.attrs["rain_channel"] == "tp"


def test_predictors_of_another_day_are_refused_with_lags_too(tmp_path):
    late = coarse_rain()
    late = late.assign_coords(time=late.time + np.timedelta64(1, "D"))
    configured = settings(tmp_path, rain_file(), {"tp": (late, {"quantity": "rain"})})
    (today,) = configured.predictors
    lagged = today.model_copy(update={"name": "before", "quantity": "other", "lags": (1,)})
    message = refused_by_user(prepare_year, configured.model_copy(update={"predictors": (today, lagged)}), tmp_path)
    assert "these records lie one day late" in message
    assert "before" not in message.partition(": found")[0]


def refused_by_user(call, configured, folder):
    with pytest.raises(UserError) as caught:
        call(configured, YEAR, folder / "fields.nc")
    return str(caught.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"quantity": "rain", "lags": [0, 1]}, ["lags: found [0, 1] with `quantity: rain`", "`quantity: other`"]),
        ({"lags": [1, 1]}, ["lags: found [1, 1], expected each lag once"]),
        ({"lags": [-1]}, ["lags"]),
        ({"lags": []}, ["lags"]),
    ],
)
def test_lags_that_cannot_be_are_refused(tmp_path, keys, words):
    with pytest.raises(ValidationError) as caught:
        PredictorFiles(files=("tas.nc",), variable="tas", **keys)
    for word in words:
        assert word in str(caught.value)


def test_a_fault_names_the_day_of_the_file(tmp_path):
    wrong = coarse_file()
    wrong["tas"][100] = 1e30
    configured = settings(tmp_path, rain_file(), {"tas": (wrong, {"quantity": "temperature", "lags": [1]})})
    message = refused(prepare_year, configured, YEAR, tmp_path / "fields.nc")
    assert "2001-04-11" in message
    assert "2001-04-12" not in message


def test_a_name_belongs_to_one_entry(tmp_path):
    with pytest.raises(ValidationError, match="expected each name once"):
        Dataset(
            years=[2001],
            factor=2,
            rain={"files": ["r.nc"], "variable": "pr"},
            predictors=[
                {"files": ["t.nc"], "variable": "tp", "quantity": "rain"},
                {"files": ["t.nc"], "variable": "tp", "lags": [1]},
            ],
            split={"by": "blocks"},
        )


def test_files_without_the_days_before_are_named(tmp_path):
    days = {"time": slice(0, 3)}
    configured = settings(tmp_path, rain_file().isel(days), {"tas": (coarse_file().isel(days), {"lags": [5]})})
    message = refused(check_sources, configured)
    assert "tas.nc" in message
    assert "found 3 days from 2001-01-01 to 2001-01-03, which count 5 day(s) later" in message
    assert "expected days of the rain, 3 days from 2001-01-01 to 2001-01-03" in message


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with random weights that sees the temperature of the day before."""
    rain, (temperature, keys), humidity = (PREDICTORS[name] for name in ("tp", "tas", "hus"))
    home, expected = trained(
        tmp_path_factory.mktemp("lags"), {"tp": rain, "tas": (temperature, {**keys, **LAGS}), "hus": humidity}
    )
    return rainshaft.load_model(home, "cpu"), expected


@pytest.fixture(scope="module")
def inputs():
    return in_one_dataset()


def test_a_model_takes_the_days_before_from_the_files_it_is_given(model, inputs):
    model, expected = model
    rain = model.downscale(inputs, members=3, seed=4)
    assert rain.sizes["time"] == 364
    assert np.array_equal(rain.pr.sel(time=expected.time).values, expected.values, equal_nan=True)
    later = model.downscale(inputs.isel(time=slice(9, 20)), members=3, seed=4)
    assert np.array_equal(later.pr.values, rain.pr.values[9:19], equal_nan=True)
    renamed = model.downscale(inputs.rename(tas="t2m"), members=3, seed=4, variables={"tas": "t2m"})
    assert np.array_equal(renamed.pr.values, rain.pr.values, equal_nan=True)


def test_the_last_day_of_the_year_before_may_come_along(model, inputs):
    """A year that has only the day before the first is no year to draw."""
    model, _ = model
    moved = inputs.assign_coords(time=inputs.time - np.timedelta64(1, "D"))
    rain = model.downscale(moved, members=2)
    assert str(rain.time.values[0])[:10] == "2001-01-01"
    assert rain.sizes["time"] == 364


def test_the_card_and_the_checks_know_the_lags(model, inputs):
    model, _ = model
    assert [(one["name"], one["lag"]) for one in model.card["predictors"]] == [
        ("tp", 0), ("tas", 0), ("tas_lag1", 1), ("hus", 0)
    ]  # fmt: skip
    with pytest.raises(UserError, match="they are tp, tas, hus"):
        model.downscale(inputs, variables={"tas_lag1": "tas"})
    files = [PredictorFiles(files=(f"{name}.nc",), variable=name) for name in ("tp", "tas", "hus")]
    assert [source.lag for source in sources_of(model.domain, files, "predictors")] == [0, 0, 1, 0]
    wrong = [*files[:1], PredictorFiles(files=("tas.nc",), variable="tas", lags=(0, 2)), files[2]]
    with pytest.raises(UserError, match=r"predictors.1.lags: found \[0, 2\], expected \[0, 1\]"):
        sources_of(model.domain, wrong, "predictors")
