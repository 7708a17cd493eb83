"""The training of all networks of a model, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
import xarray as xr

from rainshaft import __version__
from rainshaft.config.sections import ANEW, GENERAL
from rainshaft.config.slices import TrainSettings
from rainshaft.data.conventions import TRAIN, VALIDATION
from rainshaft.data.patches import Days, PatchesOfDays, load_days
from rainshaft.errors import UserError
from rainshaft.general.info import WEIGHTS as GENERAL_WEIGHTS
from rainshaft.general.info import is_of_general
from rainshaft.general.store import read_weights
from rainshaft.general.unit import unit_of_days
from rainshaft.models.chain import Chain
from rainshaft.models.cvae import RainCVAE
from rainshaft.models.dense import DenseRain
from rainshaft.models.device import choose_device
from rainshaft.models.folder import INFO, WEIGHTS, require_whole
from rainshaft.models.interface import Generator
from rainshaft.models.kinds import build_model
from rainshaft.models.start import start_from
from rainshaft.models.store import load_model, save_model
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
        "%s: training on %s%s: %d parameters, %s",
        trainer.name,
        processes,
        trainer.device,
        trainer.parameters,
        trainer.batches,
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


def start(settings: TrainSettings, model: Chain, parts: Sequence[Days]) -> None:
    """Give the networks of a model the weights from which their training starts, as `train.start` says.

    Parameters
    ----------
    parts
        The training days of each network. They tell the unit of a general network.

    Raises
    ------
    UserError
        If the weights cannot be used.
    """
    wanted = settings.train.start
    if wanted == ANEW:
        return
    folder = GENERAL_WEIGHTS if wanted == GENERAL else Path(wanted)
    is_general = is_of_general(folder)
    others = {} if is_general else trained_networks(folder)
    if not is_general and not {*model.names, "rain" if "fine" in model.names else ""} & {*others}:
        raise UserError(
            f"train.start: found a model of the networks {', '.join(others)} in {folder}, expected one of "
            f"{', '.join(model.names)}; take another model, or write `start: anew`"
        )
    for name, network, days in zip(model.names, model.networks, parts, strict=True):
        if isinstance(network, DenseRain):
            log.info("%s: starts anew, since each of its weights belongs to a place and a training takes seconds", name)
            continue
        assert isinstance(network, RainCVAE)
        sizes = network.architecture
        if is_general:
            if sizes.conserve != "cells":
                continue  # this network draws the coarse rain, which no general network does
            weights = read_weights(sizes.factor, folder)
            unit = unit_of_days(days, sizes.channels.index(sizes.rain_channel))
            start_from(network, weights.tensors, weights.architecture, unit)
            network.begin_posterior_as_prior()
        else:
            other = others.get(name) or (others.get("rain") if name == "fine" else None)
            if not isinstance(other, RainCVAE):
                log.info("%s: starts anew, since the other model has no such network of this kind", name)
                continue
            start_from(network, other.state_dict(), other.architecture, other.architecture.unit)
        log.info("%s: starts from %s", name, wanted)


def trained_networks(folder: Path) -> dict[str, Generator]:
    """Read the networks of the folder of a model, by their names."""
    require_whole(folder)
    chain = load_model(folder / WEIGHTS, folder / INFO, torch.device("cpu"))
    return dict(zip(chain.names, chain.networks, strict=True))


def trainers(settings: TrainSettings, fields: Sequence[Path], normalisation: xr.Dataset, group: Group) -> list[Trainer]:
    """Make one trainer for each network of the model, in the order of the chain."""
    device = choose_device(settings.train.device, group.rank)
    model = build_model(settings.model, normalisation, settings.seed)
    training, validation = (
        model.parts(load_days(fields, normalisation, split, device)) for split in (TRAIN, VALIDATION)
    )
    for network, days in zip(model.networks, training, strict=True):
        network.learn_inputs(days)
    start(settings, model, training)
    epochs = {"coarse": settings.train.coarse_epochs}
    found = []
    for name, network, days, validation_days in zip(model.names, model.networks, training, validation, strict=True):
        own = network.training_settings(settings, days)
        batches = PatchesOfDays(days, validation_days, own.train, network.least_steps(len(days)))
        number = epochs.get(name, settings.train.epochs)
        found.append(Trainer(own, network, batches, normalisation, name, number, group))
    return found
