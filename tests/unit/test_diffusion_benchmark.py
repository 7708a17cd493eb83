"""The diffusion model that benchmarks/diffusion.py trains as a peer."""

import itertools
import json

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from trainings import island_days, plain_days

from benchmarks import diffusion
from rainshaft.config.sections import Train
from rainshaft.data.fields import Fields, dates_of
from rainshaft.data.patches import load_days
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf
from rainshaft.models.grids import block_mean

CPU = torch.device("cpu")
SMALL = diffusion.Settings(width=6, steps=4)


def data_of(paths, normalisation):
    days = (load_days(paths, normalisation, split, CPU) for split in ("train", "validation"))
    return diffusion.Data(*days, Train(batch_size=4, patch=8, device="cpu"), seed=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return plain_days(tmp_path_factory.mktemp("plain"))


# ------------------------------------------------------------------------------------------- the sampler


@pytest.fixture
def gaussian():
    """A Gaussian of two correlated numbers: its mean, and the axes and variances of its covariance."""
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    return torch.tensor([0.4, -1.0], dtype=torch.float64), *torch.linalg.eigh(covariance)


def drawn(gaussian, noise, levels):
    """Members by the sampler, with the expected data of that Gaussian given noisy data."""
    mean, variances, axes = gaussian

    def denoise(x, sigma):
        return mean + (x - mean) @ axes @ torch.diag(variances / (variances + sigma**2)) @ axes.T

    return diffusion.heun(denoise, noise, levels)


def solved(gaussian, noise, levels):
    """The exact solution of the probability flow: along each axis, x - mean is proportional to its deviation."""
    mean, variances, axes = gaussian
    shrunk = torch.sqrt((variances + levels[-1] ** 2) / (variances + levels[0] ** 2))
    return mean + (levels[0] * noise - mean) @ axes @ torch.diag(shrunk) @ axes.T


def test_the_sampler_draws_from_a_known_gaussian(gaussian):
    noise = torch.randn(20_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    levels = diffusion.noise_levels(diffusion.DEFAULTS.steps)
    members = drawn(gaussian, noise, levels)
    mean, variances, axes = gaussian
    torch.testing.assert_close(members.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(members.T), axes @ torch.diag(variances) @ axes.T, atol=0.05, rtol=0)
    deviation = (members - solved(gaussian, noise, levels)).std(0) / members.std(0)
    assert (deviation < 0.03).all()


def test_the_sampler_is_of_second_order(gaussian):
    noise = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    errors = []
    for steps in (40, 80, 160):
        levels = diffusion.noise_levels(steps)[:-1]  # the last step, to 0, is of first order
        errors.append((drawn(gaussian, noise, levels) - solved(gaussian, noise, levels)).abs().max())
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(4, rel=0.15)


# ------------------------------------------------------------------------------------------- the networks


def test_a_fresh_network_knows_the_denoiser_of_white_noise(plain):
    """Without what the net adds, D is that of white noise of variance 1."""
    paths, normalisation = plain
    data = data_of(paths, normalisation)
    network = diffusion.Diffusion(diffusion.build_regression(normalisation, data.train, SMALL), 1.0, SMALL)
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.3, 5.0])
    conditions = torch.zeros(2, network.regression.conditions + 1, 8, 8)
    torch.testing.assert_close(network.denoised(x, sigma, conditions), x / (1 + sigma.view(2, 1, 1, 1) ** 2))


@pytest.mark.parametrize("space", diffusion.SPACES)
def test_spaces_lead_back(space):
    there, back = diffusion.SPACES[space]
    rain = torch.tensor([0.0, 0.01, 1.0, 250.0])
    torch.testing.assert_close(back(there(rain)), rain)
    assert there(rain)[0] == 0
    assert (back(torch.tensor([-2.0, -0.1])) < 0).all()


@pytest.mark.parametrize("record", [plain_days, island_days], ids=["coarse rain", "context"])
def test_training_lowers_both_errors(tmp_path, record):
    data = data_of(*(loaded := record(tmp_path)))
    network, log = diffusion.train_peer(loaded[1], data, 1.6, SMALL)
    for part in log.values():
        errors = [check["validation"] for check in part["checks"]]
        assert min(errors) < 0.98 * errors[0]
    assert diffusion.validate(network, data) == pytest.approx(min(c["validation"] for c in log["residual"]["checks"]))


