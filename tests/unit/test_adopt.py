"""Ensembles that another model made: every layout gives the same members, and what is not what it says is refused."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr
from fields import make_fields, normalisation_of

from rainshaft.baselines.table import names as baseline_names
from rainshaft.cli import main
from rainshaft.config.load import ConfigError, load
from rainshaft.config.sections import Config, Evaluation
from rainshaft.config.slices import AdoptSettings, experiment_slice
from rainshaft.data import likeness
from rainshaft.data.sources import InputError
from rainshaft.errors import UserError
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.evaluation.verdict import judge, summary, without_advice
from rainshaft.sampling.adopt import adopt, check_ensemble

KEY = "experiments.theirs"
DAYS, HEIGHT, WIDTH, MEMBERS = 365, 12, 16, 3
SIX_HOURS = np.timedelta64(6, "h")


@cache
def showers(seed: int) -> np.ndarray:
    """Rain of single days without memory (day, row, column), about a third of it dry."""
    noise = np.random.default_rng(seed).standard_normal((DAYS, HEIGHT, WIDTH))
    noise = scipy.ndimage.gaussian_filter(noise, (0, 1.5, 1.5))
    return np.clip(8 * np.exp(noise / noise.std()) - 6, 0, 150).astype("f4")


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The fields of a year, north first, with a corner without rain, and their normalisation."""
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:2, :3] = False
    folder = tmp_path_factory.mktemp("fields")
    fields = make_fields(folder / "2001.nc", showers(1), valid=valid)
    return [fields], normalisation_of(fields)


@pytest.fixture
def theirs():
    """Members of another model: the truth times noise of each cell, as a file of all days."""
    noise = np.random.default_rng(7).normal(0, 0.5, (DAYS, MEMBERS, HEIGHT, WIDTH))
    return xr.DataArray(
        (showers(1)[:, None] * np.exp(noise - 0.125)).astype("f4"),
        dims=("time", "member", "lat", "lon"),
        coords={
            "time": np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]").astype("datetime64[ns]"),
            "lat": ("lat", 30 - 0.05 * np.arange(HEIGHT), {"units": "degrees_north"}),
            "lon": ("lon", 10 + 0.05 * np.arange(WIDTH), {"units": "degrees_east"}),
        },
        attrs={"units": "mm/day"},
        name="pr",
    )


def adopted(folder, truth, *arrays, **keys):
    """Write files, adopt them, and give the ensemble and what was said. The file is whole or absent."""
    fields, normalisation = truth
    for number, array in enumerate(arrays):
        array.to_netcdf(folder / f"theirs_{number}.nc")
    settings = {"files": [str(folder / "theirs_*.nc")], "variable": "pr", "members_dim": None} | keys
    path = folder / "out/prior.nc"
    path.unlink(missing_ok=True)
    try:
        notes = adopt(AdoptSettings(**settings), KEY, fields, normalisation, path, {"source": "theirs"})
    except UserError:
        assert not path.parent.exists() or not list(path.parent.iterdir())
        raise
    return xr.load_dataset(path), notes


def refused(folder, truth, *arrays, **keys) -> str:
    with pytest.raises(UserError) as error:
        adopted(folder, truth, *arrays, **keys)
    return str(error.value)


# ------------------------------------------------------------------------------------------ layouts


def double(data):
    """In double precision, so that units can be changed without a change of the numbers in single precision."""
    return data.astype("f8").assign_attrs(data.attrs)


def flux_south_up_members_last(data):
    turned = (double(data) / 86400).assign_attrs(units="kg m-2 s-1").isel(lat=slice(None, None, -1))
    return [turned.transpose("lon", "lat", "time", "member").rename(member="realization")], {}


def a_file_a_member(data):
    return [(double(data)[:, m] / 24).assign_attrs(units="mm/h") for m in range(MEMBERS)], {}


def half_a_year_of_each_member(data):
    halves = slice(None, 170), slice(170, None)
    return [(double(data)[half, m] / 1000).assign_attrs(units="m") for m in range(MEMBERS) for half in halves], {}


