"""The training curves: every term is there, and the best epoch is marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from small_figures import SETTINGS, is_png

from rainshaft.figures import training as plot_training
from rainshaft.training import losses


def test_training_curves(tmp_path: Path, figures: list[Figure]) -> None:
    epochs = 5
    table = pd.DataFrame({"network": "rain", "epoch": range(1, epochs + 1), "lr": 0.1, "beta": 0.3})
    for name in plot_training.TERMS:
        table[f"train_{name}"] = np.linspace(2, 1, epochs)
        table[f"val_{name}"] = np.abs(np.arange(epochs) - 2) + 1.0
    table["train_L_crps"] = table["val_L_crps"] = 0.0
    table.to_csv(tmp_path / "log.csv", index=False)
    plot_training.training_curves(tmp_path / "log.csv", tmp_path / "a.png", {"rain": 2}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
    by_title = {axes.get_title(loc="left"): axes for axes in figures[0].axes}
    assert len(by_title) == 12
    assert set(losses.TERMS) < set(by_title)
    assert "not in this loss" in [text.get_text() for text in by_title["L_crps"].texts]
    assert {"train", "val"} <= {text.get_text() for text in by_title["L_rec"].texts}
    assert any("epoch 2" in text.get_text() for text in by_title["loss"].texts)


def test_the_networks_of_a_chain_have_curves_of_their_own(tmp_path: Path, figures: list[Figure]) -> None:
    rows = [{"network": "coarse", "epoch": n, "train_loss": 5.0 + n, "val_loss": 6.0} for n in (1, 2, 3)]
    rows += [{"network": "fine", "epoch": n, "train_loss": 1.0, "val_loss": 1.0} for n in (1, 2)]
    plot_training.training_curves(pd.DataFrame(rows), tmp_path / "a.png", {"coarse": 3, "fine": 2}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 500)
    coarse, fine = ([axes for axes in part.axes if axes.get_title(loc="left") == "loss"] for part in figures[0].subfigs)
    assert list(coarse[0].lines[0].get_ydata()) == [6.0, 7.0, 8.0]
    assert list(fine[0].lines[0].get_ydata()) == [1.0, 1.0]


def test_training_curves_of_one_epoch_whose_loss_is_nan(tmp_path: Path) -> None:
    row = {"network": "rain", "epoch": [1], "lr": 0.1, "beta": 0.3, "train_loss": np.nan, "val_loss": np.nan}
    plot_training.training_curves(pd.DataFrame(row), tmp_path / "a.png", {"rain": 0}, SETTINGS)
    assert is_png(tmp_path / "a.png", 700, 250)
