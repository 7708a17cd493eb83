"""The training curves: every term has a panel, and the epoch whose weights were kept is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from small_figures import SETTINGS, is_png

from rainshaft.figures.training import training_curves
from rainshaft.training import losses


def by_title(figure: Figure | SubFigure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


def history(epochs: int = 5) -> pd.DataFrame:
    """A log in which every term falls in training, and is lowest in the third epoch in validation."""
    table = pd.DataFrame({"network": "rain", "epoch": range(1, epochs + 1), "lr": 0.1, "beta": 0.3})
    for name in ("loss", *(term.name for term in losses.TERMS)):
        table[f"train_{name}"] = np.linspace(2, 1, epochs)
        table[f"val_{name}"] = np.abs(np.arange(epochs) - 2) + 1.0
    return table


def test_every_term_has_a_panel_and_says_so_where_it_is_not_in_the_loss(tmp_path: Path, figures: list[Figure]) -> None:
    table = history()
    table["train_L_crps"] = table["val_L_crps"] = np.nan
    table["train_L_mass"] = table["val_L_mass"] = 0.0
    table.to_csv(tmp_path / "log.csv", index=False)
    training_curves(tmp_path / "log.csv", tmp_path / "a.png", {"rain": 2}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
    panels = by_title(figures[0])
    assert set(panels) == {"loss", "lr", "beta"} | {term.name for term in losses.TERMS}
    absent = {name for name, axes in panels.items() if "not in this loss" in [text.get_text() for text in axes.texts]}
    assert absent == {"L_crps"}, "a term that is 0 is in the loss"
    assert all(label in [text.get_text() for text in panels[name].texts] for name, label in losses.LABELS.items())
    assert {"train", "val"} <= {text.get_text() for text in panels["L_rec"].texts}
    assert any("epoch 2" in text.get_text() for text in panels["loss"].texts)


@pytest.mark.parametrize("count", [1, 4, 8])
def test_there_may_be_any_number_of_terms(
    tmp_path: Path, figures: list[Figure], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    terms = {f"L_{i}": "a term" for i in range(count)}
    monkeypatch.setattr(losses, "LABELS", terms)
    training_curves(history(), tmp_path / "a.png", {"rain": 2}, SETTINGS)
    panels = by_title(figures[0])
    assert set(terms) < set(panels)
    lowest = {axes.get_subplotspec().colspan.start: axes for axes in panels.values()}
    assert all(axes.get_xlabel() == "epoch" for axes in lowest.values())


def test_the_networks_of_a_chain_have_curves_of_their_own(tmp_path: Path, figures: list[Figure]) -> None:
    rows = [{"network": "coarse", "epoch": n, "train_loss": 5.0 + n, "val_loss": 6.0} for n in (1, 2, 3)]
    rows += [{"network": "fine", "epoch": n, "train_loss": 1.0, "val_loss": 1.0} for n in (1, 2)]
    training_curves(pd.DataFrame(rows), tmp_path / "a.png", {"coarse": 3, "fine": 2}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 500)
    coarse, fine = (by_title(part)["loss"] for part in figures[0].subfigs)
    assert list(coarse.lines[0].get_ydata()) == [6.0, 7.0, 8.0]
    assert list(fine.lines[0].get_ydata()) == [1.0, 1.0]


def test_training_curves_of_one_epoch_whose_loss_is_nan(tmp_path: Path) -> None:
    row = {"network": "rain", "epoch": [1], "lr": 0.1, "beta": 0.3, "train_loss": np.nan, "val_loss": np.nan}
    training_curves(pd.DataFrame(row), tmp_path / "a.png", {"rain": 0}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)


def test_a_term_that_is_only_rounding_is_shown_as_0(tmp_path: Path, figures: list[Figure]) -> None:
    log = history().assign(train_L_mass=3e-17, val_L_mass=-2e-17)
    training_curves(log, tmp_path / "a.png", {"rain": 2}, SETTINGS)
    assert "0 by construction" in [text.get_text() for text in by_title(figures[0])["L_mass"].texts]
