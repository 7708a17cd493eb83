"""Training: resumes bit for bit, stops with a clear word, keeps every finished model."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from fields import make_fields, normalisation_of, showers
from project import REPOSITORY
from safetensors.torch import load_file

from rainshaft.config.sections import Loss, Model, Train
from rainshaft.data import patches as batches
from rainshaft.errors import STOPPED, Interrupted, UserError
from rainshaft.files import write_netcdf
from rainshaft.locks import Lock
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.training import checkpoints, losses
from rainshaft.training.distributed import Group
from rainshaft.training.run import Task, train, trainers
from rainshaft.training.trainer import Settings, Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eighty days of 16 x 24 cells with dry and heavy ones, and their normalisation."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rain = showers(rng, 80, 16, 24) * rng.choice([0, 0.3, 1, 2], (80, 1, 1))
    path = make_fields(folder / "2001.nc", rain, elevation=rng.random((16, 24)) * 900)
    return [path], normalisation_of(path, heavy_min_cells=3)


@pytest.fixture(scope="module")
def islands(tmp_path_factory):
    """Forty days on 16 x 24 cells of which few are land, in a sea without values: context, and no coarse channel."""
    folder = tmp_path_factory.mktemp("islands")
    rng = np.random.default_rng(0)
    rain = showers(rng, 40, 16, 24)
    land = np.zeros((16, 24))
    land[3:8, 2:9] = land[9:15, 12:21] = 1
    pressure = rng.normal(1e5, 800, (40, 5, 7))
    path = make_fields(folder / "2001.nc", rain, valid=land, context={"msl": pressure}, coarse=False)
    return [path], normalisation_of(path)


def settings(conserve="cells", **changes):
    options = {"epochs": 3, "coarse_epochs": 2, "batch_size": 4, "patch": 8, "device": "cpu", **changes}
    return Settings(
        1,
        Model(width=4, d_z=(2, 1), conserve=conserve, coarser_scales=int(conserve == "drawn")),
        Loss(),
        Train(**options),
    )


def task_in(data, folder, options=None):
    """A training with its files in a folder."""
    folder.mkdir(exist_ok=True)
    options = options or settings()
    sections = {name: getattr(options, name).model_dump(mode="json") for name in ("model", "loss", "train")}
    (folder / "config.json").write_text(json.dumps({"config": {"seed": options.seed, **sections}}))
    write_netcdf(data[1], folder / "normalisation.nc")
    names = ("config.json", "normalisation.nc", "checkpoints", "model.safetensors", "model.json", "train_log.csv")
    config, normalisation, checkpoints, *targets = (str(folder / name) for name in names)
    return Task(config, normalisation, [str(path) for path in data[0]], checkpoints, *targets)


def run(data, folder, options=None, processes=1):
    """Train into a folder; the paths of weights, info and log."""
    task = task_in(data, folder, options)
    train(task, processes, folder / "job.log", threads=2)
    return [Path(path) for path in (task.weights, task.info, task.train_log)]


def rows_of(log):
    """The training log without its times."""
    rows = csv.DictReader(log.open())
    return [{k: v if k == "network" else float(v) for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def undisturbed_chain(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("undisturbed-chain"), settings("drawn"))


def test_log_has_a_row_an_epoch_and_the_validation_loss_falls(undisturbed):
    rows = list(csv.DictReader(undisturbed[2].open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert float(rows[0]["train_L_grad"]) > 0
    assert float(rows[0]["val_L_crps_grad"]) > 0


def test_the_same_training_gives_the_same_weights(data, undisturbed, tmp_path):
    assert run(data, tmp_path)[0].read_bytes() == undisturbed[0].read_bytes()


@pytest.mark.parametrize(("conserve", "stop_at"), [("cells", 3), ("cells", 10), ("drawn", 3), ("drawn", 40)])
def test_a_stopped_training_resumes_to_the_same_weights(data, tmp_path, monkeypatch, request, conserve, stop_at):
    undisturbed = request.getfixturevalue("undisturbed_chain" if conserve == "drawn" else "undisturbed")
    step = Trainer.step

    def step_and_stop(self):
        step(self)
        if self.progress.step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "step", step_and_stop)
    with pytest.raises(Interrupted, match=f"stopped by a signal at step {stop_at}"):
        run(data, tmp_path, settings(conserve))
    monkeypatch.undo()
    assert not (tmp_path / "model.safetensors").exists()
    weights, _, log = run(data, tmp_path, settings(conserve))
    assert weights.read_bytes() == undisturbed[0].read_bytes()
    assert rows_of(log) == rows_of(undisturbed[2])


def same_but_for_rounding(two, one):
    """Whether weights, info and log of two trainings agree."""
    for row, expected in zip(rows_of(two[2]), rows_of(one[2]), strict=True):
        for name in ("train_L_mass", "val_L_mass"):  # a small difference of large sums, rounded as they are
            assert row.pop(name) == pytest.approx(expected.pop(name), abs=5e-4)
        assert row.pop("network") == expected.pop("network")
        assert row == pytest.approx(expected, rel=2e-4, abs=1e-6)
    weights = load_file(one[0])
    for name, value in load_file(two[0]).items():
        torch.testing.assert_close(value, weights[name], rtol=1e-2, atol=1e-3)


def test_two_processes_train_as_one_with_the_same_batch_and_resume_after_a_signal(data, tmp_path):
    options = settings(epochs=2, patch=16, lr=1e-3)  # rounding grows with every step, and with their length
    task = task_in(data, tmp_path / "two", options)
    code = """if True:
        import json, sys
        from rainshaft.jobs.runtime import job
        from rainshaft.training.run import Task, train
        with job(sys.argv[2], 2):
            train(Task(**json.loads(sys.argv[1])), 2, sys.argv[2], 2)
    """
    command = [sys.executable, "-c", code, json.dumps(asdict(task)), str(tmp_path / "two/job.log")]
    first = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    while first.poll() is None and not list(Path(task.checkpoints).glob("step-*.pt")):
        time.sleep(0.02)
    first.terminate()
    _, words = first.communicate(timeout=60)
    assert first.returncode == STOPPED, words
    assert "the same command goes on" in words
    assert "Traceback" not in words
    two = run(data, tmp_path / "two", options, processes=2)
    log = (tmp_path / "two/job.log").read_text()
    assert "resuming at step" in log
    assert log.count("training on 2 x cpu") == 2, "one of the processes speaks for both"
    same_but_for_rounding(two, run(data, tmp_path / "one", options))


@pytest.mark.parametrize("conserve", ["none", "drawn"])
def test_two_processes_train_as_one_where_a_part_of_the_network_is_idle(data, tmp_path, conserve):
    options = Settings(
        1,
        Model(width=4, d_z=(2, 1), prior="standard", conserve=conserve, coarser_scales=1),
        Loss(lambda_crps=0.0, lambda_mass=0.2),
        settings(epochs=1, patch=16, lr=2e-4).train,
    )
    two = run(data, tmp_path / "two", options, processes=2)
    same_but_for_rounding(two, run(data, tmp_path / "one", options))


def test_a_second_process_waits_for_the_first_and_takes_its_model(data, undisturbed, tmp_path):
    lock = Lock(tmp_path / "checkpoints/lock")
    assert lock.take()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(run, data, tmp_path)
        with pytest.raises(TimeoutError):
            second.result(timeout=2)
        assert not list((tmp_path / "checkpoints").glob("step-*"))
        for source, name in zip(undisturbed, ("model.safetensors", "model.json", "train_log.csv"), strict=True):
            shutil.copy(source, tmp_path / "checkpoints" / name)
        lock.release()
        assert second.result(timeout=60)[0].read_bytes() == undisturbed[0].read_bytes()
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_a_damaged_checkpoint_is_passed_over(data, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "save_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path)
    monkeypatch.undo()
    kept = sorted((tmp_path / "checkpoints").glob("step-*.pt"))
    assert len(kept) == checkpoints.KEPT
    content = bytearray(kept[-1].read_bytes())
    content[len(content) // 2] ^= 1
    kept[-1].write_bytes(content)
    kept[-2].write_bytes(kept[-2].read_bytes()[:1000])
    assert run(data, tmp_path)[0].read_bytes() == undisturbed[0].read_bytes()


def test_a_finished_model_is_taken_from_the_checkpoints(data, tmp_path, monkeypatch):
    first = run(data, tmp_path)
    content = first[0].read_bytes()
    for path in first:
        path.unlink()
    monkeypatch.setattr(train, "Trainer", None)
    assert run(data, tmp_path)[0].read_bytes() == content


def test_nan_loss_names_the_step_and_the_term(data, tmp_path, monkeypatch):
    monkeypatch.setattr(train.loss, "gradient_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(UserError, match=r"NaN at step 0 \(epoch 1\) through L_grad"):
        run(data, tmp_path)


def test_early_stopping_keeps_the_best_weights(data, tmp_path, monkeypatch):
    values = iter([3.0, 1.0, 2.0, 2.5, 2.5, 2.5])
    validate = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda self, beta: {**validate(self, beta), "loss": next(values)})
    _, info, log = run(data, tmp_path, settings(epochs=6, early_stopping_patience=2))
    assert json.loads(info.read_text())["networks"][0]["best_epoch"] == 2
    assert len(log.read_text().splitlines()) == 1 + 4


def test_a_chain_learns_the_coarse_rain_from_the_predictors_and_the_fine_rain_from_the_true_coarse_rain(islands):
    chain = trainers(settings("drawn", flips=False), *islands, Group())
    coarse, fine = (trainer.train_record for trainer in chain)
    whole = batches.load_record(*islands, "train", torch.device("cpu"))
    assert (coarse.factor, fine.factor) == (1, 2)
    assert torch.equal(coarse.context_TKvu, whole.context_TKvu)
    assert torch.equal(fine.rain_THW, whole.rain_THW)
    assert not fine.context_TKvu.numel()
    torch.testing.assert_close(coarse.rain_THW, fine.coarse_TCyx[:, 0])
    land = whole.valid_HW.reshape(8, 2, 12, 2).sum((1, 3))
    total = whole.rain_THW.reshape(-1, 8, 2, 12, 2).sum((2, 4))
    torch.testing.assert_close(coarse.rain_THW, total / land.clamp(min=1))
    torch.testing.assert_close(coarse.valid_HW, land / 4)
    assert set(np.unique(land)) > {0, 2, 4}

    for trainer in chain:
        trainer.step()
        assert all(p.grad.abs().sum() > 0 for p in trainer.model.out.parameters())


def test_a_chain_comes_back_from_its_file(data, undisturbed_chain):
    weights, info, log = undisturbed_chain
    model = load_model(weights, info, torch.device("cpu"))
    coarse, fine = model.architectures
    assert (coarse.channels, coarse.rain_channel, coarse.factor, coarse.conserve) == (("pr", "tas"), "pr", 1, "none")
    assert (fine.channels, fine.factor, fine.conserve) == (("coarse rain",), 2, "cells")
    assert model.scales == (2, 2)
    rows = rows_of(log)
    assert [(row["network"], row["epoch"]) for row in rows] == [
        ("coarse", 1),
        ("coarse", 2),
        *(("fine", n) for n in (1, 2, 3)),
    ]
    assert rows[-1]["val_loss"] < rows[2]["val_loss"]
    assert {path.name for path in weights.parent.glob("checkpoints/*")} >= {"coarse", "model.safetensors"}


def test_model_json_knows_the_weights_and_damaged_ones_are_refused(data, undisturbed, tmp_path):
    weights, info, _ = undisturbed
    model = load_model(weights, info, torch.device("cpu"))
    (network,) = model.networks
    assert network.architecture.channels == ("pr", "tas")
    assert network.architecture.statics == tuple(data[1].static.values)
    torch.testing.assert_close(network.rain_log_std, torch.tensor(float(data[1].rain_log_std)))
    bad = bytearray(weights.read_bytes())
    bad[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bad)
    with pytest.raises(UserError, match="not those that"):
        load_model(tmp_path / "model.safetensors", info, torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_that_is_not_there_is_a_clear_error():
    with pytest.raises(UserError, match="PyTorch sees no GPU"):
        choose_device("cuda")


def test_batches_hold_the_asked_for_kinds_of_days_and_match_the_fields(data):
    fields, normalisation = data
    record = batches.load_record(fields, normalisation, "train", torch.device("cpu"))
    options = Train(batch_size=10, patch=8, min_heavy_fraction=0.5, max_dry_fraction=0.1)
    counts = batches.category_counts(record, options)
    assert counts["heavy"] >= 5
    assert counts["dry"] <= 1
    assert sum(counts.values()) == 10
    patches = batches.Patches.of(record, options)
    assert (patches.rows, patches.columns) == (4, 4)
    batch = batches.training_batch(record, patches, options, 1, 7, torch.device("cpu"))
    pooled = torch.nn.functional.avg_pool2d(batch.rain_B1HW, 2)
    torch.testing.assert_close(pooled, batch.coarse_BCyx[:, :1], atol=1e-3, rtol=1e-4)
    again = batches.training_batch(record, patches, options, 1, 7, torch.device("cpu"))
    other = batches.training_batch(record, patches, options, 1, 8, torch.device("cpu"))
    assert torch.equal(batch.rain_B1HW, again.rain_B1HW)
    assert not torch.equal(batch.rain_B1HW, other.rain_B1HW)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 4, "min_heavy_fraction": 1.0}])
def test_a_batch_never_asks_for_more_patches_than_it_has(data, options):
    record = batches.load_record(*data, "train", torch.device("cpu"))
    counts = batches.category_counts(record, Train(**options))
    assert sum(counts.values()) == options["batch_size"]
    assert min(counts.values()) >= 0


def test_what_is_validated_and_kept_is_the_moving_average_of_the_weights(data):
    (trainer,) = trainers(settings(epochs=1), *data, Group())
    name = "out.weight"
    expected = None
    for _ in range(3):
        trainer.step()
        last = trainer.model.state_dict()[name].clone()
        expected = last if expected is None else 0.98 * expected + 0.02 * last
    torch.testing.assert_close(trainer.weights()[name], expected)
    assert not torch.equal(expected, last)
    assert trainer.validation_objective.model is trainer.averaged.module


def test_a_small_batch_still_has_a_dry_day(data):
    fields, normalisation = data
    record = batches.load_record(fields, normalisation, "train", torch.device("cpu"))
    assert batches.category_counts(record, Train(batch_size=4, max_dry_fraction=0.1))["dry"] == 1
    assert batches.category_counts(record, Train(batch_size=4, max_dry_fraction=0.0))["dry"] == 0


def test_training_sees_no_day_of_validation_or_test(data):
    fields, normalisation = data
    record = batches.load_record(fields, normalisation, "train", torch.device("cpu"))
    with xr.open_dataset(fields[0]) as opened:
        mine = opened.pr.values[normalisation.split.values == "train"]
    np.testing.assert_array_equal(record.rain_THW.numpy(), mine)


def test_every_patch_has_the_whole_weather_of_its_day_mirrored_as_the_patch_is(islands):
    record = batches.load_record(*islands, "train", torch.device("cpu"))
    days = {float(day[0].sum()): day for day in record.context_TKvu}
    options = Train(batch_size=16, patch=8)
    patches = batches.Patches.of(record, options)
    batch = batches.training_batch(record, patches, options, 1, 3, torch.device("cpu"))
    seen = set()
    for context, statics, rain in zip(batch.context_BKvu, batch.statics_BSHW, batch.rain_B1HW, strict=True):
        day = min(days, key=lambda total: abs(total - float(context.sum())))
        north, east = statics[:, :2, :2]
        axes = tuple(a for a, turned in ((-2, north[1, 0] > north[0, 0]), (-1, east[0, 1] < east[0, 0])) if turned)
        assert torch.equal(context.flip(axes) if axes else context, days[day])
        assert rain.shape == (1, 8, 8)
        seen.add(axes)
    assert len(seen) == 4


def test_a_model_of_context_alone_trains_and_comes_back_from_its_file(islands, tmp_path):
    options = Settings(1, Model(width=4, d_z=(2, 1), conserve="none"), Loss(), settings(flips=False).train)
    weights, info, log = run(islands, tmp_path, options)
    rows = rows_of(log)
    assert all(np.isfinite([v for k, v in row.items() if k != "network"]).all() for row in rows)
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]
    model = load_model(weights, info, torch.device("cpu"))
    (network,) = model.networks
    assert network.architecture.context == ("msl",)
    torch.testing.assert_close(network.context_encoder.mean, torch.from_numpy(islands[1].context_mean.values).float())
    torch.testing.assert_close(
        network.context_encoder.std.ravel(), torch.from_numpy(islands[1].context_std.values).float()
    )


def test_the_kl_counts_by_the_valid_cells_of_the_domain(islands):
    """Latents over islands must not come cheaper because there is much sea; a patch of nothing but sea is no matter."""
    options = Settings(
        1, Model(width=4, d_z=(2, 1), conserve="none"), Loss(), Train(batch_size=4, patch=24, device="cpu")
    )
    (trainer,) = trainers(options, *islands, Group())
    network = trainer.model
    batch = batches.training_batch(trainer.train_record, trainer.patches, options.train, 1, 0, torch.device("cpu"))
    in_the_sea = replace(batch, valid_B1HW=torch.zeros_like(batch.valid_B1HW))
    draws = trainer.noise(0, 0, 4, 1), trainer.noise(1, 0, 4, 2)
    fields = batch.coarse_BCyx, batch.statics_BSHW
    given = network.given(*fields, batch.valid_B1HW, batch.context_BKvu)
    _, kl = network(given, draws[0], network.observed(*fields, batch.rain_B1HW, batch.context_BKvu))
    cells = float(islands[1].valid.mean()) * batch.rain_B1HW[0].numel()
    assert cells < 0.5 * batch.rain_B1HW[0].numel()
    for patches in (batch, in_the_sea):
        assert trainer.objective(patches, *draws)["L_kl"].item() == pytest.approx(kl.sum().item() / cells, rel=1e-4)


def test_every_term_of_the_ensemble_score_is_as_fair_as_the_setting_says(islands):
    found = []
    for alpha in (0.9, 1.0):
        options = Settings(
            1,
            Model(width=4, d_z=(2, 1), conserve="none"),
            Loss(crps_alpha=alpha),
            Train(batch_size=4, patch=24, device="cpu"),
        )
        (trainer,) = trainers(options, *islands, Group())
        torch.nn.init.constant_(trainer.model.out.weight, 0.1)  # the members of a fresh network are all alike
        record, patches = trainer.train_record, trainer.patches
        batch = batches.training_batch(record, patches, options.train, 1, 0, torch.device("cpu"))
        found.append(trainer.objective(batch, trainer.noise(0, 0, 4, 2), trainer.noise(1, 0, 4, 2)))
    for name in losses.TERMS:
        fair, less = found[1][name].item(), found[0][name].item()
        assert (fair < less) if name.startswith(("L_rec", "L_crps")) else (fair == less), name


def test_the_sea_takes_no_part_in_any_term_and_has_no_gradient(islands):
    options = Settings(
        1,
        Model(width=4, d_z=(2, 1), conserve="none"),
        Loss(lambda_mass=0.2),
        Train(batch_size=4, patch=24, device="cpu"),
    )
    (trainer,) = trainers(options, *islands, Group())
    network = trainer.model
    batch = batches.training_batch(trainer.train_record, trainer.patches, options.train, 1, 0, torch.device("cpu"))
    sea = batch.valid_B1HW == 0
    assert sea.float().mean() > 0.5
    draws = trainer.noise(0, 0, 4, 2), trainer.noise(1, 0, 4, 3)

    drawn, forward = [], network.forward

    def flooded(by):
        def rain(*arguments):
            mm, kl = forward(*arguments)
            mm = mm.detach() + by * sea
            drawn.append(mm.requires_grad_())
            return mm, kl

        return rain

    terms = []
    for by in (0.0, 300.0):
        network.forward = flooded(by)
        terms.append(trainer.objective(batch, *draws))
    assert set(terms[0]) == set(train.losses.TERMS)
    for name, value in terms[0].items():
        torch.testing.assert_close(value, terms[1][name], msg=name)
    trainer.objective.total(terms[1], 0.3).backward()
    for mm in drawn[2:]:
        assert (mm.grad[sea.expand_as(mm)] == 0).all()
        assert (mm.grad[~sea.expand_as(mm)] != 0).any()
