"""What the temperature of the posterior trades, and its figure."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fields import make_fields
from matplotlib.figure import Figure
from matplotlib.image import imread

from rainshaft import plots, temperature
from rainshaft.config import Dataset, Plots
from rainshaft.dataset import fit_statistics
from rainshaft.errors import UserError
from rainshaft.model import Architecture, RainCVAE
from rainshaft.sample import draw

YEARS = (2001, 2002)
SETTINGS = {"seed": 1, "temperature": 0.9, "batch_size": 4, "tile": 64, "wet_threshold": 0.1}
COLUMNS = ["split", "mode", "temperature", "chosen", "days", "distance_to_truth", "distance_of_members"]
COLUMNS += ["correlation_member_truth", "diversity", "mass_ratio", "dropped_at_0.5", "dropped_at_0.7", "dropped_at_0.9"]
COLUMNS += ["wet_fraction", "wet_fraction_observed", "gradient_ratio"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Canonical fields of 60 days of two years, with a corner that is not valid, and their statistics."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    valid = np.ones((8, 12))
    valid[:2, :3] = 0
    rain = np.maximum(rng.gamma(0.6, 12, (2, 60, 8, 12)) - 4, 0)
    paths = [make_fields(folder / f"{y}.nc", r, f"{y}-01-01", valid=valid) for y, r in zip(YEARS, rain, strict=True)]
    dataset = Dataset(
        years=YEARS,
        factor=2,
        rain={"files": ["x"], "variable": "pr"},
        split={"by": "blocks", "block_days": 5, "cycle": ["train", "validation", "train", "test"]},
        heavy_percentile=40,  # more heavy days than are drawn
        heavy_min_cells=1,
    )
    return paths, fit_statistics(paths, dataset)


@pytest.fixture(scope="module")
def model(data):
    """A network whose rain depends on its latents, and on the observed rain through the posterior."""
    torch.manual_seed(0)
    statics = tuple(data[1].static.values.tolist())
    architecture = Architecture(("pr", "tas"), statics, "pr", 2, 4, (2, 1), "learned", "none")
    model = RainCVAE(architecture, torch.tensor([0.0, 285.0]), torch.tensor([1.0, 3.0]), 1.2)
    torch.nn.init.normal_(model.out.weight, std=0.5)
    return model.eval()


@pytest.fixture(scope="module")
def table(model, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "temperature.csv"
    temperature.trace(model, SETTINGS, *data, path)
    return pd.read_csv(path)


def posterior(table, split="train"):
    return table[(table.split == split) & (table["mode"] == "posterior")]


@pytest.mark.parametrize("split", temperature.SPLITS)
def test_the_days_are_heavy_ones_of_the_split_spread_over_the_record(data, split):
    statistics = data[1]
    chosen = statistics.isel(time=temperature.heavy_days(statistics, split))
    heavy = np.char.startswith(statistics.category.values.astype(str), "heavy") & (statistics.split.values == split)
    assert len(chosen.time) == temperature.DAYS < heavy.sum()
    assert set(chosen.split.values) == {split}
    assert all(str(category).startswith("heavy") for category in chosen.category.values)
    of_all = statistics.time.values[heavy]
    assert (chosen.time.values[0], chosen.time.values[-1]) == (of_all[0], of_all[-1])
    assert set(chosen.time.dt.year.values) == set(YEARS)
    few = statistics.isel(time=np.flatnonzero(heavy)[:3])
    assert temperature.heavy_days(few, split).tolist() == [0, 1, 2], "fewer days than asked for: all of them"


def test_the_table_has_every_temperature_and_the_prior_for_both_splits(table):
    assert list(table.columns) == COLUMNS
    for split in temperature.SPLITS:
        assert posterior(table, split).temperature.tolist() == [0, 0.25, 0.5, 0.75, 0.9, 1, 1.25, 1.5]
        assert table[(table.split == split) & (table["mode"] == "prior")].temperature.tolist() == [1]
    chosen = table[table.chosen]
    assert chosen.temperature.tolist() == [0.9, 0.9]
    assert set(chosen["mode"]) == {"posterior"}
    assert (table.days == temperature.DAYS).all()
    assert np.isfinite(table.drop(columns=["split", "mode"]).astype(float)).all(axis=None)


def test_without_temperature_the_members_are_the_same_and_with_more_they_part(table):
    for split in temperature.SPLITS:
        rows = posterior(table, split)
        assert rows.distance_of_members.iloc[0] == pytest.approx(0, abs=1e-6)
        assert rows.diversity.iloc[0] == pytest.approx(0, abs=1e-6)
        assert (np.diff(rows.distance_of_members) > 0).all()
        assert (np.diff(rows.diversity) > 0).all()
        assert rows.distance_to_truth.iloc[-1] > rows.distance_to_truth.iloc[0]
        assert (rows.distance_of_members <= 2 * rows.distance_to_truth + 1e-6).all(), "the triangle inequality"
        assert (np.diff(table.filter(like="dropped_at"), axis=1) >= 0).all(), "a higher threshold drops no fewer"


def test_the_numbers_are_those_of_the_formulas(model, data, table):
    paths, statistics = data
    valid = statistics.valid.values.astype(bool)
    years = xr.concat([xr.load_dataset(path)[["pr", "predictors", "context"]] for path in paths], "time")
    days, expected = statistics.time.values[temperature.heavy_days(statistics, "train")], []
    for day in days:
        date = int((day - np.datetime64("1850-01-01")) / np.timedelta64(1, "D"))
        settings = SETTINGS | {"K": temperature.MEMBERS, "temperature": 1.25}
        members = draw(model, years.sel(time=[day]), statistics, "posterior", settings, [date])[0]
        truth, cells = years.pr.sel(time=day).values, list(zip(*np.nonzero(valid), strict=True))
        m = [np.array([float(member[cell]) for cell in cells]) for member in members]
        y = np.array([float(truth[cell]) for cell in cells])
        pairs = list(combinations(m, 2))
        beside = [(a, b) for a in cells for b in cells if (b[0] - a[0], b[1] - a[1]) in ((0, 1), (1, 0))]
        ratios = np.array([k.sum() / y.sum() for k in m])
        expected.append(
            {
                "distance_to_truth": np.mean([np.abs(k - y).mean() for k in m]),
                "distance_of_members": np.mean([np.abs(a - b).mean() for a, b in pairs]),
                "correlation_member_truth": np.mean([np.corrcoef(k, y)[0, 1] for k in m]),
                "diversity": np.mean([1 - a @ b / np.sqrt(a @ a * (b @ b)) for a, b in pairs]),
                "mass_ratio": ratios.mean(),
                **{f"dropped_at_{share}": (ratios < share).mean() for share in (0.5, 0.7, 0.9)},
                "wet_fraction": np.mean([(k > 0.1).mean() for k in m]),
                "wet_fraction_observed": (y > 0.1).mean(),
                "gradient": np.mean([sum(abs(float(k[a]) - k[b]) for a, b in beside) for k in members]),
                "observed": sum(abs(float(truth[a]) - truth[b]) for a, b in beside),
            }
        )
    means = pd.DataFrame(expected).mean()
    means["gradient_ratio"] = means.pop("gradient") / means.pop("observed")
    (found,) = posterior(table)[posterior(table).temperature == 1.25].to_dict("records")
    assert {name: found[name] for name in means.index} == pytest.approx(means.to_dict(), rel=1e-3)


def test_a_record_without_heavy_days_is_refused_and_one_with_them_in_one_split_is_not(model, data, tmp_path):
    paths, statistics = data
    with pytest.raises(UserError, match="found no heavy day of the training or validation split"):
        temperature.trace(model, SETTINGS, paths, statistics.isel(time=statistics.split == "test"), tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())
    training = statistics.isel(time=statistics.split == "train")
    temperature.trace(model, SETTINGS, paths, training, tmp_path / "a.csv")
    plots.temperature_tradeoff(tmp_path / "a.csv", tmp_path / "a.png", Plots(dpi=60))
    assert set(pd.read_csv(tmp_path / "a.csv").split) == {"train"}


def test_the_figure_shows_each_temperature_the_chosen_one_and_the_prior(table, tmp_path, monkeypatch):
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    plots.temperature_tradeoff(table, tmp_path / "a.png", Plots(dpi=60))
    assert imread(tmp_path / "a.png").shape[1] >= 700
    tradeoff, *panels = figures[0].axes
    lines = {line.get_label(): line for line in tradeoff.lines}
    for split, name in (("train", "training days"), ("validation", "validation days")):
        rows, line = posterior(table, split), lines[f"posterior, {name}"]
        np.testing.assert_allclose(line.get_xdata(), rows.distance_of_members)
        np.testing.assert_allclose(line.get_ydata(), rows.distance_to_truth)
        prior = table[(table["mode"] == "prior") & (table.split == split)]
        np.testing.assert_allclose(lines[f"prior at temperature 1, {name}"].get_ydata(), prior.distance_to_truth)
    ring = lines["sampling.temperature = 0.9"]
    np.testing.assert_allclose(ring.get_xdata(), table[table.chosen].distance_of_members)
    labels = [text.get_text() for text in tradeoff.texts]
    assert labels.count("0.9") == labels.count("0") == 2
    assert len(panels) == 4
    assert len(figures[0].legends[0].get_texts()) == 6
