"""What a killed run leaves on a Slurm cluster: its jobs, which would write the same files as those of the next run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from rainshaft.errors import UserError

SECONDS_TO_END = 180  # Slurm gives a cancelled job KillWait seconds, 30 as a rule, before it kills it


def jobs_in_queue(folder: Path) -> list[str] | None:
    """Slurm's numbers of the jobs that Snakemake has in the queue for a working directory; None without an answer.

    The Slurm plugin of Snakemake sets `rule_NAME...` as the comment of its jobs.
    """
    if not shutil.which("squeue"):
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    listed = subprocess.run(command, capture_output=True, text=True)
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
    """Cancel the jobs of this folder that are in the queue; their numbers. A training among them saves a checkpoint.

    Only for who holds the lock of the folder: then no other run is alive that these jobs could belong to.
    """
    found = jobs_in_queue(folder) or []  # without an answer no job can be submitted either
    if found:
        subprocess.run(["scancel", *found], check=False)
    return found


def cancel_left_jobs(folder: Path) -> int:
    """Cancel the jobs of earlier runs of this folder and wait for their end; how many there were.

    Raises
    ------
    UserError
        If they do not end.
    """
    left = cancel_jobs(folder)

    def not_ended() -> set[str]:
        listed = jobs_in_queue(folder)
        return set(left) if listed is None else set(left) & set(listed)

    end = time.monotonic() + SECONDS_TO_END
    while still := left and not_ended():
        if time.monotonic() > end:
            raise UserError(
                f"jobs {', '.join(sorted(still))} of an earlier run of this folder do not end after scancel; "
                "when squeue does not list them any more, run the same command again"
            )
        time.sleep(0.5)
    return len(left)
