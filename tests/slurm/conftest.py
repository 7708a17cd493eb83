"""A cluster for the tests of this folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster

from rainshaft.locks import Lock


@pytest.fixture(scope="module")
def cluster(request, tmp_path_factory) -> Iterator[Cluster]:
    """A Slurm cluster; with accounting where a module says `ACCOUNTING = True`."""
    lock = Lock(Path(tempfile.gettempdir()) / "rainshaft-slurm.lock")  # there is one slurm.conf and one set of ports
    lock.take(wait=True)
    accounting = getattr(request.module, "ACCOUNTING", False)
    cluster = Cluster(tmp_path_factory.mktemp("slurm") / "cluster", accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        lock.release()
