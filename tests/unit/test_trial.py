"""The trial of synthetic days as training data of another model."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from fields import make_fields, normalisation_of, showers
from scores.categorical import BasicContingencyManager, ThresholdEventOperator

from rainshaft.augmentation import trial
from rainshaft.config.slices import TrialSettings
from rainshaft.data.patches import load_days
from rainshaft.errors import UserError
from rainshaft.models.grids import bilinear

CPU = torch.device("cpu")
SMALL = TrialSettings(steps=3, width=4, blocks=1, flips=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rain = showers(np.random.default_rng(0), 40, 8, 12)
    fields = [make_fields(folder / "2001.nc", rain)]
    return fields, normalisation_of(*fields)


@pytest.fixture
def augmented(tmp_path):
    """Two days of three members, one of which was dropped."""
    rain = np.arange(6, dtype="f4").reshape(2, 3, 1, 1) + np.ones((8, 12), "f4")
    rain[1, 2] = np.nan
    coarse = np.array([7.0, 8.0], "f4")[:, None, None] * np.ones((4, 6), "f4")
    made = xr.Dataset(
        {
            "pr": (("time", "member", "lat", "lon"), rain),
            "coarse_pr": (("time", "y", "x"), coarse),
            "coarse_tas": (("time", "y", "x"), coarse + 280),
        }
    )
    made.to_netcdf(tmp_path / "augmented.nc")
    return tmp_path / "augmented.nc"


def test_context_does_not_stand_in_the_way(tmp_path, augmented):
    rain = showers(np.random.default_rng(0), 40, 8, 12)
    pressure = np.random.default_rng(1).normal(1e5, 500, (40, 5, 7))
    fields = [make_fields(tmp_path / "2001.nc", rain, context={"msl": pressure})]
    normalisation = normalisation_of(*fields)
    train = trial.with_synthetic(load_days(fields, normalisation, "train", CPU), augmented, ["pr", "tas"])
    assert len(train.context_TKvu) == len(train)
    trial.train_net(train, normalisation, SMALL, seed=1)


def test_kept_members_become_heavy_days_with_their_coarse_fields(data, augmented):
    fields, normalisation = data
    days = load_days(fields, normalisation, "train", CPU)
    more = trial.with_synthetic(days, augmented, ["pr", "tas"])
    assert len(more) == len(days) + 5
    assert more.rain_THW[len(days) :, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert more.coarse_TCyx[len(days) :, :, 0, 0].tolist() == [[7, 287]] * 3 + [[8, 288]] * 2
    assert more.categories["heavy"].tolist() == [*days.categories["heavy"].tolist(), *range(len(days), len(days) + 5)]
    assert len(days.categories["heavy"]) + 5 == len(more.categories["heavy"])


def test_an_untrained_network_is_the_bilinear_forecast_and_training_improves_on_it(data):
    fields, normalisation = data
    train, test = (load_days(fields, normalisation, split, CPU) for split in ("train", "test"))
    fresh = trial.train_net(train, normalisation, SMALL.model_copy(update={"steps": 0}), 1)
    with torch.no_grad():
        smooth = bilinear(test.coarse_TCyx[:1, :1], 2)
        torch.testing.assert_close(fresh(test.coarse_TCyx[:1], test.statics_SHW[None]), smooth)
    untrained = trial.score(fresh, test)
    trained = trial.score(
        trial.train_net(train, normalisation, SMALL.model_copy(update={"steps": 60, "width": 8}), 1), test
    )
    assert trained["tail_mae"] < untrained["tail_mae"]


def test_the_same_seed_gives_the_same_network(data):
    fields, normalisation = data
    days = load_days(fields, normalisation, "train", CPU)
    first, same, other = (trial.train_net(days, normalisation, SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.0.weight"], other["head.0.weight"])
    as_they_are = trial.train_net(days, normalisation, SMALL.model_copy(update={"flips": False}), 1).state_dict()
    assert not torch.equal(first["head.0.weight"], as_they_are["head.0.weight"])


def test_csi_and_sedi_are_those_of_the_scores_package():
    rng = np.random.default_rng(0)
    observed = rng.gamma(0.5, 10, (20, 30))
    forecast = observed * rng.lognormal(0, 0.5, observed.shape)
    events = (xr.DataArray(field >= 12, dims=("a", "b")).astype(float) for field in (forecast, observed))
    table = BasicContingencyManager(
        ThresholdEventOperator(default_event_threshold=0.5).make_contingency_manager(*events).get_counts()
    )
    csi, sedi = trial.contingency_scores(forecast, observed, 12.0)
    assert csi == pytest.approx(float(table.critical_success_index()))
    assert sedi == pytest.approx(float(table.symmetric_extremal_dependence_index()))


def test_sedi_is_not_defined_without_hits():
    csi, sedi = trial.contingency_scores(np.array([0.0, 5.0]), np.array([5.0, 0.0]), 1.0)
    assert csi == 0
    assert np.isnan(sedi)


def test_without_coarse_rain_there_is_an_error(data, augmented, tmp_path):
    fields, normalisation = data
    dry = normalisation.assign_attrs(rain_channel="")
    with pytest.raises(UserError, match="quantity: rain"):
        trial.with_and_without(SMALL, fields, dry, augmented, 1, tmp_path / "x.json")


def test_both_networks_are_scored_on_the_same_days(data, augmented, tmp_path):
    fields, normalisation = data
    trial.with_and_without(SMALL, fields, normalisation, augmented, 1, tmp_path / "x.json")
    result = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert result["augmented"]["days"] == result["observed"]["days"] + 5
    assert set(trial.SCORES) < set(result["observed"])
    assert result["observed"]["tail_mae"] != result["augmented"]["tail_mae"]


def test_the_comparison_gives_means_spreads_and_the_change_seed_by_seed(tmp_path):
    def result(seed, observed, augmented):
        values = {"observed": observed, "augmented": augmented}
        days = {"observed": 30, "augmented": 42}
        return {"seed": seed} | {
            name: {"days": days[name], **dict.fromkeys(trial.SCORES, value)} for name, value in values.items()
        }

    trial.compare([result(1, 0.2, 0.35), result(2, 0.4, 0.35)], tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "30 observed days" in text
    assert "12 synthetic heavy days" in text
    assert "| CSI at P99 | 0.300 ± 0.141 | 0.350 ± 0.000 | +0.050 ± 0.141 | 1 of 2 |" in text
    assert text.count("1 of 2") == len(trial.SCORES)
