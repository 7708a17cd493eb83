"""The tiny workflow, run once for all tests."""

import os
import shutil

import pytest
from project import Project, copy_project, recording

from rainshaft.locks import Lock


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """The tiny workflow, run to its end. Do not edit it: use `project`."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):  # then the folder above belongs to all processes
        shared = shared.parent
    folder = shared / "workflow"
    lock = Lock(shared / "workflow.lock")
    lock.take(wait=True)
    try:
        if (folder / "whole").exists():
            return Project(folder / "finished")
        project = copy_project(folder / "finished")
        (folder / "ran").mkdir()
        # No other test runs meanwhile, so two jobs may. Each has one thread, as in the tests, so that a training gives
        # the same bits there.
        one_thread = [f"{rule}=1" for rule in ("train_model", "sample_fields", "trace_tradeoff", "train_trial")]
        project.run("--cores", "2", "--set-threads", *one_thread, **recording(folder / "ran"))
        (folder / "whole").touch()
        return project
    finally:
        if not (folder / "whole").exists():  # so that each test tells what went wrong
            shutil.rmtree(folder)
        lock.release()


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished workflow to edit."""
    return finished.copy(tmp_path / "project")
