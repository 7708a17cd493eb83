"""Predictors of another day, of no day, of another size or place are refused. True ones pass, whatever the season."""

import numpy as np
import pytest
import xarray as xr
from fields import RAIN, make_fields

from rainshaft.data import positions
from rainshaft.data.fields import Fields
from rainshaft.data.pairing import Origin, require_pairs
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf

COARSE = Origin("predictors.0", "predictor tp", "rain", day_is_stated=False)
WARM = Origin("predictors.1", "predictor tas", "temperature", day_is_stated=False)


def weather(days, seed=0, season=True):
    """Rain (day, 8, 12) of storms that last for two or three days, with a season."""
    rng = np.random.default_rng(seed)
    storm = rng.normal(0, 1, (days + 2, 4, 6))
    storm = (storm[:-2] + 1.5 * storm[1:-1] + storm[2:]) / 2  # neighbouring days resemble each other
    storm += rng.normal(0, 1, (days, 1, 1))
    if season:
        storm += np.sin(np.arange(days) * 2 * np.pi / 365)[:, None, None]
    coarse = np.maximum(storm, 0) ** 2 * 4
    return np.repeat(np.repeat(coarse, 2, 1), 2, 2) * rng.gamma(2, 0.5, (days, 8, 12)), coarse


@pytest.fixture
def fields_of(tmp_path):
    """Write the fields of rain with coarse rain and perhaps a temperature, and give their path."""

    def fields_of(rain, coarse, temperature=None, sources=(COARSE, WARM), **keys):
        origins = (RAIN, *sources) if sources[0].key != "rain" else sources
        path = make_fields(tmp_path / "2001.nc", rain, temperature=temperature, sources=origins, **keys)
        with xr.open_dataset(path) as opened:
            year = opened.load()
        year["predictors"][:, 0] = coarse
        write_netcdf(year, path)
        return path

    return fields_of


def noise(days, seed=9):
    return 280 + np.random.default_rng(seed).normal(0, 1, (days, 4, 6))


def compare(path):
    with Fields([path]) as fields:
        return require_pairs(fields)


def refused(*args, **kwargs):
    with pytest.raises(UserError) as caught:
        compare(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("days", [60, 120, 365, 800])
@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_coarse_rain_of_its_days_passes(fields_of, days, calendar):
    rain, coarse = weather(days, seed=days)
    assert not [note for note in compare(fields_of(rain, coarse, calendar=calendar)) if "tp" in note]


@pytest.mark.parametrize(
    ("shift", "side", "cure"),
    [(1, "one day late", "`predictors.0.day: end`"), (-1, "one day early", "`rain.day: end`")],
)
@pytest.mark.parametrize("days", [120, 365])
def test_coarse_rain_of_another_day_is_refused_with_the_lag_and_the_cure(fields_of, days, shift, side, cure):
    rain, coarse = weather(days)
    message = refused(fields_of(rain, np.roll(coarse, shift, 0), noise(days)))
    assert message.startswith("predictors.0.files (predictor tp): found correlation 0.")
    assert side in message
    assert cure in message
    assert f"on {days - 2} days" in message


def test_where_all_predictors_lag_the_rain_may_be_wrong(fields_of):
    rain, coarse = weather(400)
    warm = 280 + 3 * np.log1p(coarse) + np.random.default_rng(1).normal(0, 0.1, coarse.shape)
    message = refused(fields_of(rain, np.roll(coarse, -1, 0), np.roll(warm, -1, 0)))
    assert message.count("it may be rain.files (rain) that lies one day late") == 2
    only_one = refused(fields_of(rain, np.roll(coarse, -1, 0), warm))
    assert "rain.files" not in only_one
    assert "tas" not in only_one


def test_a_stated_day_is_left_as_it_is_with_a_note(fields_of):
    rain, coarse = weather(120)
    for stated in ("predictors.0", "rain"):
        origins = [Origin(o.key, o.name, o.quantity, day_is_stated=o.key == stated) for o in (RAIN, COARSE, WARM)]
        notes = compare(fields_of(rain, np.roll(coarse, 1, 0), sources=origins))
        assert any("one day late" in note and "states the day" in note for note in notes)


def test_a_temperature_may_follow_the_rain_by_a_little(fields_of):
    """Rain cools the air of the day after it more than that of its own day. That is weather and no mistake."""
    days = 800
    rain, coarse = weather(days)
    cold = np.log1p(coarse)
    warm = 280 - 0.8 * cold - np.roll(cold, 1, 0) + np.random.default_rng(1).normal(0, 1, cold.shape)
    assert not compare(fields_of(rain, coarse, warm))
    assert "predictors.1.files (predictor tas)" in refused(fields_of(rain, coarse, np.roll(280 - cold, 1, 0)))


def test_rain_of_no_day_is_refused_and_another_predictor_is_named(fields_of):
    rain, coarse = weather(365)
    notes = compare(fields_of(rain, coarse, noise(365)))
    assert len(notes) == 1
    assert "predictors.1.files (predictor tas): correlation" in notes[0]
    assert "nothing to do with the rain of any day" in notes[0]
    other = weather(365, seed=77)[1]
    assert "climate model" in refused(fields_of(rain, other))
    assert not compare(fields_of(rain[:60], other[:60], noise(60))), "sixty days do not tell"


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (24, "hours for days"),
        (1 / 24, "hours for days"),
        (1000, "metres for millimetres"),
        (86400, "seconds for days"),
        (5, "times the"),
    ],
)
def test_coarse_rain_of_another_size_is_refused(fields_of, factor, words):
    rain, coarse = weather(365)
    message = refused(fields_of(rain, coarse * factor))
    assert words in message
    assert "predictors.0.units" in message


