"""General networks: one unit for all rain, exact mass, chains, their making, and what they refuse."""

import json
import re

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from fields import showers
from trainings import plain_days, small_training, stop_after

import rainshaft
from rainshaft.application import general as shell
from rainshaft.application.place import rain_name
from rainshaft.cli import main
from rainshaft.config.slices import DrawSettings
from rainshaft.data.formats import variables_of
from rainshaft.data.patches import NO_SEASON, Batch, load_days
from rainshaft.errors import Interrupted, UserError
from rainshaft.general.chain import general_chain
from rainshaft.general.info import WEIGHTS, factors, read_info
from rainshaft.general.store import read_weights
from rainshaft.general.unit import unit_of
from rainshaft.models.cvae import SMOOTHINGS, CVAEArchitecture, RainCVAE
from rainshaft.models.noise import BatchNoise
from rainshaft.models.start import start_from
from rainshaft.refinements import GENERAL_FACTORS, chained
from rainshaft.sampling.draw import draw
from rainshaft.training.distributed import Group
from rainshaft.training.general import mix
from rainshaft.training.general.__main__ import RECIPE
from rainshaft.training.general.make import made_before, make, recipe_of
from rainshaft.training.general.settings import RecordFiles, read_settings
from rainshaft.training.run import trainers

CPU = torch.device("cpu")


def coarse_rain(steps=6, rows=4, columns=5, seed=0):
    return showers(np.random.default_rng(seed), steps, rows, columns).astype("f4")


def everywhere(rain):
    return np.ones(rain.shape[1:], bool)


def members_of(chain, coarse, count=3):
    """Members (M, H, W) of one step from a single network."""
    (network,) = chain.networks
    generator = torch.Generator().manual_seed(1)
    noise = [torch.randn(count, *shape, generator=generator) for shape in network.noise_shapes(*coarse.shape)]
    fine = [size * network.architecture.factor for size in coarse.shape]
    rain = torch.from_numpy(coarse)[None, None]
    batch = Batch(rain, torch.zeros(1, 0, *fine), None, torch.ones(1, 1, *fine), torch.zeros(1, 0, 0, 0), NO_SEASON)
    with torch.no_grad():
        return network.members(batch, noise)[0].numpy()


# ------------------------------------------------------------------------------------------------ the unit


def test_dry_steps_and_dry_cells_do_not_change_the_unit():
    rain = coarse_rain()
    dry_steps = np.concatenate([rain, np.zeros_like(rain)])
    dry_cells = np.concatenate([rain, np.zeros_like(rain)], axis=2)
    expected = unit_of(rain, everywhere(rain))
    assert unit_of(dry_steps, everywhere(rain)) == pytest.approx(expected)
    assert unit_of(dry_cells, everywhere(dry_cells)) == pytest.approx(expected)


def test_the_unit_is_a_tenth_of_the_rain_weighted_mean():
    rain = np.array([[[1.0, 3.0]]])
    assert unit_of(rain, everywhere(rain)) == pytest.approx((1 + 9) / (1 + 3) / 10)


def test_a_cell_that_is_not_observed_does_not_count():
    rain, observed = np.array([[[1.0, 3.0]]]), np.array([[True, False]])
    assert unit_of(rain, observed) == pytest.approx(0.1)


def test_no_rain_at_all_is_refused():
    dry = np.zeros((7, 2, 2))
    with pytest.raises(UserError, match="found no rain in 7 steps"):
        unit_of(dry, everywhere(dry))


# ------------------------------------------------------------------------------------------------ chains


@pytest.mark.parametrize(
    ("factor", "steps"), [(8, (8,)), (6, (3, 2)), (12, (4, 3)), (16, (8, 2)), (25, (5, 5)), (24, (8, 3)), (64, (8, 8))]
)
def test_a_factor_is_written_with_few_networks(factor, steps):
    assert chained(factor, GENERAL_FACTORS) == steps


