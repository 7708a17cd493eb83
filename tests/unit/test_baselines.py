"""The baselines: their days, their maths, and that a new one is one new file."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest
import xarray as xr

from rainshaft.baselines import methods, table
from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.interface import SCORED
from rainshaft.baselines.make import make_baseline
from rainshaft.baselines.methods.analogs import POOL, RAIN_WEIGHT, analogs
from rainshaft.baselines.methods.bernoulli_gamma import draw
from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.baselines.methods.climatology import draw_of_season
from rainshaft.baselines.methods.fragments import from_blocks, in_blocks
from rainshaft.baselines.methods.quantile_mapping import BINS, EDGES, Mapping, bin_of, quantile_transfer
from rainshaft.baselines.methods.rainfarm import RAINFARM_SLOPE, rainfarm
from rainshaft.baselines.predictors import points, principal_components
from rainshaft.baselines.season import SEASON
from rainshaft.baselines.table import is_installed, method_of
from rainshaft.config.sections import Evaluation
from rainshaft.data.fields import Fields, dates_of
from rainshaft.errors import UserError
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.figures.style import line_styles
from rainshaft.files import write_netcdf

FACTOR, H, W = 6, 24, 42  # not square, and the factor is no power of 2
needs_pysteps = pytest.mark.skipif(
    not is_installed("rainfarm"), reason="pysteps is not installed: no RainFARM baseline"
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Canonical fields of two years and their normalisation; half of the cells of a column are not valid."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    times = xr.date_range("2000-12-12", periods=40)
    noise = rng.standard_normal((40, H, W)) + 1.5 * np.kron(rng.standard_normal((40, 4, 7)), np.ones((6, 6)))
    truth = np.maximum(4 * np.exp(noise) - 4, 0).astype("f4")
    truth[[27, 33]] = 0  # a validation day and a test day with no rain at all
    coarse = truth.reshape(40, H // FACTOR, FACTOR, W // FACTOR, FACTOR).mean((2, 4))
    valid = np.ones((H, W), "i1")
    valid[:12, 5] = 0
    context = np.random.default_rng(2).standard_normal((40, 2, 3, 4)) * [[[[1.0]], [[1000.0]]]]
    coords = {
        "time": times,
        "lat": 50 - 0.1 * np.arange(H),
        "lon": 0.1 * np.arange(W),
        "channel": ["tas", "pr"],
        "y": np.arange(H // FACTOR)[::-1].astype(float),
        "x": np.arange(W // FACTOR).astype(float),
        "v": np.arange(3.0),
        "u": np.arange(4.0),
        "context_channel": ["zg", "psl"],
    }
    fields = xr.Dataset(
        {
            "pr": (("time", "lat", "lon"), np.where(valid, truth, np.nan).astype("f4")),
            "predictors": (("time", "channel", "y", "x"), np.stack([coarse + 280, coarse], 1).astype("f4")),
            "context": (("time", "context_channel", "v", "u"), context.astype("f4")),
            "channel_units": ("channel", ["K", "mm/day"]),
            "context_units": ("context_channel", ["m", "Pa"]),
            "valid": (("lat", "lon"), valid),
            "land": (("lat", "lon"), np.ones((H, W), "f4")),
        },
        coords=coords,
        attrs={"factor": FACTOR, "rain_channel": "pr", "grid_kind": "latitude/longitude"},
    )
    paths = []
    for year in (2000, 2001):
        paths.append(folder / f"{year}.nc")
        write_netcdf(fields.isel(time=fields.time.dt.year.values == year), paths[-1])
    split = np.array(["train"] * 20 + ["test"] * 5 + ["validation"] * 5 + ["test"] * 10, object)
    known = xr.Dataset(
        {
            "valid": (("lat", "lon"), valid),
            "context_mean": (("context_channel", "v", "u"), np.zeros((2, 3, 4))),
            "context_std": ("context_channel", np.array([1.0, 1000.0])),
            "split": ("time", split),
            "category": ("time", np.array(["moderate", "heavy-coast"] * 20, object)),
            "static_maps": (("static", "lat", "lon"), np.linspace(0, 1, H * W).reshape(1, H, W)),
        },
        coords={name: coords[name] for name in ("time", "lat", "lon", "channel", "context_channel")},
        attrs={"factor": FACTOR, "rain_channel": "pr"},
    )
    write_netcdf(known, folder / "normalisation.nc")
    return paths, folder / "normalisation.nc", truth, coarse, valid.astype(bool), split


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Networks take a few steps only."""
    for name in ("bernoulli_gamma", "unet"):
        module = importlib.import_module(f"rainshaft.baselines.networks.{name}")
        monkeypatch.setattr(module, "STEPS", 20)
        monkeypatch.setattr(module, "EVERY", 10)


def make(name, fields, normalisation, path, members, seed):
    make_baseline(name, method_of(name), fields, xr.load_dataset(normalisation), path, members, seed, "f")


def made(name, dataset, tmp_path, members=3, seed=1):
    path = tmp_path / f"{name}-{seed}.nc"
    make(name, dataset[0], dataset[1], path, members, seed)
    with xr.open_dataset(path) as source:
        return path, source.load()