def test_a_bias_is_noted(fields_of):
    rain, coarse = weather(365)
    notes = compare(fields_of(rain, coarse * 2))
    assert any("biased" in note for note in notes)
    assert not any("biased" in note for note in compare(fields_of(rain, coarse * 1.2)))


def test_only_days_that_follow_each_other_are_compared(fields_of):
    """Where every second ten days are missing, eight of ten have a day before and a day after."""
    rain, coarse = weather(400)
    path = fields_of(rain, np.roll(coarse, 1, 0), noise(400))
    with xr.open_dataset(path) as opened:
        year = opened.load()
    write_netcdf(year.isel(time=np.arange(400) // 10 % 2 == 0), path)
    assert "on 160 days" in refused(path)


def test_the_size_is_that_of_the_cells_where_both_are(fields_of):
    rain, coarse = weather(200)
    valid = np.ones((8, 12))
    valid[:, 6:] = 0
    valid[1, :] = 0
    coarse[:, :, 3:] = 500.0  # where there is no fine rain, the coarse rain does not matter
    assert not [note for note in compare(fields_of(rain, coarse, valid=valid)) if "mean" in note]


def test_cells_without_a_value_take_no_part(fields_of):
    rain, coarse = weather(200)
    warm = noise(200)
    warm[:, 0, 0] = np.nan
    compare(fields_of(rain, coarse, warm))


def test_weather_that_tells_little_lags_together(fields_of):
    """Each map alone cannot tell the day, but all of them together can."""
    rng = np.random.default_rng(2)
    days = 900
    rain, coarse = weather(days)
    signal = np.log1p(coarse)
    context = {name: np.roll(signal + rng.normal(0, 1.5, signal.shape), 1, 0) for name in ("msl", "z", "u")}
    others = [
        Origin(f"predictors.{i}", f"predictor {name}", "other", day_is_stated=False) for i, name in enumerate(context)
    ]
    path = make_fields(path_of(fields_of), rain, context=context, coarse=False, sources=[RAIN, *others])
    message = refused(path)
    assert "predictors.0.files, predictors.1.files, predictors.2.files (predictors msl, z, u)" in message
    assert "`day: end` for each of these predictors" in message


def path_of(fields_of):
    """A path in the folder of the test."""
    return fields_of(*weather(60)).with_name("2002.nc")


MIRRORED = {
    "upside down": lambda maps: maps[:, ::-1],
    "west and east exchanged": lambda maps: maps[:, :, ::-1],
    "180 degrees": lambda maps: maps[:, ::-1, ::-1],
}


def storms(days, seed=0, rows=4, columns=6):
    """Rain (day, 2 rows, 2 columns), and coarse rain (day, rows, columns) with errors and a bias of its own."""
    rng = np.random.default_rng(seed)
    mountain = np.linspace(0, 2, columns)
    storm = rng.normal(0, 1, (days, rows, columns)) + rng.normal(0, 1, (days, 1, 1)) + mountain
    error = rng.normal(0, 0.7, storm.shape) + 2 * mountain[::-1]  # the wet side of the model is the other one
    rain, coarse = (np.maximum(values, 0) ** 2 * 2 for values in (storm, storm + error))
    fine = np.repeat(np.repeat(rain, 2, 1), 2, 2) * rng.gamma(2, 0.5, (days, 2 * rows, 2 * columns))
    return fine, coarse * fine.mean() / coarse.mean()


def notes_of(path):
    """What is said of the coarse rain."""
    return [note for note in compare(path) if "tp" in note]


@pytest.mark.parametrize("days", [60, 365])
@pytest.mark.parametrize("seed", range(3))
def test_biased_rain_in_its_place_passes(fields_of, days, seed):
    assert not notes_of(fields_of(*storms(days, seed)))


@pytest.mark.parametrize("words", MIRRORED)
@pytest.mark.parametrize("days", [60, 365])
def test_mirrored_rain_is_refused(fields_of, words, days):
    fine, coarse = storms(days)
    message = refused(fields_of(fine, MIRRORED[words](coarse)))
    assert message.startswith("predictors.0.files (predictor tp): found a correlation of ")
    assert words in message
    assert "order" in message


def test_exchanged_rows_and_columns_are_refused(fields_of):
    fine, coarse = storms(365, rows=5, columns=5)
    assert "rows and columns exchanged" in refused(fields_of(fine, coarse.swapaxes(1, 2)))


@pytest.mark.parametrize(
    ("axis", "cells", "words"),
    [
        (1, 1, "1 coarse cell south of"),
        (1, -2, "2 coarse cells north of"),
        (2, 2, "2 coarse cells east of"),
        (2, -1, "1 coarse cell west of"),
    ],
)
def test_moved_rain_is_noted_with_the_side(fields_of, axis, cells, words):
    fine, coarse = storms(365, rows=7, columns=8)
    notes = notes_of(fields_of(fine, np.roll(coarse, cells, axis)))
    assert len(notes) == 1
    assert words in notes[0]
    assert "Check its coordinates" in notes[0]


def test_long_records_are_compared_on_some_of_their_days(fields_of, monkeypatch):
    monkeypatch.setattr(positions, "MAP_VALUES", 24 * 100)
    fine, coarse = storms(730)
    assert not notes_of(fields_of(fine, coarse))
    assert "upside down" in refused(fields_of(fine, coarse[:, ::-1]))
