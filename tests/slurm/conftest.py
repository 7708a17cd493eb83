"""A cluster for the tests of this folder, or the word why there is none."""

from collections.abc import Iterator

import pytest
from cluster import Cluster, missing


@pytest.fixture(scope="module")
def cluster(request, tmp_path_factory) -> Iterator[Cluster]:
    """A Slurm cluster; with accounting where a module says `ACCOUNTING = True`."""
    accounting = getattr(request.module, "ACCOUNTING", False)
    if why := missing(accounting):
        pytest.skip(why)
    cluster = Cluster(tmp_path_factory.mktemp("slurm") / "cluster", accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
