"""What a killed run left in the queue, with a pretended squeue; on a real one in tests/slurm."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from rainshaft.jobs import cluster
from rainshaft.locks import Lock


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Make squeue give these answers, one a call, None for a failure; returns the calls of scancel."""

    def give(*lists):
        for number, jobs in enumerate(lists):
            rows = "" if jobs is None else "".join(f"{job}|rule_train_model|{tmp_path}\n" for job in jobs)
            (tmp_path / f"answer{number}").write_text("exit 1" if jobs is None else f"printf '{rows}'")
        (tmp_path / "squeue").write_text(
            f"#!/bin/sh\ncd {tmp_path}; n=$(ls | grep -c asked); touch asked$n; . ./answer$n\n"
        )
        (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/cancelled\n')
        for name in ("squeue", "scancel"):
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "cancelled"

    return give


def test_jobs_count_as_there_until_squeue_says_otherwise(answers, tmp_path):
    cancelled = answers(["7", "8"], ["7"], None, [])
    assert cluster.cancel_left_jobs(tmp_path) == 2
    assert cancelled.read_text() == "7 8\n"
    assert len(list(Path(tmp_path).glob("asked*"))) == 4


def test_no_answer_at_the_start_is_no_cluster(answers, tmp_path):
    cancelled = answers(None)
    assert cluster.cancel_left_jobs(tmp_path) == 0
    assert not cancelled.exists()


def test_a_lock_without_locks_is_taken_but_not_sure(tmp_path, monkeypatch):
    lock = Lock(tmp_path / "lock")

    def refuse(*_):
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert lock.take()
    assert not lock.is_sure
