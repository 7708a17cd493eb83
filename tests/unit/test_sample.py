"""Sampling and the pixel threshold."""

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from fields import make_fields, normalisation_of, showers

from rainshaft.config.sections import Model
from rainshaft.config.slices import EvaluateSettings, SampleSettings, ThresholdSettings
from rainshaft.data.patches import load_days
from rainshaft.errors import UserError
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.files import write_ensemble, write_netcdf
from rainshaft.models.cvae import CVAEArchitecture
from rainshaft.models.kinds import build_model
from rainshaft.models.noise import seeded
from rainshaft.sampling import draw as drawing
from rainshaft.sampling.sample import choose_days, sample
from rainshaft.sampling.threshold import apply_threshold

DAYS, ROWS, COLUMNS = 40, 8, 12


def make_data(folder, days, rows, columns, **keys):
    """The canonical fields of some days, with a corner that is not valid, and their normalisation."""
    rng = np.random.default_rng(0)
    rain = showers(rng, days, rows, columns)
    valid = np.ones((rows, columns))
    valid[:2, :3] = 0
    path = make_fields(folder / "2001.nc", rain, valid=valid, **keys)
    return [path], normalisation_of(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"), DAYS, ROWS, COLUMNS)


def make_model(data, conserve="none", coarser=0):
    model = build_model(Model(width=4, d_z=(2, 1), conserve=conserve, coarser_scales=coarser), data[1], 0)
    with seeded(1):
        for network in model.networks:
            torch.nn.init.normal_(network.out.weight, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def model(data):
    return make_model(data)


SETTINGS = SampleSettings(seed=1, members=3, days="heavy_only", temperature=1.0, tile=64, device="cpu")
AUTO = ThresholdSettings(pixel_threshold="auto", wet_threshold=0.1)


def drawn(model, data, path, mode="prior", shard=(1, 1), **changes):
    settings = SETTINGS.model_copy(update=changes)
    sample(model, settings, mode, data[0], data[1], path, {"note": "test"}, *shard)
    return xr.load_dataset(path)


KINDS = [("prior", "all"), ("posterior", "all"), ("posterior", 1)]


@pytest.mark.parametrize(("mode", "scales"), KINDS)
def test_members_are_the_same_for_any_choice_of_days(model, data, tmp_path, mode, scales):
    first = drawn(model, data, tmp_path / "a.nc", mode, posterior_scales=scales)
    second = drawn(model, data, tmp_path / "b.nc", mode, posterior_scales=scales, days="split:train")
    assert second.sizes["time"] > first.sizes["time"]
    xr.testing.assert_equal(first.pr, second.pr.sel(time=first.time))


def coarsest_noise(chain, memory, dates, members=4):
    """The coarsest noise of the first network (date, member, C, h, w)."""
    return np.stack([drawing.day_noise(chain, 1, date, range(members), [(4, 6)], memory)[0][0] for date in dates])


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


@pytest.mark.parametrize("memory", [0.5, 0.9])
def test_noise_with_a_memory_is_standard_normal_and_forgets_by_the_day(model, memory):
    noise = coarsest_noise(model, memory, range(60_000, 60_400))
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03
    for lag in (1, 2, 5):
        assert abs(correlation(noise[lag:], noise[:-lag]) - memory**lag) < 0.03
    assert abs(correlation(noise[1:, 1:], noise[:-1, :-1])) < 0.03  # members remember themselves alone


def test_noise_with_a_memory_is_the_recursion_over_all_days_before(model):
    memory, dates = 0.6, range(60_000, 60_060)
    fresh = coarsest_noise(model, 0.0, dates)
    expected = fresh[0]
    for day in fresh[1:]:
        expected = memory * expected + np.sqrt(1 - memory**2) * day
    np.testing.assert_allclose(coarsest_noise(model, memory, dates[-1:])[0], expected, atol=0.01)


def test_a_memory_changes_the_coarsest_noise_of_the_first_network_alone(data):
    chain = make_model(data, "drawn", 1)
    with_memory, without = (
        drawing.day_noise(chain, 1, 60_000, range(3), [(4, 6)] * len(chain.networks), memory) for memory in (0.5, 0.0)
    )
    assert (with_memory[0][0] != without[0][0]).all()
    for network, network_without in zip(with_memory, without, strict=True):
        for level, (z, z_without) in enumerate(zip(network, network_without, strict=True)):
            assert np.array_equal(z, z_without) != (network is with_memory[0] and level == 0)


def test_without_a_memory_the_noise_is_that_of_its_key(model):
    expected = np.random.default_rng((1, 60_000, 2)).standard_normal((2, 4, 6), dtype="f4")
    np.testing.assert_array_equal(coarsest_noise(model, 0.0, [60_000])[0, 2], expected)


def test_days_before_1850_have_noise_of_their_own(model):
    noise = coarsest_noise(model, 0.5, range(-3, 3))
    assert len(np.unique(noise)) == noise.size


def test_members_with_a_memory_do_not_depend_on_which_days_are_drawn(model, data, tmp_path):
    first = drawn(model, data, tmp_path / "a.nc", memory=0.7)
    second = drawn(model, data, tmp_path / "b.nc", memory=0.7, days="split:train")
    assert second.sizes["time"] > first.sizes["time"]
    xr.testing.assert_equal(first.pr, second.pr.sel(time=first.time))
    assert (first.pr.fillna(0) != drawn(model, data, tmp_path / "c.nc").pr.fillna(0)).any()


@pytest.mark.parametrize(("conserve", "coarser"), [("none", 0), ("drawn", 0), ("drawn", 1)])
@pytest.mark.parametrize(("mode", "scales"), KINDS)
def test_tiles_give_the_members_of_the_whole(tmp_path, monkeypatch, mode, scales, conserve, coarser):
    # with a scale coarser by one the last cells of that are half outside
    data, keys = make_data(tmp_path, 20, 90, 46), {"days": "split:test", "posterior_scales": scales}
    model = make_model(data, conserve, coarser)
    whole = drawn(model, data, tmp_path / "whole.nc", mode, **keys).pr
    tiled = drawn(model, data, tmp_path / "tiled.nc", mode, **keys, tile=16).pr
    # in a chain the rounding of the coarse rain is multiplied where a coarse cell is scaled to it
    near = 5e-3 if conserve == "drawn" else 1e-5
    np.testing.assert_allclose(tiled, whole, rtol=near, atol=near)

    monkeypatch.setattr(CVAEArchitecture, "reach", 1)
    seams = drawn(model, data, tmp_path / "seams.nc", mode, **keys, tile=16).pr
    assert float(abs(seams - whole).max()) > 0.1, "with too small a halo the tiles do not meet"


@pytest.mark.parametrize("conserve", ["none", "drawn"])
def test_context_is_that_of_the_day_for_any_batch_and_in_every_tile(tmp_path, conserve):
    pressure = np.random.default_rng(2).normal(1e5, 800, (40, 5, 7))
    data = make_data(tmp_path, 40, 60, 44, context={"msl": pressure}, coarse=False)
    model = make_model(data, conserve)
    whole = drawn(model, data, tmp_path / "whole.nc", days="split:test").pr
    other = drawn(model, data, tmp_path / "other.nc", days="split:test", tile=16).pr
    near = 1e-3 if conserve == "drawn" else 1e-4
    np.testing.assert_allclose(other, whole, rtol=near, atol=near)

    with xr.open_dataset(data[0][0]) as fields:
        swapped = fields.load()
    swapped["context"] = swapped.context[::-1].assign_coords(time=swapped.time)
    swapped.to_netcdf(tmp_path / "swapped.nc")
    weather = drawn(model, ([tmp_path / "swapped.nc"], data[1]), tmp_path / "weather.nc", days="split:test").pr
    assert float(abs(weather - whole).max()) > 0.1


def test_fewer_posterior_scales_make_more_varied_members(model, data, tmp_path):
    sure = copy.deepcopy(model)  # of what the observed day was, while the prior knows little
    network = sure.networks[0]
    for posterior, prior in zip(network.posterior, network.prior, strict=True):
        torch.nn.init.constant_(posterior.parts[0].bias.chunk(2)[1], -20)
        torch.nn.init.constant_(prior.parts[0].bias.chunk(2)[1], 2)
    kinds = {"all": "all", "every": 2, "coarse": 1}
    rain = {k: drawn(sure, data, tmp_path / f"{k}.nc", "posterior", posterior_scales=n).pr for k, n in kinds.items()}
    xr.testing.assert_identical(rain["all"], rain["every"])
    near, far = (float(abs(rain[kind][:, 0] - rain[kind][:, 1]).mean()) for kind in ("all", "coarse"))
    assert far > 5 * near


def test_members_of_a_chain_keep_the_coarse_rain_that_was_drawn_each_its_own(data, tmp_path, monkeypatch):
    fields, draw_part = [], drawing.draw_part
    monkeypatch.setattr(drawing, "draw_part", lambda *given: fields.append(draw_part(*given)) or fields[-1].copy())
    drawn(make_model(data, "drawn", 1), data, tmp_path / "a.nc")
    coarse, fine = (np.concatenate(found) for found in (fields[::2], [rain.swapaxes(0, 1) for rain in fields[1::2]]))
    valid = data[1].valid.values.reshape(ROWS // 2, 2, COLUMNS // 2, 2).astype(float)
    rain = fine.reshape(*coarse.shape[:2], *valid.shape)
    mean = (rain * valid).sum((-3, -1)) / valid.sum((-3, -1)).clip(1)
    np.testing.assert_allclose(mean, coarse, rtol=1e-4, atol=1e-3)
    assert (valid.mean((1, 3)) == 0.5).any(), "a coarse cell of which half is not valid"
    assert np.abs(coarse[:, 0] - coarse[:, 1]).mean() > 0.1


def test_the_coarse_scales_of_a_chain_see_the_observed_day_first(data, tmp_path):
    chain = make_model(data, "drawn", 1)
    assert chain.scales == (2, 2)
    kinds = {"prior": ("prior", "all"), 1: ("posterior", 1), 2: ("posterior", 2), 3: ("posterior", 3)}
    kinds |= {4: ("posterior", 4), "all": ("posterior", "all")}
    rain = {k: drawn(chain, data, tmp_path / f"{k}.nc", mode, posterior_scales=n).pr for k, (mode, n) in kinds.items()}
    xr.testing.assert_identical(rain[4], rain["all"])
    coarse = {k: members.coarsen(lat=2, lon=2).mean() for k, members in rain.items()}
    for fewer, more in (("prior", 1), (1, 2)):
        assert float(abs(coarse[more] - coarse[fewer]).max()) > 0.1
    for fewer, more in ((2, 3), (3, 4)):
        xr.testing.assert_allclose(coarse[more], coarse[fewer], rtol=1e-3, atol=1e-3)
        assert float(abs(rain[more] - rain[fewer]).max()) > 0.1


def test_the_prior_has_no_posterior_scales(model, data, tmp_path):
    rain = [drawn(model, data, tmp_path / f"{scales}.nc", posterior_scales=scales) for scales in ("all", 1)]
    xr.testing.assert_identical(*rain)


@pytest.mark.parametrize("conserve", ["none", "drawn"])
def test_the_prior_needs_no_observed_rain_and_the_posterior_says_that_it_does(data, tmp_path, conserve):
    model = make_model(data, conserve)
    (tmp_path / "unobserved").mkdir()
    unobserved = [tmp_path / "unobserved/2001.nc"], data[1]
    with xr.open_dataset(data[0][0]) as fields:
        fields.drop_vars("pr").to_netcdf(unobserved[0][0])
    known = drawn(model, data, tmp_path / "known.nc")
    xr.testing.assert_identical(drawn(model, unobserved, tmp_path / "unknown.nc").pr, known.pr)
    with pytest.raises(UserError, match="the posterior needs the observed rain of the days, and these have none"):
        drawn(model, unobserved, tmp_path / "a.nc", "posterior")
    assert not (tmp_path / "a.nc").exists()


def test_more_members_keep_the_first_ones_and_another_seed_changes_all(model, data, tmp_path):
    few, more = drawn(model, data, tmp_path / "a.nc"), drawn(model, data, tmp_path / "b.nc", members=5)
    xr.testing.assert_allclose(few.pr, more.pr.isel(member=slice(3)), rtol=1e-4, atol=1e-4)
    other = drawn(model, data, tmp_path / "c.nc", seed=2)
    assert float(abs(few.pr - other.pr).max()) > 1


def test_the_file_has_all_days_to_score_is_masked_and_says_where_it_comes_from(model, data, tmp_path):
    members = drawn(model, data, tmp_path / "a.nc")
    for part in ("validation", "test"):
        days = data[1].time[data[1].split == part]
        assert days.size
        assert np.isin(days, members.time[members.split == part]).all()
    assert np.isnan(members.pr.values[..., :2, :3]).all()
    assert not np.isnan(members.pr.values[..., 2:, :]).any()
    assert (members.pr.fillna(0) >= 0).all()
    assert (members.attrs["mode"], members.attrs["note"]) == ("prior", "test")


def test_days_from_a_file_and_what_is_wrong_with_it(data, tmp_path):
    dates = tmp_path / "days.txt"
    dates.write_text("2001-01-02\n2001-01-03\n", encoding="utf-8")
    chosen = choose_days(data[1], f"file:{dates}")
    assert chosen[1:3].all()
    assert not chosen[0]
    dates.write_text("1999-01-02\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"1 of 1 dates are not in the dataset, the first is '1999-01-02'"):
        choose_days(data[1], f"file:{dates}")
    with pytest.raises(UserError, match="there is no file"):
        choose_days(data[1], "file:nowhere.txt")


def test_posterior_members_without_mass_are_dropped(model, data, tmp_path, caplog):
    caplog.set_level("INFO")
    drier = copy.deepcopy(model)
    torch.nn.init.constant_(drier.networks[0].out.bias, -2.5)
    members = drawn(drier, data, tmp_path / "a.nc", mode="posterior", min_threshold=1.0)
    with xr.open_dataset(data[0][0]) as fields:
        truth = fields.pr.sel(time=members.time)
        light = members.pr.sum(("lat", "lon")) < truth.sum(("lat", "lon"))
        dropped = members.pr.isnull().all(("lat", "lon"))
    assert dropped.any()
    assert not (~dropped & light).any()
    assert f"{int(dropped.sum())} members dropped" in caplog.text


def test_threshold_zeroes_what_is_below_and_touches_nothing_else(model, data, tmp_path):
    before = drawn(model, data, tmp_path / "a.nc")
    apply_threshold(
        [tmp_path / "a.nc"], ThresholdSettings(pixel_threshold=3.0, wet_threshold=None), data[0], tmp_path / "b.nc"
    )
    after = xr.load_dataset(tmp_path / "b.nc")
    assert after.attrs["pixel_threshold"] == 3.0
    xr.testing.assert_equal(after.pr, xr.where(before.pr < 3, 0, before.pr, keep_attrs=True).astype("f4"))
    assert list(after.split.values) == list(before.split.values)


@pytest.mark.parametrize("pixel_threshold", [3.0, "auto"])
def test_shards_of_days_are_the_whole_bit_for_bit(model, data, tmp_path, pixel_threshold):
    whole, parts = tmp_path / "whole.nc", [tmp_path / f"{i}-of-3.nc" for i in (1, 2, 3)]
    days = {"days": "split:train"}
    assert drawn(model, data, whole, **days).sizes["time"] == sum(
        drawn(model, data, part, shard=(i, 3), **days).sizes["time"] for i, part in enumerate(parts, 1)
    )
    settings = ThresholdSettings(pixel_threshold=pixel_threshold, wet_threshold=0.1)
    apply_threshold([whole], settings, data[0], tmp_path / "a.nc")
    apply_threshold(parts, settings, data[0], tmp_path / "b.nc")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "a.nc"), xr.load_dataset(tmp_path / "b.nc"))
    assert len(set(xr.load_dataset(tmp_path / "b.nc").split.values)) == 3


def test_more_shards_than_days_are_refused(model, data, tmp_path):
    with pytest.raises(UserError, match=r"sampling.shards: found 50, but there are only \d+ days"):
        drawn(model, data, tmp_path / "a.nc", shard=(1, 50))


def test_auto_threshold_matches_the_observed_wet_fraction(data, tmp_path):
    with xr.open_dataset(data[0][0]) as fields:
        days = data[1].isel(time=data[1].split.values == "validation")
        truth = fields.pr.sel(time=days.time).values
    rng = np.random.default_rng(1)
    drizzle = np.where(np.isnan(truth), np.nan, truth + rng.random(truth.shape) * 0.9)[:, None].astype("f4")
    write_ensemble(tmp_path / "a.nc", days, 1, drizzle, {})
    apply_threshold([tmp_path / "a.nc"], AUTO, data[0], tmp_path / "b.nc")
    after = xr.load_dataset(tmp_path / "b.nc").pr.values
    cells = np.isfinite(truth).sum()
    assert (drizzle > 0.1).sum() / cells > 0.9
    assert abs((after > 0.1).sum() / cells - (truth > 0.1).sum() / cells) < 0.02


def test_a_cell_that_misses_days_of_one_year_takes_part_in_none(model, tmp_path):
    found = []
    for amount in (0.0, 500.0):  # the rain of that cell in the year that has it, which must not matter
        folder = tmp_path / str(amount)
        folder.mkdir()
        rain, valid = showers(np.random.default_rng(3), 40, ROWS, COLUMNS), np.ones((ROWS, COLUMNS))
        valid[5, 7] = 0
        paths = [make_fields(folder / "2002.nc", rain[20:], "2002-01-01", valid=valid)]
        paths.append(make_fields(folder / "2001.nc", rain[:20]))
        with xr.open_dataset(paths[1]) as year:
            changed = year.load()
        changed.pr[:, 5, 7] = amount
        write_netcdf(changed, paths[1])
        data = paths, normalisation_of(*paths)
        assert (data[1].valid.values == valid).all()
        assert set(data[1].split.values[20:]) == set(data[1].split.values[:20]) >= {"validation", "test"}

        days = load_days(*data, "train", torch.device("cpu"))
        assert not days.rain_THW[:, 5, 7].any()
        assert days.rain_THW[:, 5, 6].any()
        drawn(model, data, folder / "a.nc", "posterior", days="split:validation", min_threshold=0.7)
        apply_threshold([folder / "a.nc"], AUTO, paths, folder / "b.nc")
        found.append(
            (xr.load_dataset(folder / "b.nc"), evaluate([folder / "b.nc"], paths, EvaluateSettings(seed=1))[0])
        )
    (members, scores), (others, others_scores) = found
    assert np.isnan(members.pr.values[..., 5, 7]).all()
    xr.testing.assert_identical(members, others)
    assert scores == others_scores