ENSEMBLES = ["fragments", "analogs", "climatology", "bernoulli-gamma", pytest.param("rainfarm", marks=needs_pysteps)]


@pytest.mark.parametrize(
    "name", ["bilinear", "quantile-mapping", "unet", "fragments", "bernoulli-gamma", ENSEMBLES[-1]]
)
def test_an_ensemble_file_of_the_scored_days_that_can_be_scored(dataset, tmp_path, name):
    fields, _, _, _, valid, split = dataset
    path, found = made(name, dataset, tmp_path)
    members = 3 if method_of(name).is_ensemble else 1
    assert found["pr"].dims == ("time", "member", "lat", "lon")
    assert found["pr"].shape == (20, members, H, W)
    assert found.attrs["mode"] == "baseline"
    with xr.open_dataset(dataset[1]) as known:
        scored = np.isin(split, SCORED)
        assert (found["time"].values == known["time"].values[scored]).all(), "in the order of the record"
    assert (found["split"].values == split[scored]).all()
    assert np.isnan(found["pr"].values[..., ~valid]).all()
    assert (found["pr"].values[..., valid] >= 0).all()
    if name not in ("unet", "bernoulli-gamma"):
        assert not found["pr"].values[[7, 13]][..., valid].any(), "dry in is dry out"
    scores, _ = evaluate([path], fields, Evaluation(bootstrap=10))
    if name not in ("unet", "bernoulli-gamma"):  # which are hardly trained here
        assert scores["test"]["all_days"]["scores"]["correlation_member_truth"]["value"] > 0.3
    assert (scores["mode"], scores["members"]) == ("baseline", members)


def test_bilinear_is_that_of_torch():
    torch = pytest.importorskip("torch")
    coarse = np.random.default_rng(0).random((4, 7))
    for factor in (1, 2, 5, 12):
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(coarse)[None, None], scale_factor=factor, mode="bilinear", align_corners=False
        )
        assert bilinear(coarse, factor) == pytest.approx(theirs[0, 0].numpy())


def test_bilinear_of_one_row_and_even_fields():
    assert bilinear(np.full((1, 3), 2.5), 4) == pytest.approx(np.full((4, 12), 2.5))


def test_bilinear_members_are_in_place(dataset, tmp_path):
    _, found = made("bilinear", dataset, tmp_path)
    _, _, _, coarse, valid, split = dataset
    expected = bilinear(coarse[np.isin(split, SCORED)][6], FACTOR)
    assert found["pr"].values[6, 0][valid] == pytest.approx(expected[valid], rel=1e-5)


def counts(rain):
    return np.bincount(bin_of(rain), minlength=BINS)[None]


def test_quantile_mapping_gives_the_distribution_of_the_truth():
    rng = np.random.default_rng(2)
    truth = np.where(rng.random(200_000) < 0.6, 0, rng.gamma(0.7, 12, 200_000))
    smooth = np.where(rng.random(200_000) < 0.2, 0, rng.gamma(2, 2, 200_000))
    (transfer,) = quantile_transfer(counts(smooth), counts(truth))
    mapped = np.interp(smooth, EDGES, transfer)
    assert (mapped > 0.1).mean() == pytest.approx((truth > 0.1).mean(), abs=0.005)
    assert mapped.mean() == pytest.approx(truth.mean(), rel=0.01)
    for share in (0.7, 0.9, 0.99, 0.999):
        assert np.quantile(mapped, share) == pytest.approx(np.quantile(truth, share), rel=0.03)
    assert (np.diff(transfer) >= 0).all()
    assert mapped[smooth == 0].max() == 0


def test_quantile_mapping_keeps_zeros_and_its_factor_beyond_the_record():
    smooth, truth = np.array([0.0, 0, 0, 1, 2]), np.array([0.0, 5, 5, 5, 20])
    (transfer,) = quantile_transfer(counts(smooth), counts(truth))
    at = np.interp([0.0, 2.0, 8.0], EDGES, transfer)
    assert at[0] == 0
    assert at[1:] == pytest.approx([20, 80], rel=0.1), "bins are 10 % wide"


