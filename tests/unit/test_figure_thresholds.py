"""Scores over the pixel threshold: a panel for each, the bands of the verdict, the chosen value and that of `auto`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.evaluation.catalogue import score_of
from rainshaft.evaluation.thresholds import CRPS_CHANGE
from rainshaft.figures.thresholds import thresholds

KEYS = ("wet_fraction", "wet_difference", "wet_difference_1mm", "mass_bias", "fair_crps", "spread_skill", CRPS_CHANGE)


def table(*, chosen: float = 0.5, auto: float = 1.0, intervals: bool = True) -> pd.DataFrame:
    rows = pd.DataFrame({"threshold": [0.0, 0.5, 1.0, 4.0]})
    rows["chosen"], rows["auto"] = rows["threshold"] == chosen, rows["threshold"] == auto
    for place, key in enumerate((*KEYS, "fss_0.1mm_5", "fss_10mm_5")):
        rows[key] = place + 1 - 0.1 * np.arange(4)
        for side, sign in (("low", -1), ("high", 1)):
            rows[f"{key}_{side}"] = rows[key] + 0.05 * sign if intervals else None
    return rows


def scores() -> dict[str, Any]:
    known = {"value": 0.1, "low": 0.0, "high": 0.2}
    entries: dict[str, Any] = {key: dict(known) for key in KEYS}
    entries["spread_skill"]["floor"] = {"value": 1.0, "low": 0.6, "high": 1.05}
    return {"settings": {"wet_threshold": 0.1}, "validation": {"all_days": {"scores": entries}}}


def drawn(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


def marks(axes: Axes) -> dict[str, float]:
    """Vertical lines by their label."""
    return {
        str(line.get_label()): float(np.asarray(line.get_xdata())[0])
        for line in axes.lines
        if len(line.get_xdata()) == 2
    }


def test_every_panel_has_the_score_and_both_marks(tmp_path: Path, figures: list[Figure]) -> None:
    rows = table()
    rows.to_csv(tmp_path / "a.csv", index=False)
    thresholds(tmp_path / "a.csv", scores(), tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 300)
    panels = drawn(figures[0])
    assert len(panels) == 6
    wet = panels["wet cells, minus observed (points)"]
    (line,) = [line for line in wet.lines if line.get_label() == "members"]
    np.testing.assert_allclose(line.get_xydata(), rows[["threshold", "wet_difference"]])
    for axes in panels.values():
        assert {"yours: 0.5 mm/day": 0.5, "auto: 1 mm/day": 1.0}.items() <= marks(axes).items()
    assert "observed: -1.0 % above 0.1 mm/day" in wet.texts[0].get_text()
    assert "5 mm/day without a threshold" in panels["change of the fair CRPS (%)"].texts[0].get_text()
    fractions = [text.get_text() for text in panels["fractions skill score"].get_legend().get_texts()]
    assert fractions == ["0.1 mm/day in 5 x 5 cells", "10 mm/day in 5 x 5 cells"]


def test_the_green_bands_are_those_of_the_verdict(tmp_path: Path, figures: list[Figure]) -> None:
    thresholds(table(), scores(), tmp_path / "a.png", SETTINGS)
    found = {}
    for title, axes in drawn(figures[0]).items():
        for patch in axes.patches:
            found[title] = tuple(patch.get_bbox().intervaly)
    low, high = score_of("wet_difference").good
    assert found["wet cells, minus observed (points)"] == pytest.approx((100 * low, 100 * high))
    assert found["spread / skill"] == pytest.approx((0.6, 1.1)), "the floor of the noise widens it"
    assert set(found) == {"wet cells, minus observed (points)", "mass bias (%)", "spread / skill"}


def test_one_value_may_be_both_and_intervals_and_fractions_may_be_missing(
    tmp_path: Path, figures: list[Figure]
) -> None:
    rows = table(chosen=4.0, auto=4.0, intervals=False)
    rows = rows[[column for column in rows if not column.startswith("fss_")]]
    thresholds(rows, scores(), tmp_path / "a.png", SETTINGS)
    panels = drawn(figures[0])
    assert len(panels) == 5
    assert "fractions skill score" not in panels
    assert {"yours: 4 mm/day", "auto: 4 mm/day"} <= set(marks(panels["mass bias (%)"]))


def test_no_validation_day_is_said(tmp_path: Path, figures: list[Figure]) -> None:
    thresholds(table().iloc[:0], scores(), tmp_path / "a.png", SETTINGS)
    assert [text.get_text() for text in figures[0].texts] == ["no validation day has members left"]