def larger_with_named_members(data):
    wide = data.pad(lat=(2, 3), lon=(1, 4), constant_values=0)
    wide = wide.assign_coords(lat=30.1 - 0.05 * np.arange(HEIGHT + 5), lon=9.95 + 0.05 * np.arange(WIDTH + 5) + 360)
    wide["lat"].attrs, wide["lon"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    names = [f"r{m}i1p1f1" for m in range(MEMBERS)]
    return [wide.transpose("member", ...).rename(member="ens").assign_coords(ens=names)], {}


def six_hours_with_bounds(data):
    ends = (data.time.values[:, None] + np.arange(1, 5) * SIX_HOURS).ravel()
    quarters = data.isel(time=np.repeat(np.arange(DAYS), 4)) / 4
    file = quarters.assign_attrs(units="mm", cell_methods="time: sum").assign_coords(time=ends).to_dataset()
    file["time_bnds"] = ("time", "bnds"), np.stack([ends - SIX_HOURS, ends], axis=1)
    file["time"].attrs["bounds"] = "time_bnds"
    file["time"].encoding["units"] = file["time_bnds"].encoding["units"] = "hours since 2001-01-01"
    return [file.rename(member="variant")], {"members_dim": "variant"}


def other_calendar_at_noon_rounded_axes(data):
    noon = data.assign_coords(time=data.time + 2 * SIX_HOURS, lat=data.lat.astype("f4"), lon=data.lon.astype("f4"))
    return [noon.convert_calendar("noleap")], {}


def without_units_in_the_file(data):
    return [data.drop_attrs()], {"units": "mm/day"}


LAYOUTS = (
    flux_south_up_members_last,
    a_file_a_member,
    half_a_year_of_each_member,
    larger_with_named_members,
    six_hours_with_bounds,
    other_calendar_at_noon_rounded_axes,
    without_units_in_the_file,
)


@pytest.mark.filterwarnings("ignore:.*CF decoding")
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_members(tmp_path, truth, theirs, layout):
    arrays, keys = layout(theirs)
    found, _ = adopted(tmp_path, truth, *arrays, **keys)
    _, normalisation = truth
    chosen = np.isin(normalisation.split.values, ("validation", "test"))
    expected = np.where(normalisation.valid.values == 1, theirs.values[chosen], np.nan)
    np.testing.assert_array_equal(found.pr.values, expected)
    for name in ("split", "category"):
        np.testing.assert_array_equal(found[name].values.astype(str), normalisation[name].values[chosen].astype(str))
    assert found.attrs["mode"] == "prior"


def test_a_file_without_members_is_an_ensemble_of_one(tmp_path, truth, theirs):
    found, _ = adopted(tmp_path, truth, theirs.isel(member=0))
    assert found.sizes["member"] == 1


def test_a_zarr_store_is_read(tmp_path, truth, theirs):
    pytest.importorskip("zarr")
    theirs.to_dataset().to_zarr(tmp_path / "theirs.zarr", zarr_format=2)
    found, _ = adopted(tmp_path, truth, files=[str(tmp_path / "theirs.zarr")])
    assert found.sizes["member"] == MEMBERS


def test_an_adopted_ensemble_file_has_the_scores_of_the_first_one(tmp_path, truth, theirs):
    fields, _ = truth
    adopted(tmp_path, truth, theirs)
    settings, folder = Evaluation(bootstrap=10, fss_scales=(1,)), tmp_path / "again"
    first, _ = evaluate([tmp_path / "out/prior.nc"], fields, settings)
    folder.mkdir()
    adopted(folder, truth, files=[str(tmp_path / "out/prior.nc")])
    again, _ = evaluate([folder / "out/prior.nc"], fields, settings)
    assert json.dumps(again) == json.dumps(first)


def test_memory_does_not_decide_on_the_members(tmp_path, truth, theirs, monkeypatch):
    whole, said = adopted(tmp_path, truth, theirs)
    monkeypatch.setattr(likeness, "BATCH_BYTES", 1.0)  # a day at a time
    (tmp_path / "days").mkdir()
    by_days, said_by_days = adopted(tmp_path / "days", truth, theirs)
    xr.testing.assert_identical(whole, by_days)
    assert said_by_days == said


# ------------------------------------------------------------------------------------------ grids, files, days


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.isel(lat=slice(1, None)), "found 11 x 16 cells"),
        (lambda d: d.coarsen(lat=2, lon=2).mean().assign_attrs(d.attrs), "expected the grid of the rain, 12 x 16"),
        (lambda d: d.assign_coords(lon=d.lon + 0.025), "longitude 10 to 10.8), expected the grid of the rain"),
        (lambda d: d.rename(member="variant"), f"if it counts the members, write {KEY}.members_dim: variant"),
        (lambda d: d.drop_attrs(), f"found no units, expected units that convert to mm/day; state them as {KEY}.units"),
        (lambda d: d.assign_coords(time=d.time + np.timedelta64(3650, "D")), "found none of the 180 days"),
        (lambda d: d.isel(time=slice(0, 200)), "found 50 of 90 test days; 40 are missing, the first 2001-08-04"),
        (lambda d: d.rename(member="sample").expand_dims(number=2), "which both may count members"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, truth, theirs, change, words):
    assert words in refused(tmp_path, truth, change(theirs))


