"""The tiny workflow, run once for all tests."""

import pytest
from project import Project, copy_project, recording


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny workflow, run to its end. Do not edit it: use `project`."""
    folder = tmp_path_factory.mktemp("workflow")
    project = copy_project(folder / "finished")
    (folder / "ran").mkdir()
    project.run(**recording(folder / "ran"))
    return project


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished workflow to edit."""
    return finished.copy(tmp_path / "project")
