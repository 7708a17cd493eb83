"""A trained model draws the rain of days that nobody observed: from its folder, in Python and from the shell."""

import json
import shutil

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from fields import normalisation_of
from rawmakers import FACTOR, HEIGHT, WIDTH, YEAR, axis, coarse_file, days_of, rain_file, settings

import rainshaft
from rainshaft.application.card import Facts, write_card
from rainshaft.application.checks import check_application
from rainshaft.application.downscale import downscale_year, finish_year
from rainshaft.application.predictors import prepare_predictors
from rainshaft.application.shell import downscale_files
from rainshaft.baselines.table import names as baselines
from rainshaft.cli import main
from rainshaft.config.load import load
from rainshaft.config.sections import Model, PredictorFiles
from rainshaft.config.slices import SampleSettings
from rainshaft.data.climate import climate_of
from rainshaft.data.domain import Domain, domain_of
from rainshaft.data.prepare import prepare_year
from rainshaft.errors import UserError
from rainshaft.files import write_json, write_netcdf
from rainshaft.models import folder as parts
from rainshaft.models.kinds import build_model
from rainshaft.models.noise import seeded
from rainshaft.models.store import TrainedNetwork, load_model, save_model
from rainshaft.sampling.sample import sample
from rainshaft.survey.report import check

SETTINGS = SampleSettings(seed=4, members=3, days="split:train", temperature=0.8, memory=0.4, tile=512, device="cpu")
THRESHOLD = 0.2


def humidity(cells=(5, 6), size=2.5, units="kg kg-1"):
    """A predictor on large cells around the domain, so that it must be interpolated or be context."""
    ds = coarse_file(cells, size, south=16.0, west=64.0, hour=12).rename(tas="hus")
    ds["hus"] = (ds.hus / 50000).assign_attrs(units=units)
    return ds


def coarse_rain(units="mm/day"):
    """Coarse rain on the coarse cells, with some errors."""
    fine = rain_file().pr
    coarse = fine.coarsen(lat=FACTOR, lon=FACTOR).mean() * np.random.default_rng(2).gamma(20, 1 / 20, (365, 3, 4))
    coarse = coarse.astype("f4").assign_attrs(units=units)
    coarse["lat"].attrs, coarse["lon"].attrs = fine["lat"].attrs, fine["lon"].attrs
    return coarse.to_dataset(name="tp")


PREDICTORS = {
    "tp": (coarse_rain(), {"quantity": "rain"}),
    "tas": (coarse_file(), {"quantity": "temperature"}),
    "hus": (humidity(), {"context": True}),
}


def trained(folder, predictors=PREDICTORS):
    """Prepare a record, make a model with random weights, draw its training days, and export its folder."""
    configured = settings(folder, rain_file(), predictors)
    fields = folder / "2001.nc"
    prepare_year(configured, YEAR, fields)
    normalisation = normalisation_of(fields, factor=FACTOR)
    model = build_model(Model(width=4, d_z=(2, 1), coarser_scales=1), normalisation, 0)
    with seeded(1):
        for network in model.networks:
            torch.nn.init.normal_(network.out.weight, std=0.5)
    home = folder / "model"
    home.mkdir()
    networks = [
        TrainedNetwork(name, network.kind, network.architecture, network.state_dict(), 1, 1, 1, 1)
        for name, network in zip(model.names, model.networks, strict=True)
    ]
    facts = {"data_fingerprint": "0", "torch_version": "2"}
    save_model(networks, facts, home / parts.WEIGHTS, home / parts.INFO)
    write_netcdf(domain_of([fields], normalisation), home / parts.DOMAIN)
    write_netcdf(climate_of([fields]), home / parts.CLIMATE)
    scores = folder / "scores.json"
    crps = {"value": 1.5, "low": 1.25, "high": 1.75}
    write_json(
        {"name": "small", "mode": "prior", "test": {"all_days": {"days": 9, "scores": {"fair_crps": crps}}}}, scores
    )
    facts = Facts(
        "small", "valley", "Rain of a valley.", "CC-BY", "Doe et al. 2020", SETTINGS.temperature, SETTINGS.memory, 512
    )
    write_card(home, facts, normalisation, THRESHOLD, [scores])
    chain = load_model(home / parts.WEIGHTS, home / parts.INFO, torch.device("cpu"))
    sample(chain, SETTINGS, "prior", [fields], normalisation, folder / "samples.nc", {})
    with xr.open_dataset(folder / "samples.nc") as drawn:
        expected = drawn.pr.where(~(drawn.pr < THRESHOLD), 0).load()
    return home, expected


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def model(made):
    return rainshaft.load_model(made[0], "cpu")