def of_a_long_record(dataset, tmp_path, years, july_factor):
    """Days whose coarse rain is alike all year; the cells of the north get half of it, and July has a factor."""
    with xr.open_dataset(dataset[0][0]) as opened:
        one = opened.isel(time=slice(0, 1)).load()
    time = xr.date_range("2001-01-01", periods=365 * years, calendar="noleap", use_cftime=True)
    rng = np.random.default_rng(3)
    coarse = rng.gamma(1, 5, (time.size, 1, 4, 7)).astype("f4")
    rain = np.stack([bilinear(day[0], FACTOR) for day in coarse]).astype("f4")
    rain[:, : H // 2] /= 2
    july = np.array([day.month == 7 for day in time])
    rain[july] *= july_factor
    year = (
        one.isel(channel=[1])
        .drop_vars(["pr", "predictors", "context", "time"])
        .assign(
            pr=(("time", "lat", "lon"), rain),
            predictors=(("time", "channel", "y", "x"), coarse),
            context=(("time", "context_channel", "v", "u"), np.zeros((time.size, 2, 3, 4), "f4")),
        )
    )
    write_netcdf(year.assign_coords(time=time), tmp_path / "long.nc")
    known = xr.load_dataset(dataset[1]).drop_dims("time")
    return known.assign(valid=known["valid"] * 0 + 1).assign_coords(
        time=time, split=("time", np.where(np.arange(time.size) % 10, "train", "test").astype(object))
    )


def test_quantile_mapping_is_by_cell_and_by_month(dataset, tmp_path):
    known = of_a_long_record(dataset, tmp_path, 12, july_factor=10)
    with Fields([tmp_path / "long.nc"]) as fields:
        mapping = Mapping(DaysBySplit(fields, known))
    rain = np.full((H, W), 5.0)
    january, july = (mapping(rain.ravel(), month).reshape(H, W) for month in (1, 7))
    assert january[: H // 2].mean() == pytest.approx(2.5, rel=0.15)
    assert january[H // 2 :].mean() == pytest.approx(5, rel=0.15)
    assert july.mean() > 1.5 * january.mean(), "three months, one of which has ten times the rain"


def test_quantile_mapping_of_a_short_record_is_that_of_all_cells(dataset):
    """Some 20 days cannot tell the cells apart: all of them get nearly one curve."""
    with Fields(dataset[0]) as fields:
        mapping = Mapping(DaysBySplit(fields, xr.load_dataset(dataset[1])))
    mapped = mapping(np.full(int(dataset[4].sum()), 30.0), 12)
    assert mapped.mean() > 10
    assert mapped.std() < 0.15 * mapped.mean()


def test_quantile_mapping_learns_the_amounts_of_the_training_days(dataset):
    _, _, truth, coarse, valid, split = dataset
    with Fields(dataset[0]) as fields:
        mapping = Mapping(DaysBySplit(fields, xr.load_dataset(dataset[1])))
    mapped = np.stack([mapping(bilinear(c, FACTOR)[valid], 12) for c in coarse[split == "train"]])
    observed = truth[split == "train"][:, valid]
    assert (mapped > 0.1).mean() == pytest.approx((observed > 0.1).mean(), abs=0.03)
    assert mapped.mean() == pytest.approx(observed.mean(), rel=0.05)


@needs_pysteps
def test_rainfarm_carries_the_mass_and_follows_its_seed(dataset, tmp_path):
    state = np.random.get_state()[1].copy()
    _, found = made("rainfarm", dataset, tmp_path)
    _, again = made("rainfarm", dataset, tmp_path)
    _, more = made("rainfarm", dataset, tmp_path, members=4)
    _, other = made("rainfarm", dataset, tmp_path, seed=2)
    assert (np.random.get_state()[1] == state).all(), "the global generator is as it was"
    np.testing.assert_array_equal(found["pr"], again["pr"])
    np.testing.assert_array_equal(found["pr"], more["pr"][:, :3])
    wet = found["pr"].values[0]
    assert np.nanmax(np.abs(wet[0] - wet[1])) > 1
    assert np.nanmax(np.abs(wet - other["pr"].values[0])) > 1
    _, _, _, coarse, _, split = dataset
    day = found["pr"].values[..., 6:]  # columns that are valid throughout
    mass = day.reshape(20, 3, H // FACTOR, FACTOR, -1, FACTOR).mean((3, 5))
    expected = coarse[np.isin(split, SCORED)][:, None, :, 1:]
    assert mass == pytest.approx(np.broadcast_to(expected, mass.shape), rel=1e-4)


@needs_pysteps
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 5), (3, 2)])
def test_rainfarm_on_a_few_coarse_cells(shape):
    coarse = np.random.default_rng(3).gamma(1, 5, shape) + 1
    fine = rainfarm(coarse, 5, np.full(3, RAINFARM_SLOPE), (1,))
    assert np.isfinite(fine).all()
    assert fine.mean() == pytest.approx(coarse.mean())
    even = rainfarm(np.full(shape, 3.0), 5, np.full(3, RAINFARM_SLOPE), (1,))
    assert even.mean() == pytest.approx(3)


def test_members_of_the_climatology_are_different_training_days(dataset, tmp_path):
    fields, _, truth, _, valid, split = dataset
    path, found = made("climatology", dataset, tmp_path, members=6)
    assert found["pr"].shape == (20, 6, H, W)
    assert np.isnan(found["pr"].values[..., ~valid]).all()
    same = (found["pr"].values[:, :, None, valid] == truth[:, valid]).all(-1)  # scored day, member, day of the record
    assert (same.sum(2) == 1).all(), "every member is an observed day"
    days = same.argmax(2)
    assert (split[days] == "train").all()
    assert all(len(set(drawn)) == 6 for drawn in days)
    assert len({tuple(drawn) for drawn in days}) > 10, "other days for another date"
    scores, _ = evaluate([path], fields, Evaluation(bootstrap=10))
    assert (scores["mode"], scores["members"]) == ("baseline", 6)


def test_climatology_reads_days_from_any_year_and_needs_no_coarse_rain(dataset, tmp_path):
    fields, normalisation, truth, _, valid, _ = dataset
    with xr.open_dataset(normalisation) as source:
        known = source.load().assign_attrs(rain_channel="")
    known["split"][:] = np.where(np.arange(40) % 2, "train", "test")
    write_netcdf(known, tmp_path / "normalisation.nc")
    with pytest.raises(UserError, match="`bilinear`, which needs coarse rain, and the dataset has none"):
        make("bilinear", fields, tmp_path / "normalisation.nc", tmp_path / "a.nc", 20, 1)
    make("climatology", fields, tmp_path / "normalisation.nc", tmp_path / "a.nc", 20, 1)
    with xr.open_dataset(tmp_path / "a.nc") as found:
        members = np.sort(found["pr"].values[0][:, valid], axis=0)
    assert (members == np.sort(truth[1::2][:, valid], axis=0)).all(), "all 20 training days of both files"


@pytest.mark.parametrize("calendar", ["standard", "noleap", "360_day"])
def test_a_season_reaches_45_days_either_way_over_the_turn_of_the_year(calendar):
    year = 360 if calendar == "360_day" else 365
    time = xr.DataArray(
        xr.date_range("2000-01-01", "2002-12-30", calendar=calendar, use_cftime=calendar != "standard"), dims="time"
    )
    split = np.full(time.size, "train", "<U10")
    today = int(np.flatnonzero(time.dt.strftime("%Y-%m-%d") == "2001-01-01")[0])
    split[today] = "test"
    season = 3 * 91 - 1 - (calendar != "360_day")  # the day itself and 31 December 2002 are not there
    for members, inside in ((season, True), (season + 1, False)):
        (drawn,) = draw_of_season(time, split, members, 1)
        away = np.abs(drawn - today) % year
        away = np.minimum(away, year - away)
        assert len(set(drawn)) == members
        assert (away.max() <= 46) == inside, "one day of leap is no matter; too few days: all of the year"


def test_what_is_drawn_follows_seed_and_date_whatever_the_other_days():
    time = xr.DataArray(xr.date_range("2001-01-01", periods=730), dims="time")
    split = np.array(["train", "test", "train", "validation", "unused"] * 146)
    tests = np.flatnonzero(np.isin(split, SCORED))
    drawn = dict(zip(tests, draw_of_season(time, split, 5, 1), strict=True))
    assert all((split[places] == "train").all() for places in drawn.values())
    fewer = np.where(np.isin(np.arange(730), tests[7::9]), "test", np.where(split == "train", split, "unused"))
    for i, places in zip(tests[7::9], draw_of_season(time, fewer, 5, 1), strict=True):
        assert list(places) == list(drawn[i])
    longer = xr.DataArray(xr.date_range("2000-12-01", periods=761), dims="time")
    unused = np.concatenate([np.full(31, "unused"), split])
    for places, later in zip(drawn.values(), draw_of_season(longer, unused, 5, 1), strict=True):
        assert list(places) == list(later - 31)
    for places, more in zip(drawn.values(), draw_of_season(time, split, 8, 1), strict=True):
        assert list(places) == list(more[:5])
    other = list(draw_of_season(time, split, 5, 2))
    assert np.mean([list(a) == list(b) for a, b in zip(drawn.values(), other, strict=True)]) < 0.1
    shares = np.bincount(np.concatenate(other), minlength=730)[split == "train"]
    assert shares.max() < 12, "no training day is preferred"


def points_of(changed, dataset, tmp_path):
    """The points of analogs, for a dataset whose fields were changed by a function."""
    paths = []
    for path in dataset[0]:
        with xr.open_dataset(path) as year:
            paths.append(tmp_path / path.name)
            write_netcdf(changed(year.load()), paths[-1])
    with Fields(paths) as fields:
        gradients = 0.0 if fields.rain_channel else 3.0
        return points(DaysBySplit(fields, xr.load_dataset(dataset[1])), RAIN_WEIGHT, gradients)


def without_rain(year):
    return year.isel(channel=[]).assign_attrs(rain_channel="")


def test_analogs_by_coarse_rain_are_near_in_the_rain(dataset, tmp_path):
    """The nearest day by the points is that with the nearest log1p rain, where nothing else changes from day to day."""
    coarse, split = dataset[3], dataset[5]

    def even(year):
        year["context"][:] = 5000.0
        year["predictors"].loc[{"channel": "tas"}] = 280.0
        return year

    found = points_of(even, dataset, tmp_path)
    train, scored = split == "train", np.isin(split, SCORED)
    logarithm = np.log1p(coarse).reshape(40, -1)
    expected = ((logarithm[scored][:, None] - logarithm[train]) ** 2).sum(2)
    distance = ((found[scored][:, None] - found[train]) ** 2).sum(2)
    assert distance / distance.mean() == pytest.approx(expected / expected.mean(), rel=1e-3)


def test_fields_of_the_weather_count_alike_whatever_their_units(dataset, tmp_path):
    found = points_of(without_rain, dataset, tmp_path)

    def in_other_units(year):
        year = without_rain(year)
        year["context"] = year["context"] * np.array([1.0, 1e-6], "f4")[:, None, None]
        return year

    np.testing.assert_allclose(found, points_of(in_other_units, dataset, tmp_path), atol=1e-5)
    train = found[dataset[5] == "train"]
    squares = (train**2).mean(0)
    first = (squares[:12].sum(), squares[12 : 12 + 8].sum(), squares[20 : 20 + 9].sum())
    assert first == pytest.approx((1, 1.5, 1.5), rel=1e-4), "a field, and its gradients along both axes"


def test_gradients_tell_a_pattern_from_a_level(dataset, tmp_path):
    """Two days whose pressure differs by a constant are nearer than two of equal distance with another pattern."""

    def made(year):
        year = without_rain(year)
        days = np.flatnonzero(np.isin(dates_of(year), ["2001-01-01", "2001-01-02", "2001-01-03"]))
        if days.size:
            base = year["context"].values[days[0]]
            year["context"][days[1]] = base + 1
            year["context"][days[2]] = base + np.where(np.indices(base.shape).sum(0) % 2, 1, -1)
        return year

    today, level, pattern = points_of(made, dataset, tmp_path)[20:23]
    assert np.linalg.norm(today - level) < 0.5 * np.linalg.norm(today - pattern)


def test_large_fields_are_averaged(dataset, tmp_path):
    large = np.random.default_rng(4).standard_normal((40, 1, 100, 81)).astype("f4")
    large += np.kron(np.random.default_rng(5).standard_normal((40, 1, 10, 9)), np.ones((10, 9)))

    def made(year):
        year = without_rain(year).drop_dims(["context_channel", "u", "v"])
        part = large[:20] if year.time.dt.year.values[0] == 2000 else large[20:]
        return year.assign(
            context=(("time", "context_channel", "v", "u"), part), context_units=("context_channel", ["m"])
        ).assign_coords(v=np.arange(100.0), u=np.arange(81.0), context_channel=["zg"])

    assert points_of(made, dataset, tmp_path).shape == (40, 33 * 27 + 32 * 27 + 33 * 26)


@pytest.mark.parametrize("of_one_season", [True, False])
def test_analogs_are_drawn_from_the_nearest_days(of_one_season):
    time = xr.DataArray(xr.date_range("2001-01-01", periods=730), dims="time")
    split = np.where(np.arange(730) == 400, "test", "train")
    where = np.abs(np.arange(730)[:, None] - 220.0)  # most alike in August; the day is in February
    where[400] = 0
    (drawn,) = analogs(where, time, split, 5, 1, of_one_season)
    if of_one_season:
        away = np.abs(np.arange(730) % 365 - 35)
        candidates = np.flatnonzero((np.minimum(away, 365 - away) <= SEASON) & (split == "train"))
    else:
        candidates = np.flatnonzero(split == "train")
    nearest = candidates[np.argsort(where[candidates, 0], kind="stable")[:POOL]]
    assert set(drawn) < set(nearest)
    (all_of_them,) = analogs(where, time, split, POOL, 1, of_one_season)
    assert set(all_of_them) == set(nearest)
    assert list(all_of_them[:5]) == list(drawn), "a draw of more begins with the draw of fewer"
    (more,) = analogs(where, time, split, POOL + 3, 1, of_one_season)
    assert set(nearest) < set(more), "the pool grows with the members"
    (other,) = analogs(where, time, split, POOL, 2, of_one_season)
    assert list(other) != list(all_of_them)


def test_the_skill_of_analogs_does_not_depend_on_the_number_of_members():
    """The fair CRPS of 2 and of 10 members is equal in the mean, since both come from one pool."""
    rng = np.random.default_rng(6)
    time = xr.DataArray(xr.date_range("2001-01-01", periods=2000), dims="time")
    split = np.where(np.arange(2000) % 2, "train", "test")
    where = rng.standard_normal((2000, 1))
    rain = np.exp(where[:, 0] + rng.standard_normal(2000))

    def fair_crps(members):
        drawn = rain[np.array(list(analogs(where, time, split, members, 1, False)))]
        pairs = np.abs(drawn[:, :, None] - drawn[:, None]).sum((1, 2)) / (members * (members - 1))
        return np.abs(drawn - rain[split == "test"][:, None]).mean(1) - pairs / 2

    difference = fair_crps(2) - fair_crps(POOL)
    assert abs(difference.mean()) < 2.5 * difference.std() / np.sqrt(difference.size)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_members_follow_the_seed_and_the_date_alone(dataset, tmp_path, name):
    """Fewer test days give the same members, and so does a smaller ensemble; another seed gives others."""
    _, found = made(name, dataset, tmp_path)
    known = xr.load_dataset(dataset[1])
    scored = dataset[5][np.isin(dataset[5], SCORED)]
    known["split"][np.flatnonzero(dataset[5] == "test")[::2]] = "unused"
    left = (scored == "validation") | (np.cumsum(scored == "test") % 2 == 0)
    make_baseline(name, method_of(name), dataset[0], known, tmp_path / "fewer.nc", 2, 1, "f")
    with xr.open_dataset(tmp_path / "fewer.nc") as fewer:
        np.testing.assert_array_equal(fewer["pr"].values, found["pr"].values[left, :2])
    _, again = made(name, dataset, tmp_path / "again")
    np.testing.assert_array_equal(found["pr"], again["pr"])
    _, other = made(name, dataset, tmp_path, seed=2)
    assert np.nanmax(np.abs(found["pr"].values - other["pr"].values)) > 1


@pytest.mark.parametrize("name", table.names())
def test_nothing_is_learnt_from_scored_days(dataset, tmp_path, name):
    """Members are the same whatever rain was observed on the test days."""
    if not is_installed(name):
        pytest.skip("its package is not installed")
    paths = []
    for path in dataset[0]:
        with xr.open_dataset(path) as opened:
            year = opened.load()
        unseen = np.isin(dates_of(year), dates_of(xr.load_dataset(dataset[1]))[dataset[5] == "test"])
        year["pr"][unseen] = 77.0
        paths.append(tmp_path / path.name)
        write_netcdf(year, paths[-1])
    _, found = made(name, dataset, tmp_path)
    make(name, paths, dataset[1], tmp_path / "changed.nc", 3, 1)
    with xr.open_dataset(tmp_path / "changed.nc") as changed:
        np.testing.assert_array_equal(found["pr"], changed["pr"])


def test_blocks_are_cut_and_put_together():
    fine = np.arange(6 * 8.0).reshape(6, 8)
    blocks = in_blocks(fine, 2)
    assert blocks.shape == (3, 4, 2, 2)
    assert (blocks[1, 2] == fine[2:4, 4:6]).all()
    assert (from_blocks(np.stack([blocks, 2 * blocks])) == np.stack([fine, 2 * fine])).all()


def test_fragments_keep_the_mass_of_each_coarse_cell_over_its_valid_cells(dataset, tmp_path):
    _, found = made("fragments", dataset, tmp_path)
    _, _, _, coarse, valid, split = dataset
    inside = in_blocks(valid, FACTOR)
    blocks = np.stack([[in_blocks(rain, FACTOR) for rain in day] for day in found["pr"].values])
    mean = np.nansum(blocks, (-1, -2)) / inside.sum((-1, -2))
    np.testing.assert_allclose(mean, np.broadcast_to(coarse[np.isin(split, SCORED)][:, None], mean.shape), rtol=1e-5)


def test_fragments_are_patterns_of_the_nearest_training_cells(dataset, tmp_path):
    """Each pattern is one of the `POOL` whose coarse rain is nearest, possibly mirrored; every one is drawn once."""
    _, _, truth, coarse, valid, split = dataset
    _, found = made("fragments", dataset, tmp_path, members=POOL)
    train = np.flatnonzero(split == "train")

    def with_mirrored(cells):
        return np.concatenate([cells, cells[:, ::-1], cells[..., ::-1], cells[:, ::-1, ::-1]])

    rain = np.stack([in_blocks(np.where(valid, truth[day], np.nan), FACTOR) for day in train])
    mean = np.maximum(np.nanmean(rain, (3, 4), keepdims=True), 1e-9)
    patterns = np.nan_to_num(rain / mean, nan=1).reshape(-1, FACTOR, FACTOR)
    around = np.pad(np.log1p(coarse), ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(1, 2))
    library, known = with_mirrored(windows[train].reshape(-1, 3, 3)), with_mirrored(patterns)
    weight = np.array([[1, 1, 1], [1, 4, 1], [1, 1, 1]])  # the centre counts twice, squared
    scored = np.flatnonzero(np.isin(split, SCORED))
    for day, row, column in ((0, 1, 2), (5, 3, 6), (19, 1, 4)):
        distance = ((library - windows[scored[day], row, column]) ** 2 * weight).sum((1, 2))
        nearest = known[np.argsort(distance)[:POOL]]
        drawn = np.stack([in_blocks(field, FACTOR)[row, column] for field in found["pr"].values[day]])
        drawn /= coarse[scored[day], row, column]
        order = [np.abs(nearest - pattern).max((1, 2)).argmin() for pattern in drawn]
        assert sorted(order) == list(range(POOL))
        assert np.abs(nearest[order] - drawn).max() < 1e-4


def test_fragments_need_rain_in_training(dataset, tmp_path):
    paths = []
    for path in dataset[0]:
        with xr.open_dataset(path) as opened:
            paths.append(tmp_path / path.name)
            write_netcdf(opened.load().assign(pr=opened["pr"] * 0), paths[-1])
    with pytest.raises(UserError, match=r"`fragments`, but no coarse cell of the 20 training days has more than 0\.02"):
        make("fragments", paths, dataset[1], tmp_path / "a.nc", 3, 1)


def test_principal_components_keep_the_distances_of_the_training_days():
    rng = np.random.default_rng(7)
    found = (rng.standard_normal((50, 3)) @ rng.standard_normal((3, 20))).astype("f4")
    train = np.arange(50) < 40
    found -= found[train].mean(0)
    components = principal_components(found, train, 5)
    assert components.shape == (50, 5)
    assert components[train, 0].std() == pytest.approx(1, rel=1e-3)
    assert np.abs(components[:, 3:]).max() < 1e-3, "the points have three dimensions"
    squares = ((found[:, None] - found) ** 2).sum(2)
    mine = ((components[:, None] - components) ** 2).sum(2)
    np.testing.assert_allclose(mine / mine.max(), squares / squares.max(), atol=1e-4)
    np.testing.assert_array_equal(components, principal_components(found, train, 5))


def test_the_likelihood_of_bernoulli_and_gamma_is_that_of_scipy():
    torch, stats = pytest.importorskip("torch"), pytest.importorskip("scipy.stats")
    loss_of = importlib.import_module("rainshaft.baselines.networks.bernoulli_gamma").loss_of
    rng = np.random.default_rng(8)
    rain = np.where(rng.random((6, 9)) < 0.4, 0, rng.gamma(1, 5, (6, 9)) + 0.2)
    logit, shape, mean = rng.standard_normal((6, 9)), rng.random((6, 9)) + 0.3, 5 * rng.random((6, 9)) + 1
    chance = 1 / (1 + np.exp(-logit))
    wet = stats.gamma.logpdf(np.maximum(rain, 0.2), shape, scale=mean / shape) + np.log(chance)
    expected = -np.where(rain > 0, wet, np.log(1 - chance)).mean()
    found = loss_of(tuple(map(torch.from_numpy, (logit, shape, mean))), torch.from_numpy(rain))
    assert float(found) == pytest.approx(expected)


def test_members_of_bernoulli_and_gamma_have_these_parameters_and_cells_apart():
    rng = np.random.default_rng(9)
    chance, shape, mean = np.array([0.0, 0.3, 1.0]), np.array([1.0, 0.5, 2.0]), np.array([5.0, 8.0, 3.0])
    drawn = np.stack([draw(chance, shape, mean, rng) for _ in range(40_000)])
    assert (drawn > 0).mean(0) == pytest.approx(chance, abs=0.01)
    assert drawn[:, 1][drawn[:, 1] > 0].mean() == pytest.approx(8, rel=0.03)
    assert drawn[:, 2].var() == pytest.approx(9 / 2, rel=0.05)
    assert abs(np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1]) < 0.02


