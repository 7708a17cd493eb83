"""The training loop: epochs, log, checkpoints, resume, early stopping.

Everything random is a function of (seed, step): the batch, and the noise of the members. So a training that was killed
and resumed from a checkpoint ends with the weights of an undisturbed one, bit for bit on a CPU.

The loop knows no kind of network. It uses the interface `rainshaft.models.interface.Generator` alone.
"""

from __future__ import annotations

import csv
import logging
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
import xarray as xr
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rainshaft.config.slices import TrainSettings
from rainshaft.data.patches import BatchSource
from rainshaft.errors import Interrupted, UserError
from rainshaft.files import atomic
from rainshaft.models.device import choose_device, placed
from rainshaft.models.interface import Generator
from rainshaft.models.noise import BatchNoise
from rainshaft.models.store import TrainedNetwork
from rainshaft.training.checkpoints import Checkpoints
from rainshaft.training.distributed import Group
from rainshaft.training.losses import TERMS
from rainshaft.training.objective import Objective
from rainshaft.training.optimiser import Optimiser

log = logging.getLogger("rainshaft")

CHECKPOINT_SECONDS = 300  # between checkpoints inside a long epoch

LEAST_LEARNING_RATE = 0.02  # share of the highest rate, at the end of the cosine

SHOWN = ("loss", "L_rec", "L_grad", "L_kl", "L_crps")  # in the log line of an epoch; train_log.csv has all terms

Rows = list[dict[str, Any]]
"""The rows of the training log, one an epoch."""


