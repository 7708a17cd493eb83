"""The interface of generators: the library trains, stores and draws a kind of network that it does not know."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from trainings import Data, plain_days, small_training

from rainshaft.augmentation import tradeoff
from rainshaft.config.slices import SampleSettings, TradeoffSettings
from rainshaft.errors import UserError
from rainshaft.models.chain import Chain
from rainshaft.models.grids import bilinear
from rainshaft.models.interface import PRIOR, Architecture, Generator
from rainshaft.models.kinds import KINDS, Kind, build_model
from rainshaft.models.noise import PRIOR_NOISE
from rainshaft.models.residual import build_residual
from rainshaft.models.store import load_model
from rainshaft.sampling.sample import sample
from rainshaft.training.distributed import Group
from rainshaft.training.run import finished_files, train

CPU = torch.device("cpu")


class Toy(Generator):
    """Bilinear rain times a scale, plus noise; the scale and the size of the noise are learned."""

    kind = "toy"

    def __init__(self, architecture):
        super().__init__()
        self.architecture = architecture
        self.scale, self.noise = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))

    def draw_in_training(self, batch, noise, posterior_members, prior_members):
        shapes = self.noise_shapes(*batch.coarse_BCyx.shape[-2:])
        return {PRIOR: self.members(batch, noise.normal(PRIOR_NOISE, shapes, prior_members))}

    def members(self, batch, noise, temperature=1.0, observed_scales=0):
        channel = self.architecture.channels.index(self.architecture.rain_channel)
        smooth = bilinear(batch.coarse_BCyx[:, channel : channel + 1], self.architecture.factor)
        z = noise[0].unflatten(0, (len(smooth), -1))[:, :, 0]
        return torch.relu(self.scale * smooth + temperature * self.noise * z)

    def noise_shapes(self, rows, columns):
        return [(1, rows * self.architecture.factor, columns * self.architecture.factor)]

    @property
    def halo(self):
        return 1


def build_toy(settings, normalisation):
    channels, statics = normalisation.channel.values.tolist(), normalisation.static.values.tolist()
    sizes = normalisation.attrs["rain_channel"], int(normalisation.attrs["factor"])
    return [Toy(Architecture(tuple(channels), tuple(statics), *sizes))]


def restore_toy(architecture, weights):
    toy = Toy(Architecture.from_dict(architecture))
    toy.load_state_dict(weights)
    return toy


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return plain_days(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """The folder of a training of the toy."""
    folder = tmp_path_factory.mktemp("toy")
    settings = small_training(epochs=6, lr=0.05)
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"kind": "toy"})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "toy", Kind(build_toy, restore_toy))
        train(settings, *data, folder, folder / "log.csv", Group())
    return folder


@pytest.fixture
def toy(trained, monkeypatch) -> Chain:
    monkeypatch.setitem(KINDS, "toy", Kind(build_toy, restore_toy))
    weights, info, _ = finished_files(trained)
    return load_model(weights, info, CPU)


@pytest.fixture
def residual(data) -> Chain:
    """The deterministic network of the trial, with weights as after a training."""
    torch.manual_seed(0)
    net = build_residual(data[1], width=6, blocks=2)
    nn.init.normal_(net.out.weight, std=0.3)
    return Chain([net]).eval()


def members_of(model: Chain, data: Data, path: Path, mode: str = "prior", **changes: object) -> np.ndarray:
    settings = SampleSettings(seed=1, members=3, days="split:test", temperature=1.0, tile=512, device="cpu")
    sample(model, settings.model_copy(update=changes), mode, *data, path, {})
    return xr.load_dataset(path).pr.values


def test_the_toy_learns_and_the_log_has_the_terms_that_judge_the_prior_alone(trained):
    rows = list(csv.DictReader((trained / "train_log.csv").open()))
    assert float(rows[-1]["val_L_crps"]) < float(rows[0]["val_L_crps"])
    terms = {name.removeprefix("val_") for name, value in rows[0].items() if name.startswith("val_") and value}
    assert terms >= {"loss", "L_mass", "L_crps", "L_crps_spectrum"}
    assert not terms & {"L_rec", "L_grad", "L_kl"}


def test_the_toy_comes_back_from_its_file_which_names_its_kind(trained, toy):
    (network,) = toy.networks
    assert isinstance(network, Toy)
    assert json.loads((trained / "model.json").read_text(encoding="utf-8"))["kind"] == "toy"
    assert network.scale.item() != pytest.approx(0.5, abs=0.05)
    assert not network.training


def test_a_kind_that_this_version_does_not_know_is_refused(trained):
    weights, info, _ = finished_files(trained)
    with pytest.raises(UserError, match="found a network of kind 'toy', expected dense or cvae"):
        load_model(weights, info, CPU)


@pytest.mark.parametrize("kind", ["toy", "residual"])
def test_members_of_any_kind_do_not_depend_on_tiles(request, data, tmp_path, monkeypatch, kind):
    model = request.getfixturevalue(kind)
    whole = members_of(model, data, tmp_path / "whole.nc")
    for changes in ({"tile": 8}, {"tile": 4}):
        np.testing.assert_allclose(members_of(model, data, tmp_path / "a.nc", **changes), whole, rtol=1e-4, atol=1e-4)
    assert float(np.abs(whole[:, 0] - whole[:, 1]).max()) > 0.1 if kind == "toy" else (whole[:, 0] == whole[:, 1]).all()

    monkeypatch.setattr(type(model.networks[0]), "halo", 0)
    seams = members_of(model, data, tmp_path / "seams.nc", tile=4)
    assert float(np.abs(seams - whole).max()) > 0.01, "with too small a halo the tiles do not meet"


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_the_deterministic_network_sees_no_further_than_its_halo(data, factor, blocks):
    torch.manual_seed(0)
    normalisation = data[1].assign_attrs(factor=factor).isel(static=slice(0))
    net = build_residual(normalisation, width=4, blocks=blocks).double().eval()
    nn.init.normal_(net.out.weight, std=0.3)
    nn.init.constant_(net.out.bias, 100.0)  # rain everywhere, so that a change shows
    columns = 2 * net.halo + 4
    x = torch.rand(1, 2, 1, columns, dtype=torch.double) * 10
    statics = torch.zeros(1, 0, factor, factor * columns, dtype=torch.double)
    changed = x.clone()
    changed[..., net.halo + 2] += 5
    cells = (net(changed, statics) - net(x, statics))[0, 0].unflatten(1, (-1, factor)).abs().amax((0, 2)).nonzero()
    far = (cells.squeeze(1) - (net.halo + 2)).abs().max()
    assert far in (net.halo - 1, net.halo)


def test_a_kind_without_a_posterior_says_so(data, toy, residual, tmp_path):
    with pytest.raises(UserError, match="a model of kind 'toy' has no posterior; write `prior`"):
        members_of(toy, data, tmp_path / "a.nc", "posterior")
    settings = TradeoffSettings(
        seed=1, temperature=1.0, posterior_scales="all", tile=64, device="cpu", wet_threshold=0.1
    )
    with pytest.raises(UserError, match="a model of kind 'residual' has no posterior"):
        tradeoff.trace(residual, settings, *data, tmp_path / "b.csv")
    assert not list(tmp_path.iterdir())


def test_fresh_weights_are_a_function_of_the_seed_and_leave_the_global_generator_alone(data):
    settings = small_training().model
    before = torch.get_rng_state()
    first, again, other = (build_model(settings, data[1], seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    name = "networks.0.decode.0.second.weight"
    assert not torch.equal(first[name], other[name])