def test_coarse_fields_at_cells_are_those_of_bilinear(dataset):
    torch = pytest.importorskip("torch")
    module = importlib.import_module("rainshaft.baselines.networks.bernoulli_gamma")
    coarse, valid = dataset[3][:3], dataset[4]
    corners = module.Corners.of(valid, FACTOR)
    cells = torch.arange(5, int(valid.sum()), 7)
    found = corners.interpolated(torch.from_numpy(coarse.reshape(3, -1, 1)), cells)
    expected = np.stack([bilinear(day, FACTOR)[valid][cells] for day in coarse])
    np.testing.assert_allclose(found[..., 0], expected, rtol=1e-4, atol=1e-5)
    row = module.Corners.of(np.ones((1, 2), bool), 1)  # a single row, and no cell between
    one = row.interpolated(torch.tensor([[[3.0], [4.0]]]), torch.arange(2))
    assert one.flatten().tolist() == [3, 4]


def test_the_network_of_bernoulli_and_gamma_learns_from_context_and_from_coarse_fields(dataset, tmp_path, monkeypatch):
    """Where the context decides whether it rains, the network finds it; cells with more rain get more."""
    module = importlib.import_module("rainshaft.baselines.networks.bernoulli_gamma")
    monkeypatch.setattr(module, "STEPS", 150)
    monkeypatch.setattr(module, "LR", 5e-3)
    known = of_a_long_record(dataset, tmp_path, 1, july_factor=1)
    known["split"][5::10] = "validation"
    with xr.open_dataset(tmp_path / "long.nc") as opened:
        year = opened.load()
    rng = np.random.default_rng(10)
    level = rng.standard_normal(365)
    year["context"][:] = level[:, None, None, None] + 0.1 * rng.standard_normal(year["context"].shape)
    year["predictors"][:] = 1.0
    amount = np.broadcast_to(np.linspace(2, 10, W), (H, W))
    year["pr"][:] = np.where(level[:, None, None] > 0, rng.gamma(2, amount / 2, (365, H, W)), 0)
    write_netcdf(year, tmp_path / "learnt.nc")
    with Fields([tmp_path / "learnt.nc"]) as fields:
        days = DaysBySplit(fields, known)
        fitted = module.Fitted(days, 1)
        chance, _, mean = zip(*(fitted.parameters(place) for place in days.places("test")), strict=True)
    clear = np.abs(level[known["split"].values == "test"]) > 0.5
    assert ((np.stack(chance)[clear].mean(1) > 0.5) == (level[known["split"].values == "test"][clear] > 0)).all()
    across = np.stack(mean)[level[known["split"].values == "test"] > 0.5].reshape(-1, H, W).mean((0, 1))
    assert across[-6:].mean() > 2 * across[:6].mean()


