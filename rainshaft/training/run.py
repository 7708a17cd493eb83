"""The training of all networks of a model, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import xarray as xr

from rainshaft import __version__
from rainshaft.config.slices import TrainSettings
from rainshaft.data.conventions import TRAIN, VALIDATION
from rainshaft.data.patches import load_days
from rainshaft.models.device import choose_device
from rainshaft.models.kinds import build_model
from rainshaft.models.store import save_model
from rainshaft.training.checkpoints import Checkpoints
from rainshaft.training.distributed import Group
from rainshaft.training.trainer import Rows, Trainer, write_log

log = logging.getLogger("rainshaft")


def train(
    settings: TrainSettings,
    fields: Sequence[Path],
    normalisation: xr.Dataset,
    folder: Path,
    train_log: Path,
    group: Group,
) -> None:
    """Train as one of a group of processes. The first of them keeps the result in the checkpoint folder.

    Parameters
    ----------
    fields
        Canonical fields of all years.
    folder
        The checkpoints of this very training; at the end it also has `finished_files`.
    train_log
        CSV, written anew after every epoch.

    Raises
    ------
    UserError
        If the loss is not finite, or a device is not there.
    Interrupted
        If a signal ended it, after a checkpoint.
    """
    chain = trainers(settings, fields, normalisation, group)
    rows: Rows = []
    for trainer in chain:
        announce(trainer)
        trainer.run(Checkpoints(folder / "coarse" if trainer.name == "coarse" else folder), train_log, rows)
        rows += trainer.progress.history
    if group.is_first:
        keep(chain, rows, normalisation, folder)


def announce(trainer: Trainer) -> None:
    """Say in the log of the job which network is trained, on which device and on which days."""
    processes = f"{trainer.group.size} x " if trainer.group.size > 1 else ""
    log.info(
        "%s: training on %s%s: %d days, %d parameters, %d steps an epoch of %d patches of %d x %d coarse cells",
        trainer.name,
        processes,
        trainer.device,
        len(trainer.days),
        trainer.parameters,
        trainer.patches.steps_per_epoch,
        trainer.patches.batch_size,
        trainer.patches.rows,
        trainer.patches.columns,
    )


def keep(chain: Sequence[Trainer], rows: Rows, normalisation: xr.Dataset, folder: Path) -> None:
    """Write the finished model and its log."""
    weights_path, info_path, log_path = finished_files(folder)
    write_log(rows, log_path)
    facts = {
        "device": str(chain[-1].device),
        "seconds": round(sum(trainer.progress.seconds for trainer in chain), 1),
        "rainshaft_version": __version__,
        "torch_version": torch.__version__,
        "data_fingerprint": normalisation.attrs["data_fingerprint"],
    }
    save_model([trainer.result() for trainer in chain], facts, weights_path, info_path)


def finished_files(folder: Path) -> tuple[Path, Path, Path]:
    """Name the weights, the info and the log of a finished training in its checkpoint folder."""
    return folder / "model.safetensors", folder / "model.json", folder / "train_log.csv"


def trainers(settings: TrainSettings, fields: Sequence[Path], normalisation: xr.Dataset, group: Group) -> list[Trainer]:
    """Make one trainer for each network of the model, in the order of the chain."""
    device = choose_device(settings.train.device, group.rank)
    model = build_model(settings.model, normalisation, settings.seed)
    parts = (model.parts(load_days(fields, normalisation, split, device)) for split in (TRAIN, VALIDATION))
    epochs = {"coarse": settings.train.coarse_epochs}
    return [
        Trainer(
            settings,
            network,
            days,
            validation_days,
            normalisation,
            name,
            epochs.get(name, settings.train.epochs),
            group,
        )
        for name, network, days, validation_days in zip(model.names, model.networks, *parts, strict=True)
    ]
