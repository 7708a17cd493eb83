"""The lock of a folder: held by one process, and done without where the file system has none."""

import errno
import os
import subprocess
import sys

import pytest

from rainshaft.locks import Lock


def test_one_at_a_time(tmp_path):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.take()
    assert first.is_sure
    assert not second.take()
    assert str(os.getpid()) in second.holder
    first.release()
    assert second.take()
    second.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, 524])
def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    lock = Lock(tmp_path / "lock")
    assert lock.take()
    assert not lock.is_sure
    assert "no locks on this file system" in caplog.text


@pytest.mark.parametrize(("given", "expected"), [({}, "FALSE"), ({"HDF5_USE_FILE_LOCKING": "TRUE"}, "TRUE")])
def test_hdf5_asks_for_no_lock_unless_the_user_wants_it(given, expected):
    code = "import rainshaft, os; print(os.environ['HDF5_USE_FILE_LOCKING'])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HDF5")} | given
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == expected
