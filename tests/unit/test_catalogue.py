"""The catalogue of scores: that it is the one place, and that its parts agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ensembles import SETTINGS, exchangeable, scored
from matplotlib.figure import Figure
from small_figures import SETTINGS as PLOTS

from rainshaft.evaluation import catalogue, days, table
from rainshaft.evaluation.catalogue import Score, score_of, scores_of
from rainshaft.evaluation.quantities import Day
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.evaluation.scoring import Scored
from rainshaft.figures.scores import comparison_scores


def entry_of(found: Scored) -> Entry:
    content = {"name": "a", "mode": "prior", "dataset": "d", "settings": SETTINGS.model_dump(mode="json")}
    return Entry(content | {"validation": found.blocks, "test": None}, found.resampled.expand_dims(part=["validation"]))


def test_a_new_score_is_an_addition_to_the_catalogue_and_the_quantities_alone(
    tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest_of_day(day: Day) -> dict[str, float]:
        return {"largest_ratio": day.members_MN.max() / (day.truth_N.max() or np.nan)}

    added = Score(
        "largest_ratio",
        lambda record: record.means["largest_ratio"],
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
    monkeypatch.setattr(days, "QUANTITIES", (*days.QUANTITIES, largest_of_day))
    monkeypatch.setattr(catalogue, "SCORES", (*catalogue.SCORES, added))

    members, truth = exchangeable(days=12, members=3, height=12, width=12)
    found = scored(members, truth)
    expected = np.mean([m.max() / y.max() for m, y in zip(members, truth, strict=True)])
    assert found.blocks["all_days"]["scores"]["largest_ratio"]["value"] == pytest.approx(expected)
    comparison = Comparison([entry_of(found)], {})
    table.write(comparison, {}, {}, tmp_path / "table.md", tmp_path / "table.csv", tmp_path / "console.txt")
    row = pd.read_csv(tmp_path / "table.csv").query("days == 'all_days'").set_index("name").loc["a"]
    assert row["largest_ratio"] == pytest.approx(100 * expected)
    assert row["largest_ratio_low"] <= row["largest_ratio"] <= row["largest_ratio_high"]
    assert "- **largest %**: Its meaning." in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "larg" in (tmp_path / "console.txt").read_text(encoding="utf-8").split()
    comparison_scores(comparison, "validation", tmp_path / "scores.png", PLOTS)
    panel = next(axes for axes in figures[0].axes if axes.get_title(loc="left") == "largest (%)")
    (band,) = panel.collections
    assert band.get_datalim(panel.transData).intervalx == pytest.approx([80, 120])


def test_every_score_is_computed_and_its_parts_agree() -> None:
    computed = scored(*exchangeable(days=12, members=4, height=16, width=16)).blocks["all_days"]
    listed = scores_of(SETTINGS)
    assert list(computed["scores"]) == [score.key for score in listed]
    assert len({score.key for score in listed}) == len(listed)
    for score in listed:
        assert score.found(computed)["value"] is not None, score.key
        assert not score.beside or score_of(score.beside)
        assert score.good is None or score.ideal is not None, score.key
        assert (score.ideal == "observed") <= (score.observed is not None), score.key
        assert not score.heading or score.meaning, score.key


def test_a_band_may_follow_the_observed_value_and_stays_a_fraction() -> None:
    wet = score_of("wet_fraction")
    assert wet.band({"observed": 0.5}) == pytest.approx((0.47, 0.5, 0.53))
    assert wet.band({"observed": 0.01}) == pytest.approx((0, 0.01, 0.04))
    assert wet.band({"observed": 0.98}) == pytest.approx((0.95, 0.98, 1))


def test_what_perfect_members_reach_is_good() -> None:
    floor = {"value": 1.0, "low": 0.6, "high": 1.05}
    assert score_of("spread_skill").band({"floor": floor}) == pytest.approx((0.6, 1, 1.1))


def test_the_fraction_skill_score_nearest_to_10_mm_at_the_middle_scale_has_the_column() -> None:
    settings = SETTINGS.model_copy(update={"fss_thresholds": (1.0, 12.0, 50.0), "fss_scales": (1, 5, 17)})
    fractions = [score for score in scores_of(settings) if score.key.startswith("fss")]
    assert len(fractions) == 9
    assert {score.key: score.heading for score in fractions if score.heading} == {"fss_12mm_5": "FSS 12 mm"}
    events = {score.key: score.heading for score in scores_of(settings) if score.heading and "12 mm" in score.heading}
    assert set(events) == {"fss_12mm_5", "twcrps_12mm", "brier_skill_12mm"}
