"""What a killed run left in the queue, with a pretended squeue. The tests in tests/slurm use a real one."""

import errno
import fcntl
import os

import pytest

from rainshaft.errors import UserError
from rainshaft.jobs import cluster
from rainshaft.locks import Lock


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Make squeue print these rows, one list for each call, and fail where a list is None; gives the log of scancel."""

    def give(*lists):
        for number, rows in enumerate(lists):
            text = "" if rows is None else "".join(f"{row}\n" for row in rows)
            (tmp_path / f"answer{number}").write_text(
                "exit 1" if rows is None else f"printf '{text}'", encoding="utf-8"
            )
        (tmp_path / "squeue").write_text(
            f"#!/bin/sh\ncd {tmp_path}; n=$(ls | grep -c asked); touch asked$n; . ./answer$n\n", encoding="utf-8"
        )
        (tmp_path / "scancel").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/cancelled\n', encoding="utf-8")
        for name in ("squeue", "scancel"):
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return tmp_path / "cancelled"

    return give


@pytest.fixture
def row(tmp_path):
    """A row of squeue for a job of this folder."""
    return lambda number: f"{number}|rule_train_model|{tmp_path}"


def test_only_jobs_of_snakemake_in_this_folder_count_and_not_the_job_that_asks(answers, row, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "9")
    answers([row(7), row(9), f"10|rule_train_model|{tmp_path}/other", f"11|interactive|{tmp_path}"])
    assert cluster.jobs_in_queue(tmp_path) == ["7"]


def test_without_slurm_the_queue_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cluster.jobs_in_queue(tmp_path) == []


def test_jobs_count_as_there_until_squeue_says_otherwise(answers, row, tmp_path):
    cancelled = answers([row(7), row(8)], [row(7)], None, [])
    assert cluster.cancel_left_jobs(tmp_path) == 2
    assert cancelled.read_text(encoding="utf-8") == "7 8\n"
    assert len(list(tmp_path.glob("asked*"))) == 4


def test_no_answer_at_the_start_is_no_cluster(answers, tmp_path):
    cancelled = answers(None)
    assert cluster.cancel_left_jobs(tmp_path) == 0
    assert not cancelled.exists()


def test_jobs_that_do_not_end_stop_the_run_with_their_numbers(answers, row, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_TO_END", -1)
    answers([row(7)], [row(7)])
    with pytest.raises(UserError, match="jobs 7 of an earlier run of this folder are still in the queue"):
        cluster.cancel_left_jobs(tmp_path)


def test_a_lock_without_locks_is_taken_but_not_sure(tmp_path, monkeypatch):
    lock = Lock(tmp_path / "lock")

    def refuse(*_):
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert lock.take()
    assert not lock.is_sure
