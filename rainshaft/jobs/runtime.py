"""What every job of the workflow needs besides its science: threads, a log, signals, and errors as plain messages."""

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
    """Run the body as a job: with a log, with as many threads as the job may use, and with clear errors.

    An error that the user can mend (`UserError`) ends the job with its message. Any other error ends it with its
    traceback. Both are in the log. A scheduler ends a job with SIGTERM. The job then leaves by an exception, so that it
    removes its temporary files.

    Parameters
    ----------
    log_path
        The log is written to this file and to the terminal.
    threads
        Dask and torch use this many threads.
    part_of_another
        Whether this is one of several processes that a job started. They add to the log of the job, and only the first
        of them says what it does.
    """
    path = Path(log_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not part_of_another:
        path.write_text("", encoding="utf-8")
    speaks = not part_of_another or os.environ.get("RANK", "0") == "0"
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler(sys.stderr)]
    # Other packages speak up only when something is wrong. Matplotlib would tell of every font that it looks for.
    level = logging.WARNING if speaks else logging.CRITICAL
    logging.basicConfig(level=level, format="%(message)s", handlers=handlers, force=True)
    log.setLevel(logging.INFO if speaks else logging.CRITICAL)
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
    """Give dask and torch exactly this many threads, because two jobs that both take all cores slow each other down."""
    os.environ |= {"DASK_SCHEDULER": "threads", "DASK_NUM_WORKERS": str(threads)}  # dask reads them at its import
    if "dask" in sys.modules:
        sys.modules["dask"].config.refresh()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