@pytest.mark.parametrize(("factor", "near"), [(7, 6), (11, 10), (13, 12)])
def test_a_factor_that_is_no_product_is_refused_with_the_nearest_one(factor, near):
    with pytest.raises(UserError, match=f"found {factor}, expected 2, 3, 4, 5, 8 or a product.*nearest one, {near}$"):
        chained(factor, GENERAL_FACTORS)


# ------------------------------------------------------------------------------------------------ the networks


def test_the_package_has_a_network_for_each_factor_and_names_its_sources():
    assert factors() == GENERAL_FACTORS
    info = read_info()
    for factor in factors():
        assert (WEIGHTS / info["networks"][str(factor)]["file"]).stat().st_size < 1e6
        assert read_weights(factor).architecture.factor == factor
    records = info["records"]
    assert all(one["licence"] and one["citation"] for one in records.values())
    assert not re.search("imd|e-?obs", json.dumps(records), re.IGNORECASE)


def test_the_weights_of_the_package_were_made_with_its_recipe():
    settings = read_settings(RECIPE)
    assert {*made_before(WEIGHTS, recipe_of(settings, settings.records))} == {*map(str, GENERAL_FACTORS)}


@pytest.mark.parametrize("factor", GENERAL_FACTORS)
def test_the_mass_is_exact_and_dry_stays_dry(factor):
    rain = coarse_rain()
    rain[0, 1:3, 2] = 0
    members = members_of(general_chain(rain, everywhere(rain), factor, CPU), rain[0])
    means = members.reshape(3, 4, factor, 5, factor).mean((2, 4))
    np.testing.assert_allclose(means, np.broadcast_to(rain[0], means.shape), rtol=1e-4, atol=1e-5)
    dry = np.kron(rain[0] == 0, np.ones((factor, factor))) == 1
    assert not members[:, dry].any()
    assert np.ptp(members, axis=0).max() > 1  # the members differ


def test_rain_in_mm_an_hour_gives_the_members_of_rain_in_mm_a_day():
    rain = coarse_rain()
    daily = members_of(general_chain(rain, everywhere(rain), 8, CPU), rain[0])
    hourly = members_of(general_chain(24 * rain, everywhere(rain), 8, CPU), 24 * rain[0])
    np.testing.assert_allclose(hourly, 24 * daily, rtol=1e-3, atol=1e-3)


def test_a_damaged_network_is_refused(tmp_path):
    for path in WEIGHTS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "factor-8.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "factor-8.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"factor-8\.safetensors: found other bytes"):
        read_weights(8, tmp_path)
    assert read_weights(2, tmp_path)


def test_a_folder_without_networks_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"found no general\.json"):
        read_weights(8, tmp_path)


# ------------------------------------------------------------------------------------------------ a start from weights


def network(channels=("rain",), statics=(), width=4, unit=1.0):
    sizes = CVAEArchitecture(
        channels=channels,
        statics=statics,
        rain_channel="rain" if "rain" in channels else channels[0],
        factor=2,
        width=width,
        d_z=(2, 1),
        prior="learned",
        conserve="cells",
        unit=unit,
    )
    torch.manual_seed(0)
    made = RainCVAE(sizes, torch.full((len(channels),), 3.0), torch.full((len(channels),), 2.0), 1.5)
    torch.nn.init.normal_(made.out.weight)
    return made.eval()


def drawn(made, predictors, statics):
    generator = torch.Generator().manual_seed(1)
    noise = [torch.randn(3, *shape, generator=generator) for shape in made.noise_shapes(3, 4)]
    batch = Batch(predictors, statics, None, torch.ones(1, 1, 6, 8), torch.zeros(1, 0, 0, 0), NO_SEASON)
    with torch.no_grad():
        return made.members(batch, noise)


