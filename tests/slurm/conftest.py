"""A cluster for the tests of this folder."""

from collections.abc import Iterator

import pytest
from cluster import Cluster


@pytest.fixture(scope="module")
def cluster(request, tmp_path_factory) -> Iterator[Cluster]:
    """A Slurm cluster; with accounting where a module says `ACCOUNTING = True`."""
    accounting = getattr(request.module, "ACCOUNTING", False)
    cluster = Cluster(tmp_path_factory.mktemp("slurm") / "cluster", accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