@pytest.fixture(scope="module")
def inputs():
    return in_one_dataset()


def in_one_dataset():
    """The predictors of the record in one dataset, each on a grid of its own."""
    renamed = {
        name: ds.rename(lat=f"lat_{name}", lon=f"lon_{name}").assign_coords(time=days_of(YEAR, hour=12))
        for name, (ds, _) in PREDICTORS.items()
    }
    return xr.merge(renamed.values())


def like(rain, expected):
    return np.array_equal(rain.pr.sel(time=expected.time).values, expected.values, equal_nan=True)


# ------------------------------------------------------------------------------------------ the same members


@pytest.mark.parametrize("days", [None, 1, 7, 400])
def test_members_in_python_are_those_of_the_workflow_whatever_the_chunks(made, model, inputs, days):
    coarse = inputs if days is None else inputs.chunk(time=days)
    rain = model.downscale(coarse, members=3, seed=4)
    assert (rain.pr.chunks is None) == (days is None), "lazy for dask, and only for dask"
    assert rain.sizes == {"time": 365, "member": 3, "lat": HEIGHT, "lon": WIDTH}
    assert like(rain, made[1])


def test_some_days_are_drawn_as_all_days_are(made, model, inputs):
    part = model.downscale(inputs.isel(time=slice(40, 52)), members=3, seed=4)
    assert part.sizes["time"] == 12
    expected = made[1].sel(time=np.intersect1d(made[1].time, part.time))
    assert len(expected) > 3
    assert like(part, expected)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_members_from_the_shell_are_those_of_the_workflow(made, tmp_path, suffix):
    for name, (ds, _) in PREDICTORS.items():
        ds.to_netcdf(tmp_path / f"{name}.nc")
    out = tmp_path / f"out.{suffix}"
    files = [str(tmp_path / f"{name}.nc") for name in PREDICTORS]
    assert main(["downscale", str(made[0]), *files, str(out), "--members", "3", "--seed", "4", "--device", "cpu"]) == 0
    with xr.open_dataset(out, engine="zarr" if suffix == "zarr" else None) as rain:
        assert like(rain, made[1])
        assert rain.attrs["references"] == "Doe et al. 2020"


def test_members_of_the_workflow_rules_are_those_of_sampling(made, tmp_path):
    files = []
    for name, (ds, _) in PREDICTORS.items():
        ds.to_netcdf(tmp_path / f"{name}.nc")
        files.append(PredictorFiles(files=(str(tmp_path / f"{name}.nc"),), variable=name))
    home = made[0]
    domain = Domain(xr.load_dataset(home / parts.DOMAIN))
    prepare_predictors(domain, files, "applications.a.predictors", YEAR, tmp_path / "predictors.nc")
    chain = load_model(home / parts.WEIGHTS, home / parts.INFO, torch.device("cpu"))
    shards = [tmp_path / f"{i}.nc" for i in (1, 2)]
    for i, path in enumerate(shards, start=1):
        downscale_year(chain, domain, tmp_path / "predictors.nc", SETTINGS, path, {}, i, 2)
    finish_year(shards, home / parts.CARD, tmp_path / "rain.nc", {"citation": "Roe 2021", "input_files": "a.nc"})
    with xr.open_dataset(tmp_path / "rain.nc") as rain:
        assert like(rain, made[1])
        assert rain.attrs["references"] == "Doe et al. 2020 Roe 2021"
        assert rain.attrs["pixel_threshold"] == THRESHOLD