@pytest.mark.parametrize("shape", [(1, 1), (24, 42), (7, 5), (64, 3)])
def test_a_unet_takes_a_domain_of_any_size(shape):
    torch = pytest.importorskip("torch")
    unet = importlib.import_module("rainshaft.baselines.networks.unet").UNet(3)
    assert unet(torch.randn(2, 3, *shape)).shape == (2, *shape)


def test_a_unet_learns_more_than_interpolation(dataset, tmp_path, monkeypatch):
    """The north has half the rain of the coarse cells. The network sees it in the static map."""
    module = importlib.import_module("rainshaft.baselines.networks.unet")
    monkeypatch.setattr(module, "STEPS", 150)
    monkeypatch.setattr(module, "EVERY", 50)
    monkeypatch.setattr(module, "PATCH", 24)
    monkeypatch.setattr(module, "LR", 1e-2)
    known = of_a_long_record(dataset, tmp_path, 1, july_factor=1)
    known["split"][5::10] = "validation"
    with Fields([tmp_path / "long.nc"]) as fields:
        days = DaysBySplit(fields, known)
        fitted = module.Fitted(days, 1)
        test = days.places("test")
        mine = np.stack([fitted.rain(place) for place in test])
        truth = fields.rain(days.dates[test].tolist())
        smooth = np.stack([bilinear(rain, FACTOR) for _, rain in days.coarse_rain("test")])
    assert np.abs(mine - truth).mean() < 0.8 * np.abs(smooth - truth).mean()
    assert (mine >= 0).all()


