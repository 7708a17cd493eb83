"""The differences to the strongest baseline: where the marks stand, and what lies beyond the axis."""

from __future__ import annotations

from pathlib import Path

import pytest
from entries import comparison, entry
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.figures.differences import differences


def test_each_dataset_is_compared_with_its_own_strongest_baseline(tmp_path: Path, figures: list[Figure]) -> None:
    entries = [
        entry("a", crps=0.9),
        entry("a", "posterior", crps=0.1),
        entry("fragments", "baseline", crps=1.0),
        entry("climatology", "baseline", crps=2.5),
        entry("b", dataset="two", crps=1.1),
        entry("bilinear", "baseline", dataset="two", crps=1.0),
    ]
    differences(comparison(*entries), tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 300, 100)
    one, two = figures[0].axes
    assert one.get_title(loc="left") == "demo: against fragments"
    assert two.get_title(loc="left") == "two: against bilinear"
    assert [label.get_text() for label in one.get_yticklabels()] == ["a", "climatology"], "neither posterior nor itself"
    marks = [line.get_xdata()[0] for line in one.lines if len(line.get_xdata()) == 1]
    assert marks == [pytest.approx(-10), pytest.approx(-10)], "validation and test"
    assert [text.get_text() for text in one.texts] == ["+150 % →"] * 2
    low, high = next(
        line.get_xdata() for line in one.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 1.5
    )
    assert low < -10 < high < 0


def test_without_a_baseline_there_is_nothing_to_compare_with(tmp_path: Path, figures: list[Figure]) -> None:
    differences(comparison(entry("a")), tmp_path / "a.png", SETTINGS)
    assert [text.get_text() for text in figures[0].texts] == ["no baseline to compare with"]


def test_a_part_without_days_has_no_mark(tmp_path: Path, figures: list[Figure]) -> None:
    run = comparison(entry("a", crps=0.9, parts=("test",)), entry("bilinear", "baseline", parts=("test",)))
    differences(run, tmp_path / "a.png", SETTINGS)
    assert len([line for line in figures[0].axes[0].lines if len(line.get_xdata()) == 1]) == 1


def test_ensembles_of_other_days_are_not_compared(tmp_path: Path, figures: list[Figure]) -> None:
    run = comparison(entry("a", crps=1.9, days=30), entry("b", crps=0.8), entry("fragments", "baseline"))
    differences(run, tmp_path / "a.png", SETTINGS)
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["scored on other days"] * 2
    assert len([line for line in axes.lines if len(line.get_xdata()) == 1]) == 2
    assert axes.get_xlim()[1] == 5, "the axis does not reach where nothing is"
