"""The tiny workflow as a whole: what it makes, what it survives, what it refuses."""

import hashlib
import json
import os
import shutil
import signal
import time

import numpy as np
import pytest
import xarray as xr
import yaml
from project import REPOSITORY, Project, copy_project


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_everything_is_made(finished):
    results = finished.results
    table = (results / "comparison/table.md").read_text(encoding="utf-8")
    for name in ("gradient-loss", "calibrated", "bilinear", "quantile-mapping"):
        assert name in table
    scores = json.loads((results / "calibrated/evaluation/prior/scores.json").read_text(encoding="utf-8"))
    for part in ("validation", "test"):
        wet = scores[part]["all_days"]["scores"]["wet_fraction"]
        assert 0 < wet["value"] < 1
        assert 0 < wet["observed"] < 1
    assert len(json.loads((results / "looks.json").read_text(encoding="utf-8"))) == 1
    verdict = (results / "gradient-loss/evaluation/posterior/verdict.json").read_text(encoding="utf-8")
    assert json.loads(verdict)["checks"]
    for name in ("samples.png", "distribution.png"):
        assert (results / f"calibrated/visualizations/prior/{name}").stat().st_size > 5000
    assert (results / "gradient-loss/augmented/tradeoff.png").stat().st_size > 5000
    report = (results / "comparison/report.html").read_text(encoding="utf-8")
    figures = sorted(path for path in results.rglob("*.png"))
    assert report.count("data:image/png;base64,") == len(figures)
    assert all(path.with_suffix(".pdf").read_bytes().startswith(b"%PDF") for path in figures)
    assert not (results / "calibrated/augmented").exists(), "the trade-off is that of the posterior"
    rows = (results / "gradient-loss/logs/train_log.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["coarse", "1"], ["fine", "1"], ["fine", "2"]]
    assert {"epoch", "train_L_grad", "val_L_grad", "train_L_kl", "lr", "beta"} <= set(rows[0].split(","))


def test_what_users_take_away_is_cf_and_knows_where_it_comes_from(finished):
    path = finished.results / "calibrated/synth/prior.nc"
    with xr.open_dataset(path) as synth:
        assert synth.pr.dims == ("time", "member", "lat", "lon")
        assert synth.pr.attrs["units"] == "mm/day"
        assert synth.attrs["Conventions"].startswith("CF-1")
        info = json.loads((finished.results / "calibrated/model.json").read_text(encoding="utf-8"))
        assert (
            synth.attrs["model_sha256"]
            == info["weights_sha256"]
            == sha256(finished.results / "calibrated/model.safetensors")
        )
        assert {"config_fingerprint", "rainshaft_version", "mode"} <= set(synth.attrs)
        threshold = synth.attrs["pixel_threshold"]
        rain = synth.pr.values
        assert not ((rain > 0) & (rain < threshold)).any()
        assert (rain >= 0).all()
        assert set(np.unique(synth.split)) >= {"test", "validation"}
    with xr.open_dataset(finished.results / "calibrated/samples/prior/1-of-1.nc") as samples:
        assert samples.sizes == synth.sizes


def test_the_synthetic_days_are_exported_and_tried_on_another_model(project):
    project.run("results/gradient-loss/augmented/posterior.md")
    folder = project.results / "gradient-loss/augmented"
    with xr.open_dataset(folder / "posterior.nc") as made:
        assert made.sizes["member"] == 3
        assert {"coarse_pr", "coarse_tas", "pr", "time_bnds"} == set(made.data_vars)
    assert json.loads((folder / "posterior.json").read_text(encoding="utf-8"))["made_by"]["mode"] == "posterior"
    assert "CSI at P99" in (folder / "posterior.md").read_text(encoding="utf-8")


def test_members_of_another_model_are_scored_beside_those_of_a_training(project):
    shutil.copy(project.results / "calibrated/synth/prior.nc", project.folder / "theirs.nc")
    entry = "theirs: {source: files, dataset: tiny, files: [theirs.nc], variable: pr}"
    project.edit("tiny.yaml", "experiments:\n", f"experiments:\n  {entry}\n")
    rules = project.planned().rules
    assert {"adopt_ensemble", "plot_samples", "plot_distribution", "judge_experiment"} <= rules
    assert not {"train_model", "sample_fields", "plot_training", "export_model", "trace_tradeoff"} & rules
    project.run("results/theirs/evaluation/prior/verdict.json", "results/comparison/table.md")
    both = [
        json.loads((project.results / f"{name}/evaluation/prior/scores.json").read_text(encoding="utf-8"))
        for name in ("theirs", "calibrated")
    ]
    assert [one.pop("name") for one in both] == ["theirs", "calibrated"]
    assert both[0] == both[1]
    assert "theirs" in (project.results / "comparison/table.md").read_text(encoding="utf-8")
    project.edit("tiny.yaml", "[theirs.nc], variable: pr}", "[theirs.nc], variable: rain}")
    assert "theirs.nc, variable rain: found the variables" in project.run(expect=1)


def test_the_general_networks_are_scored_beside_a_training(project):
    entry = "anywhere: {source: general, dataset: tiny, members: 3}"
    project.edit("tiny.yaml", "experiments:\n", f"experiments:\n  {entry}\n")
    rules = project.planned().rules
    assert {"refine_fields", "plot_samples", "plot_distribution", "judge_experiment"} <= rules
    assert not {"train_model", "sample_fields", "plot_training", "export_model", "trace_tradeoff"} & rules
    project.run("results/anywhere/evaluation/prior/verdict.json", "results/comparison/table.md")
    synth = xr.load_dataset(project.results / "anywhere/synth/prior.nc")
    fields = xr.load_dataset(project.results / "data/tiny/fields/2001.nc")
    factor, days = int(fields.attrs["factor"]), synth.time.isin(fields.time).values
    means = synth.pr[days].isel(member=2).coarsen(lat=factor, lon=factor).mean()
    coarse = fields.predictors.sel(channel="pr", time=synth.time[days])
    np.testing.assert_allclose(means, coarse, rtol=1e-3, atol=1e-3)
    scores = json.loads((project.results / "anywhere/evaluation/prior/scores.json").read_text(encoding="utf-8"))
    assert scores["test"]["all_days"]["scores"]["fair_crps"]["value"] > 0
    assert "anywhere" in (project.results / "comparison/table.md").read_text(encoding="utf-8")


def test_only_the_asked_for_folder_is_written(finished):
    left = {path.name for path in finished.folder.iterdir()} - {"results", ".snakemake", "tiny.yaml"}
    assert left == {"Snakefile", "rainshaft", "workflow", "profiles", "config"}
    assert not list(finished.results.rglob("*.part"))


def test_the_old_weights_outlive_an_edit_and_come_back_without_training(project):
    old = sha256(project.results / "gradient-loss/model.safetensors")
    project.edit("tiny.yaml", "lambda_grad: 2.0", "lambda_grad: 1.0")
    project.run("results/gradient-loss/model.safetensors")
    assert sha256(project.results / "gradient-loss/model.safetensors") != old
    kept = [sha256(path) for path in (project.results / "gradient-loss/checkpoints").glob("*/model.safetensors")]
    assert old in kept
    project.edit("tiny.yaml", "lambda_grad: 1.0", "lambda_grad: 2.0")
    project.run("results/gradient-loss/model.safetensors")
    assert sha256(project.results / "gradient-loss/model.safetensors") == old
    log = (project.results / "logs/train_model/gradient-loss.log").read_text(encoding="utf-8")
    assert "has been trained before" in log


def test_a_killed_training_resumes_to_the_same_weights_and_an_edit_meanwhile_does_not_leak_into_the_run(project):
    model, target = project.results / "calibrated/model.safetensors", "results/calibrated/synth/prior.nc"
    undisturbed = sha256(model)
    checkpoints, log = project.results / "calibrated/checkpoints", project.results / "logs/train_model/calibrated.log"
    shutil.rmtree(project.results / "calibrated")
    log.unlink()
    running = project.start(target)
    wait_for(lambda: list(checkpoints.glob("*/step-*.pt")))
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not model.exists()

    running = project.start(target)
    wait_for(lambda: log.exists() and "resuming at step" in log.read_text(encoding="utf-8"))
    project.edit("tiny.yaml", "pixel_threshold: auto", "pixel_threshold: 7.0")
    assert running.wait(timeout=300) == 0, (project.folder / "started.log").read_text(encoding="utf-8")
    assert sha256(model) == undisturbed
    with xr.open_dataset(project.folder / target) as synth:
        assert synth.attrs["pixel_threshold"] < 7
    assert project.planned(target).rules == {"freeze_config", "apply_threshold"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lambda_grad: 2.0",
            "lamda_grad: 2.0",
            "experiments.gradient-loss.loss.lamda_grad: unknown key; did you mean lambda_grad?",
        ),
        ("epochs: 2", "epochs: two", "train.epochs: found 'two', expected a whole number"),
        ("members: 3", "members: 1", "sampling.members: found 1, expected 2 or more"),
    ],
)
def test_a_fault_in_the_configuration_ends_in_one_line_before_any_job(finished, tmp_path, old, new, message):
    text = (finished.folder / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(text.replace(old, new), encoding="utf-8")
    output = Project(finished.folder, str(tmp_path / "tiny.yaml")).run(expect=1)
    lines = [line for line in output.splitlines() if message in line]
    assert lines == [message]
    assert "Traceback" not in output
    assert "rule " not in output


def test_a_missing_input_ends_in_one_message_before_any_job(finished, tmp_path):
    raw = yaml.safe_load((finished.folder / "tiny.yaml").read_text(encoding="utf-8"))
    dataset = raw["datasets"]["tiny"]
    del dataset["synthetic"]
    dataset["rain"]["files"] = ["nowhere/rain_{year}.nc"]
    raw["results"] = "results-other"
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    output = Project(finished.folder, str(tmp_path / "tiny.yaml")).run(expect=1)
    assert "nowhere/rain_2001.nc" in output
    assert "rain.files" in output
    assert "Traceback" not in output
    assert not (finished.folder / "results-other/data").exists()


def test_a_file_of_days_that_is_not_there_ends_in_one_line(finished, tmp_path):
    text = (finished.folder / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(
        text.replace("sampling: {members: 3", "sampling: {days: 'file:nowhere.txt', members: 3"), encoding="utf-8"
    )
    output = Project(finished.folder, str(tmp_path / "tiny.yaml")).run("--dry-run", expect=1)
    assert "sampling.days: found `file:nowhere.txt`, but there is no such file" in output


def test_a_mode_that_the_experiment_does_not_draw_is_asked_for_in_vain(finished):
    output = finished.run("results/calibrated/augmented/posterior.nc", expect=1)
    assert "experiments.calibrated.sampling.mode: found `prior`, but the posterior was asked for" in output
    assert "Traceback" not in output


def test_baselines_are_those_that_the_predictors_allow(tmp_path):
    project = copy_project(tmp_path / "project")
    project.edit("tiny.yaml", "variable: pr, quantity: rain", "variable: pr")
    project.edit(
        "tiny.yaml", "    sampling: {pixel_threshold", "    model: {conserve: drawn}\n    sampling: {pixel_threshold"
    )
    project.edit("tiny.yaml", "[bilinear, quantile-mapping]", "[bilinear, quantile-mapping, analogs, climatology]")
    made = {text for text in project.planned().messages if text.startswith("Making the baseline")}
    assert made == {f"Making the baseline {name} for tiny" for name in ("analogs", "climatology")}, "no coarse rain"


@pytest.mark.parametrize("config", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("profile", [None, "profiles/slurm"], ids=["default", "slurm"])
def test_every_example_can_be_planned_with_every_profile(config, profile, tmp_path):
    if "RAINSHAFT_DATA" in config.read_text(encoding="utf-8") and not os.environ.get("RAINSHAFT_DATA"):
        pytest.skip("RAINSHAFT_DATA is not set: the files of this example are not here")
    arguments = ["--dry-run", *(["--profile", profile] if profile else [])]
    project = copy_project(tmp_path / "project")
    output = Project(project.folder, str(config)).run(*arguments)
    assert "train_model" in output
