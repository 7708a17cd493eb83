"""Random numbers of the networks: each is a function of a key, so that it can be made again at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

POSTERIOR_NOISE, PRIOR_NOISE, VALIDATION_NOISE = range(3)  # streams of random numbers

Shape = tuple[int, int, int]
"""(C, h, w) of a map of noise of one member"""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make fresh weights a function of the seed. The global generator is afterwards what it was before."""
    with torch.random.fork_rng(devices=[]):  # weights are made on the CPU
        torch.default_generator.manual_seed(seed)
        yield


@dataclass(frozen=True)
class BatchNoise:
    """The noise of one batch in training: a function of the seed, the stream and the number of the batch.

    Where several processes share a batch, each makes all of its noise and keeps its share. So the noise of a patch does
    not depend on the number of processes.
    """

    seed: int
    number: int
    """number of the step, or of the batch in the validation"""
    count: int
    """patches of the whole batch"""
    device: torch.device
    share: slice = field(default_factory=lambda: slice(None))
    """the patches of this process"""
    validation: bool = False

    def normal(self, stream: int, shapes: Sequence[Shape], members: int) -> list[Tensor]:
        """Draw standard normal noise.

        Parameters
        ----------
        stream
            What the noise is for: `POSTERIOR_NOISE` or `PRIOR_NOISE`. The validation has one stream for both.
        shapes
            Shapes of the maps of one member.
        members
            How many members each patch has.

        Returns
        -------
        For each shape an array (B M, C, h, w). The members of a patch stand together.
        """
        stream = VALIDATION_NOISE if self.validation else stream
        seed = np.random.SeedSequence((self.seed, stream, self.number)).generate_state(1, np.uint64)[0]
        generator = torch.Generator(self.device).manual_seed(int(seed >> 1))
        whole = [torch.randn(self.count, members, *s, generator=generator, device=self.device) for s in shapes]
        return [noise[self.share].flatten(0, 1) for noise in whole]
