"""The training of the small networks of baselines: a fixed number of steps, and the best weights on validation days."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rainshaft.errors import UserError

log = logging.getLogger("rainshaft")


def fit(
    network: nn.Module,
    loss_of_step: Callable[[int], Tensor],
    validation_loss: Callable[[], float],
    steps: int,
    every: int,
    lr: float,
    weight_decay: float,
) -> None:
    """Train a network with AdamW, and leave it with the weights that were best on the validation days.

    The learning rate falls with a cosine from `lr` to 0.

    Parameters
    ----------
    loss_of_step
        Gives the loss of a batch. The batch is a function of the number of the step.
    validation_loss
        Gives the loss on validation days, without gradients.
    steps
        Steps of the optimiser in all.
    every
        So many steps lie between two looks at the validation days.

    Raises
    ------
    UserError
        The loss was never finite.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, best_loss, best_step = copy.deepcopy(network.state_dict()), math.inf, 0
    for step in range(steps + 1):
        if step % every == 0 or step == steps:
            network.eval()
            with torch.no_grad():
                loss = validation_loss()
            if loss < best_loss:
                best, best_loss, best_step = copy.deepcopy(network.state_dict()), loss, step
        if step == steps:
            break
        network.train()
        optimiser.zero_grad()
        loss_of_step(step).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    if not math.isfinite(best_loss):
        raise UserError("the training of a baseline found no finite loss on validation days; look at the predictors")
    log.info("%d steps, best on validation days after %d: %.4f", steps, best_step, best_loss)
    network.load_state_dict(best)
    network.eval()