def test_a_dimension_that_is_not_there_is_refused(tmp_path, truth, theirs):
    assert "expected run among them, as experiments.theirs.members_dim says" in refused(
        tmp_path, truth, theirs, members_dim="run"
    )


def test_members_of_different_days_are_refused(tmp_path, truth, theirs):
    text = refused(tmp_path, truth, theirs[:, 0], theirs[:300, 1])
    assert re.search(r"theirs_1.nc, variable pr: found \d+ of the days, without \d+ of those of .*theirs_0.nc", text)


def test_other_numbers_of_members_in_other_files_are_refused(tmp_path, truth, theirs):
    text = refused(tmp_path, truth, theirs[:170], theirs[170:, :2])
    assert "theirs_1.nc, variable pr: found 2 members, expected 3 as in" in text


def test_days_that_are_in_two_files_must_be_equal(tmp_path, truth, theirs):
    adopted(tmp_path, truth, theirs[:200], theirs[180:])
    text = refused(tmp_path, truth, theirs[:200], 2 * theirs[180:].assign_attrs(theirs.attrs), units="mm/day")
    assert "equal values where a day is there twice" in text


def test_validation_days_may_be_missing_and_that_is_said(tmp_path, truth, theirs):
    split = truth[1].split.values
    found, notes = adopted(tmp_path, truth, theirs.isel(time=split == "test"))
    assert set(found.split.values) == {"test"}
    assert any("no validation day is in the files, so the members cannot be judged" in note for note in notes)
    some = (split == "test") | (np.arange(DAYS) < 100)
    _, notes = adopted(tmp_path, truth, theirs.isel(time=some))
    assert any(re.search(r"\d+ of 90 validation days are not there", note) for note in notes)


# ------------------------------------------------------------------------------------------ values


def upside_down(data):
    return data.copy(data=data.values[:, :, ::-1])


def west_to_east(data):
    return data.copy(data=data.values[..., ::-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.assign_coords(time=d.time + np.timedelta64(1, "D")), "these records lie one day late"),
        (lambda d: d.assign_coords(time=d.time - np.timedelta64(1, "D")), "these records lie one day early"),
        (lambda d: (24 * d).assign_attrs(d.attrs), "hours for days"),
        (lambda d: (d / 86400).assign_attrs(d.attrs), "seconds for days"),
        (upside_down, "upside down, with north and south exchanged"),
        (west_to_east, "mirrored, with west and east exchanged"),
        (lambda d: d.isel(member=[0, 1, 0]), "found members 0 and 2 equal in every cell on 180 of 180 days with rain"),
    ],
)
def test_an_ensemble_that_is_not_what_it_says_is_refused_with_numbers(tmp_path, truth, theirs, change, words):
    assert words in refused(tmp_path, truth, change(theirs))


def first_test_day(truth) -> int:
    return int(np.flatnonzero(truth[1].split.values == "test")[0])


def test_a_test_day_without_any_member_is_refused(tmp_path, truth, theirs):
    first = first_test_day(truth)
    theirs[first] = np.nan
    date = str(theirs.time.values[first])[:10]
    assert f"found no member at all on 1 of 90 test days, the first {date}" in refused(tmp_path, truth, theirs)


def test_one_file_given_twice_is_refused(tmp_path, truth, theirs):
    text = refused(tmp_path, truth, theirs[:, 0], theirs[:, 1], theirs[:, 0])
    assert "found members 0 and 2 equal" in text
    assert "was a file given twice?" in text


