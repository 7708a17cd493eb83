"""The tiny workflow through the Slurm profile, on a cluster with accounting: what ran where, with what."""

import csv
from dataclasses import replace

import pytest
import yaml
from cluster import IMPATIENT, THROUGH_SLURM, missing, rule_of, run
from project import copy_project

ACCOUNTING = True
pytestmark = pytest.mark.skipif(bool(missing(accounting=True)), reason=missing(accounting=True))

COMPARISON = {"plot_comparison_maps", "plot_comparison_distributions", "plot_comparison_scores"}
CPU_RULES = {"prepare", "fit_normalisation", "baselines", "judge", "trace_thresholds", "export_model", *COMPARISON}


def accounted():
    """Give the accounting of every job so far: rule or group -> record."""
    fields = "jobid,state,partition,account,nodelist,reqtres,timelimitraw,comment"
    records = list(csv.DictReader(run("sacct", "-XP", "-o", fields).splitlines(), delimiter="|"))
    for record in records:
        record |= dict(item.split("=") for item in record.pop("ReqTRES").split(","))
    return {rule_of(record): record for record in records}


@pytest.fixture(scope="module")
def through_slurm(cluster, tmp_path_factory):
    """A workflow of one experiment, run through the profile, and the accounting of it."""
    project = replace(copy_project(tmp_path_factory.mktemp("slurm") / "project"), snakemake=IMPATIENT)
    config = yaml.safe_load((project.folder / "tiny.yaml").read_text(encoding="utf-8"))
    config["train"]["device"] = "auto"
    del config["experiments"]["gradient-loss"]
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as site:
        site.setenv("RAINSHAFT_ACCOUNT", "lab")
        site.setenv("RAINSHAFT_CPU_PARTITION", "short")
        project.run(*THROUGH_SLURM)
        yield project, accounted()


def test_every_job_ends_well_and_is_accounted(through_slurm):
    project, jobs = through_slurm
    assert set(jobs) == CPU_RULES | {"train_model", "sample_fields"}
    assert {(job["State"], job["Account"]) for job in jobs.values()} == {("COMPLETED", "lab")}
    assert (project.results / "comparison/tiny/test/maps.png").exists()
    assert project.planned(*THROUGH_SLURM).rules == set()


def test_training_and_sampling_run_on_the_gpu_node_and_nothing_else_does(through_slurm):
    _, jobs = through_slurm
    for rule, job in jobs.items():
        where = job["Partition"], job["NodeList"], job.get("gres/gpu")
        assert where == (("short", "c1", None) if rule in CPU_RULES else ("gpu", "g1", "1")), rule


def test_each_job_asks_for_what_its_rule_says(through_slurm):
    _, jobs = through_slurm
    asked = {rule: (job["cpu"], job["mem"], job["TimelimitRaw"]) for rule, job in jobs.items()}
    assert asked == {
        "prepare": ("2", "8000M", "90"),  # two years side by side, after the files are made
        "fit_normalisation": ("1", "4000M", "60"),
        "baselines": ("2", "8000M", "120"),  # two baselines side by side, then the scores
        "train_model": ("1", "16000M", "240"),
        "export_model": ("1", "4000M", "60"),
        "sample_fields": ("1", "8000M", "120"),
        "judge": ("2", "8000M", "150"),
        "trace_thresholds": ("1", "4000M", "60"),
        **dict.fromkeys(COMPARISON, ("1", "4000M", "30")),
    }


def test_an_edit_of_the_threshold_sends_no_job_to_the_gpus(through_slurm):
    project, before = through_slurm
    project.edit("tiny.yaml", "pixel_threshold: auto", "pixel_threshold: 1.5")
    project.run("results/comparison/table.md", *THROUGH_SLURM)
    new = {rule: job for rule, job in accounted().items() if job not in before.values()}
    assert list(new) == ["judge"]
    assert (new["judge"]["Partition"], new["judge"]["NodeList"]) == ("short", "c1")
