"""The Slurm profile on a cluster with accounting: Snakemake asks sacct, and jobs have an account; the data rules."""

from dataclasses import replace

import pytest
from cluster import IMPATIENT, missing, rule_of, run
from project import copy_project

ACCOUNTING = True
pytestmark = pytest.mark.skipif(bool(missing(accounting=True)), reason=missing(accounting=True))


def test_jobs_are_followed_and_accounted(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("RAINSHAFT_ACCOUNT", "lab")
    monkeypatch.setenv("RAINSHAFT_CPU_PARTITION", "short")
    project = replace(copy_project(tmp_path / "project"), snakemake=IMPATIENT)
    project.run("--profile=profiles/slurm", "results/data/tiny/evaluation/bilinear/statistics.json")
    rows = [line.split("|") for line in run("sacct", "-nXP", "-o", "state,partition,account,comment").splitlines()]
    assert [row[:3] for row in rows] == [["COMPLETED", "short", "lab"]] * 3
    assert [rule_of({"Comment": row[3]}) for row in rows] == ["prepare", "fit_statistics", "baselines"]