def test_before_its_first_step_a_network_draws_what_the_other_one_draws():
    other = network()
    own = network(channels=("tas", "pr", "huss"), statics=("elevation",))
    own.architecture = own.architecture.__class__(**{**vars(own.architecture), "rain_channel": "pr"})
    start_from(own, other.state_dict(), other.architecture, unit=2.0)
    rain = torch.from_numpy(coarse_rain(1, 3, 4))[:, None]
    further = torch.randn(1, 1, 3, 4)
    mine = drawn(own, torch.cat([further, rain, further], 1), torch.randn(1, 1, 6, 8))
    theirs = drawn(network(unit=1.0), rain / 2, torch.zeros(1, 0, 6, 8)) * 2
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_a_posterior_that_begins_as_the_prior_has_no_divergence():
    made = network()
    made.begin_posterior_as_prior()
    batch = Batch(
        torch.from_numpy(coarse_rain(2, 3, 4))[:, None],
        torch.zeros(2, 0, 6, 8),
        torch.rand(2, 1, 6, 8) * 10,
        torch.ones(2, 1, 6, 8),
        torch.zeros(2, 0, 0, 0),
        NO_SEASON.expand(2, -1),
    )
    drawn = made.draw_in_training(batch, BatchNoise(1, 0, 2, CPU), posterior_members=2, prior_members=2)
    assert drawn["kl"].abs().max() < 1e-5


def test_a_start_from_a_network_of_other_sizes_is_refused():
    other = network(width=8)
    with pytest.raises(UserError, match=r"train\.start: found a network with width 8, expected 4"):
        start_from(network(), other.state_dict(), other.architecture, 1.0)


