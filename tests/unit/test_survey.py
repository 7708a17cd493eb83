"""`init` writes a configuration that fits the files. `check` says what it will do, and names all problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from rainshaft.baselines import table as baselines
from rainshaft.cli import main
from rainshaft.config.load import load
from rainshaft.config.sections import Config
from rainshaft.config.slices import PrepareSettings, dataset_slice
from rainshaft.data.prepare import check_sources
from rainshaft.data.sources import InputError
from rainshaft.survey.find import expand, is_rain
from rainshaft.survey.init import init
from rainshaft.survey.relate import correlation_of_changes
from rainshaft.survey.report import check, duration

CELL = 0.1  # degrees, of the fine rain


def days_of(*years: int) -> np.ndarray:
    return np.concatenate([np.arange(f"{y}-01-01", f"{y + 1}-01-01", dtype="datetime64[D]") for y in years])


def weather(days: np.ndarray, height: int = 16, width: int = 24) -> np.ndarray:
    """Rain in mm/day (day, row, column) that changes from day to day over the whole domain, with fine structure."""
    rng = np.random.default_rng(int(days[0].astype(int)))
    of_day = rng.gamma(0.5, 8, (len(days), 1, 1))
    smooth = np.repeat(np.repeat(rng.gamma(2, 0.5, (len(days), height // 4, width // 4)), 4, 1), 4, 2)
    return of_day * smooth * rng.gamma(3, 1 / 3, (len(days), height, width))


def blocks(values: np.ndarray, size: int) -> np.ndarray:
    days, height, width = values.shape
    return values.reshape(days, height // size, size, width // size, size).mean((2, 4))


def write(
    path: Path,
    name: str,
    values: np.ndarray,
    days: np.ndarray | None,
    cell: float = CELL,
    north: float = 45.0,
    west: float = 8.0,
    units: str | None = None,
    **attributes: str,
) -> None:
    """One variable on a grid with its north-west corner at `north`, `west`."""
    height, width = values.shape[-2:]
    axes = {"lat": north - cell * (np.arange(height) + 0.5), "lon": west + cell * (np.arange(width) + 0.5)}
    dims = ("lat", "lon") if days is None else ("time", "lat", "lon")
    coords = axes if days is None else {"time": days.astype("datetime64[ns]"), **axes}
    data = xr.DataArray(values.astype("f4"), coords, dims, attrs=attributes | ({"units": units} if units else {}))
    data["lat"].attrs, data["lon"].attrs = {"units": "degrees_north"}, {"units": "degrees_east"}
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_dataset(name=name).to_netcdf(path)


def anomalies(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The folder of the user's files."""
    folder = tmp_path / "valley"
    folder.mkdir()
    return folder


@pytest.fixture
def made(raw: Path, tmp_path: Path):
    """Write the configuration for the files, and give it with its text."""

    def made(*words: str) -> tuple[Config, str]:
        output = tmp_path / "my.yaml"
        output.unlink(missing_ok=True)
        init(words or [str(raw)], output)
        text = output.read_text(encoding="utf-8")
        config = load(yaml.safe_load(text), baselines.names())
        for name, dataset in config.datasets.items():
            check_sources(PrepareSettings(**dataset_slice(config, name, "prepare")), dataset.years)
        return config, text

    return made


def of(config: Config):
    """The only dataset and the only experiment."""
    (dataset,), (experiment,) = config.datasets.values(), config.experiments.values()
    return dataset, experiment


def labels(dataset) -> list[str]:
    return [p.label for p in dataset.predictors]


def rain(raw: Path, *years: int, name: str = "rain", **keys: str) -> np.ndarray:
    """Write fine rain, and give its values."""
    days = days_of(*years)
    values = weather(days)
    write(raw / f"{name}.nc", "pr", values, days, **{"units": "mm/day", **keys})
    return values


def test_files_of_an_hour_each_become_days(raw, made):
    """Their names end with the hour, so files of one hour of the day must not be taken for daily rain."""
    hours = np.arange("2001-01-01", "2001-01-04", dtype="datetime64[h]")
    values = np.random.default_rng(0).gamma(0.5, 1, (len(hours), 16, 24))
    for hour, value in zip(hours, values, strict=True):
        day, clock = str(hour).split("T")
        name = f"MODEL_H.A{day.replace('-', '')}.{clock}00.002.nc"
        write(raw / name, "pr", value[None], hour[None], units="mm/day")
    config, _ = made()
    (dataset,) = config.datasets.values()
    settings = PrepareSettings(**dataset_slice(config, next(iter(config.datasets)), "prepare"))
    assert "3 days" in check_sources(settings, dataset.years)[0]


