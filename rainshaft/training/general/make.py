"""Make the general networks: one for each factor, from the public records of a configuration.

Input: `recipe.yaml` beside this module, and the records that it names. Output: a folder with the weights of each
network, and `general.json`, which says what they are and from what they learned. Everything random is a function of the
seed and the step. So one machine makes equal weights again, bit for bit, and a training that was stopped goes on where
it ended.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import xarray as xr
from safetensors.torch import save as save_tensors

from rainshaft import __version__
from rainshaft.config.slices import TrainSettings
from rainshaft.errors import UserError
from rainshaft.files import atomic, write_json
from rainshaft.general.info import FORMAT, INFO, is_of_general, read_info
from rainshaft.models.cvae import COARSE_RAIN, SMOOTHINGS, CVAEArchitecture, RainCVAE
from rainshaft.models.noise import seeded
from rainshaft.models.store import TrainedNetwork
from rainshaft.training.checkpoints import Checkpoints
from rainshaft.training.distributed import Group
from rainshaft.training.general.mix import Mix, Variation, variations
from rainshaft.training.general.settings import GeneralSettings, RecordFiles
from rainshaft.training.run import announce
from rainshaft.training.trainer import Trainer

log = logging.getLogger("rainshaft")

MOST_BYTES = 1_000_000  # of the weights of a network, so that the package stays small
WET = 1.0  # in the unit of the networks; the tail of the loss begins at a percentile of what is wetter
P99 = 0.99


@dataclass(frozen=True)
class Network:
    """A general network after its training."""

    factor: int
    trained: TrainedNetwork
    coarse_km: tuple[float, float]
    """the shortest and the longest side of the coarse cells that it has seen"""
    hours: tuple[float, float]
    """the shortest and the longest step that it has seen"""


def make(settings: GeneralSettings, folder: Path, without: str | None = None) -> None:
    """Train the networks of all factors, one after the other, and write the folder.

    Parameters
    ----------
    folder
        Gets the weights and `general.json`, and the checkpoints of trainings that are not finished.
    without
        A record that the networks shall not see, to find out how they do at a new place.

    Raises
    ------
    UserError
        If a record cannot be read, or the folder has networks of another recipe.
    Interrupted
        If a signal ended it, after a checkpoint.
    """
    records = {name: files for name, files in settings.records.items() if name != without}
    kept = made_before(folder, recipe_of(settings, records))
    networks = []
    for factor in settings.factors:
        mix = [one for name, files in records.items() for one in variations(name, files, factor)]
        networks.append(_trained(settings, factor, list(records), mix, folder))
    save(networks, records, settings, folder, kept)


def recipe_of(settings: GeneralSettings, records: Mapping[str, RecordFiles]) -> dict[str, Any]:
    """Give all that networks depend on, apart from their factor."""
    used = settings.model_copy(update={"records": dict(records)})
    return cast("dict[str, Any]", json.loads(json.dumps(used.model_dump(mode="json", exclude={"factors"}))))


def made_before(folder: Path, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a folder says of the networks that it has: factor -> its entry. They stay.

    Raises
    ------
    UserError
        If they were made with another recipe.
    """
    if not is_of_general(folder):
        return {}
    info = read_info(folder)
    stored = GeneralSettings.model_validate(info["settings"])  # gives keys that came later their defaults
    if recipe_of(stored, stored.records) != recipe:
        raise UserError(
            f"{folder / INFO}: found networks of another recipe or of other records, expected those of this recipe; "
            "name another folder, or remove this one"
        )
    return dict(info["networks"])


def _trained(
    settings: GeneralSettings, factor: int, records: Sequence[str], mix: Sequence[Variation], folder: Path
) -> Network:
    """Train the network of a factor on the variations of some records."""
    s = TrainSettings(seed=settings.seed, model=settings.model, loss=settings.loss, train=settings.train)
    batches = Mix(mix, s.train.patch, s.train.batch_size, max(1, settings.steps // s.train.epochs))
    moments = _moments(mix)
    log_std = float(moments.rain_log_std)
    architecture = CVAEArchitecture(
        channels=(COARSE_RAIN,),
        statics=(),
        rain_channel=COARSE_RAIN,
        factor=factor,
        width=s.model.width,
        d_z=s.model.d_z,
        prior=s.model.prior,
        conserve="cells",
        smoothings=SMOOTHINGS,
    )
    with seeded(s.seed):
        network = RainCVAE(architecture, torch.zeros(1), torch.tensor([log_std]), log_std)
    trainer = Trainer(s, network, batches, moments, f"factor {factor}", s.train.epochs, Group())
    announce(trainer)
    # checkpoints of other settings or of another mix cannot be resumed
    mixed = json.dumps([settings.model_dump(mode="json"), records], sort_keys=True)
    key = hashlib.sha256(mixed.encode()).hexdigest()[:12]
    checkpoints = Checkpoints(folder / "checkpoints" / f"factor-{factor}-{key}")
    with checkpoints.alone():
        trainer.run(checkpoints, folder / "logs" / f"factor-{factor}.csv", [])
    return Network(
        factor=factor,
        trained=trainer.result(),
        coarse_km=(min(one.coarse_km for one in mix), max(one.coarse_km for one in mix)),
        hours=(min(one.hours for one in mix), max(one.hours for one in mix)),
    )


def _moments(mix: Sequence[Variation]) -> xr.Dataset:
    """Give what the loss needs to know of the training rain, as a mean over the variations by their weights."""
    found = []
    for one in mix:
        assert one.train.rain_THW is not None
        rain = one.train.rain_THW[:, one.train.valid_HW == 1].numpy()
        wet = rain[rain >= WET]
        found.append((rain.mean(dtype="f8"), np.log1p(rain).var(dtype="f8"), np.quantile(wet, P99)))
    mean, variance, p99 = np.average(found, axis=0, weights=[one.weight for one in mix])
    return xr.Dataset({"rain_mean": mean, "rain_log_std": np.sqrt(variance), "p99_wet": p99})


def save(
    networks: Sequence[Network],
    records: Mapping[str, RecordFiles],
    settings: GeneralSettings,
    folder: Path,
    kept: Mapping[str, Any],
) -> None:
    """Write the networks. `general.json` comes last and names the hash of each file.

    Parameters
    ----------
    kept
        Factor -> the entry of a network that is in the folder, made with the same recipe.
    """
    described = dict(kept)
    for network in networks:
        tensors = {name: tensor.contiguous().cpu() for name, tensor in network.trained.weights.items()}
        content = save_tensors(tensors)
        assert len(content) <= MOST_BYTES, f"factor {network.factor}: {len(content)} bytes"
        path = folder / f"factor-{network.factor}.safetensors"
        with atomic(path) as temporary:
            temporary.write_bytes(content)
        described[str(network.factor)] = {
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "architecture": network.trained.architecture.to_dict(),
            "parameters": network.trained.parameters,
            "steps": network.trained.steps,
            "best_epoch": network.trained.best_epoch,
            "coarse_km": network.coarse_km,
            "hours": network.hours,
        }
    info = {
        "format": FORMAT,
        "rainshaft_version": __version__,
        "torch_version": torch.__version__,
        "networks": described,
        "records": {
            name: {"licence": files.licence, "citation": files.citation, "cell_km": files.cell_km, "hours": files.hours}
            for name, files in records.items()
        },
        "settings": recipe_of(settings, records),
    }
    write_json(info, folder / INFO)
