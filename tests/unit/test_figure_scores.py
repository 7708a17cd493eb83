"""The scores side by side: each experiment has one row, replicates share it, and values have the unit of the panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.evaluation import catalogue
from rainshaft.figures.scores import comparison_scores


def test_comparison_scores(tmp_path: Path, figures: list[Figure]) -> None:
    def entry(name: str, mode: str, dataset: str, wet: float) -> dict[str, Any]:
        block = {
            "days": 3,
            "observed": {"wet_fraction": wet},
            "samples": {"wet_fraction": 0.4},
            "scores": {
                "fair_crps": {"value": 1.5, "low": 1.4, "high": 1.7},
                "spread_skill": {"value": None, "low": None, "high": None},
            },
        }
        return {"name": name, "mode": mode, "dataset": dataset, "members": 1, "all_days": block, "heavy_days": None}

    entries = [
        entry("a", "prior", "one", 0.3),
        entry("a", "posterior", "one", 0.3),
        entry("bilinear", "baseline", "one", 0.3),
        entry("b", "prior", "two", 0.6),
    ]
    comparison_scores(entries, tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 150)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes if axes.get_visible()}
    assert len(by_title) == sum(bool(score.aim) for score in catalogue.SCORES), "a panel for each"
    first = figures[0].axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "bilinear", "b"], "no posterior"
    crps = by_title["fair CRPS (mm/day)"]
    assert [tuple(line.get_xdata()) for line in crps.lines][:2] == [(1.4, 1.7), (1.5,)]
    assert sum(text.get_text() == "not defined" for text in by_title["spread / skill"].texts) == 3
    bands = [c.get_datalim(c.axes.transData).intervalx for c in by_title["wet fraction (%)"].collections]
    np.testing.assert_allclose(bands, [(27, 33), (57, 63)])


@pytest.mark.parametrize("count", [1, 5, 9, 13])
def test_there_may_be_any_number_of_scores(
    tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    one = catalogue.score_of("spread_skill")
    shown = tuple(replace(one, label=f"score {i}") for i in range(count))
    monkeypatch.setattr(catalogue, "SCORES", shown)
    block = {"observed": {}, "samples": {}, "scores": {"spread_skill": {"value": 0.9, "low": 0.8, "high": 1.0}}}
    entries = [{"name": f"run-{i}", "mode": "prior", "dataset": "d", "all_days": block} for i in range(9)]
    comparison_scores(entries, tmp_path / "a.png", SETTINGS)
    titles = [axes.get_title(loc="left") for axes in figures[0].axes if axes.get_visible()]
    assert titles == [score.title for score in shown]
    assert [label.get_text() for label in figures[0].axes[0].get_yticklabels()] == [f"run-{i}" for i in range(9)]


def test_replicates_share_a_row_of_the_scores(tmp_path: Path, figures: list[Figure]) -> None:
    def entry(name: str, mode: str, crps: float) -> dict[str, Any]:
        scores = {"fair_crps": {"value": crps, "low": crps - 1, "high": crps + 1}}
        block = {"observed": {"wet_fraction": 0.3}, "samples": {"wet_fraction": 0.4}, "scores": scores}
        return {"name": name, "mode": mode, "dataset": "one", "all_days": block}

    entries = [entry("bilinear", "baseline", 4.0)]
    entries += [entry(f"{name}-s{i}", "prior", float(i**2)) for name in "ab" for i in (1, 2, 3)]
    families = {name: tuple(f"{name}-s{i}" for i in (1, 2, 3)) for name in "ab"}
    comparison_scores(entries, tmp_path / "a.png", SETTINGS, families)
    assert is_png(tmp_path / "a.png", 700, 150)
    crps = figures[0].axes[0]
    assert [label.get_text() for label in crps.get_yticklabels()] == ["bilinear", "a", "b"]
    lines = [(list(line.get_xdata()), set(line.get_ydata())) for line in crps.lines]
    mean = [pytest.approx(14 / 3)]
    assert lines == [
        ([3.0, 5.0], {0.0}),
        ([4.0], {0.0}),
        ([1.0, 4.0, 9.0], {1.0}),
        (mean, {1.0}),
        ([1.0, 4.0, 9.0], {2.0}),
        (mean, {2.0}),
    ]
