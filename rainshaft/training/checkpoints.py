"""The newest checkpoints of one training. Each is whole and has its hash in its name.

One process at a time may train into a folder.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rainshaft.files import atomic
from rainshaft.locks import Lock

log = logging.getLogger("rainshaft")

KEPT = 3


class Checkpoints:
    """The checkpoint folder of one training (configuration, data and code)."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process trains this very model. A killed run may have left such a process behind."""
        lock = Lock(self.folder / "lock")
        if not lock.take():
            log.info("%s trains this very model; waiting to go on where it ends (%s)", lock.holder, lock.path)
            lock.take(wait=True)
        try:
            yield
        finally:
            lock.release()

    def save(self, state: dict[str, Any], step: int) -> None:
        """Add a checkpoint and remove the oldest."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        digest = hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]
        with atomic(self.folder / f"step-{step:08d}-{digest}.pt") as temporary:
            temporary.write_bytes(buffer.getbuffer())
        for old in sorted(self.folder.glob("step-*.pt"))[:-KEPT]:
            old.unlink()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Read the newest checkpoint that is whole. It is None if no checkpoint is whole."""
        for path in sorted(self.folder.glob("step-*.pt"), reverse=True):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest()[:16] == path.stem.rsplit("-", 1)[1]:
                return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
            log.warning("%s: damaged, its hash does not match; using the one before", path)
        return None