def test_rain_of_a_few_days_is_no_crash(raw, made):
    days = np.arange("2001-01-01", "2001-01-07", dtype="datetime64[D]")
    write(raw / "rain.nc", "pr", weather(days), days, units="mm/day")
    assert of(made()[0])[0].years == (2001,)


def test_rain_of_too_few_cells_is_refused_at_once(raw, made):
    days = days_of(2001)
    write(raw / "rain.nc", "pr", weather(days)[:, :2, :4], days, units="mm/day")
    with pytest.raises(InputError, match=r"rain on 2 x 4 cells .* at least 4 x 4"):
        made()


# ------------------------------------------------------------------------------------------ what is the rain


def test_rain_alone_becomes_its_own_predictor(raw, made):
    rain(raw, 2001)
    dataset, experiment = of(made()[0])
    assert dataset.predictors == "coarsened"
    assert experiment.model.conserve == "cells"
    assert dataset.factor == 4, "16 rows leave four coarse cells"
    assert dataset.split.by == "blocks"


def test_a_dataset_has_the_name_of_its_folder(raw, made):
    rain(raw, 2001)
    assert list(made()[0].datasets) == ["valley"]


@pytest.mark.parametrize("name", ["pr", "tp", "PRCP", "RAINNC", "pr_mean", "precipitationCal", "rain"])
def test_rain_is_known_by_its_name(name):
    assert is_rain(name, "")


@pytest.mark.parametrize("words", [("x", "precipitation_flux"), ("var228", "Total precipitation"), ("a", "daily rain")])
def test_rain_is_known_by_its_words(words):
    assert is_rain(*words)


@pytest.mark.parametrize(
    "words",
    [("cp", "Convective precipitation"), ("prsn", "snowfall_flux"), ("psl", ""), ("q", "precipitation quality")],
)
def test_a_part_of_the_rain_is_no_rain(words):
    assert not is_rain(*words)


def test_a_variable_called_pr_with_units_of_pressure_is_no_rain(raw, made):
    days = days_of(2001)
    write(raw / "pressure.nc", "pr", 1e5 + anomalies(1, len(days), 4, 6), days, 0.4, units="Pa")
    rain(raw, 2001)
    dataset, _ = of(made()[0])
    assert dataset.predictors[0].quantity == "other"


@pytest.mark.parametrize(("scale", "units"), [(1, "mm/day"), (1e-3, "m/day"), (1 / 86400, "kg m-2 s-1")])
def test_units_that_the_file_lacks_are_stated_by_the_size_of_the_values(raw, made, scale, units):
    days = days_of(2001)
    write(raw / "rain.nc", "pr", weather(days) * scale, days)
    config, text = made()
    assert of(config)[0].rain.units == units
    assert "make sure of that" in " ".join(text.split())


def test_units_that_the_file_has_are_not_repeated(raw, made):
    rain(raw, 2001)
    assert of(made()[0])[0].rain.units is None


def test_without_rain_it_says_what_it_found(raw, made):
    days = days_of(2001)
    write(raw / "t.nc", "tas", 280 + anomalies(1, len(days), 4, 6), days, units="K")
    with pytest.raises(InputError, match="tas, expected one with daily rain"):
        made()


# ------------------------------------------------------------------------------------------ predictors


def test_real_coarse_rain_is_drawn(raw, made):
    fine = rain(raw, 2001)
    noise = np.random.default_rng(3).gamma(4, 0.25, (365, 4, 6))
    write(raw / "era.nc", "tp", blocks(fine, 4) * noise / 86400, days_of(2001), 0.4, units="kg m-2 s-1")
    dataset, experiment = of(made()[0])
    assert dataset.predictors[0].quantity == "rain"
    assert dataset.factor == 4
    assert (experiment.model.conserve, experiment.model.coarser_scales) == ("drawn", 1)
    assert experiment.loss.lambda_mass == 0.3


def test_coarse_rain_that_is_the_mean_of_the_fine_rain_is_kept(raw, made):
    fine = rain(raw, 2001)
    write(raw / "mean.nc", "tp", blocks(fine, 4), days_of(2001), 0.4, units="mm/day")
    dataset, experiment = of(made()[0])
    assert dataset.predictors[0].quantity == "rain"
    assert experiment.model.conserve == "cells"