def test_scaled_members_have_the_coarse_rain_and_stay_dry():
    rng = np.random.default_rng(0)
    potential = rng.normal(1, 4, (3, 8, 8)).astype("f4")
    potential[:, :4, :4] = -1  # dry in the members, and below wet in the coarse rain
    coarse = np.array([[2, 5], [0, 1]], "f4")
    valid = np.ones((8, 8), "i1")
    valid[4:, 6] = 0
    rain = diffusion.scaled(potential, coarse, valid, 4)
    assert (np.isnan(rain) == (valid == 0)).all()
    mean = block_mean(torch.from_numpy(np.nan_to_num(rain))[None], torch.from_numpy(valid)[None, None].float(), 4)
    torch.testing.assert_close(mean[0], torch.from_numpy(coarse).expand(3, 2, 2), atol=1e-5, rtol=1e-4)
    assert (rain[:, 4:, :4] == 0).all()
    assert ((rain[:, :4, 4:] > 0) == (potential[:, :4, 4:] > 0)).all()


# ------------------------------------------------------------------------------------------- the script


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A folder with a configuration and the data that the workflow would have prepared."""
    monkeypatch.chdir(tmp_path)
    prepared = tmp_path / "results/data/showers"
    (prepared / "fields").mkdir(parents=True)
    _, normalisation = plain_days(prepared / "fields")
    write_netcdf(normalisation, prepared / "normalisation.nc")
    content = {
        "datasets": {
            "showers": {
                "years": [2001],
                "factor": 2,
                "rain": {"files": ["rain_{year}.nc"], "variable": "pr"},
                "predictors": "coarsened",
                "split": {"by": "blocks"},
            }
        },
        "experiments": {
            "first": {
                "dataset": "showers",
                "train": {"batch_size": 4, "patch": 8},
                "sampling": {"members": 3, "pixel_threshold": 0.5},
            }
        },
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_script_writes_ensembles_of_the_validation_and_test_days(configured, tmp_path):
    diffusion.run(configured, "first", 0.4, tmp_path / "peer", SMALL)
    with Fields([tmp_path / "results/data/showers/fields/2001.nc"]) as fields:
        for kind, error in (("raw", 10), ("mass", 0.1)):
            with xr.open_dataset(tmp_path / f"peer/{kind}.nc") as members:
                assert members.pr.dims == ("time", "member", "lat", "lon")
                assert members.sizes["member"] == 3
                assert set(members.split.values.tolist()) == {"validation", "test"}
                rain, truth = members.pr.values, fields.rain(dates_of(members).tolist())
                assert ((rain == 0) | (rain >= 0.5)).all()
                assert abs(rain.mean() - truth.mean()) < error * truth.mean()
    log = json.loads((tmp_path / "peer/log.json").read_text(encoding="utf-8"))
    assert log["mean"]["cpu_seconds"] + log["residual"]["cpu_seconds"] >= 0.4


def test_a_member_depends_on_seed_date_and_number_alone(plain):
    paths, normalisation = plain
    data = data_of(paths, normalisation)
    network = diffusion.Diffusion(diffusion.build_regression(normalisation, data.train, SMALL), 1.0, SMALL)
    days = normalisation.isel(time=[10, 20, 30])
    with Fields(paths) as fields:

        def members(which, seed, count):
            return list(diffusion.draw_days(network, fields, days.isel(time=which), normalisation, seed, count))

        whole = members([0, 1, 2], 1, 3)
        (alone,) = members([1], 1, 2)
        (other,) = members([1], 2, 2)
    np.testing.assert_allclose(alone, whole[1][:2], rtol=1e-4, atol=1e-5)
    assert np.abs(other - alone).max() > 0.1
    assert np.abs(whole[1][0] - whole[1][1]).max() > 0.1


def test_faults_are_named_before_any_work(configured, tmp_path):
    with pytest.raises(UserError, match="SECONDS: found -1, expected the CPU time"):
        diffusion.run(configured, "first", -1.0, tmp_path / "peer")
    with pytest.raises(UserError, match="no experiment 'second', expected one of first"):
        diffusion.run(configured, "second", 1.0, tmp_path / "peer")
    (tmp_path / "results/data/showers/normalisation.nc").unlink()
    with pytest.raises(UserError, match=r"snakemake --cores all results/data/showers/normalisation.nc"):
        diffusion.run(configured, "first", 1.0, tmp_path / "peer")
    assert not (tmp_path / "peer").exists()


def test_a_longer_training_takes_longer(plain):
    data = data_of(*plain)
    for seconds in (0.3, 0.9):
        log = diffusion.fit(diffusion.build_regression(plain[1], data.train, SMALL), data, 0.004, seconds)
        assert seconds <= log["cpu_seconds"] < seconds + 0.3
