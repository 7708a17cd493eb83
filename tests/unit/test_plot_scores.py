"""The scores side by side: a row each, in the units of the panel, replicates together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.figures import scores as plot_scores


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

    statistics = [
        entry("a", "prior", "one", 0.3),
        entry("a", "posterior", "one", 0.3),
        entry("bilinear", "baseline", "one", 0.3),
        entry("b", "prior", "two", 0.6),
    ]
    plot_scores.comparison_scores(statistics, tmp_path / "a.png", SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 150)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes}
    first = figures[0].axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "bilinear", "b"], "no posterior"
    crps = by_title["fair CRPS (mm/day)"]
    assert [tuple(line.get_xdata()) for line in crps.lines][:2] == [(1.4, 1.7), (1.5,)]
    assert sum(text.get_text() == "not defined" for text in by_title["spread / skill"].texts) == 3
    bands = [c.get_datalim(c.axes.transData).intervalx for c in by_title["wet cells (%)"].collections]
    np.testing.assert_allclose(bands, [(27, 33), (57, 63)])


def test_replicates_share_a_row_of_the_scores(tmp_path: Path, figures: list[Figure]) -> None:
    def entry(name: str, mode: str, crps: float) -> dict[str, Any]:
        scores = {"fair_crps": {"value": crps, "low": crps - 1, "high": crps + 1}}
        block = {"observed": {"wet_fraction": 0.3}, "samples": {"wet_fraction": 0.4}, "scores": scores}
        return {"name": name, "mode": mode, "dataset": "one", "all_days": block}

    statistics = [entry("bilinear", "baseline", 4.0)]
    statistics += [entry(f"{name}-s{i}", "prior", float(i**2)) for name in "ab" for i in (1, 2, 3)]
    families = {name: tuple(f"{name}-s{i}" for i in (1, 2, 3)) for name in "ab"}
    plot_scores.comparison_scores(statistics, tmp_path / "a.png", SETTINGS, families)
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
