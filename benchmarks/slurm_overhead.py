"""What the queue and Snakemake cost on top of the work, on the demo, with and without shared jobs.

    python -m benchmarks.slurm_overhead FOLDER      (in the root of the repository)

Brings up a Slurm cluster on this machine (as the tests do: root, Debian's Slurm), runs the demo twice through
profiles/slurm in FOLDER, once with every job by itself, and prints a table. `work` is what the rules' own benchmark
files say, imports too; `overhead` is what the Slurm jobs took beyond it, two starts of Snakemake a job above all. Rules
that run side by side in a shared job count twice as work and once as time, so there it is a lower bound.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.project import Project, copy_project
from tests.slurm.cluster import THROUGH_SLURM, Cluster, missing

VARIANTS = {"alone": ["--groups", "make_demo_data=prepare"], "grouped": []}
COLUMNS = ("jobs", "queue s", "run s", "work s", "overhead s", "overhead s/job", "wall s")


def seconds(job: dict[str, str], start: str, end: str) -> float:
    """Seconds between two of the controller's time stamps of a job."""
    return (datetime.fromisoformat(job[end]) - datetime.fromisoformat(job[start])).total_seconds()


def measure(folder: Path, arguments: list[str]) -> list[float]:
    """Run the demo on a fresh cluster; the columns of the table."""
    cluster = Cluster(folder / "cluster")
    cluster.start()
    try:
        copy_project(folder / "project")
        project = Project(folder / "project", "config/config.yaml")
        started = time.monotonic()
        if project.start(*THROUGH_SLURM, *arguments).wait():
            sys.exit(f"Snakemake failed: {project.folder}/started.log")
        wall = time.monotonic() - started
        jobs = cluster.jobs()
    finally:
        cluster.stop()
    files = (project.results / "benchmarks").rglob("*.jsonl")
    local = {"plot_training", "plot_thresholds", "plot_tradeoff", "compare_experiments", "judge_experiment"}
    work = sum(
        json.loads(file.read_text(encoding="utf-8"))["s"] for file in files if not local & {*file.parts, file.stem}
    )
    queue = sum(seconds(job, "SubmitTime", "StartTime") for job in jobs)
    run = sum(seconds(job, "StartTime", "EndTime") for job in jobs)
    return [len(jobs), queue, run, work, run - work, (run - work) / len(jobs), wall]


def main() -> None:
    """Measure both and print the table."""
    if why := missing():
        sys.exit(why)
    rows = {name: measure(Path(sys.argv[1]).resolve() / name, arguments) for name, arguments in VARIANTS.items()}
    print("| | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 1))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in row) + " |")
    before, after = rows.values()
    print("| ratio | " + " | ".join(f"{new / old:.2f}" for old, new in zip(before, after, strict=True)) + " |")


if __name__ == "__main__":
    main()
