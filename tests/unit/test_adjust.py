"""Adjusted predictors: the error of the climate model is taken off, its change is kept, bounds hold."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from predictor_files import predictors_of

from rainshaft.application.adjust import adjust, require_period
from rainshaft.data.climate import climate_of
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf

DAYS, SHAPE = 59, (59, 1, 2, 3)


@pytest.fixture
def climate(tmp_path):
    """The climate of predictors."""

    def climate(*predictors):
        paths = [tmp_path / f"{i}.nc" for i, _ in enumerate(predictors)]
        for one, path in zip(predictors, paths, strict=True):
            write_netcdf(one, path)
        return climate_of(paths)

    return climate


def weather(seed=0, **changes):
    """Values of each channel for January and February, as a mapping."""
    rng = np.random.default_rng(seed)
    rain = np.maximum(rng.gamma(0.8, 6, SHAPE) - 1, 0)
    rain[rain < 0.1] = 0
    return {"pr": rain, "tas": rng.normal(280, 4, SHAPE), **changes}


def values(predictors, channel):
    return predictors["predictors"].sel(channel=channel).values


@pytest.mark.parametrize("method", ["delta", "quantile"])
def test_a_perfect_climate_model_is_not_changed(climate, method):
    predictors = predictors_of(weather(), {"msl": np.random.default_rng(2).normal(1e5, 500, (DAYS, 1, 3, 2))})
    own = climate(predictors)
    adjusted = adjust(predictors, method, own, own, own)
    np.testing.assert_allclose(adjusted["predictors"], predictors["predictors"], rtol=1e-5)
    np.testing.assert_allclose(adjusted["context"], predictors["context"], rtol=1e-6)
    assert adjusted["predictors"].dtype == np.float32


@pytest.mark.parametrize("method", ["delta", "quantile"])
def test_the_error_goes_and_the_change_stays(climate, method):
    now = weather()
    model = {"pr": 2 * now["pr"], "tas": now["tas"] + 3}
    future = {"pr": 1.3 * model["pr"], "tas": model["tas"] + 5}
    context = [{"msl": np.random.default_rng(2).normal(1e5, 500, (DAYS, 1, 3, 2)) + more} for more in (0, 200, 150)]
    trained, reference, application = map(predictors_of, (now, model, future), context)
    adjusted = adjust(application, method, climate(trained), climate(reference), climate(application))
    expected = 1.3 * now["pr"]
    np.testing.assert_allclose(values(adjusted, "pr"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values(adjusted, "tas"), now["tas"] + 5, atol=1e-3)
    np.testing.assert_allclose(adjusted["context"].values[:, :, 0], context[0]["msl"] - 50, atol=0.1)


def test_quantiles_correct_the_spread_and_delta_only_the_mean(climate):
    now = weather()
    model = now | {"tas": 280 + 1.5 * (now["tas"] - 280)}
    trained, application = predictors_of(now), predictors_of(model)
    climates = climate(trained), climate(application), climate(application)
    assert np.std(values(adjust(application, "delta", *climates), "tas")) > 1.4 * np.std(now["tas"])
    error = values(adjust(application, "quantile", *climates), "tas") - now["tas"]
    assert np.sqrt(np.mean(error**2)) < 0.1


def test_each_month_has_its_own_correction(climate):
    now = weather()
    february = np.arange(DAYS) >= 31
    model = now | {"tas": now["tas"] + np.where(february, 4, -2)[:, None, None, None]}
    application = predictors_of(model)
    for method in ("delta", "quantile"):
        adjusted = adjust(application, method, climate(predictors_of(now)), climate(application), climate(application))
        np.testing.assert_allclose(values(adjusted, "tas"), now["tas"], atol=1e-3)


def test_beyond_the_tables_the_last_correction_holds(climate):
    now = weather()
    own = climate(predictors_of(now))
    colder = climate(predictors_of(now | {"tas": now["tas"] - 2}))
    extreme = weather()
    extreme["tas"][0], extreme["tas"][1] = 400, 100
    adjusted = adjust(predictors_of(extreme), "quantile", colder, own, own)
    np.testing.assert_allclose(values(adjusted, "tas")[:2], extreme["tas"][:2] - 2, atol=1e-3)


def test_one_odd_extreme_of_the_training_moves_no_other_value(climate):
    now = {"pr": np.random.default_rng(3).gamma(0.8, 6, (31, 30, 1, 1))}
    odd = {"pr": now["pr"].copy()}
    odd["pr"].flat[now["pr"].argmax()] *= 20
    adjusted = adjust(predictors_of(now), "quantile", *map(climate, map(predictors_of, (odd, now, now))))
    np.testing.assert_allclose(values(adjusted, "pr"), np.where(now["pr"] < 0.05, 0, now["pr"]), rtol=1e-5)


def test_drizzle_becomes_dry_and_dry_days_stay_dry(climate):
    now = weather()
    model = now | {"pr": np.where(now["pr"] == 0, np.random.default_rng(5).uniform(0.1, 0.9, SHAPE), now["pr"] + 0.9)}
    application = predictors_of(model)
    adjusted = adjust(application, "quantile", *map(climate, map(predictors_of, (now, model, model))))
    assert abs((values(adjusted, "pr") == 0).mean() - (now["pr"] == 0).mean()) < 0.03
    too_dry = adjust(predictors_of(now), "quantile", *map(climate, map(predictors_of, (model, now, now))))
    assert (values(too_dry, "pr")[now["pr"] == 0] == 0).all()
    assert values(too_dry, "pr").max() < 2 * model["pr"].max()


DESERT = np.array([True, False, False])  # the first column of cells


def test_rain_that_comes_to_a_desert_is_bounded(climate):
    now = {"pr": weather()["pr"]}
    desert, rainy = {"pr": np.where(DESERT, 0.005, 1) * now["pr"]}, {"pr": 5 * now["pr"]}
    climates = climate(predictors_of(now)), climate(predictors_of(desert)), climate(predictors_of(rainy))
    adjusted = values(adjust(predictors_of(rainy), "quantile", *climates), "pr")[..., DESERT]
    assert (adjusted <= 2.001 * now["pr"][..., DESERT]).all()
    assert adjusted.mean() > 1.9 * now["pr"][..., DESERT].mean()


def test_rain_of_a_desert_is_scaled_by_no_more_than_ten(climate):
    now = weather()
    desert = now | {"pr": np.where(DESERT, 0.001, 1) * now["pr"]}
    climates = climate(predictors_of(now)), climate(predictors_of(desert)), climate(predictors_of(desert))
    adjusted = adjust(predictors_of(desert), "delta", *climates)
    np.testing.assert_allclose(values(adjusted, "pr"), np.where(DESERT, 10, 1) * desert["pr"], rtol=1e-5)
    dried = adjust(predictors_of(now), "delta", climates[1], climates[0], climates[0])
    assert (values(dried, "pr") >= np.where(DESERT, 0.1, 1) * now["pr"] * 0.999).all()


@pytest.mark.parametrize("method", ["delta", "quantile"])
def test_bounds_hold_where_a_channel_has_some(climate, method):
    rng = np.random.default_rng(1)
    now = {
        "hus": rng.gamma(2, 0.002, SHAPE),
        "hur": rng.uniform(30, 100, SHAPE),
        "tas": rng.normal(0, 4, SHAPE),  # stands for a quantity that may be negative, such as wind
    }
    model = {"hus": now["hus"] + 0.004, "hur": now["hur"] - 25, "tas": now["tas"] + 9}
    future = {"hus": model["hus"] * 0.5, "hur": np.minimum(model["hur"] + 40, 100), "tas": model["tas"]}
    climates = [climate(predictors_of(part)) for part in (now, model, future)]
    adjusted = adjust(predictors_of(future), method, *climates)
    assert values(adjusted, "hus").min() == 0
    assert values(adjusted, "hur").max() == 100
    assert values(adjusted, "tas").min() < 0


def test_realizations_and_years_are_adjusted_alike(climate):
    rng = np.random.default_rng(7)
    both = predictors_of(
        {"pr": rng.gamma(1, 4, (60, 2, 2, 3)), "tas": rng.normal(285, 4, (60, 2, 2, 3))}, calendar="360_day"
    )
    climates = climate(predictors_of(weather())), climate(predictors_of(weather(1))), climate(both)
    whole = adjust(both, "quantile", *climates)
    parts = [
        adjust(both.isel(time=days, realization=[one]), "quantile", *climates)
        for one in (0, 1)
        for days in (slice(0, 10), slice(10, 60))
    ]
    again = xr.combine_by_coords([part[["predictors"]] for part in parts])
    np.testing.assert_array_equal(again["predictors"], whole["predictors"])
    assert whole.sizes == both.sizes


def test_missing_months_and_other_cells_are_refused(climate):
    summer = predictors_of({name: field[:30] for name, field in weather().items()}, start="2081-06-01")
    winter = climate(predictors_of(weather()))
    with pytest.raises(UserError, match="30 days in June to adjust, but the training has 0 days in this month"):
        adjust(summer, "delta", winter, climate(summer), winter)
    with pytest.raises(UserError, match="30 days in June to adjust, but the reference run has 0 days in this month"):
        adjust(summer, "quantile", climate(summer), winter, climate(summer))
    short = climate(predictors_of({name: field[:9] for name, field in weather().items()}, start="2081-06-01"))
    for climates in ((short, climate(summer)), (climate(summer), short)):
        with pytest.raises(UserError, match="has 9 days in this month, expected at least 20 to know its climate"):
            adjust(summer, "delta", *climates)
    moved = summer.assign_coords(y=summer["y"] + 1)
    with pytest.raises(UserError, match="axis y differs from that in the climate of the training"):
        adjust(moved, "delta", climate(summer), climate(summer), climate(summer))


def test_a_reference_of_another_time_is_refused():
    require_period(range(1995, 2015), range(2015, 2024), "applications.a.reference.years")
    with pytest.raises(UserError, match=r"reference\.years: found 2071 to 2100, whose middle is 90 years from that"):
        require_period(range(2071, 2101), range(1981, 2011), "applications.a.reference.years")
    with pytest.raises(UserError, match="found 1861 to 1900, whose middle is 115 years"):
        require_period(range(1861, 1901), range(1981, 2011), "applications.a.reference.years")


@pytest.mark.parametrize(
    ("name", "lie", "words"),
    [
        ("tas", lambda tas: tas - 273.15, "found tas of the reference run with means that are 273 K away from those"),
        ("pr", lambda rain: rain / 24, "found pr of the reference run with 0.0417 times the mean rain of the training"),
    ],
)
def test_another_unit_or_variable_is_no_bias(climate, name, lie, words):
    now = weather()
    wrong = predictors_of(now | {name: lie(now[name])})
    with pytest.raises(UserError, match=words):
        adjust(wrong, "quantile", climate(predictors_of(now)), climate(wrong), climate(wrong))
