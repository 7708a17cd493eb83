"""Small records and settings for the tests of what trains and what is trained."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fields import make_fields, normalisation_of, showers

from rainshaft.config.sections import Loss, Model, Train
from rainshaft.config.slices import TrainSettings
from rainshaft.training.trainer import Trainer

Data = tuple[list[Path], xr.Dataset]
"""Canonical fields and their normalisation."""


def plain_days(folder: Path) -> Data:
    """Eighty days of 16 x 24 cells, with dry and heavy ones."""
    rng = np.random.default_rng(0)
    rain = showers(rng, 80, 16, 24) * rng.choice([0, 0.3, 1, 2], (80, 1, 1))
    path = make_fields(folder / "2001.nc", rain, elevation=rng.random((16, 24)) * 900)
    return [path], normalisation_of(path, heavy_min_cells=3)


def island_days(folder: Path) -> Data:
    """Forty days on 16 x 24 cells of which few are land, in a sea without values: context, and no coarse channel."""
    rng = np.random.default_rng(0)
    rain = showers(rng, 40, 16, 24)
    land = np.zeros((16, 24))
    land[3:8, 2:9] = land[9:15, 12:21] = 1
    pressure = rng.normal(1e5, 800, (40, 5, 7))
    path = make_fields(folder / "2001.nc", rain, valid=land, context={"msl": pressure}, coarse=False)
    return [path], normalisation_of(path)


def small_training(
    conserve: str = "cells", model: dict | None = None, loss: dict | None = None, **train: object
) -> TrainSettings:
    """A small model and a short training on a CPU."""
    sizes = {"width": 4, "d_z": (2, 1), "conserve": conserve, "coarser_scales": int(conserve == "drawn")}
    options = {"epochs": 3, "coarse_epochs": 2, "batch_size": 4, "patch": 8, "device": "cpu"}
    return TrainSettings(
        seed=1, model=Model(**sizes | (model or {})), loss=Loss(**loss or {}), train=Train(**options | train)
    )


def stop_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let a training get the signal of a scheduler after so many steps."""
    step = Trainer.step

    def step_and_stop(self: Trainer) -> None:
        step(self)
        if self.progress.step == count:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "step", step_and_stop)
