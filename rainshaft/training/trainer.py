"""The training loop: epochs, log, checkpoints, resume, early stopping.

Everything random is a function of (seed, step): the batch, and the noise of the latents. So a training that was
killed and resumed from a checkpoint ends with the weights of an undisturbed one, bit for bit on a CPU.

The checkpoint folder is `checkpoints/{fingerprint}`, the fingerprint taken over configuration, data and code. It is
no declared output of the workflow: it survives failed jobs, retries and edits, and keeps every finished model.
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
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rainshaft.config.slices import TrainSettings
from rainshaft.data.patches import Days, Patches, training_batch, validation_batches
from rainshaft.errors import Interrupted
from rainshaft.files import atomic
from rainshaft.models.cvae import RainCVAE
from rainshaft.models.device import TrainingError, choose_device
from rainshaft.models.store import TrainedNetwork
from rainshaft.training import losses
from rainshaft.training.checkpoints import Checkpoints
from rainshaft.training.distributed import Group
from rainshaft.training.objective import Objective
from rainshaft.training.optimiser import Optimiser

log = logging.getLogger("rainshaft")

CHECKPOINT_SECONDS = 300  # between checkpoints inside a long epoch

LEAST_LEARNING_RATE = 0.02  # of the highest, at the end of the cosine

POSTERIOR_NOISE, PRIOR_NOISE, VALIDATION_NOISE = range(3)  # streams of random numbers

Rows = list[dict[str, Any]]
"""Of the training log: one an epoch."""


@dataclass
class Progress:
    """Where the training stands, all that a checkpoint holds besides weights and optimiser."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    history: Rows = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf


