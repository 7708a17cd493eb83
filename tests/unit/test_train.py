"""Training: it resumes bit for bit, stops with a clear word, and keeps every finished model."""

import csv
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from project import REPOSITORY
from safetensors.torch import load_file
from trainings import Data, island_days, plain_days, small_training, stop_after

from rainshaft.config.slices import TrainSettings
from rainshaft.data.patches import load_days
from rainshaft.errors import STOPPED, Interrupted, UserError
from rainshaft.files import write_netcdf
from rainshaft.jobs.training import Task, train_once
from rainshaft.locks import Lock
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.training import checkpoints, losses, run
from rainshaft.training.distributed import Group
from rainshaft.training.run import trainers
from rainshaft.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return plain_days(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def islands(tmp_path_factory) -> Data:
    return island_days(tmp_path_factory.mktemp("islands"))


def task_in(data: Data, folder: Path, settings: TrainSettings | None = None) -> Task:
    """A training with its files in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text((settings or small_training()).model_dump_json(), encoding="utf-8")
    write_netcdf(data[1], folder / "normalisation.nc")
    return Task(
        config=str(folder / "config.json"),
        normalisation=str(folder / "normalisation.nc"),
        fields=[str(path) for path in data[0]],
        checkpoints=str(folder / "checkpoints"),
        train_log=str(folder / "train_log.csv"),
    )


def trained(data: Data, folder: Path, settings: TrainSettings | None = None, processes: int = 1) -> list[Path]:
    """Train into a folder; the paths of weights, info and log."""
    task, weights, info = task_in(data, folder, settings), folder / "model.safetensors", folder / "model.json"
    train_once(task, weights, info, processes, folder / "job.log", threads=2)
    return [weights, info, Path(task.train_log)]


def rows_of(log):
    """The training log without its times and its empty cells."""
    rows = csv.DictReader(log.open())
    return [{k: v if k == "network" else float(v) for k, v in row.items() if v and k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(scope="module")
def undisturbed_chain(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("undisturbed-chain"), small_training("drawn"))


def test_log_has_a_row_an_epoch_and_the_validation_loss_falls(undisturbed):
    rows = list(csv.DictReader(undisturbed[2].open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert float(rows[0]["train_L_grad"]) > 0
    assert float(rows[0]["val_L_crps_grad"]) > 0


def test_the_same_training_gives_the_same_weights(data, undisturbed, tmp_path):
    assert trained(data, tmp_path)[0].read_bytes() == undisturbed[0].read_bytes()


@pytest.mark.parametrize(("conserve", "stop_at"), [("cells", 3), ("cells", 10), ("drawn", 3), ("drawn", 40)])
def test_a_stopped_training_resumes_to_the_same_weights(data, tmp_path, monkeypatch, request, conserve, stop_at):
    undisturbed = request.getfixturevalue("undisturbed_chain" if conserve == "drawn" else "undisturbed")
    stop_after(monkeypatch, stop_at)
    with pytest.raises(Interrupted, match=f"stopped by a signal at step {stop_at}"):
        trained(data, tmp_path, small_training(conserve))
    monkeypatch.undo()
    assert not (tmp_path / "model.safetensors").exists()
    weights, _, log = trained(data, tmp_path, small_training(conserve))
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
    options = small_training(epochs=2, patch=16, lr=1e-3)  # rounding grows with every step, and with their length
    task = task_in(data, tmp_path / "two", options)
    code = """if True:
        import json, sys
        from pathlib import Path
        from rainshaft.jobs.runtime import job
        from rainshaft.jobs.training import Task, train_once
        folder = Path(sys.argv[2])
        with job(folder / "job.log", 2):
            task = Task(**json.loads(sys.argv[1]))
            train_once(task, folder / "model.safetensors", folder / "model.json", 2, folder / "job.log", 2)
    """
    command = [sys.executable, "-c", code, json.dumps(asdict(task)), str(tmp_path / "two")]
    first = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, encoding="utf-8")
    while first.poll() is None and not list(Path(task.checkpoints).glob("step-*.pt")):
        time.sleep(0.02)
    first.terminate()
    _, words = first.communicate(timeout=60)
    assert first.returncode == STOPPED, words
    assert "the same command goes on" in words
    assert "Traceback" not in words
    two = trained(data, tmp_path / "two", options, processes=2)
    log = (tmp_path / "two/job.log").read_text(encoding="utf-8")
    assert "resuming at step" in log
    assert log.count("training on 2 x cpu") == 2, "one of the processes speaks for both"
    same_but_for_rounding(two, trained(data, tmp_path / "one", options))


@pytest.mark.parametrize("conserve", ["none", "drawn"])
def test_two_processes_train_as_one_where_a_part_of_the_network_is_idle(data, tmp_path, conserve):
    options = small_training(
        conserve,
        model={"prior": "standard", "coarser_scales": 1},
        loss={"lambda_crps": 0.0, "lambda_mass": 0.2},
        epochs=1,
        patch=16,
        lr=2e-4,
    )
    two = trained(data, tmp_path / "two", options, processes=2)
    same_but_for_rounding(two, trained(data, tmp_path / "one", options))
    assert not [name for name in rows_of(two[2])[0] if "crps" in name], (
        "a term that the loss does not have is no number"
    )


def test_a_second_process_waits_for_the_first_and_takes_its_model(data, undisturbed, tmp_path):
    lock = Lock(tmp_path / "checkpoints/lock")
    assert lock.take()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(trained, data, tmp_path)
        with pytest.raises(TimeoutError):
            second.result(timeout=2)
        assert not list((tmp_path / "checkpoints").glob("step-*"))
        for source, name in zip(undisturbed, ("model.safetensors", "model.json", "train_log.csv"), strict=True):
            shutil.copy(source, tmp_path / "checkpoints" / name)
        lock.release()
        assert second.result(timeout=60)[0].read_bytes() == undisturbed[0].read_bytes()
    assert not list((tmp_path / "checkpoints").glob("step-*"))


def test_a_damaged_checkpoint_is_passed_over(data, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "save_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path)
    monkeypatch.undo()
    kept = sorted((tmp_path / "checkpoints").glob("step-*.pt"))
    assert len(kept) == checkpoints.KEPT
    content = bytearray(kept[-1].read_bytes())
    content[len(content) // 2] ^= 1
    kept[-1].write_bytes(content)
    kept[-2].write_bytes(kept[-2].read_bytes()[:1000])
    assert trained(data, tmp_path)[0].read_bytes() == undisturbed[0].read_bytes()


def test_a_finished_model_is_taken_from_the_checkpoints(data, tmp_path, monkeypatch):
    first = trained(data, tmp_path)
    content = first[0].read_bytes()
    for path in first:
        path.unlink()
    monkeypatch.setattr(run, "Trainer", None)
    assert trained(data, tmp_path)[0].read_bytes() == content


def test_nan_loss_names_the_step_and_the_term(data, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "gradient_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    with pytest.raises(UserError, match=r"NaN at step 0 \(epoch 1\) through L_grad"):
        trained(data, tmp_path)


def test_early_stopping_keeps_the_best_weights(data, tmp_path, monkeypatch):
    values = iter([3.0, 1.0, 2.0, 2.5, 2.5, 2.5])
    validate = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda self, beta: {**validate(self, beta), "loss": next(values)})
    _, info, log = trained(data, tmp_path, small_training(epochs=6, early_stopping_patience=2))
    assert json.loads(info.read_text(encoding="utf-8"))["networks"][0]["best_epoch"] == 2
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1 + 4


def test_a_chain_learns_the_coarse_rain_from_the_predictors_and_the_fine_rain_from_the_true_coarse_rain(islands):
    chain = trainers(small_training("drawn", flips=False), *islands, Group())
    coarse, fine = (trainer.batches.days for trainer in chain)
    whole = load_days(*islands, "train", CPU)
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
        assert all(p.grad.abs().sum() > 0 for p in trainer.network.out.parameters())


def test_a_chain_comes_back_from_its_file(undisturbed_chain):
    weights, info, log = undisturbed_chain
    model = load_model(weights, info, CPU)
    coarse, fine = (network.architecture for network in model.networks)
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
    model = load_model(weights, info, CPU)
    (network,) = model.networks
    assert network.architecture.channels == ("pr", "tas")
    assert network.architecture.statics == tuple(data[1].static.values)
    torch.testing.assert_close(network.rain_log_std, torch.tensor(float(data[1].rain_log_std)))
    bad = bytearray(weights.read_bytes())
    bad[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bad)
    with pytest.raises(UserError, match="not those that"):
        load_model(tmp_path / "model.safetensors", info, CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_that_is_not_there_is_a_clear_error():
    with pytest.raises(UserError, match="PyTorch sees no GPU"):
        choose_device("cuda")


def test_what_is_validated_and_kept_is_the_moving_average_of_the_weights(data):
    (trainer,) = trainers(small_training(epochs=1), *data, Group())
    name = "out.weight"
    expected = None
    for _ in range(3):
        trainer.step()
        last = trainer.network.state_dict()[name].clone()
        expected = last if expected is None else 0.98 * expected + 0.02 * last
    torch.testing.assert_close(trainer.weights()[name], expected)
    assert not torch.equal(expected, last)
    assert trainer.validation_objective.network is trainer.averaged.module


def test_a_model_of_context_alone_trains_and_comes_back_from_its_file(islands, tmp_path):
    weights, info, log = trained(islands, tmp_path, small_training("none", flips=False))
    rows = rows_of(log)
    assert all(np.isfinite([v for k, v in row.items() if k != "network"]).all() for row in rows)
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]
    model = load_model(weights, info, CPU)
    (network,) = model.networks
    assert network.architecture.context == ("msl",)
    torch.testing.assert_close(network.context_encoder.mean, torch.from_numpy(islands[1].context_mean.values).float())
    torch.testing.assert_close(
        network.context_encoder.std.ravel(), torch.from_numpy(islands[1].context_std.values).float()
    )
