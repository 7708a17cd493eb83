"""Jobs that a killed run leaves on a Slurm cluster. They would write into the files of the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from rainshaft.errors import UserError

SECONDS_TO_END = 180  # Slurm kills a cancelled job after KillWait seconds, which is 30 by default


def jobs_in_queue(folder: Path) -> list[str] | None:
    """List the jobs that Snakemake has in the queue for a working directory.

    Snakemake's plugin for Slurm sets `rule_NAME...` as the comment of its jobs.

    Returns
    -------
    Slurm's numbers of the jobs. The job that calls this function is left out. The list is empty where there is no
    Slurm, and None if Slurm does not answer.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    if listed.returncode:
        return None
    rows = [line.split("|", 2) for line in listed.stdout.splitlines()]
    here, own = folder.resolve(), os.environ.get("SLURM_JOB_ID")
    return [
        number
        for number, comment, where in rows
        if comment.startswith("rule_") and Path(where).resolve() == here and number != own
    ]


def cancel_jobs(folder: Path) -> list[str]:
    """Cancel the jobs of a folder that are in the queue. A training among them saves a checkpoint first.

    Call it only while this process holds the lock of the folder. Then no other run is alive that could own the jobs.

    Returns
    -------
    Slurm's numbers of the jobs.
    """
    found = jobs_in_queue(folder) or []  # where Slurm does not answer, scancel cannot work either
    if found:
        subprocess.run(["scancel", *found], check=False)
    return found


def cancel_left_jobs(folder: Path) -> int:
    """Cancel the jobs of earlier runs of a folder, and wait until they have ended.

    Returns
    -------
    How many jobs there were.

    Raises
    ------
    UserError
        The jobs do not end.
    """
    left = cancel_jobs(folder)

    def not_ended() -> set[str]:
        listed = jobs_in_queue(folder)
        return set(left) if listed is None else set(left) & set(listed)

    end = time.monotonic() + SECONDS_TO_END
    while still := left and not_ended():
        if time.monotonic() > end:
            raise UserError(
                f"jobs {', '.join(sorted(still))} of an earlier run of this folder are still in the queue "
                f"{SECONDS_TO_END} seconds after scancel; run the command again when squeue does not list them any more"
            )
        time.sleep(0.5)
    return len(left)