def test_other_units_names_order_and_a_larger_domain_change_nothing(made, model):
    wide = coarse_file(cells=(9, 11), south=20 - 3 * 0.4, west=70 - 4 * 0.4)
    changed = xr.merge(
        [
            (coarse_rain() / 86400)
            .assign(tp=lambda ds: ds.tp.assign_attrs(units="kg m-2 s-1"))
            .rename(lat="lat_tp", lon="lon_tp", tp="precipitation")
            .isel(lat_tp=slice(None, None, -1)),
            (wide - 273.15).assign(tas=lambda ds: ds.tas.assign_attrs(units="degC")),
            (humidity(units="g kg-1") * 1000)
            .assign(hus=lambda ds: ds.hus.assign_attrs(units="g kg-1"))
            .rename(lat="lat_hus", lon="lon_hus"),
        ],
        compat="override",
        join="override",
    )
    for name in ("lat", "lon"):
        changed[name].attrs["units"] = f"degrees_{'north' if name == 'lat' else 'east'}"
    rain = model.downscale(changed, members=3, seed=4, variables={"tp": "precipitation"})
    np.testing.assert_allclose(rain.pr.sel(time=made[1].time).values, made[1].values, rtol=2e-2, atol=2e-2)


# ------------------------------------------------------------------------------------------ calendars and ensembles


@pytest.mark.parametrize("calendar", ["360_day", "noleap"])
def test_any_calendar_is_kept(model, inputs, calendar):
    days = 360 if calendar == "360_day" else 365
    time = xr.date_range("2001-01-01 12:00", periods=days, calendar=calendar, use_cftime=True)
    rain = model.downscale(inputs.isel(time=slice(days)).assign_coords(time=time), members=2)
    assert rain.time.dt.calendar == calendar
    assert rain.sizes["time"] == days
    assert np.isfinite(rain.pr).all()


@pytest.mark.filterwarnings("ignore:the predictors:UserWarning")  # of the tripled rain
def test_each_realization_gets_members_of_its_own(model, inputs):
    few = inputs.isel(time=slice(10))
    several = few.expand_dims(number=[10, 20]).copy()
    several["tp"] = several.tp * xr.DataArray([1.0, 3.0], dims="number")
    several["tp"].attrs = few.tp.attrs
    rain = model.downscale(several, members=3, seed=4)
    assert rain.sizes["member"] == 6
    assert rain.realization.values.tolist() == [0, 0, 0, 1, 1, 1]
    alone = model.downscale(few, members=3, seed=4)
    assert np.array_equal(rain.pr[:, :3], alone.pr)
    means = rain.pr.groupby("realization").mean(...)
    assert means[1] > 2 * means[0]
    same = few.expand_dims(number=[0, 1])
    twice = model.downscale(same, members=3, seed=4).pr
    assert not np.array_equal(twice[:, :3], twice[:, 3:]), "members of two realizations share no noise"


def test_a_predictor_without_realizations_belongs_to_each(model, inputs):
    few = inputs.isel(time=slice(4))
    several = few.assign(tp=few.tp.expand_dims(member=3))
    assert model.downscale(several, members=2).sizes["member"] == 6


def test_unequal_ensembles_are_refused(model, inputs):
    few = inputs.isel(time=slice(4))
    wrong = few.assign(tp=few.tp.expand_dims(member=3), tas=few.tas.expand_dims(realization=2))
    with pytest.raises(UserError, match=r"3 of predictor tp, 2 of predictor tas"):
        model.downscale(wrong)


# ------------------------------------------------------------------------------------------ what is doubted


def test_predictors_beyond_the_training_range_are_doubted(made, model, inputs, tmp_path):
    few = inputs.isel(time=slice(60))
    warm = few.assign(tas=(few.tas + 6).assign_attrs(few.tas.attrs))
    with pytest.warns(UserWarning, match=r"of tas beyond the training range .* cannot be trusted"):
        model.downscale(warm, members=1)
    for name, (ds, _) in PREDICTORS.items():
        (ds + 6 if name == "tas" else ds).assign(
            {name: lambda new, n=name, o=ds: new[n].assign_attrs(o[n].attrs)}
        ).to_netcdf(tmp_path / f"{name}.nc")
    files = [tmp_path / f"{name}.nc" for name in PREDICTORS]
    words = downscale_files(made[0], files, tmp_path / "out.nc", 1, 1, {}, "cpu").words
    assert "WARNING: the predictors: found" in words


# ------------------------------------------------------------------------------------------ what is refused


