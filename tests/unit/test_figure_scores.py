"""The scores side by side: each experiment has one row, replicates share it, and values have the unit of the panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from entries import comparison, entry
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.evaluation import catalogue
from rainshaft.figures.scores import comparison_scores


def test_comparison_scores(tmp_path: Path, figures: list[Figure]) -> None:
    entries = [
        entry("a", crps=1.5, spread_skill=None),
        entry("a", "posterior"),
        entry("bilinear", "baseline", spread_skill=None),
        entry("b", dataset="two", spread_skill=None),
    ]
    comparison_scores(comparison(*entries), "test", tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 150)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes if axes.get_visible()}
    assert len(by_title) == sum(bool(score.aim) for score in catalogue.SCORES), "a panel for each"
    first = figures[0].axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "bilinear", "b"], "no posterior"
    crps = by_title["fair CRPS (mm/day)"]
    assert [tuple(line.get_xdata()) for line in crps.lines][:2] == [(1.4, 1.6), (1.5,)]
    assert sum(text.get_text() == "not defined" for text in by_title["spread / skill"].texts) == 3
    bands = [c.get_datalim(c.axes.transData).intervalx for c in by_title["wet fraction (%)"].collections]
    np.testing.assert_allclose(bands, [(22, 28), (22, 28)])


@pytest.mark.parametrize("count", [1, 5, 9, 13])
def test_there_may_be_any_number_of_scores(
    tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    one = catalogue.score_of("spread_skill")
    shown = tuple(replace(one, label=f"score {i}") for i in range(count))
    monkeypatch.setattr(catalogue, "SCORES", shown)
    entries = [entry(f"run-{i}") for i in range(9)]
    comparison_scores(comparison(*entries), "validation", tmp_path / "a.png", SETTINGS)
    titles = [axes.get_title(loc="left") for axes in figures[0].axes if axes.get_visible()]
    assert titles == [score.title for score in shown]
    assert [label.get_text() for label in figures[0].axes[0].get_yticklabels()] == [f"run-{i}" for i in range(9)]


def test_replicates_share_a_row_of_the_scores(tmp_path: Path, figures: list[Figure]) -> None:
    entries = [entry(f"a-s{i}", crps=float(i**2)) for i in (1, 2, 3)]
    shared = comparison(*entries, entry("bilinear", "baseline", crps=4.0), families={"a": ("a-s1", "a-s2", "a-s3")})
    comparison_scores(shared, "test", tmp_path / "a.png", SETTINGS)
    crps = figures[0].axes[0]
    assert [label.get_text() for label in crps.get_yticklabels()] == ["a", "bilinear"]
    lines = [list(line.get_xdata()) for line in crps.lines]
    low, high = lines[0]
    assert low < 14 / 3 < high
    assert lines[1:] == [[1.0, 4.0, 9.0], [pytest.approx(14 / 3)], [3.9, 4.1], [4.0]]


def test_a_part_without_days_is_said(tmp_path: Path, figures: list[Figure]) -> None:
    comparison_scores(comparison(entry("a", parts=("test",))), "validation", tmp_path / "a.png", SETTINGS)
    assert [text.get_text() for text in figures[0].texts] == ["no validation day has members left"]
