"""Training: resumes bit for bit, stops with a clear word, keeps every finished model."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import torch
import xarray as xr
from fields import make_fields

from rainshaft import batches, train
from rainshaft.config import Dataset, Loss, Model, Train
from rainshaft.dataset import fit_statistics
from rainshaft.errors import UserError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eighty days of 16 x 24 cells with dry and heavy ones, and their statistics."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rain = np.maximum(rng.gamma(0.6, 12, (80, 16, 24)) - 4, 0) * rng.choice([0, 0.3, 1, 2], (80, 1, 1))
    path = make_fields(folder / "2001.nc", rain, elevation=rng.random((16, 24)) * 900)
    dataset = Dataset(
        years=(2001,),
        factor=2,
        rain={"files": ["x"], "variable": "pr"},
        split={"by": "blocks", "block_days": 5, "cycle": ["train", "validation", "train", "test"]},
        heavy_min_cells=3,
    )
    return [path], fit_statistics([path], dataset)


def settings(**changes):
    options = {"epochs": 3, "batch_size": 4, "patch": 8, "device": "cpu", **changes}
    return train.Settings(1, Model(width=4, d_z=(2, 1)), Loss(), Train(**options))


def run(data, folder, options=None):
    """Train into a folder; the paths of weights, info and log."""
    folder.mkdir(exist_ok=True)
    targets = [folder / "model.safetensors", folder / "model.json", folder / "train_log.csv"]
    train.train(options or settings(), data[0], data[1], folder / "checkpoints", *targets)
    return targets


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("undisturbed"))


def test_log_has_a_row_an_epoch_and_the_validation_loss_falls(undisturbed):
    rows = list(csv.DictReader(undisturbed[2].open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert float(rows[0]["train_L_grad"]) > 0
    assert float(rows[0]["val_L_crps_grad"]) > 0


def test_the_same_training_gives_the_same_weights(data, undisturbed, tmp_path):
    assert run(data, tmp_path)[0].read_bytes() == undisturbed[0].read_bytes()


@pytest.mark.parametrize("stop_at", [3, 10])
def test_a_stopped_training_resumes_to_the_same_weights(data, undisturbed, tmp_path, monkeypatch, stop_at):
    step = train.Trainer.step

    def step_and_stop(self):
        step(self)
        if self.progress.step == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train.Trainer, "step", step_and_stop)
    with pytest.raises(train.TrainingError, match=f"stopped by a signal at step {stop_at}"):
        run(data, tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "model.safetensors").exists()
    weights, _, log = run(data, tmp_path)
    assert weights.read_bytes() == undisturbed[0].read_bytes()
    without_time = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(p.open())]
        for p in (log, undisturbed[2])
    ]
    assert without_time[0] == without_time[1]


def test_a_damaged_checkpoint_is_passed_over(data, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "save_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path)
    monkeypatch.undo()
    kept = sorted((tmp_path / "checkpoints").glob("step-*.pt"))
    assert len(kept) == train.CHECKPOINTS_KEPT
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
    validate = train.Trainer.validate
    monkeypatch.setattr(train.Trainer, "validate", lambda self, beta: {**validate(self, beta), "loss": next(values)})
    _, info, log = run(data, tmp_path, settings(epochs=6, early_stopping_patience=2))
    assert json.loads(info.read_text())["best_epoch"] == 2
    assert len(log.read_text().splitlines()) == 1 + 4


def test_model_json_knows_the_weights_and_damaged_ones_are_refused(data, undisturbed, tmp_path):
    weights, info, _ = undisturbed
    model = train.load_model(weights, info, torch.device("cpu"))
    assert model.architecture.channels == ("pr", "tas")
    assert model.architecture.statics == tuple(data[1].static.values)
    torch.testing.assert_close(model.rain_log_std, torch.tensor(float(data[1].rain_log_std)))
    bad = bytearray(weights.read_bytes())
    bad[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(bad)
    with pytest.raises(UserError, match="not those that"):
        train.load_model(tmp_path / "model.safetensors", info, torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_asking_for_a_gpu_that_is_not_there_is_a_clear_error():
    with pytest.raises(UserError, match="PyTorch sees no GPU"):
        train.choose_device("cuda")


def test_batches_hold_the_asked_for_kinds_of_days_and_match_the_fields(data):
    fields, statistics = data
    record = batches.load_record(fields, statistics, "train", torch.device("cpu"))
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


def test_training_sees_no_day_of_validation_or_test(data):
    fields, statistics = data
    record = batches.load_record(fields, statistics, "train", torch.device("cpu"))
    with xr.open_dataset(fields[0]) as opened:
        mine = opened.pr.values[statistics.split.values == "train"]
    np.testing.assert_array_equal(record.rain_THW.numpy(), mine)