def test_a_missing_variable_is_named(model, inputs):
    with pytest.raises(UserError, match=r"found the variables .* add hus"):
        model.downscale(inputs.drop_vars("hus"))
    with pytest.raises(UserError, match=r"found tpp, expected predictors of the model; did you mean tp"):
        model.downscale(inputs, variables={"tpp": "tp"})


def test_units_of_another_quantity_are_refused(model, inputs):
    wrong = inputs.assign(hus=inputs.hus.assign_attrs(units="Pa"))
    with pytest.raises(UserError, match=r"variable hus: found units 'Pa', expected units that convert to 'kg kg-1'"):
        model.downscale(wrong)


def test_a_domain_that_is_not_covered_is_refused(model, inputs):
    with pytest.raises(UserError, match=r"expected at least the domain of the rain"):
        model.downscale(inputs.isel(lon_tp=slice(0, 2), lon_tas=slice(0, 2)))


def test_marks_of_no_value_are_refused(model, inputs):
    wrong = inputs.copy(deep=True)
    wrong.tp[5, 1, 1] = -999
    with pytest.raises(UserError, match=r"variable tp: .*-999"):
        model.downscale(wrong)


def test_names_that_the_model_does_not_know_are_refused(made, tmp_path):
    domain = Domain(xr.load_dataset(made[0] / parts.DOMAIN))
    files = [PredictorFiles(files=("x.nc",), variable=name) for name in ("tp", "tas", "huss")]
    with pytest.raises(UserError, match=r"a.predictors: found tp, tas, huss, expected .* add hus"):
        prepare_predictors(domain, files, "a.predictors", YEAR, tmp_path / "p.nc")
    files[2] = PredictorFiles(files=("x.nc",), variable="hus", quantity="temperature")
    with pytest.raises(UserError, match=r"a.predictors.2.quantity: found temperature, expected other"):
        prepare_predictors(domain, files, "a.predictors", YEAR, tmp_path / "p.nc")


def test_no_file_is_overwritten(made, tmp_path, capsys):
    (tmp_path / "out.nc").write_text("mine", encoding="utf-8")
    assert main(["downscale", str(made[0]), "x.nc", str(tmp_path / "out.nc")]) == 1
    assert "never overwritten" in capsys.readouterr().err
    assert (tmp_path / "out.nc").read_text(encoding="utf-8") == "mine"


# ------------------------------------------------------------------------------------------ the folder


@pytest.fixture
def copied(made, tmp_path):
    """A copy of the folder in another place."""
    for path in made[0].iterdir():
        parts.copy_file(path, tmp_path / "copy" / path.name)
    return tmp_path / "copy"


def test_a_copy_works_without_the_dataset(copied, made, inputs):
    assert like(rainshaft.load_model(copied, "cpu").downscale(inputs, members=3, seed=4), made[1])


