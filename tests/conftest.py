"""The tiny workflow, run once for all tests, and what may run beside what."""

import pytest
from project import Project, copy_project


def pytest_collection_modifyitems(items):
    """With `-n 2 --dist loadgroup`: the tests on Slurm are one group, those of the workflow another, units by file."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(item.path.name if folder == "unit" else folder))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny workflow, run to its end. Do not edit it: use `project`."""
    project = copy_project(tmp_path_factory.mktemp("workflow") / "finished")
    project.run()
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished workflow to edit."""
    return finished.copy(tmp_path / "project")