def test_without_coarse_rain_a_dense_network_draws_it_from_the_weather(raw, made):
    fine = rain(raw, 2001)
    write(raw / "hus.nc", "hus", blocks(np.log1p(fine), 4), days_of(2001), 0.4, units="kg kg-1")
    config, _ = made()
    dataset, experiment = of(config)
    assert labels(dataset) == ["hus"]
    assert (experiment.model.conserve, experiment.model.coarse) == ("drawn", "dense")
    assert experiment.loss.lambda_mass == 0


def test_winds_forbid_mirrored_patches(raw, made):
    rain(raw, 2001)
    write(raw / "wind.nc", "uas", anomalies(1, 365, 4, 6), days_of(2001), 0.4, units="m s-1")
    config, text = made()
    assert of(config)[1].train.flips is False
    assert "uas has a direction" in " ".join(text.split()).replace("# ", "")


def test_a_field_of_few_large_cells_becomes_context(raw, made):
    rain(raw, 2001)
    values = 1e5 + 800 * anomalies(1, 365, 7, 9)
    write(raw / "msl.nc", "msl", values, days_of(2001), 2.5, 53.0, -2.0, units="Pa")
    config, _ = made()
    dataset, experiment = of(config)
    assert dataset.predictors[0].context
    assert dataset.factor == 2, "eight coarse cells along the shorter side, of sixteen"
    assert experiment.train.flips is False


def test_fields_as_fine_as_the_rain_are_averaged_beside_the_rain(raw, made):
    rain(raw, 2001)
    for name in ("tmin", "tmax"):
        write(raw / f"{name}_2001.nc", "air_temperature", 280 + anomalies(1, 365, 16, 24), days_of(2001), units="K")
    dataset, experiment = of(made()[0])
    assert labels(dataset) == ["pr", "tmax", "tmin"], "the variables have one name, so the files give theirs"
    assert [p.quantity for p in dataset.predictors] == ["rain", "temperature", "temperature"]
    assert experiment.model.conserve == "cells"


def test_one_variable_at_two_levels_gets_two_names(raw, made):
    rain(raw, 2001)
    for level in (500, 850):
        path = raw / f"z_{level}.nc"
        write(path, "z", 5e4 + anomalies(level, 365, 4, 6), days_of(2001), 0.4, units="m2 s-2")
        with xr.open_dataset(path) as file:
            levelled = file.load().assign_coords(level=((), level, {"units": "hPa", "axis": "Z"}))
        levelled.to_netcdf(path)
    assert labels(of(made()[0])[0]) == ["z500", "z850"]


def test_a_predictor_with_missing_values_is_left_out(raw, made):
    fine = rain(raw, 2001)
    write(raw / "hus.nc", "hus", blocks(np.log1p(fine), 4), days_of(2001), 0.4, units="kg kg-1")
    holes = 280 + anomalies(2, 365, 4, 6)
    holes[:, :2] = np.nan
    write(raw / "sst.nc", "sst", holes, days_of(2001), 0.4, units="K")
    config, text = made()
    assert labels(of(config)[0]) == ["hus"]
    assert "50% of its values over the rain are missing" in " ".join(text.split()).replace("# ", "")


# ------------------------------------------------------------------------------------------ what does not fit


def test_a_free_running_model_is_left_out_with_its_other_fields(raw, made):
    fine = rain(raw, 2001, 2002)
    days = days_of(2001, 2002)
    other = weather(days[::-1])[::-1]
    write(raw / "era.nc", "tp", blocks(fine, 4) + 0.1, days, 0.4, units="mm/day")
    write(raw / "model_hist_pr.nc", "pr", blocks(other, 4), days, 0.4, units="mm/day")
    config, text = made()
    assert labels(of(config)[0]) == ["tp"]
    assert "it is not the weather of these days" in " ".join(text.split()).replace("# ", "")


def test_another_period_and_another_place_are_left_out(raw, made):
    rain(raw, 2001)
    later = days_of(2051)
    write(raw / "future.nc", "tas", 280 + anomalies(1, 365, 4, 6), later, 0.4, units="K")
    write(raw / "far.nc", "ta", 280 + anomalies(1, 365, 4, 6), days_of(2001), 0.4, 10.0, 100.0, units="K")
    config, text = made()
    assert of(config)[0].predictors == "coarsened"
    plain = " ".join(text.replace("#", " ").split())
    assert "no day is in both" in plain
    assert "it is another place" in plain