@dataclass
class Progress:
    """Where the training stands: all that a checkpoint holds besides weights and optimiser."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    """sums of the loss and of each of its terms, over the steps of this epoch"""
    history: Rows = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf


class Trainer:
    """The training of one network: its optimiser, its data and its progress.

    Parameters
    ----------
    network, batches
        A network of a chain, and what it learns from.
    name
        Name of the network, for the log.
    epochs
        `train.epochs`, or `train.coarse_epochs` for the network of the coarse rain.
    """

    def __init__(
        self,
        settings: TrainSettings,
        network: Generator,
        batches: BatchSource,
        normalisation: xr.Dataset,
        name: str,
        epochs: int,
        group: Group,
    ):
        self.settings = settings
        self.name, self.epochs, self.group = name, epochs, group
        # Patience is given for `train.epochs`; scale it to this network's number of epochs.
        self.patience = settings.train.early_stopping_patience * epochs / settings.train.epochs
        self.device = choose_device(settings.train.device, self.group.rank)
        self.batches = batches
        if not settings.loss.posterior_members:
            network.leave_posterior()
        self.network = placed(network, self.device)
        # What is validated and kept are the weights averaged over the last steps (Polyak and Juditsky 1992).
        self.averaged = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(settings.train.ema))
        self.objective, self.validation_objective = (
            Objective(one, settings.loss, normalisation, batches.valid_share, settings.train.amp)
            for one in (self.network, cast("Generator", self.averaged.module))
        )
        self.shared_objective = (
            nn.parallel.DistributedDataParallel(self.objective) if self.group.size > 1 else self.objective
        )
        self.optimiser = Optimiser(self.network, settings.train.lr, settings.train.weight_decay)
        self.best = self.weights()
        self.progress = Progress()

    def weights(self) -> dict[str, Tensor]:
        """Copy the averaged weights."""
        return {name: value.clone() for name, value in self.averaged.module.state_dict().items()}

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(value.numel() for value in self.network.parameters())

    def result(self) -> TrainedNetwork:
        """Give the network with its best weights."""
        return TrainedNetwork(
            name=self.name,
            kind=self.network.kind,
            architecture=self.network.architecture,
            weights=self.best,
            parameters=self.parameters,
            epochs=len(self.progress.history),
            steps=self.progress.step,
            best_epoch=self.progress.best_epoch,
        )

    # ---------------------------------------------------------------------------------------- one step

    def schedule(self) -> tuple[float, float]:
        """Give the learning rate and beta of this step.

        The learning rate warms up linearly and decays with a cosine; beta, the weight of the KL, warms up linearly.
        """
        t, per_epoch = self.settings.train, self.batches.steps_per_epoch
        step, total = self.progress.step, self.epochs * per_epoch
        cosine = 0.5 * (1 + math.cos(math.pi * step / total))
        warm_up = min(1.0, (step + 1) / max(1.0, t.lr_warmup_epochs * per_epoch))
        beta = min(1.0, step / max(1.0, self.settings.loss.warmup_epochs * per_epoch))
        lr = t.lr * warm_up * (LEAST_LEARNING_RATE + (1 - LEAST_LEARNING_RATE) * cosine)
        return lr, self.settings.loss.beta_kl * beta

    def step(self) -> None:
        """Take one step of the optimiser."""
        p, t, seed = self.progress, self.settings.train, self.settings.seed
        lr, beta = self.schedule()
        self.optimiser.set_lr(lr)
        share = self.group.share(t.batch_size)
        batch = self.batches.training(seed, p.step, self.device, share)
        noise = BatchNoise(seed, p.step, t.batch_size, self.device, share)
        terms = self.shared_objective(batch, noise, self.group.mean)
        total = self.objective.total(terms, beta)
        values = self.group.mean(torch.stack([total, *terms.values()]).detach()).tolist()
        self.add_up(dict(zip(["loss", *terms], values, strict=True)))
        self.optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), t.grad_clip)
        self.optimiser.step()
        self.averaged.update_parameters(self.network)
        p.step += 1

    def add_up(self, values: dict[str, float]) -> None:
        """Add the loss and its terms at one step to the sums of the epoch.

        Raises
        ------
        UserError
            If the loss is not finite.
        """
        p, t = self.progress, self.settings.train
        if not math.isfinite(values["loss"]):
            bad = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
            raise UserError(
                f"the loss became NaN at step {p.step} (epoch {p.step // self.batches.steps_per_epoch + 1}) through "
                f"{' and '.join(bad) or 'the weights'}; the checkpoints before it are kept. Try a lower learning rate "
                f"(train.lr {t.lr / 4:g}) or loss.lambda_grad 0.5"
            )
        for name, value in values.items():
            p.sums[name] = p.sums.get(name, 0.0) + value

    # --------------------------------------------------------------------------------------- one epoch

    @torch.no_grad()
    def validate(self, beta: float) -> dict[str, float]:
        """Average the loss and its terms over the validation patches, with equal noise in every epoch."""
        sums: dict[str, Tensor] = {}
        count = 0
        for number, batch in enumerate(self.batches.validation(self.device)):
            size = len(batch.valid_B1HW)
            noise = BatchNoise(self.settings.seed, number, size, self.device, validation=True)
            terms = self.validation_objective(batch, noise)
            for name, value in {"loss": self.objective.total(terms, beta), **terms}.items():
                sums[name] = sums.get(name, 0.0) + size * value
            count += size
        # Every process validates on all patches. The mean makes them agree to the last bit on which epoch is best.
        means = self.group.mean(torch.stack(list(sums.values()))) / count
        return dict(zip(sums, means.tolist(), strict=True))

    def end_epoch(self, seconds: float) -> None:
        """Validate, add a row to the history, and keep the weights if they are the best, or the last are kept."""
        p, metric = self.progress, self.settings.train.early_stopping_metric
        lr, beta = self.schedule()
        validation = self.validate(self.settings.loss.beta_kl)  # the final beta makes epochs comparable
        row: dict[str, Any] = {
            "network": self.name,
            "epoch": len(p.history) + 1,
            "step": p.step,
            "seconds": round(seconds, 1),
        }
        row |= {"lr": lr, "beta": beta}
        for name in ("loss", *(term.name for term in TERMS)):
            row[f"train_{name}"] = p.sums[name] / self.batches.steps_per_epoch if name in p.sums else None
            row[f"val_{name}"] = validation.get(name)
        p.sums = {}
        p.history.append(row)
        if row[metric] < p.best_value or self.network.keeps_last:
            p.best_value, p.best_epoch = row[metric], row["epoch"]
            self.best = self.weights()

    # --------------------------------------------------------------------------------------- all epochs

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the patience has ended without a better epoch."""
        p = self.progress
        return len(p.history) >= self.epochs or len(p.history) - p.best_epoch >= self.patience

    def run(self, checkpoints: Checkpoints, log_path: Path, before: Rows) -> None:
        """Train to the end, from the newest checkpoint if there is one.

        Parameters
        ----------
        log_path
            The CSV to write anew after every epoch.
        before
            The rows of the networks that were trained before this one.

        Raises
        ------
        UserError
            If the loss is not finite.
        Interrupted
            If a signal ended it, after a checkpoint.
        """
        if state := checkpoints.load(self.device):
            self.load_state(state)
            log.info("resuming at step %d of %s", self.progress.step, checkpoints.folder)
        p, started, saved = self.progress, time.monotonic() - self.progress.seconds, time.monotonic()

        def save() -> float:
            p.seconds = time.monotonic() - started
            if self.group.is_first:
                checkpoints.save(self.state(), p.step)
            return time.monotonic()

        with stop_requests() as stop:
            while not self.finished:
                while p.step < (len(p.history) + 1) * self.batches.steps_per_epoch:
                    self.step()
                    if self.group.any(stop.is_set(), self.device):
                        save()
                        self.group.wait()
                        raise Interrupted(
                            f"stopped by a signal at step {p.step}, with a checkpoint: the same command goes on there"
                        )
                    if time.monotonic() - saved > CHECKPOINT_SECONDS:
                        saved = save()
                self.end_epoch(time.monotonic() - started)
                saved = save()
                if self.group.is_first:
                    write_log([*before, *p.history], log_path)
                    self.report()

    def report(self) -> None:
        """Write one line on the epoch to the log of the job, with the time that is left."""
        p, row = self.progress, self.progress.history[-1]
        left = row["seconds"] / row["epoch"] * (self.epochs - row["epoch"])
        shown = [name for name in SHOWN if row[f"val_{name}"] is not None]
        log.info(
            "%s: epoch %d/%d  %s  kept epoch %d  %.0f s, %.0f s left",
            self.name,
            row["epoch"],
            self.epochs,
            "  ".join(f"{name} {row[f'train_{name}']:.3f}|{row[f'val_{name}']:.3f}" for name in shown),
            p.best_epoch,
            row["seconds"],
            left,
        )

    # --------------------------------------------------------------------------------------- the state

    def state(self) -> dict[str, Any]:
        """Give all that a checkpoint holds."""
        optimiser = self.optimiser.state_dict()
        weights = {"network": self.network.state_dict(), "averaged": self.averaged.state_dict(), "best": self.best}
        return {**weights, "optimiser": optimiser, **vars(self.progress)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        self.network.load_state_dict(state.pop("network"))
        self.averaged.load_state_dict(state.pop("averaged"))
        self.optimiser.load_state_dict(state.pop("optimiser"))
        self.best = state.pop("best")
        self.progress = Progress(**state)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Give an event that SIGTERM, SIGUSR1 and Ctrl-C set. A scheduler sends such a signal before it ends a job."""
    stop, before = threading.Event(), {}
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_log(history: Rows, path: Path) -> None:
    """Write the training log as CSV, one row an epoch. A term that the loss does not have is an empty cell.

    The file is whole at any moment.
    """
    with atomic(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