class Trainer:
    """The training of one network: its optimiser, its data and its progress.

    Parameters
    ----------
    network, record, validation_record
        from a chain and its `records`
    name
        of the network, for the log
    epochs
        `train.epochs`, or those of the coarse rain
    """

    def __init__(
        self,
        settings: TrainSettings,
        network: RainCVAE,
        record: Days,
        validation_record: Days,
        normalisation: xr.Dataset,
        name: str,
        epochs: int,
        group: Group,
    ):
        self.settings = settings
        self.name, self.epochs, self.group = name, epochs, group
        # the share of its epochs that the setting is of `train.epochs`
        self.patience = settings.train.early_stopping_patience * epochs / settings.train.epochs
        self.device = choose_device(settings.train.device, self.group.rank)
        self.train_record, self.validation_record = record, validation_record
        self.patches = Patches.of(record, settings.train)
        # channels last: 1.4 times faster convolutions on CPUs, needed for tensor cores on GPUs
        self.model = network.to(self.device, memory_format=torch.channels_last)
        # what is validated and kept: the weights averaged over the last steps (Polyak and Juditsky 1992)
        self.averaged = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.train.ema))
        self.objective, self.validation_objective = (
            Objective(m, settings.loss, normalisation, float(record.valid_HW.mean()), settings.train.amp)
            for m in (self.model, self.averaged.module)
        )
        # with the standard prior the network of the learned one is idle
        idle = settings.model.prior == "standard"
        self.shared_objective = (
            nn.parallel.DistributedDataParallel(self.objective, find_unused_parameters=idle)
            if self.group.size > 1
            else self.objective
        )
        self.optimiser = Optimiser(self.model, settings.train.lr, settings.train.weight_decay)
        self.best = self.weights()
        self.progress = Progress()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the averaged weights."""
        return {name: value.clone() for name, value in self.averaged.module.state_dict().items()}

    def result(self) -> TrainedNetwork:
        """The network with its best weights."""
        p = self.progress
        parameters = sum(value.numel() for value in self.model.parameters())
        history = len(p.history)
        return TrainedNetwork(self.name, self.model.architecture, self.best, parameters, history, p.step, p.best_epoch)

    # ---------------------------------------------------------------------------------------- one step

    def schedule(self) -> tuple[float, float]:
        """Learning rate and beta at this step: linear warm-up and cosine decay; linear warm-up."""
        t, per_epoch = self.settings.train, self.patches.steps_per_epoch
        step, total = self.progress.step, self.epochs * per_epoch
        cosine = 0.5 * (1 + math.cos(math.pi * step / total))
        warm_up = min(1.0, (step + 1) / max(1.0, t.lr_warmup_epochs * per_epoch))
        beta = min(1.0, step / max(1.0, self.settings.loss.warmup_epochs * per_epoch))
        lr = t.lr * warm_up * (LEAST_LEARNING_RATE + (1 - LEAST_LEARNING_RATE) * cosine)
        return lr, self.settings.loss.beta_kl * beta

    def noise(self, stream: int, number: int, count: int, members: int, share: slice = slice(None)) -> list[Tensor]:
        """Standard normal noise for the latents of a batch: a function of (seed, stream, number) alone.

        Of `count` patches those in `share`, each with `members` draws.
        """
        seed = np.random.SeedSequence((self.settings.seed, stream, number)).generate_state(1, np.uint64)[0]
        generator = torch.Generator(self.device).manual_seed(int(seed >> 1))
        shapes = self.model.architecture.latent_shapes(self.patches.rows, self.patches.columns)
        whole = [torch.randn(count, members, *shape, generator=generator, device=self.device) for shape in shapes]
        return [noise[share].flatten(0, 1) for noise in whole]

    def step(self) -> None:
        """One step of the optimiser."""
        p, t, w = self.progress, self.settings.train, self.settings.loss
        lr, beta = self.schedule()
        self.optimiser.set_lr(lr)
        share = self.group.share(t.batch_size)
        batch = training_batch(self.train_record, self.patches, t, self.settings.seed, p.step, self.device, share)
        terms = self.shared_objective(
            batch,
            self.noise(POSTERIOR_NOISE, p.step, t.batch_size, w.posterior_members, share),
            self.noise(PRIOR_NOISE, p.step, t.batch_size, w.members, share),
            self.group.mean,
        )
        total = self.objective.total(terms, beta)
        values = torch.stack([total, *terms.values()]).detach()
        values = dict(zip(["loss", *terms], self.group.mean(values).tolist(), strict=True))
        if not math.isfinite(values["loss"]):
            bad = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
            raise TrainingError(
                f"the loss became NaN at step {p.step} (epoch {p.step // self.patches.steps_per_epoch + 1}) through "
                f"{' and '.join(bad) or 'the weights'}; the checkpoints before it are kept. Try a lower learning rate "
                f"(train.lr {t.lr / 4:g}) or loss.lambda_grad 0.5"
            )
        self.optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), t.grad_clip)
        self.optimiser.step()
        self.averaged.update_parameters(self.model)
        p.step += 1
        for name, value in values.items():
            p.sums[name] = p.sums.get(name, 0.0) + value

    # --------------------------------------------------------------------------------------- one epoch

    @torch.no_grad()
    def validate(self, beta: float) -> dict[str, float]:
        """Mean loss terms over the validation patches, with the same noise every epoch."""
        w, sums, count = self.settings.loss, 0.0, 0
        for number, batch in enumerate(validation_batches(self.validation_record, self.patches, self.device)):
            size = len(batch.rain_B1HW)
            terms = self.validation_objective(
                batch,
                self.noise(VALIDATION_NOISE, number, size, w.posterior_members),
                self.noise(VALIDATION_NOISE, number, size, w.members),
            )
            sums = sums + size * torch.stack([self.objective.total(terms, beta), *terms.values()])
            count += size
        # every process computes all of it; the mean makes them agree to the last bit on which epoch is best
        return dict(zip(["loss", *terms], (self.group.mean(sums) / count).tolist(), strict=True))

    def end_epoch(self, seconds: float) -> None:
        """Validate, write the row of the log into the history, keep the best weights."""
        p, metric = self.progress, self.settings.train.early_stopping_metric
        lr, beta = self.schedule()
        validation = self.validate(self.settings.loss.beta_kl)  # with the final beta, so that epochs compare
        row = {"network": self.name, "epoch": len(p.history) + 1, "step": p.step, "seconds": round(seconds, 1)}
        row |= {"lr": lr, "beta": beta}
        for name in ("loss", *(term.name for term in losses.TERMS)):
            row[f"train_{name}"] = p.sums.get(name, 0.0) / self.patches.steps_per_epoch
            row[f"val_{name}"] = validation.get(name, 0.0)
        p.sums = {}
        p.history.append(row)
        if row[metric] < p.best_value:
            p.best_value, p.best_epoch = row[metric], row["epoch"]
            self.best = self.weights()

    @property
    def finished(self) -> bool:
        """All epochs done, or no better one for as long as the patience lasts."""
        p = self.progress
        return len(p.history) >= self.epochs or len(p.history) - p.best_epoch >= self.patience

    def run(self, checkpoints: Checkpoints, log_path: Path, before: Rows) -> None:
        """Train to the end, from the newest checkpoint if there is one; `before` are the rows of networks before it."""
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
                while p.step < (len(p.history) + 1) * self.patches.steps_per_epoch:
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
        """One line on the epoch, with the time left."""
        p, row = self.progress, self.progress.history[-1]
        left = row["seconds"] / row["epoch"] * (self.epochs - row["epoch"])
        shown = [name for name in ("loss", "L_rec", "L_grad", "L_kl", "L_crps") if row[f"val_{name}"]]
        log.info(
            "%s: epoch %d/%d  %s  best epoch %d  %.0f s, %.0f s left",
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
        """All that a checkpoint holds."""
        optimiser = self.optimiser.state_dict()
        weights = {"model": self.model.state_dict(), "averaged": self.averaged.state_dict(), "best": self.best}
        return {**weights, "optimiser": optimiser, **vars(self.progress)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        self.model.load_state_dict(state.pop("model"))
        self.averaged.load_state_dict(state.pop("averaged"))
        self.optimiser.load_state_dict(state.pop("optimiser"))
        self.best = state.pop("best")
        self.progress = Progress(**state)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGUSR1 set, which a scheduler sends before it ends a job, and Ctrl-C."""
    stop, before = threading.Event(), {}
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_log(history: Rows, path: Path) -> None:
    """The training log as CSV, one row an epoch; whole at any moment."""
    with atomic(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
