"""The catalogue of scores: that it is the one place, and that its parts agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ensembles import SETTINGS, block, exchangeable
from matplotlib.figure import Figure
from project import REPOSITORY
from small_figures import SETTINGS as PLOTS

from rainshaft.evaluation import catalogue, table
from rainshaft.evaluation.catalogue import Score, score_of
from rainshaft.figures.scores import comparison_scores
from rainshaft.jobs.fingerprint import closure


def test_a_new_score_is_an_addition_to_the_catalogue_alone(
    tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest_of_day(day: catalogue.Day) -> dict[str, float]:
        return {"largest_ratio": day.members_MN.max() / day.truth_N.max()}

    added = Score(
        "largest_ratio",
        "largest %",
        "Its meaning.",
        unit="%",
        factor=100,
        ideal=1.0,
        good=(0.8, 1.2),
        label="largest",
        aim="100 is good",
        console="larg",
    )
    monkeypatch.setattr(catalogue, "QUANTITIES", (*catalogue.QUANTITIES, largest_of_day))
    monkeypatch.setitem(catalogue.FORMULAS, "largest_ratio", lambda record: record.means["largest_ratio"])
    monkeypatch.setattr(catalogue, "SCORES", (*catalogue.SCORES, added))

    members, truth = exchangeable(days=5, members=3, height=12, width=12)
    found = block(members, truth)
    expected = np.mean([m.max() / y.max() for m, y in zip(members, truth, strict=True)])
    assert found["scores"]["largest_ratio"]["value"] == pytest.approx(expected)
    entry = {"name": "a", "mode": "prior", "dataset": "d", "wet_threshold": SETTINGS.wet_threshold}
    entry |= {"all_days": found, "heavy_days": None}
    table.write([entry], {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    row = pd.read_csv(tmp_path / "table.csv").set_index("name").loc["a"]
    assert row["largest_ratio"] == pytest.approx(100 * expected)
    assert row["largest_ratio_low"] <= row["largest_ratio"] <= row["largest_ratio_high"]
    assert "- **largest %**: Its meaning." in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "larg" in (tmp_path / "console.txt").read_text(encoding="utf-8").split()
    comparison_scores([entry], tmp_path / "scores.png", PLOTS)
    panel = next(axes for axes in figures[0].axes if axes.get_title(loc="left") == "largest (%)")
    (band,) = panel.collections
    assert band.get_datalim(panel.transData).intervalx == pytest.approx([80, 120])


def test_what_is_shown_is_computed() -> None:
    computed = block(*exchangeable(days=3, members=2, height=12, width=12))
    for score in catalogue.SCORES:
        if score.source != "change":
            assert score.found(computed)["value"] is not None, score.key
        assert not score.beside or score_of(score.beside)
        assert (score.good is None) == (score.ideal is None)


def test_a_band_may_follow_the_observed_value_and_stays_a_fraction() -> None:
    wet = score_of("wet_fraction")
    assert wet.band({"observed": {"wet_fraction": 0.5}}) == pytest.approx((0.47, 0.5, 0.53))
    assert wet.band({"observed": {"wet_fraction": 0.01}}) == pytest.approx((0, 0.01, 0.04))
    assert wet.band({"observed": {"wet_fraction": 0.98}}) == pytest.approx((0.95, 0.98, 1))


def test_jobs_that_compute_scores_do_not_depend_on_how_they_are_shown() -> None:
    scripts = REPOSITORY / "workflow" / "scripts"
    module = "rainshaft.evaluation.catalogue"
    used = {name for found, name in closure(scripts / "evaluate_ensemble.py") if found == module}
    assert {"FORMULAS", "QUANTITIES"} <= used
    assert not {"SCORES", "FSS"} & used
    assert (module, "SCORES") in closure(scripts / "compare_experiments.py")
