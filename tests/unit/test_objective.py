"""What a training minimises: which terms there are, their normalisers, and that masked cells take no part."""

from dataclasses import replace

import pytest
import torch
from trainings import Data, island_days, small_training

from rainshaft.data.patches import Batch, training_batch
from rainshaft.models.noise import POSTERIOR_NOISE, BatchNoise
from rainshaft.training.distributed import Group
from rainshaft.training.losses import TERMS, mass_loss
from rainshaft.training.run import trainers
from rainshaft.training.trainer import Trainer

CPU = torch.device("cpu")
NOISE = BatchNoise(seed=1, number=0, count=4, device=CPU)
NAMES = {term.name for term in TERMS}


@pytest.fixture(scope="module")
def islands(tmp_path_factory) -> Data:
    return island_days(tmp_path_factory.mktemp("islands"))


def trainer_of(islands: Data, **loss: object) -> tuple[Trainer, Batch]:
    """A training that has not begun, and a batch of it."""
    settings = small_training("none", loss=loss, patch=24)
    (trainer,) = trainers(settings, *islands, Group())
    return trainer, training_batch(trainer.batches.days, trainer.batches.patches, settings.train, 1, 0, CPU)


def test_the_kl_counts_by_the_valid_cells_of_the_domain(islands):
    """Latents over islands must not cost less because there is much sea. A patch of sea alone must do no harm."""
    trainer, batch = trainer_of(islands, posterior_members=1)
    network = trainer.network
    in_the_sea = replace(batch, valid_B1HW=torch.zeros_like(batch.valid_B1HW))
    fields = batch.coarse_BCyx, batch.statics_BSHW
    given = network.encode_predictors(*fields, batch.valid_B1HW, batch.context_BKvu)
    noise = NOISE.normal(POSTERIOR_NOISE, network.noise_shapes(*batch.coarse_BCyx.shape[-2:]), 1)
    _, kl = network(given, noise, network.encode_observation(*fields, batch.rain_B1HW, batch.context_BKvu))
    cells = float(islands[1].valid.mean()) * batch.rain_B1HW[0].numel()
    assert cells < 0.5 * batch.rain_B1HW[0].numel()
    for patches in (batch, in_the_sea):
        assert trainer.objective(patches, NOISE)["L_kl"].item() == pytest.approx(sum(kl).item() / cells, rel=1e-4)


def test_every_term_of_the_ensemble_score_is_as_fair_as_the_setting_says(islands):
    found = []
    for alpha in (0.9, 1.0):
        trainer, batch = trainer_of(islands, crps_alpha=alpha)
        torch.nn.init.constant_(trainer.network.out.weight, 0.1)  # the members of a fresh network are all alike
        found.append(trainer.objective(batch, NOISE))
    less_fair, fair = found
    for name in NAMES:
        changes = name.startswith(("L_rec", "L_crps"))
        assert (fair[name] < less_fair[name]) if changes else (fair[name] == less_fair[name]), name


def test_the_sea_takes_no_part_in_any_term_and_has_no_gradient(islands):
    trainer, batch = trainer_of(islands, lambda_mass=0.2, members=3)
    network = trainer.network
    sea = batch.valid_B1HW == 0
    assert sea.float().mean() > 0.5

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
        terms.append(trainer.objective(batch, NOISE))
    assert set(terms[0]) == NAMES
    for name, value in terms[0].items():
        torch.testing.assert_close(value, terms[1][name], msg=name)
    trainer.objective.total(terms[1], 0.3).backward()
    for mm in drawn[2:]:
        assert (mm.grad[sea.expand_as(mm)] == 0).all()
        assert (mm.grad[~sea.expand_as(mm)] != 0).any()


def test_without_members_of_the_prior_their_terms_are_absent_and_the_mass_is_that_of_the_posterior(islands):
    trainer, batch = trainer_of(islands, lambda_crps=0.0)
    torch.nn.init.constant_(trainer.network.out.weight, 0.1)
    terms = trainer.objective(batch, NOISE)
    assert NAMES - set(terms) == {name for name in NAMES if name.startswith("L_crps")}
    drawn = trainer.network.draw_in_training(batch, NOISE, trainer.settings.loss.posterior_members, 0)
    bias = mass_loss(batch.rain_B1HW, drawn["posterior"], batch.valid_B1HW)
    assert bias > 0
    torch.testing.assert_close(terms["L_mass"], bias / trainer.objective.truth.keywords["mean_rain"] ** 2)


def test_the_loss_is_the_sum_of_the_terms_times_their_weights(islands):
    weights = {"lambda_rec": 0.5, "lambda_mass": 0.3, "lambda_grad": 0.7, "lambda_crps": 2.0, "crps_pool": 0.1}
    weights |= {"crps_grad": 0.2, "crps_log": 0.4, "crps_spectrum": 0.6}
    trainer, batch = trainer_of(islands, **weights)
    terms = trainer.objective(batch, NOISE)
    expected = 0.5 * terms["L_rec"] + 0.3 * terms["L_mass"] + 0.7 * terms["L_grad"] + 0.9 * terms["L_kl"]
    parts = {"L_crps": 1, "L_crps_pool": 0.1, "L_crps_grad": 0.2, "L_crps_log": 0.4, "L_crps_spectrum": 0.6}
    expected = expected + 2.0 * sum(weight * terms[name] for name, weight in parts.items())
    torch.testing.assert_close(trainer.objective.total(terms, 0.9), expected)
