"""The dense network: coarse rain of a whole domain from the weather of the day and the season."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from fields import make_fields, normalisation_of, showers
from trainings import Data, island_days, small_training, stop_after

from rainshaft.application.card import WITH_ANALOGS, limits_of
from rainshaft.config.load import ConfigError, load
from rainshaft.config.slices import SampleSettings
from rainshaft.data.conventions import TRAIN
from rainshaft.data.patches import load_days, season
from rainshaft.errors import Interrupted
from rainshaft.models.chain import Chain
from rainshaft.models.dense import DenseRain
from rainshaft.models.eofs import leading_eofs, weather_patterns
from rainshaft.models.kinds import build_model
from rainshaft.models.store import load_model
from rainshaft.sampling.draw import day_noise, draw_part
from rainshaft.sampling.sample import sample
from rainshaft.training.distributed import Group
from rainshaft.training.run import finished_files, train

CPU = torch.device("cpu")


def weather_days(folder: Path, days: int = 200) -> Data:
    """Days of 16 x 24 cells. A low in the west brings rain there, and a low in the east brings rain in the east."""
    rng = np.random.default_rng(0)
    depth = rng.normal(0, 1, (days, 2))
    place = np.exp(-(np.subtract.outer([1, 5], np.arange(7)) ** 2) / 2)  # of the lows, along a row of the map
    pressure = 1e5 - 800 * np.einsum("tl,lu->tu", depth, place)[:, None] + rng.normal(0, 50, (days, 5, 7))
    rain = showers(rng, days, 16, 24) * np.repeat(np.exp(depth), 12, 1)[:, None]
    path = make_fields(folder / "2001.nc", rain, context={"msl": pressure}, coarse=False)
    return [path], normalisation_of(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return weather_days(tmp_path_factory.mktemp("weather"))


SETTINGS = small_training("drawn", model={"coarse": "dense", "coarser_scales": 0}, coarse_epochs=12, epochs=1)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dense")
    train(SETTINGS, *data, folder, folder / "log.csv", Group())
    return folder


@pytest.fixture
def model(trained) -> Chain:
    weights, info, _ = finished_files(trained)
    return load_model(weights, info, CPU)


def members_of(model: Chain, data: Data, path: Path, mode: str = "prior", **changes: object) -> xr.DataArray:
    settings = SampleSettings(seed=1, members=6, days="split:test", temperature=1.0, tile=512, device="cpu")
    sample(model, settings.model_copy(update=changes), mode, *data, path, {})
    return xr.load_dataset(path).pr


def test_it_learns_the_weather_of_each_place_from_scores_alone(trained, data, model, tmp_path):
    rows = [row for row in csv.DictReader((trained / "train_log.csv").open()) if row["network"] == "coarse"]
    assert float(rows[-1]["val_L_crps"]) < 0.95 * float(rows[0]["val_L_crps"])
    assert not rows[0]["val_L_rec"]  # it has no posterior
    drawn = members_of(model, data, tmp_path / "a.nc").mean("member")
    observed = xr.load_dataset(data[0][0]).pr.sel(time=drawn.time)
    for half in (slice(0, 12), slice(12, 24)):
        sums = [field.isel(lon=half).mean(("lat", "lon")) for field in (drawn, observed)]
        assert float(xr.corr(*sums)) > 0.6


def test_an_epoch_has_enough_steps_in_a_short_record_and_batches_are_large(trained):
    rows = list(csv.DictReader((trained / "train_log.csv").open()))
    assert [int(row["step"]) for row in rows if row["network"] == "coarse"][:2] == [10, 20]
    assert int(next(row["step"] for row in rows if row["network"] == "fine")) > 25  # small batches of many patches


def test_a_short_record_has_fewer_steps_in_an_epoch(model):
    network = model.networks[0]
    assert [network.least_steps(days) for days in (10, 220, 1096, 4 * 1096)] == [10, 11, 25, 25]


def test_the_last_weights_are_kept(trained):
    info = json.loads((trained / "model.json").read_text(encoding="utf-8"))
    assert info["networks"][0]["best_epoch"] == info["networks"][0]["epochs"] == 12


def test_a_stopped_training_resumes_to_the_same_weights(data, trained, tmp_path, monkeypatch):
    stop_after(monkeypatch, 60)
    with pytest.raises(Interrupted, match="stopped by a signal at step 60"):
        train(SETTINGS, *data, tmp_path, tmp_path / "log.csv", Group())
    monkeypatch.undo()
    train(SETTINGS, *data, tmp_path, tmp_path / "log.csv", Group())
    assert finished_files(tmp_path)[0].read_bytes() == finished_files(trained)[0].read_bytes()


def test_its_file_names_the_kind_of_each_network(trained, model):
    info = json.loads((trained / "model.json").read_text(encoding="utf-8"))
    assert [network["kind"] for network in info["networks"]] == ["dense", "cvae"]
    assert info["kind"] == model.kind == "cvae"
    first = model.networks[0]
    assert isinstance(first, DenseRain)
    assert float(first.std_N.max()) < 2000  # what it learned of the inputs came back, too
    assert first.eofs_NP.any()


def test_a_day_has_equal_members_whatever_the_tile_and_the_days_beside_it(data, model, tmp_path):
    whole = members_of(model, data, tmp_path / "whole.nc")
    tiles = members_of(model, data, tmp_path / "tiles.nc", tile=8)
    np.testing.assert_allclose(tiles, whole, rtol=1e-4, atol=1e-4)
    date = np.datetime_as_string(whole.time.values[3], "D")
    (tmp_path / "days.txt").write_text(date, encoding="utf-8")
    alone = members_of(model, data, tmp_path / "alone.nc", days=f"file:{tmp_path / 'days.txt'}")
    np.testing.assert_array_equal(alone.sel(time=date), whole.sel(time=date))


def test_members_differ_as_whole_days_and_at_single_cells(data, model, tmp_path):
    drawn = members_of(model, data, tmp_path / "a.nc")
    assert float(drawn.mean(("lat", "lon")).std("member").mean()) > 0.1
    coarse = drawn.coarsen(lat=2, lon=2).mean()
    assert float((coarse - coarse.mean(("lat", "lon"))).std("member").mean()) > 0.5


def test_some_members_are_coarse_rain_of_other_training_days(data, model):
    network = model.networks[0]
    assert isinstance(network, DenseRain)
    assert network.analogs is not None
    share = SETTINGS.model.analogs
    days = load_days(*data, TRAIN, CPU)
    (coarse, _) = model.parts(days)
    shapes, members = network.noise_shapes(8, 12), 50
    noise = [torch.randn(len(days) * members, *shape, generator=torch.Generator().manual_seed(1)) for shape in shapes]
    drawn = draw_part(network.eval(), coarse, noise, members, 512).reshape(len(days), members, -1)
    observed = network.analogs.rain_TG.numpy()
    distance = np.abs(drawn[:, :, None] - observed[None, None]).max(-1)  # day, member, training day
    is_analog = distance.min(-1) == 0
    assert is_analog.mean() == pytest.approx(share, abs=0.03)
    assert (is_analog.any(1)).all()
    chosen = np.where(is_analog, distance.argmin(-1), -1)
    assert not (chosen == np.arange(len(days))[:, None]).any(), "a day is no analog of itself"
    quiet = draw_part(network, coarse, noise, members, 512, temperature=0.0).reshape(drawn.shape)
    np.testing.assert_array_equal(quiet[is_analog], drawn[is_analog])  # the choice has no temperature


def test_the_card_of_a_model_with_analogs_says_so(trained):
    networks = json.loads((trained / "model.json").read_text(encoding="utf-8"))["networks"]
    assert WITH_ANALOGS in limits_of(networks, 0.0)
    assert WITH_ANALOGS not in limits_of(networks[1:], 0.0)


def test_analogs_of_a_day_are_different_days_whatever_the_number_of_members(data, model):
    domains = [(8, 12), (8, 12)]
    drawn = {}
    for date in (5, 6):
        whole = day_noise(model, 1, date, range(20), domains)[0][0][:, -1, 0, 0]
        some = day_noise(model, 1, date, range(7, 12), domains)[0][0][:, -1, 0, 0]
        np.testing.assert_array_equal(some, whole[7:12])
        places = np.floor(torch.special.ndtr(torch.from_numpy(whole)).numpy() * 10)
        assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))
        drawn[date] = places
    assert not np.array_equal(drawn[5], drawn[6])
    many = np.concatenate([day_noise(model, 1, date, range(10), domains)[0][0][:, -1, 0, 0] for date in range(300)])
    assert abs(many.mean()) < 0.03
    assert abs(many.std() - 1) < 0.03
    with_memory = day_noise(model, 1, 5, range(10), domains, memory=0.5)[0][0][:, -1, 0, 0]
    assert len(set(np.floor(torch.special.ndtr(torch.from_numpy(with_memory)).numpy() * 10))) == 10


def test_a_network_may_do_without_analogs(data, tmp_path):
    settings = SETTINGS.model_copy(update={"model": SETTINGS.model.model_copy(update={"analogs": 0.0})})
    train(settings, *data, tmp_path, tmp_path / "log.csv", Group())
    weights, info, _ = finished_files(tmp_path)
    network = load_model(weights, info, CPU).networks[0]
    assert isinstance(network, DenseRain)
    assert network.analogs is None
    assert not [name for name in network.state_dict() if "analogs" in name]


def test_variations_of_an_observed_day_keep_its_coarse_rain(data, model, tmp_path):
    drawn = members_of(model, data, tmp_path / "a.nc", mode="posterior")
    observed = xr.load_dataset(data[0][0]).pr.sel(time=drawn.time)
    means = [field.coarsen(lat=2, lon=2).mean() for field in (drawn, observed)]
    np.testing.assert_allclose(*xr.broadcast(*means), rtol=2e-3, atol=2e-3)
    assert float(drawn.std("member").mean()) > 0.1


def test_cells_without_data_stay_dry_and_do_not_count(tmp_path):
    islands = island_days(tmp_path)
    folder = tmp_path / "model"
    train(SETTINGS, *islands, folder, folder / "log.csv", Group())
    weights, info, _ = finished_files(folder)
    drawn = members_of(load_model(weights, info, CPU), islands, tmp_path / "a.nc")
    valid = islands[1].valid.values == 1
    assert np.isfinite(drawn.values[..., valid]).all()
    assert np.isnan(drawn.values[..., ~valid]).all()


def test_a_predictor_that_never_changes_tells_nothing(tmp_path):
    rng = np.random.default_rng(1)
    path = make_fields(
        tmp_path / "2001.nc", showers(rng, 80, 8, 12), context={"flat": np.full((80, 3, 4), 7.0)}, coarse=False
    )
    data = [path], normalisation_of(path)
    model = build_model(SETTINGS.model, data[1], 1)
    network, days = model.networks[0], model.parts(load_days(*data, TRAIN, CPU))[0]
    network.learn_inputs(days)
    noise = [torch.randn(len(days) * 2, *shape) for shape in network.noise_shapes(4, 6)]
    assert np.isfinite(draw_part(network.eval(), days, noise, 2, 512)).all()


def test_the_season_matters(model, data):
    days = load_days(*data, TRAIN, CPU)
    (coarse, _) = model.parts(days[:4])
    network = model.networks[0]
    noise = [torch.randn(4 * 2, *shape) for shape in network.noise_shapes(8, 12)]
    winter = draw_part(network, coarse, noise, 2, 512)
    summer = draw_part(network, type(coarse)(**{**vars(coarse), "season_T2": -coarse.season_T2}), noise, 2, 512)
    assert np.abs(winter - summer).max() > 1e-3


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_the_season_is_an_angle_that_starts_with_the_year_in_any_calendar(calendar):
    time = xr.date_range("2001-01-01", "2001-12-30", freq="D", calendar=calendar, use_cftime=calendar != "standard")
    found = season(xr.DataArray(time, dims="time")).numpy()
    np.testing.assert_allclose(np.hypot(*found.T), 1, rtol=1e-5)
    assert found[0] == pytest.approx([1, 0], abs=0.02)
    assert found[-1] == pytest.approx([1, 0], abs=0.04)
    assert found[len(found) // 4] == pytest.approx([0, 1], abs=0.04)


def test_the_leading_patterns_are_those_with_most_variance():
    rng = np.random.default_rng(0)
    patterns = np.linalg.qr(rng.normal(size=(30, 3)))[0].T
    found = rng.normal(size=(200, 3)) * [9, 5, 3] @ patterns + 0.1 * rng.normal(size=(200, 30))
    eofs = leading_eofs(found.astype("f4"), 3)
    assert eofs.shape == (30, 3)
    np.testing.assert_allclose(eofs.T @ eofs, np.eye(3), atol=1e-4)
    np.testing.assert_allclose(np.diag(np.abs(eofs.T @ patterns.T)), 1, atol=0.05)
    np.testing.assert_array_equal(eofs, leading_eofs(found.astype("f4"), 3))


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_patterns_of_the_weather_are_those_of_fields_and_gradients(weight):
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(90, 2, 4, 6)).cumsum(-1).astype("f4"), rng.normal(size=(90, 1, 1, 5)).astype("f4")]
    views = []
    for field in (maps[0][:, 0], maps[0][:, 1], maps[1][:, 0]):
        for values, share in ((field, 1.0), (np.diff(field, axis=1), weight / 2), (np.diff(field, axis=2), weight / 2)):
            variance = np.square(values).sum() / len(values)
            views.append(values.reshape(90, -1) * np.sqrt(share / variance) if values.size else values.reshape(90, 0))
    whole = np.concatenate(views, 1)
    patterns = weather_patterns([*maps, np.zeros((90, 0, 0, 0), "f4")], 4, weight)
    assert patterns.shape == (2 * 24 + 5, 4)
    assert patterns.dtype == np.float32
    values = np.concatenate([one.reshape(90, -1) for one in maps], 1)
    np.testing.assert_allclose(values @ patterns, whole @ leading_eofs(whole.astype("f4"), 4), atol=1e-4)


def test_a_day_far_beyond_the_training_does_not_explode(tmp_path):
    """Where it hardly ever rained in the training, rain on a single day is no weather that was learned."""
    rng = np.random.default_rng(2)
    rain = showers(rng, 80, 8, 12)
    rain[:, :, 8:] *= 1e-5 * (rng.random((80, 1, 1)) < 0.05)
    path = make_fields(tmp_path / "2001.nc", rain)
    data = [path], normalisation_of(path)
    model = build_model(SETTINGS.model, data[1], 1)
    network, days = model.networks[0], model.parts(load_days(*data, TRAIN, CPU))[0]
    network.learn_inputs(days)
    with torch.no_grad():
        network.linear.weight.fill_(0.1)
    coarse = days.coarse_TCyx.clone()
    coarse[0, 0, :, 4:] = 50.0
    noise = [torch.randn(len(days) * 2, *shape) for shape in network.noise_shapes(4, 6)]
    heavy = draw_part(network.eval(), type(days)(**{**vars(days), "coarse_TCyx": coarse}), noise, 2, 512)
    usual = draw_part(network, days, noise, 2, 512)
    assert heavy[0].max() < 30 * usual.max()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": {"conserve": "none", "coarse": "dense"}}, "only with `conserve: drawn`"),
        ({"model": {"coarse": "convolutional", "analogs": 0.5}}, "analogs: found 0.5 with `coarse: convolutional`"),
        ({"model": {"coarser_scales": 2}}, "coarser_scales: found 2 with `coarse: dense`"),
        (
            {"loss": {"lambda_crps": 0}},
            "found 0 with `model.coarse: dense`, so there is nothing to learn from",
        ),
        ({"train": {"early_stopping_metric": "val_L_grad"}}, "with `model.coarse: dense` a network has no posterior"),
        ({"train": {"gpus": 3, "batch_size": 6}}, "gpus: found 3, but the 128 days"),
    ],
)
def test_keys_that_a_dense_network_cannot_follow_are_refused(keys, message):
    dataset = {"years": [2001], "factor": 2, "rain": {"files": ["x.nc"], "variable": "pr"}}
    dataset |= {"predictors": [{"files": ["y.nc"], "variable": "msl", "context": True}], "split": {"by": "blocks"}}
    experiment = {"dataset": "mine", **keys}
    experiment["model"] = {"conserve": "drawn", "coarse": "dense"} | keys.get("model", {})
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(
            {"datasets": {"mine": dataset}, "experiments": {"one": experiment}, "baselines": {"names": ["analogs"]}},
            ["analogs"],
        )