@pytest.mark.parametrize("name", parts.FILES)
def test_one_flipped_bit_is_noticed(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: found other bytes .* copy it again"):
        rainshaft.load_model(copied)


@pytest.mark.parametrize("name", parts.FILES)
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: found no such file"):
        rainshaft.load_model(copied)


def test_a_folder_of_another_format_or_none_is_refused(copied, tmp_path):
    manifest = json.loads((copied / parts.MANIFEST).read_text(encoding="utf-8"))
    for number, words in ((0, "use the older version"), (99, "use the newer version")):
        (copied / parts.MANIFEST).write_text(json.dumps(manifest | {"format": number}), encoding="utf-8")
        with pytest.raises(UserError, match=words):
            rainshaft.load_model(copied)
    (copied / parts.MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"manifest.json: found text that cannot be read"):
        rainshaft.load_model(copied)
    (copied / parts.MANIFEST).unlink()
    with pytest.raises(UserError, match=r"found no manifest.json, expected the folder of a model"):
        rainshaft.load_model(copied)
    with pytest.raises(UserError, match=r"found no such folder"):
        rainshaft.load_model(tmp_path / "nowhere")


def test_the_card_says_what_it_is(made, capsys):
    assert main(["describe", str(made[0])]) == 0
    text = capsys.readouterr().out
    assert text == (made[0] / parts.README).read_text(encoding="utf-8")
    for words in (
        "1.500 (1.250 to 1.750)",
        "Doe et al. 2020",
        "CC-BY",
        "Rain of a valley.",
        "| hus | kg kg-1 | the whole",
    ):
        assert words in text


def test_axes_of_another_kind_travel_with_the_folder(tmp_path):
    """A rotated pole is known to the folder, so predictors on true longitudes are brought to it."""
    pole = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 40.0,
        "grid_north_pole_longitude": -170.0,
    }
    rain = rain_file()
    rain = rain.assign_coords(lat=axis(-0.6, HEIGHT, 0.1)[::-1], lon=axis(0.2, WIDTH, 0.1))
    rain["lat"].attrs = {"standard_name": "grid_latitude", "units": "degrees"}
    rain["lon"].attrs = {"standard_name": "grid_longitude", "units": "degrees"}
    rain["pr"].attrs["grid_mapping"] = "rotated_pole"
    rain["rotated_pole"] = xr.Variable((), 0, pole)
    settings(tmp_path, rain)
    around = coarse_file(cells=(20, 20), size=1.0, south=40.0, west=0.0)
    settings_ = settings(tmp_path, None, {"tas": (around, {"quantity": "temperature"})})
    prepare_year(settings_, YEAR, tmp_path / "2001.nc")
    with xr.open_dataset(tmp_path / "2001.nc") as fields:
        expected = fields.predictors.values
    normalisation = normalisation_of(tmp_path / "2001.nc", factor=FACTOR)
    domain = Domain(domain_of([tmp_path / "2001.nc"], normalisation))
    files = [PredictorFiles(files=(str(tmp_path / "tas.nc"),), variable="tas")]
    prepare_predictors(domain, files, "p", YEAR, tmp_path / "p.nc")
    with xr.open_dataset(tmp_path / "p.nc") as found:
        np.testing.assert_array_equal(found.predictors.values[:, 0], expected)


def test_check_looks_at_the_files_of_an_application_and_of_its_reference(made, tmp_path):
    for name, (ds, _) in PREDICTORS.items():
        ds.to_netcdf(tmp_path / f"{name}.nc")
    predictors = [{"files": [str(tmp_path / f"{name}.nc")], "variable": name} for name in PREDICTORS]
    application = {"model": str(made[0]), "years": [YEAR], "members": 4, "predictors": predictors}
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"applications": {"later": application}}), encoding="utf-8")
    report = check(config)
    assert not report.problems
    assert any("365 days" in line for line in report.lines)
    assert any("4 members a day" in line for line in report.lines)
    missing = [{**predictors[0], "files": ["nowhere.nc"]}, *predictors[1:]]
    application |= {"adjust": "delta", "reference": {"years": [YEAR], "predictors": missing}}
    config.write_text(yaml.safe_dump({"applications": {"later": application}}), encoding="utf-8")
    (problem,) = check(config).problems
    assert problem.startswith("applications.later.reference.predictors.0.files: found no file for 'nowhere.nc'")


def test_the_grid_of_a_model_that_will_be_made_anew_does_not_count(made, tmp_path):
    for name, (ds, _) in PREDICTORS.items():
        ds.to_netcdf(tmp_path / f"{name}.nc")
    predictors = [{"files": [str(tmp_path / f"{name}.nc")], "variable": name} for name in PREDICTORS]
    dataset = {
        "factor": FACTOR,
        "years": [YEAR],
        "rain": {"files": ["rain.nc"], "variable": "pr"},
        "predictors": predictors,
    }
    raw = {
        "results": str(tmp_path / "results"),
        "datasets": {"valley": dataset | {"split": {"by": "blocks"}}},
        "experiments": {"small": {"dataset": "valley", "model": {"conserve": "none"}}},
        "applications": {"later": {"experiment": "small", "years": [YEAR]}},
    }
    model = tmp_path / "results/small/model"
    model.mkdir(parents=True)
    shutil.copy(made[0] / parts.DOMAIN, model)
    domain, sentences = check_application(load(raw, baselines()), "later")
    assert domain is not None
    assert sentences[0].startswith("365 days from")
    raw["datasets"]["valley"]["predictors"] = [*predictors, {**predictors[0], "name": "another"}]
    domain, sentences = check_application(load(raw, baselines()), "later")
    assert domain is None
    assert sentences == ["files of 1 years are there; they are looked into when the model is there"]
