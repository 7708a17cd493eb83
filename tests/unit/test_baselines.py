"""The baselines: their days, their maths, and that a new one is one new file."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import xarray as xr

from rainshaft import histogram
from rainshaft.baselines import methods, table
from rainshaft.baselines.days import DaysBySplit
from rainshaft.baselines.make import make_baseline
from rainshaft.baselines.methods.analogs import analogs_of_season
from rainshaft.baselines.methods.bilinear import bilinear
from rainshaft.baselines.methods.climatology import draw_of_season
from rainshaft.baselines.methods.quantile_mapping import fit_quantile_mapping, quantile_transfer
from rainshaft.baselines.methods.rainfarm import RAINFARM_SLOPE, rainfarm
from rainshaft.baselines.season import SEASON
from rainshaft.baselines.table import is_installed, method_of
from rainshaft.config.sections import Evaluation
from rainshaft.data.fields import Fields
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
    truth[33] = 0  # a test day with no rain at all
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
        },
        coords={name: coords[name] for name in ("time", "lat", "lon")},
        attrs={"factor": FACTOR, "rain_channel": "pr"},
    )
    write_netcdf(known, folder / "normalisation.nc")
    return paths, folder / "normalisation.nc", truth, coarse, valid.astype(bool), split


def make(name, fields, normalisation, path, members, seed):
    make_baseline(name, method_of(name), fields, xr.load_dataset(normalisation), path, members, seed, "f")


def made(name, dataset, tmp_path, members=3, seed=1):
    path = tmp_path / f"{name}-{seed}.nc"
    make(name, dataset[0], dataset[1], path, members, seed)
    with xr.open_dataset(path) as source:
        return path, source.load()


@pytest.mark.parametrize("name", ["bilinear", "quantile-mapping", pytest.param("rainfarm", marks=needs_pysteps)])
def test_an_ensemble_file_of_the_test_days_that_can_be_scored(dataset, tmp_path, name):
    fields, _, _, _, valid, split = dataset
    path, found = made(name, dataset, tmp_path)
    members = 3 if name == "rainfarm" else 1
    assert found["pr"].dims == ("time", "member", "lat", "lon")
    assert found["pr"].shape == (15, members, H, W)
    assert set(found["split"].values) == {"test"}
    assert found.attrs["mode"] == "baseline"
    with xr.open_dataset(dataset[1]) as known:
        assert (found["time"].values == known["time"].values[split == "test"]).all()
    assert np.isnan(found["pr"].values[..., ~valid]).all()
    assert (found["pr"].values[..., valid] >= 0).all()
    assert not found["pr"].values[8][:, valid].any(), "dry in is dry out"
    scores, _ = evaluate(path, fields, Evaluation(bootstrap=10))
    assert scores["all_days"]["scores"]["correlation_member_truth"]["value"] > 0.3
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
    expected = bilinear(coarse[split == "test"][6], FACTOR)
    assert found["pr"].values[6, 0][valid] == pytest.approx(expected[valid], rel=1e-5)


def test_quantile_mapping_gives_the_distribution_of_the_truth():
    rng = np.random.default_rng(2)
    truth = np.where(rng.random(200_000) < 0.6, 0, rng.gamma(0.7, 12, 200_000))
    smooth = np.where(rng.random(200_000) < 0.2, 0, rng.gamma(2, 2, 200_000))
    transfer = quantile_transfer(histogram.histogram(smooth), histogram.histogram(truth))
    mapped = np.interp(smooth, histogram.EDGES, transfer)
    assert (mapped > 0.1).mean() == pytest.approx((truth > 0.1).mean(), abs=0.005)
    assert mapped.mean() == pytest.approx(truth.mean(), rel=0.01)
    for share in (0.7, 0.9, 0.99, 0.999):
        assert np.quantile(mapped, share) == pytest.approx(np.quantile(truth, share), rel=0.02)
    assert (np.diff(transfer) >= 0).all()
    assert mapped[smooth == 0].max() == 0


def test_quantile_mapping_keeps_zeros_and_its_factor_beyond_the_record():
    smooth, truth = np.array([0.0, 0, 0, 1, 2]), np.array([0.0, 5, 5, 5, 20])
    transfer = quantile_transfer(histogram.histogram(smooth), histogram.histogram(truth))
    at = np.interp([0.0, 2.0, 8.0], histogram.EDGES, transfer)
    assert at[0] == 0
    assert at[1:] == pytest.approx([20, 80], rel=0.02)


def test_quantile_mapping_learns_from_training_days_only(dataset):
    """The result has the wet fraction of the training days. Other days do not change it."""
    _, _, truth, coarse, valid, split = dataset
    with Fields(dataset[0]) as fields:
        transfer = fit_quantile_mapping(DaysBySplit(fields, xr.load_dataset(dataset[1])))
    smooth = np.stack([bilinear(c, FACTOR)[valid] for c in coarse[split == "train"]])
    mapped, observed = np.interp(smooth, histogram.EDGES, transfer), truth[split == "train"][:, valid]
    assert (mapped > 0.1).mean() == pytest.approx((observed > 0.1).mean(), abs=0.01)
    assert mapped.mean() == pytest.approx(observed.mean(), rel=0.02)


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
    mass = day.reshape(15, 3, H // FACTOR, FACTOR, -1, FACTOR).mean((3, 5))
    expected = coarse[split == "test"][:, None, :, 1:]
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
    assert found["pr"].shape == (15, 6, H, W)
    assert np.isnan(found["pr"].values[..., ~valid]).all()
    same = (found["pr"].values[:, :, None, valid] == truth[:, valid]).all(-1)  # test day, member, day of the record
    assert (same.sum(2) == 1).all(), "every member is an observed day"
    days = same.argmax(2)
    assert (split[days] == "train").all()
    assert all(len(set(drawn)) == 6 for drawn in days)
    assert len({tuple(drawn) for drawn in days}) > 10, "other days for another date"
    scores, _ = evaluate(path, fields, Evaluation(bootstrap=10))
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
    tests = np.flatnonzero(split == "test")
    drawn = dict(zip(tests, draw_of_season(time, split, 5, 1), strict=True))
    assert all((split[places] == "train").all() for places in drawn.values())
    fewer = np.where(np.isin(np.arange(730), tests[7::9]), "test", np.where(split == "test", "unused", split))
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


def test_analogs_are_the_days_of_the_season_with_the_nearest_context(dataset, tmp_path):
    fields, _, truth, _, valid, split = dataset
    context = []
    for path in fields:
        with xr.open_dataset(path) as year:
            context.append(year["context"].values / np.array([1, 1000])[:, None, None])
    context = np.concatenate(context)
    _, found = made("analogs", dataset, tmp_path, members=4)
    training = np.flatnonzero(split == "train")
    for members, today in zip(found["pr"].values, np.flatnonzero(split == "test"), strict=True):
        distance = ((context[training] - context[today]) ** 2).sum((1, 2, 3))
        nearest = training[np.argsort(distance)[:4]]
        assert (members[:, valid] == truth[nearest][:, valid]).all(), "the nearest first; both channels count alike"


def test_analogs_stay_within_the_season():
    time = xr.DataArray(xr.date_range("2001-01-01", periods=730), dims="time")
    split = np.where(np.arange(730) == 400, "test", "train")
    context = np.abs(np.arange(730)[:, None] - 220.0)  # most alike in August; the day is in February
    context[400] = 0
    (nearest,) = analogs_of_season(context, time, split, 5)
    away = np.abs(nearest % 365 - 35)
    assert np.minimum(away, 365 - away).max() <= SEASON
    assert list(nearest) == sorted(nearest, key=lambda i: context[i, 0])


def test_analogs_need_context(dataset, tmp_path):
    fields, normalisation, *_ = dataset
    with xr.open_dataset(normalisation) as source:
        write_netcdf(source.load().isel(context_channel=[]), tmp_path / "normalisation.nc")
    with pytest.raises(UserError, match="`analogs`, which needs context, and the dataset has none"):
        make("analogs", fields, tmp_path / "normalisation.nc", tmp_path / "a.nc", 3, 1)


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
    with pytest.raises(UserError, match=r"test days of the split: .* the first is 2001-01-01"):
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
    for today in days.dates[days.split == "test"]:
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
    scores, _ = evaluate(path, dataset[0], Evaluation(bootstrap=10))
    assert scores["all_days"]["samples"]["max"] == 0
    assert line_styles(["no-rain"])["no-rain"] == line_styles(["mine", "no-rain"])["no-rain"]
    assert line_styles(["no-rain"]) != line_styles(["mine"])