# ------------------------------------------------------------------------------------------------ their making


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Two small records and few steps."""
    folder = tmp_path_factory.mktemp("records")
    records = {}
    for number, name in enumerate(("hills", "plains")):
        rng = np.random.default_rng(number)
        rain = showers(rng, 40, 12, 16).astype("f4") * rng.choice([0, 1, 2], (40, 1, 1))
        xr.Dataset({"pr": (("time", "y", "x"), rain)}).to_netcdf(folder / f"{name}.nc")
        records[name] = {"file": str(folder / f"{name}.nc"), "variable": "pr", "cell_km": 2.0, "hours": 1.0}
        records[name] |= {"licence": "CC0", "citation": name, "add_up": [1, 2], "dry_below": [0.0, 0.1]}
    content = {"factors": [2], "steps": 6, "records": records, "loss": {"posterior_members": 0}}
    content |= {"model": {"width": 4, "d_z": [2, 1]}, "train": {"epochs": 3, "batch_size": 4, "patch": 8}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def made(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    make(read_settings(recipe), folder)
    return folder


def test_the_same_recipe_makes_the_same_weights(recipe, made, tmp_path):
    make(read_settings(recipe), tmp_path)
    assert (tmp_path / "factor-2.safetensors").read_bytes() == (made / "factor-2.safetensors").read_bytes()
    assert (tmp_path / "general.json").read_text(encoding="utf-8") == (made / "general.json").read_text(
        encoding="utf-8"
    )


def test_made_networks_interpolate_their_factors_as_those_of_the_package_do(made):
    found = {read_weights(2, folder).architecture.smoothings for folder in (made, WEIGHTS)}
    assert found == {SMOOTHINGS}


def test_a_stopped_making_resumes_to_the_same_weights(recipe, made, tmp_path, monkeypatch):
    stop_after(monkeypatch, 3)
    with pytest.raises(Interrupted):
        make(read_settings(recipe), tmp_path)
    assert not (tmp_path / "general.json").exists()
    monkeypatch.undo()
    make(read_settings(recipe), tmp_path)
    assert (tmp_path / "factor-2.safetensors").read_bytes() == (made / "factor-2.safetensors").read_bytes()


def test_a_record_that_is_left_out_is_not_learned_from(recipe, made, tmp_path):
    make(read_settings(recipe), tmp_path, without="hills")
    assert list(read_info(tmp_path)["records"]) == ["plains"]
    assert (tmp_path / "factor-2.safetensors").read_bytes() != (made / "factor-2.safetensors").read_bytes()


def test_another_factor_can_be_made_into_the_same_folder(recipe, made, tmp_path):
    settings = read_settings(recipe)
    for factor in (2, 4):
        make(settings.model_copy(update={"factors": (factor,)}), tmp_path)
    assert factors(tmp_path) == (2, 4)
    assert read_weights(4, tmp_path).architecture.factor == 4
    kept = read_info(tmp_path)["networks"]["2"]
    assert kept == read_info(made)["networks"]["2"]


def test_networks_of_another_recipe_are_not_mixed_with_those_of_a_folder(recipe, tmp_path):
    settings = read_settings(recipe)
    make(settings, tmp_path)
    before = (tmp_path / "general.json").read_bytes()
    with pytest.raises(UserError, match="found networks of another recipe or of other records"):
        make(settings.model_copy(update={"steps": 3, "factors": (4,)}), tmp_path)
    with pytest.raises(UserError, match="found networks of another recipe or of other records"):
        make(settings, tmp_path, without="hills")
    assert (tmp_path / "general.json").read_bytes() == before


def test_a_record_that_is_not_there_is_named(recipe, tmp_path):
    settings = read_settings(recipe)
    gone = settings.records["hills"].model_copy(update={"file": str(tmp_path / "gone.nc")})
    with pytest.raises(UserError, match=r"records\.hills\.file: found no file .*gone\.nc"):
        make(settings.model_copy(update={"records": {"hills": gone}}), tmp_path)


def test_a_key_that_the_recipe_does_not_know_is_named(recipe, tmp_path):
    text = recipe.read_text(encoding="utf-8").replace("steps:", "step:")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"recipe\.yaml: step: unknown key; did you mean steps\?"):
        read_settings(tmp_path / "recipe.yaml")


def test_each_variation_is_in_its_own_unit_and_has_its_own_days(recipe):
    record = read_settings(recipe).records["plains"]
    found = mix.variations("plains", record, 2)
    assert len(found) == 4  # two sums, with and without light rain
    assert {one.hours for one in found} == {1.0, 2.0}
    assert all(one.weight == pytest.approx(0.25) for one in found)
    for one in found:
        coarse = one.train.coarse_TCyx.numpy()
        assert (coarse**2).sum() / coarse.sum() == pytest.approx(10, rel=1e-3)
    light, heavy = (one.train.rain_THW[one.train.rain_THW > 0].min() for one in found[:2])
    assert heavy > light


def test_sums_overlap_by_half_and_coarse_cells_are_means():
    rain = np.arange(2 * 4 * 5, dtype="f4").reshape(2, 4, 5)
    rain = np.concatenate([rain, rain + 100])
    np.testing.assert_array_equal(mix.added_up(rain, 2), [rain[0] + rain[1], rain[1] + rain[2], rain[2] + rain[3]])
    np.testing.assert_allclose(mix.coarsened(rain, 2)[0], rain[0, :4, :4].reshape(2, 2, 2, 2).mean((1, 3)))


def test_a_training_starts_from_general_networks(made, tmp_path):
    data = plain_days(tmp_path)
    settings = small_training(start=str(made))
    (trainer,) = trainers(settings, *data, Group())
    weights = read_weights(2, made)
    assert torch.equal(trainer.network.state_dict()["out.weight"], weights.tensors["out.weight"])
    days = load_days(data[0], data[1], "train", CPU)
    expected = unit_of(days.coarse_TCyx[:, 0].numpy(), everywhere(days.coarse_TCyx[:, 0].numpy()))
    assert trainer.network.architecture.unit == pytest.approx(expected)


# ------------------------------------------------------------------------------------------------ use


def field(rain, step="1D", units="mm/day", **attributes):
    """Coarse rain with its axes."""
    time = xr.date_range("2001-05-30", periods=len(rain), freq=step)
    lat, lon = 50 - 0.4 * np.arange(rain.shape[1]), 10 + 0.4 * np.arange(rain.shape[2])
    axes = {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    return xr.DataArray(rain, {"time": time, **axes}, ("time", "lat", "lon"), "tp", {"units": units, **attributes})


def test_the_shell_and_python_give_the_same_members(tmp_path, capsys):
    coarse = field(coarse_rain(40))
    coarse.to_netcdf(tmp_path / "coarse.nc")
    output, picture = tmp_path / "fine.nc", tmp_path / "fine.png"
    words = ["downscale", "general", str(tmp_path / "coarse.nc"), str(output), "--factor", "4", "--members", "2"]
    assert main([*words, "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "40 days, 2 members each\nNOTE: " in printed
    assert "NOTE: Predictor tp: stamps at 00:00 without bounds are taken for the start of their day.\n" in printed
    assert re.search(r"\n\d+ s\n", printed)
    assert picture.stat().st_size > 10_000
    assert picture.with_suffix(".pdf").exists()
    written = xr.load_dataset(output)
    rain = rainshaft.load_general(coarse, factor=4).downscale(coarse, members=2)
    np.testing.assert_array_equal(written.pr, rain.pr)
    np.testing.assert_allclose(written.lat[:4].mean(), 50)
    np.testing.assert_allclose(written.lon.diff("lon"), 0.1)
    assert "Deutscher Wetterdienst" in written.attrs["references"]
    means = written.pr.coarsen(lat=4, lon=4).mean().isel(member=0)
    np.testing.assert_allclose(means, coarse, rtol=1e-3, atol=1e-4)


def test_hours_stay_hours(tmp_path):
    coarse = field(coarse_rain(30), "1h", "mm", cell_methods="time: sum")
    coarse.to_netcdf(tmp_path / "coarse.nc")
    written = shell.downscale_rain([tmp_path / "coarse.nc"], tmp_path / "fine.nc", 2, 2, 1, {})
    assert "30 steps of 1 h" in written.words
    assert "units mm read as totals of each step" in written.words
    size = f"a mean of {24 * float(coarse.mean()):.3g} and a highest value of {24 * float(coarse.max()):.3g} mm/day"
    assert size in written.words  # the networks take rain of any size, so nothing else would show wrong units
    assert "stamps without bounds are taken for the end of their records" in written.words
    rain = xr.load_dataset(tmp_path / "fine.nc")
    assert rain.pr.attrs["units"] == "mm/day"
    means = rain.pr.coarsen(lat=2, lon=2).mean().isel(member=1)
    np.testing.assert_allclose(means, 24 * coarse, rtol=1e-3, atol=1e-3)
    bounds = rain.time_bnds.values
    assert set(np.diff(bounds, axis=1).ravel()) == {np.timedelta64(3600, "s").astype("timedelta64[ns]")}
    # sums without bounds are stamped at their end
    assert rain.time.values[0] == coarse.time.values[0] - np.timedelta64(1, "h")
    assert (np.diff(rain.time) == np.timedelta64(1, "h")).all()


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_steps_are_named_by_their_start_over_the_end_of_a_year(calendar):
    """Means without bounds are stamped in the middle. So the first of these steps starts in the year before."""
    rain = coarse_rain(30)
    time = xr.date_range("2001-01-01", periods=30, freq="3h", calendar=calendar, use_cftime=calendar == "noleap")
    coarse = field(rain, units="mm/h", cell_methods="time: mean").assign_coords(time=time)
    drawn = rainshaft.load_general(coarse, factor=2).downscale(coarse, members=1)
    stamps = drawn.time.dt.strftime("%Y-%m-%d %H:%M").values.tolist()
    assert stamps[:3] == ["2000-12-31 22:30", "2001-01-01 01:30", "2001-01-01 04:30"]
    assert len(set(stamps)) == 30
    means = drawn.pr.coarsen(lat=2, lon=2).mean().isel(member=0)
    np.testing.assert_allclose(means, 24 * rain, rtol=1e-3, atol=1e-2)


def test_two_hours_with_the_same_rain_differ(tmp_path):
    rain = coarse_rain(1)
    coarse = field(np.concatenate([rain, rain]), "1h", "mm/h", cell_methods="time: mean")
    drawn = rainshaft.load_general(coarse, factor=2).downscale(coarse, members=1)
    assert drawn.sizes["time"] == 2
    assert np.abs(drawn.pr[0] - drawn.pr[1]).max() > 0.1


def test_a_chain_keeps_the_mass(tmp_path):
    coarse = field(coarse_rain(12))
    rain = rainshaft.load_general(coarse, factor=6).downscale(coarse, members=3)
    assert rain.sizes["lat"] == 24
    means = rain.pr.coarsen(lat=6, lon=6).mean().isel(member=2)
    np.testing.assert_allclose(means, coarse, rtol=1e-3, atol=1e-4)
    assert np.abs(rain.pr.isel(member=0) - rain.pr.isel(member=1)).max() > 1


def test_cells_without_rain_data_have_none_in_the_members(tmp_path):
    rain = coarse_rain(12)
    rain[:, 0, :2] = np.nan
    coarse = field(rain)
    drawn = rainshaft.load_general(coarse, factor=2).downscale(coarse, members=1)
    missing = np.isnan(drawn.pr.isel(member=0))
    assert missing[:, :2, :4].all()
    assert int(missing.sum()) == 12 * 2 * 4


def test_a_dataset_with_bounds_and_other_units_is_understood():
    coarse = field(coarse_rain(6) / 24, "1h", "", cell_methods="time: mean")
    bounds = np.stack([coarse.time.values, coarse.time.values + np.timedelta64(1, "h")], axis=1)
    dataset = coarse.to_dataset(name="anything").assign(time_bnds=(("time", "bnds"), bounds))
    dataset.time.attrs["bounds"] = "time_bnds"
    rain = rainshaft.load_general(dataset, factor=2, units="mm/h").downscale(dataset, members=1)
    np.testing.assert_array_equal(rain.time, coarse.time)  # the bounds tell where the steps begin
    means = rain.pr.coarsen(lat=2, lon=2).mean().isel(member=0)
    np.testing.assert_allclose(means, 24 * coarse, rtol=1e-3, atol=1e-3)


def test_the_card_says_how_large_the_coarse_rain_is():
    coarse = field(coarse_rain(6))
    size = rainshaft.load_general(coarse, factor=2).card["coarse_rain"]
    assert size == {"mean": pytest.approx(float(coarse.mean())), "highest": pytest.approx(float(coarse.max()))}


def test_stamps_can_be_said_to_stand_at_the_start():
    coarse = field(coarse_rain(6), "1h", "mm", cell_methods="time: sum")
    model = rainshaft.load_general(coarse, factor=2, day="start")
    days = model.downscale(coarse, members=1)
    assert days.time.values[0] == coarse.time.values[0]


def test_realizations_get_members_of_their_own():
    coarse = field(coarse_rain(6))
    both = xr.concat([coarse, 2 * coarse], xr.Variable("number", [0, 1]))
    rain = rainshaft.load_general(both, factor=2).downscale(both, members=2)
    assert rain.realization.values.tolist() == [0, 0, 1, 1]
    means = rain.pr.coarsen(lat=2, lon=2).mean()
    np.testing.assert_allclose(means.isel(member=3), 2 * coarse, rtol=1e-3, atol=1e-3)


def test_steps_of_another_length_are_refused():
    three = field(coarse_rain(16), "3h", "mm/h", cell_methods="time: mean")
    one = field(coarse_rain(48), "1h", "mm/h", cell_methods="time: mean")
    with pytest.raises(UserError, match="found records of 1 h, expected records of 3 h"):
        rainshaft.load_general(three, factor=2).downscale(one, members=1)


def test_a_heavy_hour_is_no_fault_and_an_impossible_one_is():
    coarse = field(coarse_rain(6), "1h", "mm", cell_methods="time: sum")
    coarse[2, 1, 1] = 200.0
    assert rainshaft.load_general(coarse, factor=2)
    coarse[2, 1, 1] = 1000.0
    with pytest.raises(UserError, match="found 24000 mm/day"):
        rainshaft.load_general(coarse, factor=2)


def test_chains_of_three_keep_the_mass_on_a_ragged_coast():
    """The cells between two networks may be valid in part; then they count in part."""
    rain = coarse_rain(4, 3, 3)
    chain = general_chain(rain, everywhere(rain), 12, CPU)  # 4 x 3
    assert len(chain.networks) == 2
    valid = np.ones((36, 36), "f4")
    valid[:7, :5] = valid[20:, 31:] = 0
    maps = xr.Dataset(
        {"static_maps": (("static", "lat", "lon"), np.empty((0, 36, 36), "f4")), "valid": (("lat", "lon"), valid)},
        attrs={"factor": 12},
    )
    days = xr.Dataset(
        {
            "predictors": (("time", "channel", "y", "x"), rain[:1, None]),
            "context": (("time", "context_channel", "v", "u"), np.empty((1, 0, 0, 0), "f4")),
        },
        {"time": np.array(["2014-04-11"], "M8[ns]")},
    )
    settings = DrawSettings(seed=1, members=2, temperature=1.0, tile=512, device="cpu")
    drawn = draw(chain, days, maps, "prior", settings, [60_000])[0]
    sums = (drawn * valid).reshape(2, 3, 12, 3, 12).sum((2, 4))
    counts = valid.reshape(3, 12, 3, 12).sum((1, 3))
    np.testing.assert_allclose(sums / counts, np.broadcast_to(rain[0], sums.shape), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--factor: found none"),
        (["--factor", "1"], "factor: found 1, expected 2, 3, 4, 5, 8"),
        (["--factor", "8", "--picture", "no/such/maps.png"], "found no folder no/such"),
        (["--factor", "7"], "factor: found 7, expected 2, 3, 4, 5, 8 or a product"),
        (["--factor", "8", "--variable", "tp=x"], "--variable: found tp, expected pr=NAME"),
        (["--factor", "8", "--picture", "maps.jpg"], r"--picture: found maps\.jpg, expected a name that ends in \.png"),
    ],
)
def test_words_that_cannot_be_used_are_refused(tmp_path, capsys, words, message):
    field(coarse_rain()).to_netcdf(tmp_path / "coarse.nc")
    assert main(["downscale", "general", str(tmp_path / "coarse.nc"), str(tmp_path / "fine.nc"), *words]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "fine.nc").exists()


def test_a_factor_beside_a_trained_model_is_refused(tmp_path, capsys):
    assert main(["downscale", "some/model", "coarse.nc", "fine.nc", "--factor", "8"]) == 1
    assert "knows its factor" in capsys.readouterr().err


def named(path):
    """The rain of a file."""
    return rain_name(variables_of(path), str(path), "--variable pr=NAME")


def test_which_variable_is_rain_must_be_clear(tmp_path):
    rain = field(coarse_rain())
    xr.Dataset({"a": rain, "b": rain}).to_netcdf(tmp_path / "two.nc")
    with pytest.raises(UserError, match=r"found the variables a, b, expected one that is rain.*--variable pr=NAME"):
        named(tmp_path / "two.nc")
    xr.Dataset({"a": rain, "tp": rain}).to_netcdf(tmp_path / "named.nc")
    assert named(tmp_path / "named.nc") == "tp"
    places = xr.DataArray(np.ones((4, 5)), dims=("lat", "lon"), attrs={"units": "degrees_north"})
    xr.Dataset({"a": rain, "latitudes": places}).to_netcdf(tmp_path / "places.nc")
    assert named(tmp_path / "places.nc") == "a"


def test_rain_on_cells_that_no_network_has_seen_gives_a_warning(tmp_path):
    coarse = field(coarse_rain())
    far = coarse.assign_coords(lat=50 - 8 * np.arange(4.0), lon=8 * np.arange(5.0))
    with pytest.warns(UserWarning, match=r"coarse cells of \d+ km, while the network for factor 8 has seen"):
        rainshaft.load_general(far, factor=8).downscale(far, members=1)


def test_a_training_without_a_posterior_gives_it_no_gradient(made, tmp_path):
    (trainer,) = trainers(small_training(loss={"posterior_members": 0}, epochs=1), *plain_days(tmp_path), Group())
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.step()
    assert set(trainer.progress.sums) & {"L_rec", "L_grad", "L_kl"} == set()
    changed = {name for name, value in trainer.network.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("prior") for name in changed)
    assert not any(name.startswith(("posterior", "y_pyramid")) for name in changed)


def test_a_record_needs_its_licence():
    with pytest.raises(ValueError, match="licence"):
        RecordFiles(file="a.nc", variable="pr", cell_km=1.0, hours=1.0, citation="x")