def test_a_day_that_is_stated_stays_and_the_lag_becomes_a_note(tmp_path, truth, theirs):
    late = theirs.copy(data=np.roll(theirs.values, 1, axis=0))
    _, notes = adopted(tmp_path, truth, late, day="start")
    assert any(
        re.search(r"correlation \S+ with the rain of the same date, 0.9\d with that of the date before", note)
        and "This stays so, because experiments.theirs.day is stated" in note
        for note in notes
    )


def test_gaps_in_a_member_are_refused_with_their_number(tmp_path, truth, theirs):
    first = first_test_day(truth)
    theirs[first, 1, 5, 5] = np.nan
    theirs[first + 1, 2, 5, 5:8] = np.inf
    theirs[:, :, 0, 0] = np.nan  # where no rain is observed
    text = refused(tmp_path, truth, theirs)
    assert "found 4 values that are NaN or infinite in valid cells, on 2 of 180 days" in text
    assert f"the first {str(theirs.time.values[first])[:10]}, member 1" in text
    theirs[:, :, 5, 5] = np.nan
    assert "1 of 186 valid cells never have a value" in refused(tmp_path, truth, theirs)


def test_a_whole_member_of_a_day_may_be_missing(tmp_path, truth, theirs):
    first = first_test_day(truth)
    theirs[first, 1] = np.nan
    found, notes = adopted(tmp_path, truth, theirs)
    day = found.pr.sel(time=theirs.time[first])
    assert np.isnan(day[1]).all()
    assert np.isfinite(day[0].values[truth[1].valid.values == 1]).all()
    assert "The ensemble: 1 of 540 members are missing on their day and take no part." in notes


def test_tiny_negative_rain_is_set_to_0_and_more_is_refused(tmp_path, truth, theirs):
    first = first_test_day(truth)
    theirs[first, 0, 5, 5] = -0.02
    found, notes = adopted(tmp_path, truth, theirs)
    assert float(found.pr.min()) == 0
    assert "The ensemble: 1 values between -0.1 and 0 mm/day set to 0, the lowest -0.02." in notes
    theirs[first, 0, 5, 6] = -999
    assert "found 1 values, the worst -999 mm/day, on 1 of 180 days" in refused(tmp_path, truth, theirs)


@pytest.mark.parametrize(("value", "is_refused"), [(9999, True), (1e20, True), (2345.6, False)])
def test_a_mark_of_no_value_is_no_rain_and_a_high_value_is_noted(tmp_path, truth, theirs, value, is_refused):
    first = first_test_day(truth)
    theirs[first, 0, 5, 5] = value
    if is_refused:
        assert "declare it as _FillValue" in refused(tmp_path, truth, theirs)
    else:
        _, notes = adopted(tmp_path, truth, theirs)
        assert any("1 values above 2000 mm/day, the highest 2346" in note for note in notes)


def noted(notes, pattern):
    return [note for note in notes if re.search(pattern, note)]