def test_fit_keeps_the_weights_that_were_best_on_validation_days():
    torch = pytest.importorskip("torch")
    fit = importlib.import_module("rainshaft.baselines.networks.fit").fit
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    found = []

    def validation_loss():
        found.append(network.weight.item())
        return abs(found[-1] - 0.3)  # the training goes on to 1

    fit(network, lambda step: (network.weight - 1).square().sum(), validation_loss, 50, 5, 0.1, 0.0)
    best = min(found, key=lambda weight: abs(weight - 0.3))
    assert network.weight.item() == best
    assert best < max(found)
    with pytest.raises(UserError, match="no finite loss on validation days"):
        fit(network, lambda step: network.weight.sum(), lambda: float("nan"), 5, 5, 0.1, 0.0)


def test_climatology_faults_are_named(dataset, tmp_path):
    fields, normalisation, *_ = dataset
    with pytest.raises(UserError, match=r"baselines.members: found 21, but the record has only 20 training days"):
        make("climatology", fields, normalisation, tmp_path / "a.nc", 21, 1)
    with pytest.raises(
        UserError, match=r"train days of the split: 20 days are not in the fields .* the first is 2000-12-12"
    ):
        make("climatology", fields[1:], normalisation, tmp_path / "a.nc", 3, 1)
    assert list(tmp_path.iterdir()) == [], "no half-made file is left"