def test_the_season_that_two_records_share_is_no_sign_of_one_weather():
    days = np.arange(12 * 30).reshape(12, 30)
    season = 10 * np.sin(2 * np.pi * days / 360)
    one, other = (season + anomalies(seed, 12, 30) for seed in (1, 2))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    assert abs(correlation_of_changes(one, other)) < 0.15


def test_weather_that_is_a_day_late_is_still_the_weather_of_these_days():
    one = anomalies(1, 12, 30)
    assert correlation_of_changes(one, np.roll(one, 1, axis=1)) > 0.9


# ------------------------------------------------------------------------------------------ maps


def test_elevation_and_land_are_taken_from_the_grid_of_the_rain(raw, made):
    rain(raw, 2001)
    write(raw / "dem.nc", "orog", 500 + anomalies(1, 16, 24), None, units="m", standard_name="surface_altitude")
    write(raw / "mask.nc", "lsm", np.ones((16, 24)), None)
    dataset, _ = of(made()[0])
    assert dataset.elevation.variable == "orog"
    assert dataset.land.variable == "lsm"


def test_an_elevation_on_another_grid_is_left_out(raw, made):
    rain(raw, 2001)
    write(raw / "dem.nc", "orog", 500 + anomalies(1, 4, 6), None, 0.4, units="m")
    config, text = made()
    assert of(config)[0].elevation is None
    assert "not on the grid of the rain" in " ".join(text.split())


# ------------------------------------------------------------------------------------------ files and days


def test_files_of_one_year_each_become_one_pattern(raw, made):
    for year in (2001, 2002):
        rain(raw, year, name=f"rain_{year}")
    dataset, _ = of(made()[0])
    assert dataset.rain.files == (f"{raw}/rain_{{year}}.nc",)
    assert dataset.years == (2001, 2002)


def test_files_of_several_years_become_a_pattern_with_any_text(raw, made):
    rain(raw, 2001, 2002, name="rain_2001-2002")
    rain(raw, 2003, name="rain_2003-2003")
    assert of(made()[0])[0].rain.files == (f"{raw}/rain_200*.nc",)


def test_files_that_no_pattern_tells_from_others_are_named(raw, made):
    for year, name in ((2001, "rain1"), (2002, "rain2")):
        rain(raw, year, name=name)
    write(raw / "rainy.nc", "tas", 280 + anomalies(1, 730, 4, 6), days_of(2001, 2002), 0.4, units="K")
    assert of(made()[0])[0].rain.files == (f"{raw}/rain1.nc", f"{raw}/rain2.nc")


def test_the_folder_of_the_data_is_used_where_it_is_set(raw, made, monkeypatch):
    monkeypatch.setenv("RAINSHAFT_DATA", str(raw))
    rain(raw, 2001)
    assert of(made()[0])[0].rain.files == ("$RAINSHAFT_DATA/rain.nc",)


def test_many_years_are_split_in_the_order_of_time(raw, made):
    rain(raw, *range(2001, 2008))
    split = of(made()[0])[0].split
    assert (split.train, split.validation, split.test) == ((2001, 2002, 2003, 2004, 2005), (2006,), (2007,))


def test_winters_are_kept_together(raw, made):
    days = days_of(*range(2000, 2008))
    months = days.astype("datetime64[M]").astype(int) % 12 + 1
    winter = days[
        np.isin(months, (12, 1, 2)) & (days >= np.datetime64("2000-12-01")) & (days < np.datetime64("2007-12-01"))
    ]
    write(raw / "rain.nc", "pr", weather(winter), winter, units="mm/day")
    dataset, _ = of(made()[0])
    assert dataset.split.year_begins == 12
    assert (*dataset.split.train, *dataset.split.validation, *dataset.split.test) == tuple(range(2001, 2008))
    assert dataset.years == tuple(range(2000, 2008))


def test_a_year_of_a_few_days_is_left_out(raw, made):
    days = np.arange("2001-01-01", "2003-01-04", dtype="datetime64[D]")
    write(raw / "rain.nc", "pr", weather(days), days, units="mm/day")
    config, text = made()
    assert of(config)[0].years == (2001, 2002)
    assert "2003 is left out, because it has only 3 days" in " ".join(text.split()).replace("# ", "")


def test_a_long_record_is_trained_for_fewer_epochs(raw, made):
    days = days_of(2001)
    big = np.tile(weather(days), (1, 20, 10))
    write(raw / "rain.nc", "pr", big, days, 0.01, units="mm/day")
    assert of(made()[0])[1].train.epochs < 12


# ------------------------------------------------------------------------------------------ the command