def test_what_looks_odd_is_noted_with_numbers(tmp_path, truth, theirs):
    _, notes = adopted(tmp_path, truth, theirs)
    assert not noted(notes, "cell|equal|repeat|nothing to do|biased|truth|median member")
    other_units = theirs.copy(deep=True)
    other_units[:, 1] *= 3
    _, notes = adopted(tmp_path, truth, other_units)
    assert noted(notes, r"member 1 has \d.* mm/day on average, and the median member \d")
    assert len(noted(notes, "median member")) == 1
    other_units[:, 1] = 0.5 * theirs[:, 1]
    other_units[10:, 2] = np.nan  # a member of few days is not judged, and the others are
    _, notes = adopted(tmp_path, truth, other_units)
    assert not noted(notes, "median member"), "two members cannot tell which of them is odd"
    other_units[:, 2] = theirs[:, 2]
    _, notes = adopted(tmp_path, truth, other_units)
    assert noted(notes, "member 1 has .* and the median member")
    other_units[:, 1] = 1.3 * theirs[:, 1]
    _, notes = adopted(tmp_path, truth, other_units)
    assert not noted(notes, "median member")
    shuffled = theirs.copy(data=theirs.values[np.random.default_rng(3).permutation(DAYS)])
    _, notes = adopted(tmp_path, truth, shuffled)
    assert noted(notes, "has nothing to do with the rain of any of these days")
    _, notes = adopted(tmp_path, truth, (2 * theirs).assign_attrs(theirs.attrs))
    assert noted(notes, r"(2|2\.\d+|1\.9\d) times the .*It is biased")
    moved = theirs.copy(data=np.roll(theirs.values, 1, axis=3))
    _, notes = adopted(tmp_path, truth, moved)
    assert noted(notes, "if the ensemble stands 1 (coarse )?cell east of its place")
    with_truth = theirs.copy(deep=True)
    with_truth[:, 1] = showers(1)
    _, notes = adopted(tmp_path, truth, with_truth)
    assert noted(notes, "member 1 equals the observed rain in every cell on 180 of 180 days with rain")
    with_truth[:, 1] = theirs[:, 0].where(theirs.time.dt.month > 2, theirs[:, 1])
    _, notes = adopted(tmp_path, truth, with_truth)
    assert noted(notes, r"found members 0 and 1 equal in every cell on \d+ of 180 days with rain\. Was a part")
    theirs[100:] = theirs[:265].values
    _, notes = adopted(tmp_path, truth, theirs)
    assert noted(notes, "days repeat the rain of another day")


# ------------------------------------------------------------------------------------------ configuration


def configuration(folder: Path | None = None, **keys) -> Config:
    entry = {"source": "files", "dataset": "rain", "files": [str(folder or "x.nc")], "variable": "pr"} | keys
    dataset = {
        "years": [2001],
        "factor": 2,
        "rain": {"files": [str(folder.parent / "rain.nc") if folder else "rain.nc"], "variable": "pr"},
        "split": {"by": "blocks", "block_days": 5, "cycle": ["train", "validation", "train", "test"]},
    }
    experiments = {"mine": {"dataset": "rain"}, "theirs": entry}
    return load({"datasets": {"rain": dataset}, "experiments": experiments, "replicates": 2}, NAMES)


NAMES = baseline_names()


def test_members_from_files_have_no_training_and_no_replicates():
    config = configuration()
    assert list(config.experiments) == ["mine-s1", "mine-s2", "theirs"]
    assert config.families["theirs"] == ("theirs",)
    assert list(config.trained) == ["mine-s1", "mine-s2"]
    assert config.adopted["theirs"].modes == ("prior",)
    assert set(experiment_slice(config, "theirs", "adopt")) == set(AdoptSettings.model_fields)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"source": "file"},
            "experiments.theirs.source: found 'file', expected 'training' or 'files' or 'general'; did you mean files?",
        ),
        ({"member_dim": "x"}, "experiments.theirs.member_dim: unknown key; did you mean members_dim?"),
        ({"loss": {}}, "experiments.theirs.loss: unknown key; the keys here are files, variable, level"),
        ({"dataset": "rains"}, "experiments.theirs.dataset: no dataset is called 'rains'; did you mean rain?"),
        ({"files": []}, "experiments.theirs.files: found [], expected at least 1 entry"),
    ],
)
def test_a_fault_in_the_configuration_is_one_line(keys, message):
    with pytest.raises(ConfigError) as error:
        configuration(**keys)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_an_application_needs_a_model():
    config = configuration().model_dump(exclude_unset=True)
    config["experiments"] = {"theirs": config["experiments"]["theirs"]}
    config["applications"] = {"later": {"experiment": "theirs", "years": [2010]}}
    with pytest.raises(ConfigError, match="found 'theirs', whose members come from files, expected an experiment that"):
        load(config, NAMES)


def test_the_headers_are_looked_at_before_any_work(tmp_path, theirs):
    rain = theirs.isel(member=0).drop_attrs(deep=False).assign_attrs(units="mm/day")
    rain.to_netcdf(tmp_path / "rain.nc")
    theirs.to_netcdf(tmp_path / "theirs.nc")
    (count, *_) = check_ensemble(configuration(tmp_path / "theirs.nc"), "theirs")
    assert count == "3 members on 180 validation and test days in 1 files"
    theirs.isel(time=slice(0, 200)).to_netcdf(tmp_path / "short.nc")
    said = check_ensemble(configuration(tmp_path / "short.nc"), "theirs")
    assert any("found 50 of 90 test days; 40 are missing" in sentence for sentence in said)
    theirs.isel(lat=slice(3, None)).to_netcdf(tmp_path / "small.nc")
    with pytest.raises(InputError, match="found 9 x 16 cells"):
        check_ensemble(configuration(tmp_path / "small.nc"), "theirs")
    with pytest.raises(InputError, match=r"experiments.theirs.files: found no file for .*none.nc"):
        check_ensemble(configuration(tmp_path / "none.nc"), "theirs")


