"""Locks that end with the process that holds them, even if it is killed: a lock on an open file (flock)."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from pathlib import Path
from typing import IO

log = logging.getLogger("rainshaft")


class Lock:
    """The right to work on something that only one process may work on at a time.

    Parameters
    ----------
    path
        A file that holds the name of the process that has the lock. The file stays behind; only the lock on it counts.
    """

    def __init__(self, path: Path):
        self.path = path
        self.file: IO[str] | None = None
        self.is_sure = True
        """whether it is certain that no other process has the lock"""

    def take(self, wait: bool = False) -> bool:
        """Take the lock, at once or when it is free; tell whether that succeeded.

        On a file system without locks it always succeeds, with a warning.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115  it lives as long as the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            return False
        except OSError as error:  # file systems without locks have a number of their own for this error, such as 524
            self.is_sure = False
            log.warning(
                "%s: no locks on this file system (%s); see to it yourself that only one process is here",
                self.path,
                error.strerror,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        self.file = file
        return True

    def release(self) -> None:
        """Give the lock back."""
        if self.file is not None:
            self.file.close()
            self.file = None

    @property
    def holder(self) -> str:
        """The process that has the lock, in words."""
        return self.path.read_text(encoding="utf-8") or "another process"
