"""What every job of the workflow needs around its science: threads, a log, and errors in the user's words."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rainshaft.errors import UserError

log = logging.getLogger("rainshaft")


@contextmanager
def job(log_path: str | Path, threads: int) -> Iterator[None]:
    """Run a job: log to a file and the terminal, keep dask and torch to the job's threads, show errors clearly.

    An error that the user can mend (`UserError`) ends the job with its
    message; any other error is shown with its traceback. Both stand in the log.
    """
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(log_path, mode="w"), logging.StreamHandler(sys.stderr)]
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=handlers, force=True)
    limit_threads(threads)
    try:
        yield
    except UserError as error:
        log.error("%s\n(log: %s)", error, log_path)
        sys.exit(1)
    except Exception:
        log.exception("unexpected error (log: %s)", log_path)
        sys.exit(1)


def limit_threads(threads: int) -> None:
    """Give dask and torch exactly this many threads: two jobs that each take all cores run many times slower."""
    os.environ |= {"DASK_SCHEDULER": "threads", "DASK_NUM_WORKERS": str(threads)}  # read when dask is imported
    if "dask" in sys.modules:
        sys.modules["dask"].config.refresh()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