def test_the_verdict_on_another_model_advises_no_edit(tmp_path, truth, theirs):
    fields, _ = truth
    adopted(tmp_path, truth, theirs)
    scores, _ = evaluate([tmp_path / "out/prior.nc"], fields, Evaluation(bootstrap=10, fss_scales=(1,)), name="theirs")
    verdict = without_advice(judge(scores, []))
    assert any(check["passed"] is False for check in verdict["checks"])
    assert "next:" not in summary(verdict)
    assert "sampling." not in summary(verdict)


# ------------------------------------------------------------------------------------------ without a workflow


@pytest.fixture
def observed(tmp_path, theirs):
    """The observed rain as a file of a user, south first."""
    rain = theirs.isel(member=0).copy(data=showers(1)).isel(lat=slice(None, None, -1))
    rain.to_netcdf(tmp_path / "rain_2001.nc")
    return str(tmp_path / "rain_{year}.nc")


def test_the_shell_scores_all_common_days_and_writes_files(tmp_path, theirs, observed, capsys):
    theirs[:200].rename("precip").to_netcdf(tmp_path / "theirs.nc")
    folder = tmp_path / "scores"
    assert main(["evaluate", str(tmp_path / "theirs.nc"), observed, "--output", str(folder), "--factor", "4"]) == 0
    printed = capsys.readouterr().out
    assert "200 days from 2001-01-01 to 2001-07-19, 3 members" in printed
    assert re.search(r"^theirs +\d", printed, re.MULTILINE)
    assert {path.name for path in folder.iterdir()} == {"scores.json", "scores_by_day.nc", "table.md"}
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert scores["all"]["all_days"]["days"] == 200
    assert scores["members"] == MEMBERS


def test_the_shell_and_the_workflow_give_equal_scores(tmp_path, truth, theirs, capsys):
    fields, normalisation = truth
    adopted(tmp_path, truth, theirs)
    expected, _ = evaluate([tmp_path / "out/prior.nc"], fields, Evaluation())
    is_test = normalisation.split.values == "test"
    theirs.isel(time=is_test).to_netcdf(tmp_path / "members.nc")
    rain = xr.load_dataset(fields[0])["pr"].assign_attrs(units="mm/day")
    rain.to_netcdf(tmp_path / "rain.nc")
    words = ["evaluate", str(tmp_path / "members.nc"), str(tmp_path / "rain.nc"), "--factor", "2"]
    assert main([*words, "--output", str(tmp_path / "scores")]) == 0
    found = json.loads((tmp_path / "scores/scores.json").read_text(encoding="utf-8"))
    assert found["all"]["all_days"] == expected["test"]["all_days"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda d: d.drop_attrs(), [], "found no units, expected units that convert to mm/day; state them as --units"),
        (lambda d: d.rename(member="variant"), [], "if it counts the members, write --members-dim variant"),
        (lambda d: d.rename("a").to_dataset().assign(b=d), [], "expected one with a name of rain, such as pr"),
        (lambda d: d, ["--variable", "tp"], "found the variables pr"),
        (lambda d: d, ["--factor", "0"], "--factor: found 0, expected 1 or more"),
        (
            lambda d: d.assign_coords(time=d.time + np.timedelta64(1, "D")),
            [],
            "if the stamps stand at the end of their days, write `--day end`",
        ),
        (lambda d: d.assign_coords(time=d.time + np.timedelta64(3650, "D")), [], "which has 2010 to 2011"),
    ],
)
def test_the_shell_says_what_is_wrong_in_its_own_words(tmp_path, theirs, observed, capsys, change, options, message):
    change(theirs).to_netcdf(tmp_path / "theirs.nc")
    assert main(["evaluate", str(tmp_path / "theirs.nc"), observed, *options]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
