"""A digest of the data that a model is trained on: it tells whether weights and fields belong together."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainshaft.data.fields import DAILY, Fields


class Digest:
    """SHA-256 of all fields and of the labels of their days. It does not depend on how they are cut into files."""

    def __init__(self, fields: Fields) -> None:
        self.fields, self.rest = [hashlib.sha256() for _ in DAILY], hashlib.sha256()
        ground = fields.ground
        for name in ("elevation", "land", "coast_distance", "lat", "lon", "y", "x", "v", "u"):
            self.rest.update(_bytes(ground[name].values))
        self.rest.update(_bytes(fields.valid))
        words = [*fields.dates, *map(str, ground.channel.values), str(fields.factor)]
        words += [f"context {name}" for name in ground.context_channel.values]
        self.rest.update("\n".join(words).encode())

    def update(self, *fields: NDArray[np.float32]) -> None:
        """Add days of each of the variables in `DAILY`."""
        for digest, values in zip(self.fields, fields, strict=True):
            digest.update(_bytes(values))

    def update_labels(self, *labels: NDArray[np.str_]) -> None:
        """Add labels of every day, since another split of equal fields trains another model."""
        for label in labels:
            self.rest.update("\n".join(label.tolist()).encode())

    def hexdigest(self) -> str:
        """Give one digest of everything so far."""
        return hashlib.sha256(b"".join(part.digest() for part in (*self.fields, self.rest))).hexdigest()


def _bytes(values: NDArray[Any]) -> bytes:
    """Bytes of an array as float32 on any machine, with one bit pattern for NaN."""
    plain = np.array(values, dtype="<f4")
    plain[np.isnan(plain)] = np.nan
    return plain.tobytes()
