"""What every job of the workflow needs around its science: threads, a log, signals, errors in the user's words."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rainshaft.errors import STOPPED, Interrupted, UserError

log = logging.getLogger("rainshaft")


@contextmanager
def job(log_path: str | Path, threads: int, part_of_another: bool = False) -> Iterator[None]:
    """Run a job: log to a file and the terminal, keep dask and torch to the job's threads, show errors clearly.

    An error that the user can mend (`UserError`) ends the job with its message, any other with its traceback; both
    stand in the log. SIGTERM, with which a scheduler ends a job, unwinds it, so that no temporary file stays behind.

    Parameters
    ----------
    part_of_another
        this is one of the processes that a job started: only the first speaks, and adds to the log of the job
    """
    path = Path(log_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not part_of_another:
        path.write_text("")
    speaks = not part_of_another or os.environ.get("RANK", "0") == "0"
    handlers: list[logging.Handler] = [logging.FileHandler(path), logging.StreamHandler(sys.stderr)]
    level = logging.INFO if speaks else logging.CRITICAL
    logging.basicConfig(level=level, format="%(message)s", handlers=handlers, force=True)
    limit_threads(threads)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    where = "" if part_of_another else f"\n(log: {log_path})"
    try:
        yield
    except Interrupted as error:
        log.error("%s%s", error, where)
        sys.exit(STOPPED)
    except UserError as error:
        log.error("%s%s", error, where)
        sys.exit(1)
    except Exception:
        log.critical("unexpected error%s", where.replace("\n", " "), exc_info=True)
        sys.exit(1)


def limit_threads(threads: int) -> None:
    """Give dask and torch exactly this many threads: two jobs that each take all cores run many times slower."""
    os.environ |= {"DASK_SCHEDULER": "threads", "DASK_NUM_WORKERS": str(threads)}  # read when dask is imported
    if "dask" in sys.modules:
        sys.modules["dask"].config.refresh()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
