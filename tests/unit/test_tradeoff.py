"""What the knobs of the posterior trade, and its figure."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fields import make_fields, normalisation_of, showers
from matplotlib.image import imread

from rainshaft.augmentation import tradeoff
from rainshaft.config.sections import Model, Plots
from rainshaft.config.slices import DrawSettings, TradeoffSettings
from rainshaft.errors import UserError
from rainshaft.figures import tradeoff as plot_tradeoff
from rainshaft.models.kinds import build_model
from rainshaft.sampling.draw import draw

YEARS = (2001, 2002)
SETTINGS = TradeoffSettings(seed=1, temperature=0.9, posterior_scales=2, tile=64, device="cpu", wet_threshold=0.1)
COLUMNS = ["split", "mode", "temperature", "scales", "chosen", "days", "distance_to_truth", "distance_of_members"]
COLUMNS += ["correlation_member_truth", "diversity", "mass_ratio", "dropped_at_0.5", "dropped_at_0.7", "dropped_at_0.9"]
COLUMNS += ["wet_fraction", "wet_fraction_observed", "gradient_ratio"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Canonical fields of 60 days of two years, with a corner that is not valid, and their normalisation."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    valid = np.ones((8, 12))
    valid[:2, :3] = 0
    rain = showers(rng, 2, 60, 8, 12)
    paths = [
        make_fields(folder / f"{y}.nc", r, f"{y}-01-01", valid=valid, factor=4)
        for y, r in zip(YEARS, rain, strict=True)
    ]
    # more heavy days than are drawn
    return paths, normalisation_of(*paths, factor=4, heavy_percentile=40, heavy_min_cells=1)


@pytest.fixture(scope="module")
def model(data):
    """A network whose rain depends on its latents, and on the observed rain through the posterior."""
    model = build_model(Model(width=4, d_z=(2, 1), conserve="none"), data[1], 0)
    torch.nn.init.normal_(model.networks[0].out.weight, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def table(model, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "tradeoff.csv"
    tradeoff.trace(model, SETTINGS, *data, path)
    return pd.read_csv(path)


def posterior(table, split="train"):
    """Select the rows that vary the temperature, with all scales."""
    return table[(table.split == split) & (table.scales == 3)]


def fewer(table, split="train"):
    """Select the rows from all scales down to the prior, at the chosen temperature."""
    return table[(table.split == split) & (table.temperature == 0.9)].sort_values("scales", ascending=False)


@pytest.mark.parametrize("split", tradeoff.SPLITS)
def test_the_days_are_heavy_ones_of_the_split_spread_over_the_record(data, split):
    normalisation = data[1]
    chosen = normalisation.isel(time=tradeoff.heavy_days(normalisation, split))
    heavy = np.char.startswith(normalisation.category.values.astype(str), "heavy") & (
        normalisation.split.values == split
    )
    assert len(chosen.time) == tradeoff.DAYS < heavy.sum()
    assert set(chosen.split.values) == {split}
    assert all(str(category).startswith("heavy") for category in chosen.category.values)
    of_all = normalisation.time.values[heavy]
    assert (chosen.time.values[0], chosen.time.values[-1]) == (of_all[0], of_all[-1])
    assert set(chosen.time.dt.year.values) == set(YEARS)
    few = normalisation.isel(time=np.flatnonzero(heavy)[:3])
    assert tradeoff.heavy_days(few, split).tolist() == [0, 1, 2], "fewer days than asked for: all of them"


def test_the_table_has_every_temperature_and_every_number_of_scales_for_both_splits(table):
    assert list(table.columns) == COLUMNS
    for split in tradeoff.SPLITS:
        assert posterior(table, split).temperature.tolist() == [0, 0.25, 0.5, 0.75, 0.9, 1, 1.25, 1.5]
        assert fewer(table, split).scales.tolist() == [3, 2, 1, 0]
    assert len(table) == 2 * (8 + 4 - 1), "and nothing else"
    assert ((table["mode"] == "prior") == (table.scales == 0)).all()
    assert table[table.chosen][["temperature", "scales"]].values.tolist() == [[0.9, 2], [0.9, 2]]
    assert (table.days == tradeoff.DAYS).all()
    assert np.isfinite(table.drop(columns=["split", "mode"]).astype(float)).all(axis=None)


def test_all_scales_may_be_written_as_their_number_and_the_prior_is_that_of_the_user(model, data, table, tmp_path):
    for scales in ("all", 3):
        settings = SETTINGS.model_copy(update={"posterior_scales": scales})
        tradeoff.trace(model, settings, *data, tmp_path / f"{scales}.csv")
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()
    every = pd.read_csv(tmp_path / "all.csv")
    assert every[every.chosen].scales.tolist() == [3, 3]
    pd.testing.assert_frame_equal(every.drop(columns="chosen"), table.drop(columns="chosen"))


def test_without_temperature_the_members_are_the_same_and_with_more_they_part(table):
    for split in tradeoff.SPLITS:
        rows = posterior(table, split)
        assert rows.distance_of_members.iloc[0] == pytest.approx(0, abs=1e-6)
        assert rows.diversity.iloc[0] == pytest.approx(0, abs=1e-6)
        assert (np.diff(rows.distance_of_members) > 0).all()
        assert (np.diff(rows.diversity) > 0).all()
        assert (rows.distance_of_members <= 2 * rows.distance_to_truth + 1e-6).all(), "the triangle inequality"
        assert (np.diff(table.filter(like="dropped_at"), axis=1) >= 0).all(), "a higher threshold drops no fewer"


@pytest.mark.parametrize(
    ("mode", "temperature", "scales"), [("posterior", 1.25, 3), ("posterior", 0.9, 1), ("prior", 0.9, 0)]
)
def test_the_numbers_are_those_of_the_formulas(model, data, table, mode, temperature, scales):
    paths, normalisation = data
    valid = normalisation.valid.values.astype(bool)
    years = xr.concat([xr.load_dataset(path)[["pr", "predictors", "context"]] for path in paths], "time")
    days, expected = normalisation.time.values[tradeoff.heavy_days(normalisation, "train")], []
    for day in days:
        date = int((day - np.datetime64("1850-01-01")) / np.timedelta64(1, "D"))
        settings = DrawSettings(
            seed=1,
            members=tradeoff.MEMBERS,
            temperature=temperature,
            tile=64,
            device="cpu",
            posterior_scales=max(scales, 1),  # the prior does not read it
        )
        members = draw(model, years.sel(time=[day]), normalisation, mode, settings, [date])[0]
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
    rows = table[(table.split == "train") & (table.temperature == temperature) & (table.scales == scales)]
    (found,) = rows.to_dict("records")
    assert {name: found[name] for name in means.index} == pytest.approx(means.to_dict(), rel=1e-3)


def test_a_record_without_heavy_days_is_refused_and_one_with_them_in_one_split_is_not(model, data, tmp_path):
    paths, normalisation = data
    with pytest.raises(UserError, match="found no heavy day of the training or validation split"):
        tradeoff.trace(
            model, SETTINGS, paths, normalisation.isel(time=normalisation.split == "test"), tmp_path / "a.csv"
        )
    assert not list(tmp_path.iterdir())
    training = normalisation.isel(time=normalisation.split == "train")
    tradeoff.trace(model, SETTINGS, paths, training, tmp_path / "a.csv")
    plot_tradeoff.tradeoff(tmp_path / "a.csv", tmp_path / "a.png", Plots(dpi=60))
    assert set(pd.read_csv(tmp_path / "a.csv").split) == {"train"}


def test_the_figure_shows_both_knobs_the_chosen_setting_and_the_prior(table, tmp_path, figures):
    plot_tradeoff.tradeoff(table, tmp_path / "a.png", Plots(dpi=60))
    assert imread(tmp_path / "a.png").shape[1] >= 700
    left, *panels = figures[0].axes
    lines = {line.get_label(): line for line in left.lines}
    for split, name in (("train", "training days"), ("validation", "validation days")):
        for knob, rows in (("temperature", posterior(table, split)), ("scales", fewer(table, split))):
            line = lines[f"over {knob}, {name}"]
            np.testing.assert_allclose(line.get_xdata(), rows.distance_of_members)
            np.testing.assert_allclose(line.get_ydata(), rows.distance_to_truth)
        prior = table[(table["mode"] == "prior") & (table.split == split)]
        np.testing.assert_allclose(lines[f"prior, {name}"].get_ydata(), prior.distance_to_truth)
    ring = lines["temperature 0.9, posterior_scales 2: yours"]
    np.testing.assert_allclose(ring.get_xdata(), table[table.chosen].distance_of_members)
    labels = [text.get_text() for text in left.texts]
    assert labels.count("0") == 2
    assert "2 scales" in labels
    assert len(panels) == 8
    for over_temperature, over_scales in zip(panels[::2], panels[1::2], strict=True):
        np.testing.assert_allclose(over_temperature.lines[0].get_xdata(), posterior(table).temperature)
        assert over_scales.lines[0].get_xdata().tolist() == [3, 2, 1, 0]
        assert over_scales.get_ylim() == over_temperature.get_ylim()
    assert len(figures[0].legends[0].get_texts()) == 8