def test_faults_are_named(dataset, tmp_path):
    fields, normalisation, *_ = dataset
    with pytest.raises(UserError, match=r"validation and test days of the split: .* the first is 2001-01-01"):
        make("bilinear", fields[:1], normalisation, tmp_path / "a.nc", 3, 1)
    with xr.open_dataset(normalisation) as source:
        without = source.load().assign_attrs(rain_channel="")
    write_netcdf(without, tmp_path / "normalisation.nc")
    with pytest.raises(UserError, match="`bilinear`, which needs coarse rain, and the dataset has none"):
        make("bilinear", fields, tmp_path / "normalisation.nc", tmp_path / "a.nc", 3, 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "normalisation.nc"], "no half-made file is left"


def test_a_method_whose_package_is_missing_is_not_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert is_installed("bilinear")
    assert not is_installed("rainfarm")


def test_a_new_baseline_is_one_new_file(dataset, tmp_path, monkeypatch):
    (tmp_path / "no_rain.py").write_text(
        """
import numpy as np
from rainshaft.baselines.interface import Method

def make(days, members, seed):
    for place in days.places("validation", "test"):
        yield np.zeros((1, *days.valid.shape))

METHOD = Method(source="no rain at all", make=make, needs="nothing", is_ensemble=False)
""",
        encoding="utf-8",
    )
    before = table.names()
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    assert table.names() == ["no-rain"]
    assert "no-rain" not in before
    assert is_installed("no-rain")
    path, found = made("no-rain", dataset, tmp_path)
    assert found.attrs["source"] == "rainshaft baseline: no rain at all"
    scores, _ = evaluate([path], dataset[0], Evaluation(bootstrap=10))
    assert scores["test"]["all_days"]["scores"]["max"]["value"] == 0
    assert line_styles(["no-rain"])["no-rain"] == line_styles(["mine", "no-rain"])["no-rain"]
    assert line_styles(["no-rain"]) != line_styles(["mine"])