def test_a_file_is_never_overwritten(raw, tmp_path, capsys):
    rain(raw, 2001)
    output = tmp_path / "my.yaml"
    output.write_text("mine", encoding="utf-8")
    assert main(["init", str(raw), "--output", str(output)]) == 1
    assert output.read_text(encoding="utf-8") == "mine"
    assert "never overwritten" in capsys.readouterr().err


def test_a_word_that_names_no_file_is_named(tmp_path, raw):
    with pytest.raises(InputError, match=r"none\.nc: found no such file"):
        expand([str(tmp_path / "none.nc")])
    with pytest.raises(InputError, match=r"files that end in \.nc"):
        expand([str(raw)])


def test_folders_and_patterns_name_files(raw):
    for name in ("a.nc", "b.nc", "notes.txt"):
        (raw / name).touch()
    assert [path.name for path in expand([str(raw)])] == ["a.nc", "b.nc"]
    assert [path.name for path in expand([str(raw / "b*")])] == ["b.nc"]


def test_a_file_that_cannot_be_read_is_left_out_with_the_reason(raw, made):
    rain(raw, 2001)
    (raw / "page.nc").write_text("<html>", encoding="utf-8")
    assert "page.nc" in made()[1]


def test_it_prints_a_table_and_the_next_commands(raw, tmp_path, capsys):
    rain(raw, 2001)
    assert main(["init", str(raw), "--output", str(tmp_path / "mine.yaml")]) == 0
    printed = capsys.readouterr().out
    assert "rain.nc" in printed
    assert "./run.sh check" in printed


# ------------------------------------------------------------------------------------------ check


@pytest.fixture
def configured(raw, tmp_path):
    """A configuration for two years of rain and coarse rain; `scale` multiplies the coarse rain."""

    def configured(scale: float = 1.0, **changes: object) -> Path:
        for year in (2001, 2002):
            fine = rain(raw, year, name=f"rain_{year}")
            write(raw / f"tp_{year}.nc", "tp", blocks(fine, 4) * scale, days_of(year), 0.4, units="mm/day")
        dataset = {
            "years": [2001, 2002],
            "factor": 4,
            "rain": {"files": [f"{raw}/rain_{{year}}.nc"], "variable": "pr"},
            "predictors": [{"files": [f"{raw}/tp_{{year}}.nc"], "variable": "tp", "quantity": "rain"}],
            "split": {"by": "blocks"},
        }
        experiment = {"dataset": "valley", "model": {"width": 4}, "train": {"epochs": 2, "batch_size": 10}}
        content = {"datasets": {"valley": dataset | changes}, "experiments": {"first": experiment}}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return configured


def test_check_says_what_it_will_do(configured):
    report = check(configured())
    said = "\n".join(report.lines)
    assert not report.problems
    assert "2 of 2 years can be prepared" in said
    assert "2001 to 2002: 365 days" in said
    assert "its cells are the coarse cells" in said
    # 73 blocks of ten days, dealt out in turn: of each eight, five are for training and one for validation
    assert "split: train 460 days (63%), validation 90 days (12%), test 180 days (25%)" in said
    assert "2 epochs of 46 batches of 10 patches of 4 x 6 coarse cells" in said


def test_check_names_all_problems_at_once(configured, capsys):
    path = configured(years=[2001, 2002, 2003], heavy_percentile=90)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("epochs: 2", "epochs: 0") + "typo: 1\n", encoding="utf-8")
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().err
    assert "epochs" in said
    assert "typo" in said
    assert "rain_2003.nc" in said, "the files are looked at although the configuration has faults"


def test_check_doubts_coarse_rain_of_another_size(configured):
    said = "\n".join(check(configured(scale=1 / 24)).lines)
    assert "0.04 times the mean of the rain" in said
    assert "A factor of 24" in said


def test_check_refuses_what_is_no_configuration(tmp_path, capsys):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n", encoding="utf-8")
    assert main(["check", str(path)]) == 1
    assert f"{path}: found a list; write keys" in capsys.readouterr().err
    path.write_text("datasets:\n\tmine: 1\n", encoding="utf-8")
    assert main(["check", str(path)]) == 1
    assert f"{path}, line 2: " in capsys.readouterr().err


def test_check_names_a_part_of_the_split_without_days(configured):
    report = check(configured(split={"by": "blocks", "block_days": 400}))
    assert any("found no test day" in line for line in report.problems)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 s"), (44, "40 s"), (200, "3 min"), (9000, "2.5 h")])
def test_a_rough_time_is_not_given_to_the_second(seconds, words):
    assert duration(seconds) == words
