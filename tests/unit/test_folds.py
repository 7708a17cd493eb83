"""Cross-validation over blocks: each fold is a training of its own, and every day is a test day once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rainshaft.baselines.table import names
from rainshaft.config.load import ConfigError, load
from rainshaft.config.sections import Split
from rainshaft.config.slices import dataset_slice, experiment_slice
from rainshaft.data.split import split_days

DEMO = Path(__file__).resolve().parents[2] / "config" / "config.yaml"


@pytest.fixture
def raw() -> dict[str, Any]:
    found = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    found["datasets"]["demo"]["split"] = {"by": "blocks", "block_days": 5, "folds": 4}
    del found["experiments"]["general"]  # nothing is trained, so it has no folds
    return found


@pytest.mark.parametrize("folds", [3, 4, 7])
def test_every_day_is_a_test_day_once_and_no_part_shares_a_day(folds: int) -> None:
    split = Split(by="blocks", block_days=5, folds=folds)
    days = np.arange("2001-01-01", "2001-12-31", dtype="datetime64[D]").astype("datetime64[ns]")
    parts = np.array([split_days(days, split.fold(number)) for number in range(folds)])
    assert ((parts == "test").sum(axis=0) == 1).all()
    assert ((parts == "validation").sum(axis=0) <= 1).all()
    for part in parts:
        shares = {name: (part == name).mean() for name in ("train", "validation", "test")}
        assert shares["test"] == pytest.approx(1 / folds, abs=0.05)
        assert shares["validation"] == pytest.approx(0.5 / folds, abs=0.05)


def test_an_experiment_is_trained_once_for_each_fold_and_scored_once(raw: dict[str, Any]) -> None:
    config = load(raw, names())
    assert set(config.experiments) == {"smooth-background", "gradient-loss", "calibrated"}
    assert config.folds_of("calibrated") == tuple(f"calibrated-f{n}" for n in (1, 2, 3, 4))
    assert len(config.trained) == 12
    assert {config.trained[fold].dataset for fold in config.folds_of("calibrated")} == {
        f"demo-f{n}" for n in (1, 2, 3, 4)
    }
    assert config.scored_as("calibrated-f3") == "calibrated"
    assert config.folds_of_dataset("demo") == tuple(f"demo-f{n}" for n in (1, 2, 3, 4))
    assert config.record_of("demo-f2") == config.record_of("demo") == "demo"
    cycles = {dataset_slice(config, f"demo-f{n}", "normalisation")["split"]["cycle"][0] for n in (1, 2, 3)}
    assert cycles == {"test", "train"}
    assert experiment_slice(config, "calibrated", "evaluate") == experiment_slice(config, "calibrated-f1", "evaluate")
    assert dataset_slice(config, "demo-f1", "prepare") == dataset_slice(config, "demo", "prepare")


def test_replicates_have_folds_too_and_an_application_takes_the_first(raw: dict[str, Any]) -> None:
    raw |= {"replicates": 2, "applications": {"again": {"experiment": "calibrated", "years": [2001]}}}
    config = load(raw, names())
    assert config.families["calibrated"] == ("calibrated-s1", "calibrated-s2")
    assert config.folds_of("calibrated-s2")[0] == "calibrated-s2-f1"
    seeds = {config.trained[f"calibrated-s{s}-f{f}"].seed for s in (1, 2) for f in (1, 4)}
    assert seeds == {1, 2}
    assert config.model_of("again") == "calibrated-s1-f1"


def test_without_folds_names_stay(raw: dict[str, Any]) -> None:
    del raw["datasets"]["demo"]["split"]["folds"]
    config = load(raw, names())
    assert set(config.trained) == set(config.experiments)
    assert config.folds_of("calibrated") == ("calibrated",)
    assert config.folds_of_dataset("demo") == ("demo",)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"by": "years", "folds": 4, "train": [2001], "validation": [2002], "test": [2003]}, "expected `by: blocks`"),
        ({"by": "blocks", "folds": 2}, "too few training days"),
        ({"by": "blocks", "folds": 4, "cycle": ["train", "validation", "test"]}, "which replaces it"),
    ],
)
def test_folds_that_do_not_fit_are_refused(raw: dict[str, Any], split: dict[str, Any], message: str) -> None:
    raw["datasets"]["demo"]["split"] = split
    with pytest.raises(ConfigError, match=message):
        load(raw, names())


def test_names_of_folds_are_not_taken_and_files_have_no_folds(raw: dict[str, Any]) -> None:
    taken = copy.deepcopy(raw)
    taken["experiments"]["calibrated-f2"] = {"dataset": "demo"}
    with pytest.raises(ConfigError, match="a fold of 'calibrated' has this name"):
        load(taken, names())
    raw["experiments"]["theirs"] = {"dataset": "demo", "source": "files", "files": ["a.nc"], "variable": "pr"}
    with pytest.raises(ConfigError, match="`source: files` have no folds"):
        load(raw, names())
    raw["experiments"]["theirs"] = {"dataset": "demo", "source": "general"}
    with pytest.raises(ConfigError, match="`source: general` have no folds"):
        load(raw, names())
